"""Gaussians that stay Gaussian: linear drifts with constant noise, in closed form (math.md §8)."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow.closed_forms._arguments import increasing, time

__all__ = ["BuresWasserstein", "GaussianFlow", "Heat", "OrnsteinUhlenbeck", "QuadraticAttraction", "gaussian_jko"]


class _Gaussian(ABC):
    """A path of Gaussians N(m_t, Σ_t), t ≥ 0, from its two moments."""

    initial_mean: Array
    initial_covariance: Array

    def _start(self, mean: Any, covariance: Any) -> None:
        """Keep m₀ (d,) and Σ₀ (d, d), checked; numbers stand for d = 1."""
        mean = _checks.array("mean", [mean] if np.ndim(mean) == 0 else mean, (None,))
        object.__setattr__(self, "initial_mean", mean)
        object.__setattr__(self, "initial_covariance", _positive("covariance", covariance, len(mean)))

    @property
    def dimension(self) -> int:
        """Number of coordinates d."""
        return len(self.initial_mean)

    @abstractmethod
    def mean(self, t: float) -> Array:
        """m_t, shape (d,)."""

    @abstractmethod
    def covariance(self, t: float) -> Array:
        """Σ_t, shape (d, d)."""

    @abstractmethod
    def energy(self, t: float) -> float:
        """E(N(m_t, Σ_t))."""

    def density(self, t: float, points: Any) -> Array:
        """Density at points (K, d), shape (K,)."""
        away = _checks.array("points", points, (None, self.dimension)) - self.mean(t)
        factor = np.linalg.cholesky(self.covariance(t))
        normal = np.linalg.solve(factor, away.T)
        volume = (2.0 * math.pi) ** (self.dimension / 2.0) * factor.diagonal().prod()
        density: Array = np.exp(-0.5 * np.square(normal).sum(axis=0)) / volume
        return density

    def masses(self, t: float, *axes: Any) -> Array:
        """Masses of the cells between the edges of each axis (n_k + 1,), shape (n_1, ..., n_d); for a diagonal Σ_t.

        They sum to the mass on the grid, which lacks the tails: a `GridMeasure` takes them divided by their sum. Each is accurate
        relative to itself, in the tails too.

        Raises
        ------
        ValueError
            If the axes are not d, their edges do not increase, or Σ_t is not diagonal (``GridMeasure.from_density`` serves there).
        """
        if len(axes) != self.dimension:
            raise ValueError(f"axes must be {self.dimension} arrays of edges; got {len(axes)}")
        mean, covariance = self.mean(t), self.covariance(t)
        if np.count_nonzero(covariance - np.diag(covariance.diagonal())):
            raise ValueError(f"covariance must be diagonal for masses of cells; got {_checks.show(covariance.tolist())}")
        shares = [_shares((increasing(f"axes[{k}]", edges) - mean[k]) / math.sqrt(covariance[k, k])) for k, edges in enumerate(axes)]
        return reduce(np.multiply.outer, shares)

    def entropy(self, t: float) -> float:
        """−∫ ρ log ρ = ½ log det(2πe Σ_t), in nats."""
        return float(0.5 * (self.dimension * (1.0 + math.log(2.0 * math.pi)) + np.linalg.slogdet(self.covariance(t))[1]))


@dataclass(frozen=True, init=False, eq=False)
class GaussianFlow(_Gaussian):
    """Descent of ``E = κ/2 ∫|x|² dρ + λ/4 ∬|x − y|² dρdρ + τ ∫ρ log ρ`` from N(m₀, Σ₀): mean and spread shrink, each at its rate.

    ``m_t = m₀ e^{−κt}`` and ``Σ_t = e^{−2at} Σ₀ + (τ/a)(1 − e^{−2at}) I`` with a = κ + λ; 2τt I for the last term where a = 0. Both
    hold from any start of those moments; density, masses and entropy are those of the Gaussian.

    Parameters
    ----------
    mean : float or ndarray, shape (d,)
    covariance : float or ndarray, shape (d, d)
        Symmetric and positive definite.
    stiffness, attraction, temperature : float
        κ, λ, τ ≥ 0; the first two are rates per unit of mean-field time.

    Attributes
    ----------
    initial_mean, initial_covariance : ndarray
        m₀ and Σ₀.
    """

    initial_mean: Array
    initial_covariance: Array
    stiffness: float
    attraction: float
    temperature: float

    def __init__(self, mean: Any, covariance: Any, *, stiffness: float = 0.0, attraction: float = 0.0, temperature: float = 0.0) -> None:
        self._start(mean, covariance)
        for name, value in (("stiffness", stiffness), ("attraction", attraction), ("temperature", temperature)):
            object.__setattr__(self, name, _checks.real(name, value, at_least=0.0))

    def mean(self, t: float) -> Array:
        """m_t, shape (d,)."""
        mean: Array = math.exp(-self.stiffness * time(t)) * self.initial_mean
        return mean

    def covariance(self, t: float) -> Array:
        """Σ_t, shape (d, d)."""
        t, rate = time(t), self.stiffness + self.attraction
        spread = 2.0 * t if rate == 0.0 else -math.expm1(-2.0 * rate * t) / rate
        covariance: Array = math.exp(-2.0 * rate * t) * self.initial_covariance + self.temperature * spread * np.eye(self.dimension)
        return covariance

    def energy(self, t: float) -> float:
        """E(N(m_t, Σ_t))."""
        mean, trace = self.mean(t), float(np.trace(self.covariance(t)))
        energy = self.stiffness / 2.0 * float(mean @ mean) + (self.stiffness + self.attraction) / 2.0 * trace
        return energy - (self.temperature * self.entropy(t) if self.temperature else 0.0)


class OrnsteinUhlenbeck(GaussianFlow):
    """Potential κ|x|²/2 at temperature τ: ``∂_t ρ = div(κ x ρ) + τ Δρ``, whose equilibrium is N(0, τ/κ I)."""

    def __init__(self, mean: Any, covariance: Any, stiffness: float = 1.0, temperature: float = 1.0) -> None:
        super().__init__(mean, covariance, stiffness=stiffness, temperature=temperature)

    def relative_entropy(self, t: float) -> float:
        """KL(ρ_t | equilibrium) in nats, which falls at least as e^{−2κt}; ValueError without an equilibrium (κ or τ is 0)."""
        if not self.stiffness * self.temperature > 0.0:
            both = f"{self.stiffness!r} and {self.temperature!r}"
            raise ValueError(f"stiffness and temperature must be above 0 for an equilibrium; got {both}")
        return _relative_entropy(self, t, np.zeros(self.dimension), self.stiffness / self.temperature * np.eye(self.dimension))


class Heat(GaussianFlow):
    """``∂_t ρ = τ Δρ``: the covariance grows by 2τt."""

    def __init__(self, mean: Any, covariance: Any, temperature: float = 1.0) -> None:
        super().__init__(mean, covariance, temperature=temperature)


class QuadraticAttraction(GaussianFlow):
    """Interaction W = λ|x|²/2: the mean stays, the covariance shrinks by e^{−2λt}, from any start."""

    def __init__(self, mean: Any, covariance: Any, attraction: float = 1.0) -> None:
        super().__init__(mean, covariance, attraction=attraction)


@dataclass(frozen=True, init=False, eq=False)
class BuresWasserstein(_Gaussian):
    """Flow of KL(· | N(m*, Γ⁻¹)) from N(m₀, Σ₀): ``ṁ = −Γ(m − m*)``, ``Σ̇ = 2I − ΓΣ − ΣΓ``.

    So ``m_t = m* + e^{−Γt}(m₀ − m*)`` and ``Σ_t = Γ⁻¹ + e^{−Γt}(Σ₀ − Γ⁻¹)e^{−Γt}``: mean-field Langevin at τ = 1 in the potential
    ½ (x − m*)ᵀΓ(x − m*).

    Parameters
    ----------
    mean, target_mean : float or ndarray, shape (d,)
        m₀ and m*.
    covariance, precision : float or ndarray, shape (d, d)
        Σ₀ and Γ, symmetric and positive definite.
    """

    initial_mean: Array
    initial_covariance: Array
    target_mean: Array
    precision: Array

    def __init__(self, mean: Any, covariance: Any, target_mean: Any, precision: Any) -> None:
        self._start(mean, covariance)
        target = [target_mean] if np.ndim(target_mean) == 0 else target_mean
        object.__setattr__(self, "target_mean", _checks.array("target_mean", target, (self.dimension,)))
        object.__setattr__(self, "precision", _positive("precision", precision, self.dimension))

    def mean(self, t: float) -> Array:
        """m_t, shape (d,)."""
        mean: Array = self.target_mean + self._decay(t) @ (self.initial_mean - self.target_mean)
        return mean

    def covariance(self, t: float) -> Array:
        """Σ_t, shape (d, d)."""
        rates, basis = np.linalg.eigh(self.precision)
        decay = np.exp(-rates * time(t))
        # Both terms in the basis of Γ, and 1 − e^{−2γt} by expm1, so that Σ_t stays positive for small t and stiff Γ alike.
        inner = decay[:, None] * (basis.T @ self.initial_covariance @ basis) * decay + np.diag(-np.expm1(-2.0 * rates * t) / rates)
        covariance: Array = basis @ inner @ basis.T
        symmetric: Array = (covariance + covariance.T) / 2.0
        return symmetric

    def energy(self, t: float) -> float:
        """``∫ρ log ρ + ½ ∫ (x − m*)ᵀΓ(x − m*) dρ``: `relative_entropy` less the constant log Z of the target."""
        away = self.mean(t) - self.target_mean
        return 0.5 * float(away @ self.precision @ away + (self.precision * self.covariance(t)).sum()) - self.entropy(t)

    def relative_entropy(self, t: float) -> float:
        """KL(ρ_t | N(m*, Γ⁻¹)) in nats."""
        return _relative_entropy(self, t, self.target_mean, self.precision)

    def _decay(self, t: float) -> Array:
        """e^{−Γt}."""
        rates, basis = np.linalg.eigh(self.precision)
        decay: Array = (basis * np.exp(-rates * time(t))) @ basis.T
        return decay


def gaussian_jko(mean: float, deviation: float, stiffness: float, step: float, *, temperature: float = 1.0) -> tuple[float, float]:
    """One exact JKO step from N(m, σ²) in one dimension: mean and standard deviation of the minimiser.

    ``min_ρ W2²(ρ, N(m, σ²))/(2h) + κ/2 ∫x² dρ + τ ∫ρ log ρ`` is taken at a Gaussian with
    ``m' = m/(1 + hκ)`` and ``σ' = [σ + √(σ² + 4hτ(1 + hκ))] / (2(1 + hκ))``.

    Parameters
    ----------
    mean, deviation : float
        m, and σ ≥ 0.
    stiffness, temperature : float
        κ, τ ≥ 0.
    step : float
        h > 0, in mean-field time.
    """
    mean, deviation = _checks.real("mean", mean), _checks.real("deviation", deviation, at_least=0.0)
    stiffness, temperature = _checks.real("stiffness", stiffness, at_least=0.0), _checks.real("temperature", temperature, at_least=0.0)
    step = _checks.real("step", step, above=0.0)
    shrink = 1.0 + step * stiffness
    return mean / shrink, (deviation + math.sqrt(deviation**2 + 4.0 * step * temperature * shrink)) / (2.0 * shrink)


def _positive(name: str, matrix: Any, d: int) -> Array:
    """`matrix` (d, d) if it is symmetric and positive definite; a number stands for itself times I in one dimension."""
    checked = _checks.array(name, [[matrix]] if np.ndim(matrix) == 0 and d == 1 else matrix, (d, d))
    skew = np.abs(checked - checked.T).max(initial=0.0)
    if skew > 1e-12 * np.abs(checked).max(initial=0.0) or not (np.linalg.eigvalsh(checked) > 0.0).all():
        raise ValueError(f"{name} must be symmetric and positive definite; got {_checks.show(checked.tolist())}")
    return checked


def _shares(z: Array) -> Array:
    """Masses of N(0, 1) between edges z (n + 1,), shape (n,): above the mean from the upper tail, which keeps their digits."""
    from scipy.special import ndtr

    above = z[:-1] > 0.0
    shares: Array = np.where(above, ndtr(-z[:-1]) - ndtr(-z[1:]), ndtr(z[1:]) - ndtr(z[:-1]))
    return shares


def _relative_entropy(path: _Gaussian, t: float, target: Array, precision: Array) -> float:
    """KL(N(m_t, Σ_t) | N(m*, Γ⁻¹)), ``½ [tr ΓΣ − d − log det ΓΣ + (m − m*)ᵀΓ(m − m*)]``."""
    away = path.mean(t) - target
    factor = np.linalg.cholesky(precision)
    excess = np.linalg.eigvalsh(factor.T @ path.covariance(t) @ factor) - 1.0  # of the eigenvalues of ΓΣ over 1
    return 0.5 * float((excess - np.log1p(excess)).sum() + away @ precision @ away)
