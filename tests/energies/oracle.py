"""E(ν) written out in dense complex arithmetic, so that one imaginary step of 1e-30 differentiates it without cancellation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from wflow.energies import PolicyValue
from wflow.mdp import MDP, StructuredTransition
from wflow.measures import ParticleMeasure
from wflow.spaces import Space

STEP = 1e-30


def sigma(name: str, x: np.ndarray) -> np.ndarray:
    """σ(x) for complex x near the real axis."""
    return {
        "relu": lambda: np.where(x.real > 0.0, x, 0.0),
        "tanh": lambda: np.tanh(x),
        "sigmoid": lambda: 1.0 / (1.0 + np.exp(-x)),
        "softplus": lambda: np.log(1.0 + np.exp(x)),
        "gaussian": lambda: np.exp(-0.5 * x * x),
    }[name]()


@dataclass(frozen=True)
class Problem:
    """A random MDP with its dense kernel P (n_s, n_a, n_s), an activation, and a measure."""

    mdp: MDP
    dense: np.ndarray
    name: str
    width: float | None
    measure: ParticleMeasure
    rng: np.random.Generator

    def energy(self, **options) -> PolicyValue:
        return PolicyValue(self.mdp, self.name, width=self.width, **options)

    def neurons(self, points: np.ndarray) -> np.ndarray:
        """ω0 φ on all nodes, (N, n_s, n_a)."""
        coordinates = [s[:, None] for s in self.mdp.states.nodes.T] + [a[None, :] for a in self.mdp.actions.nodes.T]
        columns = points.T[:, :, None, None]
        if self.name == "rbf":
            return columns[0] * np.exp(-sum((x - c) ** 2 for x, c in zip(coordinates, columns[1:], strict=True)) / (2.0 * self.width**2))
        return columns[0] * sigma(self.name, sum((x * k for x, k in zip(coordinates, columns[1:-1], strict=True)), columns[-1]))

    def value(self, points: np.ndarray, weights: np.ndarray) -> complex:
        """E(ν): softmax, averages over actions, one dense solve; weights need not sum to 1."""
        mdp, w = self.mdp, self.mdp.actions.weights
        f = np.einsum("n,nij->ij", weights, self.neurons(points) * np.ones((1, *mdp.reward.shape)))
        f = f - f.real.max(axis=1, keepdims=True)
        log_policy = f - np.log(np.exp(f) @ w)[:, None]
        mass = w * np.exp(log_policy)
        reward = (mass * (mdp.reward - mdp.temperature * log_policy)).sum(axis=1)
        matrix = np.einsum("ij,ijk->ik", mass, self.dense)
        return mdp.initial @ np.linalg.solve(np.eye(len(matrix)) - mdp.discount * matrix, reward)

    def gradient(self) -> np.ndarray:
        """∂E/∂ω_n by complex steps, (N, m)."""
        points = self.measure.points
        gradient = np.empty(points.shape)
        for index in np.ndindex(*points.shape):
            moved = points.astype(complex)
            moved[index] += 1j * STEP
            gradient[index] = self.value(moved, self.measure.weights).imag / STEP
        return gradient


def _kernel(rng: np.random.Generator, kind: str, n_s: int, n_a: int) -> tuple[object, np.ndarray]:
    if kind == "structured":
        target, law, mixing = rng.integers(0, n_s, (n_s, n_a)), rng.dirichlet(np.ones(n_s)), rng.random()
        return StructuredTransition(target, law, mixing), (1.0 - mixing) * np.eye(n_s)[target] + mixing * law
    dense = rng.random((n_s, n_a, n_s)) * (rng.random((n_s, n_a, n_s)) < 0.5)
    dense[..., 0] += 0.1
    dense /= dense.sum(axis=2, keepdims=True)
    return (sparse.csr_array(dense.reshape(-1, n_s)) if kind == "sparse" else dense), dense


def problem(seed: int, name: str = "tanh", kind: str = "dense", n: int = 5, n_s: int = 4, n_a: int = 6, d_s: int = 1, d_a: int = 1,
            discount: float = 0.8, temperature: float = 0.3) -> Problem:  # fmt: skip
    """Random rewards, kernel, start law, nodes, action weights, particles and particle weights; `bandit` is the kind without a kernel."""
    rng = np.random.default_rng(seed)
    if kind == "bandit":
        n_s, discount, transition, dense = 1, 0.0, None, np.ones((1, n_a, 1))
    else:
        transition, dense = _kernel(rng, kind, n_s, n_a)
    mdp = MDP(
        reward=rng.standard_normal((n_s, n_a)),
        transition=transition,
        discount=discount,
        temperature=temperature,
        initial=rng.dirichlet(np.ones(n_s)),
        states=Space(rng.uniform(-1, 1, (n_s, d_s)), np.ones(n_s)),
        actions=Space(np.sort(rng.uniform(-1, 1, (n_a, d_a)), axis=0), rng.uniform(0.1, 2.0, n_a)),
    )
    m = 1 + d_s + d_a + (name != "rbf")
    measure = ParticleMeasure(rng.normal(0.0, 1.5, (n, m)), rng.dirichlet(np.ones(n)))
    return Problem(mdp, dense, name, 0.6 if name == "rbf" else None, measure, rng)
