"""Where a run stands while `wflow.loop` drives it: its last good state, counts, clocks and verdicts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np

from wflow import _jit
from wflow._checks import Array
from wflow._signals import Interrupt
from wflow.events import Interpolant
from wflow.solution import Status

if TYPE_CHECKING:
    from wflow.flows.base import Flow, Stepper

__all__ = ["Run", "Verdict"]

T = TypeVar("T")
Verdict: TypeAlias = tuple[Status, str]


class Run:
    """Where a run stands: its last good (t, y), its stepper, counts and clocks; and what to say when it cannot go on."""

    def __init__(
        self, flow: Flow, good: tuple[float, Array], t_end: float, max_steps: int, steady: float | None, interrupt: Interrupt
    ) -> None:
        self.flow, self.interrupt = flow, interrupt
        self.good, self.t_end, self.max_steps, self.steady = good, t_end, max_steps, steady
        self.clocks = _Clocks(flow)
        self.field = _Field(flow, self.clocks.field)
        self.stepper: Stepper | None = None
        self.steps = 0
        self._before: Mapping[str, int] = {}  # what a method that keeps no memory had counted before the run was resumed

    def start(self, make: Callable[[float, Array, float], Stepper], memory: Mapping[str, Any] | None, progress: Mapping[str, Any]) -> None:
        """Make the stepper, with its memory of the steps before where the run is resumed; SciPy's evaluate the field then."""
        if progress:
            self.steps, self.field.calls = progress["steps"], progress["calls"]
            self.clocks.before = progress["seconds"]
            self._before = progress["counts"] if memory is None else {}
        self.stepper = make(*self.good, self.t_end)
        if memory is not None:
            self.stepper.load_state_dict(memory)  # type: ignore[attr-defined]

    def interpolant(self) -> Interpolant:
        """The state within the last step; dense output is built once, and only if somebody asks."""
        assert self.stepper is not None
        dense_output = cache(self.stepper.dense_output)
        projected: Callable[[Array], Array] = getattr(self.flow, "projected", lambda y: y)
        return lambda t: projected(np.asarray(dense_output()(t)))

    def guarded(self, part: Callable[[], T]) -> T | Verdict:
        """What `part` gives; Ctrl-C and floating-point traps end the run but not the program."""
        try:
            return part()
        except KeyboardInterrupt:
            by = self.interrupt.asked or "Ctrl-C"
            return Status.INTERRUPTED, f"stopped by {by} at t = {self.good[0]:.6g}; the state there is kept"
        except FloatingPointError as error:
            return self.not_finite(f"the field ({error})")

    def gave_up(self, reason: str | None) -> Verdict:
        """The verdict on a step that failed: to a method, a field that is not finite looks like a step never short enough."""
        if self.field.last is not None and not np.isfinite(self.field.last).all():
            return self.not_finite("the field")
        if hasattr(self.flow, "stepper"):
            return Status.STEP_TOO_SMALL, f"no step from t = {self.good[0]:.6g} succeeds: {reason or 'no reason given'}"
        advice = "the field may blow up or jump here: loosen rtol and atol, or take rkc2 or euler"
        return Status.STEP_TOO_SMALL, f"no step from t = {self.good[0]:.6g} meets the tolerance ({reason or 'no reason given'}); {advice}"

    def not_finite(self, what: str) -> Verdict:
        """The verdict on a number that is not finite."""
        advice = "take shorter steps (dt, max_step), or look at the energy and the initial state"
        return Status.NOT_FINITE, f"{what} is not finite beyond t = {self.good[0]:.6g}, where the last good state is kept; {advice}"

    def gave_out(self) -> Verdict:
        """The verdict on too many steps."""
        advice = "raise max_steps, loosen rtol, or take rkc2 if the problem is stiff"
        return Status.STEP_LIMIT, f"max_steps = {self.max_steps} reached at t = {self.good[0]:.6g}; {advice}"

    def counts(self) -> dict[str, int]:
        """Steps, evaluations for stepping and for the spectral radius, and what else the stepper counts."""
        own = dict(getattr(self.stepper, "counts", {})) or {name: n for name in ("njev", "nlu") if (n := getattr(self.stepper, name, 0))}
        for name, n in self._before.items():
            if name not in ("steps", "rhs"):
                own[name] = own.get(name, 0) + n
        apart = own.get("spectral_radius", 0)
        return {**own, "steps": self.steps, "rhs": self.field.calls - apart, "spectral_radius": apart}


class _Field:
    """``flow.rhs``, counted and timed, its first value checked."""

    def __init__(self, flow: Flow, clock: _Clock) -> None:
        self.calls = 0
        self.last: Array | None = None
        self._rhs, self._clock = flow.rhs, clock

    def __call__(self, t: float, y: Array) -> Array:
        with self._clock:
            value = self._rhs(t, y)
        self.calls += 1
        if self.last is None:
            if np.shape(value) != y.shape:
                raise ValueError(f"flow.rhs must return an array of shape {y.shape}; got {np.shape(value)}")
            if not np.isfinite(value).all():
                raise FloatingPointError("at the initial state")
        self.last = value
        return value


class _Clock:
    """Wall seconds spent inside ``with clock:``, less what `elsewhere` counts meanwhile."""

    def __init__(self, elsewhere: Callable[[], float]) -> None:
        self.seconds = 0.0
        self._elsewhere, self._start = elsewhere, 0.0

    def __enter__(self) -> None:
        self._start = time.perf_counter() - self._elsewhere()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.seconds += time.perf_counter() - self._elsewhere() - self._start


class _Clocks:
    """The wall time of a run in disjoint parts: what compiles, what the flow times itself, the rest of the field, recording."""

    def __init__(self, flow: Flow) -> None:
        self._own: Mapping[str, float] = getattr(flow, "seconds", {})
        self.before: Mapping[str, float] = {}  # the parts of the sessions before this one
        self._started, self._compiled, self._at_start = time.perf_counter(), _jit.compile_seconds(), dict(self._own)
        self.field = _Clock(self._elsewhere)
        self.recording = _Clock(lambda: self._elsewhere() + self.field.seconds)

    def _elsewhere(self) -> float:
        return _jit.compile_seconds() + (sum(self._own.values()) if self._own else 0.0)

    def seconds(self) -> dict[str, float]:
        """The parts so far, and ``"total"``."""
        now = {
            "compile": _jit.compile_seconds() - self._compiled,
            "field": max(0.0, self.field.seconds),
            **{name: value - self._at_start.get(name, 0.0) for name, value in self._own.items()},
            "recording": max(0.0, self.recording.seconds),
            "total": time.perf_counter() - self._started,
        }
        return {name: value + self.before.get(name, 0.0) for name, value in now.items()}
