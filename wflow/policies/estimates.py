"""What a step is made from: how often a policy visits each pair and how good the pair is, exactly or from samples (math.md §10).

With mass ``ϱ_i p_ij`` and advantage δ the policy gradient is ``sum mass · δ · ∇ log π``, the Fisher matrix
``(1 − γ) sum mass ∇ log π ∇ log πᵀ``, and surrogates are sums over the same mass; sampled methods put estimates in their place.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from wflow._checks import Array
from wflow.mdp import MDP, PolicyEvaluation
from wflow.mdp.evaluation import _evaluate
from wflow.policies.base import Setting
from wflow.policies.rollouts import Rollouts, Sampler, horizon_for, tail_mass

__all__ = ["Estimate", "Estimator"]


@dataclass(frozen=True, eq=False)
class Estimate:
    """Mass and advantage of every pair under one policy.

    Attributes
    ----------
    mass : ndarray, shape (n_s, n_a)
        ``ϱ_i p_ij``, or its estimate; total 1/(1 − γ), less what truncation leaves out.
    advantage : ndarray, shape (n_s, n_a)
        δ, or its estimate; 0 for pairs that were not sampled.
    p : ndarray, shape (n_s, n_a)
        ``w_j π_ij``; from samples the frequencies of actions in each state that was met, so that ``sum_j p_ij advantage_ij = 0``
        either way. With exact p, a fit by scores would make up for actions that were not sampled by arbitrarily large steps in them.
    """

    mass: Array
    advantage: Array
    p: Array

    @property
    def signal(self) -> Array:
        """``mass · advantage``: what a gradient weighs the scores with."""
        return self.mass * self.advantage


class Estimator:
    """Estimates for the function that a method ascends, ``μ · V`` with μ the law `start`, by the oracle of its setting.

    Parameters
    ----------
    setting : Setting

    Attributes
    ----------
    mdp : MDP
        With μ as its initial law.
    horizon : int
        Steps of a sampled trajectory: as the oracle says, else the least H with γ^H ≤ 1e-3.
    """

    def __init__(self, setting: Setting) -> None:
        self.mdp = setting.mdp if setting.start is None else _started(setting.mdp, setting.start)
        self.horizon = setting.oracle.horizon or horizon_for(setting.mdp.discount)
        self._setting = setting

    @cached_property
    def _sampler(self) -> Sampler:
        return Sampler(self.mdp)

    def __call__(self, evaluation: PolicyEvaluation) -> Estimate:
        """The exact estimate, or one from fresh samples whose baseline is their own mean in each state."""
        p = self.mdp.actions.weights * evaluation.policy
        if self._setting.oracle.kind != "sampled":
            return Estimate(self.occupancy(evaluation)[:, None] * p, evaluation.advantage, p)
        visits, earned = self.rollouts(evaluation).pair_sums()
        met = np.maximum(visits.sum(axis=1, keepdims=True), _NEVER)
        advantage = earned / np.maximum(visits, _NEVER) - earned.sum(axis=1, keepdims=True) / met
        return Estimate(visits, np.where(visits > 0.0, advantage, 0.0), np.where(met > _NEVER, visits / met, p))

    def occupancy(self, evaluation: PolicyEvaluation) -> Array:
        """ϱ (n_s,) from μ; one more LU factorisation if μ is not the MDP's own law."""
        if self._setting.start is None:
            return evaluation.occupancy
        return _evaluate(self.mdp, evaluation.log_policy, evaluation.policy).occupancy

    def rollouts(self, evaluation: PolicyEvaluation) -> Rollouts:
        """Fresh trajectories of the policy from μ, as many and as long as the oracle says."""
        return self._sampler.draw(evaluation.log_policy, self._setting.oracle.trajectories, self.horizon, self._setting.rng)

    def truncation_bias(self, evaluation: PolicyEvaluation, largest_score: float) -> float:
        """Bound on ``‖E ĝ − ∇E‖`` that trajectories of this horizon give: `tail_mass` · score · half the spread of r − τ log π."""
        reward = self.mdp.reward
        alive = evaluation.policy > 0.0
        if self.mdp.temperature > 0.0:
            reward = reward - self.mdp.temperature * np.where(alive, evaluation.log_policy, 0.0)
        spread = float(reward[alive].max() - reward[alive].min())
        return tail_mass(self.mdp.discount, self.horizon) * largest_score * spread / 2.0


_NEVER = 1e-300  # in place of a count of zero, whose quotient is then thrown away


def _started(mdp: MDP, start: Array) -> MDP:
    return MDP(
        reward=mdp.reward, transition=mdp.transition, discount=mdp.discount, temperature=mdp.temperature, initial=start,
        states=mdp.states, actions=mdp.actions,
    )  # fmt: skip
