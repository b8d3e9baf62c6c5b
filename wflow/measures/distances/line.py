"""W2 on the line, exactly: the monotone coupling of sorted quantiles."""

from __future__ import annotations

import numpy as np

from wflow._checks import Array
from wflow._jit import njit
from wflow.measures.distances.result import ROUNDING, Squares

__all__ = ["EPS", "squared"]

EPS = float(np.finfo(np.float64).eps)


def squared(x: Array, p: Array, y: Array, q: Array) -> Squares:
    """W2² of sum_i p_i δ(x_i) and sum_j q_j δ(y_j) on the line: ∫ (F⁻¹(t) − G⁻¹(t))² dt.

    O((n + k) log(n + k)) time, O(n + k) memory. Between the bounds lie a few roundings of the cost, and of the weights times the
    squared diameter.

    Parameters
    ----------
    x, y : ndarray, shapes (n,), (k,)
        Positions, in any order.
    p, q : ndarray, shapes (n,), (k,)
        Positive, equal sums.

    Returns
    -------
    Squares
        value, lower, upper.
    """
    x, p = _sorted(x, p)
    y, q = _sorted(y, q)
    cost, misplaced = _couple(x, p, y, q)
    diameter = float(max(x[-1], y[-1]) - min(x[0], y[0]))
    slack = ROUNDING * cost + (misplaced + 4.0 * EPS) * diameter**2
    return Squares(cost, max(cost - slack, 0.0), cost + slack)


def _sorted(x: Array, p: Array) -> tuple[Array, Array]:
    if p[0] == p[-1] and (p == p[0]).all():  # equal weights need no permutation
        return np.sort(x), p
    order = np.argsort(x, kind="stable")
    return x[order], p[order]


@njit()
def _couple(x: Array, p: Array, y: Array, q: Array) -> tuple[float, float]:
    """Cost of the monotone coupling of sorted x (n,), y (k,), and the mass that rounding misplaces in it.

    Masses are consumed from both ends of the quantile axis, not accumulated along it, so that rounding does not grow with n.
    """
    i, j = 0, 0
    left, right = p[0], q[0]
    cost, carry, misplaced = 0.0, 0.0, 0.0
    while True:
        mass = min(left, right)
        term = mass * (x[i] - y[j]) ** 2 - carry  # Kahan's compensated sum
        total = cost + term
        carry = (total - cost) - term
        cost = total
        new_left, new_right = left - mass, right - mass
        misplaced += abs((left - new_left) - mass) + abs((right - new_right) - mass)  # exact: one of the two is 0
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
    # What is left over, on whichever side the loop did not end.
    if i < len(x):
        misplaced += left + p[i + 1 :].sum()
    if j < len(y):
        misplaced += right + q[j + 1 :].sum()
    return cost, misplaced
