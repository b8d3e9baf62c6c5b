"""Rates from samples: weighted least-squares slopes on a log-log scale, bootstrap intervals, and verdicts on a theory's rate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from wflow import _checks
from wflow._checks import Array

__all__ = ["STATISTICS", "Slope", "Verdict", "fit", "judge_below", "judge_equal"]

Verdict = Literal["holds", "fails", "undecided"]

_REPLICATES = 2000
_BLOCK = 2**21  # numbers drawn at a time

def _controlled_mean(x: Array, control: Array | float) -> Array:
    """Mean of x − β c along the last axis, β by regression; c has mean 0, so that the expectation stays and the variance falls."""
    mean: Array = x.mean(axis=-1)
    if isinstance(control, float):
        return mean
    centre = control.mean(axis=-1, keepdims=True)
    spread = np.square(control - centre).mean(axis=-1)
    shared = ((x - mean[..., None]) * (control - centre)).mean(axis=-1)
    slope = np.divide(shared, spread, out=np.zeros_like(spread), where=spread > 0.0)
    controlled: Array = mean - slope * centre[..., 0]
    return controlled


# Of samples (..., S), with controls of the same shape or 0; the logarithm of each is fitted
STATISTICS: dict[str, Callable[[Array, Array | float], Array]] = {
    "mean": _controlled_mean,
    "rms": lambda x, c: np.sqrt(_controlled_mean(np.square(x), c)),
    "sd": lambda x, _: x.std(axis=-1) * np.sqrt(x.shape[-1] / (x.shape[-1] - 1)),
    "|mean|": lambda x, c: np.abs(_controlled_mean(x, c)),
}


@dataclass(frozen=True, eq=False)
class Slope:
    """``log statistic ≈ value · log n + constant``, with 95 % bootstrap intervals.

    Attributes
    ----------
    value, low, high : float
        The slope and its interval.
    constant : float
        Of the fit: the statistic is about ``exp(constant) n^value``.
    levels, levels_low, levels_high : ndarray, shape (K,)
        The statistic at each size with its interval.
    """

    value: float
    low: float
    high: float
    constant: float
    levels: Array
    levels_low: Array
    levels_high: Array

    @property
    def width(self) -> float:
        """Of the slope's interval."""
        return self.high - self.low


def fit(
    sizes: Sequence[int], samples: Sequence[Array], statistic: str = "mean", *, controls: Sequence[Array] | None = None, seed: int = 0
) -> Slope:
    """Slope of a statistic of independent samples against their sizes, by weighted least squares on logarithms.

    The bootstrap draws anew among the samples of each size, 2000 times; a size's weight is the inverse of the variance of its
    statistic's logarithm over these draws, and the interval holds the middle 95 % of their slopes. Cost 2000 times the samples.

    Parameters
    ----------
    sizes : sequence of int
        Two or more, different.
    samples : sequence of ndarray, shape (S_k,) each
        Two or more for each size, none of them NaN.
    statistic : str
        One of `STATISTICS`.
    controls : sequence of ndarray, shape (S_k,) each, or None
        Control variates: numbers of expectation exactly 0 that vary with the samples (for "rms" with their squares), sample by sample.
    seed : int
        Of the bootstrap.

    Raises
    ------
    ValueError
        If there are too few sizes or samples, or a statistic is not positive, for the samples or for a tenth of the draws.
    """
    compute = STATISTICS[_checks.choice("statistic", statistic, tuple(STATISTICS))]
    n = _checks.array("sizes", sizes, (None,), above=0.0)
    if len(n) < 2 or len(set(n)) < len(n) or len(samples) != len(n):
        raise ValueError(f"sizes must be two or more different ones, with samples each; got {len(n)} and {len(samples)} samples")
    values = [_checks.array(f"samples[{k}]", sample, (None,)) for k, sample in enumerate(samples)]
    for k, sample in enumerate(values):
        if len(sample) < 2:
            raise ValueError(f"samples[{k}] must be two or more; got {len(sample)}")
    controlled: list[Array | float] = [0.0] * len(values)
    if controls is not None:
        pairs = enumerate(zip(controls, values, strict=True))
        controlled = [_checks.array(f"controls[{k}]", control, (len(sample),)) for k, (control, sample) in pairs]
    with np.errstate(invalid="ignore"):
        levels = np.array([compute(*pair) for pair in zip(values, controlled, strict=True)])
    if not (levels > 0.0).all():
        raise ValueError(f"the {statistic} of the samples must be positive; got {levels.min():g}")
    rng = np.random.default_rng(seed)
    with np.errstate(divide="ignore", invalid="ignore"):  # a draw may have a mean of 0, or less with controls
        draws = np.stack([_replicates(*pair, compute, rng) for pair in zip(values, controlled, strict=True)])  # (K, R)
        logs = np.log(draws)
    finite = np.isfinite(logs).all(axis=0)
    if finite.sum() < 0.9 * _REPLICATES:
        counts = [len(sample) for sample in values]
        raise ValueError(f"samples must be enough for the {statistic} to be positive in nearly all draws; got {counts}")
    logs = logs[:, finite]
    spread = np.array([np.subtract(*np.percentile(row, [84.13, 15.87])) / 2.0 for row in logs])
    weights = 1.0 / np.maximum(spread, 1e-12) ** 2
    line = _line(np.log(n), weights)
    low, high = np.percentile(line @ logs, [2.5, 97.5])
    value = float(line @ np.log(levels))
    constant = float(np.average(np.log(levels) - value * np.log(n), weights=weights))
    return Slope(value, float(low), float(high), constant, levels, *np.exp(np.percentile(logs, [2.5, 97.5], axis=1)))


def _line(x: Array, weights: Array) -> Array:
    """The row that maps values at x to the slope of their weighted least-squares line."""
    centred = weights * (x - np.average(x, weights=weights))
    row: Array = centred / (centred @ x)
    return row


def _replicates(sample: Array, control: Array | float, compute: Callable[[Array, Array | float], Array], rng: np.random.Generator) -> Array:
    """The statistic of samples drawn anew, with their controls, shape (R,)."""
    rows = max(1, _BLOCK // len(sample))
    parts = []
    for done in range(0, _REPLICATES, rows):
        chosen = rng.integers(0, len(sample), (min(rows, _REPLICATES - done), len(sample)))
        parts.append(compute(sample[chosen], control if isinstance(control, float) else control[chosen]))
    return np.concatenate(parts)


def judge_equal(low: float, high: float, theory: float, tolerance: float) -> tuple[Verdict, float]:
    """Whether an interval says that a rate is the theory's, to a tolerance, and the margin by which it does.

    "holds": all of the interval lies within the tolerance; "fails": none of it, not even at twice its width; else "undecided". The
    margin is the distance from the tolerance's ends, negative where it does not hold.
    """
    margin = tolerance - max(abs(low - theory), abs(high - theory))
    wide = (high - low) / 2.0
    apart = low - wide > theory + tolerance or high + wide < theory - tolerance
    return ("holds" if margin >= 0.0 else "fails" if apart else "undecided"), margin


def judge_below(low: float, high: float, bound: float) -> tuple[Verdict, float]:
    """Whether an interval says that a number lies below a bound, and the margin by which it does; as `judge_equal`."""
    wide = (high - low) / 2.0
    return ("holds" if high < bound else "fails" if low - wide > bound else "undecided"), bound - high
