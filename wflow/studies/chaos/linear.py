"""Exact finite-N constants of propagation of chaos for the linear McKean–Vlasov problem (math.md §6)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from wflow import _checks
from wflow._checks import Array
from wflow.energies import QuadraticInteraction
from wflow.measures.laws import Moments, Product

__all__ = ["Constants"]


@dataclass(frozen=True, eq=False)
class Constants:
    """Expected errors of N particles drawn independently from `law` and moved by `energy`, exact for every N and t.

    Methods take N and mean-field times t ≥ 0, numbers or arrays that broadcast.

    Parameters
    ----------
    energy : QuadraticInteraction
        With stiffness κ and attraction λ.
    law : Product
        ν_0, of mean m and covariance Σ; the variance of the energy asks for third and fourth moments too.

    Raises
    ------
    ValueError, TypeError
        If an argument is of another kind, a factor has no ``moments()``, N is below 1, t negative, or the two do not broadcast.

    Notes
    -----
    Let z_n = x_n(0) − m, z̄ their mean, a = e^{−κt}, b = e^{−(κ+λ)t}. Particles move as x_n = a (m + z̄) + b (z_n − z̄), copies in
    the mean field as x̄_n = a m + b z_n. Hence:

    - x_n − x̄_n = (a − b) z̄ for every n: the cloud is a translate of its copies, and the squared coupling error is (a − b)² |z̄|²,
      with E|z̄|² = tr Σ / N. The optimal transport of a cloud to its translate is that translation (Jensen: no plan costs less than
      the squared distance of the means), so W2² between the cloud and its copies is the same number.
    - W2² of two measures is the squared distance of their means and W2² of the centred measures. Cloud and copies agree when
      centred; their means lie a z̄ and b z̄ from that of ν_t: W2²(cloud, ν_t) − W2²(copies, ν_t) = (a² − b²) |z̄|².
    - E(ν) = κ/2 |mean|² + (κ+λ)/2 ∫ |x − mean|² dν gives E(ν^N_t) = A |m + z̄|² + B (q − |z̄|²) with A = κ a²/2, B = (κ+λ) b²/2 and
      q = (1/N) sum_n |z_n|². Its mean is that of ν_t, A |m|² + B tr Σ, and (A − B) tr Σ / N more; its variance is that of
      2A m·z̄ + (A − B) |z̄|² + B q, term by term from the moments of one z.

    Where a cloud stands for ν_0 itself, m is its mean in all of this.
    """

    energy: QuadraticInteraction
    law: Product

    def __post_init__(self) -> None:
        _checks.instance("energy", self.energy, QuadraticInteraction, "a QuadraticInteraction")
        _checks.instance("law", self.law, Product, "a wflow.measures.laws.Product")
        _ = self._moments

    @cached_property
    def _moments(self) -> Moments:
        return self.law.moments()

    @property
    def _trace(self) -> float:
        return float(np.trace(self._moments.covariance))

    @property
    def worst_time(self) -> float:
        """The t at which the coupling error of every sample is largest: log(1 + λ/κ)/λ; infinite without stiffness."""
        stiffness, attraction = self.energy.stiffness, self.energy.attraction
        if stiffness == 0.0:
            return math.inf
        return math.log1p(attraction / stiffness) / attraction if attraction > 0.0 else 1.0 / stiffness

    def coupling(self, n: npt.ArrayLike, t: npt.ArrayLike) -> Array:
        """E (1/N) sum_n |x_n − x̄_n|² = E W2²(ν^N_t, copies) = (e^{−κt} − e^{−(κ+λ)t})² tr Σ / N."""
        n, t = _arguments(n, t)
        apart = np.exp(-self.energy.stiffness * t) * np.expm1(-self.energy.attraction * t)
        error: Array = apart**2 * self._trace / n
        return error

    def largest_coupling(self, n: npt.ArrayLike, t_end: npt.ArrayLike) -> Array:
        """E sup over [0, t_end] of (1/N) sum_n |x_n − x̄_n|²; all samples reach it at the same time, so it is the sup of `coupling`."""
        n, t_end = _arguments(n, t_end)
        return self.coupling(n, np.minimum(t_end, self.worst_time))

    def function(self, n: npt.ArrayLike, t: npt.ArrayLike) -> Array:
        """E |mean of ν^N_t − mean of ν_t|² = e^{−2κt} tr Σ / N."""
        n, t = _arguments(n, t)
        error: Array = np.exp(-2.0 * self.energy.stiffness * t) * self._trace / n
        return error

    def paired_difference(self, n: npt.ArrayLike, t: npt.ArrayLike) -> Array:
        """E [W2²(ν^N_t, ν_t) − W2²(copies, ν_t)] = (e^{−2κt} − e^{−2(κ+λ)t}) tr Σ / N."""
        n, t = _arguments(n, t)
        n, t = _arguments(n, t)
        difference: Array = -self.function(n, t) * np.expm1(-2.0 * self.energy.attraction * t)
        return difference

    def value(self, t: npt.ArrayLike) -> Array:
        """E(ν_t) = A |m|² + B tr Σ."""
        mean, spread = self._rates(_arguments(1, t)[1])
        value: Array = mean * (self._moments.mean @ self._moments.mean) + spread * self._trace
        return value

    def energy_bias(self, n: npt.ArrayLike, t: npt.ArrayLike) -> Array:
        """E[E(ν^N_t)] − E(ν_t) = (A − B) tr Σ / N."""
        n, t = _arguments(n, t)
        mean, spread = self._rates(t)
        bias: Array = (mean - spread) * self._trace / n
        return bias

    def energy_variance(self, n: npt.ArrayLike, t: npt.ArrayLike) -> Array:
        """Variance of E(ν^N_t).

        For a Gaussian law it is A² (4 mᵀΣm / N + 2 tr Σ² / N²) + 2 B² (N − 1) tr Σ² / N².
        """
        n, t = _arguments(n, t)
        mean, spread = self._rates(t)
        law = self._moments
        squares = float((law.covariance**2).sum())  # tr Σ²
        along = float(law.mean @ law.covariance @ law.mean)  # N Var(m·z̄)
        skew = float(law.mean @ law.third)  # N Cov(m·z̄, q) = N² Cov(m·z̄, |z̄|²)
        fourth = law.square_variance  # N Var q = N² Cov(q, |z̄|²)
        centre = 2.0 * squares / n**2 + (fourth - 2.0 * squares) / n**3  # Var |z̄|²
        difference = mean - spread
        linear = 4.0 * mean**2 * along / n + 4.0 * mean * skew * (difference / n**2 + spread / n)
        quadratic = difference**2 * centre + 2.0 * difference * spread * fourth / n**2 + spread**2 * fourth / n
        variance: Array = linear + quadratic
        return variance

    def _rates(self, t: Array) -> tuple[Array, Array]:
        """A = κ a²/2 and B = (κ+λ) b²/2."""
        return _half_rate(self.energy.stiffness, t), _half_rate(self.energy.stiffness + self.energy.attraction, t)


def _half_rate(rate: float, t: Array) -> Array:
    half: Array = rate / 2.0 * np.exp(-2.0 * rate * t)
    return half


def _arguments(n: npt.ArrayLike, t: npt.ArrayLike) -> tuple[Array, Array]:
    n, t = _checks.array("n", n, at_least=1.0), _checks.array("t", t, at_least=0.0)
    try:
        np.broadcast_shapes(n.shape, t.shape)
    except ValueError:
        raise ValueError(f"t must have a shape that broadcasts with that of n, {n.shape}; got {t.shape}") from None
    return n, t
