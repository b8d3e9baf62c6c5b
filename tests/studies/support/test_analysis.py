"""Verdicts on numbers that are known: what holds, and that each wrong claim is found out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from studies.support import made

from wflow.studies.support.analysis import rows, tear_slope

RELU, TANH = made.problem(), made.problem(outside="")
BOTH = pytest.mark.parametrize("problem", [RELU, TANH], ids=["relu", "tanh"])
ABOUT = made.study(RELU).about


def row(problem, claim, about=ABOUT):
    found = [row for row in rows(problem, about) if row.claim.startswith(claim)]
    assert len(found) == 1
    return found[0]


def with_surface(problem, **arrays):
    return made.changed(problem, "surface", arrays)


def at(values, k, value):
    """`values` with another one at k."""
    values = np.array(values, dtype=float)
    values[k] = value
    return values


@BOTH
def test_what_is_true_holds(problem):
    found = rows(problem, ABOUT)
    assert {row.verdict for row in found} == {"holds"}
    assert all(row.margin >= 0.0 or np.isnan(row.margin) for row in found)
    assert {row.problem for row in found} == {"own (outside Assumption 1)" if problem.outside else "own"}
    claims = " ".join(row.claim for row in found)
    assert all(("all dead" in claims, "sign-locked" in claims)) == bool(problem.outside)
    assert ("log det" in claims) == (not problem.outside)
    assert len({row.claim for row in found}) == len(found)


def test_the_stored_field():
    """May lose a tenth of the certificate's least slack, 0.8."""
    for stray, verdict in ((0.079, "holds"), (0.081, "undecided")):
        found = row(with_surface(RELU, replay=at(np.zeros(18), 4, stray)), "stored field")
        assert (found.measured, found.verdict) == (stray, verdict)
        assert (found.margin > 0.0) == (verdict == "holds")


@BOTH
def test_degrees(problem):
    ones = np.ones(len(made.TIMES))
    good = row(problem, "degree of Σ")
    assert (good.measured, good.margin, good.verdict) == (1.0, 0.8, "holds")
    assert "images do not fold" in good.note
    cases = [
        ({"degree": 2.0 * ones, "second": 2.0 * ones, "verdict": -ones}, "fails", 2.0),
        ({"degree": 0.0 * ones, "verdict": -ones}, "fails", 0.0),
        ({"degree": at(ones, 7, 0.0), "verdict": at(ones, 7, -1.0)}, "fails", np.nan),
        ({"degree": at(ones, 7, 2.0), "verdict": at(ones, 7, -1.0), "complete": np.array(0.0)}, "fails", np.nan),
        ({"verdict": at(ones, 3, 0.0)}, "undecided", 1.0),
        ({"degree": at(ones, 3, np.nan), "verdict": at(ones, 3, 0.0)}, "undecided", np.nan),
        ({"complete": np.array(0.0)}, "undecided", 1.0),
    ]  # fmt: skip
    for arrays, verdict, measured in cases:
        found = row(with_surface(problem, **arrays), "degree of Σ")
        assert found.verdict == verdict
        assert found.measured == pytest.approx(measured, nan_ok=True)
    folded = row(with_surface(problem, folds=at(0.0 * ones, 17, 12.0)), "degree of Σ")
    assert folded.verdict == "holds"  # it stays 1, but is told
    assert "images fold from t = 100 on" in folded.note


def test_tears_of_smooth_neurons():
    found = row(with_surface(TANH, tear=at(np.zeros(18), 9, 1e-3)), "tear width, largest")
    assert (found.measured, found.margin, found.verdict) == (1e-3, -1e-3, "undecided")


@pytest.mark.parametrize(("power", "verdict"), [
    (-1.0, "holds"), (-1.19, "holds"), (-0.81, "holds"), (-1.3, "undecided"), (-0.7, "undecided"), (-0.4, "fails"), (0.0, "fails"),
    (0.5, "fails"),
])  # fmt: skip
def test_tears_fall_as_nodes_are_refined(power, verdict):
    widths = {n: 3.0 * n**power * made.TIMES for n in made.NODES}
    assert tear_slope(widths) == pytest.approx(power, abs=1e-12)
    found = row(replace(RELU, tears=widths), "tear width in action nodes")
    assert found.verdict == verdict
    assert found.measured == pytest.approx(power, abs=1e-12)
    assert (found.margin >= 0.0) == (verdict == "holds")


def test_tears_that_are_not_there():
    none = {n: np.zeros(18) for n in made.NODES}
    for widths in (none, {**none, 50: np.ones(18)}):
        assert np.isnan(tear_slope(widths))
        found = row(replace(RELU, tears=widths), "tear width in action nodes")
        assert (found.verdict, found.note) == ("undecided", "nothing tears")
    assert np.isnan(tear_slope({}))
    assert np.isnan(tear_slope({50: np.ones(18)}))
    alone = replace(RELU, tears={})
    assert row(alone, "tear width, t = ").verdict == "holds"
    slack = alone.parts["surface"]["slack"]
    assert row(with_surface(alone, tear=0.9 * slack), "tear width, t = ").verdict == "holds"
    assert row(with_surface(alone, tear=1.1 * slack), "tear width, t = ").verdict == "undecided"


def test_volumes():
    volume = TANH.parts["surface"]["log_volume"]
    for defect, condition, verdict in ((9e-7, 3.0, "holds"), (1.1e-6, 3.0, "fails"), (1e-3, 3.0, "fails"), (1e-3, 1e7, "undecided"),
                                       (np.nan, 3.0, "undecided")):  # fmt: skip
        wrong = with_surface(TANH, log_determinant=at(volume, (9, 2), volume[9, 2] + defect), condition=np.full(18, condition))
        found = row(wrong, "log det")
        assert found.verdict == verdict
        assert found.measured == pytest.approx(defect, rel=1e-6, nan_ok=True)
        assert (found.margin >= 0.0) == (verdict == "holds")


def test_covering():
    flow = RELU.parts["flow"]
    k = list(flow["times"]).index(made.TIMES[-1])
    found = row(RELU, "covering radius, t = 100")
    assert found.measured == pytest.approx(flow["covering"][k] / flow["covering_quarter"][k], rel=1e-12)
    swapped = made.changed(RELU, "flow", {"covering": flow["covering_quarter"], "covering_quarter": flow["covering"]})
    assert row(swapped, "covering radius").verdict == "undecided"
    without = made.changed(RELU, "flow", {"covering": None, "covering_quarter": None})
    assert not [row for row in rows(without, ABOUT) if row.claim.startswith("covering")]


def test_the_separating_start():
    upper = RELU.parts["flow"]["positive/gap_upper"]
    for last, verdict in ((0.99e-5, "holds"), (1.01e-5, "undecided")):
        found = row(made.changed(RELU, "flow", {"positive/gap_upper": at(upper, -1, last)}), "separating start: certified gap")
        assert (found.measured, found.verdict) == (last, verdict)
        assert found.margin == pytest.approx(1e-5 - last)
    unnamed = made.study(RELU, bound=0.0).about  # then a tenth of the gap at the start is asked for
    first = RELU.parts["flow"]["positive/gap_lower"][0]
    for last, verdict in ((0.09 * first, "holds"), (0.11 * first, "undecided")):
        wrong = made.changed(RELU, "flow", {"positive/gap_upper": at(upper, -1, last)})
        assert row(wrong, "separating start: certified gap", unnamed).verdict == verdict
    for sup, verdict in ((0.09, "holds"), (0.11, "undecided")):  # |g| is 1 at most at the start
        found = row(made.changed(RELU, "flow", {"positive/end/g_sup": np.array(sup)}), "separating start: sup|g|")
        assert (found.measured, found.verdict) == (sup, verdict)


@pytest.mark.parametrize("name", ["all dead", "single point", "sign-locked"])
def test_controls(name):
    """A defect of 1e-3, or a gap below the bound that was proved, at any one time; a gap too near to the separating start's."""
    kept, gap = RELU.parts["flow"][f"{name}/defect"], RELU.parts["flow"][f"{name}/gap"]

    def found(which, arrays):
        wrong = made.changed(RELU, "flow", {f"{name}/{key}": values for key, values in arrays.items()})
        mine, *others = [row for row in rows(wrong, ABOUT) if row.claim.startswith(name)][:: 1 if which == "kept" else -1]
        assert {row.verdict for row in others} == {"holds"}
        return mine

    assert found("kept", {"defect": at(kept, 5, 1e-3)}).verdict == "fails"
    assert found("kept", {"defect": at(kept, 5, 1e-3)}).margin < 0.0
    assert found("kept", {"defect": at(kept, 5, 1e-15)}).verdict == "holds"
    bound = 0.9 * gap[0]
    assert found("gap", {"gap": at(gap, 5, 0.99 * bound)}).verdict == "fails"
    assert found("gap", {"gap": at(gap, 5, 1.01 * bound)}).verdict == "holds"
    assert found("gap", {"bound": np.array(0.0)}).verdict == "undecided"
    assert "no proof" in found("gap", {"bound": np.array(0.0)}).note
    small = RELU.parts["flow"]["positive/gap"][-1]
    for factor, verdict in ((9.9, "undecided"), (10.1, "holds")):
        near = found("gap", {"gap": np.full(len(gap), factor * small), "bound": np.array(small)})
        assert (near.verdict, near.measured) == (verdict, pytest.approx(factor))


def with_escape(**arrays):
    return made.changed(RELU, "escape", arrays)


def test_escape():
    part, limit = RELU.parts["escape"], 2.0 * made.WRONG / made.ETA
    entry = row(RELU, "escape: last entry into G+")
    step = part["times"][1]
    assert made.WRONG / made.ETA <= entry.measured <= made.WRONG / made.ETA + step
    assert entry.margin == pytest.approx(limit - entry.measured)
    growth = row(RELU, "escape: growth")
    assert growth.measured == pytest.approx(made.ETA, rel=1e-12)
    assert growth.margin == pytest.approx(made.ETA / 2.0, rel=1e-12)

    slow = part["omega"].copy()
    slow[:, 1] = -made.WRONG + 0.45 * made.ETA * part["times"]
    assert row(with_escape(omega=slow), "escape: growth").verdict == "fails"
    assert row(with_escape(omega=slow), "escape: last entry").verdict == "fails"  # at 2.2 M/η
    never = part["omega"].copy()
    never[:, 0] = -made.WRONG
    assert row(with_escape(omega=never), "escape: last entry").verdict == "fails"
    late = part["omega"].copy()
    late[: int(1.1 * limit / step), 2] = -0.1  # waits, then crosses
    assert row(with_escape(omega=late), "escape: last entry").verdict == "fails"

    falls = with_escape(mass_plus=at(part["mass_plus"], 120, part["mass_plus"][119] - 1e-3))
    assert row(falls, "escape: mass").verdict == "fails"
    after = with_escape(mass_plus=at(part["mass_plus"], 180, 0.0))
    assert row(after, "escape: mass").verdict == "holds"  # outside the window nothing is claimed
    wild = part["omega"].copy()
    wild[150:] = -9.0
    assert {row(with_escape(omega=wild), f"escape: {what}").verdict for what in ("last entry", "growth")} == {"holds"}


@pytest.mark.parametrize("arrays", [
    {"window": (np.arange(201) < 20).astype(float)},  # it leaves the fixed point's neighbourhood before 2 M/η
    {"window": (np.arange(201) < 1).astype(float)},
    {"omega": np.zeros((201, 0)), "mass": np.zeros(201), "mass_plus": np.zeros(201)},  # none stays in G
])  # fmt: skip
def test_an_escape_that_was_not_seen(arrays):
    for what in ("last entry", "growth", "mass"):
        found = row(with_escape(**arrays), f"escape: {what}")
        assert found.verdict == "undecided"
        assert np.isnan(found.measured)


def test_the_gap_after_the_escape():
    for ratio, verdict in ((0.09, "holds"), (0.11, "undecided")):
        found = row(with_escape(long_gap=np.geomspace(1.0, ratio, len(made.LONG))), "escape: gap")
        assert (found.verdict, found.measured) == (verdict, pytest.approx(ratio))


def test_regions():
    assert (TANH.region, RELU.region) == (True, False)
    assert "about all points within" in row(TANH, "degree of Σ").note
    assert "off 0" in row(RELU, "degree of Σ").note
    solid = with_surface(RELU, points=np.zeros((3, 3)), simplices=np.array([[0.0, 1.0, 2.0]]))
    assert not solid.region
