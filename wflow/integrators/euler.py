"""Explicit Euler with a fixed step: gradient ascent."""

from __future__ import annotations

from typing import Any

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow.integrators._vector import combine
from wflow.integrators.base import Field, Integrator

__all__ = ["Euler"]


class Euler(Integrator):
    """``y + dt f(t, y)``: the gradient ascent of Agazzi & Lu (2021, §5), whose step β is `dt` in mean-field time.

    Step k ends at t0 + k dt, computed as a product so that the clock does not drift; the last step is shortened to end at
    `t_bound`. Dense output: cubic Hermite, C¹, of order 1 as the steps are. One evaluation per step and one at the start.

    Parameters
    ----------
    fun, t0, y0, t_bound, vectorized
        As for ``scipy.integrate.OdeSolver``.
    dt : float
        Step, positive whatever the direction of time; must be given.

    Raises
    ------
    ValueError, TypeError
        If `dt` is not a positive number.
    """

    adaptive = False
    order = 1
    _memory = (*Integrator._memory, "_origin")

    def __init__(
        self, fun: Field, t0: float, y0: Array, t_bound: float, *, dt: float | None = None, vectorized: bool = False, **extraneous: Any
    ) -> None:
        super().__init__(fun, t0, y0, t_bound, vectorized=vectorized, **extraneous)
        self.dt = _checks.real("dt", dt, above=0.0)  # None is refused, in words
        self._origin = self.t

    def _step_impl(self) -> tuple[bool, str | None]:
        if self.f is None:
            self.f = self._evaluate(self.t, self.y)
        t = self._end_of_step(self.dt)
        if t != self.t_bound:
            t = self._origin + self.direction * (self._steps + 1) * self.dt
        if t == self.t:
            return False, self.TOO_SMALL_STEP
        y = np.empty_like(self.y)
        self._stages += 1
        if not combine(y, np.array([1.0, t - self.t]), (self.y, self.f)):
            return False, self.NOT_FINITE
        f = self._evaluate(t, y)
        if not np.isfinite(f).all():
            return False, self.NOT_FINITE
        self._accept(float(t), y, f)
        return True, None
