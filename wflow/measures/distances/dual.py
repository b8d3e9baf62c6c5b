"""Exact c-transforms of the squared distance by a tree of boxes, and the certified lower bounds on W2² that they give."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from wflow._checks import Array
from wflow._jit import launch, njit, prange
from wflow.measures.distances.plans import Indices, box, split

__all__ = ["Boxes", "Transform", "bound", "boxes", "c_transform"]

_EPS = float(np.finfo(np.float64).eps)
_LEAF = 12  # atoms
_CHUNK = 64  # queries that one thread takes at a time
_QUERY = 3e-6  # seconds, about


class Boxes(NamedTuple):
    """A cloud cut in halves by count, across its widest axis, down to a few atoms; node b has children 2b and 2b + 1, the root is 1.

    Attributes
    ----------
    order : ndarray, shape (K,), int64
        The atoms in the order of the leaves; leaf l of L holds those from ⌊l K / L⌋ on.
    points : ndarray, shape (K, m)
        The cloud in that order.
    low, high : ndarray, shape (2 L, m)
        Bounding boxes of the nodes.
    """

    order: Indices
    points: Array
    low: Array
    high: Array


class Transform(NamedTuple):
    """A c-transform, rounded down, and where it is attained.

    Attributes
    ----------
    value : ndarray, shape (N,)
        At most min_j |x_i − y_j|² − g_j, and less than that by rounding only.
    nearest : ndarray, shape (N, k), int64
        The k atoms of least |x_i − y_j|² − g_j, best first; −1 where fewer lie below the limit.
    """

    value: Array
    nearest: Indices


def boxes(y: Array) -> Boxes:
    """The tree of a cloud (K, m). Cost O(m K log K), memory O(m K)."""
    leaves = 1 << max(0, math.ceil(math.log2(len(y) / _LEAF)))
    order, points = np.arange(len(y)), y.copy()
    low, high = np.empty((2 * leaves, y.shape[1])), np.empty((2 * leaves, y.shape[1]))
    _build(points, np.ones(len(y)), order, low, high)
    return Boxes(order, points, low, high)


def c_transform(x: Array, y: Boxes, g: Array, *, neighbours: int = 1, limit: Array | None = None) -> Transform:
    """f_i = min_j |x_i − y_j|² − g_j over all j, or `limit` where that is less.

    A node is passed by if the distance to its box less its largest g cannot better what was found. All values are rounded down by
    their own error bound before they are compared, so that f_i + g_j ≤ |x_i − y_j|² holds for every pair, whatever the range of g.

    Cost O((N + K) log K) where few atoms are nearly optimal, O(m N K) at worst; memory O(N k + K).

    Parameters
    ----------
    x : ndarray, shape (N, m)
        Points.
    y : Boxes
        The other cloud.
    g : ndarray, shape (K,)
        Potential.
    neighbours : int
        k; at most K are returned.
    limit : ndarray, shape (N,), optional
        What is not below it need not be found: such as the f of a linear program on some of the pairs.
    """
    k = min(neighbours, len(y.order))
    value = np.full((len(x), k), np.inf) if limit is None else np.repeat(limit[:, None], k, axis=1)
    nearest = np.full((len(x), k), -1)
    sorted_g = g[y.order]
    launch(_search, _QUERY * len(x), x, y.points, sorted_g, _tops(sorted_g, len(y.low) // 2), y.low, y.high, value, nearest,
           (x.shape[1] + 4.0) * _EPS)  # fmt: skip
    return Transform(np.ascontiguousarray(value[:, 0]), np.where(nearest >= 0, y.order[nearest], -1))


def bound(p: Array, q: Array, f: Array, g: Array) -> float:
    """sum p f + sum q g, rounded down: at most W2² by duality if f_i + g_j ≤ |x_i − y_j|² for all i, j.

    Weights that sum to 1 only to rounding stand for themselves divided by their sum.
    """
    terms = np.concatenate((p * f, q * g))
    slack = 4.0 * _EPS + 2.0 * abs(math.fsum(p) - 1.0) + 2.0 * abs(math.fsum(q) - 1.0)
    return math.fsum(terms) - slack * math.fsum(np.abs(terms))


@njit()
def _build(points: Array, ones: Array, order: Indices, low: Array, high: Array) -> None:
    """Sort the points into the order of the leaves, and fill the boxes, from the root down."""
    total, leaves = len(points), len(low) // 2
    width = leaves  # leaves below a node
    for node in range(1, 2 * leaves):
        if node & (node - 1) == 0 and node > 1:
            width //= 2
        first = (node * width - leaves) * total // leaves
        last = ((node + 1) * width - leaves) * total // leaves
        box(points, first, last, low[node], high[node])
        if width > 1:
            middle = (2 * node * width + width - 2 * leaves) * total // (2 * leaves)
            split(points, ones, order, first, last, float(middle - first), int(np.argmax(high[node] - low[node])))


@njit()
def _tops(g: Array, leaves: int) -> Array:
    """The largest g of each node (2 L,); −inf where it is empty."""
    top = np.full(2 * leaves, -np.inf)
    for leaf in range(leaves):
        for j in range(leaf * len(g) // leaves, (leaf + 1) * len(g) // leaves):
            top[leaves + leaf] = max(top[leaves + leaf], g[j])
    for node in range(leaves - 1, 0, -1):
        top[node] = max(top[2 * node], top[2 * node + 1])
    return top


@njit()
def _least(x: Array, low: Array, high: Array, top: float, rounding: float) -> float:
    """What |x − y|² − g cannot fall below for y in the box and g up to `top`, rounding included."""
    square = 0.0
    for a in range(len(x)):
        away = max(low[a] - x[a], x[a] - high[a], 0.0)
        square += away * away
    return square * (1.0 - rounding) - top - rounding * abs(top)


@njit()
def _visit(x: Array, points: Array, g: Array, first: int, last: int, value: Array, nearest: Indices, rounding: float) -> None:
    """Insert the atoms of a leaf into the sorted list of the k best."""
    k = len(value)
    for j in range(first, last):
        square = 0.0
        for a in range(len(x)):
            square += (x[a] - points[j, a]) ** 2
        found = square * (1.0 - rounding) - g[j] - rounding * abs(g[j])
        if found < value[k - 1]:
            place = k - 1
            while place > 0 and value[place - 1] > found:
                value[place], nearest[place] = value[place - 1], nearest[place - 1]
                place -= 1
            value[place], nearest[place] = found, j


@njit(parallel=True)
def _search(x: Array, points: Array, g: Array, top: Array, low: Array, high: Array, value: Array, nearest: Indices,
            rounding: float) -> None:  # fmt: skip
    """Fill `value` and `nearest`, (N, k), whose entries start as limits and −1: depth first, the nearer child before the other."""
    leaves, total, k = len(low) // 2, len(points), value.shape[1]
    for chunk in prange((len(x) + _CHUNK - 1) // _CHUNK):
        stack, least = np.empty(128, np.int64), np.empty(128)
        for i in range(chunk * _CHUNK, min((chunk + 1) * _CHUNK, len(x))):
            stack[0], least[0], depth = 1, -np.inf, 1
            while depth > 0:
                depth -= 1
                node = stack[depth]
                if least[depth] >= value[i, k - 1]:
                    continue
                if node >= leaves:
                    leaf = node - leaves
                    _visit(x[i], points, g, leaf * total // leaves, (leaf + 1) * total // leaves, value[i], nearest[i], rounding)
                    continue
                a, b = 2 * node, 2 * node + 1
                of_a = _least(x[i], low[a], high[a], top[a], rounding)
                of_b = _least(x[i], low[b], high[b], top[b], rounding)
                if of_a < of_b:
                    a, b, of_a, of_b = b, a, of_b, of_a
                stack[depth], least[depth], stack[depth + 1], least[depth + 1] = a, of_a, b, of_b
                depth += 2
