"""Sums of energies: each term in its own sense, against plain sums and finite differences; what grids ask of any energy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wflow import mdp
from wflow.energies import (
    Entropy,
    Interaction,
    PolicyValue,
    Potential,
    PowerLaw,
    QuadraticInteraction,
    Sum,
    temperature_of,
    value_on,
    variation_on_cells,
)
from wflow.measures import GridMeasure, ParticleMeasure

BANDIT = mdp.agazzi_lu_bandit(seed=0, n_actions=7)
POLICY = PolicyValue(BANDIT, "tanh")
seeds = st.integers(0, 2**32 - 1)


def random_grid(seed, shape=(4, 3, 3)):
    rng = np.random.default_rng(seed)
    axes = [np.concatenate(([-2.0], -2.0 + np.cumsum(0.5 + rng.random(n)))) for n in shape]
    return GridMeasure(axes, rng.dirichlet(np.full(np.prod(shape), 20.0)).reshape(shape))


def cloud(seed, n=5, m=3):
    rng = np.random.default_rng(seed)
    return ParticleMeasure(rng.normal(0.0, 2.0, (n, m)), rng.dirichlet(np.ones(n)))


def plain_policy_value(points, weights):
    """E of the bandit as a sum: tanh neurons ω0 tanh(k a + b), softmax policy, reward less τ log π."""
    actions, shares = BANDIT.actions.nodes[:, 0], BANDIT.actions.weights
    f = sum(p * x[0] * np.tanh(x[1] * actions + x[2]) for p, x in zip(weights, points, strict=True))
    policy = np.exp(f) / (shares @ np.exp(f))
    return shares @ (policy * (BANDIT.reward[0] - BANDIT.temperature * np.log(policy)))


def slope_between(energy, grid, into, out_of):
    """Slope of the energy as mass moves from one cell to another, by central differences of relative step 1e-4."""
    step = 1e-4 * min(grid.masses[into], grid.masses[out_of])
    masses = [grid.masses.copy() for _ in range(2)]
    for sign, m in zip((1.0, -1.0), masses, strict=True):
        m[into] += sign * step
        m[out_of] -= sign * step
    up, down = (value_on(energy, GridMeasure(grid.axes, m)) for m in masses)
    return (up - down) / (2.0 * step)


@settings(max_examples=20)
@given(seed=seeds, temperature=st.floats(0.05, 2.0))
def test_policy_value_with_entropy_on_a_grid(seed, temperature):
    """E − τ ∫ ρ log ρ, maximised: its value as a plain sum, its first variation by moving mass between two cells."""
    grid, energy = random_grid(seed), POLICY + Entropy(temperature)
    masses, volumes = grid.masses.ravel(), grid.volumes.ravel()
    plain = plain_policy_value(grid.points, masses) - temperature * sum(m * np.log(m / v) for m, v in zip(masses, volumes, strict=True))
    assert (energy.sense, energy.n_parameters, temperature_of(energy)) == (1, 3, temperature)
    assert energy.value(grid) == pytest.approx(plain, rel=1e-12, abs=1e-12)
    variation = variation_on_cells(energy, grid) - temperature * (np.log(grid.density) + 1.0)
    a, b = (1, 2, 0), (3, 0, 1)
    # error of the differences: rounding 1e-16 / (1e-4 m), and (1e-4)² of the third derivative
    assert slope_between(energy, grid, a, b) == pytest.approx(variation[a] - variation[b], rel=0, abs=1e-8 * (1.0 + temperature))


FREE = {
    "minimised": Sum([Potential.quadratic(1.3, 0.2), Interaction.power(3.0), PowerLaw(2.0, 0.4), Entropy(0.5)], [0.7, 1.5, 2.0, 0.3]),
    "maximised": 2.0 * POLICY + 0.4 * Potential.quadratic(1.3) + 0.5 * PowerLaw(2.0) + Entropy(0.1),
}


@pytest.mark.parametrize("kind", FREE)
@settings(max_examples=20)
@given(seed=seeds)
def test_varies_as_its_cells(kind, seed):
    grid, energy = random_grid(seed), FREE[kind]
    variation = energy.cells(grid) - energy.sense * temperature_of(energy) * (np.log(grid.density) + 1.0)
    a, b = (0, 2, 1), (3, 1, 1)
    tolerance = 1e-7 * (1.0 + np.abs(variation).max())
    assert slope_between(energy, grid, a, b) == pytest.approx(variation[a] - variation[b], rel=0, abs=tolerance)


@settings(max_examples=20)
@given(seed=seeds)
def test_terms_pull_in_their_own_sense(seed):
    """The potential is minimised inside a sum that is maximised; the velocity is the gradient of the sum's value."""
    measure, energy = cloud(seed), POLICY + 0.6 * QuadraticInteraction(0.5, 1.0) + Entropy(3.0)
    rest = POLICY.value(measure) - 0.6 * QuadraticInteraction(0.5, 1.0).value(measure)
    assert energy.value(measure) == pytest.approx(rest, rel=1e-13, abs=1e-13)
    gradient, epsilon = np.empty((5, 3)), 1e-5
    for index in np.ndindex(5, 3):
        shift = np.zeros((5, 3))
        shift[index] = epsilon
        up, down = (energy.value(ParticleMeasure(measure.points + s * shift, measure.weights)) for s in (1.0, -1.0))
        gradient[index] = (up - down) / (2.0 * epsilon)
    velocity = energy.velocity(measure)
    scale = 1.0 + np.abs(measure.points).max() ** 3  # of third derivatives
    np.testing.assert_allclose(measure.weights[:, None] * velocity, gradient, rtol=0, atol=1e-9 * scale)
    together = energy.evaluate(measure)
    assert together.value == energy.value(measure)
    np.testing.assert_array_equal(together.velocity, velocity)
    others = np.random.default_rng(seed).normal(size=(4, 3))
    expected = POLICY.first_variation(measure, others) - 0.6 * QuadraticInteraction(0.5, 1.0).first_variation(measure, others)
    np.testing.assert_allclose(energy.first_variation(measure, others), expected, rtol=1e-12, atol=1e-12)


class Bare:
    """The least that an energy is: sense, value and velocity."""

    sense = -1

    def value(self, measure):
        return float(measure.weights @ measure.points.sum(axis=1))

    def velocity(self, measure):
        return -np.ones_like(measure.points)


def test_a_users_own_energy_is_a_term():
    measure, energy = cloud(0), Potential.linear(1.0) + Bare()
    assert energy.value(measure) == pytest.approx(2.0 * Bare().value(measure), rel=1e-14)
    np.testing.assert_array_equal(energy.evaluate(measure).velocity, np.full((5, 3), -2.0))
    np.testing.assert_array_equal((3.0 * Sum([Bare()])).velocity(measure), np.full((5, 3), -3.0))


def test_sums_are_taken_apart():
    a, b, c = Potential.linear(1.0), Entropy(0.5), PowerLaw(2.0)
    energy = 3.0 * (a + 2.0 * b) + c * np.float64(0.5)
    assert energy.terms == (a, b, c)
    assert energy.factors == (3.0, 6.0, 0.5)
    assert energy.temperature == 3.0
    assert energy.sense == -1
    assert not hasattr(energy, "n_parameters")
    assert repr(b + 2.0 * c) == "Entropy(temperature=0.5) + 2.0 * PowerLaw(exponent=2.0, coefficient=1.0)"
    assert (Sum([a + POLICY]) + b).sense == 1
    assert energy.smooth
    assert not (energy + Interaction.power(1.0)).smooth
    assert not (energy + PolicyValue(BANDIT)).smooth


@given(seed=seeds)
def test_energies_that_know_no_grids_see_centres(seed):
    grid, energy = random_grid(seed, (3, 2)), QuadraticInteraction(0.4, 1.1)
    x, masses = grid.points, grid.masses.ravel()
    squares = ((x[:, None] - x) ** 2).sum(axis=2)
    plain = 0.2 * masses @ (x**2).sum(axis=1) + 1.1 / 4.0 * masses @ squares @ masses
    assert value_on(energy, grid) == pytest.approx(plain, rel=1e-13)
    variation = 0.2 * (x**2).sum(axis=1) + 0.55 * squares @ masses
    np.testing.assert_allclose(variation_on_cells(energy, grid), variation.reshape(3, 2), rtol=1e-12)
    np.testing.assert_allclose((energy + Entropy(1.0)).cells(grid), variation.reshape(3, 2), rtol=1e-12)
    assert temperature_of(energy) == 0.0
    assert temperature_of(Bare()) == 0.0


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda: Sum([]), TypeError, r"^terms must be a sequence of one or more energies; got \[\]$"),
    (lambda: Sum(Entropy()), TypeError, "^terms must be a sequence of one or more energies; got Entropy"),
    (lambda: Sum([Entropy(), 3.0]), TypeError, r"^terms\[1\] must be an energy, with a sense of \+1 or -1 and value\(measure\); got 3.0$"),
    (lambda: Sum([Entropy()], [1.0, 2.0]), ValueError, r"^factors must have shape \(1,\); got \(2,\)$"),
    (lambda: -1.0 * Entropy(), ValueError, r"^factors must be above 0; got -1.0 at \[0\]$"),
    (lambda: 0 * Entropy(), ValueError, r"^factors must be above 0; got 0.0 at \[0\]$"),
    (lambda: Entropy() + 1.0, TypeError, r"^unsupported operand type\(s\) for \+"),
    (lambda: "x" * Entropy(), TypeError, "^can't multiply sequence"),
    (lambda: POLICY + PolicyValue(BANDIT, "rbf", width=0.2), ValueError, r"^terms must be .* of one dimension; got \[2, 3\]$"),
    (lambda: (Entropy() + Bare()).velocity(random_grid(0)), TypeError, "^measure must be a ParticleMeasure; got GridMeasure"),
    (lambda: (Potential.linear(1.0) + PowerLaw(2.0)).velocity(cloud(0)), TypeError, "^measure must be a GridMeasure"),
    (lambda: (Potential.linear(1.0) + Entropy()).evaluate(None), TypeError, "^measure must be a ParticleMeasure; got None$"),
    (lambda: (Potential.linear(1.0) + Entropy()).cells(cloud(0)), TypeError, "^grid must be a GridMeasure; got ParticleMeasure"),
])  # fmt: skip
def test_refuses(make, error, message):
    with pytest.raises(error, match=message):
        make()
