"""The tangent pass of `hinge`: the forward pass with other linear functions behind the kinks."""

from __future__ import annotations

import numpy as np

from wflow._checks import Array
from wflow._jit import FASTMATH, njit, prange
from wflow.neurons._hinge_forward import _add_runs, _sum_runs, _sum_tables
from wflow.neurons.axis import LANES, Ints
from wflow.neurons.kinks import GROUP, fill_slots, visits

__all__ = ["tangent"]


@njit(fastmath=FASTMATH)
def _scatter(points: Array, lines: Array, begin: int, end: int, n_s: int, states: Array, padded: Array, lookup: Ints, scale: float,
             margin: float, r_padded: Array, r_lookup: Ints, r_scale: float, r_margin: float,
             tables: Array, runs: Array) -> float:  # fmt: skip
    """Add lines_n·(s, a, 1) where neurons begin to end are active; returns 0, or NaN if a parameter is not finite.

    The tables of `_hinge_forward._scatter`, whose slopes count away from the active side's first node: right of it on side 0, left
    of it on side 1, and likewise for the states' directions.
    """
    d_s = states.shape[0]
    h = np.empty(n_s + LANES)
    slots = np.empty(n_s + LANES, np.int64)
    low, high, entered = np.empty(GROUP, np.int64), np.empty(GROUP, np.int64), np.empty(GROUP, np.int64)
    poison = 0.0
    for n in range(begin, end):
        member = (n - begin) % GROUP
        if member == 0:
            visits(points, n, min(GROUP, end - n), n_s, padded, r_padded, r_lookup, r_scale, r_margin, low, high, entered)
        lo, hi, whole = low[member], high[member], entered[member]
        k = points[n, 1 + d_s]
        for d in range(d_s + 2):
            poison += 0.0 * (lines[n, d] + points[n, 1 + d])
        rise = lines[n, d_s]
        slope = rise if k >= 0.0 else -rise
        side = np.uint64(0 if k >= 0.0 else 1)
        offset = np.uint64(1 if k >= 0.0 else 0)
        if whole >= 0:
            k_s = points[n, 1]
            direction = np.uint64(0 if k_s >= 0.0 else 1)
            s = r_padded[whole + (1 if k_s >= 0.0 else 0)]
            c = np.uint64(whole)
            runs[side, direction, c, 0] += (lines[n, 0] * s + lines[n, 2]) + rise * (padded[0] if k >= 0.0 else padded[-1])
            runs[side, direction, c, 1] += lines[n, 0] if k_s >= 0.0 else -lines[n, 0]
            runs[side, direction, c, 2] += slope
        fill_slots(points, n, lo, hi, states, padded, lookup, scale, margin, h, slots)
        for i in range(hi - lo):
            h[i] = lines[n, d_s + 1]
        for d in range(d_s):
            for i in range(hi - lo):
                h[i] += lines[n, d] * states[d, lo + i]
        for i in range(hi - lo):
            c = np.uint64(slots[i])
            j = np.uint64(lo + i)
            tables[side, c, j, 0] += h[i] + rise * padded[c + offset]
            tables[side, c, j, 1] += slope
    return poison


@njit(parallel=True)
def tangent(points: Array, lines: Array, tasks: int, block: int, out: Array, n_s: int, states: Array, padded: Array,
            lookup: Ints, scale: float, margin: float, r_padded: Array, r_lookup: Ints, r_scale: float,
            r_margin: float) -> None:  # fmt: skip
    """out (n_s, n_a) = sum of lines_n·(s_i, a_j, 1) over the neurons active there; lines (N, m - 1). Tasks as in the forward pass."""
    count = points.shape[0]
    tables = np.empty((tasks, 2, padded.shape[0] - 1, n_s, 2))
    runs = np.empty((tasks, 2, 2, n_s + 1, 3))
    poison = np.empty(tasks)
    for task in prange(tasks):
        tables[task] = 0.0
        runs[task] = 0.0
        poison[task] = _scatter(points, lines, count * task // tasks, count * (task + 1) // tasks, n_s, states, padded, lookup,
                                scale, margin, r_padded, r_lookup, r_scale, r_margin, tables[task], runs[task])  # fmt: skip
    for task in range(1, tasks):
        _add_runs(runs, task)
        poison[0] += poison[task]
    values = np.full((2, n_s), poison[0])
    slopes = np.zeros((2, n_s))
    if r_padded.shape[0] > 0:
        for side in range(2):
            _sum_runs(runs[0, side], r_padded, values[side], slopes[side])
    for b in prange((n_s + block - 1) // block):
        _sum_tables(tables, b * block, min(n_s, (b + 1) * block), values, slopes, padded, out)
