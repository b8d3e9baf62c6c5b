"""Value of the mean-field softmax policy: the energy E(ν) of math.md §3."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from wflow import _checks, mdp
from wflow._checks import Array
from wflow.energies._kernels import covariance_signal, homogeneous_invariant, softmax
from wflow.energies.base import Combines, Evaluation
from wflow.energies.domains import Box, Domain, Sphere
from wflow.energies.linearised import Product, linearised
from wflow.mdp import MDP
from wflow.mdp.evaluation import _evaluate
from wflow.measures import ParticleMeasure
from wflow.neurons import Network
from wflow.neurons.activations import ActivationLike
from wflow.neurons.interpolated import Interpolated

__all__ = ["FIELDS", "PolicyEvaluation", "PolicyValue"]

FIELDS = ("nodes", "continuous")

_STEEPEST = {"relu": 1.0, "tanh": 1.0, "softplus": 1.0, "sigmoid": 0.25, "gaussian": math.exp(-0.5), "rbf": math.exp(-0.5)}  # sup|σ'|


@dataclass(frozen=True, eq=False)
class PolicyEvaluation(Evaluation):
    """E(ν), its velocity, and what the same pass gives.

    Attributes
    ----------
    signal : ndarray, shape (n_s, n_a)
        ``G_ij = ϱ_i w_j π_ij δ_ij``; its rows sum to 0.
    residual : float
        sup |δ|, which vanishes at the optimum only (τ > 0).
    bellman : wflow.mdp.PolicyEvaluation
        Value, action value, occupancy and advantage δ of the policy π_ν; ``bellman.log_policy`` is log π_ν.
    """

    signal: Array
    residual: float
    bellman: mdp.PolicyEvaluation
    _energy: PolicyValue

    @property
    def log_policy(self) -> Array:
        """log π_ν, a log density with respect to the action weights, shape (n_s, n_a)."""
        return self.bellman.log_policy

    @cached_property
    def residual_l2(self) -> float:
        """``sqrt(sum_ij ϱ_i w_j π_ij δ_ij²)``; at most ``residual / sqrt(1 − γ)``."""
        if not 0.0 < self.residual < math.inf:
            return self.residual
        bellman, weights = self.bellman, self._energy.mdp.actions.weights
        squares = np.square(bellman.advantage / self.residual)  # which cannot overflow
        return self.residual * math.sqrt(np.einsum("i,j,ij,ij->", bellman.occupancy, weights, bellman.policy, squares))

    @cached_property
    def gap(self) -> float:
        """E* − E(ν) ≥ 0, as a sum of non-negative terms (math.md §2)."""
        return mdp.exact_gap(self._energy.mdp, self.bellman, self._energy.optimum)

    @cached_property
    def certificate(self) -> mdp.GapCertificate:
        """Two-sided bound on the gap from the policy alone (math.md §2)."""
        return mdp.gap_certificate(self._energy.mdp, self.bellman)

    def diagnostics(self) -> dict[str, float]:
        """energy, dissipation, gap with both bounds of its certificate, and sup|δ|."""
        bounds = self.certificate
        return {**super().diagnostics(), "gap": self.gap, "gap_lower": bounds.lower, "gap_upper": bounds.upper, "residual": self.residual}

    def finals(self) -> dict[str, Array]:
        """What a run keeps of its last state: ``log_policy`` (n_s, n_a)."""
        return {"log_policy": self.log_policy}


class PolicyValue(Combines):
    """E(ν) = sum_i ρ0_i V_i for the policy π_ν ∝ exp f_ν (Agazzi & Lu 2021, eqs. 8 and 11); maximised (``sense = +1``).

    Cost of an evaluation: that of the network's kernels (`wflow.neurons.Network`; O(N n_s + M) at most for ReLU on one
    action coordinate, M = n_s n_a) and one LU factorisation, O(n_s³). Memory O(N + M).

    Parameters
    ----------
    mdp : MDP
    activation : str, Activation or pair of compiled functions
        "relu", "tanh", "sigmoid", "softplus", "gaussian", "rbf", or the user's own (σ, σ').
    width : float, optional
        Length ℓ of the radial bump "rbf".
    algorithm : str
        Kernel of the network, "auto" by default.
    field : str
        "nodes", whose velocity is the exact gradient of E; or "continuous", for ReLU on equidistant action nodes of one
        coordinate and equal weights: the signal is interpolated between nodes and integrated exactly (`wflow.neurons.interpolated`).

    Attributes
    ----------
    n_parameters : int
        Number of columns m of the measures: [ω0, k_s, k_a, b], or [ω0, c_s, c_a] for "rbf".
    seconds : dict
        Wall seconds spent in policy evaluation so far, under ``"linear algebra"``.

    Raises
    ------
    ValueError, TypeError
        If an argument is none of these, or the field asks for another activation or other actions.

    Notes
    -----
    On nodes ReLU's field jumps by O(h), h = 1/n_a, where a kink passes a node: methods fall to first order, and below rtol
    1e-4 steps are rejected. The continuous field errs by O(h²) against h → 0 (nodes: O(h)) and restores the methods' orders, at
    equal cost for loose tolerances and up to 65 times fewer evaluations at 1e-8 (``benchmarks/jumps.py``). It is not quite the
    gradient of E: dissipation identity, monotone E and fixed points hold up to O(h²) in the mean-field limit, O(h/√N) for N particles.
    """

    sense = +1

    def __init__(self, mdp: mdp.MDP, activation: ActivationLike = "relu", *, width: float | None = None, algorithm: str = "auto",
                 field: str = "nodes") -> None:  # fmt: skip
        self.mdp = _checks.instance("mdp", mdp, MDP, "a wflow.mdp.MDP")
        self.network = Network(activation, mdp.states, mdp.actions, width=width, algorithm=algorithm)
        self.n_parameters = self.network.n_parameters
        self._interpolated: Interpolated | None = None
        if _checks.choice("field", field, FIELDS) == "continuous":
            if self.network.activation.name != "relu":
                raise ValueError(f"field must be 'nodes' for {self.network.activation.name!r}; 'continuous' is for 'relu' alone")
            self._interpolated = Interpolated(mdp.states, mdp.actions)
        self.seconds = {"linear algebra": 0.0}

    @cached_property
    def optimum(self) -> mdp.Optimum:
        """The optimal policy and value E*, solved for when first asked for."""
        return mdp.optimum(self.mdp)

    def evaluate(self, measure: ParticleMeasure) -> PolicyEvaluation:
        """Value, velocity and the diagnostics that fall out of one pass.

        Parameters
        ----------
        measure : ParticleMeasure
            points (N, m) in the layout of math.md §0, weights (N,).

        Raises
        ------
        ValueError
            If the points do not have `n_parameters` columns.
        """
        bellman = self._policy(measure)
        signal, residual = self._signal(bellman)
        velocity = self.field(measure.points, signal)  # gradient of the first variation, (N, m)
        return PolicyEvaluation(measure, bellman.objective, velocity, signal, residual, bellman, self)

    def value(self, measure: ParticleMeasure) -> float:
        """E(ν)."""
        return self._policy(measure).objective

    def velocity(self, measure: ParticleMeasure) -> Array:
        """F(ω_n; ν) = ∇ first_variation at the particles, shape (N, m); ``∂E/∂ω_n = p_n F(ω_n)``."""
        return self.evaluate(measure).velocity

    def linearised(self, measure: ParticleMeasure | PolicyEvaluation) -> Product:
        """The derivative of `velocity` as the points move: a function v (N, m) -> DF[v] (N, m), exact (`wflow.energies.linearised`).

        A product costs about an evaluation. An evaluation of the measure may be given in its place, and saves one.
        """
        return linearised(measure if isinstance(measure, PolicyEvaluation) else self.evaluate(measure))

    def first_variation(self, measure: ParticleMeasure, points: Array) -> Array:
        """Ψ_ν(ω) = sum_ij G_ij ψ(s_i, a_j; ω) at points (K, m), shape (K,)."""
        points = _checks.array("points", points, (None, self.n_parameters))
        variation: Array = points[:, 0] * self.field(points, self.signal(measure))[:, 0]
        return variation

    def signal(self, measure: ParticleMeasure) -> Array:
        """``G_ij = ϱ_i w_j π_ij δ_ij`` (n_s, n_a), all that the field depends on; its rows sum to 0."""
        return self._signal(self._policy(measure))[0]

    def field(self, points: Array, signal: Array) -> Array:
        """Velocity (K, m) at points (K, m) in the field of a signal, that of a measure at an earlier time or elsewhere included."""
        return (self._interpolated or self.network).adjoint(points, signal)

    def _curvature(self, points: Array, signal: Array) -> Array | None:
        """∇²_ω̄ g (K, m − 1, m − 1) in the field of a signal; None where it is 0 between kinks."""
        return (self._interpolated or self.network).curvature(points, signal)

    def laplacian(self, points: Array, signal: Array) -> Array:
        """Δ_ω̄ g (K,) at points (K, m); the divergence of the field there is ω0 times it. ValueError for ReLU, which has none."""
        return self.network.laplacian(points, signal)

    @cached_property
    def domain(self) -> Domain:
        """Θ, where ω̄ lives: directions for ReLU; for bumps the nodes' bounding box, widened by ℓ; else [−6, 6]^{m−1} for R^{m−1}."""
        activation, spaces = self.network.activation, (self.mdp.states, self.mdp.actions)
        if activation.radial:
            lower, upper = (np.concatenate([end(space.nodes, axis=0) for space in spaces]) for end in (np.min, np.max))
            return Box(lower - activation.width, upper + activation.width)
        return Sphere(self.n_parameters - 1) if activation.homogeneous else Box.cube(self.n_parameters - 1)

    @property
    def smooth(self) -> bool:
        """Whether methods of high order have use for the field: ReLU's on nodes jumps, unless it is ``"continuous"``."""
        return self._interpolated is not None or not self.network.activation.homogeneous

    def lipschitz(self, signal: Array) -> float:
        """Lipschitz constant of g = sum_ij G_ij φ_ij on all ω̄: ``sup|σ'| sum_ij |G_ij| |(s_i, a_j, 1)|``; NaN for a user's own σ.

        For bumps ``e^{-1/2}/ℓ sum_ij |G_ij|``.
        """
        activation = self.network.activation
        if callable(activation.pair[0]):
            return math.nan
        size = np.abs(_checks.fitting("signal", signal, self.network.shape))
        if activation.radial:
            return float(size.sum()) * _STEEPEST["rbf"] / activation.width
        reach = 0.0 if self._interpolated is None else self._interpolated.spacing  # of the signal of a node, once interpolated
        squares = [np.square(self.mdp.states.nodes).sum(axis=1), np.square(np.abs(self.mdp.actions.nodes) + reach).sum(axis=1)]
        return _STEEPEST[activation.name] * float((size * np.sqrt(squares[0][:, None] + squares[1] + 1.0)).sum())

    def function_values(self, measure: ParticleMeasure) -> Array:
        """f_ν modulo functions of s, as coordinates (n_s n_a,): the Euclidean distance of two is the L² distance of the functions.

        The norm is that of the product of the state and action weights, both scaled to sum 1; "modulo" subtracts the mean over actions.
        """
        values: Array = self._coordinates(self.log_policy(measure)[None])[0]  # log π_ν is f_ν less a function of s
        return values

    def function_variance(self, measure: ParticleMeasure) -> float:
        """∫ ‖ψ(·; ω) − f_ν‖² dν(ω) in the norm of `function_values`; ``E ‖f_{ν^N} − f_ν‖²`` is this over N for N points drawn from ν.

        Cost O(N M), in blocks of a few MiB.
        """
        mean = self.function_values(measure)
        block = max(1, 2**19 // (self.mdp.states.size * self.mdp.actions.size))
        norms = [np.square(self._coordinates(self.network.values(measure.points[k : k + block]))).sum(axis=1)
                 for k in range(0, measure.size, block)]  # fmt: skip
        return float(measure.weights @ np.concatenate(norms) - mean @ mean)

    def _coordinates(self, functions: Array) -> Array:
        """Of functions (K, n_s, n_a), (K, n_s n_a)."""
        states, actions = (space.weights / space.weights.sum() for space in (self.mdp.states, self.mdp.actions))
        centred = functions - (functions @ actions)[:, :, None]
        coordinates: Array = (centred * np.sqrt(states[:, None] * actions)).reshape(len(functions), -1)
        return coordinates

    def invariant(self, measure: ParticleMeasure) -> Array | None:
        """ω0² − |ω̄|² of every particle (N,), which the flow keeps if σ is positively homogeneous (math.md §3); None for other neurons.

        On finitely many nodes ReLU keeps it only up to the jumps of its field.
        """
        if not self.network.activation.homogeneous:
            return None
        values = np.empty(len(measure.points))
        homogeneous_invariant(measure.points, values)
        return values

    def log_policy(self, measure: ParticleMeasure) -> Array:
        """log π_ν, a log density with respect to the action weights, shape (n_s, n_a)."""
        return self._softmax(measure)[0]

    def static(self) -> dict[str, Array]:
        """The problem as a stored run keeps it: nodes, action weights, E* and the optimal log-policy."""
        return {
            "states": self.mdp.states.nodes, "actions": self.mdp.actions.nodes, "action_weights": self.mdp.actions.weights,
            "optimal_value": np.array(self.optimum.objective), "optimal_log_policy": self.optimum.log_policy,
        }  # fmt: skip

    def _softmax(self, measure: ParticleMeasure) -> tuple[Array, Array]:
        """log π_ν and π_ν."""
        measure = _checks.instance("measure", measure, ParticleMeasure, "a ParticleMeasure")
        if measure.points.shape[1] != self.n_parameters:
            raise ValueError(f"measure must have points with {self.n_parameters} columns; got {measure.points.shape[1]}")
        energy = self.network.forward(measure.points, measure.weights)  # f_ν on all nodes, (n_s, n_a)
        policy = np.empty_like(energy)
        softmax(energy, self.mdp.actions.weights, policy)
        return energy, policy

    def _policy(self, measure: ParticleMeasure) -> mdp.PolicyEvaluation:
        log_policy, policy = self._softmax(measure)
        start = time.perf_counter()
        bellman = _evaluate(self.mdp, log_policy, policy)  # one LU: V, Q, occupancy
        self.seconds["linear algebra"] += time.perf_counter() - start
        return bellman

    def _signal(self, bellman: mdp.PolicyEvaluation) -> tuple[Array, float]:
        """Signal G and sup |δ|."""
        signal = np.empty_like(bellman.policy)
        weights = self.mdp.actions.weights
        return signal, covariance_signal(bellman.occupancy, weights, bellman.policy, bellman.advantage, signal)
