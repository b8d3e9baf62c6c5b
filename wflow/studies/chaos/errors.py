"""One task of the study: N-particle runs of a problem from independent starts, and their four errors (math.md §6)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wflow._checks import Array
from wflow.flows import TracerFlow, WassersteinFlow
from wflow.measures import ParticleMeasure, distances
from wflow.studies.chaos.problems import Problem
from wflow.studies.chaos.reference import Reference, load, walk

__all__ = ["STARTS", "W2_COLUMNS", "Task", "errors", "start"]

STARTS = ("iid", "qmc", "quantised")
W2_COLUMNS = ("value", "lower", "upper", "baseline", "baseline_lower", "baseline_upper")
_METHOD, _RTOL = "tsit5", 1e-5
_MANY, _GAP = 1_000_000, 1e-5  # pairs from which columns are generated, far faster than the dense solver; what is left open of W2


@dataclass(frozen=True)
class Task:
    """Some seeds of one size.

    Parameters
    ----------
    problem : Problem
    start : str
        One of `STARTS`.
    n : int
        Particles.
    seeds : tuple of int
        Numbers of the starts: that of the study, `seed`, with these gives the streams.
    seed : int
    reference : str
        File of the reference; every process must see it.
    w2_size : int
        Characteristics of the cloud that W2 is measured against; 0: no W2.
    halves : bool
        Solve both halves of each start, too, for the bias of the energy.
    """

    problem: Problem
    start: str
    n: int
    seeds: tuple[int, ...]
    seed: int
    reference: str
    w2_size: int = 0
    halves: bool = False

    @property
    def work(self) -> float:
        """Roughly what it costs, for the order of tasks: particles times seeds, W2 as much again many times."""
        return len(self.seeds) * (self.n * (2.0 if self.halves else 1.0) + 60.0 * (self.n if self.w2_size else 0) + 300.0)


def start(law: Any, kind: str, n: int, seed: int, number: int) -> ParticleMeasure:
    """The start with this number: i.i.d., scrambled Sobol, or a quantised law with its weights. Same numbers, same bits."""
    stream = np.random.SeedSequence(seed, spawn_key=(1 + STARTS.index(kind), n, number))
    draw = {"iid": law.sample, "qmc": law.qmc, "quantised": law.quantised}[kind]
    measure: ParticleMeasure = draw(n, stream)
    return measure


def errors(task: Task) -> dict[str, Array]:
    """The errors of a task's runs at the reference's times.

    Returns
    -------
    dict of ndarray
        ``coupling`` (S, T): ``(sum p_n |ω_n − ω̄_n|²)^{1/2}``, ω̄ carried by the reference's field from the same points.
        ``function`` (S, T): ``‖f_{ν^N} − f_ν‖²``. ``copies`` (S, T): the same of the coupled copies, whose expectation is known for
        i.i.d. starts, ``reference.variances / N``: a control variate for both. ``energy`` (S, T): E(ν^N) − E(ν). ``bias`` (S, T): the
        mean energy of both halves less that of the whole, an unbiased estimate of the bias of E at N up to O(N^{-2}), in which the
        fluctuations of order N^{-1/2} cancel; NaN without halves. ``w2`` (S, C, 6): `W2_COLUMNS`; NaN without W2.
    """
    energy, law = task.problem.build()
    reference = load(Path(task.reference))
    flow, tracers = WassersteinFlow(energy), TracerFlow(energy, reference.field)
    rows = [_one(task, energy, flow, tracers, reference, start(law, task.start, task.n, task.seed, k)) for k in task.seeds]
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def _one(task: Task, energy: Any, flow: Any, tracers: Any, reference: Reference, initial: ParticleMeasure) -> dict[str, Array]:
    times = reference.times
    run = walk(flow, initial, times, _METHOD, _RTOL)
    states = list(run.states())
    copies = list(walk(tracers, initial, times, _METHOD, _RTOL).states())
    distance = [np.square(a.points - b.points).sum(axis=1) for a, b in zip(states, copies, strict=True)]
    found = {
        "coupling": np.sqrt(np.stack(distance) @ initial.weights),
        "function": _function(energy, states, reference),
        "copies": _function(energy, copies, reference),
        "energy": run.energy - reference.energy,
        "bias": np.full(len(times), np.nan),
        "w2": np.full((len(reference.cloud_times), len(W2_COLUMNS)), np.nan),
    }
    if task.halves:
        halves = [ParticleMeasure(part) for part in np.split(initial.points, 2)]
        found["bias"] = np.mean([walk(flow, half, times, _METHOD, _RTOL).energy for half in halves], axis=0) - run.energy
    if task.w2_size:
        chosen = np.searchsorted(times, reference.cloud_times)
        found["w2"] = np.stack([_w2(states[k], copies[k], reference.cloud(c, task.w2_size)) for c, k in enumerate(chosen)])
    return found


def _function(energy: Any, states: list[ParticleMeasure], reference: Reference) -> Array:
    values = np.stack([energy.function_values(state) for state in states])
    error: Array = np.square(values - reference.functions).sum(axis=1)
    return error


def _w2(measure: ParticleMeasure, copies: ParticleMeasure, target: ParticleMeasure) -> Array:
    """W2 to the mean-field measure, and that of the coupled copies, which have nothing but their sampling error."""
    method = "columns" if measure.size * target.size > _MANY else "auto"
    pair = [distances.w2(mu, target, method, gap=_GAP) for mu in (measure, copies)]
    return np.array([number for w2 in pair for number in (np.nan if w2.value is None else w2.value, w2.lower, w2.upper)])
