"""Fisher–Rao flow: its identities and bound on random MDPs, the bandit's closed form, Euler's steps as natural policy gradient."""

from __future__ import annotations

import numpy as np
import pytest
from flows.small_mdps import normalised, random_mdp, random_policy, scale_of
from hypothesis import given, settings
from hypothesis import strategies as st

import wflow
from wflow import mdp
from wflow.flows import FisherRaoFlow
from wflow.flows._tabular_policy import policy_norm
from wflow.mdp import MDP
from wflow.spaces import Space

KINDS = st.sampled_from(["plain", "ties", "point mass"])


problems = st.builds(random_mdp, st.integers(0, 10_000), n_s=st.integers(1, 6), n_a=st.integers(2, 5), kind=KINDS,
                     discount=st.sampled_from([0.0, 0.5, 0.9, 0.99]), temperature=st.sampled_from([0.05, 0.5, 2.0]))  # fmt: skip


@given(problems, st.integers(0, 100))
def test_identities_hold_to_rounding(problem, seed):
    """dD/dt by its definition against the formula; dissipation by loops; both certificates."""
    flow = FisherRaoFlow(problem)
    log_policy = random_policy(problem, seed)
    y = flow.pack(log_policy)
    found = flow.diagnostics(0.0, y)
    scale = scale_of(problem)
    assert found["rate_defect"] <= 1e-11 * scale
    rate = flow.rhs(0.0, y).reshape(problem.reward.shape)
    best, weights = mdp.optimum(problem), problem.actions.weights
    law = (1.0 - problem.discount) * mdp.evaluate(problem, best.log_policy).occupancy
    divergence = change = dissipation = 0.0
    visits = mdp.evaluate(problem, log_policy).occupancy
    for i in range(problem.n_states):
        for j in range(problem.n_actions):
            mass = law[i] * weights[j] * best.policy[i, j]
            divergence += mass * (best.log_policy[i, j] - log_policy[i, j])
            change -= mass * rate[i, j]
            dissipation += visits[i] * weights[j] * np.exp(log_policy[i, j]) * rate[i, j] ** 2
    assert found["divergence"] == pytest.approx(divergence, abs=1e-11 * scale)
    expected = -(1.0 - problem.discount) * (best.objective - found["energy"]) - problem.temperature * divergence
    assert found["divergence_rate"] == pytest.approx(change, abs=1e-11 * scale)
    assert change == pytest.approx(expected, abs=1e-11 * scale)
    assert found["dissipation"] == pytest.approx(dissipation, rel=1e-11)
    assert found["gap_lower"] <= found["gap"] * (1.0 + 1e-9) + 1e-13 * scale
    assert found["gap"] <= found["gap_upper"] * (1.0 + 1e-9) + 1e-13 * scale


@pytest.mark.parametrize("kind", ["plain", "ties", "point mass"])
def test_dissipation_is_the_rate_of_the_energy(kind):
    """By central differences along the field: exact up to h² and rounding / h."""
    problem = random_mdp(3, kind=kind)
    flow = FisherRaoFlow(problem)
    log_policy = random_policy(problem, 1)
    y = flow.pack(log_policy)
    f, h = flow.rhs(0.0, y), 1e-5
    ends = [mdp.evaluate(problem, flow.unpack(y + sign * h * f)).objective for sign in (1.0, -1.0)]
    assert flow.diagnostics(0.0, y)["dissipation"] == pytest.approx((ends[0] - ends[1]) / (2.0 * h), rel=1e-7)


@settings(max_examples=200)
@given(problems, st.integers(0, 100))
def test_bound_is_never_violated_and_energy_rises(problem, seed):
    flow = FisherRaoFlow(problem)
    t_end = 3.0 / problem.temperature
    run = wflow.solve(flow, random_policy(problem, seed, spread=3.0), t_end, "tsit5", rtol=1e-6, atol=1e-9)
    assert run.status.ok
    found = run.diagnostics
    assert found["bound"][0] == np.inf
    rounding = 1e-12 * scale_of(problem)
    assert (found["gap"] <= found["bound"] + rounding).all()
    assert (np.diff(found["energy"]) >= -rounding).all()
    assert (np.diff(found["divergence"]) <= rounding).all()
    assert (found["rate_defect"] <= 1e-11 * scale_of(problem)).all()


def bandit(temperature=0.4, n_a=6):
    rng = np.random.default_rng(5)
    return MDP(reward=rng.standard_normal((1, n_a)), transition=None, discount=0.0, temperature=temperature,
               actions=Space.finite(n_a, rng.uniform(0.5, 1.5, n_a)))  # fmt: skip


def closed_form(problem, log_policy, t):
    """``log π_t = e^{−τt} log π_0 + (1 − e^{−τt}) r/τ + const``."""
    decay = np.exp(-problem.temperature * t)
    return normalised(decay * log_policy + (1.0 - decay) * problem.reward / problem.temperature, problem.actions.weights)


@pytest.mark.parametrize("method", ["tsit5", "rkc2", "DOP853"])
def test_closed_form_on_the_bandit(method):
    problem = bandit()
    start = random_policy(problem, 2, spread=2.0)
    run = wflow.solve(FisherRaoFlow(problem), start, 4.0, method, rtol=1e-8, atol=1e-10)
    # The flow contracts, so that the steps' errors, root mean squares of 1e-8 + 1e-10 up to a constant, at most add up; a single
    # entry weighs no less than w_min/|A|.
    law = problem.actions.weights / problem.actions.total
    allowed = run.counts["steps"] * 1.01e-8 / np.sqrt(law.min())
    assert np.abs(run.final - closed_form(problem, start, 4.0)).max() <= 2.0 * allowed


@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("heun", 2)])
def test_order_on_the_bandit(method, order):
    problem = bandit()
    start = random_policy(problem, 2)
    errors = []
    for dt in (0.1, 0.05, 0.025):
        options = {"dt": dt} if method == "euler" else {"first_step": dt, "max_step": dt}
        run = wflow.solve(FisherRaoFlow(problem), start, 2.0, method, rtol=1e3, options=options)
        errors.append(np.abs(run.final - closed_form(problem, start, 2.0)).max())
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert orders == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("temperature", [0.0, 0.3])
def test_euler_is_natural_policy_gradient(temperature):
    """``π ∝ π^{1−ητ} exp(ηQ)`` with step η = dt, in the densities themselves."""
    problem = random_mdp(7, temperature=temperature)
    weights = problem.actions.weights
    start, dt, n = random_policy(problem, 1), 0.25, 12
    run = wflow.solve(FisherRaoFlow(problem), start, n * dt, "euler", options={"dt": dt})
    policy = np.exp(start)
    for _ in range(n):
        Q = mdp.evaluate(problem, np.log(policy)).action_value
        policy = policy ** (1.0 - dt * temperature) * np.exp(dt * (Q - Q.max()))
        policy /= (policy @ weights)[:, None]
    assert np.abs(np.exp(run.final) - policy).max() <= 1e-12
    assert np.abs(np.exp(run.final) @ weights - 1.0).max() <= 1e-14


def test_field_does_not_see_functions_of_the_state():
    problem = random_mdp(11)
    flow = FisherRaoFlow(problem)
    y = flow.pack(random_policy(problem, 4))
    shifted = y + np.repeat(np.random.default_rng(0).uniform(-50.0, 50.0, problem.n_states), problem.n_actions)
    assert np.abs(flow.rhs(0.0, shifted) - flow.rhs(0.0, y)).max() <= 1e-12 * scale_of(problem)
    assert np.abs(flow.unpack(shifted) - flow.unpack(y)).max() <= 1e-13


def radius_by_differences(flow, y, h=1e-6):
    columns = [(flow.rhs(0.0, y + h * unit) - flow.rhs(0.0, y - h * unit)) / (2.0 * h) for unit in np.eye(y.size)]
    return np.abs(np.linalg.eigvals(np.stack(columns, axis=1))).max()


@settings(max_examples=20)
@given(problems, st.integers(0, 50))
def test_spectral_radius_is_a_bound(problem, seed):
    flow = FisherRaoFlow(problem)
    y = flow.pack(random_policy(problem, seed))
    # eigenvalues may be defective, so that errors of 1e-8 of the differences show as their root
    assert radius_by_differences(flow, y) <= flow.spectral_radius(0.0, y) * (1.0 + 1e-3) + 1e-4 * scale_of(problem)
    if problem.discount == 0.0:
        assert flow.spectral_radius(0.0, y) == problem.temperature


def test_spectral_radius_is_nearly_attained():
    """Two states, stay or switch, a policy that stays but for 1 in 1000: an eigenvalue is 2γ x/(1 − 0.998 γ) − τ, x = π δ of staying."""
    P = np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]])
    problem = MDP(reward=[[1.0, -500.0]] * 2, transition=P, discount=0.9, temperature=0.01)
    flow = FisherRaoFlow(problem)
    y = flow.pack(np.log([[0.999, 0.001]] * 2))
    x = 0.999 * flow.rhs(0.0, y)[0]
    found = radius_by_differences(flow, y)
    assert found == pytest.approx(2.0 * 0.9 * x / (1.0 - 0.998 * 0.9) - 0.01, rel=1e-6)
    assert found <= flow.spectral_radius(0.0, y) <= 1.05 * found


def test_no_temperature():
    """τ = 0: the optimum is deterministic, the bound ``D_0/((1 − γ) t)``."""
    problem = random_mdp(2, temperature=0.0)
    flow = FisherRaoFlow(problem)
    start = random_policy(problem, 3)
    run = wflow.solve(flow, start, 20.0, "tsit5", rtol=1e-6, atol=1e-9)
    found = run.diagnostics
    assert found["bound"][-1] == pytest.approx(found["divergence"][0] / (1.0 - problem.discount) / 20.0, rel=1e-12)
    assert (found["gap"] <= found["bound"] + 1e-12 * scale_of(problem)).all()
    assert (found["rate_defect"] <= 1e-11 * scale_of(problem)).all()


def test_start_at_the_optimum_rests():
    problem = random_mdp(5)
    run = wflow.solve(FisherRaoFlow(problem), mdp.optimum(problem).log_policy, 1.0, record=[1.0])
    assert run.diagnostics["gap"][-1] <= 1e-20
    assert run.diagnostics["dissipation"][-1] <= 1e-20


def test_error_norm_counts_relative_errors_of_the_policy():
    weights = np.array([1.0, 3.0])
    error = np.array([0.3, -0.1, 7.0, 7.0])  # of mean 0 under (1/4, 3/4); then a function of the state only
    assert policy_norm(error, weights, 1e-3, 1e-3) == pytest.approx(np.sqrt((0.25 * 0.09 + 0.75 * 0.01) / 2.0) / 2e-3, rel=1e-14)


def test_uniform_start_files_and_safeguard(tmp_path):
    """A stored run gives its policies back without the flow; resuming and the safeguard find what they need."""
    problem = random_mdp(9)
    path = tmp_path / "run.h5"
    run = wflow.solve(FisherRaoFlow(problem), None, 1.0, path=path, options={"safeguard": True})
    assert run.status.ok
    first = next(run.states())
    assert np.abs(np.exp(first) - 1.0 / problem.actions.total).max() <= 1e-15
    stored = wflow.open(path)
    assert np.array_equal(stored.final, run.final)
    assert np.array_equal(stored.finals["log_policy"], run.final)
    further = wflow.solve(FisherRaoFlow(problem), None, 2.0, path=path, options={"safeguard": True}, resume=True)
    assert further.status.ok
    assert further.diagnostics["bound"][-1] < run.diagnostics["bound"][-1]


@pytest.mark.parametrize(("initial", "message"), [
    (np.zeros((4, 2)), r"initial must have shape \(4, 3\)"),
    (np.zeros((4, 3)), "initial must be a log density"),
    (np.full((4, 3), -np.inf), "initial must be finite"),
    ("uniform", "initial must be an array"),
])  # fmt: skip
def test_bad_initial_states_are_named(initial, message):
    flow = FisherRaoFlow(random_mdp(1, n_s=4))
    with pytest.raises((ValueError, TypeError), match=message):
        wflow.solve(flow, initial, 1.0)


def test_bad_problem_is_named():
    with pytest.raises(TypeError, match="mdp must be"):
        FisherRaoFlow("bandit")
