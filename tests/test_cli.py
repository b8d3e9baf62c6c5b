"""The command, through real processes where processes matter: outputs, one-line errors with nothing written, Ctrl-C."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from wflow import cli, config, loop

TINY = ["--set", "flow.n_particles=30", "--set", "solver.t_end=1.0", "--set", "seeds=[0, 1]"]

OWN = """
title = "three arms"

[problem]
kind = "custom"
reward = [[1.0, 0.9, 0.1]]
discount = 0.0
temperature = 0.2

[flow]
n_particles = 30

[solver]
t_end = 1.0
"""


def wflow(*words, cwd, **options):
    """A real process; colours off, so that the output is text."""
    command = [sys.executable, "-m", "wflow", *map(str, words)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, **options)


def call(*words):
    """The same without the cost of a process."""
    return cli.main([str(word) for word in words])


def contents(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture(scope="session")
def ran(tmp_path_factory):
    """A finished run of the two-panel experiment, small, and its process."""
    folder = tmp_path_factory.mktemp("ran")
    return folder / "deep" / "er", wflow("run", "fig1", *TINY, "--out", "deep/er", cwd=folder)


@pytest.fixture
def own(tmp_path):
    (tmp_path / "own.toml").write_text(OWN)
    return tmp_path / "own.toml"


@pytest.fixture
def out(tmp_path):
    """A folder that is not there and must not be there after an error."""
    return tmp_path / "new" / "out"


# --- what goes well


def test_list_names_every_experiment(tmp_path):
    listed = wflow("list", cwd=tmp_path)
    assert (listed.returncode, listed.stderr) == (0, "")
    assert [line.split()[0] for line in listed.stdout.splitlines()] == list(config.builtin())


def test_a_run_leaves_its_file_its_figure_and_a_table(ran):
    folder, process = ran
    assert process.returncode == 0, process.stderr
    assert contents(folder) == ["fig1.h5", "fig1.png"]
    solutions = loop.open_all(folder / "fig1.h5")
    origins = [(s.provenance["experiment"], s.provenance["seed"]) for s in solutions]
    assert origins == [("fig1a", 0), ("fig1a", 1), ("fig1b", 0), ("fig1b", 1)]
    for solution in solutions:
        assert solution.status is loop.Status.FINISHED
        assert solution.times[-1] == 1.0
        assert (np.diff(solution.energy) > 0).all()
        assert solution.provenance["config"]["flow"]["n_particles"] == 30
        row = next(line for line in process.stdout.splitlines() if "{experiment} seed {seed}".format(**solution.provenance) in line)
        counts = solution.counts
        evaluations = f"{counts['rhs'] + counts['spectral_radius']} ({counts['recording']})"
        assert "finished" in row
        assert row.split()[-5:-1] == [*evaluations.split(), str(counts["steps"]), str(counts["rejected"])]
        numbers = [float(text) for text in re.findall(r"[-+.\de]+", row.split("finished")[1])]
        diagnostics = solution.diagnostics
        for start, k in ((0, 0), (3, -1)):
            expected = [diagnostics[name][k] for name in ("gap", "gap_lower", "gap_upper")]
            np.testing.assert_allclose(numbers[start : start + 3], expected, rtol=6e-3)
    for part in ("compile", "field", "linear algebra", "recording"):
        assert re.search(rf"time: .* {part} [\d.e-]+", process.stdout)
    assert "written: deep/er/fig1.h5, deep/er/fig1.png" in process.stdout
    assert (folder / "fig1.png").read_bytes().startswith(b"\x89PNG")


def test_progress_is_lines_where_there_is_no_terminal(ran):
    lines = ran[1].stderr.splitlines()
    assert [line for line in lines if "finished" in line] == lines[-4:]
    assert lines[-1].startswith("fig1b seed 1: finished after")


def test_the_same_command_gives_the_same_bits(ran, tmp_path):
    assert call("run", "fig1a", *TINY, "--out", tmp_path, "--quiet") == 0
    for a, b in zip(loop.open_all(tmp_path / "fig1a.h5"), loop.open_all(ran[0] / "fig1.h5")[:2], strict=True):
        np.testing.assert_array_equal(a.stored.frames, b.stored.frames)
        np.testing.assert_array_equal(a.final.points, b.final.points)


def test_info_repeats_the_table_and_says_what_was_run(ran):
    folder, process = ran
    told = wflow("info", "fig1.h5", cwd=folder)
    assert (told.returncode, told.stderr) == (0, "")
    table = process.stdout.split("written")[0]
    assert told.stdout.startswith(table)
    rest = told.stdout.removeprefix(table)
    assert re.search(r"residuals +sup.δ. +in L² +∫.F.²dν +sup.g_ν. +at most +at ω̄", table)
    assert len(re.findall(r"\([-0-9., e]+\)", table.split("at ω̄")[1].split("time:")[0])) == len(loop.open_all(folder / "fig1.h5"))
    for words in ("fig1a: Agazzi & Lu", "kind = agazzi_lu_grid", "n_particles = 30", "t_end = 1.0", "numba"):
        assert words in rest


def test_plot_draws_in_the_format_asked_for(ran, tmp_path):
    for name, start in (("gaps.png", b"\x89PNG"), ("gaps.pdf", b"%PDF"), ("gaps.svg", b"<?xml")):
        assert call("plot", ran[0] / "fig1.h5", "--out", tmp_path / name) == 0
        assert (tmp_path / name).read_bytes().startswith(start)


# --- movies


@pytest.fixture(scope="session")
def kept(tmp_path_factory):
    """A run that kept its states, and one that kept the ends."""
    folder = tmp_path_factory.mktemp("kept")
    (folder / "own.toml").write_text(OWN)
    for name, states in (("all", "all"), ("ends", "ends")):
        changes = ["--set", "record.spacing=linear", "--set", "record.frames=4", "--set", f"record.states={states}", "--out", folder / name]
        assert call("run", folder / "own.toml", *changes, "--quiet") == 0
    return folder


def test_a_movie_is_a_gif_of_the_states_kept(kept, tmp_path):
    from PIL import Image

    file = tmp_path / "own.h5"
    file.write_bytes((kept / "all" / "own.h5").read_bytes())
    told = wflow("movie", "own.h5", "--fps", 2, cwd=tmp_path)
    assert (told.returncode, told.stdout, told.stderr) == (0, "own.gif\n", "")
    with Image.open(tmp_path / "own.gif") as image:
        assert (image.format, image.n_frames, image.info["duration"]) == ("GIF", len(loop.open(file).state_times), 500)
    before = (tmp_path / "own.gif").read_bytes()
    assert call("movie", file) == 2
    assert (tmp_path / "own.gif").read_bytes() == before
    assert call("movie", file, "--force", "--frames", 2, "--quiet", "--run", 0) == 0
    with Image.open(tmp_path / "own.gif") as image:
        assert image.n_frames == 2
    assert contents(tmp_path) == ["own.gif", "own.h5"]


def test_a_movie_of_two_states_says_how_to_keep_more(kept, tmp_path, capsys):
    assert call("movie", kept / "ends" / "own.h5", "--out", tmp_path / "a.gif") == 0
    assert 'the run kept its first and last state only, record.states = "all" keeps more' in capsys.readouterr().out


@pytest.mark.parametrize(("words", "said"), [
    (["--out", "x.png"], ["suffix of the movie's file must be one of .gif", "'.png'"]),
    (["--frames", "1"], ["1", "2"]), (["--fps", "90"], ["90", "50"]), (["--run", "7"], ["7"]),
    (["--out", "missing/x.gif"], ["missing"]),
])  # fmt: skip
def test_movies_that_cannot_be_made(kept, tmp_path, out, capsys, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    check_refused(call("movie", kept / "all" / "own.h5", *words), *capsys.readouterr(), said, out)
    assert contents(tmp_path) == []
    assert "own.gif" not in contents(kept / "all")


def test_a_movie_shows_one_run(ran, out, capsys):
    check_refused(call("movie", ran[0] / "fig1.h5"), *capsys.readouterr(), ["holds 4 runs", "--run 0 to --run 3"], out)


def test_an_interrupted_movie_leaves_nothing(kept, tmp_path, capsys, monkeypatch):
    from wflow.plotting import movie

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(movie, "draw_moment", interrupted)
    assert call("movie", kept / "all" / "own.h5", "--out", tmp_path / "a.gif") == 130
    assert capsys.readouterr().err == "wflow: interrupted\n"
    assert contents(tmp_path) == []


def test_own_experiments_run_from_a_file(own, out, capsys):
    assert call("run", own, "--out", out) == 0
    assert contents(out) == ["own.h5", "own.png"]
    (solution,) = loop.open_all(out / "own.h5")
    assert solution.finals["log_policy"].shape == (1, 3)
    assert "own seed 0" in capsys.readouterr().out


def test_quiet_says_nothing(own, out, capfd):
    assert call("run", own, "--out", out, "--quiet") == 0
    assert capfd.readouterr() == ("", "")


def test_force_replaces_and_only_then(own, out, capsys):
    assert call("run", own, "--out", out, "--quiet") == 0
    before = (out / "own.h5").read_bytes()
    assert call("run", own, "--out", out, "--quiet") == 2
    assert "--force" in capsys.readouterr().err
    assert (out / "own.h5").read_bytes() == before
    assert call("run", own, "--out", out, "--quiet", "--force", "--set", "flow.n_particles=7") == 0
    assert loop.open(out / "own.h5").final.size == 7
    assert contents(out) == ["own.h5", "own.png"]
    assert call("plot", out / "own.h5") == 2
    assert call("plot", out / "own.h5", "--force") == 0


def test_a_run_that_stops_early_is_told_and_gives_exit_code_1(own, out, capsys):
    assert call("run", own, "--out", out, "--set", "solver.max_steps=2") == 1
    told = capsys.readouterr().out
    assert "own seed 0: step limit: max_steps = 2" in told
    assert "once the cause is gone, wflow resume" in told
    kept = ["own.h5.parts", "own.h5.parts/000.h5", "own.h5.parts/000.h5.checkpoint", "own.h5.parts/plan.json"]
    assert contents(out) == ["own.h5", *kept, "own.png"]
    assert call("resume", out / "own.h5", "--max-steps", 10_000, "--force") == 0
    assert re.search("own seed 0 +1 +finished", capsys.readouterr().out)
    assert contents(out) == ["own.h5", "own.png"]


def test_files_made_in_python_are_read_too(tmp_path, capsys):
    class Flow:
        def pack(self, initial):
            return np.array(initial)

        def unpack(self, y):
            return y

        def rhs(self, t, y):
            return -y

        def diagnostics(self, t, y):
            return {"energy": float(y @ y)}

    loop.solve(Flow(), [1.0], 1.0, path=tmp_path / "plain.h5")
    assert call("info", tmp_path / "plain.h5") == 0
    told = capsys.readouterr().out
    assert "run 0" in told
    assert "energy 1" in told
    assert call("plot", tmp_path / "plain.h5") == 0
    assert contents(tmp_path) == ["plain.h5", "plain.png"]


def test_unfinished_files_are_read(tmp_path, capsys):
    """Two runs planned, none begun: what a killed command leaves at worst."""
    from wflow import sweep
    from wflow.storage.collection import Collection

    Collection.create(tmp_path / "fig1a.h5", sweep.plan("fig1a", ["flow.n_particles=5", "seeds=[0, 1]"]))
    for name in ("fig1a.h5", "fig1a.h5.parts"):
        assert call("info", tmp_path / name) == 0
        told = capsys.readouterr().out
        assert told.count("waiting") >= 2
        assert "fig1a seed 1" in told
        assert call("plot", tmp_path / name) == 2
        assert "none has begun" in capsys.readouterr().err
    assert contents(tmp_path) == ["fig1a.h5.parts", "fig1a.h5.parts/plan.json"]


# --- what goes wrong: one line on stderr, exit code 2, nothing written


def check_refused(code, out_text, err_text, words, folder):
    assert code == 2, err_text
    assert out_text == ""
    assert err_text.startswith("wflow: ")
    assert err_text.count("\n") == 1
    assert err_text.endswith("\n")
    assert all(word in err_text for word in words), err_text
    assert not folder.parent.exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["problem.reward=[[1.0, nan, 0.5]]"], ["own.toml: problem.reward must be finite", "nan at [0, 1]"]),
        (["flow.n_particle=5"], ["own.toml: flow.n_particle is no key", "n_particles"]),
    ],
)
def test_bad_input_through_a_real_process(own, out, changes, words):
    told = wflow("run", own, *(w for change in changes for w in ("--set", change)), "--out", out, cwd=own.parent)
    check_refused(told.returncode, told.stdout, told.stderr, words, out)


@pytest.mark.parametrize(
    ("words_in", "words_out"),
    [
        (["fig1q"], ["'fig1q'", "did you mean", "fig1a"]),
        (["missing.toml"], ["missing.toml", "No such file"]),
        (["OWN", "problem.colour=3"], ["problem.colour is no key"]),
        (["OWN", "solver.t_end=never"], ["solver.t_end must be a number", "'never'"]),
        (["OWN", "problem.transition=[[[1.0], [0.9], [1.0]]]"], ["problem.transition must sum to 1", "0.9", "action 1"]),
        (["OWN", "problem.action_weights=[1.0, -2.0, 1.0]"], ["problem.action_weights must be above 0", "-2.0 at [1]"]),
        (["OWN", "problem.temperature=-0.1"], ["problem.temperature", "at least 0", "-0.1"]),
        (["OWN", "problem.discount=1.0"], ["problem.discount", "below 1", "1.0"]),
        (["OWN", "problem.transition=[[[1.0]]]"], ["problem.transition must have shape (1, 3, 1)"]),
        (["OWN", "flow.activation=relo"], ["flow.activation must be one of", "did you mean 'relu'"]),
        (["OWN", "solver.method=euler"], ["solver"]),
        (["fig1", "problem.discount=0.5"], ["fig1a: problem.discount is no key"]),
    ],
)
def test_bad_input(own, out, capsys, words_in, words_out):
    target = own if words_in[0] == "OWN" else words_in[0]
    code = call("run", target, *(w for change in words_in[1:] for w in ("--set", change)), "--out", out)
    check_refused(code, *capsys.readouterr(), words_out, out)


def test_an_empty_experiment_is_refused(tmp_path, out, capsys):
    (tmp_path / "empty.toml").write_text("")
    code = call("run", tmp_path / "empty.toml", "--out", out)
    check_refused(code, *capsys.readouterr(), ["empty.toml: is empty"], out)


@pytest.mark.parametrize("words", [["runn", "fig1a"], ["run"], ["run", "fig1a", "--colour"], ["info"], ["plot", "a.h5", "b.h5"]])
def test_words_that_do_not_fit_the_command(words, out, capsys):
    code = call(*words)
    check_refused(code, *capsys.readouterr(), ["--help"], out)


@pytest.mark.parametrize("command", ["info", "plot", "movie"])
def test_files_that_are_not_wflows(tmp_path, out, capsys, command):
    (tmp_path / "text.h5").write_text("no HDF5 at all")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    said = {"text.h5": "not a file of wflow", "other.h5": "another program", "missing.h5": "does not exist", ".": "folder"}
    for name, words in said.items():
        check_refused(call(command, tmp_path / name), *capsys.readouterr(), [words], out)
    assert contents(tmp_path) == ["other.h5", "text.h5"]


def test_figures_of_unknown_kind_are_refused(ran, tmp_path, out, capsys):
    check_refused(call("plot", ran[0] / "fig1.h5", "--out", tmp_path / "x.bmp"), *capsys.readouterr(), [".png, .pdf, .svg", "'.bmp'"], out)


@pytest.mark.parametrize("blocked", ["file", "beneath a file", "unwritable"])
def test_folders_that_cannot_be_written(own, tmp_path, out, capsys, blocked):
    folder = {"file": own, "beneath a file": own / "deeper", "unwritable": Path("/proc/none")}[blocked]
    if not folder.parent.exists() and blocked == "unwritable":
        pytest.skip("there is no /proc here")
    code = call("run", own, "--out", folder)
    check_refused(code, *capsys.readouterr(), [str(own if blocked != "unwritable" else "/proc")], out)
    assert contents(tmp_path) == ["own.toml"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_folders(own, tmp_path, out, capsys):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    check_refused(call("run", own, "--out", folder / "x"), *capsys.readouterr(), ["cannot be written to"], out)


def test_folders_are_not_left_behind_when_the_file_cannot_be_made(own, out, capsys, monkeypatch):
    from wflow.storage import disk

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk, "replace", full)
    check_refused(call("run", own, "--out", out), *capsys.readouterr(), ["No space left"], out)


def test_debug_shows_the_traceback(own, out):
    told = wflow("run", own, "--set", "problem.discount=2.0", "--out", out, "--debug", cwd=own.parent)
    assert told.returncode == 1
    assert "Traceback" in told.stderr
    assert not out.parent.exists()


def test_a_defect_is_one_line_too(own, out, capsys, monkeypatch):
    from wflow import experiment

    monkeypatch.setattr(experiment, "build", lambda part, seed: 1 // 0)
    assert call("run", own, "--out", out) == 1
    told = capsys.readouterr().err
    assert told.startswith("wflow: ZeroDivisionError")
    assert told.count("\n") == 1


# --- Ctrl-C


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_interrupted_runs_keep_what_they_have(tmp_path):
    command = [sys.executable, "-m", "wflow", "run", "fig1a", "--set", "flow.n_particles=200", "--set", "solver.t_end=1e6"]
    command += ["--set", "solver.method=RK23", "--set", "solver.options={max_step=0.01}", "--set", "solver.max_steps=100_000_000"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 60.0
        while not (frames := _frames(tmp_path / "fig1a.h5")) > 20 and time.monotonic() < deadline:
            assert process.poll() is None
            time.sleep(0.05)
        assert loop.open(tmp_path / "fig1a.h5").status is loop.Status.RUNNING
        process.send_signal(signal.SIGINT)
        told, complaint = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "fig1a seed 0: interrupted: stopped by Ctrl-C at t = " in told
    assert "written: fig1a.h5, with every frame until then; 4 runs were not begun; wflow resume fig1a.h5 goes on" in told
    assert complaint.splitlines()[-1] == "wflow: interrupted"
    assert "Traceback" not in complaint
    first, *others = loop.open_all(tmp_path / "fig1a.h5")
    assert first.status is loop.Status.INTERRUPTED
    assert len(first.times) >= frames
    assert first.state_times[-1] == first.times[-1] > 0.0
    assert np.isfinite(first.final.points).all()
    assert [run.status for run in others] == [loop.Status.WAITING] * 4


def _frames(path):
    try:
        return len(loop.open(path).times)
    except (OSError, ValueError):
        return 0


def test_interrupted_before_anything_is_written(own, out, capsys, monkeypatch):
    from wflow import experiment

    def interrupted(part, seed):
        raise KeyboardInterrupt

    monkeypatch.setattr(experiment, "build", interrupted)
    assert call("run", own, "--out", out) == 130
    assert capsys.readouterr().err == "wflow: interrupted\n"
    assert not out.parent.exists()


# --- light to start


def test_help_and_list_import_nothing_heavy(tmp_path):
    code = "import json, sys; from wflow import cli; code = cli.main([{word!r}]); sys.stderr.write(json.dumps([code, sorted(sys.modules)]))"
    for word in ("list", "--help"):
        told = subprocess.run([sys.executable, "-c", code.format(word=word)], cwd=tmp_path, capture_output=True, text=True, timeout=60)
        status, modules = json.loads(told.stderr)
        assert status == 0
        assert not {"numba", "scipy", "h5py", "matplotlib", "ot"} & set(modules)


def test_a_run_imports_no_pyplot_and_no_transport(own, out):
    code = f"import sys; from wflow import cli; cli.main(['run', {str(own)!r}, '--out', {str(out)!r}, '--quiet']); print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert told.returncode == 0, told.stderr
    assert not {"matplotlib.pyplot", "ot", "pandas"} & set(told.stdout.split())
    assert "matplotlib.figure" in told.stdout.split()
