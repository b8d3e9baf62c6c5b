"""Lemma C.3 as an experiment: near a spurious fixed point, what is on the wrong side crosses, grows, and carries the measure away."""

from __future__ import annotations

from typing import Any

import numpy as np

from wflow._checks import Array
from wflow.measures import ParticleMeasure, laws
from wflow.studies._walk import Unwatched, walk
from wflow.studies.support.controls import all_dead
from wflow.studies.support.plan import Task
from wflow.studies.support.runs import followed, g_on
from wflow.studies.support.surface import stepping

__all__ = ["SHARE", "WRONG", "escape", "spurious"]

SHARE = 1e-3  # of the mass that separates; the rest is the spurious fixed point
WRONG = 0.5  # |ω0| of it at the start, on the side opposite to G+
_SPURIOUS = 64  # particles of the fixed point
_LENGTH = 10.0  # of the window looked at closely, in units of M/η
_FRAMES = 201


def escape(task: Task) -> dict[str, Array]:
    """Start at ``(1 − ε) ν̃ + ε λ``: ν̃ `spurious`, λ the problem's law with ω0 = ∓M.

    With s the sign of the largest |g_ν̃| on Θ and η half of that, ``G = {s g_ν̃ > η}`` and ``G+ = G ∩ {s ω0 > 0}`` (Agazzi & Lu 2021,
    C.8). All of λ has s ω0 = −M. As long as s g_ν > η/2 on G, ``s dω0/dt > η/2`` there: what stays in G is in G+ by 2M/η, s ω0 grows at
    the rate η/2 or faster, and the mass of G+ does not fall.

    Returns
    -------
    dict
        ``times`` (T,), to 10 M/η; ``near`` (T,): the smallest s g_ν/η over the particles in G; ``window`` (T,): 1 as long as it is above
        1/2; ``mass``, ``mass_plus`` (T,): the fractions of λ in G and in G+; ``omega`` (T, K): s ω0 of the particles of λ that are in G
        throughout the window; ``eta``; ``long_times``, ``long_gap``: to 100 times the horizon.
    """
    energy, law = task.problem.build()
    dead = spurious(energy).qmc(_SPURIOUS, task.generator(8))
    signal = energy.signal(dead)
    theta = energy.domain.mesh().points
    g = g_on(energy, theta, signal)
    side = float(np.sign(g[np.abs(g).argmax()]))
    eta = 0.5 * float(np.abs(g).max())
    rest = law.qmc(task.size // 2, task.generator(9)).points.copy()
    rest[:, 0] = -side * WRONG
    weights = np.concatenate([np.full(_SPURIOUS, (1.0 - SHARE) / _SPURIOUS), np.full(len(rest), SHARE / len(rest))])
    start = ParticleMeasure(np.concatenate([dead.points, rest]), weights)

    short = np.linspace(0.0, _LENGTH * WRONG / eta, _FRAMES)
    states = list(walk(Unwatched(energy), start, short, *stepping(energy.n_parameters - 1)).states())
    near, inside, omega = (np.stack(column) for column in zip(*[_look(energy, state, signal, side, eta) for state in states], strict=True))
    window = np.arange(_FRAMES) < (int(np.argmin(near > 0.5)) if (near <= 0.5).any() else _FRAMES)
    run = followed("escape", energy, start, task.long_times, task.rtol)
    return {
        "times": short, "near": near, "mass": inside.mean(axis=1), "mass_plus": (inside & (omega > 0.0)).mean(axis=1),
        "omega": omega[:, inside[window].all(axis=0)], "window": window.astype(np.float64), "eta": np.array(eta),
        "long_times": task.long_times, "long_gap": np.asarray(run.diagnostics["gap"]),
    }  # fmt: skip


def spurious(energy: Any) -> laws.Product:
    """A fixed point with f = 0: dead ReLU neurons, bumps too far away to be felt (e^{−x²/2} vanishes beyond 39), or silent neurons."""
    activation = energy.network.activation
    if activation.homogeneous:
        return all_dead(energy)
    if activation.radial:
        return laws.Product((laws.Normal(), *[laws.Point(edge + 40.0 * activation.width) for edge in energy.domain.upper]))
    return laws.silent(energy.n_parameters)


def _look(energy: Any, state: ParticleMeasure, signal: Array, side: float, eta: float) -> tuple[Any, Any, Any]:
    """Smallest s g_ν/η over the particles of λ in G, which of them are in G, and their s ω0."""
    points = state.points[_SPURIOUS:]
    inside = side * g_on(energy, points[:, 1:], signal) > eta
    now = side * g_on(energy, points[inside, 1:], energy.signal(state))
    return np.array(now.min() / eta if len(now) else np.nan), inside, side * points[:, 0]
