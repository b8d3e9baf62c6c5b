"""The mean-field reference: its own errors, its file, and the size that a study settles on (math.md §6)."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from toys import studies

from wflow.flows import TracerFlow, WassersteinFlow
from wflow.loop import Status
from wflow.measures import ParticleMeasure, distances
from wflow.studies import _walk as module
from wflow.studies._walk import walk
from wflow.studies.chaos import Constants, Problem, built_in
from wflow.studies.chaos import settle as settling
from wflow.studies.chaos.errors import errors
from wflow.studies.chaos.plan import plan
from wflow.studies.chaos.reference import compare, doubling, load, solve_reference
from wflow.studies.chaos.settle import settle, smallest

LINEAR, WAVE = built_in("linear"), Problem("wave", studies.wave, 2.0)
TIMES = 3.0 * 2.0 ** np.arange(-6.0, 1.0)
CLOUD_TIMES = TIMES[[-3, -1]]


def solved(size=128, seed=0, problem=LINEAR):
    return solve_reference(problem, size, TIMES, CLOUD_TIMES, seed)


@pytest.fixture(scope="module")
def linear():
    return solved()


def test_in_closed_form(linear):
    """Its particles run as those of its own Sobol cloud must."""
    energy, law = LINEAR.build()
    start = law.qmc(128, np.random.SeedSequence(0, spawn_key=(0,)))
    kappa, total = energy.stiffness, energy.stiffness + energy.attraction
    mean = start.mean()
    for k, t in enumerate(TIMES):
        points = mean * np.exp(-kappa * t) + (start.points - mean) * np.exp(-total * t)
        measure = ParticleMeasure(points)
        assert linear.energy[k] == pytest.approx(energy.value(measure), rel=1e-5)
        np.testing.assert_allclose(linear.functions[k], measure.mean(), rtol=1e-5, atol=1e-7)
        assert linear.variances[k] == pytest.approx(np.trace(measure.covariance()), rel=1e-4)
        np.testing.assert_allclose(linear.field(t), measure.mean(), rtol=1e-5, atol=1e-6)
        for c in np.flatnonzero(t == CLOUD_TIMES):
            np.testing.assert_allclose(linear.clouds[c], points, atol=1e-4)
    for t in np.linspace(0.0, 3.0, 401):  # and between the times
        np.testing.assert_allclose(linear.field(t), mean * np.exp(-kappa * t), atol=2e-6)
    assert (linear.size, linear.clouds.shape) == (128, (2, 128, 2))
    assert linear.seconds > 0.0


def test_replay_is_small_beside_the_way_gone(linear):
    assert linear.replay.shape == TIMES.shape
    assert (linear.replay >= 0.0).all()
    assert linear.replay.max() < 1e-5


def test_replay_carries_the_particles_through_the_field(linear):
    """By hand: the same start, carried by the reference's field, against its last cloud."""
    energy, law = LINEAR.build()
    start = law.qmc(128, np.random.SeedSequence(0, spawn_key=(0,)))
    carried = list(walk(TracerFlow(energy, linear.field), start, CLOUD_TIMES, "tsit5", 1e-10).states())[-1].points
    distance = np.sqrt(((carried - linear.clouds[1]) ** 2).sum(axis=1).mean())
    assert distance < 1e-5


def test_same_seed_same_bits(linear):
    again, other = solved(), solved(seed=1)
    for name in ("energy", "functions", "variances", "clouds", "replay"):
        np.testing.assert_array_equal(getattr(again, name), getattr(linear, name))
        assert np.abs(getattr(other, name) - getattr(linear, name)).max() > 0.0
    np.testing.assert_array_equal(again.field.signals, linear.field.signals)


def test_cloud_is_the_first_particles(linear):
    cloud = linear.cloud(1, 32)
    np.testing.assert_array_equal(cloud.points, linear.clouds[1][:32])
    np.testing.assert_array_equal(cloud.weights, np.full(32, 1.0 / 32.0))


def test_file(linear, tmp_path):
    """Back to the bit, field included, and nothing else is left in the folder."""
    path = tmp_path / "reference.npz"
    linear.save(path)
    again = load(path)
    assert [file.name for file in tmp_path.iterdir()] == ["reference.npz"]
    for name in ("times", "energy", "functions", "variances", "cloud_times", "clouds", "replay"):
        np.testing.assert_array_equal(getattr(again, name), getattr(linear, name))
    assert (again.size, again.seconds) == (linear.size, linear.seconds)
    for t in (0.0, 0.01, 0.7, 3.0):
        np.testing.assert_array_equal(again.field(t), linear.field(t))
    assert load(path) is again  # a task after another reads nothing


def test_another_reference_in_the_same_file(linear, tmp_path):
    """What is read is what lies there, although the last ones are kept in memory."""
    path = tmp_path / "reference.npz"
    linear.save(path)
    load(path)
    other = solved(64, seed=1)
    other.save(path)
    assert load(path).size == 64
    np.testing.assert_array_equal(load(path).energy, other.energy)


def test_compare(linear):
    other = solved(64)
    found = compare(other, linear)
    for k in range(len(TIMES)):
        assert found["energy"][k] == abs(other.energy[k] - linear.energy[k])
        assert found["function"][k] == pytest.approx(np.sqrt(sum((other.functions[k] - linear.functions[k]) ** 2)), rel=1e-14)


def test_doubling_bounds_w2(linear):
    bounds = doubling(linear, 32)
    for c in range(2):
        w2 = distances.w2(linear.cloud(c, 32), linear.cloud(c, 64)).value
        assert w2 <= bounds[c] * (1.0 + 1e-12)
        assert bounds[c] <= 1.05 * w2


def test_walk_keeps_its_times():
    energy, law = LINEAR.build()
    start = law.sample(5, 0)
    for times in (TIMES, np.concatenate([[0.0], TIMES])):
        run = walk(WassersteinFlow(energy), start, times, "tsit5", 1e-6)
        states = list(run.states())
        assert len(states) == len(TIMES) + 1
        np.testing.assert_array_equal(states[0].points, start.points)
        mean = start.mean()
        for t, state in zip(TIMES, states[1:], strict=True):
            exact = mean * np.exp(-0.5 * t) + (start.points - mean) * np.exp(-1.5 * t)
            np.testing.assert_allclose(state.points, exact, atol=1e-4)


def test_walks_that_do_not_arrive(monkeypatch):
    class Explosion(studies.Wave):
        def velocity(self, measure):
            return 1e3 * measure.points**3

    with pytest.raises(RuntimeError):
        walk(WassersteinFlow(Explosion()), ParticleMeasure([[3.0]]), TIMES, "tsit5", 1e-6)
    monkeypatch.setattr(module, "solve", lambda *_, **__: SimpleNamespace(status=Status.INTERRUPTED))
    with pytest.raises(KeyboardInterrupt):
        walk(None, None, TIMES, "tsit5", 1e-6)


def test_smallest():
    rng = np.random.default_rng(0)
    pilot = [{"energy": rng.standard_normal((s, 3)), "function": rng.random((s, 3)), "w2": rng.random((s, 2, 6))} for s in (4, 4, 1)]
    pilot[0]["w2"][:] = np.nan
    found = smallest(pilot)
    for t in range(3):
        assert found["energy"][t] == pytest.approx(min(np.sqrt(sum(x**2 for x in p["energy"][:, t]) / 4) for p in pilot[:2]))
        assert found["function"][t] == pytest.approx(min(np.sqrt(sum(p["function"][:, t]) / 4) for p in pilot[:2]))
    for c in range(2):
        assert found["w2"][c] == min(*pilot[1]["w2"][:, c, 0], *pilot[2]["w2"][:, c, 0])
    for p in pilot:
        p["w2"][:] = np.nan
    assert np.isinf(smallest(pilot)["w2"]).all()


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(settling, "_LARGEST", 8192)
    return plan([LINEAR], sizes=(8, 16, 32), seeds=4, w2_seeds=1)


def settled(study, folder):
    """What it settles on, and the phases with the sizes of references solved in each."""
    phases = []

    def mapped(phase, function, tasks):
        phases.append((phase, [task.size for task in tasks if hasattr(task, "size")]))
        return [function(task) for task in tasks]

    return settle(study, folder, mapped), phases


def met(study, chosen, measured):
    """Whether the reference's own errors are within the plan's fractions of the errors measured."""
    return all((chosen.own[name] <= share * measured[name]).all()
               for name, share in (("energy", study.fraction), ("function", study.fraction), ("w2", study.w2_fraction)))  # fmt: skip


def pilot_of(study, problem, path):
    return smallest([errors(task) for task in study.pilot(problem, str(path), study.first_reference())])


def test_generous_fractions_settle_at_once(small, tmp_path):
    study = replace(small, fraction=1e6, w2_fraction=1e6)
    chosen, phases = settled(study, tmp_path)
    first = study.first_reference()
    assert [phase for phase, _ in phases] == [f"references {first} {2 * first}", "pilot"]
    found = chosen["linear"]
    assert found.size == 2 * first
    assert 0 < found.w2_size <= first
    half, whole = sorted((load(file) for file in tmp_path.glob("*.npz")), key=lambda reference: reference.size)
    assert (half.size, whole.size, load(tmp_path / found.path).size) == (first, 2 * first, 2 * first)
    for name, values in compare(half, whole).items():
        np.testing.assert_array_equal(found.own[name], values)
    np.testing.assert_array_equal(found.own["w2"], doubling(whole, found.w2_size))
    np.testing.assert_array_equal(found.own["replay"], whole.replay)
    np.testing.assert_array_equal(found.variances, whole.variances)


def test_grows_until_its_own_errors_are_small(small, tmp_path):
    first = small.first_reference()
    chosen, _ = settled(replace(small, fraction=1e6, w2_fraction=1e6), tmp_path)
    measured = pilot_of(small, LINEAR, chosen["linear"].path)
    own = chosen["linear"].own
    fraction = max((own[name] / measured[name]).max() for name in ("energy", "function")) / 1.8  # one doubling more, or so
    study = replace(small, fraction=fraction, w2_fraction=1e6)
    chosen, phases = settled(study, tmp_path)
    found = chosen["linear"]
    assert 2 * first < found.size
    assert found.size & (found.size - 1) == 0
    assert met(study, found, measured)
    solved_ = [size for _, sizes in phases for size in sizes]
    assert len(set(solved_)) == len(solved_)  # none twice


def test_ends_at_the_largest(small, tmp_path):
    study = replace(small, fraction=1e-9)
    chosen, _ = settled(study, tmp_path)
    assert chosen["linear"].size == 8192
    assert not met(study, chosen["linear"], pilot_of(study, LINEAR, chosen["linear"].path))


def test_no_w2(small, tmp_path):
    chosen, _ = settled(replace(small, w2_seeds=0, fraction=1e6), tmp_path)
    assert chosen["linear"].w2_size == 0
    assert not chosen["linear"].own["w2"].any()


def test_w2_takes_as_many_as_it_needs(small, tmp_path):
    generous, _ = settled(replace(small, fraction=1e6, w2_fraction=1e6), tmp_path)
    narrow, _ = settled(replace(small, fraction=1e6, w2_fraction=1e-3), tmp_path)
    assert narrow["linear"].w2_size > generous["linear"].w2_size
    assert (narrow["linear"].own["w2"] < generous["linear"].own["w2"]).all()


def test_several_problems_at_once(small, tmp_path):
    both = plan([LINEAR, WAVE], sizes=(8, 16, 32), seeds=4, w2_seeds=0)
    chosen, phases = settled(replace(both, fraction=1e6), tmp_path)
    assert set(chosen) == {"linear", "wave"}
    assert chosen["linear"].path != chosen["wave"].path
    assert len(phases) == 2
    folder = tmp_path / "alone"
    folder.mkdir()
    alone, _ = settled(replace(plan([WAVE], sizes=(8, 16, 32), seeds=4, w2_seeds=0), fraction=1e6), folder)
    assert alone["wave"].size == chosen["wave"].size
    np.testing.assert_array_equal(alone["wave"].own["energy"], chosen["wave"].own["energy"])
    np.testing.assert_array_equal(alone["wave"].variances, chosen["wave"].variances)


def test_own_errors_are_overestimates(tmp_path):
    """The linear problem's mean field is known: its true errors, over four scrambles, are below those that the reference tells."""
    constants = Constants(*LINEAR.build())
    told, true = [], []
    for seed in range(4):
        half, whole = solved(512, seed), solved(1024, seed)
        told.append(compare(half, whole)["energy"])
        true.append(np.abs(whole.energy - constants.value(TIMES)))
    rms = [np.sqrt(np.square(values).mean(axis=0)) for values in (told, true)]
    assert (rms[1] <= rms[0]).all()
