"""What the fuzz runs under: examples from seeds, a time limit for each, a memory limit for all, and what a clean error is."""

from __future__ import annotations

import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import TypeVar

import numpy as np
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

T = TypeVar("T")
_GIGABYTE = 2**30


class HangError(BaseException):
    """An example took too long; no handler of wflow may take it for something else."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise HangError if the block computes for longer, whatever the machine does beside; where there are no alarms, let it."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def late(number: int, frame: object) -> None:
        raise HangError(f"no answer after {seconds:g} s")

    old = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, old)


@contextmanager
def memory(more: float = 2.0) -> Iterator[None]:
    """Allow `more` GB beyond what the process has now: an absurd size must end in an error, not in the machine's last byte."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (ImportError, OSError):  # not Linux
        yield
        return
    old = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + int(more * _GIGABYTE), old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, old)


def one_line(error: BaseException) -> str:
    """The message of an error, which must be one line that a terminal can show."""
    text = str(error)
    assert text, f"an empty {type(error).__name__}"
    assert len(text.splitlines()) == 1, f"not one line: {text!r}"
    assert text.isprintable(), f"not printable: {text!r}"
    assert len(text) < 1000, f"not a line to read: {len(text)} characters, {text[:200]!r}"
    return text


def fuzz(examples: int, draw: Callable[[Random], T], examine: Callable[[T], str], *, mixed: bool = True, seconds: float = 20.0) -> None:
    """Draw examples and have them examined, under the limits, as a user's process has it: NumPy warns, and a warning is an error.

    `examine` gives "result" or "error"; if `mixed`, a tenth at least must be of each, or the examples show nothing.
    """
    outcomes: Counter[str] = Counter()

    @settings(max_examples=examples, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(st.integers(0, 2**64))
    def run(seed: int) -> None:
        case = draw(Random(seed))
        note(repr(case))
        with within(seconds):
            outcomes[examine(case)] += 1

    with memory(), np.errstate(all="warn", under="ignore"):
        run()
    print(dict(outcomes))
    assert not mixed or all(outcomes[name] >= 0.1 * examples for name in ("result", "error")), outcomes
