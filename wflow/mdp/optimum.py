"""The optimal policy by (soft) policy iteration, with a certified residual (math.md §2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow.mdp.evaluation import PolicyEvaluation, _evaluate, _gibbs_policy
from wflow.mdp.model import MDP

__all__ = ["Optimum", "optimum"]

_MAX_STEPS = 200  # it takes about ten


@dataclass(frozen=True, eq=False)
class Optimum:
    """The optimum of an MDP and what is known of its error.

    Attributes
    ----------
    value : ndarray, shape (n_s,)
        V*.
    action_value : ndarray, shape (n_s, n_a)
        Q*.
    log_policy, policy : ndarray, shape (n_s, n_a)
        log π* and π*, densities with respect to the action weights.
    objective : float
        ``E* = ρ0 · V*``.
    residual : float
        Sup norm of T V − V at `value`, T the (soft) Bellman operator.
    error_bound : float
        ``residual / (1 − γ)``, a bound on the sup norm of V − V* because T contracts by γ.
    residuals : tuple of float
        The residual after each step of policy iteration.
    """

    value: Array
    action_value: Array
    log_policy: Array
    policy: Array
    objective: float
    residual: float
    error_bound: float
    residuals: tuple[float, ...]


def optimum(mdp: MDP, tolerance: float = 1e-12) -> Optimum:
    """Optimal value and policy by policy iteration, which is Newton's method on T V = V.

    τ > 0: soft policy iteration, π ← Gibbs policy of Q_π; quadratic at the end. τ = 0: Howard's policy iteration with
    deterministic policies (density 1/w_j on the first best action, log density −inf elsewhere). It is the residual that ends
    the iteration, not an unchanged policy, so ties cannot make it cycle; steps go on past the tolerance while they still halve
    the residual. One evaluation, O(n_s³ + n_s n_a), a step.

    Parameters
    ----------
    mdp : MDP
    tolerance : float
        Bound on the sup-norm Bellman residual, in units of max(1, max |Q*|, max |V*|).

    Raises
    ------
    RuntimeError
        If the residual does not come under the tolerance.
    """
    mdp = _checks.instance("mdp", mdp, MDP, "a wflow.mdp.MDP")
    tolerance = _checks.real("tolerance", tolerance, above=0.0)
    residuals: list[float] = []
    _, log_policy = _improve(mdp, mdp.reward)
    for _ in range(_MAX_STEPS):
        evaluation = _evaluate(mdp, log_policy)
        allowed = tolerance * max(1.0, float(np.abs(evaluation.action_value).max()), float(np.abs(evaluation.value).max()))
        improved_value, log_policy = _improve(mdp, evaluation.action_value)
        residuals.append(float(np.abs(improved_value - evaluation.value).max()))
        stalled = len(residuals) > 1 and residuals[-1] > residuals[-2] / 2.0
        if residuals[-1] <= allowed and (stalled or residuals[-1] == 0.0):
            return _certified(mdp, evaluation, log_policy, tuple(residuals))
    raise RuntimeError(
        f"policy iteration stopped after {_MAX_STEPS} steps with Bellman residual {min(residuals):.3g}, above {allowed:.3g}; "
        f"raise tolerance (now {tolerance:g})"
    )


def _improve(mdp: MDP, action_value: Array) -> tuple[Array, Array]:
    """T V (n_s,) and the log density (n_s, n_a) that attains it, from Q (n_s, n_a)."""
    if mdp.temperature > 0.0:
        return _gibbs_policy(action_value, mdp.actions.weights, mdp.temperature)
    rows, best = np.arange(mdp.n_states), action_value.argmax(axis=1)
    log_policy = np.full_like(action_value, -np.inf)
    log_policy[rows, best] = -np.log(mdp.actions.weights[best])
    return action_value[rows, best], log_policy


def _certified(mdp: MDP, evaluation: PolicyEvaluation, log_policy: Array, residuals: tuple[float, ...]) -> Optimum:
    return Optimum(
        value=evaluation.value,
        action_value=evaluation.action_value,
        log_policy=log_policy,
        policy=np.exp(log_policy),
        objective=evaluation.objective,
        residual=residuals[-1],
        error_bound=residuals[-1] / (1.0 - mdp.discount),
        residuals=residuals,
    )
