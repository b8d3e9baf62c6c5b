"""The one loop of the discrete policy methods: checks, iterations, and what they leave."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from wflow import _checks
from wflow._checks import Array
from wflow.mdp import MDP, PolicyEvaluation
from wflow.policies.base import PolicyMethod, PolicyRun, Setting, oracle_of

__all__ = ["initial_policy", "prepare", "run_method"]

_TOLERANCE = 1e-8  # on the mass of a policy


def prepare(
    cls: type[PolicyMethod], name: str, mdp: MDP, n_iterations: int, step_size: float | None, initial: npt.ArrayLike | None,
    start: npt.ArrayLike | None, oracle: str | Mapping[str, Any] | None, options: Mapping[str, Any],
) -> PolicyMethod:  # fmt: skip
    """The method with its arguments and options checked; O(n_s n_a)."""
    mdp = _checks.instance("mdp", mdp, MDP, "a wflow.mdp.MDP")
    allowed = [key for key, p in inspect.signature(cls).parameters.items() if p.kind is p.KEYWORD_ONLY]
    for key in options:
        if key not in allowed:
            hint = _checks.near_matches(key, allowed)
            raise TypeError(f"options: {name} has no option {_checks.show(key)}{hint}; it has {', '.join(allowed) or 'none'}")
    chosen = oracle_of(oracle, cls.oracles)
    setting = Setting(
        mdp=mdp,
        n_iterations=_checks.integer("n_iterations", n_iterations, at_least=0),
        step_size=None if step_size is None else _checks.real("step_size", step_size, above=0.0),
        initial=initial_policy(mdp, initial),
        start=None if start is None else _checks.probability("start", start, (mdp.n_states,)),
        oracle=chosen,
        rng=np.random.default_rng(chosen.seed),
    )
    return cls(setting, **options)


def initial_policy(mdp: MDP, initial: npt.ArrayLike | None = None) -> Array:
    """log π_0 (n_s, n_a): as given, else uniform, in probability where τ = 0 and in density where τ > 0 (math.md §10).

    Raises
    ------
    ValueError, TypeError
        If `initial` has another shape, is not finite, or is not normalised to 1e-8.
    """
    weights, shape = mdp.actions.weights, mdp.reward.shape
    if initial is None:
        uniform = -np.log(len(weights) * weights) if mdp.temperature == 0.0 else np.full(len(weights), -np.log(weights.sum()))
        return np.tile(uniform, (mdp.n_states, 1))
    log_policy = _checks.array("initial", initial, shape)
    with np.errstate(over="ignore"):
        mass = np.exp(log_policy) @ weights
    bad = np.flatnonzero(~(np.abs(mass - 1.0) <= _TOLERANCE))
    if len(bad):
        got = f"{float(mass[bad[0]])!r} in state {bad[0]}"
        raise ValueError(f"initial must be a log density: sum_j w_j exp(initial_ij) must be 1; got {got}")
    return log_policy.copy()


def run_method(
    name: str,
    method: PolicyMethod,
    record: Callable[[int, PolicyEvaluation], object] | None,
    progress: Callable[[int, int], object] | None,
    options: Mapping[str, Any],
) -> PolicyRun:
    """T updates and T + 1 evaluations of a method; memory O(n_s² + n_s n_a) beside the records.

    Raises
    ------
    FloatingPointError
        If an iterate is worth no finite number; the message names the iterate and the step size.
    """
    setting, T = method.setting, method.setting.n_iterations
    gap, value, bound = np.empty(T + 1), np.empty(T + 1), np.full(T + 1, np.nan)
    rows: list[dict[str, float]] = []
    log_policy = setting.initial
    _ = method.optimum  # worked out before the clock starts
    begun = time.perf_counter()
    for t in range(T + 1):
        evaluation = method.evaluate(log_policy)
        if not np.isfinite(evaluation.objective):
            raise FloatingPointError(
                f"{name}: the value at iterate {t} is {evaluation.objective}; take a smaller step_size (now {method.step_size:g})"
            )
        gap[t], value[t] = method.gap(evaluation), evaluation.objective
        rows.append(method.diagnostics(t, evaluation))
        if not method.bound_reason:
            bound[t] = method.bound(t, evaluation)
        if record is not None:
            record(t, evaluation)
        if progress is not None:
            progress(t, T)
        if t < T:
            log_policy = method.update(t, evaluation)
    return PolicyRun(
        name=name,
        gap=gap,
        value=value,
        log_policy=log_policy,
        bound=bound if not method.bound_reason else np.full(T + 1, np.nan),
        bound_reason=method.bound_reason,
        bound_of=method.bound_of,
        diagnostics={key: np.array([row[key] for row in rows]) for key in rows[0]},
        counts={"iterations": T, "evaluations": T + 1, **method.counts},
        seconds=time.perf_counter() - begun,
        provenance={
            "method": name, "n_iterations": T, "step_size": method.step_size, "oracle": asdict(setting.oracle), "mdp": repr(setting.mdp),
            "options": {key: _checks.show(x) if not isinstance(x, (bool, int, float, str)) else x for key, x in options.items()},
        },
    )  # fmt: skip
