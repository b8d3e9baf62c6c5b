"""The one door to the figures: what there is to draw of a run, of several, of a sweep."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from wflow import _checks
from wflow.plotting.closed_form import has_closed_form, plot_closed_form
from wflow.plotting.curves import curves, figure1
from wflow.plotting.solution import plot_solution
from wflow.plotting.sweep import is_sweep, plot_sweep, sweep_curves
from wflow.plotting.tiles import plot_densities, plot_particles, plot_policies

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from wflow.solution import Solution

__all__ = ["WHATS", "plot"]

WHATS = ("overview", "gap", "dissipation", "drift", "policy", "particles", "density")


def plot(solutions: Solution | Iterable[Solution], what: str | None = None) -> Figure:
    """The figure of one run or several, finished or not.

    Parameters
    ----------
    solutions : Solution or iterable of Solution
    what : str, optional
        ``"overview"``, the default: of one run everything (`plot_solution`), or what it is next to its closed form
        (`plot_closed_form`); of several their gaps (`figure1`), of a sweep the gaps
        by setting and where they end (`plot_sweep`). ``"gap"``, ``"dissipation"`` or ``"drift"`` (of ReLU's invariant): curves of all
        runs, of a sweep by setting. ``"policy"``: against the optimum; ``"particles"``: in parameter space; ``"density"``: of measures
        on a grid; these three of six runs at most.

    Raises
    ------
    TypeError, ValueError
        If `solutions` are none or `what` is none of these; if no run has begun, or none can show what is asked for.
    """
    runs = list(solutions) if isinstance(solutions, Iterable) else [solutions]
    for run in runs:
        if not hasattr(run, "times"):
            raise TypeError(f"solutions must be a wflow.Solution or several; got {run!r}")
    if not runs:
        raise ValueError("solutions must have at least one run; got none")
    what = "overview" if what is None else _checks.choice("what", what, WHATS)
    if what == "policy":
        return plot_policies(runs)
    if what == "particles":
        return plot_particles(runs)
    if what == "density":
        return plot_densities(runs)
    sweep = len(runs) > 1 and is_sweep(runs)
    if what == "overview" and len(runs) == 1 and has_closed_form(runs[0]):
        return plot_closed_form(runs[0])
    if what == "overview":
        return plot_solution(runs[0]) if len(runs) == 1 else plot_sweep(runs) if sweep else figure1(runs)
    name = "invariant_drift" if what == "drift" else what
    return sweep_curves(runs, name) if sweep else curves(runs, name)
