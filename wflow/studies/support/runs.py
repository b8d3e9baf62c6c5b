"""What is computed of a problem: its flow and controls, its surface, its tears, its volumes; plain arrays each (math.md §7)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from wflow._checks import Array
from wflow.energies import residuals
from wflow.energies.domains import Sphere
from wflow.flows import StoredField, TracerFlow, VariationalFlow, WassersteinFlow
from wflow.loop import Solution, Status, solve
from wflow.measures import ParticleMeasure
from wflow.meshes import covering_radius
from wflow.neurons.curvature import SECOND_DERIVATIVES
from wflow.schedules import at
from wflow.studies._walk import Unwatched, walk
from wflow.studies.support.controls import CONTROLS
from wflow.studies.support.plan import Task
from wflow.studies.support.surface import Surface, carry, sharpen, start_mesh, stepping

__all__ = ["flow", "followed", "g_on", "surface", "tear"]

_FIELD_NODES = 150  # times at which the field is stored
_KEPT = 1024  # particles of a cloud that are kept for figures
_REPLAYED = 256  # particles that are carried through their own stored field
_TRACERS = 64  # whose variational matrices are followed
_VOLUME_RTOL = 1e-9
_LENGTHS = 300.0  # horizon over the first time that is looked at


def flow(task: Task) -> dict[str, Array]:
    """The separating start and every control that exists for the energy, followed to 100 times the horizon."""
    energy, law = task.problem.build()
    times = task.long_times
    found: dict[str, Array] = {"times": times}
    start = law.qmc(task.size, task.generator(0))
    run = followed("positive", energy, start, times, task.rtol)
    found |= _curves("positive", energy, run)
    states = list(run.states())
    found |= _cover(energy, states)
    found["clouds"] = np.stack([state.points[:_KEPT] for state in states])
    mesh = energy.domain.mesh().points
    signals = [energy.signal(state) for state in states]
    found["theta"] = mesh
    found["g"] = np.stack([g_on(energy, mesh, signal) for signal in signals])
    for k, control in enumerate(CONTROLS):
        if control.applies(energy):
            continue
        first = control.law(energy).qmc(64 if control.name == "single point" else min(task.size, 1024), task.generator(1 + k))
        run = followed(control.name, energy, first, times, task.rtol)
        found |= _curves(control.name, energy, run)
        found[f"{control.name}/defect"] = np.array([control.defect(energy, state) for state in run.states()])
        found[f"{control.name}/bound"] = np.array(control.bound(energy))
    return found


def followed(name: str, energy: Any, start: ParticleMeasure, times: Array, rtol: float) -> Solution:
    """A run with diagnostics and states at the times; RuntimeError if it does not get there."""
    return _ended(name, solve(WassersteinFlow(energy), start, float(times[-1]), rtol=rtol, record=at(times)))


def _ended(name: str, run: Solution) -> Solution:
    if run.status is Status.INTERRUPTED:
        raise KeyboardInterrupt
    if not run.status.ok:
        raise RuntimeError(f"{name}: {run.status.value}: {run.message}")
    return run


def _curves(name: str, energy: Any, run: Solution) -> dict[str, Array]:
    """Gap, its certificate and ∫|F|² at the run's times; all residuals at its end."""
    curves = {key: np.asarray(run.diagnostics[key]) for key in ("gap", "gap_lower", "gap_upper", "dissipation")}
    last = residuals(energy, run.final)
    ends = {f"end/{key}": np.asarray(getattr(last, key)) for key in ("advantage_sup", "advantage_l2", "g_sup", "g_argmax", "dissipation")}
    return {f"{name}/{key}": value for key, value in {**curves, **ends}.items()}


def _cover(energy: Any, states: list[ParticleMeasure]) -> dict[str, Array]:
    """Covering radius of Θ, or of the middle half of a box, by the projected cloud and by its first quarter."""
    domain = energy.domain
    if isinstance(domain, Sphere):
        if domain.dimension > 3:
            return {}
        theta: Any = "sphere"
    elif domain.dimension <= 3:
        centre = (domain.lower + domain.upper) / 2.0
        theta = (centre - domain.scale / 2.0, centre + domain.scale / 2.0)
    else:
        return {}
    whole = [covering_radius(state.points[:, 1:], theta).radius for state in states]
    quarter = [covering_radius(state.points[: state.size // 4, 1:], theta).radius for state in states]
    return {"covering": np.array(whole), "covering_quarter": np.array(quarter)}


def g_on(energy: Any, inner: Array, signal: Array) -> Array:
    """g_ν at ω̄ (K, m − 1)."""
    values: Array = energy.field(np.column_stack([np.ones(len(inner)), inner]), signal)[:, 0]
    return values


def surface(task: Task) -> dict[str, Array]:
    """Σ_t with its certificate at every time up to the horizon, and for smooth neurons Liouville's formula on some of its points."""
    energy, _ = task.problem.build()
    field, replay = _field(task, energy)
    mesh, floor = start_mesh(energy.domain, task.quick)
    found = {"times": task.times, "replay": replay, **_certified(carry(energy, field, mesh, task.times, floor))}
    if (activation := energy.network.activation).radial or activation.name in SECOND_DERIVATIVES:
        found |= _volumes(energy, field, mesh.points, task.times)
    return found


def _field(task: Task, energy: Any) -> tuple[StoredField, Array]:
    """The field of the separating start, and how far its own particles stray when they are carried by it, at the times."""
    _, law = task.problem.build()
    nodes = np.unique(np.concatenate([[0.0], np.geomspace(task.times[1] / _LENGTHS, task.times[-1], _FIELD_NODES), task.times]))
    start = law.qmc(task.size, task.generator(0))
    run = walk(Unwatched(energy), start, nodes, *stepping(energy.n_parameters - 1))
    field = StoredField(nodes, np.stack([energy.signal(state) for state in run.states()]))
    some = ParticleMeasure(start.points[:_REPLAYED])
    again = walk(TracerFlow(energy, field), some, task.times, *stepping(energy.n_parameters - 1))
    strays = [np.linalg.norm(run.state(int(k)).points[:_REPLAYED] - state.points, axis=1).max()
              for k, state in zip(np.searchsorted(nodes, task.times), again.states(), strict=True)]  # fmt: skip
    return field, np.array(strays)


def _certified(carried: Surface) -> dict[str, Array]:
    certificates = [carried.certificate(k) for k in range(len(carried.times))]
    verdicts = {"holds": 1.0, "undecided": 0.0, "fails": -1.0}
    columns: dict[str, Any] = {
        "verdict": [verdicts[c.verdict] for c in certificates],
        "degree": [np.nan if c.degree is None else c.degree for c in certificates],
        "second": [np.nan if c.second is None else c.second for c in certificates],
        **{name: [getattr(c, name) for c in certificates] for name in
           ("closed", "unfolded", "half_space", "interpolation", "distance", "error", "slack", "folds", "stretch")},
    }  # fmt: skip
    arrays = {name: np.array(values, dtype=np.float64) for name, values in columns.items()}
    return {**arrays, "tear": carried.tear_width(), "complete": np.array(float(carried.complete)), "floor": np.array(carried.floor),
            "points": carried.mesh.points, "simplices": carried.mesh.simplices.astype(np.float64), "images": carried.vertices}  # fmt: skip


def _volumes(energy: Any, field: StoredField, points: Array, times: Array) -> dict[str, Array]:
    """log det ∂X_t/∂ω and ∫ div F of tracers from Σ_0, window by window, so that no matrix becomes singular to rounding."""
    chosen = points[:: max(1, len(points) // _TRACERS)]
    measure = ParticleMeasure(np.column_stack([np.zeros(len(chosen)), chosen]))
    variational = VariationalFlow(energy, field)
    determinant, volume = np.zeros((2, len(times), len(chosen)))
    worst = np.ones(len(times))
    for k, (begin, end) in enumerate(pairwise(times), start=1):
        run = solve(variational, measure, float(end), "tsit5", rtol=_VOLUME_RTOL, atol=0.01 * _VOLUME_RTOL,
                    t_start=float(begin), record=[float(end)])  # fmt: skip
        now = _ended("volumes", run).final
        measure = ParticleMeasure(now.points)
        determinant[k] = determinant[k - 1] + np.where(now.orientation > 0.0, now.log_determinant, np.nan)
        volume[k] = volume[k - 1] + now.log_volume
        worst[k] = now.condition.max()
    return {"log_determinant": determinant, "log_volume": volume, "condition": worst}


def tear(task: Task) -> dict[str, Array]:
    """Widths of the surface's tears on n action nodes, at the task's times."""
    energy, _ = task.problem.build()
    field, _ = _field(task, energy)
    mesh, floor = start_mesh(energy.domain, task.quick)
    carried = sharpen(energy, field, carry(energy, field, mesh, task.times, floor))
    return {"times": task.times, "tear": carried.tear_width()}
