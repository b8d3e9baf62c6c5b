"""The linear McKean–Vlasov energy: double sums, finite differences, and the flow in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

import wflow
from wflow.energies import Evaluation, QuadraticInteraction
from wflow.flows import WassersteinFlow
from wflow.measures import ParticleMeasure

TINY = np.finfo(float).tiny  # below it floats have no relative accuracy
clouds = {"seed": st.integers(0, 2**32 - 1), "n": st.integers(1, 7), "m": st.integers(1, 4)}


def cloud(seed, n=5, m=3):
    rng = np.random.default_rng(seed)
    return ParticleMeasure(rng.normal(1.0, 2.0, (n, m)), rng.dirichlet(np.ones(n)))


def brute_value(points, weights, stiffness, attraction):
    total = 0.0
    for p, x in zip(weights, points, strict=True):
        total += stiffness / 2.0 * p * (x @ x)
        for q, y in zip(weights, points, strict=True):
            total += attraction / 4.0 * p * q * ((x - y) @ (x - y))
    return total


@given(**clouds, stiffness=st.floats(0.0, 3.0), attraction=st.floats(0.0, 3.0))
def test_value_is_the_double_sum(seed, n, m, stiffness, attraction):
    measure, energy = cloud(seed, n, m), QuadraticInteraction(stiffness, attraction)
    exact = brute_value(measure.points, measure.weights, stiffness, attraction)
    square = measure.weights @ (measure.points**2).sum(axis=1)
    assert energy.value(measure) == pytest.approx(exact, rel=0, abs=1e-13 * (stiffness + attraction) * square + TINY)


@given(**clouds)
def test_velocity_is_the_negative_gradient(seed, n, m):
    """∂E/∂x_n = sense p_n velocity_n, by central differences, which are exact for a quadratic."""
    measure, energy = cloud(seed, n, m), QuadraticInteraction(0.7, 1.9)
    gradient = np.empty((n, m))
    for index in np.ndindex(n, m):
        shift = np.zeros((n, m))
        shift[index] = 0.5
        up, down = (brute_value(measure.points + s * shift, measure.weights, 0.7, 1.9) for s in (1, -1))
        gradient[index] = up - down
    assert energy.sense == -1
    np.testing.assert_allclose(energy.sense * measure.weights[:, None] * energy.velocity(measure), gradient, rtol=0, atol=1e-11)


@given(**clouds)
def test_first_variation(seed, n, m):
    """d/dε E((1 − ε)ν + ε δ_x) = Ψ(x) − ∫ Ψ dν, and velocity = −∇Ψ."""
    measure, energy = cloud(seed, n, m), QuadraticInteraction(1.3, 0.4)
    others = np.random.default_rng(seed).normal(size=(4, m))
    variation = energy.first_variation(measure, others)
    assert variation.shape == (4,)
    squares = ((others[:, None] - measure.points) ** 2).sum(axis=2)
    np.testing.assert_allclose(variation, 0.65 * (others**2).sum(axis=1) + 0.2 * squares @ measure.weights, rtol=1e-12)
    mean = measure.weights @ energy.first_variation(measure, measure.points)
    for x, psi in zip(others, variation, strict=True):
        points = np.vstack([measure.points, x])

        def mixed(epsilon, points=points):
            return brute_value(points, np.append((1.0 - epsilon) * measure.weights, epsilon), 1.3, 0.4)

        assert mixed(0.25) - mixed(-0.25) == pytest.approx((psi - mean) / 2.0, rel=1e-10, abs=1e-11)
    for i in range(m):
        step = np.eye(m)[i] / 2.0
        slope = energy.first_variation(measure, others + step) - energy.first_variation(measure, others - step)
        np.testing.assert_allclose(energy.field(others, measure.mean())[:, i], -slope, rtol=0, atol=1e-11)


def test_hooks_agree():
    measure, energy = cloud(0), QuadraticInteraction(0.5, 2.0)
    mean = measure.weights @ measure.points
    for found in (energy.signal(measure), energy.function_values(measure)):
        np.testing.assert_allclose(found, mean, rtol=1e-15)
    together = energy.evaluate(measure)
    assert isinstance(together, Evaluation)
    assert together.value == energy.value(measure)
    np.testing.assert_array_equal(together.velocity, energy.velocity(measure))
    np.testing.assert_array_equal(energy.field(measure.points, energy.signal(measure)), together.velocity)
    np.testing.assert_allclose(together.velocity, -0.5 * measure.points - 2.0 * (measure.points - mean), rtol=1e-12)
    np.testing.assert_allclose(energy.field(np.ones((2, 3)), np.array([0.0, 1.0, 2.0])), np.tile([-2.5, -0.5, 1.5], (2, 1)))
    assert together.dissipation == pytest.approx(measure.weights @ (together.velocity**2).sum(axis=1), rel=1e-13)


def exact_points(measure, t, stiffness, attraction):
    mean = measure.mean()
    return np.exp(-stiffness * t) * mean + np.exp(-(stiffness + attraction) * t) * (measure.points - mean)


@pytest.mark.parametrize(("stiffness", "attraction"), [(1.0, 1.0), (0.0, 2.0), (0.5, 0.0)])
def test_flow_in_closed_form(stiffness, attraction):
    measure, energy = cloud(1, 20), QuadraticInteraction(stiffness, attraction)
    run = wflow.solve(WassersteinFlow(energy), measure, 1.5, "DOP853", rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(run.final.points, exact_points(measure, 1.5, stiffness, attraction), rtol=0, atol=1e-10)
    np.testing.assert_array_equal(run.final.weights, measure.weights)
    assert np.all(np.diff(run.energy) < 0.0)


@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("RK4", 4)])
def test_order_in_time(method, order):
    """Explicit Euler through `wflow.solve`; the classical method in plain NumPy on the same field."""
    measure, energy = cloud(2, 20), QuadraticInteraction(0.6, 0.9)
    exact, steps, errors = exact_points(measure, 1.0, 0.6, 0.9), (16, 32, 64), []
    for n in steps:
        flow = WassersteinFlow(energy)
        if method == "euler":
            points = wflow.solve(flow, measure, 1.0, "euler", options={"dt": 1.0 / n}).final.points
        else:
            y, h = flow.pack(measure), 1.0 / n
            for _ in range(n):
                k1 = flow.rhs(0.0, y)
                k2 = flow.rhs(0.0, y + h / 2 * k1)
                k3 = flow.rhs(0.0, y + h / 2 * k2)
                y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + flow.rhs(0.0, y + h * k3))
            points = flow.unpack(y).points
        errors.append(np.abs(points - exact).max())
    slope = np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert slope == pytest.approx(-order, abs=0.15)


MEASURE = cloud(0)


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda: QuadraticInteraction(-1.0), ValueError, "^stiffness must be a finite number at least 0; got -1.0$"),
    (lambda: QuadraticInteraction(1.0, np.inf), ValueError, "^attraction must be a finite number at least 0; got inf$"),
    (lambda: QuadraticInteraction("1"), TypeError, "^stiffness must be a finite number at least 0; got '1'$"),
    (lambda: QuadraticInteraction().value(np.ones((2, 2))), TypeError, "^measure must be a ParticleMeasure; got array"),
    (lambda: QuadraticInteraction().velocity(None), TypeError, "^measure must be a ParticleMeasure; got None$"),
    (lambda: QuadraticInteraction().evaluate(None), TypeError, "^measure must be a ParticleMeasure; got None$"),
    (lambda: QuadraticInteraction().signal(3), TypeError, "^measure must be a ParticleMeasure; got 3$"),
    (lambda: QuadraticInteraction().first_variation(MEASURE, np.ones((2, 2))), ValueError, r"^points must have shape \(any, 3\)"),
    (lambda: QuadraticInteraction().field(np.ones((2, 2)), np.ones(3)), ValueError, r"^points must have shape \(any, 3\); got \(2, 2\)$"),
    (lambda: QuadraticInteraction().field(np.ones((2, 2)), 1.0), ValueError, r"^signal must have shape \(any,\); got 1.0$"),
])  # fmt: skip
def test_refuses(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_repr():
    assert repr(QuadraticInteraction(0.5, 2)) == "QuadraticInteraction(stiffness=0.5, attraction=2.0)"


def test_same_bits_however_many_threads_blas_has():
    measure, energy = cloud(0, n=60_000), QuadraticInteraction(1.0, 2.0)
    with threadpool_limits(1, "blas"):
        one = energy.value(measure)
    with threadpool_limits(2, "blas"):
        two = energy.value(measure)
    assert one == two
