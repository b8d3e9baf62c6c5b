"""Discrete policy methods by name: ``run("npg", mdp, 100)`` (math.md §10)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import numpy.typing as npt

from wflow import _checks
from wflow.mdp import MDP, PolicyEvaluation
from wflow.policies.base import Oracle, PolicyMethod, PolicyRun, Setting
from wflow.policies.runner import prepare, run_method

__all__ = ["Oracle", "PolicyMethod", "PolicyRun", "Setting", "get", "names", "run"]

_METHODS = {
    "pg": "PolicyGradient", "entropy_pg": "EntropyPolicyGradient", "log_barrier_pg": "LogBarrierPolicyGradient",
    "npg": "NaturalPolicyGradient", "entropy_npg": "EntropyNaturalPolicyGradient", "soft_policy_iteration": "SoftPolicyIteration",
    "pmd": "PolicyMirrorDescent", "gpmd": "GeneralisedPolicyMirrorDescent", "q_npg": "QNaturalPolicyGradient",
    "trpo": "TrustRegionPolicyOptimisation", "ppo": "ProximalPolicyOptimisation", "cpi": "ConservativePolicyIteration",
    "reinforce": "Reinforce",
}  # fmt: skip  # module of this room, which bears the method's name -> its class


def names() -> tuple[str, ...]:
    """Names of the methods."""
    return tuple(_METHODS)


def get(name: str) -> type[PolicyMethod]:
    """The class of the method called `name`; a ValueError with near matches if there is none."""
    name = _checks.choice("name", name, names())
    cls: type[PolicyMethod] = getattr(import_module(f"wflow.policies.{name}"), _METHODS[name])
    return cls


def run(
    name: str,
    mdp: MDP,
    n_iterations: int,
    *,
    step_size: float | None = None,
    initial: npt.ArrayLike | None = None,
    start: npt.ArrayLike | None = None,
    oracle: str | Mapping[str, Any] | None = None,
    record: Callable[[int, PolicyEvaluation], object] | None = None,
    progress: Callable[[int, int], object] | None = None,
    **options: Any,
) -> PolicyRun:
    """Run a policy method from an initial policy, its gap and its theorem's bound recorded at every iterate.

    A method runs outside its theorem's hypotheses too; its bound is then NaN, with the reason. Each iteration costs one LU
    factorisation, O(n_s³), products with the transition, and what the method adds.

    Parameters
    ----------
    name : str
        One of `names()`.
    mdp : MDP
    n_iterations : int
        T ≥ 0.
    step_size : float, optional
        η > 0 of the method's formula; its theorem's own if not given.
    initial : ndarray, shape (n_s, n_a), optional
        log π_0 with respect to the action weights, finite. Default: uniform, in probability where τ = 0, in density where τ > 0.
    start : ndarray, shape (n_s,), optional
        Law μ of the first state in what gradient methods ascend; the MDP's ρ0 if not given. Gaps are at ρ0.
    oracle : str or mapping, optional
        ``"exact"``, ``{"error": δ, "seed": s}`` or ``{"trajectories": n, "horizon": H, "seed": s}``, if the method takes it.
    record : callable, optional
        Called as ``record(t, evaluation)`` with the exact evaluation of every iterate.
    progress : callable, optional
        Called as ``progress(t, T)`` after every iterate.
    **options
        The method's own; its class tells them.

    Raises
    ------
    ValueError, TypeError
        Naming the argument that does not fit, before any work.
    FloatingPointError
        If an iterate is worth no finite number.
    """
    cls = get(name)
    for label, function in (("record", record), ("progress", progress)):
        if function is not None and not callable(function):
            raise TypeError(f"{label} must be a function or None; got {_checks.show(function)}")
    method = prepare(cls, name, mdp, n_iterations, step_size, initial, start, oracle, options)
    return run_method(name, method, record, progress, options)
