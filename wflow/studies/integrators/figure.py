"""The study's figures, work-precision diagrams: work upwards, precision to the right (Hairer & Wanner 1996, §IV.10), lower is better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wflow._checks import Array
from wflow.plotting.style import COLOURS, DASHES, MARKERS, columns, figure, number, styled, verbatim
from wflow.studies.integrators.analysis import is_ours

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from wflow.studies.integrators.results import CaseRuns, Integrators, Point

__all__ = ["draw"]

_ERRORS = {"energy": "error of $E$ over its gain", "state": "relative error of the final state", "w2": "$W_2$ to the reference",
           "drift": "largest drift of the invariant"}  # fmt: skip
_COSTS = {"work": "field evaluations", "seconds": "wall time, s"}
_PANELS = (("energy", "work"), ("energy", "seconds"), ("state", "work"), ("w2", "work"), ("drift", "work"))
_ROUNDING, _BELOW = float(np.finfo(np.float64).eps), 1e-3  # smaller errors, and those that far below what is resolved, are drawn there
_FEW = 50.0  # times the lowest
_MARGIN, _ROOM = 2.0, 1.2  # beyond the data, times
_STRIP = 0.06  # of an axis' width, for each method that failed


@dataclass(frozen=True)
class _Look:
    """How a method is drawn, the same in all figures of a study."""

    colour: str
    marker: str
    dash: Any
    width: float


def draw(study: Integrators) -> dict[str, Figure]:
    """A figure for each case, by its name."""
    methods = dict.fromkeys(point.method for case in study.cases.values() for point in case.points)
    looks = {method: _look(k, method) for k, method in enumerate(methods)}
    machine = str(study.about.get("provenance", {}).get("machine", ""))
    with styled():
        return {name: _draw(case, looks, machine) for name, case in study.cases.items()}


def _look(k: int, method: str) -> _Look:
    """Ours solid and bold, SciPy's dashed, peers dotted; markers move on by one when the colours start again."""
    dash = DASHES[0] if is_ours(method) else DASHES[2] if ":" in method else DASHES[1]
    return _Look(COLOURS[k % len(COLOURS)], MARKERS[(k + k // len(COLOURS)) % len(MARKERS)], dash, 1.8 if is_ours(method) else 0.9)


def _draw(case: CaseRuns, looks: Mapping[str, _Look], machine: str) -> Figure:
    """As many panels as there are errors; the legend in the place that is left, or below."""
    panels = [panel for panel in _PANELS if any(np.isfinite(getattr(point, panel[0])) for point in case.points)] or list(_PANELS[:3])
    wide = len(panels) > 4
    drawn = figure(10.0 if wide else 7.2, 6.4 if len(panels) != 4 else 8.0)
    drawn.set_layout_engine("constrained", h_pad=0.06, w_pad=0.06)
    drawn.suptitle(_title(case))
    places = drawn.subplots(2, 3 if wide else 2).flat
    for k, ((error, cost), axes) in enumerate(zip(panels, places, strict=False)):
        _panel(axes, case, looks, error, cost)
        axes.set_title(f"({chr(ord('a') + k)})", loc="left")
        _ticks(axes)
    _legend(drawn, places[-1] if len(panels) % 2 else None, _handles(case, looks), machine)
    return drawn


def _title(case: CaseRuns) -> str:
    rtols = sorted({point.rtol for point in case.points}, reverse=True)
    ladder = rf", rtol ${number(rtols[0])}$ to ${number(rtols[-1])}$" if len(rtols) > 1 else ""
    jumps = "" if case.smooth else " (jumping field)"
    return rf"{verbatim(case.name)} to $t = {number(case.horizon)}${jumps}: work against precision{ladder}"


def _runs(case: CaseRuns) -> dict[str, list[Point]]:
    """By method, loose tolerances first."""
    found: dict[str, list[Point]] = {}
    for point in sorted(case.points, key=lambda point: -point.rtol):
        found.setdefault(point.method, []).append(point)
    return found


def _panel(axes: Axes, case: CaseRuns, looks: Mapping[str, _Look], error: str, cost: str) -> None:
    """A line for each method over its tolerances, broken where a run failed."""
    limit, runs = case.resolved(error), _runs(case)
    least = max(_ROUNDING, _BELOW * limit)
    axes.set_autoscale_on(False)
    axes.set(xscale="log", yscale="log", xlabel=_ERRORS[error], ylabel=_COSTS[cost])
    for method, points in runs.items():
        look = looks[method]
        x = np.array([max(getattr(point, error), least) if point.ok else np.nan for point in points])
        y = np.array([float(getattr(point, cost)) if point.ok else np.nan for point in points])
        axes.plot(x, y, color=look.colour, linestyle=look.dash, linewidth=look.width)
        for told, face in ((x >= limit, look.colour), (x < limit, "white")):
            axes.plot(x[told], y[told], linestyle="", marker=look.marker, markersize=4.5, color=look.colour, markerfacecolor=face, zorder=3)
        if cost == "work":
            _apart(axes, x, y, points, look)
    failed = {method: [point for point in points if not point.ok] for method, points in runs.items()}
    failed = {method: points for method, points in failed.items() if points}
    errors = [max(getattr(point, error), least) for point in case.points if point.ok and np.isfinite(getattr(point, error))]
    costs = [float(getattr(point, name)) for point in case.points for name in {cost, cost.replace("work", "evaluations")}]
    _limits(axes, errors or [1.0], [one for one in costs if one > 0.0] or [1.0], limit, _STRIP * len(failed))
    _edge(axes, failed, looks, cost)


def _apart(axes: Axes, x: Array, y: Array, points: Sequence[Point], look: _Look) -> None:
    """A bar from all evaluations down to those of steps, where some were for spectral radii."""
    radii = np.array([float(point.spectral_radius) for point in points])
    some = np.isfinite(x) & (radii > 0.0)
    if some.any():
        below = [radii[some], np.zeros(some.sum())]
        axes.errorbar(x[some], y[some], yerr=below, linestyle="", color=look.colour, elinewidth=0.7, capsize=2.0, capthick=0.7)


def _limits(axes: Axes, errors: Sequence[float], costs: Sequence[float], limit: float, strip: float) -> None:
    """Precision to the right, what is not resolved shaded; at the left a share of the width for runs that failed."""
    worst, best = _MARGIN * max(errors), min(errors) / _MARGIN
    if limit > best:
        best = min(best, limit / _MARGIN)
        axes.axvspan(best, min(limit, worst), color="0.9", linewidth=0, zorder=0)
    axes.set_xlim(worst * (worst / best) ** (strip / (1.0 - strip)), best)
    axes.set_ylim(min(costs) / _ROOM, _ROOM * max(costs))
    if strip:
        axes.axvline(worst, color="0.6", linewidth=0.6, linestyle=DASHES[2])


def _edge(axes: Axes, failed: Mapping[str, Sequence[Point]], looks: Mapping[str, _Look], cost: str) -> None:
    """Crosses for runs without an error, in the strip at the left: at what they had cost, at the top edge where that is unknown."""
    from matplotlib.transforms import blended_transform_factory

    beside = blended_transform_factory(axes.transAxes, axes.transData)
    for k, (method, points) in enumerate(failed.items()):
        for point in points:
            value = float(getattr(point, cost))
            place, transform = (value, beside) if value > 0.0 else (0.98, axes.transAxes)
            axes.plot((k + 0.5) * _STRIP, place, transform=transform, marker="x", markersize=5, markeredgewidth=1.2, linestyle="",
                      color=looks[method].colour, clip_on=False, zorder=3)  # fmt: skip


def _ticks(axes: Axes) -> None:
    """Work in plain numbers: at decades, and at 2 and 5 between them where few decades are shown."""
    from matplotlib.ticker import LogLocator, NullFormatter

    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < _FEW * low else (1.0,)))
    axes.yaxis.set_major_formatter(lambda value, _: f"${number(value)}$")
    axes.yaxis.set_minor_formatter(NullFormatter())


def _handles(case: CaseRuns, looks: Mapping[str, _Look]) -> list[Any]:
    """Methods, what failed and how, and what the signs mean."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = []
    for method, points in _runs(case).items():
        look = looks[method]
        handles.append(Line2D([], [], color=look.colour, linestyle=look.dash, linewidth=look.width, marker=look.marker, markersize=4.5,
                              label=verbatim(method)))  # fmt: skip
        for status in dict.fromkeys(point.status for point in points if not point.ok):
            rtols = ", ".join(f"${number(point.rtol)}$" for point in points if point.status == status)
            label = f"{verbatim(method)}: {verbatim(status)} at rtol {rtols}"
            handles.append(Line2D([], [], linestyle="", marker="x", markersize=5, markeredgewidth=1.2, color=look.colour, label=label))
    if any(case.own.values()):
        handles.append(Patch(color="0.9", label="not resolved by the reference"))
    if any(point.spectral_radius > 0 for point in case.points if point.ok):
        handles.append(Line2D([], [], linestyle="", marker="_", color="black", label="evaluations without those for spectral radii"))
    return handles


def _legend(drawn: Figure, free: Axes | None, handles: Sequence[Any], machine: str) -> None:
    """With the machine on top, that times mean something."""
    look = {"handles": handles, "title": verbatim(machine), "title_fontsize": 6.0, "fontsize": 7.0}
    if free is not None:
        free.set_axis_off()
        free.legend(loc="center", **look)
        return
    wide = columns([handle.get_label() for handle in handles], drawn.get_figwidth())
    drawn.legend(loc="outside lower center", ncols=wide, **look)
