"""Runge–Kutta–Chebyshev: explicit, second order, with a real stability interval that grows with the stage number squared."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow.integrators._vector import combine, rms, scale_rms
from wflow.integrators.base import Adaptive, Field
from wflow.integrators.spectral import power_iteration

__all__ = ["RKC2", "coefficients", "stability_interval", "stage_number"]

_DAMPING = 2.0 / 13.0
_BETA = 2.0 / 3.0 * (1.0 - 2.0 / 15.0 * _DAMPING)

# Tuned on mean-field policy gradients (ReLU and tanh, bandit and grid, t = 1e4). The optimum is flat: evaluations at equal error
# change by some 5 % for margins of 1.05 to 1.2, 30 to 80 stages, perturbations of 0.01 to 1.
_MARGIN = 1.1  # on the power iteration, which estimates from below
_STAGES_BETWEEN_ESTIMATES = 50  # stages, not steps: this bounds the share of the estimates in the cost
_COLD_ITERATIONS, _WARM_ITERATIONS = 50, 5
_PERTURBATION = 0.1  # in units of the tolerance: smaller jumps of the field are not stiffness, and no matter for accuracy


def stability_interval(stages: int) -> float:
    """β(s) = 2/3 (s² − 1)(1 − 2ε/15): |P_s(z)| ≤ 1 for −β ≤ z ≤ 0, with damping ε = 2/13."""
    return _BETA * (stages**2 - 1)


def stage_number(z: float) -> int:
    """Smallest s ≥ 2 with β(s) ≥ z."""
    return max(2, math.ceil(math.sqrt(1.0 + z / _BETA)))


@lru_cache(maxsize=128)
def coefficients(stages: int) -> tuple[Array, Array]:
    """Weights of the recurrence and the times of the stages (Sommeijer, Shampine & Verwer 1998, eqs. 2.1–2.8).

    With T_j the Chebyshev polynomials, w0 = 1 + ε/s², w1 = T'_s(w0)/T''_s(w0) and b_j = T''_j(w0)/T'_j(w0)², b_0 = b_1 = b_2.

    Returns
    -------
    weights : ndarray, shape (s - 1, 5)
        Stage Y_j, j = 2..s, is ``weights[j - 2]`` times (y0, Y_{j-1}, Y_{j-2}, h F_{j-1}, h F_0); Y_1 = y0 + c_1 h F_0.
    times : ndarray, shape (s + 1,)
        c_j, from c_0 = 0 to c_s = 1.
    """
    w0 = 1.0 + _DAMPING / stages**2
    t, d, dd = [1.0, w0], [0.0, 1.0], [0.0, 0.0]  # T_j, T'_j, T''_j at w0
    for _ in range(2, stages + 1):
        t.append(2.0 * w0 * t[-1] - t[-2])
        d.append(2.0 * w0 * d[-1] - d[-2] + 2.0 * t[-2])
        dd.append(2.0 * w0 * dd[-1] - dd[-2] + 4.0 * d[-2])
    w1 = d[-1] / dd[-1]
    b = [dd[j] / d[j] ** 2 for j in range(2, stages + 1)]
    b = [b[0], b[0], *b]
    weights, times = [], [0.0, w1 * b[1]]
    for j in range(2, stages + 1):
        mu, nu = 2.0 * w0 * b[j] / b[j - 1], -b[j] / b[j - 2]
        mu_f = 2.0 * w1 * b[j] / b[j - 1]
        a = 1.0 - b[j - 1] * t[j - 1]
        weights.append([1.0 - mu - nu, mu, nu, mu_f, -a * mu_f])
        times.append(mu * times[-1] + nu * times[-2] + mu_f * (1.0 - a))
    return np.array(weights), np.array(times)


class RKC2(Adaptive):
    """Second-order Runge–Kutta–Chebyshev method of Sommeijer, Shampine & Verwer (J. Comput. Appl. Math. 88, 1998).

    For a spectrum close to the negative real axis, as gradient flows have, s stages cover −h λ up to 0.65 s², so that a step h
    costs about 1.24 √(h ρ) evaluations instead of h ρ. The stage number follows from the spectral radius ρ; where h ρ
    would ask for more than `max_stages`, the step is shortened before it is tried. Dense output: cubic Hermite.

    The radius is estimated by a nonlinear power iteration, warm-started, after every 50 stages and after a rejection that a
    larger radius could explain; from the second estimate on it takes 5 evaluations at most. The perturbation is a tenth
    of the tolerance, so that jumps too small to harm accuracy do not pass for stiffness.

    **Limitation.** The region of stability is a thin strip around the negative real axis. On a spectrum with a
    sizeable imaginary part (rotating drifts, momentum) the method is not stable whatever s: steps shrink by rejections, or a
    weak growth below the tolerance goes unseen. Take an embedded pair there.

    Memory: 9 arrays (n,) beside those of `fun`; cost per stage beside `fun`: one pass over five arrays.

    Parameters
    ----------
    fun, t0, y0, t_bound, rtol, atol, first_step, max_step, norm, vectorized
        As for `wflow.integrators.base.Adaptive`.
    spectral_radius : callable (t, y) -> float, float, or None
        An upper bound for the spectral radius of df/dy, called once per step; None: estimated.
    max_stages : int
        At most so many stages per step; fewer where rounding, of size s² times the machine epsilon, would spoil `rtol`.
    """

    order = 2
    estimate_order = 3
    _memory = (*Adaptive._memory, "_rho", "_vector", "_steps_at_estimate", "_stages_at_estimate")

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
        self._rho, self._vector = -1.0, np.empty(0)  # not estimated yet
        self._steps_at_estimate = self._stages_at_estimate = 0
        self._buffers = np.empty((3, self.n))
        self._s = 2  # stages of the coming attempt

    def _limit(self, h: float) -> float:
        if self._stale():
            self._estimate()
        if h * self._rho > stability_interval(self.max_stages):
            h = stability_interval(self.max_stages) / self._rho
        self._s = min(stage_number(h * self._rho), self.max_stages)
        return h

    def _attempt(self, t: float, h: float) -> tuple[Array, Array, float] | None:
        assert self.f is not None
        y0, f0, t0 = self.y, self.f, self.t
        weights, times = coefficients(self._s)
        weights = weights * np.array([1.0, 1.0, 1.0, h, h])
        self._stages += self._s
        older, y = y0, self._buffers[1]
        finite = combine(y, np.array([1.0, h * times[1]]), (y0, f0))
        for j in range(2, self._s + 1):
            if not finite:
                return None
            f = self._evaluate(t0 + h * times[j - 1], y)
            new = self._buffers[j % 3] if j < self._s else np.empty_like(y0)
            finite = combine(new, weights[j - 2], (y0, y, older, f, f0))
            older, y = y, new
        if not finite:
            return None
        f = self._evaluate(t, y)
        return y, f, self._norm_of((0.8, -0.8, 0.4 * h, 0.4 * h), (y0, y, f0, f), y)

    def _retry(self, h: float, error: float) -> float:
        """Shrink the step, unless a new estimate of the radius shows that it had too few stages: then the same step again."""
        suspicious = h * self._rho > 0.25 * stability_interval(self._s) or not math.isfinite(error)
        if self.spectral_radius is None and suspicious and self._steps > self._steps_at_estimate:
            size = rms(self._error)  # an unstable step's error points along what grew
            if math.isfinite(error) and 0.0 < size < math.inf:
                self._vector = self._vector / rms(self._vector) + self._error / size
            self._estimate()
            if h * self._rho > stability_interval(self._s):
                return h
        return super()._retry(h, error)

    def _stale(self) -> bool:
        if self._rho < 0.0:
            return True
        if self.spectral_radius is None:
            return self._stages - self._stages_at_estimate >= _STAGES_BETWEEN_ESTIMATES
        return callable(self.spectral_radius) and self._steps > self._steps_at_estimate

    def _estimate(self) -> None:
        """Set the spectral radius at (t, y) from the option, or by power iteration."""
        self._steps_at_estimate, self._stages_at_estimate = self._steps, self._stages
        if callable(self.spectral_radius):
            self._rho = _checks.real("spectral_radius(t, y)", self.spectral_radius(self.t, self.y), at_least=0.0)
        elif self.spectral_radius is not None:
            self._rho = self.spectral_radius
        else:
            self._rho = _MARGIN * self._iterate()

    def _iterate(self) -> float:
        assert self.f is not None
        cold = self._vector.size == 0
        if cold:  # the field alone may lie in the slow directions
            noise = np.random.default_rng(0).standard_normal(self.n)
            self._vector = noise / rms(noise) + 0.5 * self.f / (rms(self.f) or 1.0)  # never 0, also for n = 1
        scale = rms(self.y)
        size = max(_PERTURBATION * scale_rms(self.y, self.rtol, self.atol), 1e-7 * scale) or 1e-7
        before = self.nfev
        ratio = power_iteration(
            lambda y: self._evaluate(self.t, y), self.y, self.f, self._vector, min(size, 1e-2 * scale or size),
            _COLD_ITERATIONS if cold else _WARM_ITERATIONS, None if cold else self._rho / _MARGIN,
        )  # fmt: skip
        self._spectral_radius_evaluations += self.nfev - before
        return ratio
