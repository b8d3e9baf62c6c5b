"""The loop: every way a run can end, what it refuses, and what it gives to a method."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import numpy as np
import pytest
from scipy.integrate import RK45, OdeSolver
from toys.decay import Decay, Euler, field

from wflow import storage
from wflow.loop import Status, solve
from wflow.loop import open as open_run
from wflow.record import every_step, linear

# --- how a run ends


def test_finished():
    for method in ("RK45", RK45, "DOP853", "LSODA", None):
        solution = solve(Decay(), [1.0, 2.0], 3.0, method, rtol=1e-6, atol=1e-9)
        assert solution.status is Status.FINISHED
        assert solution.status.ok
        assert solution.times[-1] == 3.0
        bar = 1e-4 if method else 1e-3  # the default is of second order: its global error goes with rtol^(2/3)
        np.testing.assert_allclose(solution.final, np.array([1.0, 2.0]) * math.exp(-3.0), rtol=bar)
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


# --- what is refused, before any work


class Untouched(Decay):
    def rhs(self, t, y):
        raise AssertionError("the field was evaluated")


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"t_end": 0.0}, ValueError, r"t_end must be a finite number .*above 0; got 0\.0"),
        ({"t_end": math.inf}, ValueError, "t_end must be"),
        ({"t_end": math.nan}, ValueError, "t_end must be"),
        ({"t_end": "1"}, TypeError, "t_end must be"),
        ({"t_end": 1.0, "t_start": 2.0}, ValueError, "t_end must be a finite number .*above 2"),
        ({"t_start": -math.inf}, ValueError, "t_start must be"),
        ({"rtol": 0.0}, ValueError, "rtol must be a finite number .*above 0"),
        ({"atol": -1e-9}, ValueError, "atol must be a finite number .*at least 0"),
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
        ({"progress": 5}, TypeError, "progress must be True, False, a Heartbeat or a function"),
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


# --- what the loop keeps to


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


def test_importing_the_loop_does_not_import_hdf5():
    body = "import sys, wflow.loop; assert 'h5py' not in sys.modules and 'rich' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", body], check=False).returncode == 0
    assert storage.FORMAT_VERSION == 1
