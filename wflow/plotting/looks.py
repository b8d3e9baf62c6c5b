"""How the settings of a sweep are told apart: colours, dashes, markers, and the legend that says so."""

from __future__ import annotations

from typing import Any, TypeAlias

from wflow.plotting.settings import Setting, Sweep
from wflow.plotting.style import COLOURS, DASHES, MARKERS, columns, shades

__all__ = ["Look", "Looks", "colour_of", "legend_of", "look_of", "marker_of"]

Look: TypeAlias = dict[str, Any]
Looks: TypeAlias = dict[tuple[int, ...], Look]  # by the ranks of a setting


def look_of(sweep: Sweep, setting: Setting) -> Look:
    """Colour and dashes of a setting: one key, or three and more: both tell the setting; two: the colour tells the one that has no axis."""
    if len(sweep.keys) == 2:
        axis = sweep.axis
        first, second = setting.ranks[axis], setting.ranks[1 - axis]
        thinner = 0.6 ** (first // len(DASHES))
        return {
            "color": colour_of(second, len(sweep.values[sweep.keys[1 - axis]])),
            "linestyle": DASHES[first % len(DASHES)], "linewidth": 1.3 * thinner,
        }  # fmt: skip
    k = [other.ranks for other in sweep.settings].index(setting.ranks)
    return {"color": colour_of(k, len(sweep.settings)), "linestyle": DASHES[k % len(DASHES)]}


def colour_of(k: int, n: int) -> Any:
    """The k-th of n colours: as unlike as can be, or where there are many, from dark to light."""
    return COLOURS[k] if n <= len(COLOURS) else shades(n)(k)


def marker_of(sweep: Sweep, setting: Setting) -> str:
    """With two keys it tells, as the colour does, the one that has no axis."""
    return MARKERS[setting.ranks[1 - sweep.axis] % len(MARKERS)] if len(sweep.keys) == 2 else "o"


def legend_of(sweep: Sweep, looks: Looks, width: float) -> tuple[list[str], list[Any], int]:
    """Labels, their lines, and in how many columns: each setting; of two keys, each value of either, in a row of its own if it fits."""
    from matplotlib.lines import Line2D

    if len(sweep.keys) != 2:
        labels = [sweep.name(setting) for setting in sweep.settings]
        return labels, [Line2D([], [], **looks[setting.ranks]) for setting in sweep.settings], columns(labels, width)
    rows: list[list[tuple[str, Any]]] = []
    axis = sweep.axis
    for key, shown in ((1 - axis, ("color",)), (axis, ("linestyle", "linewidth"))):
        rows.append([])
        for rank, value in enumerate(sweep.values[sweep.keys[key]]):
            setting = next(setting for setting in sweep.settings if setting.ranks[key] == rank)
            style: Look = {"color": "0.3", "markersize": 4.0} | {name: looks[setting.ranks][name] for name in shown}
            if key != axis:
                style["marker"] = marker_of(sweep, setting)
            rows[-1].append((sweep.entry(sweep.keys[key], value), Line2D([], [], **style)))
    across = max(map(len, rows))
    labels = [label for row in rows for label, _ in row]
    if (fitting := columns(labels, width)) < across:
        return labels, [line for row in rows for _, line in row], fitting
    blank = ("", Line2D([], [], linestyle="none"))
    pairs = [row[k] if k < len(row) else blank for k in range(across) for row in rows]  # Matplotlib fills column by column
    return [label for label, _ in pairs], [line for _, line in pairs], across
