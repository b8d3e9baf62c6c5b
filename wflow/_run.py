"""Where a run stands while `wflow.loop` drives it: its last good state, counts, clocks, verdicts, and Ctrl-C."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Mapping
from functools import cache
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np

from wflow import _jit
from wflow._checks import Array
from wflow.events import Interpolant
from wflow.solution import Status

if TYPE_CHECKING:
    from wflow.flows.base import Flow, Stepper

__all__ = ["Interrupt", "Run", "Verdict"]

T = TypeVar("T")
Verdict: TypeAlias = tuple[Status, str]


class Run:
    """Where a run stands: its last good (t, y), its stepper, counts and clocks; and what to say when it cannot go on."""

    def __init__(self, flow: Flow, good: tuple[float, Array], t_end: float, max_steps: int, steady: float | None) -> None:
        self.flow = flow
        self.good, self.t_end, self.max_steps, self.steady = good, t_end, max_steps, steady
        self.clocks = _Clocks(flow)
        self.field = _Field(flow, self.clocks.field)
        self.stepper: Stepper | None = None
        self.steps = 0

    def start(self, make: Callable[[float, Array, float], Stepper]) -> None:
        """Make the stepper; SciPy's evaluate the field then."""
        self.stepper = make(*self.good, self.t_end)

    def interpolant(self) -> Interpolant:
        """The state within the last step; dense output is built once, and only if somebody asks."""
        assert self.stepper is not None
        dense_output = cache(self.stepper.dense_output)
        return lambda t: np.asarray(dense_output()(t))

    def guarded(self, part: Callable[[], T]) -> T | Verdict:
        """What `part` gives; Ctrl-C and floating-point traps end the run but not the program."""
        try:
            return part()
        except KeyboardInterrupt:
            return Status.INTERRUPTED, f"stopped by Ctrl-C at t = {self.good[0]:.6g}; the state there is kept"
        except FloatingPointError as error:
            return self.not_finite(f"the field ({error})")

    def gave_up(self, reason: str | None) -> Verdict:
        """The verdict on a step that failed: to a method, a field that is not finite looks like a step never short enough."""
        if self.field.last is not None and not np.isfinite(self.field.last).all():
            return self.not_finite("the field")
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
        self.last = value
        if self.calls == 1:
            if np.shape(value) != y.shape:
                raise ValueError(f"flow.rhs must return an array of shape {y.shape}; got {np.shape(value)}")
            if not np.isfinite(value).all():
                raise FloatingPointError("at the initial state")
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
        self._started, self._compiled, self._before = time.perf_counter(), _jit.compile_seconds(), dict(self._own)
        self.field = _Clock(self._elsewhere)
        self.recording = _Clock(lambda: self._elsewhere() + self.field.seconds)

    def _elsewhere(self) -> float:
        return _jit.compile_seconds() + (sum(self._own.values()) if self._own else 0.0)

    def seconds(self) -> dict[str, float]:
        """The parts so far, and ``"total"``."""
        return {
            "compile": _jit.compile_seconds() - self._compiled,
            "field": max(0.0, self.field.seconds),
            **{name: value - self._before.get(name, 0.0) for name, value in self._own.items()},
            "recording": max(0.0, self.recording.seconds),
            "total": time.perf_counter() - self._started,
        }


class Interrupt:
    """Ctrl-C asks the loop to end after the step in hand; a second one raises at once. Signals reach the main thread only."""

    def __init__(self) -> None:
        self.asked = False
        self._old: Any = None

    def __enter__(self) -> Interrupt:
        here = threading.current_thread() is threading.main_thread()
        if here and signal.getsignal(signal.SIGINT) not in (signal.SIG_IGN, None):  # a process told to ignore Ctrl-C goes on doing so
            self._old = signal.signal(signal.SIGINT, self._heard)
        return self

    def _heard(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self.asked:
            self._restore()
            raise KeyboardInterrupt
        self.asked = True

    def _restore(self) -> None:
        if self._old is not None:
            signal.signal(signal.SIGINT, self._old)
            self._old = None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._restore()
