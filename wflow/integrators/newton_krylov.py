"""Matrix-free implicit method for late times: a Rosenbrock–W method whose linear systems are solved in a Krylov space."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from scipy.integrate import DenseOutput

from wflow import _checks
from wflow._checks import Array
from wflow.integrators._krylov import SharedKrylov
from wflow.integrators._vector import combine, rms
from wflow.integrators.base import Adaptive, Field, LinearOutput
from wflow.integrators.embedded import tableau

__all__ = ["ALPHA", "B_HAT", "GAMMAS", "B", "Jacobian", "NewtonKrylov"]

Jacobian: TypeAlias = Callable[[float, Array], Callable[[Array], Array]]

# ROS34PW2 of Rang & Angermann (BIT 45, 2005, table 4.2): order 3 with any matrix in the place of df/dy, embedded order 2.
_GAMMA = 4.3586652150845900e-01
ALPHA = tableau(
    [
        [8.7173304301691801e-01],
        [8.4457060015369423e-01, -1.1299064236484185e-01],
        [0.0, 0.0, 1.0],
    ]
)
GAMMAS = _GAMMA * np.eye(4) + tableau(
    [
        [-8.7173304301691801e-01],
        [-9.0338057013044082e-01, 5.4180672388095326e-02],
        [2.4212380706095346e-01, -1.2232505839045147e00, 5.4526025533510214e-01],
    ]
)
B = np.array([2.4212380706095346e-01, -1.2232505839045147e00, 1.5452602553351020e00, 4.3586652150845900e-01])
B_HAT = np.array([3.7810903145819369e-01, -9.6042292212423178e-02, 5.0e-01, 2.1793326075422950e-01])
if not (np.allclose(B, (ALPHA + GAMMAS)[-1], rtol=0.0, atol=1e-14) and abs(B.sum() - 1.0) < 1e-14 and abs(B_HAT.sum() - 1.0) < 1e-14):
    raise ValueError("ROS34PW2: the weights are not the last row of ALPHA + GAMMAS, or do not sum to 1")

_TIMES, _DRIFT = ALPHA.sum(axis=1), GAMMAS.sum(axis=1)  # of the stages; of ∂f/∂t in them
# In the unknowns u = Γ k, whose stages need no products beside those of the linear solver (Hairer & Wanner II, §IV.7).
_INVERSE = np.linalg.inv(GAMMAS)
_A, _C = np.tril(ALPHA @ _INVERSE, -1), np.tril(-_INVERSE, -1)
_M, _E = B @ _INVERSE, (B - B_HAT) @ _INVERSE
# Dense output y + sum_k b_k(θ) k with b(θ) = _DENSE (θ, θ², θ³): sum b = θ, b·α = θ²/2, b·Γ1 = 0 (order 2 with any J), b·α² = θ³/3.
_DENSE = np.linalg.solve(np.stack([np.ones(4), _TIMES, _DRIFT, _TIMES**2]),
                         np.array([[1.0, 0.0, 0.0], [0.0, 1.0 / 2.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0 / 3.0]]))  # fmt: skip

_LINEAR = 0.02  # norm of a linear system's residual, against that of 1 for the step's error
_UNSOLVED = 0.25  # factor on a step whose systems were not solved: the dimension they need goes with its root at most
_ROOT = math.sqrt(np.finfo(float).eps)


class NewtonKrylov(Adaptive):
    """Rosenbrock–W method of order 3(2), L-stable and stiffly accurate, with linear systems solved in a Krylov space.

    Four stages, each one Newton iteration: ``(I − h γ J) u_i = γ (h f(y + sum_j A_ij u_j) + sum_j C_ij u_j + h² γ_i ∂f/∂t)``. Only
    products J v are asked for, and the order holds whatever J is: an inexact one costs stability, not order. The four systems
    of a step share one space (`SharedKrylov`) and are solved to a fiftieth of the step's tolerance, in its norm. A step whose systems
    want more than `max_dimension` products is quartered, and steps grow no faster than would just fill the space.
    Dense output: of order 2 from the stages, continuous. (A cubic Hermite would multiply the stiff part of y's error by h ρ.)

    **When it pays.** A step costs four evaluations, `jacobian` once, and about as many products as h J has eigenvalues apart from
    each other above 1. Where the spectrum decays fast, as kernels make it, that grows like log h, where `rkc2` grows like √(h ρ), ρ the
    spectral radius: late, when steps have become long. For the policy value (N = 800, rtol 1e-3) evaluations and products together
    are as many as rkc2's evaluations at t = 10⁴, or more, half to nine tenths of them at 10⁵, and a quarter to a half at 10⁶.
    Tolerances much above 1e-3 do not serve late times: errors in the stiff directions, which `rkc2` damps, then show in the energy.
    Nor does it serve fields whose stiff part bends within a step: such steps are rejected with errors of 10 to 100.

    Memory: (2 k + 14) n numbers beside those of `fun`, k ≤ max_dimension the products of the dearest step. The k-th product costs
    6 k n to 10 k n operations beside itself.

    Parameters
    ----------
    fun, t0, y0, t_bound, rtol, atol, first_step, max_step, norm, vectorized
        As for `wflow.integrators.base.Adaptive`.
    jacobian : callable (t, y) -> (callable v (n,) -> J v (n,)), or None
        J = df/dy at (t, y), asked for once a step; None: differences of `fun`, one evaluation a product and 1e-8 apart.
    max_dimension : int
        At most so many products in an attempt.

    Notes
    -----
    ∂f/∂t is a difference, one evaluation; a field for which it is exactly 0 in an attempt is taken to be autonomous from then on.
    """

    order = 3
    estimate_order = 3
    _memory = (*Adaptive._memory, "_products", "_autonomous")

    def __init__(
        self, fun: Field, t0: float, y0: Array, t_bound: float, *, jacobian: Jacobian | None = None, max_dimension: int = 40, **options: Any
    ) -> None:
        super().__init__(fun, t0, y0, t_bound, **options)
        if jacobian is not None and not callable(jacobian):
            raise TypeError(f"jacobian must be a callable (t, y) -> (v -> J v) or None; got {_checks.show(jacobian)}")
        self.jacobian = jacobian
        self.max_dimension = _checks.integer("max_dimension", max_dimension, at_least=1)
        self._space = SharedKrylov(min(self.max_dimension, self.n), self.n)
        self._products = self._autonomous = 0
        self._solved = True
        self._buffer = np.empty(self.n)
        self._linear: tuple[Array, Callable[[Array], Array]] | None = None  # J v, and the state it is for
        self._last: tuple[Array, ...] = ()  # the stages u of the last step

    @property
    def counts(self) -> dict[str, int]:
        """As `Integrator.counts`, and the products in ``"jacobian"``; those by differences are among `stages` and `rhs` too."""
        return {**super().counts, "jacobian": self._products}

    def _attempt(self, t: float, h: float) -> tuple[Array, Array, float] | None:
        assert self.f is not None
        operator, drift = self._operator(h), self._drift(h)
        self._space.clear()
        self._solved = True
        stages: tuple[Array, ...] = ()
        f, y = self.f, np.empty_like(self.y)
        for i in range(4):
            if i > 0:
                if not combine(self._buffer, np.array([1.0, *_A[i, :i]]), (self.y, *stages)):
                    return None
                f = self._stage(self.t + _TIMES[i] * h, self._buffer)
            right = np.empty_like(self.y)
            if not combine(right, _GAMMA * np.array([h, h * h * _DRIFT[i], *_C[i, :i]]), (f, drift, *stages)):
                return None
            u = self._space.solve(operator, right, self._converged)
            self._solved = u is not None
            if u is None:
                return None
            stages = (*stages, u)
        if not combine(y, np.array([1.0, *_M]), (self.y, *stages)):
            return None
        error = self._norm_of(tuple(_E), stages, y)
        if not error <= 1.0:
            return y, self.f, error
        f, self._last = self._stage(t, y), stages
        return (y, f, error) if np.isfinite(f).all() else None

    def _stage(self, t: float, y: Array) -> Array:
        self._stages += 1
        return self._evaluate(t, y)

    def _converged(self, residual: Array) -> bool:
        return self.norm(residual, self.y, self.y, self.rtol, self.atol) <= _LINEAR

    def _operator(self, h: float) -> Callable[[Array], Array]:
        """v -> (I − h γ J) v, counted."""
        if self._linear is None or self._linear[0] is not self.y:
            self._linear = self.y, self._difference if self.jacobian is None else self.jacobian(self.t, self.y)
        multiply = self._linear[1]

        def operator(v: Array) -> Array:
            self._products += 1
            image = np.empty_like(v)
            combine(image, np.array([1.0, -h * _GAMMA]), (v, _checks.fitting("jacobian(t, y)(v)", multiply(v), v.shape)))
            return image

        return operator

    def _difference(self, v: Array) -> Array:
        """J v by a one-sided difference."""
        assert self.f is not None
        step = _ROOT * (max(rms(self.y), float(self.atol.max())) or 1.0) / rms(v)
        combine(self._buffer, np.array([1.0, step]), (self.y, v))
        image = np.empty_like(v)
        combine(image, np.array([1.0 / step, -1.0 / step]), (self._stage(self.t, self._buffer), self.f))
        return image

    def _drift(self, h: float) -> Array:
        """∂f/∂t by a one-sided difference."""
        assert self.f is not None
        drift = np.zeros_like(self.y)
        if not self._autonomous:
            dt = math.copysign(_ROOT * max(abs(self.t), abs(h)), h)
            combine(drift, np.array([1.0 / dt, -1.0 / dt]), (self._stage(self.t + dt, self.y), self.f))
            self._autonomous = int(not drift.any())
        return drift

    def _growth(self, error: float) -> float:
        return min(super()._growth(error), max(0.5, (0.9 * self.max_dimension / max(1, self._space.size)) ** 2))

    def _retry(self, h: float, error: float) -> float:
        return super()._retry(h, error) if self._solved else _UNSOLVED * h

    def _dense_output_impl(self) -> DenseOutput:
        return LinearOutput(self.t_old, self.t, (self._y_old, *self._last), interpolant)


def interpolant(theta: float) -> Array:
    """Weights of (y_old, u_1, ..., u_4) at fraction `theta` of a step."""
    return np.concatenate(([1.0], (_DENSE @ theta ** np.arange(1, 4)) @ _INVERSE))
