"""Steps of the actor–critic flow: exponential, whose length no fast critic bounds, and the paper's discrete scheme (math.md §9)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow.flows._relaxation import LinearSystem

__all__ = ["DiscreteSteps", "ExponentialSteps", "Split"]

_SLIVER = 1e-8  # a last step this much longer, relatively, is taken rather than leaving a sliver behind
_SAFETY, _SHORTER, _LONGER = 0.9, 0.2, 5.0  # on steps, as the error estimate asks; bounds on the factor of one change


class Split(Protocol):
    """What a stepper asks of its flow: a part of `wflow.flows.ActorCriticFlow`, where it is explained."""

    def error_norm(self, error: Array, y_old: Array, y_new: Array, rtol: float, atol: Array) -> float: ...
    def critic_system(self, y: Array) -> LinearSystem: ...
    def exponential_step(self, t: float, y: Array, h: float, first: LinearSystem) -> tuple[Array, Array, LinearSystem]: ...
    def discrete_step(self, t: float, y: Array, h: float) -> Array: ...


class _Steps:
    """A method of one step, with what the loop asks of it; `wflow.flows.Stepper`."""

    TOO_SMALL = "The step is shorter than the spacing between numbers."
    NOT_FINITE = "The state is not finite."

    def __init__(self, flow: Split, t: float, y: Array, t_end: float) -> None:
        self._flow = flow
        self.t, self.y, self.t_bound = t, y, t_end
        self.status = "running"
        self._h = t_end - t
        self._steps = self._rejected = 0
        self._old = (t, y)

    @property
    def counts(self) -> dict[str, int]:
        """Accepted `steps`, and attempts `rejected`."""
        return {"steps": self._steps, "rejected": self._rejected}

    def step(self) -> str | None:
        """Take one step; the reason where none can be taken."""
        left = self.t_bound - self.t
        while True:
            last = left <= self._h * (1.0 + _SLIVER)
            t = self.t_bound if last else self.t + self._h
            if not t > self.t:
                self.status = "failed"
                return self.TOO_SMALL
            y = self._attempt(t - self.t)
            if y is not None:
                break
            self._rejected += 1
        if not np.isfinite(y).all():
            self.status = "failed"
            return self.NOT_FINITE
        self._old = (self.t, self.y)
        self.t, self.y, self._steps = t, y, self._steps + 1
        if last:
            self.status = "finished"
        return None

    def _attempt(self, h: float) -> Array | None:
        """The state (n,) after a step h, and the next step in ``_h``; None where the step must be shorter."""
        raise NotImplementedError

    def _advanced(self, t: float, y: Array, h: float) -> Array:
        """The state (n,) after a step h from (t, y)."""
        raise NotImplementedError

    def dense_output(self) -> Callable[[float], Array]:
        """States within the last step: shorter steps from its start, at the price of a step each."""
        (t_old, y_old), t, y = self._old, self.t, self.y
        return lambda at: y if at == t else y_old if at == t_old else self._advanced(t_old, y_old, at - t_old)

    def state_dict(self) -> dict[str, Any]:
        """All that the next step needs beside (t, y) and the options."""
        return {"h": self._h, "steps": self._steps, "rejected": self._rejected}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue, bit for bit, the run whose `state_dict` this is, at its (t, y)."""
        self._h, self._steps, self._rejected = float(state["h"]), int(state["steps"]), int(state["rejected"])


class ExponentialSteps(_Steps):
    """Steps of order 2 whatever η: θ relaxes in closed form towards a rest that moves evenly, the actor sees its mean over the step.

    A predictor takes the rest as it is at the start, a corrector also as it is at the predicted policy; an exponential Runge–Kutta
    method (Hochbruck & Ostermann 2010). Without `dt` the distance of the two, of order h², is held below the tolerances, and its
    square root steers. Two systems (M, v) and four exponentials of (d, d) a step.

    Parameters
    ----------
    dt : float or None
        A fixed step.
    rtol, atol : float
    """

    def __init__(
        self, flow: Split, t: float, y: Array, t_end: float, *, dt: float | None = None, rtol: float = 1e-3, atol: float = 1e-6
    ) -> None:
        super().__init__(flow, t, y, t_end)
        self._tolerances = _checks.real("rtol", rtol, above=0.0), np.array([_checks.real("atol", atol, at_least=0.0)])
        self._controlled = dt is None
        self._system: tuple[Array, LinearSystem] | None = None  # of the state it was made of
        if dt is not None:
            self._h = _checks.real("dt", dt, above=0.0)

    def _advanced(self, t: float, y: Array, h: float) -> Array:
        return self._flow.exponential_step(t, y, h, self._flow.critic_system(y))[0]

    def _attempt(self, h: float) -> Array | None:
        if self._system is None or self._system[0] is not self.y:
            self._system = self.y, self._flow.critic_system(self.y)
        y, error, system = self._flow.exponential_step(self.t, self.y, h, self._system[1])
        if not self._controlled:
            self._system = y, system
            return y
        size = self._flow.error_norm(error, self.y, y, *self._tolerances)
        if not math.isfinite(size):
            self._h = _SHORTER * h
            return None
        factor = min(_LONGER, max(_SHORTER, _SAFETY / math.sqrt(size))) if size > 0.0 else _LONGER
        self._h = factor * h
        if size > 1.0:
            return None
        self._system = y, system
        return y


class DiscreteSteps(_Steps):
    """``θ ← θ − dt η_t g(θ, π)``, then the mirror step of length `dt` at the new θ: ``π ∝ π^{1−τ dt} exp(dt Q_θ)``.

    The paper's scheme with ``h_n = dt η_t`` and ``λ_n = dt``; the explicit critic bounds the step by about 2/(η |M|). Order 1.
    """

    def __init__(self, flow: Split, t: float, y: Array, t_end: float, *, dt: float | None = None) -> None:
        super().__init__(flow, t, y, t_end)
        self._h = _checks.real("dt", dt, above=0.0)  # None is refused, in words

    def _advanced(self, t: float, y: Array, h: float) -> Array:
        return self._flow.discrete_step(t, y, h)

    def _attempt(self, h: float) -> Array | None:
        return self._advanced(self.t, self.y, h)
