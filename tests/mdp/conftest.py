"""Random MDPs of every transition kind, with their dense twins built by loops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from scipy import sparse

from wflow.mdp import MDP, StructuredTransition
from wflow.spaces import Space

KINDS = ("dense", "sparse", "structured")


@dataclass(frozen=True)
class Problem:
    """An MDP, its dense kernel P (n_s, n_a, n_s), and a generator for policies."""

    mdp: MDP
    dense: np.ndarray
    rng: np.random.Generator

    def log_policy(self, spread: float = 1.0) -> np.ndarray:
        """A random normalised log density (n_s, n_a)."""
        return normalised(spread * self.rng.standard_normal(self.mdp.reward.shape), self.mdp.actions.weights)

    @property
    def scale(self) -> float:
        """A bound on |V|, at least 1: rounding is measured against it."""
        mdp = self.mdp
        entropy = mdp.temperature * (np.abs(np.log(mdp.actions.weights)).max() + abs(np.log(mdp.actions.total)) + 1.0)
        return max(1.0, (np.abs(mdp.reward).max() + entropy) / (1.0 - mdp.discount))


def normalised(energy: np.ndarray, weights: np.ndarray) -> np.ndarray:
    top = energy.max(axis=1, keepdims=True)
    return energy - top - np.log(np.exp(energy - top) @ weights)[:, None]


def _kernel(kind: str, rng: np.random.Generator, n_s: int, n_a: int) -> tuple[object, np.ndarray]:
    if kind == "structured":
        target, law, mixing = rng.integers(0, n_s, (n_s, n_a)), rng.dirichlet(np.ones(n_s)), rng.random()
        dense = np.zeros((n_s, n_a, n_s))
        for i in range(n_s):
            for j in range(n_a):
                for k in range(n_s):
                    dense[i, j, k] = mixing * law[k] + (1.0 - mixing if k == target[i, j] else 0.0)
        return StructuredTransition(target, law, mixing), dense
    dense = rng.random((n_s, n_a, n_s)) * (rng.random((n_s, n_a, n_s)) < 0.6)
    dense[..., 0] += 1e-3
    dense /= dense.sum(axis=2, keepdims=True)
    return (sparse.csr_array(dense.reshape(n_s * n_a, n_s)) if kind == "sparse" else dense), dense


def _random_mdp(seed: int, kind: str = "dense", discount: float = 0.9, temperature: float = 0.5, n_s: int = 4, n_a: int = 3) -> Problem:
    rng = np.random.default_rng(seed)
    transition, dense = _kernel(kind, rng, n_s, n_a)
    mdp = MDP(
        reward=rng.standard_normal((n_s, n_a)),
        transition=transition,
        discount=discount,
        temperature=temperature,
        initial=rng.dirichlet(np.ones(n_s)),
        actions=Space.finite(n_a, rng.uniform(0.1, 2.0, n_a)),
    )
    return Problem(mdp, dense, rng)


@pytest.fixture(scope="session")
def random_mdp() -> Callable[..., Problem]:
    return _random_mdp


@pytest.fixture(scope="session")
def normalise() -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    return normalised


@pytest.fixture(autouse=True, scope="session")
def _floating_point_traps():
    with np.errstate(all="raise", under="ignore"):
        yield
