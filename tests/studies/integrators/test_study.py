"""The study itself: arguments, files, interruptions, and the same numbers again but for seconds."""

from __future__ import annotations

import json
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, replace

import numpy as np
import pytest
from studies.integrators import made
from studies.integrators.test_results import assert_equal

from wflow import studies
from wflow.studies import _parts
from wflow.studies.integrators import Case, open_study, run
from wflow.studies.integrators import study as module
from wflow.studies.integrators.cases import _linear

TINY = {"methods": ["tsit5", "RK45"], "tolerances": [1e-2, 1e-4], "repeats": 1, "workers": 1}


def assert_same_numbers(mine, theirs):
    """To the bit, but for seconds."""
    assert list(mine.cases) == list(theirs.cases)
    for name, case in mine.cases.items():
        other = theirs.cases[name]
        assert (case.name, case.horizon, case.smooth, case.own) == (other.name, other.horizon, other.smooth, other.own)
        for a, b in zip(case.points, other.points, strict=True):
            assert a.seconds > 0.0
            np.testing.assert_equal(astuple(replace(a, seconds=0.0)), astuple(replace(b, seconds=0.0)))


@pytest.fixture(scope="module")
def tiny():
    return run("linear", **TINY)


def test_what_a_study_holds(tiny):
    assert tiny.figure_names == ["linear"]
    points = tiny.cases["linear"].points
    assert [(p.method, p.rtol) for p in points] == [("tsit5", 1e-2), ("RK45", 1e-2), ("tsit5", 1e-4), ("RK45", 1e-4)]
    for p in points:
        assert p.ok
        assert 0.0 < p.energy < 1e-2
        assert 0.0 < p.w2 < 1e-1
        assert np.isnan(p.drift)
        assert p.work >= 5 * p.steps > 0
    for loose, tight in zip(points[:2], points[2:], strict=True):
        assert tight.energy < loose.energy
        assert tight.state < loose.state
        assert tight.work > loose.work
    assert tiny.about["methods"] == ("tsit5", "RK45")
    assert tiny.about["seconds"] > 0.0
    assert "wflow" in str(tiny.about["provenance"])
    json.dumps(tiny.about)
    assert {row.problem for row in tiny.rows} == {"linear"}
    assert list(tiny.plot()) == ["linear"]


def test_the_same_again(tiny):
    assert_same_numbers(tiny, run(["linear"], **TINY))


def test_an_executor(tiny):
    with ThreadPoolExecutor(2) as executor:
        assert_same_numbers(tiny, run("linear", **{**TINY, "workers": None}, executor=executor))


@pytest.mark.slow
def test_two_workers(tiny):
    assert_same_numbers(tiny, run("linear", **{**TINY, "workers": 2}))


def test_cases_do_not_see_each_other(tiny):
    both = run([made.TANH, "linear"], **TINY)
    assert list(both.cases) == ["small tanh", "linear"]
    assert_same_numbers(tiny, replace(both, cases={"linear": both.cases["linear"]}))
    assert 0.0 < both.cases["small tanh"].own["energy"] < min(p.energy for p in both.cases["small tanh"].points)


def test_a_run_that_fails_does_not_stop_the_study(tmp_path):
    """It is kept, in the file too, told in the table and drawn."""
    found = run(["linear"], **{**TINY, "limit": 1e-9}, path=tmp_path / "study.h5")
    assert {p.status for p in found.cases["linear"].points} == {"gave up"}
    assert_equal(found, open_study(tmp_path / "study.h5"))
    assert "gave up" in found.rows[-1].note
    found.plot()


@pytest.mark.parametrize("in_file", [False, True])
def test_nothing_is_left_behind(tmp_path, monkeypatch, in_file):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    run("linear", **TINY, path=tmp_path / "study.h5" if in_file else None)
    assert [file.name for file in tmp_path.iterdir()] == (["study.h5"] if in_file else [])


def test_file(tiny, tmp_path):
    path = tmp_path / "deep" / "study.h5"
    found = run("linear", **TINY, path=path)
    assert_same_numbers(found, tiny)
    assert studies.is_study(path)
    assert_equal(open_study(path), found)
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match=r"study\.h5 exists; force"):
        run("linear", **TINY, path=path)
    assert path.read_bytes() == before
    forced = run("linear", **{**TINY, "tolerances": 1e-3}, path=path, force=True)
    assert len(forced.cases["linear"].points) == 2
    assert_equal(open_study(path), forced)


def broken(monkeypatch, after):
    """Runs fail once so many have ended; gives the list of those begun."""
    begun, plain = [], module.one_run

    def one_run(task):
        begun.append((task.rtol, task.method))
        if len(begun) > after:
            raise OSError("the disk is gone")
        return plain(task)

    one_run.__module__, one_run.__qualname__ = plain.__module__, plain.__qualname__
    monkeypatch.setattr(module, "one_run", one_run)
    return begun


def test_an_interrupted_study_goes_on(tiny, tmp_path, monkeypatch):
    """What had ended is kept and not run again, and the numbers are those of a study that never stopped."""
    path = tmp_path / "study.h5"
    with monkeypatch.context() as patch:
        broken(patch, after=2)
        with pytest.raises(RuntimeError, match=r"^2 of 4 tasks failed \(OSError: the disk is gone\); the same call tries them again$"):
            run("linear", **TINY, path=path)
    assert not path.exists()
    folder = path.with_name("study.h5.parts")
    kept = {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file() and file.name != "study.json"}
    assert len(kept) >= 2
    with pytest.raises(FileExistsError, match=r"study\.h5\.parts holds parts of another study; force"):
        run("linear", **{**TINY, "repeats": 2}, path=path)
    assert {file: file.stat().st_mtime_ns for file in kept} == kept
    begun = broken(monkeypatch, after=4)
    monkeypatch.setattr(module.reference, "make", None)  # it would fail if called again
    found = run("linear", **TINY, path=path)
    assert sorted(begun) == [(1e-4, "RK45"), (1e-4, "tsit5")]
    assert_same_numbers(found, tiny)
    assert not folder.exists()
    assert_same_numbers(open_study(path), tiny)


def test_parts_of_another_study_and_force(tiny, tmp_path, monkeypatch):
    """Force throws them away: a reference under the same name is not taken for this one's."""
    path = tmp_path / "study.h5"
    with monkeypatch.context() as patch:
        broken(patch, after=0)
        with pytest.raises(RuntimeError, match="the disk is gone"):
            run(Case("linear", _linear, 3.0, (("n", 20),)), **TINY, path=path)
    assert_same_numbers(run("linear", **TINY, path=path, force=True), tiny)


def test_a_reference_that_cannot_be_made(tmp_path, monkeypatch):
    """Is told with the method and why."""
    monkeypatch.setattr(module.reference, "_MOST", 3)
    with pytest.raises(RuntimeError, match=r"^1 of 1 tasks failed \(RuntimeError: the reference of small tanh by DOP853: step limit"):
        run(made.TANH, **TINY, path=tmp_path / "study.h5")
    assert not (tmp_path / "study.h5").exists()


def test_interrupt(tmp_path, monkeypatch):
    """KeyboardInterrupt passes through, parts stay."""
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(_parts, "map_runs", stopped)
    with pytest.raises(KeyboardInterrupt):
        run("linear", **TINY, path=tmp_path / "study.h5")
    assert (tmp_path / "study.h5.parts" / "study.json").exists()


def test_progress(capsys):
    run("linear", **TINY, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1].startswith("runs: 4 of 4")


@pytest.mark.parametrize(("options", "error", "message"), [
    ({"cases": ["linaer"]}, ValueError, r"^case must be one of .*did you mean 'linear'"),
    ({"methods": ["tsit"]}, ValueError, r"^method must be one of .*did you mean 'tsit5'"),
    ({"tolerances": 2.0}, ValueError, r"^tolerances\[0\] must be"),
    ({"repeats": 0}, ValueError, "^repeats must be"),
    ({"limit": -1.0}, ValueError, "^limit must be"),
    ({"workers": 0}, ValueError, "^workers must be an integer of at least 1; got 0$"),
    ({"workers": "two"}, TypeError, "^workers must be"),
    ({"executor": 3, "workers": None}, TypeError, "^executor must be"),
    ({"path": 3}, TypeError, "^path must be a path or None; got 3$"),
    ({"cases": ["linear", made.WRONG]}, TypeError, "^make of case wrong must be a wflow"),
    ({"cases": Case("own", _linear, 1.0, (("size", 2),))}, TypeError, "size"),
])  # fmt: skip
def test_refuses_before_any_work(options, error, message, tmp_path, monkeypatch):
    """No folder, no file; one line."""
    monkeypatch.setattr(module, "_measure", None)  # work would fail otherwise
    with pytest.raises(error, match=message) as caught:
        run(**{"cases": "linear", **TINY, "path": tmp_path / "study.h5", **options})
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_quick():
    """A first look, in which nothing fails."""
    found = run(quick=True)
    assert len(found.cases) == 3
    assert all(p.ok for case in found.cases.values() for p in case.points)
    found.plot()
