"""The one door: what there is to draw."""

from __future__ import annotations

import pytest
from plotting.runs import on_grid, solved

from wflow import plotting
from wflow.mdp import agazzi_lu_bandit, agazzi_lu_grid


@pytest.fixture(scope="module")
def runs():
    return [
        solved(agazzi_lu_bandit(seed=1, n_actions=9), 1, provenance={"experiment": "a", "seed": 1}),
        solved(agazzi_lu_grid(seed=1, n_states=3, n_actions=3), 1, provenance={"experiment": "b", "seed": 1}),
    ]


def size(figure):
    return len(figure.axes)


def test_the_default_is_the_overview(runs):
    assert size(plotting.plot(runs[0])) == size(plotting.plot([runs[0]], "overview")) == size(plotting.plot_solution(runs[0])) > 3
    assert size(plotting.plot(runs)) == size(plotting.figure1(runs)) == 2
    assert size(plotting.plot(iter(runs))) == 2


@pytest.mark.parametrize("what", plotting.WHATS)
def test_every_kind_fits_its_page(runs, what):
    """Matplotlib warns of panels for which there is no room."""
    if what == "density":
        runs = [on_grid((9,)), on_grid((4, 5))]
    for solutions in (runs[0], runs[1], runs):
        figure = plotting.plot(solutions, what)
        figure.draw_without_rendering()
        inside = figure.bbox.padded(1.0)
        for axes in figure.axes:
            box = axes.get_tightbbox()
            assert inside.contains(box.x0, box.y0)
            assert inside.contains(box.x1, box.y1)


@pytest.mark.parametrize("suffix", plotting.FORMATS)
def test_every_format_holds_maps_curves_and_particles(runs, tmp_path, suffix):
    plotting.save(plotting.plot(runs[1]), tmp_path / f"all{suffix}")
    assert (tmp_path / f"all{suffix}").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("what", "message"),
    [("polcy", r"what must be one of overview, gap, .*; got 'polcy' \(did you mean 'policy'\?\)"), (3, "got 3"), ("", "got ''")],
)
def test_unknown_kinds_are_refused(runs, what, message):
    with pytest.raises(ValueError, match=message):
        plotting.plot(runs, what)


def test_what_are_no_solutions_are_refused():
    with pytest.raises(ValueError, match="solutions must have at least one run; got none"):
        plotting.plot([])
    with pytest.raises(TypeError, match=r"solutions must be a wflow\.Solution or several; got 'fig1.h5'"):
        plotting.plot(["fig1.h5"])
    for other in ("fig1.h5", 3, None):
        with pytest.raises(TypeError, match=r"solutions must be a wflow\.Solution or several; got"):
            plotting.plot(other)
