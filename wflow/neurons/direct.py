"""Ridge neurons ω0 σ(k_s·s + k_a·a + b) evaluated at every node: any activation, any nodes (math.md §3).

Fused loops without an N × M array: the pre-activation is (k_s·s_i + b) + (k_a·a_j), its two parts formed once per neuron.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from wflow._checks import Array
from wflow._jit import njit, prange
from wflow.neurons._rows import adjoint_row, forward_row

__all__ = ["adjoint", "forward"]

_CHUNK = 64  # neurons per task of the adjoint


@njit()
def _parts(points: Array, n: int, states: Array, actions: Array, h: Array, z: Array) -> None:
    """h (n_s,) = k_s·s + b and z (n_a,) = k_a·a, summed from the left; states (d_s, n_s), actions (d_a, n_a)."""
    d_s = states.shape[0]
    h[:] = 0.0
    for d in range(d_s):
        h += points[n, 1 + d] * states[d]
    h += points[n, points.shape[1] - 1]
    z[:] = points[n, 1 + d_s] * actions[0]
    for d in range(1, actions.shape[0]):
        z += points[n, 1 + d_s + d] * actions[d]


@njit(parallel=True)
def _forward(value: Any, derivative: Any, points: Array, weights: Array, states: Array, actions: Array, partial: Array) -> None:
    """partial (tasks, n_s, n_a): each task sums its own neurons, so that the result does not depend on the number of threads."""
    count = points.shape[0]
    tasks = partial.shape[0]
    for task in prange(tasks):
        h = np.empty(states.shape[1])
        z = np.empty(actions.shape[1])
        partial[task] = 0.0
        for n in range(count * task // tasks, count * (task + 1) // tasks):
            _parts(points, n, states, actions, h, z)
            for i in range(h.shape[0]):
                forward_row(value, derivative, h[i], z, weights[n] * points[n, 0], partial[task, i])


@njit()
def _gather(value: Any, derivative: Any, points: Array, begin: int, end: int, states: Array, actions: Array,
            signal: Array, out: Array) -> None:  # fmt: skip
    """Rows begin to end of out (N, m): sum G φ, then ω0 times the sums of G φ' s, G φ' a and G φ'."""
    d_s, n_s = states.shape
    h = np.empty(n_s)
    z = np.empty(actions.shape[1])
    by_node = np.empty(actions.shape[1])
    for n in range(begin, end):
        outer = points[n, 0]
        _parts(points, n, states, actions, h, z)
        by_node[:] = 0.0
        out[n] = 0.0
        for i in range(n_s):
            total, slope = adjoint_row(value, derivative, h[i], z, signal[i], by_node)
            out[n, 0] += total
            for d in range(d_s):
                out[n, 1 + d] += outer * slope * states[d, i]
            out[n, out.shape[1] - 1] += outer * slope
        for d in range(actions.shape[0]):
            out[n, 1 + d_s + d] = outer * np.sum(by_node * actions[d])


@njit(parallel=True)
def _adjoint(value: Any, derivative: Any, points: Array, states: Array, actions: Array, signal: Array, chunk: int,
             out: Array) -> None:  # fmt: skip
    count = points.shape[0]
    for task in prange((count + chunk - 1) // chunk):
        _gather(value, derivative, points, task * chunk, min(count, (task + 1) * chunk), states, actions, signal, out)


def forward(pair: tuple[Any, Any], points: Array, weights: Array, states: Array, actions: Array) -> Array:
    """f (n_s, n_a) = sum_n p_n ω0 σ(k_s·s_i + k_a·a_j + b); cost O(N M), memory O(M) beside the input.

    `pair` is an activation's (code, 0) or (value, derivative); states (d_s, n_s) and actions (d_a, n_a) are transposed nodes.
    """
    work = len(points) * states.shape[1] * actions.shape[1]
    partial = np.empty((min(16, max(1, work // 2**17)), states.shape[1], actions.shape[1]))
    _forward(*pair, points, weights, states, actions, partial)
    return partial.sum(axis=0)


def adjoint(pair: tuple[Any, Any], points: Array, states: Array, actions: Array, signal: Array) -> Array:
    """Rows (sum_ij G_ij φ_ij, ω0 ∇ sum_ij G_ij φ_ij), shape (N, m), for a signal G (n_s, n_a); cost O(N M)."""
    out = np.empty_like(points)
    _adjoint(*pair, points, states, actions, signal, _CHUNK, out)
    return out
