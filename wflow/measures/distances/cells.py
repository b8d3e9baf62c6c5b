"""W2 of measures that are spread over the cells of a grid: exactly on the line, and what the spread can change anywhere."""

from __future__ import annotations

import numpy as np

from wflow._checks import Array
from wflow._jit import njit
from wflow.measures.distances.line import EPS
from wflow.measures.distances.result import ROUNDING, Squares
from wflow.measures.grid import GridMeasure
from wflow.measures.particles import ParticleMeasure

__all__ = ["on_line", "spread"]


def spread(measure: ParticleMeasure | GridMeasure) -> float:
    """W2 of a grid's measure and the atoms at its cells' centres, at most: ``(sum_i m_i sum_k h_ik² / 12)^½``; 0 for particles.

    A cell's share spread evenly over its widths h has that square distance from its centre. At most 0.29 of a cell's diagonal.
    """
    if isinstance(measure, ParticleMeasure):
        return 0.0
    squares = [(measure.marginal(k).masses * widths**2).sum() / 12.0 for k, widths in enumerate(measure.widths)]
    return float(np.sqrt(sum(squares)))


def on_line(mu: ParticleMeasure | GridMeasure, nu: ParticleMeasure | GridMeasure) -> Squares:
    """W2² on the line, ∫ (F⁻¹(t) − G⁻¹(t))² dt: exact, as the quantiles of a measure that is even on cells are piecewise linear.

    O(n + k) time and memory for two grids, O(N log N) for N particles. Between the bounds lies the rounding, as in `line.squared`.
    """
    x, widths_x, p = _intervals(mu)
    y, widths_y, q = _intervals(nu)
    origin = x[len(x) // 2]
    cost, misplaced = _couple(x - origin, widths_x, p / p.sum(), y - origin, widths_y, q / q.sum())
    reach = max(x[-1] + widths_x[-1], y[-1] + widths_y[-1]) - min(x[0], y[0])
    moved = 8.0 * EPS * reach  # rounding of a quantile
    slack = ROUNDING * cost + (misplaced + 4.0 * EPS) * reach**2 + moved * (2.0 * cost**0.5 + moved)
    return Squares(cost, max(cost - slack, 0.0), cost + slack)


def _intervals(measure: ParticleMeasure | GridMeasure) -> tuple[Array, Array, Array]:
    """Where the mass lies, in order: left ends, widths (0 for particles) and masses of what has mass."""
    if isinstance(measure, GridMeasure):
        low, widths, masses = measure.axes[0][:-1], measure.widths[0], measure.masses
    else:
        order = np.argsort(measure.points[:, 0], kind="stable")
        low, masses = measure.points[order, 0], measure.weights[order]
        widths = np.zeros(len(low))
    held = masses > 0.0
    return low[held], widths[held], masses[held]


@njit()
def _couple(x: Array, widths_x: Array, p: Array, y: Array, widths_y: Array, q: Array) -> tuple[float, float]:
    """Cost of the monotone coupling of two rows of intervals, and the mass that rounding misplaces in it; see `line._couple`.

    While mass is taken from one interval on either side, the quantiles' difference goes linearly from a to b: its square has the
    mean (a² + ab + b²)/3.
    """
    i, j = 0, 0
    left, right = p[0], q[0]
    cost, carry, misplaced = 0.0, 0.0, 0.0
    a = x[0] - y[0]
    while True:
        mass = min(left, right)
        new_left, new_right = left - mass, right - mass
        b = (x[i] + widths_x[i] * (1.0 - new_left / p[i])) - (y[j] + widths_y[j] * (1.0 - new_right / q[j]))
        term = mass * (a * a + a * b + b * b) / 3.0 - carry  # Kahan's compensated sum
        total = cost + term
        carry = (total - cost) - term
        cost = total
        misplaced += abs((left - new_left) - mass) + abs((right - new_right) - mass)
        left, right = new_left, new_right
        if left == 0.0:
            i += 1
            if i == len(x):
                break
            left = p[i]
        if right == 0.0:
            j += 1
            if j == len(y):
                break
            right = q[j]
        a = (x[i] + widths_x[i] * (1.0 - left / p[i])) - (y[j] + widths_y[j] * (1.0 - right / q[j]))
    if i < len(x):
        misplaced += left + p[i + 1 :].sum()
    if j < len(y):
        misplaced += right + q[j + 1 :].sum()
    return cost, misplaced
