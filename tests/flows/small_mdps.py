"""Small random MDPs for flows of policies, and the equations of Zorba, Šiška & Szpruch (2026) in costs, by loops and series."""

from __future__ import annotations

import numpy as np

from wflow.mdp import MDP
from wflow.spaces import Space


def random_mdp(seed, n_s=3, n_a=3, discount=0.8, temperature=0.5, kind="plain"):
    """Unequal action weights; "ties": rewards with ties, two actions alike; "point mass": an initial law on one state."""
    rng = np.random.default_rng(seed)
    reward = rng.standard_normal((n_s, n_a))
    transition = rng.dirichlet(np.full(n_s, 0.5), (n_s, n_a))
    if kind == "ties":
        reward = np.round(reward)
        reward[:, 1], transition[:, 1] = reward[:, 0], transition[:, 0]
    initial = rng.dirichlet(np.ones(n_s)) if kind != "point mass" else np.eye(n_s)[0]
    actions = Space.finite(n_a, rng.uniform(0.1, 2.0, n_a))
    return MDP(reward=reward, transition=transition, discount=discount, temperature=temperature, initial=initial, actions=actions)


def linear_mdp(seed, n_s=4, n_a=3, d=3, discount=0.8):
    """Rows φ_ij of a simplex mix d rewards and d laws: all Q^π lie in the span of φ although d < n_s n_a."""
    rng = np.random.default_rng(seed)
    features = rng.dirichlet(np.ones(d), n_s * n_a)
    problem = MDP(reward=(features @ rng.standard_normal(d)).reshape(n_s, n_a), discount=discount, temperature=0.4,
                  transition=(features @ rng.dirichlet(np.ones(n_s), d)).reshape(n_s, n_a, n_s))  # fmt: skip
    return problem, features


def normalised(energy, weights):
    top = energy.max(axis=1, keepdims=True)
    return energy - top - np.log(np.exp(energy - top) @ weights)[:, None]


def random_policy(problem, seed, spread=1.0):
    return normalised(spread * np.random.default_rng(seed).standard_normal(problem.reward.shape), problem.actions.weights)


def random_law(problem, seed):
    return np.random.default_rng(seed).dirichlet(np.ones(problem.reward.size)).reshape(problem.reward.shape)


def random_features(problem, d, seed):
    rows = np.random.default_rng(seed).standard_normal((problem.reward.size, d))
    return rows / np.sqrt(np.square(rows).sum(axis=1).max())


def scale_of(problem):
    return max(1.0, (np.abs(problem.reward).max() + 5.0 * problem.temperature) / (1.0 - problem.discount))


def discounted_law(problem, policy, beta):
    """``(1 − γ) sum_n γ^n`` of the laws of (s_n, a_n), (s_0, a_0) from β, by its series."""
    P, gamma, weighted = problem.transition.to_dense(), problem.discount, policy * problem.actions.weights
    law, total, factor = beta.copy(), np.zeros_like(beta), 1.0 - problem.discount
    while factor > 1e-18:
        total += factor * law
        law = np.einsum("ij,ijk->k", law, P)[:, None] * weighted
        factor *= gamma
    return total


def paper_field(problem, features, beta, theta, log_policy):
    """−g and −A of the paper: costs c = −r, θ of the cost's critic, T_π with τ KL(π|w)."""
    cost, tau, gamma, weights = -problem.reward, problem.temperature, problem.discount, problem.actions.weights
    n_s, n_a = cost.shape
    P, policy = problem.transition.to_dense(), np.exp(log_policy)
    Q = (features @ theta).reshape(n_s, n_a)
    law = discounted_law(problem, policy, beta)
    g = np.zeros(len(theta))
    A = np.zeros((n_s, n_a))
    for i in range(n_s):
        V_theta = sum(weights[j] * policy[i, j] * (Q[i, j] + tau * log_policy[i, j]) for j in range(n_a))
        for j in range(n_a):
            backed_up = cost[i, j]
            for k in range(n_s):
                for b in range(n_a):
                    backed_up += gamma * P[i, j, k] * weights[b] * policy[k, b] * (Q[k, b] + tau * log_policy[k, b])
            g += law[i, j] * (Q[i, j] - backed_up) * features[i * n_a + j]
            A[i, j] = Q[i, j] + tau * log_policy[i, j] - V_theta
    return -g, -A
