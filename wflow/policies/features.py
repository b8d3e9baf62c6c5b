"""Log-linear policies: features of (state, action) and the linear algebra that the methods do with them (math.md §10).

A policy moves inside ``log π_θ = log π_0 + <θ, φ> + const(s)``, so one step of a method is a direction Δ in parameters and
``log π ← log π + <Δ, φ>``, normalised. Its score is ``∇_θ log π = φ − E_{p(·|s)} φ``, p = w π. Tabular features, the unit vectors
of all pairs, give every policy; their algebra is done without ever forming them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wflow import _checks
from wflow._checks import Array
from wflow._jit import blas_single_thread
from wflow.mdp import MDP

__all__ = ["Features", "LogLinear", "Tabular", "as_features", "random_fourier"]


class Features(ABC):
    """What a method asks of features φ (n_s, n_a, d)."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int, int]:
        """(n_s, n_a, d), d the number of parameters."""

    @abstractmethod
    def energies(self, theta: Array) -> Array:
        """``<θ, φ_ij>``, shape (n_s, n_a), for θ (d,)."""

    @abstractmethod
    def gradient(self, signal: Array, p: Array) -> Array:
        """``sum_ij signal_ij ∇_θ log π_ij``, shape (d,): the policy gradient for ``signal = ϱ_i p_ij δ_ij``."""

    @abstractmethod
    def compatible(self, mass: Array, target: Array, p: Array) -> Array:
        """Least-norm w (d,) that minimises ``sum_ij mass_ij (target_ij − <w, ∇_θ log π_ij>)²``.

        With ``mass = d_i p_ij`` and ``target = δ`` it is w*, and the natural gradient is ``F⁺ ∇E = w*/(1 − γ)``.
        """

    @abstractmethod
    def regress(self, mass: Array, target: Array) -> Array:
        """Least-norm w (d,) that minimises ``sum_ij mass_ij (target_ij − <w, φ_ij>)²``."""

    @abstractmethod
    def largest_score(self, p: Array) -> float:
        """``max ‖∇_θ log π_ij‖`` over the pairs with p_ij > 0."""


@dataclass(frozen=True)
class Tabular(Features):
    """One parameter for every pair, θ (n_s n_a,); every operation is O(n_s n_a).

    Parameters
    ----------
    n_states, n_actions : int
    """

    n_states: int
    n_actions: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n_s, n_a, n_s n_a)."""
        return self.n_states, self.n_actions, self.n_states * self.n_actions

    def energies(self, theta: Array) -> Array:
        """θ itself, in rows."""
        return theta.reshape(self.n_states, self.n_actions)

    def gradient(self, signal: Array, p: Array) -> Array:
        """``signal_ij − p_ij sum_k signal_ik``."""
        gradient: Array = signal - p * signal.sum(axis=1, keepdims=True)
        return gradient.ravel()

    def compatible(self, mass: Array, target: Array, p: Array) -> Array:  # noqa: ARG002 (it drops out)
        """The target on the pairs with mass, less its plain mean over them in each state; zero elsewhere.

        A minimiser where ``sum_j p_ij target_ij = 0``, as for advantages; scores do not see the constant of a state, and the mean is
        the one of least norm.
        """
        seen = mass > 0.0
        mean = np.where(seen, target, 0.0).sum(axis=1, keepdims=True) / np.maximum(seen.sum(axis=1, keepdims=True), 1)
        fitted: Array = np.where(seen, target - mean, 0.0)
        return fitted.ravel()

    def regress(self, mass: Array, target: Array) -> Array:
        """The target on the pairs with mass, zero elsewhere."""
        return np.where(mass > 0.0, target, 0.0).ravel()

    def largest_score(self, p: Array) -> float:
        """From ``‖e_j − p_i‖² = 1 − 2 p_ij + sum_k p_ik²``."""
        squares = 1.0 - 2.0 * p + np.square(p).sum(axis=1, keepdims=True)
        return float(np.sqrt(squares[p > 0.0].max()))


@dataclass(frozen=True, eq=False)
class LogLinear(Features):
    """Features given as numbers. Least squares by singular values, O(n_s n_a d²); the other operations O(n_s n_a d).

    Parameters
    ----------
    array : ndarray, shape (n_s, n_a, d)
        φ; finite. Columns may depend on each other: solutions are those of least norm.

    Raises
    ------
    ValueError, TypeError
        If it is not as above.
    """

    array: Array

    def __post_init__(self) -> None:
        array = _checks.array("features", self.array, (None, None, None))
        if array.size == 0:
            raise ValueError(f"features must have at least one state, one action and one feature; got shape {array.shape}")
        object.__setattr__(self, "array", array)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n_s, n_a, d)."""
        n_s, n_a, d = self.array.shape
        return n_s, n_a, d

    def scores(self, p: Array) -> Array:
        """``∇_θ log π_ij = φ_ij − sum_k p_ik φ_ik``, shape (n_s, n_a, d)."""
        scores: Array = self.array - np.einsum("ij,ijk->ik", p, self.array)[:, None, :]
        return scores

    def energies(self, theta: Array) -> Array:
        """``<θ, φ_ij>``, shape (n_s, n_a)."""
        energies: Array = np.einsum("ijk,k->ij", self.array, theta)
        return energies

    def gradient(self, signal: Array, p: Array) -> Array:
        """``sum_ij signal_ij ∇_θ log π_ij``, shape (d,)."""
        gradient: Array = np.einsum("ij,ijk->k", signal - p * signal.sum(axis=1, keepdims=True), self.array)
        return gradient

    def compatible(self, mass: Array, target: Array, p: Array) -> Array:
        """Weighted least squares on the scores."""
        return _least_squares(self.scores(p), mass, target)

    def regress(self, mass: Array, target: Array) -> Array:
        """Weighted least squares on the features."""
        return _least_squares(self.array, mass, target)

    def largest_score(self, p: Array) -> float:
        """By its definition."""
        return float(np.sqrt(np.square(self.scores(p)).sum(axis=2)[p > 0.0].max()))


def _least_squares(design: Array, mass: Array, target: Array) -> Array:
    root = np.sqrt(mass).ravel()
    used = root > 0.0  # a target without mass may be anything
    with blas_single_thread():
        solution = np.linalg.lstsq(design.reshape(root.size, -1)[used] * root[used, None], target.ravel()[used] * root[used])[0]
    return np.asarray(solution, dtype=np.float64)


def as_features(features: Features | npt.ArrayLike | None, mdp: MDP) -> Features:
    """Checked features of an MDP: tabular for None, log-linear for an array (n_s, n_a, d), `Features` as they are.

    Raises
    ------
    ValueError, TypeError
        If the array is not finite or does not fit the MDP.
    """
    n_s, n_a = mdp.reward.shape
    if features is None:
        return Tabular(n_s, n_a)
    given = features if isinstance(features, Features) else LogLinear(features)  # type: ignore[arg-type]  # it checks for itself
    if given.shape[:2] != (n_s, n_a):
        raise ValueError(f"features must have shape ({n_s}, {n_a}, any) to fit the MDP; got {given.shape}")
    return given


def random_fourier(mdp: MDP, n_features: int, *, length_scale: float = 1.0, seed: int = 0) -> LogLinear:
    """Random Fourier features of the Gaussian kernel on (state, action) coordinates (Rahimi & Recht 2007).

    ``φ_k = √(2/d) cos(ω_k · (s, a) + b_k)`` with ω_k normal of standard deviation 1/length_scale and b_k uniform in [0, 2π), drawn
    in this order from ``numpy.random.default_rng(seed)``; ``<φ(x), φ(y)> → exp(−|x − y|²/(2 length_scale²))`` as d grows, and
    ``|φ| ≤ √2``. Needs nodes with coordinates that mean something. O(n_s n_a d).

    Parameters
    ----------
    mdp : MDP
    n_features : int
        d ≥ 1.
    length_scale : float
        Above 0, in units of the coordinates.
    seed : int

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.
    """
    mdp = _checks.instance("mdp", mdp, MDP, "a wflow.mdp.MDP")
    n_features = _checks.integer("n_features", n_features, at_least=1)
    length_scale = _checks.real("length_scale", length_scale, above=0.0)
    _checks.memory("n_features", n_features, 16 * mdp.reward.size * n_features)
    rng = np.random.default_rng(_checks.integer("seed", seed, at_least=0))
    frequencies = rng.standard_normal((mdp.states.dimension + mdp.actions.dimension, n_features)) / length_scale
    phases = rng.uniform(0.0, 2.0 * np.pi, n_features)
    of_states, of_actions = np.split(frequencies, [mdp.states.dimension])
    argument = (mdp.states.nodes @ of_states)[:, None, :] + mdp.actions.nodes @ of_actions + phases
    return LogLinear(np.sqrt(2.0 / n_features) * np.cos(argument))
