"""Tabular problems: random Garnets and grid worlds, with sparse transitions and counting action weights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from scipy import sparse

from wflow import _checks
from wflow.mdp.model import MDP
from wflow.mdp.transitions import SparseTransition
from wflow.spaces import Space

__all__ = ["garnet", "gridworld"]

_MOVES = np.array([[-1, 0], [0, 1], [1, 0], [0, -1]])  # up, right, down, left: neighbours in this list are at right angles


def garnet(n_states: int, n_actions: int, branching: int, *, seed: int = 0, discount: float = 0.9, temperature: float = 0.1) -> MDP:
    """Random MDP of the Garnet family (Archibald, McKinnon & Thomas 1995).

    Each (state, action) leads to `branching` distinct states drawn without replacement, with the probabilities that
    ``branching − 1`` uniform cuts of [0, 1] leave; rewards are uniform in [0, 1]. Drawn from ``numpy.random.default_rng(seed)``
    in this order: successors state by state and action by action, cuts, rewards.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of its range; `branching` lies in 1..n_states.
    """
    n_states = _checks.integer("n_states", n_states, at_least=1)
    n_actions = _checks.integer("n_actions", n_actions, at_least=1)
    branching = _checks.integer("branching", branching, at_least=1)
    if branching > n_states:
        raise ValueError(f"branching must be at most n_states = {n_states}; got {branching}")
    rng = np.random.default_rng(_checks.integer("seed", seed, at_least=0))
    n_pairs = n_states * n_actions
    _checks.memory("n_states", n_states, 200 * n_states)
    _checks.memory("n_actions", n_actions, 200 * n_pairs)
    _checks.memory("branching", branching, 80 * n_pairs * branching)
    successors = np.stack([rng.choice(n_states, branching, replace=False) for _ in range(n_pairs)])
    cuts = np.sort(rng.random((n_pairs, branching - 1)), axis=1)
    probabilities = np.diff(cuts, axis=1, prepend=0.0, append=1.0)
    return MDP(
        reward=rng.random((n_states, n_actions)),
        transition=_from_successors(successors, probabilities, n_states),
        discount=discount,
        temperature=temperature,
    )


def gridworld(
    n_rows: int = 5,
    n_columns: int = 5,
    *,
    walls: Sequence[tuple[int, int]] = (),
    goal: tuple[int, int] | None = None,
    slip: float = 0.1,
    discount: float = 0.95,
    temperature: float = 0.0,
) -> MDP:
    """Grid of cells with walls and one absorbing goal; states are the free cells, row by row.

    The four actions move up, right, down and left. With probability 1 − slip the move is the one chosen, with slip/2 each one of
    the two at right angles to it; a move into a wall or off the grid stays. Entering the goal pays 1, the goal itself is
    absorbing and pays nothing: ``r(s, a) = P(goal | s, a)`` elsewhere. The first state is uniform over the free cells.

    Parameters
    ----------
    n_rows, n_columns : int
    walls : sequence of (row, column)
    goal : (row, column), optional
        Default: the last cell.
    slip : float
        In [0, 1].
    discount, temperature : float

    Raises
    ------
    ValueError, TypeError
        If a cell lies off the grid, the goal is a wall, or a number is out of its range.
    """
    shape = _checks.integer("n_rows", n_rows, at_least=1), _checks.integer("n_columns", n_columns, at_least=1)
    _checks.memory("n_rows", n_rows, 800 * shape[0])
    _checks.memory("n_columns", n_columns, 800 * shape[0] * shape[1])
    slip = _checks.real("slip", slip, at_least=0.0, at_most=1.0)
    free = np.ones(shape, dtype=bool)
    for wall in _listed(walls):
        free[_cell("walls", wall, shape)] = False
    end = _cell("goal", (shape[0] - 1, shape[1] - 1) if goal is None else goal, shape)
    if not free[end]:
        raise ValueError(f"goal must be a free cell; got the wall {end}")
    cells = np.argwhere(free)
    goal_state = int(np.flatnonzero((cells == end).all(axis=1))[0])
    landing = _landing(free, cells)
    landing[goal_state] = goal_state
    successors = np.stack([landing, np.roll(landing, 1, axis=1), np.roll(landing, -1, axis=1)], axis=-1).reshape(-1, 3)
    probabilities = np.broadcast_to([1.0 - slip, slip / 2.0, slip / 2.0], successors.shape)
    reward = (probabilities * (successors == goal_state)).sum(axis=1).reshape(-1, len(_MOVES))
    reward[goal_state] = 0.0
    return MDP(
        reward=reward,
        transition=_from_successors(successors, probabilities, len(cells)),
        discount=discount,
        temperature=temperature,
        states=Space.finite(cells),
        actions=Space.finite(_MOVES),
    )


def _landing(free: npt.NDArray[np.bool_], cells: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """State reached by each of the four moves without slipping, (n_s, 4); blocked moves stay."""
    state = np.full(free.shape, -1)
    state[free] = np.arange(len(cells))
    moved = np.clip(cells[:, None, :] + _MOVES, 0, np.array(free.shape) - 1)
    reached = state[moved[..., 0], moved[..., 1]]
    return np.where(reached >= 0, reached, np.arange(len(cells))[:, None])


def _cell(name: str, cell: tuple[int, int], shape: tuple[int, int]) -> tuple[int, int]:
    allowed = f"(row, column) on the {shape[0]} x {shape[1]} grid"
    try:
        row, column = (_checks.integer(name, x) for x in cell)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be {allowed}; got {_checks.show(cell)}") from None
    if not (0 <= row < shape[0] and 0 <= column < shape[1]):
        raise ValueError(f"{name} must be {allowed}; got {_checks.show(cell)}")
    return row, column


def _listed(walls: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    try:
        return list(walls)
    except TypeError:
        raise TypeError(f"walls must be a sequence of (row, column); got {_checks.show(walls)}") from None


def _from_successors(successors: npt.NDArray[np.intp], probabilities: npt.NDArray[np.float64], n_states: int) -> SparseTransition:
    """Rows (state, action) with their next states and probabilities, (n_s n_a, branches) each; repeats add up."""
    n_pairs, branches = successors.shape
    rows = np.repeat(np.arange(n_pairs), branches)
    return SparseTransition(sparse.csr_array((probabilities.ravel(), (rows, successors.ravel())), shape=(n_pairs, n_states)))
