"""From errors to verdicts: the rates of math.md §6 with their intervals, and what must hold of every single W2."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from wflow._checks import Array
from wflow.progress import short
from wflow.studies import statistics
from wflow.studies.chaos.errors import smallest
from wflow.studies.statistics import Slope, Verdict
from wflow.studies.table import Row

if TYPE_CHECKING:
    from wflow.studies.chaos.results import Curve, ProblemErrors

__all__ = ["REPORTED", "START_NAMES", "rows", "slope", "smallest_errors"]

REPORTED = (-5, -3, -1)  # times of which slopes are told: T/16, T/4, T
_NAN = math.nan
_NEAR = 0.1  # bias over fluctuation of E from which the fluctuation is no longer of order N^{-1/2} alone
START_NAMES = {"iid": "i.i.d.", "qmc": "QMC", "quantised": "quantised"}

# quantity: statistic, theory's rate, tolerance, name
_RATES = {
    "coupling": ("rms", -0.5, 0.05, "coupling error, sup over [0, T]"),
    "function": ("mean", -1.0, 0.15, "squared function error"),
    "energy": ("sd", -0.5, 0.1, "fluctuation of E"),
    "bias": ("|mean|", -1.0, 0.25, "bias of E"),
}


def samples(curve: Mapping[int, Curve], quantity: str, k: int) -> dict[int, Array]:
    """Values (S,) of every seed by N at time k; of the coupling error its sup until then; N without values are left out."""
    found = {}
    for n, errors in curve.items():
        values = errors.sup if quantity == "coupling" else getattr(errors, quantity)
        if not np.isnan(values[:, k]).any():
            found[n] = values[:, k]
    return found


def slope(problem: ProblemErrors, start: str, quantity: str, k: int = -1, *, control: bool = True) -> Slope | None:
    """The rate of a quantity at time k; None where too few sizes or seeds have it, or where it is 0.

    For i.i.d. starts the coupling and the function error have a control variate: the function error of the coupled copies, less its
    expectation, which is known exactly (`PolicyValue.function_variance` over N).
    """
    curve = problem.curves.get(start, {})
    found = samples(curve, quantity, k)
    statistic = _RATES[quantity][0]
    if len(found) < 2 or any(len(values) < 2 or not np.abs(values).max() > 0.0 for values in found.values()):
        return None
    controls = None
    if control and start == "iid" and quantity in ("coupling", "function"):
        controls = [curve[n].copies[:, k] - problem.variances[k] / n for n in found]
    try:
        return statistics.fit(list(found), list(found.values()), statistic, controls=controls)
    except ValueError:  # too few seeds
        return None


def rows(problem: ProblemErrors, about: Mapping[str, Any]) -> list[Row]:
    """The table of a problem."""
    title = f"{problem.name} ({problem.outside})" if problem.outside else problem.name
    found = [*_reference(problem, about), *_iid(problem), *_others(problem), *_expected(problem), *_w2(problem)]
    return [Row(title, *row) for row in found]


def _iid(problem: ProblemErrors) -> list[tuple[Any, ...]]:
    """Rates of the i.i.d. starts: the coupling error's at the end, the others' at several times."""
    found: list[tuple[Any, ...]] = []
    for quantity, (_, theory, tolerance, name) in _RATES.items():
        for k in (-1,) if quantity == "coupling" else REPORTED:
            claim = name if quantity == "coupling" else f"{name}, t = {problem.times[k]:.3g}"
            fitted = slope(problem, "iid", quantity, k)
            if fitted is None:
                continue
            verdict, margin = statistics.judge_equal(fitted.low, fitted.high, theory, tolerance)
            wanted, note = f"{theory:g}", f"to ± {tolerance:g}"
            if quantity in ("energy", "bias") and (size := _size_of_bias(problem, k)):
                if quantity == "bias":
                    note += f"; {size[1]:.2g} sd at N = {size[0]}"
                elif size[1] > _NEAR:  # the part of E that is linear in the start vanishes at the optimum, and the next is O(1/N)
                    verdict, margin = statistics.judge_equal(fitted.low, fitted.high, -0.75, 0.25 + tolerance)
                    wanted, note = "-1 to -0.5", f"{note}; near the optimum"
            if quantity in ("coupling", "function") and (plain := slope(problem, "iid", quantity, k, control=False)):
                note += f"; uncontrolled {plain.value:.2f} [{plain.low:.2f}, {plain.high:.2f}]"
            found.append((claim, fitted.value, fitted.low, fitted.high, wanted, margin, verdict, note))
    return found


def _size_of_bias(problem: ProblemErrors, k: int) -> tuple[int, float] | None:
    """The largest N at which the bias of E was measured, and its size there in units of the fluctuation."""
    sizes = samples(problem.curves["iid"], "bias", k)
    if not sizes:
        return None
    n = max(sizes)
    return n, float(abs(sizes[n].mean()) / problem.curves["iid"][n].energy[:, k].std(ddof=1))


def _others(problem: ProblemErrors) -> list[tuple[Any, ...]]:
    """Quasi-Monte-Carlo and quantised starts must beat the rate of i.i.d. ones."""
    found: list[tuple[Any, ...]] = []
    for start in ("qmc", "quantised"):
        for quantity in ("coupling", "function"):
            fitted, bound = slope(problem, start, quantity), _RATES[quantity][1]
            if fitted is not None:
                verdict, margin = statistics.judge_below(fitted.low, fitted.high, bound)
                name = f"{START_NAMES[start]} start: {_RATES[quantity][3]}"
                found.append((name, fitted.value, fitted.low, fitted.high, f"< {bound:g}", margin, verdict, "beats i.i.d. starts"))
    return found


def smallest_errors(problem: ProblemErrors) -> dict[str, Array]:
    """The smallest errors measured, by time: root mean squares over seeds of E and f, of all starts and N; W2 of any run."""
    curves = [curve for sizes in problem.curves.values() for curve in sizes.values()]
    replay = np.min([np.sqrt(np.square(curve.coupling).mean(axis=0)) for curve in curves], axis=0)
    return {**smallest([vars(curve) for curve in curves]), "replay": replay}


def _reference(problem: ProblemErrors, about: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """The reference's own errors beside the smallest errors measured."""
    measured = smallest_errors(problem)
    names = {"energy": "E", "function": "f", "w2": "W2", "replay": "stored field"}
    found: list[tuple[Any, ...]] = []
    for name, what in names.items():
        if name == "w2" and problem.w2_size == 0:
            continue
        share = float(_over(problem.own[name], measured[name]).max())
        allowed = about["w2_fraction" if name == "w2" else "fraction"]
        size = problem.w2_size if name == "w2" else problem.reference
        verdict: Verdict = "holds" if share <= allowed else "fails"
        claim = f"reference's own error of {what} / smallest measured"
        found.append((claim, share, _NAN, _NAN, f"< {allowed:g}", allowed - share, verdict, f"{size} characteristics"))
    return found


def _expected(problem: ProblemErrors) -> list[tuple[Any, ...]]:
    """Means over the seeds of all N against expectations that are known: of the copies always, of the rest where they are."""
    curve, k = problem.curves["iid"], -1
    sizes = np.array(list(curve))
    copies = {n: errors.copies[:, k] for n, errors in curve.items()}
    found = [_ratio("squared function error of the copies", copies, problem.variances[k] / sizes)]
    if problem.exact:
        coupling = {n: np.square(values) for n, values in samples(curve, "coupling", k).items()}
        bias = samples(curve, "bias", k)
        w2 = {n: np.square(errors.w2[:, -1, 0]) - np.square(errors.w2[:, -1, 3]) for n, errors in curve.items()}
        found += [
            _ratio("squared coupling error, sup over [0, T]", coupling, problem.exact["coupling"][:, k]),
            _ratio("squared function error", samples(curve, "function", k), problem.exact["function"][:, k]),
            _ratio("variance of E", {n: _deviations(errors.energy[:, k]) for n, errors in curve.items()},
                   np.square(problem.exact["energy_sd"][:, k])),
            _ratio("bias of E", bias, problem.exact["energy_bias"][np.isin(sizes, list(bias)), k]),
            _ratio("W2² − baseline²", {n: values[~np.isnan(values)] for n, values in w2.items()}, problem.exact["w2_difference"][:, k]),
        ]  # fmt: skip
    return [row for row in found if row is not None]


def _over(values: Array, others: Array) -> Array:
    """Quotients of numbers ≥ 0; 0/0 is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        quotients: Array = np.where(values > 0.0, values / others, 0.0)
    return quotients


def _deviations(values: Array) -> Array:
    """Numbers whose mean is the unbiased variance."""
    squares: Array = np.square(values - values.mean()) * (len(values) / (len(values) - 1))
    return squares


def _ratio(name: str, values: Mapping[int, Array], expected: Array) -> tuple[Any, ...] | None:
    """Values over their expectations, pooled: weights from the samples' own variances would be biased."""
    if not np.all(expected) or sum(map(len, values.values())) < 2:
        return None
    pooled = np.concatenate([sample / e for sample, e in zip(values.values(), expected, strict=True)])
    mean, error = float(pooled.mean()), float(pooled.std(ddof=1) / np.sqrt(len(pooled)))
    verdict: Verdict = "holds" if abs(mean - 1.0) <= 4.0 * error else "fails"
    interval = (mean - 1.96 * error, mean + 1.96 * error)
    return f"{name} / its exact expectation", mean, *interval, "1", 4.0 * error - abs(mean - 1.0), verdict, "to 4 standard errors"


def _w2(problem: ProblemErrors) -> list[tuple[Any, ...]]:
    """What must hold of every W2, and the rate of what W2 says of the dynamics."""
    curve = problem.curves["iid"]
    chosen = np.searchsorted(problem.times, problem.cloud_times)
    parts = {n: (errors.w2[known], errors.coupling[known][:, chosen]) for n, errors in curve.items()
             if (known := ~np.isnan(errors.w2[:, :, 1]).any(axis=1)).any()}  # fmt: skip
    if not parts:
        return []
    w2 = np.concatenate([values.reshape(-1, 6) for values, _ in parts.values()])
    coupling = np.concatenate([values.ravel() for _, values in parts.values()])
    value, lower, upper, base, base_lower, base_upper = w2.T
    pairs = ((lower, value), (value, upper), (base_lower, base), (base, base_upper), (lower, upper), (base_lower, base_upper))
    outside = float(np.nanmax([less - more for less, more in pairs]))
    gap = float(np.max([(upper - lower) / upper, (base_upper - base_lower) / base_upper]))
    beyond = _over(np.maximum(np.maximum(lower - base_upper, base_lower - upper), 0.0), coupling)  # the triangle inequality allows up to 1
    note = f"{2 * len(w2)} distances, widest bracket {short(gap)}"
    found: list[tuple[Any, ...]] = [
        ("W2 within its own bounds: largest excess", max(outside, 0.0), _NAN, _NAN, "0", -outside,
         "holds" if outside <= 0.0 else "fails", note),
        ("|W2 − baseline| / coupling error: largest", float(beyond.max()), _NAN, _NAN, "< 1", 1.0 - float(beyond.max()),
         "holds" if beyond.max() <= 1.0 else "fails", "triangle inequality, every run and time"),
    ]  # fmt: skip
    differences = {n: np.square(values[:, -1, 0]) - np.square(values[:, -1, 3]) for n, (values, _) in parts.items()}
    usable = {n: d for n, d in differences.items() if len(d) > 3 and not np.isnan(d).any() and d.any()}
    if len(usable) > 1:
        fitted = statistics.fit(list(usable), list(usable.values()), "rms")
        verdict, margin = statistics.judge_below(fitted.low, fitted.high, -0.5)
        n = max(usable)
        share = usable[n].mean() / np.square(parts[n][0][:, -1, 0]).mean()
        found.append((f"W2² − baseline², t = {problem.times[-1]:.3g}", fitted.value, fitted.low, fitted.high, "< -0.5", margin, verdict,
                      f"the dynamics' part: {short(float(share))} of W2² at N = {n}"))  # fmt: skip
    return found
