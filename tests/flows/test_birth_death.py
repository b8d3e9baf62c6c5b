"""Birth–death dynamics: jumps one by one, their law against Wasserstein–Fisher–Rao, and runs that stop and go on (math.md §8)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wflow.energies import PolicyValue, QuadraticInteraction
from wflow.energies.free import Potential
from wflow.flows import _noise
from wflow.flows.birth_death import BirthDeathFlow, jump
from wflow.flows.fisher_rao_transport import WassersteinFisherRaoFlow
from wflow.loop import Status, solve
from wflow.mdp import agazzi_lu_bandit
from wflow.measures import ParticleMeasure, laws


def frozen(values):
    """A potential that moves nothing: its values at points that count 0, 1, 2, ..."""
    values = np.asarray(values)
    return Potential(lambda points: values[points[:, 0].astype(int)], np.zeros_like)


def jumped(points, rates, dt, key, step):
    """The jumps one by one, with the same random numbers."""
    points, rates = [list(point) for point in points], list(rates)
    births = deaths = 0
    for n in range(len(points)):
        chance, place = _noise.uniforms(np.uint64(n), np.uint64(step), key)
        if len(points) > 1 and chance < 1.0 - math.exp(-abs(rates[n]) * dt):
            others = [k for k in range(len(points)) if k != n]
            other = others[math.floor(place * len(others))]
            if rates[n] > 0.0:
                points[other], rates[other] = points[n], rates[n]
                births += 1
            else:
                points[n], rates[n] = points[other], rates[other]
                deaths += 1
    return np.array(points), births, deaths


@given(n=st.integers(1, 40), step=st.integers(0, 2**40), seed=st.integers(0, 100), size=st.floats(0.0, 5.0))
def test_jumps_one_by_one(n, step, seed, size):
    rng = np.random.default_rng(seed)
    points, rates = rng.standard_normal((n, 2)), size * rng.standard_normal(n)
    key = _noise.key_of(seed, 0.0)
    expected = jumped(points, rates, 0.4, key, step)
    found = points.copy()
    assert jump(found, rates.copy(), 0.4, key, np.uint64(step)) == expected[1:]
    np.testing.assert_array_equal(found, expected[0])


def test_a_step_moves_and_then_jumps():
    """From its formula: an Euler step, then the jumps at the rates of its beginning."""
    energy = PolicyValue(agazzi_lu_bandit(seed=0, n_actions=10), "tanh")
    initial = ParticleMeasure(laws.student(3).sample(50, 1).points + 0.5)
    variation = energy.first_variation(initial, initial.points)
    alpha = 1.0 / variation.std()
    flow = BirthDeathFlow(energy, alpha)
    y = flow.pack(initial)
    stepper = flow.stepper(0.0, y, 1.0, field=flow.rhs, dt=0.3, seed=8)
    stepper.step()
    rates = alpha * (variation - variation.mean())
    np.testing.assert_allclose(flow.rates(0.0, y), rates, rtol=1e-10, atol=1e-13)
    moved = initial.points + 0.3 * energy.velocity(initial)
    expected, births, deaths = jumped(moved, rates, 0.3, _noise.key_of(8, 0.0), 0)
    np.testing.assert_allclose(stepper.y.reshape(-1, 3), expected, rtol=1e-14)
    assert (stepper.counts["births"], stepper.counts["deaths"]) == (births, deaths)
    assert births + deaths > 0


def fractions(values, start, n, t, dt, seeds):
    """Share of the particles at each site at t, (runs, sites)."""
    points = np.repeat(np.arange(len(values), dtype=float), np.round(np.array(start) * n).astype(int))[:, None]
    flow = BirthDeathFlow(frozen(values), 1.0)
    ends = [solve(flow, ParticleMeasure(points), t, options={"dt": dt, "seed": seed}, record=[t]).final for seed in range(seeds)]
    return np.array([np.bincount(end.points[:, 0].astype(int), minlength=len(values)) / n for end in ends])


def test_frozen_particles_follow_the_closed_form():
    """p ∝ p(0) e^{−tV} within 4 standard errors over 30 seeds; their spread is that of N particles."""
    values, start, t = [0.0, 0.7, 2.0], [0.2, 0.3, 0.5], 1.0
    found = fractions(values, start, 4000, t, 0.01, 30)
    expected = np.array(start) * np.exp(-t * np.array(values))
    expected /= expected.sum()
    error = found.std(axis=0, ddof=1) / math.sqrt(len(found))
    assert (np.abs(found.mean(axis=0) - expected) < 4.0 * error).all()
    assert (error < 2e-3).all()
    assert (found.std(axis=0, ddof=1) < 2.0 / math.sqrt(4000)).all()


def test_follows_wasserstein_fisher_rao():
    """Transport and jumps together, on the attraction to the mean: the moments of many clouds are those of the continuous flow."""
    energy, alpha, t = QuadraticInteraction(0.3, 0.5), 1.5, 1.0
    initial = ParticleMeasure(np.random.default_rng(5).normal([1.0, 0.0], [1.0, 0.5], (3000, 2)))
    limit = solve(WassersteinFisherRaoFlow(energy, alpha), initial, t, "tsit5", rtol=1e-8).final
    runs = [solve(BirthDeathFlow(energy, alpha), initial, t, options={"dt": 0.01, "seed": seed}, record=[t]).final for seed in range(20)]
    for moment in (lambda nu: nu.mean(), lambda nu: np.diag(nu.covariance())):
        found = np.array([moment(run) for run in runs])
        error = found.std(axis=0, ddof=1) / math.sqrt(len(runs))
        assert (np.abs(found.mean(axis=0) - moment(limit)) < 4.0 * error + 0.01 * np.abs(moment(limit))).all()
    without = solve(WassersteinFisherRaoFlow(energy, 0.0), initial, t, "tsit5", rtol=1e-8).final
    assert np.abs(limit.mean() - without.mean()).max() > 20.0 * error.max()  # the jumps are what is seen


def test_equal_fitness_and_single_particles_do_not_jump():
    run = solve(BirthDeathFlow(frozen([1.0, 1.0]), 50.0), ParticleMeasure([[0.0], [1.0]]), 1.0, options={"dt": 0.1})
    assert (run.counts["births"], run.counts["deaths"]) == (0, 0)
    run = solve(BirthDeathFlow(Potential.quadratic(1.0), 50.0), ParticleMeasure([[1.0]]), 1.0, options={"dt": 0.1})
    assert run.final.points[0, 0] == pytest.approx(0.9**10, rel=1e-12)


def test_as_many_births_and_deaths_as_the_rates_say():
    """N/2 ∫ |rate| dν of each per unit of time, at first: within 4 standard deviations of a sum of that many rare events."""
    n, dt = 100_000, 0.01
    points = np.repeat([0.0, 1.0], n // 2)[:, None]
    run = solve(BirthDeathFlow(frozen([0.0, 2.0]), 1.0), ParticleMeasure(points), dt, options={"dt": dt})
    expected = n / 2 * -math.expm1(-dt)  # rates are ±1
    for kind in ("births", "deaths"):
        assert abs(run.counts[kind] - expected) < 4.0 * math.sqrt(expected) + 2.0 * dt * expected  # copies are visited as well


def test_a_run_goes_on_bit_for_bit(tmp_path):
    points = np.random.default_rng(0).standard_normal((40, 2))
    given = {"options": {"dt": 0.1, "seed": 5}, "checkpoint": 0.0}

    def moved(path, **more):
        return solve(BirthDeathFlow(QuadraticInteraction(), 3.0), ParticleMeasure(points), 1.25, path=tmp_path / path, **given, **more)

    whole = moved("whole.h5")
    assert moved("part.h5", max_steps=6).status is Status.STEP_LIMIT
    resumed = moved("part.h5", resume=True)
    np.testing.assert_array_equal(resumed.stored.frames, whole.stored.frames)
    np.testing.assert_array_equal(resumed.final.points, whole.final.points)
    assert resumed.counts == whole.counts
    assert whole.counts["births"] > 0 < whole.counts["deaths"]
    np.testing.assert_array_equal(whole.final.weights, np.full(40, 1.0 / 40.0))


def test_refusals():
    with pytest.raises(ValueError, match=r"^initial must have equal weights, which jumps keep; got weights from 0.25 to 0.75"):
        BirthDeathFlow(QuadraticInteraction()).pack(ParticleMeasure([[0.0], [1.0]], [0.25, 0.75]))
    with pytest.raises(TypeError, match=r"^dt must be a finite number above 0; got None"):
        solve(BirthDeathFlow(QuadraticInteraction()), ParticleMeasure([[0.0], [1.0]]), 1.0)
    with pytest.raises(ValueError, match=r"^reaction must be a finite number at least 0; got nan"):
        BirthDeathFlow(QuadraticInteraction(), math.nan)
