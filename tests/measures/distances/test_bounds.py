"""Bounds on W2²: rigorous on random clouds, exact where theory says so."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wflow.measures.distances import bounds, dense


def clouds(n, k, d, seed, *, weighted=True, shift=0.4):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(n)) if weighted else np.full(n, 1 / n)
    q = rng.dirichlet(np.ones(k)) if weighted else np.full(k, 1 / k)
    return rng.normal(size=(n, d)), p, rng.normal(size=(k, d)) * rng.uniform(0.1, 2.0, d) + shift, q


def root(matrix):
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(values)) @ vectors.T


def gelbrich(x, p, y, q):
    """The formula as it is printed, by matrix square roots."""
    a, b = p @ x, q @ y
    A, B = ((z - m).T @ ((z - m) * w[:, None]) for z, m, w in ((x, a, p), (y, b, q)))
    return ((a - b) ** 2).sum() + np.trace(A) + np.trace(B) - 2.0 * np.trace(root(root(A) @ B @ root(A)))


@given(st.integers(1, 25), st.integers(1, 25), st.integers(1, 4), st.integers(0, 2**32), st.booleans())
def test_bracket_holds_the_exact_distance(n, k, d, seed, weighted):
    pair = clouds(n, k, d, seed, weighted=weighted)
    exact = dense.network_simplex(*pair)
    found = bounds.bracket(*pair, seed=seed % 7)
    assert found.lower <= exact.upper
    assert exact.lower <= found.upper
    assert found.lower <= found.value <= found.upper
    for lower in (bounds.gelbrich_bound(*pair), bounds.frames_bound(*pair)):
        assert lower <= exact.upper


@pytest.mark.parametrize("d", [1, 2, 5])
def test_gelbrich_is_the_printed_formula(d):
    pair = clouds(60, 40, d, d)
    assert bounds.gelbrich_bound(*pair) == pytest.approx(gelbrich(*pair), rel=1e-12)


@pytest.mark.parametrize("d", [2, 3, 6])
def test_gelbrich_is_exact_for_linear_maps(d):
    """The optimal map of a cloud under x -> b + T x, T symmetric and positive, is that map, whatever the cloud's law."""
    rng = np.random.default_rng(d)
    x, p, b = rng.exponential(size=(50, d)), rng.dirichlet(np.ones(50)), rng.normal(size=d)
    factor = rng.normal(size=(d, d))
    T = factor @ factor.T / d + 0.1 * np.eye(d)
    y = b + x @ T
    truth = p @ ((x - y) ** 2).sum(axis=1)
    assert bounds.gelbrich_bound(x, p, y, p) == pytest.approx(truth, rel=1e-11)
    value, upper = bounds.upper_bound(x, p, y, p)  # atom n to atom n
    assert value == pytest.approx(truth, rel=1e-13)
    assert upper == pytest.approx(truth, rel=1e-11)


@pytest.mark.parametrize("d", [1, 3])
def test_rounding_stays_below_the_distance(d):
    """Where both lower bounds are the distance itself, in rational arithmetic: stretched clouds, stretched without rounding."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        half = rng.integers(-64, 64, (32, d)) / 64.0
        x, mass = np.vstack((half, -half)), np.full(64, 1 / 64)
        y = 2.0 * x
        truth = sum(Fraction(entry) ** 2 for entry in x.ravel().tolist()) / 64
        for lower in (bounds.gelbrich_bound(x, mass, y, mass), bounds.frames_bound(x, mass, y, mass)):
            assert Fraction(lower) <= truth
            assert lower == pytest.approx(float(truth), rel=1e-11)


def test_the_frame_of_the_optimal_map_is_at_least_gelbrichs_bound():
    """No random frame is needed for it; a frame that does not know the map misses it by far."""
    rng = np.random.default_rng(5)
    for seed in range(20):
        x, p, y, q = clouds(80, 70, 3, seed)
        y = y @ np.linalg.qr(rng.normal(size=(3, 3)))[0] * 1.5
        frame = bounds._map_frame(bounds._moments(x, p)[1], bounds._moments(y, q)[1])
        np.testing.assert_allclose(frame.T @ frame, np.eye(3), atol=1e-13)
        # The variances along the frame determine the Gaussians' distance there: sum_k (σ_k − s_k)² + |a − b|² is Gelbrich's bound.
        a, b = p @ x, q @ y
        spread = [np.sqrt(w @ ((z - m) @ frame) ** 2) for z, m, w in ((x, a, p), (y, b, q))]
        along = ((a - b) ** 2).sum() + ((spread[0] - spread[1]) ** 2).sum()
        assert along == pytest.approx(gelbrich(x, p, y, q), rel=1e-9)
        assert bounds.frames_bound(x, p, y, q) >= bounds.gelbrich_bound(x, p, y, q) * (1.0 - 1e-9)


def test_frames_see_what_moments_do_not():
    """A two-point law and a Gaussian of the same mean and variance, side by side with a Gaussian factor: moments say 0."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 2))
    y = np.column_stack((np.repeat([-1.0, 1.0], 200), x[:, 1]))
    mass = np.full(400, 1 / 400)
    x -= x.mean(axis=0)
    y -= y.mean(axis=0)
    y[:, 0] *= x[:, 0].std()
    exact = dense.network_simplex(x, mass, y, mass)
    assert bounds.gelbrich_bound(x, mass, y, mass) < 0.1 * exact.value
    assert bounds.frames_bound(x, mass, y, mass) > 0.8 * exact.value


def test_single_directions_of_a_skewed_frame_would_not_do():
    """Sums over directions that are not orthonormal exceed the distance: the check that ``frames_bound`` must pass is not empty."""
    x, p, y, q = clouds(50, 50, 2, 1)
    from wflow.measures.distances import line

    exact = dense.network_simplex(x, p, y, q)
    shift = q @ y - p @ x
    axis = shift / np.linalg.norm(shift)
    assert 2.0 * line.squared(x @ axis, p, y @ axis, q).value > exact.upper


def test_flat_clouds():
    """Singular covariances, in directions that differ: still bounds, and finite."""
    t = np.linspace(-1.0, 1.0, 30)
    p = np.full(30, 1 / 30)
    x, y = np.column_stack((t, 0 * t, 0 * t)), np.column_stack((0 * t, t, 0 * t))
    exact = dense.network_simplex(x, p, y, p)
    found = bounds.bracket(x, p, y, p)
    assert found.lower <= exact.upper
    assert exact.lower <= found.upper
    assert found.lower == pytest.approx(exact.value, rel=1e-9)  # orthogonal lines: every coupling costs the sum of the variances


def test_a_plan_that_lacks_mass_pays_the_diameter():
    x, p, y, q = clouds(10, 10, 2, 0, weighted=False)
    index = np.arange(10)
    cost, full = bounds.plan_cost(x, p, y, q, index, index, p)
    assert cost == pytest.approx(p @ ((x - y) ** 2).sum(axis=1), rel=1e-14)
    assert cost < full < cost * (1 + 1e-12)
    short, upper = bounds.plan_cost(x, p, y, q, index[1:], index[1:], p[1:])
    assert short < cost
    assert upper == pytest.approx(short + 0.2 * bounds.diameter_squared(x, y), rel=1e-12)
    assert upper > full


def test_diameter_covers_every_pair():
    x, _, y, _ = clouds(20, 30, 3, 4)
    assert bounds.diameter_squared(x, y) >= max(((a - b) ** 2).sum() for a in x for b in y)


def test_same_seed_same_bits():
    pair = clouds(100, 120, 3, 9)
    assert bounds.bracket(*pair, seed=4) == bounds.bracket(*pair, seed=4)
