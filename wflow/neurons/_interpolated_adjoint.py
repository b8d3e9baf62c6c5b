"""The adjoint pass of `interpolated`: integrals of the signal's interpolant along the actions, completed in the kink's cell."""

from __future__ import annotations

import numpy as np

from wflow._checks import Array
from wflow._jit import FASTMATH, REASSOC, njit, prange
from wflow.neurons._hinge_adjoint import _run_sums
from wflow.neurons.axis import LANES, Ints
from wflow.neurons.kinks import GROUP, fill_slots, visits

__all__ = ["adjoint", "curvature"]


@njit(fastmath=FASTMATH)
def _integrals(signal: Array, lengths: Array, spacing: float, lo: int, hi: int, tables: Array) -> None:
    """For every slot c, with x_c the nearest breakpoint of its active side: ∫γ and ∫γ (a − x_c) over that side, γ at x_c, and what γ
    gains to the far end of the kink's cell; states lo to hi, tables (2, n_a + 3, n_s, 4).
    """  # noqa: D205
    n_a = signal.shape[1]
    last = n_a + 2  # breakpoints: interval end, nodes, interval end
    mass, moment = np.zeros(hi - lo), np.zeros(hi - lo)
    tables[0, last, lo:hi] = 0.0
    for c in range(last - 1, -1, -1):
        inner, outer = min(max(c - 1, 0), n_a - 1), min(c, n_a - 1)  # nodes whose γ is that of breakpoints c and c + 1
        before = max(c - 2, 0)
        length = lengths[c + 1]
        share = length / spacing
        for i in range(hi - lo):
            near, far = signal[lo + i, inner], signal[lo + i, outer]
            moment[i] += mass[i] * length + share * length * (near / 6.0 + far / 3.0)
            mass[i] += share * 0.5 * (near + far)
            tables[0, c, lo + i, 0] = mass[i]
            tables[0, c, lo + i, 1] = moment[i]
            tables[0, c, lo + i, 2] = near
            tables[0, c, lo + i, 3] = signal[lo + i, before] - near
    mass[:] = 0.0
    moment[:] = 0.0
    tables[1, 0, lo:hi] = 0.0
    for c in range(1, last + 1):
        before, inner, outer = max(c - 3, 0), min(max(c - 2, 0), n_a - 1), min(c - 1, n_a - 1)  # breakpoints c - 2, c - 1, c
        length = lengths[c - 1]
        share = length / spacing
        for i in range(hi - lo):
            near, far = signal[lo + i, inner], signal[lo + i, before]
            moment[i] -= mass[i] * length + share * length * (near / 6.0 + far / 3.0)
            mass[i] += share * 0.5 * (near + far)
            tables[1, c, lo + i, 0] = mass[i]
            tables[1, c, lo + i, 1] = moment[i]
            tables[1, c, lo + i, 2] = near
            tables[1, c, lo + i, 3] = signal[lo + i, outer] - near


@njit(forceinline=True)
def _fraction(z: float, rise: float) -> float:
    """How much of the kink's cell is active, where z at its active end falls by `rise` >= 0 to the other. NaN stays."""
    if z >= rise:
        return 1.0
    return 0.0 if z <= 0.0 else z / rise


@njit(fastmath=REASSOC)
def _gather(points: Array, begin: int, end: int, n_s: int, states: Array, padded: Array, lookup: Ints, scale: float, margin: float,
            r_padded: Array, r_lookup: Ints, r_scale: float, r_margin: float, breaks: Array, lengths: Array, cells: Ints,
            spacing: float, tables: Array, runs: Array, out: Array) -> None:  # fmt: skip
    """Rows begin to end of out (N, m): g, then ω0 ∇g; the sums of `_hinge_adjoint._gather`, but for the part of the kink's cell.

    Written out once more: a function for both costs its call, a tenth of the nodal pass.
    """
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
        outward = -1.0 if k >= 0.0 else 1.0  # from the active side into the kink's cell
        fill_slots(points, n, lo, hi, states, padded, lookup, scale, margin, h, slots)
        for i in range(hi - lo):
            c, j = np.uint64(cells[np.uint64(slots[i])]), np.uint64(lo + i)
            a[i] = breaks[c + offset]
            length = lengths[c]
            near, gain = tables[side, c, j, 2], tables[side, c, j, 3]
            u = _fraction(h[i] + k * a[i], abs(k) * length)
            part = u * length / spacing
            mass[i] = tables[side, c, j, 0] + part * (near + 0.5 * u * gain)
            moment[i] = tables[side, c, j, 1] + outward * part * u * length * (0.5 * near + u * gain / 3.0)
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
def adjoint(points: Array, signal: Array, block: int, chunk: int, out: Array, breaks: Array, lengths: Array, cells: Ints,
            spacing: float, n_s: int, states: Array, padded: Array, lookup: Ints, scale: float, margin: float, r_padded: Array,
            r_lookup: Ints, r_scale: float, r_margin: float) -> None:  # fmt: skip
    """breaks (n_a + 4,) padded; lengths (n_a + 3,) of the kink's cell of each slot, 0 at both ends; cells: slot of each half-cell's."""
    n_b = signal.shape[1] + 2
    tables = np.empty((2, n_b + 1, n_s, 4))
    runs = np.empty((2, 2, n_s + 1, 3))
    for b in prange((n_s + block - 1) // block):
        _integrals(signal, lengths, spacing, b * block, min(n_s, (b + 1) * block), tables)
    if r_padded.shape[0] > 0:
        _run_sums(tables[0, 0], r_padded, runs[0])
        _run_sums(tables[1, n_b], r_padded, runs[1])
    count = points.shape[0]
    for task in prange((count + chunk - 1) // chunk):
        _gather(points, task * chunk, min(count, (task + 1) * chunk), n_s, states, padded, lookup, scale, margin,
                r_padded, r_lookup, r_scale, r_margin, breaks, lengths, cells, spacing, tables, runs, out)  # fmt: skip


@njit()
def _moments(points: Array, begin: int, end: int, signal: Array, n_s: int, states: Array, padded: Array, lookup: Ints, scale: float,
             margin: float, breaks: Array, lengths: Array, cells: Ints, spacing: float, out: Array) -> None:  # fmt: skip
    """Rows begin to end of out (N, m - 1, m - 1); every state is visited."""
    d_s, n_a = states.shape[0], signal.shape[1]
    h = np.empty(n_s + LANES)
    slots = np.empty(n_s + LANES, np.int64)
    x = np.empty(d_s + 2)
    x[d_s + 1] = 1.0
    for n in range(begin, end):
        k = points[n, 1 + d_s]
        active, outward = (1, -1.0) if k >= 0.0 else (0, 1.0)
        fill_slots(points, n, 0, n_s, states, padded, lookup, scale, margin, h, slots)
        out[n] = 0.0
        for i in range(n_s):
            c = cells[slots[i]]
            z, rise = h[i] + k * breaks[c + active], abs(k) * lengths[c]
            if not 0.0 < z < rise:  # no kink in the interval
                continue
            u = z / rise
            near = signal[i, min(max(c - 2 + active, 0), n_a - 1)]
            far = signal[i, min(max(c - 1 - active, 0), n_a - 1)]
            for d in range(d_s):
                x[d] = states[d, i]
            x[d_s] = breaks[c + active] + outward * u * lengths[c]
            for d in range(d_s + 2):
                for e in range(d_s + 2):
                    out[n, d, e] += (near + u * (far - near)) / (spacing * abs(k)) * x[d] * x[e]


@njit(parallel=True)
def curvature(points: Array, signal: Array, chunk: int, out: Array, breaks: Array, lengths: Array, cells: Ints, spacing: float,
              n_s: int, states: Array, padded: Array, lookup: Ints, scale: float, margin: float) -> None:  # fmt: skip
    """out (N, m - 1, m - 1) = sum_i γ_i(κ_i) / |k_a| x xᵀ, x = (s_i, κ_i, 1), over the kinks κ_i in the interval."""
    count = points.shape[0]
    for task in prange((count + chunk - 1) // chunk):
        _moments(points, task * chunk, min(count, (task + 1) * chunk), signal, n_s, states, padded, lookup, scale, margin,
                 breaks, lengths, cells, spacing, out)  # fmt: skip
