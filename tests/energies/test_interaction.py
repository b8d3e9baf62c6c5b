"""Interaction energy: double sums, finite differences, the transform against direct sums, and order 2 where W has a kink."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erf, exp1, hyp1f1

import wflow
from wflow import _jit
from wflow.energies import Interaction, QuadraticInteraction
from wflow.energies.interaction import _uniform
from wflow.flows import WassersteinFlow
from wflow.measures import GridMeasure, ParticleMeasure

clouds = {"seed": st.integers(0, 2**32 - 1), "n": st.integers(1, 9), "m": st.integers(1, 4)}
exponents = st.sampled_from([1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 17.0])


def cloud(seed, n=5, m=3, *, ties=False):
    rng = np.random.default_rng(seed)
    points = rng.normal(1.0, 1.0, (n, m))
    return ParticleMeasure(points.round() if ties else points, rng.dirichlet(np.ones(n)))


def skew(z):
    """Even, but no function of |z|."""
    return np.exp(-(z[:, 0] ** 2) - z.sum(axis=1) ** 2 / 2.0)


def skew_gradient(z):
    slope = z.sum(axis=1, keepdims=True) * np.ones_like(z)
    slope[:, 0] += 2.0 * z[:, 0]
    return -slope * skew(z)[:, None]


def plain_sums(exponent, points, measure):
    """Potential and gradient of |z|^p / p, pair by pair."""
    potential, gradient = np.zeros(len(points)), np.zeros(points.shape)
    for k, x in enumerate(points):
        for p, y in zip(measure.weights, measure.points, strict=True):
            if (r := math.dist(x, y)) > 0.0:
                potential[k] += p * r**exponent / exponent
                gradient[k] += p * r ** (exponent - 2.0) * (x - y)
    return potential, gradient


# --- particles ---


@given(**clouds, exponent=exponents, coefficient=st.sampled_from([1.0, -0.7]), ties=st.booleans())
def test_power_is_the_double_sum(seed, n, m, exponent, coefficient, ties):
    measure, energy = cloud(seed, n, m, ties=ties), Interaction.power(exponent, coefficient)
    potential, gradient = plain_sums(exponent, measure.points, measure)
    size = max(1.0, np.abs(potential).max())
    assert energy.value(measure) == pytest.approx(coefficient / 2.0 * measure.weights @ potential, rel=0, abs=1e-13 * size)
    slopes = max(1.0, np.ptp(measure.points)) ** (exponent - 1.0)
    np.testing.assert_allclose(energy.velocity(measure), -coefficient * gradient, rtol=0, atol=1e-13 * slopes * exponent)
    together = energy.evaluate(measure)
    assert together.value == energy.value(measure)
    np.testing.assert_array_equal(together.velocity, energy.velocity(measure))
    others = np.concatenate((np.random.default_rng(seed).normal(size=(3, m)), measure.points[:1]))
    away = plain_sums(exponent, others, measure)[0]
    found = energy.first_variation(measure, others)
    np.testing.assert_allclose(found, coefficient * away, rtol=0, atol=1e-13 * max(1.0, away.max()) * exponent)


@given(**clouds)
def test_velocity_is_the_negative_gradient(seed, n, m):
    """∂E/∂x_n = sense p_n velocity_n, by central differences of a double sum."""
    measure, energy = cloud(seed, n, m), Interaction(skew, skew_gradient)

    def value(points):
        return sum(p * q * skew((x - y)[None])[0] for p, x in zip(measure.weights, points, strict=True)
                   for q, y in zip(measure.weights, points, strict=True)) / 2.0  # fmt: skip

    assert energy.sense == -1
    assert energy.value(measure) == pytest.approx(value(measure.points), rel=1e-13)
    gradient, epsilon = np.empty((n, m)), 1e-5
    for index in np.ndindex(n, m):
        shift = np.zeros((n, m))
        shift[index] = epsilon
        gradient[index] = (value(measure.points + shift) - value(measure.points - shift)) / (2.0 * epsilon)
    np.testing.assert_allclose(energy.sense * measure.weights[:, None] * energy.velocity(measure), gradient, rtol=0, atol=1e-9)


@pytest.mark.parametrize("exponent", [1.0, 1.5, 3.0])
def test_blocks_and_compiled_loops_agree(exponent):
    """More pairs than fit into one block, or into one slice of the compiled loop."""
    measure, energy = cloud(3, 700, 2), Interaction.power(exponent)
    plain = Interaction(energy.kernel, energy.gradient)
    np.testing.assert_allclose(energy.velocity(measure), plain.velocity(measure), rtol=0, atol=1e-13)
    assert energy.value(measure) == pytest.approx(plain.value(measure), rel=1e-13)


def test_square_is_quadratic_attraction():
    measure = cloud(0, 50)
    known, energy = QuadraticInteraction(0.0, 1.0), Interaction.power(2.0)
    assert energy.value(measure) == pytest.approx(known.value(measure), rel=1e-13)
    np.testing.assert_allclose(energy.velocity(measure), known.velocity(measure), rtol=1e-12, atol=1e-14)


def test_segments_collapse_at_the_known_time():
    """W = |x| on the line: particles at (2n − 1 − N)/N move at minus that speed until all meet in 0 at t = 1."""
    n = 40
    points = (2.0 * np.arange(n)[:, None] + 1.0 - n) / n
    energy = Interaction.power(1.0)
    run = wflow.solve(WassersteinFlow(energy), ParticleMeasure(points), 0.75, "euler", options={"dt": 0.125})
    np.testing.assert_allclose(run.final.points, 0.25 * points, rtol=0, atol=1e-14)


def test_attraction_and_repulsion_settle_at_distance_1():
    """|z|^4/4 − |z|²/2 between two particles is least at |z| = 1."""
    energy = Interaction.power(4.0) + Interaction.power(2.0, -1.0)
    run = wflow.solve(WassersteinFlow(energy), ParticleMeasure([[0.0, 0.0], [0.1, 0.2]]), 40.0, rtol=1e-8, atol=1e-10)
    assert math.dist(*run.final.points) == pytest.approx(1.0, abs=1e-7)


def test_same_bits_however_many_threads():
    measure, energy = cloud(0, 3000, 2), Interaction.power(3.0)
    found = []
    try:
        for threads in (1, 2):
            _jit.set_threads(threads)
            found.append(energy.evaluate(measure))
    finally:
        _jit.set_threads(2**10)
    assert found[0].value == found[1].value
    np.testing.assert_array_equal(found[0].velocity, found[1].velocity)


# --- grids ---


def random_grid(seed, shape, *, uniform=True):
    rng = np.random.default_rng(seed)
    axes = [np.linspace(-0.7 * k - 1.0, 1.3, n + 1) if uniform else np.cumsum(0.3 + rng.random(n + 1)) for k, n in enumerate(shape)]
    return GridMeasure(axes, rng.dirichlet(np.full(math.prod(shape), 20.0)).reshape(shape))


def bowl(z):
    """A polynomial of degree 4, whose mean over a box about 0 is known."""
    return 1.0 + z.sum(axis=1) ** 2 / 2.0 + z[:, 0] ** 4


@pytest.mark.parametrize("uniform", [True, False])
@pytest.mark.parametrize("shape", [(9,), (1,), (4, 5), (3, 2, 3), (2, 1, 2, 2)])
def test_cells_are_the_double_sum(shape, uniform):
    """Centre by centre; of a cell with itself the mean over the box of its widths h: 1 + |h|²/24 + h_0⁴/80."""
    grid, energy = random_grid(1, shape, uniform=uniform), Interaction(bowl)
    x, masses = grid.points, grid.masses.ravel()
    widths = np.stack([w.ravel() for w in np.meshgrid(*grid.widths, indexing="ij")], axis=1)
    own = 1.0 + np.square(widths).sum(axis=1) / 24.0 + widths[:, 0] ** 4 / 80.0
    pairs = np.array([[bowl((there - here)[None])[0] for here in x] for there in x])
    np.fill_diagonal(pairs, own)
    expected = pairs @ masses
    found = energy.cells(grid)
    assert found.shape == shape
    np.testing.assert_allclose(found.ravel(), expected, rtol=1e-12)
    assert energy.value(grid) == pytest.approx(masses @ expected / 2.0, rel=1e-12)


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), shape=st.lists(st.integers(1, 9), min_size=1, max_size=3), p=st.sampled_from([1.0, 2.5, 4.0, None]))
def test_transform_is_the_direct_sum(seed, shape, p):
    grid, energy = random_grid(seed, shape), Interaction(skew) if p is None else Interaction.power(p)
    assert _uniform(grid)
    direct = energy._by_sums(grid)
    np.testing.assert_allclose(energy.cells(grid), direct, rtol=0, atol=1e-12 * max(1.0, np.abs(direct).max()))


def test_transform_is_made_anew_for_another_grid():
    energy, grids = Interaction(skew), [random_grid(0, (5, 4)), random_grid(0, (4, 5))]
    grids.append(GridMeasure([2.0 * edges for edges in grids[1].axes], grids[1].masses))
    for grid in [*grids, grids[0]]:
        np.testing.assert_allclose(energy.cells(grid), energy._by_sums(grid), rtol=0, atol=1e-14)


def gaussian_grid(n, d, sigma):
    edges = np.linspace(-8.0 * sigma, 8.0 * sigma, n + 1)
    masses = line = np.diff(erf(edges / (sigma * math.sqrt(2.0)))) / 2.0
    for _ in range(d - 1):
        masses = np.multiply.outer(masses, line)
    return GridMeasure([edges] * d, masses / masses.sum())


S = 0.5  # standard deviation of the Gaussians below


def mean_distance_on_the_line(r):
    return r * erf(r / S / math.sqrt(2.0)) + S * math.sqrt(2.0 / math.pi) * np.exp(-r * r / 2.0 / S**2)


def mean_distance_in_the_plane(r):
    return S * math.sqrt(math.pi / 2.0) * hyp1f1(-0.5, 1.0, -r * r / 2.0 / S**2)


def mean_logarithm_in_the_plane(r):
    return np.log(r) + exp1(r * r / 2.0 / S**2) / 2.0


KINKS = {  # d, W, W * ν at distance r from the centre of a Gaussian, sizes
    "|z| on the line": (1, Interaction.power(1.0), mean_distance_on_the_line, (64, 128, 256)),
    "|z| in the plane": (2, Interaction.power(1.0), mean_distance_in_the_plane, (32, 64, 128)),
    "log |z| in the plane": (2, Interaction(lambda z: np.log(np.square(z).sum(axis=1)) / 2.0), mean_logarithm_in_the_plane, (64, 96, 128)),
}


@pytest.mark.parametrize("kind", KINKS)
def test_order_2_where_the_kernel_has_a_kink(kind):
    """W * ν and its differences between cells, which are what moves mass, against the closed form."""
    d, energy, exact, sizes = KINKS[kind]
    errors = []
    for n in sizes:
        grid = gaussian_grid(n, d, S)
        distance = np.sqrt(np.square(grid.points).sum(axis=1)).reshape(grid.shape)
        error = energy.cells(grid) - exact(distance)
        errors.append([np.abs(error).max(), np.abs(np.diff(error, axis=0)).max() / grid.widths[0][0]])
    slopes = -np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    np.testing.assert_allclose(slopes, 2.0, rtol=0, atol=0.15)


@given(seed=st.integers(0, 2**32 - 1), uniform=st.booleans())
def test_value_varies_as_its_cells(seed, uniform):
    """Central differences in the masses, exact for a quadratic."""
    grid, energy = random_grid(seed, (4, 3), uniform=uniform), Interaction.power(1.5)
    cells, step = energy.cells(grid), grid.masses.min() / 2.0
    values = []
    for sign in (1.0, -1.0):
        masses = grid.masses.copy()
        masses[1, 2] += sign * step
        masses[3, 0] -= sign * step
        values.append(energy.value(GridMeasure(grid.axes, masses)))
    assert (values[0] - values[1]) / (2.0 * step) == pytest.approx(cells[1, 2] - cells[3, 0], rel=0, abs=1e-13 / step)


def test_grids_far_away_are_uniform_too():
    assert _uniform(GridMeasure([1e6 + np.linspace(0.0, 1.0, 101)], np.full(100, 0.01)))
    assert not _uniform(GridMeasure([np.array([0.0, 1.0, 2.0 + 1e-9])], [0.5, 0.5]))


MEASURE, GRID = cloud(0), random_grid(0, (3,))


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda: Interaction(2.0), TypeError, r"^kernel must be a function of displacements \(K, d\); got 2.0$"),
    (lambda: Interaction(skew, 1.0), TypeError, r"^gradient must be a function of displacements \(K, d\); got 1.0$"),
    (lambda: Interaction(lambda z: z.sum(axis=1)).value(MEASURE), ValueError, r"^kernel must be even, W\(z\) = W\(−z\); got .* at z = ±\["),
    (lambda: Interaction(lambda z: z[:, 0]).cells(GRID), ValueError, "^kernel must be even"),
    (lambda: Interaction(lambda z: z, skew_gradient).velocity(MEASURE), ValueError, r"^kernel\(displacements\) must have shape \(4,\)"),
    (lambda: Interaction(skew).velocity(MEASURE), ValueError, "^gradient must be given for particles to move; got None$"),
    (lambda: Interaction(skew, skew).velocity(MEASURE), ValueError, r"^gradient\(displacements\) must have shape \(25, 3\); got \(25,\)$"),
    (lambda: Interaction(skew).velocity(GRID), TypeError, "^measure must be a ParticleMeasure; got GridMeasure"),
    (lambda: Interaction(skew).value(1.0), TypeError, "^measure must be a ParticleMeasure or a GridMeasure; got 1.0$"),
    (lambda: Interaction(skew).cells(MEASURE), TypeError, "^grid must be a GridMeasure; got ParticleMeasure"),
    (lambda: Interaction(skew).first_variation(MEASURE, np.ones((2, 2))), ValueError, r"^points must have shape \(any, 3\); got \(2, 2\)$"),
    (lambda: Interaction.power(2.0).evaluate(GRID), TypeError, "^measure must be a ParticleMeasure; got GridMeasure"),
    (lambda: Interaction.power(0.5), ValueError, "^exponent must be a finite number at least 1; got 0.5$"),
    (lambda: Interaction.power(2.0, "1"), TypeError, "^coefficient must be a finite number; got '1'$"),
])  # fmt: skip
def test_refuses(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_repr():
    assert repr(Interaction.power(3)) == "Interaction.power(exponent=3.0, coefficient=1.0)"
