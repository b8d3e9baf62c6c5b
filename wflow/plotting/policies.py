"""Policies: density curves where there is one state, heat maps over states and actions otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from wflow._checks import Array
from wflow.plotting.style import COLOURS, DIVERGING, MAP, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from wflow.solution import Solution

__all__ = ["MAPS", "draw_policies", "policies", "policy_panels"]

MAPS = ("final", "optimum", "difference")


def policies(solution: Solution) -> tuple[Array, Array] | str:
    """Final and optimal policy, densities (n_s, n_a) with respect to the action weights; or why there are none, in a few words."""
    final, best = solution.finals.get("log_policy"), solution.static.get("optimal_log_policy")
    if final is None or best is None:
        return "this flow stores no policy and no optimum"
    if np.isnan(final).any():
        return "no policy was stored yet: it is with a checkpoint, and at the end"
    return np.exp(final), np.exp(best)


def policy_panels(pair: tuple[Array, Array]) -> list[str]:
    """Names of the panels that a pair of policies takes: one with one state, else `MAPS`."""
    return ["policy"] if len(pair[0]) == 1 else list(MAPS)


def draw_policies(row: Sequence[Axes], solution: Solution, pair: tuple[Array, Array]) -> None:
    """A pair of policies on its panels."""
    if len(row) == 1:
        _density_curves(row[0], solution, *pair)
    else:
        _heat_maps(row, solution, *pair)


def _density_curves(axes: Axes, solution: Solution, final: Array, best: Array) -> None:
    """The policy of the only state over its actions, against the optimum; marked where the actions are few."""
    actions = solution.static["actions"]
    a, label = _coordinates(actions, "a", "action")
    marker: dict[str, Any] = {"marker": "o", "markersize": 3.5} if len(a) <= 20 else {}
    axes.plot(a, final[0], color=COLOURS[0], label=_policy_at(solution), **marker)
    axes.plot(a, best[0], color=COLOURS[1], linestyle=(0, (5, 1.5)), label=r"$\pi^\ast$", **marker)
    axes.set_xlabel(label)
    axes.set_ylabel(r"density  $\pi(a)$")
    axes.margins(x=0.0 if not marker else 0.05)
    axes.legend()


def _heat_maps(row: Sequence[Axes], solution: Solution, final: Array, best: Array) -> None:
    """`MAPS`: final policy and optimum over states and actions on one colour scale, and their difference on its own."""
    s, across = _coordinates(solution.static["states"], "s", "state")
    a, up = _coordinates(solution.static["actions"], "a", "action")
    low, high, apart = min(final.min(), best.min()), max(final.max(), best.max()), float(np.abs(final - best).max())
    names = (_policy_at(solution, r"(a\,|\,s)"), r"$\pi^\ast(a\,|\,s)$", r"$\pi_{\nu_t} - \pi^\ast$")
    scales = ((MAP, low, high), (MAP, low, high), (DIVERGING, -apart, apart))
    meshes = []
    for axes, values, name, (colours, bottom, top) in zip(row, (final, best, final - best), names, scales, strict=True):
        meshes.append(axes.pcolormesh(s, a, values.T, cmap=colours, vmin=bottom, vmax=top, shading="nearest", rasterized=True))
        axes.set_xlabel(across)
        axes.set_title(name, loc="left")
    row[0].set_ylabel(up)
    if apart > 0.0 and not (across + up).startswith("index") and min(final.shape) > 8:  # negative dashed: the sign survives a grey print
        row[2].contour(s, a, (final - best).T, [-apart / 4, apart / 4], colors="black", linewidths=0.4)
    shown = row[0].figure
    shown.colorbar(meshes[0], ax=list(row[:2]), location="bottom", aspect=40, label="density")
    shown.colorbar(meshes[2], ax=row[2], location="bottom", aspect=18, label="difference of densities")


def _policy_at(solution: Solution, arguments: str = "") -> str:
    return rf"$\pi_{{\nu_t}}{arguments}$,  $t = {number(solution.finals_time)}$"


def _coordinates(nodes: Array, symbol: str, word: str) -> tuple[Array, str]:
    """Coordinates of the nodes and the label of their axis; their indices unless they lie in order on a line."""
    if nodes.shape[1] == 1 and (np.diff(nodes[:, 0]) > 0.0).all():
        return nodes[:, 0], f"{word}  ${symbol}$"
    return np.arange(float(len(nodes))), f"index of {word}  ${symbol}$"
