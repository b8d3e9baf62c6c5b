"""Soft policy iteration, and at temperature 0 Howard's: the greedy step in full (math.md §2, §10)."""

from __future__ import annotations

from wflow._checks import Array
from wflow.mdp import PolicyEvaluation
from wflow.mdp.optimum import _improve
from wflow.policies.base import PolicyMethod, Setting, sup_distance

__all__ = ["SoftPolicyIteration"]


class SoftPolicyIteration(PolicyMethod):
    """``π ∝ exp(Q_π/τ)``, at τ = 0 the first best action: entropy-NPG at η = (1 − γ)/τ. No step size.

    Bound: ``gap_t ≤ ‖V* − V_t‖_∞ ≤ γ^t ‖V* − V_0‖_∞``, since ``T V_t ≤ V_{t+1} ≤ V*`` and T contracts by γ; no hypotheses.
    """

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        if setting.step_size is not None:
            raise ValueError(f"step_size must be left out: soft_policy_iteration takes the whole step; got {setting.step_size!r}")
        self.step_size = float("nan")

    def update(self, t: int, evaluation: PolicyEvaluation) -> Array:  # noqa: ARG002
        """The Gibbs policy of Q, or the greedy one; O(n_s n_a)."""
        return _improve(self.mdp, evaluation.action_value)[1]

    def diagnostics(self, t: int, evaluation: PolicyEvaluation) -> dict[str, float]:  # noqa: ARG002
        """``action_value_error`` ‖Q* − Q‖_∞."""
        return {"action_value_error": sup_distance(self.optimum.action_value, evaluation.action_value)}

    def bound(self, t: int, evaluation: PolicyEvaluation) -> float:
        """``γ^t ‖V* − V_0‖_∞``."""
        if t == 0:
            self._scale = sup_distance(self.optimum.value, evaluation.value)
        return self._scale * float(self.mdp.discount) ** t
