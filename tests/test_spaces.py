"""Quadrature rules: exactness degrees, orders, tensor products, errors (math.md §1)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wflow.spaces import Space

RULES = {
    "midpoint": (Space.midpoint, lambda n: 1),
    "gauss_legendre": (Space.gauss_legendre, lambda n: 2 * n - 1),
    "clenshaw_curtis": (Space.clenshaw_curtis, lambda n: n if n % 2 else n - 1),  # symmetry gives odd n one degree more
}


def integrate(space, f):
    return space.weights @ f(space.nodes[:, 0])


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("n", [2, 3, 4, 7, 8, 13])
@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-2.0, 0.5)])
def test_exactness_degree_is_sharp(rule, n, low, high):
    make, degree = RULES[rule]
    space, centre, half = make(n, low, high), (low + high) / 2, (high - low) / 2

    def error(k):
        exact = half * 2.0 / (k + 1) if k % 2 == 0 else 0.0
        return abs(integrate(space, lambda x: ((x - centre) / half) ** k) - exact) / half

    assert max(error(k) for k in range(degree(n) + 1)) < 1e-14
    assert error(degree(n) + 1) > 1e-9
    assert space.total == pytest.approx(high - low, rel=1e-14)


@pytest.mark.parametrize("rule", RULES)
def test_nodes_ascend_inside_the_interval(rule):
    space = RULES[rule][0](9, -1.0, 3.0)
    x = space.nodes[:, 0]
    assert space.dimension == 1
    assert (np.diff(x) > 0).all()
    assert x[0] >= -1.0
    assert x[-1] <= 3.0
    np.testing.assert_allclose(x + x[::-1], 2.0, atol=1e-14)
    np.testing.assert_allclose(space.weights, space.weights[::-1], rtol=1e-13)


def test_clenshaw_curtis_has_the_ends():
    assert Space.clenshaw_curtis(5, 2.0, 4.0).nodes[[0, -1], 0].tolist() == [2.0, 4.0]


def test_midpoint_convention():
    space = Space.midpoint(100)
    np.testing.assert_array_equal(space.nodes[:, 0], (np.arange(100) + 0.5) / 100)
    np.testing.assert_array_equal(space.weights, np.full(100, 0.01))


def test_midpoint_is_second_order():
    errors = [abs(integrate(Space.midpoint(n), np.exp) - np.expm1(1.0)) for n in (20, 40, 80)]
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    np.testing.assert_allclose(orders, 2.0, atol=0.01)


def test_gauss_and_clenshaw_curtis_converge_spectrally():
    for rule, n in (("gauss_legendre", 8), ("clenshaw_curtis", 13)):
        assert integrate(RULES[rule][0](n), np.exp) == pytest.approx(np.expm1(1.0), abs=1e-14)


@given(sizes=st.lists(st.integers(1, 4), min_size=1, max_size=3))
def test_tensor_product_integrates_products(sizes):
    factors = [Space.gauss_legendre(n, 0.0, 1.0 + i) for i, n in enumerate(sizes)]
    space = Space.tensor_product(*factors)
    assert space.size == np.prod(sizes)
    assert space.dimension == len(sizes)
    total = space.weights @ np.prod(space.nodes + 1.0, axis=1)
    assert total == pytest.approx(np.prod([integrate(f, lambda x: x + 1.0) for f in factors]), rel=1e-13)


def test_tensor_product_order():
    space = Space.tensor_product(Space.finite([0.0, 1.0], [2.0, 3.0]), Space.finite([[5.0, 6.0], [7.0, 8.0]]))
    np.testing.assert_array_equal(space.nodes, [[0, 5, 6], [0, 7, 8], [1, 5, 6], [1, 7, 8]])
    np.testing.assert_array_equal(space.weights, [2, 2, 3, 3])


def test_finite_and_point():
    by_size, by_line, by_rows = Space.finite(3), Space.finite([0.5, 1.5]), Space.finite([[0.0, 1.0]], [0.25])
    np.testing.assert_array_equal(by_size.nodes, [[0.0], [1.0], [2.0]])
    np.testing.assert_array_equal(by_size.weights, np.ones(3))
    assert by_line.nodes.shape == (2, 1)
    assert (by_rows.dimension, by_rows.total) == (2, 0.25)
    point = Space.point()
    assert (point.size, point.dimension, point.total) == (1, 0, 1.0)


def test_repr():
    assert repr(Space.midpoint(4, 0.0, 2.0)) == "Space(midpoint, 4 nodes in 1 dimensions, mass 2)"


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda: Space.midpoint(0), ValueError, r"n must be an integer of at least 1; got 0"),
    (lambda: Space.midpoint(2.5), TypeError, r"n must be an integer of at least 1; got 2\.5"),
    (lambda: Space.clenshaw_curtis(1), ValueError, r"n must be an integer of at least 2; got 1"),
    (lambda: Space.gauss_legendre(3, 1.0, 1.0), ValueError, r"high must be .*above 1; got 1\.0"),
    (lambda: Space.midpoint(3, np.nan), ValueError, r"low must be"),
    (lambda: Space.midpoint(3, 0.0, np.inf), ValueError, r"high must be"),
    (lambda: Space(np.zeros((2, 1)), [1.0, -1.0]), ValueError, r"weights must be above 0; got -1\.0 at \[1\]"),
    (lambda: Space(np.zeros((2, 1)), [1.0, 0.0]), ValueError, r"weights must be above 0; got 0\.0 at \[1\]"),
    (lambda: Space(np.zeros((2, 1)), [1.0]), ValueError, r"weights must have shape \(2,\); got \(1,\)"),
    (lambda: Space(np.zeros(2), [1.0, 1.0]), ValueError, r"nodes must have shape \(any, any\); got \(2,\)"),
    (lambda: Space(np.zeros((0, 1)), []), ValueError, r"nodes must have at least one row"),
    (lambda: Space([[np.nan]], [1.0]), ValueError, r"nodes must be finite; got nan at \[0, 0\]"),
    (lambda: Space.finite(0), ValueError, r"nodes must be an integer of at least 1; got 0"),
    (lambda: Space.finite("abc"), TypeError, r"nodes must be"),
    (lambda: Space.tensor_product(), TypeError, r"factors must be one Space or more; got \(\)"),
    (lambda: Space.tensor_product(Space.point(), 3), TypeError, r"factors must be one Space or more"),
    (lambda: Space.finite([[1.0], [1.0, 2.0]]), TypeError, r"nodes must be an array of real numbers"),
    (lambda: Space.midpoint(10**15), ValueError, r"n must be small enough for .* GB of memory; got 1000000000000000"),
    (lambda: Space.gauss_legendre(10**8), ValueError, r"n must be small enough for .* GB of memory"),  # n² numbers
    (lambda: Space.clenshaw_curtis(10**8), ValueError, r"n must be small enough for .* GB of memory"),
    (lambda: Space.finite(10**15), ValueError, r"nodes must be small enough for .* GB of memory"),
    (lambda: Space.tensor_product(*[Space.midpoint(1000)] * 5), ValueError, r"factors must be small enough for .* GB of memory"),
    (lambda: Space.midpoint(3, -1e200, 1e200), ValueError, r"low must be at most 1e\+100 in magnitude; got -1e\+200"),
    (lambda: Space([[0.0]], [1e-320]), ValueError, r"weights must be at least 1e-100; got 1e-320 at \[0\]"),
])  # fmt: skip
def test_errors(make, error, message):
    with pytest.raises(error, match=message):
        make()
