"""Runs that keep their states at given times, or fail."""

from __future__ import annotations

from typing import Any

import numpy as np

from wflow._checks import Array
from wflow.flows import WassersteinFlow
from wflow.loop import Solution, Status, solve
from wflow.measures import ParticleMeasure
from wflow.schedules import at

__all__ = ["Unwatched", "walk"]


def walk(flow: Any, initial: ParticleMeasure, times: Array, method: str, rtol: float) -> Solution:
    """A run that keeps its states at 0 and at `times`, the last of which ends it.

    Raises
    ------
    RuntimeError
        If it does not get there.
    """
    start = times if times[0] == 0.0 else np.concatenate([[0.0], times])
    run = solve(flow, initial, float(times[-1]), method, rtol=rtol, record=at(start))
    if run.status is Status.INTERRUPTED:
        raise KeyboardInterrupt
    if not run.status.ok:
        raise RuntimeError(f"{run.status.value}: {run.message}")
    return run


class Unwatched(WassersteinFlow):
    """The flow without diagnostics, which would cost as much as a step at every recorded time, and without residuals at its end."""

    evaluation = None  # type: ignore[assignment]

    def diagnostics(self, t: float, y: Array) -> dict[str, float]:  # noqa: ARG002
        """None."""
        return {"energy": 0.0}

    def finals(self, t: float, y: Array) -> dict[str, Array]:  # noqa: ARG002
        """None."""
        return {}
