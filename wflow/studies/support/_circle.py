"""Panels where Θ is the circle: angles of the cloud, the closed curve and its lifted map, g_ν against the angle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from wflow._checks import Array
from wflow.plotting.style import COLOURS, DASHES, shades
from wflow.studies.support._axes import SIGNS, at, clock, degree_of, legend_below, moments, shifted, sign_legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from wflow.studies.support.results import ProblemSupport

__all__ = ["panels"]

_TORN = 2.0  # edges whose image is longer than this many of the start's longest: had they not reached the floor, they would have been cut


def panels(drawn: Figure, upper: Any, lower: Any, problem: ProblemSupport) -> list[Axes]:
    """Support over time beside the curve; below them its lifted map, and g_ν at the start and at the end."""
    left, right = upper.subgridspec(1, 2, width_ratios=(2, 1))
    angles, covering = (drawn.add_subplot(part) for part in left.subgridspec(2, 1, height_ratios=(3, 1)))
    curve = drawn.add_subplot(right)
    lift, first, last = (drawn.add_subplot(part) for part in lower.subgridspec(1, 3))
    flow = problem.parts["flow"]
    _angles(angles, flow)
    _covering(covering, flow)
    _curve(curve, problem)
    _lift(lift, problem.parts["surface"])
    _g(first, flow, 0)
    _g(last, flow, len(flow["times"]) - 1)
    return [angles, curve, lift, first, last]


def _angle(x: Array) -> Array:
    """Of ω̄ (..., 2), in [−π, π]."""
    angle: Array = np.arctan2(x[..., 1], x[..., 0])
    return angle


def _quarters(axis: Any) -> None:
    axis.set_ticks(np.linspace(-np.pi, np.pi, 5), [r"$-\pi$", r"$-\pi/2$", "0", r"$\pi/2$", r"$\pi$"])


def _angles(axes: Axes, flow: Any) -> None:
    """Each particle's angle from frame to frame, by the sign of its ω0 at the later one; a step across ±π is left out."""
    from matplotlib.collections import LineCollection

    angle = _angle(flow["clouds"][..., 1:])
    path = np.stack([np.broadcast_to(shifted(flow["times"])[:, None], angle.shape), angle], axis=-1)  # (T, K, 2)
    steps = np.stack([path[:-1], path[1:]], axis=2)
    whole = np.abs(np.diff(angle, axis=0)) < np.pi
    sign = np.sign(flow["clouds"][1:, :, 0])
    for value, colour, label in SIGNS:
        chosen = LineCollection(list(steps[whole & (sign == value)]), colors=colour, linewidths=0.25, alpha=0.6, label=label)
        chosen.set_rasterized(True)
        axes.add_collection(chosen, autolim=False)
    clock(axes, flow["times"], origin=True)
    axes.tick_params(labelbottom=False)
    axes.set(ylim=(-np.pi, np.pi), xlabel="", ylabel=r"angle of $\bar\omega$",
             title=f"projected support, {angle.shape[1]:,} of the particles")  # fmt: skip
    _quarters(axes.yaxis)
    axes.legend(handles=sign_legend(), loc="lower right", bbox_to_anchor=(1.0, 1.01), ncols=3, handlelength=0.6, borderaxespad=0.0)


def _covering(axes: Axes, flow: Any) -> None:
    times = shifted(flow["times"])
    for name, dash, label in (("covering", "-", "all $N$"), ("covering_quarter", DASHES[2], "$N/4$")):
        axes.plot(times, flow[name], color=COLOURS[0], linestyle=dash, label=label)
    clock(axes, flow["times"], origin=True)
    axes.set(ylim=(0.0, None), ylabel="covering\nradius")
    legend_below(axes)


def _edges(axes: Axes, ends: Array, torn: npt.NDArray[np.bool_], **look: Any) -> None:
    """Edges (E, 2, 2), torn ones dotted."""
    from matplotlib.collections import LineCollection

    for which, dash in ((~torn, "-"), (torn, DASHES[2])):
        axes.add_collection(LineCollection(list(ends[which]), linestyles=[dash], **look))


def _torn(part: Any, k: int) -> npt.NDArray[np.bool_]:
    """Which edges' images are longer than allowed: they had reached the floor, or else the mesh would have been cut there."""
    length = np.linalg.norm(np.diff(part["images"][[0, k], :, 1:][:, part["simplices"].astype(np.intp)], axis=2)[:, :, 0], axis=2)  # (2, E)
    torn: npt.NDArray[np.bool_] = length[1] > _TORN * length[0].max()
    return torn


def _curve(axes: Axes, problem: ProblemSupport) -> None:
    """ω̄ of X_t(0, θ), about ω̄ = 0."""
    part = problem.parts["surface"]
    for k, look in _shown(part["times"]).items():
        _edges(axes, part["images"][k, :, 1:][part["simplices"].astype(np.intp)], _torn(part, k), **look)
        axes.plot([], [], label=at(part["times"][k]), **look)
    axes.plot([], [], color="0.4", linestyle=DASHES[2], label="torn")
    axes.plot(0.0, 0.0, "+", color="black", markersize=6)
    axes.annotate(r"$\bar\omega = 0$", (0.0, 0.0), xytext=(4, 4), textcoords="offset points", fontsize=7.5)
    axes.autoscale_view()
    axes.set(aspect="equal", xlabel=r"$\bar\omega_1$", ylabel=r"$\bar\omega_2$", title=f"image of $\\Sigma_t$:\n{degree_of(problem)}")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=1.2, borderaxespad=0.2)


def _shown(times: Array) -> dict[int, dict[str, Any]]:
    """The start and the last decades down to T/100; wide to narrow, dark to light, since they lie on one another where nothing moves."""
    chosen = moments(times, 0.0, times[-1] / 100.0, times[-1] / 10.0, times[-1])
    widths, colours = np.linspace(2.6, 0.9, len(chosen)), shades()(np.linspace(0.0, 1.0, len(chosen)))
    return {k: {"color": colour, "linewidth": width} for k, colour, width in zip(chosen, colours, widths, strict=True)}


def _lift(axes: Axes, part: Any) -> None:
    """Angle of the image against the angle at the start, edge by edge: followed round the circle it rises by 2π times the degree."""
    edges = part["simplices"].astype(np.intp)
    start = _angle(part["points"])
    order = np.argsort(start)
    across = np.unwrap(start[edges], axis=1)
    for k, look in _shown(part["times"]).items():
        lifted = np.empty(len(order))
        lifted[order] = np.unwrap(_angle(part["images"][k, order, 1:]))
        up = np.stack([lifted[edges[:, 0]], lifted[edges[:, 1]]], axis=1)
        up[:, 1] += 2.0 * np.pi * np.round((up[:, 0] - up[:, 1]) / (2.0 * np.pi))  # of the edge that closes the circle
        _edges(axes, np.stack([across, up], axis=2), _torn(part, k), **look)
    axes.margins(x=0.0)
    axes.autoscale_view()
    axes.set(xlabel=r"angle of $\bar\omega$ at the start", ylabel=r"angle of $\bar\omega$ at $t$",
             title=r"lifted map of $\Sigma_t$, colours as in (b)")  # fmt: skip
    for axis in (axes.xaxis, axes.yaxis):
        _quarters(axis)


def _g(axes: Axes, flow: Any, k: int) -> None:
    """g_ν with the cloud at its angles."""
    angle = _angle(flow["theta"])
    order = np.argsort(angle)
    axes.axhline(0.0, color="0.6", linewidth=0.6)
    axes.plot(angle[order], flow["g"][k, order], color="black", linewidth=1.1)
    cloud = flow["clouds"][k]
    for value, colour, label in SIGNS:
        some = _angle(cloud[np.sign(cloud[:, 0]) == value, 1:])
        axes.scatter(some, np.zeros(len(some)), s=4.0, color=colour, linewidths=0.0, alpha=0.6, rasterized=True, label=label, zorder=3)
    axes.set(xlim=(-np.pi, np.pi), xlabel=r"angle of $\bar\omega$", ylabel=r"$g_\nu$",
             title=rf"$g_\nu$ and the cloud, {at(flow['times'][k])}")  # fmt: skip
    axes.ticklabel_format(axis="y", scilimits=(-2, 3), useMathText=True)
    _quarters(axes.xaxis)
