"""Wasserstein policy gradient on grids: one measure of actions for each state, moved by finite volumes (math.md §9)."""

from __future__ import annotations

from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from wflow import _checks
from wflow._checks import Array
from wflow.flows._action_cells import action_edges
from wflow.flows._finite_volumes import FiniteVolumes
from wflow.flows._grid_steppers import ImplicitSteps
from wflow.flows._implicit import implicit_step
from wflow.flows._tabular_policy import TabularValue, packed_log_policy
from wflow.flows.eulerian import density_norm
from wflow.mdp import MDP, PolicyEvaluation, gibbs_policy, statewise_kl
from wflow.mdp.evaluation import _evaluate
from wflow.measures import GridMeasure, LogSobolevBounds, log_sobolev_bounds

__all__ = ["WassersteinPolicyFlow"]

_STEPPINGS = ("lines", "implicit")
_EMPTIEST = -690.0  # log density that counts for an empty cell where a difference is taken


class WassersteinPolicyFlow:
    """``∂_t π = −div_a(π ∇_a Q_π) + τ Δ_a π`` in every state, no flux through the walls of the action box. Implements `wflow.flows.Flow`.

    The cells are those of the actions: their nodes are midpoints, their weights widths. Fluxes between them are Scharfetter & Gummel's
    for the potential Q_π (`wflow.flows._finite_volumes.FiniteVolumes`), one line of cells a state: the Gibbs policy of Q_π is at rest to
    rounding, and the scheme is of second order in space. What holds of the equation holds of the scheme, exactly:

    - ``dE/dt = sum_i ϱ_i τ² I(π_i | π_G,i)`` (resolvent identity), I the scheme's Fisher information, ``τ I = sum_faces F Δ log(π_G/π)``;
    - ``(T V − V)_i = τ KL(π_i | π_G,i)``;
    - with α a log-Sobolev constant of every π_G from s on, ``‖V* − V_t‖_∞ ≤ e^{−2ατ(1−γ)(t−s)} ‖V* − V_s‖_∞``. As V rises in every state,
      ``0 ≤ Q* − Q_t ≤ γ P (V* − V_s)`` from s on, and Holley & Stroock's lemma gives such an α at s already:
      ``min_i α_i(π*) e^{−γ max_j (P(V* − V_s))_ij / τ}``.

    Parameters
    ----------
    mdp : MDP
        τ > 0; `actions` the cells of an interval, two or more, such as ``Space.midpoint(n)``.
    stepping : str
        "lines": an ODE, for any method of `wflow.integrators`. "implicit": implicit Euler with Q frozen over a step (option `dt`, a fixed
        step; without it, steps from rtol and atol), of first order in time and halved where it would lower E; masses stay non-negative.

    Attributes
    ----------
    energy : TabularValue
        E = ρ0 · V, with its optimum.
    linear : bool
        Whether Q does not depend on the policy: γ = 0.
    spectral_radius : callable (t, y) -> float
        Twice the largest rate at which mass leaves a cell; there if the flow is linear and steps as lines.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.

    Notes
    -----
    Initial state: a finite normalised log density (n_s, n_a), or None for the uniform policy. State y: the masses w_j π_ij, flat; `unpack`
    gives the log density, −inf where there is no mass. An evaluation costs one LU factorisation, O(n_s³), and O(n_s n_a), where
    it is not linear. Memory: six arrays (n_s, n_a). A stage of a method may have negative masses: Q is then that of their positive part.
    """

    sense = +1.0

    def __init__(self, mdp: MDP, *, stepping: str = "lines") -> None:
        self.energy = TabularValue(mdp)
        self.mdp = mdp
        if not mdp.temperature > 0.0:
            raise ValueError(f"mdp must have a temperature above 0; got {mdp.temperature!r}")
        self.edges = action_edges(mdp)
        self.linear = mdp.discount == 0.0
        lines = GridMeasure._trusted((np.arange(mdp.n_states + 1.0), self.edges), np.empty(mdp.reward.shape))
        self._scheme = FiniteVolumes(lines, mdp.temperature, "none")
        self._scheme.axes = self._scheme.axes[1:]  # nothing moves from state to state
        self._volumes = lines.volumes.ravel()
        if _checks.choice("stepping", stepping, _STEPPINGS) == "implicit":
            self.stepper = partial(ImplicitSteps, self)
        else:
            self.default_method = "rkc2"
            if self.linear:
                self.spectral_radius = self._spectral_radius
        self._frozen = False  # whether the rates are known for good
        self._last: tuple[float, Array, PolicyEvaluation] | None = None
        self._first: tuple[float, float] | None = None  # ‖V* − V_0‖_∞, and the rate that holds from the start on
        self._initial = np.empty(0)

    def pack(self, initial: npt.ArrayLike | None) -> Array:
        """Masses of a log-policy, flat."""
        policy = np.exp(packed_log_policy(self.mdp, initial)).reshape(self.mdp.reward.shape)
        masses = policy * self.mdp.actions.weights
        masses /= masses.sum(axis=1, keepdims=True)
        self._initial, self._first, self._last = masses.ravel().copy(), None, None
        return masses.ravel()

    def unpack(self, y: Array) -> Array:
        """log π (n_s, n_a), of the positive part of the masses; −inf where that is 0."""
        return self._densities(y)[0]

    def rhs(self, t: float, y: Array) -> Array:
        """Rates of change of the masses, flat."""
        if not self._frozen:
            self._look(t, y)
        return self._scheme.change(y)

    # --- what the methods ask ---

    def step_bound(self, t: float, y: Array) -> float:
        """The longest forward Euler step from (t, y) that leaves all masses non-negative."""
        self._settle(t, y)
        return self._scheme.step_bound()

    def _spectral_radius(self, t: float, y: Array) -> float:
        return 2.0 / self.step_bound(t, y)

    def implicit_step(self, t: float, y: Array, dt: float) -> Array:
        """Masses (n,) after a step of implicit Euler at the Q of (t, y): one tridiagonal solve a state."""
        self._settle(t, y)
        return implicit_step(self._scheme.axes, y, dt)

    def admissible(self, t: float, y: Array) -> bool:  # noqa: ARG002 (a flow's signature)
        """Whether no mass is negative."""
        return bool(y.min() >= 0.0)

    def projected(self, y: Array) -> Array:
        """The positive part of the masses, of sum 1 in every state."""
        return y if y.min() >= 0.0 else self._positive(y).ravel()

    def error_norm(self, error: Array, y_old: Array, y_new: Array, rtol: float, atol: Array) -> float:
        """The error of the density in L² of states and actions against ``atol + rtol max(|π(t)|, |π(t + h)|)`` in L²."""
        return density_norm(error, y_old, y_new, self._volumes, rtol, float(atol[0]))

    def energy_and_scale(self, t: float, y: Array) -> tuple[float, float]:
        """E at (t, y), and the size of its terms, against which rounding is measured."""
        bellman = self.evaluation(t, y)
        terms = np.abs(self.mdp.reward) + self.mdp.temperature * np.abs(np.maximum(bellman.log_policy, _EMPTIEST))
        sizes = np.einsum("i,ij,ij,j->", bellman.occupancy, bellman.policy, terms, self.mdp.actions.weights)
        return bellman.objective, abs(bellman.objective) + float(sizes)

    def slope(self, t: float, y: Array, direction: Array) -> tuple[float, float]:
        """How fast E rises at (t, y) as the masses move along `direction` (n,); and the size of its terms."""
        bellman = self.evaluation(t, y)
        terms = bellman.occupancy[:, None] * direction.reshape(self.mdp.reward.shape) * self._potential(bellman)
        return float(terms.sum()), float(np.abs(terms).sum())

    # --- what is recorded ---

    def diagnostics(self, t: float, y: Array) -> dict[str, float]:
        """Energy, gap, and the identities and bounds of math.md §9 at y; the evaluation is free if `rhs` saw this very array last.

        "dissipation" is dE/dt of the scheme, "gap" E* − E with its certificate "gap_lower", "gap_upper", "residual" sup|δ|; "kl" is
        max_i KL(π_i | π_G,i) in nats, "kl_defect" ``max_i |(T V − V)_i − τ KL_i|``, which is rounding; "lsi_least" and "lsi_mean" are lower
        bounds on α of the states' Gibbs policies (Holley–Stroock or Bobkov–Götze: they hold for the scheme), "lsi_ceiling" an upper bound
        on their least, "lsi_convexity" the least by Bakry & Émery; "lsi_ahead" bounds α of all states at all later times; "value_gap" is
        ‖V* − V_t‖_∞, and "bound" ``e^{−2ατ(1−γ)t} ‖V* − V_0‖_∞`` with "lsi_ahead" at the start for α, of a run from t = 0.
        """
        bellman, tau, gamma = self.evaluation(t, y), self.mdp.temperature, self.mdp.discount
        improved, log_gibbs = gibbs_policy(bellman.action_value, self.mdp.actions.weights, tau)
        kl = statewise_kl(bellman.log_policy, log_gibbs, self.mdp.actions.weights)
        defect = np.abs(improved - bellman.value - tau * kl).max()
        alpha = self.log_sobolev(t, y)
        if self._first is None:
            self._first = self._ahead(_evaluate(self.mdp, *self._densities(self._initial)))
        value_gap, ahead = self._ahead(bellman)
        return {
            "energy": bellman.objective, "dissipation": float(bellman.occupancy @ self.information(t, y)) * tau**2,
            **self.energy.standing(bellman), "kl": float(kl.max()), "kl_defect": float(defect),
            "lsi_least": float(alpha.on_cells.min()), "lsi_mean": float(alpha.on_cells.mean()), "lsi_ceiling": float(alpha.ceiling.min()),
            "lsi_convexity": float(alpha.bakry_emery.min()), "lsi_ahead": ahead, "value_gap": value_gap,
            "bound": self._first[0] * float(np.exp(-2.0 * self._first[1] * tau * (1.0 - gamma) * t)), "lowest": float(y.min()),
        }  # fmt: skip

    def information(self, t: float, y: Array) -> Array:
        """The scheme's relative Fisher information I(π_i | π_G,i) of every state, shape (n_s,): ``sum_faces F Δ(Q − τ log π) / τ²``."""
        bellman = self.evaluation(t, y)
        self._settle(t, y)
        (axis,) = self._scheme.axes
        masses = y.reshape(axis.shape)
        flux = (axis.right * masses[:, :-1] - axis.left * masses[:, 1:])[:, :, 0]
        climbs: Array = np.einsum("ij,ij->i", flux, np.diff(self._potential(bellman), axis=1))
        return climbs / self.mdp.temperature**2

    def log_sobolev(self, t: float, y: Array) -> LogSobolevBounds:
        """Bounds on the log-Sobolev constants of every state's Gibbs policy at y, (n_s,) each."""
        return log_sobolev_bounds(self.evaluation(t, y).action_value / self.mdp.temperature, self.edges)

    def evaluation(self, t: float, y: Array) -> PolicyEvaluation:
        """The evaluation of the policy at y; free if `rhs` saw this very array last, at the same time."""
        if self._last is not None and self._last[1] is y and abs(self._last[0] - t) <= 1e-12 * abs(t):
            return self._last[2]
        return self._look(t, y)

    def static(self) -> dict[str, Any]:
        """The problem: shape, nodes, action weights, E*, the optimal log-policy; and the edges of the actions' cells."""
        return {**self.energy.static(), "edges": self.edges}

    def finals(self, t: float, y: Array) -> dict[str, Array]:
        """The last policy, ``log_policy`` (n_s, n_a), and of every state "lsi" and "lsi_ceiling", (n_s,) each: what brackets α."""
        alpha = self.log_sobolev(t, y)
        return {"log_policy": self.unpack(y), "lsi": alpha.on_cells, "lsi_ceiling": alpha.ceiling}

    # --- Q and the rates ---

    def _settle(self, t: float, y: Array) -> None:
        """See that the rates are those of (t, y)."""
        if not self._frozen:
            self.evaluation(t, y)

    def _look(self, t: float, y: Array) -> PolicyEvaluation:
        bellman = _evaluate(self.mdp, *self._densities(y))
        if not self._frozen:
            self._scheme.update(bellman.action_value)
            self._frozen = self.linear
        self._last = (t, y, bellman)
        return bellman

    def _positive(self, y: Array) -> Array:
        """Masses (n_s, n_a), none negative, of sum 1 in every state."""
        masses = np.maximum(y.reshape(self.mdp.reward.shape), 0.0)
        masses /= masses.sum(axis=1, keepdims=True)
        return masses

    def _densities(self, y: Array) -> tuple[Array, Array]:
        """log π and π (n_s, n_a)."""
        policy = self._positive(y) / self.mdp.actions.weights
        return np.log(policy, out=np.full_like(policy, -np.inf), where=policy > 0.0), policy

    def _potential(self, bellman: PolicyEvaluation) -> Array:
        """``Q − τ log π`` (n_s, n_a), the gradient of E in the masses but for a factor ϱ_i and functions of the state."""
        return bellman.action_value - self.mdp.temperature * np.maximum(bellman.log_policy, _EMPTIEST)

    def _ahead(self, bellman: PolicyEvaluation) -> tuple[float, float]:
        """‖V* − V‖_∞, and a log-Sobolev constant of every Gibbs policy from here on."""
        best = self.energy.optimum
        missing = np.maximum(best.value - bellman.value, 0.0)
        expected = self.mdp.discount * self.mdp.transition.expect(missing).max(axis=1)
        alpha = self._optimal_alpha * np.exp(-expected / self.mdp.temperature)
        return float(missing.max()), float(alpha.min())

    @cached_property
    def _optimal_alpha(self) -> Array:
        """A lower bound on the log-Sobolev constants of π*, shape (n_s,)."""
        return log_sobolev_bounds(self.energy.optimum.log_policy, self.edges).on_cells
