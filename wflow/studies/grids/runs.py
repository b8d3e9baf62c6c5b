"""What is computed of a problem: the reference, grids, clouds of particles; plain arrays each."""

from __future__ import annotations

from typing import Any

import numpy as np

from wflow._checks import Array
from wflow.flows import WassersteinFlow
from wflow.flows.eulerian import EulerianFlow
from wflow.loop import Solution, Status, solve
from wflow.measures import GridMeasure, ParticleMeasure
from wflow.measures.distances import w2
from wflow.schedules import at
from wflow.studies.grids.plan import Task

__all__ = ["cells", "marginal_distances", "particles", "reference"]

_REFERENCE, _CLOUDS = 1e-10, 1e-7  # rtol; atol is a hundredth
_GRIDS = 1e-5  # a thousandth of the error in space comes of it
_DROPPED = 1e-8  # mass that W2 in R^m may leave out
_GAP = 1e-2  # relative width of W2's bracket


def reference(task: Task) -> dict[str, Array]:
    """Characteristics from a Gauss quadrature of the law: E and its slope at the task's times, moments at the end.

    And a cloud of Sobol points at the end, for the marginals, whose atoms must lie close along every axis. ``half`` is E from half
    the nodes along each axis, ``own`` (m,) the W2 between the marginals of the cloud and of its first half.
    """
    energy, _ = task.problem.build()
    whole, half = (_followed(energy, start, task.times, _REFERENCE) for start in task.gauss())
    start = task.cloud()
    cloud, smaller = (_followed(energy, ParticleMeasure(start.points[:n]), task.times[[0, -1]], _CLOUDS).final
                      for n in (start.size, start.size // 2))  # fmt: skip
    covariance = np.atleast_2d(np.cov(whole.final.points.T, aweights=whole.final.weights, ddof=0))
    found = {
        "times": task.times, "energy": _curve(whole, "energy"), "slope": energy.sense * _curve(whole, "dissipation"),
        "half": _curve(half, "energy"), "mean": whole.final.mean(), "covariance": covariance, "cloud": cloud.points,
        "own": np.array([_on_axis(cloud, smaller, k) for k in range(cloud.dimension)]),
    }  # fmt: skip
    if "gap" in whole.diagnostics:
        found["gap"] = _curve(whole, "gap")
    if task.problem.exact is not None:
        found["exact"] = np.asarray(task.problem.exact(task.times, **dict(task.problem.arguments)), dtype=np.float64)
    return found


def cells(task: Task) -> dict[str, Array]:
    """The grid's run, watched at every step; at its end moments, marginals, and W2 to the particles of its own start.

    These start at the centres of the cells with their masses, so that both are lattices of the same width h; "moved" is how far they go,
    root mean square in cells. Where that is a distance δ well below h, a grid can follow it only by moving a share δ/h of the mass by
    h, at a cost W2 = √(δh) of order 1/2 alone. Moments are those of the
    centres, less h²/12 on the diagonal (Sheppard's correction), which at the start err by rounding and not by O(h²).
    """
    energy, law = task.problem.build()
    start = GridMeasure.from_law(task.axes, law)
    horizon = task.problem.horizon
    run = _ended(solve(EulerianFlow(energy, limiter=task.limiter), start, horizon, "ssprk3", rtol=_GRIDS, atol=1e-4 * _GRIDS))
    final: GridMeasure = run.final
    lattice = start.quadrature()
    full = lattice.weights > 0.0
    own = _followed(energy, ParticleMeasure(lattice.points[full], lattice.weights[full]), np.array([0.0, horizon]), _CLOUDS)
    (moved, lost), (stayed, left_out) = _heavy(own.final), _heavy(final.quadrature())
    distance = w2(moved, stayed, gap=_GAP)
    strides = (own.final.points - lattice.points[full]) / [float(widths[0]) for widths in start.widths]
    sheppard = np.diag([float(widths[0]) ** 2 / 6.0 for widths in final.widths])  # the spread over cells has added h²/12 already
    return {
        "times": np.asarray(run.times), **{name: _curve(run, name) for name in ("energy", "mass_drift", "lowest", "wall_mass")},
        "mean": final.mean(), "covariance": final.covariance() - sheppard, "lattice_energy": _curve(own, "energy")[[0, -1]],
        "w2": np.array([(distance.lower + distance.upper) / 2.0, distance.lower, distance.upper]),
        "moved": np.sqrt(own.final.weights @ np.square(strides).sum(axis=1)),
        "atoms": np.array([moved.size, stayed.size]), "dropped": np.array([lost, left_out]),
        **{f"edges{k}": edges for k, edges in enumerate(final.axes)},
        **{f"{name}{k}": measure.marginal(k).masses for k in range(law.dimension) for name, measure in (("start", start), ("end", final))},
    }  # fmt: skip


def particles(task: Task) -> dict[str, Array]:
    """E from independently scrambled Sobol starts, (S, T) at the task's times."""
    energy, _ = task.problem.build()
    runs = [_followed(energy, start, task.times, _CLOUDS) for start in task.scrambled()]
    return {"energy": np.stack([_curve(run, "energy") for run in runs])}


def marginal_distances(grid: dict[str, Array], cloud: Array) -> Array:
    """W2 between the marginals of a grid, spread over its cells, and those of a cloud (N, m), shape (m,)."""
    axes = range(cloud.shape[1])
    marginals = [GridMeasure((grid[f"edges{k}"],), grid[f"end{k}"] / grid[f"end{k}"].sum()) for k in axes]
    return np.array([w2(marginals[k], ParticleMeasure(cloud[:, [k]])).value for k in axes])


def _followed(energy: Any, start: ParticleMeasure, times: Array, rtol: float) -> Solution:
    return _ended(solve(WassersteinFlow(energy), start, float(times[-1]), "tsit5", rtol=rtol, atol=1e-2 * rtol, record=at(times)))


def _ended(run: Solution) -> Solution:
    if run.status is Status.INTERRUPTED:
        raise KeyboardInterrupt
    if not run.status.ok:
        raise RuntimeError(f"{run.status.value}: {run.message}")
    return run


def _curve(run: Solution, name: str) -> Array:
    return np.asarray(run.diagnostics[name], dtype=np.float64)


def _on_axis(mu: ParticleMeasure, nu: ParticleMeasure, k: int) -> float:
    return w2(ParticleMeasure(mu.points[:, [k]]), ParticleMeasure(nu.points[:, [k]])).upper


def _heavy(measure: ParticleMeasure) -> tuple[ParticleMeasure, float]:
    """The measure without its lightest atoms, scaled up to mass 1, and the mass they had, at most 1e-8."""
    order = np.argsort(measure.weights, kind="stable")
    kept = order[np.cumsum(measure.weights[order]) > _DROPPED]
    weights = measure.weights[kept]
    return ParticleMeasure(measure.points[kept], weights / weights.sum()), float(measure.weights.sum() - weights.sum())
