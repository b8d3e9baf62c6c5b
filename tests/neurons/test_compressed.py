"""Interpolation of smooth neurons: every level at the steepest slope it serves, and who is served by what."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from neurons.oracle import ANALYTIC, BAR, Case, case, sigma, worst

from wflow.neurons import Network, get
from wflow.neurons.compressed import Compressed, _levels
from wflow.spaces import Space

INTERVALS = {
    "unit": Space.midpoint(100).nodes,
    "long": Space.midpoint(100, -3.0, 5.0).nodes,
    "short": Space.gauss_legendre(120, 0.0, 1e-3).nodes,
    "few": Space.midpoint(21).nodes,
    "far": Space.midpoint(100).nodes + 1000.0,
}


@pytest.mark.parametrize("name", ANALYTIC)
@pytest.mark.parametrize("interval", INTERVALS)
def test_levels_at_their_steepest_slope(name, interval):
    """σ and σ' of the worst neurons, all offsets: 1e-14 of the neuron's height on the nodes (Gaussian: of 1).

    A tenth of the kernels' bar, for an axis is half of a neuron; and the rounding of the nodes themselves, felt far from 0.
    """
    x = INTERVALS[interval]
    low, high = x.min(), x.max()
    centre, half = (low + high) / 2.0, (high - low) / 2.0
    levels = _levels(x, get(name).singularity)[:-1]
    assert levels
    for level in levels:
        reach = level.steepest * half
        offset = np.linspace(-reach - 8.0, reach + 8.0, 2001)[:, None]  # the pre-activation in the middle
        exact = sigma(name, offset + level.steepest * (x[:, 0] - centre))
        sampled = sigma(name, offset + level.steepest * (level.nodes[:, 0] - centre))
        for f, g in zip(exact, sampled, strict=True):
            height = 1.0 if name == "gaussian" else np.abs(f).max(axis=1)
            error = np.abs(g @ level.weights.T - f).max(axis=1) / height
            assert error.max() < BAR / 10.0 + level.steepest * np.spacing(np.abs(x).max()), (len(level.nodes), offset[error.argmax()])


def test_levels_grow_with_the_slope_and_stay_below_the_nodes():
    levels = _levels(Space.midpoint(100).nodes, get("tanh").singularity)
    assert all(a.steepest < b.steepest and len(a.nodes) < len(b.nodes) for a, b in pairwise(levels))
    assert levels[-1].weights is None
    np.testing.assert_array_equal(levels[-1].nodes, Space.midpoint(100).nodes)
    for x in (Space.midpoint(8).nodes, np.zeros((50, 0)), np.random.default_rng(0).random((50, 2))):  # nothing to gain, or no line
        assert [level.weights for level in _levels(x, np.pi)] == [None]


def test_interpolation_reproduces_its_own_nodes():
    """Where an interpolation node falls on a node the weights are 0 and 1, not a quotient 0/0."""
    angle = (2.0 * np.arange(8) + 1.0) * np.pi / 16.0
    x = np.sort(np.concatenate([[-1.0, 1.0], np.cos(angle), np.linspace(-0.9, 0.9, 11)]))[:, None]
    level = _levels(x, np.pi)[0]
    hit = x == level.nodes.T
    assert hit.any(axis=1).sum() == 8
    np.testing.assert_array_equal(level.weights[hit.any(axis=1)], hit[hit.any(axis=1)])
    np.testing.assert_allclose(level.weights @ level.nodes**7, x**7, atol=1e-14)


@pytest.mark.parametrize("name", ANALYTIC)
def test_neurons_get_the_smallest_level_that_serves_them(name):
    states, actions = Space.midpoint(60).nodes, Space.midpoint(100, 0.0, 3.0).nodes
    kernels = Compressed(get(name), states, actions)
    rng = np.random.default_rng(0)
    points = rng.standard_normal((2000, 4)) * 10.0 ** rng.uniform(-3, 3, (2000, 4))
    of_states, of_actions = (_levels(x, get(name).singularity) for x in (states, actions))
    points[0, 1] = -of_states[2].steepest  # the limit itself is served
    order, tasks = kernels._classes(points)
    np.testing.assert_array_equal(np.sort(order), np.arange(2000))
    assert [begin for begin, *_ in tasks] == [0, *[end for _, end, *_ in tasks][:-1]]
    assert tasks[-1][1] == 2000
    for begin, end, s, a in tasks:
        for levels, chosen, slopes in ((of_states, s, points[order[begin:end], 1]), (of_actions, a, points[order[begin:end], 2])):
            assert (np.abs(slopes) <= levels[chosen].steepest).all()
            assert chosen == 0 or (np.abs(slopes) > levels[chosen - 1].steepest).all()


@pytest.mark.parametrize("name", ANALYTIC)
def test_steep_neurons_keep_the_nodes(name):
    """Slopes beyond every level: the direct kernels' own numbers."""
    problem = case(0, name, 300, 50, 60)
    points = problem.points.copy()
    points[:, 1:3] = 1e3 * (1.0 + np.abs(points[:, 1:3]))
    steep = Case(name, problem.states, problem.actions, points, problem.weights, problem.signal)
    f, size = steep.forward()
    compressed, direct = steep.network("compressed"), steep.network("direct")
    assert worst(compressed.forward(points, problem.weights) - f, BAR * size + 1e-140) < 1.0
    np.testing.assert_array_equal(compressed.adjoint(points, problem.signal), direct.adjoint(points, problem.signal))


def test_gaussian_tails():
    """Bumps that reach the nodes with their tails only: 1e-13 of their height, as documented, not of the little they sum to there."""
    rng = np.random.default_rng(0)
    problem = case(0, "gaussian", 300, 50, 60)
    bias = rng.choice([-1, 1], 300) * rng.uniform(9, 15, 300)
    points = np.column_stack([rng.standard_normal((300, 1)), rng.uniform(-2, 2, (300, 2)), bias])
    tails = Case("gaussian", problem.states, problem.actions, points, problem.weights, problem.signal)
    network = Network("gaussian", problem.states, problem.actions, algorithm="compressed")
    f, _ = tails.forward()
    g, _ = tails.adjoint()
    assert np.abs(network.forward(points, problem.weights) - f).max() < BAR * (problem.weights @ np.abs(points[:, 0]))
    assert np.abs(network.adjoint(points, problem.signal)[:, 0] - g[:, 0]).max() < BAR * np.abs(problem.signal).sum()
