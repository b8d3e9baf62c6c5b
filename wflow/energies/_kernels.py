"""Fused passes over the grid of nodes for the policy value."""

from __future__ import annotations

import numpy as np

from wflow._checks import Array
from wflow._jit import REASSOC, njit
from wflow.neurons._math import exp

__all__ = ["covariance_signal", "homogeneous_invariant", "mean_square", "softmax"]


@njit(fastmath=REASSOC)
def softmax(energy: Array, weights: Array, policy: Array) -> None:
    """policy (n_s, n_a) = exp f_ij / sum_j w_j exp f_ij, a density (math.md §3); `energy` f becomes its logarithm."""
    n_s, n_a = energy.shape
    for i in range(n_s):
        top = energy[i, 0]
        for j in range(1, n_a):
            top = max(top, energy[i, j])
        total = 0.0
        for j in range(n_a):
            policy[i, j] = exp(energy[i, j] - top)
            total += weights[j] * policy[i, j]
        shift = top + np.log(total)
        scale = 1.0 / total
        for j in range(n_a):
            energy[i, j] -= shift
            policy[i, j] *= scale


@njit(fastmath=REASSOC)
def covariance_signal(occupancy: Array, weights: Array, policy: Array, advantage: Array, out: Array) -> float:
    """out_ij = ϱ_i w_j π_ij (δ_ij - mean_i); returns sup |δ|.

    The mean, zero but for rounding, is taken out so that rows sum to 0 to its square.
    """
    n_s, n_a = policy.shape
    lanes = np.zeros(n_a)  # largest so far in each column: a maximum over vector lanes
    for i in range(n_s):
        mean = 0.0
        for j in range(n_a):
            mean += weights[j] * policy[i, j] * advantage[i, j]
        for j in range(n_a):
            lanes[j] = max(lanes[j], abs(advantage[i, j]))
            out[i, j] = occupancy[i] * weights[j] * policy[i, j] * (advantage[i, j] - mean)
    return float(lanes.max())


@njit(fastmath=REASSOC)
def mean_square(weights: Array, vectors: Array) -> float:
    """sum_n p_n |v_n|², arrays (N,) and (N, m)."""
    total = 0.0
    for n in range(vectors.shape[0]):
        square = 0.0
        for i in range(vectors.shape[1]):
            square += vectors[n, i] * vectors[n, i]
        total += weights[n] * square
    return total


@njit()
def homogeneous_invariant(points: Array, out: Array) -> None:
    """out_n (N,) = ω0² − |ω̄|² of points (N, m)."""
    for n in range(points.shape[0]):
        value = points[n, 0] * points[n, 0]
        for i in range(1, points.shape[1]):
            value -= points[n, i] * points[n, i]
        out[n] = value
