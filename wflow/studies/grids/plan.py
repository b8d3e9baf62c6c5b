"""The study as planned: problems, ladders of cells and particles, and tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow.flows._finite_volumes import LIMITERS
from wflow.measures import ParticleMeasure
from wflow.studies.grids.problems import BUILT_IN, Problem, built_in, check_cells

__all__ = ["Plan", "Task", "plan"]

_PARTICLES, _QUICK_PARTICLES = (256, 512, 1024, 2048, 4096), (256, 1024, 4096)
_SCRAMBLES, _QUICK_SCRAMBLES = 16, 8
_GAUSS, _QUICK_GAUSS = 32, 28  # nodes along each axis of the reference
_CLOUD, _QUICK_CLOUD = 2**18, 2**15  # Sobol points of the reference's marginals
_TIMES = 64  # at which the reference's energy and its slope are kept


@dataclass(frozen=True)
class Task:
    """One part of the study of one problem.

    Attributes
    ----------
    problem : Problem
    part : str
        "reference", "cells" (a grid and the particles that start at the centres of its cells) or "particles" (Sobol points).
    size : int
        Cells along each axis, or particles; 0 for the reference.
    limiter : str
    seed : int
    quick : bool
    """

    problem: Problem
    part: str
    size: int
    limiter: str
    seed: int
    quick: bool

    @property
    def times(self) -> Array:
        """From 0 to the horizon, evenly."""
        return np.linspace(0.0, self.problem.horizon, _TIMES + 1)

    @property
    def axes(self) -> tuple[Array, ...]:
        """Edges of the grid's cells."""
        return tuple(np.linspace(low, high, self.size + 1) for low, high in self.problem.box)

    def gauss(self) -> list[ParticleMeasure]:
        """The reference's start and one of half its nodes along each axis."""
        n = _QUICK_GAUSS if self.quick else _GAUSS
        return [self.problem.build()[1].gauss(nodes) for nodes in (n, n // 2)]

    def cloud(self) -> ParticleMeasure:
        """The start of the reference's marginals; its first half is the cloud of half its size."""
        return self.problem.build()[1].qmc(_QUICK_CLOUD if self.quick else _CLOUD, self._generator(0))

    def scrambled(self) -> list[ParticleMeasure]:
        """Independently scrambled Sobol starts of `size` particles."""
        law = self.problem.build()[1]
        return [law.qmc(self.size, self._generator(1 + k)) for k in range(_QUICK_SCRAMBLES if self.quick else _SCRAMBLES)]

    def _generator(self, k: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(self.size, k)))


@dataclass(frozen=True)
class Plan:
    """What a study will do; `wflow.studies.grids.run` says what its arguments are."""

    problems: tuple[Problem, ...]
    cells: tuple[int, ...]
    limiter: str
    seed: int
    quick: bool

    def ladder(self, problem: Problem) -> tuple[int, ...]:
        """Cells along each axis."""
        return self.cells or (problem.quick_cells if self.quick else ()) or problem.cells

    def tasks(self, problem: Problem) -> list[Task]:
        """Parts of a problem, the longest first."""
        def task(part: str, size: int) -> Task:
            return Task(problem, part, size, self.limiter, self.seed, self.quick)

        ladder = _QUICK_PARTICLES if self.quick else _PARTICLES
        grids = [task("cells", n) for n in reversed(self.ladder(problem))]
        return [task("reference", 0), *grids, *(task("particles", n) for n in reversed(ladder))]

    def describe(self) -> dict[str, Any]:
        """Plain numbers and text, for the file and to tell one study from another."""
        def name(function: Any) -> str:
            return f"{function.__module__}.{function.__qualname__}" if function else ""

        problems = [{**asdict(problem), "make": name(problem.make), "exact": name(problem.exact)} for problem in self.problems]
        return {**asdict(self), "problems": problems}


def plan(problems: str | Problem | Sequence[str | Problem] | None = None, *, cells: Sequence[int] | None = None, limiter: str = "minmod",
         seed: int = 0, quick: bool = False) -> Plan:  # fmt: skip
    """The study that `wflow.studies.grids.run` would run; its arguments and errors are described there."""
    if problems is not None and not isinstance(problems, (str, Problem, Sequence)):
        raise TypeError(f"problems must be names or wflow.studies.grids.Problem; got {_checks.show(problems)}")
    given = (problems,) if isinstance(problems, (str, Problem)) else BUILT_IN if problems is None else problems
    chosen = tuple(_problem(problem) for problem in given)
    if not chosen:
        raise ValueError("problems must be one or more; got none")
    names = [problem.name for problem in chosen]
    if len(set(names)) < len(names):
        raise ValueError(f"problems must have different names; got {', '.join(names)}")
    ladder = () if cells is None else check_cells("cells", cells)
    _checks.choice("limiter", limiter, LIMITERS)
    study = Plan(chosen, ladder, limiter, _checks.integer("seed", seed, at_least=0), bool(quick))
    for problem in chosen:
        finest = study.ladder(problem)[-1]
        _checks.memory("cells", finest, 300.0 * finest ** len(problem.box))
    return study


def _problem(given: str | Problem) -> Problem:
    if isinstance(given, Problem):
        return given
    if not isinstance(given, str):
        raise TypeError(f"problems must be names or wflow.studies.grids.Problem; got {_checks.show(given)}")
    return built_in(given)
