"""Results in a file and back, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import h5py
import numpy as np
import pytest
from studies.grids import made

from wflow import studies
from wflow.studies.grids import open_study

STUDIES = {
    "one": lambda: made.study(made.problem()),
    "outside": lambda: made.study(made.problem("bandit relu", "outside Assumption 1")),
    "two": lambda: made.study(made.problem("z"), made.problem("a b")),
}


@pytest.fixture(params=STUDIES)
def study(request):
    return STUDIES[request.param]()


def assert_equal(mine, theirs):
    """To the bit, NaN and all, in the same order."""
    assert list(mine.problems) == list(theirs.problems)
    for name, problem in mine.problems.items():
        other = theirs.problems[name]
        assert (problem.name, problem.outside) == (other.name, other.outside)
        assert list(problem.cells) == list(other.cells)
        assert list(problem.particles) == list(other.particles)
        pairs = [(problem.reference, other.reference), *((problem.cells[n], other.cells[n]) for n in problem.cells),
                 *((problem.particles[n], other.particles[n]) for n in problem.particles)]  # fmt: skip
        for arrays, read in pairs:
            assert set(arrays) == set(read)
            for key, values in arrays.items():
                np.testing.assert_array_equal(read[key], values, strict=True)


def test_file(study, tmp_path):
    path = tmp_path / "a" / "study.h5"
    study.save(path)
    again = open_study(path)
    assert_equal(study, again)
    assert again.about == study.about
    assert again.table() == study.table()
    assert studies.is_study(path)
    assert_equal(studies.open_study(path), study)
    assert [file.name for file in path.parent.iterdir()] == ["study.h5"]


def test_ladders_are_read_in_order(tmp_path):
    """8 comes before 16 and 100, not after them as text would."""
    problem = made.problem()
    grids = {n: made.grid(n, made.ORDERS) for n in (8, 16, 100)}
    study = made.study(replace(problem, cells=grids))
    study.save(tmp_path / "study.h5")
    assert_equal(study, open_study(tmp_path / "study.h5"))


def test_file_explains_itself(tmp_path):
    study, path = made.study(made.problem()), tmp_path / "study.h5"
    study.save(path)
    with h5py.File(path) as file:
        layout = file.attrs["layout"]
        problem = study.problems["own"]
        for arrays in (problem.reference, problem.cells[12], problem.particles[256]):
            assert all(key.rstrip("012") in layout for key in arrays)
        assert json.loads(file.attrs["about"])["seed"] == 0
        assert file["own/cells/12/energy"].shape == made.STEPS.shape
        assert file["own/particles/256/energy"].shape == (16, len(made.TIMES))
        assert [verdict.decode() for verdict in file["table/verdict"][()]] == [row.verdict for row in study.rows]


def test_other_files(tmp_path):
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["x"] = 1.0
    with pytest.raises(ValueError, match=r"other\.h5 is not a file of `wflow study grids`$"):
        open_study(other)
    path = tmp_path / "study.h5"
    made.study(made.problem()).save(path)
    with pytest.raises(FileExistsError, match=r"study\.h5 exists; force"):
        made.study(made.problem("other")).save(path)


def test_table(study):
    table = study.table()
    lines = [line for line in table.splitlines() if " holds" in line]
    assert len(lines) == len(study.rows) == 17 * len(study.problems)
    for row in study.rows:
        assert any(row.claim in line for line in lines)
        assert row.problem.upper() in table
    assert study.figure_names == list(study.problems)
