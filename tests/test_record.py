"""What is recorded: frames at and between steps, the states that are kept, and nothing that changes the steps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from toys.pendulum import Pendulum, run

from wflow import events, progress, record, schedules
from wflow.loop import solve
from wflow.record import Layout, Memory, at, every_step, geometric, linear

METHODS = ["RK23", "RK45", "DOP853", "Radau", "BDF", "LSODA"]


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


any_schedule = st.one_of(
    st.integers(2, 50).map(linear),
    st.integers(2, 50).map(geometric),
    st.lists(st.floats(0, 5), min_size=1, max_size=30, unique=True).map(sorted).map(at),
    st.sampled_from(["all", "ends", 3]).map(every_step),
)


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=12, deadline=None)
@given(any_schedule)
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


def test_a_sink_in_memory_counts_as_the_file_does():
    sink = Memory(Layout(("energy",), 1))
    assert sink.frame_time == sink.state_time == -np.inf
    sink.frame(np.array([2.0, 1.0]))
    sink.state(1.5, np.zeros(1))
    assert (sink.frame_time, sink.state_time) == (2.0, 1.5)


def test_the_names_of_schedules_events_and_progress_are_at_hand_here():
    for module, names in ((schedules, schedules.__all__), (events, events.__all__), (progress, ("Update", "progress"))):
        for name in names:
            assert getattr(record, name) is getattr(module, name)
