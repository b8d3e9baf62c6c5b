"""Potential energy: plain sums, finite differences, and order 2 of the midpoint rule on grids."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wflow.energies import Potential
from wflow.measures import GridMeasure, ParticleMeasure

clouds = {"seed": st.integers(0, 2**32 - 1), "n": st.integers(1, 7), "m": st.integers(1, 4)}


def cloud(seed, n=5, m=3):
    rng = np.random.default_rng(seed)
    return ParticleMeasure(rng.normal(1.0, 2.0, (n, m)), rng.dirichlet(np.ones(n)))


def waves(x):
    return np.sin(x).sum(axis=1) + x.prod(axis=1)


def waves_gradient(x):
    others = [np.delete(x, i, axis=1).prod(axis=1) for i in range(x.shape[1])]
    return np.cos(x) + np.stack(others, axis=1)


ENERGIES = {
    "user's own": lambda m: Potential(waves, waves_gradient),
    "quadratic": lambda m: Potential.quadratic(1.7, np.arange(m) / 3.0),
    "quadratic about a number": lambda m: Potential.quadratic(0.4, 2.0),
    "linear": lambda m: Potential.linear(np.arange(m) - 0.5),
}


@pytest.mark.parametrize("kind", ENERGIES)
@given(**clouds)
def test_velocity_is_the_negative_gradient(kind, seed, n, m):
    """∂E/∂x_n = sense p_n velocity_n, by central differences of the value; their own error is ε²/6 |V'''| + rounding/ε."""
    measure, energy = cloud(seed, n, m), ENERGIES[kind](m)
    gradient, epsilon = np.empty((n, m)), 1e-5
    for index in np.ndindex(n, m):
        shift = np.zeros((n, m))
        shift[index] = epsilon
        up, down = (energy.value(ParticleMeasure(measure.points + s * shift, measure.weights)) for s in (1.0, -1.0))
        gradient[index] = (up - down) / (2.0 * epsilon)
    scale = 1.0 + np.abs(measure.points).max() ** m
    assert energy.sense == -1
    np.testing.assert_allclose(energy.sense * measure.weights[:, None] * energy.velocity(measure), gradient, rtol=0, atol=1e-9 * scale)


@given(**clouds)
def test_values_are_plain_sums(seed, n, m):
    measure, energy = cloud(seed, n, m), Potential.quadratic(1.7, 0.5)
    plain = sum(p * 0.85 * sum((c - 0.5) ** 2 for c in x) for p, x in zip(measure.weights, measure.points, strict=True))
    assert energy.value(measure) == pytest.approx(plain, rel=1e-13)
    others = np.random.default_rng(seed).normal(size=(3, m))
    np.testing.assert_allclose(energy.first_variation(measure, others), [0.85 * sum((c - 0.5) ** 2 for c in x) for x in others], rtol=1e-13)
    linear = Potential.linear(2.0)
    assert linear.value(measure) == pytest.approx(2.0 * measure.weights @ measure.points.sum(axis=1), rel=1e-12, abs=1e-12)


def test_cells_are_the_potential_at_centres():
    axes = [np.array([0.0, 0.5, 2.0]), np.array([-1.0, 0.0, 0.5, 3.0])]
    masses = np.random.default_rng(0).dirichlet(np.ones(6)).reshape(2, 3)
    grid, energy = GridMeasure(axes, masses), Potential(waves)
    expected = np.array([[waves(np.array([[x, y]]))[0] for y in (-0.5, 0.25, 1.75)] for x in (0.25, 1.25)])
    np.testing.assert_allclose(energy.cells(grid), expected, rtol=1e-14)
    assert energy.value(grid) == pytest.approx((masses * expected).sum(), rel=1e-14)


def test_value_on_grids_is_of_order_2():
    """∫ x⁴ ρ for ρ = 3x² on [0, 1] is 3/7."""
    sizes, errors = (8, 16, 32, 64), []
    for n in sizes:
        grid = GridMeasure.from_density([np.linspace(0.0, 1.0, n + 1)], lambda x: x[:, 0] ** 2)
        errors.append(abs(Potential(lambda x: x[:, 0] ** 4).value(grid) - 3.0 / 7.0))
    assert -np.polyfit(np.log(sizes), np.log(errors), 1)[0] == pytest.approx(2.0, abs=0.05)


MEASURE, GRID = cloud(0), GridMeasure([np.linspace(0.0, 1.0, 3)], [0.5, 0.5])


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda: Potential(1.0), TypeError, r"^potential must be a function of points \(K, d\); got 1.0$"),
    (lambda: Potential(waves, 2.0), TypeError, r"^gradient must be a function of points \(K, d\); got 2.0$"),
    (lambda: Potential(None), TypeError, "^potential must be a function"),
    (lambda: Potential(waves).velocity(MEASURE), ValueError, "^gradient must be given for particles to move; got None$"),
    (lambda: Potential(waves).velocity(GRID), TypeError, "^measure must be a ParticleMeasure; got GridMeasure"),
    (lambda: Potential(waves).value(np.ones(3)), TypeError, "^measure must be a ParticleMeasure or a GridMeasure; got array"),
    (lambda: Potential(waves).cells(MEASURE), TypeError, "^grid must be a GridMeasure; got ParticleMeasure"),
    (lambda: Potential(lambda x: x).value(MEASURE), ValueError, r"^potential\(points\) must have shape \(5,\); got \(5, 3\)$"),
    (lambda: Potential(waves, waves).velocity(MEASURE), ValueError, r"^gradient\(points\) must have shape \(5, 3\); got \(5,\)$"),
    (lambda: Potential(lambda x: x[:, 0] * np.nan).cells(GRID), ValueError, r"^potential\(points\) must be finite; got nan at \[0\]$"),
    (lambda: Potential(waves).first_variation(MEASURE, np.ones((2, 2))), ValueError, r"^points must have shape \(any, 3\); got \(2, 2\)$"),
    (lambda: Potential.quadratic("1"), TypeError, "^stiffness must be a finite number; got '1'$"),
    (lambda: Potential.quadratic(1.0, [0.0, np.inf]), ValueError, r"^centre must be finite; got inf at \[1\]$"),
    (lambda: Potential.quadratic(1.0, [0.0, 1.0]).value(MEASURE), ValueError, r"^centre must have shape \(3,\); got \(2,\)$"),
    (lambda: Potential.linear([1.0]).velocity(MEASURE), ValueError, r"^slope must have shape \(3,\); got \(1,\)$"),
])  # fmt: skip
def test_refuses(make, error, message):
    with pytest.raises(error, match=message):
        make()
