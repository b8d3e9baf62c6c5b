"""A run's books: what it counts, where its time goes, and Ctrl-C wherever it strikes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time

import numba
import numpy as np
import pytest
from toys.decay import Decay, Euler, field

from wflow.loop import Status, solve
from wflow.loop import open as open_run
from wflow.record import Memory, every_step, linear

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
import json, sys, time; sys.path.insert(0, {os.path.dirname(__file__)!r})
from toys.decay import Euler, field
from wflow.loop import solve
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


# --- what is counted, and where the time goes


def test_counts_of_a_method_are_split_into_disjoint_evaluations():
    class Counting(Euler):
        counts = {"rejected": 3, "spectral_radius": 2, "rhs": 99}

    solution = solve(Decay(), [1.0], 5.0, Counting, options={"dt": 0.5}, record=[0.1, 0.2, 0.5, 0.7])
    assert solution.counts == {"rejected": 3, "steps": 10, "rhs": 8, "spectral_radius": 2, "recording": 3}
    text = solution.summary()
    assert "field evaluations 13 (steps 8, spectral radius 2, recording 3)" in text
    assert "steps             10, 3 rejected" in text


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
