"""Derivatives of ridge neurons in their parameters, node by node: tangents of f_ν, and the curvature of g (math.md §3).

The loops of `direct` once more, over the same tasks: for a direction v the sum of p_n (v0 φ + ω0 σ' (v_s·s + v_a·a + v_b)), and for
a signal G the second derivatives sum_ij G_ij σ'' x xᵀ, x = (s_i, a_j, 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from wflow._checks import Array
from wflow._jit import launch, njit, prange
from wflow.neurons._tangent_rows import curvature_row, tangent_row
from wflow.neurons.axis import Ints
from wflow.neurons.direct import Axes, _parts, _seconds

__all__ = ["curvature", "scaled", "tangent"]

_Tasks = Sequence[tuple[int, int, int, int]]


def scaled(points: Array, weights: Array, direction: Array) -> Array:
    """Rows p_n (v0, ω0 v̄), (N, m), for directions v = (v0, v̄): what multiplies φ and σ' (s, a, 1)."""
    rows = direction * weights[:, None]
    rows[:, 1:] *= points[:, :1]
    return rows


@njit(parallel=True)
def _tangent(value: Any, derivative: Any, points: Array, rows: Array, tasks: Ints, states: Array, n_s: Ints, actions: Array,
             n_a: Ints, sums: Array) -> None:  # fmt: skip
    """Sums (tasks, most states, most actions); rows as `scaled` makes them."""
    for task in prange(tasks.shape[0]):
        begin, end, s, a = tasks[task]
        h, dh = np.empty(n_s[s]), np.empty(n_s[s])
        z, dz = np.empty(n_a[a]), np.empty(n_a[a])
        sums[task] = 0.0
        for n in range(begin, end):
            _parts(points, n, states[s], actions[a], h, z)
            _parts(rows, n, states[s], actions[a], dh, dz)
            for i in range(h.shape[0]):
                tangent_row(value, derivative, h[i], z, rows[n, 0], dh[i], dz, sums[task, i])


@njit()
def _moments(code: int, points: Array, begin: int, end: int, states: Array, n_s: int, actions: Array, n_a: int, signal: Array,
             out: Array) -> None:  # fmt: skip
    """Neurons begin to end of out (N, q, q), q = d_s + d_a + 1: sum G σ'' x xᵀ, x = (s, a, 1)."""
    d_s, d_a = states.shape[0], actions.shape[0]
    last = d_s + d_a
    h, z = np.empty(n_s), np.empty(n_a)
    row, by_node = np.empty(n_a), np.empty(n_a)
    for n in range(begin, end):
        _parts(points, n, states, actions, h, z)
        by_node[:] = 0.0
        out[n] = 0.0
        for i in range(n_s):
            curvature_row(code, h[i], z, signal[i], row)
            total = 0.0
            for j in range(n_a):
                total += row[j]
                by_node[j] += row[j]
            out[n, last, last] += total
            for d in range(d_s):
                out[n, d, last] += total * states[d, i]
                for e in range(d + 1):
                    out[n, e, d] += total * states[d, i] * states[e, i]
            for e in range(d_a if d_s > 0 else 0):
                moment = 0.0
                for j in range(n_a):
                    moment += row[j] * actions[e, j]
                for d in range(d_s):
                    out[n, d, d_s + e] += moment * states[d, i]
        for e in range(d_a):
            for j in range(n_a):
                moment = by_node[j] * actions[e, j]
                out[n, d_s + e, last] += moment
                for d in range(e + 1):
                    out[n, d_s + d, d_s + e] += moment * actions[d, j]
        for d in range(last + 1):
            for e in range(d):
                out[n, d, e] = out[n, e, d]


@njit(parallel=True)
def _curvature(code: int, points: Array, tasks: Ints, states: Array, n_s: Ints, actions: Array, n_a: Ints, signals: Array,
               out: Array) -> None:  # fmt: skip
    """Signals (state sets, action sets, most states, most actions)."""
    for task in prange(tasks.shape[0]):
        begin, end, s, a = tasks[task]
        _moments(code, points, begin, end, states[s], n_s[s], actions[a], n_a[a], signals[s, a], out)


def tangent(pair: tuple[Any, Any], points: Array, rows: Array, tasks: _Tasks, states: Axes, actions: Axes) -> Array:
    """Sums of rows_n0 σ + rows_n·(s_i, a_j, 1) σ' over the neurons of each task, (tasks, most states, most actions).

    `rows` (N, m) from `scaled`. Cost O(sum of neurons times nodes), about that of `direct.adjoint`; memory that of the result.
    """
    sums = np.empty((len(tasks), states.nodes.shape[2], actions.nodes.shape[2]))
    launch(_tangent, _seconds(tasks, states, actions), *pair, points, rows, np.array(tasks), states.nodes, states.size,
           actions.nodes, actions.size, sums)  # fmt: skip
    return sums


def curvature(code: int, points: Array, tasks: _Tasks, states: Axes, actions: Axes, signals: Array) -> Array:
    """``∇²_ω̄ sum_ij G_ij φ_ij`` (N, m − 1, m − 1), G = signals[s, a] for a task on state set s and action set a; `code` is smooth."""
    out = np.empty((len(points), points.shape[1] - 1, points.shape[1] - 1))
    launch(_curvature, _seconds(tasks, states, actions), code, points, np.array(tasks), states.nodes, states.size, actions.nodes,
           actions.size, signals, out)  # fmt: skip
    return out
