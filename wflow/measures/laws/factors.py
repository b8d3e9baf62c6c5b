"""Factors of an initial law: what a factor offers, and the laws on the line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow.spaces import Space

__all__ = ["Law", "Moments", "Normal", "Point", "Uniform"]


class Moments(NamedTuple):
    """Moments of X in R^k, with z = X − E X.

    Attributes
    ----------
    mean : ndarray, shape (k,)
    covariance : ndarray, shape (k, k)
    third : ndarray, shape (k,)
        E[z |z|²]; 0 for a law that is symmetric about its mean.
    square_variance : float
        Var |z|² = E|z|⁴ − (tr covariance)².
    """

    mean: Array
    covariance: Array
    third: Array
    square_variance: float


class Law(Protocol):
    """A factor: a probability law on R^k. `draw` is all that i.i.d. sampling needs.

    A factor that offers more serves more of `Product`:

    - ``dimension``: its number of coordinates k, 1 where it does not say;
    - ``support_dimension``: the dimension of its support, k where it does not say; 0 for a point;
    - ``quantile(u (n, n_uniforms)) -> (n, k)``: maps uniform numbers in (0, 1), ends excluded, to the law, for Sobol points and
      quantisers; ``n_uniforms`` is how many it takes, k where it does not say;
    - ``gauss(n) -> (nodes (K, k), weights (K,))``: a quadrature rule whose weights sum to 1;
    - ``moments() -> Moments``;
    - ``distribution(x (n,)) -> (n,)``: P(X ≤ x), for the masses of cells (`wflow.measures.GridMeasure.from_law`).
    """

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        """N independent values, shape (n,) or (n, k)."""
        ...


@dataclass(frozen=True)
class Normal:
    """N(mean, variance); a point law if the variance is 0."""

    mean: float = 0.0
    variance: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", _checks.real("mean", self.mean))
        object.__setattr__(self, "variance", _checks.real("variance", self.variance, at_least=0.0))

    @property
    def n_uniforms(self) -> int:
        """Uniform numbers that `quantile` takes for each value."""
        return 1 if self.variance > 0.0 else 0

    support_dimension = n_uniforms

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        """N independent values, shape (n,)."""
        return rng.normal(self.mean, self.variance**0.5, n)

    def quantile(self, u: Array) -> Array:
        """Inverse distribution function at u (n, 1) in (0, 1), shape (n, 1)."""
        from scipy.special import ndtri

        if self.n_uniforms == 0:
            return np.full((len(u), 1), self.mean)
        values: Array = self.mean + self.variance**0.5 * np.asarray(ndtri(u))
        return values

    def distribution(self, x: Array) -> Array:
        """P(X ≤ x) at x (n,), shape (n,)."""
        from scipy.special import ndtr

        if self.n_uniforms == 0:
            return np.where(np.asarray(x) >= self.mean, 1.0, 0.0)
        values: Array = np.asarray(ndtr((np.asarray(x) - self.mean) / self.variance**0.5))
        return values

    def gauss(self, n: int) -> tuple[Array, Array]:
        """Gauss–Hermite rule: n nodes (n, 1), weights (n,), exact for polynomials of degree 2n − 1; one node for a point law."""
        from scipy.special import roots_hermitenorm

        x, w = roots_hermitenorm(n if self.n_uniforms else 1)
        return self.mean + self.variance**0.5 * x[:, None], w / w.sum()

    def moments(self) -> Moments:
        """Exact moments."""
        return Moments(np.array([self.mean]), np.array([[self.variance]]), np.zeros(1), 2.0 * self.variance**2)


@dataclass(frozen=True)
class Uniform:
    """Uniform on [low, high]."""

    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "low", _checks.real("low", self.low))
        object.__setattr__(self, "high", _checks.real("high", self.high, above=self.low))

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        """N independent values, shape (n,)."""
        return rng.uniform(self.low, self.high, n)

    def quantile(self, u: Array) -> Array:
        """Inverse distribution function at u (n, 1), shape (n, 1)."""
        return self.low + (self.high - self.low) * u

    def distribution(self, x: Array) -> Array:
        """P(X ≤ x) at x (n,), shape (n,)."""
        values: Array = np.clip((np.asarray(x) - self.low) / (self.high - self.low), 0.0, 1.0)
        return values

    def gauss(self, n: int) -> tuple[Array, Array]:
        """Gauss–Legendre rule: n nodes (n, 1), weights (n,), exact for polynomials of degree 2n − 1."""
        rule = Space.gauss_legendre(n, self.low, self.high)
        return rule.nodes, rule.weights / rule.total

    def moments(self) -> Moments:
        """Exact moments."""
        variance = (self.high - self.low) ** 2 / 12.0
        return Moments(np.array([(self.low + self.high) / 2.0]), np.array([[variance]]), np.zeros(1), 0.8 * variance * variance)


@dataclass(frozen=True)
class Point:
    """All mass at `value`."""

    value: float = 0.0
    n_uniforms = support_dimension = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", _checks.real("value", self.value))

    def draw(self, n: int, rng: np.random.Generator) -> Array:  # noqa: ARG002 (a law's signature)
        """N times the value, shape (n,)."""
        return np.full(n, self.value)

    def quantile(self, u: Array) -> Array:
        """The value for each row of u (n, 0), shape (n, 1)."""
        return np.full((len(u), 1), self.value)

    def distribution(self, x: Array) -> Array:
        """0 below the value, 1 from it on."""
        return np.where(np.asarray(x) >= self.value, 1.0, 0.0)

    def gauss(self, n: int) -> tuple[Array, Array]:  # noqa: ARG002 (a law's signature)
        """One node (1, 1) of weight 1, whatever n."""
        return np.array([[self.value]]), np.ones(1)

    def moments(self) -> Moments:
        """Exact moments."""
        return Moments(np.array([self.value]), np.zeros((1, 1)), np.zeros(1), 0.0)
