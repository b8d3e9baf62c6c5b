"""Initial laws: products of one-dimensional laws, sampled independently from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow.measures.particles import ParticleMeasure

__all__ = ["Law", "Normal", "Point", "Product", "Uniform", "student"]

Seed = int | np.random.SeedSequence | np.random.Generator


class Law(Protocol):
    """A probability law on R."""

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        """N independent values, shape (n,)."""
        ...


@dataclass(frozen=True)
class Normal:
    """N(mean, variance)."""

    mean: float = 0.0
    variance: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", _checks.real("mean", self.mean))
        object.__setattr__(self, "variance", _checks.real("variance", self.variance, at_least=0.0))

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        """N independent values, shape (n,)."""
        return rng.normal(self.mean, self.variance**0.5, n)


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


@dataclass(frozen=True)
class Point:
    """All mass at `value`."""

    value: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", _checks.real("value", self.value))

    def draw(self, n: int, rng: np.random.Generator) -> Array:  # noqa: ARG002 (a law's signature)
        """N times the value, shape (n,)."""
        return np.full(n, self.value)


@dataclass(frozen=True)
class Product:
    """Product law on R^m: independent coordinates."""

    factors: tuple[Law, ...]

    def __post_init__(self) -> None:
        factors = self.factors if isinstance(self.factors, (tuple, list)) else ()
        if not factors or not all(hasattr(factor, "draw") and not isinstance(factor, type) for factor in factors):
            raise TypeError(f"factors must be one law or more, such as Normal() or Point(); got {_checks.show(self.factors)}")

    def sample(self, n: int, seed: Seed) -> ParticleMeasure:
        """Empirical measure of n independent draws; coordinates are drawn one after the other, so same seed, same bits."""
        n = _checks.integer("n", n, at_least=1)
        _checks.memory("n", n, 16 * n * len(self.factors))
        if not isinstance(seed, (np.random.SeedSequence, np.random.Generator)):
            seed = _checks.integer("seed", seed, at_least=0)
        rng = np.random.default_rng(seed)
        return ParticleMeasure(np.column_stack([factor.draw(n, rng) for factor in self.factors]))


def student(n_parameters: int, variance: float = 4.0) -> Product:
    """The student of Agazzi & Lu (2021, §5): output weight ω0 = 0, all other parameters N(0, variance), variance 4 in the paper."""
    n_parameters = _checks.integer("n_parameters", n_parameters, at_least=2)
    _checks.memory("n_parameters", n_parameters, 100 * n_parameters)
    return Product((Point(0.0), *(Normal(0.0, variance) for _ in range(n_parameters - 1))))
