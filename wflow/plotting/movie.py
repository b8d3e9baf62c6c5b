"""A run as a movie: its particles, or its density on a grid, state after state on the same axes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow.plotting.charts import Chart, chart, coordinate_symbols
from wflow.plotting.grids import draw_map, label_line, planes
from wflow.plotting.particles import Clouds, cloud_panels, draw_moment
from wflow.plotting.style import COLOURS, figure, number, styled
from wflow.storage import disk

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from wflow.measures import GridMeasure
    from wflow.solution import Solution

__all__ = ["save_movie"]

_DPI = 120
_ROOM = 0.04  # beside what moves, of its range


class _Scene(Protocol):
    """What a movie shows; made of all its states, it draws each on the same axes."""

    @property
    def width(self) -> float:
        """Width of the figure in inches."""
        ...

    def draw(self, shown: Figure, state: Any, t: float) -> None:
        """One frame, on an empty figure."""
        ...


def save_movie(
    solution: Solution, path: str | os.PathLike[str], *, frames: int = 100, fps: int = 12,
    tell: Callable[[int, int], None] = lambda _done, _of: None,
) -> None:  # fmt: skip
    """An animated GIF of the states that were kept, evenly picked if they are more than `frames`; the first and the last are there.

    Clouds as ``plot(solution, "particles")`` shows them; on grids density curves, heat maps, or heat maps of marginals. Axes and colours
    are the same in all frames: the states are read twice. Time: 0.3 to 0.8 s a frame. Memory: two states and the frames, 1 MB each.

    Parameters
    ----------
    solution : Solution
    path : str or path
        Written as a whole when all frames are drawn; an interruption leaves what was there.
    frames : int
        At most so many, at least 2.
    fps : int
        Frames a second, 1 to 50.
    tell : callable
        Called after each frame with the number of frames drawn, and of all.

    Raises
    ------
    ValueError
        If fewer than two states were kept, they are neither particles nor measures on a grid, or an argument is out of range.
    OSError
        If the file, or its folder, cannot be written to.
    """
    frames, fps = _checks.integer("frames", frames, at_least=2), _checks.integer("fps", fps, at_least=1)
    if fps > 50:
        raise ValueError(f"fps must be at most 50, as viewers show no more of a GIF; got {fps}")
    path = Path(path)
    _checks.choice("suffix of the movie's file", path.suffix.lower(), (".gif",))
    disk.check_folder(path.parent)
    kept = len(solution.state_times)
    if kept < 2:
        raise ValueError(f"a movie needs two states or more, and this run kept {kept}: record.states = \"all\" in the experiment's file, "
                         'or record=every_step("all") in Python, keeps them')  # fmt: skip
    chosen = np.unique(np.linspace(0, kept - 1, min(frames, kept)).round().astype(int)).tolist()
    scene = _scene(solution, chosen)
    with tempfile.TemporaryDirectory(prefix="wflow-movie-") as folder:  # Pillow tells the format by the name
        made = Path(folder) / "movie.gif"
        _write(scene, solution, chosen, made, fps, tell)

        def copy(file: BinaryIO) -> None:
            file.write(made.read_bytes())

        with disk.said(path, "write the movie"):
            disk.replace(path, copy)


def _write(scene: _Scene, solution: Solution, chosen: list[int], path: Path, fps: int, tell: Callable[[int, int], None]) -> None:
    from matplotlib.animation import PillowWriter

    writer = PillowWriter(fps=fps)
    with styled():
        shown = figure(scene.width, 2.9)
        writer.setup(shown, path, dpi=_DPI)
        places: list[Any] = []
        for k, state in enumerate(chosen):
            shown.clear()
            scene.draw(shown, solution.state(state), float(solution.state_times[state]))
            if not places:
                shown.draw_without_rendering()
                places = [axes.get_position() for axes in shown.axes]
                shown.set_layout_engine("none")  # the layout of the first frame is that of all: nothing jumps
            for axes, place in zip(shown.axes, places, strict=True):
                axes.set_position(place)
            writer.grab_frame()
            tell(k + 1, len(chosen))
        writer.finish()


def _scene(solution: Solution, chosen: list[int]) -> _Scene:
    """What the states are, from the first one; then one look at all of them for the axes."""
    first = solution.state(chosen[0])
    if hasattr(first, "density"):
        return _Line.of(solution, chosen) if first.dimension == 1 else _Maps.of(solution, chosen)
    if hasattr(first, "weights"):
        return _Particles.of(solution, chosen)
    raise ValueError("a movie shows particles or measures on a grid; this flow's states are neither")


# --- densities ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Line:
    """The density on the line, above the first one in grey."""

    symbol: str
    first: GridMeasure
    limits: tuple[float, float]
    top: float
    width: float = 4.6

    @classmethod
    def of(cls, solution: Solution, chosen: list[int]) -> _Line:
        states = [(s.axes[0][[0, -1]], float(s.density.max())) for s in map(solution.state, chosen)]
        ends = np.concatenate([ends for ends, _ in states])  # the edges of a moving grid move
        symbols = coordinate_symbols(solution.static, 1)
        return cls(symbols[0], solution.state(chosen[0]), (ends.min(), ends.max()), max(top for _, top in states))

    def draw(self, shown: Figure, state: GridMeasure, t: float) -> None:
        axes = shown.subplots()
        axes.stairs(self.first.density, self.first.axes[0], baseline=None, color="0.72", linewidth=1.0)
        axes.stairs(state.density, state.axes[0], baseline=None, color=COLOURS[0], linewidth=1.5)
        label_line(axes, self.symbol)
        axes.set_xlim(self.limits)
        axes.set_ylim(0.0, (1.0 + _ROOM) * self.top)
        axes.set_title(f"density at $t = {number(t)}$", loc="left")


@dataclass(frozen=True)
class _Maps:
    """Heat maps of the density, or of its marginals: a panel a pair of axes."""

    symbols: list[str]
    planes: list[tuple[int, int]]
    tops: list[float]

    @property
    def width(self) -> float:
        return {1: 3.9, 2: 6.6}.get(len(self.planes), 9.0)

    @classmethod
    def of(cls, solution: Solution, chosen: list[int]) -> _Maps:
        pairs = planes(solution.state(chosen[0]).dimension)
        tops = np.max([[s.marginal(*pair).density.max() for pair in pairs] for s in map(solution.state, chosen)], axis=0)
        return cls(coordinate_symbols(solution.static, solution.state(chosen[0]).dimension), pairs, tops.tolist())

    def draw(self, shown: Figure, state: GridMeasure, t: float) -> None:
        row = np.ravel(shown.subplots(1, len(self.planes), squeeze=False))
        for axes, plane, top in zip(row, self.planes, self.tops, strict=True):
            mesh = draw_map(axes, state, plane, self.symbols, top)
            shown.colorbar(mesh, ax=axes, aspect=25, label=mesh.get_label())
        row[0].set_title(f"$t = {number(t)}$", loc="left")


# --- particles ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Particles:
    """The cloud as `draw_clouds` shows it, above the first one; the chart is that of the last state."""

    chart: Chart
    first: Any
    t_first: float
    windows: list[tuple[tuple[float, float], tuple[float, float]]]  # of the panels: of the abscissa, of the ordinate
    longest: float

    @property
    def width(self) -> float:
        return 4.2 if self.chart.second is None else 7.4

    @classmethod
    def of(cls, solution: Solution, chosen: list[int]) -> _Particles:
        last = solution.state(chosen[-1])
        view = chart(solution.static, last.points, last.weights)
        shown = [(view.across, view.upright), *([(view.across, view.second)] if view.second else [])]
        ends: list[Array] = []
        longest = 0.0
        for points in (state.points for state in map(solution.state, chosen)):
            values = [[coordinate.of(points) for coordinate in pair] for pair in shown]
            ends.append(np.array([[(v.min(), v.max()) for v in pair] for pair in values]))
            longest = longest if view.length is None else max(longest, float(view.length.of(points).max()))
        low, high = np.min(ends, axis=0)[..., 0], np.max(ends, axis=0)[..., 1]
        windows: Any = [tuple(_window(a, b) for a, b in zip(*pair, strict=True)) for pair in zip(low, high, strict=True)]
        return cls(view, solution.state(chosen[0]), float(solution.state_times[chosen[0]]), windows, longest)

    def draw(self, shown: Figure, state: Any, t: float) -> None:
        seen = Clouds(self.chart, state, self.first if t > self.t_first else None)
        row = np.ravel(shown.subplots(1, len(cloud_panels(seen)), squeeze=False)).tolist()
        draw_moment(row, seen, t, self.t_first, self.longest)
        for axes, (across, upright), second in zip(row, self.windows, (self.chart.upright, self.chart.second), strict=False):
            if self.chart.across.limits is None:
                axes.set_xlim(across)
            if second is not None and second.limits is None:
                axes.set_ylim(upright)


def _window(low: float, high: float) -> tuple[float, float]:
    room = _ROOM * (high - low) or 0.5
    return float(low - room), float(high + room)
