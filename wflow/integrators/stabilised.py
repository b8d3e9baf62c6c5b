"""Stabilised explicit methods of second order: stages after the spectral radius, steps within the region of stability."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow.integrators._vector import combine, rms, scale_rms
from wflow.integrators.base import Adaptive, Field
from wflow.integrators.polynomials import Family, wedge
from wflow.integrators.spectral import Dominant, power_iteration

__all__ = ["Stabilised"]

# Tuned on mean-field policy gradients (ReLU and tanh, bandit and grid, t = 1e4). The optimum is flat: evaluations at equal error
# change by some 5 % for margins of 1.05 to 1.2, 30 to 80 stages, perturbations of 0.01 to 1.
_MARGIN = 1.1  # on the power iteration, which estimates from below
_STAGES_BETWEEN_ESTIMATES = 50  # stages, not steps: this bounds the share of the estimates in the cost
_COLD_ITERATIONS, _WARM_ITERATIONS = 50, 5
_PERTURBATION = 0.1  # in units of the tolerance: smaller jumps of the field are not stiffness, and no matter for accuracy
_STEEPEST = 89  # degrees: modes nearer to the imaginary axis, or beyond, do not decay, and accuracy limits their steps


class Stabilised(Adaptive):
    """A method given by its recurrence, whose real interval of stability grows with the square of the stage number s.

    For a spectrum close to the negative real axis, as gradient flows have. The stage number of a step follows from the spectral
    radius ρ; where h ρ would ask for more than `max_stages`, the step is shortened before it is tried. Dense output: cubic Hermite.

    The radius is estimated by a nonlinear power iteration, warm-started, after every 50 stages and after a rejection that a
    larger radius could explain; from the second estimate on it takes 5 evaluations at most. The perturbation is a tenth
    of the tolerance, so that jumps too small to harm accuracy do not pass for stiffness.

    **Rotation.** Off the negative real axis the region of stability is thin. The iteration tells the angle of the dominant
    eigenvalues too, for a few per cent more evaluations where they are real. Where they rotate (drifts that swirl, momentum) the step
    is capped to the wedge of that angle (`wflow.integrators.polynomials.wedge`), with the stages that go farthest each, and the attempt
    counts as `capped` in `counts`. From 30 degrees on that is little more than any Runge–Kutta method of two or three stages has: if
    most steps are capped, take an embedded pair (``tsit5``). Angles below 6 degrees may be seen only once a step was rejected; those
    below 2, and rotations behind a larger real eigenvalue, are left to the error estimate, which rejects the steps that they spoil.

    Memory: 8 arrays (n,) beside those of `fun`, 2 of them for stages, and 3 more during an estimate; cost per stage beside `fun`: one pass
    over five arrays.

    Parameters
    ----------
    fun, t0, y0, t_bound, rtol, atol, first_step, max_step, norm, accept, vectorized
        As for `wflow.integrators.base.Adaptive`.
    spectral_radius : callable (t, y) -> float, float, or None
        An upper bound for the spectral radius of df/dy, called once per step, which also vouches that it does not rotate; None: estimated.
    max_stages : int
        At most so many stages per step; fewer where rounding, of size s² times the machine epsilon, would spoil `rtol`.

    Attributes
    ----------
    family : Family
        The polynomials.
    rotation : float
        Angle of the dominant eigenvalues from the negative real axis in the direction of time, in degrees; 0: real as far as seen.
    """

    order = 2
    estimate_order = 3
    family: ClassVar[Family]
    _memory = (*Adaptive._memory, "_rho", "_angle", "_vector", "_steps_at_estimate", "_stages_at_estimate", "_capped")

    def __init__(
        self,
        fun: Field,
        t0: float,
        y0: Array,
        t_bound: float,
        *,
        spectral_radius: Callable[[float, Array], float] | float | None = None,
        max_stages: int = 500,
        **options: Any,
    ) -> None:
        super().__init__(fun, t0, y0, t_bound, **options)
        if spectral_radius is not None and not callable(spectral_radius):
            spectral_radius = _checks.real("spectral_radius", spectral_radius, at_least=0.0)
        self.spectral_radius = spectral_radius
        rounding = math.isqrt(int(min(self.rtol, 1.0) / (10.0 * np.finfo(float).eps)))
        self.max_stages = max(2, min(_checks.integer("max_stages", max_stages, at_least=2), rounding))
        self._rho, self._angle, self._vector = -1.0, 0.0, np.empty(0)  # not estimated yet
        self._steps_at_estimate = self._stages_at_estimate = self._capped = 0
        self._buffers = np.empty((2, self.n))
        self._s = 2  # stages of the coming attempt

    @property
    def counts(self) -> dict[str, int]:
        """As `Integrator.counts`, and the attempts whose step was `capped` because the spectrum rotates."""
        return {**super().counts, "capped": self._capped}

    @property
    def rotation(self) -> float:
        """Angle of the dominant eigenvalues from the negative real axis in the direction of time, in degrees; 0: real as far as seen."""
        return math.degrees(math.pi - self._angle if self._angle > 0.0 and self.direction < 0.0 else self._angle)

    def _limit(self, h: float) -> float:
        if self._stale():
            self._estimate()
        covered, self._s = self._covered(h)
        self._capped += covered < h and self._angle > 0.0
        return covered

    def _covered(self, h: float) -> tuple[float, int]:
        """The longest step up to `h` that is stable, and its stages."""
        z = h * self._rho
        if self._angle == 0.0:
            longest = self.family.stability_interval(self.max_stages)
            if z > longest:
                h = longest / self._rho
            return h, min(self.family.stage_number(h * self._rho), self.max_stages)
        degrees = min(math.ceil(self.rotation), _STEEPEST)
        reaches = wedge(self.family, degrees)[: self.max_stages - 1]
        for stages, reach in enumerate(reaches, start=2):
            if z <= reach:
                return h, stages
        stages = max(range(2, len(reaches) + 2), key=lambda s: reaches[s - 2] / s)
        return reaches[stages - 2] / self._rho, stages

    def _attempt(self, t: float, h: float) -> tuple[Array, Array, float] | None:
        assert self.f is not None
        y0, f0, t0, s = self.y, self.f, self.t, self._s
        weights, times = self.family.coefficients(s)
        weights = weights * np.array([1.0, 1.0, 1.0, h, h])
        self._stages += s
        held = (np.empty_like(y0), *self._buffers)  # stage s lands in the new array, which thus saves a third buffer
        older, y = y0, held[(s - 1) % 3]
        finite = combine(y, np.array([1.0, h * times[1]]), (y0, f0))
        for j in range(2, s + 1):
            if not finite:
                return None
            f = self._evaluate(t0 + h * times[j - 1], y)
            new = held[(s - j) % 3]
            finite = combine(new, weights[j - 2], (y0, y, older, f, f0))
            older, y = y, new
        if not finite:
            return None
        f = self._evaluate(t, y)
        scale = 12.0 * self.family.error_constant  # of h³ y'''/12 and the error itself: 1 + 12 C times it, on the safe side
        return y, f, self._norm_of((scale, -scale, 0.5 * scale * h, 0.5 * scale * h), (y0, y, f0, f), y)

    def _retry(self, h: float, error: float) -> float:
        """Shrink the step, unless a new estimate shows that it had too few stages or was too long: then the same again, newly limited."""
        suspicious = h * self._rho > 0.25 * self.family.stability_interval(self._s) or not math.isfinite(error)
        if self.spectral_radius is None and suspicious and self._steps > self._steps_at_estimate:
            size = rms(self._error)  # an unstable step's error points along what grew
            if math.isfinite(error) and 0.0 < size < math.inf:
                self._vector = self._vector / rms(self._vector) + self._error / size
            self._estimate(least=2)
            covered, stages = self._covered(h)
            if covered < h or stages > self._s:
                return h
        return super()._retry(h, error)

    def _stale(self) -> bool:
        if self._rho < 0.0:
            return True
        if self.spectral_radius is None:
            return self._stages - self._stages_at_estimate >= _STAGES_BETWEEN_ESTIMATES
        return callable(self.spectral_radius) and self._steps > self._steps_at_estimate

    def _estimate(self, least: int = 1) -> None:
        """Set the spectral radius at (t, y) from the option, or with the angle by power iteration with `least` evaluations or more."""
        self._steps_at_estimate, self._stages_at_estimate = self._steps, self._stages
        if callable(self.spectral_radius):
            self._rho = _checks.real("spectral_radius(t, y)", self.spectral_radius(self.t, self.y), at_least=0.0)
        elif self.spectral_radius is not None:
            self._rho = self.spectral_radius
        else:
            seen = self._iterate(2 if self._angle > 0.0 else least)
            self._rho, self._angle, self._vector = _MARGIN * seen.radius, seen.angle, seen.vector

    def _iterate(self, least: int) -> Dominant:
        assert self.f is not None
        cold = self._vector.size == 0
        if cold:  # the field alone may lie in the slow directions
            noise = np.random.default_rng(0).standard_normal(self.n)
            self._vector = noise / rms(noise) + 0.5 * self.f / (rms(self.f) or 1.0)  # never 0, also for n = 1
        scale = rms(self.y)
        size = max(_PERTURBATION * scale_rms(self.y, self.rtol, self.atol), 1e-7 * scale) or 1e-7
        before = self.nfev
        seen = power_iteration(
            lambda y: self._evaluate(self.t, y), self.y, self.f, self._vector, min(size, 1e-2 * scale or size),
            _COLD_ITERATIONS if cold else _WARM_ITERATIONS, None if cold else self._rho / _MARGIN, self._angle, least,
        )  # fmt: skip
        self._spectral_radius_evaluations += self.nfev - before
        return seen
