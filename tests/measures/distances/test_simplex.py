import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from wflow.measures.distances import simplex
from wflow.measures.distances.simplex import AFTER, BEFORE, DEPTH, PARENT


def problem(random, n, k, density, *, whole=False):
    """A feasible problem: weights are the marginals of masses on the edges; whole masses make it degenerate."""
    edges = np.sort(random.choice(n * k, size=max(1, int(density * n * k)), replace=False))
    rows, columns = np.divmod(edges, k)
    mass = random.integers(0, 3, size=len(edges)).astype(float) if whole else random.exponential(size=len(edges))
    return rows, columns, random.exponential(size=len(edges)), np.bincount(rows, mass, n), np.bincount(columns, mass, k)


def oracle(rows, columns, cost, p, q):
    index = np.arange(len(cost))
    balance = np.zeros((len(p) + len(q), len(cost)))
    balance[rows, index] = balance[len(p) + columns, index] = 1.0
    result = linprog(cost, A_eq=balance, b_eq=np.concatenate((p, q)), method="highs")
    assert result.status == 0
    return result.fun


def check_tree(tree, costs):
    """The links are one tree in preorder, and potentials sum to the costs along its edges."""
    links, root = tree.links, len(tree.links) - 1
    assert links[root, DEPTH] == 0
    stack, node = [], root
    for _ in range(root + 1):
        while stack and links[stack[-1], DEPTH] >= links[node, DEPTH]:
            stack.pop()
        assert links[node, PARENT] == (stack[-1] if stack else -1)
        assert links[node, DEPTH] == len(stack)
        assert links[links[node, AFTER], BEFORE] == node
        stack.append(node)
        node = links[node, AFTER]
    assert node == root  # a ring through all nodes
    for node, above in enumerate(links[:-1, PARENT].tolist()):
        if above < root:
            pair = min(node, above), max(node, above) - tree.rows
            assert tree.potential[node] + tree.potential[above] == pytest.approx(costs[pair], abs=1e-9)


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), n=st.integers(1, 12), k=st.integers(1, 12), density=st.floats(0.2, 1.0), whole=st.booleans()
)  # fmt: skip
def test_against_a_linear_program(seed, n, k, density, whole):
    random = np.random.default_rng(seed)
    rows, columns, cost, p, q = problem(random, n, k, density, whole=whole)
    tree = simplex.star(p, q, random.normal(size=n), random.normal(size=k), 1e3)
    assert simplex.solve(tree, rows, columns, cost)
    costs = dict(zip(zip(rows.tolist(), columns.tolist(), strict=True), cost.tolist(), strict=True))
    check_tree(tree, costs)
    i, j, mass = simplex.coupling(tree)
    np.testing.assert_allclose(np.bincount(i, mass, n), p, atol=1e-12)
    np.testing.assert_allclose(np.bincount(j, mass, k), q, atol=1e-12)
    best = oracle(rows, columns, cost, p, q)
    prices = np.array([costs[pair] for pair in zip(i.tolist(), j.tolist(), strict=True)])
    assert mass @ prices == pytest.approx(best, abs=1e-10)
    f, g = simplex.potentials(tree)
    assert (f[rows] + g[columns] <= cost + 1e-9).all()
    assert p @ f + q @ g == pytest.approx(best, abs=1e-8)
    assert np.median(f) == pytest.approx(0.0, abs=1e-9)


def test_new_edges_are_taken_up_from_where_the_tree_stands():
    random = np.random.default_rng(0)
    rows, columns, cost, p, q = problem(random, 30, 40, 1.0)
    some = np.sort(random.choice(1200, size=600, replace=False))
    p, q = (np.bincount(ends[some], np.ones(600), size) for ends, size in ((rows, 30), (columns, 40)))
    tree = simplex.star(p, q, np.zeros(30), np.zeros(40), 1e3)
    simplex.solve(tree, rows[some], columns[some], cost[some])
    simplex.solve(tree, rows, columns, cost)
    i, j, mass = simplex.coupling(tree)
    assert mass @ cost[i * 40 + j] == pytest.approx(oracle(rows, columns, cost, p, q), abs=1e-10)


def test_mass_that_no_edge_can_take_stays_at_the_root():
    tree = simplex.star(np.array([0.5, 0.5]), np.array([0.5, 0.5]), np.zeros(2), np.zeros(2), 10.0)
    assert simplex.solve(tree, np.array([0]), np.array([1]), np.array([1.0]))
    i, j, mass = simplex.coupling(tree)
    assert (i.tolist(), j.tolist(), mass.tolist()) == ([0], [1], [0.5])
    f, g = simplex.potentials(tree)
    assert f[1] + g[0] == 20.0  # what shows that an edge is missing there


def test_the_deadline_leaves_a_tree():
    random = np.random.default_rng(1)
    x, y = random.normal(size=(600, 2)), random.normal(size=(600, 2))
    rows, columns = np.divmod(np.arange(360_000), 600)
    cost = ((x[rows] - y[columns]) ** 2).sum(axis=1)
    p = random.exponential(size=600)
    tree = simplex.star(p, p[::-1].copy(), np.zeros(600), np.zeros(600), 1e3)
    before = simplex._PIVOTS
    simplex._PIVOTS = 50
    try:
        assert not simplex.solve(tree, rows, columns, cost, deadline=time.perf_counter())
    finally:
        simplex._PIVOTS = before
    check_tree(tree, {(i, j): c for i, j, c in zip(rows.tolist(), columns.tolist(), cost.tolist(), strict=True)})
