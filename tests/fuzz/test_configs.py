"""Mutated experiments: each one runs, or is refused in one line that says where, what and why."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzz.guards import fuzz, memory, one_line, within
from fuzz.mistakes import ABSURD, experiment
from fuzz.tables import Files, document

import wflow
from wflow import _checks, cli, config
from wflow import experiment as experiments
from wflow.config import ConfigError
from wflow.solution import Solution, Status

STEPS = 5

# Keys that are checked against each other: a change of one may be refused in the name of another.
TOGETHER = (
    {"n_states", "branching"}, {"n_rows", "n_columns", "walls", "goal"}, {"activation", "width"}, {"spacing", "frames", "first"},
    {"first", "first_step", "t_end"}, {"method", "options", "dt"},
    {"reward", "transition", "initial", "states", "actions", "action_weights", "discount", "temperature", "file"},
    {"seeds", "seed"},
)  # fmt: skip
ALLOWED = (" must ", " is missing", " is no key", " goes with ", " has no option", " cannot be read", " is no archive", " is given twice")


def build(plan: config.Experiment) -> list[experiments.Run]:
    """Every run of an experiment, checked as the command checks it."""
    for part in plan.parts:
        experiments.check(part)
    return [experiments.build(part, seed) for part in plan.parts for seed in part.settings.seeds]


def solutions(plan: config.Experiment) -> list[Solution]:
    """A few steps of every run of an experiment that is small."""
    found = []
    for run in build(plan):
        initial = run.initial()
        if initial.points.size <= 300:  # the default of 800 particles is no size for an implicit method
            arguments = {**run.arguments, "max_steps": min(run.arguments.get("max_steps", STEPS), STEPS)}
            found.append(wflow.solve(run.flow, initial, record=run.schedule, **arguments))
    return found


def check_solution(solution: Solution) -> None:
    """The last good state is finite, however the run ended; everything is, if it ended as meant."""
    assert isinstance(solution.status, Status)
    assert solution.message
    assert len(solution.message.splitlines()) == 1
    assert np.isfinite(solution.final.points).all()
    if solution.status.ok:
        assert solution.times[-1] > 0.0
        for name, values in solution.diagnostics.items():
            assert np.isfinite(values).all(), f"{name} is not finite in a run that says {solution.message!r}"


def check_refusal(error: ConfigError, files: Files, folder: Path) -> None:
    """One line: the source, the key path, the value, what is allowed."""
    text = one_line(error)
    sources = [f"{folder / name}: " for name in files.tables] + [f"{name}: " for name in config.builtin()]
    source = next((source for source in sources if text.startswith(source)), "")
    assert source or text.startswith((f"{folder}/", "'", "--set ")), text
    assert files.mistakes, f"a valid experiment was refused: {text}"
    path, names, value = files.mistake
    if path in ("", "include") or (path == "problem.kind" and value in config.KINDS):
        return
    said = text.removeprefix(source)
    about = names.union(*(group for group in TOGETHER if names & group))
    named = (re.match(rf"(\w+\.)*{re.escape(name)}\b", said) or _checks.show(name)[:-1] in said for name in about)
    assert any(named), f"{path} = {_checks.show(value)} was refused with: {said}"
    assert any(words in said for words in ALLOWED), said
    if said.startswith(f"{path} must ") and (isinstance(value, (float, str)) or (isinstance(value, int) and abs(value) < 10**20)):
        shown = (repr(value)[:20], repr(float(value)) if isinstance(value, int) else repr(value)[:20])
        assert any(text in said for text in shown), f"{said} does not show {shown}"


def outcome(files: Files, folder: Path) -> str:
    """What became of an experiment, cleanly: "result" or "error"."""
    try:
        found = solutions(config.load(files.write(folder), files.changes))
    except ConfigError as error:
        refusal = error
    else:
        for solution in found:
            check_solution(solution)
        return "result"
    check_refusal(refusal, files, folder)
    return "error"


def test_mutated_experiments(tmp_path):
    fuzz(1500, experiment, lambda files: outcome(files, tmp_path))


TREE: dict[str, Any] = {"problem": {"kind": "tree"}, "flow": {"n_particles": 3}, "solver": {"t_end": 1.0}}


def refused(folder: Path, table: dict[str, Any], changes: Sequence[str] = ()) -> str:
    """What is said of an experiment that cannot be."""
    path = folder / "own.toml"
    path.write_text(document(table), encoding="utf-8")
    with pytest.raises(ConfigError) as caught, memory(), within(5.0):
        build(config.load(str(path), changes))
    return one_line(caught.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize(("key", "kind", "options"), [
    ("problem.n_actions", "agazzi_lu_bandit", {}), ("problem.n_teacher", "agazzi_lu_bandit", {}),
    ("problem.n_states", "agazzi_lu_grid", {}), ("problem.H", "chain", {}), ("problem.n_actions", "chain", {"H": 2}),
    ("problem.n_rows", "gridworld", {}), ("problem.n_columns", "gridworld", {}),
    ("problem.n_states", "garnet", {"n_actions": 1, "branching": 1}), ("problem.n_actions", "garnet", {"n_states": 2, "branching": 1}),
    ("problem.branching", "garnet", {"n_states": 2, "n_actions": 1}), ("flow.n_particles", "tree", {}), ("record.frames", "tree", {}),
])  # fmt: skip
def test_no_size_takes_the_machine_down(tmp_path, key, kind, options):
    """Refused by the size itself, before anything of that size is made."""
    for size in (*ABSURD, 16**5000):
        table = {"problem": {"kind": kind, **options}, "flow": {}, "solver": {"t_end": 1.0}, "record": {"spacing": "linear"}}
        section, name = key.split(".")
        table[section][name] = size
        said = refused(tmp_path, table)
        assert said.startswith(f"{key} must be ")
        assert _checks.show(size)[:20] in said


@pytest.mark.parametrize(("changes", "words"), [
    (["solver.t_end=" + "9" * 5000], ["solver.t_end must be a number", "got '999"]),
    (["seeds=" + "[" * 3000], ["--set seeds", "is not a TOML value", "nested too deeply"]),
    (["solver.method=euler"], ["solver.options.dt must be", "above 0"]),
    (["solver.method=''"], ["solver.method must be one of"]),
    (["solver.method=RK45", "solver.options.max_step=soon"], ["solver.options.max_step must be a number", "got 'soon'"]),
    (["solver.method=RK45", "solver.options.max_step=-1"], ["solver.options.max_step must be", "got -1.0"]),
    (["solver.method=RK45", "solver.options.first_step=9.0"], ["solver.options.first_step must be", "at most 1", "got 9.0"]),
    (["solver.method=LSODA", "solver.options.min_step=-1.0"], ["solver.options.min_step must be", "got -1.0"]),
    (["solver.method=DOP853", "solver.rtol=1e-20"], ["solver.rtol must be", "at least", "got 1e-20"]),
    (["solver.method=DOP853", "solver.atol=0"], ["solver.atol must be above 0", "got 0.0"]),
    (["solver.t_end=1e300"], ["solver.t_end must be at most 1e+100", "got 1e+300"]),
    (["problem.temperature=1e-320"], ["problem.temperature must be at least 1e-100", "got 1e-320"]),
    (["problem.reward=1e300"], ["problem.reward must be at most 1e+100", "got 1e+300"]),
    (["flow.activation=rbf", "flow.width=1e-200"], ["flow.width must be at least 1e-100", "got 1e-200"]),
    (["problem.kind=gridworld", "problem.walls=x"], ["problem.walls must be a list", "got 'x'"]),
    (["problem.kind=gridworld", "problem.walls=[[4, 4]]"], ["problem.goal must be a free cell", "(4, 4)"]),
])  # fmt: skip
def test_values_that_were_no_clean_errors_once(tmp_path, changes, words):
    said = refused(tmp_path, TREE, changes)
    assert said.startswith(words[0])
    assert all(word in said for word in words)


@pytest.mark.parametrize(("text", "words"), [
    (b"x = " + b"9" * 5000, ["own.toml: is not TOML"]),
    (b"x = " + b"[" * 3000, ["own.toml: is not TOML", "nested too deeply"]),
    (b'include = ["a\\u0000.toml"]', ["cannot be read", "null"]),
    (b'"two\\nlines" = 1', ["own.toml: 'two\\nlines' is no key"]),
    (b'"' + b"x" * 5000 + b'" = 1', ["own.toml: 'xxxxx", "is no key"]),
])  # fmt: skip
def test_texts_that_were_no_clean_errors_once(tmp_path, text, words):
    (tmp_path / "own.toml").write_bytes(text)
    with pytest.raises(ConfigError) as caught:
        config.load(str(tmp_path / "own.toml"))
    assert all(word in one_line(caught.value) for word in words)


def test_damaged_archives_are_closed(tmp_path):
    """A file left open is a ResourceWarning, which is an error here."""
    (tmp_path / "problem.npz").write_bytes(b"PK\x03\x04 and no more")
    assert refused(tmp_path, {**TREE, "problem": {"kind": "custom", "file": "problem.npz"}}).startswith("problem.file: ")


def test_the_command(tmp_path, capsys):
    """Exit codes, and what is left behind, on mutated experiments; a few steps each."""
    folder, out = tmp_path / "in", tmp_path / "new" / "out"
    folder.mkdir()

    def examine(files: Files) -> str:
        words = ["run", files.write(folder), "--quiet", "--force", "--out", str(out)]
        words += [word for change in [*files.changes, f"solver.max_steps={STEPS}"] for word in ("--set", change)]
        code = cli.main(words)
        told, complaint = capsys.readouterr()
        assert told == ""
        if code == 2:
            check_refused(words, complaint, out)
            return "error"
        assert (code in (0, 1), complaint) == (True, "")
        parts = {".parts"} if code == 1 else set()  # to resume from
        assert {path.suffix for path in out.iterdir()} == {".h5", ".png"} | parts
        shutil.rmtree(out.parent)
        return "result"

    def check_refused(words: list[str], complaint: str, out: Path) -> None:
        assert complaint.startswith("wflow: ")
        assert complaint.count("\n") == 1
        assert not out.parent.exists()
        with pytest.raises(Exception, match=re.escape(complaint.removeprefix("wflow: ")[:40].rstrip())) as caught:
            cli.main([*words, "--debug"])
        assert caught.traceback
        assert capsys.readouterr() == ("", "")

    fuzz(40, experiment, examine)
