"""The library: known optima, documented dynamics, reproducible seeds (math.md §0, §4, §10)."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest

from wflow.mdp import (
    agazzi_lu_bandit,
    agazzi_lu_grid,
    chain,
    evaluate,
    exact_gap,
    garnet,
    gridworld,
    optimum,
    three_armed_bandit,
    tree,
)

# ---------------------------------------------------------------- Agazzi & Lu


def teacher_by_loops(seed, states, actions, n_teacher=5, variance=4.0):
    """Mean over ReLU neurons; states (n_s, d), actions (n_a, 1); one draw, rows [ω0, k_s, k_a, b]."""
    rows = np.sqrt(variance) * np.random.default_rng(seed).standard_normal((n_teacher, states.shape[1] + 3))
    f = np.zeros((len(states), len(actions)))
    for row in rows:
        for i, s in enumerate(states):
            for j, a in enumerate(actions):
                f[i, j] += row[0] * max(0.0, row[1:-2] @ s + row[-1] + row[-2] * a[0]) / n_teacher
    return f


@pytest.mark.parametrize("seed", range(4))
def test_bandit_is_the_teacher(seed):
    mdp = agazzi_lu_bandit(seed=seed)
    assert (mdp.n_states, mdp.n_actions, mdp.discount, mdp.temperature) == (1, 100, 0.0, 0.2)
    assert mdp.states.dimension == 0
    np.testing.assert_allclose(mdp.actions.nodes[:, 0], (np.arange(100) + 0.5) / 100, rtol=1e-15)
    np.testing.assert_allclose(mdp.actions.weights, 0.01, rtol=1e-15)
    f = teacher_by_loops(seed, np.zeros((1, 0)), mdp.actions.nodes)
    np.testing.assert_allclose(mdp.reward, 0.2 * f, rtol=0, atol=1e-14)
    best = optimum(mdp)
    assert best.objective == pytest.approx(0.2 * np.log(np.exp(f).mean()), abs=1e-14)
    np.testing.assert_allclose(best.log_policy, f - np.log(np.exp(f).mean()), rtol=0, atol=1e-13)


@pytest.mark.parametrize("seed", range(3))
def test_grid_has_the_teacher_as_optimum(seed):
    mdp = agazzi_lu_grid(seed=seed)
    assert (mdp.n_states, mdp.n_actions, mdp.discount, mdp.temperature) == (100, 100, 0.7, 0.2)
    for space in (mdp.states, mdp.actions):
        np.testing.assert_allclose(space.nodes[:, 0], (np.arange(100) + 0.5) / 100, rtol=1e-15)
    np.testing.assert_array_equal(mdp.initial, np.full(100, 0.01))
    f = teacher_by_loops(seed, mdp.states.nodes, mdp.actions.nodes)
    best = optimum(mdp)
    np.testing.assert_allclose(best.action_value, 0.2 * f, rtol=0, atol=1e-13)
    np.testing.assert_allclose(best.value, 0.2 * np.log(np.exp(f).mean(axis=1)), rtol=0, atol=1e-13)
    assert best.residual <= 1e-14


def test_grid_dynamics():
    mdp = agazzi_lu_grid(n_states=6, n_actions=6)
    dense = mdp.transition.to_dense()
    for i in range(6):
        for j in range(6):
            for k in range(6):
                assert dense[i, j, k] == pytest.approx((0.9 if k == j else 0.0) + 0.1 / 6, rel=1e-15)


def test_unequal_grids_lead_to_the_nearest_node():
    mdp = agazzi_lu_grid(n_states=4, n_actions=10, mixing=0.0)
    for j, a in enumerate(mdp.actions.nodes[:, 0]):
        nearest = min(range(4), key=lambda k: abs(mdp.states.nodes[k, 0] - a))
        np.testing.assert_array_equal(mdp.transition.to_dense()[:, j].argmax(axis=1), nearest)


def test_teacher_options():
    plain, summed, unbiased = (agazzi_lu_bandit(seed=3, **options) for options in ({}, {"normalise": False}, {"bias": False}))
    np.testing.assert_allclose(summed.reward, 5.0 * plain.reward, rtol=1e-14)
    f = np.zeros(100)
    for w0, k, _ in 2.0 * np.random.default_rng(3).standard_normal((5, 3)):
        f += w0 * np.maximum(k * unbiased.actions.nodes[:, 0], 0.0) / 5
    np.testing.assert_allclose(unbiased.reward[0], 0.2 * f, rtol=0, atol=1e-14)
    assert agazzi_lu_grid(seed=3, n_states=7, n_actions=8, n_teacher=2, variance=1.0).reward.shape == (7, 8)


def test_seeds_are_reproducible_and_differ():
    for make in (agazzi_lu_bandit, agazzi_lu_grid):
        np.testing.assert_array_equal(make(seed=5).reward, make(seed=5).reward)
        assert np.abs(make(seed=5).reward - make(seed=6).reward).max() > 1e-3


@pytest.mark.parametrize(("make", "arguments", "error", "message"), [
    (agazzi_lu_bandit, {"n_actions": 0}, ValueError, "n_actions must be"),
    (agazzi_lu_bandit, {"temperature": 0.0}, ValueError, r"temperature must be .*above 0; got 0\.0"),
    (agazzi_lu_bandit, {"variance": -1.0}, ValueError, "variance must be"),
    (agazzi_lu_bandit, {"n_teacher": 2.5}, TypeError, "n_teacher must be"),
    (agazzi_lu_bandit, {"seed": -1}, ValueError, "seed must be"),
    (agazzi_lu_grid, {"discount": 1.0}, ValueError, "discount must be"),
    (agazzi_lu_grid, {"mixing": 2.0}, ValueError, "mixing must be"),
    (agazzi_lu_grid, {"n_states": 0}, ValueError, "n_states must be"),
])  # fmt: skip
def test_agazzi_lu_errors(make, arguments, error, message):
    with pytest.raises(error, match=message):
        make(**arguments)


# ---------------------------------------------------------------- Garnet and grid world


def test_garnet():
    mdp = garnet(20, 3, 4, seed=7, discount=0.8, temperature=0.3)
    rows = mdp.transition.to_dense()
    assert ((rows > 0).sum(axis=2) == 4).all()
    np.testing.assert_allclose(rows.sum(axis=2), 1.0, rtol=1e-14)
    assert ((mdp.reward >= 0) & (mdp.reward <= 1)).all()
    np.testing.assert_array_equal(mdp.transition.to_dense(), garnet(20, 3, 4, seed=7).transition.to_dense())
    assert (mdp.discount, mdp.temperature) == (0.8, 0.3)
    assert (garnet(3, 2, 1).transition.to_dense().max(axis=2) == 1.0).all()
    with pytest.raises(ValueError, match=r"branching must be at most n_states = 3; got 4"):
        garnet(3, 2, 4)


def distances(n_rows, n_columns, walls, goal):
    """Moves to the goal by breadth-first search, for every cell that has a way."""
    steps, queue = {goal: 0}, deque([goal])
    while queue:
        r, c = queue.popleft()
        for cell in ((r - 1, c), (r + 1, c), (r, c - 1), (r, c + 1)):
            if 0 <= cell[0] < n_rows and 0 <= cell[1] < n_columns and cell not in walls and cell not in steps:
                steps[cell] = steps[r, c] + 1
                queue.append(cell)
    return steps


def test_gridworld_without_slip_pays_the_shortest_path():
    walls, goal = [(0, 1), (1, 1), (3, 0), (3, 1), (2, 3), (4, 4), (3, 5)], (0, 2)  # the cell (4, 5) is walled in
    mdp = gridworld(5, 6, walls=walls, goal=goal, slip=0.0, discount=0.9)
    steps = distances(5, 6, walls, goal)
    value = optimum(mdp).value
    assert mdp.n_states == 30 - len(walls)
    for cell, v in zip(mdp.states.nodes.astype(int), value, strict=True):
        d = steps.get(tuple(cell), np.inf)
        assert v == pytest.approx(0.9 ** (d - 1) if d > 0 else 0.0, abs=1e-14)
    assert (4, 5) not in steps


def test_gridworld_slips_to_both_sides():
    mdp = gridworld(3, 3, walls=[(1, 1)], goal=(2, 2), slip=0.2)
    cells = [tuple(c) for c in mdp.states.nodes.astype(int)]
    moves = [tuple(m) for m in mdp.actions.nodes.astype(int)]
    assert moves == [(-1, 0), (0, 1), (1, 0), (0, -1)]
    expected = np.zeros((8, 4, 8))
    for i, (r, c) in enumerate(cells):
        for j, (dr, dc) in enumerate(moves):
            for (er, ec), chance in (((dr, dc), 0.8), ((dc, dr), 0.1), ((-dc, -dr), 0.1)):
                landed = (r + er, c + ec)
                stays = landed not in cells or (r, c) == (2, 2)
                expected[i, j, i if stays else cells.index(landed)] += chance
    np.testing.assert_allclose(mdp.transition.to_dense(), expected, rtol=0, atol=1e-15)
    goal = cells.index((2, 2))
    reward = expected[:, :, goal].copy()
    reward[goal] = 0.0
    np.testing.assert_allclose(mdp.reward, reward, rtol=0, atol=1e-15)


@pytest.mark.parametrize(("arguments", "message"), [
    ({"walls": [(5, 0)]}, r"walls must be \(row, column\) on the 5 x 5 grid; got \(5, 0\)"),
    ({"goal": (0, -1)}, r"goal must be \(row, column\) on the 5 x 5 grid; got \(0, -1\)"),
    ({"goal": (0, 0), "walls": [(0, 0)]}, r"goal must be a free cell; got the wall \(0, 0\)"),
    ({"slip": 1.5}, r"slip must be .*; got 1\.5"),
    ({"n_rows": 0}, r"n_rows must be"),
])  # fmt: skip
def test_gridworld_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        gridworld(**arguments)


# ---------------------------------------------------------------- witnesses of math.md §10


def test_three_arms():
    best = optimum(three_armed_bandit())
    assert best.objective == 1.0
    np.testing.assert_array_equal(best.policy, [[1.0, 0.0, 0.0]])
    warm = optimum(three_armed_bandit(temperature=0.5))
    assert warm.objective == pytest.approx(0.5 * np.log(np.exp([2.0, 1.8, 0.2]).sum()), rel=1e-14)


def test_tree_is_not_concave(normalise):
    """θ = ±(0, log 3, 0, log 3): values 9/16 r and 1/16 r; their mean 5/16 r exceeds the midpoint's 1/4 r."""
    mdp, weights = tree(reward=2.0), np.ones(2)

    def value(theta):
        log_policy = normalise(np.array([*theta, 0.0, 0.0]).reshape(3, 2), weights)
        return evaluate(mdp, log_policy).objective

    theta = np.array([0.0, np.log(3.0), 0.0, np.log(3.0)])
    assert value(theta) == pytest.approx(9 / 16 * 2.0, rel=1e-14)
    assert value(-theta) == pytest.approx(1 / 16 * 2.0, rel=1e-14)
    assert value(0.0 * theta) == pytest.approx(1 / 4 * 2.0, rel=1e-14)
    assert value(0.0 * theta) < (value(theta) + value(-theta)) / 2.0
    assert optimum(mdp).objective == pytest.approx(2.0, rel=1e-14)
    assert optimum(tree(discount=0.9)).objective == pytest.approx(1.0, rel=1e-14)
    with pytest.raises(ValueError, match="discount must be"):
        tree(discount=0.0)


def direct(H, theta, n_actions=4):
    p = np.full((H + 2, n_actions), (1.0 - theta) / (n_actions - 1))
    p[:, 0] = theta
    return np.log(p)


@pytest.mark.parametrize("H", [1, 2, 5, 12])
def test_chain_value_by_the_characteristic_roots(H):
    """V_i = γ(θ V_{i+1} + (1 − θ) V_{i−1}) inside, V_0 = γ V_1, V_{H+1} = H + 1."""
    mdp, gamma, theta = chain(H), H / (H + 1), 0.23
    x, y = np.roots([gamma * theta, -1.0, gamma * (1.0 - theta)])
    left = [1.0 - gamma * x, 1.0 - gamma * y]
    a, b = np.linalg.solve([left, [x ** (H + 1), y ** (H + 1)]], [0.0, H + 1.0])
    i = np.arange(H + 2)
    np.testing.assert_allclose(evaluate(mdp, direct(H, theta)).value, a * x**i + b * y**i, rtol=1e-11, atol=0)


@pytest.mark.parametrize("H", [1, 4, 8, 20])
def test_chain_optimum_and_gap(H):
    mdp, gamma = chain(H), H / (H + 1)
    best = optimum(mdp)
    assert best.objective == pytest.approx((H + 1) * gamma ** (H + 1), rel=1e-13)
    np.testing.assert_array_equal(best.log_policy[1 : H + 1].argmax(axis=1), 0)
    for theta in (0.05, 0.249):
        result = evaluate(mdp, direct(H, theta))
        gap = best.objective - result.objective
        assert gap >= (H + 1) / 8 - (H + 1) ** 2 / 3**H
        assert exact_gap(mdp, result, best) == pytest.approx(gap, rel=1e-12)


def test_chain_moves():
    dense = chain(3, n_actions=3).transition.to_dense()
    np.testing.assert_array_equal(dense.argmax(axis=2), [[1, 1, 1], [2, 0, 0], [3, 1, 1], [4, 2, 2], [4, 4, 4]])
    assert (dense.max(axis=2) == 1.0).all()
    with pytest.raises(ValueError, match="H must be"):
        chain(0)
    with pytest.raises(ValueError, match="n_actions must be"):
        chain(3, n_actions=1)


# ---------------------------------------------------------------- what no machine has room for, and what is no argument


@pytest.mark.parametrize(("make", "message"), [
    (lambda: agazzi_lu_bandit(n_actions=10**15), "n_actions"),
    (lambda: agazzi_lu_bandit(n_teacher=10**15), "n_teacher"),
    (lambda: agazzi_lu_grid(n_states=10**8), "n_states"),  # n_s² numbers
    (lambda: chain(10**8), "H"),
    (lambda: chain(3, n_actions=10**15), "n_actions"),
    (lambda: garnet(10**15, 1, 1), "n_states"),
    (lambda: garnet(10, 10**14, 1), "n_actions"),
    (lambda: garnet(10**7, 10, 10**7), "branching"),
    (lambda: gridworld(10**15), "n_rows"),
    (lambda: gridworld(10, 10**14), "n_columns"),
])  # fmt: skip
def test_sizes_beyond_memory_are_refused(make, message):
    with pytest.raises(ValueError, match=rf"^{message} must be small enough for .* GB of memory; got 10+$"):
        make()


@pytest.mark.parametrize(("make", "message"), [
    (lambda: gridworld(walls=3), r"walls must be a sequence of \(row, column\); got 3"),
    (lambda: gridworld(walls=[3]), r"walls must be \(row, column\) on the 5 x 5 grid; got 3"),
    (lambda: gridworld(goal=(0.5, 1)), r"goal must be \(row, column\) on the 5 x 5 grid; got \(0\.5, 1\)"),
    (lambda: gridworld(goal=(0, 1, 2)), r"goal must be \(row, column\) on the 5 x 5 grid; got \(0, 1, 2\)"),
    (lambda: agazzi_lu_bandit(bias="no"), "bias must be True or False; got 'no'"),
    (lambda: agazzi_lu_grid(normalise=0), "normalise must be True or False; got 0"),
])  # fmt: skip
def test_other_things_are_refused(make, message):
    with pytest.raises(TypeError, match=f"^{message}$"):
        make()
