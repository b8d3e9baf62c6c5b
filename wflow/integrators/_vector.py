"""Fused vector kernels: each pass over the state reads every operand once and writes once, without temporaries."""

from __future__ import annotations

import math

import numpy as np

from wflow._checks import Array
from wflow._jit import FASTMATH, njit

__all__ = ["combine", "mean_product", "rms", "rms_norm", "scale_rms"]

# Sums may be reordered (and so vectorised): the order is fixed when the kernel is compiled, and NaN stays visible.
_SUMS = FASTMATH | {"reassoc"}


@njit(fastmath=FASTMATH)
def combine(out: Array, weights: Array, arrays: tuple[Array, ...]) -> bool:
    """``out = sum_k weights[k] * arrays[k]``, all (n,); True if every entry is finite. Fastest if `out` is none of `arrays`."""
    bad = 0
    for i in range(out.size):
        value = 0.0
        for k in range(len(arrays)):
            value += weights[k] * arrays[k][i]
        out[i] = value
        bad += not abs(value) < np.inf
    return bad == 0


@njit(fastmath=_SUMS)
def rms_norm(error: Array, y0: Array, y1: Array, rtol: float, atol: Array) -> float:
    """Root mean square of ``error / (atol + rtol * max(|y0|, |y1|))``, all (n,); `atol` (n,) or (1,)."""
    one_atol = atol.size == 1
    total = 0.0
    for i in range(error.size):
        scale = (atol[0] if one_atol else atol[i]) + rtol * max(abs(y0[i]), abs(y1[i]))
        scaled = error[i] / scale if error[i] != 0.0 else 0.0  # an entry that stays 0 needs no tolerance
        total += scaled * scaled
    return math.sqrt(total / error.size)


@njit(fastmath=_SUMS)
def rms(x: Array) -> float:
    """Root mean square of `x` (n,)."""
    total = 0.0
    for i in range(x.size):
        total += x[i] * x[i]
    return math.sqrt(total / x.size)


@njit(fastmath=_SUMS)
def mean_product(x: Array, y: Array) -> float:
    """Mean of ``x * y``, both (n,)."""
    total = 0.0
    for i in range(x.size):
        total += x[i] * y[i]
    return total / x.size


@njit(fastmath=_SUMS)
def scale_rms(y: Array, rtol: float, atol: Array) -> float:
    """Root mean square of ``atol + rtol * |y|``; `y` (n,), `atol` (n,) or (1,)."""
    one_atol = atol.size == 1
    total = 0.0
    for i in range(y.size):
        scale = (atol[0] if one_atol else atol[i]) + rtol * abs(y[i])
        total += scale * scale
    return math.sqrt(total / y.size)
