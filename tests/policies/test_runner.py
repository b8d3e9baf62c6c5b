"""`wflow.policies.run`: names, arguments, records, and what a run holds."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from hypothesis import given
from policies import made

import wflow.policies as policies
from wflow.mdp import MDP, evaluate, garnet, optimum
from wflow.spaces import Space

MINE = ("pg", "entropy_pg", "log_barrier_pg", "npg", "entropy_npg", "soft_policy_iteration", "pmd", "gpmd", "cpi")
PROBLEM = garnet(4, 3, 2, temperature=0.2)
HARD = garnet(4, 3, 2, temperature=0.0)


def step_of(name):
    return None if name == "soft_policy_iteration" else 0.1


@pytest.mark.parametrize("name", MINE)
def test_a_run_holds_what_its_docstring_says(name):
    seen, told = [], []
    run = policies.run(
        name, PROBLEM, 5, step_size=step_of(name), record=lambda t, e: seen.append((t, e)), progress=lambda t, T: told.append((t, T))
    )
    assert run.name == name
    assert run.gap.shape == run.value.shape == run.bound.shape == run.bounded.shape == (6,)
    assert all(x.shape == (6,) for x in run.diagnostics.values())
    assert [t for t, _ in seen] == list(range(6))
    assert told == [(t, 5) for t in range(6)]
    assert np.array_equal(run.log_policy, seen[-1][1].log_policy)
    assert np.allclose(np.exp(run.log_policy) @ PROBLEM.actions.weights, 1.0, atol=1e-13)
    assert run.counts["evaluations"] == 6
    assert run.seconds > 0.0
    if name not in ("pmd", "gpmd"):  # whose regulariser may be another: see test_gpmd
        best = optimum(PROBLEM).objective
        own = np.array([evaluate(PROBLEM, e.log_policy).objective for _, e in seen])
        np.testing.assert_allclose(run.value, own, rtol=1e-13)
        np.testing.assert_allclose(run.gap, best - own, atol=1e-12)


@pytest.mark.parametrize("name", MINE)
def test_no_iterations_only_evaluate_the_start(name):
    start = made.random_log_policy(PROBLEM, 1)
    run = policies.run(name, PROBLEM, 0, step_size=step_of(name), initial=start)
    assert np.array_equal(run.log_policy, start)
    assert run.value == pytest.approx([evaluate(PROBLEM, start).objective])


@pytest.mark.parametrize("name", MINE)
def test_the_initial_policy_is_not_written_to(name):
    start = made.random_log_policy(PROBLEM, 1)
    kept = start.copy()
    policies.run(name, PROBLEM, 2, step_size=step_of(name), initial=start)
    assert np.array_equal(start, kept)


def test_every_name_is_a_method():
    for name in MINE:
        assert issubclass(policies.get(name), policies.PolicyMethod)
        assert policies.get(name).__doc__
    assert set(MINE) <= set(policies.names())


@given(made.mdps(weights="unequal", temperature=0.0))
def test_the_default_start_is_uniform_in_probability_without_entropy(mdp):
    run = policies.run("npg", mdp, 0)
    np.testing.assert_allclose(mdp.actions.weights * np.exp(run.log_policy), 1.0 / mdp.n_actions, rtol=1e-14)


@given(made.mdps(weights="unequal"))
def test_the_default_start_is_uniform_in_density_with_entropy(mdp):
    run = policies.run("npg", mdp, 0)
    np.testing.assert_allclose(np.exp(run.log_policy), 1.0 / mdp.actions.weights.sum(), rtol=1e-14)


BAD = [
    ({"name": "ngp"}, ValueError, r"name must be one of .*did you mean 'npg'"),
    ({"mdp": None}, TypeError, "mdp must be a wflow.mdp.MDP"),
    ({"n_iterations": -1}, ValueError, "n_iterations must be an integer of at least 0"),
    ({"n_iterations": 1.5}, TypeError, "n_iterations must be an integer"),
    ({"step_size": 0.0}, ValueError, "step_size must be a finite number above 0; got 0.0"),
    ({"initial": np.zeros((4, 2))}, ValueError, r"initial must have shape \(4, 3\)"),
    ({"initial": np.zeros((4, 3))}, ValueError, r"initial must be a log density.*got 3.0 in state 0"),
    ({"initial": np.full((4, 3), -np.inf)}, ValueError, "initial must be finite"),
    ({"start": [0.5, 0.5]}, ValueError, r"start must have shape \(4,\)"),
    ({"start": [0.5, 0.5, 0.5, 0.5]}, ValueError, "start must sum to 1"),
    ({"oracle": "exat", "name": "entropy_npg"}, ValueError, "oracle must be one of exact, inexact; got 'exat'.*'exact'"),
    ({"oracle": {"eror": 0.1}}, ValueError, "oracle must be one of error, .*'error'"),
    ({"oracle": {"error": -1.0}}, ValueError, r"oracle\['error'\] must be a finite number at least 0"),
    ({"oracle": {"trajectories": 4}, "name": "entropy_npg"}, ValueError, "oracle must be one of exact, inexact; got 'sampled'"),
    ({"oracle": {"error": 0.1, "horizon": 4}}, ValueError, "an error or trajectories, not both"),
    ({"oracle": 3, "name": "entropy_npg"}, TypeError, "oracle must be one of exact, inexact or a mapping"),
    ({"record": 3}, TypeError, "record must be a function or None; got 3"),
    ({"progress": 3}, TypeError, "progress must be a function or None; got 3"),
    ({"barier": 0.1, "name": "log_barrier_pg"}, TypeError, "log_barrier_pg has no option 'barier'.*'barrier'"),
    ({"barrier": 0.1, "name": "entropy_npg"}, TypeError, "entropy_npg has no option 'barrier'; it has none"),
    ({"barrier": 0.0, "name": "log_barrier_pg"}, ValueError, "barrier must be a finite number above 0"),
    ({"name": "gpmd", "regulariser": "shannon"}, TypeError, "regulariser must be a wflow.policies.regularisers.Regulariser"),
    ({"name": "cpi", "step_size": 1.5}, ValueError, "step_size must be at most 1"),
    ({"name": "cpi"}, ValueError, "step_size must be given: the default of cpi is for temperature 0"),
    ({"name": "soft_policy_iteration", "step_size": 0.1}, ValueError, "step_size must be left out"),
    ({"name": "entropy_npg", "mdp": HARD}, ValueError, "step_size must be given"),
    ({"name": "entropy_pg", "mdp": HARD}, ValueError, "mdp must have a temperature above 0"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "error", "match"), BAD)
def test_bad_input_is_named(changes, error, match):
    call = {"name": "npg", "mdp": PROBLEM, "n_iterations": 3, **changes}
    with pytest.raises(error, match=match):
        policies.run(call.pop("name"), call.pop("mdp"), call.pop("n_iterations"), **call)


def test_inexact_values_are_off_by_the_error_exactly_and_by_the_seed():
    def method(seed):
        return made_method("npg", {"error": 0.25, "seed": seed})

    evaluation = evaluate(PROBLEM, method(0).setting.initial)
    first, again, other = (method(seed).action_value(evaluation) for seed in (0, 0, 1))
    np.testing.assert_allclose(np.abs(first - evaluation.action_value), 0.25, rtol=1e-12)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def made_method(name, oracle):
    from wflow.policies.runner import prepare

    return prepare(policies.get(name), name, PROBLEM, 1, None, None, None, oracle, {})


def test_a_run_that_leaves_the_numbers_says_so():
    match = r"npg: the value at iterate \d is nan; take a smaller step_size"
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match=match):
        policies.run("npg", PROBLEM, 10, step_size=1e100)


def test_options_are_keyword_only_and_documented():
    for name in MINE:
        cls = policies.get(name)
        for key, parameter in inspect.signature(cls).parameters.items():
            if parameter.kind is parameter.KEYWORD_ONLY:
                assert f"{key} :" in inspect.getdoc(cls)


def test_action_weights_only_change_the_measure():
    """Splitting an action into two copies that share its weight changes no value, at τ > 0 (densities)."""
    split = MDP(
        reward=PROBLEM.reward[:, [0, 0, 1, 2]],
        transition=PROBLEM.transition.to_dense()[:, [0, 0, 1, 2]],
        discount=PROBLEM.discount,
        temperature=PROBLEM.temperature,
        actions=Space.finite(4, [0.3, 0.7, 1.0, 1.0]),
    )
    for name in ("npg", "entropy_npg", "soft_policy_iteration", "pmd", "gpmd", "cpi"):
        one, two = (policies.run(name, mdp, 5, step_size=step_of(name)) for mdp in (PROBLEM, split))
        np.testing.assert_allclose(two.value, one.value, rtol=1e-12)
        np.testing.assert_allclose(two.log_policy[:, [0, 2, 3]], one.log_policy, atol=1e-10)
