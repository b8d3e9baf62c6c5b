"""Small problems that show what policy methods can and cannot do (math.md §10)."""

from __future__ import annotations

import numpy as np

from wflow import _checks
from wflow.mdp.model import MDP
from wflow.mdp.transitions import StructuredTransition

__all__ = ["chain", "three_armed_bandit", "tree"]


def three_armed_bandit(temperature: float = 0.0) -> MDP:
    """One state, three arms with rewards 1, 0.9 and 0.1, counting weights."""
    return MDP(reward=[[1.0, 0.9, 0.1]], transition=None, discount=0.0, temperature=temperature)


def tree(reward: float = 1.0, *, discount: float = 0.5, temperature: float = 0.0) -> MDP:
    """Two decisions in a row: ``V(s1) = π(a2 | s1) π(a2 | s2) · reward``, not concave in softmax parameters.

    States s1, s2 and an absorbing end without reward. In s1, a1 ends and a2 leads to s2; in s2 both actions end and a2 pays
    ``reward / γ``, so that the discount of its one step cancels. The walk starts in s1.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of its range; `discount` lies strictly between 0 and 1.
    """
    reward = _checks.real("reward", reward)
    discount = _checks.real("discount", discount, above=0.0, below=1.0)
    return MDP(
        reward=[[0.0, 0.0], [0.0, reward / discount], [0.0, 0.0]],
        transition=StructuredTransition(np.array([[2, 1], [2, 2], [2, 2]]), np.full(3, 1.0 / 3.0)),
        discount=discount,
        temperature=temperature,
        initial=[1.0, 0.0, 0.0],
    )


def chain(H: int, *, n_actions: int = 4, temperature: float = 0.0) -> MDP:
    """Chain of H + 2 states with vanishing gradients at poor policies; γ = H/(H + 1).

    s_0 leads to s_1 whatever is done. In s_1..s_H the first action moves right, every other moves left. s_{H+1} is absorbing and
    pays 1 a step; nothing else pays. The walk starts in s_0, so ``V*(s_0) = (H + 1) γ^{H+1}``.

    Raises
    ------
    ValueError, TypeError
        If H < 1 or n_actions < 2.
    """
    H = _checks.integer("H", H, at_least=1)
    n_actions = _checks.integer("n_actions", n_actions, at_least=2)
    _checks.memory("H", H, 16 * (H + 2) ** 2)  # a policy matrix and its factors
    _checks.memory("n_actions", n_actions, 32 * (H + 2) * n_actions)
    position = np.arange(H + 2)
    target = np.repeat(position[:, None] - 1, n_actions, axis=1)
    target[:, 0] = position + 1
    target[0], target[-1] = 1, H + 1
    reward = np.zeros((H + 2, n_actions))
    reward[-1] = 1.0
    return MDP(
        reward=reward,
        transition=StructuredTransition(target, np.full(H + 2, 1.0 / (H + 2))),
        discount=H / (H + 1),
        temperature=temperature,
        initial=np.eye(H + 2)[0],
    )
