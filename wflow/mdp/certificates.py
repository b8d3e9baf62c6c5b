"""How far a policy is from the optimum: a two-sided certificate without it, the exact gap with it (math.md §2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wflow import _checks
from wflow._checks import Array
from wflow.mdp import _kernels
from wflow.mdp.evaluation import PolicyEvaluation
from wflow.mdp.model import MDP
from wflow.mdp.optimum import Optimum

__all__ = ["GapCertificate", "exact_gap", "gap_certificate", "statewise_kl"]


@dataclass(frozen=True)
class GapCertificate:
    """``lower ≤ E* − E ≤ upper``."""

    lower: float
    upper: float


def gap_certificate(mdp: MDP, evaluation: PolicyEvaluation) -> GapCertificate:
    """Two-sided bound on E* − E from the policy alone.

    By the statewise identity ``T V − V = τ KL(π | π_G)``, π_G ∝ exp(Q/τ) the Gibbs policy,
    ``τ ρ0·KL(π | π_G) ≤ E* − E ≤ τ/(1 − γ) max_i KL(π_i | π_G,i)``. At τ = 0 there is no π_G; the same bounds are then taken
    with the greedy Bellman residual ``T V − V = max_j Q_ij − V_i`` itself. O(n_s n_a).
    """
    if mdp.temperature > 0.0:
        residual = mdp.temperature * _kernels.gibbs_divergence(
            evaluation.action_value, mdp.temperature, evaluation.log_policy, evaluation.policy, mdp.actions.weights
        )
    else:
        residual = _regret(evaluation, evaluation.action_value, mdp.actions.weights)
    return GapCertificate(float(mdp.initial @ residual), float(residual.max()) / (1.0 - mdp.discount))


def exact_gap(mdp: MDP, evaluation: PolicyEvaluation, optimum: Optimum) -> float:
    """E* − E as a sum of non-negative terms, so that gaps far below the rounding of E itself come out right.

    ``τ sum_i ϱ_i KL(π_i | π*_i)``; at τ = 0 ``sum_i ϱ_i sum_j w_j π_ij (V*_i − Q*_ij)``, the performance difference with the
    optimum. Its relative error is that of log π − log π*, about 1e-15 divided by their distance. O(n_s n_a).
    """
    if mdp.temperature > 0.0:
        excess = mdp.temperature * _kernels.divergence(
            evaluation.log_policy, optimum.log_policy, evaluation.policy, optimum.policy, mdp.actions.weights
        )
    else:
        excess = _regret(evaluation, optimum.action_value, mdp.actions.weights)
    return float(evaluation.occupancy @ excess)


def _regret(evaluation: PolicyEvaluation, action_value: Array, weights: Array) -> Array:
    """``sum_j w_j π_ij (max_k Q_ik − Q_ij)``, shape (n_s,): non-negative term by term."""
    loss = action_value.max(axis=1, keepdims=True) - action_value
    regret: Array = np.einsum("ij,ij,j->i", evaluation.policy, loss, weights)
    return regret


def statewise_kl(log_p: npt.ArrayLike, log_q: npt.ArrayLike, weights: npt.ArrayLike) -> Array:
    """KL(p_i | q_i) in nats for each state, accurate to rounding however close p and q are.

    For normalised densities ``KL = sum_j w_j p_j (x_j + e^{−x_j} − 1)``, x = log p − log q: every term is non-negative, where
    ``sum w p x`` would cancel. One pass, O(n_s n_a).

    Parameters
    ----------
    log_p, log_q : ndarray, shape (n_s, n_a)
        Log densities; −inf is allowed (the result is infinite where q vanishes and p does not).
    weights : ndarray, shape (n_a,)

    Returns
    -------
    ndarray, shape (n_s,)
    """
    log_p = _log_density("log_p", log_p, (None, None))
    log_q = _log_density("log_q", log_q, log_p.shape)
    weights = _checks.array("weights", weights, (log_p.shape[1],), above=0.0)
    return _kernels.divergence(log_p, log_q, np.exp(log_p), np.exp(log_q), weights)


def _log_density(name: str, value: npt.ArrayLike, shape: Sequence[int | None]) -> Array:
    log_density = _checks.array(name, value, shape, finite=False)
    if not (log_density <= np.log(_checks.LARGEST)).all():  # NaN included
        raise ValueError(f"{name} must hold logarithms of densities, at most {np.log(_checks.LARGEST):.3g}; got {_checks.show(value)}")
    return log_density
