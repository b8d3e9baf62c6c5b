"""Regularisers: slopes, mirror maps against closed forms and optimality conditions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from policies import made

from wflow.policies.regularisers import Capped, LogBarrier, Regulariser, Shannon, Tsallis, WithEntropy

ALL = [Shannon(), Tsallis(2.0), Tsallis(0.5), Tsallis(1.5), LogBarrier(), Capped(0.6, 1.5), WithEntropy(Tsallis(2.0), 0.7),
       WithEntropy(LogBarrier(), 3.0)]  # fmt: skip
IDS = [repr(h) for h in ALL]
SIZES = st.sampled_from([1e-3, 1.0, 30.0])


def duals(seed, size, n_s=4, n_a=5):
    rng = np.random.default_rng(seed)
    return size * rng.standard_normal((n_s, n_a)), rng.uniform(0.2, 2.0, n_a)


@pytest.mark.parametrize("h", ALL, ids=IDS)
def test_slope_is_the_derivative_of_the_potential(h):
    x = np.linspace(0.03, 2.5, 97)  # clear of the cap, 0.6
    step = 1e-6
    measured = (h.potential(x + step) - h.potential(x - step)) / (2.0 * step)
    np.testing.assert_allclose(h.slope(x), measured, rtol=1e-6, atol=1e-8)
    assert (np.diff(h.slope(x)) > 0.0).all()


@pytest.mark.parametrize("h", ALL, ids=IDS)
def test_density_inverts_the_slope(h):
    x = np.linspace(0.03, 2.5, 97)
    np.testing.assert_allclose(h.density(h.slope(x)), x, rtol=1e-12)


def test_between_its_one_sided_slopes_the_corner_stays():
    h = Capped(0.6, 1.5)
    corner = np.log(0.6) + 1.0
    np.testing.assert_allclose(h.density(corner + np.array([0.0, 0.7, 1.5])), 0.6, rtol=1e-14)
    assert h.density(np.array([corner - 0.1])) < 0.6 < h.density(np.array([corner + 1.6]))


@pytest.mark.parametrize("h", ALL, ids=IDS)
@given(st.integers(0, 1000), SIZES)
def test_the_mirror_map_solves_its_programme(h, seed, size):
    """Mass one, and slack nowhere: <ξ, p> − h(p) is no larger at the vertices' directions, checked by random feasible changes."""
    dual, w = duals(seed, size)
    policy = np.exp(h.log_policy(dual, w))
    np.testing.assert_allclose(policy @ w, 1.0, rtol=1e-13)
    attained = (policy * dual) @ w - h.value(policy, w)
    rng = np.random.default_rng(seed)
    for amount in (1e-3, 0.1, 1.0):
        other = rng.dirichlet(np.ones(5), 4) / w
        mixed = (1.0 - amount) * policy + amount * other
        assert (attained >= (mixed * dual) @ w - h.value(mixed, w) - 1e-12 * (1.0 + size)).all()


@given(st.integers(0, 1000), SIZES)
def test_shannon_by_bisection_is_the_softmax(seed, size):
    dual, w = duals(seed, size)
    by_bisection = Regulariser.log_policy(Shannon(), dual, w)
    np.testing.assert_allclose(by_bisection, made.log_softmax(dual, w), rtol=1e-12, atol=1e-12 * (1.0 + size))


@given(st.integers(0, 1000), SIZES, st.sampled_from([0.1, 4.0]))
def test_more_entropy_is_a_cooler_softmax(seed, size, amount):
    dual, w = duals(seed, size)
    mixed = WithEntropy(Shannon(), amount).log_policy(dual, w)
    np.testing.assert_allclose(np.exp(mixed), np.exp(made.log_softmax(dual / (1.0 + amount), w)), rtol=1e-11, atol=1e-300)


@given(st.integers(0, 1000), SIZES)
def test_tsallis_two_is_the_projection_on_the_simplex(seed, size):
    """Counting weights: h = |p|² − 1, so p is the Euclidean projection of ξ/2; by sorting."""
    dual, _ = duals(seed, size)
    policy = np.exp(Tsallis(2.0).log_policy(dual, np.ones(5)))
    for row, p in zip(dual / 2.0, policy, strict=True):
        ordered = np.sort(row)[::-1]
        thresholds = (np.cumsum(ordered) - 1.0) / np.arange(1, 6)
        threshold = thresholds[np.flatnonzero(ordered > thresholds)[-1]]
        np.testing.assert_allclose(p, np.maximum(row - threshold, 0.0), atol=1e-14 * (1.0 + size))


def test_a_high_price_makes_the_cap_hard():
    policy = np.exp(Capped(0.5, 100.0).log_policy(np.array([[3.0, 0.0, -1.0]]), np.ones(3)))
    rest = np.exp([0.0, -1.0])
    np.testing.assert_allclose(policy, [[0.5, *(0.5 * rest / rest.sum())]], rtol=1e-12)


@pytest.mark.parametrize("h", [Shannon(), Capped(0.6, 1.5), LogBarrier()], ids=repr)
def test_those_that_dominate_the_entropy_do(h):
    x = np.linspace(1e-3, 1.0, 400)
    assert h.dominates_entropy(1.0)
    assert (np.diff(h.slope(x) - np.log(x)) >= -1e-12).all()


@pytest.mark.parametrize("q", [0.5, 2.0])
def test_tsallis_does_not_dominate_it(q):
    x = np.linspace(1e-3, 1.0, 400)
    assert not Tsallis(q).dominates_entropy(1.0)
    assert (np.diff(Tsallis(q).slope(x) - np.log(x)) < 0.0).any()
    assert not LogBarrier().dominates_entropy(2.0)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Tsallis(1.0), "q must not be 1"),
        (lambda: Tsallis(0.0), "q must be a finite number above 0"),
        (lambda: Capped(0.0, 1.0), "cap must be a finite number above 0"),
        (lambda: Capped(0.5, -1.0), "price must be a finite number at least 0"),
    ],
)
def test_bad_parameters_are_named(make, match):
    with pytest.raises(ValueError, match=match):
        make()
