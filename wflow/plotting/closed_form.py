"""The figure of a run against the closed form of its problem, which is made anew of what the file says of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from wflow._checks import Array
from wflow.plotting.curves import LABELS, one_curve
from wflow.plotting.standing import end_mark, stands
from wflow.plotting.style import COLOURS, MAP, figure, number, shades, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from wflow.measures import GridMeasure, ParticleMeasure
    from wflow.problems import Problem
    from wflow.solution import Solution

__all__ = ["has_closed_form", "plot_closed_form"]

_See: TypeAlias = "Callable[[Any, Problem, float], tuple[Array, Array, Array]]"

_EXACT: dict[str, Any] = {"color": "black", "linestyle": (0, (4, 2)), "linewidth": 0.9}
_AT_MOST = 4000  # particles drawn
_BINS = 40
_ERRORS = {"L1": r"$L^1$ error of the density", "mean": "of the mean", "covariance": "of the covariance"}


def has_closed_form(solution: Solution) -> bool:
    """Whether a run is of a problem of `wflow.problems` whose solution, or least energy, is known, and has a state."""
    problem = _problem(solution)
    known = problem is not None and (problem.exact is not None or "targets" in solution.static)
    return known and bool(len(solution.times)) and bool(len(solution.state_times))


def _problem(solution: Solution) -> Problem | None:
    """The problem of a run, made anew; None for a policy's, known without an import that costs a second."""
    if "config" not in solution.provenance or "optimal_log_policy" in solution.static:
        return None
    from wflow import problems

    return problems.stored(solution.provenance)


def plot_closed_form(solution: Solution) -> Figure:
    """States at several times over the closed form, their distance from it and the energy against time.

    On a line: densities of cells, of moving cells, or of particles as histograms. In the plane: maps with lines of equal density, or
    particles with the ellipses of two standard deviations. In three dimensions: the law of each coordinate. Of a regression, whose least
    energy is 0: the loss, its dissipation, and what was learnt.

    Raises
    ------
    ValueError
        If `has_closed_form` is false.
    """
    problem = _problem(solution)
    if problem is None or not has_closed_form(solution):
        raise ValueError("solution must be of a problem with a closed form, and have a state; this one is not")
    with styled():
        shown = _learning(solution) if problem.exact is None else _compared(solution, problem)
        if standing := stands(solution):
            shown.suptitle(standing)
    return shown


# --- a solution that is known -------------------------------------------------------------------------------------------------


def _compared(solution: Solution, problem: Problem) -> Figure:
    d, gridded = len(problem.box), hasattr(solution.state(0), "masses")
    names: Any = ["state0"] if d == 1 else ["state0", "state1", "state2"]
    below: Any = ["errors", "energy"] if np.ptp(solution.energy) > 0.0 else ["errors"]  # of noise alone particles have none
    heights = [3.1 if d == 2 else 2.6, 2.1]
    shown = figure(7.0, sum(heights))
    bands: Any = shown.subfigures(2, 1, height_ratios=heights)
    panels = bands[0].subplot_mosaic([names]) | bands[1].subplot_mosaic([below])
    if d == 1:
        _line(panels["state0"], solution, problem, _cells if gridded else _histogram)
    elif d == 2:
        _planes([panels[f"state{k}"] for k in range(3)], solution, problem, _map if gridded else _cloud)
    else:
        for k in range(3):
            _line(panels[f"state{k}"], solution, problem, partial(_marginal, k), f"$x_{k + 1}$", legend=k == 2)
    _errors(panels["errors"], solution, problem)
    if "energy" in panels:
        _energy(panels["energy"], solution, problem if gridded or not problem.temperature else None)
    return shown


def _chosen(solution: Solution, n: int) -> list[int]:
    """The first state, the last, and others as evenly spaced in time as there are, n at most."""
    times = solution.state_times
    return sorted({int(np.abs(times - t).argmin()) for t in np.linspace(times[0], times[-1], n)})


def _line(axes: Axes, solution: Solution, problem: Problem, see: _See, name: str = "$x$", *, legend: bool = True) -> None:
    """Densities on a line, dark to light in time, over the exact ones; `see` gives edges, density and exact density of a state."""
    chosen = _chosen(solution, 5)
    colours = shades(len(chosen))
    for i, k in enumerate(chosen):
        t = float(solution.state_times[k])
        edges, density, exact = see(solution.state(k), problem, t)
        axes.stairs(density, edges, baseline=None, color=colours(i), linewidth=1.6, label=f"$t = {number(t)}$")
        axes.plot((edges[1:] + edges[:-1]) / 2.0, exact, **_EXACT, label="exact" if k == chosen[-1] else None)
    axes.set_xlabel(name)
    axes.set_ylabel("density")
    axes.margins(x=0.0)
    axes.set_ylim(bottom=0.0)
    if legend:
        axes.legend()


def _cells(grid: GridMeasure, problem: Problem, t: float) -> tuple[Array, Array, Array]:
    return grid.axes[0], grid.density, problem.at(t, grid.axes).density


def _marginal(k: int, measure: Any, problem: Problem, t: float) -> tuple[Array, Array, Array]:
    """Law of coordinate k."""
    if hasattr(measure, "masses"):
        return measure.axes[k], measure.marginal(k).density, problem.at(t, measure.axes).marginal(k).density
    edges, density = _binned(measure.points[:, k], measure.weights)
    mean, covariance = problem.moments(t)
    away = ((edges[1:] + edges[:-1]) / 2.0 - mean[k]) ** 2 / covariance[k, k]
    return edges, density, np.exp(-away / 2.0) / np.sqrt(2.0 * np.pi * covariance[k, k])


def _histogram(cloud: ParticleMeasure, problem: Problem, t: float) -> tuple[Array, Array, Array]:
    edges, density = _binned(cloud.points[:, 0], cloud.weights)
    return edges, density, problem.at(t, (edges,)).density


def _binned(x: Array, weights: Array) -> tuple[Array, Array]:
    density, edges = np.histogram(x, bins=_BINS, weights=weights, density=True)
    return edges, density


def _planes(row: Sequence[Axes], solution: Solution, problem: Problem, draw: Callable[[Axes, Problem, float, Any], None]) -> None:
    """The plane at three times, all of it that lies within three and a half standard deviations at one of them."""
    times = [float(solution.state_times[k]) for k in _chosen(solution, len(row))]
    moments = [problem.moments(t) for t in times]
    reach = np.array([[mean + side * np.sqrt(covariance.diagonal()) for side in (-3.5, 3.5)] for mean, covariance in moments])
    low, high = reach.min(axis=(0, 1)), reach.max(axis=(0, 1))
    if draw is _map:
        low, high = np.maximum(low, np.array(problem.box)[:, 0]), np.minimum(high, np.array(problem.box)[:, 1])
    for axes in row[len(times) :]:
        axes.set_axis_off()
    for axes, k, t in zip(row, _chosen(solution, len(row)), times, strict=False):
        draw(axes, problem, t, solution.state(k))
        axes.set_aspect("equal")
        axes.set_xlim(low[0], high[0])
        axes.set_ylim(low[1], high[1])
        axes.set_title(f"$t = {number(t)}$" + ("; dashes: exact" if axes is row[0] else ""), loc="left")
        axes.set_xlabel("$x_1$")
    row[0].set_ylabel("$x_2$")


def _map(axes: Axes, problem: Problem, t: float, grid: GridMeasure) -> None:
    """Density of a grid in the plane, with lines where it is a tenth, half and nine tenths of the exact maximum, white and black dashes."""
    exact = problem.at(t, grid.axes).density
    x, y = grid.centres
    axes.pcolormesh(*grid.axes, grid.density.T, cmap=MAP, rasterized=True)
    levels = exact.max() * np.array([0.1, 0.5, 0.9])
    for values, look in ((grid.density, {"colors": "white"}), (exact, {"colors": "black", "linestyles": [(0, (4, 4))]})):
        if values.min() < levels[-1] and values.max() > levels[0]:
            axes.contour(x, y, values.T, levels, linewidths=0.9, **look)


def _cloud(axes: Axes, problem: Problem, t: float, cloud: ParticleMeasure) -> None:
    """Particles in the plane, with the ellipse of two standard deviations, theirs and the exact one."""
    some = cloud.points[:_AT_MOST]
    size = np.clip(1500.0 / len(some), 0.5, 6.0)
    axes.scatter(some[:, 0], some[:, 1], s=size, color=COLOURS[0], alpha=0.5, linewidths=0.0, rasterized=True)
    axes.plot(*_ellipse(cloud.mean(), cloud.covariance()), color=COLOURS[1])
    axes.plot(*_ellipse(*problem.moments(t)), **_EXACT)


def _ellipse(mean: Array, covariance: Array) -> Array:
    """Points (2, K) two standard deviations from the mean."""
    angles = np.linspace(0.0, 2.0 * np.pi, 181)
    values, basis = np.linalg.eigh(covariance)
    ellipse: Array = mean[:, None] + 2.0 * basis @ (np.sqrt(np.maximum(values, 0.0))[:, None] * np.array([np.cos(angles), np.sin(angles)]))
    return ellipse


def _errors(axes: Axes, solution: Solution, problem: Problem) -> None:
    """Distance of the states kept from the closed form; a grid starts there, but for rounding."""
    found = [problem.errors(float(t), state) for t, state in zip(solution.state_times, solution.states(), strict=True)]
    start = int("L1" in found[0] and len(found) > 1)
    times, marker = solution.state_times[start:], "o" if len(found) <= 25 else ""
    values = np.array([list(errors.values()) for errors in found[start:]])
    for k, name in enumerate(found[0]):
        axes.plot(times, values[:, k], color=COLOURS[k], label=_ERRORS[name], marker=marker, markersize=2.5)
    if values.min() > 0.0 and values.max() > 10.0 * values.min():
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0.0)
        axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
    axes.set_xlabel(r"mean-field time  $t$")
    axes.set_ylabel("error" if len(found[0]) > 1 else _ERRORS["L1"])
    if len(found[0]) > 1:
        axes.legend()


def _energy(axes: Axes, solution: Solution, problem: Problem | None) -> None:
    """The energy, and that of the closed form where it is the same: particles have no entropy."""
    one_curve(axes, solution, "energy", color=COLOURS[0], label="computed")
    if problem is not None:
        axes.plot(solution.times, [problem.energy_at(float(t)) for t in solution.times], **_EXACT, label="exact")
        axes.legend()
    axes.set_ylabel(LABELS["energy"] if problem is not None else LABELS["energy"] + "\nwithout its entropy")
    axes.set_xlabel(r"mean-field time  $t$")


# --- a least energy that is known ---------------------------------------------------------------------------------------------


def _learning(solution: Solution) -> Figure:
    """Of a regression: loss and dissipation against time, predictions at the last state against the targets."""
    shown = figure(7.0, 2.5)
    panels = shown.subplots(1, 3)
    loss, slope, learnt = panels
    for axes, name in zip(panels, ("energy", "dissipation", "prediction"), strict=True):
        axes.set_label(name)
    for k, (axes, name, label) in enumerate(((loss, "energy", r"loss  $E(\nu_t)$"), (slope, "dissipation", LABELS["dissipation"]))):
        positive = solution.times > 0.0
        axes.loglog(solution.times[positive], solution.diagnostics[name][positive], color=COLOURS[k], **end_mark(solution))
        axes.set_ylabel(label)
        axes.set_xlabel(r"mean-field time  $t$")
    inputs, targets = solution.static["inputs"], solution.static["targets"]
    prediction = solution.finals.get("prediction", np.full_like(targets, np.nan))
    if inputs.shape[1] == 1:
        learnt.plot(inputs[:, 0], prediction, color=COLOURS[0], label=f"$t = {number(solution.finals_time)}$")
        learnt.plot(inputs[:, 0], targets, **_EXACT, label="teacher")
        learnt.set_xlabel("input  $x$")
        learnt.set_ylabel(r"$f_{\nu_t}(x)$")
        learnt.legend()
    else:
        learnt.plot(targets, targets, **_EXACT)
        learnt.plot(targets, prediction, ".", color=COLOURS[0], markersize=4.0)
        learnt.set_xlabel("teacher")
        learnt.set_ylabel(f"student at $t = {number(solution.finals_time)}$")
    return shown
