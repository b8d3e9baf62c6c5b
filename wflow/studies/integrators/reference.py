"""The answer that errors are measured against: a closed form, or two families of methods that agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wflow._checks import Array
from wflow.loop import solve
from wflow.measures import ParticleMeasure, distances
from wflow.schedules import at
from wflow.storage import disk
from wflow.studies.integrators.cases import Case, Start

__all__ = ["ERRORS", "TIMES", "Reference", "errors", "load", "make"]

TIMES = np.geomspace(1e-3, 1.0, 10)  # of the horizon: when E is compared
ERRORS = ("energy", "state", "w2", "drift")
_FAMILIES = {True: ("DOP853", "tsit5"), False: ("tsit5", "bs3")}  # of a smooth field, or of one that jumps
_TIGHT = {True: 1e-11, False: 1e-7}  # their rtol
_MOST = 2_000_000


@dataclass(frozen=True, eq=False)
class Reference:
    """A case's answer.

    Attributes
    ----------
    energy : ndarray, shape (T,)
        E at the fractions `TIMES` of the horizon.
    final : ndarray, shape (n,)
        The packed state at the horizon.
    gain : float
        |E(T) − E(0)|, by which errors of E are divided.
    own : mapping of str to float
        By how much the two families differ, as `errors` counts it; 0 for a closed form.
    """

    energy: Array
    final: Array
    gain: float
    own: Mapping[str, float]


def make(case: Case) -> Reference:
    """The closed form, or two families: DOP853 (SciPy) and Tsit5 at rtol 1e-11; where the field jumps Tsit5 and Bogacki–Shampine at 1e-7.

    Raises
    ------
    RuntimeError
        If one of them does not arrive.
    """
    start = case.build()
    times = np.concatenate([[0.0], case.horizon * TIMES])
    y = start.flow.pack(start.initial)
    begin = float(start.flow.diagnostics(0.0, y)["energy"])
    if start.exact is not None:
        states = [start.exact(float(t)) for t in times[1:]]
        energy = np.array([float(start.flow.diagnostics(float(t), state)["energy"]) for t, state in zip(times[1:], states, strict=True)])
        return Reference(energy, states[-1], abs(energy[-1] - begin), dict.fromkeys(ERRORS, 0.0))
    runs = []
    for method in _FAMILIES[case.smooth]:
        rtol = _TIGHT[case.smooth]
        run = solve(start.flow, start.initial, case.horizon, method, rtol=rtol, atol=1e-3 * rtol, record=at(times), max_steps=_MOST)
        if not run.status.ok:
            raise RuntimeError(f"the reference of {case.name} by {method}: {run.status.value}: {run.message}")
        runs.append({"energy": np.asarray(run.energy[1:]), "final": start.flow.pack(run.final), "drift": np.zeros(len(TIMES))})
    first = Reference(runs[0]["energy"], runs[0]["final"], abs(runs[0]["energy"][-1] - begin), {})
    return Reference(first.energy, first.final, first.gain, errors(first, case, runs[1]))


def errors(reference: Reference, case: Case, found: Mapping[str, Any]) -> dict[str, float]:
    """What a run is off: NaN where it did not arrive.

    ``energy``: the largest error of E at `TIMES`, as a fraction of the gain. ``state``: root mean square error of the final state over its
    root mean square. ``w2``: a bound above on W2 between the final measure and the reference's, NaN for other states. ``drift``: the
    largest drift of the invariant, NaN where there is none.
    """
    scale = float(np.sqrt(np.square(reference.final).mean()))
    state = float(np.sqrt(np.square(found["final"] - reference.final).mean())) / scale
    return {
        "energy": float(np.abs(found["energy"] - reference.energy).max() / reference.gain), "state": state,
        "w2": _w2(case.build(), found["final"], reference.final), "drift": float(np.max(found["drift"])),
    }  # fmt: skip


def _w2(start: Start, final: Array, reference: Array) -> float:
    if not isinstance(start.initial, ParticleMeasure) or not np.isfinite(final).all():
        return float("nan")
    shape, weights = start.initial.points.shape, start.initial.weights
    mine, theirs = (ParticleMeasure(y.reshape(shape), weights) for y in (final, reference))
    paired = float(np.sqrt(weights @ np.square(mine.points - theirs.points).sum(axis=1)))  # a plan; the best one where errors are small
    return min(paired, float(distances.w2(mine, theirs, "columns", gap=0.05).upper))


def save(reference: Reference, path: Path) -> None:
    """Write it where `load` finds it, at one stroke."""
    own = np.array([reference.own[name] for name in ERRORS])
    disk.replace(path, lambda file: np.savez(file, energy=reference.energy, final=reference.final, gain=reference.gain, own=own))


def load(path: Path) -> Reference:
    """A saved reference."""
    with np.load(path, allow_pickle=False) as stored:
        own = dict(zip(ERRORS, stored["own"].tolist(), strict=True))
        return Reference(stored["energy"], stored["final"], float(stored["gain"]), own)
