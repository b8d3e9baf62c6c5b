"""Runge–Kutta–Chebyshev: explicit, second order, with a real stability interval that grows with the stage number squared."""

from __future__ import annotations

import math
from functools import lru_cache

from wflow._checks import Array
from wflow.integrators.polynomials import Family, recurrence
from wflow.integrators.stabilised import Stabilised

__all__ = ["RKC2", "coefficients", "stability_interval", "stage_number"]

_DAMPING = 2.0 / 13.0
_BETA = 2.0 / 3.0 * (1.0 - 2.0 / 15.0 * _DAMPING)


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
    weights, times : ndarray
        As `wflow.integrators.polynomials.recurrence` lays them out.
    """
    w0 = 1.0 + _DAMPING / stages**2
    t, d, dd = [1.0, w0], [0.0, 1.0], [0.0, 0.0]  # T_j, T'_j, T''_j at w0
    for _ in range(2, stages + 1):
        t.append(2.0 * w0 * t[-1] - t[-2])
        d.append(2.0 * w0 * d[-1] - d[-2] + 2.0 * t[-2])
        dd.append(2.0 * w0 * dd[-1] - dd[-2] + 4.0 * d[-2])
    b = [dd[j] / d[j] ** 2 for j in range(2, stages + 1)]
    return recurrence([b[0], b[0], *b], t, lambda _: (2.0, 1.0), w0, d[-1] / dd[-1])


class RKC2(Stabilised):
    """Second-order Runge–Kutta–Chebyshev method of Sommeijer, Shampine & Verwer (J. Comput. Appl. Math. 88, 1998).

    The longest real interval of the stabilised methods here, 0.65 s² for s stages: a step h costs about 1.24 √(h ρ) evaluations
    instead of h ρ. Its region of stability is a thin strip; off the axis `RKL2` reaches farther. Memory, dense output and
    options as for `wflow.integrators.stabilised.Stabilised`.
    """

    family = Family(coefficients, stability_interval, stage_number, error_constant=1.0 / 15.0)
