"""The adjoint pass of `hinge`: partial sums of the signal along the axes, looked up at every neuron's kinks."""

from __future__ import annotations

import numpy as np

from wflow._checks import Array
from wflow._jit import FASTMATH, REASSOC, njit, prange
from wflow.neurons.axis import LANES, Ints
from wflow.neurons.kinks import GROUP, fill_slots, visits

__all__ = ["adjoint"]


@njit(fastmath=FASTMATH)
def _tail_sums(signal: Array, padded: Array, lo: int, hi: int, tables: Array) -> None:
    """Sums of G and of G (a - a_ref) over the active side of every slot, states lo to hi; tables (2, n_a + 1, n_s, 2)."""
    n_a = signal.shape[1]
    mass = np.zeros(hi - lo)
    moment = np.zeros(hi - lo)
    tables[0, n_a, lo:hi] = 0.0
    for j in range(n_a - 1, -1, -1):
        step = padded[j + 2] - padded[j + 1]
        for i in range(hi - lo):
            moment[i] += mass[i] * step
            mass[i] += signal[lo + i, j]
            tables[0, j, lo + i, 0] = mass[i]
            tables[0, j, lo + i, 1] = moment[i]
    mass[:] = 0.0
    moment[:] = 0.0
    tables[1, 0, lo:hi] = 0.0
    for j in range(n_a):
        step = padded[j + 1] - padded[j]
        for i in range(hi - lo):
            moment[i] -= mass[i] * step
            mass[i] += signal[lo + i, j]
            tables[1, j + 1, lo + i, 0] = mass[i]
            tables[1, j + 1, lo + i, 1] = moment[i]


@njit(fastmath=FASTMATH)
def _run_sums(whole: Array, r_padded: Array, runs: Array) -> None:
    """Sums over a half-line of states of the masses, their moments in s - s_ref, and the action moments in `whole` (n_s, 2);
    runs (2 directions, n_s + 1, 3).
    """  # noqa: D205
    n_s = whole.shape[0]
    mass = 0.0
    by_state = 0.0
    by_action = 0.0
    runs[0, n_s] = 0.0
    for i in range(n_s - 1, -1, -1):
        by_state += mass * (r_padded[i + 2] - r_padded[i + 1])
        mass += whole[i, 0]
        by_action += whole[i, 1]
        runs[0, i, 0] = mass
        runs[0, i, 1] = by_state
        runs[0, i, 2] = by_action
    mass = 0.0
    by_state = 0.0
    by_action = 0.0
    runs[1, 0] = 0.0
    for i in range(n_s):
        by_state -= mass * (r_padded[i + 1] - r_padded[i])
        mass += whole[i, 0]
        by_action += whole[i, 1]
        runs[1, i + 1, 0] = mass
        runs[1, i + 1, 1] = by_state
        runs[1, i + 1, 2] = by_action


@njit(fastmath=REASSOC)
def _gather(points: Array, begin: int, end: int, n_s: int, states: Array, padded: Array, lookup: Ints, scale: float, margin: float,
            r_padded: Array, r_lookup: Ints, r_scale: float, r_margin: float, tables: Array, runs: Array, out: Array) -> None:  # fmt: skip
    """Rows begin to end of out (N, m): sum G φ, then ω0 times the sums of G φ' s, G φ' a and G φ'."""
    d_s = states.shape[0]
    work = np.empty((4, n_s + LANES))
    slots = np.empty(n_s + LANES, np.int64)
    h, a, mass, moment = work[0], work[1], work[2], work[3]
    low, high, entered = np.empty(GROUP, np.int64), np.empty(GROUP, np.int64), np.empty(GROUP, np.int64)
    for n in range(begin, end):
        member = (n - begin) % GROUP
        if member == 0:
            visits(points, n, min(GROUP, end - n), n_s, padded, r_padded, r_lookup, r_scale, r_margin, low, high, entered)
        lo, hi, whole = low[member], high[member], entered[member]
        k = points[n, 1 + d_s]
        outer = points[n, 0]
        side = np.uint64(0 if k >= 0.0 else 1)
        offset = np.uint64(1 if k >= 0.0 else 0)
        fill_slots(points, n, lo, hi, states, padded, lookup, scale, margin, h, slots)
        for i in range(hi - lo):  # look up first, sum afterwards: the sums then run over vector lanes
            j = np.uint64(lo + i)
            c = np.uint64(slots[i])
            a[i] = padded[c + offset]
            mass[i] = tables[side, c, j, 0]
            moment[i] = tables[side, c, j, 1]
        value = 0.0
        by_action = 0.0
        by_bias = 0.0
        for i in range(hi - lo):
            value += (h[i] + k * a[i]) * mass[i] + k * moment[i]
            by_action += a[i] * mass[i] + moment[i]
            by_bias += mass[i]
        for d in range(d_s):
            by_state = 0.0
            for i in range(hi - lo):
                by_state += states[d, lo + i] * mass[i]
            out[n, 1 + d] = outer * by_state
        if whole >= 0:
            k_s = points[n, 1]
            direction = np.uint64(0 if k_s >= 0.0 else 1)
            s = r_padded[whole + (1 if k_s >= 0.0 else 0)]
            edge = padded[0] if k >= 0.0 else padded[-1]
            c = np.uint64(whole)
            total, shifted, tilted = runs[side, direction, c, 0], runs[side, direction, c, 1], runs[side, direction, c, 2]
            value += ((k_s * s + points[n, 3]) + k * edge) * total + k_s * shifted + k * tilted
            by_action += edge * total + tilted
            by_bias += total
            out[n, 1] += outer * (s * total + shifted)
        out[n, 0] = value
        out[n, 1 + d_s] = outer * by_action
        out[n, 2 + d_s] = outer * by_bias


@njit(parallel=True)
def adjoint(points: Array, signal: Array, block: int, chunk: int, out: Array, n_s: int, states: Array, padded: Array,
             lookup: Ints, scale: float, margin: float, r_padded: Array, r_lookup: Ints, r_scale: float,
             r_margin: float) -> None:  # fmt: skip
    n_a = padded.shape[0] - 2
    tables = np.empty((2, n_a + 1, n_s, 2))
    runs = np.empty((2, 2, n_s + 1, 3))
    for b in prange((n_s + block - 1) // block):
        _tail_sums(signal, padded, b * block, min(n_s, (b + 1) * block), tables)
    if r_padded.shape[0] > 0:
        _run_sums(tables[0, 0], r_padded, runs[0])
        _run_sums(tables[1, n_a], r_padded, runs[1])
    count = points.shape[0]
    for task in prange((count + chunk - 1) // chunk):
        _gather(points, task * chunk, min(count, (task + 1) * chunk), n_s, states, padded, lookup, scale, margin,
                r_padded, r_lookup, r_scale, r_margin, tables, runs, out)  # fmt: skip
