"""The uniform law on a sphere, a factor of several coordinates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow.measures.laws.factors import Moments
from wflow.spaces import Space

__all__ = ["Sphere"]


@dataclass(frozen=True)
class Sphere:
    """Uniform on the sphere of `radius` about 0 in R^k, k = `dimension` ≥ 2."""

    dimension: int
    radius: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "dimension", _checks.integer("dimension", self.dimension, at_least=2))
        _checks.memory("dimension", self.dimension, 16 * self.dimension)
        object.__setattr__(self, "radius", _checks.real("radius", self.radius, above=0.0))

    @property
    def support_dimension(self) -> int:
        """Dimension k − 1 of the sphere."""
        return self.dimension - 1

    @property
    def n_uniforms(self) -> int:
        """Uniform numbers that `quantile` takes for each point: k − 1 up to k = 3, k beyond."""
        return self.dimension - 1 if self.dimension <= 3 else self.dimension

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        """N independent points, shape (n, k): Gaussian vectors, projected."""
        return self._project(rng.standard_normal((n, self.dimension)))

    def quantile(self, u: Array) -> Array:
        """The law from uniform numbers u (n, n_uniforms) in (0, 1), shape (n, k).

        An angle for k = 2, height and angle for k = 3 (Archimedes: the height is uniform), Gaussian vectors projected beyond.
        """
        if self.dimension == 2:
            return self.radius * _circle(2.0 * np.pi * u[:, 0])
        if self.dimension == 3:
            return self.radius * _sphere(2.0 * u[:, 0] - 1.0, 2.0 * np.pi * u[:, 1])
        from scipy.special import ndtri

        return self._project(np.asarray(ndtri(u)))

    def gauss(self, n: int) -> tuple[Array, Array]:
        """Rule exact for polynomials of degree 2n − 1: nodes (K, k), weights (K,).

        k = 2: K = 2n equal angles (trapezoidal rule); k = 3: n Gauss–Legendre heights times 2n angles, K = 2n².

        Raises
        ------
        ValueError
            For k > 3, or if the nodes cannot fit into memory.
        """
        if self.dimension > 3:
            raise ValueError(f"dimension must be 2 or 3 for a Gauss rule on the sphere; got {self.dimension}")
        _checks.memory("n", n, 64 * n ** (self.dimension - 1))
        angles = np.pi * (np.arange(2 * n) + 0.5) / n
        if self.dimension == 2:
            return self.radius * _circle(angles), np.full(2 * n, 0.5 / n)
        heights = Space.gauss_legendre(n, -1.0, 1.0)
        points = _sphere(np.repeat(heights.nodes[:, 0], 2 * n), np.tile(angles, n))
        return self.radius * points, np.repeat(heights.weights / heights.total, 2 * n) / (2 * n)

    def moments(self) -> Moments:
        """Exact moments: mean 0, covariance r²/k."""
        k = self.dimension
        _checks.memory("dimension", k, 8 * k**2)
        return Moments(np.zeros(k), np.eye(k) * self.radius**2 / k, np.zeros(k), 0.0)

    def _project(self, points: Array) -> Array:
        projected: Array = points * (self.radius / np.linalg.norm(points, axis=1, keepdims=True))
        return projected


def _circle(angles: Array) -> Array:
    return np.column_stack([np.cos(angles), np.sin(angles)])


def _sphere(heights: Array, angles: Array) -> Array:
    return np.column_stack([np.sqrt(1.0 - heights**2)[:, None] * _circle(angles), heights])
