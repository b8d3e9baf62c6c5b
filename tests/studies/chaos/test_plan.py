"""Which runs a study makes: sizes, seeds and tasks that cover them once, and arguments that are refused before any work."""

from __future__ import annotations

import json
import pickle
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import studies

from wflow.studies.chaos import BUILT_IN, Problem, built_in
from wflow.studies.chaos.plan import DEFAULT_SIZES, plan

OWN = Problem("own", studies.wave, 8.0)
ladders = st.lists(st.integers(2, 400).map(lambda n: 2 * n), min_size=3, max_size=6, unique=True).map(sorted).map(tuple)


def test_default():
    study = plan()
    assert tuple(problem.name for problem in study.problems) == BUILT_IN
    assert study.sizes == DEFAULT_SIZES
    for counts in study.seeds.values():
        assert tuple(counts) == study.sizes
        assert list(counts.values()) == sorted(counts.values(), reverse=True)  # more where N is small
        assert min(counts.values()) >= 2
    assert set(study.other_sizes) == {"qmc", "quantised"}


def test_quick_is_less_and_gives_way():
    full, quick = plan(), plan(quick=True)
    assert quick.sizes[-1] < full.sizes[-1]
    assert sum(quick.seeds["linear"].values()) < sum(full.seeds["linear"].values()) / 2
    own = plan(OWN, quick=True, sizes=[6, 12, 24], seeds=5, w2_seeds=0)
    assert (own.sizes, own.seeds, own.w2_seeds) == ((6, 12, 24), {"own": {6: 5, 12: 5, 24: 5}}, 0)


@pytest.mark.parametrize("given_", ["linear", ["linear"], ("linear",), built_in("linear"), [built_in("linear")]])
def test_problems_by_name_or_themselves(given_):
    assert plan(given_).problems == (built_in("linear"),)


def test_other_activations():
    assert plan(["grid gaussian", "bandit softplus"]).problems == (built_in("grid", "gaussian"), built_in("bandit", "softplus"))


def test_times():
    study = plan([OWN, "linear"])
    np.testing.assert_array_equal(study.times(OWN), [0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0])
    for problem in study.problems:
        assert study.times(problem)[-1] == problem.horizon
        assert set(study.cloud_times(problem)) <= set(study.times(problem))
        assert study.cloud_times(problem)[-1] == problem.horizon


@given(sizes=ladders)
def test_sizes_of_other_starts(sizes):
    """Powers of two for Sobol points, and quantised starts of the ladder; a reference that is larger than all."""
    study = plan(OWN, sizes=sizes)
    qmc, quantised = study.other_sizes["qmc"], study.other_sizes["quantised"]
    assert all(n & (n - 1) == 0 for n in qmc)
    assert len(qmc) >= 2
    assert len(quantised) >= 2
    assert list(qmc) == sorted(set(qmc))
    assert qmc[0] >= sizes[0]
    assert qmc[-1] <= max(sizes[-1], 8 * sizes[0])
    assert set(quantised) <= set(sizes)
    assert study.curves() == {"iid": sizes, "qmc": qmc, "quantised": quantised}
    first = study.first_reference()
    assert first & (first - 1) == 0
    assert first >= 2 * max(*sizes, *qmc)


@given(sizes=ladders, seeds=st.integers(2, 40), w2_seeds=st.integers(0, 6))
def test_every_start_is_run_once(sizes, seeds, w2_seeds):
    study = plan(OWN, sizes=sizes, seeds=seeds, w2_seeds=w2_seeds, seed=7)
    tasks = study.tasks(OWN, "reference.npz", 1024)
    runs = Counter((task.start, task.n, k) for task in tasks for k in task.seeds)
    assert set(runs.values()) == {1}
    for kind, ladder in study.curves().items():
        for n in ladder:
            numbers = sorted(k for start, size, k in runs if (start, size) == (kind, n))
            assert numbers == list(range(len(numbers)))
            if kind == "iid":
                assert len(numbers) == seeds
            with_w2 = [k for task in tasks if (task.start, task.n) == (kind, n) and task.w2_size for k in task.seeds]
            assert sorted(with_w2) == list(range(min(w2_seeds, len(numbers)) if kind == "iid" else 0))
    assert {task.seed for task in tasks} == {7}
    assert {task.reference for task in tasks} == {"reference.npz"}
    assert all(task.problem is OWN and task.work > 0.0 for task in tasks)
    halves = {(task.start, task.n): task.halves for task in tasks}
    assert all(halves[task.start, task.n] == task.halves for task in tasks)  # all seeds of a size, or none
    assert not any(on for (start, _), on in halves.items() if start != "iid")
    assert halves["iid", sizes[0]]


def test_pilot_has_every_start():
    study = plan(OWN, sizes=(8, 16, 32))
    pilot = study.pilot(OWN, "file", 512)
    assert {task.start for task in pilot} == {"iid", "qmc", "quantised"}
    for kind, sizes in study.curves().items():
        own = [task for task in pilot if task.start == kind]
        assert {task.n for task in own} == {max(sizes)}
        assert any(task.w2_size == 512 for task in own) == (kind == "iid")
        assert any(len(task.seeds) > 1 for task in own)


def test_description_is_plain_and_tells_studies_apart():
    arguments = [
        {}, {"problems": ["linear"]}, {"sizes": (8, 16, 32)}, {"seeds": 3}, {"w2_seeds": 0}, {"seed": 1}, {"quick": True},
        {"problems": [OWN]}, {"problems": [Problem("own", studies.wave, 9.0)]}, {"problems": [Problem("own", studies.bandit, 8.0)]},
        {"problems": [Problem("own", studies.bandit, 8.0, (("n_actions", 5),))]},
    ]  # fmt: skip
    texts = [json.dumps(plan(**options).describe(), sort_keys=True) for options in arguments]
    assert len(set(texts)) == len(texts)
    assert texts == [json.dumps(plan(**options).describe(), sort_keys=True) for options in arguments]
    assert json.loads(texts[0])["sizes"] == list(DEFAULT_SIZES)
    pickle.dumps(plan().tasks(built_in("linear"), "f", 0))


@pytest.mark.parametrize(("options", "error", "message"), [
    ({"problems": []}, ValueError, "^problems must be one or more; got none$"),
    ({"problems": [3]}, TypeError, "^problems must be names or wflow.studies.chaos.Problem; got 3$"),
    ({"problems": 3}, TypeError, "^problems must be"),
    ({"problems": ["linaer"]}, ValueError, r"^problem must be one of .* \(did you mean 'linear'\?\)$"),
    ({"problems": ["bandit"]}, ValueError, "^problem must be one of .*; got 'bandit'"),
    ({"problems": ["bandit tan"]}, ValueError, r"^activation must be one of .* \(did you mean 'tanh'\?\)$"),
    ({"problems": ["linear", "linear"]}, ValueError, "^problems must have different names; got linear, linear$"),
    ({"problems": [OWN, Problem("own", studies.bandit, 1.0)]}, ValueError, "^problems must have different names; got own, own$"),
    ({"sizes": (10, 20)}, ValueError, r"^sizes must be three or more, increasing and even; got \[10, 20\]$"),
    ({"sizes": (10, 20, 20)}, ValueError, "^sizes must be three or more, increasing and even; got "),
    ({"sizes": (10, 40, 20)}, ValueError, "^sizes must be three or more, increasing and even; got "),
    ({"sizes": (10, 21, 40)}, ValueError, "^sizes must be three or more, increasing and even; got "),
    ({"sizes": (2, 10, 20)}, ValueError, r"^sizes\[0\] must be an integer of at least 4; got 2$"),
    ({"sizes": (10.0, 20, 40)}, TypeError, r"^sizes\[0\] must be an integer of at least 4; got 10.0$"),
    ({"sizes": 10}, TypeError, "^sizes must be a sequence of integers; got 10$"),
    ({"sizes": "10 20 40"}, TypeError, "^sizes must be a sequence of integers; got '10 20 40'$"),
    ({"sizes": (10, 20, 10**12)}, ValueError, "^sizes must be small enough for .* GB of memory; got 1000000000000$"),
    ({"seeds": 1}, ValueError, "^seeds must be an integer of at least 2; got 1$"),
    ({"seeds": "many"}, TypeError, "^seeds must be an integer of at least 2; got 'many'$"),
    ({"seeds": {50: 10}}, ValueError, r"^seeds must give a number for each of the sizes \[50, "),
    ({"sizes": (8, 16, 32), "seeds": {8: 9, 16: 1, 32: 4}}, ValueError, r"^seeds\[16\] must be an integer of at least 2; got 1$"),
    ({"w2_seeds": -1}, ValueError, "^w2_seeds must be an integer of at least 0; got -1$"),
    ({"w2_seeds": 1.5}, TypeError, "^w2_seeds must be an integer of at least 0; got 1.5$"),
    ({"seed": -1}, ValueError, "^seed must be an integer of at least 0; got -1$"),
    ({"seed": None}, TypeError, "^seed must be an integer of at least 0; got None$"),
])  # fmt: skip
def test_refuses(options, error, message):
    with pytest.raises(error, match=message):
        plan(**options)


def test_seeds_by_size():
    study = plan([OWN, "linear"], sizes=(8, 16, 32), seeds={32: 2, 8: 9, 16: 5})
    assert study.seeds == {"own": {8: 9, 16: 5, 32: 2}, "linear": {8: 9, 16: 5, 32: 2}}
