"""The surface Σ_t = X_t({0} × Θ) that separates: a Lagrangian mesh carried by the stored field, and its certificate (math.md §7)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from wflow._checks import Array
from wflow.energies.domains import Sphere
from wflow.flows import StoredField, TracerFlow
from wflow.measures import ParticleMeasure
from wflow.meshes import Certificate, Mesh, box, certify, circle, sphere
from wflow.studies._walk import walk

__all__ = ["Surface", "carry", "sharpen", "start_mesh", "stepping"]

_STRETCH = 2.0  # edges longer than this many of the longest at the start are cut
_LIP = 0.9  # of a torn edge's image, between its middle and one end
_LOPSIDED = 0.01  # difference of the halves of an edge over its length: less is no tear worth following


@dataclass(frozen=True, eq=False)
class Surface:
    """A mesh of Θ and its images at T times.

    Attributes
    ----------
    mesh : Mesh
        Of Θ, as refined.
    times : ndarray, shape (T,)
    vertices : ndarray, shape (T, V, m)
        X_t(0, ω̄) at the mesh's vertices.
    middle : ndarray, shape (T, E, m)
        The same at the midpoints of its edges.
    floor : float
        Edges of the mesh this short are not cut any more.
    complete : bool
        Whether every edge that is longer has an image no longer than twice the longest edge of the start: False if there were too many.
    """

    mesh: Mesh
    times: Array
    vertices: Array
    middle: Array
    floor: float
    complete: bool

    def certificate(self, k: int) -> Certificate:
        """At ``times[k]``, of the projection to ω̄.

        Where Θ is a sphere, about 0. Where it is a box, about its centre, and so about all points nearer to that than ``slack``.
        """
        return certify(self.mesh, self.vertices[k, :, 1:], self.middle[k, :, 1:])

    def longest(self) -> Array:
        """Of each edge the longest image over the times, shape (E,)."""
        first, last = self.mesh.edges.T
        longest: Array = np.linalg.norm(self.vertices[:, last, 1:] - self.vertices[:, first, 1:], axis=2).max(axis=0)
        return longest

    def tear_width(self) -> Array:
        """At each time the longest image of an edge that was cut down to the floor and is torn, 0 if none is, shape (T,).

        Torn: nine tenths of its image or more lie between its middle and one of its ends. A map that is continuous, and resolved, has
        none, however it stretches; on finite nodes ReLU's field jumps, and neighbours part.
        """
        cut = self.mesh.edge_lengths() <= self.floor
        first, last = self.mesh.edges[cut].T
        halves = self.halves()[:, :, cut]
        torn = halves.max(axis=0) >= _LIP * halves.sum(axis=0)
        lengths = np.linalg.norm(self.vertices[:, last, 1:] - self.vertices[:, first, 1:], axis=2)
        widths: Array = np.where(torn, lengths, 0.0).max(axis=1, initial=0.0)
        return widths

    def halves(self) -> Array:
        """Lengths of the images of both halves of every edge, straight from its middle to each end, shape (2, T, E)."""
        ends = self.vertices[:, self.mesh.edges.T, 1:]
        halves: Array = np.linalg.norm(ends - self.middle[:, None, :, 1:], axis=3).swapaxes(0, 1)
        return halves


def stepping(dimension: int) -> tuple[str, float]:
    """Method and rtol of flows and tracers by the dimension of ω̄: Tsit5 at 1e-6 in the plane.

    Beyond it each step meets many of ReLU's jumps, at which high orders grind to a halt: RKC2 at 1e-4.
    """
    return ("tsit5", 1e-6) if dimension <= 2 else ("rkc2", 1e-4)


def start_mesh(domain: Any, quick: bool = False) -> tuple[Mesh, float]:
    """Mesh of Θ and its floor: 256 segments of the circle, 5,120 triangles of the sphere, 2 · 32² of a box, fewer if `quick`.

    Raises
    ------
    ValueError
        If Θ is neither a circle, nor the sphere S², nor a box in two dimensions.
    """
    if domain.dimension not in ((2, 3) if isinstance(domain, Sphere) else (2,)):
        raise ValueError(f"the surface needs Θ to be the circle, the sphere S² or a box in 2 dimensions; got {domain!r}")
    if not isinstance(domain, Sphere):
        mesh, cuts = box(domain.lower, domain.upper, 16 if quick else 32), 8
    elif domain.dimension == 2:
        mesh, cuts = circle(128 if quick else 256), 16
    else:
        mesh, cuts = sphere(3 if quick else 4), 3
    return mesh, float(mesh.edge_lengths().max()) / 2.0**cuts


def carry(energy: Any, field: StoredField, mesh: Mesh, times: Array, floor: float, most: int = 20_000) -> Surface:
    """Carry {0} × mesh as massless tracers, and refine it where its images stretch.

    An edge whose image is at one of the times longer than twice the mesh's longest edge is cut in two; the new vertex is replayed from
    t = 0. Again, until no such edge is longer than `floor` in Θ, or there would be more than `most` vertices.

    Parameters
    ----------
    energy : FieldEnergy
    field : StoredField
    mesh : Mesh
        Of Θ, (V, m − 1).
    times : ndarray, shape (T,)
        From 0 on.
    floor : float
    most : int

    Notes
    -----
    Every vertex and midpoint is carried once, as `stepping` says. Memory O(T m (V + E)).
    """
    allowed = _STRETCH * float(mesh.edge_lengths().max())
    vertices, middle = _carried(energy, field, np.concatenate([mesh.points, mesh.midpoints()]), times, mesh.n_vertices)
    surface = Surface(mesh, times, vertices, middle, floor, complete=True)
    while True:
        marked = (surface.longest() > allowed) & (surface.mesh.edge_lengths() > floor)
        if not marked.any():
            return surface
        if surface.mesh.n_vertices + marked.sum() > most:
            return replace(surface, complete=False)
        surface = _split(energy, field, surface, marked)


def sharpen(energy: Any, field: StoredField, surface: Surface) -> Surface:
    """Follow at each time the edge whose halves stretch least alike down to the floor: tears are found while they are narrow.

    Of a torn edge one half keeps the jump, so that the difference of its halves' images over its length doubles with every cut, and the
    search goes on where it began; on a smooth map that ratio halves. Twice as many rounds as there are cuts to the floor.
    """
    rounds = 2 * math.ceil(math.log2(float(surface.mesh.edge_lengths().max()) / surface.floor))
    for _ in range(rounds):
        lengths = surface.mesh.edge_lengths()
        tail, head = surface.halves()
        ratio = np.where(lengths > surface.floor, np.abs(tail - head) / lengths, 0.0)
        worst = ratio.argmax(axis=1)
        marked = np.zeros(len(lengths), dtype=np.bool_)
        marked[worst[ratio.max(axis=1) > _LOPSIDED]] = True
        if not marked.any():
            break
        surface = _split(energy, field, surface, marked)
    return surface


def _split(energy: Any, field: StoredField, surface: Surface, marked: npt.NDArray[np.bool_]) -> Surface:
    """With the marked edges cut: their midpoints' images are known, those of new edges are carried, those of old ones stay."""
    mesh, middle = surface.mesh, surface.middle
    finer = mesh.split(marked)
    old, new = (_keys(grid) for grid in (mesh, finer))
    place = np.minimum(np.searchsorted(old, new), len(old) - 1)
    known = old[place] == new
    found = np.empty((len(surface.times), len(new), middle.shape[2]))
    found[:, known] = middle[:, place[known]]
    found[:, ~known] = _carried(energy, field, finer.midpoints()[~known], surface.times, 0)[1]
    return replace(surface, mesh=finer, vertices=np.concatenate([surface.vertices, middle[:, marked]], axis=1), middle=found)


def _keys(mesh: Mesh) -> npt.NDArray[np.intp]:
    """One number for each edge, ascending."""
    keys: npt.NDArray[np.intp] = mesh.edges[:, 0] * 2**31 + mesh.edges[:, 1]
    return keys


def _carried(energy: Any, field: StoredField, points: Array, times: Array, first: int) -> tuple[Array, Array]:
    """Images (T, ·, m) of (0, points), those of the first few and of the rest."""
    start = ParticleMeasure(np.column_stack([np.zeros(len(points)), points]))
    run = walk(TracerFlow(energy, field), start, times, *stepping(points.shape[1]))
    images = np.stack([state.points for state in run.states()])
    return images[:, :first], images[:, first:]
