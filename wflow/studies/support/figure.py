"""The study's figures, one for each problem: support, the surface and its image, g_ν over Θ, gaps, the escape, tears or volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wflow._checks import Array
from wflow.plotting.style import COLOURS, DASHES, MARKERS, figure, number, shades, styled, verbatim
from wflow.studies.support import _circle, _maps
from wflow.studies.support._axes import at, clock, legend_below, moments
from wflow.studies.support.controls import CONTROLS
from wflow.studies.support.escape import WRONG

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from wflow.studies.support.results import ProblemSupport, Support

__all__ = ["draw"]

_VOLUME = 1e-6  # nats: the table's bar
_FASTER = 10.0  # growth over its bound from which on both are not seen on one linear axis
_ROUNDING = 1e-12  # of a gap: a bound below says nothing


def draw(study: Support) -> dict[str, Figure]:
    """A figure for each problem, by its name."""
    with styled():
        return {name: _draw(problem) for name, problem in study.problems.items()}


def _draw(problem: ProblemSupport) -> Figure:
    """Θ above, in as many panels as it needs; gaps, escape and tears below."""
    circular = problem.parts["surface"]["simplices"].shape[1] == 2
    ratios = (1.15, 1.0, 1.1) if circular else (0.85, 1.1, 1.0) if problem.region else (1.0, 0.85, 1.0)
    drawn = figure(10.0, 2.55 * sum(ratios))
    drawn.set_layout_engine("constrained", h_pad=0.06)
    grid = drawn.add_gridspec(3, 1, height_ratios=ratios)
    dagger = r"$^\dagger$" if problem.outside else ""
    drawn.suptitle(f"{verbatim(problem.name)}{dagger}: fixed points and support")
    if problem.outside:
        drawn.supxlabel(rf"$\dagger$ {verbatim(problem.outside)}", fontsize=7)
    view = _circle if circular else _maps
    axes = view.panels(drawn, grid[0], grid[1], problem)
    row = grid[2].subgridspec(1, 3)
    axes += [_gaps(drawn, row[0], problem.parts), _escape(drawn, row[1], problem.parts["escape"]), _end(drawn, row[2], problem)]
    for k, ax in enumerate(axes):
        ax.set_title(f"({chr(ord('a') + k)}) {ax.get_title()}", loc="left")
        ax.set_title("", loc="center")
    return drawn


def _gaps(drawn: Figure, place: Any, parts: Mapping[str, Mapping[str, Array]]) -> Axes:
    """Gaps of all starts; the separating one's between the bounds of its certificate, those of controls above what is proved."""
    axes: Axes = drawn.add_subplot(place)
    flow, escape = parts["flow"], parts["escape"]
    later = flow["times"] > 0.0
    times = flow["times"][later]
    low, high = flow["positive/gap_lower"][later], flow["positive/gap_upper"][later]
    axes.fill_between(times, low, high, color=COLOURS[0], alpha=0.25, linewidth=0)
    axes.plot(times, flow["positive/gap"][later], color=COLOURS[0], linewidth=1.8, zorder=3, label="separating start")
    for k, control in enumerate(CONTROLS):
        if f"{control.name}/gap" not in flow:
            continue
        colour, gap, bound = COLOURS[1 + k], flow[f"{control.name}/gap"][later], float(flow[f"{control.name}/bound"])
        proved = bound > _ROUNDING * gap.max()
        told = rf"{control.name} $\geq {number(bound)}$" if proved else control.name
        axes.plot(times, gap, color=_pale(colour), linewidth=4.0 - k, label=told)  # wide to narrow: the curves may coincide
        if proved:
            axes.axhline(bound, color=colour, linestyle=DASHES[1], linewidth=0.8, zorder=2.5)
    after = escape["long_times"] > 0.0
    axes.plot(escape["long_times"][after], escape["long_gap"][after], color="black", linestyle=DASHES[2], zorder=3, label="escape")
    axes.set(yscale="log", ylabel=r"$E^\ast - E(\nu_t)$", title="gaps; dashed: proved lower bounds")
    clock(axes, flow["times"])
    legend_below(axes)
    return axes


def _pale(colour: str) -> Any:
    from matplotlib.colors import to_rgb

    return tuple(0.5 + 0.5 * np.array(to_rgb(colour)))


def _escape(drawn: Figure, place: Any, part: Mapping[str, Array]) -> Axes:
    """s ω0 of what stays in G, above the line that it must not fall below, and how much mass G+ has; near the fixed point only."""
    from matplotlib.collections import LineCollection

    upper, lower = (drawn.add_subplot(cell) for cell in place.subgridspec(2, 1, height_ratios=(3, 1)))
    near = part["window"] > 0.0
    times, omega = part["times"][near], part["omega"][near]
    rate, limit = float(part["eta"]) / 2.0, 2.0 * WRONG / float(part["eta"])
    paths = [np.column_stack([times, path]) for path in omega.T]
    upper.add_collection(LineCollection(paths, colors=COLOURS[0], linewidths=0.3, alpha=0.5, rasterized=True))
    upper.plot(times, rate * times - WRONG, color="black", linestyle=DASHES[1], label=rf"$\eta t/2 - {WRONG:g}$")
    upper.axhline(0.0, color="0.6", linewidth=0.6)
    upper.plot([], [], color=COLOURS[0], linewidth=0.8, label=rf"$s\omega_0$ in $G$ ({omega.shape[1]})")
    upper.autoscale_view()
    lower.plot(times, part["mass_plus"][near], color=COLOURS[2])
    end = 1.02 * max(times.max(initial=0.0), limit)
    for axes in (upper, lower):
        axes.axvline(limit, color=COLOURS[1], linestyle=DASHES[2], linewidth=1.0, label=r"entry by $2M/\eta$")
        axes.set_xlim(0.0, end)
    upper.tick_params(labelbottom=False)
    upper.set(ylabel=r"$s\,\omega_0$", title=r"escape: growth in $G$")
    lower.set(xlabel="mean-field time $t$", ylabel="mass\nof $G_+$", ylim=(0.0, None))
    upper.set_ylim(bottom=1.2 * min(omega.min(initial=0.0), -WRONG))
    _growth(upper, omega.max(initial=0.0), rate * end)
    legend_below(lower, handles=upper.get_legend_handles_labels()[0], ncols=3)
    return upper


def _growth(axes: Axes, largest: float, bound: float) -> None:
    """A linear axis of s ω0, or where the bound would not be told from 0 on it one that is linear up to M and logarithmic beyond."""
    if largest > _FASTER * bound:
        ticks = [-WRONG, 0.0, *10.0 ** np.arange(1.0 + np.floor(np.log10(largest)))]
        axes.set_yscale("asinh", linear_width=WRONG)
        axes.set_yticks(ticks, [f"${number(float(tick))}$" for tick in ticks])
        axes.set_yticks([], minor=True)


def _end(drawn: Figure, place: Any, problem: ProblemSupport) -> Axes:
    """Tears in action nodes where they were measured, Liouville's formula of smooth neurons, else the certificate over time."""
    surface = problem.parts["surface"]
    axes: Axes = drawn.add_subplot(place)
    if problem.tears:
        _tears(axes, surface["times"], problem.tears)
    elif "log_volume" in surface:
        _volumes(axes, surface)
    else:
        _certificate(axes, surface)
    return axes


def _tears(axes: Axes, times: Array, tears: Mapping[int, Array]) -> None:
    """Widths against action nodes at some times, and slope −1 beneath those of T/10."""
    from matplotlib.ticker import FixedLocator, NullLocator

    n = np.array(list(tears), dtype=np.float64)
    widths = np.stack(list(tears.values()), axis=1)  # (T, n)
    widths = np.where(widths > 0.0, widths, np.nan)
    chosen = moments(times, times[-1] / 100.0, times[-1] / 10.0, times[-1])
    for colour, marker, k in zip(shades()(np.linspace(0.0, 1.0, len(chosen))), MARKERS, chosen, strict=False):
        axes.plot(n, widths[k], marker=marker, markersize=3.5, linewidth=0.9, color=colour, label=at(times[k]))
    torn = np.isfinite(widths[chosen]).any(axis=1)
    if torn.any():
        guide = widths[chosen][torn][torn.sum() // 2]
        scale = 0.5 * np.nanmin(guide * n)
        axes.plot(n, scale / n, color="0.4", linestyle=DASHES[1], linewidth=0.8, label="slope $-1$")
    else:
        axes.text(0.5, 0.5, "nothing tears", transform=axes.transAxes, ha="center")
    for size in n[~np.isfinite(widths[chosen]).any(axis=0) & torn.any()]:
        axes.text(size, 0.02, "none", transform=axes.get_xaxis_transform(), ha="center", fontsize=7.5)
    axes.set(xscale="log", yscale="log", xlabel="action nodes $n$", ylabel=r"widest tear in $\bar\omega$")
    axes.set_title("tears under node refinement")
    axes.xaxis.set_major_locator(FixedLocator(list(n)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0f}")
    legend_below(axes, ncols=4)


def _volumes(axes: Axes, part: Mapping[str, Array]) -> None:
    """Largest and median defect of log det ∂X_t/∂ω = ∫ div F over the tracers; none where an orientation was lost."""
    later = part["times"] > 0.0
    times = part["times"][later]
    defect = np.abs(part["log_determinant"] - part["log_volume"])[later]
    axes.plot(times, defect.max(axis=1), color=COLOURS[0], label="largest")
    axes.plot(times, np.median(defect, axis=1), color=COLOURS[0], linestyle=DASHES[1], label="median")
    axes.axhline(_VOLUME, color="black", linestyle=DASHES[2], linewidth=0.9, label=f"bar ${number(_VOLUME)}$")
    axes.set(yscale="log", ylabel="nats", title=r"$|\log\det \partial_\omega X_t - \int \mathrm{div}\, F|$ over tracers")
    clock(axes, part["times"])
    legend_below(axes, ncols=3)


def _certificate(axes: Axes, part: Mapping[str, Array]) -> None:
    """What interpolation may take of the distance from ω̄ = 0, what it leaves, and how far the mesh is stretched and folded."""
    later = part["times"] > 0.0
    curves = {"slack": part["slack"], "interpolation error": part["error"], "tear": part["tear"], "stretch": part["stretch"],
              "folded share": part["folds"] / len(part["simplices"])}  # fmt: skip
    for colour, dash, (label, values) in zip(COLOURS, DASHES, curves.items(), strict=False):
        if (values[later] > 0.0).any():
            shown = np.where(values > 0.0, values, np.nan)[later]
            axes.plot(part["times"][later], shown, color=colour, linestyle=dash, label=label)
    axes.set(yscale="log", ylabel="length, ratio or share", title=r"certificate of $\Sigma_t$")
    clock(axes, part["times"])
    legend_below(axes, ncols=3)
