"""Nonlinear power iteration: the spectral radius of df/dy from evaluations of the field."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from wflow._checks import Array
from wflow.integrators._vector import combine, rms

__all__ = ["power_iteration"]

_TOLERANCE = 0.02  # relative change between iterations at which to stop: cost goes with the square root of the radius


def power_iteration(
    field: Callable[[Array], Array], y: Array, f: Array, v: Array, size: float, iterations: int, guess: float | None = None
) -> float:
    """Spectral radius of df/dy at y, to some 10 %, from below where df/dy is symmetric.

    Iterates v ← f(y + δv) − f(y) with root mean square `size` of δv, and returns the last ratio |f(y + δv) − f(y)| / |δv|
    (Sommeijer, Shampine & Verwer 1998, §3.3). The last v starts the next call. A field with jumps has no derivative: the
    ratio is then the slope seen at distance `size`, and whatever it is after `iterations` is accepted.

    Parameters
    ----------
    field : callable
        y (n,) to f(y) (n,).
    y, f : ndarray, shape (n,)
        The point and the field there.
    v : ndarray, shape (n,)
        Start vector, not zero; overwritten by the last iterate.
    size : float
        Root mean square of the perturbation.
    iterations : int
        At most so many evaluations of the field.
    guess : float or None
        An earlier radius that belongs to v; the first iteration may then be the last.
    """
    point, ratio, length = np.empty_like(y), guess or 0.0, rms(v)
    for iteration in range(iterations):
        combine(point, np.array([1.0, size / length]), (y, v))
        combine(v, np.array([1.0, -1.0]), (field(point), f))
        length = rms(v)
        if not 0.0 < length < np.inf:  # nothing to learn from this direction: keep it for the next call
            combine(v, np.array([1.0, -1.0]), (point, y))
            return 0.0 if length == 0.0 else ratio
        previous, ratio = ratio, length / size
        if (iteration > 1 or guess is not None) and abs(ratio - previous) <= _TOLERANCE * ratio:
            break
    return ratio
