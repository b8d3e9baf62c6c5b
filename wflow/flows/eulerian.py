"""Wasserstein gradient flows on grids: finite volumes (math.md §8)."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow.energies.free import Potential
from wflow.energies.internal import Entropy
from wflow.energies.sums import temperature_of, value_on, variation_on_cells
from wflow.flows._finite_volumes import LIMITERS, FiniteVolumes
from wflow.flows._grid_steppers import EulerSteps, ImplicitSteps
from wflow.flows._implicit import implicit_step
from wflow.measures import GridMeasure

__all__ = ["EulerianFlow"]

_STEPPINGS = ("lines", "euler", "implicit")


class EulerianFlow:
    """∂_t ρ + div(ρ u) = τ Δρ on a grid, u the gradient of ``sense · first variation``: mass moves from cell to cell, none leaves.

    The first variation Ψ is taken at the centres of the cells; velocities at faces are its differences, fluxes those of
    `wflow.flows._finite_volumes.FiniteVolumes`: Scharfetter–Gummel where the energy holds an entropy, ``energy.temperature`` = τ > 0,
    else upwind with a limited linear reconstruction (Carrillo, Chertock & Huang 2015). Implements `wflow.flows.Flow`.

    Parameters
    ----------
    energy : Energy
        Anything with ``cells(grid)``, or with ``first_variation(measure, points)``, which is then given the cells as particles.
    limiter : str
        "minmod" (generalised, θ = 2), "van_leer" or "none" (first order); plays no part where τ > 0.
    stepping : str
        "lines": an ODE, for any method of `wflow.integrators`. "euler": forward Euler within its bound (option `dt`, a longest
        step). "implicit", for τ > 0: implicit Euler at the velocities of the old state, one axis after the other, which leaves masses
        non-negative whatever the step (option `dt`, a fixed step; without it, steps from rtol and atol). The steps of the last
        two are of first order in time, and halved where they would move the energy against its sense.

    Attributes
    ----------
    linear : bool
        Whether Ψ does not depend on the measure: the energy is made of potentials and entropy, or says so by ``linear = True``.
    spectral_radius : callable (t, y) -> float
        Twice the largest rate at which mass leaves a cell, a bound by Gershgorin's theorem; there if the flow is linear and τ > 0.

    Raises
    ------
    ValueError, TypeError
        If an argument is none of these; by `pack`, if the initial state is no `GridMeasure` of as many coordinates as the energy takes.

    Notes
    -----
    State y: the masses, flat. An evaluation costs Ψ once and a few passes over the cells; where the flow is linear, Ψ and what
    follows from it are worked out once. Memory: 2 d + 4 arrays of the size of the masses. A state of a method's inner stages
    may have negative masses: Ψ is then that of its positive part.

    Methods where none is asked for: "rkc2" for τ > 0, else "ssprk3" within `step_bound`. Where the energy acts like a pressure, as
    power laws do, steps of the latter go as h² all the same, and "rkc2" takes several times fewer evaluations.
    """

    state_kind = "grid"

    def __init__(self, energy: Any, *, limiter: str = "minmod", stepping: str = "lines") -> None:
        if not callable(getattr(energy, "value", None)) or not any(hasattr(energy, name) for name in ("cells", "first_variation")):
            raise TypeError(f"energy must have methods value(measure) and cells(grid) or first_variation; got {_checks.show(energy)}")
        if getattr(energy, "sense", None) not in (1, -1):
            raise ValueError(f"energy must have a sense of +1 (ascent) or -1 (descent); got {_checks.show(getattr(energy, 'sense', None))}")
        self.energy = energy
        self.sense = float(energy.sense)
        self.temperature = _checks.real("energy.temperature", temperature_of(energy), at_least=0.0)
        self.linear = _linear(energy)
        self.smooth = bool(getattr(energy, "smooth", True))
        self.seconds: dict[str, float] = getattr(energy, "seconds", {})
        self._limiter = _checks.choice("limiter", limiter, LIMITERS)
        if _checks.choice("stepping", stepping, _STEPPINGS) == "implicit" and self.temperature == 0.0:
            raise ValueError("stepping must be 'lines' or 'euler' for an energy without entropy (temperature 0); got 'implicit'")
        if stepping == "lines":
            self.default_method = "rkc2" if self.temperature > 0.0 else "ssprk3"
            if self.linear and self.temperature > 0.0:
                self.spectral_radius = self._spectral_radius
        else:
            self.stepper = partial({"euler": EulerSteps, "implicit": ImplicitSteps}[stepping], self)
        self._last: tuple[float, Array, Array] | None = None  # where the rates were last worked out, and Ψ there

    def pack(self, initial: GridMeasure) -> Array:
        """Masses of the measure, flat; the flow keeps the grid, and moves one measure at a time."""
        grid = _checks.instance("initial", initial, GridMeasure, "a GridMeasure")
        wanted = getattr(self.energy, "n_parameters", grid.dimension)
        if grid.dimension != wanted:
            raise ValueError(f"initial must have {wanted} coordinates for this energy; got {grid.dimension}")
        self._grid = grid
        self._volumes = grid.volumes.ravel()
        self._scheme = FiniteVolumes(grid, self.temperature, self._limiter)
        self._initial_mass = float(grid.masses.sum())
        self._last = None
        return grid.masses.ravel().copy()

    def unpack(self, y: Array) -> GridMeasure:
        """The measure of masses (n,), which it does not copy."""
        measure = GridMeasure._trusted(self._grid.axes, y.reshape(self._grid.shape))
        known = {name: value for name, value in vars(self._grid).items() if name not in vars(measure)}
        vars(measure).update(known)  # centres, points, volumes: the grid's
        return measure

    def rhs(self, t: float, y: Array) -> Array:
        """Rates of change of the masses, flat."""
        self._evaluate(t, y)
        return self._scheme.change(y)

    # --- what the methods ask ---

    def step_bound(self, t: float, y: Array) -> float:
        """The longest forward Euler step from (t, y) that leaves all masses non-negative (CFL), whatever Ψ does meanwhile."""
        self._at(t, y)
        return self._scheme.step_bound()

    def admissible(self, t: float, y: Array) -> bool:  # noqa: ARG002 (a flow's signature)
        """Whether no mass is negative."""
        return bool(y.min() >= 0.0)

    def projected(self, y: Array) -> Array:
        """The positive part of masses (n,), scaled to their sum."""
        if y.min() >= 0.0:
            return y
        positive = np.maximum(y, 0.0)
        positive *= y.sum() / positive.sum()
        return positive

    def error_norm(self, error: Array, y_old: Array, y_new: Array, rtol: float, atol: Array) -> float:
        """The error of the density in L² against ``atol + rtol max(|ρ(t)|, |ρ(t + h)|)`` in L².

        Cells that are nearly empty dictate no steps: that they stay non-negative is for `admissible` to see.
        """
        return density_norm(error, y_old, y_new, self._volumes, rtol, atol[0])

    def _spectral_radius(self, t: float, y: Array) -> float:
        return 2.0 / self.step_bound(t, y)

    def implicit_step(self, t: float, y: Array, dt: float) -> Array:
        """Masses (n,) after a step of implicit Euler at the rates of (t, y)."""
        self._at(t, y)
        return implicit_step(self._scheme.axes, y, dt)

    # --- what is recorded ---

    def diagnostics(self, t: float, y: Array) -> dict[str, float]:
        """Energy, dissipation, mass and positivity; Ψ costs nothing more if `rhs` saw this very array last.

        "dissipation" is that of the scheme, ``sense · dE/dt`` of ordinary differential equations for the masses, if the energy's value
        is the one whose derivatives are Ψ; "gap" its distance to the optimum, of an energy that knows one; "mass_drift" the change
        of the total mass since the start; "lowest" the smallest mass; "wall_mass" the mass in the outermost cells.
        """
        variation = self._at(t, y)
        grid = self.unpack(y)
        energy = value_on(self.energy, grid)
        values = {"energy": energy, "dissipation": self._scheme.ascent(y, self.sense * variation)}
        if hasattr(type(self.energy), "optimum"):
            values["gap"] = self.sense * (float(self.energy.optimum.objective) - energy)
        drift = float(y.sum()) - self._initial_mass
        return {**values, "mass_drift": drift, "lowest": float(y.min()), "wall_mass": wall_mass(grid.masses)}

    def energy_and_scale(self, t: float, y: Array) -> tuple[float, float]:
        """E at (t, y), and the size of its terms, against which rounding is measured."""
        grid = self.unpack(y)
        energy = value_on(self.energy, grid)
        full = self._scheme.full_potential(y, self.sense * self._at(t, y))
        return energy, abs(energy) + float((y * np.abs(full)).sum())

    def slope(self, t: float, y: Array, direction: Array) -> tuple[float, float]:
        """How fast the energy moves in its sense at (t, y) as the masses move along `direction` (n,); and the size of its terms."""
        terms = direction * self._scheme.full_potential(y, self.sense * self._at(t, y))
        return float(terms.sum()), float(np.abs(terms).sum())

    def static(self) -> dict[str, Array]:
        """Edges of the cells along each axis, and the arrays that describe the energy's problem."""
        described: dict[str, Any] = getattr(self.energy, "static", dict)()
        return {**{f"axis{k}": edges for k, edges in enumerate(self._grid.axes)}, **described}

    def finals(self, t: float, y: Array) -> dict[str, Array]:  # noqa: ARG002 (a flow's signature)
        """What a policy's value wants kept of the last state, seen as weighted particles: its log-policy."""
        if not hasattr(type(self.energy), "optimum"):
            return {}
        kept: dict[str, Array] = self.energy.evaluate(self.unpack(y).quadrature()).finals()
        return kept

    # --- Ψ and the rates ---

    def _at(self, t: float, y: Array) -> Array:
        """Ψ (n,) at (t, y), the rates being those there.

        What is remembered serves if it was made of the same array at the same time: a method that fills one array again and again calls at
        other times.
        """
        last = self._last
        if last is not None and (self.linear or (last[1] is y and abs(last[0] - t) <= 1e-12 * abs(t))):
            return last[2]
        return self._evaluate(t, y)

    def _evaluate(self, t: float, y: Array) -> Array:
        if self.linear and self._last is not None:
            return self._last[2]
        positive = y if y.min() >= 0.0 else np.maximum(y, 0.0)
        variation = np.ascontiguousarray(variation_on_cells(self.energy, self.unpack(positive)), dtype=np.float64).ravel()
        self._scheme.update(self.sense * variation)
        self._last = (t, y, variation)
        return variation


def _linear(energy: Any) -> bool:
    """Whether the first variation does not depend on the measure."""
    terms = getattr(energy, "terms", (energy,))
    return all(type(term) in (Potential, Entropy) or getattr(term, "linear", False) is True for term in terms)


def density_norm(error: Array, y_old: Array, y_new: Array, volumes: Array, rtol: float, atol: float) -> float:
    """The norm of `EulerianFlow.error_norm`; arrays (n,)."""
    size, old, new = (float(np.sqrt((np.square(masses) / volumes).sum())) for masses in (error, y_old, y_new))
    return size / (atol + rtol * max(old, new)) if size > 0.0 or size != size else 0.0


def wall_mass(masses: Array) -> float:
    """Mass in the outermost layer of cells of an array of one or more dimensions."""
    total = 0.0
    for _ in range(masses.ndim):  # the two ends of the first axis, and on with what lies between
        inner = masses[1:-1]
        total += float(masses[0].sum()) + (float(masses[-1].sum()) if len(masses) > 1 else 0.0)
        masses = np.moveaxis(inner, 0, -1)
    return total
