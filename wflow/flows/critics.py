"""Linear critics ``Q_θ = <θ, φ>`` and the features they are made of (math.md §9; Zorba, Šiška & Szpruch 2026)."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
import numpy.typing as npt

from wflow import _checks
from wflow._checks import Array
from wflow.flows._relaxation import LinearSystem
from wflow.mdp import MDP
from wflow.mdp.resolvent import solve_resolvent

__all__ = ["LinearCritic", "fourier_features", "polynomial_features", "tabular_features"]

_ROUNDING = 1e-10  # relative distance of a function to the span of the features that counts as none
_EXCITED = 1e-13  # λ_β above it counts as positive: the rounding of sums of products of numbers below 1


class LinearCritic:
    """``Q_θ(s_i, a_j) = <θ, φ_ij>``, its temporal-difference semi-gradient, and what the assumptions of the theorems say of it.

    Rewards and entropy bonus in place of the paper's costs and KL(π|μ): ``Q → −Q``, ``θ → −θ``, all else alike.

    Parameters
    ----------
    mdp : MDP
    features : ndarray, shape (n_s n_a, d)
        Row i n_a + j holds φ_ij.
    beta : ndarray, shape (n_s, n_a), optional
        Law on states and actions (masses, sum 1); the normalised weights of both spaces, ``w_S/|S| ⊗ w/|A|``, if not given.

    Attributes
    ----------
    lambda_beta : float
        ``λ_min(sum_ij β_ij φ_ij φ_ijᵀ)``.
    contraction : float
        ``Γ = λ_β (1 − γ)(1 − √γ)``: ``<θ, M θ> ≥ Γ |θ|²`` if M is the matrix of any policy's semi-gradient.
    bounded : bool
        Whether |φ| ≤ 1 (assumption A1).
    excited : bool
        Whether λ_β > 0 (A2).
    complete : bool
        Whether the features realise Q^π of every policy (A3 for good), by r and one v drawn at random, which decides, up to rounding, for
        all v with probability one.

    Raises
    ------
    ValueError, TypeError
        If a shape does not fit, a number is not finite, or `beta` is no law.

    Notes
    -----
    A semi-gradient costs one LU factorisation, O(n_s³), one expectation of the transition and O(n_s n_a d). A system (M, v) costs d
    expectations and O(n_s n_a d²); memory O(n_s n_a d).
    """

    def __init__(self, mdp: MDP, features: npt.ArrayLike, beta: npt.ArrayLike | None = None) -> None:
        self.mdp = _checks.instance("mdp", mdp, MDP, "a wflow.mdp.MDP")
        n_s, n_a = mdp.reward.shape
        self.features = _checks.array("features", features, (n_s * n_a, None))
        self.size = self.features.shape[1]
        if not 0 < self.size <= n_s * n_a:
            raise ValueError(f"features must have from 1 to n_s n_a = {n_s * n_a} columns; got {self.size}")
        if beta is None:
            beta = np.outer(mdp.states.weights / mdp.states.total, mdp.actions.weights / mdp.actions.total)
        self.beta = _checks.array("beta", beta, (n_s, n_a))
        _checks.probability("beta", self.beta.ravel())
        # the law of the state that follows β
        self._next_law = np.asarray(mdp.transition.policy_matrix(self.beta).sum(axis=0)).ravel()
        second_moment = self.features.T @ (self.beta.reshape(-1, 1) * self.features)
        self.lambda_beta = max(0.0, float(np.linalg.eigvalsh(second_moment)[0]))
        self.contraction = self.lambda_beta * (1.0 - mdp.discount) * (1.0 - math.sqrt(mdp.discount))
        self.bounded = bool(np.square(self.features).sum(axis=1).max() <= 1.0 + 1e-12)
        self.excited = self.lambda_beta > _EXCITED

    @cached_property
    def complete(self) -> bool:
        """Whether r and all ``sum_k P_ijk v_k`` lie in the span of the features, and with them Q^π of every policy."""
        direction = np.random.default_rng(0).standard_normal(self.mdp.n_states)
        return self.realises(self.mdp.reward) and self.realises(self.mdp.transition.expect(direction))

    @cached_property
    def _basis(self) -> Array:
        """Orthonormal columns that span the features (n_s n_a, rank)."""
        left, sizes, _ = np.linalg.svd(self.features, full_matrices=False)
        return np.ascontiguousarray(left[:, sizes > _EXCITED * sizes[0]], dtype=np.float64)

    def distance(self, values: Array) -> float:
        """sup norm of what the best fit, by least squares, leaves of values (n_s, n_a)."""
        flat = values.ravel()
        return float(np.abs(flat - self._basis @ (self._basis.T @ flat)).max())

    def realises(self, values: Array) -> bool:
        """Whether values (n_s, n_a) are ``<θ, φ>`` for a θ, up to rounding."""
        return self.distance(values) <= _ROUNDING * max(float(np.abs(values).max()), np.finfo(float).tiny)

    def values(self, parameters: Array) -> Array:
        """Q_θ (n_s, n_a)."""
        values: Array = (self.features @ parameters).reshape(self.mdp.reward.shape)
        return values

    def law(self, weighted_policy: Array) -> Array:
        """``d^π_β`` (n_s, n_a), sum 1, for ``w_j π_ij``: the discounted law of states and actions that begin with β, then follow π."""
        mdp = self.mdp
        _, visits = solve_resolvent(mdp.transition.policy_matrix(weighted_policy), mdp.discount, np.zeros(mdp.n_states), self._next_law)
        return (1.0 - mdp.discount) * (self.beta + mdp.discount * visits[:, None] * weighted_policy)

    def semi_gradient(self, parameters: Array, log_policy: Array) -> Array:
        """``g = sum_ij d^π_β,ij (Q_θ − T_π Q_θ)_ij φ_ij`` (d,), for log π (n_s, n_a)."""
        mdp = self.mdp
        weighted = np.exp(log_policy) * mdp.actions.weights
        action_value = self.values(parameters)
        value = np.einsum("ij,ij->i", weighted, action_value - mdp.temperature * log_policy)
        bellman_error = action_value - mdp.reward - mdp.discount * mdp.transition.expect(value)
        gradient: Array = (self.law(weighted) * bellman_error).ravel() @ self.features
        return gradient

    def system(self, log_policy: Array) -> LinearSystem:
        """M (d, d) and v (d,) of ``g(θ) = M θ − v`` at log π (n_s, n_a)."""
        mdp, (n_s, n_a) = self.mdp, self.mdp.reward.shape
        weighted = np.exp(log_policy) * mdp.actions.weights
        average = np.einsum("ij,ijd->id", weighted, self.features.reshape(n_s, n_a, -1))
        expected = np.stack([mdp.transition.expect(column) for column in np.ascontiguousarray(average.T)], axis=-1)
        neg_entropy = np.einsum("ij,ij->i", weighted, log_policy)
        reward = mdp.reward - mdp.discount * mdp.temperature * mdp.transition.expect(neg_entropy)
        tests = self.law(weighted).reshape(-1, 1) * self.features
        return LinearSystem(tests.T @ (self.features - mdp.discount * expected.reshape(n_s * n_a, -1)), tests.T @ reward.ravel(),
                            self.contraction)  # fmt: skip


def tabular_features(mdp: MDP) -> Array:
    """One feature a state and action, the unit vectors (n_s n_a, n_s n_a); |φ| = 1."""
    size = _checks.instance("mdp", mdp, MDP, "a wflow.mdp.MDP").reward.size
    _checks.memory("mdp", mdp, 24.0 * size * size)
    return np.eye(size)


def polynomial_features(mdp: MDP, degree: int) -> Array:
    """Products of Legendre polynomials up to `degree` in each coordinate of (s, a), on the nodes' bounding box; |φ| ≤ 1.

    Shape (n_s n_a, d), ``d = (degree + 1)^(d_S + d_A)``, the last coordinate fastest; divided by √d, as each product lies in [−1, 1].
    A coordinate that does not vary adds no factor.
    """
    degree = _checks.integer("degree", degree, at_least=0)
    points = _points(mdp)
    low, high = points.min(axis=0), points.max(axis=0)
    varying = high > low
    size = float(degree + 1) ** int(varying.sum())
    _checks.memory("degree", degree, 24.0 * size * len(points))
    scaled = (2.0 * points - low - high)[:, varying] / (high - low)[varying]
    tables = [np.polynomial.legendre.legvander(column, degree) for column in scaled.T]
    features = np.full((len(points), 1), 1.0 / math.sqrt(size))
    for table in tables:
        features = (features[:, :, None] * table[:, None, :]).reshape(len(points), -1)
    return features


def fourier_features(mdp: MDP, n_features: int, *, width: float = 1.0, seed: int = 0) -> Array:
    """``cos(k_n·(s, a) + b_n)/√d`` with k_n normal of deviation 1/width, b_n uniform (Rahimi & Recht 2007); |φ| ≤ 1.

    Shape (n_s n_a, n_features); inner products approximate half the Gaussian kernel ``exp(−|x − x'|²/(2 width²))``. Drawn from
    ``numpy.random.default_rng(seed)``: all k, then all b.
    """
    n_features = _checks.integer("n_features", n_features, at_least=1)
    width = _checks.real("width", width, above=0.0)
    rng = np.random.default_rng(_checks.integer("seed", seed, at_least=0))
    points = _points(mdp)
    _checks.memory("n_features", n_features, 24.0 * n_features * len(points))
    directions = rng.standard_normal((points.shape[1], n_features)) / width
    features: Array = np.cos(points @ directions + rng.uniform(0.0, 2.0 * np.pi, n_features)) / np.sqrt(n_features)
    return features


def _points(mdp: MDP) -> Array:
    """Coordinates (n_s n_a, d_S + d_A) of all (s, a), the action fastest; ValueError where there are none."""
    states, actions = _checks.instance("mdp", mdp, MDP, "a wflow.mdp.MDP").states, mdp.actions
    if states.dimension + actions.dimension == 0:
        raise ValueError(f"mdp must have coordinates of states or actions for these features; got {mdp!r}")
    return np.hstack([np.repeat(states.nodes, actions.size, axis=0), np.tile(actions.nodes, (states.size, 1))])
