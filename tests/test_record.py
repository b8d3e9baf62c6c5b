"""When is recorded, and what: schedules, frames between steps, events, progress."""

from __future__ import annotations

import io
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from wflow import record
from wflow.loop import Status, solve
from wflow.record import Events, Schedule, at, every_step, geometric, linear

METHODS = ["RK23", "RK45", "DOP853", "Radau", "BDF", "LSODA"]


class Pendulum:
    """y'' = -sin y; conserves its energy."""

    def __init__(self):
        self.asked = []

    def pack(self, initial):
        return np.array(initial, dtype=float)

    def unpack(self, y):
        return {"angle": float(y[0]), "speed": float(y[1])}

    def rhs(self, t, y):
        return np.array([y[1], -np.sin(y[0])])

    def diagnostics(self, t, y):
        self.asked.append(t)
        return {"energy": float(0.5 * y[1] ** 2 - np.cos(y[0])), "dissipation": float(y[1] ** 2)}


def run(record=None, method="RK45", t_end=5.0, **options):
    return solve(Pendulum(), [1.0, 0.0], t_end, method, record=record, **options)


# --- schedules


@given(st.integers(2, 60), st.floats(-5, 5), st.floats(1e-3, 100))
def test_schedules_by_number_start_and_end_the_run_and_increase(n, start, span):
    for schedule in (linear(n), geometric(n), geometric(n, first=span / 3)):
        times = schedule.due(start, start + span)
        assert len(times) == n
        assert times[0] == start
        assert times[-1] == start + span
        assert (np.diff(times) > 0).all()


def test_geometric_progression_by_hand():
    np.testing.assert_allclose(geometric(5, first=0.01).due(0.0, 10.0), [0.0, 0.01, 0.1, 1.0, 10.0], rtol=1e-14)
    np.testing.assert_allclose(geometric(4, first=1.0).due(2.0, 6.0), [2.0, 3.0, 4.0, 6.0], rtol=1e-14)
    assert geometric(3).due(0.0, 100.0)[1] == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: at([0.0, 2.0, 1.0]), ValueError, r"times must increase; got 1 at \[2\] after 2"),
        (lambda: at([0.0, 1.0, 1.0]), ValueError, "times must increase"),
        (lambda: at([0.0, np.nan]), ValueError, "times must be finite"),
        (lambda: at("soon"), TypeError, "times must be an array"),
        (lambda: at(3.0), ValueError, "times must have shape"),
        (lambda: linear(1), ValueError, "n must be an integer of at least 2"),
        (lambda: geometric(5, first=0.0), ValueError, "first must be"),
        (lambda: every_step("al"), ValueError, "states must be one of all, ends, a positive integer; got 'al'"),
        (lambda: every_step(0), ValueError, "states must be an integer of at least 1"),
        (lambda: every_step(None), TypeError, "states must be an integer"),
        (lambda: run(at([0.0, 6.0])), ValueError, r"record times must lie in \[0, 5\]; got 6"),
        (lambda: run([-1.0, 2.0]), ValueError, r"record times must lie in \[0, 5\]; got -1"),
        (lambda: run(geometric(4, first=9.0)), ValueError, "first must be .* at most 5"),
        (lambda: run("often"), TypeError, "times must be an array"),
    ],
)
def test_bad_schedules_are_refused(make, error, text):
    with pytest.raises(error, match=text):
        make()


# --- frames


@pytest.mark.parametrize("method", METHODS)
def test_frames_between_steps_are_those_of_scipys_dense_output(method):
    times = np.linspace(0.0, 5.0, 23)
    ours = run(times, method, rtol=1e-5, atol=1e-8)
    theirs = solve_ivp(Pendulum().rhs, (0.0, 5.0), [1.0, 0.0], method, t_eval=times, rtol=1e-5, atol=1e-8)
    np.testing.assert_array_equal(ours.times, times)
    states = np.array([[s["angle"], s["speed"]] for s in ours.states()])
    np.testing.assert_allclose(states, theirs.y.T, rtol=0, atol=1e-13)
    np.testing.assert_allclose(ours.energy, 0.5 * states[:, 1] ** 2 - np.cos(states[:, 0]), rtol=0, atol=1e-15)


def test_frames_between_steps_agree_with_a_finer_run():
    coarse = run(linear(41), rtol=1e-6, atol=1e-9)
    fine = run(linear(41), "DOP853", rtol=1e-12, atol=1e-13)
    assert coarse.counts["steps"] < 41  # so most frames do lie between steps
    for a, b in zip(coarse.states(), fine.states(), strict=True):
        assert a["angle"] == pytest.approx(b["angle"], abs=2e-5)


schedules = st.one_of(
    st.integers(2, 50).map(linear),
    st.integers(2, 50).map(geometric),
    st.lists(st.floats(0, 5), min_size=1, max_size=30, unique=True).map(sorted).map(at),
    st.sampled_from(["all", "ends", 3]).map(every_step),
)


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=12, deadline=None)
@given(schedules)
def test_recording_never_changes_the_steps(method, schedule):
    plain, watched = run(None, method), run(schedule, method, events=lambda t, state: state["angle"], progress=lambda t, values: None)
    assert watched.counts["steps"] == plain.counts["steps"]
    assert watched.final == plain.final  # to the last bit
    assert watched.times[-1] == 5.0


def test_the_default_is_every_accepted_step_and_asks_at_no_other_time():
    solution = run()
    assert len(solution.times) == solution.counts["steps"] + 1
    assert solution.counts["recording"] == 0
    assert list(solution.state_times) == [0.0, 5.0]
    flow = Pendulum()
    solve(flow, [1.0, 0.0], 5.0, "RK45", progress=lambda t, values: None, steady=1e-30)
    assert sorted(set(flow.asked)) == sorted(solution.times)
    assert len(flow.asked) == len(solution.times) + 1  # once more at the start, for the names


@pytest.mark.parametrize(("states", "kept"), [("all", range(11)), ("ends", [0, 10]), (4, [0, 4, 8, 10]), (100, [0, 10]), (5, [0, 5, 10])])
def test_which_frames_keep_the_state(states, kept):
    solution = run(linear(11, states=states))
    np.testing.assert_array_equal(solution.state_times, solution.times[list(kept)])


def test_first_and_last_state_are_frames_whatever_the_schedule_says():
    solution = run(at([1.0, 2.0], states=1))
    assert list(solution.times) == [0.0, 1.0, 2.0, 5.0]
    assert list(solution.state_times) == [0.0, 1.0, 2.0, 5.0]
    assert solution.counts["recording"] == 2
    assert run([5.0]).counts["recording"] == 0


def test_states_are_copies():
    class InPlace:
        """A stepper that, against the contract, refills its y."""

        def __init__(self, fun, t0, y0, t_bound):
            self.t, self.y, self.t_bound, self.status, self._fun = t0, y0.copy(), t_bound, "running", fun

        def step(self):
            self.y += 0.5 * self._fun(self.t, self.y)
            self.t += 0.5
            if self.t >= self.t_bound:
                self.status = "finished"

        def dense_output(self):
            raise NotImplementedError

    flow = Pendulum()
    flow.stepper = lambda t, y, t_end, field: InPlace(field, t, y, t_end)
    angles = [s["angle"] for s in solve(flow, [1.0, 0.0], 2.0, record=every_step("all")).states()]
    assert len(set(angles)) == 4  # 1, 1, then moving


def test_diagnostics_must_keep_their_names():
    class Fickle(Pendulum):
        def diagnostics(self, t, y):
            return {"energy": 1.0} if t == 0 else {"energy": 1.0, "more": 2.0}

    with pytest.raises(ValueError, match="must give energy at every call; got energy, more at t ="):
        solve(Fickle(), [1.0, 0.0], 1.0, "RK45")


# --- events


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


# --- progress


def test_progress_calls_back_after_every_step():
    seen = []
    solution = run(linear(3), progress=lambda t, values: seen.append((t, values["energy"])))
    assert [t for t, _ in seen] == list(run().times[1:])
    assert seen[-1][1] == solution.energy[-1]


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_is_a_bar_on_a_terminal_and_lines_elsewhere(monkeypatch, terminal):
    class Stream(io.StringIO):
        def isatty(self):
            return terminal

    stream, clock = Stream(), [0.0]
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm" if terminal else "dumb")
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    with record.progress(True, 0.0, 8.0) as update:
        for k in range(1, 9):
            clock[0] += 2.0
            update(float(k), 10 * k, lambda: {"energy": 1.0, "gap": 0.25})
    text = stream.getvalue()
    assert "t = 3 of 8, gap 0.25, 5 steps/s" in text.splitlines()[0] if not terminal else "gap 0.25" in text
    assert len(text.splitlines()) == 2 or terminal


def test_no_progress_asks_for_nothing():
    with record.progress(False, 0.0, 1.0) as update:
        update(0.5, 1, lambda: pytest.fail("asked"))


def test_schedules_are_values():
    assert every_step() == Schedule(None, "ends")
    assert every_step().due(0.0, 1.0) is None
