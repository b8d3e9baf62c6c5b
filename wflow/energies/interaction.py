"""Interaction energy: particles that attract or repel one another."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow.energies import _pairs
from wflow.energies.base import Combines, Evaluation
from wflow.measures import GridMeasure, ParticleMeasure

__all__ = ["Interaction"]

_BLOCK = 2**18  # displacements at once, in a grid's table of the kernel


class Interaction(Combines):
    """E(ν) = ½ ∬ W(x − y) dν(x) dν(y), W even (math.md §8); minimised (``sense = -1``). Its first variation is W * ν.

    Particles: sums over all pairs in blocks, O(N²) time and O(N) memory; `power` has faster ones. ∇W(0) counts as 0.

    Grids: W between centres, but in a cell with itself the mean of W over the cell about 0, so that W may be infinite there. The
    error is of order 2 in the width if W is smooth away from 0 and no steeper there than |z| (on the line; in d dimensions than
    |z|^{2−d}). Cells of one size by FFT, O(n log n) time for n cells and O(2^d n) memory, the kernel's transform kept for the grid
    seen last; cells of several by direct sums in O(n²) time (`power` as for particles).

    Parameters
    ----------
    kernel : callable (K, d) -> (K,)
        W of displacements; finite at 0 for particles.
    gradient : callable (K, d) -> (K, d), optional
        ∇W, never asked for at 0; grids do without.

    Raises
    ------
    ValueError, TypeError
        If an argument is no function; by the methods, if W is not even (checked at four displacements), what a function returns has
        another shape or is not finite, what the methods are given is no measure, or particles are to move without `gradient`.
    """

    sense = -1
    smooth = True

    def __init__(self, kernel: Callable[[Array], Array], gradient: Callable[[Array], Array] | None = None) -> None:
        for name, function in (("kernel", kernel), ("gradient", gradient)):
            if not callable(function) and not (name == "gradient" and function is None):
                raise TypeError(f"{name} must be a function of displacements (K, d); got {_checks.show(function)}")
        self.kernel, self.gradient = kernel, gradient
        self._even: set[int] = set()  # dimensions in which the kernel was seen to be
        self._transform: tuple[object, Array] | None = None  # of the kernel on the grid seen last

    @classmethod
    def power(cls, exponent: float, coefficient: float = 1.0) -> Interaction:
        """W(z) = c |z|^p / p with p ≥ 1, attractive for c > 0 and repulsive for c < 0.

        In O(N) for p = 2 and in O(N log N) for p = 1 on the line, else in compiled loops over pairs.
        """
        return _Power(_checks.real("exponent", exponent, at_least=1.0), _checks.real("coefficient", coefficient))

    # --- particles ---

    def value(self, measure: ParticleMeasure | GridMeasure) -> float:
        """E(ν), the pairs of a particle with itself included."""
        if isinstance(measure, GridMeasure):
            return float((measure.masses * self.cells(measure)).sum()) / 2.0
        measure = _checks.instance("measure", measure, ParticleMeasure, "a ParticleMeasure or a GridMeasure")
        return float((measure.weights * self._potential(measure.points, measure)).sum()) / 2.0

    def velocity(self, measure: ParticleMeasure) -> Array:
        """``−sum_j p_j ∇W(x_n − x_j)`` at the particles, shape (N, m)."""
        measure = _checks.instance("measure", measure, ParticleMeasure, "a ParticleMeasure")
        return -self._slope(measure.points, measure)

    def evaluate(self, measure: ParticleMeasure) -> Evaluation:
        """Value and velocity."""
        return Evaluation(measure, self.value(measure), self.velocity(measure))

    def first_variation(self, measure: ParticleMeasure, points: Array) -> Array:
        """``sum_j p_j W(x − x_j)`` at points (K, m), shape (K,)."""
        measure = _checks.instance("measure", measure, ParticleMeasure, "a ParticleMeasure")
        return self._potential(_checks.array("points", points, (None, measure.dimension)), measure)

    def _potential(self, points: Array, measure: ParticleMeasure) -> Array:
        """W * ν at points (K, m), shape (K,)."""
        self._check_even(measure.dimension)
        at_zero = float(self._kernel(np.zeros((1, measure.dimension)))[0])
        return _pairs.blocked("kernel(displacements)", self.kernel, at_zero, points, measure, ())

    def _slope(self, points: Array, measure: ParticleMeasure) -> Array:
        """∇W * ν at points (K, m), shape (K, m)."""
        if self.gradient is None:
            raise ValueError("gradient must be given for particles to move; got None")
        self._check_even(measure.dimension)
        return _pairs.blocked("gradient(displacements)", self.gradient, 0.0, points, measure, (measure.dimension,))

    # --- grids ---

    def cells(self, grid: GridMeasure) -> Array:
        """W * ν at the centres of the cells, in the shape of the masses."""
        grid = _checks.instance("grid", grid, GridMeasure, "a GridMeasure")
        self._check_even(grid.dimension)
        return self._by_fft(grid) if _uniform(grid) else self._by_sums(grid)

    def _by_sums(self, grid: GridMeasure) -> Array:
        """Pair by pair: for any grid, and what the transform is checked against."""
        others = self._from_others(grid.points, grid.quadrature())
        widths = np.stack([width.ravel() for width in np.meshgrid(*grid.widths, indexing="ij")], axis=1)
        return others.reshape(grid.shape) + grid.masses * self._mean_about_zero(widths).reshape(grid.shape)

    def _from_others(self, points: Array, measure: ParticleMeasure) -> Array:
        """W * ν at points (K, m), shape (K,), less W(0) times what lies there."""
        return _pairs.blocked("kernel(displacements)", self.kernel, 0.0, points, measure, ())

    def _by_fft(self, grid: GridMeasure) -> Array:
        """As a convolution, padded so that nothing wraps around; one thread, so that bits do not depend on their number."""
        import scipy.fft

        padded = [scipy.fft.next_fast_len(2 * n - 1, real=True) for n in grid.shape]
        widths = tuple((edges[-1] - edges[0]) / n for edges, n in zip(grid.axes, grid.shape, strict=True))
        if self._transform is None or self._transform[0] != (grid.shape, widths):
            table = self._table(grid.shape, padded, np.array(widths))
            # an even kernel has a real transform
            self._transform = (grid.shape, widths), np.ascontiguousarray(scipy.fft.rfftn(table, workers=1).real)
        product = scipy.fft.rfftn(grid.masses, padded, workers=1) * self._transform[1]
        convolved: Array = scipy.fft.irfftn(product, padded, workers=1)
        return np.ascontiguousarray(convolved[tuple(slice(n) for n in grid.shape)])

    def _table(self, shape: tuple[int, ...], padded: list[int], widths: Array) -> Array:
        """W at the displacements of a cyclic grid, shape `padded`: index k stands for k cells, or k − L of them; between, for 0."""
        offsets = [np.where(k < n, k, np.where(k > length - n, k - length, 0)) * width
                   for n, length, width, k in zip(shape, padded, widths, map(np.arange, padded), strict=True)]  # fmt: skip
        table = np.empty(padded)
        flat, own = table.reshape(-1), float(self._mean_about_zero(widths[None])[0])
        for begin in range(0, flat.size, _BLOCK):
            indices = np.unravel_index(np.arange(begin, min(begin + _BLOCK, flat.size)), padded)
            z = np.stack([offset[i] for offset, i in zip(offsets, indices, strict=True)], axis=1)
            zero = ~z.any(axis=1)
            z[zero] = widths
            flat[begin : begin + _BLOCK] = np.where(zero, own, self._kernel(z))
        return table

    def _mean_about_zero(self, widths: Array) -> Array:
        """Mean of W over boxes about 0 with widths (K, d), shape (K,): four Gauss–Legendre nodes on either side of 0, which has a kink."""
        nodes, shares = np.polynomial.legendre.leggauss(4)
        nodes, shares = np.concatenate((nodes - 1.0, nodes + 1.0)) / 4.0, np.tile(shares, 2) / 4.0
        mean = np.zeros(len(widths))
        for index in itertools.product(range(len(nodes)), repeat=widths.shape[1]):
            mean += np.prod(shares[list(index)]) * self._kernel(widths * nodes[list(index)])
        return mean

    # --- the kernel ---

    def _kernel(self, displacements: Array) -> Array:
        return _checks.array("kernel(displacements)", self.kernel(displacements), (len(displacements),))

    def _check_even(self, dimension: int) -> None:
        """ValueError if W(z) and W(−z) differ beyond rounding, at displacements met at random."""
        if dimension in self._even:
            return
        z = np.random.default_rng(dimension).normal(size=(4, dimension))
        there, back = self._kernel(z), self._kernel(-z)
        if (odd := np.abs(there - back) > 1e-10 * (1.0 + np.abs(there))).any():
            k = int(odd.argmax())
            raise ValueError(f"kernel must be even, W(z) = W(−z); got {there[k]:g} and {back[k]:g} at z = ±{z[k].round(3).tolist()}")
        self._even.add(dimension)


class _Power(Interaction):
    """`Interaction.power`."""

    def __init__(self, exponent: float, coefficient: float) -> None:
        super().__init__(partial(_power_kernel, exponent, coefficient), partial(_power_gradient, exponent, coefficient))
        self.exponent, self.coefficient = exponent, coefficient
        self.smooth = exponent >= 2.0

    def __repr__(self) -> str:
        return f"Interaction.power(exponent={self.exponent!r}, coefficient={self.coefficient!r})"

    def evaluate(self, measure: ParticleMeasure) -> Evaluation:
        """Value and velocity from one pass over the pairs."""
        measure = _checks.instance("measure", measure, ParticleMeasure, "a ParticleMeasure")
        potential, slope = (self.coefficient * part for part in _pairs.power(self.exponent, measure.points, measure))
        return Evaluation(measure, float((measure.weights * potential).sum()) / 2.0, -slope)

    def _potential(self, points: Array, measure: ParticleMeasure) -> Array:
        return self.coefficient * _pairs.power(self.exponent, points, measure)[0]

    _from_others = _potential  # as W(0) = 0

    def _slope(self, points: Array, measure: ParticleMeasure) -> Array:
        return self.coefficient * _pairs.power(self.exponent, points, measure)[1]


def _power_kernel(exponent: float, coefficient: float, z: Array) -> Array:
    values: Array = coefficient / exponent * np.square(z).sum(axis=1) ** (exponent / 2.0)
    return values


def _power_gradient(exponent: float, coefficient: float, z: Array) -> Array:
    gradient: Array = coefficient * np.square(z).sum(axis=1, keepdims=True) ** (exponent / 2.0 - 1.0) * z
    return gradient


def _uniform(grid: GridMeasure) -> bool:
    """Whether all cells of a grid have one size, but for the rounding of their edges."""
    return all(np.ptp(width) <= 1e-12 * width.mean() + 4.0 * np.finfo(float).eps * np.abs(edges).max()
               for width, edges in zip(grid.widths, grid.axes, strict=True))  # fmt: skip
