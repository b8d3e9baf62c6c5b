"""The diagrams hold the runs of the study, failures too, and nothing lies over anything else."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.text import Text
from studies.integrators import made

from wflow.plotting import style
from wflow.plotting.style import MARKERS
from wflow.studies.integrators import METHODS, CaseRuns, Integrators
from wflow.studies.integrators.figure import draw

OURS = made.ladder("tsit5", 5, 10, drift=1e-3)
RADII = made.ladder("rkc2", 2, 10, spectral_radius=7, drift=1e-2)
THEIRS = made.ladder("RK45", 4, 12, drift=3e-3)
PEER = made.ladder("extensisq:BS5", 5, 14, drift=2e-4)
FAILED = [made.gave_up("DOP853", 1e-2), made.point("LSODA", 1e-3, "step limit", evaluations=5000, seconds=7.0),
          made.point("RK45", 1e-6, "not finite", evaluations=40, seconds=0.02)]  # fmt: skip
EVERYTHING = [*OURS, *RADII, *THEIRS, *PEER, *FAILED]


def bare(points):
    """Neither clouds nor an invariant."""
    nan = float("nan")
    return [made.point(p.method, p.rtol, evaluations=p.evaluations, energy=p.energy, w2=nan, state=p.energy) for p in points]


MADE = {
    "everything": lambda: made.case(*EVERYTHING, own=1e-5, smooth=False),
    "no invariant": lambda: made.case(*(made.point(p.method, p.rtol, p.status, evaluations=p.evaluations, seconds=p.seconds,
                                                   spectral_radius=p.spectral_radius, energy=p.energy) for p in EVERYTHING)),
    "numbers": lambda: made.case(*bare(OURS + THEIRS), own=0.0),
    "all methods": lambda: made.case(*(p for k, m in enumerate(METHODS) for p in made.ladder(m, 2 + k % 4, 5 + k)), own=1e-8),
    "one run": lambda: made.case(made.point()),
    "exact": lambda: made.case(made.point(energy=0.0, drift=0.0), made.point("RK45", energy=0.0, drift=0.1), own=0.0),
    "nothing arrived": lambda: made.case(*FAILED, own=1e-5),
    "nothing resolved": lambda: made.case(*OURS, own=1.0),
    "a user's name": lambda: made.case(*OURS, name="my $problem_1$"),
}  # fmt: skip
FINITE = [name for name in MADE if name != "nothing arrived"]
LAYOUTS = ("everything", "all methods", "numbers", "nothing arrived")  # five panels, four with the legend below, three, failures


def drawn(case, *others):
    return draw(made.study(case, *others))[case.name]


@cache
def finished(name):
    """The figure with its layout made, and its renderer; it is not changed."""
    figure = drawn(MADE[name]())
    canvas = FigureCanvasAgg(figure)
    with style.styled():
        figure.draw_without_rendering()
    return figure, canvas.get_renderer()


def panels(figure):
    """By the words of their two axes."""
    return {(ax.get_xlabel(), ax.get_ylabel()): ax for ax in figure.axes if ax.axison}


def panel(figure, error, cost="field evaluations"):
    return next(ax for (x, y), ax in panels(figure).items() if error in x and cost in y)


def legend(figure):
    (found,) = [*figure.legends, *(ax.get_legend() for ax in figure.axes if ax.get_legend())]
    return found


def entry(figure, label):
    """The line of the legend with that label."""
    handles = {text.get_text(): handle for text, handle in zip(legend(figure).get_texts(), legend(figure).legend_handles, strict=True)}
    return handles[label]


def lines(axes):
    """Joined runs, one line for each method, in the order of the study."""
    return [line for line in axes.get_lines() if line.get_linestyle() != "None" and line.get_transform() == axes.transData]


def marks(axes, face=None):
    """Marked runs as {(x, y)}; of a face."""
    shown = [line for line in axes.get_lines() if line.get_marker() in MARKERS and len(line.get_xydata())]
    chosen = [line for line in shown if face is None or to_rgba(line.get_markerfacecolor()) == to_rgba(face)]
    return {(float(x), float(y)) for line in chosen for x, y in line.get_xydata() if np.isfinite(y)}


@pytest.mark.parametrize("suffix", [".png", pytest.param(".pdf", marks=pytest.mark.slow)])
def test_written(tmp_path, suffix):
    """Without a warning."""
    figure = drawn(MADE["everything"]())
    figure.set_dpi(80)
    style.save(figure, tmp_path / f"a{suffix}")
    assert 15_000 < (tmp_path / f"a{suffix}").stat().st_size < 1_000_000


@pytest.mark.parametrize("name", LAYOUTS)
def test_nothing_lies_on_anything_else(name):
    """All words are on the page; the legend is on no axes that is shown; titles and labels are on nothing."""
    figure, renderer = finished(name)
    axes = [ax for ax in figure.axes if ax.axison]
    ticks = {label for ax in axes for axis in (ax.xaxis, ax.yaxis) for label in axis.get_ticklabels(which="both")}
    words = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip() and text not in ticks]
    for text in words:
        extent = text.get_window_extent(renderer)
        assert figure.bbox.padded(1.0).count_contains([extent.min, extent.max]) == 2, text
    places = [figure._suptitle.get_window_extent(renderer), legend(figure).get_window_extent(renderer)]
    places += [ax.get_tightbbox(renderer) for ax in axes]
    assert not [(k, j) for k, a in enumerate(places) for j, b in enumerate(places[:k]) if a.padded(-1.0).overlaps(b.padded(-1.0))]


@pytest.mark.parametrize("name", LAYOUTS)
def test_ticks_can_be_read(name):
    figure, renderer = finished(name)
    for ax in panels(figure).values():
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = [tick for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()) if low <= tick.get_loc() <= high]
            labels = [tick.label1 for tick in ticks if tick.label1.get_visible() and tick.label1.get_text()]
            extents = [label.get_window_extent(renderer) for label in labels]
            assert labels
            assert not any(a.overlaps(b) for k, a in enumerate(extents) for b in extents[k + 1 :]), labels


@pytest.mark.parametrize("name", FINITE)
def test_all_runs_are_inside_the_axes(name):
    case = MADE[name]()
    figure = drawn(case)
    for ax in panels(figure).values():
        left, right = ax.get_xlim()
        low, high = ax.get_ylim()
        assert left > right  # precision grows to the right
        assert ax.get_xscale() == ax.get_yscale() == "log"
        found = marks(ax)
        assert found
        assert all(right < x < left and low < y < high for x, y in found)
    assert len(marks(panel(figure, "$E$"))) == len({(p.energy, p.work) for p in case.points if p.ok})


def test_what_each_panel_shows():
    """Every error against all evaluations, E also against seconds; those that the case has not are left out."""
    figure = finished("everything")[0]
    wanted = {("$E$", "field"): ("energy", "work"), ("$E$", "wall"): ("energy", "seconds"), ("final state", "field"): ("state", "work"),
              ("$W_2$", "field"): ("w2", "work"), ("invariant", "field"): ("drift", "work")}  # fmt: skip
    assert len(panels(figure)) == 5
    for words, (error, cost) in wanted.items():
        points = [p for p in EVERYTHING if p.ok]
        assert marks(panel(figure, *words)) == {(getattr(p, error), float(getattr(p, cost))) for p in points}
    assert len(panels(drawn(MADE["no invariant"]()))) == 4
    assert len(panels(finished("numbers")[0])) == 3


def test_lines_join_the_tolerances_of_a_method():
    """Loose ones first, broken where a run failed; ours solid and bold, SciPy's dashed, peers dotted."""
    points = [*OURS, made.point("tsit5", 3e-3, "step limit", evaluations=50), *THEIRS, *PEER]
    figure = drawn(made.case(*reversed(points)))
    peer, theirs, ours = lines(panel(figure, "$E$"))[:3]
    x, y = ours.get_data()
    np.testing.assert_array_equal(x, [OURS[0].energy, np.nan, OURS[1].energy, OURS[2].energy])
    np.testing.assert_array_equal(y, [OURS[0].work, np.nan, OURS[1].work, OURS[2].work])
    assert (ours.get_linestyle(), theirs.get_linestyle(), peer.get_linestyle()) == ("-", "--", "--")
    assert theirs._unscaled_dash_pattern != peer._unscaled_dash_pattern
    assert ours.get_linewidth() > 1.5 * theirs.get_linewidth()


def test_methods_can_be_told_apart():
    """By colour and marker, as the legend says, and the same in every figure of a study."""
    first, second = MADE["all methods"](), made.case(*THEIRS, *OURS, name="other")
    figures = draw(made.study(first, second))
    looks = {}
    for method in METHODS:
        handle = entry(figures["made"], method)
        looks[method] = (handle.get_color(), handle.get_marker())
    assert len(set(looks.values())) == len(METHODS)
    for method in ("tsit5", "RK45"):
        handle = entry(figures["other"], method)
        assert (handle.get_color(), handle.get_marker()) == looks[method]
    ours = next(line for line in lines(panel(figures["other"], "$E$")) if line.get_linestyle() == "-")
    assert ours.get_color() == looks["tsit5"][0]


def test_below_what_the_reference_resolves():
    """Shaded, and hollow; the drift needs no reference."""
    figure, case = finished("everything")[0], MADE["everything"]()
    limit = case.resolved("energy")
    for error, name in (("$E$", "energy"), ("final state", "state"), ("$W_2$", "w2")):
        ax = panel(figure, error)
        (shade,) = ax.patches
        edges = shade.get_window_extent().transformed(ax.transData.inverted())
        assert {round(float(np.log10(x)), 6) for x in (edges.x0, edges.x1)} == {
            round(float(np.log10(x)), 6) for x in (limit, ax.get_xlim()[1])}  # fmt: skip
        below = {(getattr(p, name), float(p.work)) for p in EVERYTHING if p.ok and getattr(p, name) < limit}
        assert below
        assert marks(ax, "white") == below
    assert not panel(figure, "invariant").patches
    assert not marks(panel(figure, "invariant"), "white")
    assert entry(figure, "not resolved by the reference")
    exact = finished("numbers")[0]
    assert not any(ax.patches for ax in panels(exact).values())
    assert "not resolved by the reference" not in [text.get_text() for text in legend(exact).get_texts()]


def test_far_below_it_errors_are_not_told_apart():
    """Such as those of the reference's own run, which would stretch the axis to rounding."""
    figure = drawn(made.case(*OURS, made.point("tsit5", 1e-6, energy=0.0, evaluations=900), own=1e-6))
    ax = panel(figure, "$E$")
    assert min(x for x, _ in marks(ax)) == pytest.approx(1e-8)
    assert ax.get_xlim()[1] > 1e-9


def test_evaluations_for_spectral_radii_are_marked_apart():
    """A bar from all evaluations down to the others; none where there are none, none in seconds."""
    figure = finished("everything")[0]
    bars = [c for c in panel(figure, "$E$").collections if isinstance(c, LineCollection)]
    found = {frozenset(map(tuple, path)) for bar in bars for path in bar.get_segments()}
    assert found == {frozenset({(p.energy, float(p.evaluations)), (p.energy, float(p.work))}) for p in RADII}
    assert not [c for c in panel(figure, "$E$", "wall").collections if isinstance(c, LineCollection)]
    assert entry(figure, "evaluations without those for spectral radii")
    assert "evaluations without those for spectral radii" not in [text.get_text() for text in legend(finished("numbers")[0]).get_texts()]


def crosses(ax):
    return [line for line in ax.get_lines() if line.get_marker() == "x"]


@pytest.mark.parametrize("name", ["everything", "nothing arrived"])
def test_failures_are_shown(name):
    """Crosses at the left, at what they had cost, at the top where that is unknown; how they failed is told in the legend."""
    figure = finished(name)[0]
    labels = [text.get_text() for text in legend(figure).get_texts()]
    assert r"DOP853: gave up at rtol $0.01$" in labels
    assert r"LSODA: step limit at rtol $0.001$" in labels
    assert r"RK45: not finite at rtol $10^{-6}$" in labels
    for ax in panels(figure).values():
        found = crosses(ax)
        assert len(found) == 3
        arrived = [ax.transData.transform((x, y))[0] for x, y in marks(ax)]
        pixels = [line.get_transform().transform(line.get_xydata())[0] for line in found]
        left, right = ax.bbox.x0, min([ax.bbox.x1, *arrived])
        assert all(left < x < right for x, _ in pixels)
        assert all(ax.bbox.y0 < y < ax.bbox.y1 for _, y in pixels)
        cost = "seconds" if "wall" in ax.get_ylabel() else "work"
        heights = sorted(float(ax.transData.inverted().transform(pixel)[1]) for pixel in pixels)
        known = sorted(float(getattr(p, cost)) for p in FAILED if getattr(p, cost) > 0)
        np.testing.assert_allclose(heights[: len(known)], known, rtol=1e-6)
        assert len({line.get_color() for line in found}) == 3


def test_none_failed():
    figure = finished("numbers")[0]
    assert not any(crosses(ax) for ax in panels(figure).values())
    assert len(legend(figure).get_texts()) == 2


def test_titles():
    """Of the case, its horizon and tolerances; a field that jumps is called so; the machine is told."""
    title = finished("everything")[0]._suptitle.get_text()
    assert "made to $t = 100$" in title
    assert "jumping field" in title
    assert "rtol $0.01$ to $10^{-6}$" in title
    assert "jumping" not in finished("numbers")[0]._suptitle.get_text()
    assert "rtol" not in drawn(MADE["one run"]())._suptitle.get_text()
    assert r"my \$problem_1\$" in drawn(MADE["a user's name"]())._suptitle.get_text()
    assert legend(finished("numbers")[0]).get_title().get_text() == "a machine, 2 CPUs"


def test_a_study_of_several_cases():
    cases = [made.case(*OURS, name=name) for name in ("b", "a")]
    assert list(draw(made.study(*cases))) == ["b", "a"]
    assert draw(Integrators({}, {})) == {}
    assert isinstance(cases[0], CaseRuns)
