"""Bounds on the gaps that the controls leave, against solvers that know nothing of their proofs; what controls keep, and who has them."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize, minimize_scalar
from toys import support as toys

from wflow import mdp
from wflow.energies import PolicyValue
from wflow.measures import ParticleMeasure, laws
from wflow.spaces import Space
from wflow.studies.support import CONTROLS, SEEDS, built_in
from wflow.studies.support.controls import all_dead, least_affine, least_monotone

seeds = st.integers(0, 10**6)
CONTROL = {control.name: control for control in CONTROLS}


def density(values, weights):
    """Log density of exp(values), in plain NumPy."""
    values = values - values.max(axis=-1, keepdims=True)
    return values - np.log(np.exp(values) @ weights)[..., None]


def divergence(log_p, log_q, weights):
    return (np.exp(log_p) * (log_p - log_q)) @ weights


def made_up(rng, n, size=3.0):
    """Sorted actions, weights and one log policy (n,)."""
    actions = np.sort(rng.uniform(-1.0, 2.0, n)) + 0.01 * np.arange(n)
    weights = rng.uniform(0.2, 2.0, n) / n
    return actions, weights, density(size * rng.standard_normal(n), weights)


def concave(rng, actions, weights, size=3.0):
    """A log policy that is a sum of hinges that turn down and a slope, (n,)."""
    kinks = rng.uniform(actions[0], actions[-1], 4)
    hinges = -(rng.exponential(size, 4) * np.abs(actions[:, None] - kinks)).sum(axis=1)
    return density(hinges + size * rng.standard_normal() * actions, weights)


def best_of_all_blocks(target, weights):
    """Least divergence among densities that are constant on blocks and monotone, over all 2^(n−1) ways to cut into blocks.

    On given blocks the unconstrained minimiser is ∝ exp(mean of the target over the block); the minimiser of the convex problem is that
    of its own blocks, and every candidate that is monotone is feasible.
    """
    n, best = len(target), np.inf
    for cuts in product((False, True), repeat=n - 1):
        block = np.concatenate([[0], np.cumsum(cuts)]).astype(int)
        means = np.bincount(block, weights * target) / np.bincount(block, weights)
        steps = np.diff(means)
        if (steps >= 0.0).all() or (steps <= 0.0).all():
            best = min(best, divergence(density(means[block], weights), target, weights))
    return best


@given(seed=seeds, n=st.integers(1, 7))
def test_least_monotone_is_the_best_of_all_blocks(seed, n):
    rng = np.random.default_rng(seed)
    _, weights, target = made_up(rng, n)
    assert least_monotone(target[None], weights)[0] == pytest.approx(best_of_all_blocks(target, weights), rel=1e-10, abs=1e-14)


@given(seed=seeds, n=st.integers(3, 6))
@settings(max_examples=15)
def test_least_monotone_against_a_convex_solver(seed, n):
    """SLSQP over probabilities, increasing or decreasing by linear constraints: the divergence is convex in them."""
    rng = np.random.default_rng(seed)
    _, weights, target = made_up(rng, n, 1.0)
    found = []
    for sign in (1.0, -1.0):
        steps = sign * np.diff(np.eye(n), axis=0)
        order = {"type": "ineq", "fun": lambda p, steps=steps: steps @ p, "jac": lambda _, steps=steps: steps}
        total = {"type": "eq", "fun": lambda p: weights @ p - 1.0, "jac": lambda _: weights}
        got = minimize(lambda p: weights @ (p * (np.log(p) - target)), np.full(n, 1.0 / weights.sum()), method="SLSQP",
                       jac=lambda p: weights * (np.log(p) - target + 1.0), bounds=[(1e-9, None)] * n, constraints=[order, total],
                       options={"ftol": 1e-14, "maxiter": 500})  # fmt: skip
        found.append(got.fun)
    assert least_monotone(target[None], weights)[0] == pytest.approx(min(found), rel=1e-4, abs=1e-6)


@given(seed=seeds)
def test_no_monotone_function_does_better(seed):
    rng = np.random.default_rng(seed)
    _, weights, target = made_up(rng, 12)
    least = least_monotone(target[None], weights)[0]
    for _ in range(50):
        near = np.maximum.accumulate(target + rng.choice([0.01, 0.3, 2.0]) * rng.standard_normal(12))
        down = np.minimum.accumulate(target + rng.choice([0.01, 0.3, 2.0]) * rng.standard_normal(12))
        for values in (near, down, np.sort(rng.standard_normal(12)) * rng.exponential(3.0)):
            assert divergence(density(values, weights), target, weights) >= least - 1e-13


def test_least_monotone_of_what_is_monotone():
    weights = np.full(5, 0.2)
    targets = density(np.array([[0.0, 1.0, 1.0, 2.0, 5.0], [3.0, 1.0, 0.0, 0.0, -1.0], np.zeros(5), [0.0, 1.0, 0.0, 1.0, 0.0]]), weights)
    least = least_monotone(targets, weights)
    assert np.abs(least[:3]).max() < 1e-30
    assert least[3] > 0.01


@given(seed=seeds, n=st.integers(2, 12), size=st.sampled_from([0.1, 3.0, 100.0, 3000.0]))
@example(seed=635, n=4, size=3000.0)  # the mass is at an end but for e^-100
@settings(max_examples=25)
def test_least_affine_against_scalar_minimisation(seed, n, size):
    """In many windows, of log policies that are concave, steep ones too, whose least may lie in a narrow well at a small slope."""
    rng = np.random.default_rng(seed)
    actions, weights, _ = made_up(rng, n)
    target = concave(rng, actions, weights, size)
    least = least_affine(target[None], actions, weights)[0]

    def value(c):
        return divergence(density(c * actions, weights), target, weights)

    steepest = np.abs(np.diff(target) / np.diff(actions)).max()
    ends = np.sinh(np.linspace(-1.0, 1.0, 41) * np.arcsinh(1.5 * steepest))
    best = min(minimize_scalar(value, bounds=window, method="bounded", options={"xatol": 1e-9}).fun for window in pairwise(ends))
    assert least == pytest.approx(best, rel=1e-7, abs=1e-10)


def test_least_affine_row_by_row():
    rng = np.random.default_rng(0)
    actions, weights, _ = made_up(rng, 8)
    targets = np.stack([concave(rng, actions, weights, size) for size in (0.1, 1.0, 50.0)] + [np.full(8, -np.log(weights.sum()))])
    alone = [least_affine(row[None], actions, weights)[0] for row in targets]
    np.testing.assert_allclose(least_affine(targets, actions, weights), alone, rtol=1e-9, atol=1e-14)
    assert alone[-1] < 1e-14


@given(seed=seeds, slope=st.floats(-5000.0, 5000.0))
def test_affine_targets_are_reached(seed, slope):
    """However steep: else the bound on the gap would be none."""
    rng = np.random.default_rng(seed)
    actions, weights = (np.arange(50) + 0.5) / 50.0, rng.uniform(0.5, 1.5, 50) / 50.0
    assert least_affine(density(slope * actions, weights)[None], actions, weights)[0] < 1e-9


@given(seed=seeds, size=st.sampled_from([0.3, 3.0, 20.0]))
@settings(max_examples=12)
def test_no_convex_function_beats_an_affine_one(seed, size):
    """Random sums of hinges, and descent over all hinges and slopes from near the best affine function, or from anywhere."""
    rng = np.random.default_rng(seed)
    n = 7
    actions, weights, _ = made_up(rng, n)
    target = concave(rng, actions, weights, size)
    least = least_affine(target[None], actions, weights)[0]
    hinges = np.column_stack([actions, np.maximum(0.0, actions[:, None] - actions[1:-1])])  # every convex function on these nodes
    many = rng.exponential(size, (300, n - 1)) * (rng.random((300, n - 1)) < 0.5) * rng.choice([0.01, 0.3, 1.0, 10.0], (300, 1))
    many[:, 0] = 2.0 * size * rng.standard_normal(300)
    assert (divergence(density(many @ hinges.T, weights), target, weights) >= least - 1e-12).all()

    def objective(share):
        log_p = density(hinges @ share, weights)
        p, excess = weights * np.exp(log_p), log_p - target
        value = p @ excess
        return value, hinges.T @ (p * (excess - value))

    bounds = [(None, None)] + [(0.0, None)] * (n - 2)
    for start in many[:2]:
        got = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds)
        assert got.fun >= least - 1e-9


@given(seed=seeds, d_s=st.sampled_from([0, 1]))
def test_gaps_of_monotone_policies_are_above_the_bound(seed, d_s):
    energy, _ = toys.anywhere(seed, "tanh", d_s=d_s)
    bound = CONTROL["single point"].bound(energy)
    rng = np.random.default_rng(seed)
    shape = energy.network.shape
    for _ in range(20):
        rows = np.sort(rng.exponential(2.0) * rng.standard_normal(shape), axis=1)[:, :: rng.choice([1, -1])]
        best = np.maximum.accumulate(energy.optimum.log_policy + 0.1 * rng.standard_normal(shape), axis=1)
        for values in (rows, best):
            assert gap(energy, values) >= bound * (1.0 - 1e-10)


@given(seed=seeds, d_s=st.sampled_from([0, 1]))
def test_gaps_of_convex_policies_are_above_the_bound(seed, d_s):
    """Q* is concave in the action at some states or at all; γ > 0 where there are states."""
    rng = np.random.default_rng(seed)
    shape = (4, 9) if d_s else (1, 9)
    flat, _ = toys.anywhere(seed, d_s=d_s)
    actions = flat.mdp.actions.nodes[:, 0]
    rows = np.stack([flat.mdp.temperature * concave(rng, actions, flat.mdp.actions.weights) for _ in range(shape[0])])
    if d_s:
        rows[0] = rng.standard_normal(9)
    energy, _ = toys.anywhere(seed, d_s=d_s, action_value=rows)
    np.testing.assert_allclose(energy.optimum.log_policy, density(rows / energy.mdp.temperature, energy.mdp.actions.weights), atol=1e-9)
    bound = CONTROL["sign-locked"].bound(energy)
    assert bound > 0.0
    hinges = np.maximum(0.0, actions[:, None] - actions[1:-1])
    for _ in range(40):
        size = rng.choice([0.0, 0.1, 1.0, 5.0])
        convex = size * rng.exponential(1.0, (shape[0], 7)) @ hinges.T + 4.0 * rng.standard_normal((shape[0], 1)) * actions
        assert gap(energy, convex) >= bound * (1.0 - 1e-10)
    best = minimize_scalar(lambda c: gap(energy, np.outer(np.ones(shape[0]), c * actions)), bounds=(-50, 50), method="bounded")
    assert best.fun >= bound * (1.0 - 1e-10)
    if not d_s:
        assert best.fun == pytest.approx(bound, rel=1e-4)  # it is sharp where there is but one state


def gap(energy, values):
    return mdp.exact_gap(energy.mdp, mdp.evaluate(energy.mdp, density(values, energy.mdp.actions.weights)), energy.optimum)


@pytest.mark.parametrize("seed", SEEDS)
def test_controls_are_proved_on_the_named_bandits(seed):
    """Their teachers are concave and not monotone."""
    energy, _ = built_in("bandit", "relu", seed=seed).build()
    target, actions = energy.optimum.log_policy[0], energy.mdp.actions.nodes[:, 0]
    slopes = np.diff(target) / np.diff(actions)
    assert (np.diff(slopes) < 1e-9).all()
    assert slopes[0] > 0.0 > slopes[-1]
    for control in CONTROLS:
        assert control.applies(energy) == ""
        assert control.bound(energy) > 1e-4
    smooth, _ = built_in("bandit", "tanh", seed=seed).build()
    assert CONTROL["single point"].bound(smooth) == CONTROL["single point"].bound(energy)
    assert CONTROL["all dead"].applies(smooth) == CONTROL["sign-locked"].applies(smooth) == "of ReLU neurons only"


def test_no_bound_without_a_proof():
    for activation in ("gaussian", "rbf"):
        assert CONTROL["single point"].bound(toys.grid(activation)[0]) == 0.0
    plane, _ = toys.plane()
    assert CONTROL["single point"].bound(plane) == 0.0
    assert "on a line only" in CONTROL["sign-locked"].applies(plane)
    pair = PolicyValue(mdp.MDP(reward=np.array([[0.0, 1.0]]), transition=None, discount=0.0, temperature=1.0))
    assert "three or more" in CONTROL["sign-locked"].applies(pair)
    assert CONTROL["sign-locked"].bound(pair) == CONTROL["single point"].bound(pair) == 0.0


def test_rounding_proves_nothing():
    """Optima that are monotone, affine, or convex are within reach: the bound is 0 and not 1e-19."""
    actions = np.linspace(0.0, 1.0, 9)
    for row in (3.0 * actions, actions**2, np.exp(actions), np.zeros(9)):
        energy, _ = toys.anywhere(2, d_s=0, action_value=row[None])
        assert CONTROL["single point"].bound(energy) == 0.0
    for discount in (0.0, 0.5):
        energy, _ = toys.anywhere(5, gamma=discount)
        nodes = energy.mdp.actions.nodes[:, 0]
        affine, _ = toys.anywhere(5, gamma=discount, action_value=np.outer([1.0, -2.0, 0.0, 7.0], nodes))
        assert CONTROL["sign-locked"].bound(affine) == 0.0


@given(seed=seeds)
@settings(max_examples=20)
def test_the_order_of_actions_does_not_matter(seed):
    """Monotone is said of the action, not of its number."""
    energy, _ = toys.anywhere(seed, d_s=0)
    order = np.random.default_rng(seed).permutation(9)
    problem = energy.mdp
    shuffled = PolicyValue(mdp.MDP(reward=problem.reward[:, order], transition=None, discount=0.0, temperature=problem.temperature,
                                   actions=Space(problem.actions.nodes[order], problem.actions.weights[order])))  # fmt: skip
    assert CONTROL["single point"].bound(shuffled) == pytest.approx(CONTROL["single point"].bound(energy), rel=1e-9, abs=1e-12)
    if not (np.diff(order) > 0).all():
        assert CONTROL["sign-locked"].applies(shuffled)
        assert CONTROL["sign-locked"].bound(shuffled) == 0.0


@given(seed=seeds, d_s=st.sampled_from([0, 1]))
@settings(max_examples=20)
def test_the_gap_of_the_uniform_policy(seed, d_s):
    """That of the definition: E* less the value of the policy that dead neurons have."""
    energy, _ = toys.anywhere(seed, d_s=d_s)
    dead = all_dead(energy).sample(20, seed)
    assert CONTROL["all dead"].bound(energy) == pytest.approx(energy.optimum.objective - energy.value(dead), rel=1e-8, abs=1e-10)


def test_dead_for_the_nodes_of_the_energy():
    energy, _ = toys.plane(scale=3.0)
    assert not energy.evaluate(all_dead(energy).sample(500, 0)).velocity.any()
    assert energy.evaluate(laws.all_dead(energy.n_parameters).sample(500, 0)).velocity.any()


def test_what_is_not_kept_is_found_out():
    energy, student = toys.bandit("relu")
    starts = {control.name: control.law(energy).sample(64, 0) for control in CONTROLS}
    for control in CONTROLS:
        assert control.defect(energy, starts[control.name]) <= control.rounding
    assert CONTROL["all dead"].defect(energy, student.sample(64, 0)) > 1e-9
    points = starts["single point"].points.copy()
    points[7, 1] += 1e-13
    assert CONTROL["single point"].defect(energy, ParticleMeasure(points)) == pytest.approx(1e-13, rel=0.01)
    locked = starts["sign-locked"].points.copy()
    locked[3, 0] *= -1.0
    assert CONTROL["sign-locked"].defect(energy, ParticleMeasure(locked)) == np.inf


def test_a_bend_down_is_found_out():
    """An f that turns down by a small hinge, where all ω0 are positive (neurons that are not ReLU's)."""
    energy, _ = toys.bandit("sigmoid")
    start = ParticleMeasure(np.array([[1.0, 2.0, 0.5]]))  # concave where the argument is positive
    assert CONTROL["sign-locked"].defect(energy, start) > 1e-5
