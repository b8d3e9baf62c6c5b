"""``PolicyValue(..., field="continuous")``: E as before, a field without jumps, near the gradient of E (math.md §7)."""

from __future__ import annotations

import time

import numpy as np
import pytest

from wflow import integrators
from wflow.energies import PolicyValue
from wflow.flows import WassersteinFlow
from wflow.mdp import MDP, agazzi_lu_bandit, agazzi_lu_grid
from wflow.measures import ParticleMeasure, laws
from wflow.spaces import Space

FIELDS = ("nodes", "continuous")


def cloud(energy, n, seed=0):
    return ParticleMeasure(np.random.default_rng(seed).normal(0.0, 2.0, (n, energy.n_parameters)))


@pytest.mark.parametrize("problem", [agazzi_lu_bandit(seed=0, n_actions=20), agazzi_lu_grid(seed=0, n_states=9, n_actions=13)])
def test_only_the_field_changes(problem):
    nodal, continuous = (PolicyValue(problem, field=field) for field in FIELDS)
    measure = cloud(nodal, 50)
    one, other = nodal.evaluate(measure), continuous.evaluate(measure)
    assert one.value == other.value == continuous.value(measure)
    assert one.gap == other.gap
    np.testing.assert_array_equal(one.signal, other.signal)
    np.testing.assert_array_equal(one.velocity, PolicyValue(problem).velocity(measure))
    assert np.abs(one.velocity - other.velocity).max() > 1e-6
    np.testing.assert_array_equal(other.velocity, continuous.field(measure.points, other.signal))
    variation = continuous.first_variation(measure, measure.points)
    np.testing.assert_array_equal(variation, measure.points[:, 0] * other.velocity[:, 0])


def test_velocity_is_the_gradient_of_the_first_variation():
    energy = PolicyValue(agazzi_lu_grid(seed=1, n_states=7, n_actions=9), field="continuous")
    measure = cloud(energy, 20)
    points, step = cloud(energy, 50, seed=1).points, 1e-6
    velocity = energy.field(points, energy.signal(measure))
    for d in range(energy.n_parameters):
        moved = step * np.eye(energy.n_parameters)[d]
        slope = (energy.first_variation(measure, points + moved) - energy.first_variation(measure, points - moved)) / (2.0 * step)
        np.testing.assert_allclose(slope, velocity[:, d], rtol=1e-6, atol=1e-8)


def test_linearised():
    """Against central differences of the velocity, between the kinks of f_ν on nodes."""
    for problem in (agazzi_lu_bandit(seed=0), agazzi_lu_grid(seed=0, n_states=10, n_actions=20)):
        energy = PolicyValue(problem, field="continuous")
        measure, v, step = cloud(energy, 5), cloud(energy, 5, seed=1).points, 1e-7
        ends = [energy.velocity(ParticleMeasure(measure.points + sign * step * v)) for sign in (1.0, -1.0)]
        product = energy.linearised(measure)(v)
        np.testing.assert_allclose((ends[0] - ends[1]) / (2.0 * step), product, rtol=1e-6, atol=1e-7 * np.abs(product).max())


def test_lipschitz_constant_bounds_differences():
    energy = PolicyValue(agazzi_lu_grid(seed=0, n_states=4, n_actions=30), field="continuous")
    signal = np.random.default_rng(0).uniform(1.0, 2.0, (4, 30))  # of one sign: the bound is nearly attained
    points = cloud(energy, 2000, seed=2).points
    points[:, 0] = 1.0
    slopes = np.linalg.norm(energy.field(points, signal)[:, 1:], axis=1)
    assert 0.9 * energy.lipschitz(signal) < slopes.max() <= energy.lipschitz(signal)


def imbalance(n_actions, n, clouds):
    """Root mean square over clouds of n of ``(dE/dt − ∫|F|² dν)/∫|F|² dν``; ``dE/dt = sum_n p_n F_n^nodes·F_n``."""
    nodal, continuous = (PolicyValue(agazzi_lu_bandit(seed=0, n_actions=n_actions), field=field) for field in FIELDS)
    found = []
    for seed in range(clouds):
        measure = cloud(nodal, n, seed)
        one, other = nodal.velocity(measure), continuous.velocity(measure)
        found.append((one * other).sum() / (other**2).sum() - 1.0)
    return np.sqrt(np.mean(np.square(found)))


def test_dissipation_identity():
    """It fails by a bias O(h²) and, over N kinks at random places, by O(h/√N): the second shows for few particles, the first for many."""
    counts = (25, 50, 100, 200)
    few, many = ([imbalance(n_a, n, clouds) for n_a in counts] for n, clouds in ((200, 40), (50_000, 4)))
    slopes = [-np.polyfit(np.log2(counts), np.log2(values), 1)[0] for values in (few, many)]
    assert few[2] < 5e-3
    assert many[2] < 5e-4
    assert 0.75 < slopes[0] < 1.35
    assert 1.6 < slopes[1] < 2.4


@pytest.mark.parametrize(("field", "least", "most"), [("nodes", 0.5, 2.0), ("continuous", 2.8, 3.5)])
def test_the_order_of_the_integrator_comes_back(field, least, most):
    """SSP-RK3 at fixed steps: kinks that pass nodes cost it more than one order, or nothing."""
    flow = WassersteinFlow(energy := PolicyValue(agazzi_lu_bandit(seed=0), field=field))
    start = flow.pack(laws.student(energy.n_parameters).sample(60, 0))

    def end(method, dt):
        solver = integrators.get(method)(flow.rhs, 0.0, start, 320.0, first_step=dt, max_step=dt, rtol=1e6, atol=1e6)
        while solver.status == "running":
            solver.step()
        return solver.y

    reference, steps = end("tsit5", 0.625), (10.0, 5.0, 2.5)
    errors = [np.sqrt(np.mean((end("ssprk3", dt) - reference) ** 2)) for dt in steps]
    assert least < np.polyfit(np.log(steps), np.log(errors), 1)[0] < most


def test_fast():
    """An evaluation costs at most twice the nodal one."""
    nodal, continuous = (PolicyValue(agazzi_lu_grid(seed=0), field=field) for field in FIELDS)
    measure = cloud(nodal, 800)
    best = [np.inf, np.inf]
    for _ in range(60):
        for i, energy in enumerate((nodal, continuous)):
            start = time.perf_counter()
            energy.evaluate(measure)
            best[i] = min(best[i], time.perf_counter() - start)
    assert best[1] < 2.0 * best[0]


def test_what_it_needs():
    bandit = agazzi_lu_bandit(seed=0, n_actions=6)
    with pytest.raises(ValueError, match="field must be one of nodes, continuous; got 'continous'"):
        PolicyValue(bandit, field="continous")
    for name in ("tanh", "rbf", "softplus"):
        with pytest.raises(ValueError, match=f"field must be 'nodes' for '{name}'; 'continuous' is for 'relu' alone"):
            PolicyValue(bandit, name, field="continuous")
    gauss = MDP(reward=np.zeros((1, 4)), transition=None, discount=0.0, temperature=0.2, actions=Space.gauss_legendre(4))
    with pytest.raises(ValueError, match="actions must be two or more increasing equidistant nodes of one coordinate, of equal weights"):
        PolicyValue(gauss, field="continuous")
