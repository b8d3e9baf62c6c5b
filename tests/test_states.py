"""Every kind of state comes back from a file as the measure that it was."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import wflow
from wflow import loop
from wflow.measures import GridMeasure, ParticleMeasure
from wflow.record import Layout, every_step


class Still:
    """y' = shift, so that y(1) = y(0) + shift, for states of any kind."""

    def __init__(self, kind, static, packed, shift):
        self.state_kind, self._static, self._packed, self._shift = kind, static, packed, shift

    def static(self):
        return self._static

    def pack(self, initial):
        return self._packed

    def unpack(self, y):
        return y

    def rhs(self, t, y):
        return self._shift

    def diagnostics(self, t, y):
        return {"energy": float(y.sum())}


def arrays(measure):
    if isinstance(measure, GridMeasure):
        return [*measure.axes, measure.masses]
    return [measure.points, measure.weights]


def grid(shape, seed=0):
    rng = np.random.default_rng(seed)
    axes = [np.cumsum(rng.uniform(0.5, 1.0, n + 1)) for n in shape]
    masses = rng.random(shape)
    return GridMeasure(axes, masses / masses.sum())


def on_a_grid(shape):
    first = grid(shape)
    shift = np.zeros(first.size)
    shift[0], shift[-1] = -0.5 * first.masses.flat[0], 0.5 * first.masses.flat[0]
    last = GridMeasure._trusted(first.axes, first.masses + shift.reshape(shape))
    return Still("grid", {f"axis{k}": edges for k, edges in enumerate(first.axes)}, first.masses.ravel().copy(), shift), first, last


def on_a_moving_grid():
    first = grid((5,))
    shift = np.linspace(0.0, 2.0, 6)
    return Still("moving grid", {"masses": first.masses}, first.axes[0], shift), first, GridMeasure([first.axes[0] + shift], first.masses)


def of_particles(weighted):
    rng = np.random.default_rng(1)
    points, weights = rng.normal(size=(6, 3)), rng.dirichlet(np.ones(6))
    moved = points + 1.0
    if not weighted:
        still = Still("particles", {"weights": weights}, points.ravel(), np.ones(18))
        return still, ParticleMeasure(points, weights), ParticleMeasure(moved, weights)
    rates = rng.normal(size=6)
    later = weights * np.exp(rates)
    still = Still("weighted particles", {"shape": np.array([6, 3])}, np.concatenate([points.ravel(), np.log(weights) + 7.0]),
                  np.concatenate([np.ones(18), rates]))  # fmt: skip
    return still, ParticleMeasure(points, weights), ParticleMeasure(moved, later / later.sum())


CASES = {
    "line": lambda: on_a_grid((7,)), "plane": lambda: on_a_grid((3, 4)), "space": lambda: on_a_grid((3, 2, 4)),
    "four axes": lambda: on_a_grid((2, 3, 1, 2)), "one cell": lambda: on_a_grid((1,)), "moving": on_a_moving_grid,
    "particles": lambda: of_particles(False), "weighted": lambda: of_particles(True),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_stored_file_reopens_to_the_same_measures(case, tmp_path):
    flow, first, last = CASES[case]()
    solved = loop.solve(flow, None, 1.0, "RK45", record=every_step("all"), path=tmp_path / "run.h5")
    stored = wflow.open(tmp_path / "run.h5")
    for solution in (solved, stored):
        for state, expected in ((solution.state(0), first), (solution.final, last)):
            assert type(state) is type(expected)
            for found, wanted in zip(arrays(state), arrays(expected), strict=True):
                assert found.shape == wanted.shape
                np.testing.assert_allclose(found, wanted, rtol=1e-13, atol=1e-15)
    for a, b in zip(solved.states(), stored.states(), strict=True):
        for found, wanted in zip(arrays(a), arrays(b), strict=True):
            np.testing.assert_array_equal(found, wanted)
    travelled = pickle.loads(pickle.dumps(stored.unpack))(flow.pack(None))
    for found, wanted in zip(arrays(travelled), arrays(stored.state(0)), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_a_flow_of_another_kind_keeps_its_own_states():
    from wflow._states import unpacker

    own = str
    assert unpacker(Layout(("energy",), 3, "spirals"), own) is own
    assert unpacker(Layout(("energy",), 3), own) is own
