"""Random MDPs for the methods with features: unequal weights, ties, sparse and structured transitions, some states out of reach."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from wflow.mdp import MDP, StructuredTransition
from wflow.spaces import Space

KINDS = ("dense", "sparse", "structured")


def random_mdp(seed, kind="dense", *, n_s=4, n_a=3, discount=0.8, temperature=0.0, ties=False, unreachable=False, counting=False):
    """With `unreachable` the last state is entered from nowhere and has no initial mass."""
    rng = np.random.default_rng(seed)
    reward = rng.random((n_s, n_a))
    if ties:
        reward = np.round(2.0 * reward) / 2.0
    law = rng.dirichlet(np.ones(n_s))
    if unreachable:
        law[-1] = 0.0
        law /= law.sum()
    if kind == "structured":
        transition = StructuredTransition(rng.integers(0, n_s - unreachable, (n_s, n_a)), law, 0.3)
    else:
        array = rng.random((n_s, n_a, n_s)) * (rng.random((n_s, n_a, n_s)) < 0.5)
        array[..., 0] += 1e-2
        if unreachable:
            array[..., -1] = 0.0
        array /= array.sum(axis=2, keepdims=True)
        transition = sparse.csr_array(array.reshape(n_s * n_a, n_s)) if kind == "sparse" else array
    actions = Space.finite(n_a) if counting else Space.finite(n_a, rng.uniform(0.2, 2.0, n_a))
    return MDP(reward=reward, transition=transition, discount=discount, temperature=temperature, initial=law, actions=actions)


def random_policy(mdp, seed, spread=1.0):
    energy = spread * np.random.default_rng(seed).standard_normal(mdp.reward.shape)
    return energy - np.log(np.exp(energy) @ mdp.actions.weights)[:, None]


def scores_by_loops(array, p):
    """∇_θ log π_ij = φ_ij − sum_k p_ik φ_ik."""
    scores = np.empty_like(array)
    for i in range(len(p)):
        mean = sum(p[i, k] * array[i, k] for k in range(p.shape[1]))
        for j in range(p.shape[1]):
            scores[i, j] = array[i, j] - mean
    return scores


def value_by_solve(mdp, log_policy):
    """E by the Bellman equation in plain NumPy; complex policies too."""
    p = mdp.actions.weights * np.exp(log_policy)
    P = np.einsum("ij,ijk->ik", p, mdp.transition.to_dense())
    r = (p * (mdp.reward - mdp.temperature * log_policy)).sum(axis=1)
    return mdp.initial @ np.linalg.solve(np.eye(len(r)) - mdp.discount * P, r)
