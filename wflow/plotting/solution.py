"""The default figure of one run: gap with its certificate, dissipation, and the policy it ended with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from wflow.plotting.gaps import gap_label, log_time
from wflow.plotting.policies import MAPS, density_curves, heat_maps, policies
from wflow.plotting.style import COLOURS, figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from wflow.loop import Solution

__all__ = ["plot_solution"]


def plot_solution(solution: Solution) -> Figure:
    """Gap (or energy) and dissipation against mean-field time, and the final policy against the optimum where the run has one.

    One state: density curves; several: heat maps. A flow without gap, dissipation or policy has that panel left out.

    Raises
    ------
    ValueError
        If the run has no frame.
    """
    if not len(solution.times):
        raise ValueError("solution must have at least one frame; this run has not begun")
    compared = policies(solution)
    curves = ["gap", "dissipation"] if "dissipation" in solution.diagnostics else ["gap"]
    with styled():
        if compared is None:
            shown, rows = figure(0.5 + 2.7 * len(curves), 2.4), [curves]
        elif len(compared[0]) == 1:
            shown, rows = figure(0.5 + 2.3 * (len(curves) + 1), 2.2), [[*curves, "policy"]]
        else:
            shown, rows = figure(7.0, 5.2), [[name for name in names for _ in range(6 // len(names))] for names in (curves, MAPS)]
        axes: dict[str, Axes] = shown.subplot_mosaic(cast(Any, rows))
        _gap(axes["gap"], solution)
        if "dissipation" in axes:
            _dissipation(axes["dissipation"], solution)
        if compared is not None and "policy" in axes:
            density_curves(axes["policy"], solution, *compared)
        elif compared is not None:
            heat_maps(shown, [axes[name] for name in MAPS], solution, *compared)
    return shown


def _gap(axes: Axes, solution: Solution) -> None:
    """The gap between the bounds of its certificate, on log scales; the energy where the optimum is unknown."""
    numbers = solution.diagnostics
    if "gap" in numbers:
        axes.plot(solution.times, numbers["gap"], color=COLOURS[0], label="gap")
        low, high = (numbers.get(name, numbers["gap"]) for name in ("gap_lower", "gap_upper"))
        if not np.allclose(low, high, rtol=0.01, atol=0.0):  # a bandit's bounds agree
            axes.fill_between(solution.times, low, high, color=COLOURS[0], alpha=0.25, linewidth=0.0, label="certified")
            axes.legend()
        if (numbers["gap"] > 0.0).any():
            axes.set_yscale("log")
        axes.set_ylabel(gap_label())
    else:
        axes.plot(solution.times, solution.energy, color=COLOURS[0])
        axes.set_ylabel(r"energy  $E(\nu_t)$")
    log_time(axes, [solution])


def _dissipation(axes: Axes, solution: Solution) -> None:
    axes.plot(solution.times, solution.dissipation, color=COLOURS[1])
    if (solution.dissipation > 0.0).any():
        axes.set_yscale("log")
    axes.set_ylabel(r"dissipation  $\int \;\, |F|^2 \, d\nu_t$")
    log_time(axes, [solution])
