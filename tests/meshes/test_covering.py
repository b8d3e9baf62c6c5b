"""Covering radius against closed forms, dense samples and bounds that no cloud can escape."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wflow.meshes import box, circle, covering_radius, sphere

seeds = st.integers(0, 10**6)
FINE = sphere(4).points  # every point of the sphere within 0.05 of one


def angle(x, y):
    """Accurate angles between unit rows of x and of y, shape (len(x), len(y))."""
    return 2.0 * np.arctan2(np.linalg.norm(x[:, None] - y, axis=2), np.linalg.norm(x[:, None] + y, axis=2))


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def brute(directions):
    """Largest distance over a fine mesh and all points where it can be largest: equally far from three directions, or opposite to
    the middle of two, or to one; O(N^4)."""
    pairs = [x + y for x, y in itertools.combinations(directions, 2)]
    triples = [np.cross(y - x, z - x) for x, y, z in itertools.combinations(directions, 3)]
    candidates = np.array([*directions, *pairs, *triples])
    candidates = unit(candidates[np.linalg.norm(candidates, axis=1) > 1e-9])
    candidates = np.vstack([FINE, candidates, -candidates])
    return angle(candidates, directions).min(axis=1).max()


@given(seeds)
def test_sphere_against_brute_force(seed):
    """Spread, in a thin ring, in a cap, in an octant."""
    rng = np.random.default_rng(seed)
    cloud = rng.standard_normal((rng.integers(1, 14), 3))
    cloud = unit([cloud, cloud * [1, 1, 0.1], unit(cloud) * 0.3 + [0, 0, 1], np.abs(cloud)][seed % 4])
    found = covering_radius(cloud * rng.uniform(0.1, 10.0, (len(cloud), 1)))
    assert found.radius == pytest.approx(brute(cloud), abs=1e-9)
    assert found.slack < 1e-12


@pytest.mark.parametrize("lengths", [1.0, 1e-200, 1e100])
def test_known_spheres(lengths):
    octahedron = np.vstack([np.eye(3), -np.eye(3)])
    cube = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * 1.0
    roof = np.array([[1.0, 0.0, 1.0], [-1.0, 0.0, 1.0], [0.0, 0.1, 1.0], [0.0, -0.1, 1.0]])
    for cloud, radius in [
        (octahedron, np.arccos(1 / np.sqrt(3))),
        (cube, np.arccos(1 / np.sqrt(3))),  # square facets
        (octahedron[:3], np.pi - np.arccos(1 / np.sqrt(3))),
        (roof, 0.75 * np.pi),  # opposite to the middle of an edge of the hull
        (octahedron[[0, 1, 3, 4]], np.pi / 2),  # a great circle
        (octahedron[[0, 1, 3]], np.pi / 2),
        (octahedron[[0, 1]], np.pi - np.pi / 4),
        (octahedron[[0, 3]], np.pi / 2),
        (octahedron[[2]], np.pi),
        (octahedron[[1, 1, 1, 1, 1]], np.pi),
        (np.vstack([octahedron] * 3), np.arccos(1 / np.sqrt(3))),
    ]:
        found = covering_radius(lengths * cloud)
        assert found.radius == pytest.approx(radius, abs=1e-14)
        assert found.slack < 1e-15


@given(seeds)
def test_small_circles(seed):
    """On a plane, by the gaps; a little off it, within the slack and in step with the hull."""
    rng = np.random.default_rng(seed)
    n, height = rng.integers(3, 10), rng.uniform(-0.9, 0.9)
    angles = rng.uniform(0, rng.choice([1.0, 2 * np.pi]), n)
    ring = np.stack([np.cos(angles), np.sin(angles), np.full(n, height / np.sqrt(1 - height**2))], axis=1)
    turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    found = covering_radius(ring @ turn)
    exact = covering_radius(ring)
    assert found.radius == pytest.approx(exact.radius, abs=1e-12)
    assert exact.radius == pytest.approx(brute(unit(ring)), abs=1e-9)
    for thickness in (1e-11, 1e-7):
        off = covering_radius(ring + thickness * rng.standard_normal(ring.shape))
        assert abs(off.radius - exact.radius) <= off.slack + 4 * thickness


def test_the_slack_of_an_uneven_ring():
    """Every other direction 1e-10 above or below the equator: no circle holds them, and the slack says how far they are off it."""
    ring = np.column_stack([circle(8).points, 1e-10 * (-1.0) ** np.arange(8)])
    found = covering_radius(ring)
    assert found.radius == pytest.approx(np.pi / 2, abs=1e-12)
    assert found.slack == pytest.approx(1e-10, rel=1e-3)


@given(seeds)
def test_circle_against_a_dense_sample(seed):
    rng = np.random.default_rng(seed)
    cloud = rng.standard_normal((rng.integers(1, 20), 2))
    nodes = circle(20_000).points
    lower = angle(nodes, unit(cloud)).min(axis=1).max()
    found = covering_radius(cloud)
    assert found.slack == 0.0
    assert lower - 1e-12 <= found.radius <= lower + 2 * np.pi / 20_000


def test_known_circles():
    assert covering_radius([[3.0, -2.0]]).radius == np.pi
    assert covering_radius([[1.0, 0.0], [5.0, 0.0], [-2.0, 0.0]]).radius == pytest.approx(np.pi / 2, rel=1e-15)
    assert covering_radius([[-1.0, 1e-9], [-1.0, -1e-9]]).radius == pytest.approx(np.pi - 1e-9, rel=1e-15)
    assert covering_radius(circle(10).points).radius == pytest.approx(np.pi / 10, rel=1e-13)


@pytest.mark.parametrize("dimension", [1, 2, 3])
@given(seed=seeds)
def test_box_against_brute_force(dimension, seed):
    rng = np.random.default_rng(seed)
    lower = rng.uniform(-2, 0, dimension)
    upper = lower + rng.uniform(0.5, 2, dimension)
    cloud = rng.uniform(lower - 0.5, upper + 0.5, (7, dimension))
    found = covering_radius(cloud, (lower, upper), n=9)
    points = np.vstack([rng.uniform(lower, upper, (500, dimension)), [lower, upper]])
    nearest = np.linalg.norm(points[:, None] - cloud, axis=2).min(axis=1).max()
    assert nearest <= found.radius + found.slack + 1e-12
    assert found.slack == pytest.approx(np.linalg.norm((upper - lower) / 16))
    finer = covering_radius(cloud, (lower, upper), n=17)  # holds the nodes of n = 9
    assert found.radius - 1e-12 <= finer.radius <= found.radius + found.slack + 1e-12


def test_known_boxes():
    assert covering_radius([[0.0]], ([-1.0], [2.0])).radius == 2.0
    assert covering_radius([[0.5, 0.5]], ([0.0, 0.0], [1.0, 1.0])).radius == pytest.approx(np.sqrt(0.5))
    mesh = box((0.0, 0.0), (1.0, 1.0), 4)
    assert covering_radius(mesh.points, ([0, 0], [1, 1]), n=9).radius == pytest.approx(np.sqrt(2) / 8, rel=1e-14)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((np.empty((0, 2)),), ValueError, "points must have at least one row"),
        (([[1.0, 0.0], [0.0, 0.0]],), ValueError, "directions; got 0 at row 1"),
        (([[1.0, np.nan]],), ValueError, "points must be finite"),
        (([[1.0]],), ValueError, r"points must have shape \(any, 2\) or"),
        (([[1.0, 0.0]], "spere"), ValueError, "did you mean 'sphere'"),
        (([[1.0, 0.0]], 3), TypeError, "domain must be 'sphere' or a pair"),
        (([[1.0, 0.0]], ([0, 0], [1, 0])), ValueError, "lower below upper"),
        (([[1.0, 0.0]], ([0], [1])), ValueError, r"domain\[0\] must have shape \(2,\)"),
        ((np.zeros((1, 4)), ([0] * 4, [1] * 4)), ValueError, "1 to 3 coordinates in a box; got 4"),
        (([[1.0, 0.0]], ([0, 0], [1, 1]), 1), ValueError, "n must be an integer of at least 2"),
        (([[1.0, 0.0]], ([0, 0], [1, 1]), 10**9), ValueError, "memory"),
    ],
)
def test_unsound_arguments_are_refused(arguments, error, words):
    with pytest.raises(error, match=words):
        covering_radius(*arguments)
