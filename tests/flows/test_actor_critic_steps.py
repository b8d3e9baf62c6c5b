"""Steps of the actor–critic flow: orders, the paper's discrete scheme, what a fast critic costs each method."""

from __future__ import annotations

import numpy as np
import pytest
from flows.small_mdps import normalised, paper_field, random_features, random_law, random_mdp, random_policy

import wflow
from wflow.flows import ActorCriticFlow, ActorCriticState


def reference(problem, features, start, t_end, eta):
    flow = ActorCriticFlow(problem, features, time_scale=eta)
    return wflow.solve(flow, start, t_end, "Radau", rtol=1e-10, atol=1e-12, record=[t_end]).final


def distance(state, other):
    return max(np.abs(state.log_policy - other.log_policy).max(), np.abs(state.parameters - other.parameters).max())


@pytest.mark.parametrize(("critic", "order", "eta"), [
    ("exponential", 2, 5.0), ("exponential", 2, lambda t: 4.0 + t), ("exponential", 2, ("exponential", 20.0, 1.0)), ("exponential", 2, 1e5),
    ("discrete", 1, 5.0),
])  # fmt: skip
def test_order_of_the_steps(critic, order, eta):
    problem = random_mdp(2)
    features, start = random_features(problem, 4, 1), random_policy(problem, 1)
    exact = reference(problem, features, start, 1.0, eta)
    flow = ActorCriticFlow(problem, features, time_scale=eta, critic=critic)
    errors = [distance(wflow.solve(flow, start, 1.0, options={"dt": dt}).final, exact) for dt in (1 / 40, 1 / 80, 1 / 160)]
    assert np.log2(np.array(errors[:-1]) / errors[1:]) == pytest.approx(order, abs=0.15)


def test_discrete_scheme_is_the_papers():
    """``θ' = θ − h g(θ, π)``, then the minimiser of ``<A_θ', π'> + KL(π'|π)/λ``: ``π' ∝ π exp(−λ A_θ')``, in costs."""
    problem = random_mdp(5)
    features, beta, dt, eta = random_features(problem, 3, 0), random_law(problem, 1), 0.2, 2.0
    log_policy, theta = random_policy(problem, 2), np.array([0.3, -1.0, 0.7])
    flow = ActorCriticFlow(problem, features, time_scale=eta, beta=beta, critic="discrete")
    run = wflow.solve(flow, ActorCriticState(log_policy, theta), 3 * dt, options={"dt": dt})
    cost_theta = -theta
    for _ in range(3):
        cost_theta = cost_theta + dt * eta * paper_field(problem, features, beta, cost_theta, log_policy)[0]
        log_policy = normalised(log_policy + dt * paper_field(problem, features, beta, cost_theta, log_policy)[1], problem.actions.weights)
    assert np.abs(run.final.parameters + cost_theta).max() <= 1e-12
    assert np.abs(run.final.log_policy - log_policy).max() <= 1e-12


def test_fast_critic_is_no_burden_to_exponential_steps():
    """At η = 10⁶ the run stays near the quasi-static one, and beyond 10⁵ no more steps are taken however large η."""
    problem = random_mdp(7)
    features, start = random_features(problem, 4, 2), random_policy(problem, 3)
    limit = wflow.solve(ActorCriticFlow(problem, features, critic="quasi_static"), start, 5.0, "tsit5", rtol=1e-9, atol=1e-11).final
    fast = wflow.solve(ActorCriticFlow(problem, features, time_scale=1e6, critic="exponential"), start, 5.0, rtol=1e-4)
    assert fast.status.ok
    assert np.abs(fast.final.log_policy - limit.log_policy).max() <= 1e-3
    flows = [ActorCriticFlow(problem, features, time_scale=eta, critic="exponential") for eta in (1e5, 1e7, 1e9)]
    steps = [wflow.solve(flow, start, 5.0, rtol=1e-3).counts["steps"] for flow in flows]
    assert max(steps) <= 1.1 * min(steps)


def test_stabilised_method_on_the_joint_equation():
    """It pays for η by its square root (10 for 100), where an explicit method pays by η."""
    problem = random_mdp(7)
    features, start = random_features(problem, 4, 2), random_policy(problem, 3)
    exact = reference(problem, features, start, 2.0, 100.0)
    run = wflow.solve(ActorCriticFlow(problem, features, time_scale=100.0), start, 2.0, "rkc2", rtol=1e-5, atol=1e-7)
    assert distance(run.final, exact) <= 1e-3
    counts = [wflow.solve(ActorCriticFlow(problem, features, time_scale=eta), start, 5.0, "rkc2", rtol=1e-3).counts["rhs"]
              for eta in (1e2, 1e4)]  # fmt: skip
    assert counts[1] <= 12.0 * counts[0]


@pytest.mark.parametrize(("critic", "options"), [("ode", {}), ("exponential", {}), ("discrete", {"dt": 0.01}), ("quasi_static", {})])
def test_runs_are_stored_and_resumed_to_the_bit(tmp_path, critic, options):
    problem = random_mdp(1)
    whole, parts = tmp_path / "whole.h5", tmp_path / "parts.h5"

    def run(path, t_end, **keywords):
        flow = ActorCriticFlow(problem, random_features(problem, 3, 0), time_scale=20.0, critic=critic)
        return wflow.solve(flow, None, t_end, path=path, options=options, checkpoint=0.0, **keywords)

    once = run(whole, 1.0)
    run(parts, 1.0, max_steps=3)
    again = run(parts, 1.0, resume=True)
    stored = wflow.open(parts)
    for final in (again.final, stored.final):
        assert np.array_equal(final.log_policy, once.final.log_policy)
        assert final.parameters is None if critic == "quasi_static" else np.array_equal(final.parameters, once.final.parameters)
    assert np.array_equal(stored.finals["parameters"], once.finals["parameters"])


def test_dense_output_is_a_shorter_step():
    problem = random_mdp(1)
    flow = ActorCriticFlow(problem, random_features(problem, 3, 0), time_scale=20.0, critic="exponential")
    run = wflow.solve(flow, None, 1.0, options={"dt": 0.5}, record=[0.2, 1.0])
    short = wflow.solve(flow, None, 0.2, options={"dt": 0.5})
    assert run.diagnostics["energy"][1] == pytest.approx(short.energy[-1], rel=1e-14)
