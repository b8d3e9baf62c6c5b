"""What is recorded of a run: its layout, the sinks it goes to, the recorder that fills them, the record it leaves.

Schedules, events and the progress display have files of their own; their names are at hand here too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from wflow._checks import Array
from wflow.events import Event, Events, Interpolant
from wflow.progress import Update, progress
from wflow.schedules import Schedule, at, every_step, geometric, linear

if TYPE_CHECKING:
    from wflow.flows.base import Flow

__all__ = [
    "Event", "Events", "Interpolant", "Layout", "Memory", "Record", "Recorder", "Schedule", "Sink", "Update",
    "at", "every_step", "final_arrays", "final_residuals", "geometric", "linear", "progress",
]  # fmt: skip


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


def final_residuals(flow: Flow, t: float, y: Array) -> dict[str, Any]:
    """``{"residuals": ...}`` of the last state as plain data, where the flow has an ``evaluation(t, y)`` and its energy a ``domain`` Θ.

    They cost milliseconds, so they are worked out once, at the end, and not with the arrays above, which are laid out at the first
    state and kept in every checkpoint. What a user's own energy raises does not take the run with it: it is told instead.
    """
    energy, evaluation = getattr(flow, "energy", None), getattr(flow, "evaluation", None)
    if evaluation is None or not all(hasattr(energy, name) for name in ("domain", "signal", "field")):
        return {}
    from wflow.energies import residuals

    try:
        with np.errstate(all="ignore"):  # what overflows shows as inf, or ends below
            return {"residuals": residuals(energy, flow.unpack(y), evaluation=evaluation(t, y)).plain()}
    except (ValueError, TypeError, ArithmeticError, LookupError) as error:
        return {"residuals": {"failed": f"{type(error).__name__}: {error}"[:200]}}


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
    states : callable
        Maps indices in 0, ..., K − 1 to an iterator over packed states (n,); read from the file one at a time.
    events : ndarray, shape (E, 2)
        Index of the event and its time, in order of time.
    summary : mapping
        ``status``, ``message``, ``counts``, ``seconds``, ``events`` (their names), ``provenance``, and once the run has ended ``rows``,
        the numbers of frames and states before its end was added to them, and the last state's ``residuals``: plain JSON types.
    finals : mapping of arrays
    path : Path or None
    run : str
        Id of the run in a file.
    last : pair or None
        Time and packed state of the checkpoint of a run that has not ended.
    """

    layout: Layout
    frames: Array
    state_times: Array
    states: Callable[[Iterable[int]], Iterator[Array]]
    events: Array
    summary: Mapping[str, Any]
    finals: Mapping[str, Array]
    path: Path | None = None
    run: str = ""
    last: tuple[float, Array] | None = None


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

    @property
    def last_event(self) -> tuple[float, int]:
        """Time and index of the last event; -inf before the first."""
        ...

    @property
    def rows(self) -> tuple[int, int]:
        """Numbers of frames and of states."""
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

    @property
    def last_event(self) -> tuple[float, int]:  # noqa: D102
        return (self._events[-1][1], self._events[-1][0]) if self._events else (-np.inf, 0)

    @property
    def rows(self) -> tuple[int, int]:  # noqa: D102
        kept = [(row is not None, y is not None) for _, row, y in self._rows]
        return sum(row for row, _ in kept), sum(y for _, y in kept)

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
        return Record(self.layout, frames, times, _Kept(states), events, summary, finals)


@dataclass(frozen=True)
class _Kept:
    """States in memory, asked for as those of a file."""

    states: list[Array]

    def __call__(self, indices: Iterable[int]) -> Iterator[Array]:
        return (self.states[k] for k in indices)


class Recorder:
    """Writes what is due into a sink, asking the flow for its diagnostics and never the method for a step.

    What a resumed run repeats up to the last frame that its sink holds is counted and not written again.
    Cost per frame: one evaluation of the field where the flow does not remember it, as at times between steps
    (`interpolated` counts these).

    Parameters
    ----------
    flow : Flow
    schedule : Schedule
    due : ndarray, shape (F,), or None
        The schedule's times in the span of the run.
    sink : Sink
    t : float
        Where the run stands, its first state or that of a checkpoint.
    index, interpolated : int
        Frames that fell due and evaluations that they cost up to then.
    """

    def __init__(
        self, flow: Flow, schedule: Schedule, due: Array | None, sink: Sink, t: float, index: int = 0, interpolated: int = 0
    ) -> None:
        self.sink, self.index, self.interpolated = sink, index, interpolated
        self._flow, self._schedule, self._due = flow, schedule, due
        self._next = 0 if due is None else int(np.searchsorted(due, t, side="right"))
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
            self._frame(t, lambda: y)
            return
        while self._next < len(self._due) and self._due[self._next] <= t:
            due = float(self._due[self._next])
            self._frame(due, lambda due=due: y if due == t else interpolate(due))  # type: ignore[misc]
            self.interpolated += due != t
            self._next += 1

    def event(self, index: int, t: float) -> None:
        """Record an event."""
        if (t, index) > self.sink.last_event:
            self.sink.event(index, t)

    def begins(self, t: float, y: Array) -> None:
        """Record the first state, which is kept in full."""
        self._frame(t, lambda: y)

    def ends(self, t: float, y: Array) -> None:
        """Make sure that (t, y), the last good state, is the last frame and is kept in full."""
        if self.sink.frame_time < t:
            self._frame(t, lambda: y)
        if self.sink.state_time < t:
            self.sink.state(t, y)

    def _frame(self, t: float, state: Callable[[], Array]) -> None:
        if t > self.sink.frame_time:
            y = state()
            values, names = self.diagnostics(t, y), self.sink.layout.diagnostics
            if tuple(values) != names:
                raise ValueError(f"flow.diagnostics must give {', '.join(names)} at every call; got {', '.join(values)} at t = {t:g}")
            self.sink.frame(np.array([t, *values.values()], dtype=np.float64), y if self._schedule.keeps(self.index) else None)
        self.index += 1
