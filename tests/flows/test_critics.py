"""Linear critics: semi-gradient and its contraction, realisability, features, the way of θ between two policies in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from flows.small_mdps import linear_mdp, random_features, random_law, random_mdp, random_policy, scale_of
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from wflow.flows import LinearCritic, fourier_features, polynomial_features, tabular_features
from wflow.flows._relaxation import LinearSystem, end_of_step, mean_over_step
from wflow.mdp import MDP
from wflow.spaces import Space

problems = st.builds(random_mdp, st.integers(0, 10_000), n_s=st.integers(1, 4), n_a=st.integers(2, 4),
                     discount=st.sampled_from([0.0, 0.5, 0.9]), temperature=st.sampled_from([0.1, 1.0]),
                     kind=st.sampled_from(["plain", "ties", "point mass"]))  # fmt: skip


@given(problems, st.integers(0, 100))
def test_semi_gradient_is_affine_and_contracts(problem, seed):
    """``g = M θ − v``, and ``<θ, M θ> ≥ Γ |θ|²``: the inequality that Γ stands for."""
    critic = LinearCritic(problem, random_features(problem, 2, seed), random_law(problem, seed))
    log_policy = random_policy(problem, seed, spread=2.0)
    system = critic.system(log_policy)
    theta = np.random.default_rng(seed).standard_normal(2)
    gradient = critic.semi_gradient(theta, log_policy)
    assert np.abs(system.matrix @ theta - system.target - gradient).max() <= 1e-12 * scale_of(problem)
    assert np.linalg.eigvalsh(0.5 * (system.matrix + system.matrix.T))[0] >= critic.contraction - 1e-14


@pytest.mark.parametrize("clock", [0.0, 0.7, 300.0, 1e5, 1e7])
def test_critic_is_advanced_exactly(clock):
    problem = random_mdp(4)
    critic, log_policy = LinearCritic(problem, random_features(problem, 3, 1)), random_policy(problem, 1)
    first, theta = critic.system(log_policy), np.array([1.0, -2.0, 0.5])
    last = LinearSystem(first.matrix, first.target + np.array([0.3, -0.2, 0.1]), first.contraction)
    shift = last.rest - first.rest

    def field(u, x):  # u in [0, 1] of the step; the last three are ∫θ
        return np.concatenate([-clock * first.matrix @ (x[:3] - first.rest - u * shift), x[:3]])

    oracle = solve_ivp(field, (0.0, 1.0), np.concatenate([theta, np.zeros(3)]), "Radau", rtol=1e-10, atol=1e-12).y[:, -1]
    assert np.abs(end_of_step(first, last, theta, clock) - oracle[:3]).max() <= 1e-8
    assert np.abs(mean_over_step(first, last, theta, clock) - oracle[3:]).max() <= 1e-8
    assert np.abs(critic.semi_gradient(first.rest, log_policy)).max() <= 1e-13


def test_realisable_for_good():
    """A linear MDP's features realise every Q^π; fewer do not."""
    problem, features = linear_mdp(1)
    assert LinearCritic(problem, features).complete
    assert not LinearCritic(problem, features[:, :2]).complete


def box_mdp(n_s=5, n_a=7):
    rng = np.random.default_rng(0)
    return MDP(reward=rng.standard_normal((n_s, n_a)), transition=rng.dirichlet(np.ones(n_s), (n_s, n_a)), discount=0.5, temperature=0.1,
               states=Space.gauss_legendre(n_s, -2.0, 3.0), actions=Space.gauss_legendre(n_a, 0.0, 4.0))  # fmt: skip


@pytest.mark.parametrize("make", [tabular_features, lambda p: polynomial_features(p, 3), lambda p: fourier_features(p, 20, width=0.5)])
def test_features_are_bounded(make):
    problem = box_mdp()
    assert LinearCritic(problem, make(problem)).bounded


def test_polynomial_features_span_polynomials():
    problem = box_mdp()
    s, a = problem.states.nodes, problem.actions.nodes[:, 0]
    critic = LinearCritic(problem, polynomial_features(problem, 2))
    assert critic.size == 9
    assert critic.realises(3.0 + s * a - 2.0 * s**2 * a**2)
    assert not critic.realises(s**3 + 0.0 * a)


def test_polynomial_features_of_a_bandit_have_one_factor():
    problem = MDP(reward=np.zeros((1, 5)), transition=None, discount=0.0, temperature=1.0, actions=Space.midpoint(5))
    assert polynomial_features(problem, 3).shape == (5, 4)


def test_fourier_features_approximate_the_kernel():
    """``E[<φ(x), φ(x')>] = exp(−|x − x'|²/(2ℓ²))/2``; 20,000 features, so five deviations are 5/sqrt(8 · 20,000)."""
    problem = box_mdp()
    features = fourier_features(problem, 20_000, width=1.5, seed=3)
    x = np.hstack([np.repeat(problem.states.nodes, 7, axis=0), np.tile(problem.actions.nodes, (5, 1))])
    kernel = 0.5 * np.exp(-np.square(x[:, None] - x).sum(axis=2) / (2.0 * 1.5**2))
    assert np.abs(features @ features.T - kernel).max() <= 5.0 / np.sqrt(8.0 * 20_000)


def test_features_without_coordinates_are_named():
    problem = MDP(reward=[[1.0]], transition=None, discount=0.0, temperature=1.0, actions=Space.point())
    with pytest.raises(ValueError, match="coordinates"):
        fourier_features(problem, 3)
