"""What the panels of the study's figures share: time axes, the moments that are shown, colours of signs, words on the certificate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wflow._checks import Array
from wflow.plotting.style import COLOURS, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from wflow.studies.support.results import ProblemSupport

__all__ = ["SIGNS", "at", "clock", "degree_of", "legend_below", "moments", "shifted", "sign_legend"]

SIGNS = ((1.0, COLOURS[0], r"$\omega_0 > 0$"), (0.0, "0.5", r"$\omega_0 = 0$"), (-1.0, COLOURS[1], r"$\omega_0 < 0$"))
_TICKS = 6  # decades that are named on a time axis, about


def at(t: float) -> str:
    """A time in TeX."""
    return f"$t = {number(float(t))}$"


def moments(times: Array, *wanted: float) -> list[int]:
    """The frames nearest to the wanted times, each once."""
    return sorted({int(np.abs(times - t).argmin()) for t in wanted})


def shifted(times: Array) -> Array:
    """Times with 0 moved to where a log axis shows it: a little before the first that is positive."""
    first, last = times[times > 0.0][[0, -1]]
    return np.where(times > 0.0, times, first * (first / last) ** 0.05)


def clock(axes: Axes, times: Array, *, origin: bool = False) -> None:
    """Mean-field time on a log axis over the times, on wish with the origin where `shifted` places it."""
    from matplotlib.ticker import FixedLocator, NullLocator

    drawn = shifted(times)
    low, high = times[times > 0.0][[0, -1]]
    decades = np.arange(np.ceil(np.log10(low) - 1e-9), np.floor(np.log10(high) + 1e-9) + 1.0)
    decades = decades[:: max(1, round(len(decades) / _TICKS))]
    ticks = {f"$10^{{{decade:.0f}}}$": 10.0**decade for decade in decades if not origin or 10.0**decade > 2.0 * low}
    if origin:
        ticks = {"0": drawn[0], **ticks}
    axes.set(xscale="log", xlim=(drawn[0] if origin else low, high), xlabel="mean-field time $t$")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_locator(FixedLocator(list(ticks.values())))
    axes.set_xticks(list(ticks.values()), list(ticks))


def sign_legend() -> list[Any]:
    """Handles of a legend that tells what the colours of particles mean."""
    from matplotlib.lines import Line2D

    return [Line2D([], [], linestyle="", marker="o", markersize=2.5, color=colour, label=label) for _, colour, label in SIGNS]


def legend_below(axes: Axes, points: float = 30.0, **options: Any) -> None:
    """The axes' legend, so many points below it: clear of ticks and label whatever the axes' height."""
    from matplotlib.transforms import ScaledTranslation

    below = axes.transAxes + ScaledTranslation(0.0, -points / 72.0, axes.figure.dpi_scale_trans)
    look = {"loc": "upper center", "ncols": 2, "fontsize": 6.5, "borderaxespad": 0.0, "columnspacing": 1.2}
    axes.legend(bbox_to_anchor=(0.5, 0.0), bbox_transform=below, **{**look, **options})


def degree_of(problem: ProblemSupport) -> str:
    """Degree and least slack of the certificate over all its times, in words."""
    part = problem.parts["surface"]
    degrees = np.unique(part["degree"])  # a NaN is a degree that is unknown
    told = "unknown at some" if np.isnan(degrees).any() else f"{' or '.join(f'{degree:.0f}' for degree in degrees)} at all"
    slack = float(part["slack"].min())
    if not np.isfinite(slack):  # of a mesh that does not close
        return f"degree {told} {len(part['times'])} times, slack unknown"
    unit = 10.0 ** (np.floor(np.log10(abs(slack))) - 2.0) if slack else 1.0
    return rf"degree {told} {len(part['times'])} times, slack $\geq {number(float(np.floor(slack / unit) * unit))}$"  # rounded down
