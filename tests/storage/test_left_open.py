"""Files whose writer was killed: read plainly, so that damage is an error and not a wait for ever."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys

import h5py
import numpy as np
import pytest
from toys.spiral import script

from wflow.loop import Status
from wflow.loop import open as open_run
from wflow.storage.left_open import LeftOpen, checksum

KILLED = """
def told(t, values):
    if t > 300.0:
        os.kill(os.getpid(), signal.SIGKILL)
run("a.h5", t_end=1e9, record=every_step("all"), progress=told)
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A file of some hundred states that its writer never closed."""
    folder = tmp_path_factory.mktemp("killed")
    assert script(KILLED, folder).returncode == -signal.SIGKILL
    return folder / "a.h5"


@pytest.mark.parametrize(("data", "expected"), [(b"Four score and seven years ago", 0x17770551)])
def test_checksum_of_the_published_example(data, expected):
    """From the self-test of lookup3.c, ``hashlittle("Four score...", 30, 0)``."""
    assert checksum(data) == expected


def test_checksum_is_the_one_that_hdf5_writes(tmp_path):
    for k, name in enumerate(["a", "ab"]):
        with h5py.File(tmp_path / name, "w", libver="latest") as file:
            file["x"] = np.arange(10.0**k)
        head = (tmp_path / name).read_bytes()[:48]
        assert checksum(head[:44]) == int.from_bytes(head[44:], "little")


def test_a_killed_writers_file_is_read_and_left_as_it_is(killed):
    before = killed.read_bytes()
    solution = open_run(killed)
    assert solution.status is Status.KILLED
    assert len(solution.times) == len(solution.state_times) > 50
    energies = [float(y @ y) for y in solution.states()]
    np.testing.assert_allclose(energies, solution.energy, rtol=1e-12)  # y @ y rounds by how y lies in memory
    assert killed.read_bytes() == before
    assert before[11] != 0
    with LeftOpen(killed) as view:
        assert view.read(12)[11] == 0
        view.seek(100)
        assert view.read(50) == before[100:150]


def test_damage_is_told_at_once(killed, tmp_path):
    """Every piece of metadata in turn: HDF5's SWMR reader waits for ever on some of these."""
    whole = killed.read_bytes()
    code = "import sys, wflow; s = wflow.open(sys.argv[1]); list(s.states()); print(len(s.times))"
    places = [at for mark in (b"OHDR", b"EAHD", b"EAIB", b"EADB") for at in _places(whole, mark)]
    assert len(places) > 8
    refused = 0
    for at in places[:: max(1, len(places) // 12)]:
        shutil.copy(killed, tmp_path / "b.h5")
        with (tmp_path / "b.h5").open("r+b") as file:
            file.seek(at + 9)
            file.write(b"\xff\xff")
        command = [sys.executable, "-c", code, str(tmp_path / "b.h5")]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert ended.returncode == 0 or "ValueError" in ended.stderr, ended.stderr
        refused += "is damaged" in ended.stderr
    assert refused > 4


def _places(whole, mark):
    at = whole.find(mark)
    while at >= 0:
        yield at
        at = whole.find(mark, at + 1)
