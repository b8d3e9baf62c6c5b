"""One run of the study: a case, a method, a tolerance; what it cost, how it ended, and where it got to."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wflow.loop import Solution, solve
from wflow.schedules import at
from wflow.studies.integrators.cases import Case
from wflow.studies.integrators.peers import diffrax_run, is_diffrax, method_of
from wflow.studies.integrators.reference import TIMES, errors, load

__all__ = ["Task", "run"]

_MOST = 200_000  # steps
_SHORT = 0.5  # seconds: shorter runs are repeated
_WARM = 1e-6  # of the horizon: a run that compiles and fills caches


class _TooLongError(Exception):
    pass


@dataclass(frozen=True)
class Task:
    """A run to be made.

    Attributes
    ----------
    case : Case
    method : str
        Name as `wflow.studies.integrators.peers.method_of` takes it.
    rtol : float
        atol is a thousandth of it.
    repeats : int
        Of short runs; the shortest time counts.
    limit : float
        Seconds after which a run is given up.
    reference : str
        Where the case's reference lies (`wflow.studies.integrators.reference`).
    """

    case: Case
    method: str
    rtol: float
    repeats: int
    limit: float
    reference: str


def run(task: Task) -> dict[str, Any]:
    """Integrate, again if it was short.

    Returns
    -------
    dict
        ``status`` and ``message``; ``evaluations`` and, apart, ``spectral_radius`` evaluations, ``steps``, ``rejected``; ``seconds``: the
        shortest time of the loop; compilation, the making of the problem and what is recorded apart; and the errors of `errors`.
    """
    if is_diffrax(task.method):
        found = diffrax_run(task.case, task.method, task.rtol, task.case.horizon * TIMES, task.repeats)
    else:
        found = _timed(task)
    told = {name: found[name] for name in ("status", "message", "evaluations", "spectral_radius", "steps", "rejected", "seconds")}
    return {**told, **errors(load(Path(task.reference)), task.case, found)}


def _timed(task: Task) -> dict[str, Any]:
    """The run, and the shortest time of its repeats."""
    _solve(task, _WARM * task.case.horizon)
    found: dict[str, Any] = {}
    seconds = []
    for _ in range(task.repeats):
        start = time.perf_counter()
        solution, message = _solve(task, task.case.horizon)
        seconds.append(time.perf_counter() - start - (solution.seconds["recording"] if solution is not None else 0.0))
        found = found or _found(task, solution, message)
        if seconds[-1] > _SHORT or solution is None:
            break
    return {**found, "seconds": min(seconds)}


def _solve(task: Task, horizon: float) -> tuple[Solution | None, str]:
    start, began = task.case.build(), time.monotonic()

    def watch(*_: Any) -> None:
        if time.monotonic() - began > task.limit:
            raise _TooLongError

    times = np.concatenate([[0.0], horizon * TIMES])
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):  # what peers say of stiffness, and overflows on the way to failure
            warnings.simplefilter("ignore")
            solution = solve(start.flow, start.initial, horizon, method_of(task.method), rtol=task.rtol, atol=1e-3 * task.rtol,
                             record=at(times), max_steps=_MOST, progress=watch)  # fmt: skip
    except _TooLongError:
        return None, f"given up after {task.limit:g} s"
    except (MemoryError, ValueError) as error:
        return None, str(error)
    return solution, solution.message


def _found(task: Task, solution: Solution | None, message: str) -> dict[str, Any]:
    n, count = task.case.build().flow.pack(task.case.build().initial).size, len(TIMES)
    times, energy, drift, final = task.case.horizon * TIMES, *np.full((2, count), np.nan), np.full(n, np.nan)
    nothing = {"times": times, "energy": energy, "drift": drift, "final": final}
    if solution is None:
        counts = dict.fromkeys(("evaluations", "spectral_radius", "steps", "rejected"), -1)
        return {"status": "gave up", "message": message, **counts, **nothing}
    counts = solution.counts
    reached, frames = np.isin(times, solution.times), np.isin(solution.times, times)
    energy[reached] = solution.energy[frames]
    if "invariant_drift" in solution.diagnostics:
        drift[reached] = np.asarray(solution.diagnostics["invariant_drift"])[frames]
    if solution.status.ok:
        final[:] = task.case.build().flow.pack(solution.final)
    return {
        "status": solution.status.value, "message": message, "steps": counts["steps"], "rejected": counts.get("rejected", 0),
        "evaluations": counts["rhs"] + counts.get("jacobian", 0), **nothing,
        "spectral_radius": counts.get("spectral_radius", 0),
    }  # fmt: skip
