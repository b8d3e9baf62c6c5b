"""The numbers behind a sweep's figure: which runs share their settings, and the median of their curves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wflow._checks import Array
from wflow.plotting.style import number, verbatim

if TYPE_CHECKING:
    from wflow.solution import Solution

__all__ = ["Median", "Setting", "Sweep", "is_sweep", "median_curve", "value_text"]

_SYMBOLS = {"n_particles": ("number of particles", "N"), "temperature": ("temperature", r"\tau"), "discount": ("discount", r"\gamma")}
_POINTS = 1000  # of a median curve, at most


@dataclass(frozen=True, eq=False)
class Setting:
    """The runs that were made with the same swept values; `ranks` are these values' places among those of their keys."""

    values: tuple[Any, ...]
    ranks: tuple[int, ...]
    runs: tuple[Solution, ...]


class Sweep:
    """Runs by their swept values: `keys`, each with its `values` in order (numbers ascending, words as they came), and `settings`."""

    def __init__(self, runs: Sequence[Solution]) -> None:
        swept = [run.provenance.get("sweep") or {} for run in runs]
        self.keys: list[str] = list(dict.fromkeys(key for values in swept for key in values))
        self.values = {key: _ordered([values.get(key) for values in swept]) for key in self.keys}
        self.numeric = {key: all(_is_number(value) for value in self.values[key]) for key in self.keys}
        groups: dict[tuple[int, ...], list[Solution]] = {}
        for run, values in zip(runs, swept, strict=True):
            ranks = tuple(_place(self.values[key], values.get(key)) for key in self.keys)
            groups.setdefault(ranks, []).append(run)
        self.settings = [
            Setting(tuple(self.values[key][rank] for key, rank in zip(self.keys, ranks, strict=True)), ranks, tuple(groups[ranks]))
            for ranks in sorted(groups)
        ]

    @property
    def axis(self) -> int:
        """The key that a panel's axis shows: a number before words, then the one with most values."""
        return max(range(len(self.keys)), key=lambda k: (self.numeric[self.keys[k]], len(self.values[self.keys[k]]), -k))

    @property
    def is_listed(self) -> bool:
        """Whether the settings have places in a list rather than on an axis of numbers."""
        return len(self.keys) > 2 or not self.numeric[self.keys[self.axis]]

    def word(self, key: str) -> str:
        """A key as an axis is labelled."""
        word, symbol = _SYMBOLS.get(self._short(key), ("", ""))
        return f"{word}  ${symbol}$" if word else verbatim(self._short(key))

    def entry(self, key: str, value: Any) -> str:
        """A key and its value as a legend shows them."""
        symbol = _SYMBOLS.get(self._short(key), ("", ""))[1]
        name = f"${symbol}$" if symbol else verbatim(self._short(key))
        return f"{name} = {value_text(value)}"

    def name(self, setting: Setting) -> str:
        """A setting in full."""
        return ", ".join(self.entry(key, value) for key, value in zip(self.keys, setting.values, strict=True))

    def _short(self, key: str) -> str:
        """The last part of a key, where no other ends in it."""
        last = key.rpartition(".")[2]
        return last if sum(other.rpartition(".")[2] == last for other in self.keys) == 1 else key


def is_sweep(solutions: Sequence[Solution]) -> bool:
    """Whether the runs say that they belong to a sweep."""
    return any(solution.provenance.get("sweep") for solution in solutions)


def value_text(value: Any) -> str:
    """A swept value as a figure shows it."""
    return f"${number(value, 6)}$" if _is_number(value) else "not set" if value is None else verbatim(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _ordered(values: Sequence[Any]) -> list[Any]:
    unique = list({json.dumps(value): value for value in values}.values())
    return sorted(unique) if all(_is_number(value) for value in unique) else unique


def _place(values: Sequence[Any], value: Any) -> int:
    return [json.dumps(other) for other in values].index(json.dumps(value))


@dataclass(frozen=True, eq=False)
class Median:
    """Least, median and greatest value of several runs over the times (F,) that all of them have reached."""

    times: Array
    low: Array
    middle: Array
    high: Array


def median_curve(runs: Sequence[Solution], name: str) -> Median | None:
    """Median and range of a diagnostic over runs, from the first time after the start that all have to the last that all have.

    The times are those of all runs' frames (at most a thousand of them). Between its own frames a run is interpolated linearly in
    log t, and in the logarithm of the value where all its values are positive; beyond its ends it is not extrapolated. None if the
    runs have no two times in common. Frames whose value is not finite are passed over.
    """
    curves = [_positive_times(run, name) for run in runs]
    if not curves or any(len(t) < 2 for t, _ in curves):
        return None
    start, end = max(t[0] for t, _ in curves), min(t[-1] for t, _ in curves)
    times = np.unique(np.concatenate([t for t, _ in curves]))
    times = times[(times >= start) & (times <= end)]
    if len(times) < 2:
        return None
    times = times[np.unique(np.linspace(0, len(times) - 1, _POINTS).astype(int))]
    values = np.stack([_interpolated(times, *curve) for curve in curves])
    return Median(times, values.min(axis=0), np.median(values, axis=0), values.max(axis=0))


def _positive_times(run: Solution, name: str) -> tuple[Array, Array]:
    t, values = run.times, run.diagnostics[name]
    kept = (t > 0.0) & np.isfinite(values)
    return t[kept], values[kept]


def _interpolated(at: Array, t: Array, values: Array) -> Array:
    if (values > 0.0).all():
        return np.asarray(np.exp(np.interp(np.log(at), np.log(t), np.log(values))))
    return np.asarray(np.interp(np.log(at), np.log(t), values))
