"""Implicit Euler on grids: against dense solves, for any step; mass over many steps; the entropy and its equilibrium."""

from __future__ import annotations

import numpy as np
import pytest
from flows.test_finite_volumes import random_grid
from hypothesis import given
from hypothesis import strategies as st

from wflow.flows._finite_volumes import FiniteVolumes
from wflow.flows._implicit import implicit_step


def made(rng, shape, temperature=0.5, steepness=1.0, **options):
    """A grid, its masses and a scheme in a random potential."""
    grid = random_grid(rng, shape, **options)
    scheme = FiniteVolumes(grid, temperature, "none")
    potential = steepness * rng.normal(size=grid.size)
    scheme.update(potential)
    return grid, scheme, potential


def generator(axis):
    """Dense matrix A (n, n) of one line, dm/dt = A m, from its rates."""
    n = axis.shape[1]
    matrix = np.zeros((n, n))
    for i in range(n - 1):
        right, left = axis.right[0, i, 0], axis.left[0, i, 0]
        matrix[i, i] -= right
        matrix[i + 1, i] += right
        matrix[i + 1, i + 1] -= left
        matrix[i, i + 1] += left
    return matrix


@pytest.mark.parametrize("n", [1, 2, 3, 20])
@pytest.mark.parametrize("dt", [1e-3, 1.0, 1e4])
def test_a_line_is_solved_as_by_a_dense_matrix(n, dt):
    grid, scheme, _ = made(np.random.default_rng(n), (n,))
    dense = np.linalg.solve(np.eye(n) - dt * generator(scheme.axes[0]), grid.masses)
    np.testing.assert_allclose(implicit_step(scheme.axes, grid.masses, dt), dense, rtol=1e-9, atol=1e-13)


def test_axes_are_solved_one_after_the_other():
    """On a potential that is a sum of functions of one coordinate, each axis acts alike on all lines."""
    rng = np.random.default_rng(5)
    grid = random_grid(rng, (4, 70))
    scheme = FiniteVolumes(grid, 0.5, "none")
    parts = [rng.normal(size=n) for n in grid.shape]
    scheme.update(np.add.outer(*parts).ravel())
    expected = grid.masses
    for k, part in enumerate(parts):
        line = FiniteVolumes(grid.marginal(k), 0.5, "none")
        line.update(part)
        matrix = np.eye(len(part)) - 0.3 * generator(line.axes[0])
        expected = np.moveaxis(np.linalg.solve(matrix, np.moveaxis(expected, k, 0)), 0, k)
    np.testing.assert_allclose(implicit_step(scheme.axes, grid.masses.ravel(), 0.3).reshape(grid.shape), expected, rtol=1e-11, atol=1e-15)


@given(seed=st.integers(0, 10**6), shape=st.sampled_from([(1,), (50,), (6, 7), (3, 4, 5)]), size=st.floats(-6.0, 12.0))
def test_masses_stay_whatever_the_step(seed, shape, size):
    """Not negative, sum 1 to rounding, entropy relative to the Gibbs state no larger."""
    grid, scheme, potential = made(np.random.default_rng(seed), shape, gaps=False)
    y = grid.masses.ravel()
    after = implicit_step(scheme.axes, y, 10.0**size)
    assert after.min() >= 0.0
    assert abs(after.sum() - 1.0) <= 1e-15 * (4 + np.log2(grid.size))

    def free_energy(masses):
        return float(masses @ (0.5 * np.log(masses / grid.volumes.ravel()) - potential))

    assert free_energy(after) <= free_energy(y) + 1e-13 * (1.0 + np.abs(potential).max())


def test_the_gibbs_state_stays():
    grid, scheme, potential = made(np.random.default_rng(2), (20, 9))
    gibbs = np.exp(potential / 0.5) * grid.volumes.ravel()
    gibbs /= gibbs.sum()
    for dt in (1e-2, 1e2, 1e8):
        np.testing.assert_allclose(implicit_step(scheme.axes, gibbs, dt), gibbs, rtol=1e-13)


def test_one_huge_step_finds_the_equilibrium_down_to_its_thinnest_cells():
    """Down to e^{-300} of the largest density: no absolute error of a subtraction covers it."""
    edges = np.linspace(-5.0, 5.0, 101)
    grid = random_grid(np.random.default_rng(0), (100,), gaps=False)
    grid = type(grid)([edges], grid.masses)
    scheme = FiniteVolumes(grid, 0.04, "none")
    potential = -np.square(grid.centres[0]) / 2.0
    scheme.update(potential)
    y = grid.masses
    for _ in range(3):
        y = implicit_step(scheme.axes, y, 1e100)
    gibbs = np.exp(potential / 0.04)
    np.testing.assert_allclose(y, gibbs / gibbs.sum(), rtol=1e-11)


@pytest.mark.parametrize("dt", [1e-2, 10.0])
def test_mass_is_exact_after_very_many_steps(dt):
    """10⁵ steps on a line of 64 cells, back and forth between two potentials so that they never come to rest."""
    rng = np.random.default_rng(7)
    grid = random_grid(rng, (64,), gaps=False)
    schemes = [FiniteVolumes(grid, 0.5, "none") for _ in range(2)]
    for scheme in schemes:
        scheme.update(rng.normal(size=64))
    y, worst = grid.masses, 0.0
    start = y.sum()
    for k in range(100_000 if dt == 10.0 else 20_000):
        y = implicit_step(schemes[k // 5 % 2].axes, y, dt)
        if k % 100 == 0:
            worst = max(worst, abs(y.sum() - start))
    assert worst <= 1e-13
