"""The two experiments of Agazzi & Lu (2021, §5, Figure 1): a ReLU teacher is the optimal action value (math.md §0, §4).

Where the paper is silent the choice is an argument: the teacher averages its neurons (``normalise``) and each has a bias
(``bias``). Nodes are the midpoints (i + ½)/n of [0, 1], action weights 1/n, the first state uniform.
"""

from __future__ import annotations

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow.mdp.evaluation import gibbs_policy
from wflow.mdp.model import MDP
from wflow.mdp.transitions import StructuredTransition
from wflow.spaces import Space

__all__ = ["agazzi_lu_bandit", "agazzi_lu_grid"]


def agazzi_lu_bandit(
    *,
    seed: int = 0,
    n_actions: int = 100,
    temperature: float = 0.2,
    n_teacher: int = 5,
    variance: float = 4.0,
    normalise: bool = True,
    bias: bool = True,
) -> MDP:
    """Figure 1 (a): one state, actions in [0, 1], reward ``r = Q* = τ f_teacher``.

    Parameters
    ----------
    seed : int
        Seeds ``numpy.random.default_rng``; the teacher is one draw ``standard_normal((n_teacher, 3))`` times the standard
        deviation, its rows ``[ω0, k_a, b]``.
    n_actions : int
    temperature : float
        τ > 0.
    n_teacher : int
        Number of ReLU neurons of the teacher.
    variance : float
        Of every teacher weight.
    normalise : bool
        Mean over the neurons; False gives the sum.
    bias : bool
        False sets the drawn biases to zero and leaves the other weights as they are.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of its range.
    """
    temperature = _checks.real("temperature", temperature, above=0.0)
    _, n_actions, n_teacher = _sizes(1, n_actions, n_teacher)
    states, actions = Space.point(), Space.midpoint(n_actions)
    reward = temperature * _teacher(states, actions, seed, n_teacher, variance, normalise, bias)
    return MDP(reward=reward, transition=None, discount=0.0, temperature=temperature, states=states, actions=actions)


def agazzi_lu_grid(
    *,
    seed: int = 0,
    n_states: int = 100,
    n_actions: int = 100,
    discount: float = 0.7,
    mixing: float = 0.1,
    temperature: float = 0.2,
    n_teacher: int = 5,
    variance: float = 4.0,
    normalise: bool = True,
    bias: bool = True,
) -> MDP:
    """Figure 1 (b): states and actions in [0, 1], ``P(s, a, ·) = 0.9 δ(· − a) + 0.1 uniform``, optimum known by construction.

    ``Q* = τ f_teacher``, ``V* = τ log sum_j w_j exp(Q*/τ)`` and the reward by inverting the Bellman equation,
    ``r = Q* − γ P V*``. An action leads to the state node nearest to it (the same node where the two grids agree).

    Parameters
    ----------
    seed : int
        Seeds ``numpy.random.default_rng``; the teacher is one draw ``standard_normal((n_teacher, 4))`` times the standard
        deviation, its rows ``[ω0, k_s, k_a, b]``.
    n_states, n_actions : int
    discount : float
        γ in [0, 1).
    mixing : float
        Chance, in [0, 1], that the next state is uniform instead of the action.
    temperature, n_teacher, variance, normalise, bias
        As in `agazzi_lu_bandit`.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of its range.
    """
    temperature = _checks.real("temperature", temperature, above=0.0)
    discount = _checks.real("discount", discount, at_least=0.0, below=1.0)
    n_states, n_actions, n_teacher = _sizes(n_states, n_actions, n_teacher)
    states, actions = Space.midpoint(n_states), Space.midpoint(n_actions)
    nearest = np.abs(actions.nodes - states.nodes.T).argmin(axis=1)
    transition = StructuredTransition(np.tile(nearest, (states.size, 1)), np.full(states.size, 1.0 / states.size), mixing)
    action_value = temperature * _teacher(states, actions, seed, n_teacher, variance, normalise, bias)
    value, _ = gibbs_policy(action_value, actions.weights, temperature)
    reward = action_value - discount * transition.expect(value)
    return MDP(reward=reward, transition=transition, discount=discount, temperature=temperature, states=states, actions=actions)


def _sizes(n_states: int, n_actions: int, n_teacher: int) -> tuple[int, int, int]:
    n_states = _checks.integer("n_states", n_states, at_least=1)
    n_actions = _checks.integer("n_actions", n_actions, at_least=1)
    n_teacher = _checks.integer("n_teacher", n_teacher, at_least=1)
    _checks.memory("n_states", n_states, 16 * n_states**2)  # a policy matrix and its factors
    _checks.memory("n_actions", n_actions, 32 * n_states * n_actions)
    _checks.memory("n_teacher", n_teacher, 16 * n_states * n_actions * n_teacher)  # every neuron on every node
    return n_states, n_actions, n_teacher


def _teacher(states: Space, actions: Space, seed: int, n_teacher: int, variance: float, normalise: bool, bias: bool) -> Array:
    """f_teacher on all nodes, (n_s, n_a); rows of weights as in math.md §0, ReLU argument ``(k_s·s + b) + k_a·a``."""
    for name, value in (("normalise", normalise), ("bias", bias)):
        _checks.instance(name, value, bool, "True or False")
    deviation = np.sqrt(_checks.real("variance", variance, at_least=0.0))
    rng = np.random.default_rng(_checks.integer("seed", seed, at_least=0))
    weights = deviation * rng.standard_normal((n_teacher, states.dimension + actions.dimension + 2))
    output, k_s, k_a, b = np.split(weights, [1, 1 + states.dimension, 1 + states.dimension + actions.dimension], axis=1)
    offset = states.nodes @ k_s.T + (b[:, 0] if bias else 0.0)
    neurons = np.maximum(offset[:, None, :] + actions.nodes @ k_a.T, 0.0)
    total: Array = neurons @ output[:, 0]
    return total / n_teacher if normalise else total
