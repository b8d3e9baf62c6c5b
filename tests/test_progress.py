"""Progress: a callback, a bar on a terminal, lines elsewhere, or nothing."""

from __future__ import annotations

import io
import sys
import time

import pytest
from toys.pendulum import run

from wflow.progress import progress
from wflow.schedules import linear


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
    with progress(True, 0.0, 8.0) as update:
        for k in range(1, 9):
            clock[0] += 2.0
            update(float(k), 10 * k, lambda: {"energy": 1.0, "gap": 0.25})
    text = stream.getvalue()
    assert "t = 3 of 8, gap 0.25, 5 steps/s" in text.splitlines()[0] if not terminal else "gap 0.25" in text
    assert len(text.splitlines()) == 2 or terminal


def test_no_progress_asks_for_nothing():
    with progress(False, 0.0, 1.0) as update:
        update(0.5, 1, lambda: pytest.fail("asked"))
