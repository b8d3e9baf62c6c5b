"""Barenblatt's profile of the porous medium equation (math.md §8)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow.closed_forms._arguments import increasing

__all__ = ["Barenblatt"]


@dataclass(frozen=True)
class Barenblatt:
    """``∂_t u = b Δu^m`` from a point mass at the origin at t = 0: the descent of ``b/(m − 1) ∫ u^m``, with a front.

    ``u = t^{−dβ} (C − k|x|² t^{−2β})_+^{1/(m−1)}``, ``β = 1/(2 + d(m − 1))``, ``k = β(m − 1)/(2mb)``, and C such that the mass is 1. Its
    times t > 0 count from the point mass: a run that starts with the profile of age t₀ reaches that of age t₀ + t.

    Parameters
    ----------
    exponent : float
        m > 1.
    coefficient : float
        b > 0.
    dimension : int
        d ≥ 1.
    """

    exponent: float
    coefficient: float = 1.0
    dimension: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "exponent", _checks.real("exponent", self.exponent, above=1.0))
        object.__setattr__(self, "coefficient", _checks.real("coefficient", self.coefficient, above=0.0))
        object.__setattr__(self, "dimension", _checks.integer("dimension", self.dimension, at_least=1))

    @property
    def beta(self) -> float:
        """β, the exponent at which the front grows."""
        return 1.0 / (2.0 + self.dimension * (self.exponent - 1.0))

    @property
    def k(self) -> float:
        """k of the profile."""
        return self.beta * (self.exponent - 1.0) / (2.0 * self.exponent * self.coefficient)

    @property
    def constant(self) -> float:
        """C, from ``1 = C^{p + d/2} (π/k)^{d/2} Γ(p + 1)/Γ(p + 1 + d/2)``, p = 1/(m − 1)."""
        p, half = 1.0 / (self.exponent - 1.0), self.dimension / 2.0
        log_ball = half * math.log(math.pi / self.k) + math.lgamma(p + 1.0) - math.lgamma(p + 1.0 + half)
        return math.exp(-log_ball / (p + half))

    def front(self, t: float) -> float:
        """Radius ``(C/k)^{1/2} t^β`` of the ball where u > 0."""
        return math.sqrt(self.constant / self.k) * float(_age(t) ** self.beta)

    def density(self, t: float, points: Any) -> Array:
        """u at points (K, d), shape (K,)."""
        points = _checks.array("points", points, (None, self.dimension))
        inside = np.maximum(1.0 - np.square(points / self.front(t)).sum(axis=1), 0.0)
        p = 1.0 / (self.exponent - 1.0)
        density: Array = t ** (-self.dimension * self.beta) * self.constant**p * inside**p
        return density

    def masses(self, t: float, edges: Any) -> Array:
        """Exact masses of the cells between edges (n + 1,), shape (n,), in one dimension only: from the incomplete beta function."""
        from scipy.special import betainc

        if self.dimension != 1:
            raise ValueError(f"dimension must be 1 for masses of cells (else GridMeasure.from_density serves); got {self.dimension}")
        z = np.clip(increasing("edges", edges) / self.front(t), -1.0, 1.0)
        q = self.exponent / (self.exponent - 1.0)
        lower, upper = betainc(q, q, (1.0 + z) / 2.0), betainc(q, q, (1.0 - z) / 2.0)  # below and above each edge
        masses: Array = np.where(z[:-1] > 0.0, -np.diff(upper), np.diff(lower))
        return masses

    def mean(self, t: float) -> Array:  # noqa: ARG002
        """The origin, shape (d,)."""
        return np.zeros(self.dimension)

    def covariance(self, t: float) -> Array:
        """``R²/(2p + 2 + d) I`` for the front R and p = 1/(m − 1), shape (d, d)."""
        covariance: Array = self.front(t) ** 2 / (2.0 / (self.exponent - 1.0) + 2.0 + self.dimension) * np.eye(self.dimension)
        return covariance

    def energy(self, t: float) -> float:
        """``b/(m − 1) ∫ u^m = b/(m − 1) C t^{−dβ(m−1)} q/(q + d/2)``, q = m/(m − 1)."""
        m, q = self.exponent, self.exponent / (self.exponent - 1.0)
        decay = float(_age(t) ** (-self.dimension * self.beta * (m - 1.0)))
        return self.coefficient / (m - 1.0) * self.constant * decay * q / (q + self.dimension / 2.0)


def _age(t: Any) -> float:
    return _checks.real("t", t, above=0.0)
