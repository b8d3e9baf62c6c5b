"""Network simplex for the transport problem on a changing list of edges: the tree is the state, so every solve starts from the last."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wflow._checks import Array
from wflow._jit import njit
from wflow.measures.distances.plans import Indices

__all__ = ["Tree", "coupling", "potentials", "solve", "star"]

Nodes = npt.NDArray[np.int32]

PARENT, AFTER, BEFORE, DEPTH = range(4)  # columns of the links
_ROUNDING = 8.0 * np.finfo(np.float64).eps
_PIVOTS = 100_000  # between two looks at the clock


@dataclass(frozen=True, eq=False)
class Tree:
    """A basis of the transport problem: a spanning tree of the N + K atoms and an extra root, with its flows and potentials.

    Nodes 0 .. N − 1 are the first cloud's atoms, N .. N + K − 1 the second's, N + K the root. Every node owns the edge to its parent,
    along which the potentials sum to the cost. Edges lead from the first cloud to the second, or by the root, at a price.

    Attributes
    ----------
    rows : int
        N.
    links : ndarray, shape (N + K + 1, 4), int32
        Of each node its parent, its followers on both sides in the tree's preorder (a ring, in which every subtree is a run), and its
        distance from the root: together in memory, because they are needed together.
    flow, potential : ndarray, shape (N + K + 1,)
        Mass on the edge to the parent; the dual variables f (N,), then g (K,), then 0. All are changed in place.
    """

    rows: int
    links: Nodes
    flow: Array
    potential: Array


def star(p: Array, q: Array, f: Array, g: Array, price: float) -> Tree:
    """The start: all mass goes by the root, at `price` above the potentials f and g at either end.

    The better the potentials, the fewer pivots follow. While mass is left at the root, the potentials of some pair exceed its cost if
    that is less than twice the price and f + g.
    """
    n, k = len(p), len(q)
    root, ring = n + k, np.arange(n + k + 1)
    links = np.empty((n + k + 1, 4), np.int32)
    links[:, PARENT], links[:, DEPTH] = root, 1
    links[:, AFTER], links[:, BEFORE] = np.roll(ring, -1), np.roll(ring, 1)
    links[root, PARENT], links[root, DEPTH] = -1, 0
    return Tree(n, links, np.concatenate((p, q, [0.0])), np.concatenate((f + price, g + price, [0.0])))


def solve(tree: Tree, rows: Indices, columns: Indices, cost: Array, deadline: float = np.inf) -> bool:
    """Pivot `tree`, in place, until no edge of the list has a negative reduced cost; whether it got there.

    Block pricing, and the leaving rule of strongly feasible trees (Cunningham 1976), under which degenerate pivots do not cycle. A
    pivot costs a block of √E edges, the cycle that its edge closes, and the subtree that moves.

    Parameters
    ----------
    rows, columns, cost : ndarray, shape (E,)
        The edges that may enter, at costs of 0 or more; those of the tree need not be among them.
    deadline : float
        On the clock of ``time.perf_counter``.
    """
    place, tails, heads = 0, rows.astype(np.int32), (columns + tree.rows).astype(np.int32)
    for _ in range(10 + len(tree.links) // 100):  # a thousand pivots a node are hundreds of times what was ever seen
        place = _pivots(tree.rows, tails, heads, cost, place, _PIVOTS, tree.links, tree.flow, tree.potential)
        if place < 0 or time.perf_counter() > deadline:
            break
    return place < 0


def coupling(tree: Tree) -> tuple[Indices, Indices, Array]:
    """Rows, columns and mass of the plan that the tree carries; what still goes by the root is missing from it."""
    parent, root = tree.links[:-1, PARENT].astype(np.int64), len(tree.links) - 1
    inside = np.flatnonzero((parent < root) & (tree.flow[:-1] > 0.0))
    above = parent[inside]
    return np.minimum(inside, above), np.maximum(inside, above) - tree.rows, tree.flow[inside]


def potentials(tree: Tree) -> tuple[Array, Array]:
    """f (N,) and g (K,), shifted against each other so that the median of f is 0."""
    f, g = tree.potential[: tree.rows], tree.potential[tree.rows : -1]
    middle = np.median(f)
    return f - middle, g + middle


@njit()
def _pivots(n: int, tails: Nodes, heads: Nodes, cost: Array, place: int, most: int, links: Nodes, flow: Array,
            potential: Array) -> int:  # fmt: skip
    """At most `most` pivots, the first edge priced being that at `place`; where the next pricing starts, or −1 at the optimum."""
    block = max(int(np.sqrt(len(cost))), 20)
    for _ in range(most):
        entering, place = _price(tails, heads, cost, potential, block, place)
        if entering < 0:
            return -1
        x, y = tails[entering], heads[entering]
        leaving, moved, of_x = _leaving(n, x, y, links, flow)
        if moved > 0.0:
            _push(n, x, y, moved, links, flow)
        inner, outer = (x, y) if of_x else (y, x)  # the part that is cut off holds `inner`, and is hung at `outer`
        shift = cost[entering] - potential[x] - potential[y]
        _rehang(n, inner, outer, leaving, moved, shift, links, flow, potential)
    return place


@njit()
def _price(tails: Nodes, heads: Nodes, cost: Array, potential: Array, block: int, place: int) -> tuple[int, int]:
    """The most negative reduced cost of the first block that has one, from `place` on and around, and where to go on; −1: none."""
    seen = 0
    while seen < len(cost):
        last, best, entering = min(place + block, len(cost)), 0.0, -1
        for edge in range(place, last):
            reduced = cost[edge] - potential[tails[edge]] - potential[heads[edge]]
            if reduced < best:
                best, entering = reduced, edge
        seen += last - place
        place = last if last < len(cost) else 0
        if entering >= 0:
            f, g = potential[tails[entering]], potential[heads[entering]]
            if best < -_ROUNDING * (abs(f) + abs(g) + cost[entering]):
                return entering, place
    return -1, place


@njit()
def _leaving(n: int, x: int, y: int, links: Nodes, flow: Array) -> tuple[int, float, bool]:
    """The node whose edge leaves when (x, y) enters, the mass that moves, and whether it lies on the side of x.

    On the ways up from x and from y the flow falls on the edges owned by atoms of the end's own cloud. The last blocking edge around
    the cycle, seen from the join along the flow, leaves: on the side of y the highest, else on the side of x the lowest.
    """
    u, v, leaving_x, leaving_y, moved_x, moved_y = x, y, -1, -1, np.inf, np.inf
    while u != v:
        if links[u, DEPTH] >= links[v, DEPTH]:
            if u < n and flow[u] < moved_x:
                leaving_x, moved_x = u, flow[u]
            u = links[u, PARENT]
        else:
            if v >= n and flow[v] <= moved_y:
                leaving_y, moved_y = v, flow[v]
            v = links[v, PARENT]
    if moved_x < moved_y:
        return leaving_x, moved_x, True
    return leaving_y, moved_y, False


@njit()
def _push(n: int, x: int, y: int, moved: float, links: Nodes, flow: Array) -> None:
    """Send mass `moved` around the cycle that the edge (x, y) closes."""
    u, v = x, y
    while u != v:
        if links[u, DEPTH] >= links[v, DEPTH]:
            flow[u] += -moved if u < n else moved
            u = links[u, PARENT]
        else:
            flow[v] += -moved if v >= n else moved
            v = links[v, PARENT]


@njit()
def _rehang(n: int, inner: int, outer: int, leaving: int, mass: float, shift: float, links: Nodes, flow: Array,
            potential: Array) -> None:  # fmt: skip
    """Cut the edge above `leaving`, turn the way from `inner` up to it around, hang `inner` below `outer`, and shift the potentials.

    The new preorder of this part: the run of `inner`, then of each next node on the way what is left of its run, before and behind
    the run of the node `below` it.
    """
    gain = shift if inner < n else -shift  # of the first cloud's atoms; the second's lose it
    outside = links[leaving, BEFORE]
    node, above, level, below, tail, follower = inner, outer, links[outer, DEPTH] + 1, -1, -1, -1
    while True:
        upper, carried, old = links[node, PARENT], flow[node], links[node, DEPTH]
        sunk = level - old
        last, stop = _shift(n, node, below, old, sunk, gain, links, potential)
        if below < 0:
            tail, follower = last, stop
        else:
            links[tail, AFTER], links[node, BEFORE] = node, tail
            tail = last
            if links[follower, DEPTH] > old:
                links[tail, AFTER], links[follower, BEFORE] = follower, tail
                tail, follower = _shift(n, follower, -1, old, sunk, gain, links, potential)
        links[node, PARENT], flow[node] = above, mass
        if node == leaving:
            break
        node, above, mass, below, level = upper, node, carried, node, level + 1
    links[outside, AFTER], links[follower, BEFORE] = follower, outside
    follower = links[outer, AFTER]
    links[outer, AFTER], links[inner, BEFORE] = inner, outer
    links[tail, AFTER], links[follower, BEFORE] = follower, tail


@njit()
def _shift(n: int, node: int, stop: int, old: int, sunk: int, gain: float, links: Nodes, potential: Array) -> tuple[int, int]:
    """Move depths and potentials of `node` and of those after it up to `stop` or the first not deeper than `old`; the last, and that."""
    while True:
        links[node, DEPTH] += sunk
        potential[node] += gain if node < n else -gain
        follower = links[node, AFTER]
        if follower == stop or links[follower, DEPTH] <= old:
            return node, follower
        node = follower
