"""Densities on paper: cells as they are, on axes that say what they show."""

from __future__ import annotations

import numpy as np
import pytest
from plotting.runs import Seen, cut, on_grid, solved

from wflow import plotting
from wflow.mdp import agazzi_lu_bandit, garnet


def panels(figure):
    return {axes.get_label(): axes for axes in figure.axes}


def meshes(figure):
    return [axes.collections[0] for axes in figure.axes if axes.collections and axes.get_label() != "<colorbar>"]


def test_on_the_line_a_few_times_dark_to_light():
    run = on_grid((7,), steps=8)
    axes = plotting.plot(run, "density").axes[0]
    curves = axes.patches
    assert [curve.get_label() for curve in curves] == ["$t = 0$", "$t = 0.25$", "$t = 0.5$", "$t = 0.75$", "$t = 1$"]
    for curve, k in zip(curves, (0, 2, 4, 6, 8), strict=True):
        values, edges, _ = curve.get_data()
        np.testing.assert_array_equal(values, run.state(k).density)
        np.testing.assert_array_equal(edges, run.state(k).axes[0])
    lightness = [sum(curve.get_edgecolor()[:3]) for curve in curves]
    assert lightness == sorted(lightness)
    assert axes.get_ylim()[0] == 0.0
    assert [axes.get_xlabel(), axes.get_ylabel()] == ["$x_{1}$", "density"]


def test_edges_that_move_are_drawn_where_they_are():
    run = on_grid((5,), "moving grid", steps=1)
    first, last = plotting.plot(run, "density").axes[0].patches
    np.testing.assert_array_equal(first.get_data()[1], run.state(0).axes[0])
    np.testing.assert_array_equal(last.get_data()[1], run.final.axes[0])
    np.testing.assert_allclose(last.get_data()[0], run.final.masses / np.diff(run.final.axes[0]), rtol=1e-14)


def test_in_the_plane_a_map_of_the_last_density():
    run = on_grid((3, 4))
    figure = plotting.plot(run, "density")
    (mesh,) = meshes(figure)
    np.testing.assert_array_equal(mesh.get_array(), run.final.density.T)
    np.testing.assert_array_equal(mesh.get_coordinates()[0, :, 0], run.final.axes[0])
    np.testing.assert_array_equal(mesh.get_coordinates()[:, 0, 1], run.final.axes[1])
    assert mesh.get_clim() == (0.0, run.final.density.max())
    assert figure.axes[0].get_title("left") == "density at $t = 1$"


@pytest.mark.parametrize(("shape", "planes"), [((3, 4, 2), [(0, 1), (0, 2), (1, 2)]), ((3, 4, 2, 3), [(0, 1), (2, 3)])])
def test_on_more_axes_maps_of_marginals(shape, planes):
    run = on_grid(shape)
    figure = plotting.plot(run, "density")
    for mesh, axes, pair in zip(meshes(figure), figure.axes, planes, strict=False):
        np.testing.assert_array_equal(mesh.get_array(), run.final.marginal(*pair).density.T)
        assert [axes.get_xlabel(), axes.get_ylabel()] == [f"$x_{{{k + 1}}}$" for k in pair]
    assert len(meshes(figure)) == len(planes)


@pytest.mark.parametrize("shape", [(1,), (6,), (1, 1), (3, 4), (3, 2, 2), (2, 3, 2, 2)])
def test_the_overview_has_the_density_below_the_energy(shape, tmp_path):
    figure = plotting.plot_solution(on_grid(shape))
    assert {"energy", "density"} <= set(panels(figure))
    assert "particles" not in panels(figure)
    plotting.save(figure, tmp_path / "all.png")


def test_coordinates_of_neurons_have_their_names():
    run = on_grid((3, 3, 3))
    static = {**run.static, "states": np.zeros((1, 0)), "actions": np.zeros((4, 1))}  # a bandit's: omega_0, k_a, b
    first, second, third = plotting.plot(Seen(run, static=static), "density").axes[:3]
    assert [first.get_xlabel(), first.get_ylabel(), third.get_ylabel()] == [r"$\omega_0$", "$k_{a}$", "$b$"]
    assert second.get_xlabel() == r"$\omega_0$"


def test_a_file_gives_the_same_figure_as_the_run(tmp_path):
    import wflow

    run = on_grid((3, 4), path=tmp_path / "run.h5")
    for name, solution in (("a.png", run), ("b.png", wflow.open(tmp_path / "run.h5"))):
        plotting.save(plotting.plot_solution(solution), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_what_has_no_density_is_refused_with_the_reason():
    with pytest.raises(ValueError, match="'density' cannot be shown: this flow's states are not measures on a grid"):
        plotting.plot(solved(agazzi_lu_bandit(seed=2, n_actions=9)), "density")
    with pytest.raises(ValueError, match="'particles' cannot be shown: this flow's states are not clouds of particles"):
        plotting.plot(on_grid((4,)), "particles")
    with pytest.raises(ValueError, match="'density' cannot be shown: no state was stored yet"):
        plotting.plot(cut(solved(garnet(3, 2, 2)), "running", 0.5), "density")
