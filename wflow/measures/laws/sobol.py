"""Scrambled Sobol points in the open unit cube."""

from __future__ import annotations

import numpy as np

from wflow import _checks
from wflow._checks import Array

__all__ = ["LARGEST_N", "scrambled"]

_BITS = 30
LARGEST_N = 2**_BITS


def scrambled(n: int, dimension: int, rng: np.random.Generator) -> Array:
    """First n ≤ 2³⁰ points of a Sobol sequence scrambled by `rng` (Matoušek 1998), shape (n, dimension), inside (0, 1).

    Points come out as multiples of 2⁻³⁰; each is moved to the centre of its cell, so that neither 0 nor 1 is among them. With an
    rng in the same state, the first n of 2n points are the n points. Cost O(n · dimension); memory twice the result.

    Raises
    ------
    ValueError
        If n or the dimension (at most 21,201) is too large.
    """
    from scipy.stats import qmc

    n = _checks.integer("n", n, at_least=1)
    if n > LARGEST_N:
        raise ValueError(f"n must be at most {LARGEST_N} for a Sobol sequence; got {_checks.show(n)}")
    if dimension > qmc.Sobol.MAXDIM:
        raise ValueError(f"factors must take at most {qmc.Sobol.MAXDIM} uniform numbers for a Sobol sequence; got {dimension}")
    if dimension == 0:
        return np.empty((n, 0))
    try:
        sequence = qmc.Sobol(dimension, scramble=True, bits=_BITS, rng=rng)
    except TypeError:  # SciPy before 1.15
        sequence = qmc.Sobol(dimension, scramble=True, bits=_BITS, seed=rng)
    first = sequence.random(1)  # apart, because SciPy warns of a start whose length is no power of 2
    rest = sequence.random(n - 1) if n > 1 else np.empty((0, dimension))
    points: Array = np.concatenate([first, rest]) + 0.5 / LARGEST_N
    return points
