"""Actions as cells of an interval: their edges, and densities of particles on them (math.md §9)."""

from __future__ import annotations

import numpy as np

from wflow._checks import Array
from wflow.mdp import MDP
from wflow.measures import _axes

__all__ = ["action_edges", "deposited", "reflected_kernel"]

_ROUNDING = 1e-9  # of a width, by which neighbouring cells may fail to meet


def action_edges(mdp: MDP) -> Array:
    """Edges (n_a + 1,) of the cells whose midpoints are the action nodes and whose widths are the action weights.

    Raises
    ------
    ValueError
        If the actions are no such cells, or fewer than two.
    """
    actions = mdp.actions
    if actions.dimension != 1 or actions.size < 2:
        raise ValueError(f"mdp.actions must be two or more cells of an interval, as Space.midpoint makes them; got {actions!r}")
    centres, widths = actions.nodes[:, 0], actions.weights
    left, right = centres - widths / 2.0, centres + widths / 2.0
    apart = np.abs(left[1:] - right[:-1])
    scale = widths.max() * _ROUNDING + 1e-15 * np.abs(centres).max()
    if not (apart <= scale).all():
        j = int((apart > scale).argmax())
        raise ValueError(
            f"mdp.actions must be cells of an interval: midpoints as nodes, in increasing order, and widths as weights, as Space.midpoint "
            f"makes them; cells {j} and {j + 1} end at {float(right[j])!r} and begin at {float(left[j + 1])!r}"
        )
    return np.concatenate([left[:1], (left[1:] + right[:-1]) / 2.0, right[-1:]])


def deposited(points: Array, edges: Array) -> Array:
    """Masses (n_s, n_a) of particles (n_s, N) of equal weight, each shared by the two cells whose centres surround it. O(n_s N)."""
    n_s, n = points.shape
    n_a = edges.size - 1
    left, share = _axes.neighbours(edges, points.ravel())
    first = np.repeat(np.arange(n_s) * n_a, n)
    near = np.bincount(first + left, 1.0 - share, n_s * n_a)
    far = np.bincount(first + np.minimum(left + 1, n_a - 1), share, n_s * n_a)
    masses: Array = (near + far).reshape(n_s, n_a) / n
    return masses


def reflected_kernel(edges: Array, bandwidth: float) -> Array:
    """Share of a mass in cell j that a Gaussian of that standard deviation, mirrored at the walls, spreads to cell k; (n_a, n_a).

    Rows sum to 1. Exact integrals over cells of the kernel at centres, with images up to two widths of the interval away.
    """
    from scipy.special import ndtr

    centres, length = (edges[1:] + edges[:-1]) / 2.0, edges[-1] - edges[0]
    shares = np.zeros((centres.size, centres.size))
    for turn in (-2.0, 0.0, 2.0):
        for image in (centres + turn * length, 2.0 * edges[0] - centres + turn * length):
            shares += np.diff(ndtr((edges - image[:, None]) / bandwidth), axis=1)
    shares /= shares.sum(axis=1, keepdims=True)
    return shares
