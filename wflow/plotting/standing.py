"""Where runs stand, in the few words and marks that a figure has room for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from wflow.plotting.style import number, verbatim

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from wflow.solution import Solution

__all__ = ["begun", "end_mark", "footnote", "names", "stands", "tally"]

_MARKS = {"x": "×", ">": "▸"}  # Matplotlib's markers, and as text


def begun(solutions: Iterable[Solution]) -> list[Solution]:
    """The runs that have a frame to draw.

    Raises
    ------
    ValueError
        If none has.
    """
    runs = [solution for solution in solutions if len(solution.times)]
    if not runs:
        raise ValueError("solutions must have at least one run with a frame; none has begun")
    return runs


def names(solutions: Sequence[Solution]) -> list[str]:
    """A name for each run of an experiment: its seed, or its number where seeds are unknown or not unique."""
    seeds = [solution.provenance.get("seed") for solution in solutions]
    unique = None not in seeds and len({str(seed) for seed in seeds}) == len(seeds)
    return [f"seed {verbatim(seed)}" if unique else f"run {k}" for k, seed in enumerate(seeds)]


def stands(solution: Solution) -> str:
    """What has become of a run that did not end as it was meant to; empty for one that did."""
    if solution.status.ok:
        return ""
    reached = f"t = {number(np.nanmax([solution.times[-1], solution.final_time]))}"
    running = solution.status.value == "running"
    return f"running, ${reached}$" if running else f"{solution.status.value} at ${reached}$"


def end_mark(solution: Solution) -> dict[str, Any]:
    """Style of a curve whose last point says that the run still goes on (▸) or stopped too early (×)."""
    marker = _marker(solution)
    return {"marker": marker, "markevery": [-1], "markersize": 5.0, "markeredgewidth": 1.2} if marker else {}


def _marker(solution: Solution) -> str:
    return "" if solution.status.ok else ">" if solution.status.value in ("running", "waiting") else "x"


def tally(solutions: Sequence[Solution]) -> str:
    """How many runs ended how, with the marks that their curves end in; empty if all ended as they were meant to."""
    if all(solution.status.ok for solution in solutions):
        return ""
    marks = {solution.status.value: _MARKS.get(_marker(solution), "") for solution in solutions if len(solution.times)}
    counts = Counter(solution.status.value for solution in solutions)
    parts = [f"{n} {status}" + (f" ({marks[status]})" if marks.get(status) else "") for status, n in counts.most_common()]
    return f"{len(solutions)} run{'s' if len(solutions) > 1 else ''}: {', '.join(parts)}"


def footnote(shown: Figure, *remarks: str) -> None:
    """Remarks under a figure, such as runs that it cannot show."""
    if text := "; ".join(remark for remark in remarks if remark):
        shown.supxlabel(text, x=0.01, ha="left")
