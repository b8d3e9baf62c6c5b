"""Meshes: what they are made of, their boundary, and refinement that keeps everything but the resolution."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wflow.meshes import Mesh, box, certify, circle, degree, sphere

SQUARE = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
seeds = st.integers(0, 10**6)


def faces_of(simplices):
    """Directed faces of each simplex, by loops: heads and tails, or directed sides."""
    if simplices.shape[1] == 2:
        return Counter((int(v), s) for a, b in simplices for v, s in ((b, 1), (a, -1)))
    return Counter((int(t[i]), int(t[(i + 1) % 3])) for t in simplices for i in range(3))


def is_closed(simplices):
    faces = faces_of(simplices)
    back = Counter({((f[0], -f[1]) if simplices.shape[1] == 2 else f[::-1]): n for f, n in faces.items()})
    return faces == back and set(faces.values()) <= {1}


def areas(mesh):
    a, b, c = (mesh.points[mesh.simplices[:, i]] for i in range(3))
    return 0.5 * ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0])


def refined(mesh, seed, rounds=3):
    rng = np.random.default_rng(seed)
    for _ in range(rounds):
        mesh = mesh.split(rng.random(len(mesh.edges)) < rng.random())
    return mesh


@pytest.mark.parametrize("n", [3, 4, 7, 256])
def test_circle(n):
    mesh = circle(n)
    assert (mesh.n_vertices, mesh.simplices.shape, mesh.dimension, mesh.curved) == (n, (n, 2), 2, True)
    np.testing.assert_allclose(mesh.edge_lengths(), 2.0 * np.sin(np.pi / n), rtol=1e-13)
    assert mesh.closed
    assert mesh.manifold
    assert degree(mesh.points, mesh.simplices, np.zeros(2)) == 1


@pytest.mark.parametrize("level", [0, 1, 3])
def test_sphere(level):
    mesh = sphere(level)
    n = 4**level
    assert (mesh.n_vertices, len(mesh.simplices), len(mesh.edges)) == (10 * n + 2, 20 * n, 30 * n)
    assert mesh.closed
    assert (np.linalg.det(mesh.points[mesh.simplices]) > 0).all()
    np.testing.assert_allclose(np.linalg.norm(mesh.points, axis=1), 1.0, rtol=1e-15)
    if level == 0:
        np.testing.assert_allclose(mesh.edge_lengths(), 4.0 / np.sqrt(10.0 + 2.0 * np.sqrt(5.0)), rtol=1e-14)
        np.testing.assert_allclose(np.linalg.det(mesh.points[mesh.simplices]).sum() / 6.0, 2.536150710120, rtol=1e-12)


@pytest.mark.parametrize("n", [1, 4, (3, 5)])
def test_box(n):
    mesh = box((-1.0, 2.0), (2.0, 4.0), n)
    nx, ny = (n, n) if isinstance(n, int) else n
    assert (mesh.n_vertices, len(mesh.simplices), mesh.curved) == ((nx + 1) * (ny + 1), 2 * nx * ny, False)
    np.testing.assert_allclose(areas(mesh), 3.0 / nx * 2.0 / ny / 2.0, rtol=1e-12)
    assert mesh.manifold
    assert not mesh.closed


def test_box_is_symmetric():
    """An even number of cells: mirrored on either axis it is the same mesh."""
    mesh = box((-1.0, -1.0), (1.0, 1.0), (4, 6))
    rows = np.arange(mesh.n_vertices).reshape(5, 7)
    triangles = {tuple(sorted(t)) for t in mesh.simplices.tolist()}
    for mirrored in (rows[::-1], rows[:, ::-1]):
        assert {tuple(sorted(t)) for t in mirrored.ravel()[mesh.simplices].tolist()} == triangles


@pytest.mark.parametrize("mesh", [circle(5), sphere(1)])
def test_twice_the_same_mesh_is_not_closed(mesh):
    doubled = Mesh(mesh.points, np.vstack([mesh.simplices, mesh.simplices]))
    assert not doubled.closed
    assert not doubled.manifold


def test_edges_and_sides():
    mesh = Mesh(SQUARE, np.array([[0, 1, 2], [0, 2, 3]]))
    np.testing.assert_array_equal(mesh.edges, [[0, 1], [0, 2], [0, 3], [1, 2], [2, 3]])
    np.testing.assert_array_equal(mesh.sides, [[0, 3, 1], [1, 4, 2]])
    np.testing.assert_allclose(mesh.edge_lengths(), [1, np.sqrt(2), 1, 1, 1])
    np.testing.assert_allclose(mesh.edge_lengths(np.c_[3.0 * SQUARE, SQUARE[:, 0]]), [np.sqrt(10), np.sqrt(19), 3, 3, np.sqrt(10)])
    np.testing.assert_allclose(mesh.midpoints(), [[0.5, 0], [0.5, 0.5], [0, 0.5], [1, 0.5], [0.5, 1]])
    segments = Mesh(SQUARE, np.array([[2, 1], [0, 1], [3, 2]]))
    np.testing.assert_array_equal(segments.edges, [[0, 1], [1, 2], [2, 3]])
    np.testing.assert_array_equal(segments.sides, [[1], [0], [2]])


@given(seeds)
def test_closed_and_manifold_against_loops(seed):
    rng = np.random.default_rng(seed)
    mesh = [circle(5), sphere(0), box((0, 0), (1, 1), 2)][seed % 3]
    simplices = mesh.simplices.copy()
    for row in rng.integers(len(simplices), size=rng.integers(3)):
        simplices[row] = simplices[row][::-1]
    if rng.random() < 0.3:
        simplices = np.concatenate([simplices, simplices[: rng.integers(3)]])
    if rng.random() < 0.3:
        simplices = np.delete(simplices, rng.integers(len(simplices)), axis=0)
    made = Mesh(mesh.points, simplices)
    assert made.closed == is_closed(simplices)
    assert made.manifold == (set(faces_of(simplices).values()) <= {1})


@given(seeds)
def test_boundary_against_loops(seed):
    rng = np.random.default_rng(seed)
    whole = [sphere(1), box((0, 0), (1, 1), (3, 4))][seed % 2]
    mesh = Mesh(whole.points, whole.simplices[rng.random(len(whole.simplices)) < rng.random()])
    faces = faces_of(mesh.simplices)
    boundary = mesh.boundary()
    assert {tuple(s) for s in boundary.simplices.tolist()} == {f for f in faces if f[::-1] not in faces}
    assert boundary.points is mesh.points


def test_boundary_of_a_box_is_one_counter_clockwise_cycle():
    mesh = box((0.0, 0.0), (2.0, 1.0), (4, 3))
    boundary = mesh.boundary()
    after = dict(boundary.simplices.tolist())
    walk = [0]
    while after[walk[-1]] != 0:
        walk.append(after[walk[-1]])
    assert len(walk) == len(boundary.simplices) == 14
    x, y = mesh.points[walk].T
    np.testing.assert_allclose(0.5 * (x * np.roll(y, -1) - y * np.roll(x, -1)).sum(), 2.0)
    assert boundary.closed
    assert len(sphere(1).boundary().simplices) == 0
    assert sphere(1).boundary().closed


@pytest.mark.parametrize("marks", range(8))
def test_every_pattern_of_a_triangle(marks):
    mesh = Mesh(SQUARE[:3], np.array([[1, 2, 0]]))
    marked = np.array([bool(marks >> i & 1) for i in range(3)])
    new = mesh.split(marked)
    assert len(new.simplices) == 1 + marked.sum()
    assert (areas(new) > 0).all()
    np.testing.assert_allclose(areas(new).sum(), 0.5, rtol=1e-15)
    assert {int(v) for v in new.simplices.ravel()} == set(range(3 + marked.sum()))
    np.testing.assert_array_equal(new.points[3:], mesh.midpoints()[marked])
    if marks == 7:
        np.testing.assert_allclose(areas(new), 0.125)


@pytest.mark.parametrize("turn", range(3))
@pytest.mark.parametrize("apex", [5.0, -4.0])
def test_two_marks_cut_the_quadrangle_along_its_shorter_diagonal(turn, apex):
    leaning = np.array([[0.0, 0.0], [1.0, 0.0], [apex, 5.0]])  # diagonals of 2.92 and 3.91
    mesh = Mesh(np.roll(leaning, turn, axis=0), np.array([[0, 1, 2]]))
    new = mesh.split(mesh.edge_lengths() > 2.0)
    lengths = new.edge_lengths()
    assert (np.abs(lengths - np.hypot(1.5, 2.5)) < 1e-12).sum() == 1
    assert (np.abs(lengths - np.hypot(3.0, 2.5)) < 1e-12).sum() == 0
    assert (areas(new) > 0).all()


@given(seeds)
def test_refinement_of_a_flat_mesh(seed):
    """Conforming (a hanging node would be a hole), same area, same boundary, all triangles positive; old vertices stay."""
    mesh = box((-1.0, 0.0), (1.0, 3.0), (2, 3))
    new = refined(mesh, seed)
    np.testing.assert_array_equal(new.points[: mesh.n_vertices], mesh.points)
    assert (areas(new) > 0).all()
    np.testing.assert_allclose(areas(new).sum(), 6.0, rtol=1e-13)
    assert new.manifold
    boundary = new.boundary()
    np.testing.assert_allclose(np.linalg.norm(np.diff(new.points[boundary.simplices], axis=1), axis=2).sum(), 10.0, rtol=1e-13)
    assert certify(new, new.points, new.midpoints()).verdict == "holds"


@given(seeds)
def test_refinement_of_curved_meshes(seed):
    for mesh in (circle(5), sphere(0)):
        new = refined(mesh, seed)
        np.testing.assert_array_equal(new.points[: mesh.n_vertices], mesh.points)
        assert new.closed
        assert new.curved
        assert (np.linalg.det(new.points[new.simplices]) > 0).all()
        np.testing.assert_allclose(np.linalg.norm(new.points, axis=1), 1.0, rtol=1e-14)
        assert degree(new.points, new.simplices, np.zeros(new.dimension)) == 1


@given(seeds)
def test_new_vertices_follow_in_the_order_of_the_marked_edges(seed):
    mesh = sphere(1)
    marked = np.random.default_rng(seed).random(len(mesh.edges)) < 0.4
    new = mesh.split(marked)
    np.testing.assert_array_equal(new.points[mesh.n_vertices :], mesh.midpoints()[marked])
    assert len(new.simplices) == len(mesh.simplices) + 2 * marked.sum()  # two more at each edge, which two triangles share


def test_refinement_of_a_flat_polygon_keeps_length():
    mesh = Mesh(SQUARE, np.array([[0, 1], [1, 2], [2, 3], [3, 0]]))
    new = mesh.split(np.array([True, False, True, False]))
    assert new.closed
    np.testing.assert_allclose(new.edge_lengths().sum(), 4.0)
    assert len(new.simplices) == 6


def test_antipodal_ends_have_no_midpoint():
    mesh = Mesh([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]], [[0, 1], [1, 2], [2, 0]], curved=True)
    with pytest.raises(ValueError, match=r"antipodes; got \[0, 1\]"):
        mesh.midpoints()
    with pytest.raises(ValueError, match="antipodes"):
        mesh.split(np.array([True, False, False]))
    assert mesh.split(np.array([False, True, True])).n_vertices == 5  # the edges that are cut are sound


@pytest.mark.parametrize(
    ("points", "simplices", "options", "error", "words"),
    [
        ([[0.0, np.nan]], [[0, 1]], {}, ValueError, "points must be finite"),
        ([0.0, 1.0], [[0, 1]], {}, ValueError, "points must have shape"),
        (SQUARE, [[0, 1, 2, 3]], {}, ValueError, r"simplices must have shape \(any, 2\) or \(any, 3\)"),
        (SQUARE, [[0.0, 1.0]], {}, TypeError, "array of integers"),
        (SQUARE, [[0, 4]], {}, ValueError, "from 0 to 3; got 4"),
        (SQUARE, [[-1, 2]], {}, ValueError, "from 0 to 3; got -1"),
        (SQUARE, [[0, 1, 2], [1, 3, 1]], {}, ValueError, r"\[1, 3, 1\] in row 1"),
        (SQUARE[:, :1], [[0, 1, 2]], {}, ValueError, "at least 2 coordinates"),
        (SQUARE, [[0, 1]], {"curved": True}, ValueError, r"length 1; got 0.0 at \[0\]"),
        (SQUARE, [[0, 1]], {"curved": 1}, TypeError, "curved must be a bool"),
    ],
)
def test_unsound_meshes_are_refused(points, simplices, options, error, words):
    with pytest.raises(error, match=words):
        Mesh(points, simplices, **options)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: circle(2), ValueError, "n must be an integer of at least 3"),
        (lambda: circle(10**15), ValueError, "memory"),
        (lambda: circle(2.5), TypeError, "n must be"),
        (lambda: sphere(-1), ValueError, "level must be"),
        (lambda: sphere(11), ValueError, "from 0 to 10; got 11"),
        (lambda: box((0, 0), (1, 0)), ValueError, "upper must be above lower"),
        (lambda: box((0, 0), (1, 1), 0), ValueError, "n must be"),
        (lambda: box((0, 0), (1, 1), (2, 3, 4)), TypeError, "n must be"),
        (lambda: box((0, 0), (1, 1), 10**9), ValueError, "memory"),
        (lambda: box(0, 1), ValueError, "lower must have shape"),
        (lambda: circle(4).split(np.ones(4)), ValueError, "marked must be 4 booleans"),
        (lambda: circle(4).split(np.ones(3, dtype=bool)), ValueError, "marked must be 4 booleans"),
        (lambda: circle(4).edge_lengths(np.zeros((3, 2))), ValueError, r"image must have shape \(4, any\)"),
        (lambda: circle(4).boundary(), ValueError, "manifold of triangles"),
        (lambda: Mesh(SQUARE, [[0, 1, 2], [0, 1, 3]]).boundary(), ValueError, "manifold of triangles"),
    ],
)
def test_unsound_arguments_are_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()
