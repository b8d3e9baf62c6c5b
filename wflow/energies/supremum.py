"""The supremum of |g| over Θ by refinement: a mesh, then local ascent from its best places (math.md §7)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from wflow._checks import Array
from wflow.energies.domains import Domain

__all__ = ["Field", "Supremum", "supremum"]

Field: TypeAlias = Callable[[Array], tuple[Array, Array]]  # g (...) and ∇g (..., d) at places (..., d)

_STARTS = 8  # of the ascent
_RADII = 0.25 ** np.arange(4)  # of its trial places, in steps
_LEAP = 8.0  # radii: the longest step that gradients may ask for
_GAIN = 1e-13  # relative: what a round must bring, or else it was in vain
_ROUNDS, _HEAT = 200, 4
_TOLERANCE = 1e-10  # of Θ
_TINY = np.finfo(np.float64).tiny


@dataclass(frozen=True, eq=False)
class Supremum:
    """Where |g| is largest, as far as was found.

    Attributes
    ----------
    place : ndarray, shape (d,)
    value : float
        g there, with its sign.
    on_mesh : float
        The largest |g| on the mesh alone.
    covering : float
        Every point of Θ is this near to one of the mesh; NaN where that is not known.
    """

    place: Array
    value: float
    on_mesh: float
    covering: float


def supremum(field: Field, theta: Domain, own: Array) -> Supremum:
    """The largest |g| on Θ: of a mesh of up to 4,096 points and of places `own` (K, d), refined from the best eight that lie apart.

    Cost: `field` at those, and at 160 d places in each of the first four rounds, half as many in each of the next four, ..., 10 to 30
    in all. Same arguments, same bits.

    Raises
    ------
    ValueError
        If g is not finite somewhere.
    """
    mesh = theta.mesh()
    places = np.concatenate([mesh.points, theta.project(own)])
    values = np.abs(field(places)[0])
    if not np.isfinite(values).all():
        raise ValueError(f"energy must have a finite field on all of Θ; got {values.max()} at ω̄ = {places[values.argmax()]}")
    starts = _apart(places / theta.scale, values, 2.0 * mesh.spacing)
    place = _ascend(field, theta, places[starts], values[starts], mesh.spacing)
    return Supremum(place, float(field(place[None])[0][0]), float(values[: len(mesh.points)].max()), mesh.covering)


def _apart(places: Array, values: Array, distance: float) -> list[int]:
    """Indices of the largest values (K,), each at least `distance` from those before."""
    left, chosen = values.copy(), list[int]()
    while len(chosen) < _STARTS and left.max() >= 0.0:
        chosen.append(int(left.argmax()))
        left[np.square(places - places[chosen[-1]]).sum(axis=1) < distance**2] = -1.0
    return chosen


def _ascend(field: Field, theta: Domain, best: Array, value: Array, step: float) -> Array:
    """The best place (d,) that is reached from places `best` (S, d), where |g| is `value` (S,).

    Each round tries four distances: the axes of a random frame both ways, and steps that the gradients met there suggest. No
    derivative is trusted, since ReLU's jump: only values decide. A round in vain shrinks the step 256-fold. After every fourth round
    the better half goes on.
    """
    d, steps = theta.dimension, np.full(len(best), step)
    for number, frame in enumerate(_frames(d)):
        if number % _HEAT == 0 and number > 0:
            best, value, steps = (part[np.argsort(-value, kind="stable")[: -(-len(value) // 2)]] for part in (best, value, steps))
        reach = (steps[:, None] * _RADII)[:, :, None, None]
        around = best[:, None, None, :] + reach * np.concatenate([frame, -frame]) * theta.scale  # (S, R, 2 d, d)
        g, slopes = field(around)
        uphill = slopes * np.sign(g[:, :1, :1, None]) * theta.scale  # gradients of |g|, lengths in units of Θ's extent
        moved = best[:, None, None, :] + _moves(theta, best, uphill, frame, reach) * theta.scale
        trials = theta.project(np.concatenate([around, moved], axis=2).reshape(len(best), -1, d))
        found = np.abs(field(trials)[0])
        rows, k = np.arange(len(best)), found.argmax(axis=1)
        better, much = found[rows, k] > value, found[rows, k] > value * (1.0 + _GAIN)
        length = np.linalg.norm((trials[rows, k] - best) / theta.scale, axis=1)
        best, value = np.where(better[:, None], trials[rows, k], best), np.where(better, found[rows, k], value)
        steps = np.where(much, np.maximum(2.0 * length, steps / 4.0), steps * _RADII[-1] / 4.0)
        if steps.max() < _TOLERANCE:
            break
    place: Array = best[value.argmax()]
    return place


def _moves(theta: Domain, best: Array, uphill: Array, frame: Array, reach: Array) -> Array:
    """Steps (S, R, d, d) from `best` (S, d) that gradients (S, R, 2 d, d) at ± `frame`, `reach` (S, R, 1, 1) away, suggest.

    First Newton's, of |g| smoothed over `reach`, never downhill. Then leaps along the mean gradient less its parts across the sharpest
    kink, the two sharpest, ...: gradients that meet at a kink differ across it, and what they agree on leads along it.
    """
    d, mean = theta.dimension, uphill.mean(axis=2)
    half = np.einsum("srki,kj->srij", uphill[:, :, :d] - uphill[:, :, d:], frame) / (4.0 * reach)
    gradient, hessian = theta.restrict(best[:, None, :], mean, half + half.swapaxes(2, 3))
    jumps = uphill - mean[:, :, None, :]
    (curvature, _), (vectors, across) = np.linalg.eigh(np.stack([hessian, jumps.swapaxes(2, 3) @ jumps]))  # sharpest kink last

    least = np.linalg.norm(gradient, axis=2, keepdims=True) / (_LEAP * reach[..., 0]) + _TINY
    parts = np.einsum("srik,sri->srk", vectors, gradient) / np.maximum(np.abs(curvature), least)
    newton = np.einsum("srik,srk->sri", vectors, parts)[:, :, None, :]

    agreed = across * np.einsum("srik,sri->srk", across, gradient)[:, :, None, :]
    along = np.cumsum(agreed, axis=3).swapaxes(2, 3)[:, :, :-1]
    length = np.linalg.norm(along, axis=3, keepdims=True)
    leaps = along / np.where(length > 0.0, length, 1.0) * (_LEAP * reach)
    return np.concatenate([newton, leaps], axis=2)


def _frames(dimension: int) -> Iterator[Array]:
    """An orthonormal frame (d, d) for each round, the same at every call."""
    rng = np.random.default_rng(0)
    for _ in range(_ROUNDS):
        yield np.linalg.qr(rng.standard_normal((dimension, dimension)))[0]
