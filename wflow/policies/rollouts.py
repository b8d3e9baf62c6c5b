"""Sampled trajectories of a policy, and what truncating them does (math.md §10)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from wflow import _checks
from wflow._checks import Array
from wflow._jit import njit
from wflow.mdp import MDP, SparseTransition, StructuredTransition

__all__ = ["Rollouts", "Sampler", "horizon_for", "tail_mass"]

Integers: TypeAlias = npt.NDArray[np.intp]
_BELOW_ONE = 1.0 - 2.0**-53


@dataclass(frozen=True, eq=False)
class Rollouts:
    """Trajectories of equal length, as drawn by `Sampler.draw`.

    Attributes
    ----------
    states, actions : ndarray of int, shape (n_trajectories, horizon)
        Indices.
    rewards : ndarray, shape (n_trajectories, horizon)
        Regularised rewards ``r − τ log π`` along the way.
    shape : tuple of int
        (n_s, n_a) of the MDP.
    discount : float
    """

    states: Integers
    actions: Integers
    rewards: Array
    shape: tuple[int, int]
    discount: float

    def rewards_to_go(self) -> Array:
        """``G_t = sum_{k=t}^{H−1} γ^{k−t} rewards_k``, shape (n_trajectories, horizon); O(n_trajectories · horizon)."""
        returns = self.rewards.copy()
        for t in range(returns.shape[1] - 2, -1, -1):
            returns[:, t] += self.discount * returns[:, t + 1]
        return returns

    def pair_sums(self, baseline: Array | None = None) -> tuple[Array, Array]:
        """Discounted visits of every pair, and what was earned from there on, averaged over the trajectories.

        Both ``sum_t γ^t 1{(s_t, a_t) = (i, j)}`` and the same sum weighted by ``G_t − baseline(s_t)``. These are all that the
        estimators of this room need: the first tends to ϱ_i p_ij, the second to ϱ_i p_ij (Q̃_ij − baseline_i), Q̃ = Q − τ log π,
        up to truncation. O(n_trajectories · horizon + n_s n_a).

        Parameters
        ----------
        baseline : ndarray, shape (n_s,), optional
            Any function of the state that does not depend on these trajectories; zero if not given.

        Returns
        -------
        visits, earned : ndarray, shape (n_s, n_a)
        """
        n_s, n_a = self.shape
        offset = np.zeros(n_s) if baseline is None else _checks.array("baseline", baseline, (n_s,))
        visits, earned = _pair_sums(self.states, self.actions, self.rewards_to_go(), offset, self.discount, n_a)
        return visits / len(self.states), earned / len(self.states)


class Sampler:
    """Draws trajectories of an MDP: the transition's rows are accumulated once, for inversion by bisection.

    Memory: that of the stored transition entries again (a transition class of a user is made dense first).

    Parameters
    ----------
    mdp : MDP
    """

    def __init__(self, mdp: MDP) -> None:
        self.mdp = _checks.instance("mdp", mdp, MDP, "a wflow.mdp.MDP")
        self._initial = _cumulative(mdp.initial, np.array([0, mdp.n_states], dtype=np.intp))
        self._rows, self._next, self._starts, self._law, self._mixing = _tables(mdp)

    def draw(self, log_policy: Array, n_trajectories: int, horizon: int, rng: np.random.Generator) -> Rollouts:
        """Independent trajectories of `horizon` steps from the initial law.

        One block of uniforms ``rng.random((n_trajectories, horizon, 2))`` (next action, next state) after ``rng.random(n_trajectories)``
        (first states), so the same generator gives the same trajectories on any number of threads.
        O(n_trajectories · horizon · log(n_s n_a)) time, 40 bytes per step of memory.

        Parameters
        ----------
        log_policy : ndarray, shape (n_s, n_a)
            Log density with respect to the action weights.
        n_trajectories, horizon : int
            At least 1.
        rng : numpy.random.Generator

        Raises
        ------
        ValueError, TypeError
            If an argument is not as above.
        """
        shape = self.mdp.reward.shape
        log_policy = _checks.array("log_policy", log_policy, shape, finite=False)
        n_trajectories = _checks.integer("n_trajectories", n_trajectories, at_least=1)
        horizon = _checks.integer("horizon", horizon, at_least=1)
        _checks.memory("n_trajectories", n_trajectories, 40 * n_trajectories * horizon)
        p = self.mdp.actions.weights * np.exp(log_policy)
        policy = _cumulative(p.ravel(), np.arange(0, p.size + 1, p.shape[1], dtype=np.intp))
        first, uniforms = rng.random(n_trajectories), rng.random((n_trajectories, horizon, 2))
        states, actions = _walk(self._initial, policy, self._rows, self._next, self._starts, self._law, self._mixing, first, uniforms)
        regularised = self.mdp.reward
        if self.mdp.temperature > 0.0:  # an action without mass is never drawn
            regularised = regularised - self.mdp.temperature * np.where(p > 0.0, log_policy, 0.0)
        return Rollouts(states, actions, regularised[states, actions], (shape[0], shape[1]), self.mdp.discount)


def tail_mass(discount: float, horizon: int) -> float:
    """``sum_{k ≥ H} (k + 1) γ^k = γ^H (1 + H (1 − γ)) / (1 − γ)²``, H the horizon: what truncation can cost a gradient.

    Cutting trajectories after H steps changes the expected gradient by ``E sum_{k≥H} γ^k r_k sum_{t≤k} ∇ log π(a_t|s_t)``, in norm at
    most this mass times the largest score norm times half the spread of the regularised reward (a constant reward has no
    gradient).
    """
    return discount**horizon * (1.0 + horizon * (1.0 - discount)) / (1.0 - discount) ** 2


def horizon_for(discount: float, tolerance: float = 1e-3) -> int:
    """Least number of steps H ≥ 1 with ``γ^H ≤ tolerance``: the discounted mass that is left out, relative to all of it."""
    return 1 if discount == 0.0 else max(1, math.ceil(math.log(tolerance) / math.log(discount)))


def _tables(mdp: MDP) -> tuple[Array, Integers, Integers, Array, float]:
    """Cumulative rows of P in CSR form, their columns and starts, the cumulative common law and its share.

    ``P(· | s_i, a_j) = (1 − mixing) row_ij + mixing law`` with one entry a row for a structured transition, mixing = 0 otherwise.
    """
    from scipy import sparse

    transition = mdp.transition
    n_s, n_a, _ = transition.shape
    if isinstance(transition, StructuredTransition):
        law = _cumulative(transition.law, np.array([0, n_s], dtype=np.intp))
        starts = np.arange(n_s * n_a + 1, dtype=np.intp)
        return np.ones(n_s * n_a), transition.target.ravel(), starts, law, transition.mixing
    rows = transition.matrix if isinstance(transition, SparseTransition) else sparse.csr_array(transition.to_dense().reshape(-1, n_s))
    starts = rows.indptr.astype(np.intp)
    return _cumulative(np.asarray(rows.data, dtype=np.float64), starts), rows.indices.astype(np.intp), starts, np.ones(n_s), 0.0


@njit()
def _cumulative(masses: Array, starts: Integers) -> Array:  # (entries,), (rows + 1,) -> (entries,)
    """Running sums within each row, divided by the row's total, so that the last entry with mass is exactly 1."""
    sums = np.empty_like(masses)
    for row in range(len(starts) - 1):
        total = 0.0
        for entry in range(starts[row], starts[row + 1]):
            total += masses[entry]
            sums[entry] = total
        for entry in range(starts[row], starts[row + 1]):
            sums[entry] /= total
    return sums


@njit()
def _first_above(sums: Array, low: int, high: int, u: float) -> int:
    """Least entry in low..high−1 whose running sum exceeds u; entries without mass are never it."""
    while low < high:
        middle = (low + high) // 2
        if sums[middle] > u:
            high = middle
        else:
            low = middle + 1
    return low


@njit()
def _walk(
    initial: Array, policy: Array, rows: Array, columns: Integers, starts: Integers, law: Array, mixing: float, first: Array,
    uniforms: Array,
) -> tuple[Integers, Integers]:  # fmt: skip
    # (n_s,), (n_s n_a,), (entries,) x 2, (n_s n_a + 1,), (n_s,), (), (n,), (n, H, 2) -> (n, H) x 2
    n, horizon, _ = uniforms.shape
    n_s = len(initial)
    n_a = len(policy) // n_s
    states = np.empty((n, horizon), dtype=np.intp)
    actions = np.empty((n, horizon), dtype=np.intp)
    for walk in range(n):
        i = _first_above(initial, 0, n_s, first[walk])
        for t in range(horizon):
            pair = _first_above(policy, i * n_a, (i + 1) * n_a, uniforms[walk, t, 0])
            states[walk, t] = i
            actions[walk, t] = pair - i * n_a
            u = uniforms[walk, t, 1]
            if u < mixing:  # one uniform serves both the coin and the draw; either quotient may round up to 1
                i = _first_above(law, 0, n_s, min(u / mixing, _BELOW_ONE))
            else:
                i = columns[_first_above(rows, starts[pair], starts[pair + 1], min((u - mixing) / (1.0 - mixing), _BELOW_ONE))]
    return states, actions


@njit()
def _pair_sums(
    states: Integers, actions: Integers, returns: Array, baseline: Array, discount: float, n_a: int
) -> tuple[Array, Array]:  # (n, H) x 3, (n_s,), (), () -> (n_s, n_a) x 2
    visits = np.zeros((len(baseline), n_a))
    earned = np.zeros((len(baseline), n_a))
    for walk in range(len(states)):
        weight = 1.0
        for t in range(states.shape[1]):
            i = states[walk, t]
            j = actions[walk, t]
            visits[i, j] += weight
            earned[i, j] += weight * (returns[walk, t] - baseline[i])
            weight *= discount
    return visits, earned
