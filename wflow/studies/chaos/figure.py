"""The study's figures: four errors against N with their bands and slopes, W2 beside its baseline, errors against time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from wflow._checks import Array
from wflow.plotting.style import COLOURS, figure, number, styled, verbatim
from wflow.studies.chaos.analysis import REPORTED, START_NAMES, samples, slope
from wflow.studies.statistics import Slope

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from wflow.studies.chaos.results import Chaos, ProblemErrors

__all__ = ["draw"]

_STARTS = {"iid": ("o", "-"), "qmc": ("D", (0, (1, 1))), "quantised": ("x", (0, (5, 1.5)))}
_RATE_NAMES = {"coupling": "", "function": "", "energy": "sd", "bias": "|bias|"}


def draw(study: Chaos) -> dict[str, Figure]:
    """A figure for each group, by its name; a problem without one stands alone."""
    groups: dict[str, list[ProblemErrors]] = {}
    for problem in study.problems.values():
        groups.setdefault(problem.group or problem.name, []).append(problem)
    with styled():
        return {name: _draw(name, problems) for name, problems in groups.items()}


def _draw(name: str, problems: Sequence[ProblemErrors]) -> Figure:
    drawn = figure(10.0, 7.4)
    axes = drawn.subplots(2, 3)
    drawn.suptitle(f"{verbatim(name)}: $N$ particles against the mean-field measure, $T = {number(float(problems[0].times[-1]))}$")
    outside = {problem.outside for problem in problems} - {""}
    if outside:
        drawn.supxlabel("; ".join(rf"$\dagger$ {verbatim(reason)}" for reason in sorted(outside)), fontsize=7)
    for k, (colour, problem) in enumerate(zip(COLOURS * len(problems), problems, strict=False)):
        for quantity, starts in (("coupling", tuple(_STARTS)), ("function", tuple(_STARTS)), ("energy", ("iid",)), ("bias", ("iid",))):
            ax = axes[0, min(2, list(_RATE_NAMES).index(quantity))]
            _rate(ax, problem, colour, quantity, starts)
        _w2(axes[1, 0], problem, colour, 1.08 ** (k - (len(problems) - 1) / 2))
        _paired(axes[1, 1], problem, colour)
        _against_time(axes[1, 2], problem, colour)
    _finish(axes, problems)
    return drawn


def _finish(axes: Any, problems: Sequence[ProblemErrors]) -> None:
    """Titles, scales with ticks at the sizes, legends below."""
    from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

    sizes = sorted({n for problem in problems for n in problem.curves["iid"]})
    for ax, title, label in (
        (axes[0, 0], "coupling error", r"$\sup_{t \leq T}\, (\sum_n p_n |\omega_n - \bar\omega_n|^2)^{1/2}$"),
        (axes[0, 1], "function error", r"$\| f_{\nu^N} - f_\nu \|^2_{L^2}$ at $T$"),
        (axes[0, 2], "energy error", r"$E(\nu^N) - E(\nu)$ at $T$"),
        (axes[1, 0], "W2 (no rate is fitted)", r"$W_2(\,\cdot\,, \nu_T)$"),
        (axes[1, 1], "the dynamics' part of W2", r"rms of $W_2^2(\nu^N\!, \nu_T) - W_2^2(\mathrm{copies}, \nu_T)$"),
        (axes[1, 2], f"errors against time, $N = {sizes[-1]}$", "root mean square over seeds"),
    ):
        ax.set(title=title, ylabel=label, xscale="log", yscale="log")
        ax.set_xlabel("mean-field time $t$" if ax is axes[1, 2] else "particles $N$")
        low, high = ax.get_ylim()
        if high > 10.0 * low:
            ax.yaxis.set_minor_formatter(NullFormatter())
        if ax is not axes[1, 2]:
            ax.xaxis.set_major_locator(FixedLocator(sizes))
            ax.xaxis.set_minor_locator(NullLocator())
            ax.xaxis.set_major_formatter(lambda n, _: f"{n:.0f}")
        if ax.get_legend_handles_labels()[1]:
            ax.legend(fontsize=6, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=1 if ax in axes[0] else 2, handlelength=3.5)


def _name(problem: ProblemErrors) -> str:
    activation = verbatim(problem.name.removeprefix(f"{problem.group} "))
    return activation + (r"$^\dagger$" if problem.outside else "")


def _rate(ax: Axes, problem: ProblemErrors, colour: str, quantity: str, starts: Sequence[str]) -> None:
    """Levels with their bands, the fitted line, the slope in the legend."""
    for start in starts:
        fitted = slope(problem, start, quantity)
        if fitted is None:
            continue
        n = np.array(list(samples(problem.curves[start], quantity, -1)), dtype=np.float64)
        marker, dash = _STARTS[start]
        label = f"{_name(problem)}, {_RATE_NAMES[quantity] or START_NAMES[start]}: slope {_slope(fitted)}"
        face = "none" if quantity == "bias" else colour
        ax.plot(n, fitted.levels, linestyle="", marker=marker, markersize=3.5, color=colour, markerfacecolor=face, label=label)
        ax.plot(n, np.exp(fitted.constant) * n**fitted.value, linestyle=dash, linewidth=0.9, color=colour)
        ax.fill_between(n, fitted.levels_low, fitted.levels_high, color=colour, alpha=0.18, linewidth=0)
        if start == "iid" and problem.exact:
            _exact(ax, problem, quantity, n)


def _slope(fitted: Slope) -> str:
    return f"${fitted.value:.2f}$ [${fitted.low:.2f}$, ${fitted.high:.2f}$]"


def _exact(ax: Axes, problem: ProblemErrors, quantity: str, n: Array) -> None:
    """What is known of it, as small black bars."""
    key = {"energy": "energy_sd", "bias": "energy_bias"}.get(quantity, quantity)
    expected = np.abs(problem.exact[key][np.isin(list(problem.curves["iid"]), n), -1])
    values = np.sqrt(expected) if quantity == "coupling" else expected
    ax.plot(n, values, linestyle="", marker="_", markersize=9, color="black", label=None if quantity == "bias" else "exact")


def _w2(ax: Axes, problem: ProblemErrors, colour: str, place: float) -> None:
    """Every W2 with its bounds, beside the baseline of the same start; a little apart, so that none hides another."""
    for shift, columns, face, what in ((0.975, slice(0, 3), colour, ""), (1.025, slice(3, 6), "none", ", sampling baseline")):
        x, y, low, high = [], [], [], []
        for n, curve in problem.curves["iid"].items():
            for value, lower, upper in curve.w2[:, -1, columns]:
                if np.isfinite(lower):
                    middle = value if np.isfinite(value) else (lower + upper) / 2.0
                    x.append(n * place * shift)
                    y.append(middle)
                    low.append(max(middle - lower, 0.0))
                    high.append(max(upper - middle, 0.0))
        if x:
            ax.errorbar(x, y, yerr=[low, high], linestyle="", marker="o", markersize=3, color=colour, markerfacecolor=face,
                        markeredgewidth=0.7, elinewidth=0.7, label=f"{_name(problem)}{what}")  # fmt: skip


def _paired(ax: Axes, problem: ProblemErrors, colour: str) -> None:
    """Root mean squares of the paired differences, over all starts, and the triangle inequality's bound for them."""
    n, rms, bound = [], [], []
    for size, curve in problem.curves["iid"].items():
        w2, coupling = curve.w2[:, -1], curve.coupling[:, -1]
        known = np.isfinite(w2[:, 0]) & np.isfinite(w2[:, 3])
        if known.any():
            n.append(size)
            rms.append(np.sqrt(np.square(np.square(w2[known, 0]) - np.square(w2[known, 3])).mean()))
            bound.append(np.sqrt(np.square(coupling[known] * (2.0 * w2[known, 3] + coupling[known])).mean()))
    if n and min(rms) > 0.0:
        ax.plot(n, rms, "o-", markersize=3.5, linewidth=0.9, color=colour, label=_name(problem))
        ax.plot(n, bound, linestyle=(0, (1, 1)), linewidth=0.9, color=colour, label=f"{_name(problem)}, bound")


def _against_time(ax: Axes, problem: ProblemErrors, colour: str) -> None:
    """Three errors at the largest N against time; reported times as ticks on the curves."""
    curve = problem.curves["iid"][max(problem.curves["iid"])]
    marks = [len(problem.times) + k for k in REPORTED]
    for values, dash, what in (
        (np.sqrt(np.square(curve.coupling).mean(axis=0)), "-", "coupling"),
        (np.sqrt(curve.function.mean(axis=0)), (0, (5, 1.5)), "$f$"),
        (curve.energy.std(axis=0, ddof=1), (0, (1, 1)), "$E$"),
    ):
        if (values > 0.0).all():
            ax.plot(problem.times, values, linestyle=dash, marker="o", markevery=marks, markersize=2.5, color=colour,
                    label=f"{_name(problem)}, {what}")  # fmt: skip
