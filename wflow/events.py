"""Zeros of functions of time and state along a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import numpy as np

from wflow import _checks
from wflow._checks import Array

__all__ = ["Event", "Events", "Interpolant"]

Event: TypeAlias = Callable[[float, Any], float]
Interpolant: TypeAlias = Callable[[float], Array]  # the packed state (n,) at any time within the last step


class Events:
    """Zeros of functions event(t, state) along a run, found on the dense output as in SciPy's ``solve_ivp``.

    An event may carry attributes ``terminal`` (True or a count: stop there, at the first or at that occurrence) and ``direction``
    (positive: only upward crossings, negative: only downward). A zero at the very start is no crossing.
    Cost: one `unpack` a step, and some ten more for each crossing.
    """

    def __init__(self, events: Event | Iterable[Event], unpack: Callable[[Array], Any]) -> None:
        try:
            self._events = (events,) if callable(events) else tuple(events)
        except TypeError:
            raise TypeError(f"events must be a function of (t, state) or several of them; got {_checks.show(events)}") from None
        for k, event in enumerate(self._events):
            if not callable(event):
                raise TypeError(f"events[{k}] must be a function of (t, state); got {_checks.show(event)}")
        self._unpack = unpack
        self._values: list[float] = []
        self.seen = [0] * len(self._events)  # how often each has occurred
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
            self.seen[k] += 1
            crossings.append((k, root))
            terminal = int(getattr(self._events[k], "terminal", 0) or 0)
            if 0 < terminal <= self.seen[k]:
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
