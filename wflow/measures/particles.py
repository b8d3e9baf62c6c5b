"""Weighted particle clouds: probability measures with finitely many atoms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from wflow import _checks
from wflow._checks import Array

__all__ = ["ParticleMeasure"]


@dataclass(frozen=True, eq=False)
class ParticleMeasure:
    """ν = sum_n p_n δ(ω_n): an empirical measure (p_n = 1/N) or a quadrature of a law.

    Parameters
    ----------
    points : ndarray, shape (N, m)
        One particle a row, in the layout of math.md §0.
    weights : ndarray, shape (N,), optional
        Non-negative, sum 1; 1/N unless given.

    Raises
    ------
    ValueError, TypeError
        If a shape does not fit, a number is not finite, a weight is negative, or the weights do not sum to 1.
    """

    points: Array
    weights: Array

    def __init__(self, points: Any, weights: Any = None) -> None:
        points = _checks.array("points", points, (None, None))
        if len(points) == 0:
            raise ValueError("points must have at least one row; got none")
        uniform = np.full(len(points), 1.0 / len(points))
        weights = uniform if weights is None else _checks.probability("weights", weights, (len(points),))
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "weights", weights)

    @property
    def size(self) -> int:
        """Number of particles N."""
        return len(self.points)

    @property
    def dimension(self) -> int:
        """Number of coordinates m."""
        return int(self.points.shape[1])

    def mean(self) -> Array:
        """Mean, shape (m,)."""
        mean: Array = np.multiply(self.points.T, self.weights, order="C").sum(axis=1)  # BLAS would round by its number of threads
        return mean

    def covariance(self) -> Array:
        """Covariance, shape (m, m)."""
        centred = self.points - self.mean()
        covariance: Array = np.einsum("n,ni,nj->ij", self.weights, centred, centred)
        return covariance

    def __repr__(self) -> str:
        return f"ParticleMeasure({self.size} particles in {self.dimension} dimensions)"

    @classmethod
    def _trusted(cls, points: Array, weights: Array) -> ParticleMeasure:
        """A measure from arrays known to be sound: no checks, no copies; for flows, which make one at every evaluation."""
        measure = object.__new__(cls)
        object.__setattr__(measure, "points", points)
        object.__setattr__(measure, "weights", weights)
        return measure
