"""State and action spaces: nodes with the weights of a reference measure (math.md §1)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np

from wflow import _checks
from wflow._checks import Array

__all__ = ["Space"]


@dataclass(frozen=True)
class Space:
    """Finitely many nodes with positive weights: a compact set seen through a quadrature rule, or a finite set.

    The weights carry the reference measure μ: Lebesgue (they sum to the volume), a probability (to 1), or counting
    (each is 1). Policies are densities with respect to it.

    Parameters
    ----------
    nodes : ndarray, shape (K, d)
        Coordinates; d = 0 is a set without geometry.
    weights : ndarray, shape (K,)
        Positive.

    Raises
    ------
    ValueError, TypeError
        If a shape does not fit, a coordinate is not finite, or a weight is not positive.
    """

    nodes: Array
    weights: Array
    name: str = field(default="nodes", compare=False)

    def __post_init__(self) -> None:
        nodes = _checks.array("nodes", self.nodes, (None, None))
        if len(nodes) == 0:
            raise ValueError("nodes must have at least one row; got none")
        object.__setattr__(self, "nodes", nodes)
        object.__setattr__(self, "weights", _checks.array("weights", self.weights, (len(nodes),), above=0.0))

    @property
    def size(self) -> int:
        """Number of nodes K."""
        return len(self.nodes)

    @property
    def dimension(self) -> int:
        """Number of coordinates d."""
        return int(self.nodes.shape[1])

    @property
    def total(self) -> float:
        """Mass of the reference measure, the sum of the weights."""
        return float(self.weights.sum())

    def __repr__(self) -> str:
        return f"Space({self.name}, {self.size} nodes in {self.dimension} dimensions, mass {self.total:g})"

    @classmethod
    def point(cls) -> Space:
        """One node without coordinates: the state space of a bandit."""
        return cls(np.zeros((1, 0)), np.ones(1), "point")

    @classmethod
    def midpoint(cls, n: int, low: float = 0.0, high: float = 1.0) -> Space:
        """Midpoints low + (i + ½)(high − low)/n of n equal cells, with Lebesgue weights; second order."""
        n, low, high = _interval(n, low, high)
        _checks.memory("n", n, 32 * n)
        return cls(low + (high - low) * ((np.arange(n) + 0.5) / n)[:, None], np.full(n, (high - low) / n), "midpoint")

    @classmethod
    def gauss_legendre(cls, n: int, low: float = 0.0, high: float = 1.0) -> Space:
        """Gauss–Legendre rule with Lebesgue weights; exact for polynomials of degree 2n − 1."""
        n, low, high = _interval(n, low, high)
        _checks.memory("n", n, 16 * n**2)  # eigenvalues of the companion matrix
        x, w = np.polynomial.legendre.leggauss(n)
        return cls(low + (high - low) * (x[:, None] + 1.0) / 2.0, w * (high - low) / 2.0, "Gauss-Legendre")

    @classmethod
    def clenshaw_curtis(cls, n: int, low: float = 0.0, high: float = 1.0) -> Space:
        """Clenshaw–Curtis rule on the n ≥ 2 Chebyshev extrema, ends included; exact for polynomials of degree n − 1."""
        n, low, high = _interval(n, low, high, at_least=2)
        _checks.memory("n", n, 8 * n**2)
        theta = np.pi * np.arange(n) / (n - 1)
        k = np.arange(1, (n - 1) // 2 + 1)
        half = np.where(2 * k == n - 1, 1.0, 2.0) / (4.0 * k**2 - 1.0)
        w = (1.0 - np.cos(2.0 * np.outer(theta, k)) @ half) * 2.0 / (n - 1)
        w[[0, -1]] /= 2.0
        return cls(low + (high - low) * (1.0 - np.cos(theta)[:, None]) / 2.0, w * (high - low) / 2.0, "Clenshaw-Curtis")

    @classmethod
    def finite(cls, nodes: Any, weights: Any = None) -> Space:
        """A finite set: a size (its coordinate is then the index) or coordinates (K,) or (K, d); counting weights unless given."""
        if not isinstance(nodes, Sequence) and getattr(nodes, "ndim", 0) == 0:
            nodes = _checks.integer("nodes", nodes, at_least=1)
            _checks.memory("nodes", nodes, 32 * nodes)
            nodes = np.arange(nodes, dtype=float)
        coordinates = _checks.array("nodes", nodes)
        if coordinates.ndim == 1:
            coordinates = coordinates[:, None]
        return cls(coordinates, np.ones(len(coordinates)) if weights is None else weights, "finite")

    @classmethod
    def tensor_product(cls, *factors: Space) -> Space:
        """All combinations of the factors' nodes, the last factor fastest, with products of their weights."""
        if not factors or not all(isinstance(f, Space) for f in factors):
            raise TypeError(f"factors must be one Space or more; got {_checks.show(factors)}")
        _checks.memory("factors", factors, 16 * math.prod(f.size for f in factors) * sum(f.dimension + 1 for f in factors))
        return reduce(_product, factors)


def _interval(n: int, low: float, high: float, at_least: int = 1) -> tuple[int, float, float]:
    n = _checks.integer("n", n, at_least=at_least)
    low = _checks.real("low", low)
    return n, low, _checks.real("high", high, above=low)


def _product(a: Space, b: Space) -> Space:
    nodes = np.hstack([np.repeat(a.nodes, b.size, axis=0), np.tile(b.nodes, (a.size, 1))])
    return Space(nodes, np.outer(a.weights, b.weights).ravel(), f"{a.name} x {b.name}")
