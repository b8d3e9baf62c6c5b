"""Coordinates of particles: directions on the circle and the sphere, where a ridge meets the nodes, principal planes, centres."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wflow.energies import PolicyValue
from wflow.mdp import agazzi_lu_bandit, agazzi_lu_grid, gridworld, three_armed_bandit
from wflow.plotting.charts import chart, coordinate_names

ENTRIES = st.floats(-5.0, 5.0).filter(lambda x: abs(x) > 1e-3)


def nodes(states, actions):
    return {"states": np.asarray(states, dtype=float), "actions": np.asarray(actions, dtype=float)}


BANDIT = nodes(np.zeros((1, 0)), [[0.2], [-0.3], [0.9]])
GRID = nodes([[0.1], [0.8], [0.4]], [[-1.0], [0.5]])


def chart_of(static, points):
    points = np.atleast_2d(points)
    return chart(static, points, np.full(len(points), 1.0 / len(points)))


@pytest.mark.parametrize(
    ("mdp", "activation", "names"),
    [
        (agazzi_lu_bandit(n_actions=3), "relu", ["omega_0", "k_a", "b"]),
        (agazzi_lu_grid(n_states=2, n_actions=3), "tanh", ["omega_0", "k_s", "k_a", "b"]),
        (three_armed_bandit(), "relu", ["omega_0", "k_a", "b"]),
        (gridworld(2, 2), "relu", ["omega_0", "k_s1", "k_s2", "k_a1", "k_a2", "b"]),
        (agazzi_lu_bandit(n_actions=3), "rbf", ["omega_0", "c_a"]),
        (agazzi_lu_grid(n_states=2, n_actions=3), "rbf", ["omega_0", "c_s", "c_a"]),
    ],
)
def test_columns_are_named_as_the_energy_reads_them(mdp, activation, names):
    energy = PolicyValue(mdp, activation)
    assert energy.n_parameters == len(names)
    assert coordinate_names(energy.static(), energy.n_parameters) == names


def test_what_is_no_neuron_has_numbered_columns():
    assert coordinate_names({}, 2) == ["x_1", "x_2"]
    assert coordinate_names(BANDIT, 7)[-1] == "x_7"


@given(arrays(float, 3, elements=ENTRIES), st.floats(0.01, 100.0))
def test_on_the_circle_the_angle_is_that_of_the_ridge_whatever_its_length(point, stretch):
    seen = chart_of(BANDIT, point)
    (angle,), (length,) = seen.across.of(point[None]), seen.length.of(point[None])
    np.testing.assert_allclose(length * np.array([np.cos(angle), np.sin(angle)]), point[1:], rtol=1e-12)
    np.testing.assert_allclose(seen.across.of((stretch * point)[None]), angle, rtol=1e-12)
    assert seen.upright.of(point[None]) == point[0]
    assert seen.second is None


@given(arrays(float, 3, elements=ENTRIES))
def test_on_the_circle_the_shade_is_where_the_ridge_crosses_the_actions(point):
    seen = chart_of(BANDIT, point)
    (angle,) = seen.across.of(point[None])
    kink = -point[2] / point[1]
    if min(abs(kink + 0.3), abs(kink - 0.9)) > 1e-9:
        assert any(low <= angle <= high for low, high in seen.spans) == (-0.3 <= kink <= 0.9)


@given(arrays(float, 4, elements=ENTRIES))
def test_on_the_sphere_angle_and_height_give_the_direction_back(point):
    seen = chart_of(GRID, point)
    (angle,), (height,), (length,) = (coordinate.of(point[None]) for coordinate in (seen.across, seen.second, seen.length))
    flat = np.sqrt(1.0 - height**2)
    direction = np.array([flat * np.cos(angle), flat * np.sin(angle), height])
    np.testing.assert_allclose(length * direction, point[1:], rtol=1e-7, atol=1e-7)


@given(arrays(float, 4, elements=ENTRIES))
def test_on_the_sphere_the_shade_is_where_the_line_crosses_the_nodes(point):
    """Brute force: the signs of k·(s, a) + b on all pairs of nodes."""
    seen = chart_of(GRID, point)
    (angle,), (height,) = seen.across.of(point[None]), seen.second.of(point[None])
    low, high = (np.interp(angle, seen.region[0], edge) for edge in seen.region[1:])
    values = point[1] * GRID["states"] + point[2] * GRID["actions"].T + point[3]
    if min(abs(height - low), abs(height - high)) > 1e-3:  # the edges are drawn as polygons
        assert (low <= height <= high) == (values.min() <= 0.0 <= values.max())


def test_in_more_dimensions_the_plane_is_the_one_that_carries_the_output():
    rng = np.random.default_rng(0)
    frame = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    angle = rng.uniform(-np.pi, np.pi, 200)
    inner = np.cos(angle)[:, None] * frame[0] + np.sin(angle)[:, None] * frame[1]
    points = np.column_stack([rng.normal(size=200), 3.0 * inner])
    idle = np.column_stack([np.zeros(50), rng.normal(size=(50, 5))])  # neurons without output do not count
    seen = chart_of(nodes(np.zeros((2, 3)), np.zeros((2, 1))), np.vstack([points, idle]))
    shown = seen.across.of(points)
    turn = np.exp(1j * shown) / np.exp(1j * angle)
    mirror = np.exp(1j * shown) / np.exp(-1j * angle)
    assert min(np.ptp(turn.real) + np.ptp(turn.imag), np.ptp(mirror.real) + np.ptp(mirror.imag)) < 1e-9  # up to a turn or a mirror


def test_a_cloud_without_output_has_a_plane_too():
    points = np.column_stack([np.zeros(9), np.random.default_rng(0).normal(size=(9, 5))])
    assert np.isfinite(chart_of(nodes(np.zeros((2, 3)), np.zeros((2, 1))), points).across.of(points)).all()


def test_a_particle_at_the_origin_has_a_direction():
    assert np.isfinite(chart_of(GRID, np.zeros(4)).second.of(np.zeros((1, 4)))).all()


def test_radial_neurons_are_seen_by_their_centres():
    point = np.array([[2.0, 0.3, -0.7]])
    seen = chart_of(GRID, point)
    assert (seen.across.of(point), seen.second.of(point), seen.upright.of(point)) == (0.3, -0.7, 2.0)
    assert seen.spans == ((0.1, 0.8),)
    assert [list(edge) for edge in seen.region] == [[0.1, 0.8], [-1.0, -1.0], [0.5, 0.5]]
    assert seen.length is None
    line = chart_of(BANDIT, point[:, :2])
    assert line.across.of(point[:, :2]) == 0.3
    assert line.second is None
    deep = chart_of(nodes(np.zeros((2, 3)), np.zeros((2, 1))), np.random.default_rng(0).normal(size=(9, 5)))
    assert deep.second is not None


def test_other_points_are_seen_by_their_coordinates_or_their_mass():
    points = np.array([[3.0, 1.0], [-1.0, 5.0], [2.0, 0.0]])
    seen = chart({}, points, np.array([0.5, 0.2, 0.3]))
    np.testing.assert_array_equal(seen.across.of(points), points[:, 0])
    np.testing.assert_array_equal(seen.upright.of(points), points[:, 1])
    line = chart({}, points[:, :1], np.array([0.5, 0.2, 0.3]))
    np.testing.assert_allclose(line.upright.of(points[:, :1]), [1.0, 0.2, 0.5])
