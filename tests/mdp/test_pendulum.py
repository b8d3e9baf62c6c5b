"""The pendulum on a grid: its transitions against hat functions by loops, its symmetry, its time limit."""

from __future__ import annotations

import numpy as np
import pytest

from wflow.mdp import evaluate, optimum, pendulum


def hat(x):
    return max(0.0, 1.0 - abs(x))


@pytest.mark.parametrize(("n_angles", "n_velocities", "n_torques"), [(6, 5, 3), (5, 4, 2), (2, 2, 1)])
def test_transitions_are_products_of_hat_functions(n_angles, n_velocities, n_torques):
    mdp = pendulum(n_angles, n_velocities, n_torques, time_step=0.3)
    dense = mdp.transition.to_dense()
    da, dv = 2 * np.pi / n_angles, 16.0 / (n_velocities - 1)
    nodes = [(-np.pi + da * k, -8.0 + dv * m) for k in range(n_angles) for m in range(n_velocities)]
    np.testing.assert_allclose(mdp.states.nodes, nodes, rtol=0, atol=1e-14)
    for i, (a, v) in enumerate(nodes):
        for j, u in enumerate(-2.0 + 4.0 * (np.arange(n_torques) + 0.5) / n_torques):
            w = min(max(v + 0.3 * (15.0 * np.sin(a) + 3.0 * u), -8.0), 8.0)
            b = a + 0.3 * w
            for k, (angle, velocity) in enumerate(nodes):
                around = sum(hat((b - angle) / da + n_angles * turn) for turn in range(-2, 3))
                assert dense[i, j, k] == pytest.approx(around * hat((w - velocity) / dv), abs=1e-13)
            assert mdp.reward[i, j] == pytest.approx(-(a**2 + 0.1 * v**2 + 0.001 * u**2), rel=1e-13)


def test_mean_velocity_is_kept():
    mdp = pendulum()
    a, v = mdp.states.nodes.T
    landed = np.clip(v[:, None] + 0.05 * (15.0 * np.sin(a)[:, None] + 3.0 * mdp.actions.nodes.T), -8.0, 8.0)
    np.testing.assert_allclose(mdp.transition.expect(np.ascontiguousarray(v)), landed, rtol=0, atol=1e-13)
    assert np.diff(mdp.transition.matrix.indptr).max() <= 4


def test_mirror_symmetry_of_the_optimum():
    """(a, v, u) → (−a, −v, −u) maps the problem, and its even grid of angles, onto itself."""
    n_angles, n_velocities = 12, 9
    mdp = pendulum(n_angles, n_velocities, 5)
    best = optimum(mdp)
    value = best.value.reshape(n_angles, n_velocities)
    mirror = -np.arange(n_angles) % n_angles
    np.testing.assert_allclose(value[mirror][:, ::-1], value, rtol=1e-11)
    policy = best.policy.reshape(n_angles, n_velocities, 5)
    np.testing.assert_allclose(policy[mirror][:, ::-1, ::-1], policy, rtol=1e-8)
    assert value[6, 4] == value.max()  # upright and at rest


def test_start():
    mdp = pendulum(4, 5, 1)  # velocities −8, −4, 0, 4, 8
    np.testing.assert_allclose(mdp.initial.reshape(4, 5), np.outer(np.full(4, 0.25), [0, 0, 1, 0, 0]))
    mdp = pendulum(2, 2, 1)  # none is slow
    np.testing.assert_allclose(mdp.initial, 0.25)
    assert evaluate(mdp, np.full((4, 1), -np.log(4.0))).occupancy.sum() == pytest.approx(20.0)


@pytest.mark.parametrize(("arguments", "message"), [
    ({"n_angles": 1}, "n_angles must be an integer of at least 2; got 1"),
    ({"n_velocities": 0}, "n_velocities must be"),
    ({"n_torques": 0}, "n_torques must be"),
    ({"time_step": 0.0}, "time_step must be"),
    ({"discount": 1.0}, "discount must be"),
    ({"n_torques": 10**13}, "n_torques must be small enough"),
])  # fmt: skip
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        pendulum(**arguments)
