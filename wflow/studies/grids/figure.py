"""The study's figures: E(t) of both, errors against h and N with their orders, marginals of both at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wflow.plotting.style import COLOURS, MARKERS, figure, number, shades, styled, verbatim
from wflow.studies.grids.analysis import energy_at, errors, order, particle_errors, particle_slope

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from wflow.studies.grids.results import Grids, ProblemGrids

__all__ = ["draw"]

_NAMES = {
    "energy": r"$E(t)$, sup", "gain": r"$E(t) - E(0)$, sup", "mean": "mean", "covariance": "covariance",
    "marginals": r"marginals, $W_2$", "w2": r"$W_2$ in $\mathbf{R}^m$",
}  # fmt: skip


def draw(study: Grids) -> dict[str, Figure]:
    """A figure for each problem, by its name."""
    with styled():
        return {name: _draw(problem) for name, problem in study.problems.items()}


def _draw(problem: ProblemGrids) -> Figure:
    drawn = figure(10.0, 6.2)
    halves: Any = drawn.subfigures(2, 1)
    top, bottom = halves
    horizon = number(float(problem.reference["times"][-1]))
    outside = f" ({verbatim(problem.outside)})" if problem.outside else ""
    drawn.suptitle(f"{verbatim(problem.name)}{outside}: particles and finite volumes, $T = {horizon}$")
    energy, cells, particles = top.subplots(1, 3)
    _energy(energy, problem)
    _cells(cells, problem)
    _particles(particles, problem)
    for k, ax in enumerate(np.atleast_1d(bottom.subplots(1, problem.dimension))):
        _marginal(ax, problem, k)
    return drawn


def _energy(ax: Axes, problem: ProblemGrids) -> None:
    """E(t) of every grid, the reference in dots on top of them; inside, by how much they differ."""
    truth, colours = problem.reference, shades(len(problem.cells))
    falls = bool(truth["energy"][-1] < truth["energy"][0])
    inside = ax.inset_axes((0.52, 0.55 if falls else 0.12, 0.46, 0.38))
    for k, (n, grid) in enumerate(problem.cells.items()):
        ax.plot(grid["times"], grid["energy"], color=colours(k), linewidth=1.0, label=f"${n}^{problem.dimension}$ cells")
        inside.plot(grid["times"], np.abs(grid["energy"] - energy_at(truth, grid["times"])), color=colours(k), linewidth=0.8)
    ax.plot(truth["times"][::4], truth["energy"][::4], linestyle="", marker="o", markersize=2.5, color="black", label="particles")
    ax.set(title="energy", xlabel="mean-field time $t$", ylabel="$E$")
    ax.legend(fontsize=6, loc="lower left" if falls else "upper left")
    inside.set_yscale("log")
    inside.set_title("difference", fontsize=6)
    inside.tick_params(labelsize=5.5)


def _cells(ax: Axes, problem: ProblemGrids) -> None:
    """Errors of grids against the width of cells, with a line of the observed order through the finest."""
    from matplotlib.ticker import FixedLocator, NullLocator

    n = np.array(list(problem.cells), dtype=np.float64)
    for colour, marker, (name, values) in zip(COLOURS, MARKERS, errors(problem).items(), strict=False):
        seen = order(list(problem.cells), values)
        ax.plot(n, values, linestyle="", marker=marker, markersize=3.5, color=colour, label=f"{_NAMES[name]}: ${seen.value:.2f}$")
        ax.plot(n, values[-1] * (n[-1] / n) ** seen.value, linewidth=0.9, color=colour)
    ax.set(title="grids: errors and their orders", xlabel="cells along an axis", ylabel="error", xscale="log", yscale="log")
    ax.xaxis.set_major_locator(FixedLocator(n.tolist()))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(lambda x, _: f"{x:.0f}")
    ax.legend(fontsize=6, loc="center left", bbox_to_anchor=(1.0, 0.5), handletextpad=0.2)


def _particles(ax: Axes, problem: ProblemGrids) -> None:
    """Errors of E by particles: every scramble, their root mean square, its slope, and that of independent starts."""
    from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

    found, slope = particle_errors(problem), particle_slope(problem)
    n = np.array(list(found), dtype=np.float64)
    for size, sample in found.items():
        ax.plot(np.full(len(sample), size), sample, linestyle="", marker=".", markersize=2.5, color=COLOURS[0], alpha=0.5)
    ax.fill_between(n, slope.levels_low, slope.levels_high, color=COLOURS[0], alpha=0.18, linewidth=0)
    ax.plot(n, np.exp(slope.constant) * n**slope.value, color=COLOURS[0], linewidth=0.9,
            label=f"rms: slope ${slope.value:.2f}$ [${slope.low:.2f}$, ${slope.high:.2f}$]")  # fmt: skip
    ax.plot(n, slope.levels[0] * (n / n[0]) ** -0.5, color="black", linewidth=0.8, linestyle=(0, (1, 1)), label="$-1/2$, independent")
    ax.set(title="particles, scrambled Sobol: $E(t)$, sup", xlabel="particles $N$", ylabel="error", xscale="log", yscale="log")
    ax.xaxis.set_major_locator(FixedLocator(n.tolist()))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(lambda x, _: f"{x:.0f}")
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.legend(fontsize=6)


def _marginal(ax: Axes, problem: ProblemGrids, k: int) -> None:
    """Density along axis k: the law at the start, the reference's particles and two grids at the end."""
    grids = list(problem.cells.items())
    for (n, grid), style in ((grids[0], {"linewidth": 0.9, "linestyle": (0, (5, 1.5))}), (grids[-1], {"linewidth": 1.3})):
        edges = grid[f"edges{k}"]
        ax.stairs(grid[f"end{k}"] / np.diff(edges), edges, color=COLOURS[1], label=f"${n}^{problem.dimension}$ cells", **style)
    n, finest = grids[-1]
    edges = finest[f"edges{k}"]
    ax.hist(problem.reference["cloud"][:, k], bins=edges.tolist(), density=True, color=COLOURS[0], alpha=0.35, label="particles")
    centres = (edges[1:] + edges[:-1]) / 2.0
    ax.plot(centres, finest[f"start{k}"] / np.diff(edges), color="black", linewidth=0.8, linestyle=(0, (1, 1)), label="start")
    ax.set(title=f"marginal of coordinate {k + 1} at the end", xlabel=f"$x_{k + 1}$", ylabel="density" if k == 0 else "")
    if k == 0:
        ax.legend(fontsize=6)
