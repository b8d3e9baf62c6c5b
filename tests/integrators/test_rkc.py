"""Runge–Kutta–Chebyshev: its polynomial and its stage numbers."""

from __future__ import annotations

import numpy as np
import pytest
from integrators.problems import STAGES, stability_polynomial
from numpy.polynomial import chebyshev

from wflow.integrators import RKC2
from wflow.integrators.rkc import stability_interval, stage_number


@pytest.mark.parametrize("s", STAGES)
def test_polynomial_is_the_published_one(s):
    """a_s + b_s T_s(w0 + w1 z) with derivatives 1, 1, 1 at 0: second order; Chebyshev series by NumPy."""
    series = np.zeros(s + 1)
    series[s] = 1.0
    w0 = 1.0 + 2.0 / 13.0 / s**2
    T, d, dd = (chebyshev.chebval(w0, chebyshev.chebder(series, k)) for k in (0, 1, 2))
    w1, b = d / dd, dd / d**2
    assert b * w1 * d == pytest.approx(1.0, rel=1e-9)
    assert b * w1**2 * dd == pytest.approx(1.0, rel=1e-9)
    z = -np.linspace(0.0, stability_interval(s), 57)
    np.testing.assert_allclose(stability_polynomial(RKC2.family, s, z), 1.0 - b * T + b * chebyshev.chebval(w0 + w1 * z, series), atol=1e-8)


def test_stage_number_is_the_smallest():
    for s in range(2, 501):
        beta = stability_interval(s)
        assert stage_number(beta * (1 - 1e-12)) == s
        assert stage_number(beta * (1 + 1e-9)) == s + 1
    assert stage_number(0.0) == 2
