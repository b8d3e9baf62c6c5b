"""Nonlinear power iteration: the spectral radius of df/dy, and whether its dominant eigenvalues rotate, from evaluations of the field."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from wflow._checks import Array
from wflow.integrators._vector import combine, mean_product, rms

__all__ = ["Dominant", "power_iteration"]

_TOLERANCE = 0.02  # relative change between iterations at which to stop: cost goes with the square root of the radius
_NOISE = 1e-3  # of difference quotients, relative: no smaller rotation is believed
_ALIGNED = 0.995  # -cos of the angle between v and J v; below, one evaluation is no evidence for a real eigenvalue


@dataclass(frozen=True)
class Dominant:
    """The dominant eigenvalues of df/dy, as far as they were seen.

    Parameters
    ----------
    radius : float
        Their magnitude.
    angle : float
        Between the pair and the negative real axis, in radians; 0: real, or not told apart from it.
    vector : ndarray, shape (n,)
        The last iterate, to start the next call.
    """

    radius: float
    angle: float
    vector: Array


def power_iteration(
    field: Callable[[Array], Array],
    y: Array,
    f: Array,
    v: Array,
    size: float,
    iterations: int,
    guess: float | None = None,
    angle: float = 0.0,
    least: int = 1,
) -> Dominant:
    """Spectral radius of df/dy at y, to some 10 %, from below where df/dy is symmetric, and the angle of its dominant eigenvalues.

    Iterates v ← f(y + δv) − f(y) with root mean square `size` of δv, and returns the last ratio |f(y + δv) − f(y)| / |δv|
    (Sommeijer, Shampine & Verwer 1998, §3.3). A field with jumps has no derivative: the ratio is then the slope seen at
    distance `size`, and whatever it is after `iterations` is accepted.

    Two iterates and the image of the second give, without further evaluations, the Ritz values of df/dy on their plane (two steps of
    Arnoldi's method). Those of a symmetric df/dy are real whatever the plane; a pair of complex ones that leaves the plane by less than it
    rotates in it is the dominant pair, and gives radius and angle. The cosine of v and J v alone would not do: it is small
    also where real eigenvalues of both signs are mixed.

    Memory: 3 arrays (n,) beside those of `field`.

    Parameters
    ----------
    field : callable
        y (n,) to f(y) (n,).
    y, f : ndarray, shape (n,)
        The point and the field there.
    v : ndarray, shape (n,)
        Start vector, not zero; overwritten.
    size : float
        Root mean square of the perturbation.
    iterations : int
        At most so many evaluations of the field.
    guess : float or None
        An earlier radius that belongs to v; the first iteration may then be the last.
    angle : float
        An earlier angle that belongs to v, in radians.
    least : int
        At least so many evaluations. One alone tells no angle below some 6 degrees, and is not enough for one beyond.
    """
    point, older, image = np.empty_like(y), np.empty_like(y), np.empty_like(y)
    ratio, length, pair = guess or 0.0, rms(v), None
    for iteration in range(iterations):
        combine(point, np.array([1.0, size / length]), (y, v))
        combine(image, np.array([1.0, -1.0]), (field(point), f))
        stretched = rms(image)
        if not 0.0 < stretched < np.inf:  # nothing to learn from this direction: keep it for the next call
            return Dominant(0.0 if stretched == 0.0 else ratio, angle, v)
        previous, ratio = ratio, stretched / size
        if iteration == 0:
            doubtful = least > 1 or mean_product(v, image) > -_ALIGNED * length * stretched
        else:
            pair = _pair(older, v, image, size, previous)
            doubtful = pair is not None and not pair.clear
        older, v, image, length = v, image, older, stretched
        settled = (iteration > 1 or guess is not None) and abs(ratio - previous) <= _TOLERANCE * ratio
        if (settled and not doubtful) or (pair is not None and pair.exact):
            break
    return Dominant(pair.radius, pair.angle, v) if pair is not None and pair.clear else Dominant(ratio, 0.0, v)


@dataclass(frozen=True)
class _Pair:
    """Complex Ritz values: magnitude, angle from the negative real axis, and how near they are to eigenvalues.

    `clear`: the plane is left by less than they rotate in it, so that their being complex is no artefact; `exact`: by next to nothing.
    """

    radius: float
    angle: float
    clear: bool
    exact: bool


def _pair(u: Array, x: Array, image: Array, size: float, ratio: float) -> _Pair | None:
    """The Ritz values of J on the plane of u and x, where x ∝ J u, |J u| = `ratio` |u|, and image = J x `size`/|x|; None if not complex.

    With all three scaled to g = J x, J u = ratio x, |u| = |x| = 1: least squares g ≈ a x + b u makes λ² − a λ − b ratio their
    polynomial, and the residual tells how far J leads out of the plane.
    """
    length = rms(x)
    c = mean_product(u, x) / (rms(u) * length)
    gx, gu = mean_product(image, x) / (size * length), mean_product(image, u) / (size * rms(u))
    square = 1.0 - c * c
    if square <= _NOISE**2:
        return None
    a, b = (gx - c * gu) / square, (gu - c * gx) / square
    residual = math.sqrt(max(0.0, (rms(image) / size) ** 2 - a * gx - b * gu))
    product = -b * ratio
    discriminant = product - 0.25 * a * a
    if discriminant <= 0.0:
        return None
    radius = math.sqrt(product)
    clear = math.sqrt(discriminant * square) > max(residual, _NOISE * radius)
    angle = math.acos(max(-1.0, min(1.0, -0.5 * a / radius)))
    return _Pair(radius, angle, clear, clear and residual <= _NOISE * radius)
