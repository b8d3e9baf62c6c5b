"""Q-NPG: the natural gradient with Q instead of the advantage regressed on the features (math.md §10; Agarwal et al. 2021)."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from wflow._checks import Array
from wflow.mdp import PolicyEvaluation
from wflow.policies.base import PolicyMethod, Setting, log_normalise
from wflow.policies.estimates import Estimator
from wflow.policies.features import Features, Tabular, as_features
from wflow.policies.regret import FeatureRegret, TabularRegret

__all__ = ["QNaturalPolicyGradient"]


class QNaturalPolicyGradient(PolicyMethod):
    """``θ ← θ + η w/(1 − γ)``, w the least squares fit of ``Q − τ log π`` by ``<w, φ>`` under ``d_μ(s) p(a|s)``.

    With tabular features these are the steps of `npg` on the states that μ reaches; others stay. Default step ``(1 − γ)² log|A|``, at
    most (1 − γ)/τ. O(n_s n_a) a step, O(n_s n_a d²) for d features.

    Bound (τ = 0), on the least gap so far: tabular, that of `npg`; log-linear, the regret lemma of Agarwal et al. with its transfer
    errors measured along the run (`FeatureRegret`), which need not tend to 0.

    Parameters
    ----------
    features : ndarray (n_s, n_a, d), Features, or None
        φ; tabular if None.
    """

    bound_of = "least_gap"

    def __init__(self, setting: Setting, *, features: Features | npt.ArrayLike | None = None) -> None:
        super().__init__(setting)
        mdp = self.mdp
        self.features = as_features(features, mdp)
        default = (1.0 - mdp.discount) ** 2 * math.log(max(mdp.n_actions, 2))
        self.step_size = self.chosen_step(min(default, (1.0 - mdp.discount) / mdp.temperature) if mdp.temperature > 0.0 else default)
        self._estimator = Estimator(setting)
        self._least = math.inf
        self.no_bound(
            (mdp.temperature > 0.0, "the theorem is for temperature 0"),
            (setting.start is not None and isinstance(self.features, Tabular), "the theorem is for a start in the MDP's own law"),
        )
        if not self.bound_reason:
            kind = TabularRegret if isinstance(self.features, Tabular) else FeatureRegret
            self._regret = kind(mdp, self.optimum, setting.initial)

    def diagnostics(self, t: int, evaluation: PolicyEvaluation) -> dict[str, float]:  # noqa: ARG002
        """``least_gap``, ``min_{k ≤ t} (E* − E_k)``; ``regression_error``, the mean square of what the fit leaves of Q − τ log π."""
        estimate = self._estimator(evaluation)
        target = estimate.advantage + evaluation.value[:, None]
        self._energy = self.features.energies(self.features.regress(estimate.mass, target))
        self._least = min(self._least, self.gap(evaluation))
        error = float((estimate.mass * np.square(target - self._energy)).sum() / estimate.mass.sum())
        self._estimate = estimate
        return {"least_gap": self._least, "regression_error": error}

    def update(self, t: int, evaluation: PolicyEvaluation) -> Array:  # noqa: ARG002
        """One step along the fit that `diagnostics` made."""
        rate = self.step_size / (1.0 - self.mdp.discount)
        if not self.bound_reason:
            self._regret.add(rate, self._energy, self._estimate.advantage, self._estimate.p)
        return log_normalise(evaluation.log_policy + rate * self._energy, self.mdp.actions.weights)

    def bound(self, t: int, evaluation: PolicyEvaluation) -> float:  # noqa: ARG002
        """NaN at t = 0."""
        return self._regret.bound()
