"""Gymnasium's tabular environments (FrozenLake, Taxi, CliffWalking) as exact MDPs, from their own transition tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from wflow import _checks
from wflow._checks import Array
from wflow.mdp.model import MDP
from wflow.mdp.transitions import SparseTransition

__all__ = ["from_gymnasium"]

Table = Mapping[int, Mapping[int, Sequence[tuple[float, int, float, bool]]]]


def from_gymnasium(env: Any, *, discount: float = 0.99, temperature: float = 0.0) -> MDP:
    """The MDP of an environment that carries its tables: ``P[s][a] = [(probability, next state, reward, terminated), ...]``.

    Transitions are sparse, action weights counting, the first state has the environment's own law. A state that a transition
    enters with `terminated` set is made absorbing with reward 0, whatever its table says: there the episode is over. Time limits
    of wrappers are no part of the tables and are left out.

    Parameters
    ----------
    env : gymnasium.Env or str
        An environment with ``P`` and ``initial_state_distrib``, as those of ``gymnasium.envs.toy_text`` have, wrapped or not; or
        the registered name of one, which needs Gymnasium: ``pip install 'wflow[gym]'``.
    discount, temperature : float
        γ in [0, 1) and τ ≥ 0; Gymnasium knows neither.

    Raises
    ------
    ModuleNotFoundError
        If `env` is a name and Gymnasium is not installed.
    TypeError, ValueError
        If the environment has no such tables, or they are no MDP: a state that ends the episode when entered on one way and not on
        another cannot be told from the state alone.

    Examples
    --------
    >>> mdp = from_gymnasium("FrozenLake-v1", discount=0.95)
    >>> mdp.n_states, mdp.n_actions
    (16, 4)
    """
    table, initial = _tables(_made(env) if isinstance(env, str) else env)
    n_s, n_a = len(table), len(table[0])
    branches = [(i * n_a + j, *branch) for i in range(n_s) for j in range(n_a) for branch in table[i][j]]
    pair, probability, successor, reward, over = (np.array(column) for column in zip(*branches, strict=True))
    over = over.astype(bool) & (probability > 0.0)
    ends = np.zeros(n_s, dtype=bool)
    ends[successor[over]] = True
    _check_ends(ends, pair // n_a, successor, over, probability, initial)
    lives = ~ends[pair // n_a]
    absorbed = np.flatnonzero(np.repeat(ends, n_a))
    chances = np.concatenate([probability[lives], np.ones(len(absorbed))])
    places = np.concatenate([pair[lives], absorbed]), np.concatenate([successor[lives], absorbed // n_a])
    return MDP(
        reward=np.bincount(pair, np.where(lives, probability * reward, 0.0), n_s * n_a).reshape(n_s, n_a),
        transition=SparseTransition(sparse.csr_array((chances, places), shape=(n_s * n_a, n_s))),
        discount=discount,
        temperature=temperature,
        initial=initial,
    )


def _made(name: str) -> Any:
    try:
        import gymnasium
    except ModuleNotFoundError:
        raise ModuleNotFoundError(f"env = {name!r} needs Gymnasium: pip install 'wflow[gym]'") from None
    try:
        return gymnasium.make(name)
    except gymnasium.error.Error as error:
        raise ValueError(f"env must be an environment or the name of a registered one; got {name!r}: {error}") from None


def _tables(env: Any) -> tuple[Table, Array]:
    inner = getattr(env, "unwrapped", env)
    table, initial = getattr(inner, "P", None), getattr(inner, "initial_state_distrib", None)
    if not isinstance(table, Mapping) or initial is None:
        raise TypeError(f"env must carry its tables P and initial_state_distrib, as Gymnasium's toy_text do; got {_checks.show(env)}")
    n_a = len(table.get(0, ()))
    if n_a == 0 or any(sorted(table.get(i, ())) != list(range(n_a)) for i in range(len(table))):
        raise ValueError(f"env must number its states and the actions of every state from 0 on in P; got {_checks.show(env)}")
    law = _checks.probability("env.initial_state_distrib", initial, (len(table),))
    return table, law / law.sum()


def _check_ends(
    ends: npt.NDArray[np.bool_], source: Any, successor: Any, over: npt.NDArray[np.bool_], probability: Array, initial: Array
) -> None:
    """ValueError if a walk from the initial law can enter an end without the episode being over."""
    alive = (probability > 0.0) & ~over
    seen, frontier = initial > 0.0, initial > 0.0
    while frontier.any():
        reached = np.zeros_like(seen)
        reached[successor[alive & frontier[source]]] = True
        seen, frontier = seen | reached, reached & ~seen
    doubtful = np.flatnonzero(ends & seen)
    if len(doubtful):
        raise ValueError(f"env must end its episodes by state: state {doubtful[0]} is terminal on one way in and not on another")
