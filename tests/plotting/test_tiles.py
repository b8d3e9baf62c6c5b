"""A few runs side by side."""

from __future__ import annotations

import numpy as np
import pytest
from plotting.runs import cut, solved, waiting

from wflow import plotting
from wflow.mdp import agazzi_lu_bandit, agazzi_lu_grid


def titles(figure):
    return [axes.get_title("left").split("\n")[0] for axes in figure.axes if axes.get_title("left")]


@pytest.fixture(scope="module")
def bandits():
    sweep = {"flow.n_particles": 12}
    return [
        solved(agazzi_lu_bandit(seed=s, n_actions=9), s, provenance={"experiment": "fig1a", "seed": s, "sweep": sweep}) for s in (3, 5, 8)
    ]


@pytest.fixture(scope="module")
def grid():
    return solved(agazzi_lu_grid(n_states=3, n_actions=4), provenance={"experiment": "fig1b", "seed": 7})


def test_every_run_has_its_policy_and_its_name(bandits):
    figure = plotting.plot(bandits, "policy")
    drawn = [axes for axes in figure.axes if axes.lines]
    for axes, run in zip(drawn, bandits, strict=True):
        np.testing.assert_array_equal(axes.lines[0].get_ydata(), np.exp(run.finals["log_policy"][0]))
    assert titles(figure) == [f"n_particles = 12, seed {s}" for s in (3, 5, 8)]


def test_bandits_and_grids_share_a_page(bandits, grid):
    figure = plotting.plot([*bandits[:2], grid], "policy")
    assert titles(figure)[:3] == ["fig1a, n_particles = 12, seed 3", "fig1a, n_particles = 12, seed 5", "fig1b, seed 7"]
    figure = plotting.plot([*bandits[:2], grid], "particles")
    assert titles(figure)[:3] == ["fig1a, n_particles = 12, seed 3", "fig1a, n_particles = 12, seed 5", "fig1b, seed 7"]


def test_a_single_run_needs_no_name(bandits, grid):
    assert titles(plotting.plot(bandits[0], "policy")) == []
    assert titles(plotting.plot([grid], "policy"))[0].startswith(r"$\pi")


@pytest.mark.parametrize("what", ["policy", "particles"])
def test_too_many_runs_are_refused_with_the_remedy(bandits, what):
    plotting.plot(bandits * 2, what)
    with pytest.raises(ValueError, match=rf"'{what}' shows at most 6 runs at once; got 7: choose one \(--run K, solutions\[k\]\)"):
        plotting.plot([*bandits * 2, bandits[0]], what)


def test_runs_that_have_nothing_to_show_are_counted(bandits):
    half = cut(bandits[0], "running", 0.5)
    figure = plotting.plot([half, bandits[1], waiting()], "policy")
    assert titles(figure) == ["n_particles = 12, seed 5"]
    told = figure.get_supxlabel()
    assert "1 running" in told
    assert "1 waiting" in told
    assert "1 cannot be shown (no policy was stored yet" in told


def test_the_title_of_a_killed_run_says_so(bandits):
    killed = cut(bandits[0], "killed", 0.5, finals=bandits[0].finals, final_time=0.5)
    assert "killed at" in titles(plotting.plot([killed, bandits[1]], "policy"))[0]
    assert plotting.plot(killed, "policy").get_suptitle().startswith("killed at")
