"""Implicit Euler along one axis of a grid: each line of cells a chain of rates, solved without a subtraction."""

from __future__ import annotations

import numpy as np

from wflow import _jit
from wflow._checks import Array
from wflow._jit import njit, prange
from wflow.flows._finite_volumes import BLOCK, Axis

__all__ = ["implicit_step"]


@njit(parallel=True)
def _solve(masses: Array, right: Array, left: Array, dt: float, out: Array) -> None:
    """Solve ``x_i + dt (R_i x_i − L_i x_{i+1} − R_{i−1} x_{i−1} + L_{i−1} x_i) = m_i`` for x on every line; arrays as in `Axis`.

    Elimination with the pivots written as dt R_i + e_i, e_0 = 1 and e_i = 1 + dt L_{i−1} e_{i−1}/pivot_{i−1} (after Grassmann, Taksar &
    Heyman 1985): sums, products and quotients of what is not negative. So x is not negative, and each x_i has small
    relative error, whatever dt. The mass that rounding gains or loses, some ε of that of the line, is given back to the largest cell.
    """
    before, n, after = masses.shape
    blocks = (after + BLOCK - 1) // BLOCK
    for task in prange(before * blocks):
        b, start = task // blocks, (task % blocks) * BLOCK
        width = min(BLOCK, after - start)
        pivot, rest = np.empty((n, width)), np.ones(width)
        gain, lost = np.zeros(width), np.zeros(width)  # of the line, compensated (Kahan): x − m so far, and its rounding error
        largest = np.zeros(width, dtype=np.int64)
        for i in range(n):
            for j in range(width):
                source = masses[b, i, start + j]
                if i > 0:
                    share = dt / pivot[i - 1, j]
                    source += right[b, i - 1, start + j] * share * out[b, i - 1, start + j]
                    rest[j] = 1.0 + left[b, i - 1, start + j] * share * rest[j]
                pivot[i, j] = rest[j] + (dt * right[b, i, start + j] if i < n - 1 else 0.0)
                out[b, i, start + j] = source
        for i in range(n - 1, -1, -1):
            for j in range(width):
                x = out[b, i, start + j]
                if i < n - 1:
                    x += dt * left[b, i, start + j] * out[b, i + 1, start + j]
                x /= pivot[i, j]
                out[b, i, start + j] = x
                if x >= out[b, largest[j], start + j] or i == n - 1:
                    largest[j] = i
                for term in (x, -masses[b, i, start + j]):
                    term -= lost[j]
                    total = gain[j] + term
                    lost[j] = (total - gain[j]) - term
                    gain[j] = total
        for j in range(width):
            out[b, largest[j], start + j] -= gain[j]


def implicit_step(axes: tuple[Axis, ...], masses: Array, dt: float) -> Array:
    """Masses (n,) after a step dt of implicit Euler along one axis after the other (Lie splitting), at the axes' rates.

    Non-negative and of the same sum for any dt. Along an axis the step is that of a reversible Markov chain: a Gibbs state of the rates
    stays, and the entropy relative to it falls. O(cells) time, two arrays of memory and n + 5 numbers for each column in work.
    """
    for axis in axes:
        out = np.empty(masses.size)
        arguments = (masses.reshape(axis.shape), axis.right, axis.left, dt, out.reshape(axis.shape))
        _jit.launch(_solve, 1e-8 * masses.size, *arguments)
        masses = out
    return masses
