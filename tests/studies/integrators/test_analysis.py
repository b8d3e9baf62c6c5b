"""The table from made-up runs: ties, nobody gets there, what the reference cannot tell, failures."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from studies.integrators import made

from wflow import integrators
from wflow.studies.integrators import METHODS
from wflow.studies.integrators.analysis import DECADES, cheapest, is_ours, rows


def row(case, decade, cost="field evaluations"):
    return next((r for r in rows(case) if r.claim.startswith(f"E to {decade:g}: {cost}")), None)


def test_ours_and_the_others():
    for name in integrators.names():
        assert is_ours(name) == integrators.get(name).__module__.startswith("wflow") or name == "LSODA"  # SciPy's, checked by us
    assert not is_ours("LSODA")
    assert [name for name in METHODS if is_ours(name)] == ["rkc2", "rkl2", "tsit5", "bs3", "newton_krylov"]


RUNS = st.builds(
    made.point, st.sampled_from(["rkc2", "tsit5", "RK45", "extensisq:BS5"]), status=st.sampled_from(["finished", "step limit"]),
    evaluations=st.integers(1, 9), spectral_radius=st.integers(0, 3), seconds=st.sampled_from([0.5, 1.0, 2.0]),
    energy=st.sampled_from([1e-5, 1e-3, 3e-2]))  # fmt: skip


@given(st.lists(RUNS, max_size=8), st.sampled_from(DECADES), st.sampled_from(["seconds", "work"]), st.sampled_from([None, True, False]))
def test_cheapest_by_search(points, decade, cost, ours):
    """No run that arrived within the error costs less; None only if there is none."""
    found = cheapest(made.case(*points), decade, cost, ours)
    best = math.inf
    for p in points:
        inside = p.status == "finished" and p.energy <= decade
        mine = p.method in ("rkc2", "tsit5")
        if inside and (ours is None or ours == mine):
            best = min(best, p.seconds if cost == "seconds" else p.evaluations + p.spectral_radius)
    assert (math.inf if found is None else getattr(found, cost)) == best


@pytest.mark.parametrize(("ours", "others", "verdict"), [
    (100, 400, "holds"), (100, 100, "holds"), (100, 90, "undecided"), (100, 81, "undecided"), (100, 79, "fails"), (100, 10, "fails"),
])  # fmt: skip
def test_verdicts(ours, others, verdict):
    """Of work and of time alike; what others take over what ours takes."""
    mine, theirs = made.point(evaluations=ours, seconds=0.01 * ours), made.point("RK45", evaluations=others, seconds=0.01 * others)
    for cost in ("field evaluations", "wall time"):
        found = row(made.case(mine, theirs), 1e-3, cost)
        assert found.measured == pytest.approx(others / ours)
        assert found.margin == pytest.approx(others / ours - 1.0)
        assert found.verdict == verdict
        assert "tsit5 at 1" in found.note
        assert "RK45 at 1" in found.note


def test_evaluations_for_spectral_radii_count():
    found = row(made.case(made.point("rkc2", evaluations=60, spectral_radius=60), made.point("RK45", evaluations=90)), 1e-3)
    assert found.measured == pytest.approx(0.75)
    assert found.verdict == "fails"


def test_only_one_side_gets_there():
    good, bad = made.point(energy=1e-4), made.point("RK45", energy=5e-2)
    found = row(made.case(good, bad), 1e-3)
    assert (found.verdict, math.isnan(found.measured)) == ("holds", True)
    found = row(made.case(made.point(energy=5e-2), made.point("RK45", energy=1e-4)), 1e-3)
    assert (found.verdict, math.isnan(found.measured)) == ("fails", True)


def test_nobody_gets_there():
    case = made.case(made.point(energy=5e-3), made.point("RK45", energy=5e-3))
    assert row(case, 1e-2) is not None
    assert all(row(case, decade) is None for decade in (1e-3, 1e-4, 1e-5))


def test_below_what_the_reference_resolves():
    """Ten times the difference of its families."""
    case = made.case(made.point(energy=1e-6), made.point("RK45", energy=1e-6), own=5e-5)
    assert row(case, 1e-3).verdict == "holds"
    for decade in (1e-4, 1e-5):
        assert row(case, decade).verdict == "undecided"
        assert math.isnan(row(case, decade).measured)


def test_failures_are_told():
    """None of them counts as cheap; ours fail the table, others do not."""
    theirs = made.case(made.point(), made.point("RK45", 1e-2, "step limit", evaluations=1), made.gave_up("DOP853", 1e-4))
    assert "RK45" not in row(theirs, 1e-3).note
    late = replace(made.point("RK45", status="step limit", evaluations=1), energy=1e-9)  # failed after E was last compared
    assert cheapest(made.case(late), 1e-3, "work") is None
    last = rows(theirs)[-1]
    assert (last.verdict, last.measured) == ("holds", 0.0)
    assert "RK45 at 0.01: step limit; DOP853 at 1" in last.note
    mine = rows(made.case(made.point("rkc2", status="not finite"), made.point("RK45")))[-1]
    assert (mine.verdict, mine.measured, mine.margin) == ("fails", 1.0, -1.0)
    assert "rkc2 at 1" in mine.note
    assert rows(made.case(made.point()))[-1].note == "none of the others either"


def test_no_margin_of_minus_zero():
    assert str(rows(made.case(made.point()))[-1].margin) == "0.0"
