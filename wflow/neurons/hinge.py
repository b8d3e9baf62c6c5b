"""ReLU neurons over a sorted one-dimensional action axis, by prefix sums over their kinks (math.md §5).

For a fixed state the neuron is piecewise linear in the action with one kink, so it is known from the first node where it
is active, its value there and its slope. The forward pass adds value and slope at that node and sums along the axis; the
adjoint looks up partial sums of the signal at the same node. Values are taken at the kink's node, not at a = 0, so every
partial sum is bounded by the sum of absolute values and nothing cancels.

Neurons with k_a >= 0 are active right of their kink (side 0), the others left of it (side 1). On a sorted state axis the
same idea is used once more: the states in which *all* actions are active form a half-line, on which the neuron is linear;
it is entered at its first state. Only states whose kink lies between the action nodes, a quarter of them for the
experiments of Agazzi & Lu, are visited one by one. Slots are decided by ``(k_s·s + b) + k_a·a > 0`` alone (`axis`).
"""

from __future__ import annotations

import numpy as np

from wflow._checks import Array
from wflow._jit import FASTMATH, REASSOC, launch, njit, prange
from wflow.neurons.axis import LANES, Ints
from wflow.neurons.kinks import Grid, fill_slots, visited

__all__ = ["Grid", "adjoint", "forward"]

_CHUNK = 100  # neurons per task of the adjoint
_BLOCK = 50  # states per task of the sums along the actions


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
    poison = 0.0
    for n in range(begin, end):
        k = points[n, 1 + d_s]
        w = weights[n] * points[n, 0]
        poison += 0.0 * (w + k + points[n, d_s + 2])
        for d in range(d_s):
            poison += 0.0 * points[n, 1 + d]
        slope = w * abs(k)
        side = np.uint64(0 if k >= 0.0 else 1)
        offset = np.uint64(1 if k >= 0.0 else 0)
        lo, hi, whole = visited(points, n, n_s, padded, r_padded, r_lookup, r_scale, r_margin)
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
    value = values[0, lo:hi].copy()
    slope = slopes[0, lo:hi].copy()
    for j in range(slots - 1):
        step = padded[j + 1] - padded[j]
        for i in range(hi - lo):
            value[i] += slope[i] * step + tables[0, 0, j, lo + i, 0]
            slope[i] += tables[0, 0, j, lo + i, 1]
            out[lo + i, j] = value[i]
    value[:] = values[1, lo:hi]
    slope[:] = slopes[1, lo:hi]
    for j in range(slots - 2, -1, -1):
        step = padded[j + 2] - padded[j + 1]
        for i in range(hi - lo):
            value[i] += slope[i] * step + tables[0, 1, j + 1, lo + i, 0]
            slope[i] += tables[0, 1, j + 1, lo + i, 1]
            out[lo + i, j] += value[i]


@njit(parallel=True)
def _forward(points: Array, weights: Array, tasks: int, block: int, out: Array, n_s: int, states: Array, padded: Array,
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
        runs[0] += runs[task]
        poison[0] += poison[task]
    values = np.full((2, n_s), poison[0])
    slopes = np.zeros((2, n_s))
    if r_padded.shape[0] > 0:
        for side in range(2):
            _sum_runs(runs[0, side], r_padded, values[side], slopes[side])
    for b in prange((n_s + block - 1) // block):
        _sum_tables(tables, b * block, min(n_s, (b + 1) * block), values, slopes, padded, out)


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
    for n in range(begin, end):
        k = points[n, 1 + d_s]
        outer = points[n, 0]
        side = np.uint64(0 if k >= 0.0 else 1)
        offset = np.uint64(1 if k >= 0.0 else 0)
        lo, hi, whole = visited(points, n, n_s, padded, r_padded, r_lookup, r_scale, r_margin)
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
def _adjoint(points: Array, signal: Array, block: int, chunk: int, out: Array, n_s: int, states: Array, padded: Array,
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


def _seconds(points: Array, grid: Grid) -> float:
    """About what a pass takes on one thread: a quarter of the states of a neuron are visited, then the nodes."""
    n_s, n_a = grid.shape
    return 1e-9 * (len(points) * (50 + n_s) + 4 * n_s * n_a)


def _tasks(n: int) -> int:
    """Parts, each with tables of its own, in which neurons are scattered; a function of their number alone, so that bits are."""
    return 1 if n < 3000 else min(2 * (n // 8000 + 1), 16)


def forward(points: Array, weights: Array, grid: Grid) -> Array:
    """f (n_s, n_a) = sum_n p_n ω0 relu(k_s·s_i + k_a a_j + b); cost O(N n_s + M) at most, memory O(M) beside the input."""
    out = np.empty(grid.shape)
    launch(_forward, _seconds(points, grid), points, weights, _tasks(len(points)), _BLOCK, out, *grid.arguments)
    return out


def adjoint(points: Array, grid: Grid, signal: Array) -> Array:
    """Rows (sum_ij G_ij φ_ij, ω0 ∇ sum_ij G_ij φ_ij), shape (N, m), for a signal G (n_s, n_a); cost O(N n_s + M) at most."""
    out = np.empty_like(points)
    launch(_adjoint, _seconds(points, grid), points, signal, _BLOCK, _CHUNK, out, *grid.arguments)
    return out
