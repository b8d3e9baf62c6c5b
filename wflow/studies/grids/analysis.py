"""Errors, their orders, and verdicts: the study's table."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from wflow._checks import Array
from wflow.progress import short
from wflow.studies.statistics import Slope, Verdict, fit, judge_below, judge_equal
from wflow.studies.table import Row

if TYPE_CHECKING:
    from wflow.studies.grids.results import ProblemGrids

__all__ = ["Order", "cell_diagonal", "energy_at", "errors", "order", "particle_errors", "particle_slope", "rows"]

_TOLERANCE = 0.25  # of orders
_SHARE = 0.1  # of the finest error: what the reference's own may be
_CLOSED = 1e-8  # of E: the reference's time integration
_DRIFT = 1e-13  # of the mass
_WALL = 1e-6  # mass in the outermost cells of the finest grid
_AGREE = 0.01  # of the change of E
_MOVED = 1.0  # cells, by which particles must have moved for W2 to be of order 1

Found = tuple[str, float, float, float, str, float, Verdict, str]


class Order(NamedTuple):
    """``error ≈ constant · h^value`` on the finest three grids; `low` and `high` are the orders of neighbouring pairs among them."""

    value: float
    low: float
    high: float


def order(cells: Sequence[int], error: Array) -> Order:
    """Observed order of errors (G,) on G ≥ 3 grids of these numbers of cells along an axis; NaN unless they are positive."""
    n, e = np.asarray(cells[-3:], dtype=np.float64), np.asarray(error[-3:], dtype=np.float64)
    if not (np.isfinite(e) & (e > 0.0)).all():
        return Order(math.nan, math.nan, math.nan)
    pairs = -np.diff(np.log(e)) / np.diff(np.log(n))
    return Order(-float(np.polyfit(np.log(n), np.log(e), 1)[0]), float(pairs.min()), float(pairs.max()))


def energy_at(truth: Mapping[str, Array], times: Array) -> Array:
    """E of the reference at any times: cubic between its own, from its values and its exact slopes."""
    from scipy.interpolate import CubicHermiteSpline

    energy: Array = CubicHermiteSpline(truth["times"], truth["energy"], truth["slope"])(times)
    return energy


def errors(problem: ProblemGrids) -> dict[str, Array]:
    """Of every grid, coarsest first, by quantity, (G,) each.

    "energy": sup over its steps of |E_h − E|; "gain": the same of E(t) − E(0), which leaves out what the quadrature of the start errs by;
    "mean" and "covariance": of the moments at the end, in the Euclidean norm; "marginals": the largest W2 of an axis; "w2": in
    R^m, to the particles that started at the centres of the cells, the middle of its bracket.
    """
    truth = problem.reference
    found: dict[str, list[float]] = {name: [] for name in ("energy", "gain", "mean", "covariance", "marginals", "w2")}
    for grid in problem.cells.values():
        apart = grid["energy"] - energy_at(truth, grid["times"])
        found["energy"].append(float(np.abs(apart).max()))
        found["gain"].append(float(np.abs(apart - apart[0]).max()))
        for name in ("mean", "covariance"):
            found[name].append(float(np.linalg.norm(grid[name] - truth[name])))
        found["marginals"].append(float(grid["marginals"].max()))
        found["w2"].append(float(grid["w2"][0]))
    return {name: np.array(values) for name, values in found.items()}


def particle_errors(problem: ProblemGrids) -> dict[int, Array]:
    """sup_t |E_N − E| of every scrambled start, (S,) by N."""
    return {n: np.abs(cloud["energy"] - problem.reference["energy"]).max(axis=1) for n, cloud in problem.particles.items()}


def particle_slope(problem: ProblemGrids) -> Slope:
    """Of the root mean square of `particle_errors` over the scrambles, against N."""
    found = particle_errors(problem)
    return fit(list(found), list(found.values()), "rms")


def cell_diagonal(grid: Mapping[str, Array]) -> float:
    """Of the cells of a uniform grid."""
    widths = [float(np.diff(values)[0]) for name, values in grid.items() if name.startswith("edges")]
    return math.hypot(*widths)


def rows(problem: ProblemGrids) -> list[Row]:
    """The table of a problem."""
    title = f"{problem.name} ({problem.outside})" if problem.outside else problem.name
    found = [*_reference(problem), *_orders(problem), *_particles(problem), *_kept(problem)]
    return [Row(title, *row) for row in found]


def _met(condition: Any, otherwise: Verdict = "fails") -> Verdict:
    return "holds" if condition else otherwise


def _plain(claim: str, measured: float, theory: str, margin: float, verdict: Verdict, note: str) -> Found:
    return claim, measured, math.nan, math.nan, theory, margin, verdict, note


def _reference(problem: ProblemGrids) -> Iterator[Found]:
    truth, found = problem.reference, errors(problem)
    own = float(np.abs(truth["half"] - truth["energy"]).max())
    finest = min(float(found["energy"][-1]), float(found["gain"][-1]))
    yield _plain("reference: E, Gauss nodes doubled", own, f"< {_SHARE * finest:.2g}", _SHARE * finest - own, _met(
        own < _SHARE * finest, "undecided"), "a tenth of the finest grid's error")  # fmt: skip
    if "exact" in truth:
        apart = float(np.abs(truth["energy"] / truth["exact"] - 1.0).max())
        yield _plain("reference: E, relative to its closed form", apart, f"< {_CLOSED:g}", _CLOSED - apart, _met(apart < _CLOSED), "")
    own, finest = float(truth["own"].max()), float(found["marginals"][-1])
    yield _plain("reference: marginals, Sobol points doubled", own, f"< {finest / 2.0:.2g}", finest / 2.0 - own, _met(
        own < finest / 2.0, "undecided"), "W2; half of the finest grid's")  # fmt: skip


def _orders(problem: ProblemGrids) -> Iterator[Found]:
    found, sizes = errors(problem), list(problem.cells)
    grids = ", ".join(map(str, sizes[-3:]))
    energy = order(sizes, found["energy"])
    fate, margin = _judged(energy, 2.0, exactly=True)
    yield "grid: E(t): order", *energy, "2", margin, fate, f"{_listed(found['energy'])} on {grids} cells; brackets: neighbouring grids"
    for name, claim, wanted, about in (
        ("gain", "grid: E(t) - E(0): order", 2.0, "the start's quadrature left out"),
        ("mean", "grid: mean: order", 2.0, ""),
        ("covariance", "grid: covariance: order", 2.0, "Sheppard's correction"),
        ("marginals", "grid: marginals, W2: order", 2.0, "spread over cells"),
        ("w2", f"grid: W2 in R{'²³'[problem.dimension - 2] if problem.dimension > 1 else ''} to particles: order", 1.0,
         f"particles move by {problem.cells[sizes[-1]]['moved']:.2g} cells, rms"),
    ):  # fmt: skip
        seen = order(sizes, found[name])
        fate, margin = _judged(seen, wanted, exactly=False)
        if name == "w2" and fate == "fails" and problem.cells[sizes[-1]]["moved"] < _MOVED:
            fate = "undecided"
        yield claim, *seen, f"≥ {wanted:g}", margin, fate, f"{_listed(found[name])}{'; ' if about else ''}{about}"
    last = list(problem.cells.values())[-1]
    ratio = float(last["w2"][2]) / cell_diagonal(last)
    yield _plain("grid: the same over the cells' diagonal", ratio, "< 1", 1.0 - ratio, _met(ratio < 1.0), (
        f"{last['atoms'][0]:.0f} and {last['atoms'][1]:.0f} atoms, mass {short(float(last['dropped'].max()))} left out"))  # fmt: skip


def _judged(seen: Order, wanted: float, *, exactly: bool) -> tuple[Verdict, float]:
    """Whether the orders of the pairs are all the one wanted, or at least that, to the tolerance."""
    if math.isnan(seen.value):
        return "undecided", math.nan
    if exactly:
        return judge_equal(seen.low, seen.high, wanted, _TOLERANCE)
    return judge_below(-seen.high, -seen.low, _TOLERANCE - wanted)


def _listed(values: Array) -> str:
    return ", ".join(f"{value:.2g}" for value in values[-3:])


def _particles(problem: ProblemGrids) -> Iterator[Found]:
    found = particle_errors(problem)
    slope = particle_slope(problem)
    fate, margin = judge_below(slope.low, slope.high, -0.5)
    largest = max(found)
    yield "particles: E(t), in N: slope", slope.value, slope.low, slope.high, "< -1/2", margin, fate, (
        f"Sobol, {len(found[largest])} scrambles: rms {slope.levels[-1]:.2g} at N = {largest}; -1/2: i.i.d.")  # fmt: skip
    lattice = np.array([abs(grid["lattice_energy"][-1] - problem.reference["energy"][-1]) for grid in problem.cells.values()])
    seen = order(list(problem.cells), lattice)
    fate, margin = _judged(seen, 2.0, exactly=True)
    yield "particles from centres of cells: E: order", *seen, "2", margin, fate, f"{_listed(lattice)}; the midpoint rule's"


def _kept(problem: ProblemGrids) -> Iterator[Found]:
    grids, truth = list(problem.cells.values()), problem.reference
    change = float(np.ptp(truth["energy"]))
    ratio = float(errors(problem)["energy"][-1]) / change
    closed = f"; {1.0 - truth['gap'][-1] / truth['gap'][0]:.0%} of the gap is closed" if "gap" in truth else ""
    yield _plain("grid: sup error of E(t) over its change", ratio, f"< {_AGREE:g}", _AGREE - ratio, _met(ratio < _AGREE), (
        f"E changes by {change:.3g} to t = {short(float(truth['times'][-1]))}{closed}"))  # fmt: skip
    drift = max(float(np.abs(grid["mass_drift"]).max()) for grid in grids)
    yield _plain("grids: mass drift, largest", drift, f"≤ {_DRIFT:g}", _DRIFT - drift, _met(drift <= _DRIFT), "")
    lowest = min(float(grid["lowest"].min()) for grid in grids)
    yield _plain("grids: mass of a cell, smallest", lowest, "≥ 0", lowest, _met(lowest >= 0.0), "")
    sense = math.copysign(1.0, truth["energy"][-1] - truth["energy"][0])
    least = min(float((sense * np.diff(grid["energy"])).min()) for grid in grids)
    yield _plain("grids: gain of E in a step, least", least, "> 0", least, _met(least > 0.0), (
        f"of {', '.join(str(len(grid['times']) - 1) for grid in grids)} steps"))  # fmt: skip
    walls = [float(grid["wall_mass"].max()) for grid in grids]
    yield _plain("grid: mass in the outermost cells", walls[-1], f"< {_WALL:g}", _WALL - walls[-1], _met(
        walls[-1] < _WALL), f"{', '.join(f'{wall:.1g}' for wall in walls)}: coarse cells are wide")  # fmt: skip
