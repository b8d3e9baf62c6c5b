from fractions import Fraction

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wflow.measures.distances import dual


def reduced(x, y, g):
    """|x_i − y_j|² − g_j for all pairs, (N, K)."""
    return ((x[:, None, :] - y[None]) ** 2).sum(axis=-1) - g


def exact(x, y, g, i):
    """min_j |x_i − y_j|² − g_j in rational arithmetic."""
    return min(
        sum((Fraction(a) - Fraction(b)) ** 2 for a, b in zip(x[i].tolist(), point.tolist(), strict=True)) - Fraction(value)
        for point, value in zip(y, g.tolist(), strict=True)
    )


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), n=st.integers(1, 30), k=st.integers(1, 200), m=st.integers(1, 6),
    neighbours=st.integers(1, 7), scale=st.sampled_from([0.0, 1e-6, 1.0, 1e3, 1e8]), ties=st.booleans(),
)  # fmt: skip
def test_against_brute_force(seed, n, k, m, neighbours, scale, ties):
    random = np.random.default_rng(seed)
    x, y, g = random.normal(size=(n, m)), random.normal(size=(k, m)), scale * random.normal(size=k)
    if ties:
        y[k // 2:] = y[0]
    brute = reduced(x, y, g)
    found = dual.c_transform(x, dual.boxes(y), g, neighbours=neighbours)
    tolerance = 1e-13 * (1.0 + np.abs(brute).max())
    np.testing.assert_allclose(found.value, brute.min(axis=1), rtol=0.0, atol=tolerance)
    best = np.sort(brute, axis=1)[:, : min(neighbours, k)]
    np.testing.assert_allclose(np.take_along_axis(brute, found.nearest, 1), best, rtol=0.0, atol=tolerance)
    assert all(len(set(row)) == len(row) for row in found.nearest.tolist())


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), m=st.integers(1, 4), far=st.sampled_from([1.0, 1e4, 1e8]), offset=st.sampled_from([0.0, 1e8]))
def test_never_above_the_exact_minimum(seed, m, far, offset):
    """Values below the rational minimum, and within rounding of the terms that make it, not of the largest anywhere."""
    random = np.random.default_rng(seed)
    x, y = random.normal(size=(6, m)), random.normal(size=(60, m)) + offset
    y[7] += far
    x[0] -= far
    g = reduced(y, x, random.normal(size=6)).min(axis=1)
    found = dual.c_transform(x, dual.boxes(y), g)
    for i in range(len(x)):
        truth = exact(x, y, g, i)
        assert Fraction(found.value[i]) <= truth
        j = found.nearest[i, 0]
        terms = ((x[i] - y[j]) ** 2).sum() + abs(g[j])
        assert float(truth - Fraction(found.value[i])) <= 30 * np.finfo(float).eps * terms


def test_an_outlier_does_not_blur_the_others():
    """A potential of 1e16 far away, as an atom at distance 1e8 has, leaves the bulk's digits alone."""
    random = np.random.default_rng(0)
    x, y = random.normal(size=(50, 3)), random.normal(size=(80, 3))
    y[0] = 1e8
    g = np.append(0.9 * 3e16, 1e-3 * random.normal(size=79))
    found = dual.c_transform(x, dual.boxes(y), g)
    np.testing.assert_allclose(found.value, reduced(x, y[1:], g[1:]).min(axis=1), rtol=1e-14, atol=1e-15)


def test_a_limit_is_kept_and_what_lies_below_is_found():
    random = np.random.default_rng(1)
    x, y, g = random.normal(size=(200, 3)), random.normal(size=(300, 3)), random.normal(size=300)
    brute = reduced(x, y, g)
    limit = brute.min(axis=1) + random.choice([-0.1, 0.05, 0.5], size=200)
    found = dual.c_transform(x, dual.boxes(y), g, neighbours=3, limit=limit)
    np.testing.assert_allclose(found.value, np.minimum(limit, brute.min(axis=1)), atol=1e-13)
    for i in range(200):
        below = [j for j in np.argsort(brute[i])[:3] if brute[i, j] < limit[i]]
        assert found.nearest[i].tolist() == below + [-1] * (3 - len(below))


@pytest.mark.parametrize("k", [1, 2, 11, 12, 13, 24, 25, 1000])
def test_the_boxes_hold_their_points(k):
    y = np.random.default_rng(k).normal(size=(k, 2))
    tree = dual.boxes(y)
    assert sorted(tree.order) == list(range(k))
    assert np.array_equal(tree.points, y[tree.order])
    leaves = len(tree.low) // 2
    for node in range(1, 2 * leaves):
        level = node.bit_length() - 1
        width = leaves >> level
        first, last = ((node - (1 << level) + end) * width * k // leaves for end in (0, 1))
        if first < last:
            assert np.array_equal(tree.low[node], tree.points[first:last].min(axis=0))
            assert np.array_equal(tree.high[node], tree.points[first:last].max(axis=0))


def test_the_bound_is_a_bound():
    """In rational arithmetic, for weights divided by their sums."""
    random = np.random.default_rng(2)
    for scale in (1.0, 1e8):
        p, q = random.exponential(size=50), random.exponential(size=70)
        p, q = p / p.sum(), q / q.sum()
        f, g = scale * random.normal(size=50), scale * random.normal(size=70)
        truth = Fraction(0)
        for weights, potential in ((p, f), (q, g)):
            terms = (Fraction(a) * Fraction(b) for a, b in zip(weights.tolist(), potential.tolist(), strict=True))
            truth += sum(terms) / sum(map(Fraction, weights.tolist()))
        found = Fraction(dual.bound(p, q, f, g))
        assert found <= truth
        assert float(truth - found) < 1e-14 * scale


def test_threads_do_not_matter():
    random = np.random.default_rng(3)
    x, y, g = random.normal(size=(5000, 3)), random.normal(size=(3000, 3)), random.normal(size=3000)
    threads = numba.get_num_threads()
    many = dual.c_transform(x, dual.boxes(y), g, neighbours=3)
    numba.set_num_threads(1)
    try:
        one = dual.c_transform(x, dual.boxes(y), g, neighbours=3)
    finally:
        numba.set_num_threads(threads)
    assert np.array_equal(one.value, many.value)
    assert np.array_equal(one.nearest, many.nearest)
