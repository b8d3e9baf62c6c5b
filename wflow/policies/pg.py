"""Softmax policy gradient: ascent of V(μ) in the logits (math.md §10; Mei, Xiao, Szepesvári & Schuurmans 2020)."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from wflow._checks import Array
from wflow.mdp import MDP, PolicyEvaluation
from wflow.mdp.evaluation import _evaluate
from wflow.policies.base import PolicyMethod, Setting, log_normalise
from wflow.policies.features import Features, Tabular, as_features

__all__ = ["PolicyGradient", "mismatch", "softmax_gradient"]


def softmax_gradient(evaluation: PolicyEvaluation, occupancy: Array, weights: Array) -> Array:
    """``∂V(μ)/∂θ_ij = ϱ_i w_j π_ij δ_ij``, shape (n_s, n_a), for π ∝ exp θ and the occupancy ϱ (n_s,) from μ; rows sum to 0."""
    gradient: Array = occupancy[:, None] * weights * evaluation.policy * evaluation.advantage
    return gradient


def mismatch(law: Array, start: Array) -> float:
    """``‖law/start‖_∞``; a state that neither charges counts nothing."""
    seen = law > 0.0
    with np.errstate(divide="ignore"):
        return float((law[seen] / start[seen]).max())


class PolicyGradient(PolicyMethod):
    """``θ ← θ + η ∇_θ V(μ)``, π ∝ exp θ; of the regularised value where τ > 0. Default step (1 − γ)³/8, on a bandit 2/5.

    Bound (r in an interval of length 1, τ = 0, μ > 0, η at most the default): V is 1/η-smooth, and
    ``‖∇V(μ)‖² ≥ (1 − γ)² c² gap(μ)²/(|S| ‖d*_μ/μ‖²_∞)`` with ``c = min_s p(a*(s)|s)`` (Mei et al., Lemma 8), hence
    ``gap_t(ρ) ≤ ‖ρ/μ‖_∞ · 2|S| ‖d*_μ/μ‖²_∞ / (η (1 − γ)² sum_{k<t} c_k²)``: their Theorem 4 with c measured at every iterate
    in place of its infimum. From the uniform policy of a bandit with K arms it stays under 5K²/t.

    Parameters
    ----------
    setting : Setting
    features : ndarray (n_s, n_a, d), Features, or None
        φ of log-linear policies π ∝ π_0 exp <θ, φ>, without a bound; tabular if None.
    """

    def __init__(self, setting: Setting, *, features: Features | npt.ArrayLike | None = None) -> None:
        super().__init__(setting)
        self.features = as_features(features, self.mdp)
        self._prepare()
        default = self.default_step()
        self.step_size = self.chosen_step(default, "there is no default")
        self.no_bound((not isinstance(self.features, Tabular), "the theorem is for tabular features"), *self.reasons(default))
        self._squares = 0.0  # sum of c_k² so far

    def _prepare(self) -> None:
        """The MDP started from μ, in which gradients are taken."""
        mdp, start = self.mdp, self.setting.start
        self.start = mdp.initial if start is None else start
        self.start_mdp = mdp if start is None else MDP(
            reward=mdp.reward, transition=mdp.transition, discount=mdp.discount, temperature=mdp.temperature, initial=start,
            states=mdp.states, actions=mdp.actions,
        )  # fmt: skip

    def default_step(self) -> float:
        """1 over the smoothness of V."""
        bandit = self.mdp.n_states == 1 and self.mdp.discount == 0.0
        return 0.4 if bandit else (1.0 - self.mdp.discount) ** 3 / 8.0

    def reasons(self, largest_step: float) -> list[tuple[bool, str]]:
        """Conditions under which the theorem says nothing."""
        return [
            (self.mdp.temperature > 0.0, "the theorem is for temperature 0 (entropy_pg has one for τ > 0)"),
            (float(np.ptp(self.mdp.reward)) > 1.0, "rewards span more than 1"),
            (bool((self.start <= 0.0).any()), "the start law misses a state"),
            (self.step_size > largest_step * (1.0 + 1e-12), f"step_size is above {largest_step:.3g}"),
        ]

    def start_occupancy(self, evaluation: PolicyEvaluation) -> Array:
        """Improper occupancy from μ, (n_s,): one more LU factorisation if μ is not ρ0."""
        if self.start_mdp is self.mdp:
            return evaluation.occupancy
        return _evaluate(self.start_mdp, evaluation.log_policy, evaluation.policy).occupancy

    def gradient(self, evaluation: PolicyEvaluation) -> Array:
        """In the logits, (n_s, n_a); rows sum to 0."""
        return softmax_gradient(evaluation, self.start_occupancy(evaluation), self.mdp.actions.weights)

    def update(self, t: int, evaluation: PolicyEvaluation) -> Array:  # noqa: ARG002
        """One gradient step; O(n_s n_a), times d for d features."""
        weights, features = self.mdp.actions.weights, self.features
        direction = features.energies(features.gradient(self.gradient(evaluation), weights * evaluation.policy))
        return log_normalise(evaluation.log_policy + self.step_size * direction, weights)

    def optimal_mismatch(self) -> float:
        """``‖d*_μ/μ‖_∞``."""
        occupancy = _evaluate(self.start_mdp, self.optimum.log_policy).occupancy
        return mismatch((1.0 - self.mdp.discount) * occupancy, self.start)

    def bound(self, t: int, evaluation: PolicyEvaluation) -> float:
        """From the probabilities of the optimal actions at the iterates before t; NaN at 0."""
        mdp = self.mdp
        if t == 0:
            scale = 2.0 * mdp.n_states * (self.optimal_mismatch() / (1.0 - mdp.discount)) ** 2 / self.step_size
            self._scale = scale * mismatch(mdp.initial, self.start)
        bound = self._scale / self._squares if self._squares > 0.0 else math.nan
        best = self.optimum.log_policy.argmax(axis=1)
        c = float((mdp.actions.weights[best] * evaluation.policy[np.arange(mdp.n_states), best]).min())
        self._squares += c * c
        return bound
