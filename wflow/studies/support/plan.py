"""The study as planned: problems, times, sizes and tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow.studies.support.problems import BUILT_IN, Problem, built_in

__all__ = ["Plan", "Task", "plan"]

_SIZE, _QUICK_SIZE = 4096, 1024
_NODES, _QUICK_NODES = (50, 100, 200, 400, 800), (50, 100, 200)
_QUICK_PROBLEMS = ("bandit tanh 97", "bandit relu 97")


@dataclass(frozen=True)
class Task:
    """One part of the study of one problem.

    Attributes
    ----------
    problem : Problem
    part : str
        "flow", "surface", "tear" or "escape".
    size : int
        Particles of the separating start.
    seed : int
    quick : bool
    """

    problem: Problem
    part: str
    size: int
    seed: int
    quick: bool

    @property
    def times(self) -> Array:
        """0, then four a decade from T/10⁴ to the horizon T."""
        return np.concatenate([[0.0], self.problem.horizon * np.geomspace(1e-4, 1.0, 17)])

    @property
    def long_times(self) -> Array:
        """The same on to 100 T, or 10 T in a quick study."""
        decades = 5 if self.quick else 6
        return np.concatenate([[0.0], self.problem.horizon * np.geomspace(1e-4, 10.0 ** (decades - 4), 4 * decades + 1)])

    @property
    def rtol(self) -> float:
        """Of the runs whose gaps are followed."""
        return 1e-3 if self.quick else 1e-4

    def generator(self, k: int) -> np.random.Generator:
        """The k-th start's own, the same in every part."""
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(k,)))


@dataclass(frozen=True)
class Plan:
    """What a study will do; `wflow.studies.support.run` says what its arguments are."""

    problems: tuple[Problem, ...]
    size: int
    nodes: tuple[int, ...]
    seed: int
    quick: bool

    def tasks(self, problem: Problem) -> list[Task]:
        """Parts of a problem; tears one number of nodes at a time."""
        parts = [Task(problem, part, self.size, self.seed, self.quick) for part in ("flow", "surface", "escape")]
        ladder = self.nodes if problem.nodes else ()
        return parts + [Task(problem.refined(n), "tear", self.size // 2, self.seed, self.quick) for n in ladder]

    def describe(self) -> dict[str, Any]:
        """Plain numbers and text, for the file and to tell one study from another."""
        problems = [{**asdict(problem), "make": f"{problem.make.__module__}.{problem.make.__qualname__}"} for problem in self.problems]
        return {**asdict(self), "problems": problems}


def plan(problems: str | Problem | Sequence[str | Problem] | None = None, *, size: int | None = None, seed: int = 0,
         quick: bool = False) -> Plan:  # fmt: skip
    """The study that `wflow.studies.support.run` would run; its arguments and errors are described there."""
    if problems is not None and not isinstance(problems, (str, Problem, Sequence)):
        raise TypeError(f"problems must be names or wflow.studies.support.Problem; got {_checks.show(problems)}")
    default_problems = _QUICK_PROBLEMS if quick else BUILT_IN
    given = (problems,) if isinstance(problems, (str, Problem)) else default_problems if problems is None else problems
    chosen = tuple(_problem(problem) for problem in given)
    if not chosen:
        raise ValueError("problems must be one or more; got none")
    names = [problem.name for problem in chosen]
    if len(set(names)) < len(names):
        raise ValueError(f"problems must have different names; got {', '.join(names)}")
    default = _QUICK_SIZE if quick else _SIZE
    size = default if size is None else _checks.integer("size", size, at_least=64)
    _checks.memory("size", size, 4000.0 * size)
    return Plan(chosen, size, _QUICK_NODES if quick else _NODES, _checks.integer("seed", seed, at_least=0), bool(quick))


def _problem(given: str | Problem) -> Problem:
    if isinstance(given, Problem):
        return given
    if not isinstance(given, str):
        raise TypeError(f"problems must be names or wflow.studies.support.Problem; got {_checks.show(given)}")
    words = given.split()
    if not (2 <= len(words) <= 3 and words[0] in ("bandit", "grid") and (len(words) == 2 or words[2].isdecimal())):
        _checks.choice("problem", given, BUILT_IN)  # refuses, with near matches
    return built_in(words[0], words[1], seed=int(words[2]) if len(words) == 3 else None)
