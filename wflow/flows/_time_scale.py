"""The critic's time-scale η_t: how much faster than the actor it moves (math.md §9)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from wflow import _checks

__all__ = ["Scale", "TimeScale"]

Scale: TypeAlias = float | tuple[str, float, float] | Callable[[float], float]

_GAUSS = np.polynomial.legendre.leggauss(4)


@dataclass(frozen=True)
class TimeScale:
    """η_t and its integral.

    Parameters
    ----------
    given : float, ("exponential", a, b) or callable
        A constant, ``a e^{bt}``, or the user's own η(t); positive.
    """

    given: Scale

    def __post_init__(self) -> None:
        given = self.given
        if isinstance(given, tuple):
            if len(given) != 3 or given[0] != "exponential":
                raise ValueError(f"time_scale must be a number, ('exponential', a, b) or a function of t; got {_checks.show(given)}")
            factor, rate = _checks.real("time_scale[1]", given[1], above=0.0), _checks.real("time_scale[2]", given[2], at_least=0.0)
            object.__setattr__(self, "given", ("exponential", factor, rate))
        elif not callable(given):
            object.__setattr__(self, "given", _checks.real("time_scale", given, above=0.0))

    def __call__(self, t: float) -> float:
        """η_t; infinite where it exceeds all numbers."""
        given = self.given
        if callable(given):
            return _checks.real(f"time_scale({t:g})", given(t), above=0.0)
        if isinstance(given, float):
            return given
        with np.errstate(over="ignore"):
            return float(given[1] * np.exp(given[2] * t))

    def integral(self, t: float, h: float) -> float:
        """``∫_t^{t+h} η``: exact, or by Gauss's rule of four nodes for the user's own."""
        given = self.given
        if isinstance(given, tuple):
            growth = given[2] * h
            with np.errstate(over="ignore"):
                return h * self(t) * float(np.expm1(growth) / growth if growth > 0.0 else 1.0)
        if isinstance(given, float):
            return h * given
        nodes, weights = _GAUSS
        return 0.5 * h * sum(w * self(t + 0.5 * h * (1.0 + x)) for x, w in zip(nodes.tolist(), weights.tolist(), strict=True))

    def admissible(self, t: float) -> bool:
        """Whether η_t ≥ 1 and η has not fallen since 0, as the theorems ask (of the user's own it is seen at t alone)."""
        return self(t) >= max(1.0, self(0.0))
