"""Particles of the Wasserstein policy gradient: drift, density estimate, the exact law of the reflected Euler chain and its bias."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import ndtr

from wflow.flows._action_cells import deposited, reflected_kernel
from wflow.flows.action_particles import WassersteinPolicyParticles
from wflow.flows.action_space import WassersteinPolicyFlow
from wflow.loop import solve
from wflow.mdp import MDP, evaluate
from wflow.spaces import Space

TAU = 0.5


def reward(a):
    return np.cos(4.0 * a) + a


def slope(a):
    return 1.0 - 4.0 * np.sin(4.0 * a)


def bandit(n=400, function=reward, low=0.0, high=1.0, temperature=TAU):
    actions = Space.midpoint(n, low, high)
    return MDP(reward=function(actions.nodes[:, 0])[None], transition=None, discount=0.0, temperature=temperature, actions=actions)


def problem(n_a=60, temperature=0.3):
    rng = np.random.default_rng(0)
    actions = Space.midpoint(n_a, -1.0, 1.0)
    waves = np.cos(np.pi / 2.0 * np.outer(np.arange(1, 4), actions.nodes[:, 0] + 1.0))
    law = np.exp(0.5 * np.einsum("ikm,mj->ijk", rng.standard_normal((3, 3, 3)), waves))
    return MDP(reward=rng.standard_normal((3, 3)) @ waves, transition=law / law.sum(axis=2, keepdims=True), discount=0.8,
               temperature=temperature, actions=actions)  # fmt: skip


def flat(a):
    """A reward without slope at the walls."""
    return np.cos(2.0 * np.pi * a) + 0.5 * np.cos(np.pi * a)


def flat_slope(a):
    return -np.pi * (2.0 * np.sin(2.0 * np.pi * a) + 0.5 * np.sin(np.pi * a))


def chain(h, nodes, drift=slope):
    """Density of the next action at nodes (columns) from nodes (rows): Euler's step with the exact drift, folded into [0, 1]."""
    mean, spread = nodes + h * drift(nodes), math.sqrt(2.0 * h * TAU)
    density = np.zeros((nodes.size, nodes.size))
    for turn in range(-3, 4):
        for image in (nodes + 2.0 * turn, -nodes + 2.0 * turn):
            density += np.exp(-np.square((image - mean[:, None]) / spread) / 2.0)
    return density / (spread * math.sqrt(2.0 * math.pi))


def rule(n):
    x, w = np.polynomial.legendre.leggauss(n)
    return (1.0 + x) / 2.0, w / 2.0


def stationary(h, x, w, drift):
    """Density at Gauss–Legendre nodes of the stationary law, by the linear system of the discretised integral equation."""
    system = (chain(h, x, drift) * w[:, None]).T - np.eye(x.size)
    system[-1] = w
    return np.linalg.solve(system, np.eye(x.size)[-1])


class TestBias:
    @pytest.mark.parametrize(("function", "drift"), [(reward, slope), (flat, flat_slope)])
    def test_the_stationary_law_is_off_by_order_one(self, function, drift):
        """Of the reflected Euler chain, without sampling: its rewards against those of the Gibbs policy."""
        x, w = rule(160)
        gibbs = np.exp(function(x) / TAU)
        gibbs /= w @ gibbs
        laws = [stationary(h, x, w, drift) for h in 8e-3 / 2.0 ** np.arange(4)]
        errors = np.abs([w @ (function(x) * (law - gibbs)) for law in laws])
        assert np.abs(np.log2(errors[:-1] / errors[1:]) - 1.0).max() <= 0.15
        assert min(law.min() for law in laws) > 0.0

    def test_particles_follow_the_chain_not_the_flow(self):
        """After 12 coarse steps from one point: means within 4 standard errors of the chain's law, and far from the equation's."""
        h, steps, n = 0.05, 12, 200_000
        x, w = rule(200)
        law = chain(h, np.array([0.3, *x]))[0, 1:]
        for _ in range(steps - 1):
            law = (law * w) @ chain(h, x)
        assert w @ law == pytest.approx(1.0, abs=1e-10)
        options = {"dt": h, "seed": 3}
        final = solve(WassersteinPolicyParticles(bandit()), np.full((1, n), 0.3), h * steps, options=options, record=[h * steps]).final[0]
        flow = solve(WassersteinPolicyFlow(bandit(200), stepping="implicit"), _point(200, 0.3), h * steps)
        cells = np.exp(flow.final[0]) / 200.0
        nodes = (np.arange(200) + 0.5) / 200.0
        for function in (lambda a: a, np.square, reward):
            error = function(final).std() / math.sqrt(n)
            assert abs(function(final).mean() - w @ (function(x) * law)) <= 4.0 * error
        assert abs(final.mean() - cells @ nodes) > 10.0 * final.std() / math.sqrt(n)

    def test_the_chain_approaches_the_flow(self):
        """Laws at t = 0.32 from a smooth density, chain and grid both without sampling: order 1 in h."""
        x, w = rule(200)
        density = np.exp(np.sin(3.0 * x))
        total = w @ density
        mdp = bandit(200, flat)
        start = np.sin(3.0 * mdp.actions.nodes.T)
        final = solve(WassersteinPolicyFlow(mdp), start - np.log(np.exp(start) @ mdp.actions.weights), 0.32, rtol=1e-7).final
        exact, errors = np.exp(final)[0] @ (flat(mdp.actions.nodes[:, 0]) * mdp.actions.weights), []
        for steps in (32, 64, 128):
            law, step = density / total, chain(0.32 / steps, x, flat_slope)
            for _ in range(steps):
                law = (law * w) @ step
            errors.append(abs(w @ (flat(x) * law) - exact))
        assert np.abs(np.log2(np.array(errors[:-1]) / np.array(errors[1:])) - 1.0).max() <= 0.15


def _point(n, at):
    """The log density of nearly all mass in the cell that holds `at`."""
    density = np.full(n, 1e-12)
    density[int(at * n)] = n
    return np.log(density * n / density.sum())[None]


class TestDrift:
    def test_it_is_exact_for_quadratics(self):
        mdp = bandit(7, lambda a: 3.0 * a - 2.0 * a**2, -1.0, 2.0)
        flow = WassersteinPolicyParticles(mdp)
        actions = np.linspace(-1.0, 2.0, 50)[None]
        np.testing.assert_allclose(flow.rhs(0.0, flow.pack(actions)), 3.0 - 4.0 * actions[0], rtol=1e-12, atol=1e-12)

    def test_it_is_of_second_order_in_the_cells(self):
        actions, errors = np.linspace(0.0, 1.0, 200)[None], []
        for n in (40, 80, 160):
            flow = WassersteinPolicyParticles(bandit(n))
            errors.append(np.abs(flow.rhs(0.0, flow.pack(actions)) - slope(actions[0])).max())
        assert np.abs(np.log2(np.array(errors[:-1]) / np.array(errors[1:])) - 2.0).max() <= 0.15

    def test_without_noise_it_is_gradient_ascent(self):
        """τ = 0: every step by hand, mirrored at the walls."""
        mdp = bandit(50, lambda a: 4.0 * a**2, temperature=0.0)
        start = np.array([[0.1, 0.5, 0.9]])
        final = solve(WassersteinPolicyParticles(mdp), start, 0.2, options={"dt": 0.1}).final
        expected = start.copy()
        for _ in range(2):
            expected = expected + 0.1 * 8.0 * expected
            expected = np.where(expected > 1.0, 2.0 - expected, expected)
        np.testing.assert_allclose(final, expected, rtol=1e-12)

    def test_in_an_mdp_it_is_that_of_the_estimated_policy(self):
        mdp = problem()
        flow = WassersteinPolicyParticles(mdp, bandwidth=0.05)
        actions = np.random.default_rng(1).uniform(-1.0, 1.0, (3, 500))
        y = flow.pack(actions)
        bellman = evaluate(mdp, flow.log_density(y))
        nodes = mdp.actions.nodes[:, 0]
        faces = (nodes[1:] + nodes[:-1]) / 2.0
        inside = (actions > faces[0]) & (actions < faces[-1])
        found = flow.rhs(0.0, y).reshape(3, 500)
        for i in range(3):
            quotients = np.diff(bellman.action_value[i]) / np.diff(nodes)
            np.testing.assert_allclose(found[i][inside[i]], np.interp(actions[i][inside[i]], faces, quotients), rtol=1e-9, atol=1e-10)
        assert flow.diagnostics(0.0, y)["energy"] == pytest.approx(bellman.objective, rel=1e-12)


class TestDensity:
    def test_shares_of_particles(self):
        """A particle on a centre, between two, and beyond the outer ones."""
        edges = np.array([0.0, 1.0, 2.0, 4.0])
        found = deposited(np.array([[0.5, 1.0, 0.1, 4.0]]), edges) * 4.0
        np.testing.assert_allclose(found, [[1.0 + 0.5 + 1.0, 0.5, 1.0]], atol=1e-15)

    def test_the_kernel_is_the_folded_gaussian(self):
        """Against a sum over many images; symmetric where cells are even; the identity where it is narrow."""
        edges = np.linspace(-1.0, 2.0, 31)
        kernel = reflected_kernel(edges, 0.4)
        np.testing.assert_allclose(kernel.sum(axis=1), 1.0, rtol=1e-14)
        centres = (edges[1:] + edges[:-1]) / 2.0
        for j in (0, 7, 29):
            images = np.concatenate([[centres[j] + 6.0 * k, -2.0 - centres[j] + 6.0 * k] for k in range(-5, 6)])
            expected = sum(np.diff(ndtr((edges - image) / 0.4)) for image in images)
            np.testing.assert_allclose(kernel[j], expected, atol=1e-12)
        np.testing.assert_allclose(reflected_kernel(edges, 1e-4), np.eye(30), atol=1e-12)

    def test_the_estimate_approaches_the_density(self):
        """Its error falls with N as that of a kernel estimate; mass 1 always."""
        mdp, rng, errors = problem(), np.random.default_rng(2), []
        for n in (200, 20_000):
            actions = np.clip(rng.normal(0.0, 0.4, (3, n)), -0.999, 0.999)
            flow = WassersteinPolicyParticles(mdp)
            log_density = flow.log_density(flow.pack(actions))
            np.testing.assert_allclose(np.exp(log_density) @ mdp.actions.weights, 1.0, rtol=1e-13)
            nodes = mdp.actions.nodes[:, 0]
            exact = np.exp(-np.square(nodes / 0.4) / 2.0) / (0.4 * math.sqrt(2.0 * math.pi))
            errors.append(np.abs(np.exp(log_density) - exact).mean())
            assert flow.bandwidth == pytest.approx(1.06 * 2.0 / math.sqrt(12.0) * n**-0.2)
        assert errors[1] < 0.4 * errors[0]

    def test_particles_and_cells_agree_on_an_mdp(self):
        """From the uniform policy to t = 1, where E has risen by far more than they differ."""
        mdp, rng = problem(), np.random.default_rng(3)
        grid = solve(WassersteinPolicyFlow(mdp), None, 1.0, rtol=1e-5)
        cloud = solve(WassersteinPolicyParticles(mdp, bandwidth=0.05), rng.uniform(-1.0, 1.0, (3, 10_000)), 1.0,
                      options={"dt": 1e-2, "seed": 5}, record=[0.5, 1.0])  # fmt: skip
        rise = grid.energy[-1] - grid.energy[0]
        assert abs(cloud.energy[-1] - grid.energy[-1]) <= 0.02 * rise
        assert (cloud.diagnostics["gap_lower"] <= cloud.gap).all()
        assert (cloud.gap <= cloud.diagnostics["gap_upper"]).all()


class TestContract:
    def test_resume_to_the_bit(self, tmp_path):
        mdp, start = problem(), np.random.default_rng(6).uniform(-1.0, 1.0, (3, 40))
        options = {"dt": 0.02, "seed": 1}
        whole = solve(WassersteinPolicyParticles(mdp), start, 0.2, options=options, record=[0.2])
        for steps in (3, 100):
            parts = solve(WassersteinPolicyParticles(mdp), start, 0.2, options=options, record=[0.2], resume=True,
                          path=tmp_path / "run.h5", max_steps=steps, checkpoint=0.0)  # fmt: skip
        np.testing.assert_array_equal(parts.final, whole.final)
        other = solve(WassersteinPolicyParticles(mdp), start, 0.2, options={**options, "seed": 2}, record=[0.2])
        assert np.abs(other.final - whole.final).min() > 0.0

    def test_states_are_independent(self):
        """Every particle has noise of its own."""
        final = solve(WassersteinPolicyParticles(problem()), np.zeros((3, 50)), 0.1, options={"dt": 0.01}).final
        assert np.unique(final).size == 150

    def test_wrong_arguments(self):
        flow = WassersteinPolicyParticles(bandit(10))
        with pytest.raises(ValueError, match=r"initial must lie in the box \[0, 1\]; got 1.5 at \[0, 1\]"):
            flow.pack([[0.2, 1.5]])
        with pytest.raises(ValueError, match="initial must have shape"):
            flow.pack([0.2, 0.5])
        with pytest.raises(ValueError, match="at least one particle"):
            flow.pack(np.empty((1, 0)))
        with pytest.raises(ValueError, match="bandwidth must be"):
            WassersteinPolicyParticles(bandit(10), bandwidth=0.0)
        with pytest.raises(ValueError, match="three or more cells"):
            WassersteinPolicyParticles(bandit(2))
        with pytest.raises(TypeError, match="dt must be"):
            solve(flow, [[0.2, 0.5]], 1.0)
