"""The board of a sweep: bars on a terminal, lines elsewhere, nothing when quiet; never in the way of the runs."""

from __future__ import annotations

import io
import math
import os
import re
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

import wflow.board
from wflow.board import board
from wflow.progress import Heartbeat, Standing

NAMES = [f"fig1b seed {k} [bold]n=[/bold][{100 * 2**k}]" for k in range(12)]
STANDING = Standing(0.0, 8.0, 3.0, 30, "gap", 0.25, 1.7e9, 4.0, 12.0, 5.0)


class Stream(io.StringIO):
    def __init__(self, terminal):
        super().__init__()
        self.isatty = lambda: terminal


def stderr(monkeypatch, terminal, width=130, height=40):
    """A stderr that can be read, and displays that hurry."""
    stream = Stream(terminal)
    monkeypatch.setattr(sys, "stderr", stream)
    for name, value in (("TERM", "xterm"), ("COLUMNS", str(width)), ("LINES", str(height))):
        monkeypatch.setenv(name, value)
    for name in ("NO_COLOR", "TTY_INTERACTIVE", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(wflow.board._Bars, "every", 0.01)
    monkeypatch.setattr(wflow.board._Lines, "every", 0.01)
    return stream


def screen(text, width=130):
    """What a terminal shows after `text`: its lines, the last ones empty ones cut off, and whether the cursor is seen."""
    lines, row, column, seen = [[]], 0, 0, True
    for token in re.findall(r"\x1b\[[?\d;]*[A-Za-z]|.", text.replace("\r\n", "\n"), re.DOTALL):
        kind = token[-1] if len(token) > 1 else token
        if kind == "\n":
            row, column = row + 1, 0
        elif kind == "\r":
            column = 0
        elif token == "\x1b[2K":
            lines[row] = []
        elif len(token) == 1:
            if column == width:
                row, column = row + 1, 0
            lines.extend([] for _ in range(row + 1 - len(lines)))
            lines[row].extend(" " * (column + 1 - len(lines[row])))
            lines[row][column] = token
            column += 1
        elif kind == "A":
            row -= int(token[2:-1])
        elif kind in "hl":
            seen = kind == "h"
        else:
            assert kind == "m", token
        lines.extend([] for _ in range(row + 1 - len(lines)))
    shown = ["".join(line).rstrip() for line in lines]
    while shown and not shown[-1]:
        shown.pop()
    return shown, seen


def until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.005)


def beat(folder, k, **changes):
    Heartbeat(folder / f"{k:03d}.heartbeat").write(replace(STANDING, clock=time.time(), **changes))


def shows(stream, *words):
    def condition():
        text = "\n".join(screen(stream.getvalue())[0])
        return all(word in text for word in words)

    until(condition)
    return screen(stream.getvalue())[0]


# --- on a terminal ------------------------------------------------------------------------------------------------------------


def test_a_bar_for_all_runs_and_one_for_each_in_progress(tmp_path, monkeypatch):
    stream = stderr(monkeypatch, terminal=True)
    with board(NAMES[:5], tmp_path) as told:
        assert "0 of 5 runs" in shows(stream, "? left")[0]
        beat(tmp_path, 0)
        beat(tmp_path, 1, t=7.0, quantity="energy", value=-2.434e-6, left=185.0, speed=math.nan)
        _, zeroth, first = shows(stream, "0:00:12 left", "0:03:05 left")
        for word in (NAMES[0], "t = 3 of 8", "gap 0.25", "5 steps/s"):
            assert word in zeroth
        for word in (NAMES[1], "t = 7 of 8", "energy -2.43e-6", "? steps/s"):
            assert word in first
        assert zeroth.index("of 8") == first.index("of 8")  # in columns
        told.done(0, "finished after 2.1 s")
        told.done(3, "failed: ValueError: [red]no[/red]", failed=True)
        lines = shows(stream, "2 of 5 runs, 1 failed")
        assert lines[0] == f"{NAMES[3]}: failed: ValueError: [red]no[/red]"
        assert NAMES[0] not in "".join(lines)
        assert NAMES[1] in lines[2]
        assert len(lines) == 3
    assert screen(stream.getvalue()) == ([f"{NAMES[3]}: failed: ValueError: [red]no[/red]"], True)


def test_bars_show_what_has_passed(tmp_path, monkeypatch):
    stream = stderr(monkeypatch, terminal=True)
    monkeypatch.setenv("NO_COLOR", "1")  # what is to come is blank then
    with board(["a", "b"], tmp_path):
        beat(tmp_path, 1, elapsed=30.0, left=10.0)
        lines = shows(stream, "0:00:10 left")
    assert [line.count("━") for line in lines] == [15, 30]  # of 40


def test_at_most_eight_bars(tmp_path, monkeypatch):
    stream = stderr(monkeypatch, terminal=True)
    for k in range(11):
        beat(tmp_path, k)
    with board(NAMES, tmp_path) as told:
        for k in range(11):
            beat(tmp_path, k)
        lines = shows(stream, "and 3 more")
        assert [NAMES[k] in line for k, line in enumerate(lines[1:9])] == [True] * 8
        assert lines[9:] == ["and 3 more"]
        for k in range(3):
            told.done(k, "finished")
        until(lambda: "more" not in "".join(screen(stream.getvalue())[0]))
        assert len(screen(stream.getvalue())[0]) == 9


@pytest.mark.parametrize(("width", "height"), [(80, 8), (60, 5), (20, 3)])
def test_a_small_terminal_is_not_overrun(tmp_path, monkeypatch, width, height):
    stream = stderr(monkeypatch, terminal=True, width=width, height=height)
    with board(NAMES, tmp_path):
        for k in range(8):
            beat(tmp_path, k)
        until(lambda: "mo" in "".join(screen(stream.getvalue(), width)[0]))
        lines = screen(stream.getvalue(), width)[0]
        assert len(lines) <= max(height, 3)
        if width == 80:
            assert re.fullmatch(r"fig1b .*….*\[100\] [━╸╺]{8,} +t = 3 of 8 +gap 0.25 +5 steps/s 0:00:12 left", lines[1])
            assert max(map(len, lines)) <= width - 3  # ^C fits in
    assert screen(stream.getvalue(), width) == ([], True)


def test_notes_and_prints_go_above_the_bars(tmp_path, monkeypatch):
    stream = stderr(monkeypatch, terminal=True)
    with board(NAMES, tmp_path) as told:
        told.note("runs in place: [i]no[/i] workers\n :smile: \x1b[2J")
        print("a warning", file=sys.stderr)
        lines = shows(stream, "0 of 12 runs", "a warning")
    assert lines[:2] == ["runs in place: [i]no[/i] workers :smile: [2J", "a warning"]
    assert lines[2].startswith("0 of 12 runs")
    assert screen(stream.getvalue())[0] == lines[:2]


def test_stdout_stays_stdout(tmp_path, monkeypatch, capsys):
    stream = stderr(monkeypatch, terminal=True)
    with board(NAMES, tmp_path):
        print("a result")
    assert capsys.readouterr().out == "a result\n"
    assert "a result" not in stream.getvalue()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("terminal", [False, True])
def test_whatever_ends_it_the_terminal_is_clean_and_the_thread_gone(tmp_path, monkeypatch, error, terminal):
    stream, before = stderr(monkeypatch, terminal), threading.enumerate()

    def sweep():
        with board(NAMES, tmp_path):
            assert len(threading.enumerate()) == len(before) + 1
            beat(tmp_path, 0)
            shows(stream, "t = 3 of 8")
            raise error

    with pytest.raises(error):
        sweep()
    assert threading.enumerate() == before
    assert sys.stderr is stream
    assert not terminal or screen(stream.getvalue()) == ([], True)


# --- elsewhere ----------------------------------------------------------------------------------------------------------------


def test_lines_where_there_is_no_terminal(tmp_path, monkeypatch):
    stream = stderr(monkeypatch, terminal=False)
    with board(NAMES[:11], tmp_path) as told:
        until(lambda: "0 of 11 runs, ? left\n" in stream.getvalue())
        told.note("2 workers [spawned]")
        beat(tmp_path, 0)
        beat(tmp_path, 1, left=math.nan)
        last = f"; {NAMES[0]}: t = 3 of 8, gap 0.25, 5 steps/s, 0:00:12 left; {NAMES[1]}: t = 3 of 8, gap 0.25, 5 steps/s, ? left\n"
        until(lambda: last in stream.getvalue())
        told.done(1, "failed: ValueError: not\n so", failed=True)
        until(lambda: "\n1 of 11 runs, 1 failed, 0:00:" in stream.getvalue())
        for k in range(1, 11):
            beat(tmp_path, k)
        until(lambda: "; and 2 more\n" in stream.getvalue())
    lines = stream.getvalue().splitlines()
    assert "2 workers [spawned]" in lines
    assert f"{NAMES[1]}: failed: ValueError: not so" in lines
    assert "\x1b" not in stream.getvalue()


def test_lines_come_every_five_seconds(tmp_path, monkeypatch):
    waits = []

    class Event(threading.Event):
        def wait(self, timeout=None):
            if threading.current_thread().name == "wflow board":
                waits.append(timeout)
                return super().wait(0.001)
            return super().wait(timeout)

    stream = Stream(terminal=False)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(threading, "Event", Event)
    with board(NAMES, tmp_path):
        until(lambda: len(waits) > 3)
    assert set(waits) == {5.0}


def test_quiet_is_silent(tmp_path, monkeypatch, capsys):
    stream, before = stderr(monkeypatch, terminal=True), threading.enumerate()
    with board(NAMES, tmp_path, quiet=True) as told:
        beat(tmp_path, 0)
        told.note("nothing")
        told.done(0, "failed", failed=True)
        assert threading.enumerate() == before
    assert stream.getvalue() == capsys.readouterr().out == ""


# --- what is taken for a run in progress, and what is made of it --------------------------------------------------------------


@pytest.mark.parametrize("terminal", [False, True])
def test_what_lies_there_from_an_earlier_session_is_ignored(tmp_path, monkeypatch, terminal):
    stream = stderr(monkeypatch, terminal)
    beat(tmp_path, 0)
    beat(tmp_path, 1, left=math.nan, speed=math.nan)
    beat(tmp_path, 2)
    beat(tmp_path, 12)  # of another sweep
    (tmp_path / "004.heartbeat").write_bytes(b"torn")
    (tmp_path / "x.heartbeat").write_bytes(b"")
    (tmp_path / "005.h5.heartbeat").write_bytes(b"")
    with board(NAMES, tmp_path, finished=[2]):
        beat(tmp_path, 2)
        beat(tmp_path, 3)
        text = "".join(shows(stream, "1 of 12 runs", NAMES[3]))
        assert not any(name in text for name in (*NAMES[:3], NAMES[4]))
        beat(tmp_path, 1, left=math.nan, speed=math.nan)  # and now it is made
        shows(stream, NAMES[1])


def test_the_folder_may_come_later_and_go(tmp_path, monkeypatch):
    stream, folder = stderr(monkeypatch, terminal=True), tmp_path / "a.h5.parts"
    with board(NAMES, str(folder)):
        shows(stream, "0 of 12 runs")
        folder.mkdir()
        beat(folder, 7)
        shows(stream, NAMES[7])
        (folder / "007.heartbeat").unlink()
        folder.rmdir()
        until(lambda: NAMES[7] not in "".join(screen(stream.getvalue())[0]))


@pytest.mark.parametrize(
    ("finished", "done", "lefts", "expected"),
    [
        ([], 0, [math.nan], math.nan),  # nothing to go by
        ([], 4, [12.0], 100.0 * (10 - 4.25) / 4.25),  # share 1/4 of one run
        ([7, 8, 9], 2, [12.0, math.nan], 100.0 * (7 - 2.25) / 2.25),  # earlier runs took none of this session's time
        ([], 9, [900.0], 900.0),  # the last run does not share its work
        ([], 10, [], 0.0),
    ],
)
def test_time_left_over_all_runs(tmp_path, monkeypatch, finished, done, lefts, expected):
    clock = [50.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    sweep = wflow.board._Sweep(NAMES[:10], tmp_path, frozenset(finished))
    for k in range(done):
        sweep.done(k, failed=False)
    for k, left in enumerate(lefts):
        beat(tmp_path, done + k, left=left)
    clock[0] += 100.0
    view = sweep.look()
    assert view.elapsed == 100.0
    assert view.left == pytest.approx(expected, nan_ok=True)
    assert view.summary() == f"{done + len(finished)} of 10 runs"


@pytest.mark.parametrize("k", [-1, 12])
@pytest.mark.parametrize("terminal", [False, True])
def test_only_runs_of_the_sweep_end(tmp_path, monkeypatch, terminal, k):
    stderr(monkeypatch, terminal)
    with board(NAMES, tmp_path) as told, pytest.raises(ValueError, match=f"k must be the number of a run, from 0 to 11; got {k}"):
        told.done(k, "finished")


# --- nothing that is wrong with it reaches the runs ---------------------------------------------------------------------------


@pytest.mark.parametrize("terminal", [False, True])
def test_a_stderr_that_breaks_ends_no_sweep(tmp_path, monkeypatch, terminal):
    stream, broken = stderr(monkeypatch, terminal), []

    def fail(text):
        broken.append(text)
        raise OSError(5, "Input/output error")

    with board(NAMES, tmp_path) as told:
        stream.write = fail
        told.note("a line")
        told.done(0, "failed", failed=True)
        until(lambda: len(broken) > 5)


@pytest.mark.parametrize("terminal", [False, True])
def test_a_defect_of_the_display_ends_no_sweep(tmp_path, monkeypatch, terminal):
    stream, asked = stderr(monkeypatch, terminal), []

    def read(path):
        asked.append(path)
        raise RuntimeError("a defect")

    with board(NAMES, tmp_path):
        monkeypatch.setattr(wflow.board, "read_heartbeat", read)
        beat(tmp_path, 0)
        until(lambda: len(asked) > 3)
        monkeypatch.undo()
        monkeypatch.setattr(sys, "stderr", stream)
        shows(stream, NAMES[0])  # and it goes on once that is over


# --- for real: processes, a pipe, a pseudo-terminal ---------------------------------------------------------------------------

SCRIPT = """
import os, sys, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from wflow.board import board
from wflow.progress import Heartbeat, progress

def task(k, pause):
    with progress(Heartbeat(f"{k:03d}.heartbeat"), 0.0, 100.0) as update:
        for step in range(1, 21):
            time.sleep(pause)
            update(100.0 * (step / 20) ** 2, step, lambda: {"energy": 0.0, "gap": 1.0 / step})

if __name__ == "__main__":
    pause, quiet = float(sys.argv[1]), "--quiet" in sys.argv
    if sys.stdin.isatty():
        os.close(os.open(os.ttyname(0), os.O_RDWR))  # a terminal whose Ctrl-C is ours
    import wflow.board
    wflow.board._Lines.every = 0.2
    with board(["seed [0]", "seed [1]"], ".", quiet=quiet) as told, ProcessPoolExecutor(2, get_context("spawn")) as pool:
        told.note("2 workers")
        try:
            for k, future in enumerate([pool.submit(task, k, pause) for k in range(2)]):
                future.result()
                told.done(k, "finished after 1 s")
        except KeyboardInterrupt:
            for process in pool._processes.values():
                process.kill()
    print("the end", flush=True)
"""


@pytest.fixture
def script(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    return lambda *words: [sys.executable, "script.py", *words]


def test_lines_in_a_pipe_from_runs_in_other_processes(tmp_path, script):
    process = subprocess.run(script("0.04"), cwd=tmp_path, capture_output=True, text=True, check=True)
    lines = process.stderr.splitlines()
    assert process.stdout == "the end\n"
    assert lines[0] in ("2 workers", "0 of 2 runs, ? left")
    standing = r"seed \[{}\]: t = [\d.]+ of 100, gap [\d.]+, (\?|[\d.]+) steps/s, (\?|\d:\d\d:\d\d) left"
    assert any(re.fullmatch(rf"0 of 2 runs, .* left; {standing.format(0)}; {standing.format(1)}", line) for line in lines)
    assert [line for line in lines if "finished" in line] == [f"seed [{k}]: finished after 1 s" for k in range(2)]


def test_quiet_in_a_pipe(tmp_path, script):
    process = subprocess.run(script("0.001", "--quiet"), cwd=tmp_path, capture_output=True, text=True, check=True)
    assert (process.stdout, process.stderr) == ("the end\n", "")


@pytest.mark.parametrize("interrupt", [False, True])
def test_bars_on_a_pseudo_terminal(tmp_path, script, interrupt):
    ours, theirs = os.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "110", "LINES": "30", "NO_COLOR": ""}
    process = subprocess.Popen(
        script("0.05" if not interrupt else "1"),
        cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, env=environment,
    )  # fmt: skip
    os.close(theirs)
    text, frames, asked = b"", [], False
    while True:
        try:
            data = os.read(ours, 65536)
        except OSError:  # the other side has been closed
            break
        if not data:
            break
        text += data
        lines, seen = screen(text.decode(errors="ignore"), 110)
        frames.append((lines, seen))
        if interrupt and not asked and "t = 1 of 100" in "".join(lines):
            os.write(ours, b"\x03")
            asked = True
    os.close(ours)
    assert process.wait(10) == 0
    assert asked is interrupt
    bar, left = "[━╸╺]{40}", r"(\?|0:00:\d\d) left"
    standing = rf"{bar} +t = [\d.]+ of 100 +gap [\d.]+ +(\?|[\d.]+) steps/s +{left}"
    frame = rf"2 workers\n[01] of 2 runs {bar} 0:00:0\d elapsed +{left}\nseed \[0\] {standing}\nseed \[1\] {standing}"
    assert any(re.fullmatch(frame, "\n".join(lines)) and not seen for lines, seen in frames)
    assert [line for line in frames[-1][0] if line not in ("", "^C")] == ["2 workers", "the end"]
    assert frames[-1][1]
