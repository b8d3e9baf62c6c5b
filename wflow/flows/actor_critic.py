"""The actor–critic flow: a linear critic that learns by temporal differences while the policy follows it (math.md §9)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from wflow import _checks
from wflow._checks import Array
from wflow.flows._actor_critic_steps import DiscreteSteps, ExponentialSteps
from wflow.flows._relaxation import LinearSystem, end_of_step, mean_over_step
from wflow.flows._tabular_policy import TabularValue, fisher_rao_bound, log_normalised, packed_log_policy, policy_norm
from wflow.flows._time_scale import Scale, TimeScale
from wflow.flows.critics import LinearCritic
from wflow.mdp import MDP
from wflow.mdp.evaluation import _evaluate

__all__ = ["ActorCriticFlow", "ActorCriticState"]

_CRITICS = ("ode", "exponential", "quasi_static", "discrete")


@dataclass(frozen=True, eq=False)
class ActorCriticState:
    """A policy and the critic it follows.

    Attributes
    ----------
    log_policy : ndarray, shape (n_s, n_a)
        Normalised log density; None as an initial state: the uniform policy.
    parameters : ndarray, shape (d,)
        θ; None as an initial state: 0. Of a quasi-static critic, whose θ follows from the policy, always None.
    """

    log_policy: Array | None = None
    parameters: Array | None = None


def split_state(y: Array, weights: Array, n_parameters: int) -> ActorCriticState:
    """The state that a flat array of θ (d,) and log π (n_s n_a,) stands for; d = 0 where the critic is quasi-static."""
    log_policy = log_normalised(y[n_parameters:].reshape(-1, weights.size), weights)
    return ActorCriticState(log_policy, y[:n_parameters] if n_parameters else None)


class ActorCriticFlow:
    """``dθ/dt = −η_t g(θ, π)``, ``∂_t log π = Q_θ − τ log π − V_θ`` (Zorba, Šiška & Szpruch 2026). Implements `wflow.flows.Flow`.

    g is the temporal-difference semi-gradient under ``d^π_β`` (`wflow.flows.LinearCritic`), V_θ the mean of ``Q_θ − τ log π`` under π.
    The paper's costs and KL(π|μ), minimised, are rewards and entropy with the sign changed: its θ is −θ, its policies are these.

    Parameters
    ----------
    mdp : MDP
    features : ndarray, shape (n_s n_a, d)
        φ; `tabular_features`, `polynomial_features`, `fourier_features` make some.
    time_scale : float, ("exponential", a, b) or callable
        η_t > 0: constant, ``a e^{bt}``, or any function of t. The theorems ask for η_t ≥ 1, non-decreasing, η_0 > τ/Γ; it may be less.
    beta : ndarray, shape (n_s, n_a), optional
        Law β on states and actions; by default the normalised weights of both.
    critic : str
        "ode": both as one ODE, for any method; stiff where η is large. "exponential": steps of order 2 in which the critic relaxes in
        closed form, stable for any η (options `dt`, or rtol and atol). "quasi_static": the limit η → ∞, θ the rest of the critic at
        every policy; an ODE for π alone. "discrete": the paper's scheme, a critic step, then a mirror step (option `dt`).

    Attributes
    ----------
    linear_critic : LinearCritic
        With λ_β, Γ and the assumptions on the features.
    energy : TabularValue
        E, with its optimum.

    Raises
    ------
    ValueError, TypeError
        If an argument is none of these, or λ_β = 0 where the critic's rest is asked for ("exponential", "quasi_static").

    Notes
    -----
    Initial state: an `ActorCriticState`, a log-policy (n_s, n_a) with θ = 0, or None for the uniform policy. State y: θ (d,), absent where
    it is quasi-static, then log π (n_s n_a,) up to a function of the state, as in `FisherRaoFlow`.

    Cost of a field: that of a semi-gradient, O(n_s³ + n_s n_a d) and an expectation; where the critic's rest is worked out, d expectations,
    O(n_s n_a d² + d³) and memory O(n_s n_a d). η counts from t = 0, and so does the bound. E need not rise where the critic is not exact,
    so the option `safeguard` of the methods has no place here.
    """

    state_kind = "actor-critic"

    def __init__(self, mdp: MDP, features: npt.ArrayLike, *, time_scale: Scale = 1.0, beta: npt.ArrayLike | None = None,
                 critic: str = "ode") -> None:  # fmt: skip
        self.energy = TabularValue(mdp)
        self.mdp = mdp
        self.linear_critic = LinearCritic(mdp, features, beta)
        self.time_scale = TimeScale(time_scale)
        self.critic = _checks.choice("critic", critic, _CRITICS)
        if critic in ("exponential", "quasi_static") and not self.linear_critic.excited:
            raise ValueError(f"features must be linearly independent under beta for critic={critic!r}; "
                             f"got lambda_beta = {self.linear_critic.lambda_beta:g}")  # fmt: skip
        if critic in ("exponential", "discrete"):
            self.stepper = partial(ExponentialSteps if critic == "exponential" else DiscreteSteps, self)
        self._n_parameters = 0 if critic == "quasi_static" else self.linear_critic.size
        self._first_divergence: float | None = None  # D_0
        self._initial = np.empty((0, 0))

    def pack(self, initial: Any) -> Array:
        """θ and the log-policy, flat."""
        state = initial if isinstance(initial, ActorCriticState) else ActorCriticState(initial)
        log_policy = packed_log_policy(self.mdp, state.log_policy)
        if state.parameters is None:
            parameters = np.zeros(self._n_parameters)
        elif self._n_parameters == 0:
            raise ValueError(f"initial.parameters must be None for critic='quasi_static'; got {_checks.show(state.parameters)}")
        else:
            parameters = _checks.array("initial.parameters", state.parameters, (self._n_parameters,))
        y = np.concatenate([parameters, log_policy])
        self._initial, self._first_divergence = self._split(y)[1], None
        return y

    def unpack(self, y: Array) -> ActorCriticState:
        """The policy, normalised, and θ."""
        return split_state(y, self.mdp.actions.weights, self._n_parameters)

    def _split(self, y: Array) -> tuple[Array, Array]:
        """θ (d,), or (0,) if quasi-static, and log π (n_s, n_a), normalised."""
        energy = y[self._n_parameters :].reshape(self.mdp.reward.shape)
        return y[: self._n_parameters], log_normalised(energy, self.mdp.actions.weights)

    def _followed(self, parameters: Array, log_policy: Array) -> Array:
        """The θ that the policy follows."""
        return parameters if self._n_parameters else self.linear_critic.system(log_policy).rest

    def rhs(self, t: float, y: Array) -> Array:
        """``−η_t g`` and A_θ, flat."""
        parameters, log_policy = self._split(y)
        advantage = self._advantage(self._followed(parameters, log_policy), log_policy).ravel()
        if not self._n_parameters:
            return advantage
        return np.concatenate([-self.time_scale(t) * self.linear_critic.semi_gradient(parameters, log_policy), advantage])

    def _advantage(self, parameters: Array, log_policy: Array) -> Array:
        """``A_θ = Q_θ − τ log π − V_θ`` (n_s, n_a), of mean 0 under π."""
        soft = self.linear_critic.values(parameters) - self.mdp.temperature * log_policy
        advantage: Array = soft - np.einsum("ij,ij,j->i", np.exp(log_policy), soft, self.mdp.actions.weights)[:, None]
        return advantage

    def error_norm(self, error: Array, y_old: Array, y_new: Array, rtol: float, atol: Array) -> float:
        """The larger of that of log π, as in `FisherRaoFlow`, and that of θ in the Euclidean norm, against ``atol + rtol max |θ|``."""
        d = self._n_parameters
        policy = policy_norm(error[d:], self.mdp.actions.weights, rtol, float(atol[0]))
        size, old, new = (float(np.linalg.norm(part[:d])) for part in (error, y_old, y_new))
        critic = size / (float(atol[0]) + rtol * max(old, new)) if size > 0.0 or size != size else 0.0
        return max(policy, critic) if critic == critic else critic

    # --- the steps of its own ---

    def critic_system(self, y: Array) -> LinearSystem:
        """The critic's equation at the policy of y."""
        return self.linear_critic.system(self._split(y)[1])

    def exponential_step(self, t: float, y: Array, h: float, first: LinearSystem) -> tuple[Array, Array, LinearSystem]:
        """The state (n,) after a step h, its distance to the predicted one, and the critic's equation there; `first` is that at y.

        The actor sees the mean of θ over the step: predicted with the equation at y, corrected with that at the predicted policy.
        """
        parameters, log_policy = self._split(y)
        clock, linear = self.time_scale.integral(t, h), self.linear_critic
        predicted = self._acted(mean_over_step(first, first, parameters, clock), log_policy, h)
        then = linear.system(predicted)
        followed = self._acted(mean_over_step(first, then, parameters, clock), log_policy, h)
        last = linear.system(log_normalised(followed, self.mdp.actions.weights))  # as `critic_system` would find it in the new state
        learned = end_of_step(first, last, parameters, clock)
        error = np.concatenate([learned - end_of_step(first, then, parameters, clock), (followed - predicted).ravel()])
        return np.concatenate([learned, followed.ravel()]), error, last

    def _acted(self, parameters: Array, log_policy: Array, h: float) -> Array:
        """log π after a time h in which θ stands still, exactly: ``e^{−τh} log π + (1 − e^{−τh})/τ Q_θ``, normalised."""
        tau = self.mdp.temperature
        length = -math.expm1(-tau * h) / tau if tau > 0.0 else h
        return log_normalised(math.exp(-tau * h) * log_policy + length * self.linear_critic.values(parameters), self.mdp.actions.weights)

    def discrete_step(self, t: float, y: Array, h: float) -> Array:
        """``θ − h η_t g(θ, π)``, then the policy ``∝ π^{1−τh} exp(h Q_θ)`` at the new θ, flat (n,)."""
        parameters, log_policy = self._split(y)
        learned = parameters - h * self.time_scale(t) * self.linear_critic.semi_gradient(parameters, log_policy)
        mirrored = log_normalised(log_policy + h * self._advantage(learned, log_policy), self.mdp.actions.weights)
        return np.concatenate([learned, mirrored.ravel()])

    # --- what is recorded ---

    def diagnostics(self, t: float, y: Array) -> dict[str, float]:
        """Where policy and critic stand, and which assumptions of the theorems hold (1) or not (0).

        "energy", "gap" with its certificate, "residual" sup|δ|, "divergence" D: as in `FisherRaoFlow`. "dissipation" is
        ``sum_i ϱ_i Var_{π_i}(A_θ) + |g|²``, 0 only where both rest; "energy_rate" dE/dt; "rate_defect" the distance of dD/dt to
        ``−(1 − γ)(E* − E) − τ D − sum_i d*_i <π*_i − π_i, Q_θ − Q^π>``, which is rounding.
        "K" is ``max_i KL(π_i | μ)``, μ = w/|A|; "critic_error" sup|Q_θ − Q^π|; "td_error" |g|; "realisation_error" the distance of Q^π to
        the features; "lambda_beta", "Gamma" and "eta" = η_t.
        "features_bounded" (A1), "features_excited" (A2), "realisable" (A3, at this policy), "critic_fast" (η_0 > τ/Γ),
        "time_scale_admissible".
        "exact_critic_bound" is the bound of `FisherRaoFlow` on the gap; "bound" the same where the critic is exact (quasi-static, with
        features that realise every Q^π), and NaN elsewhere: the theorem's constants for η < ∞ are known by existence only.
        """
        kept, log_policy = self._split(y)
        parameters = self._followed(kept, log_policy)
        bellman, linear = _evaluate(self.mdp, log_policy), self.linear_critic
        advantage, error = self._advantage(parameters, log_policy), linear.values(parameters) - bellman.action_value
        standing, divergence = self.energy.standing(bellman), self.energy.divergence(log_policy)
        masses = bellman.policy * self.mdp.actions.weights
        td_error = float(np.linalg.norm(linear.semi_gradient(parameters, log_policy)))
        speed = float(np.einsum("i,ij,ij->", bellman.occupancy, masses, np.square(advantage)))
        if self._first_divergence is None:
            self._first_divergence = self.energy.divergence(self._initial)
        bound, realised = fisher_rao_bound(self.mdp, t, self._first_divergence), linear.distance(bellman.action_value)
        exact = self.critic == "quasi_static" and linear.complete
        return {
            "energy": bellman.objective, "dissipation": speed + td_error**2, **standing,
            "energy_rate": float(np.einsum("i,ij,ij,ij->", bellman.occupancy, masses, bellman.advantage, advantage)),
            "divergence": divergence, "rate_defect": self._rate_defect(masses, advantage, error, standing["gap"], divergence),
            "K": float(np.einsum("ij,ij->i", masses, log_policy).max()) + math.log(self.mdp.actions.total),
            "critic_error": float(np.abs(error).max()), "td_error": td_error, "realisation_error": realised,
            "exact_critic_bound": bound, "bound": bound if exact else math.nan,
            **self._assumptions(t, linear.realises(bellman.action_value)),
        }  # fmt: skip

    def _rate_defect(self, masses: Array, advantage: Array, error: Array, gap: float, divergence: float) -> float:
        """``|dD/dt + (1 − γ)(E* − E) + τ D + sum_i d*_i <π*_i − π_i, ε_i>|`` with the critic's error ε."""
        energy = self.energy
        lag = energy.optimal_average(error) - float(np.einsum("i,ij,ij->", energy.optimal_law, masses, error))
        exact = (1.0 - self.mdp.discount) * gap + self.mdp.temperature * divergence + lag
        return abs(exact - energy.optimal_average(advantage))

    def _assumptions(self, t: float, realisable: bool) -> dict[str, float]:
        linear, eta = self.linear_critic, math.inf if self.critic == "quasi_static" else self.time_scale(t)
        fast = eta == math.inf or self.time_scale(0.0) * linear.contraction > self.mdp.temperature
        held = {
            "features_bounded": linear.bounded, "features_excited": linear.excited, "realisable": realisable, "critic_fast": fast,
            "time_scale_admissible": eta == math.inf or self.time_scale.admissible(t),
        }  # fmt: skip
        numbers = {"lambda_beta": linear.lambda_beta, "Gamma": linear.contraction, "eta": eta}
        return {**numbers, **{name: float(flag) for name, flag in held.items()}}

    def static(self) -> dict[str, Array]:
        """The problem: shape, nodes, action weights, E* and the optimal log-policy; features and β."""
        linear = self.linear_critic
        about = {"features": linear.features, "beta": linear.beta, "n_parameters": np.array(self._n_parameters)}
        return {**self.energy.static(), **about}

    def finals(self, t: float, y: Array) -> dict[str, Array]:  # noqa: ARG002 (a flow's signature)
        """The last policy, ``log_policy`` (n_s, n_a), and ``parameters`` θ (d,)."""
        parameters, log_policy = self._split(y)
        return {"log_policy": log_policy, "parameters": self._followed(parameters, log_policy)}
