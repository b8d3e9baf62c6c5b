"""A linear critic between two policies: its way to a rest that moves evenly, in closed form (math.md §9)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from wflow._checks import Array

__all__ = ["LinearSystem", "end_of_step", "mean_over_step"]


@dataclass(frozen=True, eq=False)
class LinearSystem:
    """The critic's equation ``dθ/dt = −η (M θ − v)`` at one policy.

    Parameters
    ----------
    matrix : ndarray, shape (d, d)
        M, with ``<θ, M θ> ≥ Γ |θ|²``.
    target : ndarray, shape (d,)
        v.
    contraction : float
        Γ > 0.
    """

    matrix: Array
    target: Array
    contraction: float

    @cached_property
    def rest(self) -> Array:
        """``M^{-1} v`` (d,)."""
        return np.asarray(np.linalg.solve(self.matrix, self.target), dtype=np.float64)


def mean_over_step(first: LinearSystem, last: LinearSystem, parameters: Array, clock: float) -> Array:
    """Mean of θ (d,) over a step in which η adds up to `clock`, as the rest θ* moves evenly from first to last; M is that halfway."""
    drift = last.rest - first.rest
    nothing = np.zeros_like(parameters)
    return first.rest + 0.5 * drift + _combined(_halfway(first, last), clock, nothing, parameters - first.rest, -drift)


def end_of_step(first: LinearSystem, last: LinearSystem, parameters: Array, clock: float) -> Array:
    """θ (d,) at the end of the same step, ``θ*_1 + e^{−Z}(θ − θ*_0) − φ_1(−Z)(θ*_1 − θ*_0)`` with Z = clock M."""
    return last.rest + _combined(_halfway(first, last), clock, parameters - first.rest, first.rest - last.rest, np.zeros_like(parameters))


def _halfway(first: LinearSystem, last: LinearSystem) -> LinearSystem:
    return LinearSystem(0.5 * (first.matrix + last.matrix), first.target, first.contraction)


def _combined(system: LinearSystem, clock: float, a: Array, b: Array, c: Array) -> Array:
    """``e^{−Z} a + φ_1(−Z) b + φ_2(−Z) c`` (d,), ``φ_1(x) = (e^x − 1)/x``, ``φ_2(x) = (e^x − 1 − x)/x²``.

    One exponential of a matrix of d + 2 (Al-Mohy & Higham 2011); where ``e^{−Γ clock}``, a bound on its norm, is below all numbers, two
    solves.
    """
    if system.contraction * clock > 745.0:
        solved = np.linalg.solve(system.matrix, np.stack([b, c], axis=1)) / clock  # 0 for an infinite clock
        return np.asarray(solved[:, 0] + solved[:, 1] - np.linalg.solve(system.matrix, solved[:, 1]) / clock, dtype=np.float64)
    from scipy.linalg import expm

    d = len(a)
    augmented = np.zeros((d + 2, d + 2))
    augmented[:d, :d], augmented[:d, d], augmented[:d, d + 1], augmented[d, d + 1] = -clock * system.matrix, c, b, 1.0
    exponential = expm(augmented)
    return np.asarray(exponential[:d, :d] @ a + exponential[:d, d + 1], dtype=np.float64)
