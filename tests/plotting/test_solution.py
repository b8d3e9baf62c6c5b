"""The figure of one run: gap, certificate, dissipation, drift, policy, particles."""

from __future__ import annotations

import numpy as np
import pytest
from plotting.runs import Curve, Seen, cut, solved, waiting

from wflow import plotting
from wflow.loop import open_all
from wflow.mdp import agazzi_lu_bandit, agazzi_lu_grid, garnet, gridworld, three_armed_bandit


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


def test_drift_has_a_panel_where_it_is_recorded():
    run = solved(garnet(3, 2, 2))
    numbers = {name: values for name, values in run.diagnostics.items() if name != "invariant_drift"}
    assert "invariant_drift" not in panels(plotting.plot_solution(Seen(run, diagnostics=numbers)))
    drift = 1e-3 * run.times
    (line,) = panels(plotting.plot_solution(Seen(run, diagnostics={**numbers, "invariant_drift": drift})))["invariant_drift"].lines
    np.testing.assert_array_equal(line.get_ydata(), drift)


def test_a_bandits_policy_is_a_density_curve_beside_its_optimum_and_its_particles_have_a_panel():
    run = solved(agazzi_lu_bandit(seed=2, n_actions=30))
    drawn = panels(plotting.plot_solution(run))
    assert {"policy", "particles"} <= set(drawn)
    final, best = drawn["policy"].lines
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
    assert {"particles", "map"} <= set(drawn)
    final, best = np.exp(run.finals["log_policy"]), np.exp(run.static["optimal_log_policy"])
    maps = [drawn[name].collections[0] for name in ("final", "optimum", "difference")]
    for mesh, values in zip(maps, (final, best, final - best), strict=True):
        np.testing.assert_array_equal(mesh.get_array(), values.T)
    assert maps[0].get_clim() == maps[1].get_clim() == (min(final.min(), best.min()), max(final.max(), best.max()))
    low, high = maps[2].get_clim()
    assert low == -high == -np.abs(final - best).max()
    assert [drawn["final"].get_xlabel(), drawn["final"].get_ylabel()] == ["state  $s$", "action  $a$"]


def test_on_fine_grids_dashes_tell_a_negative_difference_in_grey():
    run = solved(agazzi_lu_grid(seed=2, n_states=12, n_actions=12))
    contours = panels(plotting.plot_solution(run))["difference"].collections[1]
    apart = np.abs(np.exp(run.finals["log_policy"]) - np.exp(run.static["optimal_log_policy"])).max()
    np.testing.assert_allclose(contours.levels, [-apart / 4, apart / 4])
    (_, dashes), (_, solid) = contours.get_linestyles()
    assert dashes is not None
    assert solid is None


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


def test_a_run_that_has_not_ended_has_no_policy_and_no_particles_before_its_checkpoint():
    half = cut(solved(garnet(3, 2, 2)), "running", 0.5)
    drawn = panels(plotting.plot_solution(half))
    assert "gap" in drawn
    assert {"policy", "final", "particles"}.isdisjoint(drawn)
    with pytest.raises(ValueError, match="'policy' cannot be shown: no policy was stored yet"):
        plotting.plot(half, "policy")


def test_policy_and_particles_carry_the_times_that_are_theirs():
    """A checkpoint may be older than the last frame, and a state that was kept younger than the checkpoint."""
    run = solved(garnet(3, 2, 2))
    killed = cut(run, "killed", 0.9, finals=run.finals, final=run.final, final_time=0.5, finals_time=0.25, state_times=np.array([0.0, 0.5]))
    figure = plotting.plot_solution(killed)
    drawn = panels(figure)
    assert "t = 0.25$" in drawn["final"].get_title("left")
    assert "t = 0.5$" in drawn["particles"].get_title("left")
    assert figure.get_suptitle() == f"killed at $t = {killed.times[-1]:.3g}$"


def test_a_flow_of_something_else_has_its_energy_only():
    times = [0.0, 1.0, 2.0]
    fall = Curve(times, energy=times)
    assert set(panels(plotting.plot_solution(fall))) == {"energy"}
    with pytest.raises(ValueError, match="'policy' cannot be shown: this flow stores no policy and no optimum"):
        plotting.plot(fall, "policy")


def test_no_frame_no_figure():
    with pytest.raises(ValueError, match="has not begun"):
        plotting.plot_solution(waiting())
