"""Entropy-regularised natural policy gradient, soft policy iteration and mirror descent: identities and bounds of math.md §10."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from policies import made

import wflow.policies as policies
from wflow.mdp import MDP, evaluate, garnet, optimum, statewise_kl

SHARES = st.sampled_from([0.05, 0.5, 1.0])  # of the largest step (1 − γ)/τ


def largest(mdp):
    return (1.0 - mdp.discount) / mdp.temperature


@given(made.mdps(), st.integers(0, 100), SHARES, st.booleans())
def test_no_bound_is_violated(mdp, seed, share, uniform):
    initial = None if uniform else made.random_log_policy(mdp, seed, spread=3.0)
    run = policies.run("entropy_npg", mdp, 40, step_size=share * largest(mdp), initial=initial)
    tolerance = 1e-12 * made.scale(mdp)
    assert run.bound_reason == ""
    assert len(made.violations(run, mdp)) == 0
    data = run.diagnostics
    assert (data["action_value_error"][1:] <= data["action_value_bound"][1:] + tolerance).all()
    assert (data["log_policy_error"][1:] <= data["log_policy_bound"][1:] + 2.0 * tolerance / mdp.temperature).all()
    assert np.isfinite(run.bound[1:]).all()


@given(made.mdps(), st.integers(0, 100), SHARES, st.sampled_from([1e-3, 0.3]))
def test_no_bound_is_violated_with_an_inexact_oracle(mdp, seed, share, error):
    run = policies.run("entropy_npg", mdp, 40, step_size=share * largest(mdp), oracle={"error": error, "seed": seed})
    tolerance = 1e-12 * made.scale(mdp)
    data = run.diagnostics
    assert run.bound_reason == ""
    assert len(made.violations(run, mdp)) == 0
    assert (data["action_value_error"][1:] <= data["action_value_bound"][1:] + tolerance).all()
    assert (data["log_policy_error"][1:] <= data["log_policy_bound"][1:] + 2.0 * tolerance / mdp.temperature).all()


@given(made.mdps(), st.integers(0, 100), st.sampled_from([0.05, 0.4]))
def test_an_oracle_good_enough_reaches_its_accuracy(mdp, seed, epsilon):
    """δ = (1 − γ)/γ min(ε/4, √(ετ)/2) at the largest step: ‖Q* − Q_T‖_∞ ≤ ε at the end."""
    if mdp.discount == 0.0:
        return
    delta = (1.0 - mdp.discount) / mdp.discount * min(epsilon / 4.0, np.sqrt(epsilon * mdp.temperature) / 2.0)
    n = int(np.ceil(np.log(1e-3 * epsilon / made.scale(mdp)) / np.log(mdp.discount)))
    run = policies.run("entropy_npg", mdp, n, oracle={"error": delta, "seed": seed})
    assert run.diagnostics["action_value_error"][-1] <= epsilon


@given(made.mdps(), st.integers(0, 100), SHARES)
def test_improvement_identity(mdp, seed, share):
    """V_{t+1}(ρ) − V_t(ρ) = E_{d_{t+1}}[(1/η − τ/(1−γ)) KL(π_{t+1}|π_t) + KL(π_t|π_{t+1})/η]."""
    seen = []
    eta = share * largest(mdp)
    policies.run("entropy_npg", mdp, 8, step_size=eta, initial=made.random_log_policy(mdp, seed), record=lambda t, e: seen.append(e))
    w = mdp.actions.weights
    for before, after in pairwise(seen):
        d = (1.0 - mdp.discount) * after.occupancy
        forward = statewise_kl(after.log_policy, before.log_policy, w)
        backward = statewise_kl(before.log_policy, after.log_policy, w)
        improvement = d @ ((1.0 / eta - mdp.temperature / (1.0 - mdp.discount)) * forward + backward / eta)
        assert after.objective - before.objective == pytest.approx(improvement, abs=1e-11 * made.scale(mdp))


@given(made.mdps(), st.integers(0, 100))
def test_the_update_in_plain_numpy(mdp, seed):
    start, eta = made.random_log_policy(mdp, seed), 0.37 * largest(mdp)
    evaluation, w = evaluate(mdp, start), mdp.actions.weights
    kept = 1.0 - eta * mdp.temperature / (1.0 - mdp.discount)
    top = evaluation.action_value.max(axis=1, keepdims=True)
    pi = evaluation.policy**kept * np.exp(eta * (evaluation.action_value - top) / (1.0 - mdp.discount))
    run = policies.run("entropy_npg", mdp, 1, step_size=eta, initial=start)
    np.testing.assert_allclose(np.exp(run.log_policy), pi / (pi @ w)[:, None], rtol=1e-10, atol=1e-300)


@given(made.mdps(), st.integers(0, 100))
def test_at_the_largest_step_it_is_soft_policy_iteration(mdp, seed):
    start = made.random_log_policy(mdp, seed)
    one = policies.run("entropy_npg", mdp, 6, step_size=largest(mdp), initial=start)
    two = policies.run("soft_policy_iteration", mdp, 6, initial=start)
    tolerance = 1e-13 * made.scale(mdp)
    np.testing.assert_allclose(one.log_policy, two.log_policy, atol=10.0 * tolerance / mdp.temperature)
    np.testing.assert_allclose(one.value, two.value, atol=tolerance)
    np.testing.assert_allclose(policies.run("entropy_npg", mdp, 6, initial=start).value, one.value, rtol=0)  # the default


@given(made.mdps(), st.integers(0, 100), st.sampled_from([0.05, 0.5, 0.95]))
def test_mirror_descent_is_entropy_npg(mdp, seed, share):
    start, eta = made.random_log_policy(mdp, seed), share * largest(mdp)
    one = policies.run("entropy_npg", mdp, 8, step_size=eta, initial=start)
    two = policies.run("pmd", mdp, 8, step_size=eta / (1.0 - mdp.discount - eta * mdp.temperature), initial=start)
    np.testing.assert_allclose(two.log_policy, one.log_policy, atol=1e-11 * made.scale(mdp) / mdp.temperature)
    np.testing.assert_allclose(two.value, one.value, atol=1e-12 * made.scale(mdp))


@given(made.mdps(temperature=0.0), st.integers(0, 100))
def test_mirror_descent_without_entropy_is_npg(mdp, seed):
    start, eta = made.random_log_policy(mdp, seed), 0.4 * (1.0 - mdp.discount)
    one, two = (policies.run(name, mdp, 8, step_size=s, initial=start) for name, s in (("npg", eta), ("pmd", 0.4)))
    np.testing.assert_allclose(two.value, one.value, atol=1e-12 * made.scale(mdp))
    assert "above 0" in two.bound_reason


@given(made.mdps(), st.integers(0, 100), st.sampled_from([None, 0.1, 100.0]))
def test_no_bound_of_mirror_descent_is_violated(mdp, seed, step):
    run = policies.run("pmd", mdp, 40, step_size=step, initial=made.random_log_policy(mdp, seed, spread=2.0))
    assert run.bound_reason in ("", "the optimal policy's stationary law misses a state that starts")
    assert run.bound_reason or np.isfinite(run.bound).all()
    assert len(made.violations(run, mdp)) == 0


def test_the_bound_of_mirror_descent_is_its_formula():
    """With the stationary law from the eigenvector of the optimal chain."""
    mdp, eta = garnet(5, 3, 3, seed=2, discount=0.7, temperature=0.2), 0.8
    initial = made.random_log_policy(mdp, 1)
    run = policies.run("pmd", mdp, 4, step_size=eta, initial=initial)
    best, first = optimum(mdp), evaluate(mdp, initial)
    values, vectors = np.linalg.eig(np.einsum("ij,ijk->ki", best.policy, mdp.transition.to_dense()))
    nu = np.real(vectors[:, np.argmax(values.real)])
    nu /= nu.sum()
    kl = (best.policy * (best.log_policy - initial)).sum(axis=1)
    c2 = nu @ (best.value - first.value) + (1.0 / eta + 0.2) * (nu @ kl)
    expected = c2 * (mdp.initial / nu).max() * max(0.7, 1.0 / 1.16) ** np.arange(5)
    np.testing.assert_allclose(run.bound, expected, rtol=1e-10)


def test_mirror_descent_has_a_bound_where_all_states_recur():
    run = policies.run("pmd", garnet(6, 3, 3, temperature=0.1), 5)
    assert run.bound_reason == ""
    assert np.isfinite(run.bound).all()
    one_way = MDP(reward=[[1.0], [0.0]], transition=[[[0.0, 1.0]], [[0.0, 1.0]]], discount=0.5, temperature=0.1)
    assert "stationary law" in policies.run("pmd", one_way, 2).bound_reason


@given(made.mdps(temperature=0.0), st.integers(0, 100))
def test_policy_iteration_without_entropy(mdp, seed):
    run = policies.run("soft_policy_iteration", mdp, 30, initial=made.random_log_policy(mdp, seed))
    assert len(made.violations(run, mdp)) == 0
    assert run.bound_reason == ""
    assert run.gap[-1] <= 1e-12 * made.scale(mdp)  # Howard's ends on problems this small
    assert optimum(mdp).objective == pytest.approx(run.value[-1], abs=1e-12 * made.scale(mdp))


@given(made.mdps(), st.integers(0, 100))
def test_soft_policy_iteration_contracts(mdp, seed):
    run = policies.run("soft_policy_iteration", mdp, 30, initial=made.random_log_policy(mdp, seed, spread=3.0))
    error = run.diagnostics["action_value_error"]
    assert len(made.violations(run, mdp)) == 0
    assert (error[1:] <= mdp.discount * error[:-1] + 1e-12 * made.scale(mdp)).all()


def test_a_bandit_is_solved_in_one_step_of_the_largest_size():
    bandit = MDP(reward=[[1.0, 0.9, 0.1]], transition=None, discount=0.0, temperature=0.3)
    assert policies.run("entropy_npg", bandit, 1, step_size=1.0 / 0.3).gap[1] < 1e-16


def test_outside_its_hypotheses_it_runs_without_a_bound():
    mdp = garnet(4, 3, 2, temperature=0.2)
    run = policies.run("entropy_npg", mdp, 3, step_size=1.5 * largest(mdp))
    assert "above (1 - γ)/τ" in run.bound_reason
    assert np.isnan(run.bound).all()
    assert np.isnan(run.diagnostics["action_value_bound"]).all()
    hard = policies.run("entropy_npg", garnet(4, 3, 2, temperature=0.0), 3, step_size=0.1)
    assert "temperature above 0" in hard.bound_reason
