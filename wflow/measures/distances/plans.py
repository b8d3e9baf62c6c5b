"""Rough feasible plans between weighted clouds: sparse couplings whose cost bounds W2² from above, from 1 to 10⁶ points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wflow._checks import Array
from wflow._jit import njit

__all__ = ["Plan", "box", "bsp", "farthest", "north_west", "partition", "split", "squared_distance"]

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Plan:
    """A coupling with few non-zero entries.

    Attributes
    ----------
    rows, columns : ndarray, shape (E,), int64
        Atom `rows[e]` of the first cloud gives to atom `columns[e]` of the second.
    mass : ndarray, shape (E,)
        What it gives, positive; the marginals are those of the clouds to rounding.
    cost : float
        Sum of mass times squared distance, in squared units of the points.
    """

    rows: Indices
    columns: Indices
    mass: Array
    cost: float


def bsp(x: Array, p: Array, y: Array, q: Array, *, n_plans: int = 8, seed: int = 0) -> Plan:
    """The best coupling found by binary space partitions along shared, randomly rotated axes.

    Both clouds are cut in two at equal mass, across the axis along which they spread most, again and again down to single atoms, and
    coupled by the north-west-corner rule along the order this leaves. The plans of several rotations are merged: where the union of
    two couplings falls into components, each component keeps the cheaper of the two.

    Cost O(n_plans (N + K) log(N + K)), about 3 s per plan at N = K = 10⁶ and m = 3 on one core; memory O((N + K) m).

    Parameters
    ----------
    x, y : ndarray, shapes (N, m) and (K, m)
        Points.
    p, q : ndarray, shapes (N,) and (K,)
        Positive weights, each of sum 1.
    n_plans : int
        Rotations tried; the first leaves the axes as they are.
    seed : int
        Of the rotations.
    """
    random = np.random.default_rng(seed)
    best: Plan | None = None
    for index in range(n_plans):
        first, second = partition(x, p, y, q, _rotation(random, x.shape[1]) if index else None)
        row, column, mass = north_west(p[first], q[second])
        plan = _plan(x, y, first[row], second[column], mass)
        best = plan if best is None else _merge(x, y, best, plan)
    assert best is not None
    return best


def partition(x: Array, p: Array, y: Array, q: Array, rotation: Array | None = None) -> tuple[Indices, Indices]:
    """The orders, (N,) and (K,), in which one binary space partition leaves the two clouds; see `bsp`."""
    if len(x) > len(y):  # the smaller cloud chooses the cuts, the larger follows
        second, first = partition(y, q, x, p, rotation)
        return first, second
    first, second = np.arange(len(x)), np.arange(len(y))
    turned = (x.copy(), y.copy()) if rotation is None else (x @ rotation, y @ rotation)
    _order(turned[0], p.copy(), first, turned[1], q.copy(), second)
    return first, second


def _plan(x: Array, y: Array, rows: Indices, columns: Indices, mass: Array) -> Plan:
    return Plan(rows, columns, mass, float(mass @ squared_distance(x, y, rows, columns)))


def squared_distance(x: Array, y: Array, rows: Indices, columns: Indices) -> Array:
    """|x[rows] − y[columns]|², shape (E,), coordinate by coordinate (no (E, m) array)."""
    result = np.zeros(len(rows))
    for a, b in zip(x.T, y.T, strict=True):
        result += (a[rows] - b[columns]) ** 2
    return result


def farthest(x: Array, y: Array) -> float:
    """At least |x_i − y_j|² for all i, j: that of opposite corners of the clouds' boxes."""
    across = np.maximum(x.max(axis=0) - y.min(axis=0), y.max(axis=0) - x.min(axis=0))
    return float(across @ across)


def _rotation(random: np.random.Generator, dimension: int) -> Array:
    """An orthogonal matrix, uniformly distributed up to signs of its columns (which do not matter here)."""
    return np.linalg.qr(random.normal(size=(dimension, dimension)))[0]


def _merge(x: Array, y: Array, a: Plan, b: Plan) -> Plan:
    """The cheaper of two couplings on each component of their union, on which both have the same marginals."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n, rows, columns = len(x), np.concatenate((a.rows, b.rows)), np.concatenate((a.columns, b.columns))
    union = coo_array((np.ones(len(rows), np.int8), (rows, columns + n)), shape=(n + len(y), n + len(y)))
    count, label = connected_components(union, directed=False)
    price = [np.bincount(label[plan.rows], plan.mass * squared_distance(x, y, plan.rows, plan.columns), count) for plan in (a, b)]
    keep_a = price[0] <= price[1]
    keep = np.concatenate((keep_a[label[a.rows]], ~keep_a[label[b.rows]]))
    return _plan(x, y, rows[keep], columns[keep], np.concatenate((a.mass, b.mass))[keep])


@njit()
def _order(x: Array, p: Array, first: Indices, y: Array, q: Array, second: Indices) -> None:
    """Sort both clouds in place, points (N, m) and (K, m), weights and indices, into the order of one partition."""
    low, high, low_y, high_y = np.empty(x.shape[1]), np.empty(x.shape[1]), np.empty(x.shape[1]), np.empty(x.shape[1])
    stack = [(0, len(x), 0, len(y), 0.0)]
    while len(stack) > 0:
        x_low, x_high, y_low, y_high, excess = stack.pop()  # excess: mass of x before the cell less that of y
        if x_high - x_low < 2 or y_high - y_low < 2:
            continue
        box(x, x_low, x_high, low, high)
        box(y, y_low, y_high, low_y, high_y)
        axis = int(np.argmax(high - low + high_y - low_y))
        cut, left = split(x, p, first, x_low, x_high, 0.5 * p[x_low:x_high].sum(), axis)
        if cut == x_low:  # a heavy atom would take the whole cell: it goes alone
            cut, left = x_low + 1, p[x_low]
        elif cut == x_high:
            cut, left = x_high - 1, left - p[x_high - 1]
        follow, taken = split(y, q, second, y_low, y_high, left + excess, axis)
        stack.append((x_low, cut, y_low, follow, excess))
        stack.append((cut, x_high, follow, y_high, excess + left - taken))


@njit()
def box(points: Array, first: int, last: int, low: Array, high: Array) -> None:
    """The bounding box (m,), (m,) of rows first..last; inf and −inf where there are none."""
    low[:], high[:] = np.inf, -np.inf
    for row in range(first, last):
        for axis in range(points.shape[1]):
            low[axis], high[axis] = min(low[axis], points[row, axis]), max(high[axis], points[row, axis])


@njit()
def split(z: Array, mass: Array, index: Indices, low: int, high: int, target: float, axis: int) -> tuple[int, float]:
    """Quickselect: sort rows low..high so that those before the returned place are the first along `axis` and hold about `target`.

    The atom that straddles the target goes to the side that has its middle. Returns the place and the mass before it.
    """
    before = 0.0
    while high > low:
        pivot = z[(low + high) // 2, axis]
        i, j, left = low, high - 1, 0.0
        while i <= j:
            while z[i, axis] < pivot:
                i += 1
            while z[j, axis] > pivot:
                j -= 1
            if i <= j:
                for k in range(z.shape[1]):
                    z[i, k], z[j, k] = z[j, k], z[i, k]
                mass[i], mass[j] = mass[j], mass[i]
                index[i], index[j] = index[j], index[i]
                i += 1
                j -= 1
        for k in range(low, j + 1):
            left += mass[k]
        if before + left > target and j + 1 < high:
            high = j + 1
            if high - low == 1:
                break
            continue
        before += left  # rows j + 1 .. i - 1, at most one, equal the pivot
        low = j + 1
        if low < i and before + mass[low] > target:
            high = i
            break
        for k in range(low, i):
            before += mass[k]
        low = i
    if high > low and before + 0.5 * mass[low] <= target:
        return low + 1, before + mass[low]
    return low, before


@njit()
def north_west(p: Array, q: Array) -> tuple[Indices, Indices, Array]:
    """The north-west-corner coupling of two weight vectors in their order: at most N + K − 1 entries."""
    n, k = len(p), len(q)
    rows, columns, mass = np.empty(n + k, np.int64), np.empty(n + k, np.int64), np.empty(n + k)
    i, j, edge, supply, demand = 0, 0, 0, p[0], q[0]
    while True:
        if i == n - 1 and j == k - 1:
            moved = max(supply, demand)
        elif i == n - 1:
            moved = demand
        elif j == k - 1:
            moved = supply
        else:
            moved = min(supply, demand)
        rows[edge], columns[edge], mass[edge] = i, j, moved
        edge += 1
        if i == n - 1 and j == k - 1:
            break
        last_row, last_column = i == n - 1, j == k - 1
        next_row = not last_row and (last_column or supply <= demand)
        next_column = not last_column and (last_row or demand <= supply)
        supply -= moved
        demand -= moved
        if next_row:
            i += 1
            supply = p[i]
        if next_column:
            j += 1
            demand = q[j]
    return rows[:edge], columns[:edge], mass[:edge]
