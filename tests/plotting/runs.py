"""Runs to draw: solved ones, and made-up ones that say what a test needs."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from wflow.energies import PolicyValue
from wflow.flows import WassersteinFlow
from wflow.loop import Status, solve
from wflow.measures import GridMeasure, laws
from wflow.record import linear


def solved(mdp, seed=0, t_end=1.0, activation="relu", n=12, provenance=None, **options):
    energy = PolicyValue(mdp, activation)
    initial = laws.student(energy.n_parameters).sample(n, seed)
    provenance = {"experiment": "e", "seed": seed} if provenance is None else provenance
    return solve(WassersteinFlow(energy), initial, t_end, "RK45", provenance=provenance, **options)


class Tilting:
    """Masses of cells that turn into their mirror image by t = 1, in a straight line; what a flow on grids stores."""

    def __init__(self, kind="grid"):
        self.state_kind = kind

    def pack(self, initial):
        self._grid, moving = initial, self.state_kind == "moving grid"
        first = initial.axes[0] if moving else initial.masses.ravel()
        self._rate = (1.0 + first**2 if moving else first[::-1]) - first
        return first.copy()

    def unpack(self, y):
        return y

    def rhs(self, t, y):
        return self._rate.copy()

    def diagnostics(self, t, y):
        return {"energy": float(y @ y)}

    def static(self):
        moving = self.state_kind == "moving grid"
        return {"masses": self._grid.masses} if moving else {f"axis{k}": edges for k, edges in enumerate(self._grid.axes)}


def on_grid(shape, kind="grid", steps=4, **options):
    """A run of `Tilting` on uneven cells, all of its states kept."""
    rng = np.random.default_rng(0)
    axes = [np.cumsum(rng.uniform(0.5, 1.0, n + 1)) for n in shape]
    masses = rng.random(shape)
    initial = GridMeasure(axes, masses / masses.sum())
    record = linear(steps + 1, states="all")
    return solve(Tilting(kind), initial, 1.0, "RK45", **{"record": record, "provenance": {"experiment": "g", "seed": 0}, **options})


class Seen:
    """A solution of which some attributes are told otherwise."""

    def __init__(self, solution, **told):
        self.__dict__.update(told, _solution=solution)

    def __getattr__(self, name):
        return getattr(self._solution, name)


def cut(solution, status, until, **told):
    """A solution as its file would show it after the writer had reached the time `until`; without states unless `told` of them."""
    k = int((solution.times <= until).sum())
    diagnostics = {name: values[:k] for name, values in solution.diagnostics.items()}
    told = {"final_time": np.nan, "state_times": np.empty(0), "finals": {"log_policy": np.full((1, 1), np.nan)}, **told}
    return Seen(solution, times=solution.times[:k], diagnostics=diagnostics, status=Status(status), **told)


class Curve:
    """A run of nothing but times and diagnostics."""

    def __init__(self, times, status="finished", provenance=None, **diagnostics):
        self.times = np.asarray(times, dtype=float)
        self.diagnostics = {name: np.asarray(values, dtype=float) for name, values in diagnostics.items()}
        self.status, self.provenance = Status(status), provenance or {}
        self.static, self.finals, self.state_times, self.final_time = {}, {}, np.empty(0), np.nan
        self.stored = SimpleNamespace(last=None)


def waiting(**provenance):
    """A run that has not begun."""
    return Curve([], "waiting", provenance, energy=[])
