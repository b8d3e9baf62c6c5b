"""The study run: references first, then all N-particle runs through the sweep engine, then the analysis."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from wflow import _checks, provenance
from wflow._checks import Array
from wflow.parallel import check_workers, map_runs
from wflow.studies._progress import Tell, telling
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
    if path is not None and not isinstance(path, (str, Path)):
        raise TypeError(f"path must be a path or None; got {_checks.show(path)}")
    check_workers(workers, executor)
    for problem in study.problems:
        problem.build()  # says what is missing before any work
    file = None if path is None else Path(path)
    with ExitStack() as stack:
        folder = _passing(stack) if file is None else _take_up(file, study, force)
        tell = stack.enter_context(telling(progress))
        results = _measure(study, folder, _mapper(folder, tell, workers, executor, quick))
    if file is not None:
        results.save(file, force=force)
        shutil.rmtree(folder)
    return results


def _passing(stack: ExitStack) -> Path:
    """A folder that goes with the stack."""
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wflow-")))


def _take_up(file: Path, study: Plan, force: bool) -> Path:
    """The folder of the parts, new or that of the same study."""
    if file.exists() and not force:
        raise FileExistsError(f"{file} exists; force (--force) replaces it, another path leaves it")
    folder = file.with_name(f"{file.name}.parts")
    about = json.dumps(study.describe(), sort_keys=True)
    told = folder / "study.json"
    if folder.exists() and not (told.exists() and told.read_text(encoding="utf-8") == about):
        if not force:
            raise FileExistsError(f"{folder} holds parts of another study; force (--force) throws them away, another path leaves them")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    told.write_text(about, encoding="utf-8")
    return folder


def _mapper(folder: Path, tell: Tell, workers: int | None, executor: Executor | None, quick: bool) -> Callable[..., list[Any]]:
    """A function of a phase's name, a function and its tasks that gives their values; those of earlier calls are kept in the folder.

    What is short, a single task or a quick study's phases before the last, is done here: workers take seconds to start.
    """

    def mapped(phase: str, function: Callable[[Any], Any], tasks: list[Any]) -> list[Any]:
        short = len(tasks) == 1 or (quick and phase != "runs")
        few = 1 if executor is None and short else workers
        with tell(phase, len(tasks)) as done:
            outcomes = map_runs(function, tasks, store=folder / phase.replace(" ", "-"), done=done, workers=few, executor=executor)
        failed = [outcome for outcome in outcomes if not outcome.ok]
        if failed:
            raise RuntimeError(f"{len(failed)} of {len(tasks)} tasks failed ({failed[0].error}); the same call tries them again")
        return [outcome.value for outcome in outcomes]

    return mapped


def _measure(study: Plan, folder: Path, mapped: Callable[..., list[Any]]) -> Chaos:
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


