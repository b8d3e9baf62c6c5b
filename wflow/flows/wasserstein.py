"""The Wasserstein gradient flow of an energy, in particles: ``dω_n/dt = velocity(ω_n; ν)`` (math.md §3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow._jit import REASSOC, njit
from wflow.energies import Energy, Evaluation
from wflow.energies.sums import temperature_of
from wflow.measures import ParticleMeasure

__all__ = ["WassersteinFlow"]


@njit(fastmath=REASSOC)
def particle_norm(error: Array, y_old: Array, y_new: Array, weights: Array, rtol: float, atol: float) -> float:
    """The norm of `WassersteinFlow.error_norm`; arrays (N m,), weights (N,)."""
    m = error.size // weights.size
    total = 0.0
    for n in range(weights.size):
        square = 0.0
        old = 0.0
        new = 0.0
        for i in range(n * m, (n + 1) * m):
            square += error[i] * error[i]
            old += y_old[i] * y_old[i]
            new += y_new[i] * y_new[i]
        scale = atol + rtol * np.sqrt(max(old, new))
        if square != 0.0:  # an error of 0 needs no tolerance
            total += weights[n] * square / (scale * scale)
    return float(np.sqrt(total))


@njit(fastmath=REASSOC)
def weighted_distance(values: Array, others: Array, weights: Array) -> float:
    """``sqrt(sum_n p_n (a_n − b_n)²)``; arrays (N,)."""
    total = 0.0
    for n in range(weights.size):
        total += weights[n] * (values[n] - others[n]) * (values[n] - others[n])
    return float(np.sqrt(total))


def checked_initial(energy: Any, initial: Any) -> ParticleMeasure:
    """`initial` if it is a measure of as many parameters as the energy takes; TypeError or ValueError naming it otherwise."""
    measure: ParticleMeasure = _checks.instance("initial", initial, ParticleMeasure, "a ParticleMeasure")
    wanted = getattr(energy, "n_parameters", measure.dimension)
    if measure.dimension != wanted:
        raise ValueError(f"initial must have points with {wanted} columns for this energy; got {measure.dimension}")
    return measure


class WassersteinFlow:
    """∂_t ν + div(ν · velocity) = 0 by characteristics: points move, weights stay. Implements `wflow.flows.Flow`.

    Parameters
    ----------
    energy : Energy
        Anything with `value` and `velocity`; `evaluate` is used where there is one.

    Attributes
    ----------
    jacobian : callable (t, y) -> (callable (N m,) -> (N m,))
        Products with the Jacobian of `rhs`, for implicit methods; there if the energy has ``linearised(measure)``.

    Notes
    -----
    State y: the points (N, m), row after row. One field evaluation per `rhs`; it is remembered, so that `diagnostics` at the
    state evaluated last costs nothing more. No copy of the state.
    """

    state_kind = "particles"

    def __init__(self, energy: Energy) -> None:
        for name in ("value", "velocity"):
            if not callable(getattr(energy, name, None)):
                raise TypeError(f"energy must have a method {name}(measure); got {_checks.show(energy)}")
        if getattr(energy, "sense", None) not in (1, -1):
            raise ValueError(f"energy must have a sense of +1 (ascent) or -1 (descent); got {_checks.show(getattr(energy, 'sense', None))}")
        if (temperature := temperature_of(energy)) > 0.0:
            raise ValueError(f"energy must be without entropy, which clouds do not have: take LangevinFlow, or EulerianFlow on a grid; "
                             f"got temperature {temperature:g}")  # fmt: skip
        self.energy = energy
        self.smooth = bool(getattr(energy, "smooth", True))
        self.seconds: dict[str, float] = getattr(energy, "seconds", {})
        self._evaluate: Callable[[ParticleMeasure], Evaluation] = getattr(energy, "evaluate", self._separately)
        self._weights = np.empty(0)
        self._invariant: Array | None = None  # of the initial measure
        self._last: tuple[float, Array, Evaluation] | None = None
        if callable(linearised := getattr(energy, "linearised", None)):
            self._linearised = linearised
            self.jacobian = self._jacobian

    def _separately(self, measure: ParticleMeasure) -> Evaluation:
        return Evaluation(measure, float(self.energy.value(measure)), self.energy.velocity(measure))

    def pack(self, initial: ParticleMeasure) -> Array:
        """Points of the measure as a flat array (N m,); the flow keeps the weights, and moves one measure at a time."""
        initial = checked_initial(self.energy, initial)
        self._weights = initial.weights
        self._last = None
        self._invariant = getattr(self.energy, "invariant", lambda _: None)(initial)
        return initial.points.ravel().copy()

    def unpack(self, y: Array) -> ParticleMeasure:
        """The measure of a flat array (N m,), which it does not copy."""
        return ParticleMeasure._trusted(y.reshape(len(self._weights), -1), self._weights)

    def rhs(self, t: float, y: Array) -> Array:
        """Velocities, flat (N m,)."""
        evaluation = self._evaluate(self.unpack(y))
        _ = evaluation.dissipation  # remembered before the velocity is handed out, which the caller may overwrite
        self._last = (t, y, evaluation)
        return evaluation.velocity.ravel()

    def _jacobian(self, t: float, y: Array) -> Callable[[Array], Array]:
        """The product v (N m,) -> DF v (N m,) with the field's Jacobian at y; ``jacobian``, where the energy has ``linearised``."""
        shape = (len(self._weights), -1)
        product = self._linearised(self.evaluation(t, y))
        return lambda v: product(v.reshape(shape)).ravel()

    def diagnostics(self, t: float, y: Array) -> dict[str, float]:
        """Diagnostics of the energy's evaluation at y; free if `rhs` saw this very array last.

        Where the energy has an ``invariant(measure) -> (N,)`` that the exact flow keeps, ``"invariant_drift"`` is added: the
        distance from that of the initial measure, ``sqrt(sum_n p_n (I_n(t) − I_n(0))²)``.
        """
        values = self.evaluation(t, y).diagnostics()
        if self._invariant is None:
            return values
        return {**values, "invariant_drift": weighted_distance(self.energy.invariant(self.unpack(y)), self._invariant, self._weights)}  # type: ignore[attr-defined]

    def evaluation(self, t: float, y: Array) -> Evaluation:
        """The energy's evaluation at y.

        The one remembered serves if it was made of the same array at the same time: a method that fills one array again and
        again calls at other times.
        """
        if self._last is not None and self._last[1] is y and abs(self._last[0] - t) <= 1e-12 * abs(t):
            return self._last[2]
        evaluation = self._evaluate(self.unpack(y))
        if self._last is None:  # the first state, which is asked for several times before the first step
            self._last = (t, y, evaluation)
        return evaluation

    def error_norm(self, error: Array, y_old: Array, y_new: Array, rtol: float, atol: Array) -> float:
        """``sqrt(sum_n p_n |e_n|² / sc_n²)``, ``sc_n = atol + rtol max(|ω_n(t)|, |ω_n(t + h)|)``: a particle counts by its mass.

        The scale is the particle's, not the coordinate's: a slope that rests at 0, where ReLU's field jumps on nodes, would
        otherwise dictate the steps.
        """
        return particle_norm(error, y_old, y_new, self._weights, rtol, atol[0])

    def static(self) -> dict[str, Array]:
        """Weights, and the arrays that describe the energy's problem, for figures that are made from the file alone."""
        described: dict[str, Any] = getattr(self.energy, "static", dict)()
        return {"weights": self._weights, **described}

    def finals(self, t: float, y: Array) -> dict[str, Array]:
        """What the energy wants kept of the last state."""
        evaluation = self.evaluation(t, y)
        finals: dict[str, Array] = evaluation.finals() if hasattr(evaluation, "finals") else {}
        return finals


