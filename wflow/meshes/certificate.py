"""Separation certificate: that a computed surface still goes once round the target (math.md §7, "Certificate")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow.meshes._geometry import Signs, distance_to_segments, orientation
from wflow.meshes.degree import crossings, degree, distances, preimages
from wflow.meshes.mesh import Mesh

__all__ = ["Certificate", "certify"]

_SAFETY = 2.0  # on the distance of a midpoint's image from its edge's image
_QUADRATIC = 4.0 / 3.0  # max over a triangle of sum 4 λ_i λ_j: what deviations of 1 at the midpoints of its sides can add up to
_ROUNDING = 1e-12  # distances below this fraction of the simplex count as 0


@dataclass(frozen=True)
class Certificate:
    """Conditions and figures of one mesh and its image. Lengths are those of the image space.

    "Counted" simplices are those whose image must keep off the target: all of a closed mesh, the boundary segments of a region.

    Attributes
    ----------
    closed : bool
        A closed mesh: every face is used twice, in opposite orientations. A region: every side is used at most once in each
        orientation, its boundary closes. No two vertices in use coincide.
    unfolded : bool
        The mesh itself (not its image) is embedded. A closed mesh: all simplices positively oriented about 0, degree 1. A region: all
        triangles of positive area, boundary one cycle that goes once round the centroid. False where the mesh is not closed.
    half_space : bool
        No counted image simplex meets the target, so that each lies in an open half-space off it.
    interpolation : bool
        On each counted simplex the interpolation error is below the distance to the target.
    degree, second : int or None
        Degree of the image about the target by `total_angle` and, in the plane, by exact signs (`crossings` of a closed polygon,
        `preimages` in a region). None where the mesh is not `closed`, or there is no such route.
    distance : float
        Smallest distance of the target from a counted image simplex.
    error : float
        Largest interpolation error of one; infinite if unknown.
    slack : float
        Smallest difference of the two over the counted simplices.
    folds : int
        Image simplices of reversed orientation (about the target; in a region, of negative area). They do not undo the degree.
    stretch : float
        Largest ratio of an edge's length in the image to that in the mesh.
    """

    closed: bool
    unfolded: bool
    half_space: bool
    interpolation: bool
    degree: int | None
    second: int | None
    distance: float
    error: float
    slack: float
    folds: int
    stretch: float

    @property
    def verdict(self) -> Literal["holds", "fails", "undecided"]:
        """Whether the degree is 1: "undecided" where a condition is missing or the two routes differ."""
        if self._missing:
            return "undecided"
        return "holds" if self.degree == 1 else "fails"

    @property
    def reason(self) -> str:
        """What is missing, or the degree that is not 1, in words; empty if the certificate holds."""
        return self._missing or ("" if self.degree == 1 else f"the degree is {self.degree}, that of the exact flow is 1")

    @property
    def _missing(self) -> str:
        reaches = f"({self.error:.3g}) reaches the target (slack {self.slack:.3g})" if self.error < np.inf else "is unknown"
        missing = [text for met, text in (
            (self.closed, "the mesh is torn"),
            (self.unfolded or not self.closed, "the mesh itself is folded or covers itself"),
            (self.half_space, f"an image simplex meets the target (distance {self.distance:.3g})"),
            (self.interpolation, f"the interpolation error {reaches}"),
        ) if not met]  # fmt: skip
        if not missing and self.degree is None:
            missing = ["the angles do not add up to an integer"]
        if not missing and self.second not in (None, self.degree):
            missing = [f"two routes give the degrees {self.degree} and {self.second}"]
        return "; ".join(missing)


def certify(mesh: Mesh, image: Any, midpoints: Any = None, target: Any = None) -> Certificate:
    """Degree of a map about a target from the images of a mesh's vertices, and all that must hold for it to be the map's own.

    If on every counted simplex the map differs from the linear interpolant of its vertices' images by less than the interpolant's
    distance to the target, the straight homotopy between them avoids the target, and the two have the same degree.

    Parameters
    ----------
    mesh : Mesh
        Closed segments round 0 in R^2, closed triangles round 0 in R^3, or a region of triangles in R^2.
    image : ndarray, shape (V, d)
        Images of its vertices.
    midpoints : ndarray, shape (E, d), optional
        Images of ``mesh.midpoints()``. Without them the interpolation error is unknown and nothing is decided.
    target : ndarray, shape (d,), optional
        0 unless given; for a region, its centroid.

    Returns
    -------
    Certificate
        Its interpolation error is an a-posteriori estimate, not a bound: of an edge, 2 (for safety) times the distance from its
        midpoint's image to the segment between its ends' images (along that segment the map may run at any speed); of a triangle,
        4/3 of its worst edge's, as for a quadratic map. Time O(V log V); memory some 400 bytes a simplex.

    Raises
    ------
    ValueError, TypeError
        If the mesh is empty or of another kind, a shape does not fit, or a number is not finite.
    """
    _checks.instance("mesh", mesh, Mesh, "a wflow.meshes.Mesh")
    dimension, region = mesh.dimension, mesh.simplices.shape[1] == 3 and mesh.dimension == 2
    if not (len(mesh.simplices) and (region or mesh.simplices.shape[1] == dimension)):
        raise ValueError(f"mesh must be of segments or triangles in 2 dimensions, or of triangles in 3, and not empty; got {mesh!r}")
    image = _checks.array("image", image, (mesh.n_vertices, dimension))
    middle = None if midpoints is None else _checks.array("midpoints", midpoints, (len(mesh.edges), dimension))
    centre = _centroid(mesh) if region else np.zeros(dimension)
    target = centre if target is None else _checks.array("target", target, (dimension,))

    counted = mesh if not region else mesh.boundary() if mesh.manifold else Mesh(mesh.points, np.empty((0, 2), dtype=np.intp))
    closed = mesh.manifold and counted.closed and _vertices_differ(mesh)
    away = distances(image, counted.simplices, target)
    error = np.full(len(away), np.inf) if middle is None else _interpolation_error(mesh, counted, image, middle)
    size = np.abs(image[counted.simplices] - target).max(axis=(1, 2), initial=0.0)
    return Certificate(
        closed=closed,
        unfolded=closed and bool((_orientations(mesh, mesh.points, centre) > 0).all()) and _once_round(counted, centre),
        half_space=bool((away > _ROUNDING * size).all()),
        interpolation=bool((error < away).all()),
        degree=degree(image, counted.simplices, target) if closed else None,
        second=_second_route(mesh, image, target) if closed else None,
        distance=float(away.min(initial=np.inf)),
        error=float(error.max(initial=0.0)),
        slack=float((away - error).min(initial=np.inf)),
        folds=int((_orientations(mesh, image, target) < 0).sum()),
        stretch=_stretch(mesh, image),
    )


def _centroid(mesh: Mesh) -> Array:
    """Centre of mass of the triangles, or where their areas cancel the mean of their vertices."""
    corners = mesh.points[mesh.simplices]
    ab, ac = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    areas = ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]
    weights = areas if areas.sum() > 0.0 else np.ones(len(areas))
    centre: Array = weights / weights.sum() @ corners.mean(axis=1)
    return centre


def _vertices_differ(mesh: Mesh) -> bool:
    """Whether no two vertices in use lie on the same point, as the two lips of a tear do."""
    used = mesh.points[np.bincount(mesh.simplices.ravel(), minlength=mesh.n_vertices) > 0]
    used = used[np.lexsort(used.T)]
    return not bool((used[1:] == used[:-1]).all(axis=1).any())


def _orientations(mesh: Mesh, image: Array, centre: Array) -> Signs:
    """Exact orientation of each image simplex: about the centre, or where it fills the plane, by its area."""
    corners = image[mesh.simplices]
    if corners.shape[1] == mesh.dimension:
        return orientation(corners, centre)
    return orientation(corners[:, 1:], corners[:, 0])


def _once_round(surface: Mesh, centre: Array) -> bool:
    """Whether a closed mesh has degree 1 about the centre, and if it is of segments is one cycle."""
    if surface.simplices.shape[1] == 2:
        after = dict(surface.simplices.tolist())
        start = vertex = int(surface.simplices[0, 0])
        for _ in range(len(after) - 1):
            vertex = after[vertex]
            if vertex == start:
                return False
    return degree(surface.points, surface.simplices, centre) == 1


def _interpolation_error(mesh: Mesh, counted: Mesh, image: Array, middle: Array) -> Array:
    """Estimated error (K,) of the linear interpolant on each counted simplex, all of whose edges are edges of the mesh."""
    first, last = mesh.edges.T
    error = _SAFETY * distance_to_segments(middle, image[first], image[last])
    key = np.array([mesh.n_vertices, 1])
    rows = np.searchsorted(mesh.edges @ key, counted.edges @ key)
    worst: Array = error[rows][counted.sides].max(axis=1, initial=0.0)
    return worst if counted.simplices.shape[1] == 2 else _QUADRATIC * worst


def _second_route(mesh: Mesh, image: Array, target: Array) -> int | None:
    if mesh.dimension == 3:
        return None
    count = crossings if mesh.simplices.shape[1] == 2 else preimages
    return count(image, mesh.simplices, target)


def _stretch(mesh: Mesh, image: Array) -> float:
    lengths = mesh.edge_lengths()
    with np.errstate(over="ignore"):
        return float((mesh.edge_lengths(image) / lengths).max()) if lengths.all() else np.inf
