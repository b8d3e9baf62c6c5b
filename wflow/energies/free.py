"""Potential energy: particles fall in an outer field V."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow.energies.base import Combines
from wflow.measures import GridMeasure, ParticleMeasure

__all__ = ["Potential"]


class Potential(Combines):
    """E(ν) = ∫ V dν (math.md §8); minimised (``sense = -1``). Its first variation is V, whatever ν.

    Cost of a method: one call of V or ∇V at all points. On grids V is taken at the cells' centres, of order 2 in their width.

    Parameters
    ----------
    potential : callable (K, d) -> (K,)
        V.
    gradient : callable (K, d) -> (K, d), optional
        ∇V; grids do without.

    Raises
    ------
    ValueError, TypeError
        If an argument is no function; by the methods, if what they are given is no measure, what a function returns has another
        shape or is not finite, or particles are to move without `gradient`.
    """

    sense = -1

    def __init__(self, potential: Callable[[Array], Array], gradient: Callable[[Array], Array] | None = None) -> None:
        for name, function in (("potential", potential), ("gradient", gradient)):
            if not callable(function) and not (name == "gradient" and function is None):
                raise TypeError(f"{name} must be a function of points (K, d); got {_checks.show(function)}")
        self.potential, self.gradient = potential, gradient

    @classmethod
    def quadratic(cls, stiffness: float = 1.0, centre: Any = 0.0) -> Potential:
        """V(x) = κ/2 |x − c|², κ a rate per unit of mean-field time; c a number or an array (d,)."""
        stiffness, centre = _checks.real("stiffness", stiffness), _vector("centre", centre)
        return cls(partial(_quadratic, stiffness, centre), partial(_quadratic_gradient, stiffness, centre))

    @classmethod
    def linear(cls, slope: Any) -> Potential:
        """V(x) = s · x, a constant drift −s; s a number or an array (d,)."""
        slope = _vector("slope", slope)
        return cls(partial(_linear, slope), partial(_linear_gradient, slope))

    def value(self, measure: ParticleMeasure | GridMeasure) -> float:
        """∫ V dν."""
        if isinstance(measure, GridMeasure):
            return float((measure.masses * self.cells(measure)).sum())
        measure = _checks.instance("measure", measure, ParticleMeasure, "a ParticleMeasure or a GridMeasure")
        return float((measure.weights * self._potential(measure.points)).sum())

    def velocity(self, measure: ParticleMeasure) -> Array:
        """−∇V at the particles, shape (N, m)."""
        points = _checks.instance("measure", measure, ParticleMeasure, "a ParticleMeasure").points
        if self.gradient is None:
            raise ValueError("gradient must be given for particles to move; got None")
        return -_checks.array("gradient(points)", self.gradient(points), points.shape)

    def first_variation(self, measure: ParticleMeasure, points: Array) -> Array:
        """V at points (K, m), shape (K,)."""
        measure = _checks.instance("measure", measure, ParticleMeasure, "a ParticleMeasure")
        return self._potential(_checks.array("points", points, (None, measure.dimension)))

    def cells(self, grid: GridMeasure) -> Array:
        """V at the centres of the cells, in the shape of the masses."""
        grid = _checks.instance("grid", grid, GridMeasure, "a GridMeasure")
        return self._potential(grid.points).reshape(grid.shape)

    def _potential(self, points: Array) -> Array:
        return _checks.array("potential(points)", self.potential(points), (len(points),))


def _vector(name: str, value: Any) -> Array:
    """A number or an array (d,) as something that broadcasts along points (K, d)."""
    return _checks.array(name, value, None if np.ndim(value) == 0 else (None,))


def _fitting(name: str, vector: Array, points: Array) -> Array:
    """`vector`, if it is a number or as long as a point."""
    return _checks.fitting(name, vector, points.shape[1:]) if vector.ndim else vector


def _quadratic(stiffness: float, centre: Array, points: Array) -> Array:
    values: Array = stiffness / 2.0 * np.square(points - _fitting("centre", centre, points)).sum(axis=1)
    return values


def _quadratic_gradient(stiffness: float, centre: Array, points: Array) -> Array:
    gradient: Array = stiffness * (points - _fitting("centre", centre, points))
    return gradient


def _linear(slope: Array, points: Array) -> Array:
    values: Array = (points * _fitting("slope", slope, points)).sum(axis=1)
    return values


def _linear_gradient(slope: Array, points: Array) -> Array:
    gradient: Array = np.broadcast_to(_fitting("slope", slope, points), points.shape)
    return gradient
