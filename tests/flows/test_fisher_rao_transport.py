"""Wasserstein–Fisher–Rao: the field is the gradient in points and weights, the balance of the energy, closed forms (math.md §8)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

import wflow
from wflow.energies import PolicyValue, QuadraticInteraction
from wflow.energies.free import Potential
from wflow.energies.internal import Entropy
from wflow.energies.regression import Regression
from wflow.energies.sums import Sum
from wflow.flows.fisher_rao_transport import WassersteinFisherRaoFlow
from wflow.loop import solve
from wflow.mdp import agazzi_lu_bandit, agazzi_lu_grid
from wflow.measures import ParticleMeasure, laws

ENERGIES = {
    "attraction": lambda: QuadraticInteraction(0.7, 1.3),
    "potential": lambda: Potential.quadratic(0.8, [1.0, 0.0, -1.0]),
    "bandit": lambda: PolicyValue(agazzi_lu_bandit(seed=1, n_actions=12), "tanh"),
    "regression": lambda: Regression(np.linspace(-1.0, 1.0, 9), np.cos(np.arange(9.0)), "tanh"),
    "sum": lambda: Sum([PolicyValue(agazzi_lu_bandit(seed=1, n_actions=12), "tanh"), Potential.quadratic(0.05)]),
    "grid": lambda: PolicyValue(agazzi_lu_grid(seed=1, n_states=4, n_actions=6), "gaussian"),
}


def cloud(energy, n=9, seed=0):
    rng = np.random.default_rng(seed)
    return ParticleMeasure(rng.standard_normal((n, getattr(energy, "n_parameters", 3))), rng.dirichlet(np.ones(n)))


def frozen(values):
    """A potential that moves nothing: its values at points that count 0, 1, 2, ..."""
    values = np.asarray(values)
    return Potential(lambda points: values[points[:, 0].astype(int)], np.zeros_like)


@given(seed=st.integers(0, 10**6), n=st.integers(1, 9), m=st.integers(1, 4), shift=st.floats(-500.0, 500.0))
def test_states_are_measures(seed, n, m, shift):
    """pack and unpack; a constant added to all log weights is nothing."""
    rng = np.random.default_rng(seed)
    measure = ParticleMeasure(rng.standard_normal((n, m)), rng.dirichlet(np.ones(n)) * 0.9 + 0.1 / n)
    flow = WassersteinFisherRaoFlow(QuadraticInteraction())
    y = flow.pack(measure)
    assert (y.shape, y.dtype) == ((n * m + n,), np.float64)
    y[n * m :] += shift
    again = flow.unpack(y)
    np.testing.assert_array_equal(again.points, measure.points)
    np.testing.assert_allclose(again.weights, measure.weights, rtol=1e-12)
    assert abs(again.weights.sum() - 1.0) < 1e-15 * n
    np.testing.assert_array_equal(flow.static()["shape"], [n, m])


@pytest.mark.parametrize("name", ENERGIES)
def test_the_field_is_the_gradient(name):
    """dE along (velocity, α s p (Ψ − ∫Ψ)) by central differences is s (∫|F|² dν + α Var Ψ); in either part alone its own share."""
    energy = ENERGIES[name]()
    measure, alpha = cloud(energy), 0.6
    flow = WassersteinFisherRaoFlow(energy, alpha)
    y = flow.pack(measure)
    rate, found = flow.rhs(0.0, y), flow.diagnostics(0.0, y)
    variation = energy.first_variation(measure, measure.points)
    centred = variation - measure.weights @ variation
    np.testing.assert_allclose(rate[-measure.size :], energy.sense * alpha * centred, rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(rate[: -measure.size].reshape(measure.points.shape), energy.velocity(measure), rtol=1e-13)
    assert abs(measure.weights @ rate[-measure.size :]) < 1e-15
    assert found["reaction"] == pytest.approx(alpha * measure.weights @ centred**2, rel=1e-10)
    assert found["transport"] == pytest.approx(measure.weights @ (energy.velocity(measure) ** 2).sum(axis=1), rel=1e-12)
    assert found["dissipation"] == pytest.approx(found["transport"] + found["reaction"], rel=1e-15)
    split = measure.points.size
    for part, share in ((slice(0, split), "transport"), (slice(split, None), "reaction"), (slice(None), "dissipation")):
        direction = np.zeros_like(y)
        direction[part] = rate[part]
        h = 1e-5 / np.abs(direction).max()
        slope = (energy.value(flow.unpack(y + h * direction)) - energy.value(flow.unpack(y - h * direction))) / (2.0 * h)
        assert slope == pytest.approx(energy.sense * found[share], rel=2e-7), share


@pytest.mark.parametrize("name", ENERGIES)
def test_energy_changes_by_the_dissipation(name):
    """E(t) − E(0) = s ∫ dissipation dt along a run, the integral carried along; the energy is monotone, the weights positive."""
    energy = ENERGIES[name]()
    flow = WassersteinFisherRaoFlow(energy, 2.0)
    y = flow.pack(cloud(energy, seed=3))
    t_end = 3.0 if energy.sense < 0 else 300.0

    def field(t, state):
        inner = np.ascontiguousarray(state[:-1])
        return np.append(flow.rhs(t, inner), flow.diagnostics(t, inner)["dissipation"])

    run = solve_ivp(field, (0.0, t_end), np.append(y, 0.0), method="DOP853", rtol=1e-10, atol=1e-12, t_eval=np.linspace(0.0, t_end, 30))
    states = [flow.unpack(np.ascontiguousarray(state[:-1])) for state in run.y.T]
    energies = np.array([energy.value(state) for state in states])
    moved = energy.sense * (energies - energies[0])
    assert (np.diff(moved) > 0.0).all()
    np.testing.assert_allclose(moved, run.y[-1], rtol=0, atol=1e-7 * moved[-1])
    assert all((state.weights > 0.0).all() for state in states)


@pytest.mark.parametrize("method", ["euler", "rkc2", "tsit5"])
def test_reaction_in_a_fixed_potential_is_exact(method):
    """p ∝ p(0) e^{−αtV} after any steps of any method, down to weights of e^{−60}."""
    values, alpha, t = np.array([0.0, 1.0, 2.5, 40.0]), 1.5, 1.0
    initial = ParticleMeasure(np.arange(4.0)[:, None], [0.1, 0.2, 0.3, 0.4])
    options = {"dt": 0.25} if method == "euler" else {}
    run = solve(WassersteinFisherRaoFlow(frozen(values), alpha), initial, t, method, options=options)
    expected = initial.weights * np.exp(-alpha * t * values)
    np.testing.assert_allclose(run.final.weights, expected / expected.sum(), rtol=1e-12)
    assert run.final.weights[3] < 1e-25
    np.testing.assert_array_equal(run.final.points, initial.points)


def test_reaction_along_trajectories():
    """In V = κ|x|²/2 points run into 0 like e^{−κt} and p ∝ p(0) exp(−α |x(0)|² (1 − e^{−2κt})/4)."""
    kappa, alpha, t = 0.9, 2.0, 1.3
    energy = Potential.quadratic(kappa)
    initial = cloud(energy, n=30)
    run = solve(WassersteinFisherRaoFlow(energy, alpha), initial, t, "tsit5", rtol=1e-9, atol=1e-12)
    expected = initial.weights * np.exp(-alpha * (initial.points**2).sum(axis=1) * (1.0 - np.exp(-2.0 * kappa * t)) / 4.0)
    np.testing.assert_allclose(run.final.points, initial.points * np.exp(-kappa * t), rtol=1e-7)
    np.testing.assert_allclose(run.final.weights, expected / expected.sum(), rtol=1e-7)


def test_no_reaction_is_the_wasserstein_flow():
    energy = ENERGIES["bandit"]()
    initial = cloud(energy)
    run = solve(WassersteinFisherRaoFlow(energy, 0.0), initial, 10.0, "tsit5", rtol=1e-8)
    other = solve(wflow.flows.WassersteinFlow(energy), initial, 10.0, "tsit5", rtol=1e-8)
    np.testing.assert_allclose(run.final.points, other.final.points, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(run.final.weights, initial.weights, rtol=1e-13)


def test_weights_speed_up_the_bandit():
    """From the same cloud the reaction ends higher: mass moves to neurons that serve."""
    energy = PolicyValue(agazzi_lu_bandit(seed=0))
    initial = laws.student(3).sample(40, 0)
    gaps = [solve(WassersteinFisherRaoFlow(energy, alpha), initial, 200.0).diagnostics["gap"][-1] for alpha in (0.0, 5.0)]
    assert gaps[1] < gaps[0]


def test_error_norm():
    """A particle counts by its mass, its log weight by an absolute error against the sum of the tolerances."""
    rng = np.random.default_rng(0)
    energy = QuadraticInteraction()
    measure = cloud(energy, n=5)
    flow = WassersteinFisherRaoFlow(energy)
    old = flow.pack(measure)
    new, error = old + rng.standard_normal(20), rng.standard_normal(20)
    x, z, e = (v[:15].reshape(5, 3) for v in (old, new, error))
    scale = 1e-4 + 1e-2 * np.sqrt(np.maximum((x**2).sum(axis=1), (z**2).sum(axis=1)))
    squares = (e**2).sum(axis=1) / scale**2 + error[15:] ** 2 / (1e-2 + 1e-4) ** 2
    expected = np.sqrt(measure.weights @ squares)
    assert flow.error_norm(error, old, new, 1e-2, np.array([1e-4])) == pytest.approx(expected, rel=1e-12)


def test_stored_and_read_again(tmp_path):
    energy = ENERGIES["attraction"]()
    run = solve(WassersteinFisherRaoFlow(energy), cloud(energy), 1.0, path=tmp_path / "run.h5")
    again = wflow.open(tmp_path / "run.h5")
    np.testing.assert_array_equal(again.final.points, run.final.points)
    np.testing.assert_array_equal(again.final.weights, run.final.weights)
    assert list(run.diagnostics) == ["energy", "dissipation", "transport", "reaction"]


class Deaf(QuadraticInteraction):
    first_variation = None


def test_refusals():
    with pytest.raises(TypeError, match=r"^energy must have a method first_variation\(measure, points\) for the reaction; got"):
        WassersteinFisherRaoFlow(Deaf())
    with pytest.raises(ValueError, match=r"^reaction must be a finite number at least 0; got -1.0"):
        WassersteinFisherRaoFlow(QuadraticInteraction(), -1.0)
    with pytest.raises(ValueError, match=r"^initial must have weights above 0, as a reaction moves none away from 0; got 0.0 at \[1\]"):
        WassersteinFisherRaoFlow(QuadraticInteraction()).pack(ParticleMeasure([[0.0], [1.0]], [1.0, 0.0]))
    with pytest.raises(ValueError, match=r"^energy must "):
        WassersteinFisherRaoFlow(Sum([QuadraticInteraction(), Entropy(0.1)]))
    assert not hasattr(WassersteinFisherRaoFlow(ENERGIES["bandit"]()), "jacobian")  # which would be that of the transport alone
