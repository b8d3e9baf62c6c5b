"""Entropy and power laws: closed forms, and finite differences in the masses of cells."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wflow.energies import Entropy, PowerLaw
from wflow.measures import GridMeasure, ParticleMeasure

seeds = st.integers(0, 2**32 - 1)


def random_grid(seed, shape=(4, 3)):
    rng = np.random.default_rng(seed)
    axes = [np.concatenate(([-1.0], -1.0 + np.cumsum(0.3 + rng.random(n)))) for n in shape]
    return GridMeasure(axes, rng.dirichlet(np.full(math.prod(shape), 20.0)).reshape(shape))


def moved(energy, grid, into, out_of):
    """Slope of the energy as mass moves from one cell to another, by central differences of relative step 1e-4."""
    step = 1e-4 * min(grid.masses[into], grid.masses[out_of])
    values = []
    for sign in (1.0, -1.0):
        masses = grid.masses.copy()
        masses[into] += sign * step
        masses[out_of] -= sign * step
        values.append(energy.value(GridMeasure(grid.axes, masses)))
    return (values[0] - values[1]) / (2.0 * step)


@given(seed=seeds, exponent=st.floats(1.2, 4.0), coefficient=st.floats(0.1, 3.0))
def test_power_law_varies_as_its_cells(seed, exponent, coefficient):
    grid, energy = random_grid(seed), PowerLaw(exponent, coefficient)
    cells = energy.cells(grid)
    assert cells.shape == grid.shape
    slope = moved(energy, grid, (1, 2), (3, 0))
    # rounding of the value over the step, and the third derivative times its square
    assert slope == pytest.approx(cells[1, 2] - cells[3, 0], rel=0, abs=1e-8 * (1.0 + cells.max()))


@given(seed=seeds, temperature=st.floats(0.1, 3.0))
def test_entropy_varies_as_its_logarithm(seed, temperature):
    grid, energy = random_grid(seed), Entropy(temperature)
    variation = energy.cells(grid) + temperature * (np.log(grid.masses / grid.volumes) + 1.0)
    assert not energy.cells(grid).any()
    assert moved(energy, grid, (0, 1), (2, 2)) == pytest.approx(variation[0, 1] - variation[2, 2], rel=0, abs=1e-7 * temperature)


@given(seed=seeds)
def test_values_are_plain_sums(seed):
    grid = random_grid(seed, (2, 3, 2))
    pairs = list(zip(grid.masses.ravel().tolist(), grid.volumes.ravel().tolist(), strict=True))
    assert Entropy(0.7).value(grid) == pytest.approx(0.7 * sum(m * math.log(m / v) for m, v in pairs), rel=1e-13, abs=1e-14)
    assert PowerLaw(2.5, 0.3).value(grid) == pytest.approx(sum(v * 0.3 * (m / v) ** 2.5 / 1.5 for m, v in pairs), rel=1e-13)


def test_empty_cells_count_nothing():
    grid = GridMeasure([np.linspace(0.0, 2.0, 3)], [1.0, 0.0])
    assert Entropy().value(grid) == 0.0
    assert PowerLaw(3.0).value(grid) == 0.5
    np.testing.assert_array_equal(PowerLaw(3.0, 2.0).cells(grid), [3.0, 0.0])


def test_entropy_of_a_gaussian():
    """∫ ρ log ρ = −log(2πe)/2 for the standard Gaussian; the error of densities constant on cells is of order 2."""
    sizes, errors = (20, 40, 80), []
    for n in sizes:
        grid = GridMeasure.from_density([np.linspace(-9.0, 9.0, n + 1)], lambda x: np.exp(-(x[:, 0] ** 2) / 2.0), nodes=8)
        errors.append(abs(Entropy(2.0).value(grid) + math.log(2.0 * math.pi * math.e)))
    assert -np.polyfit(np.log(sizes), np.log(errors), 1)[0] == pytest.approx(2.0, abs=0.15)


def test_particles_drift_nowhere_under_entropy():
    np.testing.assert_array_equal(Entropy(2.0).velocity(ParticleMeasure(np.ones((3, 2)))), np.zeros((3, 2)))


def test_reprs():
    assert repr(Entropy(2)) == "Entropy(temperature=2.0)"
    assert repr(PowerLaw(2, 0.5)) == "PowerLaw(exponent=2.0, coefficient=0.5)"


CLOUD = ParticleMeasure(np.ones((3, 2)))


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda: Entropy(0.0), ValueError, "^temperature must be a finite number above 0; got 0.0$"),
    (lambda: Entropy(-1.0), ValueError, "^temperature must be a finite number above 0; got -1.0$"),
    (lambda: PowerLaw(1.0), ValueError, "^exponent must be a finite number above 1; got 1.0$"),
    (lambda: PowerLaw(0.5), ValueError, "^exponent must be a finite number above 1; got 0.5$"),
    (lambda: PowerLaw(2.0, 0.0), ValueError, "^coefficient must be a finite number above 0; got 0.0$"),
    (lambda: PowerLaw("2"), TypeError, "^exponent must be a finite number above 1; got '2'$"),
    (lambda: Entropy().value(CLOUD), TypeError, r"^measure must be a GridMeasure, as .*wflow.flows.LangevinFlow\); got ParticleMeasure"),
    (lambda: Entropy().cells(CLOUD), TypeError, "^grid must be a GridMeasure; got ParticleMeasure"),
    (lambda: Entropy().velocity(None), TypeError, "^measure must be a ParticleMeasure; got None$"),
    (lambda: PowerLaw(2.0).value(CLOUD), TypeError, "^measure must be a GridMeasure, as particles have no density; got ParticleMeasure"),
    (lambda: PowerLaw(2.0).velocity(CLOUD), TypeError, r"^measure must be a GridMeasure \(wflow.flows.EulerianFlow\)"),
    (lambda: PowerLaw(2.0).cells(3), TypeError, "^grid must be a GridMeasure; got 3$"),
])  # fmt: skip
def test_refuses(make, error, message):
    with pytest.raises(error, match=message):
        make()
