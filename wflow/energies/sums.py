"""Sums of energies, and what grids ask of any energy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow.energies.base import Combines, Evaluation
from wflow.energies.internal import Entropy
from wflow.measures import GridMeasure, ParticleMeasure

__all__ = ["Sum", "temperature_of", "value_on", "variation_on_cells"]


class Sum(Combines):
    """``E = sum_k c_k s s_k E_k``: terms E_k, each pulling in its own sense s_k, whatever the sense s of the sum.

    So velocities add, and temperatures: ``velocity = sum_k c_k velocity_k``. s = +1 if a term is maximised, else −1:
    ``PolicyValue(mdp) + Entropy(τ)`` is the policy's value less τ ∫ ρ log ρ, maximised.

    A cloud has no entropy: at particles the terms that are `Entropy` are left out, of the value as of the velocity, which is the
    drift alone; the noise that goes with it is given by `temperature`. Cost: that of the terms.

    Parameters
    ----------
    terms : sequence of energies
        One or more. A `Sum` among them is taken apart.
    factors : sequence of floats, optional
        c_k > 0; 1 unless given.

    Attributes
    ----------
    terms, factors : tuple
        Those of the terms that are left when sums are taken apart.
    sense : int
    temperature : float
        ``τ = sum_k c_k τ_k``, the coefficient of the linear entropy in the sum.
    smooth : bool
        Whether all terms are.
    n_parameters : int
        Number of coordinates that measures must have; there if a term has it.

    Raises
    ------
    ValueError, TypeError
        If a term is no energy, a factor no number above 0, or terms ask for measures of different dimensions.
    """

    def __init__(self, terms: Sequence[Any], factors: Sequence[float] | None = None) -> None:
        if not isinstance(terms, (tuple, list)) or len(terms) == 0:
            raise TypeError(f"terms must be a sequence of one or more energies; got {_checks.show(terms)}")
        factors = _checks.array("factors", np.ones(len(terms)) if factors is None else factors, (len(terms),), above=0.0).tolist()
        flat: list[tuple[float, Any]] = []
        for k, (factor, term) in enumerate(zip(factors, terms, strict=True)):
            if getattr(term, "sense", None) not in (1, -1) or not callable(getattr(term, "value", None)):
                raise TypeError(f"terms[{k}] must be an energy, with a sense of +1 or -1 and value(measure); got {_checks.show(term)}")
            flat += [(factor * c, e) for c, e in zip(term.factors, term.terms, strict=True)] if isinstance(term, Sum) else [(factor, term)]
        self.factors: tuple[float, ...] = tuple(c for c, _ in flat)
        self.terms: tuple[Any, ...] = tuple(e for _, e in flat)
        self.sense = max(term.sense for term in self.terms)
        self.temperature = sum(c * temperature_of(term) for c, term in flat)
        self.smooth = all(getattr(term, "smooth", True) for term in self.terms)
        dimensions = {term.n_parameters for term in self.terms if hasattr(term, "n_parameters")}
        if len(dimensions) > 1:
            raise ValueError(f"terms must be energies of measures of one dimension; got {sorted(dimensions)}")
        if dimensions:
            self.n_parameters: int = dimensions.pop()
        self._signed = [(c * self.sense * term.sense, c, term) for c, term in flat]
        self._drifting = [entry for entry in self._signed if not isinstance(entry[2], Entropy)]

    def __repr__(self) -> str:
        return " + ".join(repr(term) if c == 1.0 else f"{c!r} * {term!r}" for c, term in zip(self.factors, self.terms, strict=True))

    def evaluate(self, measure: ParticleMeasure) -> Evaluation:
        """Value and velocity at particles, from the terms' own `evaluate` where they have one."""
        measure = _checks.instance("measure", measure, ParticleMeasure, "a ParticleMeasure")
        value, velocity = 0.0, np.zeros_like(measure.points)
        for signed, factor, term in self._drifting:
            shared = term.evaluate(measure) if hasattr(term, "evaluate") else None
            value += signed * (term.value(measure) if shared is None else shared.value)
            velocity += factor * (term.velocity(measure) if shared is None else shared.velocity)
        return Evaluation(measure, value, velocity)

    def value(self, measure: ParticleMeasure | GridMeasure) -> float:
        """E(ν): on a grid in full, at particles without the entropy."""
        if isinstance(measure, GridMeasure):
            return float(sum(signed * value_on(term, measure) for signed, _, term in self._signed))
        return float(sum(signed * term.value(measure) for signed, _, term in self._drifting))

    def velocity(self, measure: ParticleMeasure) -> Array:
        """``sum_k c_k velocity_k`` at the particles, shape (N, m): the drift, which has no part of the entropy."""
        measure = _checks.instance("measure", measure, ParticleMeasure, "a ParticleMeasure")
        velocity = np.zeros_like(measure.points)
        for _, factor, term in self._drifting:
            velocity += factor * term.velocity(measure)
        return velocity

    def first_variation(self, measure: ParticleMeasure, points: Array) -> Array:
        """``sum_k c_k s s_k Ψ_k`` at points (K, m), shape (K,), without the entropy's."""
        variation = np.zeros(len(points))
        for signed, _, term in self._drifting:
            variation += signed * term.first_variation(measure, points)
        return variation

    def cells(self, grid: GridMeasure) -> Array:
        """``sum_k c_k s s_k Ψ_k`` at the centres of the cells, in the shape of the masses, without the entropy's."""
        variation = np.zeros(_checks.instance("grid", grid, GridMeasure, "a GridMeasure").shape)
        for signed, _, term in self._signed:
            variation += signed * variation_on_cells(term, grid)
        return variation


def temperature_of(energy: Any) -> float:
    """Coefficient τ of the linear entropy in an energy: +τ ∫ ρ log ρ in one that is minimised, −τ ∫ ρ log ρ in one that is maximised."""
    return float(getattr(energy, "temperature", 0.0))


def variation_on_cells(energy: Any, grid: GridMeasure) -> Array:
    """First variation of any energy at the centres of a grid's cells, in the shape of the masses, the linear entropy's left out.

    It is ``energy.cells(grid)``; of an energy that knows no grids, the first variation at the centres as weighted particles.
    In the energy's own convention, not times its sense.
    """
    if hasattr(energy, "cells"):
        cells: Array = energy.cells(grid)
        return cells
    variation: Array = energy.first_variation(grid.quadrature(), grid.points)
    return variation.reshape(grid.shape)


def value_on(energy: Any, grid: GridMeasure) -> float:
    """Value of any energy on a grid, entropy included; of one that knows no grids (no `cells`), that of the centres as particles."""
    return float(energy.value(grid if hasattr(energy, "cells") else grid.quadrature()))
