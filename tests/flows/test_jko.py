"""Minimising movements of particles: exact steps, order in time, the descent inequality, labels against W2, failure and resume."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wflow.energies import Entropy, PolicyValue, Potential, PowerLaw, QuadraticInteraction
from wflow.flows.jko import JKOFlow, JKOSteps
from wflow.flows.moving_particles import MovingParticles
from wflow.loop import Status, solve
from wflow.mdp import agazzi_lu_bandit
from wflow.measures import GridMeasure, ParticleMeasure
from wflow.measures.distances import w2


def cloud(seed=0, n=12, m=2, even=False):
    rng = np.random.default_rng(seed)
    return ParticleMeasure(rng.standard_normal((n, m)), None if even else rng.dirichlet(np.full(n, 3.0)))


def waves(x):
    """Not convex: wells in every direction."""
    return (np.cos(3.0 * x) + 0.1 * x**4).sum(axis=1)


def waves_gradient(x):
    return -3.0 * np.sin(3.0 * x) + 0.4 * x**3


class Labelled:
    """Springs from particle n to a place of its own: no functional of measures, whose steps may cross."""

    sense = -1

    def __init__(self, places):
        self.places = places

    def value(self, measure):
        return 0.5 * float(measure.weights @ ((measure.points - self.places) ** 2).sum(axis=1))

    def velocity(self, measure):
        return self.places - measure.points


class Rough(Labelled):
    """A velocity that is no gradient of the value."""

    def velocity(self, measure):
        return np.stack((measure.points[:, 1], -measure.points[:, 0]), axis=1) + 3.0


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 15), m=st.integers(1, 4), h=st.floats(1e-4, 10.0), kappa=st.floats(0.0, 5.0),
       attraction=st.floats(0.0, 5.0))  # fmt: skip
def test_quadratic_steps_are_exact(seed, n, m, h, kappa, attraction):
    """The mean is divided by 1 + hκ, what is away from it by 1 + h(κ + λ)."""
    start = cloud(seed, n, m)
    final = solve(JKOFlow(QuadraticInteraction(kappa, attraction)), start, h, options={"step": h}).final
    mean = start.mean()
    exact = mean / (1.0 + h * kappa) + (start.points - mean) / (1.0 + h * (kappa + attraction))
    away = final.points - exact  # residual r: the objective is 1/h convex, so the distance in the metric is at most h r
    slope = np.sqrt(start.weights @ (QuadraticInteraction(kappa, attraction).velocity(start) ** 2).sum(axis=1))
    assert np.sqrt(start.weights @ (away**2).sum(axis=1)) <= h * 1e-8 * max(1.0, slope) + 1e-14


@pytest.mark.parametrize("kappa", [0.5, -0.5])
def test_steps_in_a_quadratic_potential(kappa):
    """x' = x/(1 + hκ), for every particle by itself, confining or not (h |κ| < 1)."""
    start, h = cloud(), 0.3
    solution = solve(JKOFlow(Potential.quadratic(kappa)), start, 2 * h, options={"step": h})
    np.testing.assert_allclose(solution.final.points, start.points / (1.0 + h * kappa) ** 2, atol=1e-7)
    assert solution.counts["label_failures"] == 0
    assert solution.counts["label_checks"] == 2


def test_order_one_in_time():
    start, energy = cloud(), QuadraticInteraction(0.7, 1.3)
    mean = start.mean()
    exact = mean * np.exp(-0.7) + (start.points - mean) * np.exp(-2.0)
    errors = [np.abs(solve(JKOFlow(energy), start, 1.0, options={"step": 1.0 / n}).final.points - exact).max() for n in (20, 40, 80)]
    assert np.log2(errors[1] / errors[2]) == pytest.approx(1.0, abs=0.05)
    assert np.log2(errors[0] / errors[1]) == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("h", [1e-3, 0.05, 0.5])
def test_descent_inequality_and_optimality(h):
    """E(ν') + W2²/(2h) ≤ E(ν), and the velocity at ν' is the displacement over h, also in a landscape of wells."""
    energy, old = Potential(waves, waves_gradient), cloud(3, 60, 2, even=True)
    flow = JKOFlow(energy)
    stepper = flow.stepper(0.0, flow.pack(old), 3 * h, field=flow.rhs, step=h)
    while stepper.status == "running":
        slope = np.sqrt(old.weights @ (energy.velocity(old) ** 2).sum(axis=1))
        assert stepper.step() is None
        new = flow.unpack(stepper.y)
        assert energy.value(new) + w2(old, new).value ** 2 / (2.0 * h) <= energy.value(old) + 1e-14
        gap = energy.velocity(new) - (new.points - old.points) / h
        residual = np.sqrt(new.weights @ (gap**2).sum(axis=1))
        assert residual <= 1e-8 * max(1.0, slope) + 1e-15 / h
        told = flow.diagnostics(stepper.t, stepper.y)
        assert told["residual"] == pytest.approx(residual, abs=1e-15 / h)
        assert told["energy"] == energy.value(new)
        old = new
    assert (stepper.t, stepper.status) == (3 * h, "finished")


def test_maximised_energies_ascend():
    """The policy's value: E − W2²/(2h) is maximised, so E rises by what the transport costs at least."""
    energy = PolicyValue(agazzi_lu_bandit(seed=1), activation="tanh")
    old = ParticleMeasure(np.random.default_rng(0).standard_normal((40, 3)))
    solution = solve(JKOFlow(energy), old, 0.2, options={"step": 0.1})
    assert solution.status is Status.FINISHED
    new = solution.final
    cost = float(old.weights @ ((new.points - old.points) ** 2).sum(axis=1))  # of both steps together, at most 2 × the sum of theirs
    assert energy.value(new) >= energy.value(old) + cost / (4.0 * 0.1)
    assert cost > 0.0
    assert solution.counts["rhs"] > 0


def test_labels_that_cross_are_found():
    """Two particles change places: along the labels that costs 2 · ½ · 2² · (h/(1+h))², W2 finds the shorter way."""
    start = ParticleMeasure(np.array([[-1.0, 0.0], [1.0, 0.0]]))
    flow = JKOFlow(Labelled(-start.points))
    h = 3.0  # to −x (h − 1)/(h + 1) = −x/2
    solution = solve(flow, start, h, options={"step": h})
    np.testing.assert_allclose(solution.final.points, -0.5 * start.points, atol=1e-7)
    assert solution.counts["label_failures"] == 1
    assert solution.diagnostics["label_excess"][-1] == pytest.approx(1.5**2 - 0.5**2, abs=1e-6)
    assert solution.diagnostics["label_excess"][0] == 0.0


def test_labels_are_checked_as_often_as_asked_and_not_beyond_the_size_that_pays():
    start = cloud()
    assert solve(JKOFlow(QuadraticInteraction()), start, 1.0, options={"step": 0.1, "check": 4}).counts["label_checks"] == 2
    many = cloud(0, 1001, 2, even=True)
    assert np.isnan(MovingParticles(QuadraticInteraction(), many).label_excess(many.points.ravel(), many.points.ravel() + 1.0))
    line = cloud(0, 1001, 1, even=True)
    assert MovingParticles(QuadraticInteraction(), line).label_excess(line.points.ravel(), line.points.ravel() + 1.0) == 0.0
    assert MovingParticles(QuadraticInteraction(), line).label_excess(line.points.ravel(), line.points.ravel()[::-1].copy()) > 0.1


def test_a_step_that_misses_its_tolerance_fails():
    start = cloud(n=5)
    solution = solve(JKOFlow(Rough(start.points)), start, 1.0, options={"step": 0.5})
    assert solution.status is Status.STEP_TOO_SMALL
    assert "L-BFGS-B left a residual of" in solution.message
    assert "shorter step" in solution.message
    np.testing.assert_array_equal(solution.final.points, start.points)
    flow = JKOFlow(Rough(start.points))
    y = flow.pack(start)
    stepper = flow.stepper(0.0, y, 1.0, field=flow.rhs, step=0.5)
    assert stepper.step() is not None
    assert (stepper.t, stepper.status) == (0.0, "failed")
    assert stepper.y is y


def test_times_of_steps_and_states_between():
    start = cloud()
    flow = JKOFlow(QuadraticInteraction())
    solution = solve(flow, start, 1.0, options={"step": 0.3}, record=[0.0, 0.15, 0.3, 0.9, 1.0])
    assert solution.counts["steps"] == 4
    stepper = flow.stepper(0.0, flow.pack(start), 1.0, field=flow.rhs, step=0.3)
    stepper.step()
    old, new = start.points.ravel(), stepper.y
    np.testing.assert_allclose(stepper.dense_output()(0.1), old + (new - old) / 3.0, rtol=1e-14)
    np.testing.assert_array_equal(stepper.dense_output()(0.3), new)


def test_resumes_to_the_bit(tmp_path):
    energy, start = Potential(waves, waves_gradient), cloud(5)
    flow = JKOFlow(energy)
    whole = flow.stepper(0.0, flow.pack(start), 1.0, field=flow.rhs, step=0.13, check=2)
    for _ in range(3):
        whole.step()
    state, t, y = dict(whole.state_dict()), whole.t, whole.y.copy()
    again = JKOFlow(energy)
    again.pack(start)
    second = again.stepper(t, y, 1.0, field=again.rhs, step=0.13, check=2)
    second.load_state_dict(state)
    while whole.status == "running":
        assert whole.step() is None
        assert second.step() is None
        assert (second.t, second.counts) == (whole.t, whole.counts)
        np.testing.assert_array_equal(second.y, whole.y)
        assert again.diagnostics(second.t, second.y) == flow.diagnostics(whole.t, whole.y)
    with pytest.raises(ValueError, match=r"^state must have the keys iterations, label_checks, .*; got steps$"):
        second.load_state_dict({"steps": 1})
    path = tmp_path / "run.h5"
    options = {"step": 0.13}
    solve(JKOFlow(energy), start, 1.0, options=options, path=path, max_steps=3, checkpoint=0.0)
    resumed = solve(JKOFlow(energy), start, 1.0, options=options, path=path, resume=True)
    straight = solve(JKOFlow(energy), start, 1.0, options=options)
    np.testing.assert_array_equal(resumed.final.points, straight.final.points)
    for name, values in straight.diagnostics.items():
        np.testing.assert_array_equal(resumed.diagnostics[name], values)


def test_a_flow_is_refused_what_it_cannot_do():
    with pytest.raises(TypeError, match=r"^energy must have a method value\(measure\); got 3$"):
        JKOFlow(3)
    with pytest.raises(TypeError, match=r"^walls must be True or False; got 1$"):
        JKOFlow(QuadraticInteraction(), walls=1)
    with pytest.raises(ValueError, match=r"^pack\(initial\) must come first"):
        JKOFlow(QuadraticInteraction()).rhs(0.0, np.zeros(2))
    with pytest.raises(ValueError, match=r"^initial must be a GridMeasure on one axis for an energy with entropy"):
        JKOFlow(QuadraticInteraction() + Entropy(0.1)).pack(cloud())
    with pytest.raises(ValueError, match=r"^initial must have particles with mass; particle 1 has none$"):
        JKOFlow(QuadraticInteraction()).pack(ParticleMeasure(np.zeros((2, 1)), [1.0, 0.0]))
    with pytest.raises(TypeError, match=r"^initial must be a ParticleMeasure"):
        JKOFlow(QuadraticInteraction()).pack(np.zeros((2, 1)))
    with pytest.raises(TypeError, match=r"^initial must be a GridMeasure where there are walls"):
        JKOFlow(QuadraticInteraction(), walls=True).pack(cloud())
    with pytest.raises(TypeError, match=r"^measure must be a GridMeasure"):
        solve(JKOFlow(PowerLaw(2.0)), cloud(), 1.0, options={"step": 0.1})
    with pytest.raises(ValueError, match=r"^initial must be a grid on one axis, or particles; got one on 2 axes$"):
        JKOFlow(QuadraticInteraction()).pack(GridMeasure((np.arange(3.0), np.arange(3.0)), np.full((2, 2), 0.25)))


@pytest.mark.parametrize(("options", "error", "message"), [
    ({}, TypeError, "^step must be"),
    ({"step": 0.0}, ValueError, "^step must be a finite number above 0; got 0.0$"),
    ({"step": 0.1, "tolerance": -1.0}, ValueError, "^tolerance must be a finite number above 0; got -1.0$"),
    ({"step": 0.1, "check": 0}, ValueError, "^check must be an integer of at least 1; got 0$"),
    ({"dt": 0.1}, TypeError, "^options: JKOFlow.stepper has no option 'dt'"),
])  # fmt: skip
def test_options_are_checked(options, error, message):
    with pytest.raises(error, match=message):
        solve(JKOFlow(QuadraticInteraction()), cloud(), 1.0, options=options)


def test_static_and_kind():
    flow, start = JKOFlow(QuadraticInteraction()), cloud()
    y = flow.pack(start)
    np.testing.assert_array_equal(flow.static()["weights"], start.weights)
    assert flow.state_kind == "particles"
    assert not np.shares_memory(y, start.points)
    np.testing.assert_array_equal(flow.rhs(0.0, y), QuadraticInteraction().velocity(start).ravel())
    assert isinstance(flow.stepper(0.0, y, 1.0, field=flow.rhs, step=0.1), JKOSteps)
