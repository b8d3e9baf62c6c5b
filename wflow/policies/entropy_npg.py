"""Natural policy gradient of the entropy-regularised value (math.md §10; Cen, Cheng, Chen, Wei & Chi 2022)."""

from __future__ import annotations

import math

from wflow._checks import Array
from wflow.mdp import PolicyEvaluation
from wflow.policies.base import PolicyMethod, Setting, log_normalise, sup_distance

__all__ = ["EntropyNaturalPolicyGradient"]

_SLACK = 1.0 + 1e-12  # by which a step that was computed as (1 − γ)/τ may exceed it


class EntropyNaturalPolicyGradient(PolicyMethod):
    """``π ∝ π^{1 − ητ/(1−γ)} exp(ηQ/(1 − γ))``, normalised by the action weights. Default step (1 − γ)/τ: soft policy iteration.

    Bounds (τ > 0, 0 < η ≤ (1 − γ)/τ, t ≥ 0), with ``R_t = C1 (1 − ητ)^t + C2``: ``‖Q* − Q_{t+1}‖_∞ ≤ γ R_t``,
    ``‖log π* − log π_{t+1}‖_∞ ≤ 2R_t/τ`` and ``gap_{t+1} ≤ ‖V* − V_{t+1}‖_∞ ≤ 3R_t``, where
    ``C1 = ‖Q* − Q_0‖_∞ + 2τ(1 − ητ/(1−γ)) ‖log π* − log π_0‖_∞`` and, of an oracle with error δ,
    ``C2 = 2δ/(1 − γ) · (1 + γ/(ητ))`` (Cen et al., Theorems 1 and 2). The gap's is `bound`, the others are diagnostics.
    """

    oracles = ("exact", "inexact")

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        mdp = self.mdp
        largest = (1.0 - mdp.discount) / mdp.temperature if mdp.temperature > 0.0 else math.inf
        self.step_size = self.chosen_step(largest, "at temperature 0 the theorem has no largest one")
        self._rate = self.step_size / (1.0 - mdp.discount)
        self.no_bound(
            (mdp.temperature == 0.0, "the theorem is for a temperature above 0 (npg has one for τ = 0)"),
            (self.step_size > largest * _SLACK, f"step_size is above (1 - γ)/τ = {largest:.3g}"),
        )

    def update(self, t: int, evaluation: PolicyEvaluation) -> Array:  # noqa: ARG002
        """One step in every state; O(n_s n_a)."""
        kept = 1.0 - self._rate * self.mdp.temperature
        return log_normalise(kept * evaluation.log_policy + self._rate * self.action_value(evaluation), self.mdp.actions.weights)

    def diagnostics(self, t: int, evaluation: PolicyEvaluation) -> dict[str, float]:
        """Sup-norm distances of Q and log π to the optimum's, each with its bound (the latter two only at τ > 0)."""
        best, tau = self.optimum, self.mdp.temperature
        q_error = sup_distance(best.action_value, evaluation.action_value)
        if tau == 0.0:
            return {"action_value_error": q_error}
        log_error = sup_distance(best.log_policy, evaluation.log_policy)
        if t == 0:
            self._c1 = q_error + 2.0 * tau * max(0.0, 1.0 - self._rate * tau) * log_error
        remainder = self._remainder(t)
        return {
            "action_value_error": q_error,
            "action_value_bound": self.mdp.discount * remainder,
            "log_policy_error": log_error,
            "log_policy_bound": 2.0 * remainder / tau,
        }

    def _remainder(self, t: int) -> float:
        """R_{t−1}; NaN at t = 0 and outside the hypotheses."""
        if t == 0 or self.bound_reason:
            return math.nan
        moved, discount = self.step_size * self.mdp.temperature, self.mdp.discount  # ητ
        c2 = 2.0 * self.setting.oracle.error / (1.0 - discount) * (1.0 + discount / moved)
        return float(self._c1 * max(0.0, 1.0 - moved) ** (t - 1) + c2)

    def bound(self, t: int, evaluation: PolicyEvaluation) -> float:  # noqa: ARG002
        """``3R_{t−1}``; NaN at t = 0."""
        return 3.0 * self._remainder(t)
