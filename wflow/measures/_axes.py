"""Axes of rectilinear grids: edges from what a user gives, masses of cells under a law, cells around a point."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from wflow import _checks
from wflow._checks import Array

__all__ = ["DIMENSIONS", "edges_of", "given", "neighbours", "outer", "sequence", "shares"]

DIMENSIONS = 4  # at most


def sequence(axes: Any) -> Sequence[Any]:
    """The axes of a grid, one by one; TypeError if they are no tuple or list."""
    if not isinstance(axes, (tuple, list)):
        raise TypeError(f"axes must be a tuple or list of arrays, one for each axis; got {_checks.show(axes)}")
    return axes


def given(axes: Any) -> tuple[Array, ...]:
    """Edges of a grid that has no masses yet."""
    if not 1 <= len(axes := sequence(axes)) <= DIMENSIONS:
        raise ValueError(f"axes must be 1 to {DIMENSIONS} arrays of edges; got {len(axes)}")
    checked = tuple(edges_of(f"axes[{k}]", axis, max(np.size(axis) - 1, 1)) for k, axis in enumerate(axes))
    cells = math.prod(len(axis) - 1 for axis in checked)
    _checks.memory("axes", " x ".join(str(len(axis) - 1) for axis in checked), 16 * cells)
    return checked


def edges_of(name: str, axis: Any, n: int) -> Array:
    """Edges (n + 1,) of n cells, from themselves or from centres (n,)."""
    values: Array = _checks.array(name, axis, (None,))
    if len(values) not in (n, n + 1) or len(values) < 2:
        centres = f" or {n} centres" if n > 1 else ""
        raise ValueError(f"{name} must be {n + 1} edges{centres} of cells; got {len(values)} number{'s' * (len(values) != 1)}")
    steps = np.diff(values)
    if not (steps > 0.0).all():
        raise ValueError(f"{name} must increase; got a step of {float(steps.min()):g}")
    if len(values) == n + 1:
        return values
    if np.ptp(steps) > 1e-6 * steps.mean():
        raise ValueError(f"{name} must be edges where cells differ in width: of centres {n + 1} edges cannot be told; got {n} centres")
    h = (values[-1] - values[0]) / (n - 1)
    edges: Array = values[0] + h * (np.arange(n + 1) - 0.5)
    return edges


def shares(name: str, factor: Any, edges: Array) -> Array:
    """Masses (n,) of the cells under one factor of a law."""
    masses: Array = np.diff(_checks.array(f"{name}.distribution(x)", factor.distribution(edges), edges.shape))
    if masses.min() < -1e-12:
        raise ValueError(f"{name}.distribution(x) must not decrease; got a step of {float(masses.min()):g}")
    kept: Array = np.maximum(masses, 0.0)  # rounding
    return kept


def neighbours(edges: Array, x: Array) -> tuple[Any, Array]:
    """The cell whose centre is next below x, and how far x is on the way to the next centre; (0, 0), (n − 1, 0) beyond the outer ones."""
    centres = (edges[1:] + edges[:-1]) / 2.0
    left: Any = np.clip(np.searchsorted(centres, x, side="right") - 1, 0, len(centres) - 1)
    right = np.minimum(left + 1, len(centres) - 1)
    gap = np.where(right > left, centres[right] - centres[left], 1.0)
    share: Array = np.clip((x - centres[left]) / gap, 0.0, 1.0) * (right > left)
    return left, share


def outer(factors: Sequence[Array]) -> Array:
    """Outer product of vectors."""
    product = factors[0]
    for factor in factors[1:]:
        product = np.multiply.outer(product, factor)
    return product
