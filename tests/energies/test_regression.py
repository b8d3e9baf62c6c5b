"""Least squares with mean-field networks: sums and complex steps by hand, convexity, a flow in closed form, teachers found."""

from __future__ import annotations

import numpy as np
import pytest
from energies.oracle import STEP, sigma
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from threadpoolctl import threadpool_limits

import wflow
from wflow.energies import residuals
from wflow.energies.domains import Box, Sphere
from wflow.energies.free import Potential
from wflow.energies.regression import Regression, RegressionEvaluation
from wflow.flows import WassersteinFlow
from wflow.measures import ParticleMeasure

NAMES = ("relu", "tanh", "sigmoid", "softplus", "gaussian", "rbf")
WIDTH = 0.7
problems = {"seed": st.integers(0, 2**32 - 1), "name": st.sampled_from(NAMES), "d": st.integers(1, 3), "n": st.integers(1, 6)}


def made(seed, name="tanh", d=1, n=5, size=7):
    """Random data, a regression on them, and a random measure."""
    rng = np.random.default_rng(seed)
    inputs, targets, weights = rng.uniform(-1.0, 1.0, (n, d)), rng.normal(size=n), rng.uniform(0.2, 2.0, n)
    measure = ParticleMeasure(rng.normal(0.0, 1.2, (size, d + 1 + (name != "rbf"))), rng.dirichlet(np.ones(size)))
    return Regression(inputs, targets, name, weights=weights, width=WIDTH if name == "rbf" else None), measure, (inputs, targets, weights)


def neuron(name, x, row):
    """ω0 φ(x; ω̄) of one neuron at one input, for real or complex rows."""
    if name == "rbf":
        return row[0] * np.exp(-sum((u - c) ** 2 for u, c in zip(x, row[1:], strict=True)) / (2.0 * WIDTH**2))
    return row[0] * sigma(name, np.asarray(sum(u * k for u, k in zip(x, row[1:], strict=False)) + row[-1]))


def plain_value(name, data, points, weights):
    """E(ν) by loops; the weights need not sum to 1."""
    total = 0.0
    for x, y, q in zip(*data, strict=True):
        f = sum(p * neuron(name, x, row) for p, row in zip(weights, points, strict=True))
        total += 0.5 * q * (f - y) ** 2
    return total


def scale(name, data, measure):
    """sum_i q_i (sum_n p_n |ψ_n| + |y_i|)², against which E is rounded."""
    parts = [sum(p * abs(neuron(name, x, row)) for p, row in zip(measure.weights, measure.points, strict=True)) for x in data[0]]
    return float(data[2] @ (np.array(parts) + np.abs(data[1])) ** 2)


@given(**problems)
def test_value_is_the_sum(seed, name, d, n):
    energy, measure, data = made(seed, name, d, n)
    assert energy.value(measure) == pytest.approx(plain_value(name, data, measure.points, measure.weights), rel=0,
                                                  abs=1e-13 * scale(name, data, measure))  # fmt: skip


@given(**problems)
def test_velocity_is_the_negative_gradient(seed, name, d, n):
    """∂E/∂ω_n = sense p_n velocity_n, by one imaginary step of 1e-30 of the sums by hand."""
    energy, measure, data = made(seed, name, d, n)
    gradient = np.empty(measure.points.shape)
    for index in np.ndindex(*gradient.shape):
        moved = measure.points.astype(complex)
        moved[index] += 1j * STEP
        gradient[index] = plain_value(name, data, moved, measure.weights).imag / STEP
    size = scale(name, data, measure) * (1.0 + np.abs(measure.points).max())
    found = energy.sense * measure.weights[:, None] * energy.velocity(measure)
    np.testing.assert_allclose(found, gradient, rtol=0, atol=1e-11 * size)


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "softplus", "gaussian", "rbf"])
def test_velocity_against_finite_differences(name):
    """The package's own value and velocity, by differences of fourth order."""
    energy, measure, _ = made(3, name, 2, 9)
    h, velocity = 1e-3, energy.velocity(measure)
    for k, i in np.ndindex(*measure.points.shape):
        values = []
        for step in (2.0, 1.0, -1.0, -2.0):
            points = measure.points.copy()
            points[k, i] += step * h
            values.append(energy.value(ParticleMeasure(points, measure.weights)))
        slope = (8.0 * (values[1] - values[2]) - (values[0] - values[3])) / (12.0 * h)
        assert -measure.weights[k] * velocity[k, i] == pytest.approx(slope, rel=0, abs=1e-9 * np.abs(velocity).max())


@given(**problems)
def test_first_variation(seed, name, d, n):
    """d/dε E((1 − ε)ν + ε δ_ω) = Ψ(ω) − ∫ Ψ dν, exact by central differences as E is quadratic in ν."""
    energy, measure, data = made(seed, name, d, n)
    others = np.random.default_rng(seed).normal(size=(3, energy.n_parameters))
    variation = energy.first_variation(measure, others)
    assert variation.shape == (3,)
    mean = measure.weights @ energy.first_variation(measure, measure.points)
    for row, psi in zip(others, variation, strict=True):
        points = np.vstack([measure.points, row])
        up, down = (plain_value(name, data, points, np.append((1.0 - e) * measure.weights, e)) for e in (0.25, -0.25))
        size = scale(name, data, ParticleMeasure(points, np.append(measure.weights, 1.0) / 2.0))
        assert up - down == pytest.approx((psi - mean) / 2.0, rel=0, abs=1e-12 * size)


@given(**problems)
def test_convex_in_the_measure(seed, name, d, n):
    """(1 − s) E(ν) + s E(μ) − E((1 − s)ν + sμ) = s(1 − s)/2 sum_i q_i (f_ν − f_μ)² ≥ 0."""
    energy, nu, data = made(seed, name, d, n)
    mu, s = ParticleMeasure(np.random.default_rng(seed + 1).normal(size=(4, energy.n_parameters))), 0.3
    mixed = ParticleMeasure(np.vstack([nu.points, mu.points]), np.concatenate([(1.0 - s) * nu.weights, s * mu.weights]))
    excess = (1.0 - s) * energy.value(nu) + s * energy.value(mu) - energy.value(mixed)
    distance = energy.weights @ (energy.prediction(nu) - energy.prediction(mu)) ** 2
    size = scale(name, data, nu) + scale(name, data, mu)
    assert excess == pytest.approx(s * (1.0 - s) / 2.0 * distance, rel=0, abs=1e-13 * size)


@given(**problems)
def test_dissipation_is_the_tangent_kernel(seed, name, d, n):
    """∫ |velocity|² dν = Gᵀ K G for K_ij = ∫ ∇ψ_i·∇ψ_j dν, each ∇ψ_i by complex steps."""
    energy, measure, _ = made(seed, name, d, n)
    together = energy.evaluate(measure)
    assert isinstance(together, RegressionEvaluation)
    assert together.value == energy.value(measure)
    np.testing.assert_array_equal(together.velocity, energy.velocity(measure))
    np.testing.assert_array_equal(together.finals()["prediction"], energy.prediction(measure))
    gradients = np.empty((n, *measure.points.shape))
    for i in range(n):
        for k, e in np.ndindex(*measure.points.shape):
            row = measure.points[k].astype(complex)
            row[e] += 1j * STEP
            gradients[i, k, e] = np.imag(neuron(name, energy.inputs[i], row)) / STEP
    kernel = np.einsum("n,ine,jne->ij", measure.weights, gradients, gradients)
    signal = together.signal[0]
    np.testing.assert_allclose(signal, energy.weights * (energy.targets - energy.prediction(measure)), rtol=1e-15)
    size = np.abs(signal) @ np.abs(kernel) @ np.abs(signal)
    assert together.dissipation == pytest.approx(signal @ kernel @ signal, rel=0, abs=1e-10 * size + 1e-300)


# --- data ---


@pytest.mark.parametrize("name", ["relu", "tanh"])
def test_order_and_ties_of_the_data_do_not_matter(name):
    """One coordinate is sorted inside, targets and weights with it; equal inputs count twice."""
    rng = np.random.default_rng(0)
    inputs, targets, weights = np.array([0.4, -0.2, 0.4, 0.9, -0.7]), rng.normal(size=5), rng.uniform(0.5, 1.0, 5)
    measure = ParticleMeasure(rng.normal(size=(8, 3)))
    energy = Regression(inputs, targets, name, weights=weights)
    assert (np.diff(energy.inputs[:, 0]) >= 0.0).all()
    by_hand = plain_value(name, (inputs[:, None], targets, weights), measure.points, measure.weights)
    assert energy.value(measure) == pytest.approx(by_hand, rel=1e-13)
    stored = energy.static()
    np.testing.assert_array_equal(stored["targets"], targets[np.argsort(inputs, kind="stable")])
    np.testing.assert_array_equal(stored["input_weights"], weights[np.argsort(inputs, kind="stable")])
    assert Regression(inputs, targets, name).value(measure) == pytest.approx(
        plain_value(name, (inputs[:, None], targets, np.full(5, 0.2)), measure.points, measure.weights), rel=1e-13)  # fmt: skip


def test_other_kernels_take_over_and_agree():
    """Sorted inputs bring ReLU's prefix sums, many neurons and inputs the interpolations of smooth ones: the same numbers."""
    rng = np.random.default_rng(1)
    inputs, targets = rng.uniform(-1.0, 1.0, 700), rng.normal(size=700)
    for name, n in (("relu", 50), ("tanh", 8000)):
        energy, measure = Regression(inputs, targets, name), ParticleMeasure(rng.normal(size=(n, 3)))
        arguments = np.multiply.outer(measure.points[:, 1], energy.inputs[:, 0]) + measure.points[:, 2:]
        active = np.maximum(arguments, 0.0) if name == "relu" else np.tanh(arguments)
        prediction = measure.points[:, 0] @ active / n
        np.testing.assert_allclose(energy.prediction(measure), prediction, rtol=0, atol=1e-13 * np.abs(measure.points[:, 0]).max() * 3.0)
        slopes = (arguments > 0.0) if name == "relu" else 1.0 - active**2
        signal = (energy.targets - prediction) / 700.0
        velocity = np.stack([active @ signal, measure.points[:, 0] * (slopes @ (signal * energy.inputs[:, 0])),
                             measure.points[:, 0] * (slopes @ signal)], axis=1)  # fmt: skip
        np.testing.assert_allclose(energy.velocity(measure), velocity, rtol=0, atol=1e-12)
    assert energy.network.algorithm == "auto"


def test_same_bits_however_many_threads_blas_has():
    rng = np.random.default_rng(2)
    energy = Regression(rng.normal(size=60_000), rng.normal(size=60_000))
    measure = ParticleMeasure(rng.normal(size=(5, 3)))
    with threadpool_limits(1, "blas"):
        one = energy.value(measure)
    with threadpool_limits(2, "blas"):
        two = energy.value(measure)
    assert one == two


def test_weight_decay_is_a_sum():
    """λ/2 ∫ |ω|² dν beside the loss: velocity less λω, first variation more λ/2 |ω|²."""
    energy, measure, _ = made(4, "tanh", 2)
    total = energy + 0.3 * Potential.quadratic()
    squares = (measure.points**2).sum(axis=1)
    assert total.value(measure) == pytest.approx(energy.value(measure) + 0.15 * measure.weights @ squares, rel=1e-13)
    np.testing.assert_allclose(total.velocity(measure), energy.velocity(measure) - 0.3 * measure.points, rtol=0, atol=1e-13)
    variation = energy.first_variation(measure, measure.points) + 0.15 * squares
    np.testing.assert_allclose(total.first_variation(measure, measure.points), variation, rtol=1e-12)
    assert total.n_parameters == energy.n_parameters


# --- flows ---


def test_one_input_in_closed_form():
    """ReLU neurons aligned with the one input (x, 1): f' = 2 |(x, 1)| q (y − f) f, whatever the spread of their sizes: logistic."""
    x, y, q = 0.75, 2.0, 0.8  # |(x, 1)| = 1.25
    energy = Regression([x], [y], weights=[q])
    size = np.array([0.1, 0.3, 0.5, 0.7])
    start = ParticleMeasure(np.column_stack([size, size * x / 1.25, size / 1.25]), np.array([0.4, 0.3, 0.2, 0.1]))
    run = wflow.solve(WassersteinFlow(energy), start, 4.0, "DOP853", rtol=1e-11, atol=1e-13)
    s0 = 1.25 * float(start.weights @ size**2)
    assert energy.prediction(start)[0] == pytest.approx(s0, rel=1e-14)
    f = y / (1.0 + (y / s0 - 1.0) * np.exp(-2.0 * 1.25 * q * y * run.times))
    np.testing.assert_allclose(run.energy, 0.5 * q * (f - y) ** 2, rtol=0, atol=1e-9)
    assert energy.prediction(run.final)[0] == pytest.approx(f[-1], abs=1e-9)
    assert np.abs(run.diagnostics["invariant_drift"]).max() < 1e-9


@pytest.mark.parametrize("name", ["tanh", "gaussian", "rbf"])
def test_energy_falls_by_its_dissipation(name):
    """E(0) − E(T) = ∫ ∫|velocity|² dν dt along an accurate run, by Gauss–Legendre panels on its dense output; E monotone."""
    energy, measure, _ = made(5, name, 2, 12, 30)
    x, w = np.polynomial.legendre.leggauss(8)
    panels = 10
    times = ((np.arange(panels)[:, None] + (1.0 + x) / 2.0) / panels).ravel()
    flow = WassersteinFlow(energy)
    run = solve_ivp(flow.rhs, (0.0, 1.0), flow.pack(measure), "DOP853", t_eval=np.append(times, 1.0), rtol=1e-11, atol=1e-12)
    rates = [energy.evaluate(ParticleMeasure(y.reshape(30, -1), measure.weights)).dissipation for y in run.y.T[:-1]]
    lost = np.tile(w, panels) / (2.0 * panels) @ rates
    final = ParticleMeasure(run.y[:, -1].reshape(30, -1), measure.weights)
    assert energy.value(measure) - energy.value(final) == pytest.approx(lost, rel=1e-8)
    values = [energy.value(ParticleMeasure(y.reshape(30, -1), measure.weights)) for y in run.y.T]
    assert (np.diff(values) < 0.0).all()


@given(seed=st.integers(0, 2**32 - 1), d=st.integers(1, 3))
def test_relu_keeps_its_invariant(seed, d):
    """ω0² − |ω̄|²: the velocity is orthogonal to its gradient, point by point."""
    energy, measure, _ = made(seed, "relu", d, 6)
    velocity, points = energy.velocity(measure), measure.points
    np.testing.assert_allclose(energy.invariant(measure), points[:, 0] ** 2 - (points[:, 1:] ** 2).sum(axis=1), rtol=1e-12, atol=1e-12)
    turned = points[:, 0] * velocity[:, 0] - (points[:, 1:] * velocity[:, 1:]).sum(axis=1)
    np.testing.assert_allclose(turned, 0.0, atol=1e-13 * (1.0 + np.abs(points).max() ** 2) * (1.0 + np.abs(energy.signal(measure)).sum()))
    assert not energy.smooth
    smooth, measure, _ = made(seed, "tanh", d)
    assert smooth.smooth
    assert smooth.invariant(measure) is None


def separating(rng, size, m):
    """Output weights ±1 and ω̄ from a normal law: a start that covers Θ (math.md §7)."""
    return ParticleMeasure(np.column_stack([rng.choice([-1.0, 1.0], size), rng.normal(0.0, 2.0, (size, m - 1))]))


def teacher_and_student(name):
    rng = np.random.default_rng(1)
    m = 2 + (name != "rbf")
    teacher = ParticleMeasure(rng.normal(0.0, 2.0, (3, m)))
    energy = Regression.from_teacher(rng.uniform(-1.0, 1.0, 40), teacher, name, width=WIDTH if name == "rbf" else None)
    return energy, teacher, separating(rng, 400, m)


@pytest.mark.parametrize("name", ["relu", "tanh", "rbf"])
def test_an_overparametrised_student_reaches_its_teacher(name):
    """E goes to its least value 0 (Chizat & Bach 2018): the misfit falls below 1 % of what it was. E is convex at both ends."""
    energy, teacher, start = teacher_and_student(name)
    assert energy.value(teacher) == 0.0
    run = wflow.solve(WassersteinFlow(energy), start, 1000.0, "auto", rtol=1e-3, atol=1e-5)
    assert (np.diff(run.energy) < 0.0).all()
    assert run.energy[-1] < 1e-4 * run.energy[0]
    for measure in (start, run.final):  # E(ν) − E(μ) ≤ ∫ Ψ_ν d(ν − μ)
        slope = [nu.weights @ energy.first_variation(measure, nu.points) for nu in (measure, teacher)]
        assert energy.value(measure) <= slope[0] - slope[1]


def test_a_start_that_does_not_separate_does_not_arrive():
    """ω0 > |ω̄| keeps the sign of ω0, so f_ν stays convex: it comes no nearer to a concave target than the best straight line."""
    x = np.linspace(-1.0, 1.0, 40)
    energy, rng = Regression(x, -(x**2)), np.random.default_rng(0)
    line = -np.polyval(np.polyfit(x, x**2, 1), x)
    best = 0.5 * np.mean((line + x**2) ** 2)
    covering = separating(rng, 200, 3)
    locked = covering.points.copy()
    locked[:, 0] = np.linalg.norm(locked[:, 1:], axis=1) + 0.5
    stuck, free = (wflow.solve(WassersteinFlow(energy), start, 200.0, "auto", rtol=1e-3, atol=1e-5)
                   for start in (ParticleMeasure(locked), covering))  # fmt: skip
    assert (stuck.final.points[:, 0] > 0.0).all()
    assert (stuck.energy >= best).all()
    assert free.energy[-1] < best / 10.0


def test_few_inputs_are_fitted_to_rounding():
    """More neurons than data: K ≥ K_0 = ∫ φ_i φ_j dν > 0, so ∫ |velocity|² dν ≥ 2 λ_min(K_0) E (q = 1), and E → 0 exponentially."""
    inputs, targets = np.array([-0.8, -0.1, 0.3, 0.9]), np.array([0.5, -0.3, 0.4, 0.1])
    energy, rng = Regression(inputs, targets, "rbf", weights=np.ones(4), width=0.4), np.random.default_rng(1)
    start = ParticleMeasure(np.column_stack([np.zeros(300), rng.uniform(-1.5, 1.5, 300)]))
    run = wflow.solve(WassersteinFlow(energy), start, 700.0, "auto", rtol=1e-4, atol=1e-6)
    for measure in (start, run.final):
        features = np.exp(-np.square(np.subtract.outer(energy.inputs[:, 0], measure.points[:, 1])) / (2.0 * 0.4**2))
        least = np.linalg.eigvalsh(features @ features.T / 300.0)[0]
        assert least > 0.01
        assert energy.evaluate(measure).dissipation >= 2.0 * least * energy.value(measure)
    assert run.energy[-1] < 1e-12


def test_residuals_come_with_the_form():
    """sup|g| over Θ falls with the loss, and bounds |velocity's first column| everywhere."""
    energy, _, start = teacher_and_student("relu")
    found = residuals(energy, start)
    assert isinstance(energy.domain, Sphere)
    g = energy.velocity(start)[:, 0] / np.linalg.norm(start.points[:, 1:], axis=1)
    assert found.g_sup >= np.abs(g).max() * (1.0 - 1e-12)
    assert found.dissipation == pytest.approx(energy.evaluate(start).dissipation, rel=1e-12)
    assert isinstance(made(0, "tanh")[0].domain, Box)
    bumps = made(0, "rbf", 2)[0]
    np.testing.assert_allclose(bumps.domain.upper, bumps.inputs.max(axis=0) + WIDTH)
    np.testing.assert_allclose(bumps.domain.lower, bumps.inputs.min(axis=0) - WIDTH)


# --- bad input ---

ENERGY, MEASURE, _ = made(0)


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda: Regression(np.ones((2, 2, 2)), [1.0]), ValueError, r"^inputs must have shape \(n, d\) or \(n,\), .*; got \(2, 2, 2\)$"),
    (lambda: Regression(np.ones((0, 2)), []), ValueError, r"^inputs must have shape .*; got \(0, 2\)$"),
    (lambda: Regression(1.0, [1.0]), ValueError, r"^inputs must have shape .*; got \(\)$"),
    (lambda: Regression("x", [1.0]), TypeError, "^inputs must be an array of real numbers; got 'x'$"),
    (lambda: Regression([1.0, 2.0], [1.0]), ValueError, r"^targets must have shape \(2,\); got \(1,\)$"),
    (lambda: Regression([1.0, 2.0], [1.0, np.nan]), ValueError, r"^targets must be finite; got nan at \[1\]$"),
    (lambda: Regression([1.0], [1.0], weights=[0.0]), ValueError, r"^weights must be above 0; got 0.0 at \[0\]$"),
    (lambda: Regression([1.0], [1.0], "rleu"), ValueError, "did you mean 'relu'"),
    (lambda: Regression.from_teacher([1.0], None), TypeError, "^measure must be a ParticleMeasure; got None$"),
    (lambda: ENERGY.value(None), TypeError, "^measure must be a ParticleMeasure; got None$"),
    (lambda: ENERGY.velocity(ParticleMeasure(np.ones((2, 2)))), ValueError, "^measure must have points with 3 columns; got 2$"),
    (lambda: ENERGY.first_variation(MEASURE, np.ones((2, 2))), ValueError, r"^points must have shape \(any, 3\); got \(2, 2\)$"),
    (lambda: ENERGY.field(np.ones((2, 3)), np.ones((1, 3))), ValueError, r"^signal must have shape \(1, 5\); got \(1, 3\)$"),
])  # fmt: skip
def test_refuses(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_repr():
    assert repr(Regression(np.ones((3, 2)), np.ones(3), "tanh")) == "Regression(3 inputs of 2 coordinates, tanh)"
