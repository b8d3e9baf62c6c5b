"""Measures on rectilinear grids: probability measures given by the masses of cells."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow.measures import _axes
from wflow.measures.particles import ParticleMeasure

__all__ = ["GridMeasure"]


@dataclass(frozen=True, eq=False)
class GridMeasure:
    """ν with mass m_i in cell i of a rectilinear grid, spread evenly over the cell.

    Parameters
    ----------
    axes : sequence of d ndarrays, 1 ≤ d ≤ 4
        Of each coordinate the edges of the cells, increasing, shape (n_k + 1,); or their centres, shape (n_k,), n_k ≥ 2, evenly
        spaced, which are turned into edges. Which of the two shows by the shape of `masses`.
    masses : ndarray, shape (n_1, ..., n_d)
        Non-negative, sum 1.

    Attributes
    ----------
    axes : tuple of ndarrays, shapes (n_k + 1,)
        Edges.

    Raises
    ------
    ValueError, TypeError
        If a shape does not fit, a number is not finite, edges do not increase, a mass is negative, or masses do not sum to 1.
    """

    axes: tuple[Array, ...]
    masses: Array

    def __init__(self, axes: Sequence[Any], masses: Any) -> None:
        masses = _checks.array("masses", masses, at_least=0.0)
        if not 1 <= masses.ndim <= _axes.DIMENSIONS or 0 in masses.shape:
            raise ValueError(f"masses must have 1 to {_axes.DIMENSIONS} dimensions of one cell or more; got shape {masses.shape}")
        if len(axes := _axes.sequence(axes)) != masses.ndim:
            raise ValueError(f"axes must be one array for each axis of masses, whose shape is {masses.shape}; got {len(axes)}")
        checked = tuple(_axes.edges_of(f"axes[{k}]", axis, n) for k, (axis, n) in enumerate(zip(axes, masses.shape, strict=True)))
        _checks.probability("masses", masses.ravel())
        object.__setattr__(self, "axes", checked)
        object.__setattr__(self, "masses", masses)

    # --- the grid ---

    @property
    def dimension(self) -> int:
        """Number of coordinates d."""
        return self.masses.ndim

    @property
    def shape(self) -> tuple[int, ...]:
        """Numbers of cells along the axes."""
        return self.masses.shape

    @property
    def size(self) -> int:
        """Number of cells."""
        return self.masses.size

    @cached_property
    def centres(self) -> tuple[Array, ...]:
        """Of each axis the centres of its cells, shapes (n_k,)."""
        return tuple((edges[1:] + edges[:-1]) / 2.0 for edges in self.axes)

    @cached_property
    def widths(self) -> tuple[Array, ...]:
        """Of each axis the widths of its cells, shapes (n_k,)."""
        return tuple(np.diff(edges) for edges in self.axes)

    @cached_property
    def points(self) -> Array:
        """Centres of all cells, shape (size, d), the last axis fastest; O(size d) memory."""
        return np.stack([axis.ravel() for axis in np.meshgrid(*self.centres, indexing="ij")], axis=1)

    @cached_property
    def volumes(self) -> Array:
        """Volumes of the cells, in the shape of the masses."""
        return _axes.outer(self.widths)

    # --- what the measure is ---

    @property
    def density(self) -> Array:
        """Density in each cell, in the shape of the masses."""
        density: Array = self.masses / self.volumes
        return density

    def mean(self) -> Array:
        """Mean, shape (d,)."""
        return np.array([float((self.marginal(k).masses * x).sum()) for k, x in enumerate(self.centres)])

    def covariance(self) -> Array:
        """Covariance of the masses spread over their cells, shape (d, d): that of the centres, plus h²/12 on the diagonal."""
        mean, covariance = self.mean(), np.empty((self.dimension, self.dimension))
        away = [x - m for x, m in zip(self.centres, mean, strict=True)]
        for k in range(self.dimension):
            covariance[k, k] = (self.marginal(k).masses * (away[k] ** 2 + self.widths[k] ** 2 / 12.0)).sum()
            for j in range(k):
                covariance[j, k] = covariance[k, j] = (self.marginal(j, k).masses * np.multiply.outer(away[j], away[k])).sum()
        return covariance

    def marginal(self, *axes: int) -> GridMeasure:
        """Law of the coordinates `axes`, increasing, one or more of 0, ..., d − 1."""
        if not axes or list(axes) != sorted({_checks.integer("axes", k, at_least=0) for k in axes}) or axes[-1] >= self.dimension:
            raise ValueError(f"axes must be one or more of 0 to {self.dimension - 1}, increasing; got {_checks.show(axes)}")
        others = tuple(k for k in range(self.dimension) if k not in axes)
        return self._trusted(tuple(self.axes[k] for k in axes), np.asarray(self.masses.sum(axis=others)))

    def entropy(self) -> float:
        """``−∫ ρ log ρ``, in nats; empty cells count nothing."""
        full = self.masses > 0.0
        masses = self.masses[full]
        return -float((masses * (np.log(masses) - np.log(self.volumes[full]))).sum())  # a quotient of a far tail may underflow

    # --- from and to ---

    @classmethod
    def from_density(cls, axes: Sequence[Any], density: Callable[[Array], Array], *, nodes: int = 4) -> GridMeasure:
        """Masses of a density (K, d) -> (K,), which need not be normalised, by a Gauss–Legendre rule of `nodes` points a cell and axis.

        Memory O(size d), time O(size nodes^d) evaluations.
        """
        axes = _axes.given(axes)
        if not callable(density):
            raise TypeError(f"density must be a function (K, d) -> (K,); got {_checks.show(density)}")
        rules = np.polynomial.legendre.leggauss(_checks.integer("nodes", nodes, at_least=1))
        masses: Array = np.zeros([len(edges) - 1 for edges in axes])
        widths = [np.diff(edges) for edges in axes]
        for index in np.ndindex(*[nodes] * len(axes)):
            at = [edges[:-1] + (1.0 + rules[0][i]) / 2.0 * w for edges, w, i in zip(axes, widths, index, strict=True)]
            points = np.stack([x.ravel() for x in np.meshgrid(*at, indexing="ij")], axis=1)
            values = _checks.array("density(points)", density(points), (len(points),), at_least=0.0)
            masses += values.reshape(masses.shape) * np.prod([rules[1][i] / 2.0 for i in index])
        masses *= _axes.outer(widths)
        if not (total := float(masses.sum())) > 0.0:
            raise ValueError("density must be positive somewhere on the grid; got 0 in every cell")
        return cls(axes, masses / total)

    @classmethod
    def from_law(cls, axes: Sequence[Any], law: Any, *, outside: float = 1e-3) -> GridMeasure:
        """Exact masses of a product law (`wflow.measures.laws.Product`), from its distribution functions.

        What lies outside the grid is left out, and the rest scaled up; ValueError if that is more than `outside` of the mass. A point
        fills one cell, on an edge the one below it, so the mean is kept if it is that cell's centre. Masses are exact to 1e-16 each.
        """
        axes, outside = _axes.given(axes), _checks.real("outside", outside, at_least=0.0, below=1.0)
        factors = getattr(law, "factors", ())
        if len(factors) != len(axes) or not all(hasattr(factor, "distribution") for factor in factors):
            raise TypeError(f"law must be a Product of {len(axes)} factors with a distribution(x); got {_checks.show(law)}")
        shares = [_axes.shares(f"factors[{k}]", factor, edges) for k, (factor, edges) in enumerate(zip(factors, axes, strict=True))]
        masses = _axes.outer(shares)
        if (lost := 1.0 - float(masses.sum())) > outside:
            raise ValueError(f"axes must hold all but {outside:g} of the law's mass; {lost:.3g} of it lies outside")
        return cls(axes, masses / masses.sum())

    @classmethod
    def deposit(cls, axes: Sequence[Any], measure: ParticleMeasure) -> GridMeasure:
        """Cell masses of a cloud: each particle's weight is shared by the cells whose centres surround it (cloud in cell).

        Mass is kept to rounding, and the mean where no particle lies in the outer half of an outer cell, whose weight goes to that
        cell whole. A particle adds at most (h/2)² to the variance along an axis, and the spread over cells h²/12. O(N 2^d) time, O(N d)
        memory. ValueError if a particle lies outside the grid.
        """
        axes = _axes.given(axes)
        points = _checks.instance("measure", measure, ParticleMeasure, "a ParticleMeasure").points
        if points.shape[1] != len(axes):
            raise ValueError(f"measure must have {len(axes)} coordinates, as the grid has; got {points.shape[1]}")
        lower, upper = np.array([edges[0] for edges in axes]), np.array([edges[-1] for edges in axes])
        if (outside := ((points < lower) | (points > upper)).any(axis=1)).any():
            n = int(outside.argmax())
            raise ValueError(f"measure must lie on the grid; particle {n} is at {_checks.show(points[n].tolist())}")
        shape = tuple(len(edges) - 1 for edges in axes)
        left, share = zip(*(_axes.neighbours(edges, points[:, k]) for k, edges in enumerate(axes)), strict=True)
        masses = np.zeros(math.prod(shape))
        for corner in np.ndindex(*[2] * len(axes)):
            cell = np.ravel_multi_index(tuple(np.minimum(i + c, n - 1) for i, c, n in zip(left, corner, shape, strict=True)), shape)
            weight = measure.weights.copy()
            for c, s in zip(corner, share, strict=True):
                weight *= s if c else 1.0 - s
            masses += np.bincount(cell, weight, len(masses))
        return cls(axes, masses.reshape(shape))

    def quadrature(self) -> ParticleMeasure:
        """Centres with the cells' masses as weights, all of them, empty cells too; no copy of the masses."""
        return ParticleMeasure._trusted(self.points, self.masses.ravel())

    def sample(self, n: int, seed: int | np.random.SeedSequence | np.random.Generator) -> ParticleMeasure:
        """N independent particles: a cell by its mass, and a point of it at random."""
        n = _checks.integer("n", n, at_least=1)
        _checks.memory("n", n, 16 * n * (self.dimension + 2))
        if not isinstance(seed, (np.random.SeedSequence, np.random.Generator)):
            seed = _checks.integer("seed", seed, at_least=0)
        rng = np.random.default_rng(seed)
        cumulated = np.cumsum(self.masses.ravel())
        chosen = np.searchsorted(cumulated, rng.random(n) * cumulated[-1], side="right")
        cells = np.unravel_index(chosen, self.shape)
        axes = zip(self.axes, self.widths, cells, strict=True)
        columns = [np.minimum(edges[i] + rng.random(n) * widths[i], edges[i + 1]) for edges, widths, i in axes]
        return ParticleMeasure(np.stack(columns, axis=1))

    def __repr__(self) -> str:
        return f"GridMeasure({' x '.join(map(str, self.shape))} cells)"

    @classmethod
    def _trusted(cls, axes: tuple[Array, ...], masses: Array) -> GridMeasure:
        """A measure from arrays known to be sound: no checks, no copies."""
        measure = object.__new__(cls)
        object.__setattr__(measure, "axes", axes)
        object.__setattr__(measure, "masses", masses)
        return measure
