"""PPO: the clipped surrogate, its one-sided gradient, exact and sampled runs (math.md §10)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from policies.random_mdps import KINDS, random_mdp, random_policy

from wflow.mdp import evaluate, garnet
from wflow.policies import run
from wflow.policies.ppo import clipped, clipped_slope


@given(log_ratio=st.floats(-2.0, 2.0), advantage=st.floats(-3.0, 3.0), clip=st.sampled_from([0.1, 0.2, 0.5]))
def test_gradient_vanishes_only_on_the_favourable_side(log_ratio, advantage, clip):
    slope = float(clipped_slope(np.array(log_ratio), np.array(advantage), clip))
    ratio = np.exp(log_ratio)
    favourable = (advantage > 0 and ratio > 1 + clip) or (advantage < 0 and ratio < 1 - clip)
    assert (slope == 0.0) == (favourable or advantage == 0.0)


@given(log_ratio=st.floats(-2.0, 2.0), advantage=st.floats(-3.0, 3.0))
def test_slope_is_the_derivative(log_ratio, advantage):
    h, a = 1e-6, np.array(advantage)
    if min(abs(np.exp(log_ratio) - 1.2), abs(np.exp(log_ratio) - 0.8)) < 1e-5:
        return  # a kink
    difference = (clipped(np.array(log_ratio + h), a, 0.2) - clipped(np.array(log_ratio - h), a, 0.2)) / (2 * h)
    assert float(clipped_slope(np.array(log_ratio), a, 0.2)) == pytest.approx(float(difference), abs=1e-8)
    value = float(clipped(np.array(log_ratio), a, 0.2))
    ratio = np.exp(log_ratio)
    assert value == pytest.approx(min(ratio * advantage, min(max(ratio, 0.8), 1.2) * advantage), rel=1e-14)


def test_far_ratios_stay_numbers():
    for function in (clipped, clipped_slope):
        assert np.isfinite(function(np.array([-900.0, 900.0, 900.0]), np.array([1.0, -1.0, 1.0]), 0.2)).all()


@pytest.mark.parametrize("temperature", [0.0, 0.2])
@pytest.mark.parametrize("linear", [False, True])
def test_steps_ascend_the_surrogate(linear, temperature):
    """Each of the steps is along the gradient of L, by central differences of L written with loops."""
    mdp = random_mdp(3, temperature=temperature)
    array = np.random.default_rng(1).standard_normal((4, 3, 5)) if linear else np.eye(12).reshape(4, 3, 12)
    start, step = random_policy(mdp, 2), 0.3
    old = evaluate(mdp, start)
    d = (1.0 - mdp.discount) * old.occupancy

    def log_policy(theta):
        energy = start + array @ theta
        return energy - np.log(np.exp(energy) @ mdp.actions.weights)[:, None]

    def surrogate(theta):
        total, new = 0.0, log_policy(theta)
        for i in range(4):
            for j in range(3):
                r, a = np.exp(new[i, j] - start[i, j]), old.advantage[i, j]
                total += d[i] * mdp.actions.weights[j] * old.policy[i, j] * min(r * a, min(max(r, 0.9), 1.1) * a)
        return total

    theta, h = np.zeros(array.shape[2]), 1e-6
    for n_steps in (1, 2, 3):
        gradient = np.array([(surrogate(theta + h * e) - surrogate(theta - h * e)) / (2 * h) for e in np.eye(len(theta))])
        theta = theta + step * gradient
        result = run("ppo", mdp, 1, step_size=step, clip=0.1, n_steps=n_steps, initial=start, features=array if linear else None)
        np.testing.assert_allclose(result.log_policy, log_policy(theta), rtol=0, atol=1e-7)
        assert result.diagnostics["surrogate"][1] == pytest.approx(surrogate(theta), abs=1e-9)


def test_first_step_is_the_policy_gradient():
    """At r = 1 nothing is clipped: L has the gradient (1 − γ) ∇V."""
    mdp = random_mdp(4)
    ours = run("ppo", mdp, 1, n_steps=1, step_size=1.0)
    theirs = run("pg", mdp, 1, step_size=1.0 - mdp.discount)
    np.testing.assert_allclose(ours.log_policy, theirs.log_policy, rtol=0, atol=1e-13)


@pytest.mark.parametrize("seed", range(6))
def test_improves_and_keeps_its_ratios_near_the_clip(seed):
    mdp = random_mdp(seed, KINDS[seed % 3])
    policies = []
    result = run("ppo", mdp, 60, record=lambda _, e: policies.append(e.log_policy))
    assert result.gap[-1] < 0.05 * result.gap[0]
    assert 0.0 <= result.diagnostics["clipped"].min() <= result.diagnostics["clipped"].max() <= 1.0
    assert (result.diagnostics["surrogate"][1:] >= 0.0).all()  # its value at r = 1 is 0


@pytest.mark.parametrize("temperature", [0.0, 0.1])
def test_sampled(temperature):
    mdp = garnet(10, 3, 3, temperature=temperature)
    exact = run("ppo", mdp, 40)
    runs = [run("ppo", mdp, 40, oracle={"trajectories": 200, "seed": s}) for s in (0, 0, 1)]
    assert runs[0].gap[-1] < 0.2 * runs[0].gap[0]
    np.testing.assert_array_equal(runs[0].log_policy, runs[1].log_policy)
    assert (runs[0].log_policy != runs[2].log_policy).any()
    many = run("ppo", mdp, 1, oracle={"trajectories": 20_000, "horizon": 100})
    assert many.gap[1] == pytest.approx(exact.gap[1], abs=0.02 * exact.gap[0])


def test_errors():
    mdp = random_mdp(0)
    with pytest.raises(ValueError, match="clip must be"):
        run("ppo", mdp, 1, clip=1.0)
    with pytest.raises(ValueError, match="n_steps must be"):
        run("ppo", mdp, 1, n_steps=0)
    with pytest.raises(ValueError, match="step_size must be given: the default of ppo"):
        run("ppo", mdp, 1, features=np.ones((4, 3, 1)))
    assert "heuristic" in run("ppo", mdp, 1).bound_reason
