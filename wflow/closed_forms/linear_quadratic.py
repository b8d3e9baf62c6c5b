"""Wasserstein policy gradient of a linear-quadratic problem: Gaussian policies stay Gaussian (math.md §9)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wflow import _checks
from wflow._checks import Array
from wflow.closed_forms._arguments import time

__all__ = ["LinearQuadratic", "LinearQuadraticPath"]

_RTOL, _ATOL = 1e-12, 1e-13  # of the path's integration


@dataclass(frozen=True, init=False, eq=False)
class LinearQuadratic:
    """States ``x' = A x + B a + w``, w ~ N(0, W); reward ``−xᵀMx − aᵀRa``, discount γ, entropy bonus τ. All in units of one step.

    The value of the policy ``a | x ~ N(−K x, Σ)`` is ``V(x) = −xᵀP x − c`` with

        P = M + KᵀR K + γ (A − BK)ᵀ P (A − BK)
        c = [tr RΣ + γ tr P(W + BΣBᵀ) − τ/2 log det(2πe Σ)] / (1 − γ)

    so that ``∇_a Q = −2 G a − 2γ BᵀPA x``, G = R + γ BᵀPB, is linear in the action. Hence the flow ``da = ∇_a Q dt + √(2τ) dW`` of each
    state keeps the policy Gaussian, its mean linear in x and its covariance the same in all states:

        dK/dt = −2 (G K − γ BᵀPA),   dΣ/dt = −2 (GΣ + ΣG) + 2τ I.

    It rests at the optimum: ``K* = γ G⁻¹BᵀPA``, P of the Riccati equation, and ``Σ* = τ/2 G⁻¹``.

    Parameters
    ----------
    dynamics, control : ndarray, shapes (d, d) and (d, k); numbers for d = k = 1
        A and B.
    state_cost, action_cost : ndarray, shapes (d, d) and (k, k)
        M, symmetric and positive semi-definite, and R, symmetric and positive definite.
    discount, temperature : float
        γ in [0, 1), τ > 0.
    noise : ndarray, shape (d, d), optional
        W, symmetric and positive semi-definite; 0 unless given.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.
    """

    dynamics: Array
    control: Array
    state_cost: Array
    action_cost: Array
    discount: float
    temperature: float
    noise: Array

    def __init__(
        self, dynamics: npt.ArrayLike, control: npt.ArrayLike, *, state_cost: npt.ArrayLike, action_cost: npt.ArrayLike,
        discount: float, temperature: float, noise: npt.ArrayLike | None = None,
    ) -> None:  # fmt: skip
        A, B = _matrix("dynamics", dynamics), _matrix("control", control)
        d, k = B.shape
        if A.shape != (d, d):
            raise ValueError(f"dynamics must have shape {(d, d)} to fit control {(d, k)}; got {A.shape}")
        checked = {
            "dynamics": A, "control": B,
            "state_cost": _symmetric("state_cost", state_cost, d, definite=False),
            "action_cost": _symmetric("action_cost", action_cost, k, definite=True),
            "discount": _checks.real("discount", discount, at_least=0.0, below=1.0),
            "temperature": _checks.real("temperature", temperature, above=0.0),
            "noise": np.zeros((d, d)) if noise is None else _symmetric("noise", noise, d, definite=False),
        }  # fmt: skip
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def value_matrix(self, gain: npt.ArrayLike) -> Array:
        """P (d, d) of the gain K (k, d); ValueError if the value is not finite: √γ (A − BK) has a spectral radius of 1 or more."""
        gain = self._gain(gain)
        closed = math.sqrt(self.discount) * (self.dynamics - self.control @ gain)
        radius = float(np.abs(np.linalg.eigvals(closed)).max())
        if radius >= 1.0:
            raise ValueError(f"gain must make the spectral radius of sqrt(discount) (A - B K) less than 1; it is {radius:.6g}")
        return self._value_matrix(gain)

    def value_constant(self, gain: npt.ArrayLike, covariance: npt.ArrayLike) -> float:
        """The constant c of gain K (k, d) and covariance Σ (k, k)."""
        covariance = _symmetric("covariance", covariance, self.control.shape[1], definite=True)
        return self._constant(self.value_matrix(gain), covariance)

    def optimum(self) -> tuple[Array, Array]:
        """K* (k, d) and Σ* (k, k), by SciPy's discrete Riccati equation of √γ A, √γ B."""
        from scipy.linalg import solve_discrete_are

        root = math.sqrt(self.discount)
        found = solve_discrete_are(root * self.dynamics, root * self.control, self.state_cost, self.action_cost)
        P = np.asarray(found, dtype=np.float64)
        curvature = self._curvature(P)
        gain = np.asarray(np.linalg.solve(curvature, self.discount * self.control.T @ P @ self.dynamics), dtype=np.float64)
        covariance = np.asarray(self.temperature / 2.0 * np.linalg.inv(curvature), dtype=np.float64)
        return gain, (covariance + covariance.T) / 2.0

    def rates(self, gain: Array, covariance: Array) -> tuple[Array, Array]:
        """dK/dt (k, d) and dΣ/dt (k, k) in mean-field time, at a stable gain."""
        P = self._value_matrix(gain)
        G = self._curvature(P)
        dK: Array = -2.0 * (G @ gain - self.discount * self.control.T @ P @ self.dynamics)
        dS: Array = -2.0 * (G @ covariance + covariance @ G) + 2.0 * self.temperature * np.eye(len(G))
        return dK, dS

    def path(self, gain: npt.ArrayLike, covariance: npt.ArrayLike, t_end: float) -> LinearQuadraticPath:
        """The flow from (K, Σ) over [0, `t_end`], integrated to 1e-12 by DOP853; ValueError if the gain is not stable."""
        return LinearQuadraticPath(self, gain, covariance, t_end)

    def _gain(self, gain: npt.ArrayLike) -> Array:
        checked = _matrix("gain", gain)
        if checked.shape != self.control.shape[::-1]:
            raise ValueError(f"gain must have shape {self.control.shape[::-1]}; got {checked.shape}")
        return checked

    def _value_matrix(self, gain: Array) -> Array:
        """P as the solution of its linear system, d² unknowns: O(d⁶), for small d."""
        closed = self.dynamics - self.control @ gain
        cost, d = self.state_cost + gain.T @ self.action_cost @ gain, len(closed)
        P = np.linalg.solve(np.eye(d * d) - self.discount * np.kron(closed.T, closed.T), cost.ravel()).reshape(d, d)
        symmetric: Array = (P + P.T) / 2.0
        return symmetric

    def _curvature(self, P: Array) -> Array:
        """G = R + γ BᵀPB, half of −∇²_a Q."""
        G: Array = self.action_cost + self.discount * self.control.T @ P @ self.control
        return G

    def _constant(self, P: Array, covariance: Array) -> float:
        entropy = 0.5 * (len(covariance) * (1.0 + math.log(2.0 * math.pi)) + float(np.linalg.slogdet(covariance)[1]))
        spread = self.noise + self.control @ covariance @ self.control.T
        cost = np.trace(self.action_cost @ covariance) + self.discount * np.trace(P @ spread)
        return (float(cost) - self.temperature * entropy) / (1.0 - self.discount)


class LinearQuadraticPath:
    """Gain and covariance of the Wasserstein policy gradient at times in [0, t_end]; made by `LinearQuadratic.path`."""

    def __init__(self, problem: LinearQuadratic, gain: npt.ArrayLike, covariance: npt.ArrayLike, t_end: float) -> None:
        from scipy.integrate import solve_ivp

        self.problem, self.t_end = problem, _checks.real("t_end", t_end, above=0.0)
        problem.value_matrix(gain)  # stable, so stable ever after: E rises
        K = problem._gain(gain)
        S = _symmetric("covariance", covariance, len(K), definite=True)
        self._split = K.shape

        def field(_: float, y: Array) -> Array:
            return np.concatenate([part.ravel() for part in problem.rates(*self._parts(y))])

        found = solve_ivp(field, (0.0, self.t_end), np.concatenate([K.ravel(), S.ravel()]), "DOP853", dense_output=True,
                          rtol=_RTOL, atol=_ATOL)  # fmt: skip
        if not found.success:
            raise RuntimeError(f"the flow of gain and covariance could not be integrated: {found.message}")
        self._solution: Any = found.sol

    def gain(self, t: float) -> Array:
        """K_t, shape (k, d)."""
        return self._at(t)[0]

    def covariance(self, t: float) -> Array:
        """Σ_t, shape (k, k)."""
        return self._at(t)[1]

    def energy(self, t: float, second_moment: npt.ArrayLike) -> float:
        """E = ``−tr(P X) − c`` of the policy at t, for a first state with E[x xᵀ] = X (d, d)."""
        X = _symmetric("second_moment", second_moment, self._split[1], definite=False)
        gain, covariance = self._at(t)
        P = self.problem._value_matrix(gain)
        return -float(np.trace(P @ X)) - self.problem._constant(P, covariance)

    def _at(self, t: float) -> tuple[Array, Array]:
        if time(t) > self.t_end:
            raise ValueError(f"t must be at most {self.t_end:g}, the end of the path; got {t!r}")
        return self._parts(self._solution(t))

    def _parts(self, y: Array) -> tuple[Array, Array]:
        """K (k, d) and Σ (k, k) of a flat array."""
        k, d = self._split
        return y[: k * d].reshape(k, d), y[k * d :].reshape(k, k)


def _matrix(name: str, value: npt.ArrayLike) -> Array:
    """A finite matrix; a number stands for (1, 1)."""
    return _checks.array(name, [[value]] if np.ndim(value) == 0 else value, (None, None))


def _symmetric(name: str, value: npt.ArrayLike, size: int, *, definite: bool) -> Array:
    """A symmetric matrix (size, size), positive definite or semi-definite."""
    matrix = _matrix(name, value)
    if matrix.shape != (size, size):
        raise ValueError(f"{name} must have shape {(size, size)}; got {matrix.shape}")
    largest = float(np.abs(matrix).max(initial=0.0))
    least = float(np.linalg.eigvalsh(matrix).min())
    if np.abs(matrix - matrix.T).max(initial=0.0) > 1e-12 * largest or (least <= 0.0 if definite else least < -1e-12 * largest):
        kind = "definite" if definite else "semi-definite"
        raise ValueError(f"{name} must be symmetric and positive {kind}; got {_checks.show(matrix.tolist())}")
    return matrix
