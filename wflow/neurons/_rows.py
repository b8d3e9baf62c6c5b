"""One row of a neuron: h + z_j for all actions j, through the activation, as loops that the compiler vectorises.

`forward_row` and `adjoint_row` choose the loop when they are compiled: for a built-in activation (an integer code) by a
branch per row, for a user's pair of compiled functions by calling them.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import overload

from wflow._checks import Array
from wflow._jit import REASSOC, njit
from wflow.neurons._math import exp, expm1_positive, log1p_unit

__all__ = ["CODES", "adjoint_row", "forward_row"]

CODES = {"relu": 0, "tanh": 1, "sigmoid": 2, "softplus": 3, "gaussian": 4}

_row = njit(fastmath=REASSOC)


@_row
def _relu_forward(h: float, z: Array, w: float, out: Array) -> None:
    for j in range(z.shape[0]):
        x = h + z[j]
        out[j] += w * (x if x > 0.0 else 0.0 * x)


@_row
def _relu_adjoint(h: float, z: Array, g: Array, by_node: Array) -> tuple[float, float]:
    value = 0.0
    slope = 0.0
    for j in range(z.shape[0]):
        x = h + z[j]
        d = g[j] if x > 0.0 else 0.0 * x
        value += d * x
        slope += d
        by_node[j] += d
    return value, slope


@_row
def _tanh_forward(h: float, z: Array, w: float, out: Array) -> None:
    for j in range(z.shape[0]):
        x = h + z[j]
        e = expm1_positive(2.0 * abs(x))
        t = e / (e + 2.0)
        out[j] += w * (t if x > 0.0 else -t)


@_row
def _tanh_adjoint(h: float, z: Array, g: Array, by_node: Array) -> tuple[float, float]:
    value = 0.0
    slope = 0.0
    for j in range(z.shape[0]):
        x = h + z[j]
        e = expm1_positive(2.0 * abs(x))
        r = 1.0 / (e + 2.0)
        t = e * r
        d = g[j] * (4.0 * (e + 1.0) * r * r)  # 1 - tanh**2
        value += g[j] * (t if x > 0.0 else -t)
        slope += d
        by_node[j] += d
    return value, slope


@_row
def _sigmoid_forward(h: float, z: Array, w: float, out: Array) -> None:
    for j in range(z.shape[0]):
        x = h + z[j]
        e = exp(-abs(x))
        out[j] += w * ((1.0 if x > 0.0 else e) / (1.0 + e))


@_row
def _sigmoid_adjoint(h: float, z: Array, g: Array, by_node: Array) -> tuple[float, float]:
    value = 0.0
    slope = 0.0
    for j in range(z.shape[0]):
        x = h + z[j]
        e = exp(-abs(x))
        r = 1.0 / (1.0 + e)
        d = g[j] * (e * r * r)
        value += g[j] * ((1.0 if x > 0.0 else e) * r)
        slope += d
        by_node[j] += d
    return value, slope


@_row
def _softplus_forward(h: float, z: Array, w: float, out: Array) -> None:
    for j in range(z.shape[0]):
        x = h + z[j]
        out[j] += w * (max(x, 0.0) + log1p_unit(exp(-abs(x))))


@_row
def _softplus_adjoint(h: float, z: Array, g: Array, by_node: Array) -> tuple[float, float]:
    value = 0.0
    slope = 0.0
    for j in range(z.shape[0]):
        x = h + z[j]
        e = exp(-abs(x))
        d = g[j] * ((1.0 if x > 0.0 else e) / (1.0 + e))
        value += g[j] * (max(x, 0.0) + log1p_unit(e))
        slope += d
        by_node[j] += d
    return value, slope


@_row
def _gaussian_forward(h: float, z: Array, w: float, out: Array) -> None:
    for j in range(z.shape[0]):
        x = h + z[j]
        out[j] += w * exp(-0.5 * x * x)


@_row
def _gaussian_adjoint(h: float, z: Array, g: Array, by_node: Array) -> tuple[float, float]:
    value = 0.0
    slope = 0.0
    for j in range(z.shape[0]):
        x = h + z[j]
        x = 40.0 if x > 40.0 else x  # beyond, exp is 0, and x times a clamped exp would not be; NaN stays
        x = -40.0 if x < -40.0 else x
        v = g[j] * exp(-0.5 * x * x)
        value += v
        slope -= x * v
        by_node[j] -= x * v
    return value, slope


@njit()
def _builtin_forward(code: int, h: float, z: Array, w: float, out: Array) -> None:
    if code == 0:
        _relu_forward(h, z, w, out)
    elif code == 1:
        _tanh_forward(h, z, w, out)
    elif code == 2:
        _sigmoid_forward(h, z, w, out)
    elif code == 3:
        _softplus_forward(h, z, w, out)
    else:
        _gaussian_forward(h, z, w, out)


@njit()
def _builtin_adjoint(code: int, h: float, z: Array, g: Array, by_node: Array) -> tuple[float, float]:
    if code == 0:
        return _relu_adjoint(h, z, g, by_node)
    if code == 1:
        return _tanh_adjoint(h, z, g, by_node)
    if code == 2:
        return _sigmoid_adjoint(h, z, g, by_node)
    if code == 3:
        return _softplus_adjoint(h, z, g, by_node)
    return _gaussian_adjoint(h, z, g, by_node)


def forward_row(value: Any, derivative: Any, h: float, z: Array, w: float, out: Array) -> None:
    """out[j] += w σ(h + z[j]); `value` and `derivative` are a code and a dummy, or two compiled functions."""
    raise NotImplementedError("compiled code only")


def adjoint_row(value: Any, derivative: Any, h: float, z: Array, g: Array, by_node: Array) -> tuple[float, float]:
    """(sum_j g[j] σ(h + z[j]), sum_j g[j] σ'(h + z[j])); the terms of the second are added to by_node."""
    raise NotImplementedError("compiled code only")


@overload(forward_row)
def _choose_forward(value: Any, derivative: Any, h: Any, z: Any, w: Any, out: Any) -> Any:
    def builtin(value: Any, derivative: Any, h: Any, z: Any, w: Any, out: Any) -> Any:
        _builtin_forward(value, h, z, w, out)

    def custom(value: Any, derivative: Any, h: Any, z: Any, w: Any, out: Any) -> Any:
        for j in range(z.shape[0]):
            out[j] += w * value(h + z[j])

    return builtin if isinstance(value, types.Integer) else custom


@overload(adjoint_row)
def _choose_adjoint(value: Any, derivative: Any, h: Any, z: Any, g: Any, by_node: Any) -> Any:
    def builtin(value: Any, derivative: Any, h: Any, z: Any, g: Any, by_node: Any) -> Any:
        return _builtin_adjoint(value, h, z, g, by_node)

    def custom(value: Any, derivative: Any, h: Any, z: Any, g: Any, by_node: Any) -> Any:
        total = 0.0
        slope = 0.0
        for j in range(z.shape[0]):
            d = g[j] * derivative(h + z[j])
            total += g[j] * value(h + z[j])
            slope += d
            by_node[j] += d
        return total, slope

    return builtin if isinstance(value, types.Integer) else custom
