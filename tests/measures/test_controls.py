"""Starts that stay below the optimum: what their proofs say, on random MDPs (math.md §7)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import support as toys

from wflow.flows import WassersteinFlow
from wflow.loop import solve
from wflow.measures import ParticleMeasure, laws

seeds = st.integers(0, 10**6)
RIDGE = ("relu", "tanh", "sigmoid", "softplus", "gaussian")


def run(energy, start, t_end=3.0):
    found = solve(WassersteinFlow(energy), start, t_end, rtol=1e-4, record=np.linspace(0.0, t_end, 7))
    assert found.status.ok
    return found


@given(seed=seeds, d_s=st.sampled_from([0, 1]), reach=st.sampled_from([0.3, 1.0, 7.0]))
def test_dead_neurons_feel_nothing(seed, d_s, reach):
    """F = 0 to the bit, with nodes in every corner of [−reach, reach]^d; the policy is uniform; elsewhere g is not 0."""
    energy, student = toys.anywhere(seed, d_s=d_s, reach=reach)
    start = laws.all_dead(energy.n_parameters, reach).sample(200, seed)
    found = energy.evaluate(start)
    assert not found.velocity.any()
    assert found.dissipation == 0.0
    np.testing.assert_allclose(found.log_policy, -np.log(energy.mdp.actions.weights.sum()), rtol=0, atol=1e-14)
    assert np.abs(energy.field(student.sample(50, seed).points, found.signal)[:, 0]).max() > 1e-3 * found.gap > 0.0


def test_dead_on_the_edge():
    """The largest bias the law can draw still leaves neurons off that point at a corner; nodes twice as far wake some."""
    energy, _ = toys.anywhere(3, reach=2.0)
    corners = np.array([[1.0, sign, 1.0, -4.0] for sign in (-1.0, 1.0)])
    assert not energy.evaluate(ParticleMeasure(corners)).velocity.any()
    assert energy.evaluate(laws.all_dead(4, 0.5).sample(500, 0)).velocity.any()


@given(seed=seeds)
@settings(max_examples=5)
def test_dead_neurons_stay_dead(seed):
    energy, _ = toys.anywhere(seed)
    start = laws.all_dead(4).sample(50, seed)
    found = run(energy, start, 100.0)
    np.testing.assert_allclose(found.final.points, start.points, rtol=1e-13)  # a step of nothing rounds
    assert not found.diagnostics["dissipation"].any()
    assert len(set(found.diagnostics["gap"])) == 1
    assert found.diagnostics["gap"][0] > 0.0


@given(seed=seeds, activation=st.sampled_from(RIDGE), d_s=st.sampled_from([0, 1]))
def test_silent_neurons_feel_nothing(seed, activation, d_s):
    """To the rounding of sum_ij G_ij σ(b)."""
    energy, _ = toys.anywhere(seed, activation, d_s=d_s)
    start = laws.silent(energy.n_parameters).sample(100, seed)
    found = energy.evaluate(start)
    assert not found.velocity[:, 1:].any()  # ω0 ∇g, ω0 = 0
    largest = np.abs(found.signal).sum() * (1.0 + np.abs(start.points).max())
    assert np.abs(found.velocity).max() <= 1e-14 * largest
    assert np.ptp(found.log_policy) == 0.0


def test_silent_neurons_are_unstable():
    """(ω0, k) grows like e^{|∂_k g| t}, ∂_k g = σ'(b) sum_ij G_ij x_ij."""
    energy, _ = toys.anywhere(1, "tanh")
    bias = 0.3
    silent = ParticleMeasure(np.array([[0.0, 0.0, 0.0, bias]]))
    states, actions = energy.mdp.states.nodes[:, 0], energy.mdp.actions.nodes[:, 0]
    signal = energy.signal(silent)
    slope = np.array([signal.sum(axis=1) @ states, signal.sum(axis=0) @ actions]) / np.cosh(bias) ** 2
    rate = float(np.linalg.norm(slope))
    small = 1e-7 * np.array([[1.0, *slope / rate, 0.0]])
    t = 3.0 / rate
    found = solve(WassersteinFlow(energy), ParticleMeasure(silent.points + small), t, "tsit5", rtol=1e-8, atol=1e-16)
    np.testing.assert_allclose(found.final.points[0, :3] - silent.points[0, :3], np.exp(3.0) * small[0, :3], rtol=0, atol=2e-10)


@given(seed=seeds, activation=st.sampled_from(RIDGE[:4]), d_s=st.sampled_from([0, 1]))
@settings(max_examples=15)
def test_a_single_point_stays_one_and_monotone(seed, activation, d_s):
    energy, _ = toys.anywhere(seed, activation, d_s=d_s)
    for state in run(energy, laws.single_point(energy.n_parameters).sample(33, seed)).states():
        np.testing.assert_array_equal(state.points, np.tile(state.points[0], (33, 1)))
        steps = np.diff(energy.log_policy(state), axis=1)
        rounding = 1e-13 * (1.0 + np.abs(steps).max())
        assert ((steps >= -rounding).all(axis=1) | (steps <= rounding).all(axis=1)).all()


@given(seed=seeds, m=st.integers(3, 9))
def test_locked_at_the_start(seed, m):
    points = laws.sign_locked(m).sample(300, seed).points
    assert (points[:, 0] > np.linalg.norm(points[:, 1:], axis=1) + 0.2).all()
    assert len({tuple(signs) for signs in np.sign(points[:, 1:])}) >= 4  # ω̄ itself points anywhere


@given(seed=seeds, d_s=st.sampled_from([0, 1]))
def test_eulers_identity_on_nodes(seed, d_s):
    """ω̄·∇g = g, kinks on nodes included."""
    energy, student = toys.anywhere(seed, d_s=d_s)
    rng = np.random.default_rng(seed)
    points = student.sample(60, seed).points.copy()
    points[:, 0] = 1.0
    state = energy.mdp.states.nodes[0] if d_s else np.empty(0)
    node = np.concatenate([state, energy.mdp.actions.nodes[4]])
    points[:20, -1] = -(points[:20, 1:-1] * node).sum(axis=1)
    signal = rng.standard_normal(energy.network.shape)
    signal -= signal.mean(axis=1, keepdims=True)
    field = energy.field(points, signal)
    np.testing.assert_allclose((points[:, 1:] * field[:, 1:]).sum(axis=1), field[:, 0], atol=1e-12 * np.abs(signal).sum() * 10.0)


@given(seed=seeds, d_s=st.sampled_from([0, 1]))
@settings(max_examples=6)
def test_locked_neurons_keep_their_sign_and_f_convex(seed, d_s):
    energy, _ = toys.anywhere(seed, d_s=d_s)
    actions = energy.mdp.actions.nodes[:, 0]
    start = laws.sign_locked(energy.n_parameters).sample(100, seed)
    found = run(energy, start, 1.0)
    assert np.abs(found.final.points - start.points).max() > 1e-3
    for state in found.states():
        assert (state.points[:, 0] > 0.0).all()
        slopes = np.diff(energy.log_policy(state), axis=1) / np.diff(actions)
        assert (np.diff(slopes, axis=1) >= -1e-10 * (1.0 + np.abs(slopes).max())).all()


@pytest.mark.parametrize("law", [laws.all_dead, laws.silent, laws.single_point, laws.sign_locked])
def test_refuses(law):
    assert law(3).dimension == 3
    with pytest.raises(ValueError, match=r"^m must be an integer of at least 3; got 2$"):
        law(2)
    with pytest.raises(TypeError, match=r"^m must be an integer of at least 3; got 3\.5$"):
        law(3.5)


@pytest.mark.parametrize("reach", [0.0, -1.0, np.inf])
def test_refuses_a_reach(reach):
    with pytest.raises(ValueError, match=r"^reach must be a finite number above 0; got "):
        laws.all_dead(3, reach)
