"""One row of a neuron's derivatives, h + z_j for all actions j, as loops that the compiler vectorises (compare `_rows`)."""

from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import overload

from wflow._checks import Array
from wflow._jit import REASSOC, njit
from wflow.neurons._math import exp, expm1_positive, log1p_unit

__all__ = ["curvature_row", "tangent_row"]

_row = njit(fastmath=REASSOC)


@_row
def _relu_tangent(h: float, z: Array, w: float, dh: float, dz: Array, out: Array) -> None:
    for j in range(z.shape[0]):
        x = h + z[j]
        out[j] += w * x + (dh + dz[j]) if x > 0.0 else 0.0 * x


@_row
def _tanh_tangent(h: float, z: Array, w: float, dh: float, dz: Array, out: Array) -> None:
    for j in range(z.shape[0]):
        x = h + z[j]
        e = expm1_positive(2.0 * abs(x))
        r = 1.0 / (e + 2.0)
        t = e * r
        out[j] += w * (t if x > 0.0 else -t) + (dh + dz[j]) * (4.0 * (e + 1.0) * r * r)


@_row
def _sigmoid_tangent(h: float, z: Array, w: float, dh: float, dz: Array, out: Array) -> None:
    for j in range(z.shape[0]):
        x = h + z[j]
        e = exp(-abs(x))
        r = 1.0 / (1.0 + e)
        out[j] += w * ((1.0 if x > 0.0 else e) * r) + (dh + dz[j]) * (e * r * r)


@_row
def _softplus_tangent(h: float, z: Array, w: float, dh: float, dz: Array, out: Array) -> None:
    for j in range(z.shape[0]):
        x = h + z[j]
        e = exp(-abs(x))
        out[j] += w * (max(x, 0.0) + log1p_unit(e)) + (dh + dz[j]) * ((1.0 if x > 0.0 else e) / (1.0 + e))


@_row
def _gaussian_tangent(h: float, z: Array, w: float, dh: float, dz: Array, out: Array) -> None:
    for j in range(z.shape[0]):
        x = h + z[j]
        x = 40.0 if x > 40.0 else x  # beyond, exp is 0, and x times a clamped exp would not be; NaN stays
        x = -40.0 if x < -40.0 else x
        out[j] += (w - (dh + dz[j]) * x) * exp(-0.5 * x * x)


@_row
def _tanh_curvature(h: float, z: Array, g: Array, out: Array) -> None:
    for j in range(z.shape[0]):
        x = h + z[j]
        e = expm1_positive(2.0 * abs(x))
        r = 1.0 / (e + 2.0)
        d = g[j] * (-8.0 * (e + 1.0) * e * r * r * r)  # -2 tanh (1 - tanh**2)
        out[j] = d if x > 0.0 else -d


@_row
def _sigmoid_curvature(h: float, z: Array, g: Array, out: Array) -> None:
    for j in range(z.shape[0]):
        x = h + z[j]
        e = exp(-abs(x))
        r = 1.0 / (1.0 + e)
        d = g[j] * (e * (e - 1.0) * r * r * r)
        out[j] = d if x > 0.0 else -d


@_row
def _softplus_curvature(h: float, z: Array, g: Array, out: Array) -> None:
    for j in range(z.shape[0]):
        e = exp(-abs(h + z[j]))
        r = 1.0 / (1.0 + e)
        out[j] = g[j] * (e * r * r)


@_row
def _gaussian_curvature(h: float, z: Array, g: Array, out: Array) -> None:
    for j in range(z.shape[0]):
        x = h + z[j]
        x = 40.0 if x > 40.0 else x
        x = -40.0 if x < -40.0 else x
        out[j] = g[j] * (x * x - 1.0) * exp(-0.5 * x * x)


@njit()
def _builtin_tangent(code: int, h: float, z: Array, w: float, dh: float, dz: Array, out: Array) -> None:
    if code == 0:
        _relu_tangent(h, z, w, dh, dz, out)
    elif code == 1:
        _tanh_tangent(h, z, w, dh, dz, out)
    elif code == 2:
        _sigmoid_tangent(h, z, w, dh, dz, out)
    elif code == 3:
        _softplus_tangent(h, z, w, dh, dz, out)
    else:
        _gaussian_tangent(h, z, w, dh, dz, out)


@njit()
def curvature_row(code: int, h: float, z: Array, g: Array, out: Array) -> None:
    """out[j] = g[j] σ''(h + z[j]) for the code of a smooth built-in activation."""
    if code == 1:
        _tanh_curvature(h, z, g, out)
    elif code == 2:
        _sigmoid_curvature(h, z, g, out)
    elif code == 3:
        _softplus_curvature(h, z, g, out)
    else:
        _gaussian_curvature(h, z, g, out)


def tangent_row(value: Any, derivative: Any, h: float, z: Array, w: float, dh: float, dz: Array, out: Array) -> None:
    """out[j] += w σ(h + z[j]) + (dh + dz[j]) σ'(h + z[j]); `value` and `derivative` are a code and a dummy, or two compiled functions."""
    raise NotImplementedError("compiled code only")


@overload(tangent_row)
def _choose_tangent(value: Any, derivative: Any, h: Any, z: Any, w: Any, dh: Any, dz: Any, out: Any) -> Any:
    def builtin(value: Any, derivative: Any, h: Any, z: Any, w: Any, dh: Any, dz: Any, out: Any) -> Any:
        _builtin_tangent(value, h, z, w, dh, dz, out)

    def custom(value: Any, derivative: Any, h: Any, z: Any, w: Any, dh: Any, dz: Any, out: Any) -> Any:
        for j in range(z.shape[0]):
            out[j] += w * value(h + z[j]) + (dh + dz[j]) * derivative(h + z[j])

    return builtin if isinstance(value, types.Integer) else custom
