"""The front door: checks, coordinates in which rounding is small, and the choice of a method by size and memory."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow.measures.distances import bounds, cells, columns, dense, line
from wflow.measures.distances.result import ROUNDING, Squares, W2Result
from wflow.measures.grid import GridMeasure
from wflow.measures.particles import ParticleMeasure

__all__ = ["METHODS", "w2"]

METHODS = ("line", "dense", "lazy", "columns", "bounds")  # in the order in which `auto` prefers them
_EXACT = ("line", "dense", "lazy", "trivial")
_DENSE = 25_000_000  # pairs up to which `auto` takes the network simplex
_COLUMNS = 250_000  # points, both clouds together, up to which it generates columns
_SHARE = 0.5  # of the memory that is available now: the default budget


def w2(mu: ParticleMeasure | GridMeasure, nu: ParticleMeasure | GridMeasure, method: str = "auto", *, budget: float | None = None,
       gap: float = 1e-3, seed: int = 0) -> W2Result:  # fmt: skip
    """The 2-Wasserstein distance (inf over couplings of ∫ |x − y|² dπ)^½, exact or between rigorous bounds.

    ======== ================================================ ========================= ======================
    method   what it does                                     time                      memory, bytes
    ======== ================================================ ========================= ======================
    line     sorted quantiles, for clouds on one axis; exact  (n + k) log(n + k)        64 (n + k)
    dense    network simplex on a cost matrix; exact          4 s at n = k = 5,000      41 n k
    lazy     the same without the matrix; exact               8 s at n = k = 5,000      0.3 n k + 300 (n + k)
    columns  certified column generation, down to `gap`       40 s at n = k = 10⁵       `columns.memory`
    bounds   moments and projections below, couplings above   20 s at n = k = 10⁶       (250 + 15 d) (n + k)
    ======== ================================================ ========================= ======================

    `auto` takes the first that serves: line on one axis, dense (or lazy) up to 2.5e7 pairs, columns up to 250,000 points in all, else
    bounds, passing over what does not fit into `budget`. Nothing is ever subsampled.

    Atoms without mass are dropped, weights scaled to sum 1, and each cloud is centred at its mean, W2² = |a − b|² + W2²(μ − a, ν − b),
    so that distances keep their digits far from the origin; axes on which both clouds are constant then vanish.

    A `GridMeasure` is spread evenly over its cells. On one axis, `line` is exact for it too. On more, the value is that of the atoms at
    the centres of its cells, and lower and upper are moved apart by what the spread can change, ``(sum_i m_i |h_i|²/12)^½`` for cells
    of widths h_i, so that the bracket stays rigorous.

    Parameters
    ----------
    mu, nu : ParticleMeasure or GridMeasure
        n and k weighted points, or cells with mass, of the same dimension d.
    method : str
        `auto` or one of the above.
    budget : float, optional
        Bytes of memory the method may take beside the measures; half of what is available now unless given.
    gap : float
        (upper − lower) / upper at which a bracket counts as a value; `columns` works until it is reached.
    seed : int
        Of the random frames and rotations behind the bounds: same seed, same bits.

    Returns
    -------
    W2Result
        Its value is None where upper and lower are further apart than `gap`, the spread over cells aside.

    Raises
    ------
    TypeError, ValueError
        If an argument is not what it should be: a measure with NaN or negative weights, different dimensions, clouds on more than one
        axis for `line`.
    MemoryError
        If `method` would take more than `budget`; it names the figure and a method that would not.
    RuntimeError
        If the network simplex does not end in an optimal plan.
    """
    started = time.perf_counter()
    x, p = _cloud("mu", mu)
    y, q = _cloud("nu", nu)
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"mu and nu must have the same dimension; got {x.shape[1]} and {y.shape[1]}")
    method = _checks.choice("method", method, ("auto", *METHODS))
    room = _SHARE * _available() if budget is None else _checks.real("budget", budget, above=0.0, finite=False)
    gap = _checks.real("gap", gap, above=0.0, below=1.0)
    seed = _checks.integer("seed", seed, at_least=0)
    spread = 0.0 if _same_grid(mu, nu) else cells.spread(mu) + cells.spread(nu)
    if spread > 0.0 and x.shape[1] == 1 and method in ("auto", "line"):
        value, lower, upper = (math.sqrt(square) for square in cells.on_line(mu, nu))
        return W2Result(value, lower, upper, "line", True, time.perf_counter() - started)
    if _identical(x, p, y, q):
        return W2Result(0.0, 0.0, spread, "trivial", True, time.perf_counter() - started)
    pair = _Pair.centred(x, p / p.sum(), y, q / q.sum())
    if pair.x.shape[1] == 0:
        name, squares = "trivial", Squares(0.0, 0.0, 0.0)
    else:
        name = pair.choose(room) if method == "auto" else pair.allow(method, room)
        squares = pair.solve(name, gap, seed)
    value, lower, upper = pair.distance(squares)
    known = name in _EXACT or upper - lower <= gap * upper
    return W2Result(value if known else None, max(lower - spread, 0.0), upper + spread, name, True, time.perf_counter() - started)


@dataclass(frozen=True, eq=False)
class _Pair:
    """Two clouds in the coordinates the methods work in: centred, of coordinates up to 1, without constant axes.

    The distance is ``2^exponent (|shift|² + W2²)^½``, `shift` the difference of means in the scaled unit.
    """

    x: Array
    p: Array
    y: Array
    q: Array
    shift: Array
    exponent: int

    @classmethod
    def centred(cls, x: Array, p: Array, y: Array, q: Array) -> _Pair:
        """Clouds (n, d) and (k, d), each minus its mean; a second pass takes off what the first mean's rounding left."""
        a, b = _mean(x, p), _mean(y, q)
        moving = [m for m in range(x.shape[1]) if not (_constant(x[:, m]) and _constant(y[:, m]))]
        for m in set(range(x.shape[1])) - set(moving):
            a[m], b[m] = x[0, m], y[0, m]
        shift = a - b
        x, y = x[:, moving] - a[moving], y[:, moving] - b[moving]
        a, b = _mean(x, p), _mean(y, q)
        shift[moving] += a - b
        x -= a
        y -= b
        reach, apart = (max(float(np.abs(z).max(initial=0.0)) for z in clouds) for clouds in ((x, y), (shift,)))
        exponent = math.frexp(max(reach, 1e-30 * apart))[1]  # clouds that are nothing beside their shift need no digits
        x, y = (np.ascontiguousarray(np.ldexp(z, -exponent)) for z in (x, y))
        return cls(x, p, y, q, np.ldexp(shift, -exponent), exponent)

    def solve(self, method: str, gap: float, seed: int) -> Squares:
        """W2² of the centred clouds."""
        x, p, y, q = self.x, self.p, self.y, self.q
        if method == "line":
            return line.squared(x[:, 0], p, y[:, 0], q)
        if method == "columns":
            return self._columns(gap)
        if method == "bounds":
            return bounds.bracket(x, p, y, q, seed=seed)
        return dense.network_simplex(x, p, y, q) if method == "dense" else dense.lazy(x, p, y, q)

    def _columns(self, gap: float) -> Squares:
        x, p, y, q = self.x, self.p, self.y, self.q
        cost, upper = bounds.same_index(x, p, y, q)
        shift = float((self.shift**2).sum())
        if cost < np.inf and math.sqrt(shift + upper) * (1.0 - 0.5 * gap) < math.sqrt(shift):  # translates: nothing to generate
            return Squares(cost, 0.0, upper)
        found = columns.solve(x, p, y, q, gap=gap)
        slack = ROUNDING * bounds.diameter_squared(x, y)
        return Squares(found.upper, max(found.lower - slack, 0.0), found.upper + slack)

    def distance(self, squares: Squares) -> tuple[float, float, float]:
        """W2, lower, upper: the shift put back, and the rounding of centring taken into the bounds."""
        shift = float((self.shift**2).sum())
        value, lower, upper = (math.sqrt(shift + square) for square in squares)
        slack = ROUNDING * (math.sqrt(shift) + math.sqrt(bounds.diameter_squared(self.x, self.y)))
        unscaled = (math.ldexp(distance, self.exponent) for distance in (value, max(lower - slack, 0.0), upper + slack))
        value, lower, upper = unscaled
        return value, min(lower, value), max(upper, value)

    def need(self, method: str) -> float:
        """Bytes that `method` takes beside the measures, measured with POT 0.9.7."""
        n, k, d = len(self.x), len(self.y), int(self.x.shape[1])
        return {
            "line": 64.0 * (n + k),
            "dense": 41.0 * n * k + 200.0 * (n + k),
            "lazy": 0.3 * n * k + 300.0 * (n + k),
            "columns": columns.memory(n, k, d),
            "bounds": (250.0 + 15.0 * d) * (n + k),
        }[method]

    def choose(self, room: float) -> str:
        """The method `auto` takes."""
        pairs, points = len(self.x) * len(self.y), len(self.x) + len(self.y)
        serving = {"line": self.x.shape[1] == 1, "dense": pairs <= _DENSE, "lazy": pairs <= _DENSE, "columns": points <= _COLUMNS}
        wanted = [name for name in METHODS if serving.get(name, True)]
        return next((name for name in wanted if self.need(name) <= room), "") or self.allow(wanted[-1], room)

    def allow(self, method: str, room: float) -> str:
        """`method`, or the reason why not."""
        if method == "line" and self.x.shape[1] > 1:
            raise ValueError(f"method must not be 'line' for clouds on more than one axis; these spread along {self.x.shape[1]}")
        if (need := self.need(method)) > room:
            other = [name for name in ("lazy", "columns", "bounds") if self.need(name) <= room]
            ways = [f"use method={other[0]!r} ({self.need(other[0]) / 1e9:.3g} GB)"] if other else []
            raise MemoryError(
                f"method={method!r} needs about {need / 1e9:.3g} GB for {len(self.x)} and {len(self.y)} points, "
                f"more than the budget of {room / 1e9:.3g} GB; {' or '.join([*ways, 'raise budget='])}"
            )
        return method


def _cloud(name: str, measure: Any) -> tuple[Array, Array]:
    """Atoms with mass, or centres of cells with mass, and their weights; the solvers behind would take NaN for a distance of 0."""
    if isinstance(measure, GridMeasure):
        measure = measure.quadrature()
    if not isinstance(measure, ParticleMeasure):
        hint = " (wrap an array of points, one a row, as ParticleMeasure(points))" if isinstance(measure, (np.ndarray, list)) else ""
        raise TypeError(f"{name} must be a ParticleMeasure or a GridMeasure; got {_checks.show(measure)}{hint}")
    points = _checks.array(f"{name}.points", measure.points, (None, None))
    weights = _checks.probability(f"{name}.weights", measure.weights, (len(points),))
    held = weights > 0.0
    if not held.all():
        points, weights = points[held], weights[held]
    return points, weights


def _same_grid(mu: ParticleMeasure | GridMeasure, nu: ParticleMeasure | GridMeasure) -> bool:
    """Whether two measures are one on the same cells."""
    if not (isinstance(mu, GridMeasure) and isinstance(nu, GridMeasure)) or mu.shape != nu.shape:
        return False
    return np.array_equal(mu.masses, nu.masses) and all(map(np.array_equal, mu.axes, nu.axes))


def _identical(x: Array, p: Array, y: Array, q: Array) -> bool:
    """Whether two clouds are the same atoms with the same weights, in any order."""
    if x.shape != y.shape or (x.shape[1] and not np.array_equal(np.sort(x[:, 0]), np.sort(y[:, 0]))):
        return False
    first, second = (np.column_stack((z, mass)) for z, mass in ((x, p), (y, q)))
    return np.array_equal(first[np.lexsort(first.T)], second[np.lexsort(second.T)])


def _mean(x: Array, p: Array) -> Array:
    """Mean (d,), summed column by column: NumPy sums pairwise along contiguous memory only."""
    return np.array([(p * column).sum() for column in x.T], dtype=np.float64)


def _constant(values: Array) -> bool:
    return bool(values.min() == values.max())


def _available() -> float:
    """Bytes of memory that this process could still take."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            free = next(float(entry.split()[1]) * 1024.0 for entry in file if entry.startswith("MemAvailable"))
    except (OSError, StopIteration):  # not Linux
        free = math.inf
    return min(free, _checks._room())
