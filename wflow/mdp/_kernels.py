"""The room's compiled loops over plain C-ordered float64 arrays: products of transition kernels, and elementwise passes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wflow._checks import Array
from wflow._jit import FASTMATH, REASSOC, njit
from wflow.neurons._math import exp

__all__ = [
    "advantage", "average_reward", "csr_policy_matrix", "dense_expect", "dense_policy_matrix", "divergence", "gibbs_divergence",
    "one_minus", "structured_expect", "structured_policy_matrix",
]  # fmt: skip


@njit(fastmath=REASSOC)
def dense_expect(array: Array, values: Array) -> Array:  # (n_s, n_a, n_s), (n_s,) -> (n_s, n_a)
    n_s, n_a, _ = array.shape
    expected = np.empty((n_s, n_a))
    for i in range(n_s):
        for j in range(n_a):
            total = 0.0
            for k in range(n_s):
                total += array[i, j, k] * values[k]
            expected[i, j] = total
    return expected


@njit(fastmath=REASSOC)
def dense_policy_matrix(array: Array, weighted_policy: Array) -> Array:  # (n_s, n_a, n_s), (n_s, n_a) -> (n_s, n_s)
    n_s, n_a, _ = array.shape
    matrix = np.zeros((n_s, n_s))
    for i in range(n_s):
        for j in range(n_a):
            mass = weighted_policy[i, j]
            for k in range(n_s):
                matrix[i, k] += mass * array[i, j, k]
    return matrix


@njit()
def csr_policy_matrix(
    data: Array, indices: npt.NDArray[np.int32], indptr: npt.NDArray[np.int32], weighted_policy: Array
) -> Array:  # rows of (n_s n_a, n_s), (n_s, n_a) -> (n_s, n_s)
    n_s, n_a = weighted_policy.shape
    matrix = np.zeros((n_s, n_s))
    for i in range(n_s):
        for j in range(n_a):
            row = i * n_a + j
            for entry in range(indptr[row], indptr[row + 1]):
                matrix[i, indices[entry]] += weighted_policy[i, j] * data[entry]
    return matrix


@njit(fastmath=REASSOC)
def structured_expect(
    target: npt.NDArray[np.intp], law: Array, mixing: float, values: Array
) -> Array:  # (n_s, n_a), (n_s,), (), (n_s,) -> (n_s, n_a)
    n_s, n_a = target.shape
    background = 0.0
    for k in range(n_s):
        background += law[k] * values[k]
    background *= mixing
    expected = np.empty((n_s, n_a))
    for i in range(n_s):
        for j in range(n_a):
            expected[i, j] = (1.0 - mixing) * values[target[i, j]] + background
    return expected


@njit(fastmath=REASSOC)
def structured_policy_matrix(
    target: npt.NDArray[np.intp], law: Array, mixing: float, weighted_policy: Array
) -> Array:  # (n_s, n_a), (n_s,), (), (n_s, n_a) -> (n_s, n_s)
    n_s, n_a = target.shape
    matrix = np.empty((n_s, n_s))
    for i in range(n_s):
        mass = 0.0
        for j in range(n_a):
            mass += weighted_policy[i, j]
        for k in range(n_s):
            matrix[i, k] = mixing * mass * law[k]
        for j in range(n_a):
            matrix[i, target[i, j]] += (1.0 - mixing) * weighted_policy[i, j]
    return matrix


@njit()
def one_minus(matrix: Array, discount: float) -> Array:  # (n, n), in place: I - discount * matrix
    n = len(matrix)
    for i in range(n):
        for k in range(n):
            matrix[i, k] *= -discount
        matrix[i, i] += 1.0
    return matrix


@njit(fastmath=REASSOC)
def average_reward(
    log_policy: Array, policy: Array, weights: Array, reward: Array, temperature: float
) -> tuple[Array, Array]:  # (n_s, n_a) x 2, (n_a,), (n_s, n_a), () -> w π (n_s, n_a), r_π (n_s,)
    n_s, n_a = reward.shape
    weighted = np.empty((n_s, n_a))
    average = np.empty(n_s)
    for i in range(n_s):
        total = 0.0
        for j in range(n_a):
            mass = weights[j] * policy[i, j]
            log_p = log_policy[i, j] if log_policy[i, j] != -np.inf else 0.0  # 0 log 0 = 0
            weighted[i, j] = mass
            total += mass * (reward[i, j] - temperature * log_p)
        average[i] = total
    return weighted, average


@njit(fastmath=REASSOC)
def advantage(
    log_policy: Array, reward: Array, expected: Array, value: Array, discount: float, temperature: float
) -> tuple[Array, Array]:  # (n_s, n_a) x 3, (n_s,), (), () -> Q (n_s, n_a), δ (n_s, n_a)
    n_s, n_a = reward.shape
    action_value = np.empty((n_s, n_a))
    delta = np.empty((n_s, n_a))
    for i in range(n_s):
        for j in range(n_a):
            log_p = log_policy[i, j] if log_policy[i, j] != -np.inf else 0.0
            q = reward[i, j] + discount * expected[i, j]
            action_value[i, j] = q
            delta[i, j] = q - temperature * log_p - value[i]
    return action_value, delta


@njit(fastmath=REASSOC)
def divergence(log_p: Array, log_q: Array, p: Array, q: Array, weights: Array) -> Array:  # (n_s, n_a) x 4, (n_a,) -> (n_s,)
    n_s, n_a = log_p.shape
    kl = np.empty(n_s)
    for i in range(n_s):
        total = 0.0
        for j in range(n_a):
            x = log_p[i, j] - log_q[i, j]
            near = p[i, j] * _excess(x)
            far = p[i, j] * x + (q[i, j] - p[i, j])  # cancels by a factor of ten at most, and no e^{-x} can overflow
            far = x if x == np.inf else far
            far = q[i, j] if log_p[i, j] == -np.inf else far  # the limit p -> 0
            total += weights[j] * (near if abs(x) < 0.5 else far)
        kl[i] = total
    return kl


@njit(fastmath=REASSOC)
def gibbs_divergence(
    action_value: Array, temperature: float, log_p: Array, p: Array, weights: Array
) -> Array:  # (n_s, n_a), (n_s, n_a) x 2, (n_a,) -> (n_s,)
    """KL(p_i | g_i), g ∝ exp(Q/τ) a density."""
    n_s, n_a = log_p.shape
    log_g = np.empty((n_s, n_a))
    g = np.empty((n_s, n_a))
    for i in range(n_s):
        top = action_value[i, 0]
        for j in range(1, n_a):
            top = max(top, action_value[i, j])
        total = 0.0
        for j in range(n_a):
            log_g[i, j] = (action_value[i, j] - top) / temperature
            g[i, j] = exp(log_g[i, j])
            total += weights[j] * g[i, j]
        shift = np.log(total)
        scale = 1.0 / total
        for j in range(n_a):
            log_g[i, j] -= shift
            g[i, j] *= scale
    return divergence(log_p, log_g, p, g, weights)


@njit(fastmath=FASTMATH)
def _excess(x: float) -> float:
    """Series of x + e^{−x} − 1 for |x| < 0.5, whose first neglected term is below 1e-18 of the sum."""
    series = 0.0  # of (e^{-x} - 1 + x) / x², Horner from the term in x^14
    for k in range(16, 1, -1):
        series = (1.0 - x * series) / k
    return x * x * series
