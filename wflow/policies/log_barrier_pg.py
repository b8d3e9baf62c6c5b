"""Softmax policy gradient with a log barrier (math.md §10; Agarwal, Kakade, Lee & Mahajan 2021)."""

from __future__ import annotations

import math

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow.mdp import PolicyEvaluation
from wflow.policies.base import Setting
from wflow.policies.pg import PolicyGradient, mismatch

__all__ = ["LogBarrierPolicyGradient"]


class LogBarrierPolicyGradient(PolicyGradient):
    """Ascent of ``L = V(μ) + λ/(|S||A|) sum log p``. Default step ``1/β_λ``, ``β_λ = 8/(1 − γ)³ + 2λ/|S|``.

    Bound (τ = 0, μ > 0): wherever ``‖∇L‖ ≤ λ/(2|S||A|)``, ``gap(ρ) ≤ 2λ/(1 − γ) ‖d*_ρ/μ‖_∞``; NaN at other iterates. For r in
    [0, 1] and a uniform start, ascent with step 1/β_λ meets such an iterate within ``8 β_λ |S|²|A|²/((1 − γ) λ²)`` iterations,
    which the counts tell as ``iterations_of_theorem``.

    Parameters
    ----------
    setting : Setting
    barrier : float
        λ > 0.
    """

    def __init__(self, setting: Setting, *, barrier: float = 0.1) -> None:
        self.barrier = _checks.real("barrier", barrier, above=0.0)
        super().__init__(setting)
        n_pairs = self.mdp.reward.size
        self._stationary = self.barrier / (2.0 * n_pairs)
        needed = 8.0 * n_pairs**2 / ((1.0 - self.mdp.discount) * self.barrier**2) / self.default_step()
        self.counts["iterations_of_theorem"] = math.ceil(needed)

    def default_step(self) -> float:
        """1/β_λ."""
        return 1.0 / (8.0 / (1.0 - self.mdp.discount) ** 3 + 2.0 * self.barrier / self.mdp.n_states)

    def reasons(self, largest_step: float) -> list[tuple[bool, str]]:  # noqa: ARG002
        """Conditions under which the theorem says nothing; of the step and the rewards it asks nothing."""
        return [
            (self.mdp.temperature > 0.0, "the theorem is for temperature 0"),
            (bool((self.start <= 0.0).any()), "the start law misses a state"),
        ]

    def gradient(self, evaluation: PolicyEvaluation) -> Array:
        """``∇L = ∇V(μ) + λ/|S| (1/|A| − p)``."""
        p = self.mdp.actions.weights * evaluation.policy
        gradient: Array = super().gradient(evaluation) + self.barrier / self.mdp.n_states * (1.0 / self.mdp.n_actions - p)
        return gradient

    def diagnostics(self, t: int, evaluation: PolicyEvaluation) -> dict[str, float]:  # noqa: ARG002
        """``gradient_norm`` ‖∇L‖."""
        self._norm = float(np.linalg.norm(self.gradient(evaluation)))
        return {"gradient_norm": self._norm}

    def bound(self, t: int, evaluation: PolicyEvaluation) -> float:  # noqa: ARG002
        """``2λ/(1 − γ) ‖d*_ρ/μ‖_∞`` where the gradient is small enough."""
        if t == 0:
            discount = self.mdp.discount
            best = self.evaluate(self.optimum.log_policy)
            self._scale = 2.0 * self.barrier / (1.0 - discount) * mismatch((1.0 - discount) * best.occupancy, self.start)
        return self._scale if self._norm <= self._stationary else math.nan
