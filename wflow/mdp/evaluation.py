"""Exact policy evaluation: value, action value, occupancy and advantage from one LU factorisation (math.md §2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wflow import _checks
from wflow._checks import Array
from wflow.mdp import _kernels
from wflow.mdp.model import MDP
from wflow.mdp.resolvent import solve_resolvent

__all__ = ["PolicyEvaluation", "evaluate", "gibbs_policy"]

_TOLERANCE = 1e-8  # on the mass of a policy


@dataclass(frozen=True, eq=False)
class PolicyEvaluation:
    """Everything the Bellman equation says about one policy, π a density with respect to the action weights w.

    Attributes
    ----------
    log_policy, policy : ndarray, shape (n_s, n_a)
        log π and π; ``sum_j w_j π_ij = 1``.
    value : ndarray, shape (n_s,)
        V, the fixed point of ``V_i = sum_j w_j π_ij (Q_ij − τ log π_ij)``.
    action_value : ndarray, shape (n_s, n_a)
        ``Q_ij = r_ij + γ sum_k P_ijk V_k``.
    advantage : ndarray, shape (n_s, n_a)
        ``δ_ij = Q_ij − τ log π_ij − V_i``, with ``sum_j w_j π_ij δ_ij = 0``. Where π_ij = 0 the term τ log π_ij counts zero.
    occupancy : ndarray, shape (n_s,)
        Improper occupancy ϱ, mass 1/(1 − γ).
    objective : float
        ``E = ρ0 · V``.
    """

    log_policy: Array
    policy: Array
    value: Array
    action_value: Array
    advantage: Array
    occupancy: Array
    objective: float


def evaluate(mdp: MDP, log_policy: npt.ArrayLike) -> PolicyEvaluation:
    """Value, occupancy and advantage of a policy, exactly (math.md §2).

    Cost: one LU factorisation, O(n_s³), and O(n_s n_a) elementwise, plus a policy matrix and an expectation of the transition.

    Parameters
    ----------
    mdp : MDP
    log_policy : ndarray, shape (n_s, n_a)
        Log density with respect to the action weights; −inf where the policy has no mass.

    Raises
    ------
    ValueError, TypeError
        If `log_policy` has another shape, holds NaN, or is not normalised: ``sum_j w_j exp(log_policy_ij) = 1`` to 1e-8.
    """
    mdp = _checks.instance("mdp", mdp, MDP, "a wflow.mdp.MDP")
    log_density = _checks.array("log_policy", log_policy, (mdp.n_states, mdp.n_actions), finite=False)
    with np.errstate(over="ignore"):
        mass = np.exp(log_density) @ mdp.actions.weights
    bad = np.flatnonzero(~(np.abs(mass - 1.0) <= _TOLERANCE))
    if len(bad):
        raise ValueError(
            f"log_policy must be a log density: sum_j w_j exp(log_policy_ij) must be 1; got {float(mass[bad[0]])!r} in state {bad[0]}"
        )
    return _evaluate(mdp, log_density)


def _evaluate(mdp: MDP, log_policy: Array, policy: Array | None = None) -> PolicyEvaluation:
    """`evaluate` without its checks, for callers that normalise themselves: log_policy (n_s, n_a), float64, C order, and its exp."""
    if policy is None:
        policy = np.exp(log_policy)
    weighted_policy, reward = _kernels.average_reward(log_policy, policy, mdp.actions.weights, mdp.reward, mdp.temperature)
    value, occupancy = solve_resolvent(mdp.transition.policy_matrix(weighted_policy), mdp.discount, reward, mdp.initial)
    expected = mdp.transition.expect(value)
    action_value, advantage = _kernels.advantage(log_policy, mdp.reward, expected, value, mdp.discount, mdp.temperature)
    return PolicyEvaluation(log_policy, policy, value, action_value, advantage, occupancy, float(mdp.initial @ value))


def gibbs_policy(action_value: npt.ArrayLike, weights: npt.ArrayLike, temperature: float) -> tuple[Array, Array]:
    """Soft maximum ``τ log sum_j w_j exp(Q_ij/τ)``, shape (n_s,), and the log density of π_G ∝ exp(Q/τ), shape (n_s, n_a).

    Applied to Q_V = r + γ P V, the first is the soft Bellman operator T V (math.md §2). Stable for any Q.

    Parameters
    ----------
    action_value : ndarray, shape (n_s, n_a)
    weights : ndarray, shape (n_a,)
        Of the actions; positive.
    temperature : float
        τ > 0.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.
    """
    Q = _checks.array("action_value", action_value, (None, None))
    if Q.size == 0:
        raise ValueError(f"action_value must have at least one state and one action; got shape {Q.shape}")
    w = _checks.array("weights", weights, (Q.shape[1],), above=0.0)
    return _gibbs_policy(Q, w, _checks.real("temperature", temperature, above=0.0))


def _gibbs_policy(action_value: Array, weights: Array, temperature: float) -> tuple[Array, Array]:
    """`gibbs_policy` without its checks."""
    top = action_value.max(axis=1, keepdims=True)
    exponent = (action_value - top) / temperature
    log_mass = np.log(np.einsum("ij,j->i", np.exp(exponent), weights))  # not BLAS, whose bits may depend on its threads
    return top[:, 0] + temperature * log_mass, exponent - log_mass[:, None]
