"""Natural policy gradient at τ = 0: the Fisher route, monotone improvement, its bound; and conservative policy iteration."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from policies import made

import wflow.policies as policies
from wflow.mdp import MDP, evaluate, garnet, optimum


def fisher_step(mdp, log_policy, eta):
    """θ + η F⁺∇V by definition: scores, their second moments under d and p, LAPACK's pseudo-inverse; log density after it."""
    n_s, n_a = mdp.reward.shape
    evaluation = evaluate(mdp, log_policy)
    p = mdp.actions.weights * np.exp(log_policy)
    d = (1.0 - mdp.discount) * evaluation.occupancy
    F, gradient = np.zeros((n_s * n_a, n_s * n_a)), np.zeros(n_s * n_a)
    for i in range(n_s):
        for j in range(n_a):
            score = np.zeros((n_s, n_a))
            score[i] = -p[i]
            score[i, j] += 1.0
            F += d[i] * p[i, j] * np.outer(score, score)
            gradient += evaluation.occupancy[i] * p[i, j] * evaluation.action_value[i, j] * score.ravel()
    direction = np.linalg.pinv(F, rcond=1e-11, hermitian=True) @ gradient
    return made.log_softmax(log_policy + eta * direction.reshape(n_s, n_a), mdp.actions.weights)


@given(made.mdps(temperature=0.0), st.integers(0, 100), st.sampled_from([0.01, 0.3]))
def test_the_step_is_the_fisher_pseudo_inverse_on_reachable_states(mdp, seed, eta):
    start = made.random_log_policy(mdp, seed, spread=0.7)
    run = policies.run("npg", mdp, 1, step_size=eta, initial=start)
    expected = fisher_step(mdp, start, eta)
    reached = evaluate(mdp, start).occupancy > 1e-8
    np.testing.assert_allclose(run.log_policy[reached], expected[reached], atol=1e-10 * made.scale(mdp) / (1.0 - mdp.discount))
    never = evaluate(mdp, start).occupancy == 0.0
    np.testing.assert_allclose(expected[never], start[never], atol=1e-10)  # F⁺ freezes these


@given(made.mdps(temperature=0.0), st.integers(0, 100), st.sampled_from([1e-3, 1.0, 50.0]), st.booleans())
def test_it_never_falls_and_its_bound_holds(mdp, seed, eta, uniform):
    seen = []
    initial = None if uniform else made.random_log_policy(mdp, seed, spread=2.0)
    run = policies.run("npg", mdp, 25, step_size=eta, initial=initial, record=lambda t, e: seen.append(e))
    tolerance = 1e-12 * made.scale(mdp)
    assert run.bound_reason == ""
    assert len(made.violations(run, mdp)) == 0
    assert np.isfinite(run.bound[1:]).all()
    values = np.array([e.value for e in seen])
    assert (np.diff(values, axis=0) >= -tolerance).all()  # in every state
    for before, after in pairwise(seen):  # by (1 − γ)/η E_ρ log Z at least
        terms = np.log(mdp.actions.weights) + before.log_policy + eta / (1.0 - mdp.discount) * before.advantage
        top = terms.max(axis=1)  # a probability may underflow where its advantage is largest
        log_z = top + np.log(np.exp(terms - top[:, None]).sum(axis=1))
        assert after.objective - before.objective >= (1.0 - mdp.discount) / eta * (mdp.initial @ log_z) - tolerance
    if uniform:
        t = np.arange(1, 26)
        plain = np.log(mdp.n_actions) / (eta * t) + 1.0 / ((1.0 - mdp.discount) ** 2 * t)
        assert (run.bound[1:] <= plain * (1.0 + 1e-12)).all()


def test_the_bound_counts_the_start_and_the_span_of_rewards():
    """One state, two actions, by hand: p* charges the first, KL(p*|p_0) = −log p_0; the span of r is 3."""
    mdp = MDP(reward=[[1.0, -2.0]], transition=None, discount=0.0, temperature=0.0)
    run = policies.run("npg", mdp, 4, step_size=0.5, initial=np.log([[0.1, 0.9]]))
    np.testing.assert_allclose(run.bound[1:], (np.log(10.0) / 0.5 + 3.0) / np.arange(1, 5), rtol=1e-14)


def test_the_default_step_and_the_reasons():
    mdp, soft = garnet(3, 4, 2, temperature=0.0), garnet(3, 4, 2, temperature=0.1)
    assert policies.run("npg", mdp, 1).provenance["step_size"] == pytest.approx(0.01 * np.log(4.0))
    assert "temperature 0" in policies.run("npg", soft, 1).bound_reason
    inexact = policies.run("npg", mdp, 3, oracle={"error": 0.1, "seed": 3})
    assert inexact.bound_reason == "the theorem is for an exact oracle"
    assert np.isnan(inexact.bound).all()


@given(made.mdps(), st.integers(0, 100))
def test_with_entropy_it_is_entropy_npg(mdp, seed):
    start, eta = made.random_log_policy(mdp, seed), 0.3 * (1.0 - mdp.discount) / mdp.temperature
    one, two = (policies.run(name, mdp, 5, step_size=eta, initial=start) for name in ("npg", "entropy_npg"))
    np.testing.assert_allclose(one.log_policy, two.log_policy, atol=1e-12 * made.scale(mdp) / mdp.temperature)


@given(made.mdps(temperature=0.0), st.sampled_from([None, 0.1, 1.0]))
def test_conservative_iteration_keeps_its_promises(mdp, alpha):
    run = policies.run("cpi", mdp, 30, step_size=alpha)
    tolerance = 1e-12 * made.scale(mdp)
    assert len(made.violations(run, mdp)) == 0
    assert run.bound_reason == ""
    assert (np.diff(run.value) >= -tolerance).all()
    assert (run.diagnostics["mixing"] <= 1.0).all()
    if alpha is None:
        assert (np.diff(run.value) >= run.diagnostics["improvement_bound"][:-1] - tolerance).all()
    else:
        assert np.isnan(run.diagnostics["improvement_bound"]).all()


@given(made.mdps(), st.sampled_from([0.2, 1.0]))
def test_conservative_iteration_with_entropy(mdp, alpha):
    run = policies.run("cpi", mdp, 30, step_size=alpha)
    assert len(made.violations(run, mdp)) == 0
    assert (np.diff(run.value) >= -1e-12 * made.scale(mdp)).all()
    if alpha == 1.0:
        whole = policies.run("soft_policy_iteration", mdp, 30)
        np.testing.assert_allclose(run.value, whole.value, atol=1e-12 * made.scale(mdp))


def test_conservative_iteration_mixes_probabilities():
    mdp = garnet(3, 4, 2, temperature=0.0)
    seen = []
    policies.run("cpi", mdp, 2, step_size=0.25, record=lambda t, e: seen.append(e))
    for before, after in pairwise(seen):
        greedy = np.eye(4)[before.action_value.argmax(axis=1)]
        np.testing.assert_allclose(after.policy, 0.75 * before.policy + 0.25 * greedy, atol=1e-15)


def test_conservative_iteration_on_equal_rewards_stays():
    mdp = MDP(reward=np.ones((2, 2)), transition=np.full((2, 2, 2), 0.5), discount=0.5, temperature=0.0)
    run = policies.run("cpi", mdp, 3)
    assert np.allclose(np.exp(run.log_policy), 0.5)
    assert optimum(mdp).objective == pytest.approx(run.value[-1])
