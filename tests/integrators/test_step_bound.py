"""The option `step_bound`: steps of strong-stability-preserving methods within what Euler's step preserves; how `solve` passes it on."""

from __future__ import annotations

import numpy as np
import pytest

import wflow.integrators as integrators
from wflow.integrators.embedded import SSPPair
from wflow.loop import solve

SSP = ["heun", "ssprk3"]


def decay(t, y):
    """Euler's steps up to 1/100 keep y > 0, those beyond 2/100 grow."""
    return -100.0 * y


def bound(t, y):
    return 0.01


@pytest.mark.parametrize("name", SSP)
class TestStepBound:
    def test_no_step_is_longer_than_nine_tenths(self, name):
        free = integrators.get(name)(decay, 0.0, np.ones(3), 1.0, rtol=1e3, atol=1e3, first_step=0.5)
        free.step()
        assert free.t == 0.5
        solver = integrators.get(name)(decay, 0.0, np.ones(3), 1.0, rtol=1e3, atol=1e3, first_step=0.5, step_bound=bound)
        while solver.status == "running":
            t = solver.t
            assert solver.step() is None
            assert solver.t - t <= 0.009 * (1.0 + 1e-7)
            assert (solver.y > 0.0).all()
        assert solver.counts["steps"] == 112  # ⌈1/0.009⌉

    def test_it_is_asked_once_a_step_at_the_state_of_its_start(self, name):
        """Also where attempts are rejected."""
        asked = []

        def told(t, y):
            asked.append((t, y))
            return 1.0

        start = np.array([1.0, 2.0])
        solver = integrators.get(name)(decay, 0.0, start, 0.1, rtol=1e-6, first_step=0.1, step_bound=told)
        states = [(0.0, start)]
        while solver.status == "running":
            solver.step()
            states.append((solver.t, solver.y))
        assert solver.counts["rejected"] > 0
        assert len(asked) == solver.counts["steps"]
        assert all(t == at and np.array_equal(y, state) for (t, y), (at, state) in zip(asked, states, strict=False))

    def test_an_infinite_bound_changes_nothing(self, name):
        runs = []
        for options in ({}, {"step_bound": lambda t, y: np.inf}):
            solver = integrators.get(name)(decay, 0.0, np.ones(2), 0.3, **options)
            while solver.status == "running":
                solver.step()
            runs.append((solver.y, solver.counts))
        np.testing.assert_array_equal(runs[0][0], runs[1][0])
        assert runs[0][1] == runs[1][1]

    def test_backward_in_time(self, name):
        options = {"rtol": 1e3, "atol": 1e3, "first_step": 1.0, "step_bound": lambda t, y: 0.5}
        solver = integrators.get(name)(lambda t, y: y, 1.0, np.ones(1), 0.0, **options)
        solver.step()
        assert solver.t == pytest.approx(0.55)

    def test_resumed_to_the_bit(self, name):
        def varying(t, y):
            return 0.002 + 0.01 * float(y[0])

        make = integrators.get(name)
        solver = make(decay, 0.0, np.ones(1), 0.2, rtol=1e3, atol=1e3, step_bound=varying)
        for _ in range(5):
            solver.step()
        other = make(decay, solver.t, solver.y, 0.2, rtol=1e3, atol=1e3, step_bound=varying)
        other.load_state_dict(solver.state_dict())
        for _ in range(5):
            solver.step()
            other.step()
            assert (other.t, other.y.item()) == (solver.t, solver.y.item())

    def test_wrong_values(self, name):
        make = integrators.get(name)
        with pytest.raises(TypeError, match=r"step_bound must be a callable or None; got 0\.1"):
            make(decay, 0.0, np.ones(1), 1.0, step_bound=0.1)
        for wrong in (0.0, -1.0, np.nan):
            with pytest.raises(ValueError, match=r"step_bound\(t, y\) must be"):
                make(decay, 0.0, np.ones(1), 1.0, step_bound=lambda t, y, wrong=wrong: wrong).step()


def test_the_methods_that_take_it():
    taking = [name for name in integrators.names() if issubclass(integrators.get(name), SSPPair)]
    assert taking == SSP


class Falling:
    """A flow of one number that may not fall below 0.3, and Euler steps of which may be no longer than 0.05."""

    default_method = "heun"

    def __init__(self):
        self.asked, self.bounds = [], []

    def pack(self, initial):
        return np.array([float(initial)])

    def unpack(self, y):
        return float(y[0])

    def rhs(self, t, y):
        return -np.ones(1)

    def diagnostics(self, t, y):
        return {"energy": float(y[0])}

    def step_bound(self, t, y):
        self.bounds.append(t)
        return 0.05

    def admissible(self, t, y):
        self.asked.append(float(y[0]))
        return bool(y[0] >= 0.3)


class TestSolve:
    def test_passes_bound_and_verdict_on(self):
        flow = Falling()
        solution = solve(flow, 1.0, 0.5)
        assert solution.provenance["method"] == "heun"
        assert np.diff(solution.times).max() <= 0.045 * (1.0 + 1e-7)
        assert len(flow.asked) == len(flow.bounds) == solution.counts["steps"]

    @pytest.mark.parametrize("method", ["heun", "ssprk3", "bs3", "tsit5", "rkc2", "rkl2"])
    @pytest.mark.parametrize("options", [{}, {"safeguard": True}])
    def test_no_state_that_is_not_admissible(self, method, options):
        """Where none is left, the run says so."""
        solution = solve(Falling(), 1.0, 2.0, method, options=options)
        assert not solution.status.ok
        assert solution.final == pytest.approx(0.3, abs=1e-9)
        assert solution.final >= 0.3

    def test_the_users_own_accept_takes_its_place(self):
        flow = Falling()
        solution = solve(flow, 1.0, 1.0, options={"accept": lambda t, y: True})
        assert solution.final == pytest.approx(0.0, abs=1e-12)
        assert flow.asked == []
        with pytest.raises(ValueError, match="safeguard or accept"):
            solve(flow, 1.0, 1.0, options={"accept": lambda t, y: True, "safeguard": True})

    def test_the_users_own_bound_takes_its_place(self):
        flow = Falling()
        solution = solve(flow, 1.0, 0.5, options={"step_bound": lambda t, y: 0.01})
        assert np.diff(solution.times).max() == pytest.approx(0.009)
        assert flow.bounds == []

    def test_methods_without_the_options_do_without(self):
        assert solve(Falling(), 1.0, 1.0, "euler", options={"dt": 0.5}).final == 0.0
        assert solve(Falling(), 1.0, 1.0, "RK45").final == pytest.approx(0.0, abs=1e-12)
