"""Θ: meshes that cover it as they say, projections, derivatives along it (math.md §7)."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from wflow.energies import Box, Sphere

SPHERES = [Sphere(d) for d in (2, 3, 4, 5)]
BOXES = [Box.cube(1), Box([-1.0, 2.0], [3.0, 2.5]), Box.cube(3, 0.5), Box.cube(4)]


def somewhere(theta, n, seed=0):
    rng = np.random.default_rng(seed)
    if isinstance(theta, Box):
        return rng.uniform(theta.lower, theta.upper, (n, theta.dimension))
    x = rng.standard_normal((n, theta.dimension))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.mark.parametrize("theta", [*SPHERES, Sphere(6), *BOXES, Box.cube(6)], ids=repr)
def test_meshes_cover(theta):
    mesh = theta.mesh()
    assert 1000 < len(mesh.points) <= 4100
    np.testing.assert_allclose(theta.project(mesh.points), mesh.points, rtol=0, atol=1e-15)
    known = theta.dimension <= (5 if isinstance(theta, Sphere) else 4)
    assert np.isfinite(mesh.covering) == known
    if known:
        far = cdist(somewhere(theta, 3000), mesh.points).min(axis=1).max()
        assert 0.3 * mesh.covering < far <= mesh.covering
    np.testing.assert_array_equal(mesh.points, theta.mesh().points)


def test_the_circle_is_covered_exactly():
    mesh = Sphere(2).mesh()
    middle = np.pi / 1024
    assert cdist([[np.cos(middle), np.sin(middle)]], mesh.points).min() == pytest.approx(mesh.covering, rel=1e-12)


@pytest.mark.parametrize("theta", BOXES, ids=repr)
def test_boxes_have_their_corners(theta):
    points = theta.mesh().points
    for corner in (theta.lower, theta.upper):
        assert (points == corner).all(axis=1).any()


def test_projection():
    np.testing.assert_allclose(Sphere(2).project(np.array([[3.0, 4.0], [0.0, 0.0], [0.0, -1e-3]])), [[0.6, 0.8], [1.0, 0.0], [0.0, -1.0]])
    np.testing.assert_array_equal(Box([0.0, 1.0], [1.0, 2.0]).project(np.array([[[-1.0, 3.0]]])), [[[0.0, 2.0]]])


@pytest.mark.parametrize("d", [2, 3, 4])
def test_derivatives_along_great_circles(d):
    """Of c·x + xᵀAx/2: d/dt and d²/dt² of f(cos t x + sin t u)."""
    rng = np.random.default_rng(d)
    a, c = rng.standard_normal((d, d)), rng.standard_normal(d)
    a = a + a.T
    x, u = np.linalg.qr(rng.standard_normal((d, 2)))[0].T

    def f(t):
        y = np.cos(t) * x + np.sin(t) * u
        return c @ y + y @ a @ y / 2.0

    gradient, hessian = Sphere(d).restrict(x, c + a @ x, a)
    h = 1e-4
    assert gradient @ u == pytest.approx((f(h) - f(-h)) / (2 * h), abs=1e-6)
    assert u @ hessian @ u == pytest.approx((f(h) - 2 * f(0.0) + f(-h)) / h**2, abs=1e-5)
    np.testing.assert_allclose([gradient @ x, *(hessian @ x)], 0.0, atol=1e-14)


def test_derivatives_along_faces():
    box, a = Box.cube(3, 1.0), np.arange(9.0).reshape(3, 3)
    gradient, hessian = box.restrict(np.array([1.0, -1.0, 0.0]), np.array([2.0, 3.0, -4.0]), a)
    np.testing.assert_array_equal(gradient, [0.0, 3.0, -4.0])  # out of the first face, back inside from the second
    np.testing.assert_array_equal(hessian, [[0, 0, 0], [0, 4, 5], [0, 7, 8]])


@pytest.mark.parametrize(("make", "named"), [
    (lambda: Sphere(1), "dimension must be an integer of at least 2"),
    (lambda: Box([0.0], [0.0]), "lower must be below upper"),
    (lambda: Box([], []), "lower must be below upper"),
    (lambda: Box([0.0], [1.0, 2.0]), "upper must have shape"),
    (lambda: Box([0.0], [np.inf]), "upper must be finite"),
    (lambda: Box.cube(2, 0.0), "radius must be a finite number above 0"),
])  # fmt: skip
def test_bad_domains_are_named(make, named):
    with pytest.raises(ValueError, match=named):
        make()
    with pytest.raises(TypeError, match="dimension must be an integer"):
        Sphere(2.5)
