"""The study run: every part of every problem is a task of the sweep engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path

from wflow import provenance
from wflow._checks import Array
from wflow.measures import GridMeasure
from wflow.parallel import check_workers
from wflow.studies._parts import Mapped, checked_path, mapper, parts
from wflow.studies._progress import telling
from wflow.studies.grids.plan import Plan, Task, plan
from wflow.studies.grids.problems import Problem
from wflow.studies.grids.results import Grids, ProblemGrids
from wflow.studies.grids.runs import cells, marginal_distances, particles, reference

__all__ = ["run"]

_PARTS: dict[str, Callable[[Task], dict[str, Array]]] = {"reference": reference, "cells": cells, "particles": particles}
_KEPT = 2**14  # particles of the reference's cloud that are kept for figures


def run(
    problems: str | Problem | Sequence[str | Problem] | None = None,
    *,
    cells: Sequence[int] | None = None,
    limiter: str = "minmod",
    seed: int = 0,
    quick: bool = False,
    path: str | Path | None = None,
    force: bool = False,
    workers: int | None = None,
    executor: Executor | None = None,
    progress: bool = False,
) -> Grids:
    """Check that particles and a grid solve one PDE (math.md §11): both refined, E(t), marginals and W2 meet, at an observed order.

    The PDE is that of the mean-field policy gradient on the bandit (m = 3), from one smooth law in a box. The reference follows
    characteristics from a Gauss quadrature of it, its own error measured by doubling. Finite volumes with SSP-RK3 within their CFL bound
    are refined against it, and so are particles, scrambled Sobol points of the same law. A second problem has a closed form.

    Parameters
    ----------
    problems : sequence of str or Problem, or None
        Names such as "bandit tanh", "bandit gaussian", "attraction", or problems of your own; None: `BUILT_IN`.
    cells : sequence of int or None
        Cells along each axis, three numbers or more, increasing; None: each problem's own.
    limiter : str
        "minmod", "van_leer" or "none" (first order), as `wflow.flows.EulerianFlow` has them.
    seed : int
        Of the scrambled points: same seed, same numbers, whatever the workers.
    quick : bool
        A first look in under half a minute: coarser grids and fewer particles.
    path : path or None
        HDF5 file for the results; while the study goes on its parts lie beside it in ``FILE.parts``, and the same call goes on with
        them after an interruption. None: kept in memory.
    force : bool
        Replace `path` and parts of another study.
    workers, executor
        As ``wflow.parallel.map_runs``; every process must see the folder of `path`, or the machine's own for temporary files.
    progress : bool
        Tell on stderr.

    Returns
    -------
    Grids

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above, or a law does not lie in its box; before any work.
    FileExistsError
        If `path` exists, or the parts of another study do, and `force` is not set.
    RuntimeError
        If a task fails; what has ended is kept, and the same call tries the others again.
    KeyboardInterrupt
        After Ctrl-C or SIGTERM; what has ended is kept.

    Notes
    -----
    Cost of a grid of n^m cells: some hundred evaluations on its cells, steps being set by accuracy and less by the CFL bound, and one
    W2 between clouds of as many atoms as carry mass; memory O(n^m).
    """
    study = plan(problems, cells=cells, limiter=limiter, seed=seed, quick=quick)
    file = checked_path(path)
    check_workers(workers, executor)
    for problem in study.problems:
        task = study.tasks(problem)[1]
        GridMeasure.from_law(task.axes, problem.build()[1], outside=1e-12)  # says what is missing, or lies outside the box
    with parts(file, study.describe(), force) as folder, telling(progress) as tell:
        results = _measure(study, mapper(folder, tell, workers, executor))
        if file is not None:
            results.save(file, force=force)
    return results


def _part(task: Task) -> dict[str, Array]:
    return _PARTS[task.part](task)


def _measure(study: Plan, mapped: Mapped) -> Grids:
    started = time.perf_counter()
    tasks = [task for problem in study.problems for task in study.tasks(problem)]
    values = list(zip(tasks, mapped("parts", _part, tasks), strict=True))
    found = {}
    for problem in study.problems:
        kept: dict[str, dict[int, dict[str, Array]]] = {part: {} for part in _PARTS}
        for task, value in reversed(values):  # the coarsest first
            if task.problem is problem:
                kept[task.part][task.size] = value
        truth = kept["reference"][0]
        cloud = truth["cloud"]
        grids = {n: {**grid, "marginals": marginal_distances(grid, cloud)} for n, grid in kept["cells"].items()}
        found[problem.name] = ProblemGrids(problem.name, problem.outside, {**truth, "cloud": cloud[:_KEPT]}, grids, kept["particles"])
    return Grids(found, {**study.describe(), "provenance": provenance.provenance({}), "seconds": time.perf_counter() - started})
