"""Generalised policy mirror descent: the Bregman divergence of the regulariser itself (math.md §10; Zhan et al. 2023)."""

from __future__ import annotations

import math

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow.mdp import Optimum, PolicyEvaluation
from wflow.policies._regularised import regularised_evaluation, regularised_gap, regularised_optimum
from wflow.policies.base import PolicyMethod, Setting, sup_distance
from wflow.policies.regularisers import Regulariser, Shannon

__all__ = ["GeneralisedPolicyMirrorDescent", "RegularisedMethod"]


class RegularisedMethod(PolicyMethod):
    """A method for the value regularised by τ h: its evaluation, optimum and gap; `step_size` is η_MD.

    Default step ``(1 − γ)/(γ τ)``, for which ``1/(1 + η_MD τ) = γ`` (γ at least ½ there, so that it is finite).
    """

    oracles = ("exact", "inexact")

    def __init__(self, setting: Setting, regulariser: Regulariser) -> None:
        super().__init__(setting)
        if not isinstance(regulariser, Regulariser):
            raise TypeError(f"regulariser must be a wflow.policies.regularisers.Regulariser; got {_checks.show(regulariser)}")
        self.h = regulariser
        gamma, tau = self.mdp.discount, self.mdp.temperature
        if tau == 0.0 and not isinstance(self.h, Shannon):
            raise ValueError("mdp must have a temperature above 0 for a regulariser to act; got 0.0")
        default = (1.0 - gamma) / (max(gamma, 0.5) * tau) if tau > 0.0 else math.inf
        self.step_size = self.chosen_step(default, "at temperature 0 the theorem has no step of its own")
        self._kept = 1.0 / (1.0 + self.step_size * tau)  # of the old policy, a in math.md

    def evaluate(self, log_policy: Array) -> PolicyEvaluation:
        """Of the value regularised by τ h."""
        if isinstance(self.h, Shannon):
            return super().evaluate(log_policy)
        return regularised_evaluation(self.mdp, self.h, log_policy)

    def find_optimum(self) -> Optimum:
        """Of the value regularised by τ h, by policy iteration."""
        return super().find_optimum() if isinstance(self.h, Shannon) else regularised_optimum(self.mdp, self.h)

    def gap(self, evaluation: PolicyEvaluation) -> float:
        """By the performance difference."""
        if isinstance(self.h, Shannon):
            return super().gap(evaluation)
        return regularised_gap(self.mdp, self.h, evaluation, self.optimum)

    def diagnostics(self, t: int, evaluation: PolicyEvaluation) -> dict[str, float]:  # noqa: ARG002
        """``action_value_error`` ‖Q* − Q‖_∞."""
        return {"action_value_error": sup_distance(self.optimum.action_value, evaluation.action_value)}


class GeneralisedPolicyMirrorDescent(RegularisedMethod):
    """``ξ ← (ξ + η_MD Q)/(1 + η_MD τ)``, ``π = argmax_p <ξ, p> − h(p)``, from ξ_0 = ∂h(π_0).

    Bound on ``action_value_error`` (τ > 0, exact oracle, any convex h; constant recalled from Zhan et al.), a = 1/(1 + η_MD τ):
    ``‖Q* − Q_{t+1}‖_∞ ≤ γ (1 − (1 − a)(1 − γ))^t (‖Q* − Q_0‖_∞ + 2a‖Q* − τξ_0‖_∞)``.

    Parameters
    ----------
    setting : Setting
    regulariser : Regulariser
        h; `wflow.policies.regularisers` has Shannon's, Tsallis', the log barrier and one with a corner.
    """

    bound_of = "action_value_error"

    def __init__(self, setting: Setting, *, regulariser: Regulariser = Shannon()) -> None:  # noqa: B008 (frozen)
        super().__init__(setting, regulariser)
        self._dual = self.h.slope(np.exp(setting.initial))
        self.no_bound(
            (self.mdp.temperature == 0.0, "the theorem is for a temperature above 0"),
            (setting.oracle.kind != "exact", "the theorem is for an exact oracle"),
        )

    def update(self, t: int, evaluation: PolicyEvaluation) -> Array:  # noqa: ARG002
        """One step in the dual variables, then the mirror map; O(60 n_s n_a) unless it has a closed form."""
        self._dual = self._kept * (self._dual + self.step_size * self.action_value(evaluation))
        return self.h.log_policy(self._dual, self.mdp.actions.weights)

    def bound(self, t: int, evaluation: PolicyEvaluation) -> float:
        """NaN at t = 0."""
        gamma, tau = self.mdp.discount, self.mdp.temperature
        best = self.optimum.action_value
        if t == 0:
            self._scale = sup_distance(best, evaluation.action_value) + 2.0 * self._kept * sup_distance(best, tau * self._dual)
            return math.nan
        return float(gamma * self._scale * (1.0 - (1.0 - self._kept) * (1.0 - gamma)) ** (t - 1))
