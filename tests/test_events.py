"""Events: found where SciPy finds them, and those that end a run."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from toys.pendulum import Pendulum, run

from wflow.events import Events
from wflow.loop import Status, solve
from wflow.schedules import linear


def test_events_are_found_as_scipy_finds_them():
    angle = lambda t, state: state["angle"]  # noqa: E731
    speed = lambda t, state: state["speed"]  # noqa: E731
    angle.__name__, speed.__name__, speed.direction = "angle", "speed", -1
    ours = run(None, t_end=20.0, events=[angle, speed], rtol=1e-8, atol=1e-10)
    flat = [lambda t, y: y[0], lambda t, y: y[1]]
    flat[1].direction = -1
    theirs = solve_ivp(Pendulum().rhs, (0.0, 20.0), [1.0, 0.0], "RK45", events=flat, rtol=1e-8, atol=1e-10).t_events
    assert len(theirs[0]) == 6
    np.testing.assert_allclose(ours.events["angle"], theirs[0], atol=1e-12)
    np.testing.assert_allclose(ours.events["speed"], theirs[1][theirs[1] > 0], atol=1e-12)  # SciPy counts the zero at the start
    assert ours.status is Status.FINISHED


def test_a_terminal_event_ends_the_run_at_the_root_with_the_state_there():
    def bottom(t, state):
        return state["angle"]

    bottom.terminal = 3
    every = run(None, t_end=20.0, events=lambda t, state: state["angle"], rtol=1e-10, atol=1e-12).events["<lambda>"]
    for schedule in (None, linear(200), [1.0]):
        solution = run(schedule, t_end=20.0, events=bottom, rtol=1e-10, atol=1e-12)
        assert solution.status is Status.EVENT
        assert "bottom" in solution.message
        assert solution.times[-1] == solution.state_times[-1] == solution.events["bottom"][-1]
        np.testing.assert_allclose(solution.events["bottom"], every[:3], rtol=1e-14)
        assert abs(solution.final["angle"]) < 1e-12
        assert (solution.times <= every[2]).all()


def test_of_several_events_in_one_step_only_those_before_the_stop_are_kept():
    class Drift(Pendulum):
        def rhs(self, t, y):
            return np.ones(2)

    def make(level, terminal):
        def event(t, state):
            return state["angle"] - level

        event.terminal = terminal
        return event

    events = [make(3.0, False), make(2.0, True), make(1.0, False)]
    solution = solve(Drift(), [0.0, 0.0], 10.0, "RK45", events=events, options={"first_step": 10.0})
    assert solution.counts["steps"] == 1
    assert list(solution.events) == ["event", "event_2", "event_3"]
    assert [list(times) for times in solution.events.values()] == [[], pytest.approx([2.0]), pytest.approx([1.0])]
    assert solution.final["angle"] == pytest.approx(2.0)


def test_a_zero_at_a_step_end_counts_once_and_one_at_the_start_never():
    events = Events(lambda t, state: state, unpack=lambda y: float(y[0]))
    events.start(0.0, np.array([0.0]))
    found = []
    for t, (a, b) in enumerate([(0.0, 1.0), (1.0, 0.0), (0.0, -1.0), (-1.0, 2.0)]):
        crossings, _ = events.step(t, t + 1.0, np.array([b]), lambda s, a=a, b=b, t=t: np.array([a + (s - t) * (b - a)]))
        found += crossings
    assert found == [(0, 2.0), (0, pytest.approx(3 + 1 / 3))]


def test_events_must_be_functions():
    with pytest.raises(TypeError, match=r"events\[1\] must be a function"):
        run(events=[lambda t, state: 1.0, "angle"])
