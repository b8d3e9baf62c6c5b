"""The linear-quadratic flow: values by summed moments, its rate by the Fisher information, its limit by Riccati, a closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest

from wflow.closed_forms import OrnsteinUhlenbeck
from wflow.closed_forms.linear_quadratic import LinearQuadratic


def plane(seed=0, discount=0.9):
    """Two coordinates, three actions."""
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((2, 2))
    return LinearQuadratic(
        [[0.9, 0.3], [-0.2, 0.7]], 0.5 * rng.standard_normal((2, 3)), state_cost=root @ root.T, action_cost=np.diag([1.0, 0.5, 2.0]),
        discount=discount, temperature=0.3, noise=[[0.2, 0.05], [0.05, 0.1]],
    )  # fmt: skip


START = 0.1 * np.arange(6.0).reshape(3, 2) - 0.2, np.diag([0.5, 0.2, 1.0])
FIRST = np.array([[1.0, 0.3], [0.3, 0.5]])


def summed(problem, gain, covariance, second_moment, steps=600):
    """E[sum_k γ^k (reward + τ entropy)] and sum_k γ^k E[x xᵀ], by moments step after step."""
    entropy = 0.5 * math.log(np.linalg.det(2.0 * math.pi * math.e * covariance))
    closed, total, occupancy, X = problem.dynamics - problem.control @ gain, 0.0, 0.0 * second_moment, second_moment
    for k in range(steps):
        actions = gain @ X @ gain.T + covariance
        reward = -np.trace(problem.state_cost @ X) - np.trace(problem.action_cost @ actions)
        total += problem.discount**k * (reward + problem.temperature * entropy)
        occupancy = occupancy + problem.discount**k * X
        X = closed @ X @ closed.T + problem.control @ covariance @ problem.control.T + problem.noise
    return total, occupancy


@pytest.mark.parametrize("discount", [0.0, 0.5, 0.9])
def test_value_is_the_sum_of_rewards(discount):
    problem = plane(discount=discount)
    path = problem.path(*START, 1.0)
    for t in (0.0, 0.3, 1.0):
        expected, _ = summed(problem, path.gain(t), path.covariance(t), FIRST)
        assert path.energy(t, FIRST) == pytest.approx(expected, rel=1e-11)
    P, c = problem.value_matrix(START[0]), problem.value_constant(*START)
    assert -np.trace(P @ FIRST) - c == pytest.approx(path.energy(0.0, FIRST), rel=1e-13)


def test_energy_rises_at_the_rate_of_the_fisher_information():
    """``dE/dt = sum_k γ^k E|∇_a (Q − τ log π)|²``, with ∇_a (Q − τ log π) = 2(GK − γBᵀPA) x + (τΣ⁻¹ − 2G) ξ at a = −Kx + ξ."""
    problem = plane()
    path, h = problem.path(*START, 2.0), 1e-3
    for t in (0.1, 0.5, 1.5):
        K, S = path.gain(t), path.covariance(t)
        P = problem.value_matrix(K)
        G = problem.action_cost + problem.discount * problem.control.T @ P @ problem.control
        D = 2.0 * (G @ K - problem.discount * problem.control.T @ P @ problem.dynamics)
        spread = problem.temperature * np.linalg.inv(S) - 2.0 * G
        _, occupancy = summed(problem, K, S, FIRST)
        rate = np.trace(D.T @ D @ occupancy) + np.trace(spread @ S @ spread) / (1.0 - problem.discount)
        energies = [path.energy(t + k * h, FIRST) for k in (-2, -1, 1, 2)]
        assert np.dot([1.0, -8.0, 8.0, -1.0], energies) / (12.0 * h) == pytest.approx(rate, rel=1e-7)


def test_the_limit_is_the_optimum():
    problem = plane()
    path = problem.path(*START, 60.0)
    gain, covariance = problem.optimum()
    np.testing.assert_allclose(path.gain(60.0), gain, atol=1e-10)
    np.testing.assert_allclose(path.covariance(60.0), covariance, atol=1e-10)
    best = summed(problem, gain, covariance, FIRST)[0]
    rng = np.random.default_rng(1)
    for _ in range(5):
        other = gain + 0.05 * rng.standard_normal(gain.shape)
        assert summed(problem, other, covariance * rng.uniform(0.8, 1.2), FIRST)[0] < best
    for K_dot in problem.rates(gain, covariance):
        np.testing.assert_allclose(K_dot, 0.0, atol=1e-10)


def test_without_a_future_it_is_an_ornstein_uhlenbeck_process():
    """γ = 0: ∇_a Q = −2R a."""
    problem = LinearQuadratic(1.0, 1.0, state_cost=1.0, action_cost=0.8, discount=0.0, temperature=0.3)
    path, x = problem.path(0.7, 0.4, 2.0), -1.5
    exact = OrnsteinUhlenbeck(-0.7 * x, 0.4, stiffness=1.6, temperature=0.3)
    for t in (0.0, 0.4, 2.0):
        np.testing.assert_allclose(-path.gain(t) @ [x], exact.mean(t), rtol=1e-10)
        np.testing.assert_allclose(path.covariance(t), exact.covariance(t), rtol=1e-10)


def test_wrong_arguments():
    more = {"state_cost": 1.0, "action_cost": 1.0, "discount": 0.9, "temperature": 0.1}
    with pytest.raises(ValueError, match="dynamics must have shape"):
        LinearQuadratic(np.eye(2), 1.0, **more)
    with pytest.raises(ValueError, match="action_cost must be symmetric and positive definite"):
        LinearQuadratic(1.0, 1.0, **{**more, "action_cost": 0.0})
    with pytest.raises(ValueError, match="noise must be symmetric and positive semi-definite"):
        LinearQuadratic(1.0, 1.0, **more, noise=-1.0)
    with pytest.raises(ValueError, match="temperature must be"):
        LinearQuadratic(1.0, 1.0, **{**more, "temperature": 0.0})
    problem = LinearQuadratic(2.0, 1.0, **more)
    with pytest.raises(ValueError, match="gain must make the spectral radius"):
        problem.path(0.0, 1.0, 1.0)
    with pytest.raises(ValueError, match=r"gain must have shape \(1, 1\)"):
        problem.value_matrix(np.zeros((2, 1)))
    with pytest.raises(ValueError, match="covariance must have shape"):
        problem.path(1.5, np.eye(2), 1.0)
    with pytest.raises(ValueError, match="t must be at most 1"):
        problem.path(1.5, 1.0, 1.0).gain(1.1)
