"""``wflow study chaos`` as a user types it: outputs, refusals, interruption, and what ``info`` and ``plot`` make of the file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest

from wflow import cli
from wflow.studies import chaos

TINY = ["study", "chaos", "--problem", "linear", "--sizes", "16,32,64", "--seeds", "8", "--w2-seeds", "1", "--workers", "1"]


def numbers(path):
    found = {}
    with h5py.File(path, "r") as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return {name: value for name, value in found.items() if value.dtype.kind == "f"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    assert cli.main([*TINY, "--out", str(folder / "a")]) == 0
    return folder


def test_it_leaves_one_file_and_its_figures(folder):
    names = sorted(path.name for path in (folder / "a").iterdir())
    assert names == ["chaos.h5", "chaos_linear.pdf", "chaos_linear.png"]
    assert (folder / "a/chaos_linear.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "a/chaos_linear.pdf").read_bytes().startswith(b"%PDF")
    with h5py.File(folder / "a/chaos.h5", "r") as file:
        assert len(file["table/claim"]) == len(chaos.open_study(folder / "a/chaos.h5").rows) > 10


def test_the_table_is_printed(folder, capsys):
    assert cli.main(["info", str(folder / "a/chaos.h5")]) == 0
    printed = capsys.readouterr().out
    assert "coupling error, sup over [0, T]" in printed
    assert " holds" in printed
    assert "seed 0" in printed


def test_plot_draws_the_figures_anew(folder, capsys):
    assert cli.main(["plot", str(folder / "a/chaos.h5")]) == 2
    assert "exists" in capsys.readouterr().err
    (folder / "a/chaos_linear.png").unlink()
    assert cli.main(["plot", str(folder / "a/chaos.h5"), "--force"]) == 0
    assert (folder / "a/chaos_linear.png").exists()


def test_nothing_is_overwritten_unless_forced(folder, capsys):
    before = (folder / "a/chaos.h5").read_bytes()
    assert cli.main([*TINY, "--out", str(folder / "a")]) == 2
    assert "--force" in capsys.readouterr().err
    assert (folder / "a/chaos.h5").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--problem", "bandit tan"], "did you mean"),
        (["--problem", "linaer"], "'linear'"),
        (["--sizes", "16,x"], "--sizes must be integers"),
        (["--sizes", "16,8,64"], "sizes must be three or more, increasing and even"),
        (["--seeds", "1"], "--seeds"),
        (["--engine", "spark"], "dask, mpi"),
        (["--engine", "mpi"], "mpiexec"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(words, said, tmp_path, capsys):
    assert cli.main(["study", "chaos", *words, "--out", str(tmp_path / "new")]) == 2
    errors = capsys.readouterr().err
    assert said in errors
    assert errors.count("\n") == 1
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_interrupted_it_goes_on_to_the_same_numbers(folder):
    """Ctrl-C while runs go on; the same command makes the rest, and the numbers are those of the study never stopped."""
    out = folder / "b"
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # in the background shells have it ignored
    script = f"{heard}; import sys; from wflow import cli; sys.exit(cli.main({[*TINY, '--out', str(out)]!r}))"
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    runs, end = out / "chaos.h5.parts/runs", time.monotonic() + 120.0
    while not (runs.is_dir() and len(os.listdir(runs)) >= 2) and process.poll() is None and time.monotonic() < end:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60.0)
    assert process.returncode == 130, errors
    assert "the same command goes on" in errors
    assert not (out / "chaos.h5").exists()
    kept = len(list(runs.glob("*.pickle")))
    assert kept >= 1
    assert cli.main([*TINY, "--out", str(out), "--quiet"]) == 0
    assert not (out / "chaos.h5.parts").exists()
    first, second = numbers(folder / "a/chaos.h5"), numbers(out / "chaos.h5")
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_array_equal(second[name], value, err_msg=name)


def test_parts_of_another_study_are_not_thrown_away(tmp_path, capsys):
    parts = tmp_path / "chaos.h5.parts"
    parts.mkdir()
    (parts / "study.json").write_text("{}")
    assert cli.main([*TINY, "--out", str(tmp_path)]) == 2
    assert "parts of another study" in capsys.readouterr().err
    assert (parts / "study.json").read_text() == "{}"


GRIDS = ["study", "grids", "--problem", "attraction", "--cells", "8,12,16", "--quick", "--workers", "1"]


def test_grids(tmp_path, capsys):
    """One file and its figures; what ``info`` and ``plot`` make of it."""
    assert cli.main([*GRIDS, "--out", str(tmp_path)]) == 0
    assert "written: " in capsys.readouterr().out
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["grids.h5", "grids_attraction.pdf", "grids_attraction.png"]
    assert cli.main(["info", str(tmp_path / "grids.h5")]) == 0
    printed = capsys.readouterr().out
    assert "grid: W2 in R² to particles: order" in printed
    assert "seed 0" in printed
    (tmp_path / "grids_attraction.png").unlink()
    assert cli.main(["plot", str(tmp_path / "grids.h5"), "--force"]) == 0
    assert (tmp_path / "grids_attraction.png").read_bytes().startswith(b"\x89PNG")
    assert cli.main([*GRIDS, "--out", str(tmp_path)]) == 2
    assert "--force" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--problem", "atraction"], "did you mean 'attraction'"),
        (["--cells", "8,x"], "--cells must be integers with commas between them; got 'x'"),
        (["--cells", "8,12"], "cells must be three integers or more"),
        (["--limiter", "superbee"], "limiter must be one of"),
    ],
)
def test_bad_input_to_grids(words, said, tmp_path, capsys):
    assert cli.main(["study", "grids", *words, "--out", str(tmp_path / "new")]) == 2
    errors = capsys.readouterr().err
    assert said in errors
    assert errors.count("\n") == 1
    assert not (tmp_path / "new").exists()
