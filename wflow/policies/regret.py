"""Bounds for natural gradients whose steps or features are not those of the plain theorem, summed along the run (math.md §10).

Both start from the change of ``D_t = sum_i ϱ*_i KL(p*_i | p_t,i)`` under ``p_{t+1} ∝ p_t exp(η_t e_t)``, e_t = <w, φ> (τ = 0):
``η_t (E* − E_t) = D_t − D_{t+1} + η_t err_t + sum_i ϱ*_i (log Z_t,i − η_t E_{p_t} e_t)``,
``err_t = sum_ij ϱ*_i p*_ij (A_t − e_t + E_{p_t} e_t)``, the transfer error (Agarwal, Kakade, Lee & Mahajan 2021, lemma 6.2).
"""

from __future__ import annotations

import numpy as np

from wflow._checks import Array
from wflow.mdp import MDP, Optimum, statewise_kl
from wflow.mdp.evaluation import _evaluate

__all__ = ["FeatureRegret", "TabularRegret"]


class TabularRegret:
    """Where e_t = A_t: ``E* − E_T ≤ (D_0 + max η (max r − min r)/(1 − γ)²) / sum_{t<T} η_t`` for any steps η_t.

    ``log Z_t,i ≤ η_t (V_{t+1} − V_t)_i``, so V rises state by state, gaps fall, and all rises together are at most
    (max r − min r)/(1 − γ). For η_t = η/(1 − γ) it is the bound of the plain theorem. Every state that the optimum visits must move.
    """

    def __init__(self, mdp: MDP, optimum: Optimum, log_policy: Array) -> None:
        self._start = optimal_divergence(mdp, optimum, log_policy)
        self._rise = float(np.ptp(mdp.reward)) / (1.0 - mdp.discount) ** 2
        self._largest = self._total = 0.0
        self._least = float("nan")

    def add(self, step: float, energy: Array, advantage: Array, p: Array) -> None:  # noqa: ARG002
        """A step ``p ∝ p exp(step · energy)``, energy the advantage but for a constant in each state."""
        self._largest, self._total = max(self._largest, step), self._total + step
        self._least = float(np.fmin(self._least, (self._start + self._largest * self._rise) / self._total))

    def bound(self) -> float:
        """On the present gap, the least of those of all steps so far; NaN before the first."""
        return self._least


class FeatureRegret:
    """For any features: the least gap so far is at most ``(D_0 + sum η_t err_t + sum η_t² sum_i ϱ*_i range(e_t,i)²/8) / sum η_t``.

    By Hoeffding's lemma, ``log Z − η E e ≤ η² range(e)²/8``. Holds whatever the features and the fit, at an error that is known only
    with the optimum; it tends to 0 only if the features can fit the advantage where the optimum goes.
    """

    def __init__(self, mdp: MDP, optimum: Optimum, log_policy: Array) -> None:
        self._sum = optimal_divergence(mdp, optimum, log_policy)
        self._total = 0.0
        self._goes = _evaluate(mdp, optimum.log_policy).occupancy
        self._acts = mdp.actions.weights * optimum.policy

    def add(self, step: float, energy: Array, advantage: Array, p: Array) -> None:
        """A step ``p ∝ p exp(step · energy)``; all arrays (n_s, n_a)."""
        missed = advantage - energy + (p * energy).sum(axis=1, keepdims=True)
        error = float(self._goes @ (self._acts * missed).sum(axis=1))
        self._sum += step * error + step**2 * float(self._goes @ np.ptp(energy, axis=1) ** 2) / 8.0
        self._total += step

    def bound(self) -> float:
        """On the least gap so far; NaN before the first step."""
        return self._sum / self._total if self._total > 0.0 else float("nan")


def optimal_divergence(mdp: MDP, optimum: Optimum, log_policy: Array) -> float:
    """``D = sum_i ϱ*_i KL(p*_i | p_i)``, the optimum deterministic or not; O(n_s³)."""
    return float(_evaluate(mdp, optimum.log_policy).occupancy @ statewise_kl(optimum.log_policy, log_policy, mdp.actions.weights))
