"""Files: what is in them, what they are never written over, and what becomes of them when writing fails."""

from __future__ import annotations

import os
import pickle
import sys

import h5py
import numpy as np
import pytest
from toys.spiral import Spiral, crossing, run, script

from wflow import storage
from wflow.loop import Status, solve
from wflow.loop import open as open_run
from wflow.measures import ParticleMeasure
from wflow.record import every_step, linear
from wflow.storage import writer

# --- what is in a file


def test_a_file_gives_back_what_memory_keeps(tmp_path):
    options = {"record": linear(25, states=5), "events": crossing}
    memory, file = run(**options), run(tmp_path / "a.h5", **options)  # in this order: the dates tell
    for solution in (file, open_run(tmp_path / "a.h5"), open_run(str(tmp_path / "a.h5"), 0)):
        assert solution.status is memory.status is Status.FINISHED
        assert solution.message == memory.message
        assert list(solution.diagnostics) == ["energy", "angle"]
        np.testing.assert_array_equal(solution.stored.frames, memory.stored.frames)
        np.testing.assert_array_equal(solution.state_times, memory.state_times)
        np.testing.assert_array_equal(list(solution.states()), list(memory.states()))
        np.testing.assert_array_equal(solution.final, memory.final)
        np.testing.assert_array_equal(solution.events["crossing"], memory.events["crossing"])
        assert len(memory.events["crossing"]) > 5
        np.testing.assert_array_equal(solution.finals["policy"], np.outer(memory.final, memory.final))
        np.testing.assert_array_equal(solution.finals["policy"], memory.finals["policy"])
        np.testing.assert_array_equal(solution.static["labels"], [[0, 1, 2], [3, 4, 5]])
        assert solution.counts == memory.counts
        assert set(solution.seconds) == set(memory.seconds)
        ours, theirs = dict(solution.provenance), dict(memory.provenance)
        assert ours.pop("date") >= theirs.pop("date")
        assert ours == theirs
        assert ours["config"] == {"a": [1, 2]}
        assert solution.path == tmp_path / "a.h5"


def test_a_solution_from_a_file_travels_to_another_process(tmp_path):
    run(tmp_path / "a.h5")
    stored = pickle.loads(pickle.dumps(storage.read(tmp_path / "a.h5")))
    np.testing.assert_array_equal(next(stored.states([1])), run().final)


def test_the_file_describes_itself(tmp_path):
    run(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:  # a plain reader, after the run
        assert file.attrs["creator"] == "wflow"
        assert file.attrs["format_version"] == storage.FORMAT_VERSION
        assert "counters" in file.attrs["description"]
        group = file["runs/000"]
        assert list(group["frames"].attrs["columns"]) == ["t", "energy", "angle"]
        assert list(group["frames"].attrs["units"])[:2] == ["mean-field time", "reward"]
        names = []
        group.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        assert len(names) == 9
        for name in names:
            assert {"description", "unit", "shape"} <= set(group[name].attrs), name
        assert group["states"].dtype == np.float64
        assert group["states"].compression is None
        assert len(group["frames"]) == group["counters"][0]


def test_states_come_back_as_measures_where_the_flow_says_so(tmp_path):
    class Cloud(Spiral):
        state_kind = "particles"

        def pack(self, initial):
            self.weights = initial.weights
            return initial.points.ravel().copy()

        def unpack(self, y):
            return ParticleMeasure(y.reshape(3, 2), self.weights)

        def rhs(self, t, y):
            return -y

        def static(self):
            return {"weights": self.weights}

        def finals(self, t, y):
            return {}

    start = ParticleMeasure(np.arange(6.0).reshape(3, 2), [0.5, 0.25, 0.25])
    solved = run(tmp_path / "a.h5", flow=Cloud(), initial=start, t_end=1.0)
    for k in (0, 1):
        measure = open_run(tmp_path / "a.h5").state(k)
        assert isinstance(measure, ParticleMeasure)
        np.testing.assert_array_equal(measure.points, solved.state(k).points)
        np.testing.assert_array_equal(measure.weights, [0.5, 0.25, 0.25])
    np.testing.assert_array_equal(open_run(tmp_path / "a.h5").state(0).points, start.points)


# --- nothing that exists is lost


def test_nothing_is_overwritten_unless_forced(tmp_path):
    path = tmp_path / "a.h5"
    run(path, t_end=1.0)
    with pytest.raises(FileExistsError, match=r"a\.h5 exists; choose another name, set resume to go on with it, or force"):
        run(path)
    old = open_run(path)
    assert old.times[-1] == 1.0
    run(path, t_end=2.0, force=True)
    assert open_run(path).times[-1] == 2.0
    with pytest.raises(ValueError, match="was replaced since it was opened"):
        old.final  # noqa: B018
    assert os.listdir(tmp_path) == ["a.h5"]


def test_a_start_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.h5"
    run(path, t_end=1.0)
    before = path.read_bytes()
    unstorable = type("Unstorable", (Spiral,), {"static": lambda self: {"nodes": np.array([object()])}})()
    for options, error in (
        ({"flow": unstorable}, TypeError),
        ({"t_end": -1.0}, ValueError),
        ({"options": {"max_step": -1.0}}, ValueError),
        ({"options": {"max_stop": 1.0}}, TypeError),
        ({"initial": (np.nan, 0.0)}, ValueError),
        ({"steady": 0.1}, ValueError),
        ({"record": [99.0]}, ValueError),
    ):
        with pytest.raises(error):
            run(path, force=True, **options)
        with pytest.raises(error):
            run(tmp_path / "b.h5", **options)
        assert path.read_bytes() == before
        assert os.listdir(tmp_path) == ["a.h5"]
    with pytest.raises(ValueError, match="provenance must fit in 32768 bytes"):
        solve(Spiral(), [1.0, 0.0], 1.0, "RK45", path=path, force=True, provenance={"reward": list(range(20000))})
    assert path.read_bytes() == before


def test_files_of_others_are_left_alone(tmp_path):
    (tmp_path / "text.h5").write_text("my thesis")
    for name, version in (("other.h5", "earliest"), ("new.h5", "latest")):
        with h5py.File(tmp_path / name, "w", libver=version) as file:
            file["x"] = 1.0
    another = "was written by another program"
    for name, text in (("text.h5", "is not a file of wflow"), ("other.h5", another), ("new.h5", another)):
        before = (tmp_path / name).read_bytes()
        with pytest.raises(ValueError, match=text):
            open_run(tmp_path / name)
        with pytest.raises(FileExistsError, match="is no file of wflow; it is not replaced even with force"):
            run(tmp_path / name, force=True)
        assert (tmp_path / name).read_bytes() == before


def test_paths_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.h5").mkdir()
    with pytest.raises(FileNotFoundError, match=r"the folder .*missing does not exist"):
        run(tmp_path / "missing" / "a.h5")
    with pytest.raises(NotADirectoryError, match="file is not a folder"):
        run(tmp_path / "file" / "a.h5")
    with pytest.raises(FileExistsError, match="is no file of wflow"):
        run(tmp_path / "folder.h5", force=True)
    with pytest.raises(FileNotFoundError, match=r"nothing\.h5 does not exist"):
        open_run(tmp_path / "nothing.h5")
    with pytest.raises(IsADirectoryError, match=r"folder\.h5 is a folder"):
        open_run(tmp_path / "folder.h5")


@pytest.mark.skipif(os.name != "posix", reason="file permissions of POSIX")
def test_a_folder_that_cannot_be_written_to_and_a_file_that_cannot_be_read(tmp_path):
    run(tmp_path / "a.h5", t_end=1.0)
    os.chmod(tmp_path / "a.h5", 0)
    os.chmod(tmp_path, 0o555)
    body = """
    os.getuid() or os.setuid(65534)  # permissions do not bind root
    for attempt in (lambda: run(sys.argv[1] + "/b.h5"), lambda: open_run(sys.argv[1] + "/a.h5")):
        try:
            attempt()
        except PermissionError as error:
            print(error)
    """
    for folder in (tmp_path, *list(tmp_path.parents)[:3]):  # others must be able to walk here
        os.chmod(folder, folder.stat().st_mode | 0o111)
    done = script(body, tmp_path.parents[0], tmp_path)
    os.chmod(tmp_path, 0o755)
    assert len(done.stdout.splitlines()) == 2, done.stderr
    assert f"the folder {tmp_path} cannot be written to" in done.stdout
    assert "a.h5 cannot be read: permission denied" in done.stdout
    assert os.listdir(tmp_path) == ["a.h5"]


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on file sizes and posix_fallocate")
def test_a_full_disk_ends_the_run_in_one_line_and_loses_no_frame(tmp_path):
    body = """
    import resource
    run("old.h5", t_end=1.0)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    for limit, name in ((340_000, "a.h5"), (100_000, "b.h5"), (100_000, "old.h5")):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        try:
            run(name, t_end=1e6, force=True, record=every_step("all"))
        except OSError as error:
            print(type(error).__name__, error)
    """
    done = script(body, tmp_path)
    assert done.returncode == 0, done.stderr  # HDF5 crashes here if it is let to find out by itself
    grown, small, old = done.stdout.splitlines()
    assert "a.h5: File too large: cannot append frame" in grown
    assert "b.h5: File too large: cannot create the file; nothing was written" in small
    assert "old.h5: File too large: cannot create the file" in old
    assert sorted(os.listdir(tmp_path)) == ["a.h5", "a.h5.checkpoint", "old.h5"]
    assert open_run(tmp_path / "old.h5").status is Status.FINISHED
    cut = open_run(tmp_path / "a.h5")
    assert cut.status is Status.FAILED
    assert "File too large" in cut.message
    assert len(cut.times) > 100
    whole = run(t_end=1e6, record=every_step("all"), max_steps=len(cut.times))
    np.testing.assert_array_equal(cut.times, whole.times[: len(cut.times)])
    assert len(cut.state_times) == len(cut.times)
    for k in (0, 50, -1):
        np.testing.assert_array_equal(cut.state(k), whole.state(k % len(cut.times)))


@pytest.mark.parametrize("strike", range(2, 30))
def test_an_interrupt_within_a_write_tears_no_frame(tmp_path, monkeypatch, strike):
    """A second Ctrl-C raises wherever it finds Python: after any of the writes that make up a frame."""
    put, calls = writer.Rows.put, [0]

    def interrupted(self, index, row):
        put(self, index, row)
        calls[0] += 1
        if calls[0] == strike:
            raise KeyboardInterrupt

    monkeypatch.setattr(writer.Rows, "put", interrupted)
    solution = run(tmp_path / "a.h5", record=every_step("all"))
    whole = run(record=every_step("all"))
    assert solution.status is Status.INTERRUPTED
    assert 1 <= len(solution.times) <= 12
    np.testing.assert_array_equal(solution.stored.frames, whole.stored.frames[: len(solution.times)])
    np.testing.assert_array_equal(list(solution.states()), list(whole.states())[: len(solution.times)])
