"""Which kernel, the same bits on any number of threads, and memory O(N + M)."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import numba
import numpy as np
import pytest
from neurons.oracle import ANALYTIC, BAR, KERNELS, case, nodes, worst

from wflow import _jit
from wflow.neurons import ALGORITHMS, Network
from wflow.spaces import Space


@pytest.fixture
def threads(monkeypatch):
    """Set the number of threads, which are then used however small the work; restored afterwards."""
    monkeypatch.setattr(_jit, "_WORTH_WAKING", 0.0)
    before = numba.get_num_threads()
    yield _jit.set_threads
    numba.set_num_threads(before)


@pytest.mark.parametrize(("name", "algorithm"), KERNELS)
@pytest.mark.parametrize("n", [150, 3500, 8500])
def test_same_bits_on_any_number_of_threads(threads, name, algorithm, n):
    problem = case(0, name, n, 60, 55)
    network = problem.network(algorithm)
    results = []
    for count in (1, 2, 4):
        threads(count)
        results.append((network.forward(problem.points, problem.weights), network.adjoint(problem.points, problem.signal)))
    for f, g in results[1:]:
        np.testing.assert_array_equal(f, results[0][0])
        np.testing.assert_array_equal(g, results[0][1])


@pytest.mark.parametrize(("name", "algorithm"), KERNELS)
def test_arguments_are_left_alone(name, algorithm):
    """Nothing is written to, and results are fresh arrays."""
    problem = case(0, name, 300, 40, 30)
    network = problem.network(algorithm)
    before = [array.copy() for array in (problem.points, problem.weights, problem.signal)]
    for call in (lambda: network.forward(problem.points, problem.weights), lambda: network.adjoint(problem.points, problem.signal)):
        first = call()
        kept = first.copy()
        first[:] = np.nan
        np.testing.assert_array_equal(call(), kept)
    for array, copy in zip((problem.points, problem.weights, problem.signal), before, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("kernel", KERNELS)
def test_auto_is_one_of_the_algorithms(kernel):
    """Whatever "auto" takes, a small problem and a large one are within the bar of each other's kernels."""
    name, algorithm = kernel
    for n in (10, 500):
        problem = case(3, name, n, 40, 30, generic=True)
        f, size = problem.forward()
        assert worst(problem.network().forward(problem.points, problem.weights) - f, np.full(f.shape, BAR * size.max())) < 1.0
        assert worst(problem.network(algorithm).forward(problem.points, problem.weights) - f, np.full(f.shape, BAR * size.max())) < 1.0


@pytest.mark.parametrize(("name", "actions", "algorithm", "allowed"), [
    ("tanh", "midpoint", "hinge", "auto, compressed, direct"),
    ("relu", "midpoint", "compressed", "auto, hinge, direct"),
    ("relu", "unsorted", "hinge", "auto, direct"),
    ("relu", "plane", "hinge", "auto, direct"),
    ("rbf", "midpoint", "direct", "auto, separable"),
    ("gaussian", "midpoint", "separable", "auto, compressed, direct"),
])  # fmt: skip
def test_algorithms_that_do_not_fit(name, actions, algorithm, allowed):
    spaces = Space.midpoint(4), Space(nodes(np.random.default_rng(0), actions, 9), np.ones(9))
    assert algorithm in ALGORITHMS
    with pytest.raises(ValueError, match=rf"^algorithm must be one of {allowed}; got '{algorithm}'"):
        Network(name, *spaces, algorithm=algorithm)


def test_equal_action_nodes_are_no_axis():
    """The prefix sums need strictly increasing nodes; the others do not."""
    actions = Space([[0.0], [0.5], [0.5]], np.ones(3))
    with pytest.raises(ValueError, match=r"^algorithm must be one of auto, direct"):
        Network("relu", Space.point(), actions, algorithm="hinge")
    assert Network("relu", Space.point(), actions).forward(np.array([[2.0, 1.0, 0.0]]), np.ones(1)).tolist() == [[0.0, 1.0, 1.0]]


def test_errors():
    with pytest.raises(ValueError, match=r"^algorithm must be one of auto, hinge, direct; got 'hinges' \(did you mean 'hinge'\?\)$"):
        Network("relu", Space.point(), Space.midpoint(3), algorithm="hinges")
    with pytest.raises(ValueError, match=r"^activation must be one of .* \(did you mean 'tanh'\?\)$"):
        Network("tan", Space.point(), Space.midpoint(3))
    with pytest.raises(ValueError, match=r"^actions must have at least one coordinate for a neuron to depend on; got Space\(point"):
        Network("relu", Space.midpoint(3), Space.point())
    with pytest.raises(ValueError, match=r"^width must be left out"):
        Network("relu", Space.point(), Space.midpoint(3), width=0.1)


@pytest.mark.parametrize(("spaces", "argument"), [((3, Space.midpoint(3)), "states"), ((Space.midpoint(3), np.zeros((3, 1))), "actions")])
def test_what_is_no_space(spaces, argument):
    with pytest.raises(TypeError, match=f"^{argument} must be"):
        Network("relu", *spaces)


@pytest.mark.parametrize("name", ["relu", *ANALYTIC, "rbf"])
def test_shapes(name):
    network = Network(name, Space.tensor_product(Space.midpoint(2), Space.midpoint(3)), Space.midpoint(5))
    assert network.shape == (6, 5)
    assert network.n_parameters == (4 if name == "rbf" else 5)
    points = np.random.default_rng(0).standard_normal((7, network.n_parameters))
    assert network.forward(points, np.full(7, 1 / 7)).shape == (6, 5)
    assert network.adjoint(points, np.ones((6, 5))).shape == points.shape


MEMORY = """
import numpy as np
from wflow.neurons import Network
from wflow.spaces import Space

def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) * 1024

name, n, nodes = {name!r}, {n}, {nodes}
network = Network(name, Space.midpoint(nodes), Space.midpoint(nodes))
rng = np.random.default_rng(0)
points, weights, signal = rng.normal(0.0, 2.0, (n, network.n_parameters)), np.full(n, 1.0 / n), rng.standard_normal((nodes, nodes))
network.adjoint(points[:300], signal), network.forward(points[:300], weights[:300])  # compiled
before = peak()
network.forward(points, weights)
network.adjoint(points, signal)
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
@pytest.mark.parametrize(("name", "n", "nodes"), [("relu", 200_000, 100), ("tanh", 20_000, 40), ("rbf", 20_000, 40)])
def test_memory_does_not_grow_with_the_product(name, n, nodes):
    """Far below N n_s numbers, let alone N M; what is used is a few copies of the points and tables over the nodes."""
    script = textwrap.dedent(MEMORY).format(name=name, n=n, nodes=nodes)
    grown = int(subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout)
    assert grown < 6 * n * 5 * 8 + 16 * 2**20
    assert n * nodes * nodes * 8 > 4 * (6 * n * 5 * 8 + 16 * 2**20)  # an N × M array would show


@pytest.mark.parametrize("activation", ["relu", "tanh", "rbf"])
def test_arrays_of_another_shape_are_refused(activation):
    """The compiled loops would read past the end."""
    network = Network(activation, Space.midpoint(3), Space.midpoint(4))
    m = network.n_parameters
    points, weights, signal = np.ones((5, m)), np.full(5, 0.2), np.ones((3, 4))
    for bad in (points[:, :-1], points[0], points[None]):
        with pytest.raises(ValueError, match=rf"^points must have shape \(any, {m}\); got"):
            network.forward(bad, weights)
        with pytest.raises(ValueError, match=rf"^points must have shape \(any, {m}\); got"):
            network.adjoint(bad, signal)
    with pytest.raises(ValueError, match=r"^weights must have shape \(5,\); got \(4,\)$"):
        network.forward(points, weights[:4])
    with pytest.raises(ValueError, match=r"^signal must have shape \(3, 4\); got \(4, 3\)$"):
        network.adjoint(points, signal.T)
    np.testing.assert_array_equal(network.forward(points.tolist(), weights.tolist()), network.forward(points, weights))


@pytest.mark.parametrize(("states", "actions"), [("midpoint", "midpoint"), ("none", "random"), ("plane", "plane")])
@pytest.mark.parametrize("name", ["relu", *ANALYTIC, "rbf"])
def test_values_of_every_neuron_by_itself(name, states, actions):
    """Against the twin, and against `forward` of one neuron of weight 1."""
    problem = case(11, name, 30, 1 if states == "none" else 7, 9, states, actions)
    network = problem.network()
    values, exact = network.values(problem.points), problem.points[:, 0, None, None] * problem.neurons()[0]
    assert values.shape == (30, *network.shape)
    _, size = problem.forward()
    for point, weight, value, phi in zip(problem.points, problem.weights, values, exact, strict=True):
        assert np.abs(weight * (value - phi)).max() <= 10.0 * BAR * size.max()
        alone = network.forward(point[None], np.ones(1))
        assert np.abs(weight * (value - alone)).max() <= 10.0 * BAR * size.max()
    total = network.forward(problem.points, problem.weights)
    assert np.abs(np.tensordot(problem.weights, values, 1) - total).max() <= 10.0 * BAR * size.max()


@pytest.mark.parametrize("name", ["relu", "tanh", "rbf"])
def test_values_of_none_and_of_a_wrong_shape(name):
    network = Network(name, Space.midpoint(3), Space.midpoint(4))
    m = network.n_parameters
    assert network.values(np.zeros((0, m))).shape == (0, 3, 4)
    points = np.ones((5, m))
    kept = points.copy()
    network.values(points)[:] = np.nan
    np.testing.assert_array_equal(points, kept)
    for bad in (points[:, :-1], points[0], points[None]):
        with pytest.raises(ValueError, match=rf"^points must have shape \(any, {m}\); got"):
            network.values(bad)
