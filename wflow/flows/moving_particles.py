"""One step of the minimising movement in particles: weights stay, points move along their labels (math.md §8)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from wflow._checks import Array
from wflow.energies import Evaluation
from wflow.energies.sums import temperature_of
from wflow.flows.moving_grid import Minimiser
from wflow.flows.wasserstein import checked_initial
from wflow.measures import ParticleMeasure
from wflow.measures.distances import w2

__all__ = ["MovingParticles"]

_CHECKED = 1000  # particles on more than one axis up to which labels are checked: the exact solver takes 0.2 s there
_ITERATIONS, _MEMORY = 1000, 20  # of L-BFGS


class MovingParticles:
    """Points x_n that move, weights p_n > 0 that stay; transport costs ``sum_n p_n |x_n − x_n^k|²``, which is at least W2².

    The state y is the points, flat (N m,). The evaluation last made is remembered by the identity of its y.

    Parameters
    ----------
    energy : Energy
    initial : ParticleMeasure

    Raises
    ------
    ValueError, TypeError
        If `initial` is no cloud of as many coordinates as the energy takes, the energy holds an entropy, or a particle has no mass.
    """

    kind = "particles"

    def __init__(self, energy: Any, initial: ParticleMeasure) -> None:
        initial = checked_initial(energy, initial)
        if temperature_of(energy) > 0.0:
            raise ValueError("initial must be a GridMeasure on one axis for an energy with entropy, of which particles have no value; "
                             f"got {initial!r}")  # fmt: skip
        if not (initial.weights > 0.0).all():
            raise ValueError(f"initial must have particles with mass; particle {int(initial.weights.argmin())} has none")
        self.energy, self.weights = energy, initial.weights
        self._evaluate: Callable[[ParticleMeasure], Evaluation] = getattr(energy, "evaluate", self._separately)
        self._last: tuple[Array, Evaluation] | None = None

    def _separately(self, measure: ParticleMeasure) -> Evaluation:
        return Evaluation(measure, float(self.energy.value(measure)), self.energy.velocity(measure))

    def pack(self, initial: ParticleMeasure) -> Array:
        """Points, flat (N m,)."""
        return initial.points.ravel().copy()

    def unpack(self, y: Array) -> ParticleMeasure:
        """The measure of a flat array (N m,), which it does not copy."""
        return ParticleMeasure._trusted(y.reshape(len(self.weights), -1), self.weights)

    def static(self) -> dict[str, Array]:
        """The weights (N,)."""
        return {"weights": self.weights}

    def evaluation(self, y: Array) -> Evaluation:
        """The energy's evaluation at y."""
        if self._last is None or self._last[0] is not y:
            self._last = (y, self._evaluate(self.unpack(y)))
        return self._last[1]

    def velocity(self, y: Array) -> Array:
        """The energy's velocities, flat (N m,)."""
        return self.evaluation(y).velocity.ravel()

    def evaluate(self, y: Array) -> dict[str, float]:
        """The energy's diagnostics at y."""
        return self.evaluation(y).diagnostics()

    def label_excess(self, old: Array, new: Array) -> float:
        """Cost of the labels above W2², the upper bound of its rounding taken off; NaN for more than 1000 particles off the line."""
        before, after = self.unpack(old), self.unpack(new)
        if before.dimension > 1 and before.size > _CHECKED:
            return math.nan
        cost = float((self.weights * ((after.points - before.points) ** 2).sum(axis=1)).sum())
        return max(cost - w2(before, after).upper ** 2, 0.0)

    def minimise(self, y: Array, h: float, tolerance: float, field: Callable[[Array], Array]) -> Minimiser:
        """L-BFGS-B from y, to a residual of `tolerance` times the slope at y or 1, the larger; O(20 N m) memory.

        `field` gives the velocities, flat; one call of it an evaluation. Close to the minimum, differences of values drown in
        rounding and line searches fail: a second pass takes them from the gradients by the trapezoidal rule,
        ``½ (g + g_0)·(z − z_0)``, where z_0 is what the first pass reached.
        """
        step = _Step(self, y, h, field)
        step(np.zeros_like(y))
        target = tolerance * max(1.0, step.residual)
        iterations = _descend(step, step, target)
        if not step.residual <= target:
            z_0, g_0 = step.z, step.gradient
            iterations += _descend(step, lambda z: (0.5 * float((step(z)[1] + g_0) @ (z - z_0)), step.gradient), target)
        reason = f"L-BFGS-B left a residual of {step.residual:.3g} where {target:.3g} is asked for; take a shorter step, or raise tolerance"
        return Minimiser(step.y, step.residual, iterations, None if step.residual <= target else reason)


class _Step:
    """The objective of a step, ``h (−sense E) + ½ |z|²``, as a function of ``z_n = √p_n (x_n − x_n^k)``, and what it was where last asked.

    In z the metric is Euclidean, and where h is small the Hessian is close to the identity.
    """

    def __init__(self, particles: MovingParticles, start: Array, h: float, field: Callable[[Array], Array]) -> None:
        self._particles, self._start, self._h, self._field = particles, start, h, field
        self._root = np.repeat(np.sqrt(particles.weights), start.size // len(particles.weights))
        self._first = particles.evaluation(start).value

    def __call__(self, z: Array) -> tuple[float, Array]:
        self.z = z.copy()
        self.y = self._start + self.z / self._root
        self.gradient: Array = self.z - self._h * self._root * self._field(self.y)
        self.residual = math.sqrt(float((self.gradient**2).sum())) / self._h
        gain = self._particles.energy.sense * (self._particles.evaluation(self.y).value - self._first)
        return 0.5 * float((self.z**2).sum()) - self._h * gain, self.gradient


def _descend(step: _Step, objective: Callable[[Array], tuple[float, Array]], target: float) -> int:
    """Minimise from ``step.z`` until the residual is at `target`, or nothing improves; the number of iterations. `step` is left there."""
    from scipy.optimize import minimize

    def stop(intermediate_result: Any) -> None:  # noqa: ARG001 (SciPy asks for this name)
        if step.residual <= target:
            raise StopIteration

    settings: Any = {"maxiter": _ITERATIONS, "maxfun": 2 * _ITERATIONS, "maxcor": _MEMORY, "ftol": 0.0, "gtol": 0.0}
    scalar: Any = objective
    found = minimize(scalar, step.z, jac=True, method="L-BFGS-B", callback=stop, options=settings)
    if not np.array_equal(step.z, found.x):
        step(found.x)
    return int(found.nit)
