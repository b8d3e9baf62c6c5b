"""Finite volumes: fluxes against loops in plain Python, positivity at the bound, the Gibbs state, exact mass, any thread count."""

from __future__ import annotations

import math

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wflow.flows._finite_volumes import LIMITERS, FiniteVolumes
from wflow.measures import GridMeasure


def random_grid(rng, shape, *, gaps=True):
    """Uneven cells (widths within a factor of 20) with random masses, a third of them empty."""
    axes = [np.concatenate([[0.0], np.cumsum(np.exp(rng.uniform(0.0, 3.0, n)))]) for n in shape]
    masses = rng.exponential(size=shape) ** 3 * (rng.random(shape) > (1 / 3 if gaps else -1.0))
    masses.flat[0] += 0.1
    return GridMeasure(axes, masses / masses.sum())


def bernoulli(x):
    """B(x) = x/(eˣ − 1), by its series near 0."""
    if abs(x) < 1e-2:
        return 1.0 - x / 2.0 + x**2 / 12.0 - x**4 / 720.0
    return x / math.expm1(x) if x < 700.0 else 0.0


def limited_jump(kind, back, ahead, sizes, gaps):
    """Half the slope in a cell, from the differences of density to both neighbours."""
    if back * ahead <= 0.0 or kind == "none":
        return 0.0
    if kind == "minmod":
        slope = (back + ahead) / sum(gaps)
    else:
        a, c = back / gaps[0], ahead / gaps[1]
        slope = 2.0 * a * c / (a + c)
    return math.copysign(min(abs(slope) * sizes / 2.0, abs(back), abs(ahead)), back)


def change_by_loops(grid, potential, temperature, kind):
    """dm/dt, line by line, face by face, in densities."""
    out = np.zeros(grid.shape)
    for k in range(grid.dimension):
        centres, widths = grid.centres[k], grid.widths[k]
        lines = [np.moveaxis(a, k, -1).reshape(-1, grid.shape[k]) for a in (grid.masses / expanded(widths, k, grid.dimension), potential)]
        change = np.zeros_like(lines[0])
        for row, (density, level) in enumerate(zip(*lines, strict=True)):
            n = len(density)
            half = np.zeros(n)
            for i in range(1, n - 1):
                gaps = centres[i] - centres[i - 1], centres[i + 1] - centres[i]
                half[i] = limited_jump(kind, density[i] - density[i - 1], density[i + 1] - density[i], widths[i], gaps)
            for i in range(n - 1):
                gap = centres[i + 1] - centres[i]
                speed = (level[i + 1] - level[i]) / gap
                if temperature:
                    q = speed * gap / temperature
                    flux = temperature / gap * (bernoulli(-q) * density[i] - bernoulli(q) * density[i + 1])
                else:
                    flux = max(speed, 0.0) * (density[i] + half[i]) + min(speed, 0.0) * (density[i + 1] - half[i + 1])
                change[row, i] -= flux
                change[row, i + 1] += flux
        out += np.moveaxis(change.reshape(np.moveaxis(out, k, -1).shape), -1, k)
    return out


def expanded(widths, k, dimension):
    return widths.reshape([-1 if j == k else 1 for j in range(dimension)])


CASES = [(0.0, kind) for kind in LIMITERS] + [(0.7, "none"), (1e-3, "none")]


@pytest.mark.parametrize(("temperature", "kind"), CASES)
@pytest.mark.parametrize("shape", [(1,), (2,), (9,), (5, 4), (3, 1, 5), (2, 3, 2, 3), (3, 70)])
def test_fluxes_are_those_of_the_formulas(shape, temperature, kind):
    rng = np.random.default_rng(len(shape))
    grid, potential = random_grid(rng, shape), rng.normal(size=shape)
    scheme = FiniteVolumes(grid, temperature, kind)
    scheme.update(potential.ravel())
    found = scheme.change(grid.masses.ravel())
    expected = change_by_loops(grid, potential, temperature, kind)
    np.testing.assert_allclose(found.reshape(shape), expected, rtol=1e-11, atol=1e-13 * (np.abs(expected).max() + 1e-300))
    assert abs(found.sum()) <= 1e-15 * np.abs(found).sum()


@given(
    seed=st.integers(0, 10**6), shape=st.sampled_from([(7,), (40,), (5, 6), (3, 4, 3)]), case=st.sampled_from(CASES),
    steepness=st.floats(-3.0, 3.0),
)  # fmt: skip
def test_no_mass_is_negative_after_a_step_at_the_bound(seed, shape, case, steepness):
    """Any field, any masses, any widths; and an Euler step keeps the sum."""
    rng = np.random.default_rng(seed)
    grid = random_grid(rng, shape)
    scheme = FiniteVolumes(grid, *case)
    scheme.update(10.0**steepness * rng.normal(size=grid.size))
    y = grid.masses.ravel()
    after = y + scheme.step_bound() * scheme.change(y)
    assert after.min() >= 0.0
    assert abs(after.sum() - 1.0) <= 1e-14


@pytest.mark.parametrize(("temperature", "kind"), CASES)
def test_the_bound_is_no_shorter_than_it_must_be(temperature, kind):
    """In a field that empties the middle cell from both sides, one whose first-order outflow is the whole bound, twice it is negative."""
    grid = GridMeasure([np.arange(6.0)], np.array([0.0, 0.0, 1.0, 0.0, 0.0]))
    scheme = FiniteVolumes(grid, temperature, kind)
    scheme.update(np.array([2.0, 1.0, 0.0, 1.0, 2.0]))
    y = grid.masses.ravel()
    assert (y + 1.01 * scheme.step_bound() * scheme.change(y)).min() < 0.0


def test_reconstructed_densities_can_empty_a_cell_at_the_bound():
    """A steep slope sends twice the mean density through one face: the factor 2 of the bound is needed."""
    grid = GridMeasure([np.arange(6.0)], np.array([0.0, 0.0, 0.2, 0.8, 0.0]))
    scheme = FiniteVolumes(grid, 0.0, "minmod")
    scheme.update(np.array([0.0, 0.0, 0.0, 1.0, 1.0]))
    flow = -scheme.change(grid.masses.ravel())[2] / 0.2
    assert flow == pytest.approx(2.0)  # minmod with θ = 2: density 0.4 at the face of a cell of 0.2
    assert scheme.step_bound() * flow == pytest.approx(1.0)


@pytest.mark.parametrize("kind", LIMITERS)
def test_densities_at_faces_stay_between_the_neighbours(kind):
    """Uniform drift to the right: what leaves a cell is the density at its right face."""
    rng = np.random.default_rng(3)
    grid = random_grid(rng, (60,))
    scheme = FiniteVolumes(grid, 0.0, kind)
    scheme.update(grid.centres[0])
    flux = -np.cumsum(scheme.change(grid.masses))[:-1]  # at inner faces
    density = grid.density
    low, high = np.minimum(density[:-1], density[1:]), np.maximum(density[:-1], density[1:])
    assert (flux >= low - 1e-14).all()
    assert (flux <= high + 1e-14).all()


@pytest.mark.parametrize("shape", [(30,), (8, 9), (4, 5, 3)])
def test_the_gibbs_state_is_stationary(shape):
    """ρ ∝ e^{φ/τ}, down to densities e^{-60} of the largest: each cell changes by less than 1e-13 of its turnover."""
    rng = np.random.default_rng(1)
    grid, potential, temperature = random_grid(rng, shape), rng.normal(size=shape) * 6.0, 0.3
    gibbs = np.exp((potential - potential.max()) / temperature) * grid.volumes
    scheme = FiniteVolumes(grid, temperature, "none")
    scheme.update(potential.ravel())
    masses = (gibbs / gibbs.sum()).ravel()
    turnover = masses / scheme.step_bound()
    assert (np.abs(scheme.change(masses)) <= 1e-13 * turnover.max()).all()
    assert scheme.ascent(masses, potential.ravel()) <= 1e-25 / scheme.step_bound()


def test_rates_are_finite_whatever_the_climb():
    """From no climb to one of 1e6 temperatures; diffusion alone, and upwind alone, are the limits."""
    climbs = np.array([0.0, 1e-300, 1e-12, 1e-3, 1.0, 30.0, 700.0, 1e6])
    for climb in np.concatenate([climbs, -climbs]):
        grid = GridMeasure([np.arange(3.0)], np.array([0.5, 0.5]))
        scheme = FiniteVolumes(grid, 1.0, "none")
        scheme.update(np.array([0.0, climb]))
        right, left = scheme.axes[0].right.item(), scheme.axes[0].left.item()
        assert right == pytest.approx(bernoulli(-climb), rel=1e-12)
        assert left == pytest.approx(bernoulli(climb), rel=1e-12)
        assert right - left == pytest.approx(climb, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize(("temperature", "kind"), CASES)
def test_bits_do_not_depend_on_threads(temperature, kind):
    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("one thread only")
    rng = np.random.default_rng(0)
    grid, found = random_grid(rng, (300, 1100)), []
    potential = rng.normal(size=grid.size)
    before = numba.get_num_threads()
    try:
        for threads in (1, 2):
            numba.set_num_threads(threads)
            scheme = FiniteVolumes(grid, temperature, kind)
            scheme.update(potential)
            y = grid.masses.ravel()
            found.append((scheme.change(y), scheme.step_bound(), scheme.ascent(y, potential)))
    finally:
        numba.set_num_threads(before)
    np.testing.assert_array_equal(found[0][0], found[1][0])
    assert found[0][1:] == found[1][1:]
