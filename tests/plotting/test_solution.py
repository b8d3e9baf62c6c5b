"""The figure of one run: gap, certificate, dissipation, policy."""

from __future__ import annotations

import numpy as np
import pytest

from wflow import plotting
from wflow.energies import PolicyValue
from wflow.flows import WassersteinFlow
from wflow.loop import open_all, solve
from wflow.mdp import agazzi_lu_bandit, agazzi_lu_grid, garnet, gridworld, three_armed_bandit
from wflow.measures import laws


def solved(mdp, **options):
    energy = PolicyValue(mdp)
    initial = laws.student(energy.n_parameters).sample(12, 1)
    return solve(WassersteinFlow(energy), initial, 0.5, "RK45", **options)


def panels(figure):
    return {axes.get_label(): axes for axes in figure.axes}


def test_gap_inside_its_certificate_and_dissipation():
    run = solved(garnet(3, 2, 2))
    drawn = panels(plotting.plot_solution(run))
    (line,), (band,) = drawn["gap"].lines, drawn["gap"].collections
    np.testing.assert_array_equal(line.get_ydata(), run.gap)
    heights = band.get_paths()[0].vertices[:, 1]
    numbers = run.diagnostics
    np.testing.assert_allclose([heights.min(), heights.max()], [numbers["gap_lower"].min(), numbers["gap_upper"].max()], rtol=1e-12)
    np.testing.assert_array_equal(drawn["dissipation"].lines[0].get_ydata(), run.dissipation)
    assert drawn["gap"].get_yscale() == drawn["dissipation"].get_yscale() == "log"
    assert all(drawn[name].get_xlabel() and drawn[name].get_ylabel() for name in ("gap", "dissipation"))


def test_a_bandits_policy_is_a_density_curve_beside_its_optimum():
    run = solved(agazzi_lu_bandit(seed=2, n_actions=30))
    final, best = panels(plotting.plot_solution(run))["policy"].lines
    nodes = (np.arange(30) + 0.5) / 30
    for line, log_policy in ((final, run.finals["log_policy"]), (best, run.static["optimal_log_policy"])):
        np.testing.assert_allclose(line.get_xdata(), nodes, rtol=1e-14)
        np.testing.assert_array_equal(line.get_ydata(), np.exp(log_policy[0]))
        assert line.get_marker() == "None"


def test_few_actions_are_marked():
    final, _ = panels(plotting.plot_solution(solved(three_armed_bandit(0.1))))["policy"].lines
    assert final.get_marker() == "o"


def test_a_grids_policy_is_a_map_beside_its_optimum_and_their_difference():
    run = solved(agazzi_lu_grid(seed=2, n_states=5, n_actions=7))
    drawn = panels(plotting.plot_solution(run))
    final, best = np.exp(run.finals["log_policy"]), np.exp(run.static["optimal_log_policy"])
    maps = [drawn[name].collections[0] for name in ("final", "optimum", "difference")]
    for mesh, values in zip(maps, (final, best, final - best), strict=True):
        np.testing.assert_array_equal(mesh.get_array(), values.T)
    assert maps[0].get_clim() == maps[1].get_clim() == (min(final.min(), best.min()), max(final.max(), best.max()))
    low, high = maps[2].get_clim()
    assert low == -high == -np.abs(final - best).max()
    assert [drawn["final"].get_xlabel(), drawn["final"].get_ylabel()] == ["state  $s$", "action  $a$"]


def test_cells_without_order_are_shown_by_their_indices(tmp_path):
    run = solved(gridworld(2, 2))
    figure = plotting.plot_solution(run)
    assert "index of state" in panels(figure)["final"].get_xlabel()
    plotting.save(figure, tmp_path / "hard.png")  # τ = 0: the optimum's log density is -inf off its action


def test_a_file_gives_the_same_figure_as_the_run(tmp_path):
    run = solved(garnet(3, 2, 2), path=tmp_path / "run.h5")
    (stored,) = open_all(tmp_path / "run.h5")
    for name, solution in (("a.png", run), ("b.png", stored)):
        plotting.save(plotting.plot_solution(solution), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_run_that_has_not_ended_has_no_policy_panel(tmp_path):
    from wflow import storage

    run = solved(garnet(3, 2, 2))
    with storage.create(tmp_path / "half.h5", [run.stored.layout]) as file:
        (writer,) = file.runs
        writer.begin({**run.stored.summary, "status": "running", "message": ""})
        for row in run.stored.frames:
            writer.frame(row)
        (half,) = open_all(tmp_path / "half.h5")
    assert set(panels(plotting.plot_solution(half))) == {"gap", "dissipation"}


def test_no_frame_no_figure(tmp_path):
    from wflow import storage

    storage.create(tmp_path / "a.h5", [solved(garnet(3, 2, 2)).stored.layout]).close()
    with pytest.raises(ValueError, match="has not begun"):
        plotting.plot_solution(open_all(tmp_path / "a.h5")[0])
