"""Confinement and attraction, both quadratic: the linear McKean–Vlasov problem, whose flow is known in closed form."""

from __future__ import annotations

from wflow import _checks
from wflow._checks import Array
from wflow.energies._kernels import mean_square
from wflow.energies.base import Combines, Evaluation
from wflow.measures import ParticleMeasure

__all__ = ["QuadraticInteraction"]


class QuadraticInteraction(Combines):
    """E(ν) = κ/2 ∫ |x|² dν + λ/4 ∬ |x − y|² dν dν (math.md §8: V = κ/2 |x|², W = λ/2 |x − y|²); minimised (``sense = -1``).

    With the mean m of ν: ``velocity(x) = −κ x − λ (x − m)``, so along the flow ``x(t) = m(0) e^{−κt} + (x(0) − m(0)) e^{−(κ+λ)t}``.
    Measures of any dimension. Cost of an evaluation O(N m); memory three times that of the points.

    Parameters
    ----------
    stiffness : float
        κ ≥ 0, a rate per unit of mean-field time.
    attraction : float
        λ ≥ 0, likewise.

    Raises
    ------
    ValueError, TypeError
        If a parameter is negative or not a finite number; by the methods, if what they are given is no measure or shapes differ.
    """

    sense = -1

    def __init__(self, stiffness: float = 1.0, attraction: float = 1.0) -> None:
        self.stiffness = _checks.real("stiffness", stiffness, at_least=0.0)
        self.attraction = _checks.real("attraction", attraction, at_least=0.0)

    def __repr__(self) -> str:
        return f"QuadraticInteraction(stiffness={self.stiffness!r}, attraction={self.attraction!r})"

    def evaluate(self, measure: ParticleMeasure) -> Evaluation:
        """Value and velocity from one mean."""
        mean = self.signal(measure)
        value = self._value(mean, _variance(measure, mean))
        return Evaluation(measure, value, self.field(measure.points, mean))

    def value(self, measure: ParticleMeasure) -> float:
        """E(ν) = κ/2 |m|² + (κ + λ)/2 ∫ |x − m|² dν."""
        mean = self.signal(measure)
        return self._value(mean, _variance(measure, mean))

    def velocity(self, measure: ParticleMeasure) -> Array:
        """−κ x_n − λ (x_n − m) at the particles, shape (N, m); ``∂E/∂x_n = −p_n velocity_n``."""
        mean = self.signal(measure)
        return self.field(measure.points, mean)

    def first_variation(self, measure: ParticleMeasure, points: Array) -> Array:
        """κ/2 |x|² + λ/2 ∫ |x − y|² dν(y) at points (K, m), shape (K,)."""
        mean = self.signal(measure)
        points = _checks.array("points", points, (None, measure.dimension))
        from_mean = ((points - mean) ** 2).sum(axis=1) + _variance(measure, mean)
        variation: Array = self.stiffness / 2.0 * (points**2).sum(axis=1) + self.attraction / 2.0 * from_mean
        return variation

    def signal(self, measure: ParticleMeasure) -> Array:
        """What the field depends on: the mean m, shape (m,)."""
        return _checks.instance("measure", measure, ParticleMeasure, "a ParticleMeasure").mean()

    def field(self, points: Array, signal: Array) -> Array:
        """Velocity at any points (K, m) where the mean is `signal` (m,), shape (K, m)."""
        signal = _checks.fitting("signal", signal, (None,))
        points = _checks.fitting("points", points, (None, len(signal)))
        velocity: Array = -self.stiffness * points - self.attraction * (points - signal)
        return velocity

    def function_values(self, measure: ParticleMeasure) -> Array:
        """The observable in which a study measures the function error |m − m'|: the mean, shape (m,)."""
        return self.signal(measure)

    def function_variance(self, measure: ParticleMeasure) -> float:
        """∫ |x − mean|² dν, the trace of the covariance; ``E |mean_N − mean|²`` is this over N for N points drawn from ν."""
        return _variance(measure, self.signal(measure))

    def _value(self, mean: Array, variance: float) -> float:
        return float(self.stiffness / 2.0 * (mean @ mean) + (self.stiffness + self.attraction) / 2.0 * variance)


def _variance(measure: ParticleMeasure, mean: Array) -> float:
    """∫ |x − m|² dν."""
    return mean_square(measure.weights, measure.points - mean)
