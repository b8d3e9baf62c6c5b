"""The study as planned: cases, methods, ladders of tolerances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from wflow import _checks
from wflow.studies.integrators import peers
from wflow.studies.integrators.cases import BUILT_IN, Case, built_in
from wflow.studies.integrators.runs import Task

__all__ = ["METHODS", "Plan", "plan"]

METHODS = (
    "rkc2", "rkl2", "tsit5", "bs3", "newton_krylov", "RK23", "RK45", "DOP853", "extensisq:BS5", "extensisq:SSV2stab", "diffrax:Tsit5",
)  # fmt: skip
_LADDER, _QUICK_LADDER = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6), (1e-2, 1e-3, 1e-4)
_QUICK_CASES, _QUICK_METHODS = ("bandit tanh long", "bandit relu long", "linear"), ("rkc2", "tsit5", "RK45")
_LIMIT, _QUICK_LIMIT = 60.0, 5.0


@dataclass(frozen=True)
class Plan:
    """What a study will do; `wflow.studies.integrators.run` says what its arguments are."""

    cases: tuple[Case, ...]
    methods: tuple[str, ...]
    tolerances: tuple[float, ...]
    repeats: int
    limit: float

    def tasks(self, case: Case, reference: str) -> list[Task]:
        """All runs of a case, loose tolerances first."""
        return [Task(case, method, rtol, self.repeats, self.limit, reference) for rtol in self.tolerances for method in self.methods]

    def describe(self) -> dict[str, Any]:
        """Plain numbers and text, for the file and to tell one study from another."""
        cases = [{**asdict(case), "make": f"{case.make.__module__}.{case.make.__qualname__}"} for case in self.cases]
        return {**asdict(self), "cases": cases}


def plan(cases: Any = None, *, methods: Any = None, tolerances: Any = None, repeats: int = 3, limit: float | None = None,
         quick: bool = False) -> Plan:  # fmt: skip
    """The study that `wflow.studies.integrators.run` would run; its arguments and errors are described there."""
    given = _several("cases", cases, (str, Case), _QUICK_CASES if quick else BUILT_IN)
    chosen = tuple(case if isinstance(case, Case) else built_in(case) for case in given)
    names = [case.name for case in chosen]
    if len(set(names)) < len(names):
        raise ValueError(f"cases must have different names; got {', '.join(names)}")
    known = _QUICK_METHODS if quick else peers.available(METHODS)
    used = tuple(dict.fromkeys(peers.check(name) for name in _several("methods", methods, str, known)))
    ladder = _several("tolerances", tolerances, (int, float), _QUICK_LADDER if quick else _LADDER)
    rtols = tuple(_checks.real(f"tolerances[{k}]", rtol, above=1e-14, below=1.0) for k, rtol in enumerate(ladder))
    allowed = (_QUICK_LIMIT if quick else _LIMIT) if limit is None else _checks.real("limit", limit, above=0.0)
    return Plan(chosen, used, tuple(sorted(set(rtols), reverse=True)), _checks.integer("repeats", repeats, at_least=1), allowed)


def _several(name: str, given: Any, kinds: Any, default: Sequence[Any]) -> tuple[Any, ...]:
    """One or more of a kind as a tuple."""
    if given is None:
        return tuple(default)
    if isinstance(given, kinds):
        return (given,)
    if not isinstance(given, Sequence) or isinstance(given, (str, bytes)) or len(given) == 0:
        raise TypeError(f"{name} must be one or a sequence of them; got {_checks.show(given)}")
    return tuple(given)
