"""Argument checks: one voice for every error a user can cause."""

from __future__ import annotations

import difflib
import math
import operator
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]

__all__ = ["Array", "array", "choice", "integer", "near_matches", "probability", "real"]


def _show(value: object, limit: int = 60) -> str:
    text = repr(value)
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
    raise ValueError(f"{name} must be one of {', '.join(allowed)}; got {_show(value)}{hint}")


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
    if isinstance(value, (str, bytes, bool)) or np.ndim(value) != 0:
        raise TypeError(f"{name} must be {allowed}; got {_show(value)}")
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be {allowed}; got {_show(value)}") from None
    inside = at_least <= number <= at_most and (number > above or above == -math.inf) and (number < below or below == math.inf)
    if not inside or (finite and not math.isfinite(number)):
        raise ValueError(f"{name} must be {allowed}; got {number!r}")
    return number


def integer(name: str, value: Any, *, at_least: int | None = None) -> int:
    """`value` as an int, not below `at_least`."""
    allowed = "an integer" + (f" of at least {at_least}" if at_least is not None else "")
    if isinstance(value, bool):
        raise TypeError(f"{name} must be {allowed}; got {value!r}")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be {allowed}; got {_show(value)}") from None
    if at_least is not None and number < at_least:
        raise ValueError(f"{name} must be {allowed}; got {number}")
    return number


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
    if raw.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be an array of real numbers; got {_show(value)}")
    result: Array = np.ascontiguousarray(raw, dtype=np.float64) if raw.ndim else raw.astype(np.float64)
    if shape is not None:
        wanted = "(" + ", ".join("any" if n is None else str(n) for n in shape) + ("," if len(shape) == 1 else "") + ")"
        if result.ndim != len(shape) or any(n is not None and n != k for n, k in zip(shape, result.shape, strict=True)):
            raise ValueError(f"{name} must have shape {wanted}; got {result.shape}")
    if finite and not np.isfinite(result).all():
        raise ValueError(f"{name} must be finite; got {_first_bad(result, ~np.isfinite(result))}")
    if at_least is not None and not (result >= at_least).all():
        raise ValueError(f"{name} must be at least {at_least:g}; got {_first_bad(result, ~(result >= at_least))}")
    if above is not None and not (result > above).all():
        raise ValueError(f"{name} must be above {above:g}; got {_first_bad(result, ~(result > above))}")
    return result


def probability(name: str, value: Any, shape: Sequence[int | None] | None = None, *, tolerance: float = 1e-8) -> Array:
    """`value` as non-negative float64 weights whose sum along the last axis is 1 to `tolerance`; not renormalised."""
    result = array(name, value, shape, at_least=0.0)
    total = result.sum(axis=-1)
    bad = np.abs(total - 1.0) > tolerance
    if bad.any():
        place = f" in row {[int(i) for i in np.argwhere(bad)[0]]}" if np.ndim(total) else ""
        raise ValueError(f"{name} must sum to 1; got {float(total[bad].flat[0] if np.ndim(total) else total)!r}{place}")
    return result
