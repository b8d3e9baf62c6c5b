"""Gap curves of several runs: Figure 1 of Agazzi & Lu (2021), and the default figure of any experiment with several runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from wflow.plotting.style import COLOURS, DASHES, figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from wflow.loop import Solution

__all__ = ["figure1", "gap_label", "log_time"]


def figure1(solutions: Sequence[Solution]) -> Figure:
    """E* − E(ν_t) against mean-field time on log scales, one panel per experiment, one curve per seed.

    A seed looks the same in every panel. Runs without a gap show their energy instead, on a linear scale.

    Raises
    ------
    ValueError
        If no run has a frame to draw.
    """
    drawn = [solution for solution in solutions if len(solution.times)]
    if not drawn:
        raise ValueError("solutions must have at least one run with a frame; none has begun")
    panels: dict[str, list[Solution]] = {}
    for solution in drawn:
        panels.setdefault(str(solution.provenance.get("experiment", "")), []).append(solution)
    looks: dict[str, dict[str, Any]] = {}
    for runs in panels.values():
        for label in _labels(runs):
            k = len(looks)
            looks.setdefault(label, {"label": label, "color": COLOURS[k % len(COLOURS)], "linestyle": DASHES[k % len(DASHES)]})
    with styled():
        shown = figure(0.6 + 3.2 * len(panels), 2.9)
        grid = shown.subplots(1, len(panels), squeeze=False)
        for k, (name, runs) in enumerate(panels.items()):
            axes = grid[0, k]
            _curves(axes, runs, [looks[label] for label in _labels(runs)])
            if len(panels) > 1:
                title = str(runs[0].provenance.get("title") or name).rpartition(": ")[2]  # what a title says behind its source
                axes.set_title(f"({chr(ord('a') + k)})  {title}", loc="left")
        lines = {line.get_label(): line for axes in grid[0] for line in axes.lines}
        shown.legend(handles=list(lines.values()), loc="outside upper center", ncols=min(len(lines), 5 * len(panels) // 2 + 1))
    return shown


def _labels(runs: Sequence[Solution]) -> list[str]:
    return [f"seed {run.provenance['seed']}" if "seed" in run.provenance else f"run {k}" for k, run in enumerate(runs)]


def _curves(axes: Axes, runs: Sequence[Solution], looks: Sequence[dict[str, Any]]) -> None:
    gaps = all("gap" in run.diagnostics for run in runs)
    for run, look in zip(runs, looks, strict=True):
        axes.plot(run.times, run.gap if gaps else run.energy, **look)
    log_time(axes, runs)
    if gaps and any((run.gap > 0.0).any() for run in runs):
        axes.set_yscale("log")
    axes.set_ylabel(gap_label() if gaps else r"energy  $E(\nu_t)$")


def gap_label() -> str:
    """The gap in symbols."""
    return r"gap  $E^\ast - E(\nu_t)$"


def log_time(axes: Axes, runs: Sequence[Solution]) -> None:
    """Mean-field time on a log scale: from the first frame after the start, or a hundred-thousandth of the whole if that is later."""
    end = max(run.times[-1] for run in runs)
    start = max(min((run.times[1] for run in runs if len(run.times) > 1), default=end), 1e-5 * end)
    if 0.0 < start < end:
        axes.set_xscale("log")
        axes.set_xlim(start, end)
    axes.set_xlabel(r"mean-field time  $t$")
