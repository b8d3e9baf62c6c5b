"""The study itself: arguments, files, interruptions, and the same bits on any workers."""

from __future__ import annotations

import json
import tempfile
from concurrent.futures import ThreadPoolExecutor

import pytest
from studies.support.test_results import assert_equal
from toys import support as toys

from wflow.studies import _parts
from wflow.studies.support import Problem, open_study, run
from wflow.studies.support import study as module

TANH = Problem("tanh", toys.bandit, 5.0)
RELU = Problem("relu", toys.bandit, 5.0, (("activation", "relu"),), outside="outside Assumption 1", nodes="n_actions")
TINY = {"size": 64, "quick": True, "workers": 1}


def assert_same_numbers(mine, theirs):
    assert_equal(mine, theirs)
    assert mine.table() == theirs.table()


@pytest.fixture(scope="module")
def tiny():
    return run([TANH], **TINY)


def fragile(tmp_path):
    """A problem of the same name and numbers that cannot be followed as long as there is a file, and that file."""
    flag = tmp_path / "flag"
    flag.touch()
    return Problem("tanh", toys.fragile, 5.0, (("flag", str(flag)),)), flag


def test_what_a_study_holds(tiny):
    assert list(tiny.problems) == ["tanh"]
    problem = tiny.problems["tanh"]
    assert set(problem.parts) == {"flow", "surface", "escape"}
    assert problem.tears == {}
    assert (problem.parts["surface"]["degree"] == 1.0).all()
    assert tiny.about["size"] == 64
    assert tiny.about["seconds"] > 0.0
    assert "wflow" in str(tiny.about["provenance"])
    json.dumps(tiny.about)
    assert "fails" not in {row.verdict for row in tiny.rows}


def test_same_seed_same_bits(tiny):
    assert_same_numbers(tiny, run(TANH, **TINY))
    other = run(TANH, **TINY, seed=1)
    assert (other.problems["tanh"].parts["flow"]["positive/gap"] != tiny.problems["tanh"].parts["flow"]["positive/gap"])[1:].all()


def test_an_executor(tiny):
    with ThreadPoolExecutor(2) as executor:
        assert_same_numbers(tiny, run([TANH], **{**TINY, "workers": None}, executor=executor))


@pytest.mark.slow
def test_two_workers_and_two_problems(tiny, monkeypatch):
    """Tears by number of nodes; problems do not see each other."""
    both = run([RELU, TANH], **{**TINY, "workers": 2})
    assert list(both.problems) == ["relu", "tanh"]
    assert_equal(tiny, type(tiny)({"tanh": both.problems["tanh"]}, tiny.about))
    assert_same_numbers(both, run([RELU, TANH], **TINY))
    tears = both.problems["relu"].tears
    assert list(tears) == list(both.about["nodes"])
    assert all(widths.shape == both.problems["relu"].parts["surface"]["times"].shape for widths in tears.values())


@pytest.mark.parametrize("in_file", [False, True])
def test_nothing_is_left_behind(tmp_path, monkeypatch, in_file):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    run([TANH], **TINY, path=tmp_path / "study.h5" if in_file else None)
    assert [file.name for file in tmp_path.iterdir()] == (["study.h5"] if in_file else [])


def test_file(tiny, tmp_path):
    path = tmp_path / "deep" / "study.h5"
    found = run([TANH], **TINY, path=path)
    assert_same_numbers(found, tiny)
    assert_same_numbers(open_study(path), tiny)
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match=r"study\.h5 exists; force"):
        run([TANH], **TINY, path=path)
    assert path.read_bytes() == before
    forced = run([TANH], **TINY, seed=1, path=str(path), force=True)
    assert_same_numbers(open_study(path), forced)


def test_an_interrupted_study_goes_on(tiny, tmp_path, monkeypatch):
    """All but the surface fail at first; it is kept and not made again, and the numbers are those of a study that never stopped."""
    problem, flag = fragile(tmp_path)
    path = tmp_path / "study.h5"
    with pytest.raises(RuntimeError, match=r"^2 of 3 tasks failed \(OSError: the disk is gone\); the same call tries them again$"):
        run([problem], **TINY, path=path)
    assert not path.exists()
    folder = path.with_name("study.h5.parts")
    kept = {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file() and file.name != "study.json"}
    assert kept
    with pytest.raises(FileExistsError, match=r"study\.h5\.parts holds parts of another study; force"):
        run([problem], **{**TINY, "size": 65}, path=path)
    assert {file: file.stat().st_mtime_ns for file in kept} == kept
    flag.unlink()
    monkeypatch.setitem(module._PARTS, "surface", None)  # it would fail if called again
    found = run([problem], **TINY, path=path)
    assert_same_numbers(found, tiny)
    assert not folder.exists()
    assert_same_numbers(open_study(path), tiny)


def test_parts_of_another_study_and_force(tiny, tmp_path):
    """Force throws them away: what they hold under the same name is not taken for this one's."""
    problem, flag = fragile(tmp_path)
    path = tmp_path / "study.h5"
    with pytest.raises(RuntimeError, match="the disk is gone"):
        run([problem], **TINY, seed=1, path=path)
    flag.unlink()
    assert_same_numbers(run([problem], **TINY, path=path, force=True), tiny)


def test_interrupt(tmp_path, monkeypatch):
    """KeyboardInterrupt passes through, parts stay."""
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(_parts, "map_runs", stopped)
    with pytest.raises(KeyboardInterrupt):
        run([TANH], **TINY, path=tmp_path / "study.h5")
    assert (tmp_path / "study.h5.parts" / "study.json").exists()


def test_progress(capsys):
    run([TANH], **TINY, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1].startswith("parts: 3 of 3")


@pytest.mark.parametrize(("options", "error", "message"), [
    ({"problems": ["bandit tan"]}, ValueError, r"^activation must be one of .* \(did you mean 'tanh'\?\)$"),
    ({"size": 10}, ValueError, "^size must be an integer of at least 64; got 10$"),
    ({"seed": "zero"}, TypeError, "^seed must be"),
    ({"workers": 0}, ValueError, "^workers must be an integer of at least 1; got 0$"),
    ({"workers": "two"}, TypeError, "^workers must be"),
    ({"executor": 3, "workers": None}, TypeError, "^executor must be"),
    ({"path": 3}, TypeError, "^path must be a path or None; got 3$"),
    ({"problems": [TANH, Problem("own", toys.grid, 1.0, (("activation", "tanh"),))]}, ValueError,
     "^the surface needs Θ to be the circle, the sphere S² or a box in 2 dimensions; got Box"),
    ({"problems": ["grid tanh"]}, ValueError, "^the surface needs Θ to be the circle"),
    ({"problems": [Problem("own", toys.half, 1.0)]}, TypeError, "must have domain, as PolicyValue has; got "),
    ({"problems": [Problem("own", toys.bandit, 1.0, (("scales", 2.0),))]}, TypeError, "scales"),
])  # fmt: skip
def test_refuses_before_any_work(options, error, message, tmp_path, monkeypatch):
    """No folder, no file; one line."""
    monkeypatch.setattr(module, "_PARTS", {})  # work would fail otherwise
    with pytest.raises(error, match=message) as caught:
        run(**{"problems": [TANH], **TINY, "path": tmp_path / "study.h5", **options})
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
