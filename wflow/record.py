"""When a run is recorded and which of its states are kept; the record it leaves; events and progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import numpy as np

from wflow import _checks
from wflow._checks import Array

if TYPE_CHECKING:
    from wflow.flows.base import Flow

__all__ = [
    "Event", "Events", "Interpolant", "Layout", "Memory", "Record", "Recorder", "Schedule", "Sink", "Update",
    "at", "every_step", "final_arrays", "geometric", "linear", "progress",
]  # fmt: skip

Event: TypeAlias = Callable[[float, Any], float]
Interpolant: TypeAlias = Callable[[float], Array]
States: TypeAlias = Literal["all", "ends"] | int


# --- when ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Schedule:
    """When frames are recorded and which of them keep the full state; made by `every_step`, `at`, `linear`, `geometric`.

    A frame is the time and the diagnostics: a few numbers. The first and the last state of a run are always frames and always
    kept in full, whatever the schedule says.

    Parameters
    ----------
    times : callable or None
        Maps (t_start, t_end) to the times (F,), increasing; None: the end of every accepted step.
    states : "all", "ends" or int
        Keep the state in every frame, in the first and the last, or in every k-th frame beside these.
    """

    times: Callable[[float, float], Array] | None
    states: States

    def __post_init__(self) -> None:
        if self.states not in ("all", "ends"):
            if isinstance(self.states, str):
                _checks.choice("states", self.states, ("all", "ends", "a positive integer"))
            _checks.integer("states", self.states, at_least=1)

    def due(self, t_start: float, t_end: float) -> Array | None:
        """The times (F,) within a run's span; None for the end of every step."""
        return None if self.times is None else self.times(t_start, t_end)

    def keeps(self, index: int) -> bool:
        """Whether frame `index`, not the last, keeps its state."""
        if isinstance(self.states, str):
            return self.states == "all" or index == 0
        return index % self.states == 0


def every_step(states: States = "ends") -> Schedule:
    """Every accepted step: the default, nearly free with methods that end a step on a field evaluation."""
    return Schedule(None, states)


def at(times: Any, states: States = "all") -> Schedule:
    """The given times, increasing and inside the run's span; states between steps come from the method's dense output."""
    wanted = _checks.array("times", times, (None,))
    if not (np.diff(wanted) > 0.0).all():
        first = int(np.argmin(np.diff(wanted) > 0.0)) + 1
        raise ValueError(f"times must increase; got {wanted[first]:g} at [{first}] after {wanted[first - 1]:g}")

    def inside(t_start: float, t_end: float) -> Array:
        outside = (wanted < t_start) | (wanted > t_end)
        if outside.any():
            raise ValueError(f"record times must lie in [{t_start:g}, {t_end:g}]; got {wanted[outside][0]:g}")
        return wanted

    return Schedule(inside, states)


def linear(n: int, states: States = "all") -> Schedule:
    """`n` ≥ 2 times at equal distances, both ends included."""
    n = _checks.integer("n", n, at_least=2)
    return Schedule(lambda t_start, t_end: np.linspace(t_start, t_end, n), states)


def geometric(n: int, first: float | None = None, states: States = "all") -> Schedule:
    """`n` ≥ 2 times: the start, then in geometric progression from `first` after it (default 1e-4 of the span) to the end."""
    n = _checks.integer("n", n, at_least=2)
    first = None if first is None else _checks.real("first", first, above=0.0)

    def times(t_start: float, t_end: float) -> Array:
        span = t_end - t_start
        start = _checks.real("first", 1e-4 * span if first is None else first, at_most=span)
        since = np.geomspace(start, span, n - 1) if n > 2 else np.array([span])
        return np.concatenate([[t_start], t_start + since[:-1], [t_end]])

    return Schedule(times, states)


# --- what ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Layout:
    """What a run will store, known before its first step: HDF5's single-writer mode creates nothing later.

    Parameters
    ----------
    diagnostics : tuple of str
        Names of the D diagnostics; frames have D + 1 columns, the time first.
    size : int
        Length n of the packed state.
    kind : str
        How a state is rebuilt from it (`Flow`, ``state_kind``).
    static : mapping of arrays
        Numbers that never change; names without slashes.
    finals : mapping of shapes
        What is worked out at the end.
    """

    diagnostics: tuple[str, ...]
    size: int
    kind: str = ""
    static: Mapping[str, Any] = field(default_factory=dict)
    finals: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, flow: Flow, t: float, y: Array) -> Layout:
        """What `flow` stores, seen at its first state (n,); one evaluation of its diagnostics and finals."""
        static = {name: np.asarray(value) for name, value in getattr(flow, "static", dict)().items()}
        finals = {name: np.shape(value) for name, value in final_arrays(flow, t, y).items()}
        return cls(tuple(flow.diagnostics(t, y)), y.size, str(getattr(flow, "state_kind", "")), static, finals)


def final_arrays(flow: Flow, t: float, y: Array) -> dict[str, Array]:
    """What `flow` works out at its last state."""
    finals = getattr(flow, "finals", None)
    return {} if finals is None else {name: np.asarray(value, dtype=np.float64) for name, value in finals(t, y).items()}


@dataclass(frozen=True, eq=False)
class Record:
    """What a run left, in memory or in a file.

    Parameters
    ----------
    layout : Layout
    frames : ndarray, shape (F, D + 1)
        Times and diagnostics.
    state_times : ndarray, shape (K,)
        When a state was kept.
    state : callable
        Maps k = 0, ..., K − 1 to the packed state (n,); read from the file when asked.
    events : ndarray, shape (E, 2)
        Index of the event and its time, in order of time.
    summary : mapping
        ``status``, ``message``, ``counts``, ``seconds``, ``events`` (their names), ``provenance``: plain JSON types.
    finals : mapping of arrays
    path : Path or None
    """

    layout: Layout
    frames: Array
    state_times: Array
    state: Callable[[int], Array]
    events: Array
    summary: Mapping[str, Any]
    finals: Mapping[str, Array]
    path: Path | None = None


class Sink(Protocol):
    """Where a run's record goes: `Memory`, or one run of a file. What a method has appended is safe when it returns."""

    layout: Layout

    @property
    def frame_time(self) -> float:
        """Time of the last frame; -inf before the first."""
        ...

    @property
    def state_time(self) -> float:
        """Time of the last state kept; -inf before the first."""
        ...

    def begin(self, summary: Mapping[str, Any]) -> None:
        """Say what runs here."""
        ...

    def frame(self, row: Array, y: Array | None = None) -> None:
        """Append the time and the diagnostics (D + 1,), and with them the state (n,) if it is given."""
        ...

    def state(self, t: float, y: Array) -> None:
        """Append the state (n,) of the last frame, at time t."""
        ...

    def event(self, index: int, t: float) -> None:
        """Append the time of an event."""
        ...

    def close(self, summary: Mapping[str, Any], finals: Mapping[str, Array]) -> Record:
        """Say how the run ended, and give its record."""
        ...


class Memory(Sink):
    """A record kept in memory: O(F D) for the frames, O(K n) for the states."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._rows: list[tuple[float, Array | None, Array | None]] = []  # time, frame, state: appended as one object
        self._events: list[tuple[int, float]] = []

    @property
    def frame_time(self) -> float:  # noqa: D102
        return next((t for t, row, _ in reversed(self._rows) if row is not None), -np.inf)

    @property
    def state_time(self) -> float:  # noqa: D102
        return next((t for t, _, y in reversed(self._rows) if y is not None), -np.inf)

    def begin(self, summary: Mapping[str, Any]) -> None:  # noqa: D102
        pass

    def frame(self, row: Array, y: Array | None = None) -> None:  # noqa: D102
        self._rows.append((float(row[0]), row, None if y is None else y.copy()))

    def state(self, t: float, y: Array) -> None:  # noqa: D102
        self._rows.append((t, None, y.copy()))

    def event(self, index: int, t: float) -> None:  # noqa: D102
        self._events.append((index, t))

    def close(self, summary: Mapping[str, Any], finals: Mapping[str, Array]) -> Record:  # noqa: D102
        frames = np.array([row for _, row, _ in self._rows if row is not None])
        times = np.array([t for t, _, y in self._rows if y is not None])
        states = [y for _, _, y in self._rows if y is not None]
        events = np.array(self._events, dtype=np.float64).reshape(-1, 2)
        return Record(self.layout, frames, times, states.__getitem__, events, summary, finals)


class Recorder:
    """Writes what is due into a sink, asking the flow for its diagnostics and never the method for a step.

    Cost per frame: one evaluation of the field where the flow does not remember it, as at times between steps
    (`interpolated` counts these).
    """

    def __init__(self, flow: Flow, schedule: Schedule, due: Array | None, sink: Sink) -> None:
        self.sink = sink
        self.interpolated = 0
        self._flow, self._schedule, self._due = flow, schedule, due
        self._next = self._index = 0
        self._seen: tuple[float, Array, Mapping[str, float]] | None = None

    def diagnostics(self, t: float, y: Array) -> Mapping[str, float]:
        """The flow's diagnostics at (t, y), not worked out again for the state seen last; NaN where floating-point traps go off."""
        if self._seen is None or self._seen[0] != t or self._seen[1] is not y:
            try:
                values = self._flow.diagnostics(t, y)
            except FloatingPointError:
                values = dict.fromkeys(self.sink.layout.diagnostics, np.nan)
            self._seen = (t, y, values)
        return self._seen[2]

    def step(self, t: float, y: Array, interpolate: Interpolant) -> None:
        """Record what fell due up to the end (t, y) of a step."""
        if self._due is None:
            self._frame(t, y)
            return
        while self._next < len(self._due) and self._due[self._next] <= t:
            due = float(self._due[self._next])
            if due > self.sink.frame_time:
                self.interpolated += due != t
                self._frame(due, y if due == t else interpolate(due))
            self._next += 1

    def ends(self, t: float, y: Array) -> None:
        """Make sure that (t, y), the first or the last good state, is the last frame and is kept in full."""
        if self.sink.frame_time < t:
            self._frame(t, y)
        if self.sink.state_time < t:
            self.sink.state(t, y)

    def _frame(self, t: float, y: Array) -> None:
        values, names = self.diagnostics(t, y), self.sink.layout.diagnostics
        if tuple(values) != names:
            raise ValueError(f"flow.diagnostics must give {', '.join(names)} at every call; got {', '.join(values)} at t = {t:g}")
        self.sink.frame(np.array([t, *values.values()], dtype=np.float64), y if self._schedule.keeps(self._index) else None)
        self._index += 1


# --- events and progress ------------------------------------------------------------------------------------------------------


class Events:
    """Zeros of functions event(t, state) along a run, found on the dense output as in SciPy's ``solve_ivp``.

    An event may carry attributes ``terminal`` (True or a count: stop there, at the first or at that occurrence) and ``direction``
    (positive: only upward crossings, negative: only downward). A zero at the very start is no crossing.
    Cost: one `unpack` a step, and some ten more for each crossing.
    """

    def __init__(self, events: Event | Iterable[Event], unpack: Callable[[Array], Any]) -> None:
        if not callable(events) and not isinstance(events, Iterable):
            raise TypeError(f"events must be a function of (t, state) or several of them; got {events!r}")
        self._events = (events,) if callable(events) else tuple(events)
        for k, event in enumerate(self._events):
            if not callable(event):
                raise TypeError(f"events[{k}] must be a function of (t, state); got {event!r}")
        self._unpack = unpack
        self._values: list[float] = []
        self._seen = [0] * len(self._events)
        self.names: list[str] = []
        for event in self._events:
            name, k = getattr(event, "__name__", type(event).__name__), 2
            while (unique := name if name not in self.names else f"{name}_{k}") in self.names:
                k += 1
            self.names.append(unique)

    def start(self, t: float, y: Array) -> None:
        """Evaluate the events at the first state."""
        self._values = self._evaluate(t, y)

    def step(self, t_old: float, t: float, y: Array, interpolate: Interpolant) -> tuple[list[tuple[int, float]], bool]:
        """The crossings (index, time) within the step to (t, y), up to the one that stops the run; whether one does."""
        if not self._events:
            return [], False
        before, self._values = self._values, self._evaluate(t, y)
        found = []
        for k, (a, b) in enumerate(zip(before, self._values, strict=True)):
            direction = getattr(self._events[k], "direction", 0)
            if (a < 0 <= b and direction >= 0) or (a > 0 >= b and direction <= 0):
                found.append((self._root(k, (t_old, a), (t, b), interpolate), k))
        crossings = []
        for root, k in sorted(found):
            self._seen[k] += 1
            crossings.append((k, root))
            terminal = int(getattr(self._events[k], "terminal", 0) or 0)
            if 0 < terminal <= self._seen[k]:
                return crossings, True
        return crossings, False

    def _evaluate(self, t: float, y: Array) -> list[float]:
        state = self._unpack(y) if self._events else None
        return [float(event(t, state)) for event in self._events]

    def _root(self, k: int, left: tuple[float, float], right: tuple[float, float], interpolate: Interpolant) -> float:
        from scipy.optimize import brentq

        ends = dict((left, right))  # the values that showed the crossing, not those of the interpolant, which may round across zero
        value = lambda s: ends[s] if s in ends else float(self._events[k](s, self._unpack(interpolate(s))))  # noqa: E731
        eps = 4 * np.finfo(float).eps
        return float(brentq(value, left[0], right[0], xtol=eps, rtol=eps))


Update: TypeAlias = Callable[[float, int, Callable[[], Mapping[str, float]]], None]


@contextmanager
def progress(show: bool | Callable[[float, Mapping[str, float]], None], t_start: float, t_end: float) -> Iterator[Update]:
    """A function update(t, steps, diagnostics) that shows how far a run is; `diagnostics` is called only when something is shown.

    True: a bar on a terminal (ten updates a second), else a line every five seconds, both on stderr. A callable is called as
    show(t, diagnostics) after every accepted step.
    """
    if not show:
        yield lambda *_: None
    elif callable(show):
        yield lambda t, _steps, diagnostics: show(t, diagnostics())
    else:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(file=sys.stderr)
        if not console.is_terminal:
            yield _throttled(t_end, 5.0, lambda _, text: print(text, file=sys.stderr, flush=True))
            return
        with Progress(BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn(), console=console) as bar:
            task = bar.add_task("starting", total=t_end - t_start)
            yield _throttled(t_end, 0.1, lambda t, text: bar.update(task, completed=t - t_start, description=text))


def _throttled(t_end: float, interval: float, draw: Callable[[float, str], None]) -> Update:
    last, steps_then = time.monotonic(), 0

    def update(t: float, steps: int, diagnostics: Callable[[], Mapping[str, float]]) -> None:
        nonlocal last, steps_then
        now = time.monotonic()
        if now - last < interval:
            return
        values = diagnostics()
        name = "gap" if "gap" in values else "energy"
        draw(t, f"t = {t:.4g} of {t_end:.4g}, {name} {values[name]:.4g}, {(steps - steps_then) / (now - last):.3g} steps/s")
        last, steps_then = now, steps

    return update
