"""W2 of measures on grids: closed forms and brute force on the line; a rigorous bracket on more axes."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wflow.measures import GridMeasure, ParticleMeasure
from wflow.measures.distances import w2
from wflow.measures.distances.cells import spread
from wflow.measures.laws import Normal, Product


def random_grid(rng, n, m=1):
    axes = [np.cumsum(np.concatenate([[rng.normal()], rng.uniform(0.1, 1.0, n)])) for _ in range(m)]
    masses = rng.random([n] * m) * (rng.random([n] * m) < 0.8)
    masses.flat[0] += 0.1
    return GridMeasure(axes, masses / masses.sum())


def refined(grid, parts):
    """The same measure in as many atoms a cell, at the centres of its parts."""
    edges = np.concatenate([np.linspace(a, b, parts, endpoint=False) for a, b in zip(grid.axes[0], grid.axes[0][1:], strict=False)])
    width = np.repeat(grid.widths[0] / parts, parts)
    return ParticleMeasure((edges + width / 2)[:, None], np.repeat(grid.masses / parts, parts))


def quantile_cost(first, second):
    """∫ (F⁻¹ − G⁻¹)² in rational arithmetic: both quantiles are linear between any two partial sums of either."""
    rows = []
    for grid in (first, second):
        masses = [Fraction(m) for m in grid.masses]
        edges = [Fraction(e) for e in grid.axes[0]]
        levels = [sum(masses[:k], Fraction(0)) / sum(masses) for k in range(len(masses) + 1)]
        rows.append([(a, b, s, t) for a, b, s, t in zip(levels, levels[1:], edges, edges[1:], strict=False) if b > a])
    cost = Fraction(0)
    for a, b, s, t in rows[0]:
        for c, d, u, v in rows[1]:
            low, high = max(a, c), min(b, d)
            if low < high:
                ends = [(s + (t - s) * (x - a) / (b - a)) - (u + (v - u) * (x - c) / (d - c)) for x in (low, high)]
                cost += (high - low) * (ends[0] ** 2 + ends[0] * ends[1] + ends[1] ** 2) / 3
    return cost


@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 6))
def test_on_the_line_against_rational_arithmetic(seed, n, k):
    rng = np.random.default_rng(seed)
    mu, nu = random_grid(rng, n), random_grid(rng, k)
    exact = quantile_cost(mu, nu)
    found = w2(mu, nu)
    assert Fraction(found.lower) ** 2 <= exact <= Fraction(found.upper) ** 2
    assert found.value == pytest.approx(math.sqrt(exact), rel=1e-13, abs=1e-14)
    assert (found.method, found.certified) == ("line", True)
    assert found.upper - found.lower < 1e-6  # a square root of roundings, where the measures agree


@given(st.integers(0, 10**6))
def test_a_grid_against_particles_is_the_limit_of_ever_finer_atoms(seed):
    """W2 is within one part's spread, width/(parts √12), of that of the atoms at the parts' centres."""
    rng = np.random.default_rng(seed)
    grid, cloud = random_grid(rng, 4), ParticleMeasure(rng.normal(size=(5, 1)), rng.dirichlet(np.ones(5)))
    for parts in (1, 10, 1000):
        assert w2(grid, cloud).value == pytest.approx(w2(refined(grid, parts), cloud).value, abs=spread(grid) / parts + 1e-13)
    assert w2(cloud, grid).value == pytest.approx(w2(grid, cloud).value, rel=1e-12)


def test_a_cell_against_the_point_at_its_centre():
    cell = GridMeasure([[2.0, 5.0]], [1.0])
    assert w2(cell, ParticleMeasure([[3.5]])).value == pytest.approx(3.0 / math.sqrt(12.0), rel=1e-15)
    assert spread(cell) == pytest.approx(3.0 / math.sqrt(12.0), rel=1e-15)


def test_translates_and_scalings_are_exact_far_from_the_origin():
    grid = random_grid(np.random.default_rng(1), 50)
    moved = GridMeasure([grid.axes[0] + 4.0], grid.masses)
    assert w2(grid, moved).value == pytest.approx(4.0, rel=1e-14)
    doubled = GridMeasure([2.0 * grid.axes[0]], grid.masses)
    assert w2(grid, doubled).value == pytest.approx(math.sqrt(grid.covariance()[0, 0] + grid.mean()[0] ** 2), rel=1e-13)
    far, further = (GridMeasure([1e9 + np.arange(4.0) + a], np.full(3, 1 / 3)) for a in (0.0, 0.5))
    assert w2(far, further).value == pytest.approx(0.5, rel=1e-14)


def test_many_cells():
    """Uniform on [0, 1] against uniform on [0, 2]: ∫ t² dt = 1/3, whatever the cells."""
    mu = GridMeasure([np.linspace(0.0, 1.0, 300_001)], np.full(300_000, 1 / 300_000))
    nu = GridMeasure([np.linspace(0.0, 2.0, 200_001)], np.full(200_000, 1 / 200_000))
    found = w2(mu, nu)
    assert found.value == pytest.approx(math.sqrt(1.0 / 3.0), rel=1e-14)
    assert found.upper - found.lower < 1e-12


def test_the_same_measure_is_at_distance_0():
    rng = np.random.default_rng(0)
    for m in (1, 2):
        grid = random_grid(rng, 3, m)
        found = w2(grid, GridMeasure(list(grid.axes), grid.masses))
        assert (found.value, found.upper, found.method) == (0.0, 0.0, "trivial")


def test_its_own_centres_are_as_far_as_the_cells_are_wide():
    """Nothing is nearer to a cell's centre than the cell; on the line the distance is exact, on the plane it is the upper bound."""
    line, plane = (random_grid(np.random.default_rng(2), 3, m) for m in (1, 2))
    assert w2(line, line.quadrature()).value <= spread(line) * (1 + 1e-14)
    found = w2(plane, plane.quadrature())
    assert (found.value, found.lower) == (0.0, 0.0)
    assert found.upper == pytest.approx(spread(plane), rel=1e-15)


@given(st.integers(0, 10**6))
def test_on_the_plane_the_bracket_holds_whatever_the_spread(seed):
    """Products of the same first marginal: W2 is that of the second ones, known exactly."""
    rng = np.random.default_rng(seed)
    common, mu, nu = (random_grid(rng, 3) for _ in range(3))
    first, second = (GridMeasure([common.axes[0], other.axes[0]], np.outer(common.masses, other.masses)) for other in (mu, nu))
    exact, found = w2(mu, nu), w2(first, second)
    assert found.lower <= exact.upper
    assert exact.lower <= found.upper
    assert found.value == pytest.approx(w2(first.quadrature(), second.quadrature()).value, rel=1e-12)
    apart = spread(first) + spread(second)
    assert [found.lower, found.upper] == pytest.approx([max(found.value - apart, 0.0), found.value + apart], abs=1e-9)


def test_refinement_closes_the_bracket():
    """Gaussians on ever finer grids: the distance of their means, between bounds that close like the width of a cell."""
    found = []
    for n in (8, 16, 32):
        axes = [np.linspace(-5.0, 5.0, n + 1)] * 2
        laws = [Product((Normal(a), Normal())) for a in (-0.6, 0.6)]
        found.append(w2(*(GridMeasure.from_law(axes, law) for law in laws)))
        assert found[-1].lower <= 1.2 <= found[-1].upper
    widths = [result.upper - result.lower for result in found]
    np.testing.assert_allclose(np.array(widths[:-1]) / widths[1:], 2.0, rtol=0.05)


def test_dimensions_must_agree():
    with pytest.raises(ValueError, match="mu and nu must have the same dimension; got 1 and 2"):
        w2(random_grid(np.random.default_rng(0), 3), ParticleMeasure(np.zeros((2, 2))))
