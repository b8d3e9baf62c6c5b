"""Oriented meshes of segments or triangles that refine, and the three domains of the separation certificate (math.md §7)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from wflow import _checks
from wflow._checks import Array
from wflow.meshes._geometry import Indices, indices, orientation

__all__ = ["Mesh", "box", "circle", "sphere"]

_UNIT = 1e-9  # how far a vertex of a curved mesh may be off the unit sphere
_ANTIPODAL = 1e-6  # ends whose midpoint is shorter have no midpoint on the sphere
_DEEPEST = 10  # levels of the icosphere: 21 million triangles


@dataclass(frozen=True, eq=False)
class Mesh:
    """Oriented segments (k = 1) or triangles (k = 2) on common vertices in R^d, d ≥ k.

    Parameters
    ----------
    points : ndarray, shape (V, d)
        Vertices. Some may be unused, as those inside a box are by its boundary.
    simplices : ndarray of integers, shape (K, 2) or (K, 3)
        Vertices of each segment, from tail to head, or of each triangle, in its orientation.
    curved : bool
        Whether the vertices lie on the unit sphere, and new ones are put there.

    Raises
    ------
    ValueError, TypeError
        If a shape does not fit, a number is not finite, a simplex names a vertex twice or one that is not there, or a vertex of a
        curved mesh is off the unit sphere by more than 1e-9.
    """

    points: Array
    simplices: Indices
    curved: bool = False

    def __post_init__(self) -> None:
        points = _checks.array("points", self.points, (None, None))
        simplices = indices("simplices", self.simplices, len(points), (2, 3))
        if points.shape[1] < simplices.shape[1] - 1:
            raise ValueError(f"points must have at least {simplices.shape[1] - 1} coordinates for such simplices; got {points.shape[1]}")
        if (twice := (simplices == np.roll(simplices, 1, axis=1)).any(axis=1)).any():
            raise ValueError(f"simplices must name different vertices; got {simplices[twice][0].tolist()} in row {int(twice.argmax())}")
        if _checks.instance("curved", self.curved, bool, "a bool") and len(points):
            radii = np.linalg.norm(points, axis=1)
            if (off := np.abs(radii - 1.0)).max() > _UNIT:
                raise ValueError(f"points of a curved mesh must have length 1; got {float(radii[off.argmax()])!r} at [{off.argmax()}]")
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "simplices", simplices)

    @property
    def n_vertices(self) -> int:
        """Number of vertices V."""
        return len(self.points)

    @property
    def dimension(self) -> int:
        """Number of coordinates d."""
        return int(self.points.shape[1])

    @cached_property
    def _sides(self) -> tuple[Indices, Indices, Indices]:
        """Directed sides of all simplices (K s, 2), simplex by simplex; `edges`; `sides`."""
        pattern = [0, 1] if self.simplices.shape[1] == 2 else [0, 1, 1, 2, 2, 0]
        directed = self.simplices[:, pattern].reshape(-1, 2)
        keys, edge = np.unique(directed.min(axis=1) * self.n_vertices + directed.max(axis=1), return_inverse=True)
        edges = np.stack(np.divmod(keys, max(self.n_vertices, 1)), axis=1)
        return directed, edges, edge.reshape(len(self.simplices), len(pattern) // 2)

    @property
    def edges(self) -> Indices:
        """Pairs of vertices that a simplex joins, shape (E, 2), each pair and all rows in ascending order."""
        return self._sides[1]

    @property
    def sides(self) -> Indices:
        """Rows of `edges` on which the sides of each simplex lie, shape (K, 1) or (K, 3): of a triangle abc, those of ab, bc, ca."""
        return self._sides[2]

    def edge_lengths(self, image: Any = None) -> Array:
        """Lengths of the edges, shape (E,), straight between the vertices or between their images (V, any)."""
        image = self.points if image is None else _checks.array("image", image, (self.n_vertices, None))
        lengths: Array = np.linalg.norm(image[self.edges[:, 1]] - image[self.edges[:, 0]], axis=1)
        return lengths

    def midpoints(self) -> Array:
        """Midpoints of the edges, shape (E, d), on the unit sphere if the mesh is curved.

        Raises
        ------
        ValueError
            If the mesh is curved and the ends of an edge are antipodal: their midpoint cannot be normalised.
        """
        return self._middle(self.edges)

    def _middle(self, edges: Indices) -> Array:
        middle: Array = 0.5 * (self.points[edges[:, 0]] + self.points[edges[:, 1]])
        if not self.curved:
            return middle
        radii: Array = np.linalg.norm(middle, axis=1, keepdims=True)
        if (antipodal := radii[:, 0] < _ANTIPODAL).any():
            raise ValueError(f"edges of a curved mesh must not join antipodes; got {edges[antipodal][0].tolist()}")
        return middle / radii

    @cached_property
    def _ridges(self) -> tuple[Indices, Indices]:
        """Faces of codimension 1 as keys, once for each use: those used forwards, and those used backwards (or turned round)."""
        if self.simplices.shape[1] == 2:
            return self.simplices[:, 1], self.simplices[:, 0]
        directed = self._sides[0]
        return directed @ np.array([self.n_vertices, 1]), directed @ np.array([1, self.n_vertices])

    @property
    def manifold(self) -> bool:
        """Whether each face (vertex of segments, edge of triangles) is used at most once in each orientation."""
        return all((np.diff(np.sort(keys)) > 0).all() for keys in self._ridges)  # np.unique would hash, and collide

    @property
    def closed(self) -> bool:
        """Whether each face (vertex of segments, edge of triangles) is used exactly twice, once in each orientation."""
        forwards, backwards = self._ridges
        return self.manifold and bool(np.array_equal(np.sort(forwards), np.sort(backwards)))

    def boundary(self) -> Mesh:
        """Oriented boundary of a mesh of triangles: its sides without a partner, on the same array of points.

        Raises
        ------
        ValueError
            If the mesh is of segments, or not `manifold`.
        """
        if self.simplices.shape[1] != 3 or not self.manifold:
            raise ValueError(f"the mesh must be a manifold of triangles to have a boundary; got {self!r}")
        return Mesh(self.points, self._sides[0][~np.isin(*self._ridges)], self.curved)

    def split(self, marked: Any) -> Mesh:
        """Cut the marked edges (E,) in two, and the simplices at them in two to four of the same orientation; conforming.

        Old vertices keep their rows; the midpoints of the marked edges follow in the order of `edges`. Triangles with 1, 2, 3 marked
        sides become 2, 3, 4; where two are marked the quadrangle that is left is cut along its shorter diagonal.

        Raises
        ------
        ValueError, TypeError
            If `marked` is not E booleans, or a marked edge of a curved mesh joins antipodes.
        """
        marked = np.asarray(marked)
        if marked.dtype != np.bool_ or marked.shape != (len(self.edges),):
            raise ValueError(f"marked must be {len(self.edges)} booleans, one for each edge; got {marked.dtype} of shape {marked.shape}")
        points = np.concatenate([self.points, self._middle(self.edges[marked])])
        new = np.where(marked, self.n_vertices - 1 + np.cumsum(marked), -1)[self.sides]  # vertex on each side, −1 if not marked
        segments = self.simplices.shape[1] == 2
        simplices = _cut_segments(self.simplices, new[:, 0]) if segments else _cut_triangles(points, self.simplices, new)
        return Mesh(points, simplices, self.curved)

    def __repr__(self) -> str:
        kind = "segments" if self.simplices.shape[1] == 2 else "triangles"
        return f"Mesh({len(self.simplices)} {kind} on {self.n_vertices} vertices in {self.dimension} dimensions)"


def _cut_segments(segments: Indices, new: Indices) -> Indices:
    """Children ap, pb of segments ab with a new vertex p."""
    cut = new >= 0
    halves = [np.stack(half, axis=1)[cut] for half in ((segments[:, 0], new), (new, segments[:, 1]))]
    return np.concatenate([segments[~cut], *halves])


def _cut_triangles(points: Array, triangles: Indices, new: Indices) -> Indices:
    """Children of triangles abc with new vertices p on ab, q on bc, r on ca, turned so that one pattern stands for three."""
    count = (new >= 0).sum(axis=1)
    first = np.where(count == 1, (new >= 0).argmax(axis=1), ((new < 0).argmax(axis=1) + 1) % 3)  # one mark on ab; two on ab and bc
    turn = (first[:, None] + np.arange(3)) % 3
    corners, new = np.take_along_axis(triangles, turn, axis=1), np.take_along_axis(new, turn, axis=1)

    def children(chosen: npt.NDArray[np.bool_], *patterns: str) -> list[Indices]:
        names = np.hstack([corners, new])[chosen]
        return [names[:, ["abcpqr".index(letter) for letter in pattern]] for pattern in patterns]

    ends = points[np.hstack([corners[:, [0, 2]], new[:, [1, 0]]])]  # diagonals aq and cp of the quadrangle a p q c
    aq_shorter = np.linalg.norm(ends[:, 0] - ends[:, 2], axis=1) <= np.linalg.norm(ends[:, 1] - ends[:, 3], axis=1)
    two = count == 2
    return np.concatenate(
        [triangles[count == 0], *children(count == 1, "apc", "pbc"), *children(two, "pbq"), *children(two & aq_shorter, "apq", "aqc"),
         *children(two & ~aq_shorter, "apc", "pqc"), *children(count == 3, "apr", "pbq", "rqc", "pqr")]
    )  # fmt: skip


def circle(n: int = 256) -> Mesh:
    """Unit circle as a regular polygon of n ≥ 3 vertices from (1, 0) on, counter-clockwise."""
    n = _checks.integer("n", n, at_least=3)
    _checks.memory("n", n, 300 * n)
    angles, rows = 2.0 * np.pi * np.arange(n) / n, np.arange(n)
    return Mesh(np.stack([np.cos(angles), np.sin(angles)], axis=1), np.stack([rows, (rows + 1) % n], axis=1), True)


def sphere(level: int = 3) -> Mesh:
    """Unit sphere as an icosahedron split `level` times (0 to 10): 20 · 4^level triangles, oriented outwards (degree 1 about 0)."""
    level = _checks.integer("level", level, at_least=0)
    if level > _DEEPEST:
        raise ValueError(f"level must be an integer from 0 to {_DEEPEST}; got {level}")
    _checks.memory("level", level, 8_000 * 4**level)
    golden = (1.0 + np.sqrt(5.0)) / 2.0
    points = np.array([np.roll([0.0, s, t * golden], shift) for shift in range(3) for s in (1, -1) for t in (1, -1)])
    sides = np.linalg.norm(points[:, None] - points, axis=2)  # neighbours are 2 apart, all others 3 or more
    faces = np.array([face for face in combinations(range(12), 3) if max(sides[p, q] for p, q in combinations(face, 2)) < 2.5])
    inwards = orientation(points[faces], np.zeros(3)) < 0
    faces[inwards] = faces[inwards][:, ::-1]
    mesh = Mesh(points / np.linalg.norm(points, axis=1, keepdims=True), faces, True)
    for _ in range(level):
        mesh = mesh.split(np.ones(len(mesh.edges), dtype=bool))
    return mesh


def box(lower: Any, upper: Any, n: int | tuple[int, int] = 32) -> Mesh:
    """Rectangle in R^2 of n cells an axis, each cut into two counter-clockwise triangles, along diagonals that alternate.

    Parameters
    ----------
    lower, upper : array_like, shape (2,)
        Opposite corners, lower < upper.
    n : int or pair of int
        Cells along each axis, at least 1.
    """
    lower, upper = _checks.array("lower", lower, (2,)), _checks.array("upper", upper, (2,))
    if not (lower < upper).all():
        raise ValueError(f"upper must be above lower on both axes; got {upper.tolist()} over {lower.tolist()}")
    nx, ny = (_checks.integer("n", m, at_least=1) for m in (n if isinstance(n, tuple | list) and len(n) == 2 else (n, n)))
    _checks.memory("n", n, 300 * nx * ny)
    x, y = np.linspace(lower[0], upper[0], nx + 1), np.linspace(lower[1], upper[1], ny + 1)
    points = np.stack(np.meshgrid(x, y, indexing="ij"), axis=2).reshape(-1, 2)
    i, j = (index.ravel() for index in np.indices((nx, ny)))
    corners = np.stack([i * (ny + 1) + j, (i + 1) * (ny + 1) + j, (i + 1) * (ny + 1) + j + 1, i * (ny + 1) + j + 1], axis=1)
    rising = np.where(((i + j) % 2 == 0)[:, None], corners, np.roll(corners, 1, axis=1))  # turned by one corner, the diagonal falls
    return Mesh(points, rising[:, [0, 1, 2, 0, 2, 3]].reshape(-1, 3))
