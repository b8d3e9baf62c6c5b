"""One step of the minimising movement on the line, in quantiles: cells keep their masses, their edges move (math.md §8)."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow.energies.internal import Entropy, PowerLaw
from wflow.energies.sums import Sum, temperature_of
from wflow.measures import GridMeasure, ParticleMeasure

__all__ = ["Minimiser", "MovingGrid"]

_NODES = (0.5 - 0.5 / math.sqrt(3.0), 0.5 + 0.5 / math.sqrt(3.0))  # Gauss–Legendre on [0, 1], weights ½
_NEWTON, _PRODUCTS = 100, 100  # iterations at most: of Newton, and of conjugate gradients in each
_FORCING = 1e-3  # residual of a Newton equation, relative
_ROUNDING = 1e-14  # of a value, in which a line search sees no rise
_NARROW = 4.0 * float(np.finfo(np.float64).eps)  # width of a cell, relative to where it is, at which edges merge
_KEPT = 0.1  # share of a cell's width that one Newton step leaves at least


class Minimiser(NamedTuple):
    """Where a step of the minimising movement ends."""

    y: Array
    residual: float
    """Norm of the gradient of ``E + W2²/(2h)`` there, in the metric: a velocity."""
    iterations: int
    reason: str | None
    """Why the residual is above its tolerance; None where it is not."""


class MovingGrid:
    """Densities constant on cells whose masses m_i stay and whose edges X_0 < ... < X_n move.

    The quantile function is piecewise linear, so W2 between two such measures is exact: with displacements a, b of its edges a cell
    has the cost m_i (a² + ab + b²)/3. Entropy and power laws are exact too; every other energy is taken at the measure of two Gauss
    nodes a cell, of order 4 in the widths. The whole is of order 2 (Blanchet, Calvez & Carrillo 2008 move quantiles
    likewise). The state y is the edges, flat (n + 1,). Memory O(n).

    Parameters
    ----------
    energy : Energy
        `Entropy`, `PowerLaw`, whatever has `value` and `velocity` for particles (potential, interaction), or a `Sum` of these.
    initial : GridMeasure
        On one axis, every mass above 0.
    walls : bool
        Whether the first and the last edge stay where they are.

    Raises
    ------
    ValueError, TypeError
        If the grid has more axes than one, fewer than three cells between walls, or a cell without mass; if an energy has neither form.
    """

    kind = "moving grid"

    def __init__(self, energy: Any, initial: GridMeasure, walls: bool) -> None:
        if initial.dimension != 1:
            raise ValueError(f"initial must be a grid on one axis, or particles; got one on {initial.dimension} axes")
        if walls and initial.size < 3:
            raise ValueError(f"initial must have three cells or more between walls; got {initial.size}")
        if not (initial.masses > 0.0).all():
            i = int(initial.masses.argmin())
            raise ValueError(f"initial must have mass in every cell, as cells keep theirs (cut the grid to the support); got 0 in cell {i}")
        if (wanted := getattr(energy, "n_parameters", 1)) != 1:
            raise ValueError(f"initial must have {wanted} coordinates for this energy; got a grid on one axis")
        self.masses, self._sense = initial.masses, energy.sense
        self._entropy, self._powers, self._drift = _parts(energy)
        self._free = slice(1, -1) if walls else slice(None)
        third = self.masses / 3.0
        diagonal = np.concatenate((third, [0.0])) + np.concatenate(([0.0], third))
        self._metric = _tridiagonal(diagonal, third / 2.0)[:, self._free]  # Σ m_i (a² + ab + b²)/3 = Dᵀ A D

    def pack(self, initial: GridMeasure) -> Array:
        """Edges, flat (n + 1,)."""
        return initial.axes[0].copy()

    def unpack(self, y: Array) -> GridMeasure:
        """The measure whose cells have the edges y, which it does not copy."""
        return GridMeasure._trusted((y,), self.masses)

    def static(self) -> dict[str, Array]:
        """The masses (n,)."""
        return {"masses": self.masses}

    def velocity(self, y: Array) -> Array:
        """``−A⁻¹ ∂E/∂X`` (n + 1,): the gradient flow of the discrete energy in the metric A of its quantiles."""
        velocity = np.zeros_like(y)
        velocity[self._free] = _solved(self._metric, -self._gradient(y, np.diff(y))[self._free])
        return velocity

    def evaluate(self, y: Array) -> dict[str, float]:
        """Energy, and dissipation ``gᵀ A⁻¹ g``, g = ∂E/∂X: minus the rate of the (minimised) energy along `velocity`."""
        widths = np.diff(y)
        slope = self._norm(self._gradient(y, widths)[self._free])
        return {"energy": -self._sense * sum(self._values(y, widths)), "dissipation": slope**2}

    def label_excess(self, old: Array, new: Array) -> float:  # noqa: ARG002
        """0: a map that keeps the order of the edges is optimal on the line."""
        return 0.0

    def minimise(self, y: Array, h: float, tolerance: float, field: Any) -> Minimiser:  # noqa: ARG002
        """Newton's method for ``E + W2²/(2h)`` from the edges y, to a residual of `tolerance` times the slope |∂E| at y or 1, the larger.

        The unknown is the displacement D of the edges, so that widths are those of y plus differences of small numbers. Newton's
        equation is solved by conjugate gradients under the tridiagonal part (transport, entropy, power laws), O(n) an iteration and
        two velocities of the drift; without drift it is exact at once. Steps are cut so that edges keep their order, and halved
        until the objective falls.
        """
        start, moved = np.diff(y), np.zeros(len(y))
        free, target = self._free, math.inf
        value, magnitude = self._objective(y, start, moved, h)
        for iteration in range(_NEWTON + 1):
            widths = start + np.diff(moved)
            gradient = self._gradient(y + moved, widths)[free] + _product(self._metric, moved[free]) / h
            residual = self._norm(gradient)
            target = target if iteration else tolerance * max(1.0, residual)
            if residual <= target:
                return Minimiser(y + moved, residual, iteration, None)
            direction = np.zeros(len(y))
            direction[free] = self._direction(y + moved, widths, gradient, h)
            step = 1.0 / max(1.0, float((-np.diff(direction) / widths).max()) / (1.0 - _KEPT))
            if (start + np.diff(moved + step * direction)).min() <= _NARROW * float(np.abs(y).max()):
                return Minimiser(y, residual, iteration, "a cell gets too narrow for its edges to differ; end the run before")
            slope, slack = float(gradient @ direction[free]), _ROUNDING * magnitude
            for _ in range(40):
                trial = self._objective(y, start, moved + step * direction, h)
                if trial[0] <= value + 1e-4 * step * slope + slack:
                    break
                step /= 2.0
            else:
                break
            moved = moved + step * direction
            value, magnitude = trial
        reason = f"Newton's method left a residual of {residual:.3g} where {target:.3g} is asked for"
        return Minimiser(y + moved, residual, iteration, f"{reason}; take a shorter step, or raise tolerance")

    # --- the objective, always minimised ---

    def _objective(self, y: Array, start: Array, moved: Array, h: float) -> tuple[float, float]:
        """``−sense E + W2²/(2h)`` after a displacement, and the size of what was added up."""
        cost = float(moved[self._free] @ _product(self._metric, moved[self._free])) / (2.0 * h)
        internal, drift = self._values(y + moved, start + np.diff(moved))
        return internal + drift + cost, abs(internal) + abs(drift) + cost

    def _values(self, edges: Array, widths: Array) -> tuple[float, float]:
        """Internal energy ∫ U(ρ), and that of the drift."""
        density = self.masses / widths
        internal = self._entropy * float((self.masses * np.log(density)).sum()) if self._entropy else 0.0
        for exponent, coefficient in self._powers:
            internal += coefficient / (exponent - 1.0) * float((self.masses * density ** (exponent - 1.0)).sum())
        if self._drift is None:
            return internal, 0.0
        return internal, -self._drift.sense * float(self._drift.value(self._nodes(edges, widths)))

    def _gradient(self, edges: Array, widths: Array) -> Array:
        """∂E/∂X (n + 1,) of the minimised energy: the pressure's jumps, and the drift at the nodes."""
        gradient = self._drift_gradient(edges, widths)
        density = self.masses / widths
        pressure = self._entropy * density
        for exponent, coefficient in self._powers:
            pressure += coefficient * density**exponent
        gradient[:-1] += pressure
        gradient[1:] -= pressure
        return gradient

    def _drift_gradient(self, edges: Array, widths: Array) -> Array:
        gradient = np.zeros(len(edges))
        if self._drift is not None:
            forces = self._drift.velocity(self._nodes(edges, widths)).reshape(2, -1)
            for share, force in zip(_NODES, forces, strict=True):
                gradient[:-1] -= (1.0 - share) / 2.0 * self.masses * force
                gradient[1:] -= share / 2.0 * self.masses * force
        return gradient

    def _nodes(self, edges: Array, widths: Array) -> ParticleMeasure:
        """Two Gauss nodes a cell as particles: first all lower ones, then all upper ones."""
        points = np.concatenate([edges[:-1] + share * widths for share in _NODES])
        return ParticleMeasure._trusted(points[:, None], np.tile(self.masses / 2.0, 2))

    def _norm(self, gradient: Array) -> float:
        """``sqrt(gᵀ A⁻¹ g)`` of a derivative by the free edges: the norm of its gradient in the metric."""
        return math.sqrt(max(float(gradient @ _solved(self._metric, gradient)), 0.0))

    # --- Newton's equation ---

    def _direction(self, edges: Array, widths: Array, gradient: Array, h: float) -> Array:
        """Newton's direction of the free edges, or one of descent where the Hessian is not positive (Steihaug 1983)."""
        density = self.masses / widths
        stiffness = self._entropy * density / widths  # U''(ρ) ρ² / width, of each cell
        for exponent, coefficient in self._powers:
            stiffness += coefficient * exponent * density**exponent / widths
        diagonal = np.concatenate((stiffness, [0.0])) + np.concatenate(([0.0], stiffness))
        tridiagonal = self._metric / h + _tridiagonal(diagonal, -stiffness)[:, self._free]
        residual = -gradient
        direction = preconditioned = _solved(tridiagonal, residual)
        if self._drift is None:
            return direction
        solution, square, first = np.zeros_like(gradient), float(residual @ direction), float(residual @ direction)
        for k in range(_PRODUCTS):
            product = _product(tridiagonal, direction) + self._drift_product(edges, widths, direction)
            curvature = float(direction @ product)
            if curvature <= 0.0:
                return solution if k else direction
            solution = solution + square / curvature * direction
            residual = residual - square / curvature * product
            preconditioned = _solved(tridiagonal, residual)
            last, square = square, float(residual @ preconditioned)
            if square <= _FORCING**2 * first:
                break
            direction = preconditioned + square / last * direction
        return solution

    def _drift_product(self, edges: Array, widths: Array, free: Array) -> Array:
        """The drift's Hessian times a displacement of the free edges, by a central difference over which cells hardly change."""
        vector = np.zeros(len(edges))
        vector[self._free] = free
        most = float(np.abs(vector).max())
        if most == 0.0:
            return np.zeros_like(free)
        step = 6e-6 * (edges[-1] - edges[0]) / most  # cube root of ε: rounding and truncation alike
        step = min(step, 1e-2 / max(float(np.abs(np.diff(vector) / widths).max()), 1e-300))
        change = step * np.diff(vector)
        ahead = self._drift_gradient(edges + step * vector, widths + change)
        behind = self._drift_gradient(edges - step * vector, widths - change)
        product: Array = ((ahead - behind) / (2.0 * step))[self._free]
        return product


def _parts(energy: Any) -> tuple[float, list[tuple[float, float]], Any]:
    """The entropy's τ, exponents and coefficients of power laws, and the energy of all other terms (None without).

    Each pulls in its own sense, so the first two enter what is minimised with a plus.
    """
    terms, factors = (energy.terms, energy.factors) if isinstance(energy, Sum) else ((energy,), (1.0,))
    entropy, powers, others = 0.0, [], []
    for term, factor in zip(terms, factors, strict=True):
        if isinstance(term, Entropy):
            entropy += factor * term.temperature
        elif isinstance(term, PowerLaw):
            powers.append((term.exponent, factor * term.coefficient))
        elif temperature_of(term) > 0.0 or not callable(getattr(term, "velocity", None)):
            allowed = "Entropy, PowerLaw, and energies with a velocity and without temperature"
            raise TypeError(f"energy must be made of {allowed} for cells that move; got {_checks.show(term)}")
        else:
            others.append((term, factor))
    return entropy, powers, Sum(*zip(*others, strict=True)) if others else None


def _tridiagonal(diagonal: Array, beside: Array) -> Array:
    """Upper banded form (2, n) of a symmetric tridiagonal matrix, as LAPACK has it; columns may be cut off at both ends."""
    return np.stack((np.concatenate(([0.0], beside)), diagonal))


def _product(matrix: Array, vector: Array) -> Array:
    product: Array = matrix[1] * vector
    product[:-1] += matrix[0, 1:] * vector[1:]
    product[1:] += matrix[0, 1:] * vector[:-1]
    return product


def _solved(matrix: Array, right: Array) -> Array:
    from scipy.linalg import solveh_banded

    solution: Array = solveh_banded(matrix, right, check_finite=False)
    return solution
