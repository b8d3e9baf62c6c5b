"""Argument checks: one voice for every error a user can cause."""

from __future__ import annotations

import difflib
import math
import operator
import os
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T")
Array: TypeAlias = npt.NDArray[np.float64]
_FLOAT = np.dtype(np.float64)

__all__ = [
    "LARGEST", "Array", "array", "choice", "fitting", "instance", "integer", "memory", "near_matches", "probability", "real", "show",
]  # fmt: skip

# What must be finite may not be so large that its squares are not, and what must be positive not so small that quotients are not.
LARGEST, SMALLEST = 1e100, 1e-100
_NOT_LARGE, _NOT_SMALL = f"at most {LARGEST:g} in magnitude", f"at least {SMALLEST:g}"


def show(value: object, limit: int = 60) -> str:
    """`value` as an error quotes it: its repr on one line, cut to `limit` characters."""
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # Python writes no integers of more than 4300 digits
        text = f"{type(value).__name__} with an integer of thousands of digits"
    return text if len(text) <= limit else text[: limit - 1] + "…"


def near_matches(name: str, allowed: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` or the empty string."""
    close = difflib.get_close_matches(str(name), list(allowed), n=2, cutoff=0.6)
    return f" (did you mean {' or '.join(repr(c) for c in close)}?)" if close else ""


def choice(name: str, value: object, allowed: Sequence[str]) -> str:
    """`value` if it is one of `allowed`, else a ValueError with near matches."""
    if isinstance(value, str) and value in allowed:
        return value
    hint = near_matches(value, allowed) if isinstance(value, str) else ""
    raise ValueError(f"{name} must be one of {', '.join(allowed)}; got {show(value)}{hint}")


def instance(name: str, value: Any, kind: type[T], called: str) -> T:
    """`value` if it is a `kind`, which the error calls `called`."""
    if isinstance(value, kind):
        return value
    raise TypeError(f"{name} must be {called}; got {show(value)}")


def real(
    name: str,
    value: Any,
    *,
    at_least: float = -math.inf,
    above: float = -math.inf,
    at_most: float = math.inf,
    below: float = math.inf,
    finite: bool = True,
) -> float:
    """`value` as a float inside the stated bounds."""
    limits = [f"{word} {bound:g}" for word, bound, open_end in (("at least", at_least, -math.inf), ("above", above, -math.inf),
              ("at most", at_most, math.inf), ("below", below, math.inf)) if bound != open_end]  # fmt: skip
    allowed = f"a {'finite ' if finite else ''}number {' and '.join(limits)}".rstrip()
    try:
        raw = np.asarray(value)
        if raw.ndim or raw.dtype.kind not in "iufO" or np.ma.is_masked(value):
            raise TypeError
        number = float(value)
    except OverflowError:  # an integer beyond all floats
        raise ValueError(f"{name} must be {allowed}; got {show(value)}") from None
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be {allowed}; got {show(value)}") from None
    inside = at_least <= number <= at_most and (number > above or above == -math.inf) and (number < below or below == math.inf)
    if not inside or (finite and not math.isfinite(number)):
        raise ValueError(f"{name} must be {allowed}; got {number!r}")
    if (finite and abs(number) > LARGEST) or (above == 0.0 and number < SMALLEST):
        raise ValueError(f"{name} must be {_NOT_LARGE if abs(number) > 1.0 else _NOT_SMALL}; got {number!r}")
    return number


def integer(name: str, value: Any, *, at_least: int | None = None) -> int:
    """`value` as an int, not below `at_least`."""
    allowed = "an integer" + (f" of at least {at_least}" if at_least is not None else "")
    if isinstance(value, bool):
        raise TypeError(f"{name} must be {allowed}; got {value!r}")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be {allowed}; got {show(value)}") from None
    if at_least is not None and number < at_least:
        raise ValueError(f"{name} must be {allowed}; got {show(number)}")
    if abs(number) > LARGEST:
        raise ValueError(f"{name} must be {_NOT_LARGE}; got {show(number)}")
    return number


def memory(name: str, value: object, size: float) -> None:
    """ValueError if the arrays of a size `value`, `size` bytes or more together, cannot fit into memory."""
    if size > (room := _room()):
        raise ValueError(f"{name} must be small enough for {room / 1e9:.3g} GB of memory; got {show(value)}")


def _room() -> float:
    """Bytes of memory that this process may have: the machine's, or its own limit."""
    try:
        import resource

        machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ImportError, ValueError):  # not POSIX
        return math.inf
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return machine if limit == resource.RLIM_INFINITY else min(machine, limit)


def _first_bad(values: npt.NDArray[Any], bad: npt.NDArray[np.bool_]) -> str:
    where = tuple(int(i) for i in np.argwhere(bad)[0])
    place = f"[{', '.join(map(str, where))}]" if where else ""
    return f"{float(values[where])!r} at {place}" if place else repr(float(values[where]))


def array(
    name: str,
    value: Any,
    shape: Sequence[int | None] | None = None,
    *,
    finite: bool = True,
    at_least: float | None = None,
    above: float | None = None,
) -> Array:
    """`value` as a C-contiguous float64 array of the given shape (None: any length), checked entry by entry."""
    try:
        raw = np.asarray(value)
    except ValueError:  # ragged
        raw = np.empty(0, dtype=object)
    if raw.dtype.kind not in "biuf" or np.ma.is_masked(value):
        raise TypeError(f"{name} must be an array of real numbers; got {show(value)}")
    with np.errstate(over="ignore"):  # a longer float than ours may become infinite, and is refused as that
        result: Array = np.require(raw, np.float64, ("C", "A", "W"))  # one layout, so that kernels are compiled once
    if shape is not None:
        wanted = "(" + ", ".join("any" if n is None else str(n) for n in shape) + ("," if len(shape) == 1 else "") + ")"
        if result.ndim != len(shape) or any(n is not None and n != k for n, k in zip(shape, result.shape, strict=True)):
            raise ValueError(f"{name} must have shape {wanted}; got {result.shape if result.ndim else float(result)!r}")
    if finite and not np.isfinite(result).all():
        raise ValueError(f"{name} must be finite; got {_first_bad(result, ~np.isfinite(result))}")
    if at_least is not None and not (result >= at_least).all():
        raise ValueError(f"{name} must be at least {at_least:g}; got {_first_bad(result, ~(result >= at_least))}")
    if above is not None and not (result > above).all():
        raise ValueError(f"{name} must be above {above:g}; got {_first_bad(result, ~(result > above))}")
    if finite and (large := np.abs(result) > LARGEST).any():
        raise ValueError(f"{name} must be {_NOT_LARGE}; got {_first_bad(result, large)}")
    if above == 0.0 and (small := result < SMALLEST).any():
        raise ValueError(f"{name} must be {_NOT_SMALL}; got {_first_bad(result, small)}")
    return result


def fitting(name: str, value: Any, shape: tuple[int | None, ...]) -> Array:
    """`value` as `array` makes it, NaN and all; nearly free if it is that already. Only the first length may be None.

    For compiled loops that run often: they would read past the end of another shape, and be compiled anew for another layout.
    """
    if type(value) is np.ndarray and value.dtype is _FLOAT and value.flags.carray:
        found = value.shape
        if found == shape or (shape[0] is None and len(found) == len(shape) and found[1:] == shape[1:]):
            return value
    return array(name, value, shape, finite=False)


def probability(name: str, value: Any, shape: Sequence[int | None] | None = None, *, tolerance: float = 1e-8) -> Array:
    """`value` as non-negative float64 weights whose sum along the last axis is 1 to `tolerance`; not renormalised."""
    result = array(name, value, shape, at_least=0.0)
    total = result.sum(axis=-1)
    bad = np.abs(total - 1.0) > tolerance
    if bad.any():
        place = f" in row {[int(i) for i in np.argwhere(bad)[0]]}" if np.ndim(total) else ""
        raise ValueError(f"{name} must sum to 1; got {float(total[bad].flat[0] if np.ndim(total) else total)!r}{place}")
    return result
