"""Fixed steps."""

from __future__ import annotations

import numpy as np
import pytest
from integrators.problems import run

from wflow.integrators import Euler


def test_it_is_gradient_ascent():
    A = np.diag([1.0, 0.3])
    y = np.array([1.0, -2.0])
    solver = run("euler", lambda t, y: -A @ y, y, 1.0, dt=0.1)
    for _ in range(10):
        y = y - 0.1 * (A @ y)
    np.testing.assert_allclose(solver.y, y, rtol=1e-14)
    assert solver.counts == {"steps": 10, "rejected": 0, "stages": 10, "rhs": 11, "spectral_radius": 0}
    assert solver.nfev == 11
    assert Euler.adaptive is False


@pytest.mark.parametrize("sign", [1, -1])
def test_the_clock_does_not_drift(sign):
    solver = Euler(lambda t, y: 0 * y, 0.0, np.ones(1), sign * 1000.0, dt=0.1)
    for k in range(1, 10_001):
        solver.step()
        assert solver.t == sign * k * 0.1
    assert solver.status == "finished"


def test_the_last_step_is_shortened():
    times = []
    solver = Euler(lambda t, y: -y, 2.0, np.ones(1), 3.0, dt=0.3)
    while solver.status == "running":
        solver.step()
        times.append(solver.t)
    assert times == pytest.approx([2.3, 2.6, 2.9, 3.0], rel=1e-15)
    assert times[-1] == 3.0
    assert solver.y[0] == pytest.approx(0.7**3 * 0.9)


def test_a_step_that_time_cannot_resolve():
    solver = Euler(lambda t, y: -y, 1e20, np.ones(1), 2e20, dt=1.0)
    assert solver.step() == Euler.TOO_SMALL_STEP
    assert solver.status == "failed"


@pytest.mark.parametrize("bad", [0.0, -0.1, np.nan, np.inf])
def test_steps_that_make_no_sense(bad):
    with pytest.raises(ValueError, match="dt must be a finite number above 0"):
        Euler(lambda t, y: -y, 0.0, np.ones(1), 1.0, dt=bad)
    with pytest.raises(TypeError, match=r"^dt must be a finite number above 0; got None$"):
        Euler(lambda t, y: -y, 0.0, np.ones(1), 1.0)
