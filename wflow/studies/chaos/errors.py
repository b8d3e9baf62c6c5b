"""One task of the study: N-particle runs of a problem from independent starts, and their four errors (math.md §6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from wflow._checks import Array
from wflow.flows import TracerFlow
from wflow.measures import ParticleMeasure, distances
from wflow.studies._walk import Unwatched, walk
from wflow.studies.chaos.problems import Problem
from wflow.studies.chaos.reference import Reference, load

__all__ = ["STARTS", "W2_COLUMNS", "Task", "errors", "smallest", "start"]

STARTS = ("iid", "qmc", "quantised")
W2_COLUMNS = ("value", "lower", "upper", "baseline", "baseline_lower", "baseline_upper")
_METHOD, _RTOL = "tsit5", 1e-4  # errors of time in the errors measured: below 2e-3 with tanh, about 1e-2 with ReLU
_PARTS = 4  # into which intervals of time are cut for the largest coupling error
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
        """Roughly what it costs, for the order of tasks, in particles."""
        return len(self.seeds) * (self.n * (2.0 if self.halves else 1.0) + (2.0 * self.n + 1000.0 if self.w2_size else 0.0) + 100.0)


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
        ``sup`` (S, T): its largest value until then, at four times as many times.
        ``function`` (S, T): ``‖f_{ν^N} − f_ν‖²``. ``copies`` (S, T): the same of the coupled copies, whose expectation is known for
        i.i.d. starts, ``reference.variances / N``: a control variate for both. ``energy`` (S, T): E(ν^N) − E(ν). ``bias`` (S, T): the
        mean energy of both halves less that of the whole, an unbiased estimate of the bias of E at N up to O(N^{-2}), in which the
        fluctuations of order N^{-1/2} cancel; NaN without halves. ``w2`` (S, C, 6): `W2_COLUMNS`; NaN without W2.
    """
    energy, law = task.problem.build()
    reference = load(Path(task.reference))
    flow, tracers = Unwatched(energy), TracerFlow(energy, reference.field)
    rows = [_one(task, energy, flow, tracers, reference, start(law, task.start, task.n, task.seed, k)) for k in task.seeds]
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def smallest(sets: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """Of several sets of errors the smallest, by time: root mean squares of E and f over the seeds of each, and W2."""
    several = [found for found in sets if len(found["energy"]) > 1]  # W2's own tasks have one seed
    w2 = np.concatenate([found["w2"][:, :, 0] for found in sets])
    w2 = w2[~np.isnan(w2).any(axis=1)]
    return {
        "energy": np.min([np.sqrt(np.square(found["energy"]).mean(axis=0)) for found in several], axis=0),
        "function": np.min([np.sqrt(found["function"].mean(axis=0)) for found in several], axis=0),
        "w2": w2.min(axis=0) if len(w2) else np.full(sets[0]["w2"].shape[1], np.inf),
    }


def _one(task: Task, energy: Any, flow: Any, tracers: Any, reference: Reference, initial: ParticleMeasure) -> dict[str, Array]:
    times = reference.times
    fine = _between(times)
    paths = [_states(moved, initial, fine) for moved in (flow, tracers)]
    distance = [np.square(a.points - b.points).sum(axis=1) for a, b in zip(*paths, strict=True)]
    coupling = np.sqrt(np.stack(distance) @ initial.weights)
    states, copies = (path[:: _PARTS] for path in paths)
    values = np.array([energy.value(state) for state in states])
    found = {
        "coupling": coupling[::_PARTS],
        "sup": np.maximum.accumulate(coupling)[::_PARTS],
        "function": _function(energy, states, reference),
        "copies": _function(energy, copies, reference),
        "energy": values - reference.energy,
        "bias": np.full(len(times), np.nan),
        "w2": np.full((len(reference.cloud_times), len(W2_COLUMNS)), np.nan),
    }
    if task.halves:
        halves = [ParticleMeasure(part) for part in np.split(initial.points, 2)]
        found["bias"] = np.mean([[energy.value(state) for state in _states(flow, half, times)] for half in halves], axis=0) - values
    if task.w2_size:
        chosen = np.searchsorted(times, reference.cloud_times)
        found["w2"] = np.stack([_w2(states[k], copies[k], reference.cloud(c, task.w2_size)) for c, k in enumerate(chosen)])
    return found


def _between(times: Array) -> Array:
    """The times and three more in each interval between them."""
    more = [np.geomspace(start, end, _PARTS + 1)[:-1] for start, end in pairwise(times)]
    fine = np.concatenate([*more, times[-1:]])
    fine[::_PARTS] = times
    return fine


def _states(flow: Any, initial: ParticleMeasure, times: Array) -> list[ParticleMeasure]:
    return list(walk(flow, initial, times, _METHOD, _RTOL).states())[1:]


def _function(energy: Any, states: list[ParticleMeasure], reference: Reference) -> Array:
    values = np.stack([energy.function_values(state) for state in states])
    error: Array = np.square(values - reference.functions).sum(axis=1)
    return error


def _w2(measure: ParticleMeasure, copies: ParticleMeasure, target: ParticleMeasure) -> Array:
    """W2 to the mean-field measure, and that of the coupled copies, which have nothing but their sampling error."""
    method = "columns" if measure.size * target.size > _MANY else "auto"
    pair = [distances.w2(mu, target, method, gap=_GAP) for mu in (measure, copies)]
    return np.array([number for w2 in pair for number in (np.nan if w2.value is None else w2.value, w2.lower, w2.upper)])
