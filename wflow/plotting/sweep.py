"""Figures of a sweep: curves by setting, median and range over the seeds, and where the runs of each setting end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from wflow.plotting.curves import by_experiment, label_axes, panel_title, recorded
from wflow.plotting.ends import draw_ends
from wflow.plotting.looks import Looks, legend_of, look_of, marker_of
from wflow.plotting.settings import Setting, Sweep, is_sweep, median_curve
from wflow.plotting.standing import end_mark, footnote, tally
from wflow.plotting.style import figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from wflow.solution import Solution

__all__ = ["is_sweep", "plot_sweep", "sweep_curves"]


def plot_sweep(solutions: Sequence[Solution]) -> Figure:
    """Gap (or energy) against mean-field time by setting, and beside it the last gap of every run against the swept values.

    Curves: the median over the seeds that ended as meant, and a band from the least to the greatest, for as long as all of them are
    there (`median_curve` says how runs with other frames are interpolated); what a seed has beyond that, and all of a run that did
    not end as meant, is a thin line of its own. Such runs are no part of a median; × or ▸ marks their ends, and a line under the
    figure counts them. One row of panels per experiment. One swept key: on the axis. Two: the second by colour. More: a row for
    each setting.

    Raises
    ------
    ValueError
        If no run has a frame to draw.
    """
    return _figure(solutions, "gap", ends=True)


def sweep_curves(solutions: Sequence[Solution], name: str) -> Figure:
    """The curves of `plot_sweep`, of any diagnostic."""
    return _figure(solutions, name, ends=False)


def _figure(solutions: Sequence[Solution], name: str, *, ends: bool) -> Figure:
    runs, name, left_out = recorded(solutions, name)
    panels, sweep = by_experiment(runs), Sweep(runs)
    looks = {setting.ranks: look_of(sweep, setting) for setting in sweep.settings}
    crowded = len(sweep.keys) > 2
    width = 7.0 if ends or crowded else 4.4
    labels, lines, across = legend_of(sweep, looks, width) if not (ends and crowded) else ([], [], 1)
    tall = max(2.7, 0.15 * len(sweep.settings) + 0.7) if ends and crowded else 2.7
    with styled():
        shown = figure(width, tall * len(panels) + 0.17 * -(-len(labels) // across))
        grid = shown.subplots(len(panels), 1 + ends, squeeze=False)
        for k, part in enumerate(panels.values()):
            here = [Setting(s.values, s.ranks, mine) for s in sweep.settings if (mine := tuple(run for run in s.runs if run in part))]
            _medians(grid[k, 0], sweep, here, name, looks)
            label_axes(grid[k, 0], part, name)
            if ends:
                draw_ends(grid[k, 1], sweep, here, name, looks)
            if len(panels) > 1:
                grid[k, 0].set_title(panel_title(k, part), loc="left")
        if labels:
            shown.legend(handles=lines, labels=labels, loc="outside upper center", ncols=across)
        several = "median and range over seeds" if any(len(setting.runs) > 1 for setting in sweep.settings) else ""
        footnote(shown, several, tally(solutions), left_out)
    return shown


def _medians(axes: Axes, sweep: Sweep, settings: Sequence[Setting], name: str, looks: Looks) -> None:
    faint = min(0.16, 0.5 / len(settings))
    for setting in settings:
        look = looks[setting.ranks]
        ended = [run for run in setting.runs if run.status.ok]
        median = median_curve(ended, name)
        if median is not None:
            axes.plot(median.times, median.middle, **look, **_few_markers(sweep, setting))
            if len(ended) > 1:
                axes.fill_between(median.times, median.low, median.high, color=look["color"], alpha=faint, linewidth=0.0)
                for edge in (median.low, median.high):
                    axes.plot(median.times, edge, **{**look, "linewidth": 0.4}, alpha=0.5)
        for run in setting.runs:
            shared = int(np.searchsorted(run.times, median.times[-1], "right")) - 1 if median is not None and run.status.ok else 0
            alone = slice(shared, None)
            if len(run.times[alone]) > 1 or not run.status.ok:
                axes.plot(run.times[alone], run.diagnostics[name][alone], **{**look, "linewidth": 0.6, "zorder": 2.5, **end_mark(run)})


def _few_markers(sweep: Sweep, setting: Setting) -> dict[str, Any]:
    """Two keys: a marker here and there tells what the colour does, also in grey; curves that meet have theirs at other places."""
    if len(sweep.keys) != 2:
        return {}
    start = 0.05 + 0.04 * sum(setting.ranks)
    return {"marker": marker_of(sweep, setting), "markersize": 3.5, "markevery": (start % 0.3, 0.3)}
