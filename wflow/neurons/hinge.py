"""ReLU neurons over a sorted one-dimensional action axis, by prefix sums over their kinks (math.md §5).

For a fixed state the neuron is piecewise linear in the action with one kink, so it is known from the first node where it
is active, its value there and its slope. The forward pass adds value and slope at that node and sums along the axis; the
adjoint looks up partial sums of the signal at the same node. Values are taken at the kink's node, not at a = 0, so every
partial sum is bounded by the sum of absolute values and nothing cancels.

Neurons with k_a >= 0 are active right of their kink (side 0), the others left of it (side 1). On a sorted state axis the
same idea is used once more: the states in which *all* actions are active form a half-line, on which the neuron is linear;
it is entered at its first state. Only states whose kink lies between the action nodes, a quarter of them for the
experiments of Agazzi & Lu, are visited one by one. Slots are decided by ``(k_s·s + b) + k_a·a > 0`` alone (`axis`).
"""

from __future__ import annotations

import numpy as np

from wflow._checks import Array
from wflow._jit import launch
from wflow.neurons import _hinge_adjoint, _hinge_forward, _hinge_tangent
from wflow.neurons.kinks import Grid

__all__ = ["Grid", "adjoint", "forward", "tangent"]

_CHUNK = 128  # neurons per task of the adjoint
_BLOCK = 50  # states per task of the sums along the actions


def _seconds(points: Array, grid: Grid) -> float:
    """About what a pass takes on one thread: a quarter of the states of a neuron are visited, then the nodes."""
    n_s, n_a = grid.shape
    return 1e-9 * (len(points) * (50 + n_s) + 4 * n_s * n_a)


def _tasks(n: int) -> int:
    """Parts, each with tables of its own, in which neurons are scattered; a function of their number alone, so that bits are."""
    return 1 if n < 3000 else min(2 * (n // 8000 + 1), 16)


def forward(points: Array, weights: Array, grid: Grid) -> Array:
    """f (n_s, n_a) = sum_n p_n ω0 relu(k_s·s_i + k_a a_j + b); cost O(N n_s + M) at most, memory O(M) beside the input."""
    out = np.empty(grid.shape)
    launch(_hinge_forward.forward, _seconds(points, grid), points, weights, _tasks(len(points)), _BLOCK, out, *grid.arguments)
    return out


def adjoint(points: Array, grid: Grid, signal: Array) -> Array:
    """Rows (sum_ij G_ij φ_ij, ω0 ∇ sum_ij G_ij φ_ij), shape (N, m), for a signal G (n_s, n_a); cost O(N n_s + M) at most."""
    out = np.empty_like(points)
    launch(_hinge_adjoint.adjoint, _seconds(points, grid), points, signal, _BLOCK, _CHUNK, out, *grid.arguments)
    return out


def tangent(points: Array, weights: Array, direction: Array, grid: Grid) -> Array:
    """Derivative of `forward` (n_s, n_a) in the direction v (N, m): sum_n p_n (v0 ω̄ + ω0 v̄)·(s_i, a_j, 1) where neuron n is active."""
    lines = direction[:, :1] * points[:, 1:] + points[:, :1] * direction[:, 1:]
    lines *= weights[:, None]
    out = np.empty(grid.shape)
    launch(_hinge_tangent.tangent, _seconds(points, grid), points, lines, _tasks(len(points)), _BLOCK, out, *grid.arguments)
    return out
