"""What the study runs: problems, sizes, seeds, and how small its reference's own error has to be."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow.studies.chaos.errors import Task
from wflow.studies.chaos.problems import BUILT_IN, Problem, built_in

__all__ = ["DEFAULT_SIZES", "Plan", "plan"]

DEFAULT_SIZES = (50, 100, 200, 400, 800, 1600, 3200)
_PARTICLES = {"grid": 24_000}  # of all seeds of a size, about: small sizes are cheap and get more seeds,
_CHEAP = 32_000  # where a particle costs less, too,
_FEWEST, _MOST = 20, 128  # within these
_FEW = 32  # seeds of quasi-Monte-Carlo and quantised starts
_HALVES = 400  # largest size at which the bias of E is measured
_W2_SEEDS = 4
_QUICK_PROBLEMS = ("bandit tanh", "bandit relu", "linear")
_QUICK_SIZES, _QUICK_SEEDS, _QUICK_W2 = (32, 64, 128, 256), 12, 1


@dataclass(frozen=True)
class Plan:
    """A study, ready to be run; made by `plan`.

    Attributes
    ----------
    problems : tuple of Problem
    sizes : tuple of int
        N of the i.i.d. starts, increasing, even.
    seeds : mapping
        ``{problem name: {N: number of i.i.d. starts}}``.
    w2_seeds : int
        I.i.d. starts of each size for which W2 is computed.
    other_sizes : mapping
        ``{"qmc": (...), "quantised": (...)}``.
    seed : int
        Of everything random.
    fraction, w2_fraction : float
        Of the smallest error measured, what the reference's own may be: in f and in E; in W2, where squares add up, so that W2 against a
        cloud that is r W2 from the truth is off by about r²/2 of itself.
    """

    problems: tuple[Problem, ...]
    sizes: tuple[int, ...]
    seeds: Mapping[str, Mapping[int, int]]
    w2_seeds: int
    other_sizes: Mapping[str, tuple[int, ...]]
    seed: int
    fraction: float = 0.25
    w2_fraction: float = 0.65

    def times(self, problem: Problem) -> Array:
        """T/64, T/32, ..., T: where errors are measured."""
        return problem.horizon * 2.0 ** np.arange(-6.0, 1.0)

    def cloud_times(self, problem: Problem) -> Array:
        """T/4 and T: where W2 is."""
        return self.times(problem)[[-3, -1]]

    def curves(self) -> dict[str, tuple[int, ...]]:
        """Sizes by start."""
        return {"iid": self.sizes, **self.other_sizes}

    def first_reference(self) -> int:
        """Size of the smaller of the first two references: a power of two, twice the largest N or more."""
        return 1 << max(10, math.ceil(math.log2(2 * max(max(sizes) for sizes in self.curves().values()))))

    def pilot(self, problem: Problem, reference: str, w2_size: int) -> list[Task]:
        """A few runs of the largest size of each curve: how small errors get."""
        runs = [Task(problem, kind, max(sizes), numbers, self.seed, reference) for kind, sizes in self.curves().items()
                for numbers in ([(0, 1)] if kind == "iid" else [tuple(range(k, k + 4)) for k in range(0, _FEW // 4, 4)])]  # fmt: skip
        return [*runs, Task(problem, "iid", max(self.sizes), (0,), self.seed, reference, w2_size if self.w2_seeds else 0)]

    def tasks(self, problem: Problem, reference: str, w2_size: int) -> list[Task]:
        """All runs of a problem, in tasks of a few seconds or less; W2 one start at a time."""
        found: list[Task] = []
        for kind, sizes in self.curves().items():
            for n in sizes:
                count = self.seeds[problem.name][n] if kind == "iid" else _FEW
                halves = kind == "iid" and n <= max(_HALVES, self.sizes[0])
                with_w2 = min(self.w2_seeds, count) if kind == "iid" else 0
                found += [Task(problem, kind, n, (k,), self.seed, reference, w2_size, halves) for k in range(with_w2)]
                step = max(1, 4000 // (n + 50))
                for k in range(with_w2, count, step):
                    found.append(Task(problem, kind, n, tuple(range(k, min(k + step, count))), self.seed, reference, 0, halves))
        return found

    def describe(self) -> dict[str, Any]:
        """Plain numbers and text, for the file and to tell one study from another."""
        problems = [{**asdict(problem), "make": f"{problem.make.__module__}.{problem.make.__qualname__}"} for problem in self.problems]
        seeds = {name: {str(n): count for n, count in counts.items()} for name, counts in self.seeds.items()}
        return {**asdict(self), "problems": problems, "seeds": seeds}


def plan(
    problems: Sequence[str | Problem] | None = None,
    *,
    sizes: Sequence[int] | None = None,
    seeds: int | Mapping[int, int] | None = None,
    w2_seeds: int | None = None,
    seed: int = 0,
    quick: bool = False,
) -> Plan:
    """The study that `wflow.studies.chaos.run` would run; its arguments and errors are described there."""
    if problems is not None and not isinstance(problems, (str, Problem, Sequence)):
        raise TypeError(f"problems must be names or wflow.studies.chaos.Problem; got {_checks.show(problems)}")
    if isinstance(problems, (str, Problem)):
        problems = [problems]
    given = tuple(problems) if problems is not None else _QUICK_PROBLEMS if quick else BUILT_IN
    if not given:
        raise ValueError("problems must be one or more; got none")
    chosen = tuple(_problem(problem) for problem in given)
    names = [problem.name for problem in chosen]
    if len(set(names)) < len(names):
        raise ValueError(f"problems must have different names; got {', '.join(names)}")
    ladder = _sizes(sizes if sizes is not None else _QUICK_SIZES if quick else DEFAULT_SIZES)
    count = seeds if seeds is not None else _QUICK_SEEDS if quick else None
    w2_count = _checks.integer("w2_seeds", w2_seeds if w2_seeds is not None else _QUICK_W2 if quick else _W2_SEEDS, at_least=0)
    others = {"qmc": _powers(ladder), "quantised": tuple(n for n in ladder if 16 * n <= ladder[-1])[:3]}
    if len(others["quantised"]) < 2:
        others["quantised"] = ladder[:2]
    return Plan(
        chosen, ladder, {problem.name: _seeds(problem, ladder, count) for problem in chosen}, w2_count, others,
        _checks.integer("seed", seed, at_least=0),
    )  # fmt: skip


def _problem(given: str | Problem) -> Problem:
    if isinstance(given, Problem):
        return given
    if not isinstance(given, str):
        raise TypeError(f"problems must be names or wflow.studies.chaos.Problem; got {_checks.show(given)}")
    from wflow.neurons import activations

    group, _, activation = given.partition(" ")
    if group in ("bandit", "grid") and activation:
        activations.get(activation)
        return built_in(group, activation)
    _checks.choice("problem", given, BUILT_IN)
    return built_in(given)


def _sizes(given: Sequence[int]) -> tuple[int, ...]:
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise TypeError(f"sizes must be a sequence of integers; got {_checks.show(given)}")
    sizes = tuple(_checks.integer(f"sizes[{k}]", n, at_least=4) for k, n in enumerate(given))
    if len(sizes) < 3 or any(b <= a for a, b in pairwise(sizes)) or any(n % 2 for n in sizes):
        raise ValueError(f"sizes must be three or more, increasing and even; got {_checks.show(list(sizes))}")
    _checks.memory("sizes", sizes[-1], 2000.0 * sizes[-1])
    return sizes


def _powers(sizes: tuple[int, ...]) -> tuple[int, ...]:
    """Powers of two, where Sobol points are balanced, between the first size and a sixth of the last; two at least."""
    low, high = math.ceil(math.log2(sizes[0])), math.floor(math.log2(sizes[-1] / 6))
    return tuple(2**k for k in range(low, max(high, low + 1) + 1))


def _seeds(problem: Problem, sizes: tuple[int, ...], given: int | Mapping[int, int] | None) -> dict[int, int]:
    if given is None:
        particles = _PARTICLES.get(problem.group, _CHEAP)
        return {n: int(np.clip(particles // n, _FEWEST, _MOST)) for n in sizes}
    if isinstance(given, Mapping):
        if set(given) != set(sizes):
            raise ValueError(f"seeds must give a number for each of the sizes {list(sizes)}; got {_checks.show(dict(given))}")
        return {n: _checks.integer(f"seeds[{n}]", given[n], at_least=2) for n in sizes}
    return dict.fromkeys(sizes, _checks.integer("seeds", given, at_least=2))


