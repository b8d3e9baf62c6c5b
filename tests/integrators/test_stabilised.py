"""Stabilised methods at work: what they cost on stiff and on jumping fields, and what they do where the spectrum rotates."""

from __future__ import annotations

import numpy as np
import pytest
from integrators.problems import STABILISED, run
from scipy.linalg import expm

import wflow.integrators as integrators
from wflow.integrators import RKC2, RKL2
from wflow.integrators.polynomials import wedge


@pytest.fixture(params=STABILISED)
def method(request):
    return integrators.get(request.param)


def heat(n):
    """Method of lines on (0, 1): field, slowest mode and its discrete rate, spectral radius."""
    def field(t, u):
        padded = np.concatenate(([0.0], u, [0.0]))
        return np.diff(padded, 2) * (n + 1) ** 2

    x = np.arange(1, n + 1) / (n + 1)
    return field, np.sin(np.pi * x), 4 * (n + 1) ** 2 * np.sin(0.5 * np.pi / (n + 1)) ** 2, 4.0 * (n + 1) ** 2


@pytest.mark.parametrize("how", ["estimated", "number", "callable"])
def test_heat_equation(method, how):
    field, mode, rate, radius = heat(150)
    option = {"estimated": None, "number": radius, "callable": lambda t, u: radius}[how]
    rough = np.random.default_rng(0).standard_normal(150)
    solver = method(field, 0.0, mode + rough, 1.0, rtol=1e-3, atol=1e-6, spectral_radius=option)
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


@pytest.mark.parametrize("radius", [1e3, 1e4])
def test_the_error_estimate_is_on_the_safe_side(method, radius):
    """As Sommeijer, Shampine & Verwer (1998) have it: sign and size of the error for many stages, times 1 + 12 C."""
    seen = []

    def norm(error, y_old, y_new, rtol, atol):
        seen.append(error.copy())
        return 0.5

    rates, h = np.array([-0.3, -0.2, 0.1]), 0.2
    solver = method(lambda t, y: rates * y, 0.0, np.ones(3), 1.0, first_step=h, norm=norm, spectral_radius=radius)
    solver.step()
    np.testing.assert_allclose(seen[-1] / (1.0 + 12.0 * method.family.error_constant), np.exp(rates * h) - solver.y, rtol=0.1)


@pytest.mark.parametrize("max_stages", [2, 7, 30])
def test_the_step_is_capped_never_the_stages(method, max_stages):
    field, mode, _, radius = heat(60)
    solver = method(field, 0.0, mode, 0.02, spectral_radius=radius, max_stages=max_stages, rtol=1e-2)
    while solver.status == "running":
        stages = solver.counts["stages"]
        solver.step()
        assert solver.step_size * radius <= method.family.stability_interval(max_stages) * (1 + 1e-7)
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
def test_long_horizon_costs_a_tenth_of_an_explicit_pair(method):
    field, start = gradient_flow(100)
    exact = run("Radau", field, start, 1e4, rtol=1e-8, atol=1e-10).y
    peer = run("RK45", field, start, 1e4, rtol=1e-3, atol=1e-5)
    solver = run(method, field, start, 1e4, rtol=1e-3, atol=1e-5)
    assert np.linalg.norm(solver.y - exact) < 1e-3 * np.linalg.norm(exact)
    assert solver.nfev < peer.nfev / 10


def test_the_estimate_is_cheap(method):
    field, start = gradient_flow()
    counts = run(method, field, start, 1e4, rtol=1e-3, atol=1e-5).counts
    assert counts["rejected"] <= 2
    assert counts["spectral_radius"] < 0.05 * counts["rhs"]


@pytest.mark.parametrize("height", [1e-5, 1e-4])
def test_jumps_do_not_pass_for_stiffness(method, height):
    """Steps of the field at every tenth of every coordinate: harmless for accuracy, infinite as slopes."""
    field, start = gradient_flow()
    offset = np.random.default_rng(2).random(start.size)

    def jumping(t, y):
        return field(t, y) - height * np.sign(np.floor(10.0 * y + offset) % 2 - 0.5)

    smooth = run(method, field, start, 1e3, rtol=1e-2, atol=1e-3)
    solver = run(method, jumping, start, 1e3, rtol=1e-2, atol=1e-3)
    assert solver.status == "finished"
    assert solver.nfev < 2 * smooth.nfev
    assert solver.counts["spectral_radius"] < 0.1 * solver.nfev
    assert solver.counts["capped"] == 0
    apart = np.linalg.norm(solver.y - smooth.y) / np.sqrt(start.size)
    assert apart < height * 1e3 + 0.02  # a contraction forgets nothing but amplifies nothing


@pytest.mark.parametrize("onset", [10.0, 1e3])
def test_stiffness_that_sets_in_late(method, onset):
    """At t = 50 the fast rate grows `onset`-fold; an unstable step is rejected, the radius renewed, and the run goes on."""

    def field(t, y):
        rates = np.array([0.01, 1.0, onset if t > 50.0 else 1.0])
        return -rates * (y - np.array([0.0, 0.0, 0.5]))

    solver = run(method, field, (1, 1, 1), 200.0, rtol=1e-3, atol=1e-6)
    assert solver.status == "finished"
    np.testing.assert_allclose(solver.y, [np.exp(-2.0), 0.0, 0.5], atol=2e-3)
    assert solver.nfev < 300 + 100 * np.sqrt(onset)  # Euler's stability alone: 75 times the onset


def test_a_steady_state_is_left_in_few_steps(method):
    solver = run(method, lambda t, y: 0.0 * y, (1, 2), 1e6)
    assert solver.y.tolist() == [1, 2]
    assert solver.nfev < 60


@pytest.mark.parametrize(
    ("bad", "error"),
    [({"spectral_radius": -1.0}, ValueError), ({"spectral_radius": np.nan}, ValueError), ({"spectral_radius": "big"}, TypeError),
     ({"max_stages": 1}, ValueError), ({"max_stages": 2.5}, TypeError)],
)  # fmt: skip
def test_bad_options_are_named(method, bad, error):
    with pytest.raises(error, match=next(iter(bad))):
        method(lambda t, y: -y, 0.0, np.ones(2), 1.0, **bad)


def test_a_bound_that_is_no_number(method):
    solver = method(lambda t, y: -y, 0.0, np.ones(2), 1.0, spectral_radius=lambda t, y: np.nan)
    with pytest.raises(ValueError, match=r"spectral_radius\(t, y\) must be a finite number at least 0"):
        solver.step()


def test_rounding_limits_the_stages(method):
    assert method(lambda t, y: -y, 0.0, np.ones(2), 1.0, rtol=1e-12).max_stages == 21
    assert method(lambda t, y: -y, 0.0, np.ones(2), 1.0, rtol=1e-3).max_stages == 500


def rotating(degrees, size, kind):
    """y' = A y with a pair of eigenvalues of magnitude `size` at that angle from the negative real axis, beside -1 and -0.1.

    "skewed": far from normal. "hidden": beside -10 `size`. "companion": one block is that of a second-order equation, whose
    entries differ by `size`².
    """
    angle = np.radians(degrees)
    re, im = -size * np.cos(angle), size * np.sin(angle)
    A = np.diag([re, re, -1.0, -10.0 * size if kind == "hidden" else -0.1])
    A[0, 1], A[1, 0] = -im, im
    rng = np.random.default_rng(1)
    S = np.linalg.qr(rng.standard_normal((4, 4)))[0] if kind == "normal" else np.eye(4) + 0.8 * rng.standard_normal((4, 4))
    if kind == "companion":
        A[:2, :2], S = [[0.0, 1.0], [-(size**2), 2.0 * re]], np.eye(4)
    return S @ A @ np.linalg.inv(S), rng.standard_normal(4)


def follow(method, A, start, t_end, **more):
    """The solver at its end, and its error in units of the tolerance."""
    tolerance = 1e-4
    solver = run(method, lambda t, y: A @ y, start, t_end, rtol=tolerance, atol=0.1 * tolerance, **more)
    exact = expm(A * t_end) @ start
    return solver, np.linalg.norm(solver.y - exact) / (tolerance * (0.1 + np.linalg.norm(exact)))


@pytest.mark.parametrize("kind", ["normal", "skewed", "hidden", "companion"])
@pytest.mark.parametrize("size", [1.0, 100.0, pytest.param(1e4, marks=pytest.mark.slow)])
@pytest.mark.parametrize("degrees", [0, 30, 60, 85, 90, 100])
class TestRotation:
    def test_ends_right(self, method, degrees, size, kind):
        """Where the pair decays, so must all that was wrong with it; else errors add up, in root mean square one tolerance per step."""
        A, start = rotating(degrees, size, kind)
        solver, error = follow(method, A, start, 2.0 if degrees < 90 else min(2.0, 10.0 / size))
        counts = solver.counts
        assert solver.status == "finished"
        assert error < (15.0 if degrees < 90 else 2.0 * counts["steps"])
        assert counts["rejected"] < (0.2 if kind != "hidden" else 0.5) * counts["steps"]
        if kind in ("normal", "skewed"):
            assert counts["spectral_radius"] <= 55 + 0.05 * counts["rhs"]

    def test_is_told(self, method, degrees, size, kind):
        A, start = rotating(degrees, size, kind)
        solver, _ = follow(method, A, start, min(2.0, 20.0 / size))
        if kind == "hidden" or degrees == 0:
            assert (solver.rotation, solver.counts["capped"]) == (0.0, 0)
        elif kind != "companion" and size > 1.0:
            assert solver.rotation == pytest.approx(degrees, abs=2.0)


@pytest.mark.parametrize("degrees", [3, 10, 30, 60, 85])
def test_steps_reach_the_end_of_the_wedge(method, degrees):
    """Once the pair has decayed only stability limits the steps, and the pair stays down."""
    reach = wedge(method.family, degrees)[-1]
    size = 50.0 * reach
    A, start = rotating(degrees, size, "normal")
    solver = method(lambda t, y: A @ y, 0.0, start, 4.0, rtol=1e-3, atol=1e-4)
    longest = 0.0
    while solver.status == "running":
        solver.step()
        longest = max(longest, size * solver.step_size)
    assert 0.8 * reach < longest < 1.05 * reach
    assert solver.counts["capped"] > 0.4 * solver.counts["steps"]
    assert solver.counts["rejected"] <= 3
    np.testing.assert_allclose(solver.y, expm(A * 4.0) @ start, atol=1e-3)


def test_legendre_goes_farther_near_the_axis():
    A, start = rotating(7, 2000.0, "normal")
    costs = {method: follow(method, A, start, 2.0)[0].nfev for method in (RKC2, RKL2)}
    assert costs[RKL2] < 0.8 * costs[RKC2]


def test_the_angle_is_that_in_the_direction_of_time(method):
    """Backwards, what grows decays: the angle is measured from the other half of the axis, and the run comes back."""
    A, start = rotating(120, 50.0, "normal")
    forth = expm(A * 0.1) @ start
    solver = method(lambda t, y: A @ y, 0.1, forth, 0.0, rtol=1e-5, atol=1e-6)
    while solver.status == "running":
        solver.step()
    assert solver.rotation == pytest.approx(60.0, abs=2.0)
    np.testing.assert_allclose(solver.y, start, atol=2e-2)


def test_rotation_that_sets_in_and_ends(method):
    """The angle follows the field, and the cap goes with it."""

    def field(t, y):
        swirl = 50.0 if 2.0 < t < 4.0 else 0.0
        return np.array([-30.0 * y[0] - swirl * y[1], swirl * y[0] - 30.0 * y[1], -y[2]])

    solver, seen = method(field, 0.0, np.ones(3), 20.0, rtol=1e-3, atol=1e-5), []
    while solver.status == "running":
        solver.step()
        seen.append((solver.t, solver.rotation))
    assert {rotation for t, rotation in seen if t < 2.0} == {0.0}
    assert any(rotation == pytest.approx(59.0, abs=2.0) for t, rotation in seen if 2.0 < t < 4.0)
    assert seen[-1][1] == 0.0
    np.testing.assert_allclose(solver.y, [0.0, 0.0, np.exp(-20.0)], atol=1e-3)


def test_resume_while_it_rotates(method):
    A, start = rotating(60, 100.0, "normal")
    options = {"rtol": 1e-4, "atol": 1e-6}
    solver = method(lambda t, y: A @ y, 0.0, start, 1.0, **options)
    while solver.counts["capped"] < 20:
        solver.step()
    resumed = method(lambda t, y: A @ y, solver.t, solver.y, 1.0, **options)
    resumed.load_state_dict(solver.state_dict())
    assert resumed.rotation == solver.rotation > 0.0
    while solver.status == "running":
        solver.step()
        resumed.step()
        assert (resumed.t, resumed.y.tobytes(), resumed.counts) == (solver.t, solver.y.tobytes(), solver.counts)


def test_real_spectra_are_left_alone(method):
    """Symmetric, similar to symmetric as weighted particles are, and with eigenvalues of both signs: no angle, and the steps of a
    method that is told the radius differ by no cap."""
    rng = np.random.default_rng(3)
    field, start = gradient_flow(80)
    weights = rng.exponential(size=80) ** 2 + 1e-3
    Q = np.linalg.qr(rng.standard_normal((80, 80)))[0]
    saddle = (Q * np.concatenate(([1.0, -1.0], -rng.random(78)))) @ Q.T
    for fun, t_end in ((field, 1e3), (lambda t, y: field(t, y) / weights, 10.0), (lambda t, y: saddle @ y, 4.0)):
        solver = run(method, fun, start, t_end, rtol=1e-3, atol=1e-5)
        assert (solver.status, solver.rotation, solver.counts["capped"]) == ("finished", 0.0, 0)


def test_a_given_radius_vouches_for_the_axis(method):
    A, start = rotating(60, 100.0, "normal")
    solver, error = follow(method, A, start, 1.0, spectral_radius=110.0)
    assert (solver.status, solver.rotation, solver.counts["capped"]) == ("finished", 0.0, 0)
    assert error < 15.0
