"""The mean-field measure ν_t: characteristics from a quasi-Monte-Carlo start, solved once, their field stored (math.md §6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from wflow._checks import Array
from wflow.flows import StoredField, TracerFlow
from wflow.measures import ParticleMeasure, distances
from wflow.storage import disk
from wflow.studies._walk import Unwatched, walk
from wflow.studies.chaos.problems import Problem

__all__ = ["Reference", "compare", "doubling", "load", "solve_reference"]

_NODES = 65  # times at which the field is stored
_METHOD, _RTOL = "tsit5", 1e-6  # well below the tolerance of the runs
_VARIANCE = 4096  # characteristics whose mean gives `Reference.variances`, to a part in a thousand or better
_ARRAYS = ("times", "energy", "functions", "variances", "cloud_times", "clouds", "replay")
_REPLAYED = 2048  # particles that are carried through their own stored field


@dataclass(frozen=True, eq=False)
class Reference:
    """ν_t by M characteristics.

    Attributes
    ----------
    size : int
        M.
    times : ndarray, shape (T,)
        At which errors are measured.
    energy : ndarray, shape (T,)
        E(ν_t).
    functions : ndarray, shape (T, k)
        ``energy.function_values(ν_t)``.
    variances : ndarray, shape (T,)
        ``energy.function_variance(ν_t)``, by the first 4096 characteristics.
    cloud_times : ndarray, shape (C,)
        Those of `times` at which W2 is measured.
    clouds : ndarray, shape (C, M, m)
        The particles then, of equal weight; the first half is a quasi-Monte-Carlo cloud, too.
    field : StoredField
    replay : ndarray, shape (T,)
        Root mean square distance between particles and the same particles carried by the stored field.
    seconds : float
        Wall time.
    """

    size: int
    times: Array
    energy: Array
    functions: Array
    variances: Array
    cloud_times: Array
    clouds: Array
    field: StoredField
    replay: Array
    seconds: float

    def cloud(self, k: int, size: int) -> ParticleMeasure:
        """ν at ``cloud_times[k]`` by its first `size` characteristics."""
        return ParticleMeasure._trusted(self.clouds[k, :size], np.full(size, 1.0 / size))

    def save(self, path: Path) -> None:
        """Write it where `load` finds it, at one stroke."""
        arrays: dict[str, Any] = {name: getattr(self, name) for name in _ARRAYS}
        field: dict[str, Any] = {"field_times": self.field.times, "signals": self.field.signals}
        disk.replace(path, lambda file: np.savez(file, **arrays, **field, seconds=self.seconds))


def load(path: Path) -> Reference:
    """A saved reference; the last two stay in memory."""
    told = path.stat()
    return _load(path, told.st_mtime_ns, told.st_ino)


@lru_cache(maxsize=2)
def _load(path: Path, *_: int) -> Reference:
    with np.load(path, allow_pickle=False) as stored:
        arrays: Mapping[str, Any] = {name: stored[name] for name in stored.files}
    field = StoredField(arrays["field_times"], arrays["signals"])
    kept = {name: arrays[name] for name in _ARRAYS}
    return Reference(size=arrays["clouds"].shape[1], field=field, seconds=float(arrays["seconds"]), **kept)


def solve_reference(problem: Problem, size: int, times: Array, cloud_times: Array, seed: int) -> Reference:
    """Solve the characteristics of a problem from `size` scrambled Sobol points of its law.

    The scramble comes from `seed`, and no start of the study shares it. Memory O(65 (M m + signal)).
    """
    energy, law = problem.build()
    horizon = float(times[-1])
    nodes = np.unique(np.concatenate([[0.0], np.geomspace(horizon / 300.0, horizon, _NODES - 1)[:-1], times]))
    initial = law.qmc(size, np.random.SeedSequence(seed, spawn_key=(0,)))
    run = walk(Unwatched(energy), initial, nodes, _METHOD, _RTOL)
    wanted = np.searchsorted(nodes, times)
    chosen = np.searchsorted(nodes, cloud_times)
    signals = np.stack([energy.signal(state) for state in run.states()])
    field = StoredField(nodes, signals)
    some = ParticleMeasure(initial.points[:_REPLAYED])
    again = list(walk(TracerFlow(energy, field), some, times, _METHOD, _RTOL).states())[1:]
    replay = [_rms(run.state(int(k)).points[:_REPLAYED], carried.points) for k, carried in zip(wanted, again, strict=True)]
    measures = [run.state(int(k)) for k in wanted]
    return Reference(
        size, times, np.array([energy.value(measure) for measure in measures]),
        np.stack([energy.function_values(measure) for measure in measures]),
        np.array([energy.function_variance(ParticleMeasure(measure.points[:_VARIANCE])) for measure in measures]),
        cloud_times, np.stack([run.state(int(k)).points for k in chosen]), field, np.array(replay), run.seconds["total"],
    )  # fmt: skip


def compare(reference: Reference, other: Reference) -> dict[str, Array]:
    """What two references differ in: |E| and ‖f‖, each (T,)."""
    return {
        "energy": np.abs(reference.energy - other.energy),
        "function": np.linalg.norm(reference.functions - other.functions, axis=1),
    }


def doubling(reference: Reference, size: int) -> Array:
    """Upper bounds (C,) on W2 between the clouds of the first `size` and of twice as many characteristics."""
    pairs = [(reference.cloud(k, size), reference.cloud(k, 2 * size)) for k in range(len(reference.cloud_times))]
    return np.array([distances.w2(fewer, more, "columns", gap=0.02).upper for fewer, more in pairs])


def _rms(points: Array, others: Array) -> float:
    return float(np.sqrt(np.square(points - others).sum(axis=1).mean()))
