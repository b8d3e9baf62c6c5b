"""Natural policy gradient of the softmax (math.md §10; Kakade 2001; Agarwal, Kakade, Lee & Mahajan 2021)."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from wflow._checks import Array
from wflow.mdp import PolicyEvaluation
from wflow.policies.base import PolicyMethod, Setting, log_normalise
from wflow.policies.estimates import Estimator
from wflow.policies.features import Features, Tabular, as_features
from wflow.policies.regret import FeatureRegret

__all__ = ["NaturalPolicyGradient"]


class NaturalPolicyGradient(PolicyMethod):
    """``θ ← θ + η F⁺ ∇V``, which is ``p ∝ p exp(η A/(1 − γ))``. Default step ``(1 − γ)² log|A|``, at most (1 − γ)/τ.

    F⁺ freezes states that the start law does not reach; the closed form moves them too, which changes no reachable state. At
    τ > 0 A is that of the regularised value, and the update that of `entropy_npg`.

    Bound (τ = 0, exact oracle, T ≥ 1): ``gap ≤ E_{d*} KL(p*|p_0)/(ηT) + (max r − min r)/((1 − γ)² T)``; from uniform p_0 and with r in
    [0, 1] at most ``log|A|/(ηT) + 1/((1 − γ)² T)``. Log-linear: the regret lemma (`FeatureRegret`), on the least gap so far.

    Log-linear or sampled, F⁺∇V is w*/(1 − γ), w* the least squares fit of the advantage by the scores; from samples, of the mean
    reward to go of every pair that was met less that of its state, by scores centred with the sampled frequencies.

    Parameters
    ----------
    setting : Setting
    features : ndarray (n_s, n_a, d), Features, or None
        φ of log-linear policies; tabular if None.
    """

    oracles = ("exact", "inexact", "sampled")

    def __init__(self, setting: Setting, *, features: Features | npt.ArrayLike | None = None) -> None:
        super().__init__(setting)
        self.features = as_features(features, self.mdp)
        self._tabular = isinstance(self.features, Tabular)
        self._estimator = Estimator(setting)
        self._least = math.inf
        mdp = self.mdp
        default = (1.0 - mdp.discount) ** 2 * math.log(max(mdp.n_actions, 2))
        self.step_size = self.chosen_step(min(default, (1.0 - mdp.discount) / mdp.temperature) if mdp.temperature > 0.0 else default)
        self.no_bound(
            (mdp.temperature > 0.0, "the theorem is for temperature 0 (entropy_npg has one for τ > 0)"),
            (setting.oracle.kind != "exact", "the theorem is for an exact oracle"),
        )
        if not self._tabular:
            self.bound_of = "least_gap"
            self._regret = FeatureRegret(mdp, self.optimum, setting.initial) if not self.bound_reason else None

    def diagnostics(self, t: int, evaluation: PolicyEvaluation) -> dict[str, float]:  # noqa: ARG002
        """Log-linear only: ``least_gap``, ``min_{k ≤ t} (E* − E_k)``."""
        if self._tabular:
            return {}
        self._least = min(self._least, self.gap(evaluation))
        return {"least_gap": self._least}

    def update(self, t: int, evaluation: PolicyEvaluation) -> Array:  # noqa: ARG002
        """One multiplicative step: in every state, O(n_s n_a), or along fitted features, O(n_s n_a d²)."""
        mdp = self.mdp
        rate = self.step_size / (1.0 - mdp.discount)
        if not self._tabular or self.setting.oracle.kind == "sampled":
            return log_normalise(evaluation.log_policy + rate * self._fitted(rate, evaluation), mdp.actions.weights)
        energy = (1.0 - rate * mdp.temperature) * evaluation.log_policy + rate * self.action_value(evaluation)
        return log_normalise(energy, mdp.actions.weights)

    def bound(self, t: int, evaluation: PolicyEvaluation) -> float:  # noqa: ARG002
        """NaN at t = 0."""
        if not self._tabular and self._regret is not None:
            return self._regret.bound()
        if t == 0:
            self._scale = self._initial_divergence() / self.step_size
            self._scale += float(np.ptp(self.mdp.reward)) / (1.0 - self.mdp.discount) ** 2
            return math.nan
        return self._scale / t

    def _fitted(self, rate: float, evaluation: PolicyEvaluation) -> Array:
        """``<w*, φ>`` (n_s, n_a), from the oracle's advantage."""
        estimate = self._estimator(evaluation)
        target = estimate.advantage + (self.action_value(evaluation) - evaluation.action_value)  # an inexact oracle's error, else 0
        energy = self.features.energies(self.features.compatible(estimate.mass, target, estimate.p))
        if not self._tabular and self._regret is not None:
            self._regret.add(rate, energy, evaluation.advantage, estimate.p)
        return energy

    def _initial_divergence(self) -> float:
        """``E_{d*} KL(p*|p_0)``; p* has one action a state, so that KL is −log p_0 of it."""
        best = self.optimum.log_policy.argmax(axis=1)
        weights, initial = self.mdp.actions.weights, self.setting.initial
        divergence = -np.log(weights[best]) - initial[np.arange(len(best)), best]
        d_star = (1.0 - self.mdp.discount) * self.evaluate(self.optimum.log_policy).occupancy
        return float(d_star @ divergence)
