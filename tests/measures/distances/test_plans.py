from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from wflow.measures.distances import plans


def cloud(random, n, m, *, weighted=True, scale=1.0, shift=0.0):
    weights = random.exponential(size=n) if weighted else np.ones(n)
    return scale * random.normal(size=(n, m)) + shift, weights / weights.sum()


def check(plan, x, p, y, q):
    np.testing.assert_allclose(np.bincount(plan.rows, plan.mass, len(x)), p, rtol=0.0, atol=1e-15)
    np.testing.assert_allclose(np.bincount(plan.columns, plan.mass, len(y)), q, rtol=0.0, atol=1e-15)
    assert (plan.mass >= 0.0).all()
    pairs = sum(mass * ((x[i] - y[j]) ** 2).sum() for i, j, mass in zip(plan.rows, plan.columns, plan.mass, strict=True))
    assert plan.cost == pytest.approx(pairs, rel=1e-12, abs=1e-300)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 40), k=st.integers(1, 40), m=st.integers(1, 5), n_plans=st.integers(1, 4))
def test_a_plan_has_the_marginals_and_few_edges(seed, n, k, m, n_plans):
    random = np.random.default_rng(seed)
    (x, p), (y, q) = cloud(random, n, m), cloud(random, k, m)
    plan = plans.bsp(x, p, y, q, n_plans=n_plans, seed=seed)
    check(plan, x, p, y, q)
    assert len(plan.mass) <= n + k - 1


def test_equal_weights_give_a_bijection_within_reach_of_the_best():
    random = np.random.default_rng(0)
    (x, p), (y, q) = cloud(random, 400, 3, weighted=False), cloud(random, 400, 3, weighted=False, scale=2.0, shift=1.0)
    plan = plans.bsp(x, p, y, q, n_plans=16, seed=1)
    check(plan, x, p, y, q)
    assert sorted(plan.rows) == sorted(plan.columns) == list(range(400))
    cost = ((x[:, None] - y) ** 2).sum(axis=-1)
    best = cost[linear_sum_assignment(cost)].mean()
    independent = cost.mean()
    assert best <= plan.cost <= best + 0.1 * (independent - best)


def test_more_rotations_never_cost_more():
    random = np.random.default_rng(1)
    (x, p), (y, q) = cloud(random, 300, 2, weighted=False), cloud(random, 300, 2, weighted=False)
    costs = [plans.bsp(x, p, y, q, n_plans=n, seed=5).cost for n in (1, 2, 4, 8, 16)]
    assert all(b <= a for a, b in pairwise(costs))
    assert costs[-1] < 0.9 * costs[0]  # merging mixes the plans


def test_one_seed_one_plan():
    random = np.random.default_rng(2)
    (x, p), (y, q) = cloud(random, 90, 3), cloud(random, 130, 3)
    a, b = (plans.bsp(x, p, y, q, n_plans=4, seed=3) for _ in range(2))
    assert np.array_equal(a.rows, b.rows)
    assert np.array_equal(a.columns, b.columns)
    assert np.array_equal(a.mass, b.mass)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_permuted_copy_is_recognised(weighted):
    random = np.random.default_rng(3)
    x, p = cloud(random, 257, 3, weighted=weighted)
    order = random.permutation(257)
    plan = plans.bsp(x, p, x[order], p[order], n_plans=1, seed=0)
    assert plan.cost < 1e-14


@pytest.mark.parametrize("n", [1, 2, 7, 64])
def test_on_a_line_it_is_the_monotone_plan(n):
    random = np.random.default_rng(n)
    x, y = random.normal(size=(n, 1)), random.normal(size=(n, 1))
    weights = np.full(n, 1.0 / n)
    monotone = ((np.sort(x, axis=0) - np.sort(y, axis=0)) ** 2).mean()
    assert plans.bsp(x, weights, y, weights, n_plans=1, seed=0).cost == pytest.approx(monotone, rel=1e-12)


def test_duplicates_and_uneven_weights():
    random = np.random.default_rng(4)
    x, y = np.repeat(random.normal(size=(3, 2)), 50, axis=0), np.zeros((70, 2))
    p, q = 2.0 ** -np.arange(1.0, 151.0), np.full(70, 1.0 / 70)
    p /= p.sum()
    check(plans.bsp(x, p, y, q, n_plans=3, seed=0), x, p, y, q)
    check(plans.bsp(y, q, x, p, n_plans=3, seed=0), y, q, x, p)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 50), ties=st.booleans())
def test_split_cuts_at_the_weighted_quantile(seed, n, ties):
    random = np.random.default_rng(seed)
    z = random.integers(0, 4, size=(n, 2)).astype(float) if ties else random.normal(size=(n, 2))
    mass, index, old = random.exponential(size=n), np.arange(n), z.copy()
    weights, target = mass.copy(), random.uniform(0.0, mass.sum())
    cut, left = plans.split(z, mass, index, 0, n, target, 1)
    assert sorted(index) == list(range(n))
    assert np.array_equal(z, old[index])
    assert np.array_equal(mass, weights[index])
    assert cut in (0, n) or z[:cut, 1].max() <= z[cut:, 1].min()
    assert left == pytest.approx(mass[:cut].sum(), rel=1e-12, abs=1e-15)
    assert abs(left - target) <= 0.5 * mass.max() + 1e-12


def test_the_north_west_corner_keeps_exact_masses():
    rows, columns, mass = plans.north_west(np.array([0.25, 0.5, 0.25]), np.array([0.5, 0.5]))
    assert rows.tolist() == [0, 1, 1, 2]
    assert columns.tolist() == [0, 0, 1, 1]
    assert mass.tolist() == [0.25] * 4


def test_the_farthest_pair_is_no_farther():
    random = np.random.default_rng(6)
    x, y = random.normal(size=(30, 3)) + 2.0, random.normal(size=(40, 3))
    largest = ((x[:, None] - y) ** 2).sum(axis=-1).max()
    assert largest <= plans.farthest(x, y) <= 3.0 * largest
    assert plans.farthest(x[:1], y[:1]) == pytest.approx(((x[0] - y[0]) ** 2).sum())
