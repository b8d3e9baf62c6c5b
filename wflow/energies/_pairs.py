"""Sums over pairs of points, ``sum_j p_j f(x_n − y_j)``, without an N × N array."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow._jit import REASSOC, launch, njit, prange
from wflow.measures import ParticleMeasure

__all__ = ["blocked", "power"]

_BLOCK = 2**16  # displacements at once
_SLICE = 512  # of them in a row of the compiled loop: its buffers stay in the first cache
_SECONDS = 4e-9  # per pair


def blocked(name: str, function: Callable[[Array], Array], at_zero: float, points: Array, measure: ParticleMeasure,
            columns: tuple[int, ...]) -> Array:  # fmt: skip
    """``sum_j p_j f(x_n − y_j)`` at points (K, d), shape (K, *columns), for f (B, d) -> (B, *columns), which is `at_zero` at 0.

    f is never called at 0, where a gradient may have none. O(K N) time, O(N d) memory.
    """
    others, weights = measure.points, measure.weights
    sums = np.empty((len(points), *columns))
    rows = max(1, _BLOCK // len(others))
    for k in range(0, len(points), rows):
        z = (points[k : k + rows, None] - others).reshape(-1, points.shape[1])
        zero = ~z.any(axis=1)
        z[zero] = 1.0
        values = _checks.array(name, function(z), (len(z), *columns))
        values = np.where(zero.reshape(-1, *[1] * len(columns)), at_zero, values).reshape(-1, len(others), *columns)
        sums[k : k + rows] = np.einsum("kn...,n->k...", values, weights)
    return sums


def power(exponent: float, points: Array, measure: ParticleMeasure) -> tuple[Array, Array]:
    """Sums of W(z) = |z|^p / p and of its gradient ``|z|^{p−2} z`` (0 at 0), shapes (K,) and (K, d).

    p = 2 by moments in O(K + N), p = 1 on the line by sorting in O((K + N) log N), both exact; else pair by pair in O(K N).
    Memory O(K + N).
    """
    if exponent == 2.0:
        return _square(points, measure)
    if exponent == 1.0 and measure.dimension == 1:
        return _line(points, measure)
    potential, gradient = np.empty(len(points)), np.empty(points.shape)
    columns = np.ascontiguousarray(measure.points.T)
    launch(_power, _SECONDS * len(points) * measure.size, exponent, points, columns, measure.weights, potential, gradient)
    return potential, gradient


def _square(points: Array, measure: ParticleMeasure) -> tuple[Array, Array]:
    """p = 2: ``∫ |x − y|² dν(y) / 2 = (|x − m|² + trace of the covariance) / 2``."""
    mean = measure.mean()
    variance = float((measure.weights * np.square(measure.points - mean).sum(axis=1)).sum())
    from_mean = points - mean
    return (np.square(from_mean).sum(axis=1) + variance) / 2.0, from_mean


def _line(points: Array, measure: ParticleMeasure) -> tuple[Array, Array]:
    """p = 1 on the line: the gradient is the mass to the left less that to the right."""
    centre = float(measure.mean()[0])  # so that what is added up stays small
    x, y = points[:, 0] - centre, measure.points[:, 0] - centre
    order = np.argsort(y, kind="stable")
    y, weights = y[order], measure.weights[order]
    mass, moment = (np.concatenate(([0.0], np.cumsum(part))) for part in (weights, weights * y))
    left, right = np.searchsorted(y, x, side="left"), np.searchsorted(y, x, side="right")
    gradient = mass[left] - (mass[-1] - mass[right])
    potential = x * gradient - (moment[left] - (moment[-1] - moment[right]))
    return potential, gradient[:, None]


@njit(parallel=True, fastmath=REASSOC)
def _power(p: float, points: Array, columns: Array, weights: Array, potential: Array, gradient: Array) -> None:
    """points (K, d), columns (d, N), weights (N,), potential (K,), gradient (K, d); a row's sum is one thread's."""
    d, size = columns.shape
    for k in prange(points.shape[0]):
        square = np.empty(_SLICE)
        radial = np.empty(_SLICE)
        total = 0.0
        gradient[k] = 0.0
        for begin in range(0, size, _SLICE):
            n = min(_SLICE, size - begin)
            square[:n] = 0.0
            for i in range(d):
                for j in range(n):
                    away = points[k, i] - columns[i, begin + j]
                    square[j] += away * away
            _radial(p, square, radial, n)
            part = 0.0
            for j in range(n):
                radial[j] *= weights[begin + j]
                part += radial[j] * square[j]
            total += part
            for i in range(d):
                part = 0.0
                for j in range(n):
                    part += radial[j] * (points[k, i] - columns[i, begin + j])
                gradient[k, i] += part
        potential[k] = total / p


@njit(fastmath=REASSOC)
def _radial(p: float, square: Array, radial: Array, n: int) -> None:
    """radial (n,) = |z|^{p−2}, 0 at z = 0, from |z|²; whole p by products, which fill vector lanes where a power does not."""
    if p == 1.0:
        for j in range(n):
            radial[j] = 1.0 / np.sqrt(square[j]) if square[j] > 0.0 else 0.0
    elif p == np.floor(p) and p <= 16.0:
        whole = int(p)
        for j in range(n):
            radial[j] = np.sqrt(square[j]) if whole % 2 == 1 else 1.0
        for _ in range(whole // 2 - 1):
            for j in range(n):
                radial[j] *= square[j]
    else:
        for j in range(n):
            radial[j] = square[j] ** (p / 2.0 - 1.0) if square[j] > 0.0 else 0.0
