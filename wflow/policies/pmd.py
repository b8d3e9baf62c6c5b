"""Policy mirror descent with the Kullback–Leibler prox (math.md §10; Lan 2022)."""

from __future__ import annotations

from typing import Any

import numpy as np

from wflow._checks import Array
from wflow.mdp import PolicyEvaluation, statewise_kl
from wflow.policies.base import Setting, log_normalise
from wflow.policies.gpmd import RegularisedMethod
from wflow.policies.pg import mismatch
from wflow.policies.regularisers import Regulariser, Shannon, WithEntropy

__all__ = ["PolicyMirrorDescent"]

_NO_MASS = 1e-12  # of a stationary law, below which a state counts as never visited


class PolicyMirrorDescent(RegularisedMethod):
    """``π ← argmax_p <Q, p> − τ h(p) − KL(p|π)/η_MD``; for Shannon's h ``π ∝ π^a exp(a η_MD Q)``, a = 1/(1 + η_MD τ).

    For Shannon's h it is `entropy_npg` with ``η_MD = η/(1 − γ − ητ)``, at τ = 0 `npg` with ``η = (1 − γ) η_MD``.

    Bound (τ > 0, exact oracle, h − Σ p log p convex, ν* > 0 where ρ0 is): ``gap_t ≤ C2 ‖ρ0/ν*‖_∞ max(γ, a)^t``, ν* a stationary law of
    π*, ``C2 = ν*·(V* − V_0) + (1/η_MD + τ) ν*·KL(π*|π_0)``.

    Parameters
    ----------
    setting : Setting
    regulariser : Regulariser
        h; other than Shannon's entropy it costs two nested bisections an iteration.
    """

    def __init__(self, setting: Setting, *, regulariser: Regulariser = Shannon()) -> None:  # noqa: B008 (frozen)
        super().__init__(setting, regulariser)
        self.no_bound(
            (self.mdp.temperature == 0.0, "the theorem is for a temperature above 0"),
            (setting.oracle.kind != "exact", "the theorem is for an exact oracle"),
            (not self.h.dominates_entropy(1.0 / float(self.mdp.actions.weights.min())), "h plus the entropy is not convex"),
        )

    def update(self, t: int, evaluation: PolicyEvaluation) -> Array:  # noqa: ARG002
        """One prox step in every state; O(n_s n_a) for Shannon's h, else some thousand times that."""
        weights, tau, eta = self.mdp.actions.weights, self.mdp.temperature, self.step_size
        ascended = evaluation.log_policy + eta * self.action_value(evaluation)
        if isinstance(self.h, Shannon):
            return log_normalise(self._kept * ascended, weights)
        return WithEntropy(self.h, 1.0 / (eta * tau)).log_policy(ascended / (eta * tau), weights)

    def bound(self, t: int, evaluation: PolicyEvaluation) -> float:
        """From t = 0 on."""
        if t == 0:
            mdp, best = self.mdp, self.optimum
            stationary = stationary_law(mdp.transition.policy_matrix(mdp.actions.weights * best.policy))
            if ((stationary <= _NO_MASS) & (mdp.initial > 0.0)).any():
                self.no_bound((True, "the optimal policy's stationary law misses a state that starts"))
                return float("nan")
            divergence = statewise_kl(best.log_policy, evaluation.log_policy, mdp.actions.weights)
            c2 = stationary @ (best.value - evaluation.value) + (1.0 / self.step_size + mdp.temperature) * (stationary @ divergence)
            self._scale = float(c2) * mismatch(mdp.initial, stationary)
        return self._scale * max(self.mdp.discount, self._kept) ** t


def stationary_law(policy_matrix: Any) -> Array:
    """A law ν (n_s,) with ``ν P = ν``, the shortest if there are several; O(n_s³)."""
    P: Array = policy_matrix if isinstance(policy_matrix, np.ndarray) else policy_matrix.toarray()
    n_s = len(P)
    balance = np.vstack([P.T - np.eye(n_s), np.ones(n_s)])
    law: Array = np.linalg.lstsq(balance, np.append(np.zeros(n_s), 1.0), rcond=None)[0]
    return np.maximum(law, 0.0)
