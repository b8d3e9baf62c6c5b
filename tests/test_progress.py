"""Progress: a callback, a bar on a terminal, lines elsewhere, a heartbeat file, or nothing; and how long a run will still take."""

from __future__ import annotations

import io
import itertools
import math
import os
import pickle
import random
import struct
import sys
import time
import zlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys.pendulum import run

from wflow.progress import Heartbeat, Pace, Standing, counting, duration, progress, read_heartbeat, short
from wflow.schedules import linear


class Stream(io.StringIO):
    def __init__(self, terminal=False):
        super().__init__()
        self.isatty = lambda: terminal


class Clock:
    """A steady clock that stands until it is moved."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def on_terminal(monkeypatch):
    stream = Stream(terminal=True)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("TTY_INTERACTIVE", raising=False)
    return stream


def test_progress_calls_back_after_every_step():
    seen = []
    solution = run(linear(3), progress=lambda t, values: seen.append((t, values["energy"])))
    assert [t for t, _ in seen] == list(run().times[1:])
    assert seen[-1][1] == solution.energy[-1]


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_is_a_bar_on_a_terminal_and_lines_elsewhere(monkeypatch, terminal, clock):
    stream = Stream(terminal)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm" if terminal else "dumb")
    with progress(True, 0.0, 8.0) as update:
        for k in range(1, 9):
            clock.now += 2.0
            update(float(k), 10 * k, lambda: {"energy": 1.0, "gap": 0.25})
    text = stream.getvalue()
    assert "t = 3 of 8, gap 0.25, 5 steps/s, 0:00:10 left" in text.splitlines()[0] if not terminal else "gap 0.25" in text
    assert len(text.splitlines()) == 2 or terminal


def test_no_progress_asks_for_nothing():
    with progress(False, 0.0, 1.0) as update:
        update(0.5, 1, lambda: pytest.fail("asked"))


@pytest.mark.parametrize("show", [5, "yes", 1.0, [True]])
def test_what_cannot_show_is_refused(show):
    with pytest.raises(TypeError, match="progress must be True, False, a Heartbeat or a function of t and diagnostics; got"):
        progress(show, 0.0, 1.0).__enter__()


def test_a_quick_run_leaves_its_end_on_the_terminal(monkeypatch, clock):
    terminal = on_terminal(monkeypatch)
    with progress(True, 0.0, 8.0) as update:
        assert "starting" in terminal.getvalue()
        for k in range(1, 9):  # all within one tenth of a second
            update(float(k), k, lambda: {"energy": -1.5})
    frame = terminal.getvalue().split("\r")[-1]
    assert "t = 8 of 8 " in frame
    assert "energy -1.5" in frame
    assert "t = 5 of 8 " not in terminal.getvalue()
    assert terminal.getvalue().endswith("\x1b[?25h")  # the cursor is back


def test_the_bar_shows_time_gap_speed_and_time_left(monkeypatch, clock):
    terminal = on_terminal(monkeypatch)
    monkeypatch.setenv("NO_COLOR", "1")  # what is to come is blank then
    with progress(True, 0.0, 8.0) as update:
        for k in range(1, 7):
            clock.now += 100.0
            update(float(k), 10 * k, lambda: {"energy": 1.0, "gap": 2.434e-6})
        frame = terminal.getvalue().split("\r")[-1]
    words = "  t = 6 of 8", "gap 2.43e-6", "0.1 steps/s", "0:03:20 left"
    assert " ".join(words) in frame
    assert frame.count("━") == 28  # of 40, five of seven steps' time having passed


def test_the_terminal_is_left_as_it_was_after_ctrl_c(monkeypatch):
    terminal = on_terminal(monkeypatch)

    def interrupted():
        with progress(True, 0.0, 1.0) as update:
            update(0.5, 1, lambda: {"energy": 1.0})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert terminal.getvalue().endswith("\x1b[?25h")
    assert sys.stderr is terminal


@pytest.mark.parametrize("is_terminal", [False, True])
def test_a_stderr_that_breaks_ends_no_run(monkeypatch, is_terminal, clock):
    stream = Stream(is_terminal)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    broken = []

    def fail(text):
        broken.append(text)
        raise OSError(5, "Input/output error")

    with progress(True, 0.0, 4.0) as update:
        stream.write = fail
        for k in range(1, 4):
            clock.now += 10.0
            update(float(k), k, lambda: {"energy": 1.0})
    assert len(broken) >= 3


@pytest.mark.parametrize("stream", [None, "closed"])
def test_without_stderr_there_is_no_bar(monkeypatch, stream, clock, capsys):
    if stream == "closed":
        stream = Stream(terminal=True)
        stream.close()
    monkeypatch.setattr(sys, "stderr", stream)
    with progress(True, 0.0, 4.0) as update:
        for k in range(1, 4):
            clock.now += 10.0
            update(float(k), k, lambda: {"energy": 1.0})


# --- numbers ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.25, "0.25"), (0.1123, "0.112"), (2.434e-6, "2.43e-6"), (0.00999, "9.99e-3"), (12.34, "12.3"), (999.4, "999"),
     (999.7, "1000"), (1234.5, "1234"), (12345.0, "1.23e4"), (-0.5, "-0.5"), (1e-100, "1.00e-100"), (math.nan, "nan"), (math.inf, "inf")],
)  # fmt: skip
def test_short(value, text):
    assert short(value) == text


@given(st.floats(-1e300, 1e300))
def test_short_keeps_three_figures(value):
    text = short(value)
    assert float(text) == pytest.approx(value, rel=5.001e-3 if value else 0.0, abs=0.0)
    assert len(text.lstrip("-")) <= 9


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0:00:00"), (59.6, "0:01:00"), (185.0, "0:03:05"), (3599.7, "1:00:00"), (359_000.0, "99:43:20"), (864_000.0, "10 days"),
     (math.nan, "?")],
)  # fmt: skip
def test_duration(seconds, text):
    assert duration(seconds) == text


# --- time left ----------------------------------------------------------------------------------------------------------------


def march(size, cost, span, x=0.0, noise=0.0):
    """(seconds, x) after every step, of a run whose k-th step from x has this size and takes so many seconds."""
    draw, seconds, seen = random.Random(7), 12.0, []
    for k in itertools.count():
        dx = size(x, k)
        x = x + dx if x + 1.000001 * dx < span else span
        seconds += cost(x) * draw.uniform(1 - noise, 1 + noise)
        seen.append((seconds, x))
        if x == span:
            return seen
    return None


def foretold(seen, t_start=0.0, steps=0):
    """(share of the session, seconds foretold, seconds it took) after every step."""
    begin, (end, span) = seen[0][0], seen[-1]
    pace = Pace(t_start, t_start + span)
    for k, (seconds, x) in enumerate(seen):
        pace.step(seconds, t_start + x, steps + k + 1)
        yield (seconds - begin) / (end - begin), pace.left(), end - seconds


RUNS = {
    "fixed steps": (lambda x, k: 0.05, lambda x: 0.1, 100.0, 0.0),
    "few fixed steps": (lambda x, k: 0.05, lambda x: 60.0, 1.0, 0.0),
    "growth by 5 % a step": (lambda x, k: 1e-5 * 1.05**k, lambda x: 0.2, 1e3, 0.0),
    "growth by 40 % a step": (lambda x, k: 1e-6 * 1.4**k, lambda x: 5.0, 1e3, 0.0),
    "t grows as wall^2": (lambda x, k: 1e-5 * (k + 1), lambda x: 0.05, 30.0, 0.0),
    "t grows as wall^3": (lambda x, k: 1e-6 * (k + 1) ** 2, lambda x: 0.05, 30.0, 0.0),
    "stages grow with the steps": (lambda x, k: max(1e-6, 0.03 * x), lambda x: 0.1 + math.sqrt(x), 30.0, 0.0),
    "a start of tiny steps": (lambda x, k: min(1e-8 * 2.0 ** min(k, 60), 0.05), lambda x: 0.1, 100.0, 0.0),
    "a quarter of growing steps": (lambda x, k: min(1e-6 * 1.02**k, 0.02), lambda x: 0.1, 30.0, 0.0),
    "steps that shrink": (lambda x, k: 0.1 / (1 + x), lambda x: 0.1, 20.0, 0.0),
    "fixed, resumed": (lambda x, k: 0.05, lambda x: 0.1, 100.0, 60.0),
    "as wall^2, resumed": (lambda x, k: 0.02 * math.sqrt(x), lambda x: 0.1, 100.0, 1.0),
    "growing, resumed": (lambda x, k: 0.02 * x, lambda x: 0.1, 1000.0, 1.0),
}


@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("name", RUNS)
def test_time_left_is_within_a_factor_of_two_through_the_second_half(name, noise):
    size, cost, span, x = RUNS[name]
    seen = march(size, cost, span, x, noise)
    one_step = max(b - a for (a, _), (b, _) in itertools.pairwise(seen))
    for share, guess, truth in foretold(seen, t_start=3.0, steps=500):
        if share >= 0.5:
            assert 0.5 * truth - one_step <= guess <= 2.0 * truth + one_step
        else:
            assert math.isnan(guess) or 0.0 < guess < 100.0 * seen[-1][0]


@given(st.floats(1.0, 5.0), st.floats(0.05, 0.99), st.floats(1e-3, 1e6), st.floats(0.0, 0.5), st.sampled_from([0.0, -2.0]))
def test_time_left_is_exact_for_a_power_of_the_wall_time(power, now, span, resumed, t_start):
    """t = span · w^p, seen from the share `resumed` on: w = (t/span)^(1/p) whatever was seen."""
    pace = Pace(t_start, t_start + span)
    begin, end = 1000.0 * (resumed + 1e-3), 1000.0
    for k in range(201):
        w = begin + (end - begin) * now * k / 200
        pace.step(77.0 + w, t_start + span * (w / end) ** power, k + 1)
    left = pace.left()
    assert left == pytest.approx(end - w, rel=1e-4) or (math.isnan(left) and now < 0.2)


def test_a_resumed_run_is_timed_from_its_first_step_here():
    pace = Pace(0.0, 100.0)
    for k in range(11):
        pace.step(1000.0 + k, 90.0 + 0.5 * k, 100_000 + 2 * k)
    assert pace.elapsed() == 10.0
    assert pace.speed() == pytest.approx(2.0)
    assert pace.left() == pytest.approx(10.0, rel=0.02)


def test_steps_per_second_are_those_of_late():
    pace = Pace(0.0, 1e9)
    seconds = steps = 0
    for rate in (100, 2):
        for _ in range(rate * 10):
            steps += 1
            seconds += 1 / rate
            pace.step(seconds, float(steps), steps)
    assert pace.speed() == pytest.approx(2.0)


def test_nothing_is_foretold_from_nothing():
    pace = Pace(0.0, 1.0)
    assert (pace.elapsed(), math.isnan(pace.speed()), math.isnan(pace.left())) == (0.0, True, True)
    pace.step(5.0, 0.1, 1)
    assert (pace.elapsed(), math.isnan(pace.speed()), math.isnan(pace.left())) == (0.0, True, True)
    pace.step(5.5, 0.2, 2)
    assert pace.speed() == 2.0
    assert math.isnan(pace.left())
    pace.step(5.9, 0.3, 3)
    assert math.isnan(pace.left())  # in under a second
    pace.step(9.0, 1.0, 4)
    assert pace.left() == 0.0


STEPS = st.lists(st.tuples(st.just(0.0) | st.floats(1e-9, 1e4), st.floats(1e-300, 1e6)), max_size=60)  # seconds, time


@given(STEPS, st.floats(-1e6, 1e6), st.floats(1e-6, 1e12))
def test_time_left_is_never_absurd(steps, t_start, span):
    pace, seconds, t = Pace(t_start, t_start + span), 0.0, t_start
    for k, (dt, dx) in enumerate(steps):
        seconds, t = seconds + dt, max(math.nextafter(t, math.inf), t + dx)
        pace.step(seconds, min(t, t_start + span), k + 1)
        assert math.isnan(pace.left()) or 0.0 <= pace.left() < math.inf
        assert math.isnan(pace.speed()) or 0.0 <= pace.speed() < math.inf


def test_a_long_session_is_remembered_in_little():
    pace = Pace(0.0, 1e6)
    for k in range(100_000):
        pace.step(0.3 * k, k + 1.0, k + 1)
    assert len(pickle.dumps(pace)) < 10_000
    assert pace.left() == pytest.approx(0.3 * (1e6 - 1e5), rel=1e-3)


STANDING = Standing(0.0, 8.0, 3.0, 30, "gap", 0.25, 1.7e9, 4.0, 12.0, 5.0)


@pytest.mark.parametrize(("elapsed", "left", "share"), [(4.0, 12.0, 0.25), (4.0, math.nan, 0.0), (4.0, 0.0, 1.0), (0.0, 0.0, 1.0)])
def test_the_bar_agrees_with_the_time_left(elapsed, left, share):
    assert replace(STANDING, elapsed=elapsed, left=left).share == share


def test_a_standing_in_words():
    assert str(STANDING) == "t = 3 of 8, gap 0.25, 5 steps/s, 0:00:12 left"
    unknown = replace(STANDING, quantity="energy", left=math.nan, speed=math.nan)
    assert str(unknown) == "t = 3 of 8, energy 0.25, ? steps/s, ? left"


# --- heartbeats ---------------------------------------------------------------------------------------------------------------


def test_a_heartbeat_beats_at_the_first_step_and_then_five_times_a_second(tmp_path, clock, monkeypatch):
    path, asked, written = tmp_path / "000.heartbeat", [], []
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, record, offset: (written.append((len(record), offset)), pwrite(file, record, offset)))
    with progress(Heartbeat(path), 0.0, 100.0) as update:
        assert read_heartbeat(path) is None
        for k in range(1, 101):
            update(float(k), k, lambda: asked.append(clock.now) or {"energy": 1.0, "gap": 1.0 / (1.0 + len(asked))})
            if k == 1:
                assert read_heartbeat(path).t == 1.0
            clock.now += 0.05
    assert asked[0] == 0.0
    assert all(0.2 <= b - a < 0.26 for a, b in itertools.pairwise(asked))
    assert 5.0 - asked[-1] < 0.26
    assert written == [(path.stat().st_size, 0)] * len(asked)


def test_a_heartbeat_says_where_the_run_stands(tmp_path, clock):
    path = tmp_path / "000.heartbeat"
    before = time.time()
    with progress(pickle.loads(pickle.dumps(Heartbeat(path))), 1.0, 9.0) as update:
        for k in range(1, 5):
            clock.now += 2.0
            values = {"energy": 1.5} if k < 4 else {"energy": 1.5, "gap": 0.25}
            update(1.0 + k, 10 * k, lambda values=values: values)
            seen = read_heartbeat(path)
            assert before <= seen.clock <= time.time()
            assert (seen.quantity, seen.value) == (("energy", 1.5) if k < 4 else ("gap", 0.25))
    assert (seen.t_start, seen.t_end, seen.t, seen.steps) == (1.0, 9.0, 5.0, 40)
    assert (seen.elapsed, seen.speed) == (6.0, 5.0)
    assert seen.left == pytest.approx(8.0)
    assert seen.share == pytest.approx(6.0 / 14.0)


def test_a_run_beats_and_goes_as_it_would_without(tmp_path):
    solution = run(linear(3), progress=Heartbeat(str(tmp_path / "a")))
    assert list(solution.times) == list(run(linear(3)).times)
    seen = read_heartbeat(tmp_path / "a")
    assert (seen.t_start, seen.t_end, seen.steps, seen.quantity) == (0.0, 5.0, 1, "energy")
    assert 0.0 < seen.t < 5.0
    assert math.isnan(seen.left)


def test_a_heartbeat_that_cannot_be_written_ends_no_run(tmp_path, clock):
    paths = [tmp_path / "gone" / "000.heartbeat", tmp_path, "nul\0"] + ["/dev/full"] * os.path.exists("/dev/full")
    for path in paths:
        with pytest.raises((OSError, ValueError)):
            Heartbeat(path).write(STANDING)
        with progress(Heartbeat(path), 0.0, 9.0) as update:
            for k in range(1, 5):
                clock.now += 1.0
                update(float(k), k, lambda: {"energy": 1.0})


def test_a_folder_that_comes_back_is_written_to(tmp_path, clock):
    folder = tmp_path / "parts"
    with progress(Heartbeat(folder / "000.heartbeat"), 0.0, 9.0) as update:
        update(1.0, 1, lambda: {"energy": 1.0})
        folder.mkdir()
        clock.now += 1.0
        update(2.0, 2, lambda: {"energy": 1.0})
    assert read_heartbeat(folder / "000.heartbeat").steps == 2


@pytest.mark.parametrize("path", [3, None, b"a"])
def test_a_heartbeat_needs_a_path(path):
    with pytest.raises(TypeError, match="path must be a string or a path; got"):
        Heartbeat(path)


def test_what_is_no_whole_heartbeat_is_none(tmp_path):
    path = tmp_path / "000.heartbeat"
    assert read_heartbeat(path) is None
    assert read_heartbeat(tmp_path) is None
    Heartbeat(path).write(STANDING)
    whole = path.read_bytes()
    assert read_heartbeat(path) == STANDING
    torn = [whole[:n] for n in range(len(whole))] + [whole + b"\0", whole + whole, b"\0" * len(whole)]
    torn += [whole[:n] + bytes([whole[n] ^ 1]) + whole[n + 1 :] for n in range(len(whole))]
    body = b"wflow-2\n" + whole[8:-4]
    torn.append(body + struct.pack("<I", zlib.crc32(body)))  # whole, but of another version
    for record in torn:
        path.write_bytes(record)
        assert read_heartbeat(path) is None


@given(st.tuples(*[st.floats()] * 4), st.tuples(*[st.floats()] * 4), st.integers(0, 2**62), st.sampled_from(["gap", "energy"]))
def test_a_heartbeat_keeps_every_number(tmp_path_factory, some, others, steps, quantity):
    path = tmp_path_factory.getbasetemp() / "every.heartbeat"
    standing = Standing(*some[:3], steps, quantity, some[3], *others)
    Heartbeat(path).write(standing)
    assert repr(read_heartbeat(path)) == repr(standing)  # NaN too


# --- things that are counted


def test_what_is_counted_is_told_on_a_terminal_at_every_one(monkeypatch):
    terminal = on_terminal(monkeypatch)
    with counting("frames") as tell:
        for k in range(3):
            tell(k + 1, 3)
            assert f"{k + 1} of 3 frames" in terminal.getvalue()


def test_elsewhere_it_is_told_every_five_seconds(monkeypatch, clock):
    stream = Stream()
    monkeypatch.setattr(sys, "stderr", stream)
    with counting("frames") as tell:
        for k in range(8):
            clock.now += 2.0
            tell(k + 1, 8)
    assert stream.getvalue().splitlines() == ["3 of 8 frames", "6 of 8 frames"]
    with counting("frames", show=False) as tell:
        clock.now += 100.0
        tell(1, 1)
    assert len(stream.getvalue().splitlines()) == 2
