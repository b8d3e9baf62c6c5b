"""The study run: every part of every problem is a task of the sweep engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path

from wflow import provenance
from wflow._checks import Array
from wflow.parallel import check_workers
from wflow.studies._parts import Mapped, checked_path, mapper, parts
from wflow.studies._progress import telling
from wflow.studies.support.escape import escape
from wflow.studies.support.plan import Plan, Task, plan
from wflow.studies.support.problems import Problem
from wflow.studies.support.results import ProblemSupport, Support
from wflow.studies.support.runs import flow, surface, tear
from wflow.studies.support.surface import start_mesh

__all__ = ["run"]

_PARTS: dict[str, Callable[[Task], dict[str, Array]]] = {"flow": flow, "surface": surface, "tear": tear, "escape": escape}


def run(
    problems: str | Problem | Sequence[str | Problem] | None = None,
    *,
    size: int | None = None,
    seed: int = 0,
    quick: bool = False,
    path: str | Path | None = None,
    force: bool = False,
    workers: int | None = None,
    executor: Executor | None = None,
    progress: bool = False,
) -> Support:
    """Check what Theorem 4.2 and Lemmas C.1 to C.3 of Agazzi & Lu (2021) say of fixed points and support (math.md §7).

    The separating start's residuals and gap; a certificate that its surface Σ_t still separates, at every recorded time; the tears that
    ReLU's field makes on finite nodes, as these are refined; Liouville's formula for smooth neurons; starts that provably stay below the
    optimum; and the escape from a spurious fixed point.

    Parameters
    ----------
    problems : sequence of str or Problem, or None
        Names such as "bandit tanh", "bandit relu 178" (the teacher's seed), "grid relu", or problems of your own; None: `BUILT_IN`, with
        `quick` the first two.
    size : int or None
        Particles of the separating start, at least 64; None: 4096, with `quick` 1024.
    seed : int
        Of everything random: same seed, same numbers, whatever the workers.
    quick : bool
        A first look in under half a minute: coarser meshes, gaps to ten times the horizon instead of a hundred.
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
    Support

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above, or Θ of a problem is neither the circle, nor S², nor a box in 2 dimensions; before any work.
    FileExistsError
        If `path` exists, or the parts of another study do, and `force` is not set.
    RuntimeError
        If a task fails; what has ended is kept, and the same call tries the others again.
    KeyboardInterrupt
        After Ctrl-C or SIGTERM; what has ended is kept.

    Notes
    -----
    Cost: seconds a part; memory of a worker O(T m V) for V vertices of the surface at T times, some MiB.
    """
    study = plan(problems, size=size, seed=seed, quick=quick)
    file = checked_path(path)
    check_workers(workers, executor)
    for problem in study.problems:
        start_mesh(problem.build()[0].domain, study.quick)  # says what is missing, or not offered, before any work
    with parts(file, study.describe(), force) as folder, telling(progress) as tell:
        results = _measure(study, mapper(folder, tell, workers, executor))
        if file is not None:
            results.save(file, force=force)
    return results


def _part(task: Task) -> dict[str, Array]:
    return _PARTS[task.part](task)


def _measure(study: Plan, mapped: Mapped) -> Support:
    started = time.perf_counter()
    tasks = [(problem.name, task) for problem in study.problems for task in study.tasks(problem)]
    values = mapped("parts", _part, [task for _, task in tasks])
    found = {}
    for problem in study.problems:
        own = [(task, value) for (name, task), value in zip(tasks, values, strict=True) if name == problem.name]
        kept = {task.part: value for task, value in own if task.part != "tear"}
        ladder = [value for task, value in own if task.part == "tear"]
        tears = {n: value["tear"] for n, value in zip(study.nodes, ladder, strict=False)}
        found[problem.name] = ProblemSupport(problem.name, problem.outside, kept, tears)
    return Support(found, {**study.describe(), "provenance": provenance.provenance({}), "seconds": time.perf_counter() - started})
