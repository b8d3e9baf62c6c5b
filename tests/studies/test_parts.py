"""Parts of a study that is under way: whose they are, when they go, and that what is kept is not done again."""

from __future__ import annotations

import json
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from wflow.studies import _parts
from wflow.studies._parts import checked_path, mapper, parts
from wflow.studies._progress import telling

ABOUT = {"size": 3, "problems": ["a"]}
CALLS = []


def square(x):
    CALLS.append(x)
    if x == 13 and Path(_FLAG[0]).exists():
        raise OSError("no luck")
    return x * x


_FLAG = [""]


def test_paths(tmp_path):
    assert checked_path(None) is None
    assert checked_path("a/b") == Path("a/b")
    assert checked_path(tmp_path) == tmp_path
    for bad in (3, b"x", ["a"]):
        with pytest.raises(TypeError, match=r"^path must be a path or None; got "):
            checked_path(bad)


def test_without_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with parts(None, ABOUT, False) as folder:
        assert folder.parent == tmp_path
        (folder / "x").touch()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OSError, match="gone"), parts(None, ABOUT, False):
        raise OSError("gone")
    assert list(tmp_path.iterdir()) == []


def test_beside_the_file(tmp_path):
    """New, left as it was by a failure, found again, and removed at the end."""
    file = tmp_path / "deep" / "study.h5"
    folder = tmp_path / "deep" / "study.h5.parts"

    def fail():
        with parts(file, ABOUT, False) as made:
            assert made == folder
            (made / "x").write_text("kept")
            raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        fail()
    assert json.loads((folder / "study.json").read_text()) == ABOUT
    with parts(file, ABOUT, False) as again:
        assert again == folder
        assert (again / "x").read_text() == "kept"
    assert not folder.exists()


def test_the_order_of_what_is_told_does_not_matter(tmp_path):
    file = tmp_path / "study.h5"
    with pytest.raises(KeyboardInterrupt), parts(file, ABOUT, False):
        raise KeyboardInterrupt
    with parts(file, dict(reversed(ABOUT.items())), False):
        pass


@pytest.mark.parametrize("told", [json.dumps({**ABOUT, "size": 4}), "not even JSON", None])
def test_parts_of_another(tmp_path, told):
    """Another study's, a broken one's, or a folder that is not ours at all."""
    file, folder = tmp_path / "study.h5", tmp_path / "study.h5.parts"
    folder.mkdir()
    (folder / "letters.txt").write_text("dear")
    if told is not None:
        (folder / "study.json").write_text(told)
    with pytest.raises(FileExistsError, match=r"study\.h5\.parts holds parts of another study; force"), parts(file, ABOUT, False):
        pytest.fail("nothing must be done")
    assert (folder / "letters.txt").read_text() == "dear"
    with parts(file, ABOUT, True):
        assert not (folder / "letters.txt").exists()
    assert not folder.exists()


def test_a_file_that_exists(tmp_path):
    file = tmp_path / "study.h5"
    file.write_text("results")
    with pytest.raises(FileExistsError, match=r"study\.h5 exists; force"), parts(file, ABOUT, False):
        pytest.fail("nothing must be done")
    assert [path.name for path in tmp_path.iterdir()] == ["study.h5"]
    with parts(file, ABOUT, True):
        assert file.read_text() == "results"  # the study replaces it at the end


def test_tasks_are_done_once(tmp_path):
    flag = tmp_path / "flag"
    flag.touch()
    _FLAG[0] = str(flag)
    CALLS.clear()
    with telling(False) as tell:
        mapped = mapper(tmp_path, tell, 1, None)
        with pytest.raises(RuntimeError, match=r"^1 of 3 tasks failed \(OSError: no luck\); the same call tries them again$"):
            mapped("one phase", square, [2, 13, 3])
        assert CALLS == [2, 13, 3]
        flag.unlink()
        assert mapped("one phase", square, [2, 13, 3]) == [4, 169, 9]
        assert CALLS == [2, 13, 3, 13]
        assert mapped("other", square, [2]) == [4]  # phases are kept apart
        assert CALLS == [2, 13, 3, 13, 2]


@pytest.mark.parametrize(("phase", "count", "away", "executor", "expected"), [
    ("runs", 2, "", None, 7), ("runs", 1, "", None, 1), ("runs", 2, "runs", None, 7), ("pilot", 2, "runs", None, 1),
    ("pilot", 1, "runs", "given", 7),
])  # fmt: skip
def test_who_does_it(tmp_path, monkeypatch, phase, count, away, executor, expected):
    """A single task is done here, and phases that are not the one to send away; a given executor gets everything."""
    seen = {}

    def map_runs(function, tasks, **options):
        seen.update(options)
        return []

    monkeypatch.setattr(_parts, "map_runs", map_runs)
    with ThreadPoolExecutor(1) as pool, telling(False) as tell:
        given = pool if executor else None
        mapper(tmp_path, tell, 7, given, away)(phase, square, list(range(count)))
    assert seen["workers"] == expected
    assert seen["executor"] is given
    assert seen["store"] == tmp_path / phase


def test_phases_are_told(tmp_path):
    told = []

    @contextmanager
    def tell(phase, total):
        told.append((phase, total))
        yield lambda outcome: told.append(outcome.value)

    assert mapper(tmp_path, tell, 1, None)("two words", square, [5, 6]) == [25, 36]
    assert told == [("two words", 2), 25, 36]
    assert (tmp_path / "two-words").exists()
