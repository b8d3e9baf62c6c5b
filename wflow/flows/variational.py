"""How a stored field stretches space: the variational matrix of its flow map and Liouville's formula (math.md §7)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow.flows.stored_field import FieldEnergy, StoredField
from wflow.flows.wasserstein import checked_initial, particle_norm
from wflow.measures import ParticleMeasure

__all__ = ["SmoothEnergy", "VariationalFlow", "Variations", "jacobian"]

# Central differences of fourth order: f' = sum_k c_k f(x + k h)/h up to h⁴ f⁽⁵⁾/30 and the rounding of f, 3/2 ε/h. With h⁴ = ε both
# stay below some 3e-12 for derivatives up to f⁽⁵⁾ = 10⁵ f, as a bump of width 0.1 has. Second order would leave 4e-11 f''' at best.
_OFFSETS = (-2.0, -1.0, 1.0, 2.0)
_COEFFICIENTS = (1.0 / 12.0, -2.0 / 3.0, 2.0 / 3.0, -1.0 / 12.0)
_STEP = float(np.finfo(float).eps ** 0.25)


class SmoothEnergy(FieldEnergy, Protocol):
    """An energy with first variation ω0 g(ω̄), whose field F = (g, ω0 ∇g) has the divergence ω0 Δg."""

    def laplacian(self, points: Array, signal: Array) -> Array:
        """Δ_ω̄ g at points (K, m) under a signal, shape (K,); ValueError where g has none."""
        ...


@dataclass(frozen=True, eq=False)
class Variations:
    """Tracers, and how the flow stretches space around each.

    Attributes
    ----------
    points : ndarray, shape (K, m)
        X_t(ω).
    matrices : ndarray, shape (K, m, m)
        ``M = ∂X_t/∂ω``, the identity at the start; column j is the derivative in the j-th coordinate of the start.
    log_volume : ndarray, shape (K,)
        ``∫ div F(X_s; ν_s) ds`` from the start to t, in nats. By Liouville's formula it is log det M.
    """

    points: Array
    matrices: Array
    log_volume: Array

    @cached_property
    def _determinants(self) -> tuple[Array, Array]:
        sign, logarithm = np.linalg.slogdet(self.matrices)
        return sign, logarithm

    @property
    def orientation(self) -> Array:
        """The sign of det M (K,): +1, since a flow neither folds nor mirrors; 0 or −1 tells of a failed computation."""
        return self._determinants[0]

    @property
    def log_determinant(self) -> Array:
        """log |det M| (K,), nats."""
        return self._determinants[1]

    @property
    def condition(self) -> Array:
        """The condition number of M (K,): relative errors of M reach log |det M| as much larger; beyond 1/ε it has no meaning."""
        number: Array = np.linalg.cond(self.matrices)
        return number

    @property
    def defect(self) -> Array:
        """``log |det M| − ∫ div F`` (K,), nats: 0 but for errors, since each comes by a route of its own."""
        return self.log_determinant - self.log_volume


class VariationalFlow:
    """Massless tracers in a stored field, their variational matrices and the divergence along their way.

    ``dω/dt = F(ω; ν_t)``, ``dM/dt = DF(ω; ν_t) M`` from the identity, ``dL/dt = ω0 Δg`` from 0. DF comes by differences of the
    energy's `field` and never sees a second derivative of the neuron; L comes by these and never sees a difference. That
    log det M = L (Liouville) thus tests field, second derivatives and integration at once. Implements `wflow.flows.Flow`.

    Parameters
    ----------
    energy : SmoothEnergy
        Has ``field(points, signal)`` and ``laplacian(points, signal)``, such as `PolicyValue` with a smooth activation.
    field : StoredField

    Raises
    ------
    TypeError, ValueError
        If the energy lacks a method; by `pack`, if it has no Laplacian (ReLU) or the start does not fit it.

    Notes
    -----
    State y: points (K m), matrices (K m²), log volumes (K). An evaluation costs the energy's `field` at (4 m + 1) K points, its
    `laplacian` at K, and memory of O(m² K). The solver's default method is made for stiff flows at loose tolerances: take "tsit5".

    Where the flow contracts for long, M becomes singular to rounding and its determinant is lost, sign included (`Variations`,
    ``condition``). Then go in windows, each run from the points of the one before, ``M(t, 0) = M(t, s) M(s, 0)``: sum their
    log determinants and their log volumes.
    """

    def __init__(self, energy: SmoothEnergy, field: StoredField) -> None:
        for name in ("field", "laplacian"):
            if not callable(getattr(energy, name, None)):
                raise TypeError(f"energy must have a method {name}(points, signal); got {_checks.show(energy)}")
        self.energy = energy
        self.stored = _checks.instance("field", field, StoredField, "a wflow.flows.StoredField")
        self._shape = (0, 0)
        self._uniform = np.empty(0)

    def pack(self, initial: ParticleMeasure) -> Array:
        """The points of the measure with M = I and L = 0 as a flat array (K (m + m² + 1),); weights play no part."""
        points = checked_initial(self.energy, initial).points
        self.energy.laplacian(points[:1], self.stored.signals[0])  # what has none is refused here, before any work
        n, m = self._shape = (points.shape[0], points.shape[1])
        self._uniform = np.full(n, 1.0 / n)
        return np.concatenate([points.ravel(), np.tile(np.eye(m).ravel(), n), np.zeros(n)])

    def unpack(self, y: Array) -> Variations:
        """Points, matrices and log volumes of a flat array, which it does not copy."""
        n, m = self._shape
        points, matrices, log_volume = np.split(y, (n * m, n * m * (1 + m)))
        return Variations(points.reshape(n, m), matrices.reshape(n, m, m), log_volume)

    def rhs(self, t: float, y: Array) -> Array:
        """F, DF M and div F, flat."""
        now, signal = self.unpack(y), self.stored(t)
        velocity, derivative = jacobian(self.energy, now.points, signal)
        divergence = now.points[:, 0] * self.energy.laplacian(now.points, signal)
        return np.concatenate([velocity.ravel(), (derivative @ now.matrices).ravel(), divergence])

    def diagnostics(self, t: float, y: Array) -> dict[str, float]:  # noqa: ARG002 (a flow's signature)
        """The largest |defect|, the least orientation and the largest condition number of all tracers; they have no energy: 0."""
        now = self.unpack(y)
        worst = {"defect": np.abs(now.defect).max(), "orientation": now.orientation.min(), "condition": now.condition.max()}
        return {"energy": 0.0, **{name: float(value) for name, value in worst.items()}}

    def error_norm(self, error: Array, y_old: Array, y_new: Array, rtol: float, atol: Array) -> float:
        """The largest of three root mean squares over the tracers, so that each of points, matrices and volumes meets the tolerance.

        Points and matrices count as in `WassersteinFlow.error_norm`, a matrix as a vector of m² numbers. A volume counts by its
        relative error, which is the error of its logarithm, against ``atol + rtol``.
        """
        wrong, old, new = self.unpack(error), self.unpack(y_old), self.unpack(y_new)
        points = particle_norm(wrong.points.ravel(), old.points.ravel(), new.points.ravel(), self._uniform, rtol, atol[0])
        matrices = particle_norm(wrong.matrices.ravel(), old.matrices.ravel(), new.matrices.ravel(), self._uniform, rtol, atol[0])
        volumes = np.sqrt(np.square(wrong.log_volume).mean()) / (atol[0] + rtol)
        return float(np.max([points, matrices, volumes]))  # NaN stays


def jacobian(energy: FieldEnergy, points: Array, signal: Array) -> tuple[Array, Array]:
    """The field F (K, m) at points (K, m) and ``DF[k, i, j] = ∂F_i/∂ω_j`` (K, m, m), by central differences of fourth order.

    Steps are ``ε^{1/4} (1 + |ω_j|)``, 1.2e-4 and more; errors some 3e-12 of F's terms where these vary over lengths of 0.1 or more.
    One call of the energy's `field`, at (4 m + 1) K points.
    """
    n, m = points.shape
    steps = (points + _STEP * (1.0 + np.abs(points))) - points  # as they come out in floating point
    stencil = np.tile(points, (1 + len(_OFFSETS) * m, 1, 1))  # the points, then offset by offset and coordinate by coordinate
    shifted = stencil[1:].reshape(len(_OFFSETS), m, n, m)
    for j in range(m):
        shifted[:, j, :, j] += np.multiply.outer(_OFFSETS, steps[:, j])
    values = energy.field(stencil.reshape(-1, m), signal).reshape(-1, n, m)
    differences = np.tensordot(_COEFFICIENTS, values[1:].reshape(len(_OFFSETS), m, n, m), 1)  # (j, k, i)
    return values[0], differences.transpose(1, 2, 0) / steps[:, None, :]
