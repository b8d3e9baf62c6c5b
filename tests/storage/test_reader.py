"""Reading files that are damaged, still being written, or whose writer was killed."""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess

import h5py
import numpy as np
import pytest
from toys.spiral import python, run, script

from wflow import provenance, storage
from wflow.loop import Solution, Status
from wflow.loop import open as open_run
from wflow.record import Layout, every_step


def test_a_summary_torn_while_it_was_written_leaves_the_one_before(tmp_path):
    run(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        slots = file["runs/000/summary"]
        assert json.loads(bytes(slots[1, 24:]).rstrip(b"\0"))["status"] == "running"
        slots[0, 500:900] = 0  # the second summary, cut short
    assert open_run(tmp_path / "a.h5").status is Status.RUNNING  # by this very process
    assert f"process {os.getpid()}" in open_run(tmp_path / "a.h5").message


def test_a_newer_format_is_named(tmp_path):
    run(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file.attrs["format_version"] = 99
    with pytest.raises(ValueError, match="format version 99; this wflow reads up to 1: upgrade wflow"):
        open_run(tmp_path / "a.h5")
    with pytest.raises(FileExistsError):
        run(tmp_path / "a.h5", force=True)


@pytest.mark.parametrize("length", [0, 3, 47, 48, 100, 5000, -1])
def test_a_truncated_file_is_called_damaged(tmp_path, length):
    """HDF5 itself would wait for ever on some of these."""
    run(tmp_path / "a.h5")
    whole = (tmp_path / "a.h5").read_bytes()
    needed = int.from_bytes(whole[28:36], "little")
    (tmp_path / "a.h5").write_bytes(whole[: length if length >= 0 else needed + length])
    with pytest.raises(ValueError, match="is not a file of wflow" if 0 <= length < 48 else "is damaged: .* bytes are left"):
        open_run(tmp_path / "a.h5")


def test_a_file_damaged_within_is_called_so(tmp_path):
    run(tmp_path / "a.h5")
    whole = bytearray((tmp_path / "a.h5").read_bytes())
    at = whole.index(b"state_kind")
    whole[at : at + 10] = bytes(10)
    (tmp_path / "a.h5").write_bytes(whole)
    with pytest.raises(ValueError, match="is damaged"):
        open_run(tmp_path / "a.h5")


KILLS = """
import random, struct
random.seed(int(sys.argv[1]))
for k in range(int(sys.argv[2])):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        told = lambda t, values: os.write(writer, struct.pack("<d", t))  # after the step was recorded
        run(f"{k}.h5", t_end=1e9, record=every_step("all"), progress=told)
        os._exit(1)
    os.close(writer)
    os.read(reader, 8)
    time.sleep(random.uniform(0.0, 0.15))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    told = b""
    while part := os.read(reader, 65536):
        told += part
    os.close(reader)
    print(k, 1 + len(told) // 8, flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks its victims, so that each costs milliseconds")
def test_sigkill_at_any_moment_loses_nothing_that_was_flushed(tmp_path):
    done = script(KILLS, tmp_path, 12345, 12)
    assert done.returncode == 0, done.stderr
    flushed = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    assert len(flushed) == 12
    longest = max(n for _, n in flushed)
    assert longest > 50
    whole = run(t_end=1e9, record=every_step("all"), max_steps=longest + 2)
    states = np.array(list(whole.states()))
    for k, frames in flushed:
        found = open_run(tmp_path / f"{k}.h5")
        assert found.status is Status.KILLED
        assert "every frame it had flushed is here" in found.message
        assert frames + 1 <= len(found.times) <= frames + 2  # the first frame is told of by no one; one more may have been flushed
        np.testing.assert_array_equal(found.stored.frames, whole.stored.frames[: len(found.times)])
        assert len(found.state_times) == len(found.times)
        with h5py.File(tmp_path / f"{k}.h5", "r", libver="latest", swmr=True) as file:
            np.testing.assert_array_equal(file["runs/000/states"][: len(found.times)], states[: len(found.times)])
        np.testing.assert_array_equal(found.final, states[len(found.times) - 1])
        np.testing.assert_array_equal(found.finals["policy"], [[1.0, 0.0], [0.0, 0.0]])  # of its checkpoint, at the start
        assert found.provenance["seed"] == 7
    with pytest.raises(FileExistsError, match="exists; choose another name"):
        run(tmp_path / "0.h5")
    assert run(tmp_path / "0.h5", t_end=1.0, force=True).status is Status.FINISHED


def test_a_running_file_can_be_read_from_another_process(tmp_path):
    body = "run('a.h5', t_end=1e9, record=every_step('all'), progress=lambda t, values: time.sleep(1e-3))"
    seen: list[tuple[Solution, np.ndarray]] = []
    with subprocess.Popen(python(body), cwd=tmp_path) as writer:
        try:
            while len(seen) < 20:
                if writer.poll() is not None:
                    pytest.fail("the writer ended")
                if not (tmp_path / "a.h5").exists():
                    continue
                found = open_run(tmp_path / "a.h5")
                if not len(found.state_times):
                    continue
                assert found.status is Status.RUNNING
                assert f"process {writer.pid}" in found.message
                seen.append((found, found.final))
        finally:
            writer.send_signal(signal.SIGKILL)
    lengths = [len(found.times) for found, _ in seen]
    assert lengths == sorted(lengths)
    assert lengths[-1] > lengths[0]
    whole = run(t_end=1e9, record=every_step("all"), max_steps=lengths[-1])
    for found, final in seen:
        np.testing.assert_array_equal(found.stored.frames, whole.stored.frames[: len(found.times)])
        np.testing.assert_array_equal(found.state_times, whole.state_times[: len(found.state_times)])
        np.testing.assert_array_equal(final, whole.state(len(found.state_times) - 1))
    assert open_run(tmp_path / "a.h5").status is Status.KILLED


def test_a_writer_on_another_machine_is_believed(tmp_path, monkeypatch):
    path = tmp_path / "a.h5"
    storage.create(path, Layout(("energy",), 1), {"status": "running", "message": ""})._file.close()
    monkeypatch.setattr(provenance, "_process_start", lambda pid: "another life of that number")
    assert open_run(path).status is Status.KILLED
    monkeypatch.setattr(platform, "node", lambda: "elsewhere")
    assert open_run(path).status is Status.RUNNING
