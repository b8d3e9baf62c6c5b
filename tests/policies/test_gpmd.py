"""Mirror descent with any convex regulariser: its MDP, the updates and the bounds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policies import made

import wflow.policies as policies
from wflow.mdp import chain, garnet, optimum
from wflow.policies._regularised import regularised_evaluation, regularised_optimum
from wflow.policies.regularisers import Capped, LogBarrier, Regulariser, Shannon, Tsallis

SOME = [Tsallis(2.0), Tsallis(0.5), LogBarrier(), Capped(0.4, 2.0)]
IDS = [repr(h) for h in SOME]


class PlainShannon(Regulariser):
    """Shannon's, unknown to the code that knows it."""

    potential, slope, density = Shannon.potential, Shannon.slope, Shannon.density


def scalar(h):
    return lambda x: h.potential(np.array([x]))[0] if x > 0.0 or not isinstance(h, LogBarrier) else np.inf


@pytest.mark.parametrize("h", SOME, ids=IDS)
@given(made.mdps(), st.integers(0, 100))
def test_evaluation_is_that_of_plain_loops(h, mdp, seed):
    log_policy = made.random_log_policy(mdp, seed)
    evaluation = regularised_evaluation(mdp, h, log_policy)
    price = mdp.temperature * np.abs(h.value(evaluation.policy, mdp.actions.weights)).max()
    tolerance = 1e-11 * (made.scale(mdp) + price / (1.0 - mdp.discount))
    assert evaluation.objective == pytest.approx(made.plain_value(mdp, evaluation.policy, regulariser=scalar(h)), abs=tolerance)
    np.testing.assert_allclose((mdp.actions.weights * evaluation.policy * evaluation.advantage).sum(axis=1), 0.0, atol=tolerance)


@given(made.mdps(), st.integers(0, 100))
def test_shannon_in_the_general_code_is_shannon(mdp, seed):
    start = made.random_log_policy(mdp, seed)
    runs = [policies.run("gpmd", mdp, 6, initial=start, regulariser=h) for h in (Shannon(), PlainShannon())]
    tolerance = 1e-11 * made.scale(mdp)
    np.testing.assert_allclose(runs[1].value, runs[0].value, atol=tolerance)
    np.testing.assert_allclose(runs[1].gap, runs[0].gap, atol=tolerance)
    assert regularised_optimum(mdp, PlainShannon()).objective == pytest.approx(optimum(mdp).objective, abs=tolerance)


@given(made.mdps(), st.integers(0, 100), st.sampled_from([None, 0.1, 30.0]))
def test_with_shannon_it_is_mirror_descent(mdp, seed, step):
    start = made.random_log_policy(mdp, seed)
    one, two = (policies.run(name, mdp, 8, step_size=step, initial=start) for name in ("pmd", "gpmd"))
    np.testing.assert_allclose(two.log_policy, one.log_policy, atol=1e-11 * made.scale(mdp) / mdp.temperature)
    np.testing.assert_allclose(two.gap, one.gap, atol=1e-12 * made.scale(mdp))


@pytest.mark.parametrize("h", [Shannon(), *SOME], ids=repr)
@given(made.mdps(), st.integers(0, 100), st.sampled_from([None, 0.1, 30.0]))
@settings(max_examples=25)
def test_no_bound_is_violated(h, mdp, seed, step):
    run = policies.run("gpmd", mdp, 25, step_size=step, initial=made.random_log_policy(mdp, seed), regulariser=h)
    assert run.bound_of == "action_value_error"
    assert run.bound_reason == ""
    assert np.isfinite(run.bound[1:]).all()
    assert len(made.violations(run, mdp)) == 0
    assert (run.gap >= -1e-11 * made.scale(mdp)).all()


@pytest.mark.parametrize("h", [Shannon(), Tsallis(2.0)], ids=repr)
def test_the_discount_belongs_in_the_rate(h):
    """On a chain, where news travels slowly, the error falls less than by a = 1/(1 + η_MD τ) a step, and stays within the bound."""
    mdp = chain(8, temperature=0.01)
    start = np.log(np.tile([0.01, 0.33, 0.33, 0.33], (10, 1)))
    run = policies.run("gpmd", mdp, 8, step_size=3000.0, initial=start, regulariser=h)
    assert len(made.violations(run, mdp)) == 0
    assert run.bounded[2] > run.bound[1] / (1.0 + 3000.0 * 0.01)


@pytest.mark.parametrize("h", SOME, ids=IDS)
def test_it_finds_an_optimum_that_no_change_improves(h):
    """By brute force: random policies and random changes of the optimum are worth less, by independent loops."""
    mdp = garnet(4, 3, 2, seed=5, discount=0.8, temperature=0.2)
    run = policies.run("gpmd", mdp, 200, regulariser=h)
    assert run.gap[-1] < 1e-12
    policy = np.exp(run.log_policy)
    best = made.plain_value(mdp, policy, regulariser=scalar(h))
    assert run.value[-1] == pytest.approx(best, abs=1e-12)
    rng = np.random.default_rng(0)
    for amount in (1e-3, 0.03, 1.0):
        for _ in range(50):
            other = (1.0 - amount) * policy + amount * rng.dirichlet(np.ones(3), 4)
            assert made.plain_value(mdp, other, regulariser=scalar(h)) <= best + 1e-13


@pytest.mark.parametrize("h", SOME, ids=IDS)
def test_one_step_solves_its_proximal_programme(h):
    """<−Q, p> + τh(p) + D_h(p, π)/η is no smaller at random policies than at the update."""
    mdp = garnet(4, 3, 2, seed=6, discount=0.8, temperature=0.2)
    start, eta = made.random_log_policy(mdp, 2), 0.9
    old, w = np.exp(start), mdp.actions.weights
    Q = regularised_evaluation(mdp, h, start).action_value
    new = np.exp(policies.run("gpmd", mdp, 1, step_size=eta, initial=start, regulariser=h).log_policy)

    def objective(p):
        bregman = h.value(p, w) - h.value(old, w) - ((p - old) * h.slope(old)) @ w
        return mdp.temperature * h.value(p, w) + bregman / eta - (p * Q) @ w

    rng = np.random.default_rng(1)
    for amount in (1e-3, 0.1, 1.0):
        assert (objective((1 - amount) * new + amount * rng.dirichlet(np.ones(3), 4)) >= objective(new) - 1e-13).all()


@pytest.mark.parametrize("h", SOME, ids=IDS)
def test_the_kullback_leibler_prox_solves_its_own(h):
    mdp = garnet(4, 3, 2, seed=6, discount=0.8, temperature=0.2)
    start, eta = made.random_log_policy(mdp, 2), 0.9
    old, w = np.exp(start), mdp.actions.weights
    Q = regularised_evaluation(mdp, h, start).action_value
    new = np.exp(policies.run("pmd", mdp, 1, step_size=eta, initial=start, regulariser=h).log_policy)

    def objective(p):
        return mdp.temperature * h.value(p, w) + (p * np.log(p / old)) @ w / eta - (p * Q) @ w

    rng = np.random.default_rng(1)
    for amount in (1e-3, 0.1, 1.0):
        assert (objective((1 - amount) * new + amount * rng.dirichlet(np.ones(3), 4)) >= objective(new) - 1e-13).all()


@pytest.mark.parametrize("h", SOME, ids=IDS)
def test_mirror_descent_bounds_only_what_dominates_the_entropy(h):
    mdp = garnet(5, 3, 3, seed=7, discount=0.8, temperature=0.2)
    run = policies.run("pmd", mdp, 6, regulariser=h)
    assert (run.bound_reason == "") == (not isinstance(h, Tsallis))
    assert len(made.violations(run, mdp)) == 0


def test_inexact_values_cost_the_bound():
    run = policies.run("gpmd", garnet(4, 3, 2, temperature=0.2), 5, oracle={"error": 0.01})
    assert run.bound_reason == "the theorem is for an exact oracle"
    assert run.gap[-1] > 0.0


def test_a_regulariser_needs_a_temperature():
    with pytest.raises(ValueError, match="mdp must have a temperature above 0 for a regulariser to act"):
        policies.run("gpmd", garnet(4, 3, 2, temperature=0.0), 5, step_size=1.0, regulariser=Tsallis())
