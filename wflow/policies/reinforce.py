"""REINFORCE: the policy gradient from sampled rewards to go (math.md §10; Williams 1992; Sutton, McAllester, Singh & Mansour 1999)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wflow import _checks
from wflow._checks import Array
from wflow.mdp import PolicyEvaluation
from wflow.policies.base import PolicyMethod, Setting, log_normalise
from wflow.policies.estimates import Estimator
from wflow.policies.features import Features, as_features

__all__ = ["Reinforce"]

_BASELINES = ("previous", "value", "none")


class Reinforce(PolicyMethod):
    """``θ ← θ + η ĝ``, ĝ the mean over trajectories of ``sum_{t<H} γ^t (G_t − b(s_t)) ∇_θ log π(a_t|s_t)``, G_t the reward to go.

    The rewards are the regularised ``r − τ log π``; E ĝ is then the gradient of the value cut after H steps, for any baseline that
    does not depend on the same samples. What the cut costs is bounded by the diagnostic ``truncation_bias``. Default step
    (1 − γ)³/8, that of `pg`. O(trajectories · H) a step. No bound: theorems on it bound the mean of a gradient, not the gap.

    Parameters
    ----------
    baseline : str
        ``"previous"``: mean reward to go from each state in the latest earlier batch that met it, zero before; ``"value"``: the exact V,
        the least variance of the three as a rule; ``"none"``.
    features : ndarray (n_s, n_a, d), Features, or None
        φ of log-linear policies; tabular if None.
    """

    oracles = ("sampled",)

    def __init__(self, setting: Setting, *, baseline: str = "previous", features: Features | npt.ArrayLike | None = None) -> None:
        super().__init__(setting)
        self.baseline = _checks.choice("baseline", baseline, _BASELINES)
        self.features = as_features(features, self.mdp)
        self.step_size = self.chosen_step((1.0 - self.mdp.discount) ** 3 / 8.0)
        self.bound_reason = "its theorems bound the mean of a gradient, not the gap"
        self._estimator = Estimator(setting)
        self._critic = np.zeros(self.mdp.n_states)

    def diagnostics(self, t: int, evaluation: PolicyEvaluation) -> dict[str, float]:  # noqa: ARG002
        """``truncation_bias``, a bound on ``‖E ĝ − ∇V(μ)‖``, and ``gradient_norm`` ‖∇V(μ)‖, exact."""
        p = self.mdp.actions.weights * evaluation.policy
        exact = self.features.gradient(self._estimator.occupancy(evaluation)[:, None] * p * evaluation.advantage, p)
        bias = self._estimator.truncation_bias(evaluation, self.features.largest_score(p))
        return {"truncation_bias": bias, "gradient_norm": float(np.linalg.norm(exact))}

    def gradient(self, evaluation: PolicyEvaluation) -> Array:
        """One sampled ĝ (d,)."""
        baseline = {"previous": self._critic.copy(), "value": evaluation.value, "none": np.zeros_like(self._critic)}[self.baseline]
        visits, earned = self._estimator.rollouts(evaluation).pair_sums(baseline)
        seen = visits.sum(axis=1) > 0.0
        self._critic[seen] = baseline[seen] + earned.sum(axis=1)[seen] / visits.sum(axis=1)[seen]
        return self.features.gradient(earned, self.mdp.actions.weights * evaluation.policy)

    def update(self, t: int, evaluation: PolicyEvaluation) -> Array:  # noqa: ARG002
        """One stochastic gradient step."""
        direction = self.features.energies(self.gradient(evaluation))
        return log_normalise(evaluation.log_policy + self.step_size * direction, self.mdp.actions.weights)
