"""Residuals of a measure: how far it is from a fixed point, and from the optimum (math.md §7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow.energies._kernels import mean_square
from wflow.energies.domains import RADIUS, Box, Domain, Sphere
from wflow.energies.supremum import supremum
from wflow.measures import ParticleMeasure

__all__ = ["Residuals", "residuals"]

_OWN = 1024  # of the measure's own ω̄ that the search starts from
_BLOCK = 2048  # points in one call of the field


@dataclass(frozen=True, eq=False)
class Residuals:
    """What vanishes at the optimum, of a measure ν and an energy whose neurons are ω0 φ(·; ω̄); NaN where the energy offers none.

    A fixed point whose support projects onto all of Θ has δ = 0; spurious ones have F = 0 on the support and g_ν ≠ 0 somewhere.

    Attributes
    ----------
    advantage_sup, advantage_l2 : float
        sup|δ|, and ``sqrt(sum_ij ϱ_i w_j π_ij δ_ij²)``, in units of the reward.
    g_sup : float
        sup over Θ of |g_ν|, as far as the search found it: a lower bound.
    g_argmax : ndarray, shape (d,)
        The ω̄ in Θ where |g_ν| is that.
    g_value : float
        g_ν there, with its sign.
    g_bound : float
        Upper bound of the same supremum.
    dissipation : float
        ∫|F|² dν.
    gap, gap_lower, gap_upper : float
        E* − E and its two-sided certificate (math.md §2).
    """

    advantage_sup: float
    advantage_l2: float
    g_sup: float
    g_argmax: Array
    g_value: float
    g_bound: float
    dissipation: float
    gap: float
    gap_lower: float
    gap_upper: float

    def lines(self) -> list[str]:
        """Two lines for people: δ, where the energy has it, and F; then g_ν. The gap is told elsewhere."""
        advantage = "" if np.isnan(self.advantage_sup) else f"sup|δ| {self.advantage_sup:.3g} (in L² {self.advantage_l2:.3g}), "
        bound = f" (at most {self.g_bound:.3g})" if np.isfinite(self.g_bound) else ""
        return [f"{advantage}∫|F|²dν {self.dissipation:.3g}", f"sup|g_ν| {self.g_sup:.3g}{bound} at ω̄ = {self.where()}"]

    def where(self) -> str:
        """The first six coordinates of `g_argmax`, for people."""
        return f"({', '.join(f'{x:.3g}' for x in self.g_argmax[:6])}{', ...' if len(self.g_argmax) > 6 else ''})"

    def plain(self) -> dict[str, Any]:
        """As plain data, for a file."""
        return {**asdict(self), "g_argmax": self.g_argmax.tolist()}

    @classmethod
    def of_plain(cls, data: Mapping[str, Any]) -> Residuals:
        """The inverse of `plain`."""
        values = {field.name: data[field.name] for field in fields(cls)}
        return cls(**{**values, "g_argmax": np.array(values["g_argmax"], dtype=np.float64)})


def residuals(energy: Any, measure: ParticleMeasure, *, domain: Domain | float | None = None, evaluation: Any = None) -> Residuals:
    """Residuals of `measure` for an energy of the ψ = ω0 φ form (math.md §3): sup|g_ν|, ∫|F|² dν, δ, the gap.

    The supremum is sought on a mesh of Θ and at up to 1,024 of the measure's own ω̄, then by local ascent from the best eight places
    that lie apart, with steps down to 1e-10 of Θ (`wflow.energies.supremum`). Same arguments, same bits.

    Parameters
    ----------
    energy
        With ``signal(measure)`` and ``field(points (K, m), signal) -> (K, m)``, rows (g, ω0 ∇g), such as `PolicyValue`. Used where it
        has them: ``domain``, its Θ; ``lipschitz(signal)``, a Lipschitz constant of g on Θ, for ``g_bound``; ``evaluate(measure)``, whose
        ``residual``, ``residual_l2``, ``gap`` and ``certificate`` are the rest.
    measure : ParticleMeasure
        points (N, m), m ≥ 2.
    domain : Sphere, Box, float or None
        Θ in R^{m−1}; a number R is the box [−R, R]^{m−1}; None: the energy's own, or else that box with R = 6.
    evaluation : Evaluation, optional
        What ``energy.evaluate(measure)`` gave, if it is at hand.

    Notes
    -----
    Cost: one evaluation of the energy, then the field at up to 5,120 points and at some 1,500 (m − 1) in 10 to 30 rounds, on n_s n_a
    nodes: O(n_s) a point for ReLU on one action coordinate, that of the activation's kernel else. It does not grow with N.
    Memory O(m) for each of those points.

    Raises
    ------
    ValueError, TypeError
        If an argument is none of these, or the energy is not of that form.
    """
    measure = _checks.instance("measure", measure, ParticleMeasure, "a ParticleMeasure")
    for name in ("signal", "field"):
        if not callable(getattr(energy, name, None)):
            raise TypeError(f"energy must have a method {name}, as PolicyValue has; got {_checks.show(energy)}")
    theta = _domain(energy, measure, domain)
    if evaluation is None and hasattr(energy, "evaluate"):
        evaluation = energy.evaluate(measure)
    signal = getattr(evaluation, "signal", None)
    signal = energy.signal(measure) if signal is None else signal
    _check_form(energy, measure, signal)
    dissipation = getattr(evaluation, "dissipation", None)
    if dissipation is None:
        dissipation = mean_square(measure.weights, np.ascontiguousarray(energy.field(measure.points, signal), dtype=np.float64))

    def fields(inner: Array) -> tuple[Array, Array]:
        """g_ν (...) and ∇g_ν (..., d) at ω̄ (..., d)."""
        rows = np.ones((inner.size // inner.shape[-1], inner.shape[-1] + 1))
        rows[:, 1:] = inner.reshape(len(rows), -1)
        values = np.concatenate([energy.field(rows[k : k + _BLOCK], signal) for k in range(0, len(rows), _BLOCK)])
        return values[:, 0].reshape(inner.shape[:-1]), values[:, 1:].reshape(inner.shape)

    top = supremum(fields, theta, measure.points[:: -(-measure.size // _OWN), 1:])
    lipschitz = float(energy.lipschitz(signal)) if hasattr(energy, "lipschitz") else np.nan
    certificate = getattr(evaluation, "certificate", None)
    return Residuals(
        advantage_sup=float(getattr(evaluation, "residual", np.nan)),
        advantage_l2=float(getattr(evaluation, "residual_l2", np.nan)),
        g_sup=abs(top.value),
        g_argmax=top.place,
        g_value=top.value,
        g_bound=max(top.on_mesh + lipschitz * top.covering, abs(top.value)) if np.isfinite(lipschitz * top.covering) else np.nan,
        dissipation=float(dissipation),
        gap=float(getattr(evaluation, "gap", np.nan)),
        gap_lower=float(getattr(certificate, "lower", np.nan)),
        gap_upper=float(getattr(certificate, "upper", np.nan)),
    )  # fmt: skip


def _domain(energy: Any, measure: ParticleMeasure, domain: Any) -> Domain:
    d = measure.dimension - 1
    if d < 1:
        raise ValueError(f"measure must have points [ω0, ω̄] with 2 columns or more; got {measure.dimension}")
    if domain is None:
        domain = getattr(energy, "domain", RADIUS)
    if not isinstance(domain, (Sphere, Box)):
        return Box.cube(d, _checks.real("domain", domain, above=0.0))
    if domain.dimension != d:
        raise ValueError(f"domain must lie in {d} dimensions, those of ω̄; got {domain.dimension}")
    return domain


def _check_form(energy: Any, measure: ParticleMeasure, signal: Any) -> None:
    """ValueError unless ω̄ stands still where ω0 = 0, as under a field (g, ω0 ∇g)."""
    point = measure.points[:1].copy()
    point[:, 0] = 0.0
    if np.any(np.asarray(energy.field(point, signal))[:, 1:]):
        raise ValueError(f"energy must have a field of the form (g, ω0 ∇g) (neurons ω0 φ); got {_checks.show(energy)}")
