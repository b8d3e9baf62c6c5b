"""The adjoint of ReLU neurons against the interpolant of the signal: a field that is continuous where the nodal one jumps (math.md §7).

The nodal signal is a density times the action weights, ``G_ij = w_j γ_ij``. On equidistant nodes of equal weight, the midpoints of n_a
cells, let γ_i(a) be the piecewise-linear interpolant of the γ_ij, constant in the two outer half-cells, and

    ``g(ω̄) = sum_i ∫ γ_i(a) relu(k_s·s_i + b + k_a a) dμ(a)``

over the union of the cells, μ spread evenly over it. As the interpolant's integral is ``sum_j w_j γ_ij``, constants are integrated as on
nodes, and rows of G that sum to 0 do so here. A kink then moves through a density without gaps: ∇g is continuous, but where a
neuron turns on for all actions at once (k_a = 0 = k_s·s_i + b). Against sums over nodes g differs by O(h²), h the spacing: by
``|k_a| h ((1 − u)³ G_near + u³ G_far)/6`` for a kink u h off the near node, the nearest that is active, and by terms of k_a h/24 at
the ends, where the interpolant stops being linear.

By prefix sums, as in `hinge`: integrals of γ and of γ a from every node and both ends of the interval on, completed by a polynomial in the
kink's cell. The kink is looked up among the nodes and the ends of their cells together, equidistant again with half the spacing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow._jit import launch
from wflow.neurons import _interpolated_adjoint
from wflow.neurons.kinks import Grid
from wflow.spaces import Space

__all__ = ["Interpolated"]

_CHUNK = 128  # neurons per task
_BLOCK = 50  # states per task of the integrals along the actions
_EVEN = 1e-9  # relative deviation of spacings and weights that passes for rounding


class Interpolated:
    """g and its derivatives for ReLU neurons (N, m), rows [ω0, k_s, k_a, b], against the interpolated signal.

    Parameters
    ----------
    states, actions : Space
        The actions: two or more increasing equidistant nodes of one coordinate and equal weight, such as ``Space.midpoint``.

    Attributes
    ----------
    spacing : float
        h, the distance of two action nodes.

    Raises
    ------
    ValueError
        If the actions are others.
    """

    def __init__(self, states: Space, actions: Space) -> None:
        nodes, n_a = actions.nodes, actions.size
        steps = np.diff(nodes[:, 0]) if actions.dimension == 1 else np.empty(0)
        self.spacing = float(steps.mean()) if steps.size else 0.0
        even = self.spacing > 0.0 and np.abs(steps - self.spacing).max() <= _EVEN * self.spacing
        if not even or np.ptp(actions.weights) > _EVEN * actions.weights[0]:
            raise ValueError("actions must be two or more increasing equidistant nodes of one coordinate, of equal weights, such as "
                             f"Space.midpoint(n), for a continuous field; got {actions!r}")  # fmt: skip
        self.shape = (states.size, n_a)
        self.n_parameters = states.dimension + 3
        halves = np.empty(2 * n_a + 1)  # ends of the cells, and the nodes amid them
        halves[1::2] = nodes[:, 0]
        halves[2:-1:2] = 0.5 * (nodes[1:, 0] + nodes[:-1, 0])
        halves[[0, -1]] = nodes[[0, -1], 0] + [-0.5 * self.spacing, 0.5 * self.spacing]
        breaks = np.concatenate([halves[:1], nodes[:, 0], halves[-1:]])
        lengths = np.concatenate([[0.0], np.diff(breaks), [0.0]])
        cells = np.searchsorted(breaks, np.concatenate([[-np.inf], halves]), side="right")
        self._cells = (np.concatenate([breaks[:1], breaks, breaks[-1:]]), lengths, cells, self.spacing)
        self._grid = Grid(states.nodes, halves)

    def _seconds(self, points: Array) -> float:
        """About what a pass takes on one thread, as for `hinge`."""
        return 1e-9 * (len(points) * (50 + 2 * self.shape[0]) + 8 * self.shape[0] * self.shape[1])

    def adjoint(self, points: Array, signal: Array) -> Array:
        """Rows (g, ω0 ∇g), shape (N, m), for points (N, m) and a signal G (n_s, n_a); cost O(N n_s + M) at most, memory O(N + M)."""
        points, signal = self._fitting(points, signal)
        out = np.empty_like(points)
        launch(_interpolated_adjoint.adjoint, self._seconds(points), points, signal, _BLOCK, _CHUNK, out, *self._cells,
               *self._grid.arguments)  # fmt: skip
        return out

    def curvature(self, points: Array, signal: Array) -> Array:
        """∇²_ω̄ g (N, m − 1, m − 1): ``sum_i γ_i(κ_i)/|k_a| x xᵀ``, x = (s_i, κ_i, 1), over the kinks κ_i in the interval; O(N n_s)."""
        points, signal = self._fitting(points, signal)
        out = np.empty((len(points), self.n_parameters - 1, self.n_parameters - 1))
        arguments: tuple[Any, ...] = self._grid.arguments[:6]
        launch(_interpolated_adjoint.curvature, self._seconds(points), points, signal, _CHUNK, out, *self._cells, *arguments)
        return out

    def _fitting(self, points: Array, signal: Array) -> tuple[Array, Array]:
        return _checks.fitting("points", points, (None, self.n_parameters)), _checks.fitting("signal", signal, self.shape)
