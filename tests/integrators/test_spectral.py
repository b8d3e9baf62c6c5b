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
    first = estimate = power_iteration(lambda z: A @ z, y, A @ y, v, 1e-3, 50)
    assert 0.6 * radius < first < radius * (1 + 1e-8)
    for _ in range(60):
        estimate = power_iteration(lambda z: A @ z, y, A @ y, v, 1e-3, 5, estimate)
    assert max(first, 0.9 * radius) * (1 - 1e-8) < estimate < radius * (1 + 1e-8)


def test_a_warm_start_costs_one_evaluation():
    A, y, v = symmetric(1, 30)
    first = power_iteration(lambda z: A @ z, y, A @ y, v, 1e-3, 50)
    calls = []
    again = power_iteration(lambda z: calls.append(0) or A @ z, y, A @ y, v, 1e-3, 5, first)
    assert len(calls) == 1
    assert again == pytest.approx(first, rel=0.05)


def test_iterations_are_bounded():
    """A field of noise has no slope; the last ratio is taken."""
    rng, calls = np.random.default_rng(0), []

    def noise(z):
        calls.append(0)
        return rng.standard_normal(9) * 10.0 ** len(calls)

    estimate = power_iteration(noise, np.zeros(9), np.zeros(9), np.ones(9), 1.0, 7)
    assert len(calls) == 7
    assert np.isfinite(estimate)


@pytest.mark.parametrize(("value", "estimate"), [(np.nan, 2.5), (np.inf, 2.5), (0.0, 0.0)])
def test_a_direction_that_tells_nothing_is_kept(value, estimate):
    y, v = np.ones(4), np.array([1.0, 2.0, 0.0, -1.0])
    assert power_iteration(lambda z: np.full(4, value), y, np.zeros(4), v, 1e-3, 9, 2.5) == estimate
    np.testing.assert_allclose(v / v[0], [1.0, 2.0, 0.0, -1.0], atol=1e-9)
