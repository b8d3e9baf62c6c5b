"""Particles in parameter space: what a run's measure looks like, over the cloud that it started from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from wflow._checks import Array
from wflow.plotting.charts import Chart, Coordinate, chart
from wflow.plotting.style import COLOURS, number, shades

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from wflow.measures import ParticleMeasure
    from wflow.solution import Solution

__all__ = ["Clouds", "cloud_panels", "clouds", "draw_clouds", "draw_moment"]

_AT_MOST = 20_000  # particles drawn
_FIRST = "0.72"  # grey of the initial cloud


class Clouds(NamedTuple):
    """The final measure of a run, the first one if it is another, and how to draw them."""

    chart: Chart
    final: ParticleMeasure
    first: ParticleMeasure | None


def clouds(solution: Solution) -> Clouds | str:
    """What can be shown of a run's particles, or why there are none, in a few words. Memory: two states."""
    if np.isnan(solution.final_time):
        return "no state was stored yet"
    final = solution.final
    if not hasattr(final, "weights"):
        return "this flow's states are not clouds of particles"
    first = solution.state(0) if len(solution.state_times) and solution.state_times[0] < solution.final_time else None
    return Clouds(chart(solution.static, final.points, final.weights), final, first)


def cloud_panels(seen: Clouds) -> list[str]:
    """Names of the panels that clouds take."""
    return ["particles"] if seen.chart.second is None else ["particles", "map"]


def draw_clouds(row: Sequence[Axes], solution: Solution, seen: Clouds) -> None:
    """ω0 against direction, coloured by |ω̄|; on a second panel the map of directions, where the chart has one.

    Above 20,000 particles a fixed random subset is drawn, and the title says so. The first cloud lies beneath in grey.
    """
    draw_moment(row, seen, solution.final_time, solution.state_times[0] if seen.first is not None else np.nan)


def draw_moment(row: Sequence[Axes], seen: Clouds, t: float, t_first: float, longest: float | None = None) -> None:
    """The same of a cloud at any time t, above the first one; colours reach to `longest`, or to the largest |ω̄| of all that are drawn."""
    some = _subset(seen.final.size)
    _weights_panel(row[0], seen, some, longest)
    if seen.chart.second is not None:
        _map_panel(row[1], seen, seen.chart.second, some)
    title = rf"particles at $t = {number(t)}$"
    if seen.first is not None:
        title += rf"; grey: $t = {number(t_first)}$"
    if len(some) < seen.final.size:
        title += f"\n{len(some):,} of {seen.final.size:,} shown"
    row[0].set_title(title, loc="left")


def _subset(n: int) -> Any:
    return np.arange(n) if n <= _AT_MOST else np.sort(np.random.default_rng(0).choice(n, _AT_MOST, replace=False))


def _weights_panel(axes: Axes, seen: Clouds, some: Any, longest: float | None) -> None:
    """Area of a dot: the particle's weight, within bounds."""
    chart, final = seen.chart, seen.final
    area = _areas(final, some)
    for low, high in chart.spans:
        axes.axvspan(low, high, color="0.93", linewidth=0.0, zorder=0)
    if seen.first is not None:
        _dots(axes, chart.across, chart.upright, seen.first.points, some, _areas(seen.first, some), color=_FIRST)
    if chart.length is None:
        _dots(axes, chart.across, chart.upright, final.points, some, area, color=COLOURS[0])
    else:
        length = chart.length.of(final.points)
        colours = {"c": length, "cmap": shades(), "vmin": 0.0, "vmax": length.max() if longest is None else longest}
        dots = _dots(axes, chart.across, chart.upright, final.points, some, area, **colours)
        axes.figure.colorbar(dots, ax=axes, label=chart.length.label, aspect=25, pad=0.02)
    _name(axes, chart.across, chart.upright, chart.shaded if chart.spans else "")


def _areas(cloud: ParticleMeasure, some: Any) -> Array:
    areas: Array = np.clip(6000.0 / len(some), 2.0, 14.0) * np.clip(cloud.size * cloud.weights, 0.2, 6.0)
    return areas


def _map_panel(axes: Axes, seen: Clouds, second: Coordinate, some: Any) -> None:
    """Where the output comes from: area of a circle p_n |ω0|, filled where ω0 > 0, open where ω0 < 0."""
    chart, final = seen.chart, seen.final
    small = np.clip(1600.0 / len(some), 0.15, 1.0)
    if chart.region is not None:
        axes.fill_between(*chart.region, color="0.93", linewidth=0.0, zorder=0)
    _dots(axes, chart.across, second, (seen.first or final).points, some, np.full(final.size, 2.0 * small), color=_FIRST)
    output = final.weights * final.points[:, 0]
    area = 60.0 * small * np.abs(output) / max(np.abs(output).max(), np.finfo(float).tiny)
    filled = {"facecolors": COLOURS[0], "edgecolors": "white", "linewidths": np.where(area > 6.0, 0.3, 0.0)}
    hollow = {"facecolors": "white", "edgecolors": COLOURS[1], "linewidths": np.minimum(0.7, 0.3 * np.sqrt(area))}
    for sign, look in ((1.0, filled), (-1.0, hollow)):
        _dots(axes, chart.across, second, final.points, some[sign * output[some] > 0.0], area, **look)
    _name(axes, chart.across, second, chart.shaded if chart.region is not None else "")
    if chart.length is None:
        _zoom(axes, chart, second, final.points, area)
    axes.set_title("● $\\omega_0 > 0$    ○ $\\omega_0 < 0$    area: $p_n |\\omega_0|$", loc="left")


def _zoom(axes: Axes, chart: Chart, second: Coordinate, points: Array, area: Array) -> None:
    """Limits of a map of centres: the nodes, and all whose circles are large enough to be seen; the others may lie far away."""
    large = area > 0.6
    region = chart.region or (np.empty(0),) * 3
    for limit, centre, nodes in ((axes.set_xlim, chart.across, region[0]), (axes.set_ylim, second, np.concatenate(region[1:]))):
        reach = np.concatenate([centre.of(points)[large], nodes])
        if len(reach) and np.ptp(reach) > 0.0:
            limit(reach.min() - 0.15 * np.ptp(reach), reach.max() + 0.15 * np.ptp(reach))


def _dots(axes: Axes, across: Coordinate, upright: Coordinate, points: Array, some: Any, area: Array, **look: Any) -> Any:
    x, y = across.of(points)[some], upright.of(points)[some]
    order = np.argsort(np.abs(points[some, 0]), kind="stable")  # what has weight lies above
    look = {"linewidths": 0.0} | {key: value[some][order] if isinstance(value, np.ndarray) else value for key, value in look.items()}
    return axes.scatter(x[order], y[order], s=area[some][order], rasterized=True, **look)


def _name(axes: Axes, across: Coordinate, upright: Coordinate, shaded: str) -> None:
    axes.set_xlabel(across.label + (f"\nshaded: {shaded}" if shaded else ""))
    axes.set_ylabel(upright.label)
    if across.limits is not None:
        axes.set_xlim(across.limits)
        axes.set_xticks(np.linspace(-np.pi, np.pi, 5), [r"$-\pi$", r"$-\pi/2$", "0", r"$\pi/2$", r"$\pi$"])
    if upright.limits is not None:
        low, high = upright.limits
        axes.set_ylim(low - 0.02 * (high - low), high + 0.02 * (high - low))
