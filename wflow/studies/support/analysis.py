"""Claims, what was measured, and verdicts: the study's table."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from wflow._checks import Array
from wflow.progress import short
from wflow.studies.statistics import Verdict
from wflow.studies.support.controls import CONTROLS
from wflow.studies.support.escape import WRONG
from wflow.studies.table import Row

if TYPE_CHECKING:
    from wflow.studies.support.results import ProblemSupport

__all__ = ["rows", "tear_slope"]

_FACTOR = 10.0  # by which gaps and residuals of controls and separating starts must differ
_STRAY = 0.1  # of the certificate's slack: what the stored field may lose
_VOLUME = 1e-6  # nats
_SLOPE = 0.2  # of tear widths, about -1
_TEAR_AT = -5  # time at which they are told: T/10, before they reach the size of Θ

Found = tuple[str, float, str, float, Verdict, str]


def rows(problem: ProblemSupport, about: Mapping[str, Any]) -> list[Row]:
    """The table of a problem."""
    title = f"{problem.name} ({problem.outside})" if problem.outside else problem.name
    bound = next((float(told["bound"]) for told in about["problems"] if told["name"] == problem.name), 0.0)
    found = [*_surface(problem), *_positive(problem, bound), *_controls(problem), *_escape(problem.parts["escape"])]
    return [Row(title, row[0], row[1], math.nan, math.nan, *row[2:]) for row in found]


def tear_slope(tears: Mapping[int, Array], k: int = _TEAR_AT) -> float:
    """Slope of log width against log n at time k; NaN where nothing tears."""
    n, widths = np.array(list(tears), dtype=np.float64), np.array([width[k] for width in tears.values()])
    if len(n) < 2 or not (widths > 0.0).all():
        return math.nan
    return float(np.polyfit(np.log(n), np.log(widths), 1)[0])


def _met(condition: Any, otherwise: Verdict = "fails") -> Verdict:
    return "holds" if condition else otherwise


def _surface(problem: ProblemSupport) -> Iterator[Found]:
    part = problem.parts["surface"]
    times, degrees = part["times"], part["degree"]
    stray, slack = float(part["replay"].max()), float(part["slack"].min())
    yield "stored field: stray of its own particles", stray, f"< {_STRAY * slack:.2g}", _STRAY * slack - stray, _met(
        stray < _STRAY * slack, "undecided"), "a tenth of the certificate's slack"  # fmt: skip
    degree = float(degrees[0]) if (degrees == degrees[0]).all() else math.nan
    fate: Verdict = "fails" if (part["verdict"] < 0).any() else _met((part["verdict"] > 0).all() and part["complete"], "undecided")
    about = f"about all points within {slack:.3g} of 0" if problem.region else f"{slack:.3g} off 0"
    folds = f"; images fold from t = {short(times[part['folds'] > 0][0])} on" if part["folds"].any() else "; images do not fold"
    yield f"degree of Σ, {len(times)} times to t = {short(times[-1])}", degree, "1", slack, fate, (
        f"{about}; {len(part['points'])} vertices{folds}")  # fmt: skip
    yield from _tears(problem)
    if "log_volume" in part:
        defect = float(np.abs(part["log_determinant"] - part["log_volume"]).max())
        noise = float(part["condition"].max()) * 1e-9
        fate = _met(defect <= _VOLUME, "fails" if defect > noise else "undecided")
        yield "log det ∂X/∂ω - ∫ div F, largest", defect, f"0 to {_VOLUME:g}", _VOLUME - defect, fate, (
            f"∫ div F from {part['log_volume'].min():.3g} to {part['log_volume'].max():.3g}")  # fmt: skip
    flow = problem.parts["flow"]
    if "covering" in flow:
        k = int(np.searchsorted(flow["times"], times[-1]))
        radius, before = float(flow["covering"][k]), float(flow["covering_quarter"][k])
        yield f"covering radius, t = {short(times[-1])}: N over N/4", radius / before, "< 1", 1.0 - radius / before, _met(
            radius < before, "undecided"), f"{radius:.3g}, and {flow['covering'][0]:.3g} at the start"  # fmt: skip


def _tears(problem: ProblemSupport) -> Iterator[Found]:
    part = problem.parts["surface"]
    width, when = float(part["tear"][_TEAR_AT]), short(part["times"][_TEAR_AT])
    if not problem.outside:
        yield "tear width, largest", float(part["tear"].max()), "0", -float(part["tear"].max()), _met(
            not part["tear"].any(), "undecided"), "φ is smooth: the flow map is continuous"  # fmt: skip
    elif problem.tears:
        slope = tear_slope(problem.tears)
        fate: Verdict = _met(abs(slope + 1.0) <= _SLOPE, "fails" if slope > -0.5 else "undecided")
        told = f"width {', '.join(f'{w[_TEAR_AT]:.2g} at {n}' for n, w in problem.tears.items())}"
        yield f"tear width in action nodes, t = {when}: slope", slope, "-1", _SLOPE - abs(slope + 1.0), (
            "undecided" if math.isnan(slope) else fate), "nothing tears" if math.isnan(slope) else told  # fmt: skip
    else:
        slack = float(part["slack"][_TEAR_AT])
        yield f"tear width, t = {when}", width, f"< {slack:.2g}", slack - width, _met(width < slack, "undecided"), (
            "of edges that stretch to twice the mesh's longest; below the certificate's slack then")  # fmt: skip


def _positive(problem: ProblemSupport, bound: float) -> Iterator[Found]:
    flow = problem.parts["flow"]
    upper, end = float(flow["positive/gap_upper"][-1]), short(flow["times"][-1])
    wanted = bound or float(flow["positive/gap_lower"][0]) / _FACTOR
    yield f"separating start: certified gap, t = {end}", upper, f"< {wanted:.2g}", wanted - upper, _met(upper < wanted, "undecided"), (
        f"at least {short(float(flow['positive/gap_lower'][-1]))}; {short(float(flow['positive/gap_upper'][0]))} at the start")  # fmt: skip
    sup, first = float(flow["positive/end/g_sup"]), float(np.abs(flow["g"][0]).max())
    yield f"separating start: sup|g| on Θ, t = {end}", sup, f"< {first / _FACTOR:.2g}", first / _FACTOR - sup, _met(
        sup < first / _FACTOR, "undecided"), (
        f"sup|δ| {short(float(flow['positive/end/advantage_sup']))}, L² {short(float(flow['positive/end/advantage_l2']))}, "
        f"∫|F|²dν {short(float(flow['positive/end/dissipation']))}")  # fmt: skip


def _controls(problem: ProblemSupport) -> Iterator[Found]:
    flow = problem.parts["flow"]
    for control in CONTROLS:
        if f"{control.name}/gap" not in flow:
            continue
        defect = float(flow[f"{control.name}/defect"].max())
        yield f"{control.name}: {control.claim}", defect, f"≤ {control.rounding:g}", control.rounding - defect, _met(
            defect <= control.rounding), "to rounding, at all times"  # fmt: skip
        gap, proved = float(flow[f"{control.name}/gap"][-1]), float(flow[f"{control.name}/bound"])
        ratio = gap / float(flow["positive/gap"][-1])
        kept = bool((flow[f"{control.name}/gap"] >= proved * (1.0 - 1e-9)).all())
        fate: Verdict = "fails" if proved and not kept else _met(ratio >= _FACTOR and proved > 0.0, "undecided")
        told = f"gap {gap:.4g}, proved ≥ {proved:.4g}" if proved else f"gap {gap:.4g}, no proof on this problem"
        yield f"{control.name}: gap over the separating start's", ratio, f"≥ {_FACTOR:g}", ratio - _FACTOR, fate, (
            f"{told}; sup|g| {short(float(flow[f'{control.name}/end/g_sup']))}")  # fmt: skip


def _escape(part: Mapping[str, Array]) -> Iterator[Found]:
    eta, window = float(part["eta"]), part["window"] > 0.0
    times, omega = part["times"][window], part["omega"][window]
    limit = 2.0 * WRONG / eta
    seen = omega.shape[1] > 0 and times[-1] >= limit
    entry = float(times[np.argmax(omega > 0.0, axis=0)].max()) if seen and (omega[-1] > 0.0).all() else math.nan
    yield "escape: last entry into G+", entry, f"≤ {limit:.4g}", limit - entry, _met(entry <= limit, "fails" if seen else "undecided"), (
        f"{omega.shape[1]} particles that stay in G; near the fixed point to t = {short(times[-1])}")  # fmt: skip
    rate = float(((omega[1:] - omega[0]) / times[1:, None]).min()) if seen else math.nan
    yield "escape: growth of |ω0| in G, least", rate, f"≥ {eta / 2.0:.3g}", rate - eta / 2.0, _met(
        rate >= eta / 2.0, "fails" if seen else "undecided"), f"η = {eta:.3g}"  # fmt: skip
    mass = part["mass_plus"][window]
    loss = float(np.diff(mass).min()) if seen else math.nan
    yield "escape: mass of G+, least change", loss, "≥ 0", loss, _met(loss >= 0.0, "fails" if seen else "undecided"), (
        f"grows to {mass[-1]:.3g} of what separates")  # fmt: skip
    ratio = float(part["long_gap"][-1] / part["long_gap"][0])
    yield f"escape: gap, t = {short(part['long_times'][-1])}, over the fixed point's", ratio, f"< {1.0 / _FACTOR:g}", (
        1.0 / _FACTOR - ratio), _met(ratio < 1.0 / _FACTOR, "undecided"), ""  # fmt: skip
