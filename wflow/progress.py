"""How far a run is, shown while it goes on: a bar, lines, a callback, or a heartbeat file that another process can watch."""

from __future__ import annotations

import math
import os
import struct
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, TextIO, TypeAlias

from wflow._pace import Pace

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live
    from rich.progress import Progress

__all__ = [
    "Heartbeat", "Pace", "Show", "Standing", "Update", "counting", "duration", "meter", "progress", "read_heartbeat", "short", "shown",
    "terminal",
]  # fmt: skip

Update: TypeAlias = Callable[[float, int, Callable[[], Mapping[str, float]]], None]


def short(value: float) -> str:
    """At least three figures in few characters: 0.112, 2.43e-6, 1234."""
    size = abs(value)
    text = f"{value:.0f}" if 999.5 <= size < 9999.5 else f"{value:.3g}" if size == 0.0 or 0.01 <= size < 999.5 else f"{value:.2e}"
    return text.replace("e-0", "e-").replace("e+0", "e")


def duration(seconds: float) -> str:
    """0:03:05 for hours, minutes, seconds; days from 100 hours on; ? where it is not known."""
    if not seconds < 360_000:
        return "?" if math.isnan(seconds) else f"{short(seconds / 86_400)} days"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


@dataclass(frozen=True)
class Standing:
    """Where a run stood after a step."""

    t_start: float  # mean-field time: of the whole run ...
    t_end: float
    t: float  # ... and reached
    steps: int  # accepted, those of earlier sessions too
    quantity: str  # what `value` is: "gap", or "energy" where there is no gap
    value: float
    clock: float  # seconds since the epoch
    elapsed: float  # seconds since the first step of this session
    left: float  # seconds from here to t_end; NaN: not known yet
    speed: float  # steps per second lately; NaN: not known yet

    @property
    def share(self) -> float:
        """Of this session's time, what has passed: from 0, also while that is not known, to 1."""
        return self.elapsed / (self.elapsed + self.left) if self.left > 0.0 else float(self.left == 0.0)  # NaN is neither

    def words(self) -> tuple[str, str, str, str]:
        """Mean-field time, gap, steps per second, time left."""
        speed = "?" if math.isnan(self.speed) else short(self.speed)
        reached = f"t = {short(self.t)} of {short(self.t_end)}"
        return reached, f"{self.quantity} {short(self.value)}", f"{speed} steps/s", f"{duration(self.left)} left"

    def __str__(self) -> str:
        return ", ".join(self.words())


# --- a file that tells other processes ----------------------------------------------------------------------------------------

_VERSION = b"wflow-1\n"
_RECORD = struct.Struct("<8s 3d q 8s 5d")  # the version, then a Standing


@dataclass(frozen=True)
class Heartbeat:
    """A small file that says where a run stands, for ``solve(progress=Heartbeat(path))`` in a process that shows nothing.

    It is written at the first step and then at most five times a second; `read_heartbeat` reads it in another process. A hint only:
    if it cannot be written, for want of space or of the folder, the run goes on. TypeError if `path` is no path.
    """

    path: str | os.PathLike[str]

    def __post_init__(self) -> None:
        if not isinstance(self.path, (str, os.PathLike)):
            raise TypeError(f"path must be a string or a path; got {self.path!r}")

    def write(self, standing: Standing) -> None:
        """Replace the record; opened and closed every time, so that other hosts see it in a shared folder."""
        numbers = [value.encode() if isinstance(value, str) else value for value in astuple(standing)]
        record = _summed(_RECORD.pack(_VERSION, *numbers))
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o666)
        try:
            os.pwrite(file, record, 0)
        finally:
            os.close(file)


def _summed(body: bytes) -> bytes:
    return body + zlib.crc32(body).to_bytes(4, "little")


def read_heartbeat(path: str | os.PathLike[str]) -> Standing | None:
    """What was last written there; None if nothing was, only a part of it, or by another version."""
    try:
        with open(path, "rb") as file:
            record = file.read(_RECORD.size + 5)  # one byte more than there should be
    except OSError:
        return None
    if not record.startswith(_VERSION) or record != _summed(record[: _RECORD.size]):
        return None
    _, t_start, t_end, t, steps, quantity, *rest = _RECORD.unpack(record[:-4])
    return Standing(t_start, t_end, t, steps, quantity.rstrip(b"\0").decode(), *rest)


# --- who is told --------------------------------------------------------------------------------------------------------------

Show: TypeAlias = bool | Heartbeat | Callable[[float, Mapping[str, float]], None] | None


def progress(show: Show, t_start: float, t_end: float) -> AbstractContextManager[Update]:
    """A function update(t, steps, diagnostics) that tells how far a run is, for as long as the ``with`` block of what is returned.

    `diagnostics` is called only when something is told.

    Parameters
    ----------
    show : bool, Heartbeat, callable or None
        True: a bar on a terminal (ten updates a second), else a line every five seconds, both on stderr. A callable is called as
        show(t, diagnostics) after every accepted step. Anything else is a TypeError. What cannot be printed or written never ends a run.
    t_start, t_end : float
        Mean-field time of the whole run; a resumed one's first update comes far from `t_start`, with the steps made before.
    """
    if not (show is None or callable(show) or isinstance(show, (bool, Heartbeat))):
        raise TypeError(f"progress must be True, False, a Heartbeat or a function of t and diagnostics; got {show!r}")
    return _telling(show, t_start, t_end)


@contextmanager
def _telling(show: Show, t_start: float, t_end: float) -> Iterator[Update]:
    if not show:
        yield lambda *_: None
    elif isinstance(show, Heartbeat):
        yield _throttled(show.write, t_start, t_end, 0.2, first=True)
    elif callable(show):
        yield lambda t, _steps, diagnostics: show(t, diagnostics())
    elif (console := terminal()) is None:
        yield _throttled(lambda standing: print(standing, file=sys.stderr, flush=True), t_start, t_end, 5.0)
    else:
        bar = meter(console)
        task = bar.add_task("", total=1.0, words=("starting", "", "", ""))
        with shown(console, bar.get_renderable) as display:

            def draw(standing: Standing) -> None:
                bar.update(task, completed=standing.share, words=standing.words())
                display.refresh()

            yield _throttled(draw, t_start, t_end, 0.1, first=True, last=True)


def _throttled(
    tell: Callable[[Standing], None], t_start: float, t_end: float, interval: float, *, first: bool = False, last: bool = False
) -> Update:
    """Tell at most every `interval` seconds, and where so asked at the first step and at the last one too."""
    pace = Pace(t_start, t_end)
    due = -math.inf if first else time.monotonic() + interval

    def update(t: float, steps: int, diagnostics: Callable[[], Mapping[str, float]]) -> None:
        nonlocal due
        now = time.monotonic()
        pace.step(now, t, steps)
        if now < due and not (last and t >= t_end):
            return
        due = now + interval
        values = diagnostics()
        quantity = "gap" if "gap" in values else "energy"
        seen = (quantity, float(values[quantity]), time.time(), pace.elapsed(), pace.left(), pace.speed())
        with suppress(OSError, ValueError):  # a full disk, a stderr that was closed
            tell(Standing(t_start, t_end, t, steps, *seen))

    return update


@contextmanager
def counting(things: str, show: bool = True) -> Iterator[Callable[[int, int], None]]:
    """A function tell(done, of) that says how many `things` are done, shown as `progress` shows a run."""
    if not show:
        yield lambda _done, _of: None
    elif (console := terminal()) is None:
        due = time.monotonic() + 5.0

        def tell(done: int, of: int) -> None:
            nonlocal due
            if time.monotonic() >= due:
                due = time.monotonic() + 5.0
                with suppress(OSError, ValueError):
                    print(f"{done} of {of} {things}", file=sys.stderr, flush=True)

        yield tell
    else:
        bar = meter(console, 1)
        task = bar.add_task("", total=1.0, words=("starting",))
        with shown(console, bar.get_renderable) as display:

            def draw(done: int, of: int) -> None:
                bar.update(task, completed=done / of, words=(f"{done} of {of} {things}",))
                with suppress(OSError, ValueError):
                    display.refresh()

            yield draw


# --- on a terminal ------------------------------------------------------------------------------------------------------------


def terminal() -> Console | None:
    """The terminal on stderr; None where there is none, or none that can redraw."""
    if not _is_terminal(sys.stderr):
        return None
    from rich.console import Console

    console = Console(stderr=True)
    return console if console.is_interactive else None


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and not stream.closed and stream.isatty()


def meter(console: Console, n_words: int = 4, *, named: bool = False) -> Progress:
    """Bars, each with the words of its task's field ``words`` in columns, as `Standing.words`; nothing is read as markup."""
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.table import Column

    name = [TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True))] * named
    bar = BarColumn(None, table_column=Column(min_width=8, max_width=40))
    word = Column(no_wrap=True, min_width=11)
    words = (TextColumn(f"{{task.fields[words][{k}]}}", justify="right", markup=False, table_column=word) for k in range(n_words))
    return Progress(*name, bar, *words, console=console)


@contextmanager
def shown(console: Console, render: Callable[[], RenderableType], transient: bool = False) -> Iterator[Live]:
    """What is rendered, redrawn at ``refresh()``, with what else is printed above it; that the terminal has gone is no error of a run."""
    from rich.constrain import Constrain
    from rich.live import Live

    def narrowed() -> Constrain:
        return Constrain(render(), console.width - 3)  # leaves room for the ^C that a terminal echoes: a line more would stay behind

    piped = not _is_terminal(sys.stdout)  # then what is printed must go on getting there
    display = Live(console=console, auto_refresh=False, transient=transient, redirect_stdout=not piped, get_renderable=narrowed)
    try:
        with suppress(OSError, ValueError):
            display.start(refresh=True)
        yield display
    finally:
        with suppress(OSError, ValueError):
            display.stop()
