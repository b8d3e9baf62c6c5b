"""Log-Sobolev constants of densities on an interval, bounded from both sides (math.md §9)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wflow import _checks
from wflow._checks import Array

__all__ = ["LogSobolevBounds", "log_sobolev_bounds"]

_EVEN = 1e-9  # relative deviation up to which widths count as equal


@dataclass(frozen=True, eq=False)
class LogSobolevBounds:
    """Bounds on α, the largest number with ``KL(ν|μ) ≤ I(ν|μ)/(2α)`` for all ν, of each of K densities; infinite for a single cell.

    I is the relative Fisher information, ``∫ |∇ log(ν/μ)|² dν``; along ``∂_t ν = div(ν ∇ log(ν/μ))`` KL falls at least as e^{−2αt}.

    Attributes
    ----------
    bakry_emery : ndarray, shape (K,)
        Least −(log μ)'', from second differences at the centres; 0 where that is negative. Of the density: right to O(h²).
    holley_stroock : ndarray, shape (K,)
        Constant of the uniform law times ``e^{−osc log μ}``.
    bobkov_goetze : ndarray, shape (K,)
        ``1/(2 max(B₋, B₊))``, ``B₊ = sup_{x > m} T log(1 + e²/T) ∫_m^x dy/μ`` with T = μ([x, ∞)) and m the median, B₋ its mirror image.
    ceiling : ndarray, shape (K,)
        ``2/max(b₋, b₊) ≥ α``, b with 1/2 for e².
    """

    bakry_emery: Array
    holley_stroock: Array
    bobkov_goetze: Array
    ceiling: Array

    @property
    def on_cells(self) -> Array:
        """The larger of the two that hold for the cells' own chain too, shape (K,)."""
        return np.maximum(self.holley_stroock, self.bobkov_goetze)

    @property
    def best(self) -> Array:
        """The largest of the three, shape (K,)."""
        return np.maximum(self.on_cells, self.bakry_emery)


def log_sobolev_bounds(log_density: npt.ArrayLike, edges: npt.ArrayLike) -> LogSobolevBounds:
    """Bakry–Émery, Holley–Stroock and Bobkov–Götze bounds of densities that are known on the cells of an interval.

    The last two are those of a chain on the centres x_i: masses ``m_i = h_i μ_i``, and between neighbours d apart the conductance
    ``1/r_i``, ``r_i = d L(1/μ_i, 1/μ_{i+1})`` with the logarithmic mean L: ∫dy/μ for log μ linear between centres, and the conductance of
    Scharfetter & Gummel's fluxes. So they bound the decay of the finite-volume scheme (`wflow.flows.WassersteinPolicyFlow`) exactly, and
    that of the continuous equation to O(h²). Nothing under- or overflows, however large the oscillation.

    Constants: of the uniform law on n even cells ``(4/h²) sin²(πh/2L) → π²/L²``, by folding a cycle of 2n (Chen & Sheu 2003), on uneven
    ones Bobkov & Götze's; those of Bobkov & Götze (1999) as sharpened by Barthe & Roberto (2003, Theorem 3), who allow the atoms.

    Cost: O(K n) time, a dozen passes with logarithms; memory of ten arrays (K, n).

    Parameters
    ----------
    log_density : ndarray, shape (K, n)
        Finite; need not be normalised.
    edges : ndarray, shape (n + 1,)
        Of the cells, increasing.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.
    """
    log_density = _checks.array("log_density", log_density, (None, None))
    edges = _checks.array("edges", edges, (log_density.shape[1] + 1,))
    widths = np.diff(edges)
    if log_density.size == 0 or not (widths > 0.0).all():
        raise ValueError(f"edges must be two or more increasing numbers, with a density on them; got {_checks.show(edges.tolist())}")
    K, n = log_density.shape
    if n == 1:
        nothing = np.full(K, math.inf)
        return LogSobolevBounds(nothing, nothing, nothing, nothing)
    oscillation = log_density.max(axis=1) - log_density.min(axis=1)
    floor, ceiling = _bobkov_goetze(log_density, edges)
    return LogSobolevBounds(_bakry_emery(log_density, edges), _uniform(edges) * np.exp(-oscillation), floor, ceiling)


def _uniform(edges: Array) -> float:
    """A lower bound on α of the uniform law on the cells; α itself where they are even."""
    widths, length = np.diff(edges), edges[-1] - edges[0]
    if np.ptp(widths) <= _EVEN * widths.max():
        h = length / widths.size
        return float((2.0 / h * math.sin(math.pi * h / (2.0 * length))) ** 2)
    return float(_bobkov_goetze(np.zeros((1, widths.size)), edges)[0][0])


def _bakry_emery(log_density: Array, edges: Array) -> Array:
    """Least −(log μ)'' at the inner centres, not below 0; shape (K,)."""
    centres = (edges[1:] + edges[:-1]) / 2.0
    if centres.size < 3:
        return np.zeros(len(log_density))
    slopes = np.diff(log_density, axis=1) / np.diff(centres)
    curvature: Array = -np.diff(slopes, axis=1) / ((centres[2:] - centres[:-2]) / 2.0)
    least: Array = np.maximum(curvature.min(axis=1), 0.0)
    return least


def _bobkov_goetze(log_density: Array, edges: Array) -> tuple[Array, Array]:
    """Lower and upper bound on α, (K,) each."""
    centres = (edges[1:] + edges[:-1]) / 2.0
    log_masses = log_density + np.log(np.diff(edges))
    log_total = np.logaddexp.reduce(log_masses, axis=1, keepdims=True)
    log_masses = log_masses - log_total
    log_resistances = _log_resistances(log_density - log_total, np.diff(centres))
    from_right = np.logaddexp.accumulate(log_masses[:, ::-1], axis=1)[:, ::-1]  # log μ([x_i, ∞))
    median = (from_right >= math.log(0.5)).sum(axis=1) - 1  # the last i with μ([x_i, ∞)) ≥ 1/2
    sides = (
        _hardy(log_resistances, from_right, median),
        _hardy(log_resistances[:, ::-1], np.logaddexp.accumulate(log_masses, axis=1)[:, ::-1], centres.size - 1 - median),
    )
    log_B, log_b = np.maximum(*sides)
    return np.exp(-log_B - math.log(2.0)), np.exp(math.log(2.0) - log_b)


def _hardy(log_resistances: Array, log_tail: Array, median: npt.NDArray[np.intp]) -> Array:
    """log B₊ and log b₊, shape (2, K), from log r (K, n − 1), log μ([x_i, ∞)) (K, n) and the medians' indices (K,)."""
    outside = np.arange(log_resistances.shape[1]) >= median[:, None]
    path = np.logaddexp.accumulate(np.where(outside, log_resistances, -np.inf), axis=1)
    tail = log_tail[:, 1:]
    return np.stack([(tail + np.log(np.logaddexp(0.0, a - tail)) + path).max(axis=1) for a in (2.0, -math.log(2.0))])


def _log_resistances(log_density: Array, spacing: Array) -> Array:
    """``log[d L(1/μ_i, 1/μ_{i+1})]``, shape (K, n − 1): ``L(e^s, e^t) = e^{(s+t)/2} sinh(q)/q``, q = |t − s|/2."""
    q = np.abs(np.diff(log_density, axis=1)) / 2.0
    safe = np.where(q > 1e-8, q, 1.0)  # below that sinh(q)/q is 1 to rounding
    log_sinhc = np.where(q > 1e-8, safe + np.log(-np.expm1(-2.0 * safe) / (2.0 * safe)), 0.0)
    mean: Array = np.log(spacing) - (log_density[:, 1:] + log_density[:, :-1]) / 2.0 + log_sinhc
    return mean
