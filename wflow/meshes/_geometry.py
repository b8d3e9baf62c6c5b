"""What meshes are measured with: index checks, exact orientation signs, distances to segments and triangles."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from wflow import _checks
from wflow._checks import Array

__all__ = ["Indices", "Signs", "distance_to_segments", "distance_to_triangles", "indices", "orientation"]

Indices: TypeAlias = npt.NDArray[np.intp]
Signs: TypeAlias = npt.NDArray[np.int8]

# The float determinant errs by at most 7 units 2^-53 of the permanent (Shewchuk 1997, the filter of orient3d; orient2d needs 3); twice as
# much is allowed here. Products that underflow are off by 1e-323, times a coordinate of at most 2e100.
_RELATIVE, _ABSOLUTE = 2.0**-49, 1e-200


def indices(name: str, value: Any, n_points: int, corners: tuple[int, ...]) -> Indices:
    """`value` as rows of point numbers below `n_points`; a row has one of the stated numbers of `corners`."""
    raw = np.asarray(value)
    wanted = " or ".join(f"(any, {n})" for n in corners)
    if raw.dtype.kind not in "iu":
        raise TypeError(f"{name} must be an array of integers of shape {wanted}; got {_checks.show(value)}")
    if raw.ndim != 2 or raw.shape[1] not in corners:
        raise ValueError(f"{name} must have shape {wanted}; got {raw.shape}")
    if raw.size and not (raw.min() >= 0 and raw.max() < n_points):
        bad = raw.min() if raw.min() < 0 else raw.max()
        raise ValueError(f"{name} must number points from 0 to {n_points - 1}; got {int(bad)}")
    return np.ascontiguousarray(raw, dtype=np.intp)


def orientation(vertices: Array, target: Array) -> Signs:
    """Exact sign of det(v_1 − t, ..., v_d − t) for d = 2 or 3.

    Parameters
    ----------
    vertices : ndarray, shape (K, d, d)
        The d vertices of each simplex, one a row; finite, at most 1e100.
    target : ndarray, shape (d,) or (K, d)
        t, one for all or one for each.

    Returns
    -------
    ndarray of int8, shape (K,)
        −1, 0 or 1. Rounding decides nothing: where the error bound of the float determinant covers its value, it is formed anew in
        rational numbers (tens of microseconds each).
    """
    rows = vertices - np.expand_dims(target, -2)
    value, error = _expansion(rows, -1), _RELATIVE * _expansion(np.abs(rows), +1) + _ABSOLUTE
    signs: Signs = (value > error).astype(np.int8) - (value < -error).astype(np.int8)
    open_ = np.flatnonzero(np.abs(value) <= error)
    if len(open_):
        exact = np.vectorize(Fraction, otypes=[object])
        targets = np.broadcast_to(target, vertices.shape[:2])[open_]
        value = _expansion(exact(vertices[open_]) - exact(targets)[:, None, :], -1)
        signs[open_] = (value > 0).astype(np.int8) - (value < 0).astype(np.int8)
    return signs


def _expansion(rows: Any, sign: int) -> Any:
    """Determinant (sign −1) or permanent (sign +1) of each d × d block, of floats or of fractions, by cofactors."""
    if rows.shape[-1] == 2:
        return rows[:, 0, 0] * rows[:, 1, 1] + sign * (rows[:, 0, 1] * rows[:, 1, 0])
    minors = [_expansion(rows[:, 1:, columns], sign) for columns in ([1, 2], [0, 2], [0, 1])]
    return rows[:, 0, 0] * minors[0] + sign * (rows[:, 0, 1] * minors[1]) + rows[:, 0, 2] * minors[2]


def distance_to_segments(target: Array, a: Array, b: Array) -> Array:
    """Distance (K,) of a target (d,) or (K, d) from the segments ab, given as (K, d); a segment may be a point."""
    (a, b), size = _order_one([a - target, b - target])
    return size * _to_segments(a, b)


def distance_to_triangles(target: Array, a: Array, b: Array, c: Array) -> Array:
    """Distance (K,) of a target (d,) or (K, d) from the triangles abc in R^2 or R^3, given as (K, d); a triangle may be flat.

    The nearest point lies on an edge, or inside. Any convex combination of the vertices bounds the distance from above, so that the
    smaller of the two is right also where a flat triangle's barycentric coordinates are mere rounding.
    """
    (a, b, c), size = _order_one([a - target, b - target, c - target])
    nearest = np.minimum(np.minimum(_to_segments(a, b), _to_segments(b, c)), _to_segments(c, a))
    if a.shape[1] == 2:
        signs = [_expansion(np.stack(side, axis=1), -1) for side in ((a, b), (b, c), (c, a))]
        inside = (np.minimum.reduce(signs) > 0.0) | (np.maximum.reduce(signs) < 0.0)
        return size * np.where(inside, 0.0, nearest)
    normal = np.cross(b - a, c - a)
    shares = np.stack([(normal * np.cross(p, q)).sum(axis=1) for p, q in ((b, c), (c, a), (a, b))])
    inside = (shares >= 0.0).all(axis=0) & (shares.sum(axis=0) > 0.0)
    shares = shares[:, inside] / shares[:, inside].sum(axis=0)
    foot = shares[0][:, None] * a[inside] + shares[1][:, None] * b[inside] + shares[2][:, None] * c[inside]
    nearest[inside] = np.minimum(nearest[inside], np.linalg.norm(foot, axis=1))
    return size * nearest


def _to_segments(a: Array, b: Array) -> Array:
    """Distance of the origin, for coordinates of order 1."""
    along = b - a
    length = (along * along).sum(axis=1)
    ahead = -(a * along).sum(axis=1)
    t = np.clip(np.divide(ahead, length, out=np.zeros_like(length), where=length > 0.0), 0.0, 1.0)
    return np.linalg.norm(a + t[:, None] * along, axis=1)  # type: ignore[no-any-return]


def _order_one(vertices: list[Array]) -> tuple[list[Array], Array]:
    """Vertices (K, d) over the largest coordinate of their simplex, and that (K,): fourth powers must neither overflow nor vanish."""
    size = np.max([np.abs(v).max(axis=1) for v in vertices], axis=0)
    size = np.where(size > 0.0, size, 1.0)
    return [v / size[:, None] for v in vertices], size
