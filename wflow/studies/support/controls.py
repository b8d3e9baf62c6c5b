"""Negative controls: starts that provably stay below the optimum, what they keep, and bounds on the gap that they leave (math.md §7)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from wflow import mdp
from wflow._checks import Array
from wflow.energies import PolicyValue
from wflow.measures import ParticleMeasure, laws

__all__ = ["CONTROLS", "Control", "all_dead", "least_affine", "least_monotone"]

_MONOTONE = ("relu", "tanh", "sigmoid", "softplus")
_BEND = 1e-13  # what is below this much of the range is rounding
_BISECTIONS = 100  # of intervals whose ends may be far apart and close to 0
_NOTHING = 1e-12  # nats: a divergence below that proves nothing


def least_monotone(log_policy: Array, weights: Array) -> Array:
    """Of each row, the least ``KL(π_f | π*)`` among monotone f, increasing or decreasing; (n_s, n_a), (n_a,) -> (n_s,).

    π_f is monotone with f, so that the minimum is that of the convex function ``sum_j w_j π_j (log π_j − log π*_j)`` over the cone of
    monotone densities. Its stationarity condition is, on each block where π is constant, ``log π = mean of log π* over the block,
    weighted by w, plus a constant``: log π is the isotonic regression of log π*, normalised (Robertson, Wright & Dykstra 1988).
    """
    from scipy.optimize import isotonic_regression

    least = np.full(len(log_policy), np.inf)
    for increasing in (True, False):
        rows = [isotonic_regression(row, weights=weights, increasing=increasing).x for row in log_policy]
        least = np.minimum(least, mdp.statewise_kl(_normalised(np.stack(rows), weights), log_policy, weights))
    return least


def least_affine(log_policy: Array, actions: Array, weights: Array) -> Array:
    """Of each row, a concave log π*, the least ``KL(π_f | π*)`` among convex f, which is that among f(a) = c a.

    *Proof.* For convex f let ℓ be its affine regression in L²(π_f) and u = f − ℓ: convex, orthogonal to 1 and a, so it has the signs
    +, −, + in turn. h = f − log π* is convex; less the affine function that equals it where u changes sign it has the signs of u, so
    ``E[u h] ≥ 0``. Along ``f' = −u`` thus ``d KL(π_f | π*)/dt = Cov(f', h) = −E[u h] ≤ 0`` while f stays convex and its non-affine part
    decays as e^{−t}: no convex f does better than affine ones.

    *The slope.* Of f = c a the divergence has the derivative Cov(a, h) in c. Where that is 0 its own is ``Var(a) + E[(a − ā)² (h − h̄)]``,
    whose second term is ≥ 0 by the same argument: it changes sign once, between the steepest slopes of log π*, beyond which h is
    monotone, and is bisected. Actions (n_a,), increasing, two or more.
    """
    slopes = np.diff(log_policy) / np.diff(actions)
    low, high = slopes.min(axis=1), slopes.max(axis=1)
    for _ in range(_BISECTIONS):
        c = (low + high) / 2.0
        density = weights * np.exp(_normalised(c[:, None] * actions, weights))
        end = np.where(c > 0.0, len(actions) - 1, 0)[:, None]  # where the mass is if c is steep: both factors are exactly 0 there
        away = actions - actions[end]
        excess = c[:, None] * away - (log_policy - np.take_along_axis(log_policy, end, axis=1))
        covariance = (density * away * excess).sum(axis=1) - (density * away).sum(axis=1) * (density * excess).sum(axis=1)
        above = (covariance > 0.0) | ((covariance == 0.0) & (c > 0.0))  # 0 where all mass is at an end, to rounding
        low, high = np.where(above, low, c), np.where(above, c, high)
    return mdp.statewise_kl(_normalised(c[:, None] * actions, weights), log_policy, weights)


def _normalised(values: Array, weights: Array) -> Array:
    """Log densities from values (n_s, n_a)."""
    shifted = values - values.max(axis=1, keepdims=True)
    log_density: Array = shifted - np.log(np.exp(shifted) @ weights)[:, None]
    return log_density


def _bend(values: Array, actions: Array) -> Array:
    """How far each inner value of a row (n_s, n_a) lies below the chord of its neighbours, (n_s, n_a − 2): its sign is that of f''."""
    share = (actions[1:-1] - actions[:-2]) / (actions[2:] - actions[:-2])
    bend: Array = values[:, :-2] + share * (values[:, 2:] - values[:, :-2]) - values[:, 1:-1]
    return bend


@dataclass(frozen=True)
class Control:
    """A start that stays below the optimum.

    Attributes
    ----------
    name : str
    law : callable
        ``law(energy)``: that of `wflow.measures.laws`, which has the proof of what it keeps.
    claim : str
        What that is.
    defect : callable
        ``defect(energy, measure) -> float``: by how much a measure does not keep it; 0, or rounding, if it does.
    rounding : float
        What counts as rounding of that.
    bound : callable
        Gap that the proof leaves: ``bound(energy) -> float``, 0 where it says nothing of this problem.
    applies : callable
        ``applies(energy) -> str``: why the control does not exist for this energy; empty if it does.
    """

    name: str
    law: Callable[[Any], laws.Product]
    claim: str
    defect: Callable[[Any, ParticleMeasure], float]
    rounding: float
    bound: Callable[[Any], float]
    applies: Callable[[Any], str]


def _one_axis(energy: Any) -> bool:
    return isinstance(energy, PolicyValue) and energy.mdp.actions.dimension == 1 and energy.mdp.temperature > 0.0


def _relu(energy: Any) -> str:
    return "" if isinstance(energy, PolicyValue) and energy.network.activation.homogeneous else "of ReLU neurons only"


def _relu_on_a_line(energy: Any) -> str:
    return _relu(energy) or ("" if _one_axis(energy) and _increasing(energy) else "of three or more actions on a line only")


def _increasing(energy: Any) -> bool:
    actions = energy.mdp.actions.nodes[:, 0]
    return len(actions) >= 3 and bool((np.diff(actions) > 0.0).all())


def all_dead(energy: Any) -> laws.Product:
    """`wflow.measures.laws.all_dead` for the energy's nodes."""
    spaces = (energy.mdp.states, energy.mdp.actions)
    reach = max(float(np.abs(space.nodes).max(initial=0.0)) for space in spaces)
    return laws.all_dead(energy.n_parameters, max(reach, 1.0))


def _bounded_below(energy: Any, divergences: Array) -> float:
    """τ sum_i ρ0_i KL_i ≤ E* − E, since ϱ ≥ ρ0 in ``E* − E = τ sum_i ϱ_i KL(π_i | π*_i)`` (math.md §2); 0 if that is mere rounding."""
    least = float(energy.mdp.initial @ divergences)
    return float(energy.mdp.temperature * least) if least > _NOTHING else 0.0


def _uniform_gap(energy: Any) -> float:
    problem = energy.mdp
    uniform = np.full(energy.optimum.log_policy.shape, -np.log(problem.actions.weights.sum()))
    return mdp.exact_gap(problem, mdp.evaluate(problem, uniform), energy.optimum)


def _monotone_gap(energy: Any) -> float:
    if not _one_axis(energy) or energy.network.activation.name not in _MONOTONE:
        return 0.0
    order = np.argsort(energy.mdp.actions.nodes[:, 0])
    return _bounded_below(energy, least_monotone(energy.optimum.log_policy[:, order], energy.mdp.actions.weights[order]))


def _convex_gap(energy: Any) -> float:
    if not (_one_axis(energy) and _increasing(energy)):
        return 0.0
    actions, weights = energy.mdp.actions.nodes[:, 0], energy.mdp.actions.weights
    target = energy.optimum.log_policy
    concave = (_bend(target, actions) <= _BEND * np.ptp(target)).all(axis=1)
    return _bounded_below(energy, np.where(concave, least_affine(target, actions, weights), 0.0))


def _force(energy: Any, measure: ParticleMeasure) -> float:
    return float(energy.evaluate(measure).dissipation)


def _spread(energy: Any, measure: ParticleMeasure) -> float:  # noqa: ARG001
    return float(np.abs(measure.points - measure.points[0]).max())


def _concavity(energy: Any, measure: ParticleMeasure) -> float:
    """How far f_ν(s, ·) is from convex, in units of its range; infinite if an ω0 is not positive."""
    if not (measure.points[:, 0] > 0.0).all():
        return float("inf")
    values = energy.log_policy(measure)
    bend = _bend(values, energy.mdp.actions.nodes[:, 0])
    return float(max(0.0, -bend.min()) / np.abs(values).max())


CONTROLS = (
    Control("all dead", all_dead, "∫|F|²dν", _force, 1e-12, _uniform_gap, _relu),
    Control("single point", lambda energy: laws.single_point(energy.n_parameters), "spread of the particles", _spread, 1e-14,
            _monotone_gap, lambda _: ""),
    Control("sign-locked", lambda energy: laws.sign_locked(energy.n_parameters), "convexity of f lost", _concavity, 1e-13,
            _convex_gap, _relu_on_a_line),
)  # fmt: skip
