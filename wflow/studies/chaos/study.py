"""The study run: references first, then all N-particle runs through the sweep engine, then the analysis."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path

import numpy as np

from wflow import provenance
from wflow._checks import Array
from wflow.parallel import check_workers
from wflow.studies._parts import Mapped, checked_path, mapper, parts
from wflow.studies._progress import telling
from wflow.studies.chaos.errors import Task, errors
from wflow.studies.chaos.plan import Plan, plan
from wflow.studies.chaos.problems import Problem
from wflow.studies.chaos.results import Chaos, Curve, ProblemErrors
from wflow.studies.chaos.settle import Chosen, settle

__all__ = ["run"]


def run(
    problems: Sequence[str | Problem] | None = None,
    *,
    sizes: Sequence[int] | None = None,
    seeds: int | Mapping[int, int] | None = None,
    w2_seeds: int | None = None,
    seed: int = 0,
    quick: bool = False,
    path: str | Path | None = None,
    force: bool = False,
    workers: int | None = None,
    executor: Executor | None = None,
    progress: bool = False,
) -> Chaos:
    """Measure how N particles approach the mean-field measure: coupling, function, energy and W2 errors and their rates (math.md §6).

    Parameters
    ----------
    problems : sequence of str or Problem, or None
        Names such as "bandit tanh", "grid relu", "linear", or problems of your own; None: `BUILT_IN`, with `quick` without the grid.
    sizes : sequence of int or None
        N of the i.i.d. starts: three or more, increasing, even. None: 50, 100, ..., 3200. Quasi-Monte-Carlo and quantised starts
        take the smaller sizes.
    seeds : int, mapping or None
        Independent starts for each N, of all or ``{N: number}``; None: as many as the slopes need, more where N is small.
    w2_seeds : int or None
        For how many of them W2 is computed; None: 4.
    seed : int
        Of everything random: same seed, same numbers, whatever the workers.
    quick : bool
        A first look in under half a minute.
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
    Chaos

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above; before any work.
    FileExistsError
        If `path` exists, or the parts of another study do, and `force` is not set.
    RuntimeError
        If a task fails; what has ended is kept, and the same call tries the others again.
    KeyboardInterrupt
        After Ctrl-C or SIGTERM; what has ended is kept.

    Notes
    -----
    Cost: a run of N particles takes about 40 field evaluations, its copies half of that; W2 as `wflow.measures.distances.w2`. Memory
    of a worker: the reference, 65 signals four times over.
    """
    study = plan(problems, sizes=sizes, seeds=seeds, w2_seeds=w2_seeds, seed=seed, quick=quick)
    file = checked_path(path)
    check_workers(workers, executor)
    for problem in study.problems:
        problem.build()  # says what is missing before any work
    with parts(file, study.describe(), force) as folder, telling(progress) as tell:
        results = _measure(study, folder, mapper(folder, tell, workers, executor, "runs" if quick else ""))
        if file is not None:
            results.save(file, force=force)
    return results


def _measure(study: Plan, folder: Path, mapped: Mapped) -> Chaos:
    """References, then all runs."""
    started = time.perf_counter()
    chosen = settle(study, folder, mapped)
    tasks = [task for problem in study.problems for task in study.tasks(problem, chosen[problem.name].path, chosen[problem.name].w2_size)]
    tasks.sort(key=lambda task: -task.work)  # the longest first, so that no worker is left with one at the end
    values = mapped("runs", errors, tasks)
    found = {}
    for problem in study.problems:
        curves = _curves([(task, value) for task, value in zip(tasks, values, strict=True) if task.problem is problem])
        found[problem.name] = _measured(study, problem, chosen[problem.name], curves)
    return Chaos(found, {**study.describe(), "provenance": provenance.provenance({}), "seconds": time.perf_counter() - started})


def _measured(study: Plan, problem: Problem, chosen: Chosen, curves: dict[str, dict[int, Curve]]) -> ProblemErrors:
    times = study.times(problem)
    return ProblemErrors(
        problem.name, problem.group, problem.outside, times, study.cloud_times(problem), chosen.size, chosen.w2_size, dict(chosen.own),
        problem.exact(times, study.sizes), chosen.variances, curves,
    )  # fmt: skip


def _curves(found: Sequence[tuple[Task, Mapping[str, Array]]]) -> dict[str, dict[int, Curve]]:
    """All seeds of a size together, in the order of their numbers."""
    curves: dict[str, dict[int, Curve]] = {}
    for kind, n in dict.fromkeys((task.start, task.n) for task, _ in sorted(found, key=lambda pair: pair[0].n)):
        parts = sorted(((task.seeds, value) for task, value in found if (task.start, task.n) == (kind, n)), key=lambda pair: pair[0])
        arrays = {name: np.concatenate([value[name] for _, value in parts]) for name in parts[0][1]}
        curves.setdefault(kind, {})[n] = Curve(**arrays)
    return curves


