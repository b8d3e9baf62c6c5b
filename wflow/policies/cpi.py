"""Conservative policy iteration: small steps towards the greedy policy (Kakade & Langford 2002)."""

from __future__ import annotations

import math

import numpy as np

from wflow._checks import Array
from wflow.mdp import PolicyEvaluation
from wflow.mdp.optimum import _improve
from wflow.policies.base import PolicyMethod, Setting, log_normalise, sup_distance

__all__ = ["ConservativePolicyIteration"]


class ConservativePolicyIteration(PolicyMethod):
    """``p ← (1 − α)p + α p_G``, p_G greedy (at τ > 0 the Gibbs policy of Q); `step_size` is α in (0, 1].

    Default, at τ = 0 only: Kakade and Langford's ``α_t = (1 − γ)² 𝔸_t/(4R)`` for the advantage ``𝔸 = E_d[max_a A]`` of the greedy policy
    and R = max r − min r, which guarantees ``V_{t+1}(ρ) − V_t(ρ) ≥ (1 − γ) 𝔸²/(8R)`` (diagnostic ``improvement_bound``).

    Bound: ``V_{t+1} ≥ (1 − α)V_t + α T V_t`` (the entropy is concave, T monotone), hence
    ``gap_t ≤ ‖V* − V_0‖_∞ prod_{k<t} (1 − α_k(1 − γ))``; no hypotheses.
    """

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        if setting.step_size is None and self.mdp.temperature > 0.0:
            raise ValueError("step_size must be given: the default of cpi is for temperature 0; got None")
        if setting.step_size is not None and setting.step_size > 1.0:
            raise ValueError(f"step_size must be at most 1 for cpi; got {setting.step_size!r}")
        self.step_size = math.nan if setting.step_size is None else setting.step_size

    def diagnostics(self, t: int, evaluation: PolicyEvaluation) -> dict[str, float]:  # noqa: ARG002
        """``policy_advantage`` 𝔸, ``mixing`` α, and ``improvement_bound`` for the default step (else NaN)."""
        discount, span = self.mdp.discount, float(np.ptp(self.mdp.reward))
        improved, self._greedy = _improve(self.mdp, evaluation.action_value)
        advantage = (1.0 - discount) * max(0.0, float(evaluation.occupancy @ (improved - evaluation.value)))
        improvement = math.nan
        self._alpha = self.step_size
        if math.isnan(self.step_size):
            self._alpha = (1.0 - discount) ** 2 * advantage / (4.0 * span) if span > 0.0 else 0.0
            improvement = (1.0 - discount) * advantage**2 / (8.0 * span) if span > 0.0 else 0.0
        return {"policy_advantage": advantage, "mixing": self._alpha, "improvement_bound": improvement}

    def update(self, t: int, evaluation: PolicyEvaluation) -> Array:  # noqa: ARG002
        """The mixture, in logarithms; O(n_s n_a)."""
        with np.errstate(divide="ignore"):
            kept, moved = np.log1p(-self._alpha), np.log(self._alpha)
        return log_normalise(np.logaddexp(kept + evaluation.log_policy, moved + self._greedy), self.mdp.actions.weights)

    def bound(self, t: int, evaluation: PolicyEvaluation) -> float:
        """The contractions of the steps before t."""
        if t == 0:
            self._next = sup_distance(self.optimum.value, evaluation.value)
        bound = self._next
        self._next *= 1.0 - self._alpha * (1.0 - self.mdp.discount)
        return bound
