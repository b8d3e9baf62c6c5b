"""Policies, particles or densities of a few runs side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import numpy as np

from wflow.plotting.grids import densities, density_panels, draw_densities
from wflow.plotting.particles import cloud_panels, clouds, draw_clouds
from wflow.plotting.policies import draw_policies, policies, policy_panels
from wflow.plotting.standing import begun, footnote, names, stands, tally
from wflow.plotting.style import figure, styled, verbatim

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from wflow.solution import Solution

__all__ = ["AT_MOST", "plot_densities", "plot_particles", "plot_policies"]

AT_MOST = 6  # runs that fit on a page
T = TypeVar("T")
_Tile: TypeAlias = "tuple[Solution, str, T]"  # with its title and what is seen of it


def plot_policies(solutions: Sequence[Solution]) -> Figure:
    """The final policy against the optimum: a panel for each run with one state, three maps for each run with several.

    Raises
    ------
    ValueError
        If no run has a policy to show, or more than `AT_MOST` have begun.
    """
    return _tiles(solutions, "policy", policies, draw_policies, lambda pair: len(policy_panels(pair)))


def plot_particles(solutions: Sequence[Solution]) -> Figure:
    """Particles in parameter space, ω0 against direction, over the cloud that each run started from.

    Raises
    ------
    ValueError
        If no run has particles to show, or more than `AT_MOST` have begun.
    """
    return _tiles(solutions, "particles", clouds, draw_clouds, lambda seen: len(cloud_panels(seen)))


def plot_densities(solutions: Sequence[Solution]) -> Figure:
    """Densities of measures on a grid: curves over time on the line, else heat maps of the last one or of its marginals.

    Raises
    ------
    ValueError
        If no run has a measure on a grid to show, or more than `AT_MOST` have begun.
    """
    return _tiles(solutions, "density", densities, draw_densities, lambda seen: len(density_panels(seen)))


def _tiles(
    solutions: Sequence[Solution],
    what: str,
    see: Callable[[Solution], T | str],
    draw: Callable[[Sequence[Axes], Solution, T], None],
    panels: Callable[[T], int],
) -> Figure:
    """The runs of which `see` sees something: two side by side where one panel is enough, a row for each of the others."""
    runs = begun(solutions)
    if len(runs) > AT_MOST:
        raise ValueError(f"what = {what!r} shows at most {AT_MOST} runs at once; got {len(runs)}: choose one (--run K, solutions[k])")
    found = [see(run) for run in runs]
    reasons = [seen for seen in found if isinstance(seen, str)]
    if len(reasons) == len(runs):
        raise ValueError(f"what = {what!r} cannot be shown: {reasons[0]}")
    titles = _titles(runs) if len(solutions) > 1 else [""]
    groups: dict[int, list[_Tile[T]]] = {}  # by number of panels
    for run, title, seen in zip(runs, titles, found, strict=True):
        if not isinstance(seen, str):
            groups.setdefault(panels(seen), []).append((run, title, seen))
    with styled():
        shown = _arranged(groups, draw)
        if len(solutions) > 1:
            footnote(shown, tally(solutions), f"{len(reasons)} cannot be shown ({reasons[0]})" if reasons else "")
        elif standing := stands(solutions[0]):
            shown.suptitle(standing)
    return shown


def _arranged(groups: dict[int, list[_Tile[T]]], draw: Callable[[Sequence[Axes], Solution, T], None]) -> Figure:
    """Runs with one panel two in a row, the others a row each; alike ones in one grid, so that their axes are in line."""
    across = {k: k if k > 1 else min(2, sum(map(len, groups.values()))) for k in sorted(groups)}
    rows = {k: -(-k * len(groups[k]) // across[k]) for k in across}
    shown = figure(3.5 if max(across.values()) == 1 else 7.0, 2.6 * sum(rows.values()))
    bands: Any = np.ravel(cast(Any, shown.subfigures(len(rows), 1, height_ratios=list(rows.values()))))
    for band, k in zip(bands, across, strict=True):
        cells = band.subplots(rows[k], across[k], squeeze=False).ravel()
        for tile, (run, title, seen) in enumerate(groups[k]):
            row = cells[k * tile : k * (tile + 1)]
            draw(row, run, seen)
            if title:
                row[0].set_title(f"{title}\n{row[0].get_title(loc='left')}".rstrip(), loc="left")
        for cell in cells[k * len(groups[k]) :]:
            cell.set_axis_off()
    return shown


def _titles(runs: Sequence[Solution]) -> list[str]:
    """Experiment, swept settings and seed of each run, and where it stands if it did not end as meant."""
    experiments = {str(run.provenance.get("experiment", "")) for run in runs}
    parts = []
    for run, name in zip(runs, names(runs), strict=True):
        swept = [f"{key.rpartition('.')[2]} = {value}" for key, value in run.provenance.get("sweep", {}).items()]
        origin = [str(run.provenance.get("experiment", ""))] if len(experiments) > 1 else []
        seed = f"seed {run.provenance['seed']}" if "seed" in run.provenance else name
        parts.append(", ".join([*(verbatim(text) for text in (*origin, *swept, seed)), *([stands(run)] if stands(run) else [])]))
    return parts
