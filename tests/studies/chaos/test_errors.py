"""The errors of runs against plain NumPy: other steps, the mean field solved along, transport by assignment (math.md §6)."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from studies.chaos import plain
from toys import studies

from wflow.measures import distances
from wflow.studies.chaos import Problem, built_in
from wflow.studies.chaos import errors as module
from wflow.studies.chaos import reference as reference_module
from wflow.studies.chaos.errors import STARTS, W2_COLUMNS, Task, errors, start
from wflow.studies.chaos.reference import load, solve_reference

M, W2_SIZE, SEED = 256, 64, 3
TIMES = {"linear": 3.0 * 2.0 ** np.arange(-6.0, 1.0), "bandit": 20.0 * 2.0 ** np.arange(-6.0, 1.0)}
PROBLEMS = {"linear": built_in("linear"), "bandit": Problem("bandit", studies.bandit, 20.0)}


@pytest.fixture(scope="module")
def references(tmp_path_factory):
    """Files of the problems' references; all runs are exact in time, so that nothing hides behind their tolerance."""
    folder, files = tmp_path_factory.mktemp("references"), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference_module, "_RTOL", 1e-9)
        patch.setattr(module, "_RTOL", 1e-9)
        for name, problem in PROBLEMS.items():
            files[name] = folder / f"{name}.npz"
            solve_reference(problem, M, TIMES[name], TIMES[name][[-3, -1]], SEED).save(files[name])
        yield files


def model(name):
    energy = PROBLEMS[name].build()[0]
    return plain.Linear(energy.stiffness, energy.attraction) if name == "linear" else plain.TanhBandit(energy.mdp)


def transport(points, target):
    """W2 of clouds of equal weights, the size of one a multiple of that of the other, by assignment."""
    cost = cdist(np.repeat(points, len(target) // len(points), axis=0), target, "sqeuclidean")
    return np.sqrt(cost[linear_sum_assignment(cost)].mean())


@pytest.mark.parametrize("kind", STARTS)
@pytest.mark.parametrize("name", PROBLEMS)
def test_against_plain_numpy(references, name, kind):
    problem, times, n = PROBLEMS[name], TIMES[name], 8
    found = errors(Task(problem, kind, n, (0, 5), SEED, str(references[name]), W2_SIZE, halves=kind == "iid"))
    law = problem.build()[1]
    field = law.qmc(M, np.random.SeedSequence(SEED, spawn_key=(0,))).points
    for row, number in enumerate((0, 5)):
        initial = start(law, kind, n, SEED, number)
        expected, runs, copies, cloud = plain.errors(model(name), initial.points, initial.weights, field, times)
        for quantity, values in expected.items():
            got = found[quantity][row]
            assert np.abs(values).max() > 1e-8
            np.testing.assert_allclose(got, values, rtol=1e-9, atol=1e-4 * np.abs(values).max(), err_msg=quantity)
        if kind == "iid":
            value, weights = model(name).value, np.full(n // 2, 2.0 / n)
            halves = [plain.errors(model(name), half, weights, field[:8], times)[1] for half in np.split(initial.points, 2)]
            whole = [value(x, initial.weights) for x in runs]
            mean = np.mean([[value(x, weights) for x in half] for half in halves], axis=0)
            np.testing.assert_allclose(found["bias"][row], mean - whole, atol=1e-4 * np.abs(mean - whole).max())
        else:
            assert np.isnan(found["bias"]).all()
        if kind != "quantised":  # equal weights
            for c, k in enumerate((-3, -1)):
                value, lower, upper, base, base_lower, base_upper = found["w2"][row, c]
                assert value == pytest.approx(transport(runs[k], cloud[k][:W2_SIZE]), rel=1e-3)
                assert base == pytest.approx(transport(copies[k], cloud[k][:W2_SIZE]), rel=1e-3)
                assert lower <= value <= upper
                assert base_lower <= base <= base_upper


@pytest.mark.parametrize("kind", STARTS)
def test_w2_is_that_of_the_front_door(references, kind):
    """Weighted clouds, too; the target is the first part of the reference's cloud."""
    reference = load(references["linear"])
    measure = start(PROBLEMS["linear"].build()[1], kind, 12, SEED, 1)
    columns = module._w2(measure, measure, reference.cloud(1, W2_SIZE))
    assert len(columns) == len(W2_COLUMNS)
    w2 = distances.w2(measure, reference.cloud(1, W2_SIZE))
    assert columns[0] == pytest.approx(w2.value, rel=1e-9)
    np.testing.assert_array_equal(columns[:3], columns[3:])
    assert reference.cloud(1, W2_SIZE).size == W2_SIZE


def test_bounds_without_a_value(references, monkeypatch):
    """Many pairs go to column generation, whose bracket is as narrow as asked for."""
    monkeypatch.setattr(module, "_MANY", 10)
    reference = load(references["linear"])
    measure = start(PROBLEMS["linear"].build()[1], "iid", 40, SEED, 0)
    value, lower, upper = module._w2(measure, measure, reference.cloud(1, M))[:3]
    exact = distances.w2(measure, reference.cloud(1, M)).value
    assert lower <= exact * (1.0 + 1e-9)
    assert exact <= upper * (1.0 + 1e-9)
    assert (upper - lower) / upper < 1e-3
    assert np.isnan(value) or value == pytest.approx(exact, rel=1e-3)


@pytest.mark.parametrize("name", PROBLEMS)
def test_same_seeds_same_bits_however_grouped(references, name):
    def run(*seeds):
        return errors(Task(PROBLEMS[name], "iid", 10, seeds, SEED, str(references[name]), W2_SIZE, halves=True))

    together, apart = run(0, 1, 2), [run(k) for k in (2, 0, 1)]
    for quantity, values in together.items():
        assert len(values) == 3
        np.testing.assert_array_equal(values, np.concatenate([apart[k][quantity] for k in (1, 2, 0)]))
        assert np.abs(values[0] - values[1]).max() > 0.0


def test_streams_of_starts_are_their_own():
    """By the study's seed, the kind, N and the number, every one of them; and none is the reference's."""
    law = PROBLEMS["linear"].build()[1]
    keys = [(kind, n, seed, number) for kind in ("iid", "qmc") for n in (8, 16) for seed in (0, 1) for number in (0, 1)]
    first = {key: tuple(start(law, key[0], *key[1:]).points[0]) for key in keys}
    assert len(set(first.values())) == len(keys)
    for key in keys:
        assert tuple(start(law, key[0], *key[1:]).points[0]) == first[key]
    for seed in (0, 1):
        assert tuple(law.qmc(8, np.random.SeedSequence(seed, spawn_key=(0,))).points[0]) not in first.values()


def test_what_is_left_out_is_nan(references):
    found = errors(Task(PROBLEMS["linear"], "iid", 8, (0,), SEED, str(references["linear"])))
    assert set(found) == {"coupling", "sup", "function", "copies", "energy", "bias", "w2"}
    assert np.isnan(found["bias"]).all()
    assert np.isnan(found["w2"]).all()
    assert found["w2"].shape == (1, 2, len(W2_COLUMNS))
    for name in ("coupling", "sup", "function", "copies", "energy", "bias"):
        assert found[name].shape == (1, 7)
    assert (found["sup"] >= found["coupling"]).all()
    assert np.isfinite([found[name] for name in ("coupling", "function", "copies", "energy")]).all()


def test_the_linear_problem_start_by_start(references):
    """Run and copies are translates: coupling, function and copies errors are one random number times known functions of time."""
    kappa, lam = 0.5, 1.0
    t, found = TIMES["linear"], errors(Task(PROBLEMS["linear"], "iid", 16, tuple(range(6)), SEED, str(references["linear"])))
    law = PROBLEMS["linear"].build()[1]
    mean = law.qmc(M, np.random.SeedSequence(SEED, spawn_key=(0,))).points.mean(axis=0)
    for k in range(6):
        shift = np.linalg.norm(start(law, "iid", 16, SEED, k).points.mean(axis=0) - mean)
        a, b = np.exp(-kappa * t), np.exp(-(kappa + lam) * t)
        np.testing.assert_allclose(found["coupling"][k], (a - b) * shift, rtol=2e-3, atol=1e-4 * shift)
        np.testing.assert_allclose(found["function"][k], (a * shift) ** 2, rtol=2e-3)
        np.testing.assert_allclose(found["copies"][k], (b * shift) ** 2, rtol=2e-2)


def test_work_grows_with_all_that_costs():
    def work(n=100, seeds=(0, 1), w2_size=0, halves=False):
        return Task(PROBLEMS["linear"], "iid", n, seeds, 0, "", w2_size, halves).work

    for more in (work(n=200), work(seeds=(0, 1, 2)), work(w2_size=512), work(halves=True)):
        assert more > work()
