"""Measures on grids: moments, densities and conversions against loops over cells and against closed forms."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from wflow.measures import GridMeasure, ParticleMeasure
from wflow.measures.laws import Normal, Point, Product, Sphere, Uniform


def made(shape, seed=0, empty=0.0):
    """A measure on a grid of uneven cells, a share of them empty."""
    rng = np.random.default_rng(seed)
    axes = [np.cumsum(np.concatenate([[rng.normal()], rng.uniform(0.2, 1.5, n)])) for n in shape]
    masses = rng.random(shape) * (rng.random(shape) >= empty)
    masses.flat[rng.integers(masses.size)] += 1.0
    return GridMeasure(axes, masses / masses.sum())


shapes = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)
grids = st.builds(made, shapes, st.integers(0, 10**6), st.sampled_from([0.0, 0.5]))


def cells(grid):
    """Of every cell its index, its corner, its widths and its mass, one by one."""
    for index in np.ndindex(*grid.shape):
        low = np.array([edges[i] for edges, i in zip(grid.axes, index, strict=True)])
        high = np.array([edges[i + 1] for edges, i in zip(grid.axes, index, strict=True)])
        yield index, low, high - low, grid.masses[index]


# --- what it is


def test_edges_centres_widths_and_volumes():
    grid = GridMeasure(([0.0, 1.0, 3.0], [-1.0, 0.0, 0.5, 1.0]), np.full((2, 3), 1 / 6))
    assert (grid.dimension, grid.shape, grid.size) == (2, (2, 3), 6)
    assert [centres.tolist() for centres in grid.centres] == [[0.5, 2.0], [-0.5, 0.25, 0.75]]
    assert [widths.tolist() for widths in grid.widths] == [[1.0, 2.0], [1.0, 0.5, 0.5]]
    assert grid.volumes.tolist() == [[1.0, 0.5, 0.5], [2.0, 1.0, 1.0]]
    assert grid.points.tolist() == [[0.5, -0.5], [0.5, 0.25], [0.5, 0.75], [2.0, -0.5], [2.0, 0.25], [2.0, 0.75]]
    np.testing.assert_allclose(grid.density, grid.masses / grid.volumes, rtol=1e-15)
    assert repr(grid) == "GridMeasure(2 x 3 cells)"


def test_evenly_spaced_centres_are_turned_into_edges():
    grid = GridMeasure([[0.25, 0.75], [-1.0, 0.0, 1.0, 2.0]], np.full((2, 3), 1 / 6))
    np.testing.assert_allclose(grid.axes[0], [0.0, 0.5, 1.0], rtol=0, atol=1e-15)
    assert grid.axes[1].tolist() == [-1.0, 0.0, 1.0, 2.0]  # one number more than cells: edges
    np.testing.assert_allclose(grid.centres[0], [0.25, 0.75], rtol=1e-15)


def test_masses_are_kept_as_they_are():
    masses = np.array([0.25, 0.0, 0.75 + 1e-10])
    np.testing.assert_array_equal(GridMeasure([[0, 1, 2, 3]], masses).masses, masses)


@given(grids)
def test_moments_by_loops(grid):
    """Mean and covariance of the density that is constant on every cell: x has second moment c² + h²/12 on a cell of width h."""
    d = grid.dimension
    mean, second = np.zeros(d), np.zeros((d, d))
    for _, low, width, mass in cells(grid):
        centre = low + width / 2
        mean += mass * centre
        second += mass * (np.outer(centre, centre) + np.diag(width**2 / 12))
    np.testing.assert_allclose(grid.mean(), mean, rtol=0, atol=1e-13)
    np.testing.assert_allclose(grid.covariance(), second - np.outer(mean, mean), rtol=0, atol=1e-12)


@given(grids)
def test_entropy_by_loops(grid):
    expected = -sum(mass * math.log(mass / width.prod()) for _, _, width, mass in cells(grid) if mass > 0.0)
    assert grid.entropy() == pytest.approx(expected, rel=1e-13, abs=1e-13)


def test_entropy_of_a_far_tail():
    """A mass so small that its density underflows to 0 still counts (next to) nothing."""
    grid = GridMeasure([[0.0, 1.0, 1001.0]], [1.0, 5e-324])
    assert grid.density[1] == 0.0
    assert 0.0 <= grid.entropy() < 1e-300


@given(grids, st.data())
def test_marginals_by_loops(grid, data):
    axes = data.draw(st.sets(st.integers(0, grid.dimension - 1), min_size=1).map(sorted))
    found = grid.marginal(*axes)
    expected = np.zeros([grid.shape[k] for k in axes])
    for index, _, _, mass in cells(grid):
        expected[tuple(index[k] for k in axes)] += mass
    np.testing.assert_allclose(found.masses, expected, rtol=0, atol=1e-15)
    assert all(found.axes[i] is grid.axes[k] for i, k in enumerate(axes))
    np.testing.assert_allclose(found.mean(), grid.mean()[axes], rtol=0, atol=1e-14)
    np.testing.assert_allclose(found.covariance(), grid.covariance()[np.ix_(axes, axes)], rtol=0, atol=1e-13)


def test_covariance_far_from_the_origin_does_not_cancel():
    assert GridMeasure([[1e8, 1e8 + 1.0, 1e8 + 2.0]], [0.5, 0.5]).covariance()[0, 0] == pytest.approx(1 / 3, rel=1e-7)


def test_is_frozen_and_travels():
    grid = made((2, 3))
    with pytest.raises(AttributeError):
        grid.masses = np.zeros((2, 3))
    other = pickle.loads(pickle.dumps(grid))
    np.testing.assert_array_equal(other.masses, grid.masses)
    assert all(np.array_equal(a, b) for a, b in zip(other.axes, grid.axes, strict=True))


# --- from a law, from a density


def test_masses_of_a_law_are_those_of_its_distribution_functions():
    law = Product((Normal(0.3, 2.0), Uniform(-1.0, 0.5)))
    axes = (np.linspace(-9.0, 9.0, 14), np.array([-2.0, -0.9, 0.1, 0.4, 1.0]))
    first = np.diff(scipy.stats.norm(0.3, 2.0**0.5).cdf(axes[0]))
    second = np.diff(scipy.stats.uniform(-1.0, 1.5).cdf(axes[1]))
    np.testing.assert_allclose(GridMeasure.from_law(axes, law).masses, np.outer(first, second), rtol=1e-9, atol=1e-16)


def test_what_lies_outside_is_left_out_and_the_rest_scaled_up():
    law, axes = Product((Normal(),)), [np.linspace(-2.0, 2.0, 9)]
    lost = 2 * scipy.stats.norm.sf(2.0)
    with pytest.raises(ValueError, match=r"^axes must hold all but 0\.001 of the law's mass; 0\.0455 of it lies outside$"):
        GridMeasure.from_law(axes, law)
    found = GridMeasure.from_law(axes, law, outside=0.05)
    assert found.masses.sum() == pytest.approx(1.0, abs=1e-15)
    np.testing.assert_allclose(found.masses, np.diff(scipy.stats.norm.cdf(axes[0])) / (1.0 - lost), rtol=1e-13)


@pytest.mark.parametrize(("value", "cell"), [(0.25, 0), (0.5, 0), (0.6, 1), (1.0, 1)])
def test_a_point_fills_one_cell_and_on_an_edge_the_one_below(value, cell):
    for factor in (Point(value), Normal(value, 0.0)):
        masses = GridMeasure.from_law([[0.0, 0.5, 1.0]], Product((factor,))).masses
        assert masses.tolist() == np.eye(2)[cell].tolist()


def test_a_law_of_ones_own():
    class Triangle:
        """Density 2x on [0, 1]."""

        def draw(self, n, rng):
            return np.sqrt(rng.random(n))

        def distribution(self, x):
            return np.clip(x, 0.0, 1.0) ** 2

    class Falling(Triangle):
        def distribution(self, x):
            return 1.0 - np.asarray(x)

    grid = GridMeasure.from_law([np.linspace(0.0, 1.0, 5)], Product((Triangle(),)))
    np.testing.assert_allclose(grid.masses, np.array([1, 3, 5, 7]) / 16, rtol=1e-15)
    with pytest.raises(ValueError, match=r"^factors\[0\]\.distribution\(x\) must not decrease; got a step of -0\.5$"):
        GridMeasure.from_law([[0.0, 0.5, 1.0]], Product((Falling(),)))


@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_a_polynomial_density_is_integrated_exactly(d):
    """4 Gauss nodes a cell and axis: exact to degree 7 in each coordinate; the integral of x^7 + 1 is x^8/8 + x."""
    axes = [np.array([0.0, 0.3, 0.4, 1.0])[: 4 - k % 2] for k in range(d)]
    grid = GridMeasure.from_density(axes, lambda x: 3.0 * np.prod(x**7 + 1.0, axis=1))
    masses = np.ones(())
    for edges in axes:
        masses = np.multiply.outer(masses, np.diff(edges**8 / 8 + edges))
    np.testing.assert_allclose(grid.masses, masses / masses.sum(), rtol=1e-14)


def test_more_nodes_integrate_better():
    axes, exact = [np.linspace(-6.0, 6.0, 7)], Product((Normal(),))
    errors = [np.abs(GridMeasure.from_density(axes, lambda x: np.exp(-(x[:, 0] ** 2) / 2), nodes=n).masses
                     - GridMeasure.from_law(axes, exact).masses).max() for n in (1, 2, 4, 8)]  # fmt: skip
    assert errors[0] > 10 * errors[1] > 100 * errors[2] > 1e4 * errors[3]


# --- from and to particles


@given(grids, st.integers(0, 10**6), st.integers(1, 30))
def test_deposit_by_loops(grid, seed, n):
    """Each particle's weight goes to the corners of the box of centres around it, by the volume opposite."""
    rng = np.random.default_rng(seed)
    low, high = np.array([e[0] for e in grid.axes]), np.array([e[-1] for e in grid.axes])
    cloud = ParticleMeasure(rng.uniform(low, high, (n, grid.dimension)), rng.dirichlet(np.ones(n)))
    expected = np.zeros(grid.shape)
    for x, p in zip(cloud.points, cloud.weights, strict=True):
        for index in np.ndindex(*grid.shape):
            hats = [np.interp(xk, c, np.arange(len(c)) == i) for xk, c, i in zip(x, grid.centres, index, strict=True)]
            expected[index] += p * math.prod(hats)
    found = GridMeasure.deposit(grid.axes, cloud)
    np.testing.assert_allclose(found.masses, expected, rtol=0, atol=1e-14)
    assert found.masses.sum() == pytest.approx(1.0, abs=1e-14)


@given(st.integers(0, 10**6), st.integers(1, 3))
def test_deposit_keeps_the_mean_inside_and_adds_little_variance(seed, d):
    rng = np.random.default_rng(seed)
    axes = [np.cumsum(np.concatenate([[-3.0], rng.uniform(0.2, 1.5, 6)])) for _ in range(d)]
    inner = [((e[0] + e[1]) / 2, (e[-2] + e[-1]) / 2) for e in axes]
    cloud = ParticleMeasure(np.stack([rng.uniform(a, b, 50) for a, b in inner], axis=1), rng.dirichlet(np.ones(50)))
    grid = GridMeasure.deposit(axes, cloud)
    np.testing.assert_allclose(grid.mean(), cloud.mean(), rtol=0, atol=1e-13)
    added = np.diag(grid.covariance()) - np.diag(cloud.covariance())
    steps = np.array([np.diff((e[1:] + e[:-1]) / 2).max() for e in axes])
    widths = np.array([np.diff(e).max() for e in axes])
    assert (added >= 0.0).all()
    assert (added <= steps**2 / 4 + widths**2 / 12 + 1e-13).all()


@pytest.mark.parametrize(("x", "masses"), [
    (0.0, [1, 0, 0]), (0.5, [1, 0, 0]), (1.0, [0.5, 0.5, 0]), (1.5, [0, 1, 0]), (2.25, [0, 0.25, 0.75]), (2.5, [0, 0, 1]), (3.0, [0, 0, 1]),
])  # fmt: skip
def test_deposit_at_edges_and_centres(x, masses):
    assert GridMeasure.deposit([[0.0, 1.0, 2.0, 3.0]], ParticleMeasure([[x]])).masses.tolist() == masses


def test_deposit_into_one_cell():
    cloud = ParticleMeasure(np.random.default_rng(0).uniform(-1.0, 1.0, (9, 4)))
    assert GridMeasure.deposit([[-1.0, 1.0]] * 4, cloud).masses == pytest.approx(1.0, abs=1e-15)


def test_quadrature_is_the_centres_with_the_masses():
    grid = made((3, 4), empty=0.5)
    cloud = grid.quadrature()
    assert cloud.size == 12  # empty cells too: first variations come back in the shape of the grid
    assert np.shares_memory(cloud.weights, grid.masses)
    np.testing.assert_array_equal(cloud.points.reshape(3, 4, 2)[2, 1], [grid.centres[0][2], grid.centres[1][1]])
    np.testing.assert_allclose(cloud.mean(), grid.mean(), rtol=0, atol=1e-14)


@given(grids)
def test_quadrature_deposits_back_to_the_same_masses(grid):
    back = GridMeasure.deposit(grid.axes, grid.quadrature())
    np.testing.assert_allclose(back.masses, grid.masses, rtol=0, atol=1e-15)


@given(grids, st.integers(0, 10**6))
def test_samples_lie_in_cells_with_mass(grid, seed):
    points = grid.sample(200, seed).points
    where = tuple(np.searchsorted(e, x, side="right") - 1 for e, x in zip(grid.axes, points.T, strict=True))
    assert (grid.masses[where] > 0.0).all()
    np.testing.assert_array_equal(grid.sample(200, seed).points, points)
    assert not np.array_equal(grid.sample(200, seed + 1).points, points)


def test_samples_follow_the_measure():
    """Every marginal against its piecewise linear distribution function; the p-value is that of a fixed seed."""
    grid = made((4, 3, 2), seed=3, empty=0.3)
    points = grid.sample(20_000, 1).points
    for k in range(3):
        reached = np.concatenate([[0.0], np.cumsum(grid.marginal(k).masses)])
        test = scipy.stats.kstest(points[:, k], lambda x, k=k, reached=reached: np.interp(x, grid.axes[k], reached))
        assert test.pvalue > 0.01
    np.testing.assert_allclose(np.cov(points.T), grid.covariance(), rtol=0, atol=5 * np.ptp(points) ** 2 / 4 / 20_000**0.5)


def test_samples_take_any_seed_and_a_generator_moves_on():
    grid = made((3,))
    np.testing.assert_array_equal(grid.sample(5, 7).points, grid.sample(5, np.random.SeedSequence(7)).points)
    rng = np.random.default_rng(7)
    np.testing.assert_array_equal(grid.sample(5, rng).points, grid.sample(5, 7).points)
    assert not np.array_equal(grid.sample(5, rng).points, grid.sample(5, 7).points)


# --- what is refused

ONE = [0.0, 1.0, 2.0]


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda: GridMeasure([ONE], [0.5, 0.6]), ValueError, r"^masses must sum to 1; got 1\.1$"),
    (lambda: GridMeasure([ONE, ONE], [[0.5, 0.6], [0.1, -0.2]]), ValueError, r"^masses must be at least 0; got -0\.2 at \[1, 1\]$"),
    (lambda: GridMeasure([ONE], [np.nan, 1.0]), ValueError, r"^masses must be finite; got nan at \[0\]$"),
    (lambda: GridMeasure([ONE], "ab"), TypeError, "^masses must be an array of real numbers; got 'ab'$"),
    (lambda: GridMeasure([], 1.0), ValueError, r"^masses must have 1 to 4 dimensions of one cell or more; got shape \(\)$"),
    (lambda: GridMeasure([[0.0]], []), ValueError, r"^masses must have 1 to 4 dimensions .*; got shape \(0,\)$"),
    (lambda: GridMeasure([ONE] * 5, np.ones((2,) * 5) / 32), ValueError, "^masses must have 1 to 4 dimensions"),
    (lambda: GridMeasure([ONE], np.full((2, 2), 0.25)), ValueError, r"^axes must be one array for each axis .* \(2, 2\); got 1$"),
    (lambda: GridMeasure(ONE, [0.5, 0.5]), ValueError, r"^axes must be one array for each axis .* \(2,\); got 3$"),
    (lambda: GridMeasure(np.array(ONE), [0.5, 0.5]), TypeError, r"^axes must be a tuple or list of arrays.*; got array\("),
    (lambda: GridMeasure([[0, 1, 2, 3]], [0.5, 0.5]), ValueError, r"^axes\[0\] must be 3 edges or 2 centres of cells; got 4 numbers$"),
    (lambda: GridMeasure([[0.5]], [1.0]), ValueError, r"^axes\[0\] must be 2 edges of cells; got 1 number$"),
    (lambda: GridMeasure([ONE, [0, 2, 1]], np.full((2, 2), 0.25)), ValueError, r"^axes\[1\] must increase; got a step of -1$"),
    (lambda: GridMeasure([[0.0, 1.0, 1.0]], [0.5, 0.5]), ValueError, r"^axes\[0\] must increase; got a step of 0$"),
    (lambda: GridMeasure([[0.0, np.inf, 1.0]], [0.5, 0.5]), ValueError, r"^axes\[0\] must be finite; got inf at \[1\]$"),
    (lambda: GridMeasure([[0.0, 1.0, 3.0]], [0.2, 0.3, 0.5]), ValueError, r"^axes\[0\] must be edges where cells differ in width"),
    (lambda: made((2, 2)).marginal(), ValueError, r"^axes must be one or more of 0 to 1, increasing; got \(\)$"),
    (lambda: made((2, 2)).marginal(1, 0), ValueError, r"increasing; got \(1, 0\)$"),
    (lambda: made((2, 2)).marginal(2), ValueError, r"got \(2,\)$"),
    (lambda: made((2, 2)).marginal(0.5), TypeError, "^axes must be an integer"),
    (lambda: GridMeasure.from_density([ONE], 1.0), TypeError, r"^density must be a function \(K, d\) -> \(K,\); got 1\.0$"),
    (lambda: GridMeasure.from_density([ONE], lambda x: x), ValueError, r"^density\(points\) must have shape \(2,\); got \(2, 1\)$"),
    (lambda: GridMeasure.from_density([ONE], lambda x: x[:, 0] - 5), ValueError, r"^density\(points\) must be at least 0; got -4\."),
    (lambda: GridMeasure.from_density([ONE], lambda x: 0 * x[:, 0]), ValueError, "^density must be positive somewhere on the grid"),
    (lambda: GridMeasure.from_density([ONE], lambda x: x[:, 0], nodes=0), ValueError, "^nodes must be an integer of at least 1; got 0$"),
    (lambda: GridMeasure.from_density([], len), ValueError, "^axes must be 1 to 4 arrays of edges; got 0$"),
    (lambda: GridMeasure.from_density([[1.0]], len), ValueError, r"^axes\[0\] must be 2 edges of cells; got 1 number$"),
    (lambda: GridMeasure.from_density([[]], len), ValueError, r"^axes\[0\] must be 2 edges of cells; got 0 numbers$"),
    (lambda: GridMeasure.from_density([np.arange(1e5)] * 4, len), ValueError, "^axes must be small enough .*; got '99999 x"),
    (lambda: GridMeasure.from_law([ONE], Product((Normal(), Normal()))), TypeError, "^law must be a Product of 1 factors"),
    (lambda: GridMeasure.from_law([ONE, ONE], Product((Sphere(2),))), TypeError, "^law must be a Product of 2 factors with a distribution"),
    (lambda: GridMeasure.from_law([ONE], Normal()), TypeError, r"^law must be a Product .*; got Normal\("),
    (lambda: GridMeasure.from_law([ONE], Product((Normal(),)), outside=1.0), ValueError, "^outside must be a finite number"),
    (lambda: GridMeasure.deposit([ONE], np.zeros((3, 1))), TypeError, "^measure must be a ParticleMeasure; got array"),
    (lambda: GridMeasure.deposit([ONE], ParticleMeasure(np.zeros((3, 2)))), ValueError, "^measure must have 1 coordinates.*; got 2$"),
    (lambda: GridMeasure.deposit([ONE], ParticleMeasure([[1.0], [2.5]])), ValueError, r"^measure must lie .*; particle 1 is at \[2\.5\]$"),
    (lambda: made((2,)).sample(0, 1), ValueError, "^n must be an integer of at least 1; got 0$"),
    (lambda: made((2,)).sample(3, -1), ValueError, "^seed must be an integer of at least 0; got -1$"),
    (lambda: made((2,)).sample(3, "x"), TypeError, "^seed must be an integer of at least 0; got 'x'$"),
])  # fmt: skip
def test_refuses(make, error, message):
    with pytest.raises(error, match=message):
        make()
