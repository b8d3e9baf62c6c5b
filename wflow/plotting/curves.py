"""Curves against mean-field time: gap, dissipation and invariant drift of one run or several; Figure 1 of Agazzi & Lu (2021)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from wflow.plotting.standing import begun, end_mark, footnote, names, stands, tally
from wflow.plotting.style import COLOURS, DASHES, columns, figure, styled, verbatim

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from wflow.solution import Solution

__all__ = ["LABELS", "by_experiment", "curves", "figure1", "label_axes", "one_curve", "panel_title", "recorded"]

LABELS = {
    "gap": r"gap  $E^\ast - E(\nu_t)$",
    "energy": r"energy  $E(\nu_t)$",
    "dissipation": r"dissipation  $\int \;\, |F|^2 \, d\nu_t$",
    "invariant_drift": "drift of $I = \\omega_0^2 - |\\bar\\omega|^2$\n$(\\Sigma_n \\, p_n \\, [I_n(t) - I_n(0)]^2)^{1/2}$",
    "wall_mass": "mass in the cells at the walls",
}
_WHERE = {
    "dissipation": "flows along a gradient record it",
    "invariant_drift": "flows of ReLU neurons record it",
}


def figure1(solutions: Sequence[Solution]) -> Figure:
    """E* − E(ν_t) against mean-field time on log scales, one panel per experiment, one curve per seed.

    A seed looks the same in every panel. Runs without a gap show their energy instead, on a linear scale.

    Raises
    ------
    ValueError
        If no run has a frame to draw.
    """
    return curves(solutions, "gap")


def curves(solutions: Sequence[Solution], name: str) -> Figure:
    """A diagnostic against mean-field time, as `figure1`; the gap of a single run lies between the bounds of its certificate.

    Raises
    ------
    ValueError
        If no run has a frame to draw, or none records the diagnostic.
    """
    runs, name, left_out = recorded(solutions, name)
    panels = by_experiment(runs)
    looks: dict[str, dict[str, Any]] = {}
    for part in panels.values():
        for label in names(part):
            k = len(looks)
            looks.setdefault(label, {"label": label, "color": COLOURS[k % len(COLOURS)], "linestyle": DASHES[k % len(DASHES)]})
    with styled():
        width = 0.6 + 3.2 * len(panels)
        shown = figure(width, 2.9 if len(runs) > 1 else 2.5)
        grid = shown.subplots(1, len(panels), squeeze=False)[0]
        for k, part in enumerate(panels.values()):
            for run, label in zip(part, names(part), strict=True):
                one_curve(grid[k], run, name, certificate=len(runs) == 1, **looks[label])
            label_axes(grid[k], part, name)
            if len(panels) > 1:
                grid[k].set_title(panel_title(k, part), loc="left")
        lines = {str(line.get_label()): line for axes in grid for line in axes.lines}
        if len(solutions) == 1:
            shown.suptitle(stands(runs[0]))
        else:
            shown.legend(handles=list(lines.values()), loc="outside upper center", ncols=columns(list(lines), width))
            footnote(shown, tally(solutions), left_out)
    return shown


def recorded(solutions: Sequence[Solution], name: str) -> tuple[list[Solution], str, str]:
    """The runs whose `name` can be drawn, what can be drawn of them, and a remark on those left out.

    Where a run has no gap, the energy of all stands in for it.

    Raises
    ------
    ValueError
        If no run has a frame, or none records `name`.
    """
    runs = begun(solutions)
    if name == "gap":
        return runs, "gap" if all("gap" in run.diagnostics for run in runs) else "energy", ""
    having = [run for run in runs if name in run.diagnostics]
    if not having:
        there = ", ".join(runs[0].diagnostics)
        raise ValueError(f"{name.replace('_', ' ')} was not recorded ({_WHERE[name]}); there is {there}")
    without = len(runs) - len(having)
    return having, name, f"{without} of {len(runs)} runs record no {name.replace('_', ' ')}" if without else ""


def by_experiment(runs: Sequence[Solution]) -> dict[str, list[Solution]]:
    """The runs of each experiment, in order."""
    panels: dict[str, list[Solution]] = {}
    for run in runs:
        panels.setdefault(str(run.provenance.get("experiment", "")), []).append(run)
    return panels


def panel_title(k: int, runs: Sequence[Solution]) -> str:
    """(a), (b), ... and what the experiment's title says behind its source."""
    origin = runs[0].provenance
    title = str(origin.get("title") or origin.get("experiment", "")).rpartition(": ")[2]
    return f"({chr(ord('a') + k)})  {verbatim(title)}"


def one_curve(axes: Axes, run: Solution, name: str, *, certificate: bool = False, **look: Any) -> None:
    """A run's diagnostic against time, its end marked if it did not end as meant; on wish the bounds certified for its gap."""
    numbers = run.diagnostics
    axes.plot(run.times, numbers[name], **look, **end_mark(run))
    if certificate and name == "gap" and {"gap_lower", "gap_upper"} <= set(numbers):
        low, high = numbers["gap_lower"], numbers["gap_upper"]
        if not np.allclose(low, high, rtol=0.01, atol=0.0):  # a bandit's bounds agree
            band = axes.fill_between(run.times, low, high, color=look["color"], alpha=0.25, linewidth=0.0, label="certified")
            axes.legend([axes.lines[-1], band], ["gap", "certified"])


def label_axes(axes: Axes, runs: Sequence[Solution], name: str) -> None:
    """What is drawn, against mean-field time on a log scale; values that are never negative on a log scale, where not all are 0.

    Time begins with the first that is drawn after the start, or a hundred-thousandth of the whole if that is later.
    """
    if name != "energy" and any((run.diagnostics[name] > 0.0).any() for run in runs):
        axes.set_yscale("log")
    axes.set_ylabel(LABELS[name])
    axes.set_xlabel(r"mean-field time  $t$")
    end, origin = max(run.times[-1] for run in runs), min(run.times[0] for run in runs)
    drawn = np.concatenate([np.asarray(line.get_xdata(), dtype=float) for line in axes.lines])
    start = max(drawn[drawn > max(origin, 0.0)].min(initial=end), 1e-5 * end)
    if 0.0 < start < end:
        axes.set_xscale("log")
        room = 0.0 if all(run.status.ok for run in runs) else 0.025  # for the marks at the ends
        axes.set_xlim(start, end * (end / start) ** room)
        if ((drawn > 0.0) & (drawn < start)).any():
            _fit_values(axes, start)


def _fit_values(axes: Axes, start: float) -> None:
    """Limits for the values that are drawn from `start` on."""
    paths = [path.vertices for band in axes.collections for path in band.get_paths()]
    drawn = np.concatenate([np.asarray(part, dtype=float) for part in [*(line.get_xydata() for line in axes.lines), *paths]])
    log = axes.get_yscale() == "log"
    values = drawn[drawn[:, 0] >= start, 1]
    values = np.log(values[values > 0.0]) if log else values[np.isfinite(values)]
    if len(values) and np.ptp(values) > 0.0:
        limits = np.array([values.min(), values.max()]) + np.array([-0.05, 0.05]) * np.ptp(values)
        axes.set_ylim(*(np.exp(limits) if log else limits))
