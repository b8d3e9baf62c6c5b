import numpy as np
import pytest

from wflow.measures.distances import plans, scales, simplex


def clouds(n, k, m=3, scale=1.0):
    random = np.random.default_rng(n + k)
    x, y = random.normal(size=(n, m)), scale * random.normal(size=(k, m))
    p, q = random.exponential(size=n), random.exponential(size=k)
    p, q = p / p.sum(), q / q.sum()
    first, second = plans.partition(x, p, y, q)
    return x[first], p[first], y[second], q[second]


@pytest.mark.parametrize(("n", "k"), [(500, 500), (1200, 150), (30, 5000), (1, 60_000), (3001, 999)])
def test_edges_are_few_distinct_and_carry_a_plan(n, k):
    x, p, y, q = clouds(n, k)
    f, g, edges = scales.start(x, p, y, q, neighbours=10)
    assert f.shape == (n,)
    assert g.shape == (k,)
    assert (np.diff(edges) > 0).all()
    assert 0 <= edges[0] <= edges[-1] < n * k
    assert len(edges) <= 14 * (n + k)
    rows, columns = np.divmod(edges, k)
    tree = scales.planted(x, p, y, q, f, g)
    simplex.solve(tree, rows, columns, plans.squared_distance(x, y, rows, columns))
    assert simplex.coupling(tree)[2].sum() == pytest.approx(1.0, abs=1e-12)


def test_few_pairs_are_all_taken():
    x, p, y, q = clouds(40, 50)
    assert np.array_equal(scales.start(x, p, y, q, neighbours=10)[2], np.arange(2000))


def test_the_first_problem_is_nearly_solved_by_its_estimates():
    """The edges hold a plan better than the rough one, and the estimated potentials are closer to the dual's than zeros are."""
    x, p, y, q = clouds(1000, 1000, scale=2.0)
    f, g, edges = scales.start(x, p, y, q, neighbours=10)
    rows, columns = np.divmod(edges, 1000)
    cost = plans.squared_distance(x, y, rows, columns)
    tree = scales.planted(x, p, y, q, f, g)
    simplex.solve(tree, rows, columns, cost)
    i, j, mass = simplex.coupling(tree)
    best = mass @ plans.squared_distance(x, y, i, j)
    rough = plans.bsp(x, p, y, q, n_plans=1, seed=0).cost
    assert best < 0.97 * rough
    dual = simplex.potentials(tree)[0]
    assert np.median(np.abs(f - dual)) < 0.5 * np.median(np.abs(dual))
