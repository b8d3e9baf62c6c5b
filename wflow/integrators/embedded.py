"""Explicit embedded Runge–Kutta pairs whose last stage is the first of the next step (FSAL)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow.integrators._vector import combine
from wflow.integrators.base import Adaptive, Field

__all__ = ["EmbeddedPair", "SSPPair", "tableau"]

_WITHIN = 0.9  # of the bound on Euler's steps: it is known at the start of a step, and may be shorter at a later stage


def tableau(rows: list[list[float]]) -> Array:
    """Lower triangular (s, s) array of the stage weights, a row per stage after the first."""
    a = np.zeros((len(rows) + 1, len(rows) + 1))
    for i, row in enumerate(rows, start=1):
        a[i, : len(row)] = row
    return a


class EmbeddedPair(Adaptive):
    """A pair given by its tableau, advanced with the formula of higher order (local extrapolation).

    Memory: s + 3 arrays (n,) beside those of `fun`, s the number of stages; cost of stage i beside `fun`: one pass over i + 1 arrays.

    Attributes
    ----------
    A : ndarray, shape (s, s)
        Stage weights; the last row is the step itself.
    C : ndarray, shape (s,)
        Stage times.
    E : ndarray, shape (s,)
        Weights of the error estimate, b minus those of the embedded formula.
    """

    A: ClassVar[Array]
    C: ClassVar[Array]
    E: ClassVar[Array]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not hasattr(cls, "C"):
            return  # no pair, but what several share
        s = len(cls.C)
        if cls.A.shape != (s, s) or cls.E.shape != (s,) or np.triu(cls.A).any():
            raise ValueError(f"{cls.__name__}: the tableau is not that of an explicit method of {s} stages")
        if not (np.allclose(cls.A.sum(axis=1), cls.C, rtol=0.0, atol=1e-14) and cls.C[-1] == 1.0 and abs(cls.E.sum()) < 1e-14):
            raise ValueError(f"{cls.__name__}: the rows of A do not sum to C, or those of b and of the embedded formula not to 1")

    def __init__(self, fun: Field, t0: float, y0: Array, t_bound: float, **options: Any) -> None:
        super().__init__(fun, t0, y0, t_bound, **options)
        self._stage = np.empty(self.n)
        self._slopes: tuple[Array, ...] = ()  # the field at the stages of the last attempt

    def _attempt(self, t: float, h: float) -> tuple[Array, Array, float] | None:
        assert self.f is not None
        slopes, last = [self.f], len(self.C) - 1
        self._stages += last
        for i in range(1, last + 1):
            y = self._stage if i < last else np.empty_like(self.y)
            if not combine(y, np.concatenate(([1.0], h * self.A[i, :i])), (self.y, *slopes)):
                return None
            slopes.append(self._evaluate(self.t + self.C[i] * h if i < last else t, y))
        self._slopes = tuple(slopes)
        return y, slopes[-1], self._norm_of(tuple(h * self.E), self._slopes, y)


class SSPPair(EmbeddedPair):
    """A pair whose stages are convex combinations of Euler steps no longer than the step itself (SSP coefficient 1).

    Parameters
    ----------
    fun, t0, y0, t_bound
        As for ``scipy.integrate.OdeSolver``.
    step_bound : callable (t, y) -> float, or None
        The longest Euler step from (t, y) that preserves what is to be preserved, such as positivity; called once a step, which is then at
        most 0.9 of it. As the bound may be shorter at the stages, `accept` has the last word.
    **options
        As for `wflow.integrators.base.Adaptive`.
    """

    def __init__(
        self, fun: Field, t0: float, y0: Array, t_bound: float, *, step_bound: Callable[[float, Array], float] | None = None, **options: Any
    ) -> None:
        super().__init__(fun, t0, y0, t_bound, **options)
        if step_bound is not None and not callable(step_bound):
            raise TypeError(f"step_bound must be a callable or None; got {_checks.show(step_bound)}")
        self.step_bound = step_bound
        self._bound, self._bounded = np.inf, -1  # and the number of steps taken where it holds

    def _limit(self, h: float) -> float:
        if self.step_bound is not None and self._bounded != self._steps:
            self._bound = _checks.real("step_bound(t, y)", self.step_bound(self.t, self.y), above=0.0, finite=False)
            self._bounded = self._steps
        return min(h, _WITHIN * self._bound)
