"""Softmax policy gradient of the entropy-regularised value (math.md §10; Mei, Xiao, Szepesvári & Schuurmans 2020)."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from wflow.mdp import PolicyEvaluation, exact_gap
from wflow.policies.base import Setting
from wflow.policies.pg import PolicyGradient, mismatch

__all__ = ["EntropyPolicyGradient"]


class EntropyPolicyGradient(PolicyGradient):
    """``θ ← θ + η ∇_θ V_τ(μ)``, τ > 0. Default step ``1/β = (1 − γ)³/(8 + τ(4 + 8 log|A|))``.

    Bound (r in an interval of length 1, equal action weights, μ > 0, η ≤ 1/β): V_τ is β-smooth, and
    ``‖∇V_τ(μ)‖² ≥ 2τ(1 − γ) min μ · min p² · gap(μ)/(|S| ‖d*_μ/μ‖_∞)`` (Mei et al., Lemma 15), hence
    ``gap_t(ρ) ≤ ‖ρ/μ‖_∞ gap_0(μ) exp(−η τ (1 − γ) min μ · sum_{k<t} min p_k² / (|S| ‖d*_μ/μ‖_∞))``: their Theorem 6 with min p
    measured at every iterate in place of its infimum.
    """

    def __init__(self, setting: Setting) -> None:
        if setting.mdp.temperature == 0.0:
            raise ValueError("mdp must have a temperature above 0 for entropy_pg (at 0 it is pg); got 0.0")
        super().__init__(setting)

    def default_step(self) -> float:
        """1/β."""
        mdp = self.mdp
        return (1.0 - mdp.discount) ** 3 / (8.0 + mdp.temperature * (4.0 + 8.0 * math.log(mdp.n_actions)))

    def reasons(self, largest_step: float) -> list[tuple[bool, str]]:
        """Conditions under which the theorem says nothing."""
        _, *others = super().reasons(largest_step)
        return [(float(np.ptp(self.mdp.actions.weights)) > 0.0, "action weights are not equal"), *others]

    def bound(self, t: int, evaluation: PolicyEvaluation) -> float:
        """From the least probability at the iterates before t."""
        mdp, mu = self.mdp, self.start
        if t == 0:
            self._rate = self.step_size * mdp.temperature * (1.0 - mdp.discount) * float(mu.min())
            self._rate /= mdp.n_states * self.optimal_mismatch()
            from_start = replace(evaluation, occupancy=self.start_occupancy(evaluation))
            self._scale = mismatch(mdp.initial, mu) * exact_gap(mdp, from_start, self.optimum)
        bound = self._scale * math.exp(-self._rate * self._squares)
        self._squares += float((mdp.actions.weights * evaluation.policy).min()) ** 2
        return bound
