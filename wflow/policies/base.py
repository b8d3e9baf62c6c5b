"""What a discrete policy method is, how one is run, and what a run leaves (math.md §10).

How a method is written: one file, one subclass of `PolicyMethod`, one line in ``wflow/policies/__init__.py``.

- ``__init__(self, setting, *, option=default, ...)``: calls ``super().__init__(setting)``, checks its options, sets ``self.step_size``,
  and where its theorem does not apply sets ``self.bound_reason``. Its keyword-only parameters are the options that `run` takes.
- ``update(t, evaluation) -> log_policy``: from the exact evaluation of iterate t to iterate t + 1, a normalised log density
  (n_s, n_a). A method may keep parameters of its own (features) in ``self``; iterate 0 is ``self.setting.initial``.
- ``bound(t, evaluation) -> float``: its theorem's bound at iterate t, asked for in order t = 0..T before ``update(t, ...)``, and not at
  all where ``bound_reason`` is set. NaN where the theorem says nothing of this t.
- ``diagnostics(t, evaluation) -> dict``: further numbers, the same keys at every call. `bound` bounds the gap, or the diagnostic
  that the attribute ``bound_of`` names.
- class attribute ``oracles``: of "exact", "inexact", "sampled" those it takes, its default first. An inexact Q is
  ``self.action_value(evaluation)``; a sampled one is the method's own affair, from ``self.setting.oracle`` and ``self.setting.rng``.
- ``evaluate``, ``find_optimum`` and ``gap``: overridden only where the regulariser is not the Shannon entropy.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow.mdp import MDP, Optimum, PolicyEvaluation, exact_gap, optimum
from wflow.mdp.evaluation import _evaluate

__all__ = ["Oracle", "PolicyMethod", "PolicyRun", "Setting", "log_normalise", "sup_distance"]


@dataclass(frozen=True)
class Oracle:
    """How a method learns what its policy is worth.

    Attributes
    ----------
    kind : str
        ``"exact"``; ``"inexact"``: every entry of Q off by ±`error`, signs drawn anew at each iterate; ``"sampled"``: from
        `trajectories` walks of `horizon` steps (None: the method's own choice) at each iterate.
    error : float
        δ, in the units of Q.
    trajectories : int
    horizon : int or None
    seed : int
    """

    kind: str = "exact"
    error: float = 0.0
    trajectories: int = 100
    horizon: int | None = None
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Setting:
    """What every method is given: checked arguments of `run`.

    Attributes
    ----------
    mdp : MDP
    n_iterations : int
    step_size : float or None
        None: the method's theorem's own.
    initial : ndarray, shape (n_s, n_a)
        log π_0, finite and normalised.
    start : ndarray, shape (n_s,), or None
        Law μ of the first state in the function that is ascended; None: the MDP's own ρ0.
    oracle : Oracle
    rng : numpy.random.Generator
        Of the oracle's seed.
    """

    mdp: MDP
    n_iterations: int
    step_size: float | None
    initial: Array
    start: Array | None
    oracle: Oracle
    rng: np.random.Generator


@dataclass(frozen=True, eq=False)
class PolicyRun:
    """What a run of T iterations left; index t of each array is iterate t, 0 the start.

    Attributes
    ----------
    name : str
    gap : ndarray, shape (T + 1,)
        E* − E at the MDP's own ρ0, of the regularised objective where the method has a regulariser.
    value : ndarray, shape (T + 1,)
        E.
    log_policy : ndarray, shape (n_s, n_a)
        Of iterate T: log density with respect to the action weights, −inf where it has no mass.
    bound : ndarray, shape (T + 1,)
        The theorem's bound on `bounded`; NaN where there is none.
    bound_reason : str
        Why there is none; empty where there is one.
    bound_of : str
        ``"gap"``, or the diagnostic that is bounded.
    diagnostics : dict of ndarray, shape (T + 1,)
    counts : dict of int
    seconds : float
        Wall time of the iterations.
    provenance : dict
        Method, step size, oracle and options, in plain data.
    """

    name: str
    gap: Array
    value: Array
    log_policy: Array
    bound: Array
    bound_reason: str
    bound_of: str
    diagnostics: Mapping[str, Array] = field(repr=False)
    counts: Mapping[str, int]
    seconds: float
    provenance: Mapping[str, Any] = field(repr=False)

    @property
    def bounded(self) -> Array:
        """What `bound` bounds, shape (T + 1,)."""
        return self.gap if self.bound_of == "gap" else self.diagnostics[self.bound_of]


class PolicyMethod(ABC):
    """A map from policy to policy with its theorem's bound; the module says how one is written."""

    oracles: ClassVar[tuple[str, ...]] = ("exact",)
    bound_of: str = "gap"

    step_size: float

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.mdp = setting.mdp
        self.bound_reason = ""
        self.counts: dict[str, int] = {}

    @abstractmethod
    def update(self, t: int, evaluation: PolicyEvaluation) -> Array:
        """log π_{t+1} (n_s, n_a), normalised, from the evaluation of π_t."""

    def bound(self, t: int, evaluation: PolicyEvaluation) -> float:  # noqa: ARG002
        """The bound on ``bound_of`` at iterate t."""
        return float("nan")

    def diagnostics(self, t: int, evaluation: PolicyEvaluation) -> dict[str, float]:  # noqa: ARG002
        """Further numbers of iterate t."""
        return {}

    def evaluate(self, log_policy: Array) -> PolicyEvaluation:
        """The exact evaluation of a policy: one LU factorisation."""
        return _evaluate(self.mdp, log_policy)

    def find_optimum(self) -> Optimum:
        """The optimum that gaps are measured from; asked once."""
        return optimum(self.mdp)

    @cached_property
    def optimum(self) -> Optimum:
        """What `find_optimum` found."""
        return self.find_optimum()

    def gap(self, evaluation: PolicyEvaluation) -> float:
        """E* − E at ρ0, exact to rounding however small."""
        return exact_gap(self.mdp, evaluation, self.optimum)

    def action_value(self, evaluation: PolicyEvaluation) -> Array:
        """Q (n_s, n_a) as the oracle tells it: exact, or each entry off by ±δ."""
        oracle = self.setting.oracle
        if oracle.kind != "inexact":
            return evaluation.action_value
        sign = 2.0 * self.setting.rng.integers(0, 2, evaluation.action_value.shape) - 1.0
        told: Array = evaluation.action_value + oracle.error * sign
        return told

    def no_bound(self, *reasons: tuple[bool, str]) -> None:
        """Set `bound_reason` to the first reason whose condition holds; an earlier one stays."""
        self.bound_reason = self.bound_reason or next((reason for holds, reason in reasons if holds), "")

    def chosen_step(self, default: float, why_none: str = "") -> float:
        """The step size that was given, else `default`; a ValueError with `why_none` where that is not a positive number."""
        if self.setting.step_size is not None:
            return self.setting.step_size
        if not 0.0 < default < np.inf:
            raise ValueError(f"step_size must be given: {why_none}; got None")
        return float(default)


def log_normalise(energy: Array, weights: Array) -> Array:
    """``energy_ij − log sum_j w_j exp(energy_ij)``, shape (n_s, n_a): the log density ∝ exp(energy); −inf allowed, not in a whole row."""
    shifted: Array = energy - energy.max(axis=1, keepdims=True)
    shifted -= np.log(np.einsum("ij,j->i", np.exp(shifted), weights))[:, None]
    return shifted


def sup_distance(x: Array, y: Array) -> float:
    """‖x − y‖_∞."""
    return float(np.abs(x - y).max())


def oracle_of(given: str | Mapping[str, Any] | None, allowed: tuple[str, ...]) -> Oracle:
    """The checked oracle: a kind's name, its settings (see ``wflow.policies.run``), or None for the method's default."""
    if given is None or isinstance(given, str):
        return Oracle(_checks.choice("oracle", allowed[0] if given is None else given, allowed))
    if not isinstance(given, Mapping):
        raise TypeError(f"oracle must be one of {', '.join(allowed)} or a mapping of its settings; got {_checks.show(given)}")
    for key in given:
        _checks.choice("oracle", key, ("error", "trajectories", "horizon", "seed"))
    kind = _checks.choice("oracle", "inexact" if "error" in given else "sampled" if "trajectories" in given else allowed[0], allowed)
    if kind == "inexact" and {"trajectories", "horizon"} & given.keys():
        raise ValueError(f"oracle must have an error or trajectories, not both; got {_checks.show(dict(given))}")
    horizon = given.get("horizon")
    return Oracle(
        kind,
        _checks.real("oracle['error']", given.get("error", 0.0), at_least=0.0),
        _checks.integer("oracle['trajectories']", given.get("trajectories", Oracle.trajectories), at_least=1),
        None if horizon is None else _checks.integer("oracle['horizon']", horizon, at_least=1),
        _checks.integer("oracle['seed']", given.get("seed", 0), at_least=0),
    )
