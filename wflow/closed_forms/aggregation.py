"""Attraction at constant force on the line, which collapses in finite time (math.md §8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow.closed_forms._arguments import increasing, time

__all__ = ["AbsoluteAttraction"]


@dataclass(frozen=True)
class AbsoluteAttraction:
    """Interaction W = |x| on the line from the uniform law on [c − L, c + L]: uniform of half width L − t, a point mass from t = L.

    A point feels ``−∫ sign(x − y) dρ(y) = 1 − 2F(x) = −(x − c)/ℓ_t``, F the distribution function, so ``ℓ_t = L − t``. (Attraction by
    W = |x|²/2 is `QuadraticAttraction`.)

    Parameters
    ----------
    length : float
        L > 0.
    centre : float
        c.
    """

    length: float
    centre: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "length", _checks.real("length", self.length, above=0.0))
        object.__setattr__(self, "centre", _checks.real("centre", self.centre))

    def half_width(self, t: float) -> float:
        """ℓ_t = max(L − t, 0)."""
        return max(self.length - time(t), 0.0)

    def density(self, t: float, points: Any) -> Array:
        """Density at points (K, 1), shape (K,); ValueError from t = L on, where there is none."""
        points, half = _checks.array("points", points, (None, 1)), self.half_width(t)
        if half == 0.0:
            raise ValueError(f"t must be below {self.length:g}, where all mass meets in one point; got {t!r}")
        density: Array = np.where(np.abs(points[:, 0] - self.centre) <= half, 0.5 / half, 0.0)
        return density

    def masses(self, t: float, edges: Any) -> Array:
        """Exact masses of the cells between edges (n + 1,), shape (n,); a point mass on an edge is shared by its two cells."""
        x, half = increasing("edges", edges) - self.centre, self.half_width(t)
        below = np.heaviside(x, 0.5) if half == 0.0 else (1.0 + np.clip(x / half, -1.0, 1.0)) / 2.0
        return np.diff(below)

    def mean(self, t: float) -> Array:  # noqa: ARG002
        """c, shape (1,)."""
        return np.array([self.centre])

    def covariance(self, t: float) -> Array:
        """ℓ²/3, shape (1, 1)."""
        return np.array([[self.half_width(t) ** 2 / 3.0]])

    def energy(self, t: float) -> float:
        """½ ∬ |x − y| dρ dρ = ℓ/3."""
        return self.half_width(t) / 3.0
