"""The option `accept`: a say in steps that meet the tolerances, such as that an energy must not rise."""

from __future__ import annotations

import numpy as np
import pytest
from integrators.problems import ADAPTIVE, STABILISED, run, smooth
from scipy.integrate import OdeSolver

import wflow.integrators as integrators
from wflow.integrators import Adaptive


def spiral(t, y):
    """Decays in norm along circles."""
    return np.array([-0.2 * y[0] - 5.0 * y[1], 5.0 * y[0] - 0.2 * y[1]])


class Decay:
    """The safeguard for an energy |y|² that must not rise, with what it was asked."""

    def __init__(self, start):
        self.energy, self.calls, self.refused = float(np.dot(start, start)), [], 0

    def __call__(self, t, y):
        self.calls.append(y)
        energy = float(np.dot(y, y))
        if energy > self.energy:
            self.refused += 1
            return False
        self.energy = energy
        return True


@pytest.mark.parametrize("name", ADAPTIVE)
class TestSafeguard:
    def test_the_energy_never_rises(self, name):
        """At a loose tolerance all methods gain energy in steps of 0.9; stabilised ones where they are told that nothing is stiff."""
        start, more = np.array([3.0, 4.0]), {"rtol": 1.0, "atol": 10.0, "first_step": 0.9}
        more |= {"spectral_radius": 1.0} if name in STABILISED else {}
        free, safe = Decay(start), Decay(start)
        seen = integrators.get(name)(spiral, 0.0, start, 3.0, **more)
        while seen.status == "running":
            seen.step()
            free(seen.t, seen.y)
        solver = integrators.get(name)(spiral, 0.0, start, 3.0, accept=safe, **more)
        states = []
        while solver.status == "running":
            assert solver.step() is None
            states.append(solver.y)
        assert free.refused > 0
        assert safe.refused > 0
        assert (np.diff([25.0, *(y @ y for y in states)]) <= 0.0).all()
        assert solver.counts["rejected"] >= safe.refused
        assert len(safe.calls) == solver.counts["steps"] + safe.refused
        assert all(any(call is y for call in safe.calls) for y in states)

    def test_a_refused_step_is_halved(self, name):
        asked = []

        def twice(t, y):
            asked.append(t)
            return len(asked) > 2

        solver = integrators.get(name)(lambda t, y: -0.01 * y, 0.0, np.ones(2), 10.0, first_step=0.8, accept=twice)
        solver.step()
        assert asked == pytest.approx([0.8, 0.4, 0.2], rel=1e-14)
        assert (solver.t, solver.counts["rejected"]) == (asked[-1], 2)

    def test_never_is_told_apart_from_too_small(self, name):
        solver = integrators.get(name)(smooth, 0.0, np.array([1.0, 0.0]), 1.0, accept=lambda t, y: np.bool_(False))
        assert solver.step() == Adaptive.NOT_ACCEPTED != OdeSolver.TOO_SMALL_STEP
        assert (solver.status, solver.t, solver.counts["steps"]) == ("failed", 0.0, 0)
        assert solver.counts["rejected"] < 2000

    def test_yes_changes_nothing(self, name):
        more = {"rtol": 1e-4, "atol": 1e-6}
        plain, asked = run(name, smooth, (1, 0), 3.0, **more), run(name, smooth, (1, 0), 3.0, accept=lambda t, y: True, **more)
        assert plain.y.tobytes() == asked.y.tobytes()
        assert plain.counts == asked.counts

    def test_neither_yes_nor_no(self, name):
        with pytest.raises(TypeError, match="accept must return True or False; got None"):
            run(name, smooth, (1, 0), 1.0, accept=lambda t, y: None)

    def test_it_is_not_asked_about_bad_steps(self, name):
        """A step that fails the error test, or is not finite, is rejected before."""
        def never(t, y):
            raise AssertionError

        solver = integrators.get(name)(smooth, 0.0, np.array([1.0, 0.0]), 1.0, accept=never, norm=lambda *_: 2.0)
        assert solver.step() == OdeSolver.TOO_SMALL_STEP
        solver = integrators.get(name)(lambda t, y: y * (np.nan if t else 1.0), 0.0, np.ones(2), 1.0, accept=never, first_step=0.1)
        assert solver.step() == OdeSolver.TOO_SMALL_STEP
