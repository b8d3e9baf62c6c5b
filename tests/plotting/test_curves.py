"""Curves against time: what is drawn is what was stored."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex
from plotting.runs import Curve, cut, solved, waiting

from wflow import plotting
from wflow.loop import solve
from wflow.mdp import agazzi_lu_bandit, garnet, three_armed_bandit


def remarks(figure):
    """The line under a figure."""
    return figure.get_supxlabel()


@pytest.fixture(scope="module")
def runs():
    bandits = [solved(agazzi_lu_bandit(seed=s, n_actions=9), s, provenance={"experiment": "bandit", "seed": s}) for s in (3, 5, 8)]
    return bandits + [solved(garnet(3, 2, 2, seed=s), s, provenance={"experiment": "garnet", "seed": s}) for s in (0, 1)]


def test_one_panel_for_each_experiment_one_curve_for_each_seed(runs):
    figure = plotting.figure1(runs)
    panels = figure.axes
    assert [len(axes.lines) for axes in panels] == [3, 2]
    assert ["bandit" in panels[0].get_title("left"), "garnet" in panels[1].get_title("left")] == [True, True]
    for axes, part in zip(panels, (runs[:3], runs[3:]), strict=True):
        assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
        assert "t" in axes.get_xlabel()
        assert "E" in axes.get_ylabel()
        for line, run in zip(axes.lines, part, strict=True):
            assert line.get_label() == f"seed {run.provenance['seed']}"
            np.testing.assert_array_equal(line.get_xdata(), run.times)
            np.testing.assert_array_equal(line.get_ydata(), run.gap)
        looks = {(to_hex(line.get_color()), str(line._dash_pattern)) for line in axes.lines}
        assert len(looks) == len({colour for colour, _ in looks}) == len({dashes for _, dashes in looks}) == len(part)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [f"seed {seed}" for seed in (3, 5, 8, 0, 1)]
    assert remarks(figure) == ""


def test_a_seed_looks_the_same_in_every_panel(runs):
    again = [solved(garnet(3, 2, 2, seed=s), s, provenance={"experiment": "garnet", "seed": s}) for s in (8, 3)]
    first, second = plotting.figure1([*runs[:3], *again]).axes
    look = {line.get_label(): (line.get_color(), str(line._dash_pattern)) for line in first.lines}
    assert [(line.get_color(), str(line._dash_pattern)) for line in second.lines] == [look["seed 8"], look["seed 3"]]


def test_curves_start_with_the_first_step_and_end_with_the_run(runs):
    (axes,) = plotting.figure1(runs[:3]).axes
    low, high = axes.get_xlim()
    assert low == min(run.times[1] for run in runs[:3])
    assert high == 1.0
    assert axes.get_title("left") == ""


@pytest.mark.parametrize(("what", "name"), [("dissipation", "dissipation"), ("drift", "invariant_drift")])
def test_other_diagnostics_are_drawn_in_the_same_way(what, name):
    times = np.geomspace(1e-3, 10.0, 9)
    runs = [Curve(times, energy=times, **{name: s * times}, provenance={"experiment": "e", "seed": s}) for s in (1, 2)]
    (axes,) = plotting.plot(runs, what).axes
    for line, run in zip(axes.lines, runs, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), run.diagnostics[name])
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert {"dissipation": "|F|^2", "drift": r"\omega_0^2 - |\bar\omega|^2"}[what] in axes.get_ylabel()


def test_what_no_run_records_is_refused_and_what_some_do_not_is_told():
    times = [0.0, 1.0, 2.0]
    without = Curve(times, energy=times, dissipation=times)
    message = r"invariant drift was not recorded \(flows of ReLU neurons record it\); there is energy, dissipation"
    with pytest.raises(ValueError, match=message):
        plotting.plot(without, "drift")
    drifting = Curve(times, energy=times, invariant_drift=times)
    figure = plotting.plot([without, drifting, without], "drift")
    assert len(figure.axes[0].lines) == 1
    assert remarks(figure) == "2 of 3 runs record no invariant drift"


def test_runs_that_did_not_end_as_meant_are_marked_at_their_end_and_counted(runs):
    killed, running = cut(runs[0], "killed", 0.5), cut(runs[1], "running", 0.2)
    figure = plotting.figure1([killed, running, runs[2], waiting()])
    (axes,) = figure.axes
    assert [(line.get_marker(), line.get_markevery()) for line in axes.lines] == [("x", [-1]), (">", [-1]), ("None", None)]
    assert remarks(figure) == "4 runs: 1 killed (×), 1 running (▸), 1 finished, 1 waiting"
    assert axes.get_xlim()[1] > 1.0  # room for a mark at the end


def test_of_a_single_run_the_title_says_where_it_stands(runs):
    assert plotting.plot(cut(runs[0], "killed", 0.5), "gap").get_suptitle().startswith("killed at $t = 0.")
    assert plotting.plot(cut(runs[0], "running", 0.5), "gap").get_suptitle().startswith("running, $t = 0.")
    assert plotting.plot(runs[0], "gap").get_suptitle() == ""


def test_runs_that_have_not_begun_are_left_out(runs):
    (axes,) = plotting.figure1([waiting(), runs[0]]).axes
    assert len(axes.lines) == 1
    for what in plotting.WHATS:
        with pytest.raises(ValueError, match=r"(has not|none has) begun"):
            plotting.plot(waiting(), what)
    with pytest.raises(ValueError, match="none has begun"):
        plotting.figure1([waiting(), waiting()])


def test_a_run_at_its_optimum_can_be_drawn(tmp_path):
    """Zero rewards: the uniform policy is optimal, the gap is 0 and has no logarithm."""
    from wflow.mdp import MDP

    idle = MDP(reward=np.zeros((1, 4)), transition=None, discount=0.0, temperature=1.0)
    run = solved(idle)
    assert (run.gap == 0.0).all()
    plotting.save(plotting.figure1([run, run]), tmp_path / "a.png")
    plotting.save(plotting.plot_solution(run), tmp_path / "b.png")


def test_one_frame_is_enough(tmp_path):
    run = solved(three_armed_bandit(0.1), max_steps=1, record=[0.0])
    plotting.save(plotting.figure1([run]), tmp_path / "a.png")


def test_values_before_the_first_time_shown_do_not_stretch_the_axis():
    """Time starts a hundred-thousandth of the way; the drift grows from far below what it is there."""
    times = np.geomspace(1e-9, 1e3, 61)
    (axes,) = plotting.plot(Curve(times, energy=times, invariant_drift=times**2), "drift").axes
    assert axes.get_xlim() == (1e-2, 1e3)
    low, high = axes.get_ylim()
    assert 1e-5 < low < 1e-4
    assert 1e6 < high < 1e7


def test_seeds_that_are_not_unique_give_way_to_numbers():
    times = [0.0, 1.0, 2.0]
    (axes,) = plotting.figure1([Curve(times, energy=times, provenance={"seed": 4}) for _ in range(2)]).axes
    assert [line.get_label() for line in axes.lines] == ["run 0", "run 1"]


def test_without_gaps_the_energy_is_drawn():
    class Fall:
        def pack(self, initial):
            return np.array(initial)

        def unpack(self, y):
            return y

        def rhs(self, t, y):
            return -y

        def diagnostics(self, t, y):
            return {"energy": float(y @ y)}

    run = solve(Fall(), [1.0], 1.0, "RK45")
    (axes,) = plotting.figure1([run]).axes
    assert axes.get_yscale() == "linear"
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), run.energy)
    (axes,) = plotting.plot_solution(run).axes
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), run.energy)
