"""Finite volumes on rectilinear grids: rates at which mass crosses faces, and what they move (math.md §8)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from wflow import _jit
from wflow._checks import Array
from wflow._jit import FASTMATH, njit, prange
from wflow.measures import GridMeasure

__all__ = ["BLOCK", "LIMITERS", "Axis", "FiniteVolumes"]

LIMITERS = ("none", "minmod", "van_leer")
_NONE, _MINMOD, _VAN_LEER = range(3)

BLOCK, CHUNK = 64, 4096  # columns, or cells, that one task works on; fixed, so that tasks do not depend on the number of threads
_ROUNDING = 1e-12  # by which a bound on steps is shortened, so that rounding makes no cell negative at the bound itself
_EMPTIEST = 1e-300  # density that counts for an empty cell where a logarithm is taken

# Arrays of cells are (before, n, after) along an axis: `n` its cells, `before` and `after` what the axes to its left and right make.
# Arrays of faces are (before, n - 1, after): face i lies between cells i and i + 1. No mass crosses walls.


@njit(parallel=True)
def _rates(potential: Array, temperature: float, spacing: Array, widths: Array, right: Array, left: Array) -> None:
    """Rates at which the mass of a cell crosses its face to the right, and that of its right neighbour the same face to the left."""
    before, n, after = potential.shape
    blocks = (after + BLOCK - 1) // BLOCK
    for task in prange(before * blocks):
        b, start = task // blocks, (task % blocks) * BLOCK
        for i in range(n - 1):
            diffusion = temperature / spacing[i]
            for j in range(start, min(start + BLOCK, after)):
                climb = potential[b, i + 1, j] - potential[b, i, j]
                if temperature > 0.0:  # Scharfetter–Gummel: Bernoulli's function B(±q), B(−q) = B(q) + q
                    q = abs(climb) / temperature
                    against = diffusion * (q / math.expm1(q) if q > 0.0 else 1.0)
                    along = against + abs(climb) / spacing[i]
                else:
                    against, along = 0.0, abs(climb) / spacing[i]
                if not climb < 0.0:  # NaN stays NaN in both
                    right[b, i, j], left[b, i, j] = along / widths[i], against / widths[i + 1]
                else:
                    right[b, i, j], left[b, i, j] = against / widths[i], along / widths[i + 1]


@njit(fastmath=FASTMATH)
def _excess(back: float, ahead: float, width: float, gap_back: float, gap_ahead: float, limiter: int) -> float:
    """What a cell would hold more if its density were that of its linear reconstruction at its right face.

    `back` and `ahead` are the differences to the left neighbour and of the right one, as masses of this cell. The result is no
    larger than either, so that densities at both faces lie between those of the neighbours; 0 at extrema.
    """
    if not back * ahead > 0.0:
        return 0.0
    back_size, ahead_size = abs(back), abs(ahead)
    if limiter == _MINMOD:
        half = 0.5 * width * (back_size + ahead_size) / (gap_back + gap_ahead)
    else:
        a, c = back_size / gap_back, ahead_size / gap_ahead
        half = width * a * (c / (a + c))
    return float(math.copysign(min(half, back_size, ahead_size), back))


@njit(parallel=True, fastmath=FASTMATH)
def _fluxes(masses: Array, right: Array, left: Array, out: Array) -> None:
    """Mass that crosses each face to the right, per unit of time. Arrays (before, n after) and (before, (n − 1) after)."""
    before, size = out.shape
    after = masses.shape[1] - size
    chunks = (size + CHUNK - 1) // CHUNK
    for task in prange(before * chunks):
        b, start = task // chunks, (task % chunks) * CHUNK
        for p in range(start, min(start + CHUNK, size)):
            out[b, p] = right[b, p] * masses[b, p] - left[b, p] * masses[b, p + after]


@njit(parallel=True, fastmath=FASTMATH)
def _limited_fluxes(masses: Array, right: Array, left: Array, spacing: Array, widths: Array, limiter: int, out: Array) -> None:
    """As `_fluxes`, of the densities at the faces of a linear reconstruction; none in the cells next to walls."""
    before, n, after = masses.shape
    blocks = (after + BLOCK - 1) // BLOCK
    for task in prange(before * blocks):
        b, start = task // blocks, (task % blocks) * BLOCK
        stop = min(start + BLOCK, after)
        here = np.zeros(stop - start)  # excess of cell i
        for i in range(n - 1):
            for j in range(start, stop):
                there = 0.0
                if i < n - 2:
                    mass, width = masses[b, i + 1, j], widths[i + 1]
                    back = mass - masses[b, i, j] * (width / widths[i])
                    ahead = masses[b, i + 2, j] * (width / widths[i + 2]) - mass
                    there = _excess(back, ahead, width, spacing[i], spacing[i + 1], limiter)
                along, against = masses[b, i, j] + here[j - start], masses[b, i + 1, j] - there
                out[b, i, j] = right[b, i, j] * along - left[b, i, j] * against
                here[j - start] = there


@njit(parallel=True, fastmath=FASTMATH)
def _gather(flux: Array, first: bool, out: Array) -> None:
    """Add to `out` what flows into each cell less what flows out; onto zeros if `first`. Shapes as in `_fluxes`."""
    before, size = out.shape
    inner = flux.shape[1]
    after = size - inner
    chunks = (size + CHUNK - 1) // CHUNK
    for task in prange(before * chunks):
        b, start = task // chunks, (task % chunks) * CHUNK
        stop = min(start + CHUNK, size)
        if first:
            out[b, start:stop] = 0.0
        for p in range(start, min(stop, inner)):
            out[b, p] -= flux[b, p]
        for p in range(max(start, after), stop):
            out[b, p] += flux[b, p - after]


@njit(parallel=True, fastmath=FASTMATH)
def _carry(masses: Array, right: Array, left: Array, first: bool, out: Array) -> None:
    """`_fluxes` and `_gather` in one pass over arrays (before, n, after), to the same bits."""
    before, n, after = masses.shape
    blocks = (after + BLOCK - 1) // BLOCK
    for task in prange(before * blocks):
        b, start = task // blocks, (task % blocks) * BLOCK
        stop = min(start + BLOCK, after)
        if first:
            out[b, :, start:stop] = 0.0
        if after == 1:  # what came through the face behind cell i stays in a register
            behind = 0.0
            for i in range(n - 1):
                flux = right[b, i, 0] * masses[b, i, 0] - left[b, i, 0] * masses[b, i + 1, 0]
                out[b, i, 0] = out[b, i, 0] - flux + behind
                behind = flux
            out[b, n - 1, 0] += behind
            continue
        came = np.zeros(stop - start)
        for i in range(n - 1):
            for j in range(start, stop):
                flux = right[b, i, j] * masses[b, i, j] - left[b, i, j] * masses[b, i + 1, j]
                out[b, i, j] = out[b, i, j] - flux + came[j - start]
                came[j - start] = flux
        for j in range(start, stop):
            out[b, n - 1, j] += came[j - start]


@njit(parallel=True, fastmath=FASTMATH)
def _outflow(right: Array, left: Array, limited: bool, first: bool, out: Array) -> None:
    """Add to `out` the rate at which an Euler step may empty each cell through the faces of this axis; onto zeros if `first`."""
    before, n, after = out.shape
    blocks = (after + BLOCK - 1) // BLOCK
    for task in prange(before * blocks):
        b, start = task // blocks, (task % blocks) * BLOCK
        for i in range(n):
            for j in range(start, min(start + BLOCK, after)):
                ahead = right[b, i, j] if i < n - 1 else 0.0
                back = left[b, i - 1, j] if i > 0 else 0.0
                rate = 2.0 * max(ahead, back) if limited else ahead + back
                out[b, i, j] = rate if first else out[b, i, j] + rate


@dataclass(frozen=True, eq=False)
class Axis:
    """One axis of a grid, and the rates at its faces.

    Attributes
    ----------
    shape : tuple of int
        (before, n, after).
    spacing, widths : ndarray, shapes (n − 1,) and (n,)
        Distances of neighbouring centres; widths of the cells.
    right, left : ndarray, shape (before, n − 1, after)
        Shares of a cell's mass that cross each face per unit of time, from its left neighbour and from its right one.
    """

    shape: tuple[int, int, int]
    spacing: Array
    widths: Array
    right: Array
    left: Array

    @classmethod
    def of(cls, grid: GridMeasure, k: int) -> Axis:
        """Axis k of a grid, no rates filled in."""
        before, n, after = math.prod(grid.shape[:k]), grid.shape[k], math.prod(grid.shape[k + 1 :])
        faces = (before, n - 1, after)
        return cls((before, n, after), np.diff(grid.centres[k]), np.diff(grid.axes[k]), np.zeros(faces), np.zeros(faces))


class FiniteVolumes:
    """Masses m of cells under ``∂_t ρ + div(ρ ∇φ − τ ∇ρ) = 0`` with no flux through walls, for a potential φ (ascended) on the centres.

    Flux through face i, between cells of width h_i and h_{i+1} whose centres are d apart, along each axis alike:

    - τ > 0: ``F = R m_i − L m_{i+1}``, ``R = τ/d B(−q)/h_i``, ``L = τ/d B(q)/h_{i+1}``, ``q = (φ_{i+1} − φ_i)/τ``, ``B(x) = x/(eˣ − 1)``
      (Scharfetter & Gummel 1969; Chang & Cooper 1970): no flux in the Gibbs state ρ ∝ e^{φ/τ}, second order where |q| is
      small, upwind where it is large.
    - τ = 0: upwind, ``R = u⁺/h_i``, ``L = u⁻/h_{i+1}``, ``u = (φ_{i+1} − φ_i)/d`` (Carrillo, Chertock & Huang 2015), acting on the
      densities at the face from a linear reconstruction: "minmod", the generalised one with θ = 2; "van_leer", the harmonic
      mean of the two slopes.

    **Positivity.** Euler's step dt takes from cell i at most dt ``sum_axes (R_i + L_{i−1})`` m_i; where a slope is reconstructed the
    densities at the two faces of an axis are non-negative with mean ρ_i, and it is ``2 max(R_i, L_{i−1})``. Up to `step_bound`, the
    reciprocal of the largest of these sums, no mass becomes negative.

    Mass is moved from cell to cell, so it changes by rounding alone. Memory: 2 d arrays of the size of the masses, and one of work.
    """

    def __init__(self, grid: GridMeasure, temperature: float, limiter: str) -> None:
        self.temperature = temperature
        self.limiter = _NONE if temperature > 0.0 else LIMITERS.index(limiter)
        self.axes = tuple(Axis.of(grid, k) for k in range(grid.dimension))
        self._volumes = grid.volumes.ravel()
        self._work = np.empty(grid.size)

    def update(self, potential: Array) -> None:
        """Rates for a potential φ, an array of the size of the masses; one exponential a face where τ > 0."""
        for axis in self.axes:
            arguments = (potential.reshape(axis.shape), self.temperature, axis.spacing, axis.widths, axis.right, axis.left)
            _jit.launch(_rates, 2e-8 * potential.size, *arguments)

    def change(self, masses: Array) -> Array:
        """dm/dt (n,) of masses (n,), a fresh array."""
        out = np.empty(masses.size)
        for k, axis in enumerate(self.axes):
            if self.limiter == _NONE:
                arguments = (masses.reshape(axis.shape), axis.right, axis.left, k == 0, out.reshape(axis.shape))
                _jit.launch(_carry, 4e-9 * masses.size, *arguments)
            else:
                before, flux = axis.shape[0], self._fluxes(masses, axis)
                _jit.launch(_gather, 2e-9 * masses.size, flux.reshape(before, flux[0].size), k == 0, out.reshape(before, -1))
        return out

    def full_potential(self, masses: Array, potential: Array) -> Array:
        """φ − τ log ρ (n,), the gradient of the energy in the masses but for its sense and a constant; empty cells have density 1e-300."""
        if self.temperature == 0.0:
            return potential
        full: Array = potential - self.temperature * np.log(np.maximum(masses / self._volumes, _EMPTIEST))
        return full

    def ascent(self, masses: Array, potential: Array) -> float:
        """``sum_faces F Δ(φ − τ log ρ)`` ≥ 0: how fast the energy moves in its sense as the fluxes of these masses move it."""
        potential = self.full_potential(masses, potential)
        climbs = ((axis, np.diff(potential.reshape(axis.shape), axis=1)) for axis in self.axes)
        return float(sum((self._fluxes(masses, axis) * climb).sum() for axis, climb in climbs))

    def step_bound(self) -> float:
        """The longest Euler step that leaves every mass non-negative, whatever the masses are; infinite where nothing moves."""
        rates = np.empty(self._volumes.size)
        for k, axis in enumerate(self.axes):
            arguments = (axis.right, axis.left, self.limiter != _NONE, k == 0, rates.reshape(axis.shape))
            _jit.launch(_outflow, 2e-9 * rates.size, *arguments)
        largest = float(rates.max())
        return (1.0 - _ROUNDING) / largest if largest > 0.0 else math.inf

    def _fluxes(self, masses: Array, axis: Axis) -> Array:
        """Fluxes at the faces of an axis, in memory that the next call writes over."""
        flux = self._work[: axis.right.size].reshape(axis.right.shape)
        if self.limiter == _NONE:
            before, faces = axis.shape[0], axis.right[0].size
            flat = [a.reshape(before, faces) for a in (axis.right, axis.left, flux)]
            _jit.launch(_fluxes, 2e-9 * masses.size, masses.reshape(before, -1), *flat)
        else:
            arguments = (axis.right, axis.left, axis.spacing, axis.widths, self.limiter, flux)
            _jit.launch(_limited_fluxes, 1e-8 * masses.size, masses.reshape(axis.shape), *arguments)
        return flux
