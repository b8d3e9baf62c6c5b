"""Arguments that all closed forms take."""

from __future__ import annotations

from typing import Any

import numpy as np

from wflow import _checks
from wflow._checks import Array

__all__ = ["increasing", "time"]


def time(t: Any) -> float:
    """`t` if it is a time t ≥ 0."""
    return _checks.real("t", t, at_least=0.0)


def increasing(name: str, edges: Any) -> Array:
    """`edges` as an increasing array of two numbers or more."""
    edges = _checks.array(name, edges, (None,))
    if len(edges) < 2 or not (np.diff(edges) > 0.0).all():
        raise ValueError(f"{name} must be two or more increasing edges; got {_checks.show(edges.tolist())}")
    return np.asarray(edges)
