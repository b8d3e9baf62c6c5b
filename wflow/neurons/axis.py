"""Where a line crosses zero on a sorted axis: the arithmetic behind the prefix-sum kernels of `hinge`.

The *slot* of the crossing of x -> h + k x is the number of nodes left of it: the inactive ones for k >= 0, the active
ones for k < 0. Whether a node is active is decided by the float expression ``h + k * x > 0`` alone; equal bins guess the
slot, and a guess too close to a bin's end to be trusted is corrected with that expression.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wflow._checks import Array
from wflow._jit import njit

__all__ = ["LANES", "Axis", "Ints", "check_slot", "guess_slot", "guess_slots", "one_slot"]

Ints = npt.NDArray[np.int64]

LANES = 32  # loops over crossings run in blocks of this many, so that short ones are vectorised too


@dataclass(frozen=True)
class Axis:
    """Sorted nodes padded by one copy at each end, and equal bins that guess a slot.

    padded (n + 2,); lookup (bins + 1,): nodes left of the end of bin b - 1. A guess is trusted when the crossing lies
    further than `margin` (in bins) from its bin's ends: rounding errors for equidistant nodes, never for others.
    """

    padded: Array
    lookup: Ints
    scale: float
    margin: float

    @classmethod
    def of(cls, nodes: Array) -> Axis:
        """Axis of strictly increasing nodes (n,); at most 16 bins per node."""
        n = len(nodes)
        padded = np.concatenate([nodes[:1], nodes, nodes[-1:]])
        span = float(nodes[-1] - nodes[0])
        spacing = span / (n - 1) if n > 1 else 1.0
        rounding = 64.0 * float(np.finfo(float).eps) * (n + np.abs(nodes).max() / spacing)
        if np.abs(np.diff(nodes) - spacing).max(initial=0.0) <= rounding * spacing:
            return cls(padded, np.arange(n + 1), 1.0 / spacing, rounding)
        width = max(float(np.diff(nodes).min()), span / (16 * n))
        edges = nodes[0] + width * np.arange(int(np.ceil(span / width)) + 1)
        return cls(padded, np.searchsorted(nodes, edges), 1.0 / width, 1.0)

    @property
    def size(self) -> int:
        """Number of nodes n."""
        return len(self.padded) - 2


@njit()
def check_slot(c: int, base: float, shift: float, k: float, padded: Array) -> int:
    """The slot of x -> (k x + base) + shift if `shift` is a number added last, found from a guess c by single steps."""
    n = padded.shape[0] - 2
    if k >= 0.0:
        while c > 0 and (k * padded[c] + base) + shift > 0.0:
            c -= 1
        while c < n and not (k * padded[c + 1] + base) + shift > 0.0:
            c += 1
    else:
        while c > 0 and not (k * padded[c] + base) + shift > 0.0:
            c -= 1
        while c < n and (k * padded[c + 1] + base) + shift > 0.0:
            c += 1
    return c


@njit(forceinline=True)
def guess_slot(base: float, shift: float, to_bin: float, first: float, scale: float, margin: float, bins: int) -> tuple[int, int]:
    """Bin of the crossing of x -> (k x + base) + shift, and whether it is too close to the bin's end to be its slot (0 or 1).

    ``to_bin = -scale / k``; `first` is the first node.
    """
    inside = max(0.5, min(bins + 0.5, (base + shift) * to_bin - (first * scale - 1.0)))
    b = int(inside)
    slack = margin + 1e-15 * (abs(base) + abs(shift)) * abs(to_bin)  # base + shift may cancel
    return b, 0 if abs(inside - b - 0.5) <= 0.5 - slack else 1  # 1 for the NaN of k = 0


@njit(forceinline=True)
def one_slot(base: float, shift: float, k: float, to_bin: float, padded: Array, lookup: Ints, scale: float, margin: float) -> int:
    """The slot of x -> (k x + base) + shift; ``to_bin = -scale / k``."""
    slot, unsafe = guess_slot(base, shift, to_bin, padded[0], scale, margin, lookup.shape[0] - 1)
    return check_slot(lookup[slot], base, shift, k, padded) if unsafe else slot


@njit(forceinline=True)
def guess_slots(h: Array, count: int, k: float, first: float, scale: float, margin: float, bins: int, guess: Ints) -> int:
    """Bins of the crossings of x -> h[i] + k x for i < count; returns how many are too close to a bin's end to be its slot.

    `count` is rounded up to whole blocks of `LANES`: h and guess are that long.
    """
    unsafe = 1 if abs(k) < 1e-290 else 0  # to_bin may overflow
    to_bin = -scale / k
    origin = first * scale - 1.0
    top = bins + 0.5
    widest = 0.5 - margin
    for block in range((count + LANES - 1) // LANES):
        for lane in range(LANES):
            i = block * LANES + lane
            inside = max(0.5, min(top, h[i] * to_bin - origin))
            b = np.int64(inside)
            guess[i] = b
            unsafe += 1 if abs(inside - b - 0.5) > widest else 0
    return unsafe
