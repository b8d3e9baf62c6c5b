"""Birth–death dynamics: N equal particles that move, die and duplicate; Wasserstein–Fisher–Rao by jumps (math.md §8)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from wflow._checks import Array
from wflow._jit import njit
from wflow.flows._noise import uniforms
from wflow.flows.fisher_rao_transport import ReactingFlow
from wflow.flows.langevin import RandomSteps
from wflow.integrators.base import Field
from wflow.measures import ParticleMeasure

__all__ = ["BirthDeathFlow", "BirthDeathSteps"]


class BirthDeathFlow(ReactingFlow):
    """Particles that move by the velocity and jump at the rates ``sense α (Ψ(ω_n) − ∫ Ψ dν)`` (Rotskoff et al. 2019, Algorithm 1).

    Where the rate is negative a particle dies, and a copy of another one, drawn uniformly, takes its place; where it is positive
    a particle duplicates, over another one drawn uniformly. N and the weights 1/N stay; as N grows the cloud follows the
    `WassersteinFisherRaoFlow` up to fluctuations O(N^{-1/2}) (Lu, Lu & Nolen 2019, for the law with Langevin noise). Without
    noise nothing new is born: copies stay together. The flow steps itself (`stepper`), so `method` is left out of ``wflow.solve``.
    Parameters as for `ReactingFlow`.

    Notes
    -----
    State y: the points (N, m), row after row. Implements `wflow.flows.Flow`.
    """

    def pack(self, initial: ParticleMeasure) -> Array:
        """Points of the measure as a flat array (N m,).

        Raises
        ------
        ValueError, TypeError
            If `initial` is no measure that the energy takes, or its weights differ.
        """
        y = super().pack(initial)
        if np.ptp(initial.weights) > 1e-12 / initial.size:
            raise ValueError(f"initial must have equal weights, which jumps keep; got weights from {initial.weights.min():g} to "
                             f"{initial.weights.max():g}")  # fmt: skip
        self._fit = self._invariant = None  # an invariant along trajectories is none where particles change places
        return y

    def rates(self, t: float, y: Array) -> Array:
        """``sense α (Ψ(ω_n) − ∫ Ψ dν)`` (N,) per unit of mean-field time: births above 0, deaths below; free if `rhs` saw y last."""
        return self.reaction * self.fitness(self.evaluation(t, y))

    def stepper(self, t: float, y: Array, t_end: float, *, field: Field, dt: float | None = None, seed: int = 0) -> BirthDeathSteps:
        """Steps of `dt` in mean-field time; the jumps follow from `seed` (`BirthDeathSteps`)."""
        return BirthDeathSteps(field, t, y, t_end, dt=dt, seed=seed, rates=self.rates, size=len(self._weights))


class BirthDeathSteps(RandomSteps):
    """An explicit Euler step of the transport, then the jumps of that step, at the rates of its beginning; weak order 1 in `dt`.

    Particles are visited in the order of the state. Particle n jumps with probability ``1 − exp(−|rate_n| dt)``; whoever takes
    another's place takes its rate too, and is visited again if its new place comes later. Cost: one evaluation, and tens of nanoseconds
    a particle. Memory: four states.

    Parameters
    ----------
    fun, t0, y0, t_bound, dt, seed
        As for `RandomSteps`; y0 flat (N m,).
    rates : callable (t, y (N m,)) -> (N,)
        Births above 0, deaths below, per unit of mean-field time.
    size : int
        N.
    """

    _memory: ClassVar[tuple[str, ...]] = (*RandomSteps._memory, "_births", "_deaths")

    def __init__(
        self, fun: Field, t0: float, y0: Array, t_bound: float, *, dt: float | None, seed: int, rates: Callable[[float, Array], Array],
        size: int,
    ) -> None:  # fmt: skip
        super().__init__(fun, t0, y0, t_bound, dt=dt, seed=seed)
        self._rates, self._size = rates, size
        self._births = self._deaths = 0

    @property
    def counts(self) -> dict[str, int]:
        """Steps and evaluations, and the `births` and `deaths` so far."""
        return {**super().counts, "births": self._births, "deaths": self._deaths}

    def _move(self, t: float, h: float, f: Array) -> Array:  # noqa: ARG002 (nothing depends on the time itself)
        points = (self.y + h * f).reshape(self._size, -1)
        births, deaths = jump(points, self._rates(self.t, self.y).copy(), h, self._key, np.uint64(self._steps))
        self._births, self._deaths = self._births + births, self._deaths + deaths
        return points.ravel()


@njit()
def jump(points: Array, rates: Array, dt: float, key: Any, step: Any) -> tuple[int, int]:
    """Births and deaths of a step, made in place in points (N, m) and rates (N,); their numbers."""
    size, dimension = points.shape
    births, deaths = 0, 0
    for n in range(size if size > 1 else 0):  # there must be another one
        chance, place = uniforms(np.uint64(n), step, key)
        if chance >= -np.expm1(-abs(rates[n]) * dt):
            continue
        other = int(place * (size - 1))
        other += other >= n
        if rates[n] > 0.0:
            source, target = n, other
            births += 1
        else:
            source, target = other, n
            deaths += 1
        for j in range(dimension):
            points[target, j] = points[source, j]
        rates[target] = rates[source]
    return births, deaths
