"""Which parts a study has: ladders, tasks, starts, and what is refused before any work."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest

from wflow.studies.grids import BUILT_IN, built_in
from wflow.studies.grids.plan import Task, plan

ATTRACTION = built_in("attraction")


def test_default():
    study = plan()
    assert tuple(problem.name for problem in study.problems) == BUILT_IN
    assert [study.ladder(problem) for problem in study.problems] == [problem.cells for problem in study.problems]
    quick = plan(quick=True)
    assert [quick.ladder(problem) for problem in quick.problems] == [problem.quick_cells for problem in quick.problems]
    assert plan("attraction", cells=[8, 12, 20], quick=True).ladder(ATTRACTION) == (8, 12, 20)


@pytest.mark.parametrize("given", ["attraction", ["attraction"], ATTRACTION, (ATTRACTION,)])
def test_problems_by_name_or_themselves(given):
    assert plan(given).problems == (ATTRACTION,)


@pytest.mark.parametrize("quick", [False, True])
def test_tasks(quick):
    study = plan(cells=(8, 12, 16), limiter="van_leer", seed=5, quick=quick)
    for problem in study.problems:
        tasks = study.tasks(problem)
        assert [(task.part, task.size) for task in tasks[:4]] == [("reference", 0), ("cells", 16), ("cells", 12), ("cells", 8)]
        assert {task.part for task in tasks[4:]} == {"particles"}
        sizes = [task.size for task in tasks[4:]]
        assert sizes == sorted(sizes, reverse=True)
        assert {(task.problem, task.limiter, task.seed, task.quick) for task in tasks} == {(problem, "van_leer", 5, quick)}
    pickle.dumps(study.tasks(study.problems[0]))


def test_starts():
    """Gauss rules of n and n/2 nodes an axis; scrambles all different; other seeds and sizes, other points."""
    task = Task(ATTRACTION, "particles", 64, "minmod", 3, True)
    whole, half = task.gauss()
    assert whole.size == 4 * half.size
    clouds = task.scrambled()
    assert len(clouds) >= 8
    assert {cloud.points.shape for cloud in clouds} == {(64, 2)}
    assert len({cloud.points.tobytes() for cloud in clouds}) == len(clouds)
    again = Task(ATTRACTION, "particles", 64, "minmod", 3, True).scrambled()
    assert [cloud.points.tobytes() for cloud in again] == [cloud.points.tobytes() for cloud in clouds]
    for seed, size in ((4, 64), (3, 128)):
        assert Task(ATTRACTION, "particles", size, "minmod", seed, True).scrambled()[0].points[0, 0] != clouds[0].points[0, 0]
    assert task.times[[0, -1]].tolist() == [0.0, ATTRACTION.horizon]
    assert (np.diff(task.times) > 0.0).all()
    assert [(axis[0], axis[-1], len(axis)) for axis in task.axes] == [(*ends, 65) for ends in ATTRACTION.box]


def test_description_is_plain_and_tells_studies_apart():
    arguments = [{}, {"problems": "attraction"}, {"problems": "bandit gaussian"}, {"cells": (8, 12, 16)}, {"limiter": "none"}, {"seed": 1},
                 {"quick": True}]  # fmt: skip
    texts = [json.dumps(plan(**options).describe(), sort_keys=True) for options in arguments]
    assert len(set(texts)) == len(texts)
    assert texts == [json.dumps(plan(**options).describe(), sort_keys=True) for options in arguments]
    assert "wflow.studies.grids.problems._attraction" in texts[0]


@pytest.mark.parametrize(("options", "error", "message"), [
    ({"problems": []}, ValueError, "^problems must be one or more; got none$"),
    ({"problems": [3]}, TypeError, r"^problems must be names or wflow\.studies\.grids\.Problem; got 3$"),
    ({"problems": 3}, TypeError, "^problems must be names"),
    ({"problems": "atraction"}, ValueError, r"^problem must be one of .*; got 'atraction' \(did you mean 'attraction'\?\)$"),
    ({"problems": "bandit"}, ValueError, "^problem must be one of .*; got 'bandit'"),
    ({"problems": "bandit tan"}, ValueError, r"^activation must be one of .* \(did you mean 'tanh'\?\)$"),
    ({"problems": ["attraction", ATTRACTION]}, ValueError, "^problems must have different names; got attraction, attraction$"),
    ({"cells": (8, 16)}, ValueError, "^cells must be three integers or more"),
    ({"cells": 8}, ValueError, "^cells must be three integers or more"),
    ({"cells": (8, 16, 100_000)}, ValueError, "^cells must be small enough for .* GB of memory; got 100000$"),
    ({"limiter": "superbee"}, ValueError, "^limiter must be one of none, minmod, van_leer; got 'superbee'"),
    ({"seed": -1}, ValueError, "^seed must be an integer of at least 0; got -1$"),
])  # fmt: skip
def test_refuses(options, error, message):
    with pytest.raises(error, match=message):
        plan(**options)
