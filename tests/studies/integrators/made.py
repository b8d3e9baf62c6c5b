"""Made-up runs with known numbers, and small cases that take milliseconds."""

from __future__ import annotations

import numpy as np

from wflow import mdp
from wflow.energies import PolicyValue
from wflow.flows import WassersteinFlow
from wflow.measures import laws
from wflow.studies.integrators import Case, CaseRuns, Integrators, Point, Start
from wflow.studies.integrators.cases import Decay, _linear


def point(method="tsit5", rtol=1e-3, status="finished", message="", *, evaluations=100, spectral_radius=0, steps=20, rejected=1,
          seconds=1.0, energy=1e-4, state=None, w2=None, drift=np.nan):  # fmt: skip
    """A run; errors of state and W2 follow that of E unless given, and a run that failed has none."""
    if status != "finished":
        energy = np.nan
    state, w2 = (energy if given is None else given for given in (state, w2))
    return Point(method, rtol, status, message, evaluations, spectral_radius, steps, rejected, seconds, energy, state, w2, drift)


def gave_up(method="RK45", rtol=1e-3, seconds=60.0):
    return point(method, rtol, "gave up", "given up after 60 s", evaluations=-1, spectral_radius=0, steps=-1, rejected=-1, seconds=seconds)


def case(*points, name="made", own=1e-9, smooth=True, horizon=100.0):
    drift = 0.0
    return CaseRuns(name, horizon, smooth, {"energy": own, "state": own, "w2": own, "drift": drift}, list(points))


def study(*cases):
    about = {"cases": [{"name": one.name} for one in cases], "seconds": 3.5, "provenance": {"machine": "a machine, 2 CPUs"}}
    return Integrators({one.name: one for one in cases}, about)


def ladder(method, rate, cost, **options):
    """A method whose error falls like work^{-rate}."""
    return [
        point(method, rtol, energy=(cost / evaluations) ** rate, evaluations=evaluations, seconds=1e-3 * evaluations, **options)
        for rtol, evaluations in ((1e-2, 4 * cost), (1e-3, 8 * cost), (1e-4, 16 * cost))
    ]


def policy(activation, n, seed=0):
    """Start of a bandit's flow with few particles and nodes."""
    energy = PolicyValue(mdp.agazzi_lu_bandit(seed=seed, n_actions=20), activation)
    return Start(WassersteinFlow(energy), laws.student(energy.n_parameters).sample(n, seed))


def wrong():
    return 3


def exploding(n):
    """dy/dt = +y² from 1, which ends at t = 1; the energy is the mean."""
    return Start(Exploding(1.0, 2.0), np.ones(n))


class Exploding(Decay):
    def rhs(self, t, y):
        return y**2

    def diagnostics(self, t, y):
        return {"energy": float(y.mean())}


LINEAR = Case("small linear", _linear, 3.0, (("n", 40),))
TANH = Case("small tanh", policy, 5.0, (("activation", "tanh"), ("n", 12)))
RELU = Case("small relu", policy, 5.0, (("activation", "relu"), ("n", 12)), smooth=False)
EXPLODING = Case("exploding", exploding, 2.0, (("n", 3),))
WRONG = Case("wrong", wrong, 1.0)
