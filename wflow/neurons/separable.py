"""Radial bumps ω0 exp(-|(s, a) - c|²/(2 ℓ²)): a state factor times an action factor, so matrix products do the sums (math.md §5)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from wflow._checks import Array
from wflow._jit import blas_single_thread

__all__ = ["adjoint", "curvature", "forward", "tangent", "values"]

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


def tangent(points: Array, weights: Array, direction: Array, states: Array, actions: Array, width: float) -> Array:
    """Derivative of `forward` in the direction v (N, m): sum_n p_n (v0 + ω0 v̄·(x − c)/ℓ²) φ, x = (s, a)."""
    out = np.zeros((len(states), len(actions)))
    d_s = states.shape[1]
    with blas_single_thread():
        for block, by_state, by_action in _blocks(points, states, actions, width):
            centres, v = points[block, 1:], direction[block]
            outer = weights[block] * points[block, 0] / width**2
            along_state = (weights[block] * v[:, 0])[:, None] + outer[:, None] * _along(states, centres[:, :d_s], v[:, 1 : 1 + d_s])
            along_action = outer[:, None] * _along(actions, centres[:, d_s:], v[:, 1 + d_s :])
            out += (by_state * along_state).T @ by_action + by_state.T @ (by_action * along_action)
    return out


def _along(nodes: Array, centres: Array, v: Array) -> Array:
    """``v_n·(x_i − c_n)``, shape (block, K)."""
    along = np.zeros((len(centres), len(nodes)))
    for d in range(nodes.shape[1]):
        along += v[:, d, None] * (nodes[:, d] - centres[:, d, None])
    return along


def curvature(points: Array, states: Array, actions: Array, width: float, signal: Array) -> Array:
    """∇²_c sum_ij G_ij φ_ij = sum_ij G_ij φ_ij ((x − c)(x − c)ᵀ/ℓ⁴ − I/ℓ²), shape (N, m − 1, m − 1)."""
    q, d_s = points.shape[1] - 1, states.shape[1]
    out = np.empty((len(points), q, q))
    with blas_single_thread():
        for block, by_state, by_action in _blocks(points, states, actions, width):
            centres = points[block, 1:]
            state_part, action_part = by_state * (by_action @ signal.T), by_action * (by_state @ signal)
            offsets = [states[:, d] - centres[:, d, None] for d in range(d_s)]
            offsets += [actions[:, d] - centres[:, d_s + d, None] for d in range(q - d_s)]
            for d in range(q):
                part = state_part if d < d_s else action_part
                for e in range(d + 1):
                    if (d < d_s) == (e < d_s):
                        moment = np.einsum("nk,nk,nk->n", part, offsets[d], offsets[e])
                    else:  # d an action's coordinate, e a state's
                        moment = np.einsum("nj,nj->n", (by_state * offsets[e]) @ signal, by_action * offsets[d])
                    out[block, d, e] = out[block, e, d] = moment / width**4
            out[block] -= state_part.sum(axis=1)[:, None, None] / width**2 * np.eye(q)
    return out


def values(points: Array, states: Array, actions: Array, width: float) -> Array:
    """Every bump by itself, (K, n_s, n_a)."""
    d_s = states.shape[1]
    by_state, by_action = _factor(states, points[:, 1 : 1 + d_s], width), _factor(actions, points[:, 1 + d_s :], width)
    found: Array = (points[:, :1] * by_state)[:, :, None] * by_action[:, None, :]
    return found
