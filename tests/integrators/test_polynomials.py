"""The recurrences of stabilised methods: real intervals, stage times, error constants, and the wedge off the axis."""

from __future__ import annotations

import math

import numpy as np
import pytest
from integrators.problems import STAGES, stability_polynomial

from wflow.integrators import RKC2, RKL2, polynomials

FAMILIES = {"rkc2": RKC2.family, "rkl2": RKL2.family}


@pytest.fixture(params=FAMILIES)
def family(request):
    return FAMILIES[request.param]


@pytest.mark.parametrize("s", range(2, 201))
def test_stable_on_its_interval(family, s):
    beta = family.stability_interval(s)
    z = -np.concatenate([np.linspace(0.0, beta, 20_000), beta * np.linspace(0.0, 1.0, 2_000) ** 2])
    assert np.abs(stability_polynomial(family, s, z)).max() <= 1.0 + 1e-12 + s**2 * np.finfo(float).eps
    damped = 0.97 if family is RKC2.family else 0.8  # inside, where a mode is fast but not the fastest
    if s > 4 or family is RKC2.family:
        assert np.abs(stability_polynomial(family, s, -beta * np.linspace(0.3, 0.9, 5_000))).max() < damped
    assert np.abs(stability_polynomial(family, s, np.array([-1.1 * beta]))).max() > (1.0 if s % 2 == 0 else 0.0)


@pytest.mark.parametrize("s", STAGES)
def test_stage_times_belong_to_the_stages(family, s):
    """For y' = 1 stage j is c_j, and c_s = 1; for y' = 2t the step is exact too."""
    weights, times = family.coefficients(s)
    older, y = 0.0, times[1]
    square_older, square = 0.0, 0.0
    for j, (_, mu, nu, mu_f, gamma_f) in enumerate(weights, start=2):
        older, y = y, mu * y + nu * older + mu_f + gamma_f
        square_older, square = square, mu * square + nu * square_older + mu_f * 2.0 * times[j - 1]
        assert y == pytest.approx(times[j], abs=1e-12)
    assert times[-1] == pytest.approx(1.0, abs=1e-11)
    assert square == pytest.approx(1.0, abs=1e-10)
    assert (np.diff(times) > 0.0).all()


@pytest.mark.parametrize("s", [2, 3, 5, 17, 64, 200])
def test_the_polynomial_is_that_of_the_tests(family, s):
    z = family.stability_interval(s) * (np.random.default_rng(s).random((3, 40)) - 1.0) * np.exp(0.05j)
    np.testing.assert_allclose(polynomials.stability_polynomial(family, s, z), stability_polynomial(family, s, z), rtol=1e-9, atol=1e-9)


def test_error_constant(family):
    """exp(z) - P_s(z) = C z³ + O(z⁴) for many stages; damping takes 2 % of it."""
    z = -1e-2
    assert (math.exp(z) - stability_polynomial(family, 200, np.array([z]))[0]) / z**3 == pytest.approx(family.error_constant, rel=3e-2)


@pytest.mark.parametrize("degrees", [1, 2, 5, 10, 30, 60, 85, 89])
def test_wedge(family, degrees):
    """Stable inside all of it, smaller angles included; unstable just beyond, unless the real interval ends there."""
    reaches = polynomials.wedge(family, degrees)
    assert all(0.0 < reach <= family.stability_interval(s) for s, reach in enumerate(reaches, start=2))
    for s, reach in list(enumerate(reaches, start=2))[:: max(1, len(reaches) // 6)]:
        r, angles = reach * np.linspace(0.0, 1.0, 500)[1:], np.radians(degrees * np.linspace(0.0, 1.0, 12))
        inside = -r * np.exp(1j * angles[:, None])
        assert np.abs(stability_polynomial(family, s, inside)).max() < 1.0 + 2e-3
        beyond = -reach * np.linspace(1.0, 1.06, 50) * np.exp(1j * angles[-1])
        at_the_end = reach == family.stability_interval(s)
        assert at_the_end or np.abs(stability_polynomial(family, s, beyond)).max() > 1.0


def test_wedges_shrink_with_the_angle_and_legendres_is_wider():
    for degrees in (2, 3, 5, 7, 10, 15, 20, 30, 45, 60):
        chebyshev, legendre = polynomials.wedge(RKC2.family, degrees), polynomials.wedge(RKL2.family, degrees)
        assert legendre[-1] > chebyshev[-1] or degrees >= 15
        for family, reaches in ((RKC2.family, chebyshev), (RKL2.family, legendre)):
            smaller = polynomials.wedge(family, degrees - 1)
            assert all(after <= before * (1.0 + 1e-12) for before, after in zip(smaller, reaches, strict=False))


def test_more_stages_do_not_help_off_the_axis():
    """At 30 degrees P_s tends to 2/3 + cosh(√(6 z))/3 for RKC2 without damping: no s reaches beyond 5."""
    r = np.linspace(0.0, 20.0, 2001)
    for s in (10, 50, 200):
        assert np.abs(stability_polynomial(RKC2.family, s, -5.0 * np.exp(1j * np.radians(30)) * np.ones(1)))[0] > 1.0
        limit = 2 / 3 + np.cosh(np.sqrt(-6.0 * r * np.exp(1j * np.radians(30)))) / 3
        assert r[np.argmax(np.abs(limit) > 1.0 + 1e-12)] < 5.0
