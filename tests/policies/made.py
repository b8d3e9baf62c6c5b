"""Random MDPs with what breaks policy methods: ties, unequal weights, sparse rows, single actions, unreachable states; NumPy twins."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from scipy import sparse

from wflow.mdp import MDP
from wflow.spaces import Space


@st.composite
def mdps(draw, temperature=None, weights=None, span=1.0, initial=None):
    """An MDP with rewards in [0, span]; `temperature` and `weights` ("equal", "unequal", "counting") drawn unless given."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_s, n_a = draw(st.integers(1, 6)), draw(st.integers(1, 5))
    reward = span * rng.random((n_s, n_a))
    if draw(st.booleans()):
        reward = span * np.round(2.0 * reward / span) / 2.0  # ties
    kind = draw(st.sampled_from(["dense", "sparse", "deterministic"]))
    P = rng.dirichlet(np.ones(n_s), (n_s, n_a))
    if kind == "deterministic":
        P = np.eye(n_s)[rng.integers(0, n_s, (n_s, n_a))]
    given = sparse.csr_array(P.reshape(n_s * n_a, n_s)) if kind == "sparse" else P
    tau = draw(st.sampled_from([0.02, 0.1, 0.5, 2.0])) if temperature is None else temperature
    weighting = draw(st.sampled_from(["counting", "equal", "unequal"])) if weights is None else weights
    w = {"counting": np.ones(n_a), "equal": np.full(n_a, 1.0 / n_a), "unequal": rng.uniform(0.1, 2.0, n_a)}[weighting]
    law = initial or draw(st.sampled_from(["uniform", "random", "point"]))
    rho = {"uniform": np.full(n_s, 1.0 / n_s), "random": rng.dirichlet(np.ones(n_s)), "point": np.eye(n_s)[0]}[law]
    return MDP(
        reward=reward,
        transition=given,
        discount=draw(st.sampled_from([0.0, 0.3, 0.9, 0.97])),
        temperature=tau,
        initial=rho / rho.sum(),
        actions=Space.finite(n_a, w),
    )


def random_log_policy(mdp, seed, spread=1.0):
    """A normalised log density (n_s, n_a)."""
    return log_softmax(spread * np.random.default_rng(seed).standard_normal(mdp.reward.shape), mdp.actions.weights)


def log_softmax(energy, weights):
    top = energy.max(axis=1, keepdims=True)
    return energy - top - np.log(np.exp(energy - top) @ weights)[:, None]


def plain_value(mdp, policy, law=None, regulariser=None):
    """V(ρ0), or V(law), of a density (n_s, n_a), real or complex, by loops and one solve; h Shannon's unless given."""
    w, P = mdp.actions.weights, mdp.transition.to_dense()
    n_s, n_a = mdp.reward.shape
    chain, reward = np.zeros((n_s, n_s), dtype=policy.dtype), np.zeros(n_s, dtype=policy.dtype)
    for i in range(n_s):
        for j in range(n_a):
            chain[i] += w[j] * policy[i, j] * P[i, j]
            entropy = np.log(policy[i, j]) * policy[i, j] if regulariser is None else regulariser(policy[i, j])
            reward[i] += w[j] * (policy[i, j] * mdp.reward[i, j] - (mdp.temperature * entropy if mdp.temperature > 0.0 else 0.0))
    V = np.linalg.solve(np.eye(n_s) - mdp.discount * chain, reward)
    return (mdp.initial if law is None else law) @ V


def scale(mdp):
    """A bound on |V|, at least 1: rounding is measured against it."""
    w = mdp.actions.weights
    entropy = mdp.temperature * (np.abs(np.log(w)).max() + abs(np.log(w.sum())) + 1.0)
    return max(1.0, (np.abs(mdp.reward).max() + entropy) / (1.0 - mdp.discount))


def violations(run, mdp):
    """Iterates at which the bound is below what it bounds by more than rounding (1e-12 of the largest value)."""
    excess = run.bounded - run.bound
    return np.flatnonzero(excess > 1e-12 * scale(mdp))  # NaN, no bound, is no violation
