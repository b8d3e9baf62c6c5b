"""REINFORCE: its mean against the exact gradient, what truncation costs, and what a baseline saves (math.md §10)."""

from __future__ import annotations

import numpy as np
import pytest
from policies.random_mdps import KINDS, random_mdp, random_policy, value_by_solve

from wflow.mdp import evaluate
from wflow.policies import run
from wflow.policies.base import Oracle, Setting
from wflow.policies.reinforce import Reinforce


def method(mdp, *, trajectories=50, horizon=None, seed=0, start=None, **options):
    oracle = Oracle("sampled", trajectories=trajectories, horizon=horizon, seed=seed)
    setting = Setting(mdp, 1, None, random_policy(mdp, 0), start, oracle, np.random.default_rng(seed))
    return Reinforce(setting, **options)


def sampled_gradients(mdp, log_policy, n, **options):
    reinforce, evaluation = method(mdp, **options), evaluate(mdp, log_policy)
    return np.array([reinforce.gradient(evaluation) for _ in range(n)])


def truncated_gradient(mdp, log_policy, horizon):
    """∇_θ of E sum_{t<H} γ^t (r − τ log π) by the complex step, parameter by parameter."""
    gradient = np.empty(log_policy.shape)
    dense = mdp.transition.to_dense()
    for index in np.ndindex(log_policy.shape):
        energy = log_policy.astype(complex)
        energy[index] += 1e-30j
        shifted = energy - np.log(np.exp(energy) @ mdp.actions.weights)[:, None]
        p = mdp.actions.weights * np.exp(shifted)
        P, r = np.einsum("ij,ijk->ik", p, dense), (p * (mdp.reward - mdp.temperature * shifted)).sum(axis=1)
        law, total = mdp.initial.astype(complex), 0.0
        for t in range(horizon):
            total += mdp.discount**t * (law @ r)
            law = law @ P
        gradient[index] = total.imag / 1e-30
    return gradient.ravel()


def exact_gradient(mdp, log_policy):
    gradient = np.empty(log_policy.shape)
    for index in np.ndindex(log_policy.shape):
        energy = log_policy.astype(complex)
        energy[index] += 1e-30j
        shifted = energy - np.log(np.exp(energy) @ mdp.actions.weights)[:, None]
        gradient[index] = value_by_solve(mdp, shifted).imag / 1e-30
    return gradient.ravel()


@pytest.mark.parametrize("baseline", ["none", "value", "previous"])
@pytest.mark.parametrize(("kind", "temperature"), [("dense", 0.0), ("sparse", 0.5), ("structured", 0.2)])
def test_mean_is_the_exact_gradient(kind, temperature, baseline):
    """Within four standard errors and the stated truncation bias, here below a tenth of an error."""
    mdp = random_mdp(2, kind, temperature=temperature)
    log_policy, horizon = random_policy(mdp, 3), 80
    batches = sampled_gradients(mdp, log_policy, 400, trajectories=50, horizon=horizon, baseline=baseline)
    error = batches.std(axis=0, ddof=1) / np.sqrt(len(batches))
    bias = method(mdp, horizon=horizon).diagnostics(0, evaluate(mdp, log_policy))["truncation_bias"]
    assert bias < 0.1 * error.min()
    assert (np.abs(batches.mean(axis=0) - exact_gradient(mdp, log_policy)) <= 4.0 * error + bias).all()


@pytest.mark.parametrize("horizon", [1, 3])
def test_mean_is_the_gradient_of_the_truncated_value(horizon):
    """Where truncation matters: the estimator aims at the cut value, and misses the whole one."""
    mdp = random_mdp(5, temperature=0.3)
    log_policy = random_policy(mdp, 6)
    batches = sampled_gradients(mdp, log_policy, 300, trajectories=100, horizon=horizon, baseline="value")
    error = batches.std(axis=0, ddof=1) / np.sqrt(len(batches))
    cut, whole = truncated_gradient(mdp, log_policy, horizon), exact_gradient(mdp, log_policy)
    assert (np.abs(batches.mean(axis=0) - cut) <= 4.0 * error).all()
    assert (np.abs(batches.mean(axis=0) - whole) > 4.0 * error).any()


@pytest.mark.parametrize("seed", range(12))
def test_truncation_bias_is_within_its_bound(seed):
    """‖∇E_H − ∇E‖ exactly, against the diagnostic."""
    mdp = random_mdp(seed, KINDS[seed % 3], temperature=0.2 * (seed % 2), discount=[0.3, 0.9, 0.97][seed % 3])
    log_policy = random_policy(mdp, seed, spread=2.0)
    for horizon in (1, 5, 20):
        found = method(mdp, horizon=horizon).diagnostics(0, evaluate(mdp, log_policy))
        bias = np.linalg.norm(truncated_gradient(mdp, log_policy, horizon) - exact_gradient(mdp, log_policy))
        assert bias <= found["truncation_bias"]
        assert found["gradient_norm"] == pytest.approx(np.linalg.norm(exact_gradient(mdp, log_policy)), rel=1e-10)


def test_baselines_lower_the_variance():
    mdp = random_mdp(8, discount=0.9)
    log_policy = random_policy(mdp, 9)
    variance = {
        baseline: sampled_gradients(mdp, log_policy, 200, trajectories=20, baseline=baseline)[1:].var(axis=0).sum()
        for baseline in ("none", "previous", "value")
    }
    assert variance["value"] < 0.5 * variance["none"]
    assert variance["previous"] < 0.5 * variance["none"]


def test_one_trajectory_by_hand():
    """Bandit: ĝ is (r − b) ∇ log π of the action drawn."""
    mdp = random_mdp(1, n_s=1, discount=0.0)
    log_policy = random_policy(mdp, 2)
    gradient = method(mdp, trajectories=1, baseline="none").gradient(evaluate(mdp, log_policy))
    p = (mdp.actions.weights * np.exp(log_policy))[0]
    candidates = [mdp.reward[0, j] * (np.eye(3)[j] - p) for j in range(3)]
    assert min(np.abs(gradient - g).max() for g in candidates) < 1e-15


def test_start_law():
    """Sampled from μ: states that μ does not reach get no gradient."""
    mdp = random_mdp(3, unreachable=True)
    far = np.array([0.0, 0.0, 0.0, 1.0])
    evaluation = evaluate(mdp, random_policy(mdp, 0))
    assert np.abs(method(mdp).gradient(evaluation)[-3:]).max() == 0.0
    assert np.abs(method(mdp, start=far).gradient(evaluation)[-3:]).max() > 0.0


def test_run_improves_and_repeats():
    mdp = random_mdp(4)
    runs = [run("reinforce", mdp, 300, step_size=0.2, oracle={"trajectories": 50, "seed": s}) for s in (0, 0, 1)]
    assert runs[0].gap[-1] < 0.3 * runs[0].gap[0]
    np.testing.assert_array_equal(runs[0].log_policy, runs[1].log_policy)
    assert (runs[0].log_policy != runs[2].log_policy).any()
    assert np.isnan(runs[0].bound).all()
    assert runs[0].bound_reason
    linear = run("reinforce", mdp, 100, step_size=0.2, features=np.eye(12).reshape(4, 3, 12), oracle={"trajectories": 50, "seed": 0})
    np.testing.assert_allclose(linear.gap, runs[0].gap[:101], rtol=1e-9)


def test_errors():
    mdp = random_mdp(0)
    with pytest.raises(ValueError, match=r"baseline must be one of previous, value, none; got 'values' \(did you mean 'value'\?\)"):
        run("reinforce", mdp, 1, baseline="values")
    with pytest.raises(ValueError, match="oracle must be one of sampled; got 'exact'"):
        run("reinforce", mdp, 1, oracle="exact")
