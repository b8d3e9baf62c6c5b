"""Covering radius of a cloud: how far a point of the domain can be from the nearest of it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow.meshes.degree import distances

__all__ = ["Covering", "covering_radius"]

_FLAT = 1e-9  # a cloud of directions no thicker is treated as lying on a circle: Qhull needs some 1e-14


class Covering(NamedTuple):
    """A covering radius and its own uncertainty: the true one is within `slack` of `radius` (radians on a sphere, else lengths)."""

    radius: float
    slack: float


def covering_radius(points: Any, domain: Any = "sphere", n: int = 64) -> Covering:
    """Largest distance from a point of the domain to the nearest of the cloud.

    Parameters
    ----------
    points : ndarray, shape (N, d)
        The cloud. On the sphere only directions count, and none may be 0.
    domain : "sphere" or pair (lower, upper) of array_like, shape (d,)
        The unit circle (d = 2) or sphere (d = 3), with angles for distances; or a box in 1 to 3 dimensions.
    n : int
        Nodes along each axis of a box, ends included, at least 2.

    Returns
    -------
    Covering
        Circle: exact, half the largest gap. Sphere: exact, from the convex hull of the directions, O(N log N). Box: the largest over
        the grid's nodes, a lower bound; `slack` is half the diagonal of a cell; O(n^d log N), memory 120 n^d bytes.

    Raises
    ------
    ValueError, TypeError
        If the cloud is empty, a shape does not fit, a number is not finite, a direction is 0, or the box is empty.
    """
    points = _checks.array("points", points, (None, None))
    if len(points) == 0:
        raise ValueError("points must have at least one row; got none")
    if not isinstance(domain, str):
        return _in_box(points, domain, n)
    _checks.choice("domain", domain, ("sphere",))
    if points.shape[1] not in (2, 3):
        raise ValueError(f"points must have shape (any, 2) or (any, 3) on a sphere; got {points.shape}")
    size = np.abs(points).max(axis=1, keepdims=True)
    if not size.all():
        raise ValueError(f"points must have directions; got 0 at row {int(size[:, 0].argmin())}")
    directions = points / size  # squares must not underflow
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return Covering(0.5 * _largest_gap(directions), 0.0) if points.shape[1] == 2 else _on_sphere(directions)


def _largest_gap(directions: Array) -> float:
    """Largest angle without a direction between two neighbours on the circle; 2π for one direction."""
    angles = np.sort(np.arctan2(directions[:, 1], directions[:, 0]))
    return float(np.diff(angles, append=angles[0] + 2.0 * np.pi).max())


def _on_sphere(directions: Array) -> Covering:
    """The largest empty cap. If 0 is in the hull, a facet bounds it, else it is centred opposite to the hull's point nearest to 0."""
    centre = directions.mean(axis=0)
    frame = np.linalg.svd(np.vstack([directions - centre, np.zeros((3, 3))]), full_matrices=False)[2]  # all three axes, however few points
    height = (directions - centre) @ frame[2]
    if len(directions) < 4 or np.abs(height).max() <= _FLAT:
        return _on_small_circle(directions @ frame.T, float(centre @ frame[2]))
    from scipy.spatial import ConvexHull

    hull = ConvexHull(directions)
    normals, offsets = hull.equations[:, :3], hull.equations[:, 3]
    if offsets.max() > 0.0:
        nearest = float(distances(directions, hull.simplices, np.zeros(3)).min())
        return Covering(np.pi - float(np.arccos(min(nearest, 1.0))), 0.0)
    corner = directions[hull.simplices[:, 0]]
    sines, cosines = np.linalg.norm(np.cross(normals, corner), axis=1), (normals * corner).sum(axis=1)
    return Covering(float(np.arctan2(sines, cosines).max()), 0.0)


def _on_small_circle(directions: Array, height: float) -> Covering:
    """Directions near the circle z = height of the unit sphere; exact once they are moved onto it, which the slack accounts for.

    The hull is a polygon at the height, whose point nearest to 0 is its centre or, if the largest gap 2h exceeds π, the middle of the
    side across the gap, at radius s |cos h| for a circle of radius s.
    """
    radius = float(np.sqrt(max(1.0 - height**2, 0.0)))
    half = 0.5 * _largest_gap(directions[:, :2])
    beyond = half > 0.5 * np.pi
    nearest = float(np.hypot(height, radius * np.cos(half) if beyond else 0.0))
    flat = np.linalg.norm(directions[:, :2], axis=1)
    moved = float(np.hypot(directions[:, 2] - height, flat - radius).max())
    angle = float(np.arctan2(radius * np.sin(half) if beyond else radius, nearest))
    return Covering(np.pi - angle, 2.0 * float(np.arcsin(min(0.5 * moved, 1.0))))


def _in_box(points: Array, domain: Any, n: int) -> Covering:
    dimension = points.shape[1]
    if not isinstance(domain, tuple | list | np.ndarray) or len(domain) != 2:
        raise TypeError(f"domain must be 'sphere' or a pair (lower, upper); got {_checks.show(domain)}")
    if dimension not in (1, 2, 3):
        raise ValueError(f"points must have 1 to 3 coordinates in a box; got {dimension}")
    lower, upper = (_checks.array(f"domain[{i}]", corner, (dimension,)) for i, corner in enumerate(domain))
    if not (lower < upper).all():
        raise ValueError(f"domain must be a pair (lower, upper) with lower below upper; got {_checks.show(domain)}")
    n = _checks.integer("n", n, at_least=2)
    _checks.memory("n", n, 120 * n**dimension)
    from scipy.spatial import cKDTree

    axes = [np.linspace(low, high, n) for low, high in zip(lower, upper, strict=True)]
    nodes = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, dimension)
    nearest = np.max(cKDTree(points).query(nodes)[0])
    return Covering(float(nearest), float(np.linalg.norm(upper - lower)) / (2.0 * (n - 1)))
