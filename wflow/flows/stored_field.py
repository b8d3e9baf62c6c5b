"""The field of a solved flow, stored: massless tracers follow it without solving the flow again (math.md §6, §7)."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Protocol

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow.flows.wasserstein import checked_initial, particle_norm
from wflow.measures import ParticleMeasure

__all__ = ["FieldEnergy", "StoredField", "TracerFlow"]


class FieldEnergy(Protocol):
    """An energy whose velocity at any point depends on the measure through an array, its signal."""

    def signal(self, measure: ParticleMeasure) -> Array:
        """What the field depends on, of one shape for all measures: for the policy value G (n_s, n_a), math.md §3."""
        ...

    def field(self, points: Array, signal: Array) -> Array:
        """The velocity (K, m) at points (K, m) under that signal; at the particles of a measure and its own signal, `velocity`."""
        ...


class StoredField:
    """Signals of a moving measure at some times, and between them by a cubic spline in log(1 + t).

    The spline's error is of fourth order in the spacing of the times where the signal is smooth in time.
    `wflow.studies.chaos` measures it, by carrying the particles of the flow through their own stored field.

    Parameters
    ----------
    times : array_like, shape (K,)
        Mean-field times from 0 on, increasing; two or more.
    signals : array_like, shape (K, ...)
        The signal at each.

    Notes
    -----
    Memory: four times that of the signals. One evaluation costs eight operations a number of the signal.
    """

    def __init__(self, times: Any, signals: Any) -> None:
        self.times = _checks.array("times", times, (None,), at_least=0.0)
        if len(self.times) < 2 or not (np.diff(self.times) > 0.0).all():
            raise ValueError(f"times must be two or more and increase; got {_checks.show(self.times)}")
        self.signals = _checks.array("signals", signals)
        if self.signals.ndim < 2 or len(self.signals) != len(self.times):
            raise ValueError(f"signals must have shape ({len(self.times)}, ...); got {self.signals.shape}")

    @cached_property
    def _spline(self) -> Any:
        from scipy.interpolate import CubicSpline

        return CubicSpline(np.log1p(self.times), self.signals.reshape(len(self.times), -1))

    def __call__(self, t: float) -> Array:
        """The signal at a time between the first and the last.

        Raises
        ------
        ValueError
            Outside them: nothing is extrapolated.
        """
        if not self.times[0] <= t <= self.times[-1] * (1.0 + 1e-12):
            raise ValueError(f"t must lie in [{self.times[0]:g}, {self.times[-1]:g}], where the field is stored; got {t!r}")
        signal: Array = self._spline(np.log1p(t)).reshape(self.signals.shape[1:])
        return np.ascontiguousarray(signal)


class TracerFlow:
    """Massless particles in a stored field: ``dω_n/dt = F(ω_n; ν_t)``. Implements `wflow.flows.Flow`.

    Weights only label the tracers: they do not act on the field, and all tracers enter the error norm uniformly.

    Parameters
    ----------
    energy : FieldEnergy
        Has ``field(points, signal)``; `PolicyValue` and `QuadraticInteraction` do.
    field : StoredField

    Notes
    -----
    State y: the points (N, m), row after row. An evaluation costs the energy's `field` and one of the spline; no forward pass.
    """

    state_kind = "particles"

    def __init__(self, energy: FieldEnergy, field: StoredField) -> None:
        if not callable(getattr(energy, "field", None)):
            raise TypeError(f"energy must have a method field(points, signal); got {_checks.show(energy)}")
        self.energy = energy
        self.stored = _checks.instance("field", field, StoredField, "a wflow.flows.StoredField")
        self._weights = np.empty(0)
        self._uniform = np.empty(0)

    def pack(self, initial: ParticleMeasure) -> Array:
        """Points of the measure as a flat array (N m,)."""
        initial = checked_initial(self.energy, initial)
        self._weights = initial.weights
        self._uniform = np.full(initial.size, 1.0 / initial.size)
        return initial.points.ravel().copy()

    def unpack(self, y: Array) -> ParticleMeasure:
        """The measure of a flat array (N m,), which it does not copy."""
        return ParticleMeasure._trusted(y.reshape(len(self._weights), -1), self._weights)

    def rhs(self, t: float, y: Array) -> Array:
        """Velocities, flat (N m,)."""
        return self.energy.field(y.reshape(len(self._weights), -1), self.stored(t)).ravel()

    def diagnostics(self, t: float, y: Array) -> dict[str, float]:  # noqa: ARG002 (a flow's signature)
        """Tracers have no energy: 0."""
        return {"energy": 0.0}

    def error_norm(self, error: Array, y_old: Array, y_new: Array, rtol: float, atol: Array) -> float:
        """Root mean square over the tracers of ``|e_n| / (atol + rtol max(|ω_n(t)|, |ω_n(t + h)|))``."""
        return particle_norm(error, y_old, y_new, self._uniform, rtol, atol[0])

    def static(self) -> dict[str, Array]:
        """The weights, by which a stored run is read."""
        return {"weights": self._weights}
