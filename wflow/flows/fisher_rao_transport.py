"""Wasserstein–Fisher–Rao flow: points are transported and weights react (math.md §8; Rotskoff, Jelassi, Bruna & Vanden-Eijnden 2019)."""

from __future__ import annotations

from typing import Any

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow.energies import Energy, Evaluation
from wflow.energies.policy_value import PolicyEvaluation
from wflow.energies.regression import RegressionEvaluation
from wflow.energies.sums import temperature_of
from wflow.flows.wasserstein import WassersteinFlow, particle_norm
from wflow.measures import ParticleMeasure

__all__ = ["ReactingFlow", "WassersteinFisherRaoFlow", "weighted_cloud"]


class ReactingFlow(WassersteinFlow):
    """What the flows with transport and reaction share: the rates at which mass grows, and the balance of the energy.

    Parameters
    ----------
    energy : Energy
        With `first_variation` beside `value` and `velocity`, and without entropy, of which a cloud has none.
    reaction : float
        α ≥ 0, rate of the reaction per unit of first variation and mean-field time; 0: transport alone.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.
    """

    def __init__(self, energy: Energy, reaction: float = 1.0) -> None:
        super().__init__(energy)
        if not callable(getattr(energy, "first_variation", None)):
            raise TypeError(f"energy must have a method first_variation(measure, points) for the reaction; got {_checks.show(energy)}")
        if (temperature := temperature_of(energy)) != 0.0:
            raise ValueError(f"energy must be without entropy, which has no first variation at particles; got temperature {temperature:g}")
        self.reaction = _checks.real("reaction", reaction, at_least=0.0)
        self.__dict__.pop("jacobian", None)  # that of the transport alone
        self._fit: tuple[Evaluation, Array] | None = None

    def fitness(self, evaluation: Evaluation) -> Array:
        """``sense (Ψ(ω_n) − ∫ Ψ dν)`` (N,), positive where mass is to grow; remembered for the evaluation seen last."""
        if self._fit is None or self._fit[0] is not evaluation:
            measure = evaluation.measure
            if isinstance(evaluation, (PolicyEvaluation, RegressionEvaluation)):  # sense Ψ = ω0 g, and g is the velocity of ω0 (math.md §3)
                growth = measure.points[:, 0] * evaluation.velocity[:, 0]
            else:
                growth = self.energy.sense * self.energy.first_variation(measure, measure.points)  # type: ignore[attr-defined]
            self._fit = (evaluation, growth - (measure.weights * growth).sum())
        return self._fit[1]

    def diagnostics(self, t: float, y: Array) -> dict[str, float]:
        """Those of the energy's evaluation; "dissipation" is the sum of the parts "transport" and "reaction".

        ``dE/dt = sense (∫ |velocity|² dν + α Var_ν Ψ)`` along the exact flow.
        """
        evaluation = self.evaluation(t, y)
        transport = evaluation.dissipation
        reaction = self.reaction * float((evaluation.measure.weights * np.square(self.fitness(evaluation))).sum())
        return {**super().diagnostics(t, y), "dissipation": transport + reaction, "transport": transport, "reaction": reaction}


class WassersteinFisherRaoFlow(ReactingFlow):
    """``dω_n/dt = velocity(ω_n; ν)`` and ``d log p_n/dt = sense α (Ψ(ω_n) − ∫ Ψ dν)``: both points and weights ascend or descend.

    The gradient flow of the energy in the geometry that lets mass be created and destroyed where it stands, its total kept. An ODE;
    implements `wflow.flows.Flow`. Parameters as for `ReactingFlow`.

    Notes
    -----
    State y: the points (N, m), row after row, then the logarithms of the weights (N,). In logarithms weights stay positive in every
    method and at every step, vanishing ones keep all their digits, and the reaction in a fixed potential, ``p_n ∝ p_n(0) e^{−αtV}``,
    is a straight line, which every method follows exactly. A state stands for the measure with weights ``exp(log p_n)/sum``, so mass is
    1 by construction. A particle without mass has no logarithm: `pack` refuses it.

    Cost beside the energy's evaluation: its first variation at the particles (nothing for networks). Memory O(N m).
    """

    state_kind = "weighted particles"

    def pack(self, initial: ParticleMeasure) -> Array:
        """Points, then log weights, flat (N m + N,); the flow moves one measure at a time.

        Raises
        ------
        ValueError, TypeError
            If `initial` is no measure that the energy takes, or a weight is 0.
        """
        points = super().pack(initial)
        if not (initial.weights > 0.0).all():
            n = int(np.argmin(initial.weights))
            raise ValueError(f"initial must have weights above 0, as a reaction moves none away from 0; got 0.0 at [{n}]")
        self._fit, self._dimension = None, initial.dimension
        return np.concatenate([points, np.log(initial.weights)])

    def unpack(self, y: Array) -> ParticleMeasure:
        """The measure of a flat array (N m + N,): its points are not copied, its weights sum to 1."""
        return weighted_cloud(y, len(self._weights))

    def rhs(self, t: float, y: Array) -> Array:
        """Velocities (N m,), then the rates of the log weights (N,), whose mean under the weights is 0."""
        evaluation = self._evaluate(self.unpack(y))
        self._last = (t, y, evaluation)
        return np.concatenate([evaluation.velocity.ravel(), self.reaction * self.fitness(evaluation)])

    def error_norm(self, error: Array, y_old: Array, y_new: Array, rtol: float, atol: Array) -> float:
        """``sqrt(sum_n p_n (|e_n|²/sc_n² + ε_n²/(atol + rtol)²))``: e_n of the points as in `WassersteinFlow`, ε_n of the log weights.

        ε_n is the relative error of a weight, and counts by its mass, as that of the point does.
        """
        weights = weighted_cloud(y_old, len(self._weights)).weights
        split = error.size - len(weights)
        points = particle_norm(error[:split], y_old[:split], y_new[:split], weights, rtol, atol[0])
        logarithms = float(np.sqrt((weights * np.square(error[split:])).sum())) / (atol[0] + rtol)
        return float(np.hypot(points, logarithms))

    def static(self) -> dict[str, Array]:
        """The shape (N, m) of the points, by which a state is read, and the arrays that describe the energy's problem."""
        described: dict[str, Any] = getattr(self.energy, "static", dict)()
        return {"shape": np.array([len(self._weights), self._dimension]), **described}


def weighted_cloud(y: Array, size: int) -> ParticleMeasure:
    """The measure of `size` particles that a state "weighted particles" holds: points (N m,), then log weights (N,) up to a constant."""
    logarithms = y[-size:]
    weights = np.exp(logarithms - logarithms.max())
    return ParticleMeasure._trusted(y[:-size].reshape(size, -1), weights / weights.sum())
