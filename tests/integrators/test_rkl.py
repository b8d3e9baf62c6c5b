"""Runge–Kutta–Legendre: its polynomial and its stage numbers."""

from __future__ import annotations

import numpy as np
import pytest
from integrators.problems import STAGES, stability_polynomial
from numpy.polynomial import legendre

from wflow.integrators import RKL2
from wflow.integrators.rkl import coefficients, stability_interval, stage_number


@pytest.mark.parametrize("s", STAGES)
def test_polynomial_is_the_published_one(s):
    """a_s + b_s P_s(1 + w1 z) with derivatives 1, 1, 1 at 0: second order; Legendre series by NumPy."""
    series = np.zeros(s + 1)
    series[s] = 1.0
    d, dd = (legendre.legval(1.0, legendre.legder(series, k)) for k in (1, 2))
    w1, b = d / dd, dd / d**2
    assert w1 == pytest.approx(4.0 / (s**2 + s - 2), rel=1e-9)
    z = -np.linspace(0.0, stability_interval(s), 57)
    np.testing.assert_allclose(stability_polynomial(RKL2.family, s, z), 1.0 - b + b * legendre.legval(1.0 + w1 * z, series), atol=1e-8)


def test_the_first_coefficients_by_hand():
    """Meyer, Balsara & Aslam (2014), §2.2, for s = 3: w1 = 2/5, b = 1/3, 1/3, 1/3, 5/12."""
    weights, times = coefficients(3)
    np.testing.assert_allclose(times, [0.0, 2 / 15, 2 / 5, 1.0], rtol=1e-14)
    second = [0.0, 3 / 2, -1 / 2, 3 / 5, -2 / 3 * 3 / 5]
    third = [1.0 - 25 / 12 + 5 / 6, 25 / 12, -5 / 6, 5 / 6, -2 / 3 * 5 / 6]
    np.testing.assert_allclose(weights, [second, third], rtol=1e-14, atol=1e-15)


def test_stage_number_is_the_smallest_odd_one():
    for s in range(3, 501, 2):
        beta = stability_interval(s)
        assert stage_number(beta * (1 - 1e-12)) == s
        assert stage_number(beta * (1 + 1e-9)) == s + 2
    assert stage_number(0.0) == 3


@pytest.mark.parametrize("s", [4, 10, 50])
def test_even_stages_keep_the_fastest_mode(s):
    """Why stage numbers are odd."""
    ends = -np.array([stability_interval(s), stability_interval(s + 1)])
    assert stability_polynomial(RKL2.family, s, ends[:1]) == pytest.approx(1.0)
    assert abs(stability_polynomial(RKL2.family, s + 1, ends[1:])) < 0.2
