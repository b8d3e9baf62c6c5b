import time
from fractions import Fraction

import numpy as np
import ot
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from wflow.measures.distances import columns


def cloud(random, n, m, *, weighted=True):
    weights = random.exponential(size=n) if weighted else np.ones(n)
    return random.normal(size=(n, m)), weights / weights.sum()


def squares(x, y):
    return ((x[:, None, :] - y[None]) ** 2).sum(axis=-1)


def exact(x, p, y, q):
    return float(ot.emd2(p, q, squares(x, y), numItermax=10**9))


def check(found, truth, gap, rounding=1e-12):
    """Bounds that hold, to the rounding of the oracle, and are as close as was asked."""
    assert found.lower <= truth * (1.0 + rounding) + 1e-15
    assert found.upper >= truth * (1.0 - rounding) - 1e-15
    assert 0.0 <= found.gap <= gap


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), n=st.integers(1, 60), k=st.integers(1, 60), m=st.integers(1, 5), scale=st.sampled_from([1e-3, 1.0, 1e4])
)  # fmt: skip
def test_small_weighted_clouds(seed, n, k, m, scale):
    random = np.random.default_rng(seed)
    (x, p), (y, q) = cloud(random, n, m), cloud(random, k, m)
    check(columns.solve(x, p, scale * y, q, gap=1e-9), exact(x, p, scale * y, q), 1e-9)


@pytest.mark.parametrize(("n", "k", "m"), [(700, 700, 3), (300, 1200, 4), (1200, 300, 2), (40, 3000, 3), (900, 900, 1)])
@pytest.mark.parametrize("weighted", [False, True])
def test_clouds_that_need_scales(n, k, m, weighted):
    random = np.random.default_rng(n + k + m)
    (x, p), (y, q) = cloud(random, n, m, weighted=weighted), cloud(random, k, m, weighted=weighted)
    truth = exact(x, p, y, q)
    check(columns.solve(x, p, y, q, gap=1e-8), truth, 1e-8)
    check(columns.solve(x, p, 3.0 * y + 1.0, q, gap=1e-3), exact(x, p, 3.0 * y + 1.0, q), 1e-3)


def test_equal_weights_against_assignment():
    random = np.random.default_rng(0)
    (x, p), (y, q) = cloud(random, 800, 3, weighted=False), cloud(random, 800, 3, weighted=False)
    cost = squares(x, y)
    check(columns.solve(x, p, y, q, gap=1e-10), cost[linear_sum_assignment(cost)].mean(), 1e-10)


@pytest.mark.parametrize("weighted", [False, True])
def test_one_law_on_a_curved_surface(weighted):
    random = np.random.default_rng(1)
    (x, p), (y, q) = cloud(random, 300, 2, weighted=weighted), cloud(random, 2000, 2, weighted=weighted)
    x, y = (np.column_stack((z, np.tanh(z[:, 0]) * z[:, 1])) for z in (x, y))
    check(columns.solve(x, p, y, q, gap=1e-6), exact(x, p, y, q), 1e-6)


@pytest.mark.parametrize("scale", [1.0, 1e-7])
def test_bounds_hold_in_rational_arithmetic(scale):
    """The same points moved by a constant: W2² is exactly its square, whatever the weights."""
    x, p = cloud(np.random.default_rng(12), 300, 2)
    x = np.round(x * 2.0**20) / 2.0**20  # so that the move is exact
    step = np.round(scale * 2.0**24) / 2.0**24 * np.array([1.0, -0.5])
    found = columns.solve(x, p, x + step, p.copy(), gap=1e-12)
    truth = sum(Fraction(value) ** 2 for value in step.tolist())
    assert Fraction(found.lower) <= truth <= Fraction(found.upper)
    assert found.gap < (1e-9 if scale == 1.0 else 1e-2)


@pytest.mark.parametrize("weighted", [False, True])
def test_identical_clouds(weighted):
    random = np.random.default_rng(2)
    x, p = cloud(random, 1000, 3, weighted=weighted)
    found = columns.solve(x, p, x.copy(), p.copy())
    assert (found.lower, found.upper, found.gap) == (0.0, 0.0, 0.0)
    order = random.permutation(1000)
    moved = columns.solve(x, p, x[order], p[order])
    assert 0.0 <= moved.lower <= moved.upper <= 1e-12  # mass lost in rounding may travel across the cloud


def test_duplicates_points_on_a_line_and_single_points():
    random = np.random.default_rng(4)
    p, q = np.full(600, 1.0 / 600), np.full(500, 1.0 / 500)
    line = np.outer(random.normal(size=600), [1.0, 2.0, -1.0])
    doubled = np.repeat(random.normal(size=(5, 3)), 100, axis=0)
    for x, y in ((line, doubled), (np.repeat(doubled[:6], 100, axis=0), doubled), (line, np.zeros((500, 3)))):
        check(columns.solve(x, p, y, q, gap=1e-6), exact(x, p, y, q), 1e-6)
    one = columns.solve(line, p, np.ones((1, 3)), np.ones(1), gap=1e-9)
    check(one, p @ ((line - 1.0) ** 2).sum(axis=1), 1e-9)
    check(columns.solve(line[:1], np.ones(1), doubled[:1], np.ones(1)), ((line[0] - doubled[0]) ** 2).sum(), 1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_ties_everywhere(seed):
    """Lattice points and equal weights: every pivot is degenerate, and most reduced costs are equal."""
    random = np.random.default_rng(seed)
    n, k = (600, 600) if seed % 2 else (600, 300)
    x, y = random.integers(0, 5, size=(n, 3)).astype(float), random.integers(0, 4, size=(k, 3)).astype(float)
    p, q = np.full(n, 1.0 / n), np.full(k, 1.0 / k)
    check(columns.solve(x, p, y, q, gap=1e-9), exact(x, p, y, q), 1e-9)


def test_two_far_clusters_and_an_outlier():
    random = np.random.default_rng(5)
    (x, p), (y, q) = cloud(random, 600, 3), cloud(random, 700, 3)
    x[:300] += 100.0
    y[:300] += 100.0
    check(columns.solve(x, p, y, q, gap=1e-4), exact(x, p, y, q), 1e-4)
    y[0] = 1e6  # the oracle's tolerance is relative to the largest cost
    check(columns.solve(x, p, y, q, gap=1e-4), exact(x, p, y, q), 1e-4, rounding=1e-9)


def test_very_uneven_weights():
    random = np.random.default_rng(6)
    x, y = random.normal(size=(400, 2)), random.normal(size=(500, 2))
    p, q = np.exp(20.0 * random.uniform(-1.0, 0.0, size=400)), np.exp(20.0 * random.uniform(-1.0, 0.0, size=500))
    p, q = p / p.sum(), q / q.sum()
    check(columns.solve(x, p, y, q, gap=1e-6), exact(x, p, y, q), 1e-6)


def test_a_shift_far_larger_than_the_cloud():
    random = np.random.default_rng(7)
    (x, p), (y, q) = cloud(random, 500, 3), cloud(random, 500, 3)
    check(columns.solve(x, p, y + 1e4, q, gap=1e-6), exact(x, p, y + 1e4, q), 1e-6)


def test_bounds_hold_where_the_work_is_cut_short():
    random = np.random.default_rng(8)
    (x, p), (y, q) = cloud(random, 1500, 3), cloud(random, 1500, 3)
    truth = exact(x, p, y, q)
    first = columns.solve(x, p, y, q, gap=0.0, max_rounds=1, neighbours=3)
    check(first, truth, 1.0)
    assert first.rounds == 1
    start = time.perf_counter()
    check(columns.solve(x, p, y, q, gap=0.0, seconds=0.0), truth, 1.0)
    assert time.perf_counter() - start < 5.0
    assert columns.solve(x, p, y, q, gap=0.0).gap < 1e-10  # exact in the end


def test_one_input_one_answer():
    random = np.random.default_rng(9)
    (x, p), (y, q) = cloud(random, 900, 3), cloud(random, 400, 3)
    assert columns.solve(x, p, y, q) == columns.solve(x, p, y, q)


def test_memory_grows_with_the_clouds_not_with_their_product():
    import tracemalloc

    random = np.random.default_rng(10)
    (x, p), (y, q) = cloud(random, 3000, 3), cloud(random, 4000, 3)
    columns.solve(x, p, y, q, gap=0.5)
    tracemalloc.start()
    columns.solve(x, p, y, q)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= columns.memory(3000, 4000, 3) < 0.2 * 3000 * 4000 * 8


@pytest.mark.slow
@pytest.mark.parametrize("weighted", [False, True])
def test_the_gap_is_reached_at_ten_thousand_points(weighted):
    random = np.random.default_rng(11)
    (x, p), (y, q) = cloud(random, 10_000, 3, weighted=weighted), cloud(random, 10_000, 3)
    found = columns.solve(x, p, y, q, gap=1e-3)
    assert found.gap <= 1e-3
    closer = columns.solve(x, p, y, q, gap=1e-6)
    assert closer.lower <= found.upper * (1.0 + 1e-12)
    assert found.lower <= closer.upper * (1.0 + 1e-12)
    assert closer.gap <= 1e-6
