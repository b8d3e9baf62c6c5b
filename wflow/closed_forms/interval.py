"""Diffusion with a constant drift on an interval with walls (math.md §8)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow.closed_forms._arguments import increasing, time

__all__ = ["FokkerPlanckInterval"]


@dataclass(frozen=True)
class FokkerPlanckInterval:
    """``∂_t u = ∂_x(∂_x u − g u)`` on [0, 1] without flux through the walls: potential V = −g x, temperature 1.

    ``u = [e^{−αt + gx/2}(π cos πx + (g/2) sin πx) + π e^{g(x − 1/2)}] / M`` with α = π² + g²/4 and M = 2π sinh(g/2)/g, which makes
    its mass 1. It is positive inside for t ≥ 0 and every g; at t = 0 it vanishes at x = 1 to second order.

    Parameters
    ----------
    drift : float
        g, of either sign, |g| ≤ 500; at 0 it is the heat equation.
    """

    drift: float

    def __post_init__(self) -> None:
        drift = _checks.real("drift", self.drift, at_least=-500.0, at_most=500.0)
        object.__setattr__(self, "drift", drift if abs(drift) > 1e-100 else 0.0)  # formulas divide by it unless it is 0

    @property
    def rate(self) -> float:
        """α = π² + g²/4, at which the distance to equilibrium decays."""
        return math.pi**2 + self.drift**2 / 4.0

    def density(self, t: float, x: Array) -> Array:
        """u at points x of [0, 1], (K,) or (K, 1); shape (K,)."""
        x, g = _inside("x", np.ravel(x)), self.drift
        wave = math.exp(-self.rate * time(t)) * np.exp(g * x / 2.0) * (math.pi * np.cos(math.pi * x) + g / 2.0 * np.sin(math.pi * x))
        density: Array = (wave + math.pi * np.exp(g * (x - 0.5))) / self._mass
        return density

    def masses(self, t: float, edges: Array) -> Array:
        """Exact masses of the cells between edges (n + 1,) in [0, 1], shape (n,)."""
        x, g = increasing("edges", _inside("edges", edges)), self.drift
        wave = math.exp(-self.rate * time(t)) * np.diff(np.exp(g * x / 2.0) * np.sin(math.pi * x))  # whose derivative is the density's
        rest = math.pi * np.exp(g * (x[:-1] - 0.5)) * (np.expm1(g * np.diff(x)) / g if g else np.diff(x))
        masses: Array = (wave + rest) / self._mass
        return masses

    def energy(self, t: float) -> float:
        """Free energy ``∫ u log u − g ∫ x u``, by 256 Gauss–Legendre nodes: right to 1e-11 for |g| ≤ 30."""
        x, w = _rule()
        u = self.density(t, x)
        return float(w @ (u * (np.log(u) - self.drift * x)))

    @property
    def least_energy(self) -> float:
        """Free energy of the equilibrium e^{gx}/Z: −log Z, Z = (e^g − 1)/g."""
        return -math.log(math.expm1(self.drift) / self.drift) if self.drift else 0.0

    @property
    def _mass(self) -> float:
        """M = 2π sinh(g/2)/g."""
        return 2.0 * math.pi * math.sinh(self.drift / 2.0) / self.drift if self.drift else math.pi


@cache
def _rule() -> tuple[Array, Array]:
    """256 Gauss–Legendre nodes of [0, 1] and their weights."""
    x, w = np.polynomial.legendre.leggauss(256)
    return (1.0 + x) / 2.0, w / 2.0


def _inside(name: str, x: Array) -> Array:
    x = _checks.array(name, x, (None,))
    if not ((x >= 0.0) & (x <= 1.0)).all():
        raise ValueError(f"{name} must lie in [0, 1]; got {_checks.show(x.tolist())}")
    return x
