"""What an energy is: a functional of measures whose Wasserstein gradient a flow follows (math.md §0)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from wflow._checks import Array
from wflow.energies._kernels import mean_square
from wflow.measures import ParticleMeasure

if TYPE_CHECKING:
    from wflow.energies.sums import Sum

__all__ = ["Combines", "Energy", "Evaluation"]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """An energy at a measure, from one shared computation.

    Attributes
    ----------
    measure : ParticleMeasure
    value : float
        E(ν).
    velocity : ndarray, shape (N, m)
        ``sense · ∇ first_variation`` at the particles.
    """

    measure: ParticleMeasure
    value: float
    velocity: Array

    @cached_property
    def dissipation(self) -> float:
        """∫ |velocity|² dν, the rate at which the energy moves in its sense: ``dE/dt = sense · dissipation`` (math.md §3)."""
        return mean_square(self.measure.weights, np.ascontiguousarray(self.velocity, dtype=np.float64))

    def diagnostics(self) -> dict[str, float]:
        """Numbers that a flow records: ``energy`` and ``dissipation``, and what an energy adds."""
        return {"energy": self.value, "dissipation": self.dissipation}


class Energy(Protocol):
    """A functional E of measures; `value` and `velocity` are all that a flow needs.

    An energy that shares work between the two has ``evaluate(measure) -> Evaluation`` as well.
    """

    @property
    def sense(self) -> int:
        """+1 if the flow ascends the energy, −1 if it descends."""
        ...

    def value(self, measure: ParticleMeasure) -> float:
        """E(ν)."""
        ...

    def velocity(self, measure: ParticleMeasure) -> Array:
        """``sense · ∇ first_variation`` at the particles, shape (N, m); for a cloud ``∂E/∂ω_n = p_n · sense · velocity_n``."""
        ...


class Combines:
    """Gives an energy ``e1 + e2`` and ``2.0 * e``, both a `wflow.energies.Sum`."""

    def __add__(self, other: Any) -> Sum:
        """The sum of two energies, each pulling in its own sense."""
        from wflow.energies.sums import Sum

        return Sum([self, other]) if hasattr(other, "sense") else NotImplemented

    def __mul__(self, factor: Any) -> Sum:
        """The energy times a factor above 0."""
        from wflow.energies.sums import Sum

        return Sum([self], [float(factor)]) if isinstance(factor, Real) else NotImplemented

    __rmul__ = __mul__
