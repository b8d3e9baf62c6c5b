"""Langevin dynamics: its steps, their weak orders, walls, laws in closed form, and runs that stop and go on (math.md §8)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from wflow.energies import PolicyValue, QuadraticInteraction
from wflow.energies.free import Potential
from wflow.energies.internal import Entropy
from wflow.energies.sums import Sum
from wflow.flows import _noise
from wflow.flows import langevin as module
from wflow.flows.langevin import LangevinFlow
from wflow.loop import Status, solve
from wflow.mdp import agazzi_lu_bandit
from wflow.measures import ParticleMeasure, laws


class DoubleWell:
    """∫ (x² − 1)²/4 dν, coordinate by coordinate: drift x − x³."""

    sense = -1

    def value(self, measure):
        return float(measure.weights @ ((measure.points**2 - 1.0) ** 2 / 4.0).sum(axis=1))

    def velocity(self, measure):
        return measure.points - measure.points**3


def started(flow, points, t_end=10.0, **options):
    """The flow's stepper at a cloud."""
    y = flow.pack(ParticleMeasure(points))
    return flow.stepper(0.0, y, t_end, field=flow.rhs, **options)


def stepped(flow, points, dt, scheme, seed=0):
    stepper = started(flow, points, dt=dt, scheme=scheme, seed=seed)
    assert stepper.step() is None
    return stepper.y.reshape(points.shape)


def folded(x, lower, upper):
    """Mirrored until inside, and the sign of its derivative."""
    past = np.mod(x - lower, 2.0 * (upper - lower))
    back = past > upper - lower
    return np.where(back, 2.0 * upper - lower - past, lower + past), np.where(back, -1.0, 1.0)


@pytest.mark.parametrize("box", [None, (-0.5, [0.5, 1.5])])
@pytest.mark.parametrize("scheme", module.SCHEMES)
def test_steps_are_the_schemes(scheme, box):
    """One step against its formula in NumPy, in a drift that is not linear."""
    rng = np.random.default_rng(0)
    lower, upper = (np.full(2, -0.5), np.array([0.5, 1.5])) if box else (np.full(2, -np.inf), np.full(2, np.inf))
    points = rng.uniform(-0.5, 0.5, (50, 2))
    fold = (lambda x: folded(x, lower, upper)) if box else lambda x: (x, np.ones_like(x))
    h, tau = 0.2, 0.3
    noise = _noise.disturbed(np.zeros(100), np.zeros(100), 0.0, 1.0, _noise.key_of(4, 0.0), 0).reshape(points.shape)

    def drift(x):
        return x - x**3

    free = points + h * drift(points) + math.sqrt(2.0 * tau * h) * noise
    inside, sign = fold(free)
    expected = inside if scheme == "euler_maruyama" else fold(free + h / 2.0 * (sign * drift(inside) - drift(points)))[0]
    found = stepped(LangevinFlow(DoubleWell(), tau, box=box), points, h, scheme, seed=4)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14)
    if box:
        assert (sign < 0.0).any()


def factors(scheme, h, stiffness):
    """a and b of a step ``x ↦ a x + b √(2τh) ξ`` in the drift −κ x, read off the steps themselves."""
    potential = Potential.quadratic(stiffness)
    a = stepped(LangevinFlow(potential, 0.0), np.ones((1, 1)), h, scheme)[0, 0]
    from_zero = stepped(LangevinFlow(potential, 0.5), np.zeros((1, 1)), h, scheme)[0, 0]
    noise = _noise.disturbed(np.zeros(1), np.zeros(1), 0.0, 1.0, _noise.key_of(0, 0.0), 0)[0]
    return a, from_zero / (math.sqrt(h) * noise)


def moments(scheme, h, stiffness, temperature, mean, variance, t):
    """Mean and variance at t by the exact recursion of the scheme."""
    a, b = factors(scheme, h, stiffness)
    for _ in range(round(t / h)):
        mean, variance = a * mean, a * a * variance + b * b * 2.0 * temperature * h
    return mean, variance


@pytest.mark.parametrize(("scheme", "order"), [("euler_maruyama", 1), ("heun", 2)])
def test_weak_orders_of_the_ornstein_uhlenbeck_process(scheme, order):
    stiffness, temperature, t = 1.5, 0.7, 1.0
    decay = math.exp(-stiffness * t)
    exact = np.array([2.0 * decay, 0.1 * decay**2 + temperature / stiffness * (1.0 - decay**2)])
    steps = np.array([1 / 16, 1 / 32, 1 / 64, 1 / 128])
    errors = np.array([np.abs(moments(scheme, h, stiffness, temperature, 2.0, 0.1, t) - exact) for h in steps])
    slopes = np.log2(errors[:-1] / errors[1:])
    np.testing.assert_allclose(slopes[-1], order, atol=0.05)


@pytest.mark.parametrize("scheme", module.SCHEMES)
def test_ornstein_uhlenbeck_moments(scheme):
    """Mean and covariance of a cloud within 4 standard errors of the scheme's own, and of the process where the step is short."""
    n, kappa, tau = 200_000, 1.0, 0.5
    initial = ParticleMeasure(np.tile([1.0, -2.0], (n, 1)))
    run = solve(LangevinFlow(Potential.quadratic(kappa), tau), initial, 1.0, options={"dt": 0.05, "scheme": scheme, "seed": 3})
    factor, variance = moments(scheme, 0.05, kappa, tau, 1.0, 0.0, 1.0)
    error = math.sqrt(variance / n)
    assert (np.abs(run.final.mean() - factor * np.array([1.0, -2.0])) < 4.0 * error).all()
    spread = np.abs(run.final.covariance() - variance * np.eye(2))
    assert (spread < 4.0 * variance * np.sqrt((1.0 + np.eye(2)) / n)).all()
    if scheme == "heun":
        assert variance == pytest.approx(tau / kappa * (1.0 - math.exp(-2.0)), rel=1e-3)


@pytest.mark.parametrize(("scheme", "order"), [("euler_maruyama", 1), ("heun", 2)])
def test_weak_order_in_a_drift_that_is_not_linear(scheme, order, monkeypatch):
    """E φ after one step against φ + h Lφ + h²/2 L²φ, Lφ = f φ' + τ φ'': the local error is O(h^{order + 1}).

    Exact expectations: the particles of one cloud carry the nodes of a Gauss–Hermite rule as their noise.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    weights = weights / weights.sum()
    monkeypatch.setattr(module, "disturbed", lambda y, f, dt, scale, key, step: y + dt * f + scale * nodes)
    drift, tau, x0 = np.polynomial.Polynomial([0.0, 1.0, 0.0, -1.0]), 0.4, 0.6
    errors = []
    for h in (0.04, 0.02, 0.01):
        ends = stepped(LangevinFlow(DoubleWell(), tau), np.full((40, 1), x0), h, scheme)[:, 0]
        errors.append([])
        for phi in (np.polynomial.Polynomial([0.0, 1.0]), np.polynomial.Polynomial([0.0, 0.0, 1.0])):
            once = drift * phi.deriv() + tau * phi.deriv(2)
            twice = drift * once.deriv() + tau * once.deriv(2)
            errors[-1].append(abs(weights @ phi(ends) - (phi + h * once + h * h / 2.0 * twice)(x0)))
    slopes = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    np.testing.assert_allclose(slopes[-1], order + 1, atol=0.15)


@pytest.mark.parametrize("scheme", module.SCHEMES)
def test_free_diffusion_in_a_box_becomes_uniform(scheme):
    """From a corner to the uniform law, which long steps keep exactly."""
    flow = LangevinFlow(Potential.linear(0.0), 0.5, box=([0.0, 1.0], [1.0, 3.0]))
    run = solve(flow, ParticleMeasure(np.tile([0.0, 1.0], (20_000, 1))), 8.0, options={"dt": 0.5, "scheme": scheme})
    for k, (lower, width) in enumerate(((0.0, 1.0), (1.0, 2.0))):
        assert stats.kstest(run.final.points[:, k], "uniform", (lower, width)).pvalue > 1e-3
    assert stats.chi2_contingency(np.histogram2d(*run.final.points.T, bins=4)[0]).pvalue > 1e-3


def test_gibbs_law_in_a_box():
    """Under a constant pull s the law ∝ e^{sx/τ} stays: its histogram, up to a bias of the order of the step."""
    pull, tau, n, dt = 1.5, 0.5, 50_000, 5e-4
    quantiles = (np.arange(n) + 0.5) / n
    initial = ParticleMeasure((np.log1p(quantiles * math.expm1(pull / tau)) * tau / pull)[:, None])
    flow = LangevinFlow(Potential.linear(-pull), tau, box=(0.0, 1.0))
    run = solve(flow, initial, 0.25, options={"dt": dt, "seed": 1}, record=[0.25])
    edges = np.linspace(0.0, 1.0, 11)
    expected = np.diff(np.exp(pull * edges / tau)) / math.expm1(pull / tau)
    found = np.histogram(run.final.points[:, 0], edges)[0] / n
    assert (np.abs(found - expected) < 4.0 * np.sqrt(expected / n) + pull / tau * dt * expected).all()


def test_no_temperature_is_the_wasserstein_flow():
    """τ = 0: Heun's method of order 2 on the attraction to the mean, which has a closed form; the energy falls by the dissipation."""
    energy = QuadraticInteraction(0.5, 1.0)
    points = np.random.default_rng(0).standard_normal((20, 2))
    exact = points.mean(axis=0) * math.exp(-0.5) + (points - points.mean(axis=0)) * math.exp(-1.5)
    errors = []
    for dt in (0.1, 0.05, 0.025):
        run = solve(LangevinFlow(energy), ParticleMeasure(points), 1.0, options={"dt": dt, "scheme": "heun"})
        errors.append(np.abs(run.final.points - exact).max())
    assert np.log2(errors[1] / errors[2]) == pytest.approx(2.0, abs=0.1)
    fallen = np.trapezoid(run.diagnostics["dissipation"], run.times)
    assert run.energy[0] - run.energy[-1] == pytest.approx(fallen, rel=1e-3)


def test_the_entropy_of_the_energy_is_the_noise():
    """Mean-field Langevin: policy value less τ entropy; the temperature is the sum's, drift and diagnostics are the value's alone."""
    value = PolicyValue(agazzi_lu_bandit(seed=0, n_actions=10), "tanh")
    both = Sum([value, Entropy(0.02)])
    flow, initial = LangevinFlow(both), laws.student(3).sample(30, 0)
    assert flow.temperature == 0.02
    assert LangevinFlow(both, 0.5).temperature == 0.5
    y = flow.pack(initial)
    np.testing.assert_allclose(flow.rhs(0.0, y).reshape(-1, 3), value.velocity(initial), rtol=1e-14)
    found = flow.diagnostics(0.0, y)
    assert found["energy"] == pytest.approx(value.value(initial), rel=1e-14)
    assert found["dissipation"] == pytest.approx((value.velocity(initial) ** 2).sum() / 30, rel=1e-12)
    noise = _noise.disturbed(np.zeros(90), np.zeros(90), 0.0, 1.0, _noise.key_of(0, 0.0), 0).reshape(30, 3)
    expected = initial.points + 0.1 * value.velocity(initial) + math.sqrt(0.004) * noise
    np.testing.assert_allclose(stepped(flow, initial.points, 0.1, "euler_maruyama"), expected, rtol=0, atol=1e-14)


def test_the_last_step_ends_where_asked_and_between_steps_is_a_line():
    flow = LangevinFlow(Potential.quadratic(1.0), 0.5)
    run = solve(flow, ParticleMeasure(np.ones((5, 1))), 1.0, options={"dt": 0.3}, record=[0.0, 0.3, 0.45, 0.6, 1.0])
    assert (run.status, run.counts["steps"], run.counts["rhs"]) == (Status.FINISHED, 4, 5)
    assert run.final_time == 1.0
    before, between, after = (run.state(k).points for k in (1, 2, 3))
    np.testing.assert_allclose(between, (before + after) / 2.0, rtol=1e-12)


@pytest.mark.parametrize("scheme", module.SCHEMES)
def test_a_run_goes_on_bit_for_bit(tmp_path, scheme):
    """Stopped after 7 of 12 steps and resumed from its checkpoint; extended beyond its end it draws other numbers."""
    points = np.random.default_rng(0).standard_normal((9, 3))
    given = {"options": {"dt": 0.1, "scheme": scheme, "seed": 5}, "checkpoint": 0.0}

    def moved(path, t_end=1.15, **more):
        return solve(LangevinFlow(DoubleWell(), 0.3), ParticleMeasure(points), t_end, path=tmp_path / path, **given, **more)

    whole = moved("whole.h5")
    assert moved("part.h5", max_steps=7).status is Status.STEP_LIMIT
    resumed = moved("part.h5", resume=True)
    np.testing.assert_array_equal(resumed.stored.frames, whole.stored.frames)
    np.testing.assert_array_equal(resumed.final.points, whole.final.points)
    assert resumed.counts == whole.counts
    longer = moved("part.h5", t_end=2.0, resume=True)
    assert longer.final_time == 2.0
    first = started(LangevinFlow(DoubleWell(), 0.3), points, dt=0.1)
    again = LangevinFlow(DoubleWell(), 0.3)
    later = again.stepper(1.15, again.pack(ParticleMeasure(points)), 2.0, field=again.rhs, dt=0.1)
    assert first._key != later._key


def test_seeds_and_places_matter():
    flow, points = LangevinFlow(Potential.quadratic(1.0), 0.5), np.zeros((100, 2))
    one, other = stepped(flow, points, 0.1, "heun", seed=0), stepped(flow, points, 0.1, "heun", seed=1)
    assert len(np.unique(np.concatenate([one, other]))) == 400
    np.testing.assert_array_equal(one, stepped(flow, points, 0.1, "heun", seed=0))
    np.testing.assert_array_equal(one[:10], stepped(flow, points[:10], 0.1, "heun"))  # of a smaller cloud the same


def test_weights_stay():
    weights = np.array([0.5, 0.25, 0.25])
    run = solve(LangevinFlow(Potential.quadratic(1.0), 0.5), ParticleMeasure(np.eye(3), weights), 0.5, options={"dt": 0.1})
    np.testing.assert_array_equal(run.final.weights, weights)


def test_a_field_that_blows_up_ends_the_run():
    """Euler steps that are too long for x³."""
    with np.errstate(all="ignore"):
        run = solve(LangevinFlow(DoubleWell(), 0.1), ParticleMeasure(np.full((3, 1), 30.0)), 50.0, options={"dt": 1.0})
    assert run.status is Status.NOT_FINITE
    assert np.isfinite(run.final.points).all()


@pytest.mark.parametrize(("arguments", "error", "message"), [
    ({"energy": None}, TypeError, r"^energy must have a method value\(measure\); got None"),
    ({"temperature": -1.0}, ValueError, "^temperature must be a finite number at least 0; got -1.0"),
    ({"box": 1.0}, TypeError, r"^box must be a pair of walls \(lower, upper\) or None; got 1.0"),
    ({"box": (0.0, [1.0, 0.0])}, ValueError, "^box must have its lower walls below its upper ones"),
    ({"box": ([0.0, 0.0], [1.0, 1.0, 1.0])}, ValueError, "^box must have walls of one length"),
    ({"box": (0.0, np.inf)}, ValueError, r"^box\[1\] must be finite"),
])  # fmt: skip
def test_refuses_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        LangevinFlow(**{"energy": Potential.quadratic(1.0), **arguments})


@pytest.mark.parametrize(("options", "error", "message"), [
    ({}, TypeError, "^dt must be a finite number above 0; got None"),
    ({"dt": 0.0}, ValueError, "^dt must be a finite number above 0"),
    ({"dt": 0.1, "scheme": "huen"}, ValueError, r"^scheme must be one of euler_maruyama, heun; got 'huen' \(did you mean 'heun'\?\)"),
    ({"dt": 0.1, "seed": -1}, ValueError, "^seed must be an integer of at least 0; got -1"),
    ({"dt": 0.1, "sede": 1}, TypeError, "^options: LangevinFlow.stepper has no option 'sede'"),
])  # fmt: skip
def test_refuses_bad_options(options, error, message):
    with pytest.raises(error, match=message):
        solve(LangevinFlow(Potential.quadratic(1.0), 0.1), ParticleMeasure(np.zeros((2, 1))), 1.0, options=options)


def test_refuses_what_does_not_fit_the_box():
    flow = LangevinFlow(Potential.quadratic(1.0), 0.1, box=([0.0, 0.0], [1.0, 1.0]))
    with pytest.raises(ValueError, match=r"^initial must lie in the box; points\[1, 0\] = 1.5 is outside \[0.0, 1.0\]"):
        flow.pack(ParticleMeasure([[0.5, 0.5], [1.5, 0.5]]))
    with pytest.raises(ValueError, match=r"^box must have walls for 3 coordinates; got 2"):
        flow.pack(ParticleMeasure(np.zeros((1, 3))))


def test_entropy_alone_is_brownian_motion():
    run = solve(LangevinFlow(Entropy(0.5)), ParticleMeasure(np.zeros((20_000, 1))), 1.0, options={"dt": 0.1, "seed": 3})
    assert float(run.final.covariance()[0, 0]) == pytest.approx(1.0, abs=4.0 * np.sqrt(2.0 / 20_000))
    assert run.energy[-1] == 0.0
