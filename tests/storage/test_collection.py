"""Several runs under one name: where each is looked for, whose they are, and that nothing is lost on the way into one file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from toys.spiral import run

from wflow import loop
from wflow.loop import Status
from wflow.record import every_step
from wflow.storage import collection
from wflow.storage.collection import Collection


def plan(n):
    return {"runs": [{"provenance": {"experiment": "spiral", "seed": k}} for k in range(n)]}


def statuses(path):
    return [solution.status.value for solution in loop.open_all(path)]


def begun(tmp_path, n=3, done=(0, 1)):
    """A collection with some runs done."""
    runs = Collection.create(tmp_path / "a.h5", plan(n))
    for k in done:
        run(runs.part(k), t_end=10.0 + k, record=every_step("all"))
    return runs


def test_runs_are_found_wherever_they_are(tmp_path):
    runs = begun(tmp_path)
    assert statuses(tmp_path / "a.h5") == statuses(tmp_path / "a.h5.parts") == ["finished", "finished", "waiting"]
    assert collection.count(tmp_path / "a.h5") == 3
    before = loop.open_all(tmp_path / "a.h5")
    assert before[2].provenance == {"experiment": "spiral", "seed": 2}
    with pytest.raises(ValueError, match="run must be below 3"):
        loop.open(tmp_path / "a.h5", 3)
    runs.assemble()
    assert sorted(os.listdir(tmp_path)) == ["a.h5", "a.h5.parts"]
    assert os.listdir(tmp_path / "a.h5.parts") == ["plan.json"]  # run 2 is still to come
    assert statuses(tmp_path / "a.h5") == ["finished", "finished", "waiting"]
    run(runs.part(2), t_end=5.0)
    assert statuses(tmp_path / "a.h5") == ["finished"] * 3
    runs.assemble()
    assert os.listdir(tmp_path) == ["a.h5"]
    assert statuses(tmp_path / "a.h5") == ["finished"] * 3
    for k, old in enumerate(before[:2]):
        new = loop.open(tmp_path / "a.h5", k)
        np.testing.assert_array_equal(new.stored.frames, old.stored.frames)
        np.testing.assert_array_equal(list(new.states()), list(run(t_end=10.0 + k, record=every_step("all")).states()))
        np.testing.assert_array_equal(new.finals["policy"], old.finals["policy"])
        assert new.provenance == old.provenance
    assert collection.plan_of(tmp_path / "a.h5") == plan(3)
    with h5py.File(tmp_path / "a.h5") as file:  # for a plain reader
        assert file.attrs["creator"] == "wflow"
        assert json.loads(file["plan"][()].tobytes()) == plan(3)


def test_a_new_beginning_does_not_mix_with_the_old_file(tmp_path):
    begun(tmp_path, n=1, done=[0]).assemble()
    assert statuses(tmp_path / "a.h5") == ["finished"]
    with pytest.raises(FileExistsError, match=r"a\.h5 exists"):
        Collection.create(tmp_path / "a.h5", plan(2))
    runs = Collection.create(tmp_path / "a.h5", plan(2), force=True)
    assert statuses(tmp_path / "a.h5") == ["waiting", "waiting"]
    with pytest.raises(FileExistsError, match=r"has runs of a\.h5 that did not end; wflow resume goes on, force begins anew"):
        collection.check_parts(tmp_path / "a.h5")
    run(runs.part(0), t_end=3.0)
    runs = Collection.create(tmp_path / "a.h5", plan(2), force=True)
    assert statuses(tmp_path / "a.h5") == ["waiting", "waiting"]
    assert (tmp_path / "a.h5").exists()  # the old one, until the new one takes its place


def test_killed_within_assembling_nothing_is_lost(tmp_path, monkeypatch):
    runs = begun(tmp_path, n=2)
    replace = os.replace

    def killed(source, target):
        if str(target).endswith("a.h5"):
            raise KeyboardInterrupt
        replace(source, target)

    for stage in ("before", "after"):
        with monkeypatch.context() as patched:
            if stage == "before":
                patched.setattr(os, "replace", killed)
            else:
                patched.setattr(runs, "_clear", lambda statuses: killed("", "a.h5"))
            with pytest.raises(KeyboardInterrupt):
                runs.assemble()
        assert statuses(tmp_path / "a.h5") == ["finished", "finished"]
        assert not [name for name in os.listdir(tmp_path) if name.endswith(".tmp")]
        runs = Collection.reopen(tmp_path / "a.h5")
    runs.assemble()
    assert statuses(tmp_path / "a.h5") == ["finished", "finished"]


def test_a_full_disk_while_assembling_leaves_the_parts(tmp_path, monkeypatch):
    runs = begun(tmp_path, n=2)

    def full(descriptor, start, size):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "posix_fallocate", full, raising=False)
        with pytest.raises(OSError, match=r"a\.h5: No space left on device: cannot write it; the runs are in .*a\.h5\.parts"):
            runs.assemble()
    assert os.listdir(tmp_path) == ["a.h5.parts"]
    assert statuses(tmp_path / "a.h5") == ["finished", "finished"]


def test_failures_are_recorded_for_runs_that_could_not(tmp_path):
    runs = begun(tmp_path, n=3, done=[])
    runs.fail(0, "ValueError: no such policy")
    body = f"import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r}); from toys.spiral import run; import os\n"
    body += f"run({str(runs.part(1))!r}, t_end=1e9, progress=lambda t, values: t > 20.0 and os._exit(9))"
    assert subprocess.run([sys.executable, "-c", body], check=False).returncode == 9
    assert statuses(tmp_path / "a.h5") == ["failed", "killed", "waiting"]
    frames = loop.open(tmp_path / "a.h5", 1).stored.frames
    runs.fail(1, "its worker died twice (exit code 9)")
    for _ in range(2):
        failed, killed, waiting = loop.open_all(tmp_path / "a.h5")
        assert (failed.message, len(failed.times)) == ("ValueError: no such policy", 0)
        assert failed.provenance["experiment"] == "spiral"
        assert (killed.status, killed.message) == (Status.KILLED, "its worker died twice (exit code 9)")
        np.testing.assert_array_equal(killed.stored.frames, frames)
        assert waiting.status is Status.WAITING
        runs.assemble()
    (tmp_path / "a.h5.parts" / "001.h5.checkpoint").unlink()
    (tmp_path / "a.h5.parts" / "001.h5").unlink()  # the file alone tells the same
    assert statuses(tmp_path / "a.h5") == ["failed", "killed", "waiting"]


def test_taken_up_from_the_file_a_run_goes_on(tmp_path):
    begun(tmp_path, n=2).assemble()
    runs = Collection.reopen(tmp_path / "a.h5")
    assert runs.take_up(1) == runs.part(1)
    longer = run(runs.part(1), t_end=30.0, record=every_step("all"), resume=True)
    assert longer.provenance["resumed"][0]["t"] == 11.0
    assert statuses(tmp_path / "a.h5") == ["finished", "finished"]
    runs.assemble()
    assert [solution.times[-1] for solution in loop.open_all(tmp_path / "a.h5")] == [10.0, 30.0]
    assert os.listdir(tmp_path) == ["a.h5"]


# --- whose they are


OWNER = """
import sys
from wflow.storage.collection import Collection
runs = Collection.create(sys.argv[1], {"runs": [{"provenance": {}}]})
print("mine", flush=True)
sys.stdin.read()
"""


def test_what_another_process_works_on_is_left_alone(tmp_path):
    path = tmp_path / "a.h5"
    with subprocess.Popen([sys.executable, "-c", OWNER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout.readline() == "mine\n"
        for attempt in (lambda: Collection.reopen(path), lambda: Collection.create(path, plan(1), force=True)):
            with pytest.raises(FileExistsError, match=f"a.h5 is being written by process {owner.pid} on "):
                attempt()
        assert statuses(path) == ["waiting"]  # looking is free
        owner.stdin.close()
    Collection.reopen(path)


def test_of_another_host_nothing_is_known(tmp_path):
    runs = begun(tmp_path, n=1, done=[])
    about = json.loads((runs.folder / "plan.json").read_text())
    about["writer"] |= {"host": "elsewhere", "pid": 1}
    (runs.folder / "plan.json").write_text(json.dumps(about))
    with pytest.raises(FileExistsError, match="being written by process 1 on elsewhere; if that is gone, set force"):
        Collection.reopen(tmp_path / "a.h5")
    assert Collection.reopen(tmp_path / "a.h5", force=True).plan == plan(1)


def test_folders_that_are_not_ours_or_damaged_are_named(tmp_path):
    folder = tmp_path / "a.h5.parts"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="is none of wflow's; it is not replaced even with force"):
        Collection.create(tmp_path / "a.h5", plan(1), force=True)
    with pytest.raises(FileNotFoundError, match=r"plan\.json does not exist"):
        loop.open_all(tmp_path / "a.h5")
    for text, words in (("{", "is damaged"), ("[]", "is damaged"), ('{"creator": "wflow"}', "is damaged"),
                        ('{"creator": "wflow", "format_version": 99}', "format version 99; this wflow reads up to 1")):  # fmt: skip
        (folder / "plan.json").write_text(text)
        with pytest.raises(ValueError, match=words):
            loop.open_all(tmp_path / "a.h5")
    assert (folder / "thesis.txt").read_text() == "years of work"


def test_files_of_scripts_have_no_plan(tmp_path):
    run(tmp_path / "a.h5", t_end=1.0)
    with pytest.raises(ValueError, match=r"was made by a script; there, wflow\.solve\(\.\.\., path='a\.h5', resume=True\)"):
        Collection.reopen(tmp_path / "a.h5")
    assert os.listdir(tmp_path) == ["a.h5"]
