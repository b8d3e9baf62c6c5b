"""Runge–Kutta–Chebyshev: its polynomial, its stage numbers, and what it costs on stiff and on jumping fields."""

from __future__ import annotations

import numpy as np
import pytest
from integrators.problems import run
from numpy.polynomial import chebyshev

from wflow.integrators import RKC2
from wflow.integrators.rkc import coefficients, stability_interval, stage_number

STAGES = (*range(2, 40), *range(40, 201, 7), 200, 500)


def stability_polynomial(s, z):
    """P_s(z): one step of size 1 for y' = z y, by the recurrence."""
    weights, times = coefficients(s)
    older, y = np.ones_like(z), 1.0 + times[1] * z
    for mu_0, mu, nu, mu_f, gamma_f in weights:
        older, y = y, mu_0 + mu * y + nu * older + mu_f * z * y + gamma_f * z
    return y


@pytest.mark.parametrize("s", range(2, 201))
def test_stable_on_its_interval(s):
    beta = stability_interval(s)
    z = -np.concatenate([np.linspace(0.0, beta, 20_000), beta * np.linspace(0.0, 1.0, 2_000) ** 2])
    assert np.abs(stability_polynomial(s, z)).max() <= 1.0 + 1e-12
    assert np.abs(stability_polynomial(s, -beta * np.linspace(0.3, 0.95, 5_000))).max() < 0.97  # damped inside
    assert np.abs(stability_polynomial(s, np.array([-1.1 * beta]))).max() > (1.0 if s % 2 == 0 else 0.0)


@pytest.mark.parametrize("s", STAGES)
def test_polynomial_is_the_published_one(s):
    """a_s + b_s T_s(w0 + w1 z) with derivatives 1, 1, 1 at 0: second order; Chebyshev series by NumPy."""
    series = np.zeros(s + 1)
    series[s] = 1.0
    w0 = 1.0 + 2.0 / 13.0 / s**2
    T, d, dd = (chebyshev.chebval(w0, chebyshev.chebder(series, k)) for k in (0, 1, 2))
    w1, b = d / dd, dd / d**2
    assert b * w1 * d == pytest.approx(1.0, rel=1e-9)
    assert b * w1**2 * dd == pytest.approx(1.0, rel=1e-9)
    z = -np.linspace(0.0, stability_interval(s), 57)
    np.testing.assert_allclose(stability_polynomial(s, z), 1.0 - b * T + b * chebyshev.chebval(w0 + w1 * z, series), atol=1e-8)


@pytest.mark.parametrize("s", STAGES)
def test_stage_times_belong_to_the_stages(s):
    """For y' = 1 stage j is c_j, and c_s = 1; for y' = 2t the step is exact too."""
    weights, times = coefficients(s)
    older, y = 0.0, times[1]
    square_older, square = 0.0, 0.0
    for j, (_, mu, nu, mu_f, gamma_f) in enumerate(weights, start=2):
        older, y = y, mu * y + nu * older + mu_f + gamma_f
        square_older, square = square, mu * square + nu * square_older + mu_f * 2.0 * times[j - 1]
        assert y == pytest.approx(times[j], abs=1e-12)
    assert times[-1] == pytest.approx(1.0, abs=1e-11)
    assert square == pytest.approx(1.0, abs=1e-10)
    assert (np.diff(times) > 0.0).all()


def test_stage_number_is_the_smallest():
    for s in range(2, 501):
        beta = stability_interval(s)
        assert stage_number(beta * (1 - 1e-12)) == s
        assert stage_number(beta * (1 + 1e-9)) == s + 1
    assert stage_number(0.0) == 2


def heat(n):
    """Method of lines on (0, 1): field, slowest mode and its discrete rate, spectral radius."""
    def field(t, u):
        padded = np.concatenate(([0.0], u, [0.0]))
        return np.diff(padded, 2) * (n + 1) ** 2

    x = np.arange(1, n + 1) / (n + 1)
    return field, np.sin(np.pi * x), 4 * (n + 1) ** 2 * np.sin(0.5 * np.pi / (n + 1)) ** 2, 4.0 * (n + 1) ** 2


@pytest.mark.parametrize("how", ["estimated", "number", "callable"])
def test_heat_equation(how):
    field, mode, rate, radius = heat(150)
    option = {"estimated": None, "number": radius, "callable": lambda t, u: radius}[how]
    rough = np.random.default_rng(0).standard_normal(150)
    solver = RKC2(field, 0.0, mode + rough, 1.0, rtol=1e-3, atol=1e-6, spectral_radius=option)
    largest, exact = 0.0, np.linalg.eigh(-np.array([field(0.0, e) for e in np.eye(150)]))
    while solver.status == "running":
        solver.step()
        largest = max(largest, solver.step_size * radius)
    values, vectors = exact
    np.testing.assert_allclose(solver.y, vectors @ (np.exp(-values) * (vectors.T @ (mode + rough))), atol=1e-5)
    assert largest > 2000
    assert solver.nfev < radius / 2.0 / 10.0  # a tenth of what Euler needs to be stable
    assert solver.counts["spectral_radius"] <= (50 + 0.1 * solver.nfev if how == "estimated" else 0)
    assert abs(values[0] - rate) < 1e-8


@pytest.mark.parametrize("max_stages", [2, 7, 30])
def test_the_step_is_capped_never_the_stages(max_stages):
    field, mode, _, radius = heat(60)
    solver = RKC2(field, 0.0, mode, 0.02, spectral_radius=radius, max_stages=max_stages, rtol=1e-2)
    while solver.status == "running":
        stages = solver.counts["stages"]
        solver.step()
        assert solver.step_size * radius <= stability_interval(max_stages) * (1 + 1e-7)
        assert solver.counts["stages"] - stages <= max_stages
    assert solver.counts["rejected"] == 0
    np.testing.assert_allclose(solver.y, np.exp(-0.02 * np.pi**2) * mode, atol=5e-3)


def gradient_flow(n=200, seed=1):
    """-grad of a convex function whose Hessian at 0 has eigenvalues from 1e-6 to 1."""
    rng = np.random.default_rng(seed)
    Q, _ = np.linalg.qr(rng.standard_normal((n, n)))
    A = (Q * np.geomspace(1e-6, 1.0, n)) @ Q.T
    W = Q[:, -50:]
    return lambda t, y: -A @ y - 0.02 * W @ np.tanh(W.T @ y) ** 3, rng.standard_normal(n)


@pytest.mark.slow
def test_long_horizon_costs_a_tenth_of_an_explicit_pair():
    field, start = gradient_flow(100)
    exact = run("Radau", field, start, 1e4, rtol=1e-8, atol=1e-10).y
    peer = run("RK45", field, start, 1e4, rtol=1e-3, atol=1e-5)
    solver = run("rkc2", field, start, 1e4, rtol=1e-3, atol=1e-5)
    assert np.linalg.norm(solver.y - exact) < 1e-3 * np.linalg.norm(exact)
    assert solver.nfev < peer.nfev / 10


def test_the_estimate_is_cheap():
    field, start = gradient_flow()
    counts = run("rkc2", field, start, 1e4, rtol=1e-3, atol=1e-5).counts
    assert counts["rejected"] <= 2
    assert counts["spectral_radius"] < 0.05 * counts["rhs"]


@pytest.mark.parametrize("height", [1e-5, 1e-4])
def test_jumps_do_not_pass_for_stiffness(height):
    """Steps of the field at every tenth of every coordinate: harmless for accuracy, infinite as slopes."""
    field, start = gradient_flow()
    offset = np.random.default_rng(2).random(start.size)

    def jumping(t, y):
        return field(t, y) - height * np.sign(np.floor(10.0 * y + offset) % 2 - 0.5)

    smooth = run("rkc2", field, start, 1e3, rtol=1e-2, atol=1e-3)
    solver = run("rkc2", jumping, start, 1e3, rtol=1e-2, atol=1e-3)
    assert solver.status == "finished"
    assert solver.nfev < 2 * smooth.nfev
    assert solver.counts["spectral_radius"] < 0.1 * solver.nfev
    apart = np.linalg.norm(solver.y - smooth.y) / np.sqrt(start.size)
    assert apart < height * 1e3 + 0.02  # a contraction forgets nothing but amplifies nothing


@pytest.mark.parametrize("onset", [10.0, 1e3])
def test_stiffness_that_sets_in_late(onset):
    """At t = 50 the fast rate grows `onset`-fold; an unstable step is rejected, the radius renewed, and the run goes on."""

    def field(t, y):
        rates = np.array([0.01, 1.0, onset if t > 50.0 else 1.0])
        return -rates * (y - np.array([0.0, 0.0, 0.5]))

    solver = run("rkc2", field, (1, 1, 1), 200.0, rtol=1e-3, atol=1e-6)
    assert solver.status == "finished"
    np.testing.assert_allclose(solver.y, [np.exp(-2.0), 0.0, 0.5], atol=2e-3)
    assert solver.nfev < 300 + 100 * np.sqrt(onset)  # Euler's stability alone: 75 times the onset


def test_a_steady_state_is_left_in_few_steps():
    solver = run("rkc2", lambda t, y: 0.0 * y, (1, 2), 1e6)
    assert solver.y.tolist() == [1, 2]
    assert solver.nfev < 60


@pytest.mark.parametrize(
    ("bad", "error"),
    [({"spectral_radius": -1.0}, ValueError), ({"spectral_radius": np.nan}, ValueError), ({"spectral_radius": "big"}, TypeError),
     ({"max_stages": 1}, ValueError), ({"max_stages": 2.5}, TypeError)],
)  # fmt: skip
def test_bad_options_are_named(bad, error):
    with pytest.raises(error, match=next(iter(bad))):
        RKC2(lambda t, y: -y, 0.0, np.ones(2), 1.0, **bad)


def test_a_bound_that_is_no_number():
    solver = RKC2(lambda t, y: -y, 0.0, np.ones(2), 1.0, spectral_radius=lambda t, y: np.nan)
    with pytest.raises(ValueError, match=r"spectral_radius\(t, y\) must be a finite number at least 0"):
        solver.step()


def test_rounding_limits_the_stages():
    assert RKC2(lambda t, y: -y, 0.0, np.ones(2), 1.0, rtol=1e-12).max_stages == 21
    assert RKC2(lambda t, y: -y, 0.0, np.ones(2), 1.0, rtol=1e-3).max_stages == 500
