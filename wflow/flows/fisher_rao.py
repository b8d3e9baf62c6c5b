"""The Fisher–Rao gradient flow of a policy's value: ``∂_t log π = δ``, natural policy gradient in continuous time (math.md §9)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wflow._checks import Array
from wflow.flows._tabular_policy import TabularValue, fisher_rao_bound, log_normalised, packed_log_policy, policy_norm
from wflow.mdp import MDP
from wflow.mdp.evaluation import PolicyEvaluation, _evaluate

__all__ = ["FisherRaoFlow"]


class FisherRaoFlow:
    """``∂_t log π_ij = δ_ij = Q_ij − τ log π_ij − V_i``, every policy evaluated exactly. Implements `wflow.flows.Flow`.

    Along it ``dE/dt = sum_i ϱ_i Var_{π_i}(δ_i)`` and, with ``D = sum_i d*_i KL(π*_i | π_i)``, ``dD/dt = −(1 − γ)(E* − E) − τ D``, hence
    ``E* − E_t ≤ τ/((1 − γ)(e^{τt} − 1)) D_0`` (math.md §9; Zorba, Šiška & Szpruch 2026 with an exact critic). Explicit Euler of step η is
    natural policy gradient with step η (1 − γ): ``π ∝ π^{1−ητ} exp(ηQ)``.

    Parameters
    ----------
    mdp : MDP
        τ = 0 may be; π* is then deterministic and the bound its limit ``D_0/((1 − γ) t)``.

    Attributes
    ----------
    energy : TabularValue
        E, with its optimum.

    Raises
    ------
    TypeError
        If `mdp` is none.

    Notes
    -----
    Initial state: a finite normalised log density (n_s, n_a) with respect to the action weights, or None for the uniform policy.

    State y: log π (n_s, n_a), flat, up to a function of the state. The field is that of the normalised policy whatever the
    representative, so every method acts on policies alone: Euler's step is the multiplicative one exactly, and normalising
    between steps would change nothing but the representative. `unpack` gives the normalised one.

    One evaluation a field: an LU factorisation, O(n_s³), and O(n_s n_a). Memory O(n_s n_a + n_s²). Time is mean-field time; a run
    whose bound is to hold begins at t = 0.
    """

    state_kind = "policy"

    def __init__(self, mdp: MDP) -> None:
        self.energy = TabularValue(mdp)
        self.mdp = mdp
        self._first_divergence: float | None = None  # D_0
        self._initial = np.empty((0, 0))
        self._last: tuple[float, Array, PolicyEvaluation] | None = None

    def pack(self, initial: npt.ArrayLike | None) -> Array:
        """The log-policy (n_s, n_a), flat."""
        y = packed_log_policy(self.mdp, initial)
        self._initial, self._first_divergence, self._last = self.unpack(y), None, None
        return y

    def unpack(self, y: Array) -> Array:
        """log π (n_s, n_a), normalised."""
        return log_normalised(y.reshape(self.mdp.reward.shape), self.mdp.actions.weights)

    def rhs(self, t: float, y: Array) -> Array:
        """δ (n_s n_a,)."""
        bellman = _evaluate(self.mdp, self.unpack(y))
        self._last = (t, y, bellman)
        return bellman.advantage.ravel().copy()

    def spectral_radius(self, t: float, y: Array) -> float:
        """``τ + γ/(1 − γ) max_i sum_j w_j π_ij |δ_ij|``, a bound.

        The Jacobian is −τ on log densities plus ``−(I − γP) (I − γP_π)^{-1} D``, ``(D x)_i = sum_j w_j π_ij δ_ij x_ij``. The eigenvalues of
        the latter are those of ``γ D P (I − γP_π)^{-1}`` (n_s, n_s), as D kills functions of the state.
        """
        bellman, gamma = self.evaluation(t, y), self.mdp.discount
        size = np.einsum("ij,ij,j->i", bellman.policy, np.abs(bellman.advantage), self.mdp.actions.weights)
        return self.mdp.temperature + gamma / (1.0 - gamma) * float(size.max())

    def evaluation(self, t: float, y: Array) -> PolicyEvaluation:
        """The evaluation of the policy at y; free if `rhs` saw this very array last, at the same time."""
        if self._last is not None and self._last[1] is y and abs(self._last[0] - t) <= 1e-12 * abs(t):
            return self._last[2]
        bellman = _evaluate(self.mdp, self.unpack(y))
        if self._last is None:
            self._last = (t, y, bellman)
        return bellman

    def error_norm(self, error: Array, y_old: Array, y_new: Array, rtol: float, atol: Array) -> float:  # noqa: ARG002 (a flow's signature)
        """Root mean square of the error of log π, which is the relative one of π, against ``atol + rtol``."""
        return policy_norm(error, self.mdp.actions.weights, rtol, float(atol[0]))

    def diagnostics(self, t: float, y: Array) -> dict[str, float]:
        """Energy, gap, and the identities and bounds of math.md §9 at y.

        "dissipation" is dE/dt, ``sum_i ϱ_i Var_{π_i}(δ_i)``; "gap" is E* − E, with the certificate "gap_lower", "gap_upper"; "residual"
        sup|δ|; "divergence" D in nats; "divergence_rate" ``dD/dt = −sum_i d*_i <π*_i, δ_i>``; "rate_defect" its distance to
        ``−(1 − γ)(E* − E) − τ D``, which is rounding; "bound" that on the gap, infinite at t = 0.
        """
        bellman = self.evaluation(t, y)
        weights, gamma = self.mdp.actions.weights, self.mdp.discount
        dissipation = np.einsum("i,ij,ij,j->", bellman.occupancy, bellman.policy, np.square(bellman.advantage), weights)
        standing = self.energy.standing(bellman)
        divergence, rate = self.energy.divergence(bellman.log_policy), -self.energy.optimal_average(bellman.advantage)
        defect = abs(rate + (1.0 - gamma) * standing["gap"] + self.mdp.temperature * divergence)
        if self._first_divergence is None:
            self._first_divergence = self.energy.divergence(self._initial)
        return {
            "energy": bellman.objective, "dissipation": float(dissipation), **standing, "divergence": divergence,
            "divergence_rate": rate, "rate_defect": defect, "bound": fisher_rao_bound(self.mdp, t, self._first_divergence),
        }  # fmt: skip

    def static(self) -> dict[str, Array]:
        """The problem: shape, nodes, action weights, E* and the optimal log-policy."""
        return self.energy.static()

    def finals(self, t: float, y: Array) -> dict[str, Array]:  # noqa: ARG002 (a flow's signature)
        """The last policy, ``log_policy`` (n_s, n_a)."""
        return {"log_policy": self.unpack(y)}
