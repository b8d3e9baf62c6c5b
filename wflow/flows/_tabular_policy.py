"""Log-policies as states of a flow: packing, normalising, the norm of their errors, and the value that they climb (math.md §2, §9)."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from wflow import _checks, mdp
from wflow._checks import Array
from wflow.mdp import MDP
from wflow.mdp.evaluation import PolicyEvaluation, _evaluate

__all__ = ["TabularValue", "fisher_rao_bound", "log_normalised", "packed_log_policy", "policy_norm"]


class TabularValue:
    """E(π) = ρ0 · V as a function of a log-policy (n_s, n_a); maximised (``sense = +1``). One LU factorisation a value, O(n_s³)."""

    sense = +1

    def __init__(self, problem: MDP) -> None:
        self.mdp = _checks.instance("mdp", problem, MDP, "a wflow.mdp.MDP")

    def value(self, log_policy: npt.ArrayLike) -> float:
        """E of a normalised log density (n_s, n_a)."""
        return mdp.evaluate(self.mdp, log_policy).objective

    @cached_property
    def optimum(self) -> mdp.Optimum:
        """π* and E*, solved for when first asked for."""
        return mdp.optimum(self.mdp)

    @cached_property
    def optimal_law(self) -> Array:
        """d* (n_s,), the normalised occupancy of π*."""
        return (1.0 - self.mdp.discount) * _evaluate(self.mdp, self.optimum.log_policy).occupancy

    def divergence(self, log_policy: Array) -> float:
        """``sum_i d*_i KL(π*_i | π_i)`` in nats; where π* is deterministic (τ = 0) too."""
        return float(self.optimal_law @ mdp.statewise_kl(self.optimum.log_policy, log_policy, self.mdp.actions.weights))

    def optimal_average(self, values: Array) -> float:
        """``sum_i d*_i sum_j w_j π*_ij values_ij`` of values (n_s, n_a)."""
        return float(np.einsum("i,ij,j,ij->", self.optimal_law, self.optimum.policy, self.mdp.actions.weights, values))

    def standing(self, bellman: PolicyEvaluation) -> dict[str, float]:
        """The gap, its certificate (math.md §2) and sup|δ|."""
        bounds = mdp.gap_certificate(self.mdp, bellman)
        gap = mdp.exact_gap(self.mdp, bellman, self.optimum)
        return {"gap": gap, "gap_lower": bounds.lower, "gap_upper": bounds.upper, "residual": float(np.abs(bellman.advantage).max())}

    def static(self) -> dict[str, Array]:
        """The problem as a stored run keeps it: shape, nodes, action weights, E* and the optimal log-policy."""
        return {
            "shape": np.array(self.mdp.reward.shape), "states": self.mdp.states.nodes, "actions": self.mdp.actions.nodes,
            "action_weights": self.mdp.actions.weights, "optimal_value": np.array(self.optimum.objective),
            "optimal_log_policy": self.optimum.log_policy,
        }  # fmt: skip


def packed_log_policy(problem: MDP, initial: Any) -> Array:
    """`initial`, a finite normalised log density (n_s, n_a) or None for the uniform one, as a fresh flat array (n_s n_a,)."""
    if initial is None:
        return np.full(problem.reward.size, -math.log(problem.actions.total))
    log_policy = _checks.array("initial", initial, problem.reward.shape)
    with np.errstate(over="ignore"):
        mass = np.exp(log_policy) @ problem.actions.weights
    bad = np.flatnonzero(~(np.abs(mass - 1.0) <= 1e-8))
    if len(bad):
        found = f"{float(mass[bad[0]])!r} in state {bad[0]}"
        raise ValueError(f"initial must be a log density: sum_j w_j exp(initial_ij) must be 1; got {found}")
    return log_policy.ravel().copy()


def log_normalised(energy: Array, weights: Array) -> Array:
    """``energy − log sum_j w_j exp(energy_ij)``: the log density (n_s, n_a) of an energy that is known up to functions of the state."""
    shifted = energy - energy.max(axis=1, keepdims=True)
    mass = np.einsum("ij,j->i", np.exp(shifted), weights)  # not BLAS, whose bits may depend on its threads
    density: Array = shifted - np.log(mass)[:, None]
    return density


def policy_norm(error: Array, weights: Array, rtol: float, atol: float) -> float:
    """Root mean square over states and, in the law w/|A|, over actions of an error (n_s n_a,) of log π, over ``atol + rtol``.

    An error of log π is a relative one of π, so its scale is 1 wherever π is small; one that depends on the state only is none.
    """
    errors = error.reshape(-1, weights.size)
    law = weights / weights.sum()
    centred = errors - np.einsum("ij,j->i", errors, law)[:, None]
    return math.sqrt(np.einsum("ij,ij,j->", centred, centred, law) / len(errors)) / (atol + rtol)


def fisher_rao_bound(problem: MDP, t: float, divergence: float) -> float:
    """``τ/((1 − γ)(e^{τt} − 1)) sum_i d*_i KL(π*_i | π_0,i)``, its limit with 1/t at τ = 0; infinite at t = 0 (math.md §9)."""
    tau = problem.temperature
    if divergence == 0.0:
        return 0.0
    if t <= 0.0:
        return math.inf
    rate = tau * math.exp(-tau * t) / -math.expm1(-tau * t) if tau * t > 0.0 else 1.0 / t
    return rate * divergence / (1.0 - problem.discount)
