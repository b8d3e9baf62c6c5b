"""Problems and fields of one's own for the support study, in a module that its workers can import."""

from __future__ import annotations

from pathlib import Path

import numba
import numpy as np
from toys import studies

from wflow import mdp
from wflow.energies import PolicyValue
from wflow.measures import laws
from wflow.spaces import Space


def bandit(activation="tanh", n_actions=20, seed=97):
    energy = PolicyValue(mdp.agazzi_lu_bandit(n_actions=n_actions, seed=seed), activation)
    return energy, laws.student(energy.n_parameters)


def grid(activation="relu", n=6, seed=0):
    energy = PolicyValue(mdp.agazzi_lu_grid(n_states=n, n_actions=n, seed=seed), activation)
    return energy, laws.student(energy.n_parameters)


def plane(activation="relu", scale=1.0):
    """A bandit whose action has two coordinates, up to `scale`."""
    axis = Space.midpoint(4, 0.0, scale)
    actions = Space.tensor_product(axis, axis)
    reward = -np.square(actions.nodes - 0.4 * scale).sum(axis=1)[None]
    energy = PolicyValue(mdp.MDP(reward=reward, transition=None, discount=0.0, temperature=0.2, actions=actions), activation)
    return energy, laws.student(energy.n_parameters)


def fragile(flag):
    energy, law = bandit()
    return Fragile(energy.mdp, flag), law


class Fragile(PolicyValue):
    """Its residuals, which end a run with diagnostics, fail as long as there is a file: not the surface."""

    def __init__(self, problem, flag):
        super().__init__(problem, "tanh")
        self.flag = Path(flag)

    def lipschitz(self, signal):
        if self.flag.exists():
            raise OSError("the disk is gone")
        return super().lipschitz(signal)


class Half(PolicyValue):
    """Has no Θ."""

    @property
    def domain(self):
        raise AttributeError("domain")


def half():
    energy, law = bandit()
    return Half(energy.mdp, "tanh"), law


class Field:
    """Tracers with a velocity v(points (K, m), signal) (K, m) that is given."""

    def __init__(self, velocity):
        self.velocity = velocity

    def field(self, points, signal):
        return self.velocity(points, signal)


def inner(velocity):
    """ω̄ moves with v(ω̄, signal), ω0 rests."""
    return Field(lambda points, signal: np.column_stack([np.zeros(len(points)), velocity(points[:, 1:], signal)]))


def anywhere(seed=0, activation="relu", d_s=1, reach=1.0, gamma=None, action_value=None):
    """A random MDP: nodes in [−reach, reach] with one of them in each corner, random weights, transitions, discount and rewards.

    Where Q* (n_s, n_a) is given the rewards are those that make it optimal.
    """
    rng = np.random.default_rng(seed)
    n_s, n_a = (4 if d_s else 1, 9) if action_value is None else action_value.shape
    nodes = np.sort(np.concatenate([[-reach, reach], rng.uniform(-reach, reach, n_a - 2)]))
    actions = Space(nodes[:, None], rng.uniform(0.5, 1.5, n_a) / n_a)
    states = Space(np.vstack([np.full(d_s, reach), rng.uniform(-reach, reach, (n_s - 1, d_s))]), np.full(n_s, 1.0 / n_s)) if d_s else None
    transition = rng.dirichlet(np.ones(n_s), (n_s, n_a)) if d_s else None
    discount = (rng.uniform(0.0, 0.9) if gamma is None else gamma) if d_s else 0.0
    tau = rng.uniform(0.1, 1.0)
    reward = rng.standard_normal((n_s, n_a))
    if action_value is not None:
        value = tau * np.log(np.exp(action_value / tau) @ actions.weights)
        reward = action_value - (discount * transition @ value if d_s else 0.0)
    problem = mdp.MDP(reward=reward, transition=transition, discount=discount, temperature=tau,
                      initial=rng.dirichlet(np.ones(n_s)), states=states, actions=actions)  # fmt: skip
    energy = PolicyValue(problem, activation)
    return energy, laws.student(energy.n_parameters)


def wave():
    """An energy that is not of the ψ = ω0 φ form."""
    return studies.wave()


@numba.njit
def _sine(x):
    return np.sin(x)


@numba.njit
def _cosine(x):
    return np.cos(x)


def own_activation():
    energy = PolicyValue(mdp.agazzi_lu_bandit(n_actions=20, seed=97), (_sine, _cosine))
    return energy, laws.student(energy.n_parameters)
