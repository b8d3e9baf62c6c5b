"""Policies: density curves where there is one state, heat maps over states and actions otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from wflow._checks import Array
from wflow.plotting.style import COLOURS, DIVERGING, MAP

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from wflow.loop import Solution

__all__ = ["MAPS", "density_curves", "heat_maps", "policies"]

MAPS = ("final", "optimum", "difference")


def policies(solution: Solution) -> tuple[Array, Array] | None:
    """Final and optimal policy, densities (n_s, n_a) with respect to the action weights; None where the run has none, or not yet."""
    final, best = solution.finals.get("log_policy"), solution.static.get("optimal_log_policy")
    if final is None or best is None or np.isnan(final).any():
        return None
    return np.exp(final), np.exp(best)


def density_curves(axes: Axes, solution: Solution, final: Array, best: Array) -> None:
    """The policy of the only state over its actions, against the optimum; marked where the actions are few."""
    actions = solution.static["actions"]
    a, label = _coordinates(actions, "a", "action")
    marker: dict[str, Any] = {"marker": "o", "markersize": 3.5} if len(a) <= 20 else {}
    axes.plot(a, final[0], color=COLOURS[0], label=rf"$\pi_{{\nu_t}}$,  $t = {_power(solution.times[-1])}$", **marker)
    axes.plot(a, best[0], color=COLOURS[1], linestyle=(0, (5, 1.5)), label=r"$\pi^\ast$", **marker)
    axes.set_xlabel(label)
    axes.set_ylabel(r"density  $\pi(a)$")
    axes.margins(x=0.0 if not marker else 0.05)
    axes.legend()


def heat_maps(shown: Figure, row: Sequence[Axes], solution: Solution, final: Array, best: Array) -> None:
    """`MAPS`: final policy and optimum over states and actions on one colour scale, and their difference on its own."""
    s, across = _coordinates(solution.static["states"], "s", "state")
    a, up = _coordinates(solution.static["actions"], "a", "action")
    low, high, apart = min(final.min(), best.min()), max(final.max(), best.max()), float(np.abs(final - best).max())
    names = (rf"$\pi_{{\nu_t}}(a\,|\,s)$,  $t = {_power(solution.times[-1])}$", r"$\pi^\ast(a\,|\,s)$", r"$\pi_{\nu_t} - \pi^\ast$")
    scales = ((MAP, low, high), (MAP, low, high), (DIVERGING, -apart, apart))
    meshes = []
    for axes, values, name, (colours, bottom, top) in zip(row, (final, best, final - best), names, scales, strict=True):
        meshes.append(axes.pcolormesh(s, a, values.T, cmap=colours, vmin=bottom, vmax=top, shading="nearest", rasterized=True))
        axes.set_xlabel(across)
        axes.set_title(name, loc="left")
    row[0].set_ylabel(up)
    shown.colorbar(meshes[0], ax=list(row[:2]), location="bottom", aspect=40, label="density")
    shown.colorbar(meshes[2], ax=row[2], location="bottom", aspect=18, label="difference of densities")


def _coordinates(nodes: Array, symbol: str, word: str) -> tuple[Array, str]:
    """Coordinates of the nodes and the label of their axis; their indices unless they lie in order on a line."""
    if nodes.shape[1] == 1 and (np.diff(nodes[:, 0]) > 0.0).all():
        return nodes[:, 0], f"{word}  ${symbol}$"
    return np.arange(float(len(nodes))), f"index of {word}  ${symbol}$"


def _power(t: float) -> str:
    """A time in TeX: 0.5, 250, 10^4, 2.5 x 10^6."""
    if t == 0.0 or 1e-3 <= abs(t) < 1e4:
        return f"{t:.3g}"
    digits, exponent = f"{t:.2e}".split("e")
    digits = digits.rstrip("0").rstrip(".")
    return (r"" if digits == "1" else rf"{digits} \times ") + f"10^{{{int(exponent)}}}"
