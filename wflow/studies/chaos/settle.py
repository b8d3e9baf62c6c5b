"""Which reference: the size is doubled until its own error is small beside the smallest error that is measured (math.md §6)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wflow._checks import Array
from wflow.studies.chaos import reference as references
from wflow.studies.chaos.errors import errors, smallest
from wflow.studies.chaos.plan import Plan
from wflow.studies.chaos.problems import Problem

__all__ = ["Chosen", "settle"]

_LARGEST = 2**17  # characteristics
_SAFETY = 0.9  # of the fractions: a pilot knows the smallest errors roughly
_STRIDE = 8  # most by which the size grows at once


@dataclass(frozen=True)
class Chosen:
    """The reference of a problem: its file, its size, how much of its cloud W2 is measured against, and its own errors.

    `own` is that of half the size, so an overestimate: ``energy`` and ``function`` (T,) from the reference of half the size, ``w2``
    (C,) bounds from twice the cloud; and ``replay`` (T,). `variances` (T,) as of `Reference`.
    """

    path: str
    size: int
    w2_size: int
    own: Mapping[str, Array]
    variances: Array


@dataclass(frozen=True)
class _Solve:
    """A reference to be solved."""

    problem: Problem
    size: int
    times: tuple[float, ...]
    cloud_times: tuple[float, ...]
    seed: int
    path: str


def _solve(task: _Solve) -> float:
    """Solve and save it; its wall seconds."""
    found = references.solve_reference(task.problem, task.size, np.array(task.times), np.array(task.cloud_times), task.seed)
    found.save(Path(task.path))
    return found.seconds


def settle(study: Plan, folder: Path, mapped: Callable[..., list[Any]]) -> dict[str, Chosen]:
    """The reference of each problem, by its name.

    A pilot, a few runs of the largest size of each curve, says how small the measured errors get. Two references, one of twice the
    size of the other, say what the size does to E, f and the cloud. Where that is more than the plan's fractions of the pilot's, both
    grow: by 2 or as far as an error of order 1/M asks, at most 8 times at once, to at most 131,072 characteristics.
    """

    def path(problem: Problem, size: int) -> Path:
        return folder / f"reference-{study.problems.index(problem)}-{size}.npz"

    def solve(wanted: Sequence[tuple[Problem, int]]) -> None:
        missing = sorted({(problem, n) for problem, size in wanted for n in (size, size // 2) if not path(problem, n).exists()},
                         key=lambda pair: (-pair[1], study.problems.index(pair[0])))  # fmt: skip
        tasks = [_Solve(problem, n, tuple(study.times(problem)), tuple(study.cloud_times(problem)), study.seed, str(path(problem, n)))
                 for problem, n in missing]  # fmt: skip
        if tasks:
            sizes = sorted({task.size for task in tasks})
            mapped(f"references {' '.join(map(str, sizes))}", _solve, tasks)

    first = 2 * study.first_reference()
    waiting = [(problem, first) for problem in study.problems]
    solve(waiting)
    tasks = [task for problem, size in waiting for task in study.pilot(problem, str(path(problem, size)), size // 2)]
    values = mapped("pilot", errors, tasks)
    by_problem = {problem: [value for task, value in zip(tasks, values, strict=True) if task.problem == problem] for problem, _ in waiting}
    pilots = {problem: smallest(pilot) for problem, pilot in by_problem.items()}
    found: dict[str, Chosen] = {}
    while waiting:
        left = []
        for problem, size in waiting:
            found[problem.name], short = _judge(study, path(problem, size // 2), path(problem, size), pilots[problem])
            if short > 1.0 and size < _LARGEST:
                left.append((problem, min(size * min(_STRIDE, 2 ** math.ceil(math.log2(short))), _LARGEST)))
        waiting = left
        solve(waiting)
    return found


def _judge(study: Plan, half: Path, whole: Path, measured: Mapping[str, Array]) -> tuple[Chosen, float]:
    """The reference in the file `whole`, and by how much its errors exceed what they may be."""
    smaller, reference = references.load(half), references.load(whole)
    own = references.compare(smaller, reference)
    w2_size, own["w2"] = _w2_size(study, reference, measured["w2"])
    allowed = {"energy": _SAFETY * study.fraction, "function": _SAFETY * study.fraction, "w2": study.w2_fraction}
    short = max(float((own[name] / (share * measured[name])).max()) for name, share in allowed.items())
    own["replay"] = reference.replay
    return Chosen(str(whole), reference.size, w2_size, own, reference.variances), short


def _w2_size(study: Plan, reference: references.Reference, smallest_w2: Array) -> tuple[int, Array]:
    """Characteristics that W2 needs: the fewest whose doubling moves the cloud by little enough; none if no W2 is wanted."""
    if study.w2_seeds == 0:
        return 0, np.zeros(len(reference.cloud_times))
    size = 1024
    while True:
        own = references.doubling(reference, size)
        if (own <= study.w2_fraction * smallest_w2).all() or 4 * size > reference.size:
            return size, own
        size *= 2
