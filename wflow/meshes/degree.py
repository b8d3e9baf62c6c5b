"""Degree of a piecewise linear map about a target, by two independent routes, and its distance from it (math.md §7)."""

from __future__ import annotations

from typing import Any

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow.meshes._geometry import Indices, Signs, distance_to_segments, distance_to_triangles, indices, orientation

__all__ = ["crossings", "degree", "distances", "preimages", "total_angle"]

_WHOLE = 1e-6  # how far a total angle may be from an integer; rounding leaves 1e-10 at a million simplices


def total_angle(image: Any, simplices: Any, target: Any) -> float:
    """Sum of the signed angles under which the target sees the simplices, in turns: an integer, the degree, if they close.

    Parameters
    ----------
    image : ndarray, shape (V, d), d = 2 or 3
        Vertices.
    simplices : ndarray of integers, shape (K, d)
        Segments of the plane: angles over 2π. Triangles of space: solid angles over 4π, each
        2 atan2(det(u, v, w), 1 + u·v + v·w + w·u) for unit vectors u, v, w to its vertices (van Oosterom & Strackee 1983).
    target : ndarray, shape (d,)
        A point off the simplices; on one, the result means nothing (`distances` tells).

    Raises
    ------
    ValueError, TypeError
        If a shape does not fit or a number is not finite.
    """
    image, target = _points(image, target, (2, 3))
    simplices = indices("simplices", simplices, len(image), (len(target),))
    rays = image[simplices] - target
    rays /= _or_one(np.abs(rays).max(axis=2, keepdims=True, initial=0.0))  # squares must not overflow
    rays /= _or_one(np.linalg.norm(rays, axis=2, keepdims=True))
    u, v, w = rays[:, 0], rays[:, 1], rays[:, -1]
    if len(target) == 2:
        return float(np.arctan2(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0], (u * v).sum(axis=1)).sum()) / (2.0 * np.pi)
    triple = (u * np.cross(v, w)).sum(axis=1)
    return float(np.arctan2(triple, 1.0 + (u * v + v * w + w * u).sum(axis=1)).sum()) / (2.0 * np.pi)


def degree(image: Any, simplices: Any, target: Any) -> int | None:
    """`total_angle` as an integer, or None where it is not within 1e-6 of one: the simplices do not close (torn)."""
    angle = total_angle(image, simplices, target)
    return round(angle) if abs(angle - round(angle)) <= _WHOLE else None


def distances(image: Any, simplices: Any, target: Any) -> Array:
    """Euclidean distance (K,) from the target to each segment (K, 2) or triangle (K, 3) of R^2 or R^3.

    Exact to rounding, some 1e-15 of the largest distance of its vertices; 0 inside a triangle of the plane. Simplices may be flat,
    or points. Memory some 350 bytes a simplex.
    """
    image, target = _points(image, target, (2, 3))
    simplices = indices("simplices", simplices, len(image), (2, 3))
    corners = [image[column] for column in simplices.T]
    return distance_to_segments(target, *corners) if len(corners) == 2 else distance_to_triangles(target, *corners)


def preimages(image: Any, triangles: Any, target: Any) -> int:
    """Signed number of triangles (K, 3) of the plane that contain the target: the degree of the map of a region, counted inside.

    By exact signs. A target on a side is taken to lie at t + (ε, ε²) for an infinitely small ε > 0, so that it lies in one
    triangle of those that meet there, and flat triangles contain nothing.
    """
    image, target = _points(image, target, (2,))
    triangles = indices("triangles", triangles, len(image), (3,))
    sides = np.stack([_left(image, triangles[:, [i, (i + 1) % 3]], target) for i in range(3)])
    return int((sides == 1).all(axis=0).sum()) - int((sides == -1).all(axis=0).sum())


def crossings(image: Any, segments: Any, target: Any) -> int:
    """Signed number of segments (K, 2) of the plane that cross the ray from the target along +x: a closed polygon's winding number.

    By exact signs, upwards positive; a target on a segment is taken to lie at t + (ε, ε²), as `preimages` does.
    """
    image, target = _points(image, target, (2,))
    segments = indices("segments", segments, len(image), (2,))
    above = image[segments, 1] > target[1]  # not at the height of t: t + ε² lies above it
    left = _left(image, segments, target)
    upwards, downwards = above[:, 1] & ~above[:, 0], above[:, 0] & ~above[:, 1]
    return int((upwards & (left == 1)).sum()) - int((downwards & (left == -1)).sum())


def _left(image: Array, segments: Indices, target: Array) -> Signs:
    """1 where t + (ε, ε²) lies left of the segment ab, −1 right of it, 0 if a = b: det(a − t, b − t), to second order in ε."""
    signs = orientation(image[segments], target)
    (ax, ay), (bx, by) = image[segments[:, 0]].T, image[segments[:, 1]].T
    first, second = (ay > by).astype(np.int8) - (ay < by).astype(np.int8), (bx > ax).astype(np.int8) - (bx < ax).astype(np.int8)
    return np.where(signs != 0, signs, np.where(first != 0, first, second))


def _points(image: Any, target: Any, dimensions: tuple[int, ...]) -> tuple[Array, Array]:
    image = _checks.array("image", image, (None, None))
    if image.shape[1] not in dimensions:
        raise ValueError(f"image must have shape {' or '.join(f'(any, {d})' for d in dimensions)}; got {image.shape}")
    return image, _checks.array("target", target, (image.shape[1],))


def _or_one(scale: Array) -> Array:
    return np.where(scale > 0.0, scale, 1.0)
