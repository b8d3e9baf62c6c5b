"""When a run is recorded, and in which of its frames the state is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from wflow import _checks
from wflow._checks import Array

__all__ = ["Schedule", "at", "every_step", "geometric", "linear"]

States: TypeAlias = Literal["all", "ends"] | int


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
        if not isinstance(self.states, str):
            object.__setattr__(self, "states", _checks.integer("states", self.states, at_least=1))
        elif self.states not in ("all", "ends"):
            _checks.choice("states", self.states, ("all", "ends", "a positive integer"))

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
    n = _size(n)
    return Schedule(lambda t_start, t_end: np.linspace(t_start, t_end, n), states)


def geometric(n: int, first: float | None = None, states: States = "all") -> Schedule:
    """`n` ≥ 2 times: the start, then in geometric progression from `first` after it (default 1e-4 of the span) to the end."""
    n = _size(n)
    first = None if first is None else _checks.real("first", first, above=0.0)

    def times(t_start: float, t_end: float) -> Array:
        span = t_end - t_start
        start = _checks.real("first", 1e-4 * span if first is None else first, at_most=span)
        since = np.geomspace(start, span, n - 1) if n > 2 else np.array([span])
        return np.concatenate([[t_start], t_start + since[:-1], [t_end]])

    return Schedule(times, states)


def _size(n: int) -> int:
    n = _checks.integer("n", n, at_least=2)
    _checks.memory("n", n, 32 * n)
    return n
