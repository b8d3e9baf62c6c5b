"""Results in a file and back, and what is refused."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
from studies.support import made

from wflow import studies
from wflow.studies.support import open_study

STUDIES = {
    "relu": lambda: made.study(made.problem()),
    "tanh": lambda: made.study(made.problem("bandit tanh 97", "")),
    "no tears": lambda: made.study(made.problem(tears=False), bound=0.0),
    "two": lambda: made.study(made.problem("z"), made.problem("a b", "", tears=False)),
}


@pytest.fixture(params=STUDIES)
def study(request):
    return STUDIES[request.param]()


def assert_equal(mine, theirs):
    """To the bit, NaN and all."""
    assert list(mine.problems) == list(theirs.problems)
    for name, problem in mine.problems.items():
        other = theirs.problems[name]
        for field in ("name", "outside"):
            assert getattr(problem, field) == getattr(other, field)
            assert type(getattr(other, field)) is str
        assert set(problem.parts) == set(other.parts)
        for part, arrays in problem.parts.items():
            assert set(arrays) == set(other.parts[part])
            for key, values in arrays.items():
                assert values.shape == other.parts[part][key].shape
                np.testing.assert_array_equal(other.parts[part][key], values)
        assert list(problem.tears) == list(other.tears)  # in ascending order
        for n, widths in problem.tears.items():
            np.testing.assert_array_equal(other.tears[n], widths)


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


def test_what_is_not_a_number_is_kept(tmp_path):
    problem = made.problem()
    degree = problem.parts["surface"]["degree"].copy()
    degree[3] = np.nan
    study = made.study(made.changed(problem, "surface", {"degree": degree, "second": degree, "log_volume": None}))
    study.save(tmp_path / "study.h5")
    assert_equal(study, open_study(tmp_path / "study.h5"))


def test_file_explains_itself(tmp_path):
    study, path = made.study(made.problem()), tmp_path / "study.h5"
    study.save(path)
    with h5py.File(path) as file:
        layout = file.attrs["layout"]
        for part, arrays in study.problems["own"].parts.items():
            assert part in layout
            if part == "flow":
                assert all(key in layout for key in arrays if "/" not in key)
        assert json.loads(file.attrs["about"])["seed"] == 0
        assert file["own/flow/sign-locked/gap"].shape == made.LONG.shape
        assert file["own/tears/200"].shape == made.TIMES.shape
        assert [verdict.decode() for verdict in file["table/verdict"][()]] == [row.verdict for row in study.rows]
        assert [claim.decode() for claim in file["table/claim"][()]] == [row.claim for row in study.rows]


def test_files_are_not_replaced(tmp_path):
    path = tmp_path / "study.h5"
    first, second = made.study(made.problem()), made.study(made.problem("other"))
    first.save(path)
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match=r"study\.h5 exists; force"):
        second.save(path)
    assert path.read_bytes() == before
    second.save(str(path), force=True)
    assert_equal(open_study(path), second)


def test_other_files(tmp_path):
    text, other = tmp_path / "notes.txt", tmp_path / "other.h5"
    text.write_text("notes")
    with h5py.File(other, "w") as file:
        file["x"] = 1.0
    with pytest.raises(ValueError, match=r"other\.h5 is not a file of `wflow study support`$"):
        open_study(other)
    for path, message in ((text, "signature"), (tmp_path / "missing", "missing")):
        with pytest.raises(OSError, match=message):
            open_study(path)
    made.study(made.problem()).save(tmp_path / "study.h5")
    whole = (tmp_path / "study.h5").read_bytes()
    (tmp_path / "study.h5").write_bytes(whole[: len(whole) // 3])
    assert not studies.is_study(tmp_path / "study.h5")
    with pytest.raises(OSError, match="truncated"):
        open_study(tmp_path / "study.h5")


def test_table(study):
    table = study.table()
    lines = [line for line in table.splitlines() if "holds" in line]
    assert len(lines) == len(study.rows) > 10
    for row in study.rows:
        assert any(row.claim in line for line in lines)
        assert row.problem.upper() in table
    assert ("OUTSIDE ASSUMPTION 1" in table) == any(problem.outside for problem in study.problems.values())
    assert study.figure_names == list(study.problems)
