"""Sweeps: what is planned, what becomes of runs that fail, die or are interrupted, and of the whole when it is killed."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from toys.experiments import OWN

from wflow import cli, loop, sweep
from wflow.config import ConfigError
from wflow.loop import Status
from wflow.storage import collection
from wflow.storage.collection import Collection

SLOW = ["--set", "solver.t_end=30.0", "--set", "solver.options={max_step=0.05}", "--set", "solver.max_steps=1000000"]
SLOWER = ["--set", "solver.t_end=300.0", *SLOW[2:]]  # so that a busy machine finds its workers at work


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.toml").write_text(OWN)
    return tmp_path / "own.toml"


def call(*words):
    return cli.main([str(word) for word in words])


def same(a, b):
    """Two runs, to the last bit."""
    np.testing.assert_array_equal(a.stored.frames, b.stored.frames)
    np.testing.assert_array_equal(a.state_times, b.state_times)
    np.testing.assert_array_equal(a.final.points, b.final.points)
    np.testing.assert_array_equal(a.finals["log_policy"], b.finals["log_policy"])
    assert a.counts == b.counts


def alone(own, k, *words):
    """Run k of the sweep as the only one, in this process."""
    description = sweep.plan(str(own), *words)
    run = description["runs"][k]
    part = sweep.config.part_of(description["parts"][run["part"]])
    built = sweep.experiment.build(part, run["seed"])
    return loop.solve(built.flow, built.initial(), record=built.schedule, **built.arguments)


# --- the plan


def test_every_value_with_every_other_for_every_part_and_seed(own):
    plan = sweep.plan("fig1", ["flow.n_particles=5", "solver.t_end=1.0"], ["solver.rtol=1e-2,1e-3", 'flow.activation=relu,"tanh"'], 3)
    assert plan["name"] == "fig1"
    assert len(plan["runs"]) == 2 * 2 * 2 * 3
    assert len(plan["parts"]) == 8
    told = [(run["provenance"]["experiment"], *run["provenance"]["sweep"].values(), run["seed"]) for run in plan["runs"]]
    assert told[:4] == [("fig1a", 0.01, "relu", 0), ("fig1a", 0.01, "relu", 1), ("fig1a", 0.01, "relu", 2), ("fig1b", 0.01, "relu", 0)]
    assert len(set(told)) == 24
    for run in plan["runs"]:
        settings = plan["parts"][run["part"]]["settings"]
        assert [settings["solver"]["rtol"], settings["flow"]["activation"]] == list(run["provenance"]["sweep"].values())
        assert settings["flow"]["n_particles"] == 5
    assert json.loads(json.dumps(plan)) == plan


def test_values_with_commas_inside(own):
    plan = sweep.plan(str(own), [], ["solver.options={max_step=0.1, first_step=0.01},{max_step=0.2}"])
    options = [part["settings"]["solver"]["options"] for part in plan["parts"]]
    assert options == [{"max_step": 0.1, "first_step": 0.01}, {"max_step": 0.2}]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["flow.n_particles"], "--sweep takes key=a,b,c with a dotted key and two values or more; got 'flow.n_particles'"),
        (["flow.n_particles=5"], "two values or more"),
        (["flow.n_particles=5,5"], "--sweep flow.n_particles: the values must differ; got 5,5"),
        (["flow.n_particles=5,x"], r"own.toml: flow.n_particles must be an integer; got 'x'"),
        (["flow.n_particle=5,6"], r"own.toml: flow.n_particle is no key of an experiment \(did you mean 'n_particles'"),
        (["problem.n_states=3,-1"], r"own.toml: problem.n_states must be .*-1"),
        (["flow.activation=relu,relo"], r"own.toml: flow.activation must be one of .*did you mean 'relu'"),
        (["seeds=1,2"], "--sweep cannot vary seeds"),
        (["flow.n_particles=5,6", "flow.n_particles=7,8"], "--sweep takes every key once"),
        (["flow.n_particles=5,}"], "--sweep flow.n_particles: '}' is not a TOML value"),
    ],
)
def test_a_sweep_that_cannot_be_run_is_refused_before_anything_is_written(own, words, text, capsys):
    with pytest.raises(ConfigError, match=text):
        sweep.plan(str(own), [], words)
    assert call("run", own, *(word for value in words for word in ("--sweep", value))) == 2
    assert re.search(text, capsys.readouterr().err)
    assert os.listdir(own.parent) == ["own.toml"]


# --- carried out


def test_the_same_bits_wherever_it_runs(own):
    changes = ["flow.n_particles=20,30"]
    files = {}
    for name, options in {"place": {"workers": 1}, "spawned": {"workers": 2}, "threads": {"executor": ThreadPoolExecutor(2)}}.items():
        description = sweep.plan(str(own), [], changes)
        runs = Collection.create(own.parent / f"{name}.h5", description)
        assert sweep.execute(runs, range(4), workers=options.pop("workers", None), quiet=True, **options)
        assert not runs.folder.exists()
        files[name] = loop.open_all(own.parent / f"{name}.h5")
    for k in range(4):
        for found in files.values():
            same(found[k], alone(own, k, [], changes))
            assert found[k].provenance["sweep"] == {"flow.n_particles": 20 if k < 2 else 30}
            assert found[k].provenance["seed"] == k % 2


def test_the_command_runs_a_sweep_and_tells_of_it(own, capsys):
    assert call("run", own, "--sweep", "flow.n_particles=20,30", "--seeds", 3, "--workers", 2) == 0
    told = capsys.readouterr()
    assert re.search(r"own n_particles=20 +3 of 3 +\S+ \[\S+, \S+\]", told.out)
    assert re.search(r"own n_particles=30 +3 of 3", told.out)
    assert told.err.count("finished after") == 6
    assert sorted(os.listdir(own.parent)) == ["own.h5", "own.png", "own.toml"]
    assert [solution.provenance["seed"] for solution in loop.open_all("own.h5")] == [0, 1, 2] * 2
    assert call("info", "own.h5") == 0
    assert "swept    flow.n_particles = 20, 30" in capsys.readouterr().out
    assert call("plot", "own.h5", "--what", "gap", "--out", "gap.svg") == 0
    assert call("plot", "own.h5", "--run", "4", "--what", "particles", "--out", "p.pdf") == 0


def test_runs_that_fail_are_recorded_and_the_others_go_on(own, capsys, monkeypatch):
    """Of four seeds one runs into a number that is not finite, one into an exception."""
    build = sweep.experiment.build

    def failing(part, seed):
        run = build(part, seed)
        rhs = run.flow.rhs

        def broken(t, y):
            if seed == 1 and t > 0.5:
                raise ZeroDivisionError("no such policy")
            return rhs(t, y) * (np.nan if seed == 2 and t > 0.5 else 1.0)

        run.flow.rhs = broken
        return run

    with monkeypatch.context() as patched:
        patched.setattr(sweep.experiment, "build", failing)
        assert call("run", own, "--seeds", 4) == 1
    told = capsys.readouterr()
    solutions = loop.open_all("own.h5")
    statuses = [Status.FINISHED, Status.FAILED, Status.NOT_FINITE, Status.FINISHED]
    assert [solution.status for solution in solutions] == statuses
    assert "own seed 1: failed: ZeroDivisionError: no such policy" in told.out
    assert "own seed 2: not finite: the field is not finite beyond" in told.out
    assert "own seed 1: failed: ZeroDivisionError: no such policy" in told.err
    assert "wflow resume own.h5 goes on with the runs that did not end as meant" in told.out
    assert all(0.0 < solutions[k].times[-1] <= 0.5 for k in (1, 2))
    assert call("plot", "own.h5", "--force") == 0
    assert call("resume", "own.h5", "--quiet") == 0  # the cause is gone
    for k, solution in enumerate(loop.open_all("own.h5")):
        assert solution.status is Status.FINISHED
        np.testing.assert_array_equal(solution.final.points, alone(own, k, (), (), 4).final.points)


def test_a_task_that_cannot_even_begin_is_recorded(own, capsys):
    description = sweep.plan(str(own))
    description["parts"][0]["settings"]["problem"]["branching"] = 99  # as if only this seed could not be built
    runs = Collection.create(own.parent / "own.h5", description)
    assert sweep.execute(runs, [0, 1], quiet=True)
    for solution in loop.open_all("own.h5"):
        assert solution.status is Status.FAILED
        assert "ConfigError: " in solution.message
        assert "branching" in solution.message
        assert len(solution.times) == 0
        assert solution.provenance["experiment"] == "own"
    assert call("info", "own.h5") == 0
    assert "own seed 1: failed: wflow.settings.ConfigError" in capsys.readouterr().out
    assert call("plot", "own.h5") == 2


def command(own, *words):
    return [sys.executable, "-m", "wflow", "run", str(own), "--seeds", "4", *SLOW, *words]


def frames_of(path):
    try:
        return [len(solution.times) for solution in loop.open_all(path)]
    except (OSError, ValueError):
        return []


def wait_for(condition, process, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_sweep_goes_on_with_what_is_missing(own, workers, capsys):
    process = subprocess.Popen(command(own, "--workers", str(workers)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: sum(n > 50 for n in frames_of("own.h5")) >= 2, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(0.5)  # its workers leave with it
    assert not os.path.exists("own.h5")
    before = loop.open_all("own.h5")
    assert {solution.status for solution in before} <= {Status.KILLED, Status.WAITING, Status.FINISHED}
    assert call("info", "own.h5") == call("info", "own.h5.parts") == 0
    assert "killed" in capsys.readouterr().out
    assert call("plot", "own.h5") == 0
    assert call("run", own, *SLOW) == 2
    assert "wflow resume goes on, force begins anew" in capsys.readouterr().err
    assert call("resume", "own.h5", "--workers", workers) == 0
    assert sorted(os.listdir(own.parent)) == ["own.h5", "own.png", "own.toml"]
    after = loop.open_all("own.h5")
    changes = [SLOW[k] for k in (1, 3, 5)]
    for k, solution in enumerate(after):
        assert solution.status is Status.FINISHED
        same(solution, alone(own, k, changes, (), 4))
        if len(before[k].times):
            np.testing.assert_array_equal(solution.stored.frames[: len(before[k].times)], before[k].stored.frames)
        assert len(solution.provenance.get("resumed", [])) == (before[k].status is Status.KILLED)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupted_sweep_keeps_its_states_and_goes_on(own, workers, number):
    process = subprocess.Popen(command(own, "--workers", str(workers)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: sum(n > 20 for n in frames_of("own.h5")) >= workers, process)
    process.send_signal(number)
    told, complaint = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in complaint
    assert "wflow resume own.h5 goes on" in told
    statuses = [solution.status for solution in loop.open_all("own.h5")]
    assert 1 <= statuses.count(Status.INTERRUPTED) <= workers
    assert set(statuses) <= {Status.INTERRUPTED, Status.WAITING, Status.FINISHED}
    assert call("resume", "own.h5", "--quiet") == 0
    for k, solution in enumerate(loop.open_all("own.h5")):
        same(solution, alone(own, k, [SLOW[i] for i in (1, 3, 5)], (), 4))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")
def test_a_worker_that_is_killed_is_reported_and_its_run_goes_on_bit_for_bit(own):
    process = subprocess.Popen(command(own, "--workers", "2", *SLOWER), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    parts = collection.folder_of(own.parent / "own.h5")
    wait_for(lambda: len(list(parts.glob("*.h5"))) >= 2, process)  # both are at work; reading frames would take longer than a run
    time.sleep(0.3)
    listed = ["ps", "-ww", "--ppid", str(process.pid), "-o", "pid=,args="]  # -ww: a long path of the interpreter would cut the rest off
    children = subprocess.run(listed, capture_output=True, text=True).stdout.splitlines()
    workers = [int(line.split()[0]) for line in children if "spawn_main" in line]
    assert len(workers) == 2
    os.kill(random.choice(workers), signal.SIGKILL)
    _, complaint = process.communicate(timeout=120)
    assert process.returncode == 0, complaint
    assert re.search(r"worker of task \d died .*SIGKILL.*tried once more, alone", complaint)
    for k, solution in enumerate(loop.open_all("own.h5")):
        same(solution, alone(own, k, [SLOWER[i] for i in (1, 3, 5)], (), 4))


# --- extended


def test_a_finished_experiment_is_extended_and_says_so(own, capsys):
    assert call("run", own, "--quiet") == 0
    first = loop.open_all("own.h5")
    assert call("resume", "own.h5") == 0
    assert "all runs have ended as they were meant to" in capsys.readouterr().out
    assert call("resume", "own.h5", "--t-end", "1.0") == 2
    assert "t_end must be at least 2, which a run has reached; got 1" in capsys.readouterr().err
    for bad in ("nan", "inf"):
        assert call("resume", "own.h5", "--t-end", bad) == 2
        assert "t_end must be" in capsys.readouterr().err
    assert not collection.folder_of(own.parent / "own.h5").exists()
    stamp = os.stat("own.png").st_mtime_ns
    assert call("resume", "own.h5", "--t-end", "3.0", "--workers", "2") == 0
    told = capsys.readouterr().out
    assert "left as it was: own.png" in told
    assert os.stat("own.png").st_mtime_ns == stamp
    for old, new in zip(first, loop.open_all("own.h5"), strict=True):
        assert new.status is Status.FINISHED
        assert new.times[-1] == 3.0
        np.testing.assert_array_equal(new.stored.frames[: len(old.times)], old.stored.frames)
        assert [(entry["t"], entry["after"]) for entry in new.provenance["resumed"]] == [(2.0, "finished")]
    assert call("info", "own.h5") == 0
    assert re.search("own seed 1: resumed at t = 2 after it was finished, .*; bits may differ", capsys.readouterr().out)
    assert call("resume", "own.h5", "--t-end", "4.0", "--force", "--quiet") == 0
    assert os.stat("own.png").st_mtime_ns != stamp


def test_files_of_scripts_are_left_to_scripts(tmp_path, capsys):
    from toys.spiral import run

    run(tmp_path / "a.h5", t_end=1.0)
    assert call("resume", tmp_path / "a.h5") == 2
    assert "was made by a script; there, wflow.solve(..., path='a.h5', resume=True) goes on" in capsys.readouterr().err
    assert call("resume", tmp_path / "missing.h5") == 2
    assert "does not exist" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["a.h5"]


def test_what_was_swept_is_not_changed_afterwards(own, capsys):
    assert call("run", own, "--sweep", "solver.t_end=0.5,1.0", "--quiet") == 0
    assert call("resume", "own.h5", "--t-end", "3.0") == 2
    assert "t_end cannot be changed: it is what the runs were swept over; got 3" in capsys.readouterr().err
    assert sorted(os.listdir(own.parent)) == ["own.h5", "own.png", "own.toml"]


def test_the_folder_of_the_parts_stands_for_the_file(own, capsys):
    plan = sweep.plan(str(own))
    runs = Collection.create(own.parent / "own.h5", plan)
    assert sweep.execute(runs, [0], quiet=True) is False  # the other one is still to come
    assert os.listdir("own.h5.parts") == ["plan.json"]
    assert call("resume", "own.h5.parts") == 0
    assert sorted(os.listdir(own.parent)) == ["own.h5", "own.png", "own.toml"]
    for k, solution in enumerate(loop.open_all("own.h5")):
        same(solution, alone(own, k))
