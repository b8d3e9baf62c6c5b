"""The ways in which an argument can be otherwise: the same values laid out differently, or other values."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields, is_dataclass
from random import Random
from typing import Any

import numpy as np
from fuzz.calls import POINTS, Call, calls
from fuzz.mistakes import ABSURD
from scipy import sparse

from wflow import measures, spaces


@dataclass
class Changed:
    """A call with one argument changed; `same` if its values are not."""

    call: Call
    name: str
    value: Any
    same: bool
    arguments: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.arguments = {**self.call.arguments, self.name: self.value}

    def __repr__(self) -> str:
        try:
            value = repr(self.value)
        except ValueError:
            value = "with an integer of thousands of digits"
        return f"{self.call.name}: {self.name} = {type(self.value).__name__} {value}, {'same' if self.same else 'other'} values"


def changed(rng: Random) -> Changed:
    """A call with one argument otherwise."""
    call = rng.choice(calls())
    name = rng.choice(sorted(call.arguments))
    value = call.arguments[name]
    layouts = SAME if isinstance(value, np.ndarray) else SAME_NUMBER if type(value) is float else SAME_INTEGER if type(value) is int else ()
    if sparse.issparse(value):
        layouts = SAME_SPARSE
    if layouts and rng.random() < 0.4:
        return Changed(call, name, rng.choice(layouts)(value), True)
    return Changed(call, name, other(rng, value), False)


# --- the same values otherwise: the result may not change by a bit


class _Subclass(np.ndarray):
    pass


def _unaligned(a: Any) -> Any:
    view = np.empty(a.nbytes + 1, dtype=np.uint8)[1:].view(a.dtype).reshape(a.shape)
    view[...] = a
    return view


def _read_only(a: Any) -> Any:
    a = a.copy()
    a.flags.writeable = False
    return a


def _strided(a: Any) -> Any:
    wide = np.full((*a.shape, 2), 7, dtype=a.dtype)
    wide[..., 0] = a
    return wide[..., 0]


def _exactly(kind: Any) -> Callable[[Any], Any]:
    """To another type, if no value changes; indices stay integers."""

    def convert(a: Any) -> Any:
        with np.errstate(all="ignore"):
            converted = a.astype(kind)
            exact = np.array_equal(converted.astype(a.dtype), a) and not (a.dtype.kind == "i" and converted.dtype.kind == "f")
        return converted if exact else a

    return convert


def _long_indices(matrix: Any) -> Any:
    matrix = matrix.copy()
    matrix.indices, matrix.indptr = matrix.indices.astype(np.int64), matrix.indptr.astype(np.int64)
    return matrix


def _read_only_parts(matrix: Any) -> Any:
    matrix = matrix.copy()
    for part in (matrix.data, matrix.indices, matrix.indptr):
        part.flags.writeable = False
    return matrix


SAME: tuple[Callable[[Any], Any], ...] = (
    np.asfortranarray, _read_only, _strided, _unaligned, lambda a: a[::-1].copy()[::-1], lambda a: a.T.copy().T, lambda a: a.tolist(),
    lambda a: tuple(a.tolist()), lambda a: a.astype(a.dtype.newbyteorder()), np.ma.asarray, lambda a: a.view(_Subclass),
    *map(_exactly, (np.float32, np.float16, np.longdouble, np.int64, np.int8, np.uint16)),
)  # fmt: skip
SAME_NUMBER = (np.float64, np.array, np.longdouble, lambda x: _read_only(np.array(x)), lambda x: _exactly(np.float32)(np.array(x))[()])
SAME_INTEGER = (np.int8, np.int64, np.uint32, np.array)
SAME_SPARSE = (
    _long_indices, _read_only_parts, lambda m: m.tocsc(), lambda m: m.tocoo(), lambda m: m.tolil(), lambda m: m.todok(),
    lambda m: m.astype(np.longdouble), sparse.csr_matrix,
)  # fmt: skip


# --- other values


class _Strange:
    def __repr__(self) -> str:
        return "a strange\nthing"


_WRONG: tuple[Any, ...] = (
    None, "", "relu", "1.0", b"1", "two\nlines", "\u2028", True, np.bool_(True), 1j, complex("nan"), {}, {"a": 1}, set(), [], [[]], (),
    [[1.0], [1.0, 2.0]], [[[1.0]]], ["a", "b"], [None], range(3), iter([1]), _Strange(), np.random.default_rng(0), np.void(b"abc"),
    datetime.date(2021, 1, 2), np.datetime64("2021-01-02"), np.timedelta64(3, "s"), np.zeros(2, dtype=[("a", float)]),
    np.array(["a"]), np.array([1j, 2.0]), np.array(3.0), np.array(1j), np.array("1.0"), np.array([None, 1.0]),
    np.zeros(0), np.zeros((0, 3)), np.zeros((3, 0)), np.ones((2, 2, 2, 2)), np.ma.masked, np.ma.array([1.0, 2.0], mask=[0, 1]),
    sparse.eye_array(3), sparse.csr_array(np.full((6, 3), 1 / 3)), math.nan, math.inf, -math.inf, -1, 0, 1, 2, 3, np.int8(3),
    -1.5, 0.0, -0.0, 0.5, 2.5, 1e-320, 1e-300, 1e300, 1e308, -1e308, 1 - 2**-53, np.longdouble("1e4000"), *ABSURD, -(10**30), 10**5000,
)  # fmt: skip
_ENTRIES = (math.nan, math.inf, -math.inf, 1e308, -1e308, 1e300, 1e-320, -1e-320, 1e-300, 0.0, -0.0, -1.0, -1e-9, 0.5, 1e9, 1.0 + 1e-7)
_TYPES = (object, complex, str, bool, "M8[s]", "m8[s]", np.int8, np.uint8, np.float16, np.longdouble, "S4", "masked", "sparse")


def _entry(rng: Random, a: Any) -> Any:
    a = np.array(a, dtype=float if a.dtype.kind == "f" or rng.random() < 0.5 else a.dtype)
    if a.size:
        a.flat[rng.randrange(a.size)] = rng.choice(_ENTRIES if a.dtype.kind == "f" else (-1, 100, 2))
    return a


def _shaped(rng: Random, a: Any) -> Any:
    return rng.choice((
        a[:-1], a[None], a.ravel(), a.T, a[..., None], a[:0], np.concatenate([a, a]), a.flat[0], a[..., :-1], np.repeat(a, 2, axis=-1),
    ))  # fmt: skip


def _typed(rng: Random, a: Any) -> Any:
    kind = rng.choice(_TYPES)
    if kind == "masked":
        return np.ma.array(a, mask=np.arange(a.size).reshape(a.shape) == 0)
    if kind == "sparse":
        return sparse.coo_array(a.reshape(-1, a.shape[-1]))
    with np.errstate(all="ignore"):
        return a.astype(np.int64).astype(kind) if kind in ("M8[s]", "m8[s]") else a.astype(kind)


def _sparse(rng: Random, matrix: Any) -> Any:
    entry = matrix.copy()
    entry.data = _entry(rng, matrix.data)
    return rng.choice((entry, entry.tocsc(), matrix.toarray(), matrix.T, matrix[:-1], matrix * 1j, matrix.astype(np.float32)))


def other(rng: Random, value: Any) -> Any:
    """A value that may not fit where `value` does."""
    if isinstance(value, np.ndarray) and rng.random() < 0.75:
        return rng.choice((_entry, _entry, _shaped, _typed))(rng, value)
    if sparse.issparse(value) and rng.random() < 0.75:
        return _sparse(rng, value)
    if isinstance(value, dict) and rng.random() < 0.8:
        key = rng.choice(sorted(value))
        return {**value, key + "s": 1} if rng.random() < 0.3 else {**value, key: other(rng, value[key])}
    if isinstance(value, (list, tuple)) and value and rng.random() < 0.7:
        k = rng.randrange(len(value))
        return type(value)([*value[:k], *([] if rng.random() < 0.3 else [other(rng, value[k])]), *value[k + 1 :]])
    if type(value) in (int, float) and rng.random() < 0.5:
        scale = 10.0 ** (rng.randint(-322, 308) if rng.random() < 0.3 else rng.randint(-3, 3))
        return rng.choice((rng.randint(-3, 30), rng.uniform(-3.0, 3.0), rng.choice((-1, 1)) * rng.random() * scale, rng.choice(ABSURD)))
    if isinstance(value, measures.ParticleMeasure) and rng.random() < 0.7:
        points = (np.ones((4, 2)), np.ones((4, 4)), np.ones((1, 0)), np.zeros((3, 3)), 1e99 * POINTS, 1e-99 * POINTS, POINTS[:1])
        return measures.ParticleMeasure(rng.choice(points))
    if isinstance(value, spaces.Space) and rng.random() < 0.7:
        return rng.choice((spaces.Space.point(), spaces.Space.midpoint(2), spaces.Space.finite(7), spaces.Space.finite(3)))
    return rng.choice(_WRONG)


# --- results and arguments as plain arrays


def numbers(found: Any) -> list[Any]:
    """All arrays and numbers in a result."""
    if isinstance(found, (tuple, list)):
        return [array for item in found for array in numbers(item)]
    return [] if found is None or isinstance(found, (str, bool)) else [np.asarray(found)]


def snapshot(value: Any) -> Any:
    """What must be the same after a call: the bytes of arrays, in whatever holds them."""
    if sparse.issparse(value):
        return [snapshot(getattr(value, name)) for name in ("data", "indices", "indptr", "row", "col") if hasattr(value, name)]
    if isinstance(value, np.ma.MaskedArray):
        return snapshot(value.data), snapshot(np.ma.getmaskarray(value))
    if isinstance(value, np.ndarray):
        return value.dtype, value.shape, repr(value) if value.dtype == object else value.tobytes()
    if isinstance(value, dict):
        return {key: snapshot(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [snapshot(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return [snapshot(getattr(value, one.name)) for one in fields(value)]
    return None
