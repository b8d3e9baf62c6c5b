"""Trust-region policy optimisation: the natural gradient with the step that a KL ball allows (math.md §10; Schulman et al. 2015)."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from wflow._checks import Array
from wflow.mdp import PolicyEvaluation, statewise_kl
from wflow.policies.base import PolicyMethod, Setting, log_normalise
from wflow.policies.estimates import Estimate, Estimator
from wflow.policies.features import Features, Tabular, as_features
from wflow.policies.regret import FeatureRegret, TabularRegret

__all__ = ["TrustRegionPolicyOptimisation"]

_HALVINGS = 40  # the quadratic model of the KL holds long before 2^-40 of its step


class TrustRegionPolicyOptimisation(PolicyMethod):
    """``θ ← θ + 2^{−k} √(2δ/(gᵀF⁺g)) F⁺g``, g = ∇V(μ), with the least k ≥ 0 that keeps the KL within δ and does not lower V(μ).

    `step_size` is the radius δ in nats of ``E_{d_μ} KL(π_t | π_{t+1})``, default 0.01. F⁺g comes from the least squares of δ on the scores,
    and no Fisher matrix is formed. A trial costs an evaluation, O(n_s³); the policy stays where 40 halvings find no step.

    Bound (τ = 0, started in the MDP's own law): tabular, `npg`'s for unequal steps,
    ``gap_T ≤ (E_{d*} KL(p*|p_0) + max η (max r − min r)/(1 − γ)²) / sum η``, η_t the step of the natural gradient that was taken;
    log-linear, the regret lemma (`FeatureRegret`). Gaps only fall, so the bounds on the least hold for the last.

    Parameters
    ----------
    features : ndarray (n_s, n_a, d), Features, or None
        φ of log-linear policies; tabular if None.
    """

    def __init__(self, setting: Setting, *, features: Features | npt.ArrayLike | None = None) -> None:
        super().__init__(setting)
        self.features = as_features(features, self.mdp)
        self.step_size = self.chosen_step(0.01)
        self.counts["halvings"] = 0
        self._estimator = Estimator(setting)
        self._kl = self._step = 0.0
        self._latest: PolicyEvaluation | None = None
        self.no_bound(
            (self.mdp.temperature > 0.0, "the theorem is for temperature 0"),
            (setting.start is not None, "the theorem is for a start in the MDP's own law"),
        )
        if not self.bound_reason:
            kind = TabularRegret if isinstance(self.features, Tabular) else FeatureRegret
            self._regret = kind(self.mdp, self.optimum, setting.initial)

    def diagnostics(self, t: int, evaluation: PolicyEvaluation) -> dict[str, float]:  # noqa: ARG002
        """Of the step that led here, 0 at the start: ``kl`` as it came out, in nats, and ``natural_step`` η of ``θ + η F⁺g``."""
        return {"kl": self._kl, "natural_step": self._step}

    def update(self, t: int, evaluation: PolicyEvaluation) -> Array:  # noqa: ARG002
        """The largest halved step that passes."""
        estimate, gamma, weights = self._estimator(evaluation), self.mdp.discount, self.mdp.actions.weights
        direction = self.features.energies(self.features.compatible(estimate.mass, estimate.advantage, estimate.p))
        direction = direction - (estimate.p * direction).sum(axis=1, keepdims=True)  # <w*, score>
        curvature = (1.0 - gamma) * float((estimate.mass * direction**2).sum())  # w*ᵀ F w* = (1 − γ)² gᵀF⁺g
        self._kl = self._step = 0.0
        rounding = np.finfo(float).eps * float(np.abs(evaluation.action_value).max())
        if not curvature > rounding**2:  # the policy is optimal to rounding, and the step would be its multiple without limit
            return evaluation.log_policy
        rate = math.sqrt(2.0 * self.step_size / curvature)
        for _ in range(_HALVINGS):
            log_policy = log_normalise(evaluation.log_policy + rate * direction, weights)
            kl = (1.0 - gamma) * float(estimate.mass.sum(axis=1) @ statewise_kl(evaluation.log_policy, log_policy, weights))
            if kl <= self.step_size and self._improvement(estimate, evaluation, log_policy) >= 0.0:
                self._kl, self._step = kl, rate * (1.0 - gamma)
                if not self.bound_reason:
                    self._regret.add(rate, direction, evaluation.advantage, estimate.p)
                return log_policy
            rate /= 2.0
            self.counts["halvings"] += 1
        return evaluation.log_policy

    def evaluate(self, log_policy: Array) -> PolicyEvaluation:
        """The exact evaluation; that of the trial which became the iterate is not repeated."""
        if self._latest is None or self._latest.log_policy is not log_policy:
            self._latest = super().evaluate(log_policy)
        return self._latest

    def _improvement(self, estimate: Estimate, evaluation: PolicyEvaluation, log_policy: Array) -> float:
        """V(μ) of `log_policy` less that of the iterate, by the performance difference, whose sign outlives their own rounding."""
        weights = self.mdp.actions.weights
        trial = self.evaluate(log_policy)
        moved = weights * trial.policy - estimate.p  # E_p δ = 0, so that only the difference counts
        better = (moved * evaluation.advantage).sum(axis=1)
        if self.mdp.temperature > 0.0:
            better = better - self.mdp.temperature * statewise_kl(log_policy, evaluation.log_policy, weights)
        return float(self._estimator.occupancy(trial) @ better)

    def bound(self, t: int, evaluation: PolicyEvaluation) -> float:  # noqa: ARG002
        """NaN before the first step."""
        return self._regret.bound()
