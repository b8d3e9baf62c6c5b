"""Observed orders of steps and of dense output (math.md §11, 'integrator orders')."""

from __future__ import annotations

import numpy as np
import pytest
from integrators.problems import ADAPTIVE, STABILISED, fixed, observed_order, run, smooth, smooth_solution

import wflow.integrators as integrators

CASES = [
    ("euler", 1, 0.15, lambda dt: {}),
    ("heun", 2, 0.15, lambda dt: {}),
    ("ssprk3", 3, 0.15, lambda dt: {}),
    ("bs3", 3, 0.15, lambda dt: {}),
    ("tsit5", 5, 0.3, lambda dt: {}),
    *((name, 2, 0.15, lambda dt, k=k: {"spectral_radius": k / dt}) for name in STABILISED for k in (1.0, 100.0, 1e4)),
]
IDS = ["euler", "heun", "ssprk3", "bs3", "tsit5", *(f"{name}-{k}" for name in STABILISED for k in (1, 100, 10000))]


@pytest.mark.parametrize("direction", [1, -1], ids=["forward", "backward"])
@pytest.mark.parametrize(("name", "order", "margin", "more"), CASES, ids=IDS)
def test_order_of_the_steps(name, order, margin, more, direction):
    ends = (0.0, 2.0)[::direction]
    errors = []
    for n in (16, 32, 64):
        dt = 2.0 / n
        solver = run(name, smooth, smooth_solution(ends[0]), ends[1], t0=ends[0], **fixed(name, dt, **more(dt)))
        assert (solver.status, solver.t, solver.counts["steps"]) == ("finished", ends[1], n)
        errors.append(np.linalg.norm(solver.y - smooth_solution(ends[1])))
    assert integrators.get(name).order == order
    assert abs(observed_order(errors) - order) < margin


@pytest.mark.parametrize(("name", "order"), [("euler", 1), ("heun", 2), ("ssprk3", 3), ("bs3", 3), ("tsit5", 4), ("rkc2", 2), ("rkl2", 2)])
def test_order_of_the_dense_output(name, order):
    """Within one step from an exact start the error is of the order plus one, everywhere."""
    theta = np.linspace(0.1, 0.9, 9)
    errors = []
    for h in (0.2, 0.1, 0.05):
        solver = integrators.get(name)(smooth, 0.5, smooth_solution(0.5), 3.0, **fixed(name, h))
        solver.step()
        assert solver.step_size == pytest.approx(h)
        errors.append(np.abs(solver.dense_output()(0.5 + theta * h) - smooth_solution(0.5 + theta * h)).max())
    assert observed_order(errors) > order + 1 - 0.25


@pytest.mark.parametrize("name", ADAPTIVE)
def test_error_follows_the_tolerance(name):
    """Steps go with tolerance^(1/k), k the order of the estimate, errors with the step to the order of the method."""
    method = integrators.get(name)
    tolerances = np.array([1e-3, 1e-4, 1e-5, 1e-6, 1e-7])
    errors = [np.linalg.norm(run(name, smooth, (1, 0), 5.0, rtol=r, atol=r).y - smooth_solution(5.0)) for r in tolerances]
    slope = np.polyfit(np.log(tolerances), np.log(errors), 1)[0]
    assert abs(slope - method.order / method.estimate_order) < 0.2
    assert errors[0] < 20 * tolerances[0]
