"""The derivative of the velocity field v -> DF[v] of the policy value, from its covariance structure (math.md §3)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from scipy import sparse
from scipy.linalg.lapack import dgetrf, dgetrs
from scipy.sparse.linalg import splu

from wflow import _checks
from wflow._checks import Array
from wflow._jit import REASSOC, blas_single_thread, njit

if TYPE_CHECKING:
    from wflow import mdp
    from wflow.energies.policy_value import PolicyEvaluation
    from wflow.mdp import MDP

__all__ = ["Product", "linearised"]

Product: TypeAlias = Callable[[Array], Array]

_HOLD_THREADS_FROM = 128  # states, as in `wflow.mdp.resolvent`


def linearised(evaluation: PolicyEvaluation) -> Product:
    """v (N, m) -> DF[v] (N, m), the derivative of ``n -> F(ω_n; ν)`` as all points move along v.

    With ``df = sum_n p_n ∇ψ(ω_n)·v_n`` on the nodes and the signal's derivative dG along it (`_signal_derivative`),

        ``DF[v]_n = ∇_ω sum_ij dG_ij ψ_ij(ω_n) + ∇²(ω0 g)(ω_n) v_n``,  ``∇²(ω0 g) v = (∇g·v̄, v0 ∇g + ω0 ∇²g v̄)``.

    As ``p_n F(ω_n) = ∂E/∂ω_n``, DF is self-adjoint in ``<u, v> = sum_n p_n u_n·v_n``. For ReLU it is the derivative between
    kinks: what F gains in jumps, as kinks pass nodes, is left out. With ``field="continuous"`` F does not jump, and DF is not
    quite self-adjoint.

    Cost: once, a gradient and a curvature pass of the network and an LU factorisation, O(n_s³); for a product, a tangent
    and an adjoint pass, two solves, O(n_s²), and for dense kernels two passes over P: about one field evaluation. Memory O(N m² + M).

    Parameters
    ----------
    evaluation : PolicyEvaluation
        The energy's evaluation of the measure.
    """
    energy, measure = evaluation._energy, evaluation.measure
    points, weights = measure.points, measure.weights
    unit = points.copy()
    unit[:, 0] = 1.0
    gradient = energy.field(unit, evaluation.signal)[:, 1:]  # ∇g, not ω0 ∇g
    curvature = energy._curvature(points, evaluation.signal)
    if curvature is not None:
        curvature *= points[:, :1, None]
    signal_derivative = _signal_derivative(energy.mdp, evaluation.bellman)

    def product(v: Array) -> Array:
        v = _checks.fitting("v", v, points.shape)
        out = energy.field(points, signal_derivative(energy.network.tangent(points, weights, v)))
        _add_local(gradient, v, out)
        if curvature is not None:
            _add_curvature(curvature, v, out)
        return out

    return product


def _signal_derivative(mdp: MDP, bellman: mdp.PolicyEvaluation) -> Product:
    """df (n_s, n_a) -> dG (n_s, n_a), the derivative of ``G = ϱ w π δ``.

    With u = df − <π, df>, so that dπ = π u: ``dV = (I − γP)^{-1} <π, u δ>`` (the derivative of τ log π averages out),
    ``dϱ = (I − γPᵀ)^{-1} γ dPᵀ ϱ`` and ``dδ = γ P dV − τ u − dV``. Then ``dG = w π (dϱ δ + ϱ (u δ + dδ))``.
    """
    transition, discount, temperature = mdp.transition, mdp.discount, mdp.temperature
    occupancy, advantage = bellman.occupancy, bellman.advantage
    mass = bellman.policy * mdp.actions.weights
    unmoved = np.zeros(len(occupancy)), np.zeros(mass.shape)
    solve = _resolvent(transition.policy_matrix(mass), discount)

    def derivative(df: Array) -> Array:
        flux, gain = np.empty_like(df), np.empty(len(occupancy))
        _policy_derivative(mass, advantage, occupancy, df, flux, gain)
        dV = solve(gain, False)
        d_occupancy, expected = unmoved
        if discount > 0.0:
            expected = transition.expect(dV)
            d_occupancy = solve(discount * np.asarray(transition.policy_matrix(flux).sum(axis=0)).ravel(), True)
        _assemble(mass, advantage, occupancy, d_occupancy, expected, dV, discount, temperature, df)
        return df

    return derivative


def _resolvent(policy_matrix: Array | sparse.csr_array, discount: float) -> Callable[[Array, bool], Array]:
    """(b (n_s,), transposed) -> (I − γP)^{-1} b or (I − γPᵀ)^{-1} b, from one LU factorisation."""
    if discount == 0.0:
        return lambda b, _: b
    if not isinstance(policy_matrix, np.ndarray):
        factors: Any = splu(sparse.csc_array(sparse.eye_array(policy_matrix.shape[0]) - discount * policy_matrix))
        return lambda b, transposed: factors.solve(b, trans="T" if transposed else "N")
    hold = blas_single_thread if len(policy_matrix) >= _HOLD_THREADS_FROM else nullcontext
    with hold():  # the transpose of a C-ordered array is the Fortran-ordered one LAPACK factors in place, so trans swaps
        lu, pivots, _ = dgetrf((np.eye(len(policy_matrix)) - discount * policy_matrix).T, overwrite_a=True)

    def solve(b: Array, transposed: bool) -> Array:
        with hold():
            x: Array = dgetrs(lu, pivots, b, trans=0 if transposed else 1)[0]
        return x

    return solve


@njit(fastmath=REASSOC)
def _policy_derivative(mass: Array, advantage: Array, occupancy: Array, df: Array, flux: Array, gain: Array) -> None:
    """df becomes u = df − <π, df>; flux = ϱ w π u (n_s, n_a), gain = <π, u δ> (n_s,)."""
    n_s, n_a = mass.shape
    for i in range(n_s):
        mean = 0.0
        for j in range(n_a):
            mean += mass[i, j] * df[i, j]
        total = 0.0
        for j in range(n_a):
            df[i, j] -= mean
            change = mass[i, j] * df[i, j]
            flux[i, j] = occupancy[i] * change
            total += change * advantage[i, j]
        gain[i] = total


@njit(fastmath=REASSOC)
def _assemble(mass: Array, advantage: Array, occupancy: Array, d_occupancy: Array, expected: Array, dV: Array, discount: float,
              temperature: float, u: Array) -> None:  # fmt: skip
    """u becomes dG; arrays (n_s, n_a) and (n_s,). Rows sum to 0 but for rounding, which is taken out as in the signal."""
    n_s, n_a = mass.shape
    for i in range(n_s):
        mean = 0.0
        for j in range(n_a):
            change = u[i, j] * advantage[i, j] + (discount * expected[i, j] - temperature * u[i, j] - dV[i])
            u[i, j] = d_occupancy[i] * advantage[i, j] + occupancy[i] * change
            mean += mass[i, j] * u[i, j]
        for j in range(n_a):
            u[i, j] = mass[i, j] * (u[i, j] - mean)


@njit(fastmath=REASSOC)
def _add_local(gradient: Array, v: Array, out: Array) -> None:
    """out (N, m) += (∇g·v̄, v0 ∇g); gradient (N, m − 1)."""
    for n in range(v.shape[0]):
        for k in range(gradient.shape[1]):
            out[n, 0] += gradient[n, k] * v[n, 1 + k]
            out[n, 1 + k] += gradient[n, k] * v[n, 0]


@njit(fastmath=REASSOC)
def _add_curvature(curvature: Array, v: Array, out: Array) -> None:
    """Last columns of out (N, m) += curvature (N, m − 1, m − 1) times those of v."""
    q = curvature.shape[1]
    for n in range(v.shape[0]):
        for k in range(q):
            total = 0.0
            for e in range(q):
                total += curvature[n, k, e] * v[n, 1 + e]
            out[n, 1 + k] += total
