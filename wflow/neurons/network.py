"""f_ν on all nodes and its adjoint, by the fastest kernel that is exact for the activation and the nodes."""

from __future__ import annotations

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow.neurons import compressed, curvature, direct, hinge, separable, tangent
from wflow.neurons.activations import Activation, ActivationLike, get
from wflow.spaces import Space

__all__ = ["ALGORITHMS", "Network"]

ALGORITHMS = ("auto", "direct", "hinge", "compressed", "separable")
_WORTH_COMPRESSING = 4_000_000  # neurons times nodes from which the interpolations pay


class Network:
    """Mean-field network of one hidden layer on a grid of state and action nodes (math.md §3).

    Parameters
    ----------
    activation : str, Activation or pair of compiled functions
        See `wflow.neurons.get`.
    states, actions : Space
        Nodes s_i (n_s, d_s) and a_j (n_a, d_a).
    width : float, optional
        Length ℓ of the radial bump.
    algorithm : str
        "hinge" (ReLU, sorted 1-D actions): O(N n_s + M) at most. "compressed" (analytic activations): O(N p²) with
        p ≲ 50. "separable" (radial bumps) and "direct" (everything else): O(N M). "auto" takes the first that fits.
        Memory is O(N + M) always.
    """

    def __init__(self, activation: ActivationLike, states: Space, actions: Space, *, width: float | None = None,
                 algorithm: str = "auto") -> None:  # fmt: skip
        for name, space in (("states", states), ("actions", actions)):
            _checks.instance(name, space, Space, "a wflow.spaces.Space")
        self.activation: Activation = get(activation, width)
        self.states = states
        self.actions = actions
        self.shape = (states.size, actions.size)
        self.n_parameters = self.activation.n_parameters(states.dimension, actions.dimension)
        if actions.dimension < 1:
            raise ValueError(f"actions must have at least one coordinate for a neuron to depend on; got {actions!r}")
        allowed = self._allowed()
        self.algorithm = _checks.choice("algorithm", algorithm, ("auto", *allowed))
        self._best = allowed[0] if algorithm == "auto" else algorithm
        self._axes = (direct.Axes.of([states.nodes]), direct.Axes.of([actions.nodes]))
        self._grid = hinge.Grid(states.nodes, actions.nodes[:, 0]) if "hinge" in allowed else None
        self._compressed = compressed.Compressed(self.activation, states.nodes, actions.nodes) if "compressed" in allowed else None

    def _allowed(self) -> tuple[str, ...]:
        """Algorithms that fit the activation and the nodes, best first."""
        if self.activation.radial:
            return ("separable",)
        nodes = self.actions.nodes
        if self.activation.name == "relu" and nodes.shape[1] == 1 and (np.diff(nodes[:, 0]) > 0.0).all():
            return ("hinge", "direct")
        return ("compressed", "direct") if self.activation.singularity > 0.0 else ("direct",)

    def _choose(self, n: int) -> str:
        few = self.algorithm == "auto" and self._best == "compressed" and n * self.shape[0] * self.shape[1] < _WORTH_COMPRESSING
        return "direct" if few else self._best

    def _one_class(self, n: int) -> list[tuple[int, int, int, int]]:
        return direct.split(0, n, 0, 0, self.states.size * self.actions.size)

    def forward(self, points: Array, weights: Array) -> Array:
        """f_ν (n_s, n_a) of the measure with points (N, m) and weights (N,)."""
        points = _checks.fitting("points", points, (None, self.n_parameters))
        weights = _checks.fitting("weights", weights, (len(points),))
        algorithm = self._choose(len(points))
        if algorithm == "hinge" and self._grid is not None:
            return hinge.forward(points, weights, self._grid)
        if algorithm == "compressed" and self._compressed is not None:
            return self._compressed.forward(points, weights)
        if algorithm == "separable":
            return separable.forward(points, weights, self.states.nodes, self.actions.nodes, self.activation.width)
        total: Array = direct.forward(self.activation.pair, points, weights, self._one_class(len(points)), *self._axes).sum(axis=0)
        return total

    def adjoint(self, points: Array, signal: Array) -> Array:
        """Gradient (N, m) in ω of sum_ij G_ij ψ(s_i, a_j; ω) at the points, for a signal G (n_s, n_a).

        Its first column is g_ν = sum_ij G_ij φ_ij, so the sum itself is ω0 times that column.
        """
        points = _checks.fitting("points", points, (None, self.n_parameters))
        signal = _checks.fitting("signal", signal, self.shape)
        algorithm = self._choose(len(points))
        if algorithm == "hinge" and self._grid is not None:
            return hinge.adjoint(points, self._grid, signal)
        if algorithm == "compressed" and self._compressed is not None:
            return self._compressed.adjoint(points, signal)
        if algorithm == "separable":
            return separable.adjoint(points, self.states.nodes, self.actions.nodes, self.activation.width, signal)
        return direct.adjoint(self.activation.pair, points, self._one_class(len(points)), *self._axes, signal[None, None])

    def tangent(self, points: Array, weights: Array, direction: Array) -> Array:
        """Derivative of `forward` in the points along v (N, m): ``sum_n p_n ∇ψ(s_i, a_j; ω_n)·v_n``, shape (n_s, n_a).

        The transpose of `adjoint` at weights of 1, and about its cost. For ReLU, that between kinks.
        """
        points = _checks.fitting("points", points, (None, self.n_parameters))
        weights = _checks.fitting("weights", weights, (len(points),))
        direction = _checks.fitting("direction", direction, (len(points), self.n_parameters))
        algorithm = self._choose(len(points))
        if algorithm == "hinge" and self._grid is not None:
            return hinge.tangent(points, weights, direction, self._grid)
        if algorithm == "compressed" and self._compressed is not None:
            return self._compressed.tangent(points, weights, direction)
        if algorithm == "separable":
            return separable.tangent(points, weights, direction, self.states.nodes, self.actions.nodes, self.activation.width)
        rows = tangent.scaled(points, weights, direction)
        total: Array = tangent.tangent(self.activation.pair, points, rows, self._one_class(len(points)), *self._axes).sum(axis=0)
        return total

    def curvature(self, points: Array, signal: Array) -> Array | None:
        """∇²_ω̄ g (K, m − 1, m − 1) at points (K, m), ``g = sum_ij G_ij φ_ij``; None for ReLU, where it is 0 between kinks.

        About the cost of `adjoint`; for a user's own σ, by central differences of fourth order, that of 4 (m − 1) adjoints.
        """
        points = _checks.fitting("points", points, (None, self.n_parameters))
        signal = _checks.fitting("signal", signal, self.shape)
        if self.activation.homogeneous:
            return None
        if callable(self.activation.pair[0]):
            return self._differences(points, signal)
        algorithm = self._choose(len(points))
        if algorithm == "compressed" and self._compressed is not None:
            return self._compressed.curvature(points, signal)
        if algorithm == "separable":
            return separable.curvature(points, self.states.nodes, self.actions.nodes, self.activation.width, signal)
        tasks = self._one_class(len(points))
        return tangent.curvature(self.activation.pair[0], points, tasks, *self._axes, signal[None, None])

    def _differences(self, points: Array, signal: Array) -> Array:
        """`curvature` from gradients at neighbours; errors some 3e-12 of g's terms where these vary over lengths of 1."""
        unit = points.copy()
        unit[:, 0] = 1.0  # of which `adjoint` gives ∇g
        found = np.zeros((len(points), self.n_parameters - 1, self.n_parameters - 1))
        for k in range(self.n_parameters - 1):
            step = (unit[:, 1 + k] + 1e-3 * (1.0 + np.abs(unit[:, 1 + k]))) - unit[:, 1 + k]
            for offset, coefficient in ((1.0, 2.0 / 3.0), (2.0, -1.0 / 12.0)):
                for sign in (1.0, -1.0):
                    moved = unit.copy()
                    moved[:, 1 + k] += sign * offset * step
                    found[:, :, k] += (sign * coefficient / step)[:, None] * self.adjoint(moved, signal)[:, 1:]
        return (found + found.transpose(0, 2, 1)) / 2.0

    def laplacian(self, points: Array, signal: Array) -> Array:
        """Δ_ω̄ g (K,) at points (K, m), ``g = sum_ij G_ij φ_ij``: the sum of its second derivatives in all parameters but ω0.

        Cost O(K M), in blocks of a few MiB: it serves checks (`wflow.neurons.curvature`).

        Raises
        ------
        ValueError
            For ReLU, which has none, and for a user's own activation, whose σ'' is not known.
        """
        points = _checks.fitting("points", points, (None, self.n_parameters))
        signal = _checks.fitting("signal", signal, self.shape)
        return curvature.laplacian(self.activation, points, self.states.nodes, self.actions.nodes, signal)

    def values(self, points: Array) -> Array:
        """ψ(s_i, a_j; ω_n) of every neuron by itself, (K, n_s, n_a) for points (K, m): for a few neurons at a time."""
        points = _checks.fitting("points", points, (None, self.n_parameters))
        if self.activation.radial:
            return separable.values(points, self.states.nodes, self.actions.nodes, self.activation.width)
        if len(points) == 0:
            return np.empty((0, *self.shape))
        alone = [(n, n + 1, 0, 0) for n in range(len(points))]
        return direct.forward(self.activation.pair, points, np.ones(len(points)), alone, *self._axes)
