"""Smooth ridge neurons on Chebyshev nodes: the same sums over far fewer nodes, exact to rounding.

x -> σ(h + k x) is analytic in a strip of half-width d/|k|, d the distance of σ's nearest singularity from the real axis.
Its interpolant in p Chebyshev nodes of an interval of half-length L errs by ρ^-p up to a small factor, with
ρ = y + sqrt(1 + y²) and y = d/(|k| L) (Trefethen, Approximation Theory and Approximation Practice, Thm 8.2). Neurons are
therefore classed by slope along each axis; each class is evaluated on the few nodes it needs by the direct kernels, and
a matrix of interpolation weights carries sums to the nodes (forward) or the signal from them (adjoint). Steep neurons
keep the nodes themselves. The error is a few units in the last place of max_ij Σ p_n |ω0 φ_n| (tests); for Gaussian ridges that
reach the nodes with their tails only, of Σ p_n |ω0|, their height.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from wflow._checks import Array
from wflow._jit import blas_single_thread
from wflow.neurons import direct, tangent
from wflow.neurons.activations import Activation
from wflow.neurons.axis import Ints
from wflow.neurons.direct import Axes, split

__all__ = ["Compressed"]

_SIZES = (8, 12, 16, 24, 32, 40, 48, 64, 80)
_Tasks: TypeAlias = list[tuple[int, int, int, int]]
_LOG_ACCURACY = 37.0  # -log of the interpolation error asked for: 8e-17, before the small factor


def _steepest(size: int, singularity: float) -> float:
    """Largest |k| L for which `size` nodes suffice."""
    if math.isfinite(singularity):
        return singularity / math.sinh(_LOG_ACCURACY / size)
    rho = np.exp(np.linspace(_LOG_ACCURACY / size * 1.001, 8.0, 2000))  # exp(-x²/2) grows as exp(y²/2) along the imaginary axis
    imaginary = (rho - 1.0 / rho) / 2.0  # semi-axis of the ellipse, on which the bound is exp((k L imaginary)²/2) ρ^-p
    return float(np.sqrt(np.max(2.0 * (size * np.log(rho) - _LOG_ACCURACY) / imaginary**2)))


@dataclass(frozen=True)
class _Level:
    """Interpolation nodes (p, d) on an axis, the weights (n, p) that carry values to the n nodes, and the slopes they serve."""

    nodes: Array
    weights: Array | None  # None: the nodes themselves
    steepest: float


def _levels(nodes: Array, singularity: float) -> list[_Level]:
    """Levels of one axis, nodes (n, d) given; only the nodes themselves unless d = 1."""
    n, d = nodes.shape
    whole = _Level(nodes, None, math.inf)
    if d != 1 or n <= _SIZES[0]:
        return [whole]
    centre, half = (nodes.max() + nodes.min()) / 2.0, (nodes.max() - nodes.min()) / 2.0
    found = []
    for size in (p for p in _SIZES if p <= 0.8 * n):
        angle = (2.0 * np.arange(size) + 1.0) * np.pi / (2.0 * size)
        x = centre + half * np.cos(angle)
        difference = nodes - x
        hit = difference == 0.0
        barycentric = np.where(hit, 0.0, np.sin(angle) * (-1.0) ** np.arange(size)) / np.where(hit, 1.0, difference)
        barycentric[hit.any(axis=1)] = hit[hit.any(axis=1)]
        found.append(_Level(x[:, None], barycentric / barycentric.sum(axis=1, keepdims=True), _steepest(size, singularity) / half))
    return [*found, whole]


class Compressed:
    """Kernels for one analytic activation on fixed nodes.

    Cost O(N p_s p_a) with p the number of Chebyshev nodes a neuron's slope asks for (about 24 for |k| = 1.4, tanh on an
    interval of length 1), and O(levels² p M^(1/2)) for the interpolations; memory O(N + tasks M), with up to 16
    tasks for each pair of levels in use: 130 MB at most on 100 × 100 nodes.
    """

    def __init__(self, activation: Activation, states: Array, actions: Array) -> None:
        self._pair = activation.pair
        self._d_s = states.shape[1]
        self._shape = (len(states), len(actions))
        self._levels = (_levels(states, activation.singularity), _levels(actions, activation.singularity))
        self._axes = (Axes.of([level.nodes for level in self._levels[0]]), Axes.of([level.nodes for level in self._levels[1]]))

    def _classes(self, points: Array) -> tuple[Ints, list[tuple[int, int, int, int]]]:
        """A stable order of the neurons by class, and the tasks (begin, end, state level, action level) in that order."""
        if len(points) == 0:
            return np.empty(0, dtype=np.int64), split(0, 0, 0, 0, 0)
        level = []
        for levels, column in zip(self._levels, (1, 1 + self._d_s), strict=True):
            slopes = np.abs(points[:, column]) if len(levels) > 1 else np.zeros(len(points))
            level.append(np.searchsorted([one.steepest for one in levels[:-1]], slopes))
        joint = level[0] * len(self._levels[1]) + level[1]
        order = np.argsort(joint, kind="stable")
        present, starts = np.unique(joint[order], return_index=True)
        tasks = []
        for code, begin, end in zip(present, starts, [*starts[1:], len(points)], strict=True):
            s, a = divmod(int(code), len(self._levels[1]))
            tasks += split(int(begin), int(end), s, a, len(self._levels[0][s].nodes) * len(self._levels[1][a].nodes))
        return order, tasks

    def forward(self, points: Array, weights: Array) -> Array:
        """f (n_s, n_a) = sum_n p_n ω0 σ(k_s·s_i + k_a·a_j + b)."""
        order, tasks = self._classes(points)
        return self._interpolated(tasks, direct.forward(self._pair, points[order], weights[order], tasks, *self._axes))

    def tangent(self, points: Array, weights: Array, direction: Array) -> Array:
        """Derivative of `forward` in the direction v (N, m)."""
        order, tasks = self._classes(points)
        rows = tangent.scaled(points, weights, direction)[order]
        return self._interpolated(tasks, tangent.tangent(self._pair, points[order], rows, tasks, *self._axes))

    def adjoint(self, points: Array, signal: Array) -> Array:
        """Rows (sum_ij G_ij φ_ij, ω0 ∇ sum_ij G_ij φ_ij), shape (N, m), for a signal G (n_s, n_a)."""
        order, tasks = self._classes(points)
        out = np.empty_like(points)
        out[order] = direct.adjoint(self._pair, points[order], tasks, *self._axes, self._signals(tasks, signal))
        return out

    def curvature(self, points: Array, signal: Array) -> Array:
        """∇²_ω̄ sum_ij G_ij φ_ij, shape (N, m − 1, m − 1), of a built-in activation."""
        order, tasks = self._classes(points)
        found = tangent.curvature(self._pair[0], points[order], tasks, *self._axes, self._signals(tasks, signal))
        out = np.empty_like(found)
        out[order] = found
        return out

    def _interpolated(self, tasks: _Tasks, sums: Array) -> Array:
        """From sums over each task's neurons on its own nodes to their sum on all nodes, (n_s, n_a)."""
        by_class: dict[tuple[int, int], Array] = {}
        for task, part in zip(tasks, sums, strict=True):
            by_class[task[2:]] = by_class[task[2:]] + part if task[2:] in by_class else part
        by_action: dict[int, Array] = {}
        out = np.zeros(self._shape)
        with blas_single_thread():
            for (s, a), part in by_class.items():
                states, actions = self._levels[0][s], self._levels[1][a]
                part = part[: len(states.nodes), : len(actions.nodes)]
                part = part if states.weights is None else states.weights @ part
                by_action[a] = by_action[a] + part if a in by_action else part
            for a, part in by_action.items():
                interpolate = self._levels[1][a].weights
                out += part if interpolate is None else part @ interpolate.T
        return out

    def _signals(self, tasks: _Tasks, signal: Array) -> Array:
        """The signal as each pair of levels sees it, (state levels, action levels, n_s, n_a)."""
        signals = np.empty((len(self._levels[0]), len(self._levels[1]), *self._shape))
        by_action: dict[int, Array] = {}
        with blas_single_thread():
            for s, a in {task[2:] for task in tasks}:
                states, actions = self._levels[0][s], self._levels[1][a]
                if a not in by_action:
                    by_action[a] = signal if actions.weights is None else signal @ actions.weights
                part = by_action[a] if states.weights is None else states.weights.T @ by_action[a]
                signals[s, a, : part.shape[0], : part.shape[1]] = part
        return signals
