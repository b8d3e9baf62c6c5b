"""Elementary functions against 80-bit arithmetic: 4 units in the last place over their whole ranges."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from wflow.neurons import _math

LN2 = np.log(2.0)
ULPS = 4.0

pytestmark = pytest.mark.skipif(np.finfo(np.longdouble).eps > 2e-19, reason="no 80-bit arithmetic to compare with")


@numba.njit
def apply(which, x):
    out = np.empty_like(x)
    for i in range(len(x)):
        if which == 0:
            out[i] = _math.exp(x[i])
        elif which == 1:
            out[i] = _math.expm1_positive(x[i])
        else:
            out[i] = _math.log1p_unit(x[i])
    return out


def exp(x):
    return apply(0, np.atleast_1d(np.asarray(x, float)))


def expm1(x):
    return apply(1, np.atleast_1d(np.asarray(x, float)))


def log1p(x):
    return apply(2, np.atleast_1d(np.asarray(x, float)))


def ulps(got, exact):
    """Largest error in units in the last place of the exact value."""
    unit = np.spacing(np.abs(exact.astype(float))).astype(np.longdouble)
    return float((np.abs(got.astype(np.longdouble) - exact) / unit).max())


def neighbours(x):
    """x and the floats on both sides: reductions change branch there."""
    return np.concatenate([x, np.nextafter(x, -np.inf), np.nextafter(x, np.inf)])


def test_exp():
    rng = np.random.default_rng(0)
    switches = neighbours((np.arange(-1020, 1022) + 0.5) * LN2)
    x = np.concatenate([rng.uniform(-708, 709, 200_000), rng.uniform(-1, 1, 200_000), switches, [-708.0, 0.0, 709.0, 5e-324, -1e-300]])
    assert ulps(exp(x), np.exp(x.astype(np.longdouble))) < ULPS


def test_expm1_positive():
    rng = np.random.default_rng(1)
    small = 10.0 ** rng.uniform(-300, 0, 200_000)
    x = np.concatenate([rng.uniform(0, 340, 200_000), rng.uniform(0, 2, 200_000), small, neighbours((np.arange(490) + 0.5) * LN2), [340.0]])
    assert ulps(expm1(x), np.expm1(x.astype(np.longdouble))) < ULPS


def test_log1p_unit():
    rng = np.random.default_rng(2)
    x = np.concatenate([rng.uniform(0, 1, 300_000), 10.0 ** rng.uniform(-300, 0, 200_000), [1.0]])
    assert ulps(log1p(x), np.log1p(x.astype(np.longdouble))) < ULPS


def test_limits():
    assert exp(0.0)[0] == 1.0
    assert expm1(0.0)[0] == 0.0
    assert log1p(0.0)[0] == 0.0
    assert expm1(5e-324)[0] == 5e-324
    np.testing.assert_array_equal(exp([710.0, 1e308, np.inf]), exp(709.0)[0])  # clamped, not inf
    np.testing.assert_array_equal(exp([-709.0, -1e308, -np.inf]), exp(-708.0)[0])
    np.testing.assert_array_equal(expm1([341.0, 1e308, np.inf]), expm1(340.0)[0])
    assert np.isfinite(expm1(340.0)[0] ** 2)  # tanh's derivative squares it


@pytest.mark.parametrize("function", [exp, expm1, log1p])
def test_nan_stays_visible(function):
    assert np.isnan(function(np.nan)[0])


@pytest.mark.parametrize("function", [exp, expm1])
def test_monotone_across_the_switches_of_the_reduction(function):
    low, high = (0.0, 339.0) if function is expm1 else (-700.0, 700.0)
    middle = np.arange(np.ceil(low / LN2), np.floor(high / LN2)) * LN2 + 0.5 * LN2
    x = middle[:, None] + 1e-12 * np.abs(middle[:, None]) * np.arange(-5, 6)
    assert (np.diff(function(x.ravel()).reshape(x.shape), axis=1) > 0.0).all()
