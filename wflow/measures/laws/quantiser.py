"""Quantisers: few weighted points that stand for a large cloud, by Lloyd's algorithm."""

from __future__ import annotations

from typing import Any

import numpy as np

from wflow._checks import Array

__all__ = ["lloyd"]

_ROUNDS = 20
_TOLERANCE = 1e-3  # of the quantisation error
_RELAXATION = 1.6  # a step beyond the mean, short of its mirror image, still descends; half the rounds of plain steps


def lloyd(cloud: Array, n: int, dimension: int) -> tuple[Array, Array]:
    """Points (n, m) and weights (n,) that approximate a cloud (M, m), M ≥ n, of equal weights in W2.

    Lloyd (1982), over-relaxed, from centres spread by Zador's density, for at most 20 rounds or until the centres move, root mean
    square, by less than 1e-3 of the quantisation error. Cells are then final: points are their means and weights their masses, so
    the mean of the cloud is kept and each point is the conditional expectation of its cell. What keeps the points from being a
    stationary quantiser in full is the last move, after which a few members would choose another cell.

    Parameters
    ----------
    cloud : ndarray, shape (M, m)
        Its first n rows are the first centres.
    n : int
    dimension : int
        Dimension of the support of the law behind the cloud, at least 1.

    Notes
    -----
    Each round is a nearest-neighbour search, O(M log n) on one thread in low dimension: 0.1 s for M = 204,800, n = 3,200, m = 3.
    Memory about twice that of the cloud. A centre without members moves to the member farthest from its own centre; where the
    cloud has fewer than n distinct points, superfluous centres end with weight 0.
    """
    from scipy.spatial import cKDTree

    centres = cloud[:n]
    cloud = cloud[cKDTree(cloud).indices]  # near points search near branches: faster, and an order for `_spread`
    centres = _spread(cloud, centres, dimension)
    for _ in range(_ROUNDS - 1):
        distance, cell = _assign(cloud, centres)
        means, count = _cell_means(cloud, cell, centres)
        moved = count @ ((means - centres) ** 2).sum(axis=1)
        if moved <= _TOLERANCE**2 * (distance @ distance):
            break
        centres = centres + _RELAXATION * (means - centres)
        empty = np.flatnonzero(count == 0)
        centres[empty] = cloud[np.argsort(-distance, kind="stable")[: len(empty)]]
    _, cell = _assign(cloud, centres)
    means, count = _cell_means(cloud, cell, centres)
    return means, count / len(cloud)


def _assign(cloud: Array, centres: Array) -> tuple[Array, Any]:
    """Distance (M,) to the nearest centre, and its index (M,)."""
    from scipy.spatial import cKDTree

    tree: Any = cKDTree(centres)
    distance, cell = tree.query(cloud)
    return distance, cell


def _cell_means(cloud: Array, cell: Any, centres: Array) -> tuple[Array, Any]:
    """Means (n, m) of the cells, the centre itself where a cell is empty, and their counts (n,)."""
    n = len(centres)
    count = np.bincount(cell, minlength=n)
    sums = np.column_stack([np.bincount(cell, column, minlength=n) for column in cloud.T])
    return np.where(count[:, None] > 0, sums / np.maximum(count, 1)[:, None], centres), count


def _spread(cloud: Array, centres: Array, dimension: int) -> Array:
    """As many centres, drawn from the cloud along its order with the density of an optimal quantiser.

    Zador (1982): a law of density f wants centres of density f^(d/(d+2)). A cell of equal shape, mass p and distortion
    D = ∫ |x − c|² ~ p (p/f)^(2/d) then wants D^(d/(d+2)) of them. Lloyd's own rounds would take O(n^(2/d)) to carry them there.
    """
    distance, cell = _assign(cloud, centres)
    count = np.bincount(cell, minlength=len(centres))
    distortion = np.bincount(cell, distance**2, minlength=len(centres))
    share = distortion ** (dimension / (dimension + 2)) / np.maximum(count, 1)
    if not share.any():  # every point is a centre
        return centres
    cumulative = np.cumsum(share[cell])
    wanted = (np.arange(len(centres)) + 0.5) / len(centres) * cumulative[-1]
    drawn: Array = cloud[np.searchsorted(cumulative, wanted)]
    return drawn
