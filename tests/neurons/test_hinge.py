"""Kinks on nodes: the prefix-sum kernel decides by the twin's own float expression, ``(k_s·s + b) + k_a·a > 0`` (math.md §0).

A signal of ones makes the adjoint's last column ω0 times the number of active nodes, an integer that cannot be nearly right.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from neurons.oracle import Case, case, nodes, preactivation

from wflow.neurons.axis import Axis, check_slot, one_slot
from wflow.spaces import Space


def active_counts(points, states, actions, algorithm):
    """Number of active nodes of every neuron, the twin's and the kernel's."""
    points = points.copy()
    points[:, 0] = 1.0
    spaces = Space(states, np.ones(len(states))), Space(actions, np.ones(len(actions)))
    problem = Case("relu", *spaces, points, np.full(len(points), 1.0 / len(points)), np.ones((len(states), len(actions))))
    twin = (preactivation(points, states, actions) > 0.0).sum(axis=(1, 2))
    return twin, problem.network(algorithm).adjoint(points, problem.signal)[:, -1]


def through_nodes(rng, states, actions, slopes, n):
    """Neurons with the given slopes (n, d_s + 1) whose pre-activation vanishes, to rounding, on a random node."""
    d_s = states.shape[1]
    s, a = states[rng.integers(0, len(states), n)], actions[rng.integers(0, len(actions), n), 0]
    bias = -((slopes[:, :d_s] * s).sum(axis=1) + slopes[:, d_s] * a)
    return np.column_stack([np.ones(n), slopes, bias])


spacings = st.lists(st.integers(1, 5), min_size=0, max_size=70)


@given(seed=st.integers(0, 2**32 - 1), state_steps=spacings, action_steps=spacings, equal=st.booleans(), d_s=st.integers(0, 2),
       n=st.sampled_from([1, 2, 64, 128]))  # fmt: skip
def test_exact_arithmetic_gives_the_same_bits(seed, state_steps, action_steps, equal, d_s, n):
    """Small integers: no operation of any kernel rounds, so hinge, direct and twin agree to the last bit, kinks on nodes and all."""
    rng = np.random.default_rng(seed)
    states = np.cumsum([0, *([1] * len(state_steps) if equal else state_steps)])[:, None] / 4.0 + rng.integers(-8, 8)
    states = {0: states[:, :0], 1: states, 2: np.hstack([states, rng.integers(-3, 4, states.shape)])}[d_s]
    actions = np.cumsum([0, *([1] * len(action_steps) if equal else action_steps)])[:, None] / 4.0 + rng.integers(-8, 8)
    points = rng.integers(-4, 5, (n, d_s + 3)).astype(float)
    points[:, -1] = rng.integers(-32, 33, n) / 4.0
    weights = np.full(n, 2.0 ** -int(np.log2(n)))  # a power of two; kernels do not ask for mass 1
    signal = rng.integers(-9, 10, (len(states), len(actions))).astype(float)
    problem = Case("relu", Space(states, np.ones(len(states))), Space(actions, np.ones(len(actions))), points, weights, signal)
    for algorithm in ("hinge", "direct"):
        network = problem.network(algorithm)
        np.testing.assert_array_equal(network.forward(points, weights), problem.forward()[0], err_msg=algorithm)
        np.testing.assert_array_equal(network.adjoint(points, signal), problem.adjoint()[0], err_msg=algorithm)


@settings(max_examples=100)
@given(seed=st.integers(0, 2**32 - 1), states=st.sampled_from(["none", "midpoint", "gauss", "random", "offset", "unsorted", "plane"]),
       actions=st.sampled_from(["midpoint", "gauss", "random", "offset"]), n_s=st.sampled_from([1, 2, 31, 32, 33, 100]),
       n_a=st.sampled_from([1, 2, 7, 100]), small=st.sampled_from([0.0, -3.0, -6.0, -9.0, -12.0, -15.0]))  # fmt: skip
def test_active_nodes_are_the_twins(seed, states, actions, n_s, n_a, small):
    """Kinks through nodes at slopes of very different size along the two axes."""
    rng = np.random.default_rng(seed)
    s, a = nodes(rng, states, n_s), nodes(rng, actions, n_a)
    slopes = rng.standard_normal((300, s.shape[1] + 1)) * 10.0 ** rng.uniform(small, 0.0, (300, s.shape[1] + 1))
    points = through_nodes(rng, s, a, slopes, 300)
    for algorithm in ("hinge", "direct"):
        twin, kernel = active_counts(points, s, a, algorithm)
        np.testing.assert_array_equal(kernel, twin, err_msg=algorithm)


@pytest.mark.parametrize("exponent", [0, -3, -6, -9, -12])
def test_small_state_slopes(exponent):
    """The state in which all actions become active, from a crossing that rounding of b + k_a·a moves by many nodes."""
    rng = np.random.default_rng(0)
    s, a = Space.midpoint(100).nodes, Space.midpoint(10).nodes
    slopes = rng.standard_normal((5000, 2)) * [10.0**exponent, 1.0]
    points = through_nodes(rng, s, a[[0, -1]], slopes, 5000)
    twin, kernel = active_counts(points, s, a, "hinge")
    assert (twin != kernel).sum() == 0


@pytest.mark.parametrize("states", ["none", "midpoint"])
def test_denormal_slopes(states):
    """A neuron of slope 1e-310 has a kink among the nodes like any other."""
    rng = np.random.default_rng(1)
    s, a = nodes(rng, states, 40), Space.midpoint(40).nodes
    points = through_nodes(rng, s, a, 1e-310 * rng.standard_normal((500, s.shape[1] + 1)), 500)
    points[250:, -1] += 1e-312 * rng.standard_normal(250)
    twin, kernel = active_counts(points, s, a, "hinge")
    assert 0 < twin.min() + twin.sum() < 500 * 40 * 40
    np.testing.assert_array_equal(kernel, twin)


@pytest.mark.parametrize("slope", [1.0, -1.0, 0.0, -0.0])
def test_constant_in_the_action(slope):
    """Slope zero, of either sign: active where the rest is positive, for all actions or none."""
    s, a = Space.midpoint(9).nodes, Space.midpoint(5).nodes
    points = np.array([
        [1.0, slope, 0.0, 0.0], [1.0, slope, -0.0, 0.0], [1.0, slope, 0.0, -slope * s[4, 0]], [1.0, slope, -0.0, 1.0], [1.0, 0.0, 0.0, 0.0],
    ])  # fmt: skip
    for algorithm in ("hinge", "direct"):
        twin, kernel = active_counts(points, s, a, algorithm)
        np.testing.assert_array_equal(kernel, twin)
        assert twin[-1] == 0


def test_value_at_a_kink_on_a_node_is_zero_and_has_no_slope():
    problem = case(0, "relu", 1, 1, 5, "none")
    actions = Space.finite([0.0, 0.25, 0.5, 0.75, 1.0])
    for points, active in ((np.array([[1.0, 1.0, -0.5]]), [3, 4]), (np.array([[1.0, -1.0, 0.5]]), [0, 1])):
        network = Case("relu", problem.states, actions, points, np.ones(1), problem.signal).network("hinge")
        f = np.zeros((1, 5))
        f[0, active] = np.abs(actions.nodes[active, 0] - 0.5)
        np.testing.assert_array_equal(network.forward(points, np.ones(1)), f)
        for j in range(5):
            signal = np.eye(5)[[j]]
            assert network.adjoint(points, signal)[0, -1] == (1.0 if j in active else 0.0)


@given(seed=st.integers(0, 2**32 - 1), kind=st.sampled_from(["midpoint", "gauss", "random", "offset"]), n=st.integers(1, 60))
def test_slots_by_brute_force(seed, kind, n):
    """Nodes left of the crossing of ``(k x + base) + shift``, guessed and corrected, or corrected from any guess."""
    rng = np.random.default_rng(seed)
    x = nodes(rng, kind, n)[:, 0]
    axis = Axis.of(x)
    assert axis.size == n
    for _ in range(20):
        k = rng.choice([1.0, -1.0, 10.0 ** rng.uniform(-9, 3), -(10.0 ** rng.uniform(-9, 3))])
        shift = rng.choice([0.0, rng.standard_normal()])
        base = -(k * rng.choice(x) + shift) + rng.choice([0.0, 0.0, 1e-16, rng.standard_normal()])
        active = (k * x + base) + shift > 0.0
        slot = n - active.sum() if k >= 0.0 else active.sum()
        np.testing.assert_array_equal(active[slot:] if k >= 0.0 else active[:slot], True)
        assert one_slot(base, shift, k, -axis.scale / k, axis.padded, axis.lookup, axis.scale, axis.margin) == slot
        for guess in {0, n, slot}:
            assert check_slot(guess, base, shift, k, axis.padded) == slot
