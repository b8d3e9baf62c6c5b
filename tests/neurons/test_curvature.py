"""Second derivatives and Laplacians of smooth neurons: complex steps, differences of the adjoint kernels, tails (math.md §7)."""

from __future__ import annotations

import math

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from neurons.oracle import ANALYTIC, case

from wflow.energies import PolicyValue
from wflow.mdp import agazzi_lu_bandit, agazzi_lu_grid
from wflow.neurons import Activation, Network, curvature
from wflow.spaces import Space

SMOOTH = (*ANALYTIC, "rbf")
TINY = 1e-30  # of a complex step: nothing is subtracted, so nothing cancels


@numba.njit
def sigma(x):
    return math.sin(x)


@numba.njit
def slope(x):
    return math.cos(x)


def slopes(name, z):
    """σ'(z) in textbook form, for complex z too."""
    return {"tanh": lambda: 1.0 / np.cosh(z) ** 2, "sigmoid": lambda: np.exp(-z) / (1.0 + np.exp(-z)) ** 2,
            "softplus": lambda: 1.0 / (1.0 + np.exp(-z)), "gaussian": lambda: -z * np.exp(-z * z / 2.0)}[name]()  # fmt: skip


def gradient(name, theta, x, width):
    """∇_ω̄ φ(x; ω̄) of one neuron on one node x = (s, a); theta may be complex."""
    if name == "rbf":
        offset = x - theta
        return offset / width**2 * np.exp(-(offset @ offset) / (2.0 * width**2))
    return slopes(name, theta[:-1] @ x + theta[-1]) * np.append(x, 1.0)


def plain_laplacian(name, points, states, actions, signal, width):
    """Sum of the second derivatives one by one, each a complex step of the gradient."""
    total = np.zeros(len(points))
    for n, theta in enumerate(points[:, 1:]):
        for i, s in enumerate(states):
            for j, a in enumerate(actions):
                for k in range(len(theta)):
                    moved = theta.astype(complex)
                    moved[k] += 1j * TINY
                    total[n] += signal[i, j] * gradient(name, moved, np.append(s, a), width)[k].imag / TINY
    return total


@pytest.mark.parametrize("name", ANALYTIC)
def test_second_derivative_by_complex_steps(name):
    x = np.concatenate([np.linspace(-15.0, 15.0, 601), [0.0, 1e-9, -1e-300]])
    exact = slopes(name, x + 1j * TINY).imag / TINY
    np.testing.assert_allclose(curvature.SECOND_DERIVATIVES[name](x), exact, rtol=2e-13, atol=2e-16)


@pytest.mark.parametrize(("name", "tail"), [
    ("tanh", lambda x: -8.0 * np.sign(x) * np.exp(-2.0 * abs(x))), ("sigmoid", lambda x: -np.sign(x) * np.exp(-abs(x))),
    ("softplus", lambda x: np.exp(-abs(x))), ("gaussian", lambda x: (x * x - 1.0) * np.exp(-x * x / 2.0)),
])  # fmt: skip
def test_second_derivative_in_the_tails(name, tail):
    """Relatively accurate where 1 − tanh² or σ (1 − σ) would be 0, and 0 without a floating-point trap beyond."""
    second = curvature.SECOND_DERIVATIVES[name]
    x = np.array([-38.5, -37.0, 36.5, 38.0])
    np.testing.assert_allclose(second(x), tail(x), rtol=1e-13)
    assert (second(x) != 0.0).all()
    np.testing.assert_array_equal(second(np.array([-1e200, -1e3, 1e3, 1e200])), 0.0)
    assert np.isnan(second(np.array([np.nan]))).all()


@pytest.mark.parametrize(("states", "actions"), [("none", "midpoint"), ("midpoint", "random"), ("plane", "plane")])
@pytest.mark.parametrize("name", SMOOTH)
@given(seed=st.integers(0, 10**6))
def test_laplacian_is_the_sum_of_second_derivatives(name, states, actions, seed):
    problem = case(seed, name, 3, 1 if states == "none" else 3, 4, states, actions, generic=True)
    network, (s, a) = problem.network(), problem.nodes
    exact = plain_laplacian(name, problem.points, s, a, problem.signal, problem.width)
    kept = problem.points.copy()
    found = network.laplacian(problem.points, problem.signal)
    lengths = 1.0 + np.square(s).sum(axis=1)[:, None] + np.square(a).sum(axis=1)
    scale = lengths if name != "rbf" else (s.shape[1] + a.shape[1]) / problem.width**2
    assert np.abs(found - exact).max() <= 1e-13 * np.abs(problem.signal * scale).sum()
    np.testing.assert_array_equal(problem.points, kept)


@pytest.mark.parametrize("activation", SMOOTH)
@pytest.mark.parametrize("problem", ["bandit", "grid"])
def test_laplacian_is_the_divergence_of_the_field(problem, activation):
    """ω0 Δg against differences of every component of `PolicyValue.field` in its own coordinate, of fourth order."""
    mdp = agazzi_lu_bandit(seed=1, n_actions=40) if problem == "bandit" else agazzi_lu_grid(seed=1, n_states=9, n_actions=13)
    energy = PolicyValue(mdp, activation)
    rng, m, h = np.random.default_rng(2), energy.n_parameters, 2e-4
    points, signal = rng.normal(0.0, 1.0, (50, m)), rng.normal(0.0, 1.0, energy.network.shape)
    divergence = np.zeros(50)
    for j in range(m):
        step = h * np.eye(m)[j]
        near, far = (energy.field(points + k * step, signal)[:, j] - energy.field(points - k * step, signal)[:, j] for k in (1, 2))
        divergence += (8.0 * near - far) / (12.0 * h)
    found = points[:, 0] * energy.laplacian(points, signal)
    assert np.abs(found).max() > 1.0
    np.testing.assert_allclose(found, divergence, rtol=0, atol=1e-9 * np.abs(found).max())


@pytest.mark.parametrize("name", ["tanh", "rbf"])
def test_blocks_change_nothing(name):
    """More points than one block holds come out as one by one; no points give none."""
    network = Network(name, Space.midpoint(100), Space.midpoint(100))
    rng = np.random.default_rng(0)
    points, signal = rng.standard_normal((61, network.n_parameters)), rng.standard_normal((100, 100))
    together = network.laplacian(points, signal)
    alone = np.concatenate([network.laplacian(points[n : n + 1], signal) for n in range(61)])
    assert 2 * curvature._BLOCK < 61 * 10**4
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-13 * np.abs(together).max())
    assert network.laplacian(points[:0], signal).shape == (0,)


def test_width_of_the_bump():
    """One node, one bump: φ (r²/ℓ⁴ − d/ℓ²)."""
    network = Network("rbf", Space.finite([[0.25]]), Space.finite([[0.5]]), width=0.7)
    r2 = 0.15**2 + 0.3**2
    exact = 3.0 * math.exp(-r2 / (2 * 0.49)) * (r2 / 0.49**2 - 2 / 0.49)
    assert network.laplacian(np.array([[5.0, 0.1, 0.8]]), np.array([[3.0]]))[0] == pytest.approx(exact, rel=1e-14)


@pytest.mark.parametrize(("activation", "reason"), [
    ("relu", "'relu', whose gradient jumps at the kink"),
    ((sigma, slope), "'custom', of which only σ and σ' are known"),
    (Activation.custom(sigma, slope, "tanh"), "'tanh', of which only σ and σ' are known"),
])  # fmt: skip
def test_refused_activations(activation, reason):
    network = Network(activation, Space.midpoint(3), Space.midpoint(4))
    allowed = r"smooth and built in \(tanh, sigmoid, softplus, gaussian, rbf\)"
    with pytest.raises(ValueError, match=f"^activation must be {allowed}; got {reason}$"):
        network.laplacian(np.ones((2, 4)), np.ones((3, 4)))


@pytest.mark.parametrize("activation", ["tanh", "rbf"])
def test_arrays_of_another_shape_are_refused(activation):
    network = Network(activation, Space.midpoint(3), Space.midpoint(4))
    m = network.n_parameters
    with pytest.raises(ValueError, match=rf"^points must have shape \(any, {m}\); got \(5, {m - 1}\)$"):
        network.laplacian(np.ones((5, m - 1)), np.ones((3, 4)))
    with pytest.raises(ValueError, match=r"^signal must have shape \(3, 4\); got \(4, 3\)$"):
        network.laplacian(np.ones((5, m)), np.ones((4, 3)))
