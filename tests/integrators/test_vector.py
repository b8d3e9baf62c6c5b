"""The fused kernels against plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wflow.integrators._vector import combine, mean_product, rms, rms_norm, scale_rms

shapes = st.tuples(st.integers(1, 40), st.integers(2, 8), st.integers(0, 2**32 - 1))


def draw(shape):
    n, k, seed = shape
    rng = np.random.default_rng(seed)
    return rng.standard_normal(k), tuple(rng.standard_normal((k, n))), rng


@given(shapes)
def test_combine(shape):
    weights, arrays, _ = draw(shape)
    out = np.full(shape[0], np.nan)
    assert combine(out, weights, arrays) is True
    np.testing.assert_allclose(out, weights @ np.array(arrays), rtol=0, atol=1e-14 * np.abs(weights) @ np.abs(arrays).max(axis=1))


@given(shapes, st.sampled_from([np.nan, np.inf, -np.inf]))
def test_combine_sees_what_is_not_finite(shape, bad):
    weights, arrays, rng = draw(shape)
    arrays[rng.integers(shape[1])][rng.integers(shape[0])] = bad
    assert combine(np.empty(shape[0]), weights, arrays) is False


@given(shapes, st.booleans())
def test_rms_norm(shape, one_atol):
    _, arrays, rng = draw(shape)
    error, y0 = arrays[:2]
    y1 = rng.standard_normal(shape[0])
    atol = rng.random(1 if one_atol else shape[0])
    expected = np.sqrt(np.mean((error / (atol + 0.3 * np.maximum(abs(y0), abs(y1)))) ** 2))
    assert rms_norm(error, y0, y1, 0.3, atol) == pytest.approx(expected, rel=1e-12)


def test_an_entry_that_stays_zero_needs_no_tolerance():
    zero, none = np.zeros(2), np.zeros(1)
    assert rms_norm(zero, zero, zero, 1e-3, none) == 0.0
    assert rms_norm(np.array([0.0, 1.0]), zero, zero, 1e-3, none) == np.inf
    assert np.isnan(rms_norm(np.array([0.0, np.nan]), zero, zero, 1e-3, none))


@given(shapes)
def test_norms(shape):
    _, arrays, rng = draw(shape)
    x, atol = arrays[0], rng.random(shape[0])
    assert rms(x) == pytest.approx(np.sqrt(np.mean(x**2)), rel=1e-13)
    assert scale_rms(x, 0.1, atol) == pytest.approx(np.sqrt(np.mean((atol + 0.1 * abs(x)) ** 2)), rel=1e-13)
    assert scale_rms(x, 0.1, atol[:1]) == pytest.approx(np.sqrt(np.mean((atol[0] + 0.1 * abs(x)) ** 2)), rel=1e-13)
    assert mean_product(x, atol) == pytest.approx(np.mean(x * atol), rel=1e-11, abs=1e-14)
    x[-1] = np.nan
    assert np.isnan(mean_product(x, atol))
    assert np.isnan(rms(x))
