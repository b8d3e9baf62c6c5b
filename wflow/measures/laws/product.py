"""Product laws: independent factors, and the four ways to stand for them with finitely many particles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow.measures.laws.factors import Law, Moments, Normal, Point
from wflow.measures.laws.quantiser import lloyd
from wflow.measures.laws.sobol import scrambled
from wflow.measures.particles import ParticleMeasure

__all__ = ["Product", "student"]

Seed = int | np.random.SeedSequence | np.random.Generator

_OFFERS = {"quantile": "quantile(u)", "gauss": "gauss(n)", "moments": "moments()"}


@dataclass(frozen=True)
class Product:
    """Product law on R^m: independent factors, of one coordinate each unless a factor has more.

    A seed is a non-negative int, a `numpy.random.SeedSequence` or a `numpy.random.Generator`, which moves on; same seed, same bits.
    A factor needs ``draw(n, rng)`` only; what else it may offer, and to which end, is told by `Law`.

    Raises
    ------
    TypeError
        If there is no factor, or something that cannot `draw`; by the methods, if a factor lacks what they need.
    """

    factors: tuple[Law, ...]

    def __post_init__(self) -> None:
        factors = self.factors if isinstance(self.factors, (tuple, list)) else ()
        if not factors or not all(hasattr(factor, "draw") and not isinstance(factor, type) for factor in factors):
            raise TypeError(f"factors must be one law or more, such as Normal() or Point(); got {_checks.show(self.factors)}")

    @property
    def dimension(self) -> int:
        """Number of coordinates m."""
        return sum(map(_dimension, self.factors))

    @property
    def support_dimension(self) -> int:
        """Dimension of the support: m less the coordinates that are points, and one for each sphere."""
        return sum(getattr(factor, "support_dimension", _dimension(factor)) for factor in self.factors)

    def mean(self) -> Array:
        """Exact mean, shape (m,)."""
        return np.concatenate([moments.mean for moments in self._moments()])

    def covariance(self) -> Array:
        """Exact covariance, shape (m, m): one block for each factor."""
        return self.moments().covariance

    def moments(self) -> Moments:
        """Exact moments up to what the fluctuations of sums of squares need; centred, independent factors add up."""
        _checks.memory("factors", self.factors, 8 * self.dimension**2)
        parts = self._moments()
        covariance, start = np.zeros((self.dimension, self.dimension)), 0
        for part in parts:
            block = slice(start, start := start + len(part.mean))
            covariance[block, block] = part.covariance
        third = np.concatenate([part.third for part in parts])
        return Moments(self.mean(), covariance, third, sum(part.square_variance for part in parts))

    def sample(self, n: int, seed: Seed) -> ParticleMeasure:
        """Empirical measure of n independent draws; coordinates are drawn one after the other, so same seed, same bits."""
        n = _checks.integer("n", n, at_least=1)
        _checks.memory("n", n, 16 * n * self.dimension)
        rng = _generator(seed)
        return ParticleMeasure(np.hstack([_rows(f"factors[{i}].draw(n, rng)", factor.draw(n, rng), n, _dimension(factor))
                                          for i, factor in enumerate(self.factors)]))  # fmt: skip

    def qmc(self, n: int, seed: Seed) -> ParticleMeasure:
        """Quasi-Monte-Carlo points: n scrambled Sobol points through the factors' quantiles, with equal weights.

        Any n ≤ 2³⁰, best a power of 2; nested: the first n points of ``qmc(2 * n, seed)`` are those of ``qmc(n, seed)``. Each point
        alone has the product law (to 2⁻³⁰ in each uniform number). Means of smooth functions err by O(n^{-3/2}) up to logarithms
        at powers of 2, by O(1/n) else (Owen 1997). Cost O(n m); memory about 3 times the result.

        Raises
        ------
        ValueError
            If n or the seed is out of range, the points cannot fit into memory, or the factors take more than 21,201 uniforms.
        TypeError
            If a factor has no ``quantile(u)``, or n or the seed is of another type.
        """
        n = _checks.integer("n", n, at_least=1)
        self._require("quantile")
        counts = [getattr(factor, "n_uniforms", _dimension(factor)) for factor in self.factors]
        _checks.memory("n", n, 16 * n * (sum(counts) + self.dimension))
        uniforms = np.split(scrambled(n, sum(counts), _generator(seed)), np.cumsum(counts)[:-1], axis=1)
        factors: Any = self.factors
        return ParticleMeasure(np.hstack([_rows(f"factors[{i}].quantile(u)", factor.quantile(u), n, _dimension(factor))
                                          for i, (factor, u) in enumerate(zip(factors, uniforms, strict=True))]))  # fmt: skip

    def gauss(self, n: int | Sequence[int]) -> ParticleMeasure:
        """Tensor Gauss quadrature with its weights: exact for polynomials of degree 2n − 1 in each factor.

        Gauss–Hermite and Gauss–Legendre with n nodes, 2n angles on a circle, n heights times 2n angles on a sphere, one node for
        a point. The last factor runs fastest. Far nodes of many may carry a weight that underflows to 0. Cost and memory O(K m)
        for K nodes, the product of the factors' numbers.

        Parameters
        ----------
        n : int or sequence of ints
            For all factors, or one for each; a point's is not used.

        Raises
        ------
        ValueError
            If an n is not positive, the nodes cannot fit into memory, or a factor is a sphere in more than 3 dimensions.
        TypeError
            If a factor has no ``gauss(n)``.
        """
        self._require("gauss")
        sizes = _sizes(n, len(self.factors))
        rules = [_rule(i, factor, size) for i, (factor, size) in enumerate(zip(self.factors, sizes, strict=True))]
        count = math.prod(len(weights) for _, weights in rules)
        _checks.memory("n", n, 16 * count * (self.dimension + 1))
        columns, before = [], 1
        for nodes, weights in rules:
            after = count // (before * len(weights))
            columns.append(np.tile(np.repeat(nodes, after, axis=0), (before, 1)))
            before *= len(weights)
        return ParticleMeasure(np.hstack(columns), reduce(np.multiply.outer, [weights for _, weights in rules]).ravel())

    def quantised(self, n: int, seed: Seed, *, oversampling: int = 64) -> ParticleMeasure:
        """Quantiser: n weighted points close to the law in W2, at the best rate n^{-1/d} for a support of dimension d.

        Lloyd's algorithm on ``qmc(oversampling * n, seed)``: points are the means of their cells and weights the masses. How
        close it comes is limited by that cloud, which matters in one dimension only. 20 rounds at most, of 0.1 s each for
        n = 3,200 in 3 dimensions; memory about 5 times that of the cloud, 8 · oversampling · n · m bytes.

        Raises
        ------
        ValueError, TypeError
            As by `qmc`, for the size of the cloud.
        """
        n = _checks.integer("n", n, at_least=1)
        oversampling = _checks.integer("oversampling", oversampling, at_least=1)
        _checks.memory("n", n, 40 * oversampling * n * self.dimension)
        cloud = self.qmc(oversampling * n, seed).points
        return ParticleMeasure(*lloyd(cloud, n, max(self.support_dimension, 1)))

    def _moments(self) -> list[Moments]:
        self._require("moments")
        factors: Any = self.factors
        return [factor.moments() for factor in factors]

    def _require(self, method: str) -> None:
        for i, factor in enumerate(self.factors):
            if not hasattr(factor, method):
                raise TypeError(f"factors[{i}] must have a method {_OFFERS[method]} for this; got {_checks.show(factor)}")


def student(n_parameters: int, variance: float = 4.0) -> Product:
    """The student of Agazzi & Lu (2021, §5): output weight ω0 = 0, all other parameters N(0, variance), variance 4 in the paper."""
    n_parameters = _checks.integer("n_parameters", n_parameters, at_least=2)
    _checks.memory("n_parameters", n_parameters, 100 * n_parameters)
    return Product((Point(0.0), *(Normal(0.0, variance) for _ in range(n_parameters - 1))))


def _dimension(factor: Law) -> int:
    dimension: int = getattr(factor, "dimension", 1)
    return dimension


def _generator(seed: Seed) -> np.random.Generator:
    if not isinstance(seed, (np.random.SeedSequence, np.random.Generator)):
        seed = _checks.integer("seed", seed, at_least=0)
    return np.random.default_rng(seed)


def _sizes(n: Any, count: int) -> list[int]:
    """One checked size for each of `count` factors."""
    many = isinstance(n, (list, tuple)) or (isinstance(n, np.ndarray) and n.ndim > 0)
    sizes = list(n) if many else [n] * count
    if len(sizes) != count:
        raise ValueError(f"n must be an integer or one for each of {count} factors; got {_checks.show(n)}")
    sizes = [_checks.integer("n", size, at_least=1) for size in sizes]
    _checks.memory("n", n, 16 * max(sizes))
    return sizes


def _rows(name: str, values: Any, n: int, dimension: int) -> Array:
    """What a factor gave, as (n, dimension); (n,) serves for one coordinate."""
    values = _checks.array(name, values)
    return _checks.array(name, values[:, None] if values.ndim == 1 else values, (n, dimension))


def _rule(i: int, factor: Any, n: int) -> tuple[Array, Array]:
    """A factor's Gauss rule: nodes (K, k), and weights (K,) of sum 1."""
    nodes, weights = factor.gauss(n)
    weights = _checks.probability(f"weights of factors[{i}].gauss(n)", weights, (None,))
    return _rows(f"nodes of factors[{i}].gauss(n)", nodes, len(weights), _dimension(factor)), weights / weights.sum()
