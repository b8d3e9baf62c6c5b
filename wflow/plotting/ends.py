"""Where the runs of a sweep end: the last value of each, over the swept numbers or beside the swept words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from wflow.plotting.curves import LABELS
from wflow.plotting.looks import Looks, colour_of, marker_of
from wflow.plotting.settings import Setting, Sweep, value_text
from wflow.plotting.standing import end_mark
from wflow.plotting.style import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from wflow.solution import Solution

__all__ = ["draw_ends"]


def draw_ends(axes: Axes, sweep: Sweep, settings: Sequence[Setting], name: str, looks: Looks) -> None:
    """The last value of every run, and the median of those that ended as meant.

    One swept key is the axis, if numbers, or else a list; of two, the colour and the marker tell the other, a little aside of each
    other; more make a list of settings.
    """
    listed, axis = sweep.is_listed, sweep.axis
    two = len(sweep.keys) == 2
    groups: dict[int, list[Setting]] = {}
    for setting in settings:
        groups.setdefault(setting.ranks[1 - axis] if two else 0, []).append(setting)
    others = len(sweep.values[sweep.keys[1 - axis]]) if two else 1
    for other, group in groups.items():
        aside = _aside(axes, other - (others - 1) / 2.0, listed)
        medians = []
        for setting in group:
            place = _place(sweep, setting)
            for run in setting.runs:
                mark = {"marker": marker_of(sweep, setting), "markersize": 3.5, **end_mark(run), "markevery": None}
                look = {**mark, "color": looks[setting.ranks]["color"], "alpha": 0.8, "linestyle": "none", "transform": aside}
                end = _swapped(place, _last(run, name), listed)
                axes.plot(*end, **look)
                axes.update_datalim([end])  # Matplotlib does not count what is drawn aside
            if ended := [_last(run, name) for run in setting.runs if run.status.ok]:
                medians.append((place, float(np.median(ended))))
        if medians:
            places, values = (list(x) for x in zip(*sorted(medians), strict=True))
            line = {"color": colour_of(other, others) if two else "0.3", "linewidth": 1.0, "zorder": 1.8}
            line |= {"marker": marker_of(sweep, group[0]), "markersize": 5.0, "markerfacecolor": "white"} if two else {}
            tick = {"color": "black", "linestyle": "none", "marker": "|", "markersize": 9.0, "zorder": 2.8}
            axes.plot(*_swapped(places, values, listed), **(tick if listed else line), transform=aside)
    axes.autoscale_view()
    _value_axis(axes, [run for setting in settings for run in setting.runs], name, listed)
    if listed:
        _list_axis(axes, sweep, looks)
    else:
        _number_axis(axes, sweep)


def _last(run: Solution, name: str) -> float:
    """The last finite value; NaN if there is none."""
    values = run.diagnostics[name]
    finite = values[np.isfinite(values)]
    return float(finite[-1]) if len(finite) else np.nan


def _place(sweep: Sweep, setting: Setting) -> float:
    if len(sweep.keys) > 2:
        return float([other.ranks for other in sweep.settings].index(setting.ranks))
    return float(setting.ranks[sweep.axis] if sweep.is_listed else setting.values[sweep.axis])


def _swapped(place: Any, value: Any, listed: bool) -> tuple[Any, Any]:
    """Places in a list go down the page, so that words are read along it."""
    return (value, place) if listed else (place, value)


def _aside(axes: Axes, steps: float, listed: bool) -> Any:
    from matplotlib.transforms import offset_copy

    shown: Any = axes.figure
    x, y = _swapped(5.0 * steps, 0.0, listed)
    return offset_copy(axes.transData, shown, x, -y, units="points")


def _value_axis(axes: Axes, runs: Sequence[Solution], name: str, listed: bool) -> None:
    _log_if_wide(axes.set_xscale if listed else axes.set_yscale, [_last(run, name) for run in runs])
    ends = {float(run.times[-1]) for run in runs if run.status.ok}
    at = rf"at $t = {number(ends.pop())}$" if len(ends) == 1 else "at the end"
    (axes.set_xlabel if listed else axes.set_ylabel)(f"{LABELS[name]} {at}")


def _number_axis(axes: Axes, sweep: Sweep) -> None:
    key = sweep.keys[sweep.axis]
    values = sweep.values[key]
    _log_if_wide(axes.set_xscale, values)
    if len(values) <= 7:
        axes.set_xticks(values, [value_text(value) for value in values])
        axes.set_xticks([], minor=True)
    axes.set_xlabel(sweep.word(key))


def _list_axis(axes: Axes, sweep: Sweep, looks: Looks) -> None:
    key = sweep.keys[sweep.axis]
    if len(sweep.keys) > 2:  # the list is the legend, too
        axes.set_yticks(range(len(sweep.settings)), [sweep.name(setting) for setting in sweep.settings])
        axes.tick_params(axis="y", length=0.0, pad=24.0)
        for k, setting in enumerate(sweep.settings):
            axes.plot([-0.13, -0.02], [k, k], **looks[setting.ranks], transform=axes.get_yaxis_transform(), clip_on=False)
    else:
        axes.set_yticks(range(len(sweep.values[key])), [value_text(value) for value in sweep.values[key]])
        axes.set_ylabel(sweep.word(key))
    axes.margins(y=0.15)
    axes.invert_yaxis()


def _log_if_wide(set_scale: Any, values: Sequence[float]) -> None:
    """A log scale where positive values span more than a decade."""
    finite = [value for value in values if np.isfinite(value)]
    if finite and min(finite) > 0.0 and max(finite) > 10.0 * min(finite):
        set_scale("log")
