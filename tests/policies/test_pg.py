"""Gradient ascent: the gradient against finite differences and a complex step, the bounds, and the witnesses of math.md §10."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from policies import made

import wflow.policies as policies
from wflow.mdp import MDP, chain, evaluate, garnet, optimum, three_armed_bandit, tree
from wflow.policies.pg import mismatch, softmax_gradient


def complex_step(mdp, theta, law=None):
    """∂V/∂θ (n_s, n_a) by f(θ + ih)/h, exact to rounding; π ∝ exp θ by plain NumPy."""
    gradient = np.empty_like(theta)
    for index in np.ndindex(theta.shape):
        shifted = theta.astype(complex)
        shifted[index] += 1e-30j
        p = np.exp(shifted - theta.max(axis=1, keepdims=True))
        gradient[index] = made.plain_value(mdp, p / (p @ mdp.actions.weights)[:, None], law).imag / 1e-30
    return gradient


@given(made.mdps(), st.integers(0, 100))
def test_gradient_is_the_complex_step(mdp, seed):
    theta = 1.5 * np.random.default_rng(seed).standard_normal(mdp.reward.shape)
    evaluation = evaluate(mdp, made.log_softmax(theta, mdp.actions.weights))
    gradient = softmax_gradient(evaluation, evaluation.occupancy, mdp.actions.weights)
    np.testing.assert_allclose(gradient, complex_step(mdp, theta), atol=1e-11 * made.scale(mdp) / (1.0 - mdp.discount))
    np.testing.assert_allclose(gradient.sum(axis=1), 0.0, atol=1e-12 * made.scale(mdp) / (1.0 - mdp.discount))


@given(made.mdps(temperature=0.3), st.integers(0, 100))
def test_an_update_is_one_step_along_it_from_the_start_law(mdp, seed):
    start = np.random.default_rng(seed).dirichlet(np.ones(mdp.n_states))
    start /= start.sum()
    theta = made.random_log_policy(mdp, seed)
    for law in (None, start):
        run = policies.run("pg", mdp, 1, step_size=0.7, initial=theta, start=law)
        expected = made.log_softmax(theta + 0.7 * complex_step(mdp, theta, law), mdp.actions.weights)
        np.testing.assert_allclose(run.log_policy, expected, atol=1e-10 * made.scale(mdp) / (1.0 - mdp.discount))


@given(made.mdps(), st.integers(0, 100), st.sampled_from([0.05, 1.0, 30.0]))
def test_log_barrier_ascends_its_own_function(mdp, seed, barrier):
    """L = V + λ/(|S||A|) sum log p, by the complex step; log p = log(w π)."""
    theta, n = made.random_log_policy(mdp, seed), mdp.reward.size

    def barrier_gradient():
        gradient = np.empty_like(theta)
        for index in np.ndindex(theta.shape):
            shifted = theta.astype(complex)
            shifted[index] += 1e-30j
            logit = shifted + np.log(mdp.actions.weights)
            gradient[index] = (logit - np.log(np.exp(logit).sum(axis=1))[:, None]).sum().imag / 1e-30
        return gradient

    run = policies.run("log_barrier_pg", mdp, 1, step_size=0.3, initial=theta, barrier=barrier)
    gradient = complex_step(mdp, theta) + barrier / n * barrier_gradient()
    tolerance = 1e-11 * (made.scale(mdp) / (1.0 - mdp.discount) + barrier)
    np.testing.assert_allclose(run.log_policy, made.log_softmax(theta + 0.3 * gradient, mdp.actions.weights), atol=tolerance)
    assert run.diagnostics["gradient_norm"][0] == pytest.approx(np.linalg.norm(gradient), abs=tolerance)


@given(made.mdps(temperature=0.0), st.booleans())
def test_no_bound_of_pg_is_violated(mdp, from_uniform):
    start = np.full(mdp.n_states, 1.0 / mdp.n_states) if from_uniform else None
    run = policies.run("pg", mdp, 60, start=start)
    assert (run.bound_reason == "") == ((mdp.initial if start is None else start).min() > 0.0)
    assert np.isnan(run.bound[0])
    assert run.bound_reason or np.isfinite(run.bound[1:]).all()
    assert len(made.violations(run, mdp)) == 0
    if start is None:
        assert (np.diff(run.value) >= -1e-13 * made.scale(mdp)).all()  # ascent, as the step is within the smoothness


@given(made.mdps(weights="equal"), st.booleans(), st.sampled_from([0.2, 1.0]))
def test_no_bound_of_entropy_pg_is_violated(mdp, from_uniform, share):
    start = np.full(mdp.n_states, 1.0 / mdp.n_states) if from_uniform else None
    beta = (8.0 + mdp.temperature * (4.0 + 8.0 * np.log(mdp.n_actions))) / (1.0 - mdp.discount) ** 3
    run = policies.run("entropy_pg", mdp, 60, start=start, step_size=share / beta, initial=made.random_log_policy(mdp, 3))
    assert (run.bound_reason == "") == ((mdp.initial if start is None else start).min() > 0.0)
    assert run.bound_reason or np.isfinite(run.bound).all()
    assert len(made.violations(run, mdp)) == 0
    assert start is not None or (np.diff(run.value) >= -1e-13 * made.scale(mdp)).all()


def test_the_bound_of_entropy_pg_is_its_formula():
    """Mei et al.'s, by hand from the iterates; ρ0 and μ apart."""
    mdp, mu = garnet(3, 2, 2, seed=4, discount=0.6, temperature=0.3), np.array([0.2, 0.3, 0.5])
    seen = []
    run = policies.run("entropy_pg", mdp, 4, start=mu, record=lambda t, e: seen.append(e.log_policy))
    best = optimum(mdp)
    d = 0.4 * np.linalg.solve(np.eye(3) - 0.6 * np.einsum("ij,ijk->ki", best.policy, mdp.transition.to_dense()), mu)
    gap = mu @ best.value - made.plain_value(mdp, np.exp(seen[0]), mu)
    eta = 0.4**3 / (8.0 + 0.3 * (4.0 + 8.0 * np.log(2.0)))
    for t in range(5):
        squares = sum(np.exp(2.0 * seen[k].min()) for k in range(t))
        expected = (1 / 3 / 0.2) * gap * np.exp(-eta * 0.3 * 0.4 * 0.2 * squares / (3 * (d / mu).max()))
        assert run.bound[t] == pytest.approx(expected, rel=1e-12)


def test_bounds_are_not_vacuous():
    """On bandits, where the constants are mild, the bounds come near: a quarter of the way down the gap within the run."""
    bandit = MDP(reward=[[1.0, 0.0]], transition=None, discount=0.0, temperature=0.0)
    run = policies.run("pg", bandit, 400)
    assert run.bound[-1] < 0.25 * run.gap[0]
    soft = MDP(reward=[[1.0, 0.0]], transition=None, discount=0.0, temperature=1.0)
    run = policies.run("entropy_pg", soft, 400)
    assert run.bound[-1] < 0.25 * run.gap[0]


@pytest.mark.parametrize(
    ("name", "changes", "options", "reason"),
    [
        ("pg", {"temperature": 0.1}, {}, "temperature 0"),
        ("pg", {"reward": 2.0}, {}, "span more than 1"),
        ("pg", {}, {"step_size": 1.0}, "step_size is above"),
        ("pg", {}, {"start": [1.0, 0.0, 0.0]}, "misses a state"),
        ("entropy_pg", {"temperature": 0.1, "weights": [1.0, 2.0]}, {}, "weights are not equal"),
        ("entropy_pg", {"temperature": 0.1, "reward": 2.0}, {}, "span more than 1"),
        ("entropy_pg", {"temperature": 0.1}, {"step_size": 1.0}, "step_size is above"),
        ("log_barrier_pg", {"temperature": 0.1}, {}, "temperature 0"),
        ("log_barrier_pg", {}, {"start": [1.0, 0.0, 0.0]}, "misses a state"),
    ],
)
def test_outside_the_hypotheses_the_bound_is_withheld(name, changes, options, reason):
    from wflow.spaces import Space

    base = garnet(3, 2, 2, seed=4)
    reward = (base.reward - base.reward.min()) / np.ptp(base.reward) * changes.get("reward", 1.0)
    mdp = MDP(
        reward=reward, transition=base.transition, discount=0.9, temperature=changes.get("temperature", 0.0),
        actions=Space.finite(2, changes.get("weights")),
    )  # fmt: skip
    run = policies.run(name, mdp, 3, **options)
    assert reason in run.bound_reason
    assert np.isnan(run.bound).all()
    assert (run.gap > 0.0).all()


@given(made.mdps(temperature=0.0, initial="random"), st.sampled_from([0.01, 0.3, 5.0]))
def test_near_stationary_points_of_the_barrier_are_near_optimal(mdp, barrier):
    """Large steps on a small problem reach ‖∇L‖ ≤ λ/(2|S||A|); the gap is then within the bound, at ρ0 from uniform μ."""
    assume(mdp.discount <= 0.9)
    uniform = np.full(mdp.n_states, 1.0 / mdp.n_states)
    step = (1.0 - mdp.discount) ** 2 / (1.0 + barrier)
    run = policies.run("log_barrier_pg", mdp, 300, barrier=barrier, start=uniform, step_size=step)
    stationary = run.diagnostics["gradient_norm"] <= barrier / (2.0 * mdp.reward.size)
    assert np.array_equal(np.isfinite(run.bound), stationary)
    assert len(made.violations(run, mdp)) == 0
    if stationary.any():
        d = (1.0 - mdp.discount) * evaluate(mdp, optimum(mdp).log_policy).occupancy
        assert run.bound[stationary] == pytest.approx(2.0 * barrier / (1.0 - mdp.discount) * (d * mdp.n_states).max())


def test_the_barrier_becomes_stationary_within_the_theorems_count():
    mdp = three_armed_bandit()
    run = policies.run("log_barrier_pg", mdp, 100, barrier=1.0)
    count = run.counts["iterations_of_theorem"]
    assert count == np.ceil(8.0 * (8.0 + 2.0) * 9)
    assert np.isfinite(policies.run("log_barrier_pg", mdp, count, barrier=1.0).bound).any()


def test_the_three_armed_bandit_follows_its_rate():
    """Uniform start, η = 2/5: gap ≤ 5K²/t, and the recorded bound is no worse."""
    run = policies.run("pg", three_armed_bandit(), 300)
    t = np.arange(1, 301)
    assert run.provenance["step_size"] == 0.4
    assert (run.gap[1:] <= 45.0 / t).all()
    assert (run.bound[1:] <= 45.0 / t * (1 + 1e-12)).all()


def test_the_tree_is_not_concave():
    """V(θ) = 9/16, V(−θ) = 1/16, V(0) = 1/4 below their mean: plain ascent has no concavity to lean on."""
    mdp, theta = tree(), np.array([[0.0, np.log(3.0)], [0.0, np.log(3.0)], [0.0, 0.0]])
    values = [policies.run("pg", mdp, 0, initial=made.log_softmax(sign * theta, np.ones(2))).value[0] for sign in (1, -1, 0)]
    np.testing.assert_allclose(values, [9 / 16, 1 / 16, 1 / 4], rtol=1e-14)
    assert policies.run("pg", mdp, 200, step_size=0.5).gap[-1] < 0.2  # it climbs all the same


@pytest.mark.parametrize(("H", "norm"), [(20, 4.27e-8), (50, 3.47e-22), (100, 1.73e-46)])
def test_gradients_vanish_along_the_chain(H, norm):
    """Derivatives in direct parameters at θ = 0.24 (published norms) while the gap stays of order H; ‖·‖ not squared: it underflows."""
    mdp = chain(H)
    p = np.tile([0.24, 0.76 / 3, 0.76 / 3, 0.76 / 3], (H + 2, 1))
    evaluation = evaluate(mdp, np.log(p))
    gap = optimum(mdp).objective - evaluation.objective
    assert gap >= (H + 1) / 8 - (H + 1) ** 2 / 3.0**H
    # θ_s moves mass to a1 from the other three alike: the derivative is ϱ_s (Q_s1 − Q_s,other)
    Q = evaluation.action_value
    direct = evaluation.occupancy[1:-1] * (Q[1:-1, 0] - Q[1:-1, 1])
    largest = np.abs(direct).max()
    assert largest * np.sqrt(np.sum((direct / largest) ** 2)) == pytest.approx(norm, rel=5e-3)
    assert largest <= (1.0 / 3.0) ** (H / 4)


def test_ascent_stalls_on_the_chain_and_natural_ascent_does_not():
    mdp = chain(20)
    start = np.log(np.tile([0.24, 0.76 / 3, 0.76 / 3, 0.76 / 3], (22, 1)))
    plain = policies.run("pg", mdp, 100, step_size=1.0, initial=start)
    natural = policies.run("npg", mdp, 100, step_size=1.0, initial=start)
    assert plain.gap[-1] > 0.999 * plain.gap[0]
    assert natural.gap[-1] < 0.01 * natural.gap[0]


def test_mismatch_counts_only_what_is_charged():
    assert mismatch(np.array([0.5, 0.5, 0.0]), np.array([0.25, 0.75, 0.0])) == 2.0
    assert mismatch(np.array([0.5, 0.5]), np.array([1.0, 0.0])) == np.inf
