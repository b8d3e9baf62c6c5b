"""Results in a file and back, and what is refused."""

from __future__ import annotations

from dataclasses import astuple

import h5py
import numpy as np
import pytest
from studies.integrators import made

from wflow import studies
from wflow.studies.integrators import Case, Point, open_study
from wflow.studies.integrators.cases import _linear

STUDIES = {
    "one": lambda: made.study(made.case(*made.ladder("tsit5", 5, 10), *made.ladder("RK45", 5, 12))),
    "failures": lambda: made.study(made.case(made.point("rkc2", drift=0.1, spectral_radius=5), made.gave_up(),
                                             made.point(status="step limit", message="µ at t = 3: 'why'"), smooth=False, own=0.0)),
    "two": lambda: made.study(made.case(made.point(), name="z z"), made.case(made.point("extensisq:BS5"), name="a")),
}  # fmt: skip


@pytest.fixture(params=STUDIES)
def study(request):
    return STUDIES[request.param]()


def assert_equal(mine, theirs):
    """To the bit, NaN and all, and of the same types."""
    assert list(mine.cases) == list(theirs.cases)
    for name, case in mine.cases.items():
        other = theirs.cases[name]
        assert (case.name, case.horizon, case.smooth, case.own) == (other.name, other.horizon, other.smooth, other.own)
        assert len(case.points) == len(other.points)
        for a, b in zip(case.points, other.points, strict=True):
            assert [type(value) for value in astuple(a)] == [type(value) for value in astuple(b)]
            np.testing.assert_equal(astuple(b), astuple(a))


def test_round_trip(study, tmp_path):
    path = tmp_path / "deep" / "study.h5"
    study.save(path)
    found = open_study(path)
    assert_equal(study, found)
    assert found.about == study.about
    assert found.table() == study.table()
    assert found.figure_names == list(study.cases) == list(found.plot())


def test_known_among_studies(study, tmp_path):
    path = tmp_path / "study.h5"
    study.save(path)
    assert studies.is_study(path)
    assert_equal(study, studies.open_study(path))


def test_its_own_table(study, tmp_path):
    """A file tells its table without wflow."""
    study.save(tmp_path / "study.h5")
    with h5py.File(tmp_path / "study.h5") as file:
        assert file["table/claim"].asstr()[()].tolist() == [row.claim for row in study.rows]
        np.testing.assert_array_equal(file["table/measured"][()], [row.measured for row in study.rows])
        assert "method" in file.attrs["layout"]


def test_replaced_only_with_force(study, tmp_path):
    path = tmp_path / "study.h5"
    path.write_bytes(b"dear")
    with pytest.raises(FileExistsError, match=r"study\.h5 exists; force"):
        study.save(path)
    assert path.read_bytes() == b"dear"
    study.save(str(path), force=True)
    assert_equal(study, open_study(path))
    assert [file.name for file in tmp_path.iterdir()] == ["study.h5"]


def test_not_of_this_study(tmp_path):
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file.attrs["kind"] = "wflow study chaos"
    with pytest.raises(ValueError, match="is not a file of `wflow study integrators`"):
        open_study(path)
    path.write_bytes(b"dear")
    with pytest.raises(OSError, match="file signature"):
        open_study(path)


def test_points():
    run = made.point(evaluations=30, spectral_radius=4)
    assert (run.work, run.ok) == (34, True)
    assert not made.gave_up().ok
    assert made.case(run, own=2e-6).resolved("energy") == pytest.approx(2e-5)
    assert isinstance(run, Point)


def test_rows_of_all_cases(study):
    assert list(dict.fromkeys(row.problem for row in study.rows)) == list(study.cases)
    for name in study.cases:
        assert name.upper() in study.table()


def test_a_name_that_the_file_needs():
    for name in ("table", "."):
        with pytest.raises(ValueError, match=r"^name must be"):
            Case(name, _linear, 1.0)
