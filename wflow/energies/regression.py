"""Least squares with a mean-field network of one hidden layer (Chizat & Bach 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow.energies._kernels import homogeneous_invariant, mean_square
from wflow.energies.base import Combines, Evaluation
from wflow.energies.domains import Box, Domain, Sphere
from wflow.measures import ParticleMeasure
from wflow.neurons import Network
from wflow.neurons.activations import ActivationLike
from wflow.spaces import Space

__all__ = ["Regression", "RegressionEvaluation"]


@dataclass(frozen=True, eq=False)
class RegressionEvaluation(Evaluation):
    """E(ν), its velocity, and what the same pass gives.

    Attributes
    ----------
    prediction : ndarray, shape (n,)
        f_ν at the inputs.
    signal : ndarray, shape (1, n)
        ``G_i = q_i (y_i − f_ν(x_i))``.
    """

    prediction: Array
    signal: Array

    def finals(self) -> dict[str, Array]:
        """What a run keeps of its last state: ``prediction`` (n,)."""
        return {"prediction": self.prediction}


class Regression(Combines):
    """E(ν) = ½ sum_i q_i (f_ν(x_i) − y_i)² for f_ν(x) = ∫ ω0 φ(x; ω̄) dν; minimised (``sense = -1``).

    Neurons are those of math.md §0: rows [ω0, k (d numbers), b] and φ = σ(k·x + b), or [ω0, c] for "rbf". With the signal
    ``G_i = q_i (y_i − f_ν(x_i))``: first variation ``Ψ_ν(ω) = −sum_i G_i ω0 φ(x_i; ω̄)``, velocity ``−∇Ψ_ν = (g, ω0 ∇g)`` for
    ``g = sum_i G_i φ_i``. E is convex in ν, not in the points; its least value is 0 where a network fits the data.

    Weight decay is a sum of energies: ``Regression(...) + λ * Potential.quadratic()`` adds ``λ/2 ∫ |ω|² dν``, in effect
    ``λ ∫ |ω0| |ω̄| dν`` for ReLU, whose networks do not change when a factor moves from ω0 to ω̄.

    Cost of an evaluation: that of the network's kernels (`wflow.neurons.Network`): O(N log n + n) for ReLU on distinct inputs of
    one coordinate, O(N n) at most otherwise. Memory O(N + n).

    Parameters
    ----------
    inputs : ndarray, shape (n, d) or (n,)
        x_i, d ≥ 1.
    targets : ndarray, shape (n,)
        y_i.
    activation : str, Activation or pair of compiled functions
        As for `PolicyValue`.
    weights : ndarray, shape (n,), optional
        q_i > 0; 1/n each unless given.
    width : float, optional
        Length ℓ of the radial bump "rbf".

    Attributes
    ----------
    inputs, targets, weights : ndarray, shapes (n, d), (n,), (n,)
        The data; those of one coordinate in the order of the inputs, which is the order of predictions, too.
    n_parameters : int
        Number of columns of the measures.
    smooth : bool
        Whether methods of high order have use for the field: ReLU's jumps where a kink passes an input.

    Raises
    ------
    ValueError, TypeError
        If a shape does not fit, a number is not finite, a weight is not positive, or the activation is unknown.
    """

    sense = -1

    def __init__(self, inputs: Any, targets: Any, activation: ActivationLike = "relu", *, weights: Any = None,
                 width: float | None = None) -> None:  # fmt: skip
        inputs = _inputs(inputs)
        n = len(inputs)
        targets = _checks.array("targets", targets, (n,))
        weights = _checks.array("weights", np.full(n, 1.0 / n) if weights is None else weights, (n,), above=0.0)
        if inputs.shape[1] == 1:  # ReLU's fast kernel wants them sorted
            order = np.argsort(inputs[:, 0], kind="stable")
            inputs, targets, weights = inputs[order], targets[order], weights[order]
        self.inputs, self.targets, self.weights = inputs, targets, weights
        self.network = Network(activation, Space.point(), Space(inputs, weights, "inputs"), width=width)
        self.n_parameters = self.network.n_parameters
        self.smooth = not self.network.activation.homogeneous

    @classmethod
    def from_teacher(cls, inputs: Any, teacher: ParticleMeasure, activation: ActivationLike = "relu", *, weights: Any = None,
                     width: float | None = None) -> Regression:  # fmt: skip
        """The regression on what a network says at the inputs, so that the least energy is 0, which the teacher reaches.

        Parameters
        ----------
        inputs, activation, weights, width
            As for `Regression`.
        teacher : ParticleMeasure
            points (K, m) in the layout of math.md §0, weights (K,).
        """
        inputs = _inputs(inputs)
        silent = cls(inputs, np.zeros(len(inputs)), activation, weights=weights, width=width)
        return cls(silent.inputs, silent.prediction(teacher), activation, weights=silent.weights, width=width)

    def __repr__(self) -> str:
        n, d = self.inputs.shape
        return f"Regression({n} inputs of {d} coordinates, {self.network.activation.name})"

    def evaluate(self, measure: ParticleMeasure) -> RegressionEvaluation:
        """Value and velocity from one forward and one adjoint pass."""
        prediction = self.prediction(measure)
        signal = self._signal(prediction)
        return RegressionEvaluation(measure, self._value(prediction), self.field(measure.points, signal), prediction, signal)

    def value(self, measure: ParticleMeasure) -> float:
        """E(ν)."""
        return self._value(self.prediction(measure))

    def velocity(self, measure: ParticleMeasure) -> Array:
        """``−∇Ψ_ν`` at the particles, shape (N, m); ``∂E/∂ω_n = −p_n velocity_n``."""
        return self.field(measure.points, self.signal(measure))

    def first_variation(self, measure: ParticleMeasure, points: Array) -> Array:
        """Ψ_ν(ω) = sum_i q_i (f_ν(x_i) − y_i) ω0 φ(x_i; ω̄) at points (K, m), shape (K,)."""
        points = _checks.array("points", points, (None, self.n_parameters))
        variation: Array = -points[:, 0] * self.field(points, self.signal(measure))[:, 0]
        return variation

    def prediction(self, measure: ParticleMeasure) -> Array:
        """f_ν at the inputs, shape (n,)."""
        measure = _checks.instance("measure", measure, ParticleMeasure, "a ParticleMeasure")
        if measure.dimension != self.n_parameters:
            raise ValueError(f"measure must have points with {self.n_parameters} columns; got {measure.dimension}")
        prediction: Array = self.network.forward(measure.points, measure.weights)[0]
        return prediction

    def signal(self, measure: ParticleMeasure) -> Array:
        """``G_i = q_i (y_i − f_ν(x_i))``, shape (1, n): all that the field depends on."""
        return self._signal(self.prediction(measure))

    def field(self, points: Array, signal: Array) -> Array:
        """Velocity (K, m) at points (K, m) in the field of a signal (1, n): rows (g, ω0 ∇g)."""
        return self.network.adjoint(points, signal)

    @cached_property
    def domain(self) -> Domain:
        """Θ, where ω̄ lives: directions for ReLU; for bumps the inputs' bounding box, widened by ℓ; else [−6, 6]^{m−1} for R^{m−1}."""
        activation = self.network.activation
        if activation.radial:
            return Box(self.inputs.min(axis=0) - activation.width, self.inputs.max(axis=0) + activation.width)
        return Sphere(self.n_parameters - 1) if activation.homogeneous else Box.cube(self.n_parameters - 1)

    def invariant(self, measure: ParticleMeasure) -> Array | None:
        """ω0² − |ω̄|² of every particle (N,), which the flow keeps for ReLU (math.md §3); None for other neurons."""
        if not self.network.activation.homogeneous:
            return None
        values = np.empty(measure.size)
        homogeneous_invariant(measure.points, values)
        return values

    def static(self) -> dict[str, Array]:
        """The problem as a stored run keeps it."""
        return {"inputs": self.inputs, "targets": self.targets, "input_weights": self.weights}

    def _value(self, prediction: Array) -> float:
        return 0.5 * mean_square(self.weights, (prediction - self.targets)[:, None])

    def _signal(self, prediction: Array) -> Array:
        signal: Array = (self.weights * (self.targets - prediction))[None]
        return signal


def _inputs(inputs: Any) -> Array:
    """Inputs (n, d), n and d 1 or more; a vector stands for d = 1."""
    inputs = _checks.array("inputs", inputs)
    if inputs.ndim == 1:
        inputs = inputs[:, None]
    if inputs.ndim != 2 or 0 in inputs.shape:
        raise ValueError(f"inputs must have shape (n, d) or (n,), of one input and one coordinate or more; got {inputs.shape}")
    return np.asarray(inputs)
