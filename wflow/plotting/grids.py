"""Densities on grids: curves over time on the line, a heat map in the plane, heat maps of marginals on more axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from wflow.plotting.charts import coordinate_symbols
from wflow.plotting.style import MAP, number, shades

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from wflow.measures import GridMeasure
    from wflow.solution import Solution

__all__ = ["Densities", "densities", "density_panels", "draw_densities", "draw_map", "label_line", "planes"]

_CURVES = 5  # at most, of the states kept


class Densities(NamedTuple):
    """Measures on the cells of a grid, and their times: of one axis a few up to the last, of more the last alone."""

    times: list[float]
    measures: list[GridMeasure]


def densities(solution: Solution) -> Densities | str:
    """What can be shown of a run's measures on a grid, or why there are none, in a few words. Memory: five states on one axis, else one."""
    if np.isnan(solution.final_time):
        return "no state was stored yet"
    final = solution.final
    if not hasattr(final, "density"):
        return "this flow's states are not measures on a grid"
    earlier = int((solution.state_times < solution.final_time).sum()) if final.dimension == 1 else 0
    some = np.unique(np.linspace(0, earlier, _CURVES).round().astype(int)).tolist()[:-1]
    return Densities([*map(float, solution.state_times[some]), solution.final_time], [*map(solution.state, some), final])


def planes(dimension: int) -> list[tuple[int, int]]:
    """The pairs of axes whose marginals are drawn: all of three, of four each axis once; none on the line."""
    return {1: [], 2: [(0, 1)], 3: [(0, 1), (0, 2), (1, 2)]}.get(dimension, [(0, 1), (2, 3)])


def density_panels(seen: Densities) -> list[str]:
    """Names of the panels that densities take."""
    return ["density", *(f"density {k}" for k in range(2, len(planes(seen.measures[-1].dimension)) + 1))]


def draw_densities(row: Sequence[Axes], solution: Solution, seen: Densities) -> None:
    """On the line one curve a time, dark to light; else heat maps of the last density or of its marginals, one panel a pair of axes."""
    last = seen.measures[-1]
    symbols = coordinate_symbols(solution.static, last.dimension)
    if last.dimension == 1:
        colours = shades(max(len(seen.times), 2)).colors
        for t, measure, colour in zip(seen.times, seen.measures, np.asarray(colours), strict=False):
            row[0].stairs(measure.density, measure.axes[0], baseline=None, color=colour, linewidth=1.3, label=f"$t = {number(t)}$")
        label_line(row[0], symbols[0])
        row[0].legend()
        return
    side = "right" if len(row) == 1 else "bottom"
    for axes, plane in zip(row, planes(last.dimension), strict=True):
        mesh = draw_map(axes, last, plane, symbols)
        axes.figure.colorbar(mesh, ax=axes, location=side, aspect=25, pad=0.02, label=mesh.get_label())
    row[0].set_title(f"density at $t = {number(seen.times[-1])}$", loc="left")


def label_line(axes: Axes, symbol: str) -> None:
    """What a density on the line is drawn against; its axis begins at 0."""
    axes.set_xlabel(f"${symbol}$")
    axes.set_ylabel("density")
    axes.margins(x=0.0)
    axes.set_ylim(bottom=0.0)


def draw_map(axes: Axes, measure: GridMeasure, plane: tuple[int, int], symbols: Sequence[str], top: float | None = None) -> Any:
    """Heat map of the density of two coordinates, from 0 to `top` or to its largest value; its cells as they are. The mesh."""
    first, second = plane
    marginal = measure.marginal(first, second)
    mesh = axes.pcolormesh(*marginal.axes, marginal.density.T, cmap=MAP, vmin=0.0, vmax=top, rasterized=True)
    mesh.set_label("density" if measure.dimension == 2 else f"marginal density of $({symbols[first]}, {symbols[second]})$")
    axes.set_xlabel(f"${symbols[first]}$")
    axes.set_ylabel(f"${symbols[second]}$")
    return mesh
