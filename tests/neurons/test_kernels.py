"""Every kernel against the NumPy twin, 1e-13 relative to the sum of absolute values (math.md §11, row 2).

Two remarks on that bar. A neuron whose kink lies next to a node is a difference of nearly equal numbers there, and so is any
neuron on nodes far from 0: the twin's own pre-activation is then rounded by more than 1e-13 of its value. Where a kernel does
not form the same pre-activation at the same node (prefix sums; interpolation nodes) that rounding, `oracle.rounding`, is
allowed for, and nothing else. And a saturated derivative below 1e-140 counts as 0.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from neurons.oracle import ANALYTIC, BAR, KERNELS, RIDGE, case, preactivation, rounding, worst

ABSENT = 1e-140
STATES = ("none", "midpoint", "gauss", "random", "offset", "unsorted", "plane", "far plane")
SIZES = (1, 2, 31, 32, 33, 49, 50, 51, 64, 100)
SMOOTH = [kernel for kernel in KERNELS if kernel[0] != "relu"]

problems = {
    "seed": st.integers(0, 2**32 - 1),
    "n": st.sampled_from([1, 2, 3, 99, 100, 101, 300]),
    "n_s": st.sampled_from(SIZES),
    "n_a": st.sampled_from(SIZES),
    "states": st.sampled_from(STATES),
}
lines = st.sampled_from(["midpoint", "gauss", "random", "offset"])
anywhere = st.sampled_from(["midpoint", "gauss", "random", "offset", "unsorted", "plane"])


def errors(problem, algorithm, allowed_f=ABSENT, allowed_g=ABSENT):
    """Largest errors of forward and adjoint in units of what is allowed: the bar, node by node and column by column, and a rest."""
    network = problem.network(algorithm)
    f, size_f = problem.forward()
    g, size_g = problem.adjoint()
    return (
        worst(network.forward(problem.points, problem.weights) - f, BAR * size_f + allowed_f),
        worst(network.adjoint(problem.points, problem.signal) - g, BAR * size_g + allowed_g),
    )


def hinge_errors(problem):
    """Slopes are sums over the same active nodes, so only values have the rounding of the pre-activation allowed for."""
    blurred = (preactivation(problem.points, *problem.nodes) > 0.0) * rounding(problem.points, *problem.nodes)
    allowed_g = np.full(problem.points.shape, ABSENT)
    allowed_g[:, 0] += np.einsum("ij,nij->n", np.abs(problem.signal), blurred)
    return errors(problem, "hinge", ABSENT + np.einsum("n,nij->ij", problem.weights * np.abs(problem.points[:, 0]), blurred), allowed_g)


def compressed_errors(problem):
    """Forward relative to the largest sum over the nodes, which is what `compressed` promises.

    The rounding of the pre-activation counts by σ' in values and by σ'' in slopes; for each of the four activations both are
    at most (1 + |x|) (|σ'| + |σ|), without |σ| but for the Gaussian.
    """
    value, gradient = problem.neurons()
    x = preactivation(problem.points, *problem.nodes)
    sensitivity = (1.0 + np.abs(x)) * (np.abs(gradient[-1]) + (value if problem.name == "gaussian" else 0.0))
    blurred = (sensitivity * rounding(problem.points, *problem.nodes)).max(axis=(1, 2))
    outer, mass = np.abs(problem.points[:, 0]), np.abs(problem.signal).sum()
    reach = np.max([1.0, *(np.abs(x).max() for x in problem.nodes if x.size)])
    # Bumps that reach no node at 1e-9 of their height have a test of their own (test_compressed.py).
    height = blurred + (1e-9 * BAR if problem.name == "gaussian" else 0.0)
    allowed_f = BAR * problem.forward()[1].max() + (problem.weights * outer) @ height
    return errors(problem, "compressed", ABSENT + allowed_f, ABSENT + (mass * reach * np.maximum(1.0, outer) * height)[:, None])


@given(**problems, name=st.sampled_from(RIDGE), actions=anywhere)
def test_direct(seed, name, n, n_s, n_a, states, actions):
    assert max(errors(case(seed, name, n, n_s, n_a, states, actions), "direct")) < 1.0


@settings(max_examples=100)
@given(**problems, actions=lines)
def test_hinge(seed, n, n_s, n_a, states, actions):
    assert max(hinge_errors(case(seed, "relu", n, n_s, n_a, states, actions))) < 1.0


@settings(max_examples=100)
@given(**problems, name=st.sampled_from(ANALYTIC), actions=lines)
def test_compressed(seed, name, n, n_s, n_a, states, actions):
    assert max(compressed_errors(case(seed, name, n, n_s, n_a, states, actions))) < 1.0


@given(**problems, actions=anywhere, width=st.sampled_from([0.02, 0.3, 2.0]))
def test_separable(seed, n, n_s, n_a, states, actions, width):
    """Bumps below 1e-40 of their height count as absent: there the rounding of the exponent alone exceeds the bar."""
    problem = case(seed, "rbf", n, n_s, n_a, states, actions, width)
    assert max(errors(problem, "separable", 1e-40, 1e-40)) < 1.0


@pytest.mark.parametrize("n", [3001, 8001])
def test_many_neurons_in_several_tasks(n):
    assert max(hinge_errors(case(n, "relu", n, 33, 7))) < 1.0
    assert max(errors(case(n, "relu", n, 33, 7), "direct")) < 1.0
    assert max(errors(case(n, "tanh", n, 33, 11), "direct")) < 1.0
    assert max(compressed_errors(case(n, "tanh", n, 33, 11))) < 1.0
    assert max(errors(case(n, "rbf", n, 33, 7), "separable", 1e-40, 1e-40)) < 1.0


@pytest.mark.parametrize(("name", "algorithm"), KERNELS)
def test_student_of_the_paper(name, algorithm):
    """N(0, 4) parameters on 100 × 100 midpoints: the bar as it stands at every node, whatever the kernel."""
    problem = case(0, name, 300, 100, 100, generic=True)
    assert max(errors(problem, algorithm)) < 1.0


@pytest.mark.parametrize("algorithm", ["direct", "compressed"])
@pytest.mark.parametrize("name", ANALYTIC)
@pytest.mark.parametrize("size", [1e4, 1e160, 1e300])
def test_huge_parameters_saturate(name, algorithm, size):
    """σ is at its limit and σ' is gone, whatever the size of the pre-activation."""
    inner = size * np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, -0.5, -2.0], [0.0, 0.0, -1.0]])
    points = np.hstack([np.ones((5, 1)), inner])
    problem = case(0, name, 5, 40, 40)
    signal = np.abs(problem.signal)
    mass = signal.sum()
    sign = np.array([1.0, 1.0, 1.0, -1.0, -1.0])
    limit = {"tanh": sign, "sigmoid": sign > 0.0, "gaussian": 0.0 * sign, "softplus": sign > 0.0}[name] * np.ones(5)
    got = problem.network(algorithm).adjoint(points, signal)
    if name == "softplus":
        got[:3, 0] /= (signal * preactivation(points, *problem.nodes)[:3]).sum(axis=(1, 2)) / mass
        assert got[:3, 3] == pytest.approx(mass, rel=1e-13)  # σ' = 1 on the right
        got[:3, 1:] = 0.0
    assert got[:, 0] == pytest.approx(mass * limit, rel=1e-13, abs=1e-100)
    assert np.abs(got[:, 1:]).max() < 1e-100


@pytest.mark.parametrize(("name", "algorithm"), KERNELS)
def test_adjoint_is_the_transpose(name, algorithm):
    """sum_n p_n ω0_n (row n's first number) is <G, f>: forward is linear in p ω0, and the adjoint is its transpose."""
    problem = case(5, name, 400, 37, 53)
    network = problem.network(algorithm)
    f = network.forward(problem.points, problem.weights)
    terms = problem.weights * problem.points[:, 0] * network.adjoint(problem.points, problem.signal)[:, 0]
    assert abs(terms.sum() - (problem.signal * f).sum()) < BAR * (np.abs(problem.signal) * problem.forward()[1]).sum()


@pytest.mark.parametrize(("name", "algorithm"), SMOOTH)
def test_adjoint_is_the_gradient(name, algorithm):
    """Rows are the gradient of ω -> sum_ij G_ij ψ_ij(ω), by central differences."""
    problem = case(6, name, 40, 37, 53, generic=True)
    network = problem.network(algorithm)
    gradient = network.adjoint(problem.points, problem.signal)
    step = 1e-5
    for k, unit in enumerate(np.eye(problem.points.shape[1])):
        up, down = problem.points + step * unit, problem.points - step * unit
        energy = [p[:, 0] * network.adjoint(p, problem.signal)[:, 0] for p in (up, down)]
        np.testing.assert_allclose(gradient[:, k], (energy[0] - energy[1]) / (2.0 * step), rtol=0, atol=1e-7 * np.abs(gradient).max())


def hidden(problem, algorithm, columns, value):
    """Columns in which one `value` in one neuron leaves every f_ij finite."""
    network = problem.network(algorithm)
    found = []
    for column in columns:
        points = problem.points.copy()
        points[:, 0] = 1.0  # a neuron of output weight 0 may hide what it computes
        points[123, column] = value
        with np.errstate(invalid="ignore"):
            found += [column] if np.isfinite(network.forward(points, problem.weights)).all() else []
    return found


@pytest.mark.parametrize("states", ["none", "midpoint", "unsorted", "plane"])
@pytest.mark.parametrize(("name", "algorithm"), KERNELS)
def test_nan_stays_visible_in_the_energy(name, algorithm, states):
    problem = case(8, name, 300, 33, 40, states)
    assert hidden(problem, algorithm, [], 0.0) == []
    assert hidden(problem, algorithm, range(problem.points.shape[1]), np.nan) == []


@pytest.mark.parametrize("states", ["none", "midpoint", "unsorted", "plane"])
@pytest.mark.parametrize(("name", "algorithm"), KERNELS)
def test_nan_stays_visible_in_its_own_row(name, algorithm, states):
    problem = case(8, name, 300, 33, 40, states)
    network = problem.network(algorithm)
    for column in range(problem.points.shape[1]):
        points = problem.points.copy()
        points[123, column] = np.nan
        with np.errstate(invalid="ignore"):
            finite = np.isfinite(network.adjoint(points, problem.signal)).all(axis=1)
        assert np.flatnonzero(~finite).tolist() == [123], column


@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize(("name", "algorithm"), KERNELS)
def test_infinity_stays_visible(name, algorithm, value):
    """In every parameter of a ReLU neuron; in the output weight of the others, which may saturate in the rest."""
    problem = case(9, name, 300, 33, 40)
    assert hidden(problem, algorithm, range(4 if name == "relu" else 1), value) == []


@pytest.mark.parametrize("algorithm", ["hinge", "direct"])
def test_dead_neurons_are_exactly_silent(algorithm):
    """Pre-activation below 0 on every node: neither value nor gradient, not even by rounding."""
    problem = case(10, "relu", 500, 33, 40)
    points = problem.points.copy()
    points[:, -1] = -np.abs(points[:, 1:3]).sum(axis=1) - 1e-3
    network = problem.network(algorithm)
    assert not network.forward(points, problem.weights).any()
    assert not network.adjoint(points, problem.signal).any()
