"""Panels where Θ is a surface: a box as it is, the sphere S² as two discs; clouds, the image of Σ_t, g_ν."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from wflow._checks import Array
from wflow.plotting.style import DASHES, DIVERGING, number
from wflow.studies.support._axes import SIGNS, at, degree_of, legend_below, moments, sign_legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from wflow.studies.support.results import ProblemSupport

__all__ = ["panels"]

_PAST = 0.35  # height beyond a disc's edge from which is drawn, cut by the edge, so that what crosses it is seen on both discs
_CENTRE = 1.06  # of the discs, left and right
_LEVELS = 24


class _Patch(NamedTuple):
    """A part of Θ on paper: a box (side 0), or a hemisphere of S² as a disc, seen from its pole (side ±1)."""

    side: float

    def place(self, x: Array) -> Array:
        """Where ω̄ (..., m − 1) is drawn: itself, or Lambert's azimuthal equal-area projection of ω̄/|ω̄| to a disc of radius 1."""
        if self.side == 0.0:
            return x
        x = x / np.linalg.norm(x, axis=-1, keepdims=True)
        flat: Array = x[..., :2] / np.sqrt(np.maximum(1.0 + self.side * x[..., 2:], 1e-9))  # the other pole is never drawn
        flat[..., 0] -= self.side * _CENTRE
        return flat

    def shows(self, x: Array, past: float = 0.0) -> npt.NDArray[np.bool_]:
        """Whether ω̄ (..., m − 1) lies in it, or below it by `past` at most."""
        if self.side == 0.0:
            return np.ones(x.shape[:-1], dtype=bool)
        height = self.side * x[..., 2] / np.linalg.norm(x, axis=-1)
        shown: npt.NDArray[np.bool_] = height >= -past
        return shown

    def cut(self, axes: Axes, artist: Any) -> None:
        """Leave of an artist what lies in the disc."""
        from matplotlib.patches import Circle

        if self.side:
            artist.set_clip_path(Circle((-self.side * _CENTRE, 0.0), 1.0, transform=axes.transData))


def panels(drawn: Figure, upper: Any, lower: Any, problem: ProblemSupport) -> list[Axes]:
    """The cloud at some times; below it the image of Σ_t at the last, and g_ν at the start and at the end."""
    flow, horizon = problem.parts["flow"], problem.parts["surface"]["times"][-1]
    patches = (_Patch(0.0),) if problem.region else (_Patch(1.0), _Patch(-1.0))
    chosen = moments(flow["times"], 0.0, *([horizon / 100.0] if problem.region else []), horizon, flow["times"][-1])
    clouds = [drawn.add_subplot(part) for part in upper.subgridspec(1, len(chosen))]
    image, first, last = below = [drawn.add_subplot(part) for part in lower.subgridspec(1, 3)]
    inner = np.concatenate([*flow["clouds"][chosen][..., 1:], flow["theta"]])
    for axes in clouds:
        _frame(axes, problem, patches, inner)
    _frame(image, problem, patches, np.concatenate([problem.parts["surface"]["images"][-1, :, 1:], flow["theta"]]))
    for axes in (first, last):
        _frame(axes, problem, patches, flow["theta"])
    for axes, k in zip(clouds, chosen, strict=True):
        _dots(axes, patches, flow["clouds"][k], 2.5)
        axes.set_ylabel(axes.get_ylabel() if k == chosen[0] else "")
        axes.set_title(f"support, {at(flow['times'][k])}:\ncovering radius {number(float(flow['covering'][k]), 2)}")
    _legend(clouds, flow, problem.region)
    _image(image, problem, patches)
    _g(first, flow, 0, patches)
    _g(last, flow, len(flow["times"]) - 1, patches)
    return [*clouds, *below]


def _frame(axes: Axes, problem: ProblemSupport, patches: tuple[_Patch, ...], inner: Array) -> None:
    """Equal scales; the box with room for all of ω̄ (K, 2), or the edges of the discs."""
    from matplotlib.patches import Circle, Rectangle
    from matplotlib.ticker import MaxNLocator

    if problem.region:
        theta = problem.parts["flow"]["theta"]
        low, high = theta.min(axis=0), theta.max(axis=0)
        axes.add_patch(Rectangle(tuple(low), *(high - low), fill=False, edgecolor="0.4", linewidth=0.6))
        least, most = inner.min(axis=0), inner.max(axis=0)
        room = 0.03 * (most - least)
        axes.set(xlim=(least[0] - room[0], most[0] + room[0]), ylim=(least[1] - room[1], most[1] + room[1]))
        axes.set(aspect="equal", xlabel=r"$\bar\omega_1$", ylabel=r"$\bar\omega_2$")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(5, steps=(1, 2, 5, 10)))  # the same ticks whatever the layout makes of the size
        return
    for patch in patches:
        centre = (-patch.side * _CENTRE, 0.0)
        axes.add_patch(Circle(centre, 1.0, fill=False, edgecolor="0.4", linewidth=0.6, zorder=4))
        axes.text(centre[0], -1.06, rf"$\bar\omega_3 {'>' if patch.side > 0.0 else '<'} 0$", ha="center", va="top", fontsize=7.5)
    axes.text(0.0, -1.06, r"$\rightarrow \bar\omega_1$  $\uparrow \bar\omega_2$", ha="center", va="top", fontsize=6.5, color="0.3")
    axes.set(aspect="equal", xlim=(-2.1, 2.1), ylim=(-1.3, 1.04))
    axes.set_axis_off()


def _bar(axes: Axes, coloured: Any, largest: float, label: str) -> None:
    """Colour bar at the axes' side, as high as they are."""
    bar = axes.figure.colorbar(coloured, cax=axes.inset_axes((1.03, 0.08, 0.035, 0.84)), ticks=[-largest, 0.0, largest])
    bar.ax.set_yticklabels([f"${number(value, 2)}$" for value in (-largest, 0.0, largest)])
    bar.ax.set_title(label)


def _dots(axes: Axes, patches: tuple[_Patch, ...], cloud: Array, size: float) -> None:
    """ω̄ of the particles, coloured by the sign of ω0."""
    for value, colour, _ in SIGNS:
        inner = cloud[np.sign(cloud[:, 0]) == value, 1:]
        for patch in patches:
            x = patch.place(inner[patch.shows(inner)])
            axes.scatter(x[:, 0], x[:, 1], s=size, color=colour, linewidths=0.0, rasterized=True, zorder=3)


def _legend(clouds: list[Axes], flow: Any, region: bool) -> None:
    """Colours of the dots; of a box also where the covering radius is measured, its middle half."""
    from matplotlib.patches import Rectangle

    look: dict[str, Any] = {"handlelength": 1.2, "fontsize": 7.5}
    legend_below(clouds[0], 30.0 if region else 2.0, handles=sign_legend(), ncols=3, **look)
    if region:
        low, high = flow["theta"].min(axis=0), flow["theta"].max(axis=0)
        corner, size = tuple(0.75 * low + 0.25 * high), 0.5 * (high - low)
        for axes in clouds:
            axes.add_patch(Rectangle(corner, *size, fill=False, linestyle=DASHES[2], zorder=4, label="to be covered"))
        legend_below(clouds[1], **look)


def _image(axes: Axes, problem: ProblemSupport, patches: tuple[_Patch, ...]) -> None:
    """Image of the mesh at the last time, each triangle coloured by its mean ω0; of a box also the ball in which the degree is 1."""
    from matplotlib.collections import PolyCollection
    from matplotlib.patches import Circle

    part = problem.parts["surface"]
    corners = part["images"][-1][part["simplices"].astype(np.intp)]  # (S, 3, m)
    height = corners[..., 0].mean(axis=1)
    largest = float(np.abs(height).max()) or 1.0
    for patch in patches:
        seen = patch.shows(corners[..., 1:], _PAST).all(axis=1)
        mesh = PolyCollection(list(patch.place(corners[seen, :, 1:])), array=height[seen], cmap=DIVERGING, edgecolors=(0.0, 0.0, 0.0, 0.3),
                              linewidths=0.2, rasterized=True, clim=(-largest, largest))  # fmt: skip
        axes.add_collection(mesh, autolim=False)
        patch.cut(axes, mesh)
    _bar(axes, mesh, largest, r"$\omega_0$")
    if problem.region:
        theta = problem.parts["flow"]["theta"]
        centre = (theta.min(axis=0) + theta.max(axis=0)) / 2.0
        axes.plot(*centre, "+", color="black", markersize=6)
        if 0.0 < (slack := float(part["slack"][-1])) < np.inf:
            axes.add_patch(Circle(tuple(centre), slack, fill=False, linestyle=DASHES[1], label="the degree holds inside"))
            legend_below(axes)
    axes.set_title(f"image of $\\Sigma_t$, {at(part['times'][-1])}:\n{degree_of(problem)}")


def _g(axes: Axes, flow: Any, k: int, patches: tuple[_Patch, ...]) -> None:
    """g_ν in filled contours, with what of the cloud is in Θ on it."""
    g, theta = flow["g"][k], flow["theta"]
    largest = float(np.abs(g).max()) or 1.0
    levels = np.linspace(-largest, largest, _LEVELS + 1)
    for patch in patches:
        seen = patch.shows(theta, _PAST)
        x, y = patch.place(theta[seen]).T
        filled = axes.tricontourf(x, y, g[seen], levels=levels, cmap=DIVERGING)  # type: ignore[call-overload, unused-ignore]
        filled.set_rasterized(True)
        patch.cut(axes, filled)
    _bar(axes, filled, largest, r"$g_\nu$")
    cloud = flow["clouds"][k]
    if len(patches) == 1:
        cloud = cloud[((cloud[:, 1:] >= theta.min(axis=0)) & (cloud[:, 1:] <= theta.max(axis=0))).all(axis=1)]
    _dots(axes, patches, cloud, 0.8)
    axes.set_title(rf"$g_\nu$ and the cloud, {at(flow['times'][k])}")
