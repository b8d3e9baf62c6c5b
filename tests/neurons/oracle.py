"""The plain NumPy twin of the neurons' kernels (math.md §0, §3), every neuron on every node in one array (N, n_s, n_a),
and random problems to compare them on.

Beside each result stands the sum of the absolute values of its terms: rounding errors are measured against it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wflow.neurons import NAMES, Network
from wflow.spaces import Space

RIDGE = tuple(name for name in NAMES if name != "rbf")
ANALYTIC = tuple(name for name in RIDGE if name != "relu")
KERNELS = [("relu", "hinge"), *((name, "direct") for name in RIDGE), *((name, "compressed") for name in ANALYTIC), ("rbf", "separable")]
BAR = 1e-13
EPS = float(np.finfo(float).eps)


def sigma(name: str, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """σ(x) and σ'(x) in forms that do not cancel; relu'(0) = 0."""
    if name == "relu":
        return np.where(x > 0.0, x, 0.0), (x > 0.0).astype(x.dtype)
    if name == "tanh":
        return np.tanh(x), 1.0 / np.cosh(np.clip(x, -350.0, 350.0)) ** 2
    if name == "gaussian":
        x = np.clip(x, -40.0, 40.0)
        return np.exp(-0.5 * x * x), -x * np.exp(-0.5 * x * x)
    decay = np.exp(-np.clip(np.abs(x), 0.0, 700.0))
    sigmoid = np.where(x > 0.0, 1.0, decay) / (1.0 + decay)
    return (sigmoid, decay / (1.0 + decay) ** 2) if name == "sigmoid" else (np.maximum(x, 0.0) + np.log1p(decay), sigmoid)


def _parts(points: np.ndarray, states: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """k_s·s + b, (N, n_s), and k_a·a, (N, n_a), coordinates summed from the left."""
    d_s, d_a = states.shape[1], actions.shape[1]
    by_state = np.zeros((len(points), len(states)))
    for d in range(d_s):
        by_state = by_state + points[:, 1 + d, None] * states[:, d]
    by_action = points[:, 1 + d_s, None] * actions[:, 0]
    for d in range(1, d_a):
        by_action = by_action + points[:, 1 + d_s + d, None] * actions[:, d]
    return by_state + points[:, -1:], by_action


def preactivation(points: np.ndarray, states: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """(k_s·s_i + b) + k_a·a_j, shape (N, n_s, n_a)."""
    by_state, by_action = _parts(points, states, actions)
    return by_state[:, :, None] + by_action[:, None, :]


def rounding(points: np.ndarray, states: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """Bound on the rounding error of `preactivation`, shape (N, n_s, n_a): nodes far from 0 and kinks among them make it matter."""
    by_state, by_action = _parts(np.abs(points), np.abs(states), np.abs(actions))
    return 4.0 * EPS * (by_state[:, :, None] + by_action[:, None, :])


@dataclass(frozen=True)
class Case:
    """Nodes, a measure on neurons, and a signal (n_s, n_a)."""

    name: str
    states: Space
    actions: Space
    points: np.ndarray
    weights: np.ndarray
    signal: np.ndarray
    width: float | None = None

    def network(self, algorithm: str = "auto") -> Network:
        return Network(self.name, self.states, self.actions, width=self.width, algorithm=algorithm)

    @property
    def nodes(self) -> tuple[np.ndarray, np.ndarray]:
        return self.states.nodes, self.actions.nodes

    def neurons(self) -> tuple[np.ndarray, list[np.ndarray]]:
        """φ (N, n_s, n_a), and its derivative by every inner parameter."""
        coordinates = [s[:, None] for s in self.states.nodes.T] + [a[None, :] for a in self.actions.nodes.T]
        if self.name != "rbf":
            value, slope = sigma(self.name, preactivation(self.points, *self.nodes))
            return value, [slope * x for x in coordinates] + [slope]
        offsets = [x - self.points[:, 1 + d, None, None] for d, x in enumerate(coordinates)]
        value = np.exp(-sum(offset**2 for offset in offsets) / (2.0 * self.width**2))
        return value, [value * offset / self.width**2 for offset in offsets]

    def forward(self) -> tuple[np.ndarray, np.ndarray]:
        """f (n_s, n_a) = sum_n p_n ω0 φ_n, and sum_n p_n |ω0 φ_n|."""
        terms = (self.weights * self.points[:, 0])[:, None, None] * self.neurons()[0]
        return terms.sum(axis=0), np.abs(terms).sum(axis=0)

    def adjoint(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows (sum_ij G_ij φ_ij, ω0 sum_ij G_ij ∇φ_ij), shape (N, m), and the same with the absolute value of every term."""
        value, gradient = self.neurons()
        columns = [self.signal * value] + [self.signal * self.points[:, :1, None] * part for part in gradient]
        return np.stack([c.sum(axis=(1, 2)) for c in columns], axis=1), np.stack([np.abs(c).sum(axis=(1, 2)) for c in columns], axis=1)


def nodes(rng: np.random.Generator, kind: str, n: int) -> np.ndarray:
    """Coordinates (n, d) of a kind: "none" d = 0, "plane" and "far plane" d = 2, all others d = 1."""
    if kind == "none":
        return np.zeros((n, 0))
    if kind.endswith("plane"):
        return rng.uniform(-1.0, 2.0, (n, 2)) + (1000.0 if kind == "far plane" else 0.0)
    if kind == "gauss":
        return Space.gauss_legendre(n, -1.0, 2.0).nodes
    if kind in ("random", "unsorted"):
        x = rng.uniform(-2.0, 3.0, (n, 1))
        return x if kind == "unsorted" else np.sort(x, axis=0)
    return Space.midpoint(n).nodes + (1000.0 if kind == "offset" else 0.0)


def cloud(rng: np.random.Generator, name: str, states: np.ndarray, actions: np.ndarray, n: int) -> np.ndarray:
    """Neurons (n, m), a part of them degenerate: kinks on or next to nodes, or outside; slopes zero, denormal or huge; ω0 = 0."""
    d_s, d_a = states.shape[1], actions.shape[1]
    s, a = states[rng.choice([0, -1, rng.integers(len(states))], n)], actions[rng.choice([0, -1, rng.integers(len(actions))], n)]
    if name == "rbf":
        points = np.hstack([rng.normal(0.0, 2.0, (n, 1)), s, a])
        points[:, 1:] += rng.choice([0.0, 1e-9, 0.1, 1.0], (n, 1)) * rng.standard_normal((n, d_s + d_a))
    else:
        points = rng.normal(0.0, 2.0, (n, d_s + d_a + 2))
        state_slopes, action_slopes = points[:, 1 : 1 + d_s], points[:, 1 + d_s : -1]
        kind = rng.integers(0, 14, n)
        state_slopes[np.isin(kind, (0, 1))] = 0.0
        action_slopes[np.isin(kind, (0, 2))] = 0.0
        state_slopes[kind == 3] *= 1e-310
        action_slopes[kind == 4] *= 1e-310
        state_slopes[kind == 5] *= 1e-9
        action_slopes[kind == 6] *= 1e-9
        points[kind == 7, 1:] *= 1e8
        through = kind > 2  # the others keep a random bias: with no slope the neuron is constant
        by_state, by_action = _parts(np.hstack([points[:, :-1], np.zeros((n, 1))]), s, a)
        points[through, -1] = -(np.diagonal(by_state) + np.diagonal(by_action))[through]
        points[kind > 9, -1] += rng.choice([1e-14, 1e-3, 1.0, 30.0], (kind > 9).sum()) * rng.standard_normal((kind > 9).sum())
    points[rng.random(n) < 0.05, 0] = 0.0
    return points


def case(seed: int, name: str, n: int, n_s: int, n_a: int, states: str = "midpoint", actions: str = "midpoint",
         width: float = 0.3, generic: bool = False) -> Case:  # fmt: skip
    """A random problem, see `nodes` and `cloud`; a generic one has N(0, 4) parameters throughout."""
    rng = np.random.default_rng(seed)
    s, a = nodes(rng, states, n_s), nodes(rng, actions, n_a)
    points = cloud(rng, name, s, a, n)
    points = rng.normal(0.0, 2.0, points.shape) if generic else points
    return Case(name, Space(s, np.ones(n_s)), Space(a, np.ones(n_a)), points, rng.dirichlet(np.ones(n)),
                rng.standard_normal((n_s, n_a)), width if name == "rbf" else None)  # fmt: skip


def worst(error: np.ndarray, scale: np.ndarray) -> float:
    """Largest |error| / scale, 0 where the error is."""
    error = np.abs(error)
    ratio = np.divide(error, scale, out=np.full(error.shape, np.inf), where=scale > 0.0)
    return float(np.where(error == 0.0, 0.0, ratio).max())
