"""MDPs whose regulariser is any convex h: value ``V_i = sum_j w_j π_ij Q_ij − τ h(π_i)``, optimum and gap (math.md §10)."""

from __future__ import annotations

import numpy as np

from wflow._checks import Array
from wflow.mdp import MDP, Optimum, PolicyEvaluation
from wflow.mdp.resolvent import solve_resolvent
from wflow.policies.regularisers import Regulariser

__all__ = ["regularised_evaluation", "regularised_gap", "regularised_optimum"]

_MAX_STEPS = 500  # of policy iteration; about ten
_TOLERANCE = 1e-12  # of the Bellman residual, in units of max(1, |Q*|)


def regularised_evaluation(mdp: MDP, h: Regulariser, log_policy: Array) -> PolicyEvaluation:
    """As `wflow.mdp.evaluate`, for τ h; δ is ``Q − V − τ h(π)``, with ``sum_j w_j π_ij δ_ij = 0``. One LU factorisation."""
    policy = np.exp(log_policy)
    weighted, price = mdp.actions.weights * policy, mdp.temperature * h.value(policy, mdp.actions.weights)
    reward = np.einsum("ij,ij->i", weighted, mdp.reward) - price
    value, occupancy = solve_resolvent(mdp.transition.policy_matrix(weighted), mdp.discount, reward, mdp.initial)
    action_value = mdp.reward + mdp.discount * mdp.transition.expect(value)
    advantage = action_value - (value + price)[:, None]
    return PolicyEvaluation(log_policy, policy, value, action_value, advantage, occupancy, float(mdp.initial @ value))


def regularised_optimum(mdp: MDP, h: Regulariser) -> Optimum:
    """The optimum at τ > 0 by policy iteration, ``π ← argmax_p <Q, p> − τ h(p)``; RuntimeError if its residual stays above 1e-12."""
    tau, weights = mdp.temperature, mdp.actions.weights
    residuals: list[float] = []
    log_policy = h.log_policy(mdp.reward / tau, weights)
    for _ in range(_MAX_STEPS):
        now = regularised_evaluation(mdp, h, log_policy)
        log_policy = h.log_policy(now.action_value / tau, weights)
        improved = _objective(mdp, h, np.exp(log_policy), now.action_value)
        residuals.append(float(np.abs(improved - now.value).max()))
        stalled = len(residuals) > 1 and residuals[-1] > residuals[-2] / 2.0
        if residuals[-1] <= _TOLERANCE * max(1.0, float(np.abs(now.action_value).max())) and (stalled or residuals[-1] == 0.0):
            error = residuals[-1] / (1.0 - mdp.discount)
            policy = np.exp(log_policy)
            return Optimum(now.value, now.action_value, log_policy, policy, now.objective, residuals[-1], error, tuple(residuals))
    raise RuntimeError(f"regularised policy iteration stopped after {_MAX_STEPS} steps with Bellman residual {min(residuals):.3g}")


def regularised_gap(mdp: MDP, h: Regulariser, evaluation: PolicyEvaluation, optimum: Optimum) -> float:
    """``sum_i ϱ_i (V*_i − <Q*_i, π_i> + τ h(π_i))``: the performance difference, every term non-negative up to rounding."""
    excess = optimum.value - _objective(mdp, h, evaluation.policy, optimum.action_value)
    return float(evaluation.occupancy @ excess)


def _objective(mdp: MDP, h: Regulariser, policy: Array, action_value: Array) -> Array:
    """``<Q_i, π_i>_w − τ h(π_i)``, shape (n_s,)."""
    mean = np.einsum("ij,ij,j->i", policy, action_value, mdp.actions.weights)
    objective: Array = mean - mdp.temperature * h.value(policy, mdp.actions.weights)
    return objective
