"""``method="auto"``: the method that the work-precision study found cheapest for a flow like this one."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wflow import storage
from wflow._checks import Array
from wflow.integrators.spectral import power_iteration

__all__ = ["Choice", "choose", "decided"]

_MILD = 30.0  # ρ T up to which an explicit method of order 5 is not held back by stability
_STIFF = 1000.0  # beyond which it is, whatever the tolerance
_TIGHT = 1e-5  # below which order 2 needs more steps than stability asks of order 5
_ITERATIONS = 20
_PERTURBATION = 1e-7  # of the state, or 1 where that is smaller


@dataclass(frozen=True)
class Choice:
    """What was chosen, and why.

    Attributes
    ----------
    method : str
    reason : str
    stiffness : float
        ρ T: spectral radius at the start times the horizon; NaN where it was not asked for.
    evaluations : int
        Of the field, to find that out; they are not among the run's counts.
    """

    method: str
    reason: str
    stiffness: float
    evaluations: int

    def plain(self) -> dict[str, Any]:
        """As plain data, for a file."""
        return {**asdict(self), "stiffness": None if math.isnan(self.stiffness) else self.stiffness}


def decided(flow: Any, t: float, y: Array, t_end: float, rtol: float, path: Path | None) -> dict[str, Any]:
    """The choice as plain data; of a run that goes on, in the file at `path`, the one that it made when it began."""
    if path is not None and path.exists():
        with suppress(OSError, ValueError, KeyError):  # what is wrong with the file is told where the run begins
            before: dict[str, Any] = storage.read(path).summary["provenance"]["auto"]
            return before
    return choose(flow, t, y, t_end, rtol).plain()


def choose(flow: Any, t: float, y: Array, t_end: float, rtol: float) -> Choice:
    """RKC2 or Tsit5, by the smoothness of the field, its stiffness and the tolerance (``notebooks/choosing_an_integrator.ipynb``).

    A field that jumps (``flow.smooth`` False: ReLU on nodes) gives high orders nothing to hold on to: RKC2. Over a horizon of few
    time scales, ρ T ≤ 30, and at tight tolerances up to ρ T = 1000, Tsit5: its errors at the same cost are orders of magnitude smaller.
    Else RKC2, whose stages grow with the square root of ρ T only. ρ is a power iteration's at the start: some ten evaluations.
    """
    if not getattr(flow, "smooth", True):
        return Choice("rkc2", "the field jumps", math.nan, 0)
    calls = 0

    def field(state: Array) -> Array:
        nonlocal calls
        calls += 1
        return np.asarray(flow.rhs(t, state), dtype=np.float64)

    f, size = field(y), float(np.sqrt(np.square(y).mean()))
    noise = np.random.default_rng(0).standard_normal(y.size)
    scale = float(np.sqrt(np.square(f).mean()))
    if not np.isfinite(scale):
        return Choice("rkc2", "the field is not finite at the start", math.nan, calls)
    start = noise + 0.5 * f / (scale or 1.0)
    stiffness = power_iteration(field, y, f, start, _PERTURBATION * max(size, 1.0), _ITERATIONS).radius * (t_end - t)
    if stiffness <= _MILD:
        return Choice("tsit5", f"few time scales: ρ T = {stiffness:.3g}", stiffness, calls)
    if rtol < _TIGHT and stiffness <= _STIFF:
        return Choice("tsit5", f"a tight tolerance, and ρ T = {stiffness:.3g}", stiffness, calls)
    return Choice("rkc2", f"many time scales: ρ T = {stiffness:.3g}", stiffness, calls)
