"""The cheapest method by decade of error, ours against the others, and what failed: the study's table."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from wflow.progress import short
from wflow.studies.statistics import Verdict
from wflow.studies.table import Row

if TYPE_CHECKING:
    from wflow.studies.integrators.results import CaseRuns, Point

__all__ = ["DECADES", "cheapest", "is_ours", "rows"]

DECADES = (1e-2, 1e-3, 1e-4, 1e-5)
_TIE = 0.8  # times vary as much


def is_ours(method: str) -> bool:
    """Whether it is a method of wflow: they are written in lower case."""
    return method.islower() and ":" not in method


def cheapest(case: CaseRuns, error: float, cost: str, ours: bool | None = None) -> Point | None:
    """The run of least ``seconds`` or ``work`` whose error of E is at most that, of ours, of the others, or of all (None)."""
    allowed = [p for p in case.points if p.ok and p.energy <= error and ours in (None, is_ours(p.method))]
    return min(allowed, key=lambda point: float(getattr(point, cost)), default=None)


def rows(case: CaseRuns) -> list[Row]:
    """The table of a case."""
    return [*_decades(case), *_failures(case)]


def _decades(case: CaseRuns) -> Iterator[Row]:
    for decade in DECADES:
        for cost, name in (("seconds", "wall time"), ("work", "field evaluations")):
            ours, others = (cheapest(case, decade, cost, ours=side) for side in (True, False))
            if ours is None and others is None:
                continue
            claim = f"E to {decade:g}: {name}, best of the others over ours"
            if decade < case.resolved("energy"):
                yield Row(case.name, claim, math.nan, math.nan, math.nan, "≥ 1", math.nan, "undecided", "below what the reference resolves")
                continue
            ratio = math.nan if ours is None or others is None else getattr(others, cost) / getattr(ours, cost)
            told = "; ".join(_told(point) for point in (ours, others) if point is not None)
            yield Row(case.name, claim, ratio, math.nan, math.nan, "≥ 1", ratio - 1.0, _verdict(ours, others, ratio), told)


def _verdict(ours: Point | None, others: Point | None, ratio: float) -> Verdict:
    """Ours is cheaper, or nobody else gets there; within a fifth it is a tie."""
    if ours is None:
        return "fails"
    return "holds" if others is None or ratio >= 1.0 else "undecided" if ratio >= _TIE else "fails"


def _told(point: Point) -> str:
    return f"{point.method} at {short(point.rtol)}: {point.seconds:.3g} s, {point.work}"


def _failures(case: CaseRuns) -> Iterator[Row]:
    failed = [point for point in case.points if not point.ok]
    mine = [point for point in failed if is_ours(point.method)]
    told = "; ".join(f"{p.method} at {short(p.rtol)}: {p.status}" for p in failed)
    yield Row(case.name, "runs of ours that failed", float(len(mine)), math.nan, math.nan, "0", 0.0 - len(mine),
              "fails" if mine else "holds", told or "none of the others either")  # fmt: skip
