"""How far a sweep is, shown while it goes on: what its runs tell in their heartbeat files, wherever they run."""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

from wflow.progress import Standing, duration, meter, read_heartbeat, shown, terminal

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

__all__ = ["Board", "board"]

_AT_MOST = 8  # runs in progress that are shown one by one


class Board:
    """What a sweep tells while it runs: nothing, where it is to be quiet, and the base of what is told otherwise."""

    def done(self, k: int, text: str, *, failed: bool = False) -> None:
        """Run k has ended: how, in a few words; `failed` if not as it was meant to."""

    def note(self, line: str) -> None:
        """Print a line."""


@contextmanager
def board(names: Sequence[str], folder: str | os.PathLike[str], *, finished: Collection[int] = (), quiet: bool = False) -> Iterator[Board]:
    """Show on stderr how far the runs of a sweep are, until the block ends.

    On a terminal a bar over all runs and one for each run in progress, which vanish in the end, and a line for each failed run;
    elsewhere a line every five seconds and one for each run that has ended. A thread reads the heartbeats, so that runs in this
    process, in others and on other hosts are shown alike; it changes nothing and ends with the block. Those that lie there from an
    earlier session are not taken for runs in progress.

    Cost: five times a second (on a terminal) one listing of `folder` and one small read for each run in progress.

    Parameters
    ----------
    names : sequence of str
        Of all runs, in order; shown as they are.
    folder : path
        Where run k keeps ``{k:03d}.heartbeat`` (`wflow.progress.Heartbeat`); need not exist yet.
    finished : collection of int
        Runs that ended in earlier sessions: counted, not announced, and no measure of this session's speed.
    quiet : bool
        Show nothing.

    Yields
    ------
    Board
        To be told of every run that ends.
    """
    sweep = _Sweep([_plain(name) for name in names], Path(folder), frozenset(finished))
    if quiet:
        yield Board()
    else:
        console = terminal()
        with _Lines(sweep).shown() if console is None else _Bars(sweep, console).shown() as told:
            yield told


# --- what is known ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _View:
    """A sweep at one moment: its runs in progress by name, and in seconds how long it has been going and may still take."""

    n_runs: int
    n_ended: int
    n_failed: int
    running: tuple[tuple[str, Standing], ...]
    share: float
    elapsed: float
    left: float

    def summary(self) -> str:
        failed = f", {self.n_failed} failed" if self.n_failed else ""
        return f"{self.n_ended} of {self.n_runs} runs{failed}"


class _Sweep:
    """The runs of a sweep: which have ended, and where the others stand.

    What lies there at the start is stale until it is written anew: the clocks of other hosts need not agree with this one's.
    """

    def __init__(self, names: Sequence[str], folder: Path, finished: frozenset[int]) -> None:
        self.names, self._folder, self._before = names, folder, finished
        self._ended: dict[int, bool] = {}  # k: whether it failed
        self._start = time.monotonic()
        self._stale = {k: standing.clock for k, standing in self._heartbeats(finished)}

    def done(self, k: int, failed: bool) -> None:
        if not 0 <= k < len(self.names):
            raise ValueError(f"k must be the number of a run, from 0 to {len(self.names) - 1}; got {k}")
        self._ended[k] = failed

    def look(self) -> _View:
        """All that can be said now."""
        n, ended, elapsed = len(self.names), dict(self._ended), time.monotonic() - self._start
        running = [(self.names[k], s) for k, s in self._heartbeats(ended.keys() | self._before) if s.clock != self._stale.get(k)]
        n_now = len(ended.keys() - self._before)
        done = n_now + math.fsum(s.share for _, s in running)  # in runs, and in this session
        left = elapsed * (n - len(self._before) - done) / done if done > 0.0 else math.nan
        left = max([left, *(s.left for _, s in running if s.left > left)])  # the last runs have no others to wait for
        share = (len(self._before) + done) / max(n, 1)
        return _View(n, len(self._before) + n_now, sum(ended.values()), tuple(running), share, elapsed, left)

    def _heartbeats(self, ended: Collection[int]) -> list[tuple[int, Standing]]:
        """Where the other runs stand, as far as can be read, in order."""
        found = []
        with suppress(OSError):
            for name in os.listdir(self._folder):
                number, _, kind = name.partition(".")
                k = int(number) if kind == "heartbeat" and number.isdecimal() else -1
                if 0 <= k < len(self.names) and k not in ended and (standing := read_heartbeat(self._folder / name)) is not None:
                    found.append((k, standing))
        return sorted(found, key=itemgetter(0))


# --- how it is shown ----------------------------------------------------------------------------------------------------------


class _Shown(Board):
    """A board with a thread that looks at the runs every so many seconds and draws what it sees."""

    every: float

    def __init__(self, sweep: _Sweep) -> None:
        self.sweep = sweep

    def draw(self, view: _View) -> None:
        raise NotImplementedError

    @contextmanager
    def shown(self) -> Iterator[Board]:
        stop = threading.Event()

        def watch() -> None:
            while not stop.wait(self.every):
                with suppress(Exception):  # whatever is wrong with a display, the runs are not told
                    view = self.sweep.look()
                    if not stop.is_set():
                        self.draw(view)

        thread = threading.Thread(target=watch, name="wflow board", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            stop.set()
            thread.join(1.0)  # no longer, should a shared folder hang


class _Lines(_Shown):
    every = 5.0

    def done(self, k: int, text: str, *, failed: bool = False) -> None:
        self.sweep.done(k, failed)
        self.note(f"{self.sweep.names[k]}: {text}")

    def note(self, line: str) -> None:
        with suppress(OSError, ValueError):
            print(_plain(line) + "\n", end="", file=sys.stderr, flush=True)  # in one piece: two threads print

    def draw(self, view: _View) -> None:
        runs = [f"{name}: {standing}" for name, standing in view.running[:_AT_MOST]]
        self.note("; ".join([f"{view.summary()}, {duration(view.left)} left", *runs, *_more(view, _AT_MOST)]))


class _Bars(_Shown):
    every = 0.2

    def __init__(self, sweep: _Sweep, console: Console) -> None:
        super().__init__(sweep)
        self._console, self._view = console, sweep.look()

    @contextmanager
    def shown(self) -> Iterator[Board]:
        with shown(self._console, self._render, transient=True) as self._display, super().shown():
            yield self

    def done(self, k: int, text: str, *, failed: bool = False) -> None:
        self.sweep.done(k, failed)
        if failed:
            self.note(f"{self.sweep.names[k]}: {text}")

    def note(self, line: str) -> None:
        from rich.text import Text

        with suppress(OSError, ValueError):
            self._console.print(Text(_plain(line)), soft_wrap=True)

    def draw(self, view: _View) -> None:
        self._view = view
        self._display.refresh()

    def _render(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        view, width = self._view, self._console.width
        n_shown = max(1, min(_AT_MOST, self._console.height - 3))
        whole, single = meter(self._console, 2, named=True), meter(self._console, named=True)
        times = (f"{duration(view.elapsed)} elapsed", f"{duration(view.left)} left")
        whole.add_task(view.summary(), total=1000, completed=round(1000 * view.share), words=times)
        runs = [(name, round(1000 * standing.share), standing.words()) for name, standing in view.running[:n_shown]]
        room = width - 16 - sum(max([11, *(len(run[k]) for *_, run in runs)]) for k in range(4))  # beside the shortest bar
        for name, share, words in runs:
            single.add_task(_cut(name, max(12, room)), total=1000, completed=share, words=words)
        parts = [whole.get_renderable(), *([single.get_renderable()] if runs else []), *map(Text, _more(view, n_shown))]
        return Group(*parts)


def _more(view: _View, n_shown: int) -> list[str]:
    return [f"and {len(view.running) - n_shown} more"] if len(view.running) > n_shown else []


def _plain(text: str) -> str:
    """On one line, without what moves a cursor."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _cut(name: str, width: int) -> str:
    """Names of a sweep differ at the end and begin alike: what is too long loses its middle."""
    return name if len(name) <= width else f"{name[: width // 3]}…{name[len(name) - (width - width // 3 - 1) :]}"
