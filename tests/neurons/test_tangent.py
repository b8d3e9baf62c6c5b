"""Tangents of f_ν are the transpose of the adjoint; curvatures its derivative: every kernel against the others and plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from wflow.neurons import NAMES, Network
from wflow.spaces import Space

SPACES = {
    "bandit": (Space.point(), Space.midpoint(20)),
    "grid": (Space.midpoint(13), Space.midpoint(17)),
    "plane": (Space.tensor_product(Space.midpoint(3), Space.midpoint(4)), Space.tensor_product(Space.midpoint(3), Space.midpoint(2))),
    "irregular": (Space.finite(np.array([0.0, 0.1, 0.7])), Space.gauss_legendre(15, -1.0, 2.0)),
}


def cloud(network, n, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(0.0, 2.0, (n, network.n_parameters)), rng.dirichlet(np.ones(n)), rng


@pytest.mark.parametrize("n", [1, 7, 300])  # 300: enough for the compressed kernels
@pytest.mark.parametrize("where", SPACES)
@pytest.mark.parametrize("name", NAMES)
def test_tangent_is_the_transpose_of_the_adjoint(name, where, n):
    """sum_ij G_ij df_ij = sum_n p_n v_n·∇(sum_ij G_ij ψ_ij), for all G and v."""
    network = Network(name, *SPACES[where])
    points, weights, rng = cloud(network, n)
    v, G = rng.normal(size=points.shape), rng.normal(size=network.shape)
    forward, back = G * network.tangent(points, weights, v), weights[:, None] * v * network.adjoint(points, G)
    size = (weights[:, None] * np.abs(v) * np.abs(network.adjoint(points, np.abs(G)))).sum() + np.abs(forward).sum()
    assert forward.sum() == pytest.approx(back.sum(), abs=1e-13 * size)


@pytest.mark.parametrize("where", SPACES)
@pytest.mark.parametrize("name", ["relu", "tanh", "sigmoid", "softplus", "gaussian"])
def test_fast_kernels_agree_with_the_direct_ones(name, where):
    fast, direct = Network(name, *SPACES[where]), Network(name, *SPACES[where], algorithm="direct")
    points, weights, rng = cloud(fast, 400)
    v, G = rng.normal(size=points.shape), rng.normal(size=fast.shape)
    exact = direct.tangent(points, weights, v)
    np.testing.assert_allclose(fast.tangent(points, weights, v), exact, rtol=0, atol=1e-12 * np.abs(exact).max())
    if name != "relu":
        exact = direct.curvature(points, G)
        np.testing.assert_allclose(fast.curvature(points, G), exact, rtol=0, atol=1e-11 * np.abs(exact).max())


@pytest.mark.parametrize("where", SPACES)
@pytest.mark.parametrize("name", ["relu", "tanh"])
def test_tangent_neuron_by_neuron(name, where):
    """sum_n p_n (v0 σ(z) + ω0 σ'(z) v̄·(s, a, 1)), written out."""
    network = Network(name, *SPACES[where])
    points, weights, rng = cloud(network, 9)
    v = rng.normal(size=points.shape)
    states, actions = (space.nodes for space in SPACES[where])
    exact = np.zeros(network.shape)
    for i, s in enumerate(states):
        for j, a in enumerate(actions):
            x = np.concatenate([s, a, [1.0]])
            z = points[:, 1:] @ x
            value, slope = (np.maximum(z, 0.0), z > 0.0) if name == "relu" else (np.tanh(z), 1.0 - np.tanh(z) ** 2)
            exact[i, j] = weights @ (v[:, 0] * value + points[:, 0] * slope * (v[:, 1:] @ x))
    np.testing.assert_allclose(network.tangent(points, weights, v), exact, rtol=0, atol=1e-13 * np.abs(exact).max())


@pytest.mark.parametrize("where", SPACES)
@pytest.mark.parametrize("name", [name for name in NAMES if name != "relu"])
def test_curvature_is_the_derivative_of_the_gradient(name, where):
    network = Network(name, *SPACES[where])
    points, _, rng = cloud(network, 6)
    points[:, 0] = 1.0
    G = rng.normal(size=network.shape)
    found = network.curvature(points, G)
    step, columns = 2e-4, []
    for k in range(1, network.n_parameters):
        shift = np.zeros(network.n_parameters)
        shift[k] = step
        one, two = (network.adjoint(points + c * shift, G)[:, 1:] - network.adjoint(points - c * shift, G)[:, 1:] for c in (1.0, 2.0))
        columns.append((8.0 * one - two) / (12.0 * step))
    np.testing.assert_allclose(found, np.stack(columns, axis=2), rtol=0, atol=1e-8 * np.abs(found).max())
    np.testing.assert_allclose(found, found.transpose(0, 2, 1), rtol=0, atol=1e-14 * np.abs(found).max())


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "softplus", "gaussian", "rbf"])
def test_trace_of_the_curvature_is_the_laplacian(name):
    network = Network(name, *SPACES["grid"])
    points, _, rng = cloud(network, 300)
    G = rng.normal(size=network.shape)
    exact = network.laplacian(points, G)
    np.testing.assert_allclose(np.trace(network.curvature(points, G), axis1=1, axis2=2), exact, rtol=0, atol=1e-12 * np.abs(exact).max())


def test_relu_has_no_curvature_between_kinks():
    network = Network("relu", *SPACES["grid"])
    assert network.curvature(np.ones((2, 4)), np.ones(network.shape)) is None


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_finite_shows(name):
    network = Network(name, *SPACES["grid"])
    points, weights, _ = cloud(network, 5)
    points[3, 2] = np.nan
    assert np.isnan(network.tangent(points, weights, np.ones_like(points))).any()
    points[3, 2] = 1.0
    v = np.ones_like(points)
    v[2, 1] = np.nan
    assert np.isnan(network.tangent(points, weights, v)).any()


def test_shapes_are_checked():
    network = Network("tanh", *SPACES["grid"])
    with pytest.raises(ValueError, match=r"direction must have shape \(5, 4\); got \(4, 4\)"):
        network.tangent(np.ones((5, 4)), np.full(5, 0.2), np.ones((4, 4)))
    with pytest.raises(ValueError, match="signal must have shape"):
        network.curvature(np.ones((5, 4)), np.ones((2, 2)))
