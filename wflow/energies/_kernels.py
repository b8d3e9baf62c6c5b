"""Fused passes over the grid of nodes for the policy value."""

from __future__ import annotations

import numpy as np

from wflow._checks import Array
from wflow._jit import REASSOC, njit
from wflow.neurons._math import exp

__all__ = ["covariance_signal", "log_softmax"]


@njit(fastmath=REASSOC)
def log_softmax(energy: Array, weights: Array, out: Array) -> None:
    """out_ij = f_ij - log sum_j w_j exp f_ij, shape (n_s, n_a): the log density of the softmax policy (math.md §3)."""
    n_s, n_a = energy.shape
    for i in range(n_s):
        top = energy[i, 0]
        for j in range(1, n_a):
            top = max(top, energy[i, j])
        total = 0.0
        for j in range(n_a):
            total += weights[j] * exp(energy[i, j] - top)
        shift = top + np.log(total)
        for j in range(n_a):
            out[i, j] = energy[i, j] - shift


@njit(fastmath=REASSOC)
def covariance_signal(occupancy: Array, weights: Array, policy: Array, advantage: Array, out: Array) -> None:
    """G_ij = ϱ_i w_j π_ij (δ_ij - mean_i): the mean, zero but for rounding, is taken out so that rows sum to 0 to its square."""
    n_s, n_a = policy.shape
    for i in range(n_s):
        mean = 0.0
        for j in range(n_a):
            mean += weights[j] * policy[i, j] * advantage[i, j]
        for j in range(n_a):
            out[i, j] = occupancy[i] * weights[j] * policy[i, j] * (advantage[i, j] - mean)
