"""Ridge neurons ω0 σ(k_s·s + k_a·a + b) evaluated node by node: any activation, any nodes (math.md §3).

Fused loops without an N × M array: the pre-activation is (k_s·s_i + b) + (k_a·a_j), its two parts formed once per neuron. The
neurons come in tasks, each with the grid of nodes that it is to be evaluated on, so that one parallel region does them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wflow._checks import Array
from wflow._jit import launch, njit, prange
from wflow.neurons._rows import adjoint_row, forward_row
from wflow.neurons.axis import Ints

__all__ = ["Axes", "adjoint", "forward", "split"]

_WORK = 2**17  # node evaluations per task: about a tenth of a millisecond
_MOST = 16  # tasks into which one group of neurons is split


@dataclass(frozen=True)
class Axes:
    """Several sets of nodes on one axis: nodes (sets, d, most), padded with zeros, of which the first size[l] of set l count."""

    nodes: Array
    size: Ints

    @classmethod
    def of(cls, sets: Sequence[Array]) -> Axes:
        """From arrays (K, d)."""
        nodes = np.zeros((len(sets), sets[0].shape[1], max(map(len, sets))))
        for padded, one in zip(nodes, sets, strict=True):
            padded[:, : len(one)] = one.T
        return cls(nodes, np.array([len(one) for one in sets]))


def split(begin: int, end: int, states: int, actions: int, evaluations: int) -> list[tuple[int, int, int, int]]:
    """Tasks (begin, end, state set, action set) for neurons begin to end; they depend on sizes alone, never on threads."""
    parts = max(1, min(_MOST, (end - begin) * evaluations // _WORK, end - begin))
    cuts = [begin + (end - begin) * part // parts for part in range(parts + 1)]
    return [(cuts[part], cuts[part + 1], states, actions) for part in range(parts)]


@njit()
def _parts(points: Array, n: int, states: Array, actions: Array, h: Array, z: Array) -> None:
    """h (n_s,) = k_s·s + b and z (n_a,) = k_a·a, summed from the left; states (d_s, ≥ n_s), actions (d_a, ≥ n_a)."""
    d_s = states.shape[0]
    h[:] = 0.0
    for d in range(d_s):
        for i in range(h.shape[0]):
            h[i] += points[n, 1 + d] * states[d, i]
    h += points[n, points.shape[1] - 1]
    for j in range(z.shape[0]):
        z[j] = points[n, 1 + d_s] * actions[0, j]
    for d in range(1, actions.shape[0]):
        for j in range(z.shape[0]):
            z[j] += points[n, 1 + d_s + d] * actions[d, j]


@njit(parallel=True)
def _forward(value: Any, derivative: Any, points: Array, weights: Array, tasks: Ints, states: Array, n_s: Ints, actions: Array,
             n_a: Ints, sums: Array) -> None:  # fmt: skip
    """Sums (tasks, most states, most actions)."""
    for task in prange(tasks.shape[0]):
        begin, end, s, a = tasks[task]
        h = np.empty(n_s[s])
        z = np.empty(n_a[a])
        sums[task] = 0.0
        for n in range(begin, end):
            _parts(points, n, states[s], actions[a], h, z)
            for i in range(h.shape[0]):
                forward_row(value, derivative, h[i], z, weights[n] * points[n, 0], sums[task, i])


@njit()
def _gather(value: Any, derivative: Any, points: Array, begin: int, end: int, states: Array, n_s: int, actions: Array, n_a: int,
            signal: Array, out: Array) -> None:  # fmt: skip
    """Rows begin to end of out (N, m): sum G φ, then ω0 times the sums of G φ' s, G φ' a and G φ'."""
    d_s = states.shape[0]
    h = np.empty(n_s)
    z = np.empty(n_a)
    by_node = np.empty(n_a)
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
            total = 0.0
            for j in range(n_a):
                total += by_node[j] * actions[d, j]
            out[n, 1 + d_s + d] = outer * total


@njit(parallel=True)
def _adjoint(value: Any, derivative: Any, points: Array, tasks: Ints, states: Array, n_s: Ints, actions: Array, n_a: Ints,
             signals: Array, out: Array) -> None:  # fmt: skip
    """Signals (state sets, action sets, most states, most actions)."""
    for task in prange(tasks.shape[0]):
        begin, end, s, a = tasks[task]
        _gather(value, derivative, points, begin, end, states[s], n_s[s], actions[a], n_a[a], signals[s, a], out)


def _seconds(tasks: Sequence[tuple[int, int, int, int]], states: Axes, actions: Axes) -> float:
    """About what a pass takes on one thread."""
    return 1e-9 * float(sum((end - begin) * states.size[s] * actions.size[a] for begin, end, s, a in tasks))


def forward(pair: tuple[Any, Any], points: Array, weights: Array, tasks: Sequence[tuple[int, int, int, int]], states: Axes,
            actions: Axes) -> Array:  # fmt: skip
    """Sums of p_n ω0 σ(k_s·s_i + k_a·a_j + b) over the neurons of each task, (tasks, most states, most actions).

    `pair` is an activation's (code, 0) or (value, derivative). Cost O(sum of neurons times nodes), memory that of the result.
    """
    sums = np.empty((len(tasks), states.nodes.shape[2], actions.nodes.shape[2]))
    launch(_forward, _seconds(tasks, states, actions), *pair, points, weights, np.array(tasks), states.nodes, states.size,
           actions.nodes, actions.size, sums)  # fmt: skip
    return sums


def adjoint(pair: tuple[Any, Any], points: Array, tasks: Sequence[tuple[int, int, int, int]], states: Axes, actions: Axes,
            signals: Array) -> Array:  # fmt: skip
    """Rows (sum_ij G_ij φ_ij, ω0 ∇ sum_ij G_ij φ_ij), shape (N, m), G = signals[s, a] for a task on state set s and action set a."""
    out = np.empty_like(points)
    launch(_adjoint, _seconds(tasks, states, actions), *pair, points, np.array(tasks), states.nodes, states.size,
           actions.nodes, actions.size, signals, out)  # fmt: skip
    return out
