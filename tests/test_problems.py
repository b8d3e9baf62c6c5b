"""Problems without a policy: that energy, initial law and closed form belong together, and what is said of a state's distance."""

from __future__ import annotations

import numpy as np
import pytest

from wflow import problems
from wflow.closed_forms import AbsoluteAttraction
from wflow.energies import value_on
from wflow.flows.eulerian import EulerianFlow
from wflow.measures import GridMeasure, ParticleMeasure

KNOWN = {
    "heat": (problems.heat, {}, 0.5),
    "heat in the plane": (problems.heat, {"variance": (0.2, 0.5), "temperature": 1.5}, 0.3),
    "ornstein_uhlenbeck": (problems.ornstein_uhlenbeck, {"mean": (0.7,), "variance": (0.3,), "stiffness": 1.3, "temperature": 0.6}, 0.4),
    "ornstein_uhlenbeck in the plane": (problems.ornstein_uhlenbeck, {}, 0.4),
    "fokker_planck": (problems.fokker_planck, {"drift": -3.0}, 0.05),
    "barenblatt": (problems.barenblatt, {"exponent": 2.0, "coefficient": 0.7, "age": 0.3}, 0.2),
    "aggregation": (problems.aggregation, {"mean": (0.3,), "variance": (0.4,)}, 0.3),
    "aggregation in the plane": (problems.aggregation, {}, 0.2),
    "collapse": (problems.aggregation, {"exponent": 1.0, "mean": (0.2,), "variance": (0.5,)}, 0.4),
}


@pytest.fixture(params=KNOWN)
def known(request):
    make, arguments, t = KNOWN[request.param]
    return make(**arguments), t


def axes_of(problem, cells):
    return tuple(np.linspace(low, high, cells + 1) for low, high in problem.box)


def test_the_initial_law_is_the_closed_form_at_the_start(known):
    problem, _ = known
    axes = axes_of(problem, 48)
    np.testing.assert_allclose(problem.start(axes).masses, problem.at(0.0, axes).masses, atol=1e-9)  # the box lacks tails of 1e-9
    if problem.law is not None:
        mean, covariance = problem.moments(0.0)
        np.testing.assert_allclose(problem.law.mean(), mean, atol=1e-7)
        np.testing.assert_allclose(problem.law.covariance(), covariance, atol=1e-5)
    for (low, high), (left, right) in zip(problem.box, problem.core, strict=True):
        assert low <= left < right <= high


def test_the_energy_is_that_of_the_closed_form(known):
    """Cells of half the width, a quarter of the error of the energy, at least; fronts are of order 1."""
    problem, t = known
    errors = [abs(value_on(problem.energy, problem.at(t, axes_of(problem, n))) - problem.energy_at(t)) for n in (64, 128)]
    assert errors[1] < 2e-2 * abs(problem.energy_at(t))
    assert errors[1] < errors[0] / 1.9


def test_the_closed_form_moves_as_the_flow_along_the_energy(known):
    """Fluxes along the first axis, which are rates of the masses summed up (at a front the rates themselves jump), against differences
    in time of the closed form."""
    problem, t = known
    errors = []
    for n in (64, 128):
        axes = axes_of(problem, n)
        flow = EulerianFlow(problem.energy)
        grid = problem.at(t, axes)
        flux = flow.rhs(t, flow.pack(grid)).reshape(grid.shape).cumsum(axis=0)
        exact = ((problem.at(t + 1e-4, axes).masses - problem.at(t - 1e-4, axes).masses) / 2e-4).cumsum(axis=0)
        errors.append(np.abs(flux - exact).sum() / np.abs(exact).sum())
    if isinstance(problem.exact, AbsoluteAttraction):  # two jumps, wrong on a face each; half as high in the mean, on the 78 in between
        assert max(errors[0] / 2.0, errors[1]) < 2.0 / 39.0
    else:
        assert errors[1] < 0.03
        assert errors[1] < errors[0] / 1.8


def test_distance_of_a_grid_is_the_sum_of_the_errors_of_its_masses():
    problem = problems.heat()
    axes = axes_of(problem, 50)
    exact = problem.at(0.5, axes)
    assert problem.errors(0.5, exact) == {"L1": 0.0}
    moved = exact.masses.copy()
    moved[20], moved[30] = moved[20] + 0.001, moved[30] - 0.001
    assert problem.errors(0.5, GridMeasure(axes, moved))["L1"] == pytest.approx(0.002, rel=1e-9)


@pytest.mark.parametrize("name", ["ornstein_uhlenbeck in the plane", "fokker_planck", "barenblatt", "collapse"])
def test_distance_of_particles_is_that_of_their_moments(name):
    """Two particles a standard deviation to either side of the exact mean, along the first axis, moved by 0.25. The grid that knows the
    exact moments spreads its masses over its cells, which adds h²/12 to a variance twice."""
    make, arguments, t = KNOWN[name]
    problem = make(**arguments)
    axes = tuple(np.linspace(low, high, 2001 if len(problem.box) == 1 else 301) for low, high in problem.box)
    exact = problem.at(t, axes)
    mean, covariance = exact.mean(), exact.covariance()
    away = np.zeros(len(mean))
    away[0] = np.sqrt(covariance[0, 0])
    tolerance = max(np.diff(edges).max() ** 2 for edges in axes) / 3.0 + 1e-6
    found = problem.errors(t, ParticleMeasure(np.array([mean - away, mean + away]) + 0.25))
    left = covariance.copy()
    left[0, 0] = 0.0
    assert found["mean"] == pytest.approx(0.25 * np.sqrt(len(mean)), abs=1e-6)
    assert found["covariance"] == pytest.approx(np.sqrt((left**2).sum()), abs=tolerance)


def test_a_front_counts_its_age():
    problem, older = problems.barenblatt(age=0.3), problems.barenblatt(age=0.5)
    axes = axes_of(problem, 40)
    np.testing.assert_array_equal(problem.at(0.2, axes).masses, older.at(0.0, axes).masses)
    np.testing.assert_array_equal(problem.moments(0.2)[1], problem.exact.covariance(0.5))


def test_without_a_closed_form_there_is_no_distance():
    problem = problems.aggregation(exponent=3.0)
    axes = axes_of(problem, 8)
    assert problem.errors(0.0, problem.start(axes)) == {}
    with pytest.raises(ValueError, match="has none"):
        problem.at(0.0, axes)


@pytest.mark.parametrize("dimension", [1, 2])
def test_a_regression_is_solved_by_its_teacher(dimension):
    """The teacher's own neurons, drawn again: the loss is 0, and the student's start says nothing."""
    problem = problems.regression(n_neurons=3, n_inputs=20, dimension=dimension, seed=4)
    rng = np.random.default_rng(4)
    inputs = np.sort(rng.uniform(-1.0, 1.0, (20, 2)), axis=None) if dimension == 2 else (np.arange(20) + 0.5) / 10.0 - 1.0
    neurons = np.column_stack([rng.normal(0.0, 2.0, 3) for _ in range(dimension + 2)])
    assert problem.energy.value(ParticleMeasure(neurons)) < 1e-28
    assert problem.energy.targets.any()
    np.testing.assert_allclose(np.sort(problem.energy.inputs, axis=None), inputs, rtol=1e-15)
    start = problem.law.sample(7, 0)
    assert problem.energy.value(start) == pytest.approx(0.5 * np.mean(problem.energy.targets**2), rel=1e-14)


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (problems.heat, {"variance": ()}, "variance must be one to three numbers"),
        (problems.heat, {"variance": (0.1,) * 4}, "variance must be one to three numbers"),
        (problems.heat, {"variance": (0.1, -1.0)}, r"variance must be a finite number above 0; got -1\.0"),
        (problems.heat, {"temperature": 0.0}, "temperature must be"),
        (problems.ornstein_uhlenbeck, {"variance": (0.1,)}, "variance must be 2 numbers, as many as mean has"),
        (problems.ornstein_uhlenbeck, {"stiffness": 0.0}, "stiffness must be"),
        (problems.fokker_planck, {"drift": np.inf}, "drift must be"),
        (problems.barenblatt, {"exponent": 1.0}, "exponent must be"),
        (problems.barenblatt, {"age": 0.0}, "age must be"),
        (problems.barenblatt, {"dimension": 4}, "dimension must be 1, 2 or 3; got 4"),
        (problems.aggregation, {"exponent": 0.5}, "exponent must be"),
        (problems.regression, {"n_inputs": 0}, "n_inputs must be"),
        (problems.regression, {"activation": "rellu"}, "activation must be one of"),
    ],
)
def test_arguments_that_do_not_fit(make, arguments, message):
    with pytest.raises(ValueError, match=message):
        make(**arguments)


def test_runs_of_other_things_have_no_problem():
    for provenance in ({}, {"config": {}}, {"config": {"problem": {"kind": "garnet", "n_states": 3}}}):
        assert problems.stored(provenance) is None
