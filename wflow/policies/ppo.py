"""Proximal policy optimisation: several first-order steps on a clipped surrogate (math.md §10; Schulman et al. 2017)."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from wflow import _checks
from wflow._checks import Array
from wflow.mdp import PolicyEvaluation
from wflow.policies.base import PolicyMethod, Setting, log_normalise
from wflow.policies.estimates import Estimate, Estimator
from wflow.policies.features import Features, Tabular, as_features

__all__ = ["ProximalPolicyOptimisation", "clipped", "clipped_slope"]


def clipped(log_ratio: Array, advantage: Array, clip: float) -> Array:
    """``min(r A, clip(r, 1 ± ε) A)``, r = exp(log_ratio)."""
    ratio = np.exp(np.minimum(log_ratio, _LARGEST_LOG))
    return np.minimum(ratio * advantage, np.clip(ratio, 1.0 - clip, 1.0 + clip) * advantage)


def clipped_slope(log_ratio: Array, advantage: Array, clip: float) -> Array:
    """Its derivative with respect to log r: ``r A``, but 0 on the favourable side, where A > 0 and r > 1 + ε or A < 0 and r < 1 − ε."""
    ratio = np.exp(np.minimum(log_ratio, _LARGEST_LOG))
    capped = ((advantage > 0.0) & (ratio > 1.0 + clip)) | ((advantage < 0.0) & (ratio < 1.0 - clip))
    return np.where(capped, 0.0, ratio * advantage)


_LARGEST_LOG = 200.0  # of a ratio; far beyond any clip, and its product with an advantage is still a number


class ProximalPolicyOptimisation(PolicyMethod):
    """`n_steps` steps of gradient ascent ``θ ← θ + η ∇L``, ``L(θ) = E_{d_μ, π_t} min(r δ, clip(r, 1 ± ε) δ)``, r = π_θ/π_t, from one batch.

    Sampled, the batch is one of discounted visits, and the samples of a pair are averaged before the clip. At τ > 0 the advantage is
    the regularised δ of π_t, held over the batch. Default step, tabular only: ``1/(max_s d_μ(s) · max |δ|)`` at the start, from which a
    first step changes no log ratio by more than 1. O(n_steps n_s n_a (d)) a batch. No theorem bounds its gap.

    Parameters
    ----------
    clip : float
        ε in (0, 1).
    n_steps : int
        At least 1.
    features : ndarray (n_s, n_a, d), Features, or None
        φ of log-linear policies; tabular if None.
    """

    oracles = ("exact", "sampled")

    def __init__(
        self, setting: Setting, *, clip: float = 0.2, n_steps: int = 10, features: Features | npt.ArrayLike | None = None
    ) -> None:
        super().__init__(setting)
        self.clip = _checks.real("clip", clip, above=0.0, below=1.0)
        self.n_steps = _checks.integer("n_steps", n_steps, at_least=1)
        self.features = as_features(features, self.mdp)
        self.bound_reason = "the clipped surrogate is a heuristic without a theorem"
        self._estimator = Estimator(setting)
        self.step_size = self.chosen_step(self._default_step(), "the default of ppo is for tabular features and a nonzero advantage")
        self._surrogate = self._clipped = 0.0

    def _default_step(self) -> float:
        first = self.evaluate(self.setting.initial)
        steepest = (1.0 - self.mdp.discount) * float(self._estimator.occupancy(first).max()) * float(np.abs(first.advantage).max())
        return 1.0 / steepest if steepest > 0.0 and isinstance(self.features, Tabular) else math.nan

    def diagnostics(self, t: int, evaluation: PolicyEvaluation) -> dict[str, float]:  # noqa: ARG002
        """Of the batch that led here, 0 at the start: ``surrogate`` L at its end, ``clipped`` the share of mass whose gradient vanished."""
        return {"surrogate": self._surrogate, "clipped": self._clipped}

    def update(self, t: int, evaluation: PolicyEvaluation) -> Array:  # noqa: ARG002
        """One batch."""
        estimate, log_policy = self._estimator(evaluation), evaluation.log_policy
        for _ in range(self.n_steps):
            direction = self.features.energies(self._gradient(estimate, log_policy - evaluation.log_policy, log_policy))
            log_policy = log_normalise(log_policy + self.step_size * direction, self.mdp.actions.weights)
        share = estimate.mass / estimate.mass.sum()
        log_ratio = log_policy - evaluation.log_policy
        self._surrogate = float((share * clipped(log_ratio, estimate.advantage, self.clip)).sum())
        vanished = (clipped_slope(log_ratio, estimate.advantage, self.clip) == 0.0) & (estimate.advantage != 0.0)
        self._clipped = float(share[vanished].sum())
        return log_policy

    def _gradient(self, estimate: Estimate, log_ratio: Array, log_policy: Array) -> Array:
        """∇L (d,) where π_θ/π_t = exp(log_ratio), (n_s, n_a)."""
        slope = (1.0 - self.mdp.discount) * estimate.mass * clipped_slope(log_ratio, estimate.advantage, self.clip)
        return self.features.gradient(slope, self.mdp.actions.weights * np.exp(log_policy))
