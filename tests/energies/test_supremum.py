"""Suprema known in closed form: forms on spheres, kinks, ridges and corners in boxes."""

from __future__ import annotations

import numpy as np
import pytest

from wflow.energies import Box, Sphere
from wflow.energies.supremum import supremum


def found(g, slope, theta):
    return supremum(lambda x: (g(x), slope(x)), theta, np.empty((0, theta.dimension)))


@pytest.mark.parametrize("d", [2, 3, 4, 7])
def test_linear_forms_on_spheres(d):
    c = np.random.default_rng(d).standard_normal(d)
    top = found(lambda x: x @ c, lambda x: np.broadcast_to(c, x.shape), Sphere(d))
    assert abs(top.value) == pytest.approx(np.linalg.norm(c), rel=1e-13)
    np.testing.assert_allclose(top.place * np.sign(top.value), c / np.linalg.norm(c), rtol=0, atol=1e-6)
    assert top.on_mesh <= abs(top.value)
    assert not top.on_mesh + np.linalg.norm(c) * top.covering < np.linalg.norm(c)


@pytest.mark.parametrize("d", [2, 3, 4])
@pytest.mark.parametrize("seed", range(5))
def test_quadratic_forms_on_spheres(d, seed):
    """The eigenvalue of largest magnitude, whatever its sign."""
    a = np.random.default_rng(seed).standard_normal((d, d))
    a = a + a.T
    top = found(lambda x: np.einsum("...i,ij,...j->...", x, a, x), lambda x: 2.0 * x @ a, Sphere(d))
    values = np.linalg.eigvalsh(a)
    assert top.value == pytest.approx(values[np.abs(values).argmax()], rel=1e-12)


@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_flat_ridges_with_sharp_kinks(d):
    """50 − Σ c_k |n_k·(x − p)|, c from 1e-3 to 10: a summit where d kinks meet, reached along ridges as narrow as 1e-4."""
    rng = np.random.default_rng(d)
    n, p, c = np.linalg.qr(rng.standard_normal((d, d)))[0], rng.uniform(-1, 1, d), np.geomspace(1e-3, 10.0, d)
    top = found(lambda x: 50.0 - np.abs((x - p) @ n.T) @ c, lambda x: -(np.sign((x - p) @ n.T) * c) @ n, Box.cube(d, 2.0))
    assert top.value == pytest.approx(50.0, abs=1e-8)


@pytest.mark.parametrize("condition", [1.0, 1e3, 1e6])
def test_curved_valleys(condition):
    """1 less Rosenbrock's function, scaled: a bent ridge that rises to (1, 1)."""
    def g(x):
        return 1.0 - ((1 - x[..., 0]) ** 2 + condition * (x[..., 1] - x[..., 0] ** 2) ** 2) / (20.0 * condition)

    def slope(x):
        bend = x[..., 1] - x[..., 0] ** 2
        return np.stack([2 * (1 - x[..., 0]) + 4 * condition * bend * x[..., 0], -2 * condition * bend], axis=-1) / (20.0 * condition)

    assert found(g, slope, Box.cube(2, 1.3)).value == pytest.approx(1.0, rel=1e-8)


def test_corners_and_faces():
    box = Box([-1.0, 2.0, 0.0], [3.0, 2.5, 1e-3])
    c = np.array([1.0, -2.0, 300.0])
    top = found(lambda x: x @ c, lambda x: np.broadcast_to(c, x.shape), box)
    np.testing.assert_array_equal(top.place, [-1.0, 2.5, 0.0])
    assert top.value == -6.0


def test_summits_within_faces():
    """9 + x − (y − 1)²: on the face x = 3, between corners."""
    theta = Box.cube(2, 3.0)
    top = found(lambda x: 9.0 + x[..., 0] - (x[..., 1] - 1) ** 2, lambda x: np.stack([np.ones(x.shape[:-1]), 2 - 2 * x[..., 1]], -1), theta)
    assert top.value == 12.0
    np.testing.assert_allclose(top.place, [3.0, 1.0], rtol=0, atol=1e-7)


def test_fields_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match=r"finite field on all of Θ; got nan at ω̄ = \["):
        found(lambda x: np.where(x[..., 0] > 0.0, np.nan, 1.0), np.zeros_like, Box.cube(2))


def test_nothing_at_all():
    top = found(lambda x: np.zeros(x.shape[:-1]), np.zeros_like, Sphere(3))
    assert (top.value, top.on_mesh) == (0.0, 0.0)


def test_a_measures_own_places_are_looked_at():
    """A needle between the mesh's points, with a place on it."""
    needle = np.array([0.1234, -1.4321])

    def g(x):
        return np.exp(-0.5e8 * np.square(x - needle).sum(axis=-1))

    def field(x):
        return g(x), -1e8 * (x - needle) * g(x)[..., None]

    assert supremum(field, Box.cube(2), np.empty((0, 2))).value < 1e-3
    assert supremum(field, Box.cube(2), needle[None] + 1e-4).value == pytest.approx(1.0, rel=1e-12)
