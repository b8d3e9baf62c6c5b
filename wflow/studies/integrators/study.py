"""The study run: references first, then every method at every tolerance, one after the other so that times mean something."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from wflow import provenance
from wflow.parallel import check_workers
from wflow.studies._parts import Mapped, checked_path, mapper, parts
from wflow.studies._progress import telling
from wflow.studies.integrators import reference
from wflow.studies.integrators.cases import Case
from wflow.studies.integrators.plan import Plan, plan
from wflow.studies.integrators.results import CaseRuns, Integrators, Point
from wflow.studies.integrators.runs import run as one_run

__all__ = ["run"]


def run(
    cases: str | Case | Sequence[str | Case] | None = None,
    *,
    methods: str | Sequence[str] | None = None,
    tolerances: float | Sequence[float] | None = None,
    repeats: int = 3,
    limit: float | None = None,
    quick: bool = False,
    path: str | Path | None = None,
    force: bool = False,
    workers: int | None = 1,
    executor: Executor | None = None,
    progress: bool = False,
) -> Integrators:
    """Work against precision of integrators on these flows: ours, SciPy's, and peers that are installed.

    Parameters
    ----------
    cases : sequence of str or Case, or None
        Names such as "bandit tanh long", "grid relu short", "decay", or cases of your own; None: all that are built in, with `quick` three.
    methods : sequence of str or None
        Names in ``wflow.integrators``, "extensisq:CLASS", "diffrax:SOLVER"; None: `METHODS`, without those whose library is missing.
    tolerances : sequence of float or None
        rtol; atol is a thousandth of it. None: 1e-2, 1e-3, ..., 1e-6.
    repeats : int
        Of runs shorter than half a second: the shortest time counts.
    limit : float or None
        Seconds after which a run is given up, and shown as such; None: 60.
    quick : bool
        A first look in under half a minute.
    path : path or None
        HDF5 file for the results; while the study goes on its parts lie beside it in ``FILE.parts``, and the same call goes on with
        them after an interruption. None: kept in memory.
    force : bool
        Replace `path` and parts of another study.
    workers, executor
        As ``wflow.parallel.map_runs``. One process unless told otherwise: runs beside each other take each other's time.
    progress : bool
        Tell on stderr.

    Returns
    -------
    Integrators

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above; before any work.
    ImportError
        If the library of a method that was asked for is missing.
    FileExistsError
        If `path` exists, or the parts of another study do, and `force` is not set.
    RuntimeError
        If a reference cannot be made; what has ended is kept.
    KeyboardInterrupt
        After Ctrl-C or SIGTERM; what has ended is kept.
    """
    study = plan(cases, methods=methods, tolerances=tolerances, repeats=repeats, limit=limit, quick=quick)
    file = checked_path(path)
    check_workers(workers if executor is None else None, executor)
    for case in study.cases:
        case.build()  # says what is wrong before any work
    with parts(file, study.describe(), force) as folder, telling(progress) as tell:
        results = _measure(study, folder, mapper(folder, tell, workers if executor is None else None, executor))
        if file is not None:
            results.save(file, force=force)
    return results


def _reference(task: tuple[Case, str]) -> dict[str, float]:
    case, path = task
    made = reference.make(case)
    reference.save(made, Path(path))
    return dict(made.own)


def _measure(study: Plan, folder: Path, mapped: Mapped) -> Integrators:
    started = time.perf_counter()
    paths = [str(folder / f"reference-{k}.npz") for k in range(len(study.cases))]
    own = mapped("references", _reference, list(zip(study.cases, paths, strict=True)))
    tasks = [task for case, path in zip(study.cases, paths, strict=True) for task in study.tasks(case, path)]
    values: list[dict[str, Any]] = mapped("runs", one_run, tasks)
    found = {}
    for case, error in zip(study.cases, own, strict=True):
        points = [Point(task.method, task.rtol, **value) for task, value in zip(tasks, values, strict=True) if task.case is case]
        found[case.name] = CaseRuns(case.name, case.horizon, case.smooth, error, points)
    return Integrators(found, {**study.describe(), "provenance": provenance.provenance({}), "seconds": time.perf_counter() - started})
