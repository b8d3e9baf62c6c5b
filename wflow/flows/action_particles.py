"""Wasserstein policy gradient in particles: N actions in each state, by reflected Langevin steps (math.md §9)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from wflow import _checks, mdp
from wflow._checks import Array
from wflow._jit import launch, njit, prange
from wflow.flows._action_cells import action_edges, deposited, reflected_kernel
from wflow.flows._tabular_policy import TabularValue
from wflow.flows.langevin import LangevinSteps
from wflow.integrators.base import Field
from wflow.mdp import MDP, PolicyEvaluation
from wflow.mdp.evaluation import _evaluate

__all__ = ["WassersteinPolicyParticles"]

_CHUNK = 2048  # particles that a task handles; fixed, so that tasks do not depend on the threads
_SEARCH = 2e-8  # seconds a particle on one thread
_ROUNDING = 1e-9  # of the box, by which particles may start outside


@njit(parallel=True)
def _interpolated(nodes: Array, values: Array, points: Array, out: Array) -> None:  # (K,), (n_s, K), (n_s, N) x 2
    """The piecewise linear function of every state at its points, its outer pieces continued beyond the nodes."""
    n_s, n = points.shape
    chunks = (n + _CHUNK - 1) // _CHUNK
    for task in prange(n_s * chunks):
        i, start = task // chunks, (task % chunks) * _CHUNK
        for p in range(start, min(start + _CHUNK, n)):
            left = min(max(np.searchsorted(nodes, points[i, p]) - 1, 0), nodes.size - 2)
            share = (points[i, p] - nodes[left]) / (nodes[left + 1] - nodes[left])
            out[i, p] = values[i, left] * (1.0 - share) + values[i, left + 1] * share


class WassersteinPolicyParticles:
    """``da = ∇_a Q_π(s, a) dt + √(2τ) dW`` for N particles in every state, mirrored at the walls. Implements `wflow.flows.Flow`.

    The particle twin of `WassersteinPolicyFlow`. It steps itself, ``a ← a + h ∇_a Q + √(2hτ) ξ`` (`wflow.flows.langevin.LangevinSteps`;
    option `dt` = h, and `seed`), so `method` is left out of ``wflow.solve``; the bias of its law is of order 1 in h.

    On a bandit Q = r, and nothing is estimated. Elsewhere Q_π needs the entropy of π, which particles do not have. It is that of a
    **density estimate**: particles shared among the cells whose centres surround them, then spread by a Gaussian kernel mirrored at the
    walls. ∇_a Q at a particle is linear between the differences of Q over neighbouring nodes, exact for quadratics, of second order
    in the cells' width.

    Parameters
    ----------
    mdp : MDP
        τ ≥ 0; `actions` the cells of an interval, three or more, such as ``Space.midpoint(n)``.
    bandwidth : float, optional
        Standard deviation of the kernel, in units of the action. Default: Silverman's for the uniform law on the box, of length L,
        ``1.06 L/√12 N^{−1/5}``, fixed over the run: a policy narrower than that looks wider, and its entropy larger, than it is.

    Attributes
    ----------
    energy : TabularValue
        E = ρ0 · V, with its optimum.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above; by `pack`, if the initial state is no array (n_s, N) of actions in the box.

    Notes
    -----
    State y: actions (n_s, N), row after row; `unpack` gives that array. Cost of an evaluation: O(n_s N log n_a), and outside bandits
    O(n_s n_a²) for the kernel and O(n_s³) for one LU factorisation. Memory: six arrays (n_s, N), and (n_a, n_a).
    """

    def __init__(self, mdp: MDP, *, bandwidth: float | None = None) -> None:
        self.energy = TabularValue(mdp)
        self.mdp = mdp
        self.edges = action_edges(mdp)
        if mdp.n_actions < 3:
            raise ValueError(f"mdp.actions must be three or more cells; got {mdp.n_actions}")
        self._bandwidth = None if bandwidth is None else _checks.real("bandwidth", bandwidth, above=0.0)
        self._kernel = np.empty((0, 0))
        self._last: tuple[float, Array, PolicyEvaluation] | None = None

    def pack(self, initial: npt.ArrayLike) -> Array:
        """Actions (n_s, N) in the box, flat."""
        actions = _checks.array("initial", initial, (self.mdp.n_states, None))
        if actions.size == 0:
            raise ValueError("initial must have at least one particle in each state; got none")
        low, high = self.edges[0], self.edges[-1]
        outside = (actions < low - _ROUNDING * (high - low)) | (actions > high + _ROUNDING * (high - low))
        if outside.any():
            i, n = np.argwhere(outside)[0]
            raise ValueError(f"initial must lie in the box [{low:.10g}, {high:.10g}]; got {float(actions[i, n])!r} at [{i}, {n}]")
        silverman = 1.06 * float(high - low) / 12.0**0.5 * actions.shape[1] ** -0.2
        self.bandwidth = silverman if self._bandwidth is None else self._bandwidth
        self._kernel, self._last = reflected_kernel(self.edges, self.bandwidth), None
        return np.clip(actions, low, high).ravel()

    def unpack(self, y: Array) -> Array:
        """Actions (n_s, N), not copied."""
        return y.reshape(self.mdp.n_states, -1)

    def rhs(self, t: float, y: Array) -> Array:
        """The drift ∇_a Q at every particle, flat."""
        if self.mdp.discount == 0.0:
            return self._gradient(self.mdp.reward, self.unpack(y)).ravel()
        bellman = self._look(y)
        self._last = (t, y, bellman)
        return self._gradient(bellman.action_value, self.unpack(y)).ravel()

    def stepper(self, t: float, y: Array, t_end: float, *, field: Field, dt: float | None = None, seed: int = 0) -> LangevinSteps:
        """Reflected Euler–Maruyama steps of `dt` in mean-field time; the noise follows from `seed`."""
        walls = (self.edges[:1].copy(), self.edges[-1:].copy())
        return LangevinSteps(field, t, y, t_end, dt=dt, seed=seed, scheme="euler_maruyama", temperature=self.mdp.temperature,
                             shape=(y.size, 1), walls=walls)  # fmt: skip

    def log_density(self, y: Array) -> Array:
        """The density estimate: log π (n_s, n_a) on the cells, −inf where it has no mass."""
        masses = deposited(self.unpack(y), self.edges) @ self._kernel
        density = masses / masses.sum(axis=1, keepdims=True) / self.mdp.actions.weights
        log_density: Array = np.log(density, out=np.full_like(density, -np.inf), where=density > 0.0)
        return log_density

    def evaluation(self, t: float, y: Array) -> PolicyEvaluation:
        """The evaluation of the density estimate at y; remembered if `rhs` made it of this very array last."""
        if self._last is not None and self._last[1] is y and abs(self._last[0] - t) <= 1e-12 * abs(t):
            return self._last[2]
        return self._look(y)

    def diagnostics(self, t: float, y: Array) -> dict[str, float]:
        """Energy, gap and its certificate, all of the density estimate; "drift" is ``sum_i d_i mean_n |∇_a Q|²``."""
        bellman = self.evaluation(t, y)
        bounds = mdp.gap_certificate(self.mdp, bellman)
        drift = np.square(self._gradient(bellman.action_value, self.unpack(y))).mean(axis=1)
        return {
            "energy": bellman.objective, "gap": mdp.exact_gap(self.mdp, bellman, self.energy.optimum),
            "gap_lower": bounds.lower, "gap_upper": bounds.upper, "drift": (1.0 - self.mdp.discount) * float(bellman.occupancy @ drift),
        }  # fmt: skip

    def static(self) -> dict[str, Any]:
        """The problem: shape, nodes, action weights, E*, the optimal log-policy; the edges of the actions' cells and the bandwidth."""
        return {**self.energy.static(), "edges": self.edges, "bandwidth": np.array(self.bandwidth)}

    def finals(self, t: float, y: Array) -> dict[str, Array]:  # noqa: ARG002 (a flow's signature)
        """The density estimate at the end, ``log_policy`` (n_s, n_a)."""
        return {"log_policy": self.log_density(y)}

    def _look(self, y: Array) -> PolicyEvaluation:
        return _evaluate(self.mdp, self.log_density(y))

    def _gradient(self, action_value: Array, actions: Array) -> Array:
        """∇_a Q at actions (n_s, N) from Q (n_s, n_a): linear between difference quotients, and beyond the outer ones."""
        nodes = (self.edges[1:] + self.edges[:-1]) / 2.0
        slopes = np.diff(action_value, axis=1) / np.diff(nodes)
        out = np.empty_like(actions)
        launch(_interpolated, _SEARCH * actions.size, (nodes[1:] + nodes[:-1]) / 2.0, slopes, actions, out)
        return out
