"""Minimising movements of cells on the line: exact W2, exact derivatives, closed forms, orders, the descent inequality, walls."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wflow.closed_forms import Barenblatt, FokkerPlanckInterval, OrnsteinUhlenbeck, gaussian_jko
from wflow.energies import Entropy, Interaction, Potential, PowerLaw, QuadraticInteraction, Sum
from wflow.flows.jko import JKOFlow
from wflow.flows.moving_grid import MovingGrid, _solved
from wflow.loop import Status, solve
from wflow.measures import GridMeasure
from wflow.measures.distances import w2

TOLERANCE = 1e-10


def gaussian(n, mean, deviation, reach=8.0):
    edges = mean + deviation * np.linspace(-reach, reach, n + 1)
    return GridMeasure.from_density((edges,), lambda x: np.exp(-(((x[:, 0] - mean) / deviation) ** 2) / 2.0), nodes=8)


def scattered(seed, n=9):
    rng = np.random.default_rng(seed)
    return GridMeasure((np.cumsum(rng.uniform(0.1, 1.0, n + 1)) - 3.0,), rng.dirichlet(np.full(n, 2.0)))


def waves(x):
    return (np.cos(3.0 * x) + 0.1 * x**4).sum(axis=1)


def waves_gradient(x):
    return -3.0 * np.sin(3.0 * x) + 0.4 * x**3


def everything():
    return Potential(waves, waves_gradient) + Entropy(0.3) + 0.4 * PowerLaw(2.5, 0.7) + Interaction.power(4.0, 0.2)


def dense_metric(masses):
    """Σ m_i (a² + ab + b²)/3 as a matrix, cell by cell."""
    matrix = np.zeros((len(masses) + 1, len(masses) + 1))
    for i, m in enumerate(masses):
        matrix[i : i + 2, i : i + 2] += m * np.array([[1 / 3, 1 / 6], [1 / 6, 1 / 3]])
    return matrix


def spread(measure):
    return float(np.sqrt(measure.covariance()[0, 0]))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 12))
def test_the_metric_is_w2(seed, n):
    """Dᵀ A D between two sets of edges is W2² of the measures, as the distances' own quantiles find it."""
    old, new = scattered(seed, n), scattered(seed + 1, n)
    new = GridMeasure(new.axes, old.masses)
    d = new.axes[0] - old.axes[0]
    assert d @ dense_metric(old.masses) @ d == pytest.approx(w2(old, new).value ** 2, rel=1e-9)


@pytest.mark.parametrize("walls", [False, True])
def test_velocity_is_the_gradient_in_the_metric(walls):
    """−A⁻¹ ∂E/∂X with ∂E/∂X by central differences of the energy, and the dissipation its square."""
    start = scattered(0)
    flow = JKOFlow(everything(), walls=walls)
    y = flow.pack(start)
    step = 1e-5
    slopes = [(flow.diagnostics(0.0, y + e)["energy"] - flow.diagnostics(0.0, y - e)["energy"]) / (2 * step) for e in step * np.eye(len(y))]
    free = slice(1, -1) if walls else slice(None)
    gradient, metric = np.array(slopes)[free], dense_metric(start.masses)[free, free]
    velocity = flow.rhs(0.0, y)
    np.testing.assert_allclose(velocity[free], np.linalg.solve(metric, -gradient), rtol=1e-6, atol=1e-6)
    assert flow.diagnostics(0.0, y)["dissipation"] == pytest.approx(gradient @ np.linalg.solve(metric, gradient), rel=1e-6)
    if walls:
        assert velocity[0] == velocity[-1] == 0.0


def test_energy_is_that_of_the_grid():
    """Exactly for entropy and power laws; a drift by two Gauss nodes a cell, which see a cubic whole."""
    start = scattered(1)
    for energy in (Entropy(0.3), PowerLaw(2.5, 0.7), Sum([Entropy(0.3), PowerLaw(3.0)], [2.0, 0.5])):
        flow = JKOFlow(energy)
        assert flow.diagnostics(0.0, flow.pack(start))["energy"] == pytest.approx(energy.value(start), rel=1e-13)
    flow, x = JKOFlow(Potential(lambda p: p[:, 0] ** 3, lambda p: 3.0 * p**2)), start.axes[0]
    exact = float((start.masses * np.diff(x**4) / (4.0 * np.diff(x))).sum())
    assert flow.diagnostics(0.0, flow.pack(start))["energy"] == pytest.approx(exact, rel=1e-13)


@pytest.mark.parametrize(("kappa", "h", "m", "sigma"), [(2.0, 0.1, 1.0, 0.5), (0.5, 1.0, -2.0, 2.0), (1.0, 0.01, 0.0, 1.0)])
def test_gaussian_step_at_order_two(kappa, h, m, sigma):
    """The closed step of a Gaussian: its mean to rounding (the drift is linear), its deviation at order 2 in the width."""
    flow, errors = JKOFlow(Potential.quadratic(kappa) + Entropy(1.0)), []
    mean, deviation = gaussian_jko(m, sigma, kappa, h)
    for n in (100, 200, 400):
        solution = solve(flow, gaussian(n, m, sigma), h, options={"step": h})
        assert solution.status is Status.FINISHED, solution.message
        # no less convex than the transport alone: the mean is as far off as h times the residual at most
        assert solution.final.mean()[0] == pytest.approx(mean, abs=h * 1e-9 + 1e-13)
        errors.append(spread(solution.final) - deviation)
    orders = np.log2(np.abs(errors[:-1]) / np.abs(errors[1:]))
    np.testing.assert_allclose(orders, 2.0, atol=0.05)


def test_residual_of_a_step_is_reached():
    """1e-10 in the metric, worked out here from the edges by dense algebra."""
    start, h = gaussian(60, 1.0, 0.5, reach=4.0), 0.1
    flow = JKOFlow(Potential.quadratic(0.1) + Entropy(0.2))
    y = flow.pack(start)
    stepper = flow.stepper(0.0, y, h, field=flow.rhs, step=h)
    assert stepper.step() is None
    metric = dense_metric(start.masses)
    defect = flow.rhs(h, stepper.y) - (stepper.y - y) / h
    assert np.sqrt(defect @ metric @ defect) <= TOLERANCE + 1e-12
    assert flow.diagnostics(h, stepper.y)["residual"] <= TOLERANCE


def test_order_one_in_time():
    """Ornstein–Uhlenbeck; the error of 400 cells stays below a hundredth of that of the steps."""
    law = OrnsteinUhlenbeck(1.0, 0.25, 1.0, 1.0)
    exact = law.mean(1.0)[0], float(np.sqrt(law.covariance(1.0)[0, 0]))
    flow, errors = JKOFlow(Potential.quadratic(1.0) + Entropy(1.0)), []
    for steps in (10, 20, 40):
        final = solve(flow, gaussian(400, 1.0, 0.5), 1.0, options={"step": 1.0 / steps}).final
        errors.append((final.mean()[0] - exact[0], spread(final) - exact[1]))
    orders = np.log2(np.abs(errors[:-1]) / np.abs(errors[1:]))
    np.testing.assert_allclose(orders, 1.0, atol=0.1)


@pytest.mark.parametrize("h", [1e-3, 0.1, 1.0])
@pytest.mark.parametrize("walls", [False, True])
def test_descent_inequality(h, walls):
    """E falls by W2²/(2h) or more in every step, W2 by the distances' own quantiles; masses stay and edges keep their order."""
    flow = JKOFlow(everything(), walls=walls)
    old = gaussian(80, 0.3, 0.7, reach=4.0)
    stepper = flow.stepper(0.0, flow.pack(old), 4 * h, field=flow.rhs, step=h)
    while stepper.status == "running":
        before = flow.diagnostics(stepper.t, stepper.y)
        assert stepper.step() is None
        new, after = flow.unpack(stepper.y), flow.diagnostics(stepper.t, stepper.y)
        assert after["energy"] + w2(old, new).lower ** 2 / (2.0 * h) <= before["energy"] + 1e-13
        assert after["residual"] <= TOLERANCE * max(1.0, np.sqrt(before["dissipation"]))
        assert after["label_excess"] == 0.0
        assert (new.widths[0] > 0.0).all()
        np.testing.assert_array_equal(new.masses, old.masses)
        if walls:
            np.testing.assert_array_equal(new.axes[0][[0, -1]], old.axes[0][[0, -1]])
        old = new


def test_quadratic_attraction_is_exact():
    """Every edge comes closer to the mean by 1 + h(κ + λ), whatever the cells: the minimiser is linear in the quantiles."""
    start, h = scattered(4), 0.4
    y = solve(JKOFlow(QuadraticInteraction(0.0, 1.5)), start, h, options={"step": h}).final.axes[0]
    mean = start.mean()[0]
    # of two nodes a cell the interaction sees the exact second moment, so nothing is lost
    np.testing.assert_allclose(y, mean + (start.axes[0] - mean) / (1.0 + 1.5 * h), atol=1e-9)


def test_barenblatt_front_and_profile():
    """The front within a cell, the masses of the run's own cells at order 1 or better; steps so short that their error is of order 2."""
    law, errors = Barenblatt(2.0, 1.0, 1), []
    for n in (25, 50, 100):
        edges = np.linspace(-law.front(1.0), law.front(1.0), n + 1)
        masses = law.masses(1.0, edges)
        solution = solve(JKOFlow(PowerLaw(2.0)), GridMeasure((edges,), masses / masses.sum()), 1.0, options={"step": 10.0 / n**2})
        assert solution.status is Status.FINISHED, solution.message
        final = solution.final
        assert abs(final.axes[0][-1] - law.front(2.0)) < final.widths[0][-1]
        errors.append(np.abs(law.masses(2.0, final.axes[0]) - final.masses).sum())
    assert errors[0] > 2.0 * errors[1] > 4.0 * errors[2]


def test_fokker_planck_between_walls():
    """Steps refined like squares of the cells: order 2 in space and 1 in time, in W2."""
    law, errors = FokkerPlanckInterval(2.0), []
    for n in (20, 40, 80):
        edges = np.linspace(0.0, 1.0, n + 1)
        start = GridMeasure((edges,), law.masses(0.05, edges))
        flow = JKOFlow(Potential.linear(-2.0) + Entropy(1.0), walls=True)
        final = solve(flow, start, 0.1, options={"step": 0.1 * (20 / n) ** 2 / 10}).final
        fine = np.linspace(0.0, 1.0, 2001)
        errors.append(w2(final, GridMeasure((fine,), law.masses(0.15, fine))).value)
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert (orders > 1.85).all(), orders


def test_equilibrium_between_walls():
    """Long after, the density is e^{gx} up to the cells; ∫ρ log ρ − V is at its least."""
    n, g = 100, 3.0
    start = GridMeasure((np.linspace(0.0, 1.0, n + 1),), np.full(n, 1.0 / n))
    final = solve(JKOFlow(Potential.linear(-g) + Entropy(1.0), walls=True), start, 20.0, options={"step": 1.0}).final
    quantiles = np.log1p(np.expm1(g) * np.linspace(0.0, 1.0, n + 1)) / g
    assert np.abs(final.axes[0] - quantiles).max() < 1.0 / n**2 * 5.0


def test_force_of_constant_size_until_the_collapse():
    """W = |x| on [−1, 1]: half-width 1 − t, deviation at order 2; beyond t = 1 no step, and a reason."""
    flow, errors = JKOFlow(Interaction.power(1.0)), []
    for n in (25, 50, 100):
        start = GridMeasure((np.linspace(-1.0, 1.0, n + 1),), np.full(n, 1.0 / n))
        final = solve(flow, start, 0.5, options={"step": 0.1}).final
        assert abs(final.axes[0][-1] - 0.5) < 0.1 * final.widths[0][-1]
        errors.append(spread(final) - 0.5 / np.sqrt(3.0))
    np.testing.assert_allclose(np.log2(np.array(errors[:-1]) / errors[1:]), 2.0, atol=0.05)
    beyond = solve(flow, start, 1.5, options={"step": 0.1})
    assert beyond.status is Status.STEP_TOO_SMALL
    assert "too narrow" in beyond.message
    assert 0.85 < beyond.times[-1] <= 1.05


def test_resumes_to_the_bit_and_stores_masses(tmp_path):
    energy, start, path = everything(), gaussian(40, 0.3, 0.7, reach=4.0), tmp_path / "run.h5"
    straight = solve(JKOFlow(energy), start, 0.5, options={"step": 0.07})
    solve(JKOFlow(energy), start, 0.5, options={"step": 0.07}, path=path, max_steps=3, checkpoint=0.0)
    resumed = solve(JKOFlow(energy), start, 0.5, options={"step": 0.07}, path=path, resume=True)
    np.testing.assert_array_equal(resumed.final.axes[0], straight.final.axes[0])
    for name, values in straight.diagnostics.items():
        np.testing.assert_array_equal(resumed.diagnostics[name], values)
    flow = JKOFlow(energy)
    flow.pack(start)
    assert flow.state_kind == "moving grid"
    np.testing.assert_array_equal(flow.static()["masses"], start.masses)


def test_grids_that_cannot_move_are_refused():
    edges = np.arange(4.0)
    with pytest.raises(ValueError, match=r"^initial must have mass in every cell.*got 0 in cell 1$"):
        MovingGrid(Entropy(1.0), GridMeasure((edges,), [0.5, 0.0, 0.5]), walls=False)
    with pytest.raises(ValueError, match=r"^initial must have three cells or more between walls; got 2$"):
        MovingGrid(Entropy(1.0), GridMeasure((edges[:3],), [0.5, 0.5]), walls=True)

    class Warm(QuadraticInteraction):
        temperature = 1.0

    with pytest.raises(TypeError, match=r"^energy must be made of Entropy, PowerLaw, and energies with a velocity and without temperature"):
        MovingGrid(Warm(), GridMeasure((edges,), [0.5, 0.25, 0.25]), walls=False)


def test_banded_solves_are_those_of_dense_algebra():
    start = scattered(7)
    moving = MovingGrid(Entropy(1.0), start, walls=True)
    right = np.arange(1.0, start.size)
    np.testing.assert_allclose(_solved(moving._metric, right), np.linalg.solve(dense_metric(start.masses)[1:-1, 1:-1], right), rtol=1e-12)
