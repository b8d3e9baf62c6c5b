"""Noise by counting: random numbers that are functions of (key, step, place), and the passes over the state that add them.

Philox4x32-10 (Salmon et al. 2011) turns a counter of 128 bits into 128 random ones; two of them, with Box and Muller's formula, make two
normal numbers in registers. Nothing is kept between calls, so that a step has the same bits on any number of threads and after a resume.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic

from wflow._checks import Array
from wflow._jit import FASTMATH, launch, njit, prange

__all__ = ["corrected", "disturbed", "key_of", "normals", "philox", "reflected", "uniforms"]

_LOW = 0xFFFFFFFF
_M0, _M1 = 0xD2511F53, 0xCD9E8D57  # multipliers and key increments of Philox4x32
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_CHUNK = 2048  # components of the state that a task handles; fixed, so that no number depends on the threads
_NOISE, _PASS = 3e-9, 1e-9  # seconds a component on one thread

# Left to itself the compiler calls what is this long, and then takes one counter at a time where eight fit: 13 ns a number, not 2.
_scalar = njit(fastmath=FASTMATH, forceinline=True)


def key_of(seed: int, origin: float) -> np.uint64:
    """Key of the noise of a run that begins with its step 0 at time `origin`: another one at another time or seed."""
    bits = int(np.float64(origin + 0.0).view(np.uint64))
    return np.uint64(np.random.SeedSequence([seed, bits]).generate_state(1, np.uint64)[0])


def _as_bits_codegen(typingctx: Any, value: Any) -> Any:  # noqa: ARG001 (a signature that Numba dictates)
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001
        return builder.bitcast(args[0], context.get_value_type(types.uint64))

    return types.uint64(types.float64), codegen


def _as_float_codegen(typingctx: Any, value: Any) -> Any:  # noqa: ARG001
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ARG001
        return builder.bitcast(args[0], context.get_value_type(types.float64))

    return types.float64(types.uint64), codegen


_as_bits: Any = intrinsic(_as_bits_codegen)
_as_float: Any = intrinsic(_as_float_codegen)


@_scalar
def philox(place: np.uint64, step: np.uint64, key: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Two random words of 64 bits at counter (place, step): Philox4x32-10, low halves first."""
    low, half = np.uint64(_LOW), np.uint64(32)
    c0, c1, c2, c3 = place & low, place >> half, step & low, step >> half
    k0, k1 = key & low, key >> half
    for _ in range(10):
        first, second = np.uint64(_M0) * c0, np.uint64(_M1) * c2
        c0, c1, c2, c3 = (second >> half) ^ c1 ^ k0, second & low, (first >> half) ^ c3 ^ k1, first & low
        k0, k1 = (k0 + np.uint64(_W0)) & low, (k1 + np.uint64(_W1)) & low
    return c0 | (c1 << half), c2 | (c3 << half)


@_scalar
def _unit(bits: np.uint64) -> float:
    """k 2^-52 in [0, 1) from the upper 52 of 64 bits, without a conversion of integers, which many processors do one by one."""
    return float(_as_float((bits >> np.uint64(12)) | np.uint64(0x3FF0000000000000)) - 1.0)


@_scalar
def _log(u: float) -> float:
    """log u for u in (0, 1]: u = 2^e v with v in [sqrt ½, sqrt 2), and 2 artanh((v − 1)/(v + 1)) by its series to z^21."""
    bits = _as_bits(u) + np.uint64(0x3FF0000000000000 - 0x3FE6A09E667F3BCD)  # carries into the exponent from v = sqrt 2 on
    exponent = _as_float((bits >> np.uint64(52)) | np.uint64(0x4330000000000000)) - 4503599627370496.0 - 1023.0
    v = _as_float((bits & np.uint64(0x000FFFFFFFFFFFFF)) + np.uint64(0x3FE6A09E667F3BCD))
    z = (v - 1.0) / (v + 1.0)
    y = z * z
    p = 1.0 / 21.0
    p = p * y + 1.0 / 19.0
    p = p * y + 1.0 / 17.0
    p = p * y + 1.0 / 15.0
    p = p * y + 1.0 / 13.0
    p = p * y + 1.0 / 11.0
    p = p * y + 1.0 / 9.0
    p = p * y + 1.0 / 7.0
    p = p * y + 1.0 / 5.0
    p = p * y + 1.0 / 3.0
    return float(exponent * math.log(2.0) + 2.0 * (z + z * y * p))


@_scalar
def _sine_cosine(x: float) -> tuple[float, float]:
    """Sine and cosine of |x| <= π/4, by their series to x^15 and x^16: remainders below 1e-16."""
    y = x * x
    s = -1.0 / 1307674368000.0
    s = s * y + 1.0 / 6227020800.0
    s = s * y - 1.0 / 39916800.0
    s = s * y + 1.0 / 362880.0
    s = s * y - 1.0 / 5040.0
    s = s * y + 1.0 / 120.0
    s = s * y - 1.0 / 6.0
    c = 1.0 / 20922789888000.0
    c = c * y - 1.0 / 87178291200.0
    c = c * y + 1.0 / 479001600.0
    c = c * y - 1.0 / 3628800.0
    c = c * y + 1.0 / 40320.0
    c = c * y - 1.0 / 720.0
    c = c * y + 1.0 / 24.0
    c = c * y - 0.5
    return x + x * y * s, 1.0 + y * c


@_scalar
def normals(place: np.uint64, step: np.uint64, key: np.uint64) -> tuple[float, float]:
    """Two independent normal numbers (Box & Muller 1958), of size 8.5 at most: the radius from 52 bits, the angle from 54.

    The angle lies within π/4 of the positive axis; two bits more reflect and swap, which spreads it over the circle.
    """
    first, second = philox(place, step, key)
    radius = math.sqrt(-2.0 * _log(1.0 - _unit(first)))
    sine, cosine = _sine_cosine((_unit(second) - 0.5) * (0.5 * math.pi))
    cosine = -cosine if second & np.uint64(1) else cosine
    swap = (second & np.uint64(2)) != np.uint64(0)
    return radius * (sine if swap else cosine), radius * (cosine if swap else sine)


@_scalar
def uniforms(place: np.uint64, step: np.uint64, key: np.uint64) -> tuple[float, float]:
    """Two independent uniform numbers in [0, 1), multiples of 2^-52."""
    first, second = philox(place, step, key)
    return _unit(first), _unit(second)


@njit(fastmath=FASTMATH)
def _disturb(begin: int, end: int, y: Array, f: Array, dt: float, scale: float, key: np.uint64, step: np.uint64, out: Array) -> None:
    """Components begin (even) to end of out (n,)."""
    pairs = (end - begin + 1) // 2
    one, other = np.empty(pairs), np.empty(pairs)  # which stay in the processor's nearest memory
    first = np.uint64(begin // 2)
    for k in range(pairs):
        one[k], other[k] = normals(first + np.uint64(k), step, key)
    for k in range((end - begin) // 2):
        i = begin + 2 * k
        out[i] = y[i] + dt * f[i] + scale * one[k]
        out[i + 1] = y[i + 1] + dt * f[i + 1] + scale * other[k]
    if (end - begin) % 2:
        out[end - 1] = y[end - 1] + dt * f[end - 1] + scale * one[pairs - 1]


@njit(fastmath=FASTMATH, parallel=True)
def _disturbed(y: Array, f: Array, dt: float, scale: float, key: np.uint64, step: np.uint64, out: Array) -> None:
    for chunk in prange((y.size + _CHUNK - 1) // _CHUNK):
        _disturb(chunk * _CHUNK, min(y.size, (chunk + 1) * _CHUNK), y, f, dt, scale, key, step, out)


def disturbed(y: Array, f: Array, dt: float, scale: float, key: np.uint64, step: int) -> Array:
    """``y + dt f + scale ξ`` (n,), ξ the normal numbers of `step`: components 2k and 2k + 1 are those of place k. One pass."""
    out = np.empty_like(y)
    launch(_disturbed, _NOISE * y.size, y, f, dt, scale, key, np.uint64(step), out)
    return out


@_scalar
def _fold(x: float, lower: float, upper: float) -> tuple[float, float]:
    """Where x lies once mirrored at both walls until it is between them, and the sign of dx there: −1 after an odd number of bounces."""
    if lower <= x <= upper:
        return x, 1.0
    if not math.isfinite(x):
        return math.nan, 1.0
    width = upper - lower
    past = (x - lower) - 2.0 * width * np.floor((x - lower) / (2.0 * width))  # in [0, 2 width], to rounding
    if past <= width:
        return min(max(lower, lower + past), upper), 1.0
    return max(lower, lower + (2.0 * width - past)), -1.0


@njit(fastmath=FASTMATH, parallel=True)
def _reflected(points: Array, lower: Array, upper: Array, out: Array) -> None:
    for n in prange(points.shape[0]):
        for j in range(points.shape[1]):
            out[n, j] = _fold(points[n, j], lower[j], upper[j])[0]


@njit(fastmath=FASTMATH, parallel=True)
def _corrected(points: Array, old: Array, new: Array, half: float, lower: Array, upper: Array, out: Array) -> None:
    for n in prange(points.shape[0]):
        for j in range(points.shape[1]):
            x = points[n, j]
            if lower.size == 0:
                out[n, j] = x + half * (new[n, j] - old[n, j])
            else:
                mirrored = _fold(x, lower[j], upper[j])[1] * new[n, j]
                out[n, j] = _fold(x + half * (mirrored - old[n, j]), lower[j], upper[j])[0]


def reflected(points: Array, lower: Array, upper: Array) -> Array:
    """Points (N, m) mirrored at the walls of a box, (m,) each, until all are inside; what is not finite becomes NaN."""
    out = np.empty_like(points)
    launch(_reflected, _PASS * points.size, points, lower, upper, out)
    return out


def corrected(points: Array, old: Array, new: Array, half: float, lower: Array, upper: Array) -> Array:
    """``points + half (new − old)``, all (N, m), then mirrored as by `reflected`.

    `new` is the field at the mirrored points, and mirrored back here; walls (0,): no box.
    """
    out = np.empty_like(points)
    launch(_corrected, _PASS * points.size, points, old, new, half, lower, upper, out)
    return out
