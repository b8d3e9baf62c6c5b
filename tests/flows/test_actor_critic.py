"""Actor–critic flow: the paper's equations in costs, its identities and assumptions, the limit of a fast critic, unbounded costs."""

from __future__ import annotations

import numpy as np
import pytest
from flows.small_mdps import linear_mdp, paper_field, random_features, random_law, random_mdp, random_policy, scale_of
from hypothesis import given, settings
from hypothesis import strategies as st

import wflow
from wflow import mdp
from wflow.flows import ActorCriticFlow, ActorCriticState, FisherRaoFlow, tabular_features
from wflow.mdp import MDP
from wflow.spaces import Space

problems = st.builds(random_mdp, st.integers(0, 10_000), n_s=st.integers(1, 4), n_a=st.integers(2, 4),
                     discount=st.sampled_from([0.0, 0.5, 0.9]), temperature=st.sampled_from([0.1, 1.0]),
                     kind=st.sampled_from(["plain", "ties", "point mass"]))  # fmt: skip


@settings(max_examples=30)
@given(problems, st.integers(0, 100))
def test_field_is_the_papers_with_the_sign_changed(problem, seed):
    features, beta, log_policy = random_features(problem, 2, seed), random_law(problem, seed), random_policy(problem, seed)
    theta = np.random.default_rng(seed).standard_normal(2)
    flow = ActorCriticFlow(problem, features, time_scale=3.0, beta=beta)
    found = flow.rhs(0.0, flow.pack(ActorCriticState(log_policy, theta)))
    critic, actor = paper_field(problem, features, beta, -theta, log_policy)
    assert np.abs(found[:2] + 3.0 * critic).max() <= 1e-11 * scale_of(problem)
    assert np.abs(found[2:] - actor.ravel()).max() <= 1e-11 * scale_of(problem)


@given(problems, st.integers(0, 100))
def test_rate_of_the_divergence_holds_to_rounding(problem, seed):
    """With any critic: dD/dt by its definition against the gap, D and the critic's error."""
    flow = ActorCriticFlow(problem, random_features(problem, 2, seed), beta=random_law(problem, seed))
    y = flow.pack(ActorCriticState(random_policy(problem, seed), np.random.default_rng(seed).standard_normal(2)))
    assert flow.diagnostics(0.0, y)["rate_defect"] <= 1e-11 * scale_of(problem)


def test_rate_of_the_energy():
    """By central differences along the field."""
    problem = random_mdp(6)
    flow = ActorCriticFlow(problem, random_features(problem, 4, 0))
    y = flow.pack(ActorCriticState(random_policy(problem, 1), np.array([1.0, 2.0, -1.0, 0.3])))
    f, h = flow.rhs(0.0, y), 1e-5
    ends = [mdp.evaluate(problem, flow.unpack(y + sign * h * f).log_policy).objective for sign in (1.0, -1.0)]
    assert flow.diagnostics(0.0, y)["energy_rate"] == pytest.approx((ends[0] - ends[1]) / (2.0 * h), rel=1e-7)


def test_constants_and_assumptions():
    problem = random_mdp(8, discount=0.5, temperature=0.1)
    beta = random_law(problem, 2)
    flow = ActorCriticFlow(problem, tabular_features(problem), beta=beta, time_scale=("exponential", 5.0, 0.1))
    found = flow.diagnostics(0.0, flow.pack(None))
    assert found["lambda_beta"] == pytest.approx(beta.min(), rel=1e-12)
    assert found["Gamma"] == pytest.approx(beta.min() * 0.5 * (1.0 - np.sqrt(0.5)), rel=1e-12)
    assert found["eta"] == 5.0
    assert [found[name] for name in ("features_bounded", "features_excited", "realisable", "time_scale_admissible")] == [1.0] * 4
    assert found["critic_fast"] == float(0.1 / found["Gamma"] < 5.0)
    assert found["K"] == pytest.approx(0.0, abs=1e-14)  # the uniform policy is μ itself
    assert found["exact_critic_bound"] == np.inf
    assert np.isnan(found["bound"])


def test_assumptions_that_fail():
    problem = random_mdp(8)
    features = 2.0 * random_features(problem, 2, 3)
    features = np.hstack([features, features[:, :1]])  # too long, and dependent
    flow = ActorCriticFlow(problem, features, time_scale=0.5)
    found = flow.diagnostics(0.0, flow.pack(random_policy(problem, 0)))
    flags = ("features_bounded", "features_excited", "realisable", "critic_fast", "time_scale_admissible")
    assert [found[name] for name in flags] == [0.0] * 5
    assert found["realisation_error"] > 1e-3


def test_realisable_with_few_features():
    problem, features = linear_mdp(1)
    flow = ActorCriticFlow(problem, features, critic="quasi_static")
    found = flow.diagnostics(0.0, flow.pack(random_policy(problem, 3)))
    assert found["realisable"] == 1.0
    assert found["critic_error"] <= 1e-10 * scale_of(problem)


@settings(max_examples=30)
@given(problems, st.integers(0, 100))
def test_quasi_static_with_tabular_features_is_fisher_rao(problem, seed):
    flow, exact = ActorCriticFlow(problem, tabular_features(problem), critic="quasi_static"), FisherRaoFlow(problem)
    log_policy = random_policy(problem, seed)
    y = flow.pack(log_policy)
    assert np.abs(flow.rhs(0.0, y) - exact.rhs(0.0, exact.pack(log_policy))).max() <= 1e-11 * scale_of(problem)
    assert flow.unpack(y).parameters is None
    bellman = mdp.evaluate(problem, log_policy)
    assert np.abs(flow.finals(0.0, y)["parameters"] - bellman.action_value.ravel()).max() <= 1e-11 * scale_of(problem)


@settings(max_examples=15)
@given(problems, st.integers(0, 100))
def test_bound_is_never_violated_with_an_exact_critic(problem, seed):
    flow = ActorCriticFlow(problem, tabular_features(problem), critic="quasi_static")
    run = wflow.solve(flow, random_policy(problem, seed, spread=3.0), 3.0 / problem.temperature, "tsit5", rtol=1e-6, atol=1e-9)
    found = run.diagnostics
    assert np.array_equal(found["bound"], found["exact_critic_bound"])
    assert (found["gap"] <= found["bound"] + 1e-12 * scale_of(problem)).all()
    assert (found["rate_defect"] <= 1e-11 * scale_of(problem)).all()


def test_bound_with_few_features_that_realise():
    problem, features = linear_mdp(5)
    run = wflow.solve(ActorCriticFlow(problem, features, critic="quasi_static"), random_policy(problem, 0, 3.0), 10.0, rtol=1e-5)
    assert (run.diagnostics["gap"] <= run.diagnostics["bound"] + 1e-12 * scale_of(problem)).all()


def test_critic_error_falls_with_the_time_scale():
    """As 1/η once the start is forgotten: Γ η t is 25 at the least."""
    problem = random_mdp(3, discount=0.5)
    start = random_policy(problem, 1)
    errors = []
    for eta in (1e4, 1e5, 1e6):
        flow = ActorCriticFlow(problem, tabular_features(problem), time_scale=eta, critic="exponential")
        run = wflow.solve(flow, start, 0.2, rtol=1e-7, atol=1e-9, record=[0.2])
        errors.append(run.diagnostics["critic_error"][-1])
    slopes = np.diff(np.log10(errors))
    assert slopes == pytest.approx(-1.0, abs=0.05)


def test_growing_time_scale_makes_the_critic_exact():
    """``η_t = a e^{bt}``: the critic's error falls, the gap ends below what an exact critic is sure of."""
    problem = random_mdp(9, discount=0.5)
    flow = ActorCriticFlow(problem, tabular_features(problem), time_scale=("exponential", 50.0, 2.0), critic="exponential")
    run = wflow.solve(flow, random_policy(problem, 1), 8.0, rtol=1e-4, atol=1e-7)
    found = run.diagnostics
    assert found["eta"][-1] == pytest.approx(50.0 * np.exp(16.0))
    assert found["critic_error"][-1] <= 1e-5 * found["critic_error"].max()
    assert found["gap"][-1] <= found["exact_critic_bound"][-1]
    assert np.isfinite(found["K"]).all()


def test_time_scale_that_exceeds_all_numbers():
    problem = random_mdp(9, discount=0.5)
    flow = ActorCriticFlow(problem, tabular_features(problem), time_scale=("exponential", 1.0, 1000.0), critic="exponential")
    run = wflow.solve(flow, None, 2.0)
    assert run.status.ok
    assert run.diagnostics["eta"][-1] == np.inf


def quadratic_costs(half_width):
    """``c = s² + a² + a tanh s`` on [−L, L]², ``s' ~ N(a/2, 1)``, μ the standard normal law: as on R², but for what lies beyond L.

    The costs' supremum grows as L²; features (1, s², a, a², a tanh s), of size 1 at most; β a normal law on both.
    """
    states, axis = Space.gauss_legendre(32, -half_width, half_width), Space.gauss_legendre(40, -half_width, half_width)
    s, a = states.nodes[:, 0], axis.nodes[:, 0]
    mu, start = axis.weights * np.exp(-0.5 * a**2), states.weights * np.exp(-0.5 * s**2)
    law = states.weights * np.exp(-0.5 * (s - 0.5 * a[:, None]) ** 2)
    law /= law.sum(axis=1, keepdims=True)
    s, cross = s[:, None] + 0.0 * a, np.tanh(s)[:, None] * a
    a = a + 0.0 * s
    problem = MDP(reward=-(s**2) - a**2 - cross, transition=np.tile(law, (32, 1, 1)), discount=0.5, temperature=1.0, states=states,
                  actions=Space(axis.nodes, mu / mu.sum()), initial=start / start.sum())  # fmt: skip
    features = np.stack([np.ones_like(s), s**2, a, a**2, cross], axis=-1).reshape(-1, 5)
    features /= np.sqrt(np.square(features).sum(axis=1).max())
    return problem, features, np.outer(start / start.sum(), mu / mu.sum())


@pytest.mark.parametrize("critic", ["quasi_static", "exponential"])
def test_divergence_from_the_reference_stays_finite_for_unbounded_costs(critic):
    """The largest K_t settles as the box grows, while the costs' supremum goes on as L²: 40, 84, 144."""
    largest = []
    for half_width in (4.0, 6.0, 8.0):
        problem, features, beta = quadratic_costs(half_width)
        flow = ActorCriticFlow(problem, features, time_scale=1e6, beta=beta, critic=critic)
        run = wflow.solve(flow, None, 4.0, rtol=1e-6, atol=1e-8)
        found = run.diagnostics
        assert run.status.ok
        assert found["features_bounded"].all()
        assert found["features_excited"].all()
        assert found["gap"][-1] <= 1e-2 * found["gap"][0]
        largest.append(found["K"].max())
    assert abs(largest[2] - largest[1]) <= 1e-3 * largest[2]


FINE = np.eye(9)


@pytest.mark.parametrize(("features", "keywords", "message"), [
    (FINE[:8], {}, r"features must have shape \(9, any\)"),
    (np.zeros((9, 0)), {}, "features must have from 1 to"),
    (FINE, {"beta": np.ones((3, 3))}, "beta must sum to 1"),
    (FINE, {"beta": np.ones(9) / 9}, r"beta must have shape \(3, 3\)"),
    (FINE, {"time_scale": 0.0}, "time_scale must be a finite number above 0"),
    (FINE, {"time_scale": ("linear", 1.0, 2.0)}, "time_scale must be a number"),
    (FINE, {"time_scale": ("exponential", 1.0, -2.0)}, r"time_scale\[2\] must be"),
    (FINE, {"critic": "quasistatic"}, "did you mean 'quasi_static'"),
    (np.ones((9, 2)), {"critic": "exponential"}, "features must be linearly independent under beta"),
])  # fmt: skip
def test_bad_arguments_are_named(features, keywords, message):
    with pytest.raises((ValueError, TypeError), match=message):
        ActorCriticFlow(random_mdp(0), features, **keywords)


def test_bad_runs_are_named():
    problem = random_mdp(0)
    discrete = ActorCriticFlow(problem, FINE, critic="discrete")
    with pytest.raises((ValueError, TypeError), match="dt must be"):
        wflow.solve(discrete, None, 1.0)
    with pytest.raises(ValueError, match=r"initial\.parameters must have shape \(9,\)"):
        wflow.solve(discrete, ActorCriticState(None, np.zeros(3)), 1.0, options={"dt": 0.1})
    with pytest.raises(ValueError, match=r"initial\.parameters must be None"):
        wflow.solve(ActorCriticFlow(problem, FINE, critic="quasi_static"), ActorCriticState(None, np.zeros(9)), 1.0)
    with pytest.raises(ValueError, match=r"time_scale\(0\) must be"):
        wflow.solve(ActorCriticFlow(problem, FINE, time_scale=lambda t: t), None, 1.0)
