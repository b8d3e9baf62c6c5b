"""Degree by angles and by exact signs, and distances, against loops, rational arithmetic and brute force."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wflow.meshes import box, circle, crossings, degree, distances, preimages, sphere, total_angle
from wflow.meshes._geometry import orientation

seeds = st.integers(0, 10**6)
STEP = np.array([1e-3, 1e-6])  # stands for (ε, ε²) among integers up to 4: the slopes there are above 1/8, the gaps above 0.08


def ring(n):
    return np.stack([np.arange(n), np.roll(np.arange(n), -1)], axis=1)


def exact_orientation(vertices, target):
    """Leibniz' sum over permutations, in fractions."""
    rows = [[Fraction(float(x)) - Fraction(float(t)) for x, t in zip(v, target, strict=True)] for v in vertices]
    total = Fraction(0)
    for order in itertools.permutations(range(len(rows))):
        swaps = sum(p > q for p, q in itertools.combinations(order, 2))
        total += (-1) ** swaps * math.prod(row[i] for row, i in zip(rows, order, strict=True))
    return (total > 0) - (total < 0)


@pytest.mark.parametrize("dimension", [2, 3])
@given(seed=seeds)
def test_orientation_against_rational_arithmetic(dimension, seed):
    """Near a common line or plane through the target, a few units of rounding off it."""
    rng = np.random.default_rng(seed)
    basis = rng.standard_normal((dimension - 1, dimension))
    target = rng.standard_normal(dimension)
    vertices = target + rng.integers(-4, 5, (20, dimension, dimension - 1)) / 2.0 @ basis
    for _ in range(3):
        vertices = np.where(rng.random(vertices.shape) < 0.3, np.nextafter(vertices, rng.choice([-9.0, 9.0])), vertices)
    found = orientation(vertices, target)
    np.testing.assert_array_equal(found, [exact_orientation(v, target) for v in vertices])
    np.testing.assert_array_equal(orientation(vertices, np.tile(target, (20, 1))), found)


def test_orientation_where_floats_mislead():
    """The float determinant of this well-known grid has wrong signs; the exact one does not."""
    ulp = 2.0**-53
    grid = np.array([(0.5 + i * ulp, 0.5 + j * ulp) for i in range(32) for j in range(32)])
    ends = np.broadcast_to(np.array([[12.0, 12.0], [24.0, 24.0]]), (len(grid), 2, 2))
    found = orientation(ends, grid)
    np.testing.assert_array_equal(found, [exact_orientation(ends[0], t) for t in grid])
    (ax, ay), (bx, by) = ends[0]
    naive = np.sign((ax - grid[:, 0]) * (by - grid[:, 1]) - (ay - grid[:, 1]) * (bx - grid[:, 0]))
    assert (naive != found).sum() > 50


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e-110, 1.0, 1e100])
@pytest.mark.parametrize("dimension", [2, 3])
def test_orientation_at_the_ends_of_the_floats(scale, dimension):
    vertices = np.random.default_rng(1).uniform(-1, 1, (10, dimension, dimension))
    vertices[5:, 0] *= 1e-20
    np.testing.assert_array_equal(orientation(scale * vertices, np.zeros(dimension)), np.sign(np.linalg.det(vertices)))


def test_orientation_where_products_vanish():
    """A minor of 2.4e-324 is 0 to a float, but times 1e100 more than all the rest."""
    vertices = np.array([[[1e100, 0.0, 1e-68], [0.0, 1.2e-162, 0.0], [1.0, 0.0, 2e-162]]])
    assert exact_orientation(vertices[0], np.zeros(3)) == 1
    assert orientation(vertices, np.zeros(3)) == [1]


@given(seeds)
def test_winding_of_integer_polygons_two_ways(seed):
    """Also where the target lies on sides and vertices: then the target beside it counts."""
    rng = np.random.default_rng(seed)
    image, target = rng.integers(-4, 5, (rng.integers(3, 12), 2)).astype(float), rng.integers(-2, 3, 2).astype(float)
    segments = ring(len(image))
    count = crossings(image, segments, target)
    assert count == degree(image, segments, target + STEP)
    if distances(image, segments, target).min() > 0.01:
        assert count == degree(image, segments, target)


@given(seeds)
def test_preimages_are_the_winding_of_the_boundary(seed):
    """Any map of a box: folded, flat in places, target on sides and vertices."""
    rng = np.random.default_rng(seed)
    mesh = box((0.0, 0.0), (1.0, 1.0), (3, 2))
    image = rng.integers(-4, 5, (mesh.n_vertices, 2)).astype(float)
    boundary = mesh.boundary().simplices
    for target in ([0.0, 0.0], [1.0, -1.0], image[0], image[5]):
        target = np.asarray(target)
        count = preimages(image, mesh.simplices, target)
        assert count == crossings(image, boundary, target)
        assert count == degree(image, boundary, target + STEP)


@given(seeds)
def test_solid_angle_is_the_signed_count_of_a_ray(seed):
    """Any map of the icosphere, against Möller–Trumbore along a random ray."""
    rng = np.random.default_rng(seed)
    mesh = sphere(0)
    image, target, ray = rng.standard_normal((12, 3)), 0.3 * rng.standard_normal(3), rng.standard_normal(3)
    count = 0
    for triangle in mesh.simplices:
        a, b, c = image[triangle] - target
        matrix = np.stack([ray, a - b, a - c], axis=1)  # λ ray + u (a − b) + v (a − c) = a
        length, u, v = np.linalg.solve(matrix, a)
        if length > 0 and u > 0 and v > 0 and u + v < 1:
            count += 1 if ray @ np.cross(b - a, c - a) > 0 else -1
    assert degree(image, mesh.simplices, target) == count


def test_known_angles():
    octant = np.eye(3)
    assert total_angle(octant, [[0, 1, 2]], np.zeros(3)) == pytest.approx(1 / 8, rel=1e-14)
    assert total_angle(octant, [[0, 2, 1]], np.zeros(3)) == pytest.approx(-1 / 8, rel=1e-14)
    assert total_angle(1e90 * octant, [[0, 1, 2]], np.zeros(3)) == pytest.approx(1 / 8, rel=1e-14)
    assert total_angle(1e-200 * octant, [[0, 1, 2]], np.zeros(3)) == pytest.approx(1 / 8, rel=1e-14)
    assert total_angle([[1.0, 0.0], [1.0, 1.0]], [[0, 1]], [0.0, 0.0]) == pytest.approx(1 / 8, rel=1e-14)
    assert total_angle(octant, np.empty((0, 3), dtype=int), np.zeros(3)) == 0.0
    large = np.array([[1.0, 0.0, -1e-3], [-0.5, 0.9, -1e-3], [-0.5, -0.9, -1e-3]])  # nearly half the sphere: the denominator is negative
    assert total_angle(large, [[0, 2, 1]], np.zeros(3)) == pytest.approx(0.5, abs=1e-2)


@pytest.mark.parametrize("mesh", [circle(9), sphere(1)])
def test_degree_inside_outside_reversed_and_torn(mesh):
    zero = np.zeros(mesh.dimension)
    outside = zero + 1.5
    assert degree(mesh.points, mesh.simplices, zero) == 1
    assert degree(mesh.points, mesh.simplices, outside) == 0
    assert degree(mesh.points, mesh.simplices[:, ::-1], zero) == -1
    assert degree(mesh.points, np.tile(mesh.simplices, (3, 1)), zero) == 3
    assert degree(mesh.points, mesh.simplices[1:], zero) is None


def test_total_angle_keeps_its_digits():
    mesh = sphere(5)
    assert abs(total_angle(mesh.points, mesh.simplices, np.array([0.2, -0.3, 0.5])) - 1.0) < 1e-12


def brute_distance(vertices, target):
    """Smallest over all faces: foot of the perpendicular by least squares, if it lies in the face."""
    found = []
    for size in range(1, len(vertices) + 1):
        for face in itertools.combinations(vertices, size):
            base = face[0]
            sides = (np.array(face)[1:] - base).T
            weights = np.linalg.lstsq(sides, target - base, rcond=None)[0] if size > 1 else np.zeros(0)
            if (weights >= -1e-13).all() and weights.sum() <= 1 + 1e-13:
                found.append(np.linalg.norm(base + sides @ weights - target))
    return min(found)


@pytest.mark.parametrize("corners", [2, 3])
@pytest.mark.parametrize("dimension", [2, 3])
@given(seed=seeds)
def test_distances_against_all_faces(corners, dimension, seed):
    """Generic, flat, and shrunk to points; far and near."""
    rng = np.random.default_rng(seed)
    image = rng.standard_normal((15, dimension))
    image[5:8] = image[5] + rng.integers(-2, 3, (3, 1)) * image[6]
    image[8:10] = image[8]
    simplices = rng.integers(0, 15, (30, corners))
    target = rng.standard_normal(dimension) * rng.choice([0.1, 1.0, 10.0])
    found = distances(image, simplices, target)
    expected = [brute_distance(image[s], target) for s in simplices]
    np.testing.assert_allclose(found, expected, atol=1e-13)


@given(seeds)
def test_no_point_of_a_simplex_is_nearer(seed):
    rng = np.random.default_rng(seed)
    triangle, target = rng.standard_normal((3, 3)), rng.standard_normal(3)
    triangle[2] = triangle[0] + rng.random() * (triangle[1] - triangle[0]) + rng.choice([1e-14, 1e-8, 1e-3, 1.0]) * triangle[2]  # slivers
    weights = rng.dirichlet(np.ones(3), 2000)
    sampled = np.linalg.norm(weights @ triangle - target, axis=1).min()
    found = distances(triangle, [[0, 1, 2]], target)[0]
    assert found <= sampled + 1e-14
    assert found >= sampled - 0.5  # the sample's spacing is far less


def test_distances_of_known_simplices():
    image = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [0.0, 0.0, 1.0]])
    np.testing.assert_allclose(distances(image, [[0, 1, 2], [0, 3, 0], [1, 2, 1]], np.array([0.2, 0.2, 0.0])), [1, 1.08**0.5, 1.18**0.5])
    plane = image[:, :2]
    np.testing.assert_array_equal(distances(plane, [[0, 1, 2], [0, 2, 1]], np.array([0.2, 0.2])), [0.0, 0.0])
    np.testing.assert_array_equal(distances(plane, [[0, 1, 2], [1, 2, 0]], np.array([0.5, 0.5])), [0.0, 0.0])
    np.testing.assert_allclose(distances(1e90 * image, [[0, 1, 2]], np.zeros(3)), [1e90])
    np.testing.assert_allclose(distances(1e-200 * image, [[0, 1, 2]], np.zeros(3)), [1e-200])
    assert distances(plane, np.empty((0, 2), dtype=int), np.zeros(2)).shape == (0,)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: total_angle(np.zeros((3, 4)), [[0, 1]], np.zeros(4)), ValueError, "image must have shape"),
        (lambda: total_angle(np.zeros((3, 2)), [[0, 1, 2]], np.zeros(2)), ValueError, r"simplices must have shape \(any, 2\)"),
        (lambda: total_angle(np.zeros((3, 3)), [[0, 1, 2]], np.zeros(2)), ValueError, r"target must have shape \(3,\)"),
        (lambda: degree([[0.0, np.inf]], [[0, 0]], np.zeros(2)), ValueError, "image must be finite"),
        (lambda: distances(np.zeros((3, 2)), [[0, 3]], np.zeros(2)), ValueError, "from 0 to 2; got 3"),
        (lambda: preimages(np.zeros((3, 3)), [[0, 1, 2]], np.zeros(3)), ValueError, r"image must have shape \(any, 2\)"),
        (lambda: preimages(np.zeros((3, 2)), [[0, 1]], np.zeros(2)), ValueError, r"triangles must have shape \(any, 3\)"),
        (lambda: crossings(np.zeros((3, 3)), [[0, 1]], np.zeros(3)), ValueError, r"image must have shape \(any, 2\)"),
        (lambda: crossings(np.zeros((3, 2)), [[0, 1, 2]], np.zeros(2)), ValueError, r"segments must have shape \(any, 2\)"),
    ],
)
def test_unsound_arguments_are_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()
