"""The recurrences of stabilised methods, from an orthogonal polynomial to stages, and where in the complex plane they are stable."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from wflow._checks import Array

__all__ = ["Family", "recurrence", "stability_polynomial", "wedge"]

_MOST_STAGES, _RADII = 64, 800  # of the table of a wedge; more stages pay only within 1 degree of the axis


@dataclass(frozen=True)
class Family:
    """Stabilised methods of second order, one for every stage number s.

    Parameters
    ----------
    coefficients : callable
        s to the (weights, times) of its `recurrence`.
    stability_interval : callable
        s to β(s): |P_s(z)| ≤ 1 for −β ≤ z ≤ 0.
    stage_number : callable
        z to the s to take for β(s) ≥ z.
    error_constant : float
        C of the local error, C h³ times the third derivative of y, for many stages.
    """

    coefficients: Callable[[int], tuple[Array, Array]]
    stability_interval: Callable[[int], float]
    stage_number: Callable[[float], int]
    error_constant: float


def recurrence(
    b: Sequence[float], values: Sequence[float], three_term: Callable[[int], tuple[float, float]], w0: float, w1: float
) -> tuple[Array, Array]:
    """Stages whose stability polynomials are ``a_j + b_j Q_j(w0 + w1 z)``, a_j = 1 - b_j Q_j(w0) (van der Houwen & Sommeijer 1980).

    Parameters
    ----------
    b : sequence of s + 1 floats
        b_0 to b_s.
    values : sequence of s + 1 floats
        Q_j(w0).
    three_term : callable
        j to (α, γ) of ``Q_j(x) = α x Q_{j-1}(x) - γ Q_{j-2}(x)``; Q_0 = 1 and Q_1 = x.
    w0, w1 : float
        The argument.

    Returns
    -------
    weights : ndarray, shape (s - 1, 5)
        Stage Y_j, j = 2..s, is ``weights[j - 2]`` times (y0, Y_{j-1}, Y_{j-2}, h F_{j-1}, h F_0); Y_1 = y0 + c_1 h F_0.
    times : ndarray, shape (s + 1,)
        c_j, from c_0 = 0 to c_s = 1.
    """
    weights, times = [], [0.0, w1 * b[1]]
    for j in range(2, len(b)):
        alpha, gamma = three_term(j)
        mu, nu = alpha * w0 * b[j] / b[j - 1], -gamma * b[j] / b[j - 2]
        mu_f = alpha * w1 * b[j] / b[j - 1]
        a = 1.0 - b[j - 1] * values[j - 1]
        weights.append([1.0 - mu - nu, mu, nu, mu_f, -a * mu_f])
        times.append(mu * times[-1] + nu * times[-2] + mu_f * (1.0 - a))
    return np.array(weights), np.array(times)


def stability_polynomial(family: Family, stages: int, z: npt.NDArray[np.complex128]) -> npt.NDArray[np.complex128]:
    """P_s(z): one step of size 1 for y' = z y from y = 1, by the recurrence; z of any shape. Cost: 4 s products of arrays."""
    weights, times = family.coefficients(stages)
    older, y = np.ones_like(z), np.asarray(1.0 + times[1] * z)
    for one, mu, nu, mu_f, gamma_f in weights:
        older, y = y, one + gamma_f * z + (mu + mu_f * z) * y + nu * older
    return y


@lru_cache(maxsize=256)
def wedge(family: Family, degrees: int) -> tuple[float, ...]:
    """How far the method is stable off the negative real axis, for s = 2 to the s that goes farthest per stage.

    Entry s - 2 is the largest r with |P_s| ≤ 1 on the ray from 0 to -r exp(i θ), θ = `degrees` below 90, r at most the stability interval:
    measured at 800 points, denser near 0 as the bumps of the polynomial are. Off the axis more stages soon gain nothing: where
    sin θ is not small, P_s tends to a + b cosh √(c z) there, which exceeds 1 beyond a radius that no s moves.

    Worked out once per family and angle.
    """
    direction = -np.exp(1j * math.radians(degrees))
    reaches = []
    for stages in range(2, _MOST_STAGES + 1):
        radii = family.stability_interval(stages) * np.linspace(0.0, 1.0, _RADII + 1) ** 2
        unstable = np.abs(stability_polynomial(family, stages, radii * direction)) > 1.0 + 1e-12
        reaches.append(float(radii[np.argmax(unstable) - 1] if unstable.any() else radii[-1]))
    best = max(range(len(reaches)), key=lambda i: reaches[i] / (i + 2))
    return tuple(reaches[: best + 1])
