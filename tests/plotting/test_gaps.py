"""Gap curves: what is drawn is what was stored."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex

from wflow import plotting
from wflow.energies import PolicyValue
from wflow.flows import WassersteinFlow
from wflow.loop import solve
from wflow.mdp import agazzi_lu_bandit, garnet, three_armed_bandit
from wflow.measures import laws


def solved(mdp, seed=0, experiment="e", t_end=1.0, **options):
    energy = PolicyValue(mdp)
    initial = laws.student(energy.n_parameters).sample(12, seed)
    return solve(WassersteinFlow(energy), initial, t_end, "RK45", provenance={"experiment": experiment, "seed": seed}, **options)


@pytest.fixture(scope="module")
def runs():
    return [solved(agazzi_lu_bandit(seed=s, n_actions=9), s, "bandit") for s in (3, 5, 8)] + [
        solved(garnet(3, 2, 2, seed=s), s, "garnet") for s in (0, 1)
    ]


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


def test_a_seed_looks_the_same_in_every_panel(runs):
    again = [solved(garnet(3, 2, 2, seed=s), s, "garnet") for s in (8, 3)]
    first, second = plotting.figure1([*runs[:3], *again]).axes
    look = {line.get_label(): (line.get_color(), str(line._dash_pattern)) for line in first.lines}
    assert [(line.get_color(), str(line._dash_pattern)) for line in second.lines] == [look["seed 8"], look["seed 3"]]


def test_curves_start_with_the_first_step_and_end_with_the_run(runs):
    (axes,) = plotting.figure1(runs[:3]).axes
    low, high = axes.get_xlim()
    assert low == min(run.times[1] for run in runs[:3])
    assert high == 1.0
    assert axes.get_title("left") == ""


def test_runs_that_have_not_begun_are_left_out(runs, tmp_path):
    from wflow import storage
    from wflow.loop import open_all

    storage.create(tmp_path / "a.h5", [run.stored.layout for run in runs]).close()
    waiting = open_all(tmp_path / "a.h5")
    (axes,) = plotting.figure1([*waiting, runs[0]]).axes
    assert len(axes.lines) == 1
    with pytest.raises(ValueError, match="none has begun"):
        plotting.figure1(waiting)


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
