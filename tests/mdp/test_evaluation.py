"""Policy evaluation against loops and series (math.md §2, §11 row 3; bar 1e-11 in units of the largest possible |V|)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from wflow.mdp import MDP, StructuredTransition, agazzi_lu_grid, evaluate, gibbs_policy, gridworld
from wflow.mdp.evaluation import _evaluate
from wflow.spaces import Space

BAR = 1e-11

problems = {
    "seed": st.integers(0, 10**6),
    "kind": st.sampled_from(["dense", "sparse", "structured"]),
    "discount": st.sampled_from([0.0, 0.3, 0.7, 0.95, 0.99]),
    "temperature": st.sampled_from([0.0, 1e-3, 0.2, 2.0]),
    "n_s": st.integers(1, 7),
    "n_a": st.integers(1, 5),
}


def averages(mdp, dense, log_policy):
    """r_π (n_s,) and P_π (n_s, n_s) by loops."""
    n_s, n_a = mdp.reward.shape
    reward, matrix = np.zeros(n_s), np.zeros((n_s, n_s))
    for i in range(n_s):
        for j in range(n_a):
            if log_policy[i, j] > -np.inf:
                mass = mdp.actions.weights[j] * np.exp(log_policy[i, j])
                reward[i] += mass * (mdp.reward[i, j] - mdp.temperature * log_policy[i, j])
                for k in range(n_s):
                    matrix[i, k] += mass * dense[i, j, k]
    return reward, matrix


@settings(max_examples=80, deadline=None)
@given(**problems)
def test_value_and_occupancy_are_their_neumann_series(random_mdp, seed, kind, discount, temperature, n_s, n_a):
    problem = random_mdp(seed, kind, discount, temperature, n_s, n_a)
    log_policy = problem.log_policy(2.0)
    result = evaluate(problem.mdp, log_policy)
    reward, matrix = averages(problem.mdp, problem.dense, log_policy)
    value, occupancy = np.zeros(n_s), np.zeros(n_s)
    steps = 1 if discount == 0.0 else int(np.ceil(np.log(1e-15) / np.log(discount)))
    for _ in range(steps + 1):
        value = reward + discount * matrix @ value
        occupancy = problem.mdp.initial + discount * matrix.T @ occupancy
    np.testing.assert_allclose(result.value, value, rtol=0, atol=BAR * problem.scale)
    np.testing.assert_allclose(result.occupancy, occupancy, rtol=0, atol=BAR / (1.0 - discount))


@settings(max_examples=80, deadline=None)
@given(**problems)
def test_bellman_identities(random_mdp, seed, kind, discount, temperature, n_s, n_a):
    problem = random_mdp(seed, kind, discount, temperature, n_s, n_a)
    mdp, log_policy = problem.mdp, problem.log_policy(2.0)
    result = evaluate(mdp, log_policy)
    mass = mdp.actions.weights * np.exp(log_policy)
    action_value = mdp.reward + discount * problem.dense @ result.value
    atol = BAR * problem.scale
    np.testing.assert_allclose(result.action_value, action_value, rtol=0, atol=atol)
    np.testing.assert_allclose(result.advantage, action_value - temperature * log_policy - result.value[:, None], rtol=0, atol=atol)
    np.testing.assert_allclose((mass * result.advantage).sum(axis=1), 0.0, atol=atol)
    assert result.occupancy.sum() * (1.0 - discount) == pytest.approx(1.0, abs=BAR)
    assert (result.occupancy >= -BAR).all()
    assert result.objective == pytest.approx(mdp.initial @ result.value, abs=atol)
    assert result.objective == pytest.approx(result.occupancy @ averages(mdp, problem.dense, log_policy)[0], abs=atol)  # duality
    np.testing.assert_array_equal(result.policy, np.exp(log_policy))


@settings(max_examples=60, deadline=None)
@given(**problems)
def test_performance_difference(random_mdp, seed, kind, discount, temperature, n_s, n_a):
    problem = random_mdp(seed, kind, discount, temperature, n_s, n_a)
    mdp, log_p, log_q = problem.mdp, problem.log_policy(), problem.log_policy()
    one, two = evaluate(mdp, log_p), evaluate(mdp, log_q)
    p, q = mdp.actions.weights * np.exp(log_p), mdp.actions.weights * np.exp(log_q)
    linear = ((p - q) * two.action_value).sum(axis=1)
    entropy = (p * log_p).sum(axis=1) - (q * log_q).sum(axis=1)
    difference = one.occupancy @ (linear - temperature * entropy)
    assert one.objective - two.objective == pytest.approx(difference, abs=BAR * problem.scale)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), temperature=st.sampled_from([0.0, 0.5]), discount=st.sampled_from([0.0, 0.9]))
def test_actions_without_mass(random_mdp, seed, temperature, discount):
    problem = random_mdp(seed, "dense", discount, temperature, n_s=5, n_a=3)
    mdp = problem.mdp
    chosen = problem.rng.integers(0, 3, 5)
    log_policy = np.full((5, 3), -np.inf)
    log_policy[np.arange(5), chosen] = -np.log(mdp.actions.weights[chosen])
    result = evaluate(mdp, log_policy)
    reward, matrix = averages(mdp, problem.dense, log_policy)
    np.testing.assert_allclose(result.value, np.linalg.solve(np.eye(5) - discount * matrix, reward), rtol=0, atol=BAR * problem.scale)
    assert all(np.isfinite(getattr(result, name)).all() for name in ("action_value", "advantage", "occupancy"))
    np.testing.assert_allclose((mdp.actions.weights * result.policy * result.advantage).sum(axis=1), 0.0, atol=BAR * problem.scale)
    off = log_policy == -np.inf
    np.testing.assert_allclose(
        result.advantage[off], (result.action_value - result.value[:, None])[off], rtol=0, atol=1e-14 * problem.scale
    )


def test_densities_that_underflow(random_mdp):
    problem = random_mdp(3, temperature=0.2)
    log_policy = problem.log_policy(2000.0)
    assert (np.exp(log_policy) == 0.0).any()
    result = evaluate(problem.mdp, log_policy)
    assert np.isfinite(result.value).all()
    assert np.isfinite(result.advantage).all()
    np.testing.assert_allclose((problem.mdp.actions.weights * result.policy * result.advantage).sum(axis=1), 0.0, atol=1e-11)


@pytest.mark.parametrize("n", [100, 127, 128, 150, 199, 230])
def test_bits_do_not_depend_on_blas_threads(n):
    results = []
    for threads in (1, 2):
        with threadpool_limits(limits=threads, user_api="blas"):
            mdp = agazzi_lu_grid(seed=1, n_states=n, n_actions=n)
            energy = np.random.default_rng(0).standard_normal((n, n))
            result = evaluate(mdp, gibbs_policy(energy, mdp.actions.weights, 0.5)[1])
            results.append((mdp.reward, result.log_policy, result.value, result.occupancy, result.advantage, result.objective))
    for one, two in zip(*results, strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("n", [1, 127, 128, 230])
def test_on_both_sides_of_the_threading_limit(n):
    mdp = agazzi_lu_grid(seed=2, n_states=n, n_actions=20)
    _, log_policy = gibbs_policy(np.random.default_rng(0).standard_normal((n, 20)), mdp.actions.weights, 0.5)
    result = evaluate(mdp, log_policy)
    mass = mdp.actions.weights * np.exp(log_policy)
    matrix = np.einsum("ij,ijk->ik", mass, mdp.transition.to_dense())
    reward = (mass * (mdp.reward - mdp.temperature * log_policy)).sum(axis=1)
    np.testing.assert_allclose(result.value, reward + mdp.discount * matrix @ result.value, rtol=0, atol=1e-12)
    np.testing.assert_allclose(result.occupancy, mdp.initial + mdp.discount * matrix.T @ result.occupancy, rtol=0, atol=1e-12)


def test_two_states_by_hand():
    """s0 pays 1 and leads to s1 or back with chance ½; s1 pays nothing and stays: V0 = 1 + γ V0 / 2."""
    stay_or_go = StructuredTransition(np.array([[0, 1], [1, 1]]), np.array([0.5, 0.5]))
    mdp = MDP(reward=[[1.0, 1.0], [0.0, 0.0]], transition=stay_or_go, discount=0.5, temperature=0.0, initial=[1.0, 0.0])
    result = evaluate(mdp, np.full((2, 2), np.log(0.5)))
    np.testing.assert_allclose(result.value, [4 / 3, 0.0], atol=1e-15)
    np.testing.assert_allclose(result.occupancy, [4 / 3, 2 / 3], atol=1e-15)
    assert result.objective == pytest.approx(4 / 3)


def test_lebesgue_weights_are_densities():
    """A bandit with r = a on [0, 1] and the uniform density: V = ½, entropy 0."""
    actions = Space.gauss_legendre(8)
    mdp = MDP(reward=actions.nodes.T, transition=None, discount=0.0, temperature=1.0, actions=actions)
    assert evaluate(mdp, np.zeros((1, 8))).objective == pytest.approx(0.5, abs=1e-15)


def test_gibbs_policy_is_stable_and_normalised(random_mdp):
    rng = np.random.default_rng(0)
    weights = rng.uniform(0.1, 2.0, 6)
    for size in (1e-3, 1.0, 1e5):
        action_value = size * rng.standard_normal((4, 6))
        value, log_policy = gibbs_policy(action_value, weights, 0.1)
        np.testing.assert_allclose(np.exp(log_policy) @ weights, 1.0, rtol=1e-14)
        np.testing.assert_allclose(0.1 * log_policy, action_value - value[:, None], rtol=0, atol=1e-14 * max(1.0, size))


@pytest.mark.parametrize("mdp", [agazzi_lu_grid(n_states=9, n_actions=5), gridworld(23, 24, temperature=0.1)])
def test_nan_stays_visible(mdp):
    """A diverged state must end in the caller's status, not in an exception from the linear algebra."""
    log_policy = np.full(mdp.reward.shape, -np.log(mdp.actions.total))
    log_policy[2, 1] = np.nan
    result = _evaluate(mdp, log_policy)
    assert np.isnan(result.objective)
    assert np.isnan(result.value).any()
    assert np.isnan(result.occupancy).any()


def test_input_is_left_alone(random_mdp):
    problem = random_mdp(0)
    log_policy, initial = problem.log_policy(), problem.mdp.initial.copy()
    before = log_policy.copy()
    evaluate(problem.mdp, log_policy)
    np.testing.assert_array_equal(log_policy, before)
    np.testing.assert_array_equal(problem.mdp.initial, initial)


@pytest.mark.parametrize(("log_policy", "message"), [
    (np.zeros((4, 3)), r"log_policy must be a log density: .* must be 1; got .* in state 0"),
    (np.full((4, 3), np.nan), r"log_policy must be a log density: .* got nan"),
    (np.full((4, 3), 1e4), r"log_policy must be a log density: .* got inf"),
    (np.zeros((3, 4)), r"log_policy must have shape \(4, 3\); got \(3, 4\)"),
])  # fmt: skip
def test_what_is_no_log_policy(random_mdp, log_policy, message):
    with pytest.raises(ValueError, match=message):
        evaluate(random_mdp(0).mdp, log_policy)


def test_only_problems_are_evaluated():
    with pytest.raises(TypeError, match=r"^mdp must be a wflow\.mdp\.MDP; got 3$"):
        evaluate(3, np.zeros((1, 1)))


@pytest.mark.parametrize(("arguments", "error", "message"), [
    (([1.0, 2.0], [1.0], 0.1), ValueError, r"^action_value must have shape \(any, any\); got \(2,\)$"),
    ((np.zeros((0, 2)), [1.0, 1.0], 0.1), ValueError, r"^action_value must have at least one state and one action; got shape \(0, 2\)$"),
    (([[1.0, np.nan]], [1.0, 1.0], 0.1), ValueError, r"^action_value must be finite; got nan at \[0, 1\]$"),
    (([[1.0, 2.0]], [1.0], 0.1), ValueError, r"^weights must have shape \(2,\); got \(1,\)$"),
    (([[1.0, 2.0]], [1.0, 0.0], 0.1), ValueError, r"^weights must be above 0; got 0\.0 at \[1\]$"),
    (([[1.0, 2.0]], [1.0, 1.0], 0.0), ValueError, r"^temperature must be a finite number above 0; got 0\.0$"),
    (([[1.0, 2.0]], [1.0, 1.0], None), TypeError, r"^temperature must be a finite number above 0; got None$"),
])  # fmt: skip
def test_gibbs_policies_of_nothing_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        gibbs_policy(*arguments)


def test_gibbs_policy_takes_lists():
    for ours, theirs in zip(gibbs_policy([[1, 2]], [1, 1], 1), gibbs_policy(np.array([[1.0, 2.0]]), np.ones(2), 1.0), strict=True):
        np.testing.assert_array_equal(ours, theirs)
