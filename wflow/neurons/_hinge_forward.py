"""The forward pass of `hinge`: scatter the neurons at their kinks, then sum along the axes."""

from __future__ import annotations

import numpy as np

from wflow._checks import Array
from wflow._jit import FASTMATH, njit, prange
from wflow.neurons.axis import LANES, Ints
from wflow.neurons.kinks import GROUP, fill_slots, visits

__all__ = ["forward"]


@njit(fastmath=FASTMATH)
def _scatter(points: Array, weights: Array, begin: int, end: int, n_s: int, states: Array, padded: Array, lookup: Ints, scale: float,
             margin: float, r_padded: Array, r_lookup: Ints, r_scale: float, r_margin: float,
             tables: Array, runs: Array) -> float:  # fmt: skip
    """Add neurons begin to end at their kinks; returns 0, or NaN if a parameter is not finite.

    tables (2 sides, n_a + 1, n_s, 2): p ω0 (value, action slope); runs (2 sides, 2 directions, n_s + 1, 3): p ω0 (value,
    state slope, action slope) where all actions become active.
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
        w = weights[n] * points[n, 0]
        poison += 0.0 * (w + k + points[n, d_s + 2])
        for d in range(d_s):
            poison += 0.0 * points[n, 1 + d]
        slope = w * abs(k)
        side = np.uint64(0 if k >= 0.0 else 1)
        offset = np.uint64(1 if k >= 0.0 else 0)
        if whole >= 0:
            k_s = points[n, 1]
            direction = np.uint64(0 if k_s >= 0.0 else 1)
            s = r_padded[whole + (1 if k_s >= 0.0 else 0)]
            c = np.uint64(whole)
            runs[side, direction, c, 0] += w * ((k_s * s + points[n, 3]) + k * (padded[0] if k >= 0.0 else padded[-1]))
            runs[side, direction, c, 1] += w * abs(k_s)
            runs[side, direction, c, 2] += slope
        fill_slots(points, n, lo, hi, states, padded, lookup, scale, margin, h, slots)
        for i in range(hi - lo):
            c = np.uint64(slots[i])
            j = np.uint64(lo + i)
            tables[side, c, j, 0] += w * (h[i] + k * padded[c + offset])
            tables[side, c, j, 1] += slope
    return poison


@njit(fastmath=FASTMATH)
def _sum_runs(runs: Array, r_padded: Array, values: Array, slopes: Array) -> None:
    """Add the linear pieces that begin in `runs` (2, n_s + 1, 3) to values at the side's first action and to action slopes (n_s,)."""
    n_s = values.shape[0]
    value = 0.0
    rise = 0.0
    slope = 0.0
    for i in range(n_s):
        value += rise * (r_padded[i + 1] - r_padded[i]) + runs[0, i, 0]
        rise += runs[0, i, 1]
        slope += runs[0, i, 2]
        values[i] += value
        slopes[i] += slope
    value = 0.0
    rise = 0.0
    slope = 0.0
    for i in range(n_s - 1, -1, -1):
        value += rise * (r_padded[i + 2] - r_padded[i + 1]) + runs[1, i + 1, 0]
        rise += runs[1, i + 1, 1]
        slope += runs[1, i + 1, 2]
        values[i] += value
        slopes[i] += slope


@njit()
def _add_runs(runs: Array, task: int) -> None:
    """Add those of a task to those of the first; runs (tasks, 2, 2, n_s + 1, 3)."""
    for side in range(2):
        for direction in range(2):
            for c in range(runs.shape[3]):
                for k in range(3):
                    runs[0, side, direction, c, k] += runs[task, side, direction, c, k]


@njit(fastmath=FASTMATH)
def _sum_tables(tables: Array, lo: int, hi: int, values: Array, slopes: Array, padded: Array, out: Array) -> None:
    """States lo to hi of out (n_s, n_a): the piecewise linear functions whose kinks the tables (tasks, 2, n_a + 1, n_s, 2) hold."""
    tasks, _, slots, _, _ = tables.shape
    for task in range(1, tasks):
        for side in range(2):
            for c in range(slots):
                for i in range(lo, hi):
                    tables[0, side, c, i, 0] += tables[task, side, c, i, 0]
                    tables[0, side, c, i, 1] += tables[task, side, c, i, 1]
    value = np.empty(hi - lo)
    slope = np.empty(hi - lo)
    for i in range(hi - lo):  # here and below: assignments of slices would cost seconds of compilation
        value[i] = values[0, lo + i]
        slope[i] = slopes[0, lo + i]
    for j in range(slots - 1):
        step = padded[j + 1] - padded[j]
        for i in range(hi - lo):
            value[i] += slope[i] * step + tables[0, 0, j, lo + i, 0]
            slope[i] += tables[0, 0, j, lo + i, 1]
            out[lo + i, j] = value[i]
    for i in range(hi - lo):
        value[i] = values[1, lo + i]
        slope[i] = slopes[1, lo + i]
    for j in range(slots - 2, -1, -1):
        step = padded[j + 2] - padded[j + 1]
        for i in range(hi - lo):
            value[i] += slope[i] * step + tables[0, 1, j + 1, lo + i, 0]
            slope[i] += tables[0, 1, j + 1, lo + i, 1]
            out[lo + i, j] += value[i]


@njit(parallel=True)
def forward(points: Array, weights: Array, tasks: int, block: int, out: Array, n_s: int, states: Array, padded: Array,
             lookup: Ints, scale: float, margin: float, r_padded: Array, r_lookup: Ints, r_scale: float,
             r_margin: float) -> None:  # fmt: skip
    """Each task fills tables of its own, so that the result does not depend on the number of threads."""
    count = points.shape[0]
    tables = np.empty((tasks, 2, padded.shape[0] - 1, n_s, 2))
    runs = np.empty((tasks, 2, 2, n_s + 1, 3))
    poison = np.empty(tasks)
    for task in prange(tasks):
        tables[task] = 0.0
        runs[task] = 0.0
        poison[task] = _scatter(points, weights, count * task // tasks, count * (task + 1) // tasks, n_s, states, padded, lookup,
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
