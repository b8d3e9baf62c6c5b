"""The loop: every way a run can end, what it refuses, what it counts, and Ctrl-C wherever it strikes."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time

import numba
import numpy as np
import pytest
from scipy.integrate import RK45, OdeSolver

from wflow import storage
from wflow.loop import Solution, Status, solve
from wflow.loop import open as open_run
from wflow.record import Memory, every_step, linear


class Decay:
    """y' = -k y, energy |y|²/2 minimised: dE/dt = -k |y|²."""

    def __init__(self, k=1.0):
        self.k = k

    def pack(self, initial):
        return np.array(initial, dtype=float)

    def unpack(self, y):
        return y.copy()

    def rhs(self, t, y):
        return -self.k * y

    def diagnostics(self, t, y):
        return {"energy": 0.5 * float(y @ y), "dissipation": self.k * float(y @ y)}


class Euler(OdeSolver):
    """Explicit Euler with an own option, on SciPy's contract."""

    def __init__(self, fun, t0, y0, t_bound, dt, vectorized=False):
        super().__init__(fun, t0, y0, t_bound, vectorized)
        self.dt, self.y_old = dt, y0

    def _step_impl(self):
        h = min(self.dt, self.t_bound - self.t)
        self.y_old, self.y = self.y, self.y + h * self.fun(self.t, self.y)
        self.t = self.t_bound if h < self.dt else self.t + h
        return True, None

    def _dense_output_impl(self):
        a, b, s, t = self.y_old, self.y, self.t_old, self.t
        return lambda at: a + (at - s) / (t - s) * (b - a)


def field(function, base=Decay):
    """A flow with another right-hand side."""
    return type("Field", (base,), {"rhs": lambda self, t, y: function(t, y)})()


# --- how a run ends


def test_finished():
    for method in ("RK45", RK45, "DOP853", "LSODA", None):
        solution = solve(Decay(), [1.0, 2.0], 3.0, method, rtol=1e-6, atol=1e-9)
        assert solution.status is Status.FINISHED
        assert solution.status.ok
        assert solution.times[-1] == 3.0
        np.testing.assert_allclose(solution.final, np.array([1.0, 2.0]) * math.exp(-3.0), rtol=1e-4)
        np.testing.assert_allclose(solution.energy, 2.5 * np.exp(-2.0 * solution.times), rtol=1e-3)
        np.testing.assert_allclose(solution.dissipation, 2.0 * solution.energy)
        assert solution.message == "reached t = 3"


def test_a_class_of_ones_own_takes_its_options_and_nothing_else():
    solution = solve(Decay(), [1.0], 1.0, Euler, options={"dt": 0.25})
    assert solution.final[0] == 0.75**4
    assert list(solution.times) == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert solution.counts == {"steps": 4, "rhs": 4, "spectral_radius": 0, "recording": 0}
    assert solution.provenance["method"] == "Euler"
    assert solution.provenance["options"] == {"dt": 0.25}


def test_event():
    def half(t, state):
        return state[0] - 0.5

    half.terminal = True
    solution = solve(Decay(), [1.0], 3.0, "RK45", events=[half], rtol=1e-8, atol=1e-10)
    assert solution.status is Status.EVENT
    assert solution.status.ok
    assert solution.times[-1] == pytest.approx(math.log(2.0), abs=1e-7)
    assert solution.final[0] == pytest.approx(0.5, abs=1e-12)


def test_steady_state():
    solution = solve(Decay(), [1.0], 1e3, "RK45", steady=1e-4)
    assert solution.status is Status.STEADY_STATE
    assert solution.dissipation[-1] <= 1e-4 < solution.dissipation[-2]
    sparse = solve(Decay(), [1.0], 1e3, "RK45", steady=1e-4, record=[500.0])
    assert list(sparse.times) == [0.0, solution.times[-1]]


def test_step_limit():
    solution = solve(Decay(), [1.0], 1e3, "RK45", max_steps=7)
    assert solution.status is Status.STEP_LIMIT
    assert not solution.status.ok
    assert solution.counts["steps"] == 7
    assert len(solution.times) == 8
    assert "raise max_steps" in solution.message
    steps = solve(Decay(), [1.0], 5.0, "RK45").counts["steps"]
    assert solve(Decay(), [1.0], 5.0, "RK45", max_steps=steps).status is Status.FINISHED


def test_step_too_small():
    solution = solve(field(lambda t, y: y**2), [1.0], 2.0, "RK45", rtol=1e-8, atol=1e-10)  # y = 1/(1 - t)
    assert solution.status is Status.STEP_TOO_SMALL
    assert solution.times[-1] == pytest.approx(1.0, abs=1e-6)
    assert np.isfinite(solution.final).all()
    assert solution.final[0] > 1e6
    assert "spacing between numbers" in solution.message
    assert "loosen rtol" in solution.message


def test_not_finite_field():
    solution = solve(field(lambda t, y: -y if t < 0.5 else np.full_like(y, np.nan)), [1.0], 2.0, "RK45")
    assert solution.status is Status.NOT_FINITE
    assert 0.0 < solution.times[-1] <= 0.5
    assert solution.final[0] == pytest.approx(math.exp(-solution.times[-1]), rel=1e-3)
    assert np.isfinite(solution.energy).all()
    assert "the field is not finite beyond" in solution.message


def test_not_finite_state():
    with np.errstate(over="ignore"):
        solution = solve(field(lambda t, y: 1e100 * y), [1.0], 10.0, Euler, options={"dt": 1.0}, record=linear(3))
    assert solution.status is Status.NOT_FINITE
    assert list(solution.times) == [0.0, 3.0]
    assert solution.final[0] == pytest.approx(1e300)
    assert "the state is not finite beyond t = 3" in solution.message


@pytest.mark.parametrize("method", ["RK45", "LSODA", None])
def test_not_finite_at_the_start(method, tmp_path):
    solution = solve(field(lambda t, y: np.full_like(y, np.inf)), [1.0], 1.0, method, path=tmp_path / "a.h5")
    assert solution.status is Status.NOT_FINITE
    assert "at the initial state" in solution.message
    assert list(solution.times) == [0.0]
    np.testing.assert_array_equal(solution.final, [1.0])


def test_a_floating_point_trap_is_a_number_that_is_not_finite():
    with np.errstate(over="raise"):
        solution = solve(field(lambda t, y: 1e200 * y**2), [1.0], 10.0, Euler, options={"dt": 1.0})
    assert solution.status is Status.NOT_FINITE
    assert solution.times[-1] == 1.0
    assert solution.final[0] == 1e200
    assert np.isnan(solution.energy[-1])
    assert "overflow" in solution.message


def test_an_exception_of_the_flow_is_raised_and_recorded(tmp_path):
    def rhs(t, y):
        if t > 0.5:
            raise ZeroDivisionError("no such policy")
        return -y

    with pytest.raises(ZeroDivisionError, match="no such policy"):
        solve(field(rhs), [1.0], 1.0, "RK45", path=tmp_path / "a.h5", options={"max_step": 0.01})
    stored = open_run(tmp_path / "a.h5")
    assert stored.status is Status.FAILED
    assert stored.message == "ZeroDivisionError: no such policy"
    assert 0.4 < stored.times[-1] <= 0.5


# --- Ctrl-C


def interrupting(at_call, strike):
    """A flow in which `strike` happens in the given call of rhs."""
    calls = [0]

    def rhs(t, y):
        calls[0] += 1
        if calls[0] == at_call:
            strike()
        return -y

    return field(rhs)


def raise_it():
    raise KeyboardInterrupt


def ctrl_c():
    signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("target", ["memory", "file"])
@pytest.mark.parametrize(("strike", "steps"), [(raise_it, 2), (ctrl_c, 3), (lambda: (ctrl_c(), ctrl_c()), 2)])
def test_ctrl_c_within_the_field_keeps_the_last_good_state(strike, steps, target, tmp_path):
    """One Ctrl-C lets the step end, a second does not wait."""
    before = signal.getsignal(signal.SIGINT)
    path = None if target == "memory" else tmp_path / "a.h5"
    solution = solve(interrupting(3, strike), [1.0], 10.0, Euler, options={"dt": 0.5}, path=path, record=linear(3))
    assert solution.status is Status.INTERRUPTED
    assert not solution.status.ok
    assert list(solution.times) == [0.0, 0.5 * steps]
    assert solution.final[0] == 0.5**steps
    assert solution.counts["steps"] == steps
    assert "Ctrl-C" in solution.message
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("strike", [raise_it, ctrl_c])
def test_ctrl_c_in_the_very_first_evaluation(strike):
    for method in ("RK45", None):
        solution = solve(interrupting(1, strike), [1.0, 0.5], 10.0, method)
        assert solution.status is Status.INTERRUPTED
        in_step = strike is ctrl_c and method is None  # ours evaluate first within the first step, which is let to end
        assert solution.counts["steps"] == len(solution.times) - 1 == in_step


@pytest.mark.parametrize("call", range(3, 8))
def test_ctrl_c_within_the_recording(call):
    class Recorded(Decay):
        calls = 0

        def diagnostics(self, t, y):
            self.calls += 1
            if self.calls == call:
                raise KeyboardInterrupt
            return super().diagnostics(t, y)

    solution = solve(Recorded(), [1.0], 10.0, Euler, options={"dt": 0.5})
    assert solution.status is Status.INTERRUPTED
    np.testing.assert_array_equal(solution.times, 0.5 * np.arange(call - 1))
    np.testing.assert_array_equal(solution.energy, 0.5 * 0.25 ** np.arange(call - 1))


@pytest.mark.parametrize("after", [False, True])
def test_ctrl_c_within_the_write(after, monkeypatch):
    write, calls = Memory.frame, [0]

    def frame(self, row, y=None):
        calls[0] += 1
        if calls[0] == 4 and not after:
            raise KeyboardInterrupt
        write(self, row, y)
        if calls[0] == 4 and after:
            raise KeyboardInterrupt

    monkeypatch.setattr(Memory, "frame", frame)
    solution = solve(Decay(), [1.0], 10.0, Euler, options={"dt": 0.5}, record=every_step("all"))
    assert solution.status is Status.INTERRUPTED
    assert list(solution.times) == list(solution.state_times) == [0.0, 0.5, 1.0, 1.5]
    assert solution.final[0] == 0.125


def test_ctrl_c_is_heard_only_by_the_main_thread_and_not_where_it_is_ignored():
    found = []
    thread = threading.Thread(target=lambda: found.append(solve(Decay(), [1.0], 1.0, "RK45").status))
    thread.start()
    thread.join()
    assert found == [Status.FINISHED]
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert solve(interrupting(3, ctrl_c), [1.0], 1.0, "RK45").status is Status.FINISHED
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT to another process")
@pytest.mark.parametrize("presses", [1, 2])
def test_a_real_ctrl_c(tmp_path, presses):
    body = f"""
import json, sys, time; sys.path.insert(0, {os.path.dirname(__file__)!r}); from test_loop import *
flow = field(lambda t, y: (time.sleep(0.0 if t < 5 else 1.0 if {presses} == 1 else 20.0), -y)[1])
solution = solve(flow, [1.0], 1e9, Euler, options={{"dt": 0.01}}, path="a.h5", progress=lambda t, d: t > 4.995 and print(t, flush=True))
print(json.dumps([solution.status.value, solution.times[-1], solution.final[0], len(solution.times)]))
"""
    with subprocess.Popen([sys.executable, "-c", body], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        started = time.monotonic()
        for _ in range(presses):
            time.sleep(0.2)
            process.send_signal(signal.SIGINT)
        lines = process.stdout.read().splitlines()
    assert process.returncode == 0
    assert time.monotonic() - started < 10.0
    status, t, y, frames = json.loads(lines[-1])
    stored = open_run(tmp_path / "a.h5")
    assert stored.status is Status.INTERRUPTED
    assert [stored.status.value, stored.times[-1], stored.final[0], len(stored.times)] == [status, t, y, frames]
    np.testing.assert_array_equal(stored.energy, [0.5 * (y0 * y0) for y0 in stored_decay(frames)])
    assert y == stored_decay(frames)[-1]


def stored_decay(frames):
    y = [1.0]
    for _ in range(frames - 1):
        y.append(y[-1] + 0.01 * -y[-1])
    return y


# --- what is refused, before any work


class Untouched(Decay):
    def rhs(self, t, y):
        raise AssertionError("the field was evaluated")


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"t_end": 0.0}, ValueError, "t_end must be a finite number and above 0; got 0.0"),
        ({"t_end": math.inf}, ValueError, "t_end must be"),
        ({"t_end": math.nan}, ValueError, "t_end must be"),
        ({"t_end": "1"}, TypeError, "t_end must be"),
        ({"t_end": 1.0, "t_start": 2.0}, ValueError, "t_end must be a finite number and above 2"),
        ({"t_start": -math.inf}, ValueError, "t_start must be"),
        ({"rtol": 0.0}, ValueError, "rtol must be a finite number and above 0"),
        ({"atol": -1e-9}, ValueError, "atol must be a finite number and at least 0"),
        ({"max_steps": 0}, ValueError, "max_steps must be an integer of at least 1"),
        ({"max_steps": 1.5}, TypeError, "max_steps must be an integer"),
        ({"steady": -1.0}, ValueError, "steady must be"),
        ({"record": [0.0, 2.0]}, ValueError, "record times must lie in"),
        ({"record": [0.5, 0.2]}, ValueError, "times must increase"),
        ({"events": 3}, TypeError, r"events must be a function of \(t, state\) or several of them; got 3"),
        ({"initial": [1.0, math.nan]}, ValueError, r"initial must be finite; got nan at \[1\]"),
        ({"initial": [[1.0]]}, ValueError, "initial must have shape"),
        ({"flow": object()}, TypeError, "flow must have methods pack, unpack, rhs and diagnostics; object has no pack"),
        ({"options": {"max_stop": 1.0}}, TypeError, r"RK45 has no option 'max_stop' \(did you mean 'max_step'"),
        ({"options": {"dt": 1.0}}, TypeError, "options: RK45 has no option 'dt'; it has first_step, max_step"),
        ({"options": {"rtol": 1.0}}, TypeError, "has no option 'rtol'"),
        ({"options": {"extraneous": 1.0}}, TypeError, "has no option 'extraneous'"),
        ({"options": [1]}, TypeError, "options must be a mapping"),
        ({"provenance": 7}, TypeError, "provenance must be a mapping or None; got 7"),
        ({"provenance": {"big": "x" * 40000}}, ValueError, "provenance must fit"),
    ],
)
def test_bad_input_is_refused_before_any_work(options, error, text, tmp_path):
    arguments = {"flow": Untouched(), "initial": [1.0], "t_end": 1.0, "method": "RK45", "path": tmp_path / "a.h5"} | options
    with pytest.raises(error, match=text):
        solve(**arguments)
    assert os.listdir(tmp_path) == []


def test_steady_needs_the_dissipation():
    flow = type("Plain", (Decay,), {"diagnostics": lambda self, t, y: {"energy": 1.0}})()
    with pytest.raises(ValueError, match="steady needs a flow with the diagnostic 'dissipation'; this one has energy"):
        solve(flow, [1.0], 1.0, "RK45", steady=1e-3)
    with pytest.raises(AttributeError, match="records no 'gap'; it has energy"):
        solve(flow, [1.0], 1.0, "RK45").gap  # noqa: B018


def test_a_field_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"flow.rhs must return an array of shape \(2,\); got \(1,\)"):
        solve(field(lambda t, y: y[:1]), [1.0, 2.0], 1.0, "RK45")


# --- what a method is given


def test_norm_spectral_radius_and_tolerances_go_where_they_are_taken():
    class Rich(Decay):
        def error_norm(self, scaled):
            return float(np.abs(scaled).max())

        def spectral_radius(self, t, y):
            return self.k

    class Passing(OdeSolver):
        """Takes options itself and hands others to its base, as RKC2 does."""

        given: dict

        def __init__(self, fun, t0, y0, t_bound, *, spectral_radius=None, **options):
            Passing.given = {"spectral_radius": spectral_radius, **options}
            super().__init__(fun, t0, y0, t_bound, vectorized=False)

        _step_impl, _dense_output_impl = Euler._step_impl, Euler._dense_output_impl
        dt = 0.5

    class Inner(Passing):
        def __init__(self, fun, t0, y0, t_bound, *, norm=None, rtol=1.0, atol=1.0, **options):
            super().__init__(fun, t0, y0, t_bound, **options)
            Passing.given |= {"norm": norm, "rtol": rtol, "atol": atol}

    flow = Rich()
    solve(flow, [1.0], 1.0, Inner, rtol=1e-5, atol=1e-7)
    assert Passing.given == {"spectral_radius": flow.spectral_radius, "norm": flow.error_norm, "rtol": 1e-5, "atol": 1e-7}
    solve(Decay(), [1.0], 1.0, Inner)
    assert Passing.given == {"spectral_radius": None, "norm": None, "rtol": 1e-3, "atol": 1e-6}
    solve(flow, [1.0], 1.0, Passing)
    assert Passing.given == {"spectral_radius": flow.spectral_radius}
    with pytest.raises(TypeError, match="Passing has no option 'norm'; it has spectral_radius"):
        solve(flow, [1.0], 1.0, Passing, options={"norm": max})


def test_counts_of_a_method_are_split_into_disjoint_evaluations():
    class Counting(Euler):
        counts = {"rejected": 3, "spectral_radius": 2, "rhs": 99}

    solution = solve(Decay(), [1.0], 5.0, Counting, options={"dt": 0.5}, record=[0.1, 0.2, 0.5, 0.7])
    assert solution.counts == {"rejected": 3, "steps": 10, "rhs": 8, "spectral_radius": 2, "recording": 3}
    text = solution.summary()
    assert "field evaluations 13 (steps 8, spectral radius 2, recording 3)" in text
    assert "steps             10, 3 rejected" in text


def test_a_flow_that_is_no_ode_steps_itself():
    class Jumps(Decay):
        """y doubles at random times."""

        def stepper(self, t, y, t_end, *, seed=0, rtol=None, field=None):
            flow, rng = self, np.random.default_rng(seed)

            class Stepper:
                status = "running"

                def __init__(self):
                    self.t, self.y, self.rtol, self.field = t, y, rtol, field

                def step(self):
                    self.t = min(t_end, self.t + rng.exponential())
                    self.y = 2.0 * self.y
                    self.field(self.t, self.y)

                def dense_output(self):
                    raise AssertionError("not needed at the ends of steps")

            flow.made = Stepper()
            return flow.made

    flow = Jumps()
    solution = solve(flow, [1.0], 5.0, options={"seed": 4}, rtol=1e-2)
    assert solution.status is Status.FINISHED
    assert solution.final[0] == 2.0 ** solution.counts["steps"]
    assert solution.counts["rhs"] == solution.counts["steps"] > 1
    assert flow.made.rtol == 1e-2
    assert solution.provenance["method"] == "Jumps.stepper"
    assert list(solve(Jumps(), [1.0], 5.0, options={"seed": 4}).times) == list(solution.times)
    with pytest.raises(TypeError, match="method must be left out: Jumps steps itself; got 'RK45'"):
        solve(Jumps(), [1.0], 5.0, "RK45")
    with pytest.raises(TypeError, match=r"Jumps\.stepper has no option 'sed'"):
        solve(Jumps(), [1.0], 5.0, options={"sed": 4})


# --- where the time goes, and what is told


def test_the_wall_time_falls_into_disjoint_parts():
    class Slow(Decay):
        seconds = {"linear algebra": 5.0}

        def rhs(self, t, y):
            time.sleep(3e-3)
            self.seconds["linear algebra"] += 1e-3
            return -y

        def diagnostics(self, t, y):
            time.sleep(2e-3)
            return super().diagnostics(t, y)

    solution = solve(Slow(), [1.0], 2.0, Euler, options={"dt": 0.25})
    seconds = solution.seconds
    assert set(seconds) == {"compile", "field", "linear algebra", "recording", "total"}
    assert seconds["linear algebra"] == pytest.approx(8e-3)
    assert seconds["field"] >= 8 * 2e-3
    assert seconds["recording"] >= 9 * 2e-3
    assert sum(seconds.values()) <= 2 * seconds["total"]


def test_compiling_is_told_from_running():
    class Compiling(Decay):
        def rhs(self, t, y):
            return self.compiled(y)

        def __init__(self):
            super().__init__()
            self.compiled = numba.njit(lambda y: -np.sort(y))

    seconds = solve(Compiling(), [1.0], 1.0, Euler, options={"dt": 0.5}).seconds
    assert seconds["compile"] > 0.05
    assert seconds["field"] < 0.5 * seconds["compile"]
    assert sum(seconds.values()) <= 2 * seconds["total"]
    assert solve(Decay(), [1.0], 1.0, Euler, options={"dt": 0.5}).seconds["compile"] == 0.0


def test_the_summary_says_why_what_and_at_what_cost(tmp_path):
    class Certified(Decay):
        def diagnostics(self, t, y):
            gap = 0.5 * float(y @ y)
            return {"energy": -gap, "dissipation": 2 * gap, "gap": gap, "gap_lower": gap / 2, "gap_upper": 2 * gap}

    solution = solve(Certified(), [2.0], 1.0, Euler, options={"dt": 0.5}, path=tmp_path / "a.h5")
    lines = solution.summary().splitlines()
    assert lines[0] == "finished: reached t = 1"
    assert lines[1].split() == ["time", "0", "to", "1,", "3", "frames,", "2", "states", "kept"]
    assert "  gap               2 to 0.125" in lines
    assert "  gap certified in  [1, 4] at the start, [0.0625, 0.25] at the end" in lines
    assert any(line.startswith("  field evaluations 2 (steps 2, ") for line in lines)
    assert all(part in lines[-2] for part in ("wall time", "compile", "field", "recording", "rest"))
    assert lines[-1].endswith("a.h5")
    assert repr(solution) == "Solution(finished, t = 1, 3 frames)"
    np.testing.assert_array_equal(solution.gap, -solution.energy)


def test_provenance_tells_what_ran_and_the_caller_what_it_means():
    given = {"seed": np.int64(3), "config": {"grid": (1, 2), "path": os.path}, "points": np.arange(2.0)}
    told = solve(Decay(), [1.0], 1.0, "RK45", rtol=1e-4, t_start=-1.0, provenance=given).provenance
    assert told["seed"] == 3
    assert told["points"] == [0.0, 1.0]
    assert told["config"]["grid"] == [1, 2]
    ours = {"flow": "Decay", "method": "RK45", "rtol": 1e-4, "atol": 1e-6, "options": {}, "t_start": -1.0, "t_end": 1.0}
    assert {name: told[name] for name in ours} == ours
    assert set(told["versions"]) == {"wflow", "python", "numpy", "scipy", "numba"}
    assert json.loads(json.dumps(told)) == told
    assert {"machine", "git", "date"} <= set(told)


def test_states_by_number():
    solution = solve(Decay(), [1.0], 1.0, Euler, options={"dt": 0.25}, record=every_step("all"))
    assert [float(state[0]) for state in solution.states()] == [0.75**k for k in range(5)]
    assert solution.state(2)[0] == solution.state(-3)[0] == 0.75**2
    for k in (5, -6):
        with pytest.raises(IndexError, match="one of the 5 states kept"):
            solution.state(k)
    with pytest.raises(TypeError, match="k must be an integer"):
        solution.state(1.0)


def test_one_thread_for_blas_within_and_as_before_without():
    from threadpoolctl import threadpool_info

    def threads():
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    seen, before = [], threads()
    solve(field(lambda t, y: (seen.append(threads()), -y)[1]), [1.0], 1.0, Euler, options={"dt": 0.5})
    assert all(n == 1 for row in seen for n in row)
    assert threads() == before


def test_numbers_are_those_of_scipys_own_loop():
    from scipy.integrate import solve_ivp

    theirs = solve_ivp(lambda t, y: -y, (0.0, 5.0), [1.0, 2.0], "RK45")
    ours = solve(Decay(), [1.0, 2.0], 5.0, "RK45", record=every_step("all"))
    np.testing.assert_array_equal(ours.times, theirs.t)
    np.testing.assert_array_equal(np.array(list(ours.states())).T, theirs.y)
    assert ours.counts["rhs"] == theirs.nfev


def test_the_figure_is_the_plotting_rooms(monkeypatch):
    import types

    plotting = types.SimpleNamespace(plot_solution=lambda solution, **options: (solution, options))
    monkeypatch.setitem(sys.modules, "wflow.plotting", plotting)
    solution = solve(Decay(), [1.0], 1.0, "RK45")
    assert solution.plot(what="gap") == (solution, {"what": "gap"})
    assert isinstance(solution, Solution)


def test_importing_the_loop_does_not_import_hdf5():
    body = "import sys, wflow.loop; assert 'h5py' not in sys.modules and 'rich' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", body], check=False).returncode == 0
    assert storage.FORMAT_VERSION == 1
