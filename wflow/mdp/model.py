"""The entropy-regularised Markov decision process as one checked, frozen object (math.md §2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wflow import _checks
from wflow._checks import Array
from wflow.mdp.transitions import StructuredTransition, Transition, as_transition
from wflow.spaces import Space

__all__ = ["MDP"]


@dataclass(frozen=True, eq=False, init=False, repr=False)
class MDP:
    """A finite MDP, or a continuous one seen through quadrature nodes; the two are the same object.

    Parameters
    ----------
    reward : ndarray, shape (n_s, n_a)
        Expected reward r_ij of action j in state i; finite. Costs are rewards with the sign changed.
    transition : ndarray (n_s, n_a, n_s), SciPy sparse (n_s * n_a, n_s), Transition, or None
        P(s_k | s_i, a_j). None only for a bandit: one state and discount 0.
    discount : float
        γ in [0, 1).
    temperature : float
        τ ≥ 0, the price of one nat of entropy.
    initial : ndarray, shape (n_s,), optional
        Law ρ0 of the first state; uniform if not given.
    states, actions : Space, optional
        Nodes and, for actions, the weights of the reference measure. Default: ``Space.point()`` for a single state, else finite
        sets with counting weights.

    Raises
    ------
    ValueError, TypeError
        Naming the argument that does not fit.
    """

    reward: Array
    transition: Transition
    discount: float
    temperature: float
    initial: Array
    states: Space
    actions: Space

    def __init__(
        self,
        *,
        reward: npt.ArrayLike,
        transition: Any,
        discount: float,
        temperature: float,
        initial: npt.ArrayLike | None = None,
        states: Space | None = None,
        actions: Space | None = None,
    ) -> None:
        rewards = _checks.array("reward", reward, (None, None))
        if rewards.size == 0:
            raise ValueError(f"reward must have at least one state and one action; got shape {rewards.shape}")
        n_s, n_a = rewards.shape
        gamma = _checks.real("discount", discount, at_least=0.0, below=1.0)
        checked = {
            "reward": rewards,
            "transition": _fitting_transition(transition, n_s, n_a, gamma),
            "discount": gamma,
            "temperature": _temperature(temperature),
            "initial": np.full(n_s, 1.0 / n_s) if initial is None else _checks.probability("initial", initial, (n_s,)),
            "states": _fitting_space("states", states, n_s, "row"),
            "actions": _fitting_space("actions", actions, n_a, "column"),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @property
    def n_states(self) -> int:
        """Number of states n_s."""
        return len(self.reward)

    @property
    def n_actions(self) -> int:
        """Number of actions n_a."""
        return self.actions.size

    def __repr__(self) -> str:
        return (
            f"MDP({self.n_states} states, {self.n_actions} actions, discount {self.discount:g}, temperature {self.temperature:g}, "
            f"{type(self.transition).__name__})"
        )


def _temperature(temperature: float) -> float:
    """0 or far enough from it that a reward divided by it stays finite."""
    tau = _checks.real("temperature", temperature, at_least=0.0)
    return tau if tau == 0.0 else _checks.real("temperature", tau, above=0.0)


def _fitting_transition(transition: Any, n_s: int, n_a: int, discount: float) -> Transition:
    if transition is None:
        if n_s > 1 or discount > 0.0:
            raise ValueError(f"transition must be given unless there is one state and discount 0; got {n_s} states, discount {discount:g}")
        return StructuredTransition(np.zeros((1, n_a), dtype=np.intp), np.ones(1))
    kernel = as_transition(transition)
    if tuple(kernel.shape) != (n_s, n_a, n_s):
        raise ValueError(f"transition must have shape {(n_s, n_a, n_s)} to fit reward {(n_s, n_a)}; got {tuple(kernel.shape)}")
    return kernel


def _fitting_space(name: str, space: Space | None, size: int, line: str) -> Space:
    if space is None:
        return Space.point() if name == "states" and size == 1 else Space.finite(size)
    if not isinstance(space, Space):
        raise TypeError(f"{name} must be a wflow.spaces.Space; got {type(space).__name__}")
    if space.size != size:
        raise ValueError(f"{name} must have {size} nodes, one for each {line} of reward; got {space.size}")
    return space
