"""Particles on paper: each where its parameters are, the first cloud beneath, no more than can be seen."""

from __future__ import annotations

import numpy as np
import pytest
from plotting.runs import Curve, Seen, cut, solved

from wflow import plotting
from wflow.mdp import agazzi_lu_bandit, agazzi_lu_grid
from wflow.measures import ParticleMeasure


def by_position(dots):
    """Offsets and areas of a scatter, in the order of the offsets."""
    offsets = np.asarray(dots.get_offsets())
    order = np.lexsort(offsets.T)
    return offsets[order], np.broadcast_to(dots.get_sizes(), len(offsets))[order]


def with_cloud(run, final, first=None):
    """A run that went from one cloud to another."""
    states = [first if first is not None else final, final]
    return Seen(run, final=final, state=states.__getitem__, state_times=np.array([0.0, 1.0]), final_time=1.0)


@pytest.fixture(scope="module")
def bandit():
    return solved(agazzi_lu_bandit(seed=2, n_actions=9), n=40)


@pytest.fixture(scope="module")
def grid():
    return solved(agazzi_lu_grid(seed=2, n_states=3, n_actions=4), n=40)


def test_output_weight_against_direction_over_the_first_cloud(bandit):
    axes = plotting.plot(bandit, "particles").axes[0]
    first, final = axes.collections[-2:]
    for dots, measure in ((first, bandit.state(0)), (final, bandit.final)):
        ω = measure.points
        expected = np.column_stack([np.arctan2(ω[:, 2], ω[:, 1]), ω[:, 0]])
        np.testing.assert_array_equal(by_position(dots)[0], expected[np.lexsort(expected.T)])
    lengths = np.linalg.norm(bandit.final.points[:, 1:], axis=1)
    np.testing.assert_allclose(np.sort(final.get_array()), np.sort(lengths), rtol=1e-15)
    assert first.get_zorder() == final.get_zorder()  # drawn one after the other
    assert axes.get_title("left") == "particles at $t = 1$; grey: $t = 0$"
    assert "k_{a}, b" in axes.get_xlabel()
    assert r"\omega_0" in axes.get_ylabel()


def test_a_map_of_directions_tells_the_sign_by_form_and_the_output_by_area(grid):
    axes = plotting.plot(grid, "particles").axes[1]
    positive, negative = axes.collections[-2:]
    ω, p = grid.final.points, grid.final.weights
    for dots, sign in ((positive, 1.0), (negative, -1.0)):
        some = sign * ω[:, 0] > 0.0
        expected = np.column_stack([np.arctan2(ω[some, 2], ω[some, 1]), ω[some, 3] / np.linalg.norm(ω[some, 1:], axis=1)])
        order = np.lexsort(expected.T)
        offsets, areas = by_position(dots)
        np.testing.assert_allclose(offsets, expected[order], rtol=1e-14)
        output = np.abs(p * ω[:, 0])[some][order]
        np.testing.assert_allclose(areas / areas.max(), output / output.max(), rtol=1e-12)
    assert not np.allclose(positive.get_facecolor()[0, :3], 1.0)
    np.testing.assert_array_equal(negative.get_facecolor()[0, :3], 1.0)


def test_weights_are_areas(bandit):
    weights = np.array([0.5, 0.3, 0.2])
    cloud = ParticleMeasure(bandit.final.points[:3], weights)
    axes = plotting.plot(with_cloud(bandit, cloud), "particles").axes[0]
    areas = axes.collections[-1].get_sizes()
    np.testing.assert_allclose(np.sort(areas) / areas.max(), [0.4, 0.6, 1.0])


def test_where_weights_move_the_first_cloud_has_its_own(bandit):
    points = bandit.final.points[:4]
    run = with_cloud(bandit, ParticleMeasure(points, [0.1, 0.2, 0.3, 0.4]), ParticleMeasure(points))
    first, final = plotting.plot(run, "particles").axes[0].collections[-2:]
    assert np.ptp(first.get_sizes()) == 0.0
    np.testing.assert_allclose(np.sort(final.get_sizes()) / final.get_sizes().max(), [0.25, 0.5, 0.75, 1.0])


def test_of_very_many_a_fixed_part_is_drawn_and_the_title_says_so(bandit):
    points = np.random.default_rng(0).normal(size=(30_000, 3))
    run = with_cloud(bandit, ParticleMeasure(points), ParticleMeasure(-points))
    axes, again = (plotting.plot(run, "particles").axes[0] for _ in range(2))
    assert "20,000 of 30,000 shown" in axes.get_title("left")
    first, final = (np.asarray(dots.get_offsets()) for dots in axes.collections[-2:])
    assert len(final) == 20_000
    np.testing.assert_array_equal(final, again.collections[-1].get_offsets())
    np.testing.assert_array_equal(np.sort(first[:, 1]), np.sort(-final[:, 1]))  # the same particles
    assert all(dots.get_rasterized() for dots in axes.collections[-2:])
    assert "shown" not in plotting.plot(bandit, "particles").axes[0].get_title("left")


def test_a_run_at_its_start_shows_one_cloud(grid):
    start = Seen(grid, final=grid.state(0), final_time=0.0, state_times=np.zeros(1))
    weights, directions = plotting.plot(start, "particles").axes[:2]
    assert weights.get_title("left") == "particles at $t = 0$"
    assert sum(len(dots.get_offsets()) for dots in directions.collections[1:]) == 40


def test_one_particle_will_do(bandit, tmp_path):
    plotting.save(plotting.plot(with_cloud(bandit, ParticleMeasure([[0.0, 1.0, 2.0]])), "particles"), tmp_path / "a.png")


def test_far_centres_do_not_stretch_the_map():
    run = solved(agazzi_lu_grid(seed=2, n_states=3, n_actions=4), activation="rbf", n=40)
    far = ParticleMeasure([[1.0, 0.5, 0.5], [-1.0, 0.2, 0.9], [1e-3, 50.0, 50.0]])
    weights, centres = plotting.plot(with_cloud(run, far), "particles").axes[:2]
    assert weights.get_xlim()[1] > 50.0
    assert centres.get_xlim()[1] < 2.0


def test_what_has_no_particles_is_refused_with_the_reason(bandit):
    times = [0.0, 1.0]
    flat = Curve(times, energy=times)
    flat.final, flat.final_time = np.zeros(3), 1.0
    with pytest.raises(ValueError, match="'particles' cannot be shown: this flow's states are not clouds of particles"):
        plotting.plot(flat, "particles")
    with pytest.raises(ValueError, match="'particles' cannot be shown: no state was stored yet"):
        plotting.plot(cut(bandit, "running", 0.5), "particles")
