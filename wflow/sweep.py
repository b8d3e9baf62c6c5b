"""Experiments and sweeps of them: a plan of runs, carried out one after another or side by side, each safe on its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from wflow import config, experiment
from wflow.board import board
from wflow.config import ConfigError
from wflow.loop import solve
from wflow.parallel import Outcome, map_runs
from wflow.progress import Heartbeat
from wflow.record import Record
from wflow.report import label
from wflow.solution import Status
from wflow.storage.collection import Collection

__all__ = ["Job", "execute", "extend", "pending", "perform", "plan"]


def plan(target: str, changes: Sequence[str] = (), sweeps: Sequence[str] = (), seeds: int | None = None) -> dict[str, Any]:
    """The runs of an experiment: for every combination of swept values its parts, for every part its seeds; each setting is tried.

    Parameters
    ----------
    target : str
        Experiment or file (``wflow.config.load``).
    changes : sequence of str
        ``"flow.n_particles=5000"``, for all runs.
    sweeps : sequence of str
        ``"solver.rtol=1e-3,1e-4"``: every value with every value of the others.
    seeds : int or None
        Run seeds 0, ..., `seeds` − 1 instead of those of the file.

    Returns
    -------
    dict
        Plain data: ``name``, ``title``, ``parts``, and ``runs`` with ``part`` (an index), ``seed`` and ``provenance``.

    Raises
    ------
    ConfigError
        One line: file, key, value, what is allowed.
    """
    axes = [config.swept(text) for text in sweeps]
    keys = [axis[0][1] for axis in axes]
    if len(set(keys)) < len(keys):
        raise ConfigError(f"--sweep takes every key once; got {', '.join(keys)}")
    common = [*changes, *([] if seeds is None else [f"seeds={list(range(seeds))}"])]
    result: dict[str, Any] = {"parts": [], "runs": []}
    for combination in product(*axes):
        loaded = config.load(target, [*common, *(text for text, _, _ in combination)])
        result |= {"name": loaded.name, "title": loaded.title}
        setting = {key: value for _, key, value in combination}
        for part in loaded.parts:
            experiment.check(part)
            result["parts"].append(part.describe())
            about = {"experiment": part.name, "title": part.settings.title} | ({"sweep": setting} if setting else {})
            result["runs"] += [
                {"part": len(result["parts"]) - 1, "seed": seed, "provenance": {**about, "seed": seed}} for seed in part.settings.seeds
            ]
    return result


@dataclass(frozen=True)
class Job:
    """One run as a worker gets it: plain data.

    Parameters
    ----------
    part : mapping
        As ``wflow.config.Part.describe`` gives it.
    seed : int
    path : Path
        Its file, which is gone on with if it is there.
    provenance : mapping
    force : bool
        Go on although a process of another host never said that it ended.
    """

    part: Mapping[str, Any]
    seed: int
    path: Path
    provenance: Mapping[str, Any]
    force: bool = False


def perform(job: Job) -> tuple[str, float]:
    """Build and solve one run; how it ended, and after how many seconds."""
    run = experiment.build(config.part_of(job.part), job.seed)
    about = {**run.provenance(), **job.provenance}
    beat = Heartbeat(job.path.with_suffix(".heartbeat"))
    arguments = {**run.arguments, "record": run.schedule, "provenance": about}
    solution = solve(run.flow, run.initial(), path=job.path, resume=True, force=job.force, progress=beat, **arguments)
    return solution.status.value, solution.seconds["total"]


def pending(records: Sequence[Record]) -> list[int]:
    """Numbers of the runs that did not end as they were meant to."""
    return [k for k, record in enumerate(records) if not Status(record.summary["status"]).ok]


def extend(plan: dict[str, Any], records: Sequence[Record], t_end: float | None = None, max_steps: int | None = None) -> list[int]:
    """Change a plan to a later end or to more steps; numbers of the runs that then have something left to do.

    Raises
    ------
    ValueError
        If a run has gone beyond `t_end`, or the new settings cannot be tried.
    """
    reached = max((float(record.frames[-1, 0]) for record in records if len(record.frames)), default=0.0)
    if t_end is not None and not t_end >= reached:
        raise ValueError(f"t_end must be at least {reached:.10g}, which a run has reached; got {t_end:g}")
    left = set(pending(records))
    changes = {key: value for key, value in (("t_end", t_end), ("max_steps", max_steps)) if value is not None}
    for key in changes:
        if any(f"solver.{key}" in run["provenance"].get("sweep", {}) for run in plan["runs"]):
            raise ValueError(f"{key} cannot be changed: it is what the runs were swept over; got {changes[key]:g}")
    for k, record in enumerate(records):
        if t_end is not None and t_end > record.summary["provenance"].get("t_end", -math.inf):
            left.add(k)
    for part in plan["parts"]:
        part["settings"]["solver"] |= changes
        if changes:
            experiment.check(config.part_of(part))
    return sorted(left)


def execute(
    runs: Collection, numbers: Sequence[int], *, workers: int | None = 1, executor: Executor | None = None, force: bool = False,
    quiet: bool = False,
) -> bool:  # fmt: skip
    """Have runs of a collection made or gone on with, and assemble it; whether they were let to end.

    A run that fails is recorded with its cause, and the others go on.

    Parameters
    ----------
    runs : Collection
    numbers : sequence of int
        Which of them.
    workers, executor
        As ``wflow.parallel.map_runs``; one worker beside an executor is none. Every process must see the folder.
    force : bool
        As `Job`.
    quiet : bool
        Show no progress.

    Raises
    ------
    OSError
        If there is no room to assemble them; each run's own file stays.
    """
    plans = runs.plan["runs"]
    parts = [runs.plan["parts"][run["part"]] for run in plans]
    workers = None if executor is not None and workers == 1 else workers
    jobs = [Job(parts[k], plans[k]["seed"], runs.take_up(k), plans[k]["provenance"], force) for k in numbers]
    ended, names, others = True, [label(run["provenance"]) for run in plans], set(range(len(plans))) - set(numbers)
    with board(names, runs.folder, finished=others, quiet=quiet) as show:
        try:
            map_runs(perform, jobs, workers=workers, executor=executor, done=_listener(runs, numbers, show.done))
        except KeyboardInterrupt:
            ended = False
    statuses = [record.summary["status"] for record in runs.records()]
    runs.assemble()
    return ended and not {"interrupted", "waiting"} & set(statuses)


def _listener(runs: Collection, numbers: Sequence[int], tell: Callable[..., None]) -> Callable[[Outcome], bool]:
    """What is done with every outcome: failures are recorded, all are told; True once a run was interrupted."""

    def done(outcome: Outcome) -> bool:
        k = numbers[outcome.index]
        if not outcome.ok:
            runs.fail(k, outcome.error or "")
            tell(k, f"failed: {outcome.error}", failed=True)
            return False
        status, seconds = outcome.value
        tell(k, f"{status} after {seconds:.3g} s", failed=not Status(status).ok)
        return bool(status == "interrupted")

    return done
