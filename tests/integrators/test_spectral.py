"""The nonlinear power iteration."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wflow.integrators.spectral import power_iteration


def symmetric(seed, n, radius=3.0):
    rng = np.random.default_rng(seed)
    Q, _ = np.linalg.qr(rng.standard_normal((n, n)))
    spectrum = -radius * rng.random(n) ** 2
    spectrum[0] = -radius
    return (Q * spectrum) @ Q.T, rng.standard_normal(n), rng.standard_normal(n)


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.floats(1e-3, 1e3))
@settings(max_examples=30)
def test_from_below_and_close(seed, n, radius):
    """Never above the radius of a symmetric matrix; calls that start from the last vector come closer each time."""
    A, y, v = symmetric(seed, n, radius)
    seen = power_iteration(lambda z: A @ z, y, A @ y, v, 1e-3, 50)
    first = estimate = seen.radius
    assert 0.6 * radius < first < radius * (1 + 1e-8)
    for _ in range(60):
        seen = power_iteration(lambda z: A @ z, y, A @ y, seen.vector, 1e-3, 5, estimate)
        estimate = seen.radius
        assert seen.angle == 0.0
    assert max(first, 0.9 * radius) * (1 - 1e-8) < estimate < radius * (1 + 1e-8)


def test_a_warm_start_costs_one_evaluation():
    A, y, v = symmetric(1, 30)
    first = power_iteration(lambda z: A @ z, y, A @ y, v, 1e-3, 50)
    calls = []
    again = power_iteration(lambda z: calls.append(0) or A @ z, y, A @ y, first.vector, 1e-3, 5, first.radius)
    assert len(calls) == 1
    assert again.radius == pytest.approx(first.radius, rel=0.05)


def test_iterations_are_bounded():
    """A field of noise has no slope; the last ratio is taken."""
    rng, calls = np.random.default_rng(0), []

    def noise(z):
        calls.append(0)
        return rng.standard_normal(9) * 10.0 ** len(calls)

    estimate = power_iteration(noise, np.zeros(9), np.zeros(9), np.ones(9), 1.0, 7)
    assert len(calls) == 7
    assert np.isfinite(estimate.radius)


@pytest.mark.parametrize(("value", "estimate"), [(np.nan, 2.5), (np.inf, 2.5), (0.0, 0.0)])
def test_a_direction_that_tells_nothing_is_kept(value, estimate):
    y, v = np.ones(4), np.array([1.0, 2.0, 0.0, -1.0])
    seen = power_iteration(lambda z: np.full(4, value), y, np.zeros(4), v, 1e-3, 9, 2.5, 0.3)
    assert (seen.radius, seen.angle) == (estimate, 0.3)
    np.testing.assert_allclose(seen.vector / seen.vector[0], [1.0, 2.0, 0.0, -1.0], atol=1e-9)


def pair(degrees, radius, n=12, seed=0, skew=0.0):
    """A matrix whose dominant eigenvalues are a pair at that angle from the negative real axis, beside real ones down to half of it."""
    rng = np.random.default_rng(seed)
    J = np.diag(-0.5 * radius * rng.random(n))
    angle = np.radians(degrees)
    J[0, 0] = J[1, 1] = -radius * np.cos(angle)
    J[0, 1], J[1, 0] = -radius * np.sin(angle), radius * np.sin(angle)
    S = np.linalg.qr(rng.standard_normal((n, n)))[0] + skew * rng.standard_normal((n, n)) / np.sqrt(n)
    return S @ J @ np.linalg.inv(S), rng.standard_normal(n), rng.standard_normal(n)


@pytest.mark.parametrize("skew", [0.0, 0.5])
@pytest.mark.parametrize("radius", [1e-3, 1.0, 1e4])
@pytest.mark.parametrize("degrees", [5, 10, 30, 60, 85, 90, 100, 150])
def test_a_dominant_pair_is_told(degrees, radius, skew):
    J, y, v = pair(degrees, radius, skew=skew)
    seen = power_iteration(lambda z: J @ z, y, J @ y, v, 1e-3, 50)
    assert seen.radius == pytest.approx(radius, rel=0.2)
    assert degrees < 30 or np.degrees(seen.angle) == pytest.approx(degrees, abs=8.0)
    for _ in range(8):
        seen = power_iteration(lambda z: J @ z, y, J @ y, seen.vector, 1e-3, 5, seen.radius, seen.angle, 2)
    assert seen.radius == pytest.approx(radius, rel=0.01)
    assert np.degrees(seen.angle) == pytest.approx(degrees, abs=0.5)


def test_a_known_pair_costs_two_evaluations():
    J, y, v = pair(40, 3.0)
    seen, calls = power_iteration(lambda z: J @ z, y, J @ y, v, 1e-3, 50), []
    power_iteration(lambda z: calls.append(0) or J @ z, y, J @ y, seen.vector, 1e-3, 5, seen.radius, seen.angle, 2)
    assert len(calls) == 2


@pytest.mark.parametrize(("re", "im"), [(-1.0, 10.0), (0.0, 10.0), (-7.0, 7.0)])
def test_a_pair_whose_plane_is_all_there_is(re, im):
    """The companion matrix of x'' - 2 re x' + |λ|² x = 0, where |J v|/|v| swings between 1 and |λ|²: two evaluations are exact."""
    size, calls = np.hypot(re, im), []
    J = np.array([[0.0, 1.0], [-(size**2), 2.0 * re]])
    seen = power_iteration(lambda z: calls.append(0) or J @ z, np.zeros(2), np.zeros(2), np.array([1.0, 0.3]), 1e-3, 50)
    assert len(calls) == 2
    assert seen.radius == pytest.approx(size, rel=1e-9)
    assert seen.angle == pytest.approx(np.arccos(-re / size), rel=1e-9)


@given(st.integers(0, 2**32 - 1), st.integers(2, 30), st.floats(0.0, 1.0))
@settings(max_examples=60)
def test_symmetric_matrices_never_rotate(seed, n, share):
    """Whatever the start, the signs, and how far the iteration has come; also where δ is lost in rounding."""
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(rng.standard_normal((n, n)))[0]
    A = (Q * np.where(rng.random(n) < share, 1.0, -1.0) * rng.random(n)) @ Q.T
    y, v = rng.standard_normal(n), rng.standard_normal(n)
    for size in (1e-1, 1e-5, 1e-9):
        for iterations in (2, 3, 7, 50):
            assert power_iteration(lambda z: A @ z, y, A @ y, v.copy(), size, iterations).angle == 0.0
