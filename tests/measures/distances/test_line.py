"""W2 on the line against closed forms, a plain double loop, and rational arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtri

from wflow.measures.distances import line


def exact(x, p, y, q):
    """∫ (F⁻¹ − G⁻¹)² in rational arithmetic: the quantile axis cut at every partial sum of either side; p and q integers of equal sum."""
    first, second = sorted(zip(map(Fraction, x), p, strict=True)), sorted(zip(map(Fraction, y), q, strict=True))
    total = sum(p)

    def quantile(pairs, level):
        reached = 0
        for position, mass in pairs:
            reached += mass
            if level < reached:
                return position
        raise AssertionError

    cost = sum((quantile(first, level) - quantile(second, level)) ** 2 for level in range(total))
    return cost / total


positions = st.lists(st.floats(-4, 4, width=32), min_size=1, max_size=7)


@given(positions, positions, st.randoms(use_true_random=False))
def test_against_rational_arithmetic(x, y, random):
    """Different sizes, ties, weights that are no powers of two; the exact value lies in the bracket."""
    p = np.array([random.randint(1, 5) for _ in x])
    q = np.array([random.randint(1, 5) for _ in y])
    p, q = p * int(q.sum()), q * int(p.sum())
    truth = exact(x, [int(m) for m in p], y, [int(m) for m in q])
    found = line.squared(np.array(x), p / p.sum(), np.array(y), q / q.sum())
    assert Fraction(found.lower) <= truth <= Fraction(found.upper)
    assert found.value == pytest.approx(float(truth), rel=1e-13, abs=1e-14)
    assert found.upper - found.lower < 5e-12  # of a squared diameter up to 64


def test_gaussian_quantiles():
    """W2² of N(0, 1) and N(1, 4), by 10⁵ midpoint quantiles each: (1 − 0)² + (2 − 1)² = 2 times the quantiles' own moments."""
    z = ndtri((np.arange(100_000) + 0.5) / 100_000)
    mass = np.full(100_000, 1e-5)
    found = line.squared(z, mass, 1.0 + 2.0 * z, mass)
    assert found.value == pytest.approx(1.0 + np.mean(z**2), rel=1e-13)
    assert found.value == pytest.approx(2.0, rel=1e-4)


def test_rounding_does_not_grow_with_size():
    """A million points against one half as many, each of twice the mass: two ramps, known in closed form."""
    n = 1_000_000
    x, y = (np.arange(n) + 0.5) / n, (np.arange(n // 2) + 0.5) / (n // 2)
    found = line.squared(x, np.full(n, 1 / n), y, np.full(n // 2, 2 / n))
    truth = (0.5 / n) ** 2  # every point of y sits in the middle of two of x
    assert found.value == pytest.approx(truth, rel=1e-6)
    assert found.upper - found.lower < 1e-14


def test_order_and_side_do_not_matter():
    rng = np.random.default_rng(3)
    x, y, p, q = rng.normal(size=40), rng.normal(size=25), rng.dirichlet(np.ones(40)), rng.dirichlet(np.ones(25))
    mixed = rng.permutation(40)
    value = line.squared(x, p, y, q).value
    assert line.squared(x[mixed], p[mixed], y, q).value == pytest.approx(value, rel=1e-13)
    assert line.squared(y, q, x, p).value == pytest.approx(value, rel=1e-13)
    assert line.squared(x, p, x[mixed], p[mixed]).value == 0.0


def test_heavy_atom_against_many_light_ones():
    """The split of one atom into 10⁵ parts loses less than the bracket says."""
    y = np.linspace(-1.0, 1.0, 100_000)
    q = np.random.default_rng(0).dirichlet(np.ones(100_000))
    found = line.squared(np.array([0.25]), np.array([1.0]), y, q)
    truth = float((q.astype(np.longdouble) * (y.astype(np.longdouble) - 0.25) ** 2).sum() / q.astype(np.longdouble).sum())
    assert found.lower <= truth <= found.upper
    assert found.value == pytest.approx(truth, rel=1e-13)
