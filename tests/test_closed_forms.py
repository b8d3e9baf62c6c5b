"""The closed forms against the equations they solve: residuals by differences, integrals by quadrature, moments by ODE."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from wflow.closed_forms import (
    AbsoluteAttraction,
    Barenblatt,
    BuresWasserstein,
    FokkerPlanckInterval,
    GaussianFlow,
    Heat,
    OrnsteinUhlenbeck,
    QuadraticAttraction,
    gaussian_jko,
)  # fmt: skip

seeds = st.integers(0, 2**32 - 1)
STEP = 3e-3  # of differences of fourth order: they err by some 1e-9 of a density that varies over lengths of 1


def slope(f, x, h=STEP):
    """f'(x) by central differences of fourth order."""
    return (8.0 * (f(x + h) - f(x - h)) - (f(x + 2.0 * h) - f(x - 2.0 * h))) / (12.0 * h)


def divergence_and_laplacian(density, points, drift=None, h=STEP):
    """∇·(drift ρ) (0 without drift) and Δρ at points (K, d), by differences of fourth order."""
    divergence, laplacian = np.zeros(len(points)), np.zeros(len(points))
    for k in range(points.shape[1]):
        e = h * np.eye(points.shape[1])[k]
        at = {j: points + j * e for j in (-2, -1, 0, 1, 2)}
        rho = {j: density(x) for j, x in at.items()}
        laplacian += (16.0 * (rho[1] + rho[-1]) - (rho[2] + rho[-2]) - 30.0 * rho[0]) / (12.0 * h * h)
        if drift is not None:
            flux = {j: drift(at[j])[:, k] * rho[j] for j in at}
            divergence += (8.0 * (flux[1] - flux[-1]) - (flux[2] - flux[-2])) / (12.0 * h)
    return divergence, laplacian


def gauss(low, high, panels=40, nodes=12):
    """Nodes and weights of a composite Gauss–Legendre rule."""
    x, w = np.polynomial.legendre.leggauss(nodes)
    edges = np.linspace(low, high, panels + 1)
    half = np.diff(edges)[:, None] / 2.0
    return ((edges[1:] + edges[:-1])[:, None] / 2.0 + half * x).ravel(), (half * w).ravel()


def spd(rng, d):
    a = rng.normal(size=(d, d))
    return a @ a.T / d + 0.5 * np.eye(d)


# --- Gaussians ---


@given(seed=seeds, d=st.integers(1, 3), rates=st.tuples(*[st.floats(0.0, 1.5)] * 3), t=st.floats(0.1, 2.0))
def test_gaussian_flow_solves_its_equation(seed, d, rates, t):
    """∂_t ρ = ∇·((κx + λ(x − m)) ρ) + τ Δρ."""
    rng = np.random.default_rng(seed)
    kappa, lam, tau = rates
    flow = GaussianFlow(rng.normal(size=d), spd(rng, d), stiffness=kappa, attraction=lam, temperature=tau)
    narrow = math.sqrt(np.linalg.eigvalsh(flow.covariance(t))[0])  # the length over which the density varies
    points = flow.mean(t) + rng.normal(size=(6, d)) @ np.linalg.cholesky(flow.covariance(t)).T
    mean = flow.mean(t)
    speed = 1.0 + kappa * np.linalg.norm(mean) / narrow + tau / narrow**2 + kappa + lam  # at which it varies in time
    flux, laplacian = divergence_and_laplacian(lambda x: flow.density(t, x), points, lambda x: kappa * x + lam * (x - mean), STEP * narrow)
    rate = slope(lambda s: flow.density(s, points), t, STEP / speed)
    np.testing.assert_allclose(rate, flux + tau * laplacian, rtol=0, atol=1e-8 * flow.density(t, mean[None])[0] * speed)


@pytest.mark.parametrize("flow", [
    OrnsteinUhlenbeck(1.2, 0.3, 0.8, 0.5), Heat(-0.4, 0.6, 0.7), QuadraticAttraction(0.5, 1.4, 0.6),
    GaussianFlow(0.7, 0.5, stiffness=0.3, attraction=0.9, temperature=0.4), BuresWasserstein(1.0, 0.2, -0.5, 3.0),
], ids=["ou", "heat", "attraction", "all", "bures"])  # fmt: skip
def test_energy_falls_by_its_dissipation(flow):
    """E by quadrature of its definition, and dE/dt = −∫ |∇ first variation|² dρ, the first variation by differences."""
    t = 0.6
    if isinstance(flow, BuresWasserstein):
        kappa, lam, tau, centre = float(flow.precision[0, 0]), 0.0, 1.0, float(flow.target_mean[0])
    else:
        kappa, lam, tau, centre = flow.stiffness, flow.attraction, flow.temperature, 0.0
    mean, deviation = float(flow.mean(t)[0]), math.sqrt(flow.covariance(t)[0, 0])
    x, w = gauss(mean - 9.0 * deviation, mean + 9.0 * deviation)
    rho = flow.density(t, x[:, None])
    weights = w * rho
    assert weights.sum() == pytest.approx(1.0, abs=1e-14)
    pairs = weights @ ((x[:, None] - x) ** 2 @ weights)
    energy = kappa / 2.0 * weights @ (x - centre) ** 2 + lam / 4.0 * pairs + tau * weights @ np.log(rho)
    assert flow.energy(t) == pytest.approx(energy, abs=1e-12)
    variation = kappa * (x - centre) + lam * (x - mean) + tau * slope(lambda y: np.log(flow.density(t, y[:, None])), x)
    assert slope(flow.energy, t) == pytest.approx(-(weights @ variation**2), rel=1e-8)
    assert flow.entropy(t) == pytest.approx(-(weights @ np.log(rho)), abs=1e-12)


def test_named_ones_are_the_textbook_formulas():
    mean, covariance, t = np.array([1.0, -2.0]), np.array([[1.0, 0.3], [0.3, 0.5]]), 0.7
    ou = OrnsteinUhlenbeck(mean, covariance, 1.5, 0.4)
    np.testing.assert_allclose(ou.mean(t), mean * math.exp(-1.05), rtol=1e-15)
    np.testing.assert_allclose(ou.covariance(t), math.exp(-2.1) * covariance + 0.4 / 1.5 * (1.0 - math.exp(-2.1)) * np.eye(2), rtol=1e-15)
    np.testing.assert_allclose(Heat(mean, covariance, 0.3).covariance(t), covariance + 0.42 * np.eye(2), rtol=1e-15)
    attraction = QuadraticAttraction(mean, covariance, 2.0)
    np.testing.assert_array_equal(attraction.mean(t), mean)
    np.testing.assert_allclose(attraction.covariance(t), math.exp(-2.8) * covariance, rtol=1e-15)
    slow = GaussianFlow(mean, covariance, stiffness=1e-9, temperature=0.3)
    np.testing.assert_allclose(slow.covariance(t), Heat(mean, covariance, 0.3).covariance(t), rtol=1e-8)


@given(seed=seeds, d=st.integers(1, 3), t=st.floats(0.0, 3.0))
def test_bures_wasserstein_moments(seed, d, t):
    """ṁ = −Γ(m − m*) and Σ̇ = 2I − ΓΣ − ΣΓ, integrated by another hand."""
    rng = np.random.default_rng(seed)
    gamma, target = spd(rng, d), rng.normal(size=d)
    flow = BuresWasserstein(rng.normal(size=d), spd(rng, d), target, gamma)

    def rhs(_, y):
        m, s = y[:d], y[d:].reshape(d, d)
        return np.concatenate([-gamma @ (m - target), (2.0 * np.eye(d) - gamma @ s - s @ gamma).ravel()])

    start = np.concatenate([flow.mean(0.0), flow.covariance(0.0).ravel()])
    np.testing.assert_allclose(start, np.concatenate([flow.initial_mean, flow.initial_covariance.ravel()]), rtol=0, atol=1e-13)
    if t > 1e-3:
        end = solve_ivp(rhs, (0.0, t), start, "DOP853", rtol=1e-11, atol=1e-12).y[:, -1]
        np.testing.assert_allclose(np.concatenate([flow.mean(t), flow.covariance(t).ravel()]), end, rtol=0, atol=1e-9)
    far = flow.covariance(200.0)
    np.testing.assert_allclose(far @ gamma, np.eye(d), rtol=0, atol=1e-10)


@given(seed=seeds, kappa=st.floats(0.1, 2.0), tau=st.floats(0.1, 2.0))
def test_relative_entropy(seed, kappa, tau):
    """By quadrature; at most e^{−2κt} of its start; and the same as the general flow's with Γ = κI (τ = 1)."""
    rng = np.random.default_rng(seed)
    ou = OrnsteinUhlenbeck(rng.normal(), 0.2 + rng.random(), kappa, tau)
    m, s = float(ou.mean(0.5)[0]), math.sqrt(ou.covariance(0.5)[0, 0])
    x, w = gauss(m - 9.0 * s, m + 9.0 * s)
    rho = ou.density(0.5, x[:, None])
    against = -kappa * x * x / (2.0 * tau) - 0.5 * math.log(2.0 * math.pi * tau / kappa)
    assert ou.relative_entropy(0.5) == pytest.approx(w @ (rho * (np.log(rho) - against)), abs=1e-11)
    for t in (0.3, 1.0, 4.0):
        assert 0.0 <= ou.relative_entropy(t) <= math.exp(-2.0 * kappa * t) * ou.relative_entropy(0.0) * (1.0 + 1e-12)
    covariance, precision = spd(rng, 3), kappa * np.eye(3)
    general = BuresWasserstein(np.ones(3), covariance, np.zeros(3), precision)
    special = OrnsteinUhlenbeck(np.ones(3), covariance, kappa, 1.0)
    np.testing.assert_allclose(general.covariance(0.8), special.covariance(0.8), rtol=1e-12, atol=1e-15)
    assert general.relative_entropy(0.8) == pytest.approx(special.relative_entropy(0.8), rel=1e-12)
    assert general.energy(0.8) - general.relative_entropy(0.8) == pytest.approx(-1.5 * math.log(2.0 * math.pi / kappa), abs=1e-12)


def test_gaussian_masses():
    """Products of distribution functions: against quadrature of the density, and with relative accuracy in the tails."""
    flow = OrnsteinUhlenbeck(np.array([0.3, -0.2]), np.diag([0.5, 1.5]), 1.0, 0.7)
    edges = (np.linspace(-2.0, 3.0, 8), np.array([-4.0, -1.0, 0.5, 2.0]))
    masses = flow.masses(0.4, *edges)
    assert masses.shape == (7, 3)
    for i, j in np.ndindex(7, 3):
        (x, wx), (y, wy) = gauss(*edges[0][i : i + 2], 4), gauss(*edges[1][j : j + 2], 4)
        points = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2)
        assert masses[i, j] == pytest.approx(np.outer(wx, wy).ravel() @ flow.density(0.4, points), rel=1e-11)
    tails = Heat(0.0, 1.0).masses(0.0, np.array([-21.0, -20.0, 20.0, 21.0]))
    exact = 0.5 * (math.erfc(20.0 / math.sqrt(2.0)) - math.erfc(21.0 / math.sqrt(2.0)))
    np.testing.assert_allclose(tails, [exact, 1.0, exact], rtol=1e-12)
    assert Heat(np.zeros(3), np.eye(3)).masses(0.1, *[np.linspace(-9.0, 9.0, 5)] * 3).sum() == pytest.approx(1.0, abs=1e-14)


@given(m=st.floats(-2.0, 2.0), sigma=st.floats(0.0, 2.0), kappa=st.floats(0.0, 3.0), h=st.floats(0.01, 2.0), tau=st.floats(0.05, 2.0))
def test_gaussian_jko_is_the_minimiser(m, sigma, kappa, h, tau):
    """The optimality condition in quantiles, (X' − X)/h + κX' + τ (log ρ')'(X') = 0 everywhere: the problem is convex there."""
    mean, deviation = gaussian_jko(m, sigma, kappa, h, temperature=tau)
    z = np.linspace(-3.0, 3.0, 7)
    new, old = mean + deviation * z, m + sigma * z
    residual = (new - old) / h + kappa * new - tau * (new - mean) / deviation**2
    size = (1.0 + np.abs(new).max() + np.abs(old).max()) * (1.0 / h + kappa + tau / deviation**2)
    np.testing.assert_allclose(residual, 0.0, atol=1e-13 * size)


def test_gaussian_jko_steps_have_order_one():
    ou, errors = OrnsteinUhlenbeck(1.5, 0.25, 0.8, 1.0), []
    for n in (16, 32, 64, 128):
        m, s = 1.5, 0.5
        for _ in range(n):
            m, s = gaussian_jko(m, s, 0.8, 1.0 / n)
        errors.append(math.hypot(m - ou.mean(1.0)[0], s - math.sqrt(ou.covariance(1.0)[0, 0])))
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    np.testing.assert_allclose(orders, 1.0, atol=0.1)


# --- the interval ---

drifts = st.one_of(st.just(0.0), st.floats(-8.0, 8.0), st.floats(-1e-6, 1e-6))


@given(g=drifts, t=st.floats(0.02, 0.5))
def test_interval_solves_its_equation(g, t):
    """∂_t u = ∂_xx u − g ∂_x u inside, ∂_x u = g u at both walls, mass 1."""
    law = FokkerPlanckInterval(g)
    x = np.linspace(0.01, 0.99, 25)
    steep, top = 1.0 + abs(g), law.density(t, np.linspace(0.0, 1.0, 50)).max()
    flux, laplacian = divergence_and_laplacian(lambda p: law.density(t, p), x[:, None], lambda p: np.full(p.shape, g), STEP / steep)
    rate = slope(lambda s: law.density(s, x), t, STEP / law.rate)
    np.testing.assert_allclose(rate, laplacian - flux, rtol=0, atol=1e-8 * top * (law.rate + g * g))
    for wall, towards in ((0.0, 1e-3 / steep), (1.0, -1e-3 / steep)):
        one_sided = law.density(t, wall + towards * np.arange(5.0)) @ np.array([-25.0, 48.0, -36.0, 16.0, -3.0]) / (12.0 * towards)
        assert one_sided == pytest.approx(g * law.density(t, np.array([wall]))[0], rel=0, abs=1e-8 * top * steep)
    nodes, w = gauss(0.0, 1.0)
    assert w @ law.density(t, nodes) == pytest.approx(1.0, abs=1e-13)


@given(g=drifts, t=st.one_of(st.just(0.0), st.floats(0.0, 0.5)), seed=seeds)
def test_interval_masses(g, t, seed):
    law, edges = FokkerPlanckInterval(g), np.unique(np.concatenate([[0.0, 1.0], np.random.default_rng(seed).random(6).round(3)]))
    masses = law.masses(t, edges)
    assert masses.sum() == pytest.approx(1.0, abs=1e-14)
    for mass, low, high in zip(masses, edges, edges[1:], strict=False):
        x, w = gauss(low, high, 2)
        assert mass == pytest.approx(w @ law.density(t, x), rel=1e-11, abs=1e-14)
    assert (law.masses(t, np.linspace(0.0, 1.0, 1025)) > 0.0).all()


@pytest.mark.parametrize("g", [-500.0, -30.0, -3.0, 0.0, 1e-9, 5.0, 30.0, 500.0])
def test_interval_is_positive_from_the_start(g):
    law = FokkerPlanckInterval(g)
    for t in (0.0, 1e-5, 1e-2):
        assert (law.density(t, np.linspace(0.0, 0.999, 2000)) > 0.0).all()
        assert law.masses(t, np.linspace(0.0, 1.0, 513)).min() >= 0.0


@pytest.mark.parametrize("g", [-4.0, 0.0, 2.5])
def test_interval_energy(g):
    """Falls by ∫ |∂_x log u − g|² u to that of the equilibrium."""
    law, t, h = FokkerPlanckInterval(g), 0.05, 1e-4
    x, w = gauss(2.0 * h, 1.0 - 2.0 * h)  # the force grows from 0 at the walls: what is left out is some h³
    force = slope(lambda y: np.log(law.density(t, y)), x, h) - g
    assert slope(law.energy, t, 1e-3) == pytest.approx(-(w @ (force**2 * law.density(t, x))), rel=1e-6)
    assert law.energy(4.0) == pytest.approx(law.least_energy, abs=1e-13)
    assert law.energy(0.0) > law.energy(0.01) > law.energy(0.1) > law.least_energy


# --- Barenblatt ---


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize(("m", "b"), [(2.0, 1.0), (3.0, 0.4), (1.5, 2.0)])
def test_barenblatt_solves_its_equation(m, b, d):
    """∂_t u = b Δu^m inside; mass 1, energy and variance by radial quadrature; d/dt ∫|x|² = 2 d b ∫u^m sees the front."""
    law, t = Barenblatt(m, b, d), 0.7
    rng = np.random.default_rng(d)
    points = rng.normal(size=(8, d))
    points *= (law.front(t) * np.linspace(0.05, 0.8, 8) / np.linalg.norm(points, axis=1))[:, None]
    h = STEP * law.front(t)
    _, laplacian = divergence_and_laplacian(lambda x: law.density(t, x) ** m, points, h=h)
    rate = slope(lambda s: law.density(s, points), t)
    np.testing.assert_allclose(rate, b * laplacian, rtol=0, atol=1e-7 * np.abs(rate).max())

    def radial(power, moment, s):
        theta, w = gauss(0.0, math.pi / 2.0)  # r = R sin θ takes the root off the front
        r = law.front(s) * np.sin(theta)
        sphere = 2.0 * math.pi ** (d / 2.0) / math.gamma(d / 2.0)
        values = law.density(s, np.hstack([r[:, None], np.zeros((len(r), d - 1))])) ** power
        return sphere * (w * law.front(s) * np.cos(theta)) @ (values * r ** (d - 1.0 + moment))

    for s in (0.2, t, 3.0):
        assert radial(1.0, 0.0, s) == pytest.approx(1.0, abs=1e-10)
        assert law.energy(s) == pytest.approx(b / (m - 1.0) * radial(m, 0.0, s), rel=1e-10)
        np.testing.assert_allclose(law.covariance(s), radial(1.0, 2.0, s) / d * np.eye(d), rtol=1e-10, atol=0)
    assert slope(lambda s: np.trace(law.covariance(s)), t) == pytest.approx(2.0 * d * b * radial(m, 0.0, t), rel=1e-8)
    np.testing.assert_array_equal(law.mean(t), np.zeros(d))
    assert law.density(t, (1.0 + 1e-12) * law.front(t) * np.eye(d)[:1])[0] == 0.0


@pytest.mark.parametrize("m", [1.5, 2.0, 3.0])
def test_barenblatt_masses(m):
    """By quadrature of the density, and for m = 2, a parabola, by hand."""
    law, t = Barenblatt(m, 0.8), 0.5
    edges = law.front(t) * np.array([-2.0, -1.0, -0.9, -0.2, 0.3, 0.95, 1.0, 1.5])
    masses = law.masses(t, edges)
    assert masses[0] == 0.0
    assert masses[-1] == 0.0
    assert masses.sum() == pytest.approx(1.0, abs=1e-14)
    for mass, low, high in zip(masses[1:-1], edges[1:], edges[2:], strict=False):
        theta, w = gauss(math.asin(low / law.front(t)), math.asin(min(high / law.front(t), 1.0)))
        x = law.front(t) * np.sin(theta)
        assert mass == pytest.approx(w @ (law.density(t, x[:, None]) * law.front(t) * np.cos(theta)), rel=1e-10)
    if m == 2.0:
        z = edges[1:-1] / law.front(t)
        np.testing.assert_allclose(masses[1:-1], np.diff(0.75 * (z - z**3 / 3.0)), rtol=1e-12)


# --- aggregation ---


def test_absolute_attraction_carries_quantiles():
    """Equal particles at the midpoint quantiles feel −sum_m p sign(x_n − x_m) and stay the quantiles until they meet."""
    law, n, t = AbsoluteAttraction(1.5, -0.3), 41, 0.9
    levels = (2.0 * np.arange(n) + 1.0) / n - 1.0
    x = -0.3 + 1.5 * levels
    speed = -np.sign(x[:, None] - x).mean(axis=1)  # constant in time, as the order is kept
    np.testing.assert_allclose(x + t * speed, -0.3 + law.half_width(t) * levels, rtol=0, atol=1e-14)
    nodes, w = gauss(-0.3 - 0.6, -0.3 + 0.6)
    rho = law.density(t, nodes[:, None])
    assert w @ rho == pytest.approx(1.0, abs=1e-14)
    assert law.covariance(t)[0, 0] == pytest.approx(w @ (rho * (nodes + 0.3) ** 2), rel=1e-13)
    np.testing.assert_allclose(law.mean(t), w @ (rho * nodes), rtol=1e-13)
    below = np.array([law.masses(t, [-9.0, y])[0] for y in nodes])
    assert law.energy(t) == pytest.approx(w @ (below * (1.0 - below)), rel=1e-13)  # ½ ∬ |x − y| = ∫ F (1 − F)
    assert slope(law.energy, t) == pytest.approx(-(w * rho) @ ((nodes + 0.3) / law.half_width(t)) ** 2, rel=1e-9)


def test_absolute_attraction_masses():
    law = AbsoluteAttraction(1.0)
    np.testing.assert_allclose(law.masses(0.5, np.array([-2.0, -0.25, 0.0, 0.1, 3.0])), [0.25, 0.25, 0.1, 0.4], rtol=1e-14)
    for t in (1.0, 2.0):
        assert law.half_width(t) == law.energy(t) == 0.0
        np.testing.assert_array_equal(law.masses(t, np.array([-1.0, -0.5, 0.5, 1.0])), [0.0, 1.0, 0.0])
        np.testing.assert_array_equal(law.masses(t, np.array([-1.0, 0.0, 1.0])), [0.5, 0.5])
    np.testing.assert_array_equal(law.density(0.5, np.array([[0.2], [0.7]])), [1.0, 0.0])


# --- bad input ---

OU = OrnsteinUhlenbeck(np.zeros(2), np.array([[1.0, 0.5], [0.5, 1.0]]))


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda: OrnsteinUhlenbeck(0.0, -1.0), ValueError, r"^covariance must be symmetric and positive definite; got \[\[-1.0\]\]$"),
    (lambda: Heat(np.zeros(2), 1.0), ValueError, r"^covariance must have shape \(2, 2\); got 1.0$"),
    (lambda: Heat(np.zeros(2), [[1.0, 0.0], [0.5, 1.0]]), ValueError, "^covariance must be symmetric and positive definite"),
    (lambda: Heat(0.0, 1.0, -0.1), ValueError, "^temperature must be a finite number at least 0; got -0.1$"),
    (lambda: QuadraticAttraction(0.0, 1.0, "1"), TypeError, "^attraction must be a finite number at least 0; got '1'$"),
    (lambda: OU.mean(-1.0), ValueError, "^t must be a finite number at least 0; got -1.0$"),
    (lambda: OU.density(0.0, np.ones((3, 1))), ValueError, r"^points must have shape \(any, 2\); got \(3, 1\)$"),
    (lambda: OU.masses(0.0, [0.0, 1.0]), ValueError, "^axes must be 2 arrays of edges; got 1$"),
    (lambda: OU.masses(0.0, [0.0, 1.0], [0.0, 1.0]), ValueError, "^covariance must be diagonal for masses of cells"),
    (lambda: Heat(0.0, 1.0).masses(0.0, [0.0, 0.0]), ValueError, r"^axes\[0\] must be two or more increasing edges; got \[0.0, 0.0\]$"),
    (lambda: OrnsteinUhlenbeck(0.0, 1.0, 0.0).relative_entropy(1.0), ValueError, "^stiffness and temperature must be above 0 for an"),
    (lambda: BuresWasserstein(0.0, 1.0, 0.0, 0.0), ValueError, "^precision must be symmetric and positive definite"),
    (lambda: BuresWasserstein(0.0, 1.0, [0.0, 1.0], 1.0), ValueError, r"^target_mean must have shape \(1,\); got \(2,\)$"),
    (lambda: gaussian_jko(0.0, -1.0, 1.0, 0.1), ValueError, "^deviation must be a finite number at least 0; got -1.0$"),
    (lambda: gaussian_jko(0.0, 1.0, 1.0, 0.0), ValueError, "^step must be a finite number above 0; got 0.0$"),
    (lambda: FokkerPlanckInterval(1e4), ValueError, "^drift must be a finite number at least -500 and at most 500; got 10000.0$"),
    (lambda: FokkerPlanckInterval(1.0).density(0.0, [1.5]), ValueError, r"^x must lie in \[0, 1\]; got \[1.5\]$"),
    (lambda: FokkerPlanckInterval(1.0).masses(0.0, [-0.5, 0.5]), ValueError, r"^edges must lie in \[0, 1\]; got \[-0.5, 0.5\]$"),
    (lambda: Barenblatt(1.0), ValueError, "^exponent must be a finite number above 1; got 1.0$"),
    (lambda: Barenblatt(2.0, 0.0), ValueError, "^coefficient must be a finite number above 0; got 0.0$"),
    (lambda: Barenblatt(2.0, 1.0, 0), ValueError, "^dimension must be an integer of at least 1; got 0$"),
    (lambda: Barenblatt(2.0).front(0.0), ValueError, "^t must be a finite number above 0; got 0.0$"),
    (lambda: Barenblatt(2.0, 1.0, 2).masses(1.0, [0.0, 1.0]), ValueError, "^dimension must be 1 for masses of cells"),
    (lambda: AbsoluteAttraction(0.0), ValueError, "^length must be a finite number above 0; got 0.0$"),
    (lambda: AbsoluteAttraction(1.0).density(1.0, [[0.0]]), ValueError, "^t must be below 1, where all mass meets in one point; got 1.0$"),
])  # fmt: skip
def test_refuses(make, error, message):
    with pytest.raises(error, match=message):
        make()
