"""What our integrators share on top of SciPy's ``OdeSolver``: counts, resume, step control, cubic dense output."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar, TypeAlias

import numpy as np
from scipy.integrate import DenseOutput, OdeSolver
from scipy.integrate._ivp.common import warn_extraneous

from wflow import _checks
from wflow._checks import Array
from wflow.integrators._vector import combine, rms_norm

__all__ = ["Accept", "Adaptive", "Field", "Integrator", "LinearOutput", "Norm", "State", "hermite"]

Field: TypeAlias = Callable[[float, Array], Array]
Norm: TypeAlias = Callable[[Array, Array, Array, float, Array], float]
State: TypeAlias = dict[str, Array | float | int]
Accept: TypeAlias = Callable[[float, Array], bool]

_SAFETY = 0.95  # on the step; the error then settles at 0.84^k
_SLIVER = 1e-8  # a last step this much longer, relatively, is taken rather than leaving a sliver behind


class Integrator(OdeSolver):
    """A one-step method whose last evaluation in a step is ``fun(t, y)`` at the new point.

    Beyond SciPy's contract:

    - `y` is a new array after each step, never written again, and the field there was evaluated by calling ``fun(t, y)``
      with that very object (unless ``vectorized=True``). Whoever keeps what ``fun`` worked out beside the field may find it by
      identity. Inner stages live in buffers that are reused.
    - `fun` must return a fresh array (n,); its result is kept without a copy.
    - Nothing is evaluated before the first step, so that a solver made at a saved (t, y) resumes from `load_state_dict` alone.

    Attributes
    ----------
    adaptive : bool
        Whether the method chooses its steps from `rtol` and `atol`.
    order : int
        Order of the steps taken.
    f : ndarray, shape (n,), or None
        The field at (t, y); None before the first step.
    """

    adaptive: ClassVar[bool]
    order: ClassVar[int]
    NOT_FINITE: ClassVar[str] = "The state or the field is not finite."
    _memory: ClassVar[tuple[str, ...]] = ("_steps", "_rejected", "_stages", "_spectral_radius_evaluations", "nfev")

    def __init__(self, fun: Field, t0: float, y0: Array, t_bound: float, *, vectorized: bool = False, **extraneous: Any) -> None:
        warn_extraneous(extraneous)
        super().__init__(fun, _checks.real("t0", t0), y0, _checks.real("t_bound", t_bound), vectorized)
        self.y = np.ascontiguousarray(self.y)
        self.f: Array | None = None
        self._y_old = self._f_old = self.y
        self._steps = self._rejected = self._stages = self._spectral_radius_evaluations = 0

    @property
    def counts(self) -> dict[str, int]:
        """What the run has cost: accepted `steps`, `rejected` attempts, `stages` of all attempts, field evaluations.

        A stage is one evaluation that an attempt needs (the first of an FSAL method is free), so `rhs`, the evaluations for
        stepping, is `stages` plus the one or two of the start, less the stages of attempts that broke off on a
        value that is not finite. Evaluations for the `spectral_radius` are apart; ``nfev`` is the sum of both.
        """
        apart = self._spectral_radius_evaluations
        attempts = {"steps": self._steps, "rejected": self._rejected, "stages": self._stages}
        return {**attempts, "rhs": self.nfev - apart, "spectral_radius": apart}

    def state_dict(self) -> State:
        """All that the next step needs beside (t, y) and the options; arrays are the solver's own, not copies."""
        state: State = {name.strip("_"): getattr(self, name) for name in self._memory}
        return state if self.f is None else {**state, "f": self.f}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue, bit for bit, the run whose `state_dict` this is; the solver must stand at that run's (t, y).

        Raises
        ------
        ValueError
            If `state` is another method's, or of another size.
        """
        kinds = {name.strip("_"): (name, type(getattr(self, name))) for name in self._memory}
        if set(state) - {"f"} != set(kinds):
            raise ValueError(f"state must have the keys {', '.join(sorted(kinds))}; got {', '.join(sorted(state))}")
        self.f = _checks.fitting("state['f']", state["f"], (self.n,)).copy() if "f" in state else None
        for key, (name, kind) in kinds.items():
            setattr(self, name, _checks.fitting(f"state[{key!r}]", state[key], (None,)).copy() if kind is np.ndarray else kind(state[key]))

    def _evaluate(self, t: float, y: Array) -> Array:
        """The field at (t, y), checked for what would corrupt the run silently."""
        f = self.fun(t, y)
        if f.shape != y.shape:
            raise ValueError(f"fun must return an array of shape {y.shape}; got {f.shape}")
        if self.f is not None and np.may_share_memory(f, self.f):
            raise ValueError("fun must return a fresh array; it returned the memory of an earlier result")
        return f.copy() if np.may_share_memory(f, y) else np.ascontiguousarray(f)

    def _end_of_step(self, h: float) -> float:
        """Where a step of size `h` > 0 ends; `t_bound` if it comes that far."""
        left = abs(self.t_bound - self.t)
        return self.t_bound if left <= h * (1.0 + _SLIVER) else self.t + math.copysign(h, self.direction)

    def _accept(self, t: float, y: Array, f: Array) -> None:
        assert self.f is not None
        self._y_old, self._f_old = self.y, self.f
        self.t, self.y, self.f = t, y, f
        self._steps += 1

    def _dense_output_impl(self) -> DenseOutput:
        """Cubic Hermite interpolant of (y, f) at both ends: C¹, local error O(h⁴) beside that of the method."""
        assert self.f is not None
        return LinearOutput(self.t_old, self.t, (self._y_old, self.y, self._f_old, self.f), partial(hermite, h=self.t - self.t_old))


class Adaptive(Integrator):
    """Step-size control shared by the adaptive methods.

    A step is accepted if the norm of its error estimate, against the tolerances, is at most 1. The next step follows a
    PI controller (Gustafsson 1991; Hairer & Wanner II, §IV.2) with exponents 0.7/k and 0.4/k, k the order of the estimate in h,
    within factors of 0.1 and 10. A step whose state, field or error is not finite is rejected and retried at a tenth.

    Parameters
    ----------
    fun, t0, y0, t_bound, vectorized
        As for ``scipy.integrate.OdeSolver``.
    rtol, atol : float; float or ndarray, shape (n,)
        Relative and absolute tolerance.
    first_step : float or None
        First step to try; None: by the rule of Hairer, Nørsett & Wanner I, §II.4 (one evaluation).
    max_step : float
        No step is longer.
    norm : callable or None
        ``norm(error (n,), y_old (n,), y_new (n,), rtol, atol (1,) or (n,)) -> float``, at most 1 where the tolerances are met; it must
        not keep or change its arguments, which are buffers. None: root mean square of error/(atol + rtol max(|y_old|, |y_new|)).
    accept : callable or None
        ``accept(t, y) -> bool``: the last word on a step that meets the tolerances, such as whether the energy did not rise; the field was
        just evaluated at that very (t, y). False rejects the step, and one of half the size is tried. It must be a function of (t, y)
        and of accepted steps alone, or a resumed run is another.

    Raises
    ------
    ValueError, TypeError
        If an option is outside its range.
    """

    adaptive = True
    NOT_ACCEPTED: ClassVar[str] = "Steps meet the tolerances, but none that is longer than the spacing between numbers is accepted."
    estimate_order: ClassVar[int]  # k: the error estimate is O(h^k)
    _memory = (*Integrator._memory, "_h", "_error_old")

    def __init__(
        self,
        fun: Field,
        t0: float,
        y0: Array,
        t_bound: float,
        *,
        rtol: float = 1e-3,
        atol: float | Array = 1e-6,
        first_step: float | None = None,
        max_step: float = math.inf,
        norm: Norm | None = None,
        accept: Accept | None = None,
        vectorized: bool = False,
        **extraneous: Any,
    ) -> None:
        super().__init__(fun, t0, y0, t_bound, vectorized=vectorized, **extraneous)
        self.rtol = _checks.real("rtol", rtol, at_least=100 * np.finfo(float).eps)
        tolerance = _checks.array("atol", atol, at_least=0.0)
        self.atol = np.atleast_1d(_checks.array("atol", tolerance, (self.n,) if tolerance.ndim else ()))
        self.max_step = _checks.real("max_step", max_step, above=0.0, finite=False)
        for name, value in (("norm", norm), ("accept", accept)):
            if value is not None and not callable(value):
                raise TypeError(f"{name} must be a callable or None; got {_checks.show(value)}")
        self.norm: Norm = rms_norm if norm is None else norm
        self.accept = accept
        self._h = 0.0 if first_step is None else _checks.real("first_step", first_step, above=0.0)  # 0: not chosen yet
        self._error_old = 1.0
        self._error = np.empty(self.n)

    def _attempt(self, t: float, h: float) -> tuple[Array, Array, float] | None:
        """New state, field there and error norm of a step of signed size `h` to time `t`; None where not finite."""
        raise NotImplementedError

    def _step_impl(self) -> tuple[bool, str | None]:
        if not self._start():
            return False, self.NOT_FINITE
        shortest = self._shortest_step()
        h, rejected, reason = max(self._h, shortest), False, self.TOO_SMALL_STEP
        while h >= shortest:
            t = self._end_of_step(self._limit(min(h, self.max_step, abs(self.t_bound - self.t))))
            taken = t - self.t
            attempt = self._attempt(t, taken)
            error = attempt[2] if attempt is not None else math.inf
            accurate = attempt is not None and error <= 1.0
            if attempt is not None and accurate and self._accepted(t, attempt[0]):
                self._h = abs(taken) * min(1.0 if rejected else 10.0, self._growth(error))
                self._error_old = max(error, 1e-4)
                self._accept(t, *attempt[:2])
                return True, None
            self._rejected += 1
            h, rejected = 0.5 * abs(taken) if accurate else self._retry(abs(taken), error), True
            reason = self.NOT_ACCEPTED if accurate else self.TOO_SMALL_STEP
        return False, reason

    def _accepted(self, t: float, y: Array) -> bool:
        """What the option `accept` says about a step to (t, y) that meets the tolerances."""
        verdict = True if self.accept is None else self.accept(t, y)
        if not isinstance(verdict, (bool, np.bool_)):
            raise TypeError(f"accept must return True or False; got {_checks.show(verdict)}")
        return bool(verdict)

    def _start(self) -> bool:
        """Evaluate the field and choose the first step, once; False if the field is not finite."""
        if self.f is None:
            self.f = self._evaluate(self.t, self.y)
            if not np.isfinite(self.f).all():
                return False
            self._h = self._h or self._first_step(self.f)
        return True

    def _first_step(self, f: Array) -> float:
        """Hairer, Nørsett & Wanner I, §II.4: an Euler step of 1 % of the scale of y tells the curvature."""
        left = min(abs(self.t_bound - self.t), self.max_step)
        d0, d1 = self._norm_of((1.0,), (self.y,)), self._norm_of((1.0,), (f,))
        h = min(0.01 * d0 / d1 if d0 >= 1e-5 and d1 >= 1e-5 else 1e-6, left)
        y = np.empty_like(self.y)
        if h == 0.0 or not combine(y, np.array([1.0, math.copysign(h, self.direction)]), (self.y, f)):
            return h
        d2 = self._norm_of((1.0 / h, -1.0 / h), (self._evaluate(self.t + math.copysign(h, self.direction), y), f))
        slope = max(d1, d2)
        wanted = math.pow(0.01 / slope, 1.0 / self.estimate_order) if slope > 1e-15 else max(1e-6, 1e-3 * h)
        return min(100.0 * h, left, wanted)

    def _shortest_step(self) -> float:
        """Ten units in the last place of t; at t = 0, of what a whole run of shortest steps could still cover."""
        return 10.0 * math.ulp(max(abs(self.t), np.finfo(float).eps * abs(self.t_bound - self.t)))

    def _limit(self, h: float) -> float:
        """The step to try instead of `h`; a method may ask for less, never for more."""
        return h

    def _growth(self, error: float) -> float:
        """Factor on the step after an accepted one: PI control, at most as strong a brake as a rejection."""
        k = self.estimate_order
        return max(0.1, _SAFETY * math.pow(max(error, 1e-10), -0.7 / k) * math.pow(self._error_old, 0.4 / k))

    def _retry(self, h: float, error: float) -> float:
        """The step to try after one of size `h` was rejected."""
        return h * (max(0.1, _SAFETY * math.pow(error, -1.0 / self.estimate_order)) if math.isfinite(error) else 0.1)

    def _norm_of(self, weights: tuple[float, ...], arrays: tuple[Array, ...], y: Array | None = None) -> float:
        """Norm of ``sum_k weights[k] * arrays[k]``, kept in `_error`, against the tolerances at the current state and `y`."""
        combine(self._error, np.array(weights), arrays)
        return float(self.norm(self._error, self.y, self.y if y is None else y, self.rtol, self.atol))


def hermite(theta: float, h: float) -> Array:
    """Weights of (y0, y1, f0, f1) in the cubic with those ends at fraction `theta` of a step `h`."""
    u = 1.0 - theta
    return np.array([u * u * (1.0 + 2.0 * theta), theta * theta * (1.0 + 2.0 * u), h * theta * u * u, -h * theta * theta * u])


class LinearOutput(DenseOutput):
    """Interpolant over one step: a combination of kept arrays (n,) with weights that depend on the fraction of the step."""

    def __init__(self, t_old: float, t: float, arrays: tuple[Array, ...], weights: Callable[[float], Array]) -> None:
        super().__init__(t_old, t)
        self._arrays, self._weights = arrays, weights

    def _call_impl(self, t: Array) -> Array:
        theta = (t - self.t_old) / (self.t - self.t_old)
        rows = np.empty((theta.size, self._arrays[0].size))
        for row, fraction in zip(rows, theta.flat, strict=True):
            combine(row, self._weights(float(fraction)), self._arrays)
        return rows[0] if theta.ndim == 0 else rows.T
