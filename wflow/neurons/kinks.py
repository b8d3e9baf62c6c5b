"""Where the kinks of ReLU neurons lie on the grid of nodes: what the forward and adjoint passes of `hinge` share."""

from __future__ import annotations

from typing import Any

import numpy as np

from wflow._checks import Array
from wflow._jit import njit
from wflow.neurons.axis import LANES, Axis, Ints, check_slot, guess_slot, guess_slots, one_slot

__all__ = ["GROUP", "Grid", "fill_slots", "visits"]

GROUP = 128  # neurons whose state slots are found together


class Grid:
    """The nodes as the kernels want them: transposed states with room for a block of lanes, and both axes.

    States that are not one sorted coordinate are visited one by one (``rows`` is empty).
    """

    def __init__(self, states: Array, actions: Array) -> None:
        n_s, d_s = states.shape
        self.shape: tuple[int, int] = (n_s, len(actions))
        padded = np.zeros((d_s, n_s + LANES))
        padded[:, :n_s] = states.T
        rows = Axis.of(states[:, 0]) if d_s == 1 and (np.diff(states[:, 0]) > 0.0).all() else None
        axis = Axis.of(actions)
        empty = (np.empty(0), np.empty(0, np.int64), 1.0, 0.0)
        self.arguments: tuple[Any, ...] = (
            n_s, padded, axis.padded, axis.lookup, axis.scale, axis.margin,
            *(empty if rows is None else (rows.padded, rows.lookup, rows.scale, rows.margin)),
        )  # fmt: skip


@njit(forceinline=True)
def _preactivations(points: Array, n: int, lo: int, blocks: int, states: Array, h: Array) -> None:
    """k_s·s + b of neuron n, summed from the left without contraction, in whole blocks of states from lo on."""
    d_s = states.shape[0]
    bias = points[n, d_s + 2]
    if d_s == 1:  # one pass where it can be
        k_s = points[n, 1]
        for block in range(blocks):
            for lane in range(LANES):
                h[block * LANES + lane] = k_s * states[0, lo + block * LANES + lane] + bias
        return
    for i in range(blocks * LANES):
        h[i] = 0.0
    for d in range(d_s):
        k_s = points[n, 1 + d]
        for block in range(blocks):
            for lane in range(LANES):
                h[block * LANES + lane] += k_s * states[d, lo + block * LANES + lane]
    for i in range(blocks * LANES):
        h[i] += bias


@njit(forceinline=True)
def fill_slots(points: Array, n: int, lo: int, hi: int, states: Array, padded: Array, lookup: Ints, scale: float, margin: float,
                h: Array, slots: Ints) -> None:  # fmt: skip
    """Pre-activations k_s·s + b (summed from the left) and action slots of neuron n in states lo to hi, at h[0], slots[0] and on."""
    count = hi - lo
    if count == 0:
        return
    k = points[n, 1 + states.shape[0]]
    _preactivations(points, n, lo, (count + LANES - 1) // LANES, states, h)
    if guess_slots(h, count, k, padded[0], scale, margin, lookup.shape[0] - 1, slots) > 0:
        for i in range(count):
            slots[i] = check_slot(lookup[slots[i]], 0.0, h[i], k, padded)


@njit(forceinline=True)
def visits(points: Array, begin: int, count: int, n_s: int, padded: Array, r_padded: Array, r_lookup: Ints, r_scale: float,
           r_margin: float, lo: Ints, hi: Ints, whole: Ints) -> None:  # fmt: skip
    """States lo to hi that `count` neurons from `begin` on must visit one by one, and their slots on the state axis.

    The slot is where all actions become active; -1 if there is no state axis. Arrays (`GROUP`,); all neurons of a group at
    once, so that the arithmetic runs over vector lanes.
    """
    if r_padded.shape[0] == 0:
        lo[:] = 0
        hi[:] = n_s
        whole[:] = -1
        return
    unsafe = 0
    a_first, a_last = padded[0], padded[-1]
    for i in range(count):
        k, bias = points[begin + i, 2], points[begin + i, 3]
        to_bin = -r_scale / points[begin + i, 1]
        least, most = min(k * a_first, k * a_last), max(k * a_first, k * a_last)
        whole[i], bad = guess_slot(bias, least, to_bin, r_padded[0], r_scale, r_margin, r_lookup.shape[0] - 1)
        unsafe += bad
        hi[i], bad = guess_slot(bias, most, to_bin, r_padded[0], r_scale, r_margin, r_lookup.shape[0] - 1)
        unsafe += bad
    for i in range(count if unsafe > 0 else 0):
        k_s, k, bias = points[begin + i, 1], points[begin + i, 2], points[begin + i, 3]
        to_bin = -r_scale / k_s
        least, most = min(k * a_first, k * a_last), max(k * a_first, k * a_last)
        whole[i] = one_slot(bias, least, k_s, to_bin, r_padded, r_lookup, r_scale, r_margin)
        hi[i] = one_slot(bias, most, k_s, to_bin, r_padded, r_lookup, r_scale, r_margin)
    for i in range(count):
        lo[i] = min(whole[i], hi[i])
        hi[i] = max(whole[i], hi[i])
