"""Radial bumps ω0 exp(-|(s, a) - c|²/(2 ℓ²)): a state factor times an action factor, so matrix products do the sums (math.md §5)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from wflow._checks import Array
from wflow._jit import blas_single_thread

__all__ = ["adjoint", "forward", "values"]

_BLOCK = 256  # neurons per matrix product


def _factor(nodes: Array, centres: Array, width: float) -> Array:
    """exp(-|x_i - c_n|²/(2 ℓ²)), shape (block, K)."""
    square = np.zeros((len(centres), len(nodes)))
    for d in range(nodes.shape[1]):
        square += (nodes[:, d] - centres[:, d, None]) ** 2
    return np.exp(-square / (2.0 * width**2), out=square)


def _blocks(points: Array, states: Array, actions: Array, width: float) -> Iterator[tuple[slice, Array, Array]]:
    d_s = states.shape[1]
    for begin in range(0, len(points), _BLOCK):
        block = slice(begin, begin + _BLOCK)
        yield block, _factor(states, points[block, 1 : 1 + d_s], width), _factor(actions, points[block, 1 + d_s :], width)


def _moments(part: Array, nodes: Array, centres: Array) -> Array:
    """``sum_i part_ni (x_i - c_n)``, shape (block, d), offsets first: the difference of the sums would cancel."""
    moments = np.empty((len(part), nodes.shape[1]))
    for d in range(nodes.shape[1]):
        moments[:, d] = np.einsum("nk,nk->n", part, nodes[:, d] - centres[:, d, None])
    return moments


def forward(points: Array, weights: Array, states: Array, actions: Array, width: float) -> Array:
    """f (n_s, n_a) = sum_n p_n ω0 φ_n; points (N, 1 + d_s + d_a); cost O(N M) in matrix products, memory O(M + 256 (n_s + n_a))."""
    out = np.zeros((len(states), len(actions)))
    with blas_single_thread():
        for block, by_state, by_action in _blocks(points, states, actions, width):
            out += (by_state * (weights[block] * points[block, 0])[:, None]).T @ by_action
    return out


def adjoint(points: Array, states: Array, actions: Array, width: float, signal: Array) -> Array:
    """Rows (sum_ij G_ij φ_ij, ω0 ∇ sum_ij G_ij φ_ij), shape (N, m), for a signal G (n_s, n_a)."""
    out = np.empty_like(points)
    d_s = states.shape[1]
    with blas_single_thread():
        for block, by_state, by_action in _blocks(points, states, actions, width):
            state_part = by_state * (by_action @ signal.T)
            action_part = by_action * (by_state @ signal)
            value = state_part.sum(axis=1)
            centres = points[block, 1:]
            moments = np.hstack([_moments(state_part, states, centres[:, :d_s]), _moments(action_part, actions, centres[:, d_s:])])
            out[block, 0] = value
            out[block, 1:] = points[block, :1] / width**2 * moments
    return out


def values(points: Array, states: Array, actions: Array, width: float) -> Array:
    """Every bump by itself, (K, n_s, n_a)."""
    d_s = states.shape[1]
    by_state, by_action = _factor(states, points[:, 1 : 1 + d_s], width), _factor(actions, points[:, 1 + d_s :], width)
    found: Array = (points[:, :1] * by_state)[:, :, None] * by_action[:, None, :]
    return found
