"""Internal energies ∫ U(ρ) of a density: entropy, which diffuses, and power laws, which diffuse where there is mass."""

from __future__ import annotations

from typing import NoReturn

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow.energies.base import Combines
from wflow.measures import GridMeasure, ParticleMeasure

__all__ = ["Entropy", "PowerLaw"]


class Entropy(Combines):
    """E(ρ) = τ ∫ ρ log ρ, in nats; minimised (``sense = -1``): its flow is the heat equation ∂_t ρ = τ Δρ (math.md §8).

    Grids diffuse it by `temperature`. A cloud has no density: its particles feel the entropy as noise √(2τ) dW
    (`wflow.flows.LangevinFlow`), and have no value of it.

    Parameters
    ----------
    temperature : float
        τ > 0, an energy per nat.

    Raises
    ------
    ValueError, TypeError
        If the temperature is no number above 0; by the methods, if what they are given is not the measure they need.
    """

    sense = -1

    def __init__(self, temperature: float = 1.0) -> None:
        self.temperature = _checks.real("temperature", temperature, above=0.0)

    def __repr__(self) -> str:
        return f"Entropy(temperature={self.temperature!r})"

    def value(self, measure: GridMeasure) -> float:
        """``τ sum_i m_i log(m_i / vol_i)``, the exact value for densities constant on cells; empty cells count nothing."""
        called = "a GridMeasure, as particles have no density (their entropy is the noise of wflow.flows.LangevinFlow)"
        return -self.temperature * _checks.instance("measure", measure, GridMeasure, called).entropy()

    def velocity(self, measure: ParticleMeasure) -> Array:
        """The drift of particles under entropy, which is none: zeros (N, m). It is noise that they feel."""
        return np.zeros_like(_checks.instance("measure", measure, ParticleMeasure, "a ParticleMeasure").points)

    def cells(self, grid: GridMeasure) -> Array:
        """The first variation less τ (log ρ + 1), which goes by `temperature`: zeros in the shape of the masses."""
        return np.zeros(_checks.instance("grid", grid, GridMeasure, "a GridMeasure").shape)


class PowerLaw(Combines):
    """E(ρ) = ∫ b ρ^m / (m − 1); minimised (``sense = -1``): its flow is the porous medium equation ∂_t ρ = b Δρ^m (math.md §8).

    On grids only. Cost O(cells).

    Parameters
    ----------
    exponent : float
        m > 1.
    coefficient : float
        b > 0.

    Raises
    ------
    ValueError, TypeError
        If a parameter is out of bounds; by the methods, if what they are given is no `GridMeasure`.
    """

    sense = -1

    def __init__(self, exponent: float, coefficient: float = 1.0) -> None:
        self.exponent = _checks.real("exponent", exponent, above=1.0)
        self.coefficient = _checks.real("coefficient", coefficient, above=0.0)

    def __repr__(self) -> str:
        return f"PowerLaw(exponent={self.exponent!r}, coefficient={self.coefficient!r})"

    def value(self, measure: GridMeasure) -> float:
        """∫ U(ρ), exact for densities constant on cells."""
        grid = _checks.instance("measure", measure, GridMeasure, "a GridMeasure, as particles have no density")
        return float((grid.masses * self.cells(grid)).sum()) / self.exponent  # U = ρ U' / m

    def velocity(self, measure: ParticleMeasure) -> NoReturn:
        """Refused: a cloud has no density."""
        raise TypeError(f"measure must be a GridMeasure (wflow.flows.EulerianFlow), as particles have no density; got {measure!r}")

    def cells(self, grid: GridMeasure) -> Array:
        """U'(ρ) = b m / (m − 1) ρ^{m−1} in the shape of the masses."""
        density = _checks.instance("grid", grid, GridMeasure, "a GridMeasure").density
        pressure: Array = self.coefficient * self.exponent / (self.exponent - 1.0) * density ** (self.exponent - 1.0)
        return pressure
