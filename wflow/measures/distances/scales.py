"""From coarse to fine: potentials and candidate edges for two clouds, from the transport problem of their halved copies."""

from __future__ import annotations

import numpy as np

from wflow._checks import Array
from wflow.measures.distances import dual, simplex
from wflow.measures.distances.plans import Indices, farthest, north_west, squared_distance

__all__ = ["Start", "planted", "start"]

_ALL_PAIRS = 50_000  # at most so many pairs are solved outright
_NEAREST = 5  # edges that each atom gets at least
_FEWEST = 64  # clouds are not halved further

Start = tuple[Array, Array, Indices]


def start(x: Array, p: Array, y: Array, q: Array, *, neighbours: int, deadline: float = np.inf) -> Start:
    """Estimates of f (N,) and g (K,), and of the edges (E,) that an optimal plan uses, as row · K + column in rising order.

    Neighbouring atoms of the clouds, which come in the order of one partition, are merged in pairs, again and again; the optimal plan
    between the coarse clouds moves each coarse atom's children along, and each child's edges lead to the neighbours of where it lands.
    Its potential is its parent's: finer estimates spared few pivots. The edges of the north-west-corner plan, and links between them,
    make sure that a plan exists and that the edges hang together.

    Cost O((N + K) log(N + K)) and the coarse solves; memory O((N + K) neighbours).
    """
    n, k = len(x), len(y)
    if n * k <= _ALL_PAIRS:
        return np.zeros(n), np.zeros(k), np.arange(n * k)
    coarse_x, coarse_p, of_x = _halved(x, p, 2 * n > k)
    coarse_y, coarse_q, of_y = _halved(y, q, 2 * k > n)
    f, g, edges = start(coarse_x, coarse_p, coarse_y, coarse_q, neighbours=neighbours, deadline=deadline)
    rows, columns = np.divmod(edges, len(coarse_y))
    cost = squared_distance(coarse_x, coarse_y, rows, columns)
    tree = planted(coarse_x, coarse_p, coarse_y, coarse_q, f, g)
    simplex.solve(tree, rows, columns, cost, deadline)
    f, g = simplex.potentials(tree)
    rows, columns, mass = simplex.coupling(tree)
    step_x = _barycentre(rows, columns, mass, coarse_x, coarse_y)[of_x]
    step_y = _barycentre(columns, rows, mass, coarse_y, coarse_x)[of_y]
    near_y = _nearest(y, x + step_x, min(neighbours, -(-neighbours * k // n)))
    near_x = _nearest(x, y + step_y, min(neighbours, -(-neighbours * n // k)))
    edges = np.unique(np.concatenate((
        (np.arange(n)[:, None] * k + near_y).ravel(), (near_x * k + np.arange(k)[:, None]).ravel(), _staircase(p, q),
    )))  # fmt: skip
    return f[of_x], g[of_y], edges


def planted(x: Array, p: Array, y: Array, q: Array, f: Array, g: Array) -> simplex.Tree:
    """The star of two clouds, priced above all pairs: mass that is left at its root shows some pair to be violated."""
    return simplex.star(p, q, f, g, farthest(x, y) + float(np.abs(f).max() + np.abs(g).max()))


def _halved(x: Array, p: Array, large: bool) -> tuple[Array, Array, Indices]:
    """Barycentres and weights of consecutive pairs, and the pair of each atom; clouds that are small, or beside the other, stay as is."""
    if len(x) <= _FEWEST or not large:
        return x, p, np.arange(len(x))
    first = np.arange(0, len(x), 2)
    weight = np.add.reduceat(p, first)
    return np.add.reduceat(p[:, None] * x, first) / weight[:, None], weight, np.arange(len(x)) // 2


def _barycentre(rows: Indices, columns: Indices, mass: Array, x: Array, y: Array) -> Array:
    """Where a plan sends each x on average, less x; 0 where it sends nothing."""
    total = np.bincount(rows, mass, len(x))
    goal = np.column_stack([np.bincount(rows, mass * axis[columns], len(x)) for axis in y.T])
    return np.where(total[:, None] > 0.0, goal / np.where(total > 0.0, total, 1.0)[:, None] - x, 0.0)


def _nearest(points: Array, goals: Array, k: int) -> Indices:
    return dual.c_transform(goals, dual.boxes(points), np.zeros(len(points)), neighbours=max(_NEAREST, k)).nearest


def _staircase(p: Array, q: Array) -> Indices:
    """The edges of the north-west-corner plan, with a link between each two that share no atom."""
    rows, columns, _ = north_west(p, q)
    k = len(q)
    return np.concatenate((rows * k + columns, rows[1:] * k + columns[:-1]))
