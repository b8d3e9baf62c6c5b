"""The figure of one run: gap with its certificate, dissipation, drift of the invariant, policy, particles or density."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from wflow.plotting.curves import label_axes, one_curve
from wflow.plotting.grids import densities, density_panels, draw_densities
from wflow.plotting.particles import cloud_panels, clouds, draw_clouds
from wflow.plotting.policies import draw_policies, policies, policy_panels
from wflow.plotting.standing import stands
from wflow.plotting.style import COLOURS, figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from wflow.solution import Solution

__all__ = ["plot_solution"]


def plot_solution(solution: Solution) -> Figure:
    """Gap (or energy), dissipation and invariant drift against mean-field time; final policy against the optimum; particles or densities.

    Of a policy with one state: density curves; several: heat maps. Densities are those of measures on a grid. What a flow does not
    have, or a run not yet, is left out.

    Raises
    ------
    ValueError
        If the run has no frame.
    """
    if not len(solution.times):
        raise ValueError("solution must have at least one frame; this run has not begun")
    compared, seen, spread = policies(solution), clouds(solution), densities(solution)
    first = "gap" if "gap" in solution.diagnostics else "energy"
    lines = [name for name in (first, "dissipation", "invariant_drift", "wall_mass") if name in solution.diagnostics]
    below = [] if isinstance(seen, str) else cloud_panels(seen)
    below += [] if isinstance(spread, str) else density_panels(spread)
    policy = [] if isinstance(compared, str) else policy_panels(compared)
    rows = [lines, policy + below] if len(policy) < 2 and len(policy + below) <= 3 else [lines, policy, below]
    with styled():
        shown, axes = _rows([row for row in rows if row])
        for k, name in enumerate(lines):
            one_curve(axes[name], solution, name, certificate=True, color=COLOURS[k])
            label_axes(axes[name], [solution], name)
        if not isinstance(compared, str):
            draw_policies([axes[name] for name in policy], solution, compared)
        if not isinstance(seen, str):
            draw_clouds([axes[name] for name in below], solution, seen)
        if not isinstance(spread, str):
            draw_densities([axes[name] for name in below], solution, spread)
        if standing := stands(solution):
            shown.suptitle(standing)
    return shown


def _rows(rows: Sequence[list[str]]) -> tuple[Figure, dict[str, Axes]]:
    """Axes by name, in rows that fill the width of a page; one row alone is as wide as its panels need."""
    heights = [2.7 if "final" in row else 2.3 for row in rows]
    width = 7.0 if len(rows) > 1 else 0.5 + 2.5 * len(rows[0])
    shown = figure(width, sum(heights))
    bands: Any = np.ravel(cast(Any, shown.subfigures(len(rows), 1, height_ratios=heights)))
    axes: dict[str, Axes] = {}
    for band, row in zip(bands, rows, strict=True):
        axes |= band.subplot_mosaic([row])
    return shown, axes
