"""The optimum against value iteration and enumeration; Newton's order; the limit τ → 0 (math.md §2)."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wflow.mdp import MDP, evaluate, gibbs_policy, gridworld, optimum

problems = {
    "seed": st.integers(0, 10**6),
    "kind": st.sampled_from(["dense", "sparse", "structured"]),
    "discount": st.sampled_from([0.0, 0.5, 0.9, 0.99]),
    "n_s": st.integers(1, 6),
    "n_a": st.integers(1, 5),
}


def soft_bellman(mdp, dense, value):
    """T V by loops; hard maximum at τ = 0."""
    improved = np.empty(mdp.n_states)
    for i in range(mdp.n_states):
        q = [mdp.reward[i, j] + mdp.discount * (dense[i, j] @ value) for j in range(mdp.n_actions)]
        top = max(q)
        improved[i] = top
        if mdp.temperature > 0.0:
            terms = zip(mdp.actions.weights, q, strict=True)
            improved[i] += mdp.temperature * np.log(sum(w * np.exp((x - top) / mdp.temperature) for w, x in terms))
    return improved


@settings(max_examples=80, deadline=None)
@given(**problems, temperature=st.sampled_from([0.0, 1e-6, 1e-2, 0.3, 5.0]))
def test_solves_the_bellman_equation(random_mdp, seed, kind, discount, n_s, n_a, temperature):
    problem = random_mdp(seed, kind, discount, temperature, n_s, n_a)
    mdp, best = problem.mdp, optimum(problem.mdp)
    atol = 1e-11 * problem.scale
    residual = np.abs(soft_bellman(mdp, problem.dense, best.value) - best.value).max()
    assert residual <= atol
    assert residual == pytest.approx(best.residual, abs=1e-14 * problem.scale)
    assert best.residual == best.residuals[-1] <= 1e-12 * max(1.0, np.abs(best.action_value).max())
    assert best.error_bound == best.residual / (1.0 - discount)
    np.testing.assert_allclose(best.action_value, mdp.reward + discount * problem.dense @ best.value, rtol=0, atol=atol)
    again = evaluate(mdp, best.log_policy)  # also checks normalisation
    np.testing.assert_allclose(again.value, best.value, rtol=0, atol=atol)
    np.testing.assert_array_equal(best.policy, np.exp(best.log_policy))
    assert best.objective == pytest.approx(mdp.initial @ best.value, abs=atol)
    if temperature > 0.0:
        np.testing.assert_allclose(temperature * best.log_policy, best.action_value - best.value[:, None], rtol=0, atol=atol)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), temperature=st.sampled_from([0.0, 0.1, 1.0]), discount=st.sampled_from([0.3, 0.8]))
def test_value_iteration_ends_there(random_mdp, seed, temperature, discount):
    problem = random_mdp(seed, "dense", discount, temperature)
    value = np.zeros(4)
    for _ in range(int(np.log(1e-16) / np.log(discount)) + 1):
        value = soft_bellman(problem.mdp, problem.dense, value)
    np.testing.assert_allclose(optimum(problem.mdp).value, value, rtol=0, atol=1e-11 * problem.scale)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(["dense", "sparse", "structured"]), discount=st.sampled_from([0.0, 0.7, 0.98]))
def test_hard_optimum_beats_every_deterministic_policy(random_mdp, seed, kind, discount):
    problem = random_mdp(seed, kind, discount, temperature=0.0, n_s=4, n_a=3)
    rows = np.arange(4)
    values = [
        np.linalg.solve(np.eye(4) - discount * problem.dense[rows, actions], problem.mdp.reward[rows, actions])
        for actions in product(range(3), repeat=4)
    ]
    best = optimum(problem.mdp)
    np.testing.assert_allclose(best.value, np.max(values, axis=0), rtol=0, atol=1e-11 * problem.scale)
    assert (np.isfinite(best.log_policy).sum(axis=1) == 1).all()
    np.testing.assert_allclose(best.policy @ problem.mdp.actions.weights, 1.0, rtol=1e-15)


@settings(max_examples=40, deadline=None)
@given(**problems, temperature=st.sampled_from([0.0, 0.05, 1.0]))
def test_dominates_random_policies_in_every_state(random_mdp, seed, kind, discount, n_s, n_a, temperature):
    problem = random_mdp(seed, kind, discount, temperature, n_s, n_a)
    best = optimum(problem.mdp)
    for spread in (0.1, 1.0, 10.0):
        value = evaluate(problem.mdp, problem.log_policy(spread)).value
        assert (value <= best.value + 1e-11 * problem.scale).all()


@pytest.mark.parametrize("seed", range(5))
def test_newton_is_quadratic(random_mdp, seed):
    """Residuals obey e' ≤ γ² e² / (2 τ (1 − γ)²), Taylor's remainder of T over one Newton step."""
    gamma, tau = 0.8, 0.5
    mdp = random_mdp(seed, "dense", gamma, tau, n_s=6, n_a=5).mdp
    residuals = optimum(mdp).residuals
    constant = gamma**2 / (2.0 * tau * (1.0 - gamma) ** 2)
    informative = 0
    for before, after in pairwise(residuals):
        assert after <= constant * before**2 + 1e-14
        informative += before < 0.1 / constant and after > 1e-13
    assert informative >= 1
    assert len(residuals) <= 8


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), discount=st.sampled_from([0.0, 0.9]))
def test_cold_limit(random_mdp, seed, discount):
    """|V*_τ − V*_0| ≤ τ max |log| of the masses a policy may have, over 1 − γ: at most τ (|log min w| + |log Σw|)/(1 − γ)."""
    hard = random_mdp(seed, "dense", discount, 0.0)
    weights = hard.mdp.actions.weights
    entropy = max(abs(np.log(weights.min())), abs(np.log(weights.sum())))
    target = optimum(hard.mdp).value
    for tau in (1.0, 1e-2, 1e-4, 1e-8):
        value = optimum(random_mdp(seed, "dense", discount, tau).mdp).value
        assert np.abs(value - target).max() <= tau * entropy / (1.0 - discount) + 1e-11 * hard.scale


def test_ties_end_and_keep_the_first_action():
    mdp = MDP(reward=np.ones((3, 4)), transition=np.full((3, 4, 3), 1 / 3), discount=0.9, temperature=0.0)
    best = optimum(mdp)
    np.testing.assert_allclose(best.value, 10.0, rtol=1e-14)
    np.testing.assert_array_equal(best.log_policy.argmax(axis=1), 0)


def test_ties_up_to_rounding_end():
    """A slippery grid is symmetric about its diagonal: moves tie there but for the last bits of Q."""
    mdp = gridworld(9, 9, slip=0.3, discount=0.97)
    best = optimum(mdp)
    grid = best.value.reshape(9, 9)
    np.testing.assert_allclose(grid, grid.T, rtol=0, atol=1e-13)
    assert best.residual <= 1e-14


def test_single_state_closed_form():
    """V* = τ log Σ w e^{r/τ} / (1 − γ)."""
    rewards, tau, gamma = np.array([[1.0, 0.9, 0.1]]), 0.3, 0.6
    best = optimum(MDP(reward=rewards, transition=np.ones((1, 3, 1)), discount=gamma, temperature=tau))
    assert best.objective == pytest.approx(tau * np.log(np.exp(rewards / tau).sum()) / (1.0 - gamma), rel=1e-14)
    np.testing.assert_allclose(best.log_policy, gibbs_policy(rewards, np.ones(3), tau)[1], rtol=1e-13)


@pytest.mark.parametrize("temperature", [1e3, 1e6, 1e83])
def test_hot_problems_end(temperature):
    """V* is of the size of τ log n_a there, and so is its rounding."""
    best = optimum(MDP(reward=[[1.0, 0.9, 0.1]], transition=np.ones((1, 3, 1)), discount=0.5, temperature=temperature))
    assert best.objective == pytest.approx(2.0 * (temperature * np.log(3.0) + 2.0 / 3.0), rel=1e-6)
    np.testing.assert_allclose(best.policy, 1.0 / 3.0, rtol=1e-3)


def test_only_problems_have_an_optimum():
    with pytest.raises(TypeError, match=r"^mdp must be a wflow\.mdp\.MDP; got None$"):
        optimum(None)


def test_unreachable_tolerance(random_mdp):
    with pytest.raises(RuntimeError, match=r"Bellman residual .* above .*; raise tolerance \(now 1e-30\)"):
        optimum(random_mdp(0, n_s=6).mdp, tolerance=1e-30)


@pytest.mark.parametrize(("tolerance", "error"), [(0.0, ValueError), (-1.0, ValueError), ("small", TypeError)])
def test_tolerance_is_checked(random_mdp, tolerance, error):
    with pytest.raises(error, match="tolerance must be"):
        optimum(random_mdp(0).mdp, tolerance=tolerance)
