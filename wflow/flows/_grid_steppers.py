"""Steppers of grids: Euler's explicit step within its bound, and implicit Euler, neither of which moves the energy the wrong way."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from wflow import _checks
from wflow._checks import Array

__all__ = ["EulerSteps", "ImplicitSteps", "Moving"]

_ROUNDING = 1e-14  # by which the energy may move the wrong way, of the sum of its terms
_WITHIN = 0.9  # of the longest Euler step that keeps masses non-negative
_SLIVER = 1e-8  # a last step this much longer, relatively, is taken rather than leaving a sliver behind
_SAFETY, _SHORTER, _LONGER = 0.9, 0.2, 5.0  # on steps, as the error estimate asks; bounds on the factor of one change
_LONGER_EULER = 1.25  # factor on Euler's step after one that was not halved

Field = Callable[[float, Array], Array]


class Moving(Protocol):
    """What a stepper asks of its flow: a part of `wflow.flows.EulerianFlow`, where it is explained."""

    linear: bool
    sense: float

    def step_bound(self, t: float, y: Array) -> float: ...
    def error_norm(self, error: Array, y_old: Array, y_new: Array, rtol: float, atol: Array) -> float: ...
    def energy_and_scale(self, t: float, y: Array) -> tuple[float, float]: ...
    def slope(self, t: float, y: Array, direction: Array) -> tuple[float, float]: ...
    def implicit_step(self, t: float, y: Array, dt: float) -> Array: ...


class _GridSteps:
    """A step of first order in time, halved until no mass is negative and the energy moves in its sense; `wflow.flows.Stepper`.

    Where the first variation does not depend on the measure (``flow.linear``) the energy moves in its sense by construction, and is
    not asked for.
    """

    TOO_SMALL = "No step that is longer than the spacing between numbers moves the energy in its sense."
    NOT_FINITE = "The state or the field is not finite."

    def __init__(self, flow: Moving, t: float, y: Array, t_end: float, field: Field, dt: float | None) -> None:
        self._flow, self._field = flow, field
        self.t, self.y, self.t_bound = t, y, t_end
        self.status = "running"
        self._dt = math.inf if dt is None else _checks.real("dt", dt, above=0.0)
        self._h = self._dt
        self._steps = self._rejected = 0
        self._old = (t, y)
        self._energy: float | None = None
        self._energy_there: float | None = None  # after the last attempt
        self.f: Array | None = None

    @property
    def counts(self) -> dict[str, int]:
        """Accepted `steps`, and attempts `rejected`."""
        return {"steps": self._steps, "rejected": self._rejected}

    def step(self) -> str | None:
        """Take one step; the reason where none can be taken."""
        self._begin()
        left = self.t_bound - self.t
        h, retried = self._wanted(), False
        while True:
            last = left <= h * (1.0 + _SLIVER)
            t = self.t_bound if last else self.t + h
            if not t > self.t or not math.isfinite(t):
                self.status = "failed"
                return self.TOO_SMALL
            taken = t - self.t
            y = self._advanced(taken)
            if not np.isfinite(y).all():
                self.status = "failed"
                return self.NOT_FINITE
            stands, h = self._verdict(t, y, taken)
            if stands:
                break
            self._rejected, retried = self._rejected + 1, True
        self._h = min(h, taken) if retried else h
        self._old = (self.t, self.y)
        self.t, self.y, self._steps, self._energy = t, y, self._steps + 1, self._energy_there
        if last:
            self.status = "finished"
        return None

    def _begin(self) -> None:
        """What a step needs to know of its start."""
        if not self._flow.linear and self._energy is None:
            self._energy = self._flow.energy_and_scale(self.t, self.y)[0]

    def _wanted(self) -> float:
        """The step to try first."""
        raise NotImplementedError

    def _advanced(self, h: float) -> Array:
        """Masses (n,) after a step h."""
        raise NotImplementedError

    def _verdict(self, t: float, y: Array, h: float) -> tuple[bool, float]:
        """Whether the step h to (t, y) stands, and how long the next is to be: one that takes its place, if it does not."""
        raise NotImplementedError

    def _stands(self, t: float, y: Array) -> bool:
        """Whether no mass of y is negative and its energy no worse than the last, beyond rounding."""
        if float(y.min()) < 0.0:
            return False
        if self._flow.linear:
            return True
        assert self._energy is not None
        self._energy_there, scale = self._flow.energy_and_scale(t, y)
        return bool(self._flow.sense * (self._energy_there - self._energy) >= -_ROUNDING * scale)

    def dense_output(self) -> Callable[[float], Array]:
        """Masses within the last step, linear in time: they stay non-negative, and their sum."""
        (t_old, y_old), t, y = self._old, self.t, self.y

        def masses(at: float) -> Array:
            theta = (at - t_old) / (t - t_old)
            between: Array = (1.0 - theta) * y_old + theta * y
            return between

        return masses

    def state_dict(self) -> dict[str, Any]:
        """All that the next step needs beside (t, y) and the options."""
        known = {"energy": self._energy, "f": self.f}
        counts = {"h": self._h, "steps": self._steps, "rejected": self._rejected}
        return {**counts, **{name: value for name, value in known.items() if value is not None}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue, bit for bit, the run whose `state_dict` this is, at its (t, y)."""
        self._h, self._steps, self._rejected = float(state["h"]), int(state["steps"]), int(state["rejected"])
        self._energy = float(state["energy"]) if "energy" in state else None
        self.f = _checks.fitting("state['f']", state["f"], self.y.shape).copy() if "f" in state else None


class EulerSteps(_GridSteps):
    """Forward Euler: steps of 0.9 of the flow's `step_bound`, of `dt` where that is shorter, and halved where the energy demands it.

    It must not only have moved in its sense, but still do so at the end of the step: where the energy acts like a pressure, steps that
    overshoot would else let oscillations grow as long as the rest of the state pays for them. A step is tried at the length of the
    last, a quarter longer if that was not halved. One evaluation of the field a step, and one of the energy and of Ψ an attempt
    unless the flow is linear.
    """

    def __init__(self, flow: Moving, t: float, y: Array, t_end: float, *, field: Field, dt: float | None = None) -> None:
        super().__init__(flow, t, y, t_end, field, dt)

    def _begin(self) -> None:
        super()._begin()
        if self.f is None:
            self.f = self._field(self.t, self.y)

    def _wanted(self) -> float:
        return min(self._h, self._dt, _WITHIN * self._flow.step_bound(self.t, self.y), self.t_bound - self.t)

    def _advanced(self, h: float) -> Array:
        assert self.f is not None
        masses: Array = self.y + h * self.f
        return masses

    def _verdict(self, t: float, y: Array, h: float) -> tuple[bool, float]:
        assert self.f is not None
        if not self._stands(t, y) or self._overshoots(t, y):
            return False, 0.5 * h
        self.f = None
        return True, _LONGER_EULER * h

    def _overshoots(self, t: float, y: Array) -> bool:
        """Whether at y the energy moves against its sense along the step."""
        assert self.f is not None
        if self._flow.linear:
            return False
        slope, scale = self._flow.slope(t, y, self.f)
        return slope < -_ROUNDING * scale


class ImplicitSteps(_GridSteps):
    """Implicit Euler at the rates of the old state: fixed steps `dt`, or steps whose error meets the tolerances where `dt` is None.

    The error of a step h is estimated as h/2 (f_new − f_old), in the flow's norm, so its square root steers. Steps are halved
    where the energy demands it, which it cannot where the flow is linear. Cost of an attempt: the rates, one solve an axis, and the
    field and the energy where they are asked for.
    """

    def __init__(
        self, flow: Moving, t: float, y: Array, t_end: float, *, field: Field, dt: float | None = None,
        rtol: float = 1e-3, atol: float = 1e-6,
    ) -> None:  # fmt: skip
        super().__init__(flow, t, y, t_end, field, dt)
        self._tolerances = _checks.real("rtol", rtol, above=0.0), np.array([_checks.real("atol", atol, at_least=0.0)])
        self._controlled = dt is None

    def _begin(self) -> None:
        super()._begin()
        if self._controlled and self.f is None:
            self.f = self._field(self.t, self.y)
            size = self._flow.error_norm(self.f, self.y, self.y, *self._tolerances)
            self._h = 1.0 / size if size > 0.0 else self.t_bound - self.t  # the first step changes y by a tolerance

    def _wanted(self) -> float:
        return min(self._h, self._dt, self.t_bound - self.t)

    def _advanced(self, h: float) -> Array:
        return self._flow.implicit_step(self.t, self.y, h)

    def _verdict(self, t: float, y: Array, h: float) -> tuple[bool, float]:
        growth, f = 2.0, None
        if self.f is not None:  # a step that is controlled
            f = self._field(t, y)
            error = self._flow.error_norm(0.5 * h * (f - self.f), self.y, y, *self._tolerances)
            if not math.isfinite(error):
                return False, _SHORTER * h
            growth = min(_LONGER, max(_SHORTER, _SAFETY / math.sqrt(error))) if error > 0.0 else _LONGER
            if error > 1.0:
                return False, growth * h
        if not self._stands(t, y):
            return False, 0.5 * h
        self.f = f
        return True, growth * h
