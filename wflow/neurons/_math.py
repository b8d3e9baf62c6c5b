"""Elementary functions that LLVM inlines and vectorises: the wheels' own exp and tanh are calls, one value at a time.

exp: Cody-Waite reduction x = n ln 2 + r, |r| <= ln(2)/2, a Taylor polynomial of degree 13 (its remainder is below
5e-18), and 2**n by writing the exponent's bits. Everything else is built on it in forms without cancellation; each is
accurate to a few units in the last place (tests/neurons/test_math.py).
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import intrinsic

from wflow._jit import FASTMATH, njit

__all__ = ["exp", "expm1_positive", "log1p_unit"]

_LOG2E = 1.4426950408889634
_LN2_HI = 6.93147180369123816490e-01  # the last 32 bits are 0: n * _LN2_HI is exact
_LN2_LO = 1.90821492927058770002e-10
_ROUND = 6755399441055744.0  # 1.5 * 2**52: adding it leaves the nearest integer in the low bits

_scalar = njit(fastmath=FASTMATH)


def _power_of_two_codegen(typingctx: Any, rounded: Any) -> Any:
    """2**n from the float n + _ROUND: shift its low bits, biased by 1023, into the exponent."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        i64 = context.get_value_type(types.int64)
        bits = builder.bitcast(args[0], i64)
        biased = builder.add(bits, i64(1023))
        return builder.bitcast(builder.shl(biased, i64(52)), context.get_value_type(types.float64))

    return types.float64(types.float64), codegen


_power_of_two: Any = intrinsic(_power_of_two_codegen)

@_scalar
def _expm1_reduced(r: float) -> float:
    """exp(r) - 1 for |r| <= ln(2)/2, with full relative accuracy."""
    p = 1.6059043836821613e-10  # 1/13!
    p = p * r + 2.08767569878681e-09
    p = p * r + 2.505210838544172e-08
    p = p * r + 2.7557319223985893e-07
    p = p * r + 2.7557319223985893e-06
    p = p * r + 2.48015873015873e-05
    p = p * r + 1.984126984126984e-04
    p = p * r + 1.388888888888889e-03
    p = p * r + 8.333333333333333e-03
    p = p * r + 4.1666666666666664e-02
    p = p * r + 1.6666666666666666e-01
    p = p * r + 0.5
    return r + r * r * p


@_scalar
def exp(x: float) -> float:
    """exp(x) for x in [-708, 709]; clamped outside, NaN stays NaN."""
    x = 709.0 if x > 709.0 else x
    x = -708.0 if x < -708.0 else x
    rounded = x * _LOG2E + _ROUND
    n = rounded - _ROUND
    r = (x - n * _LN2_HI) - n * _LN2_LO
    scale: float = _power_of_two(rounded)
    return scale + scale * _expm1_reduced(r)


@_scalar
def expm1_positive(x: float) -> float:
    """exp(x) - 1 for x >= 0 with full relative accuracy; clamped at 340 (tanh and its derivative square it)."""
    x = 340.0 if x > 340.0 else x
    rounded = x * _LOG2E + _ROUND
    n = rounded - _ROUND
    r = (x - n * _LN2_HI) - n * _LN2_LO
    scale: float = _power_of_two(rounded)
    return scale * _expm1_reduced(r) + (scale - 1.0)


@_scalar
def log1p_unit(u: float) -> float:
    """log(1 + u) for u in [0, 1]: 2 artanh(z), z = u/(2 + u) <= 1/3, by its series to z**35."""
    z = u / (2.0 + u)
    y = z * z
    p = 1.0 / 35.0
    p = p * y + 1.0 / 33.0
    p = p * y + 1.0 / 31.0
    p = p * y + 1.0 / 29.0
    p = p * y + 1.0 / 27.0
    p = p * y + 1.0 / 25.0
    p = p * y + 1.0 / 23.0
    p = p * y + 1.0 / 21.0
    p = p * y + 1.0 / 19.0
    p = p * y + 1.0 / 17.0
    p = p * y + 1.0 / 15.0
    p = p * y + 1.0 / 13.0
    p = p * y + 1.0 / 11.0
    p = p * y + 1.0 / 9.0
    p = p * y + 1.0 / 7.0
    p = p * y + 1.0 / 5.0
    p = p * y + 1.0 / 3.0
    return 2.0 * (z + z * y * p)
