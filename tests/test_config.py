"""Experiment files: what is accepted, what is refused and in which words, and the runs that are built from them."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wflow import config, experiment, mdp, problems
from wflow.config import ConfigError
from wflow.measures import laws
from wflow.settings import FREE_PROBLEMS

SMALL = """
seeds = [0, 3]

[problem]
kind = "garnet"
n_states = 4
n_actions = 3
branching = 2

[flow]
n_particles = 6

[solver]
t_end = 1.0
"""

BANDIT = """
[problem]
kind = "custom"
reward = [[1.0, 0.5, 0.25]]
discount = 0.0
temperature = 0.2

[flow]
n_particles = 5

[solver]
t_end = 1.0
"""

CHAIN = """
[problem]
kind = "custom"
reward = [[0.0, 1.0], [0.5, 0.0]]
transition = [[[0.5, 0.5], [0.0, 1.0]], [[1.0, 0.0], [0.25, 0.75]]]
discount = 0.5
temperature = 0.1

[solver]
t_end = 1.0
"""


def built(plan):
    """All runs of an experiment, each part checked first, as the command does."""
    for part in plan.parts:
        experiment.check(part)
    return [experiment.build(part, seed) for part in plan.parts for seed in part.settings.seeds]


@pytest.fixture
def write(tmp_path):
    def writer(text, name="own.toml"):
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return writer


def refusal(action):
    with pytest.raises(ConfigError) as caught:
        action()
    message = str(caught.value)
    assert "\n" not in message
    return message


# --- what is accepted


def test_every_problem_of_the_library_is_a_kind():
    assert set(config.KINDS) == {"custom", *mdp.library.__all__}


def test_every_problem_without_a_policy_is_a_kind():
    assert set(FREE_PROBLEMS) == set(problems.__all__) - {"Problem", "stored"}
    assert not set(FREE_PROBLEMS) & set(config.KINDS)
    assert {*FREE_PROBLEMS, "bandit_grid"} <= set(config.builtin())


@pytest.mark.parametrize("name", [*sorted(config.builtin())])
def test_descriptions_are_plain_data_that_give_the_same_part(name):
    for part in config.load(name).parts:
        again = config.part_of(json.loads(json.dumps(part.describe())))
        assert again.settings.model_dump() == part.settings.model_dump()
        assert (again.settings.flow, dict(again.options)) == (part.settings.flow, dict(part.options))


def test_kinds_of_flow_have_settings_of_their_own():
    changed = {
        ("heat", "flow={}"): ("grid", {"cells", "box", "limiter", "stepping"}),
        ("heat", "flow={kind='langevin'}"): ("langevin", {"n_particles"}),
        ("heat", "flow.kind=jko"): ("jko", {"cells", "n_particles"}),
        ("regression", "flow={}"): ("particles", {"n_particles"}),
        ("fig1a", "flow={}"): ("particles", {"n_particles", "activation", "width", "start", "variance"}),
        ("fig1a", "flow={kind='langevin', temperature=0.1}"): (
            "langevin", {"n_particles", "activation", "width", "start", "variance", "temperature"}
        ),
        ("fig1a", "flow={kind='grid'}"): (
            "grid", {"cells", "box", "limiter", "stepping", "activation", "width", "variance", "temperature"}
        ),
    }  # fmt: skip
    for (name, change), (kind, keys) in changed.items():
        (part,) = config.load(name, [change]).parts
        assert part.settings.flow.kind == kind
        assert set(type(part.settings.flow).model_fields) - {"kind"} == keys


@pytest.mark.parametrize("start", ["all_dead", "silent", "single_point", "sign_locked"])
def test_starts_that_stay_below_the_optimum(start):
    (part,) = config.load("fig1b", [f"flow.start={start}", "problem.n_states=5", "problem.n_actions=7", "flow.n_particles=16"]).parts
    run = experiment.build(part, 3)
    np.testing.assert_array_equal(run.initial().points, getattr(laws, start)(4).sample(16, np.random.SeedSequence(3).spawn(1)[0]).points)
    if start in ("all_dead", "silent"):
        assert np.abs(run.energy.velocity(run.initial())).max() < 1e-15


def test_built_in_experiments_are_those_of_the_paper():
    assert [name for name in config.builtin() if name.startswith("fig")] == ["fig1", "fig1a", "fig1a_euler", "fig1b"]
    both = config.load("fig1")
    assert [part.name for part in both.parts] == ["fig1a", "fig1b"]
    assert [part.kind for part in both.parts] == ["agazzi_lu_bandit", "agazzi_lu_grid"]
    for part in both.parts:
        assert part.settings.seeds == [0, 1, 2, 3, 4]
        expected = {"n_particles": 800, "activation": "relu", "width": None, "start": "student", "variance": 4.0}
        assert part.settings.flow.model_dump() == expected
        assert part.settings.solver.t_end == 1e4


def test_the_papers_own_scheme_is_built_in():
    solver = config.load("fig1a_euler").parts[0].settings.solver
    assert (solver.method, solver.options, solver.t_end) == ("euler", {"dt": 1e-3}, 10.0)


def test_changes_are_dotted_keys_with_toml_values(write):
    changes = ["flow.n_particles=50", "seeds=[7, 8]", "solver.method=RK45", 'solver.options={max_step = 0.5}', "flow.variance = 1.0"]
    settings = config.load(write(SMALL), changes).parts[0].settings
    assert settings.flow.n_particles == 50
    assert settings.seeds == [7, 8]
    assert settings.solver.method == "RK45"
    assert settings.solver.options == {"max_step": 0.5}
    assert settings.flow.variance == 1.0


def test_changes_reach_every_part_of_a_composite():
    both = config.load("fig1", ["flow.n_particles=11", "seeds=[9]"])
    assert [(part.settings.flow.n_particles, part.settings.seeds) for part in both.parts] == [(11, [9]), (11, [9])]


@given(st.integers(0, 10**6), st.floats(1e-6, 1e6), st.booleans())
def test_changes_come_back_as_written(seed, t_end, normalise):
    changes = [f"seeds=[{seed}]", f"solver.t_end={t_end!r}", f"problem.normalise={str(normalise).lower()}"]
    part = config.load("fig1a", changes).parts[0]
    assert part.settings.seeds == [seed]
    assert part.settings.solver.t_end == t_end
    assert part.options["normalise"] is normalise


def test_a_composite_file_may_include_files_beside_it(write, tmp_path):
    write(SMALL, "small.toml")
    composite = config.load(write('title = "two"\ninclude = ["small.toml", "fig1a"]', "two.toml"))
    assert composite.name == "two"
    assert composite.title == "two"
    assert [part.name for part in composite.parts] == ["small", "fig1a"]
    assert composite.parts[0].folder == tmp_path


def test_arguments_of_a_constructor_are_its_keys(write):
    text = SMALL.split("[problem]")[0] + """
        [problem]
        kind = "gridworld"
        n_rows = 2
        walls = [[0, 1]]
        goal = [1, 4]
        temperature = 0.1
        [solver]
        t_end = 1.0
    """
    (run, _) = built(config.load(write(text), ["flow.n_particles=4"]))
    expected = mdp.gridworld(2, walls=[(0, 1)], goal=(1, 4), temperature=0.1)
    np.testing.assert_array_equal(run.energy.mdp.reward, expected.reward)


# --- runs


def test_a_seed_is_the_problems_and_spawns_the_students(write):
    runs = built(config.load("fig1a", ["flow.n_particles=7", "seeds=[4, 2]"]))
    assert [run.name for run in runs] == ["fig1a seed 4", "fig1a seed 2"]
    for run in runs:
        np.testing.assert_array_equal(run.energy.mdp.reward, mdp.agazzi_lu_bandit(seed=run.seed).reward)
        rng = np.random.default_rng(np.random.SeedSequence(run.seed).spawn(1)[0])
        by_hand = np.column_stack([np.zeros(7), rng.normal(0.0, 2.0, 7), rng.normal(0.0, 2.0, 7)])
        np.testing.assert_array_equal(run.initial().points, by_hand)
        np.testing.assert_array_equal(run.initial().points, run.initial().points)


def test_a_seed_of_the_problem_holds_for_all_students():
    a, b = built(config.load("fig1a", ["flow.n_particles=7", "seeds=[4, 2]", "problem.seed=5"]))
    np.testing.assert_array_equal(a.energy.mdp.reward, b.energy.mdp.reward)
    assert (a.initial().points != b.initial().points).any()


def test_every_kind_of_problem_can_be_built(write):
    arguments = {"garnet": "n_states=3\nn_actions=2\nbranching=2", "chain": "H=3", "custom": "reward=[[1.0]]\ndiscount=0\ntemperature=0"}
    for kind in config.KINDS:
        text = f'[problem]\nkind = "{kind}"\n{arguments.get(kind, "")}\n[flow]\nn_particles = 3\n[solver]\nt_end = 1.0'
        (run,) = built(config.load(write(text)))
        assert run.flow.pack(run.initial()).size == 3 * run.energy.n_parameters


def test_own_arrays_inline_and_in_an_archive_are_the_same_problem(write, tmp_path):
    arrays = {
        "reward": [[0.0, 1.0], [0.5, 0.0]], "transition": [[[0.5, 0.5], [0.0, 1.0]], [[1.0, 0.0], [0.25, 0.75]]], "discount": 0.5,
        "temperature": 0.1, "initial": [0.25, 0.75], "states": [[0.0, 1.0], [2.0, 3.0]], "actions": [0.1, 0.7],
        "action_weights": [0.3, 0.7],
    }  # fmt: skip
    np.savez(tmp_path / "problem.npz", **arrays)
    inline = '[problem]\nkind = "custom"\n' + "\n".join(f"{key} = {value}" for key, value in arrays.items())
    rest = "\n[flow]\nn_particles = 3\n[solver]\nt_end = 1.0"
    (a,) = built(config.load(write(inline + rest)))
    (b,) = built(config.load(write('[problem]\nkind = "custom"\nfile = "problem.npz"' + rest)))
    for run in (a, b):
        np.testing.assert_array_equal(run.energy.mdp.transition.to_dense(), arrays["transition"])
        np.testing.assert_array_equal(run.energy.mdp.actions.nodes, [[0.1], [0.7]])
        np.testing.assert_array_equal(run.energy.mdp.actions.weights, [0.3, 0.7])
        np.testing.assert_array_equal(run.energy.mdp.states.nodes, arrays["states"])
        np.testing.assert_array_equal(run.energy.mdp.initial, [0.25, 0.75])
    np.testing.assert_array_equal(a.energy.optimum.log_policy, b.energy.optimum.log_policy)


def test_provenance_holds_the_settings_but_no_large_array(write, tmp_path):
    np.savez(tmp_path / "problem.npz", reward=np.ones((1, 3)))
    rest = "discount = 0\ntemperature = 1.0\n[flow]\nn_particles = 3\n[solver]\nt_end = 1.0"
    (small,) = built(config.load(write(BANDIT)))
    (large,) = built(config.load(write(f'[problem]\nkind = "custom"\nreward = [{[1.0] * 100}]\n{rest}')))
    (filed,) = built(config.load(write(f'[problem]\nkind = "custom"\nfile = "problem.npz"\n{rest}')))
    assert small.provenance()["config"]["problem"]["reward"] == [[1.0, 0.5, 0.25]]
    assert small.provenance()["seed"] == 0
    assert re.fullmatch(r"array of shape \(1, 100\), sha256 [0-9a-f]{64}", large.provenance()["config"]["problem"]["reward"])
    assert len(filed.provenance()["config"]["problem"]["file_sha256"]) == 64


def test_what_is_recorded_is_as_asked(write):
    asked = ([], ["record={spacing='linear', frames=3}"], ["record={spacing='geometric', frames=4, first=0.01}"])
    steps, linear, geometric = (built(config.load(write(BANDIT), changes))[0].schedule for changes in asked)
    assert steps.due(0.0, 1.0) is None
    np.testing.assert_allclose(linear.due(0.0, 1.0), [0.0, 0.5, 1.0])
    np.testing.assert_allclose(geometric.due(0.0, 1.0), [0.0, 0.01, 0.1, 1.0])


# --- what is refused: file, key, value, what is allowed


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("fig1x", ["no experiment is called 'fig1x'", "did you mean", "'fig1'", "fig1a_euler", ".toml"]),
        ("nowhere.toml", ["nowhere.toml", "No such file"]),
        (".", ["no experiment is called '.'"]),
    ],
)
def test_unknown_experiments(target, words):
    message = refusal(lambda: config.load(target))
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["is empty", "[problem]"]),
        ("# nothing but this\n", ["is empty"]),
        ("seeds = [", ["own.toml: is not TOML"]),
        ('include = ["fig1a"]\nseeds = [1]', ["seeds", "no key", "allowed: title, include"]),
        ("include = []", ["include", "at least 1 item"]),
        ('include = ["fig1a", "fig1a"]', ["include must name different experiments", "fig1a, fig1a"]),
        ('include = ["fig1q"]', ["include", "'fig1q'", "did you mean"]),
        ('include = ["fig1"]', ["fig1: include is no key"]),
        ("[problem]\nkind = 'tree'", ["solver is missing"]),
        ("problem = 3\n[solver]\nt_end = 1", ["problem must be a section [problem]; got 3"]),
        ("[problem]\n[solver]\nt_end = 1", ["problem.kind must be one of", "garnet", "got None"]),
    ],
)
def test_broken_files(write, text, words):
    path = write(text)
    message = refusal(lambda: config.load(path))
    assert all(word in message for word in words), message


def test_files_that_are_not_text(tmp_path):
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    assert "UTF-8" in refusal(lambda: config.load(str(tmp_path / "binary.toml")))
    (tmp_path / "folder.toml").mkdir()
    assert "folder.toml: cannot be read" in refusal(lambda: config.load(str(tmp_path / "folder.toml")))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("flow.n_particle=5", ["flow.n_particle is no key", "did you mean 'n_particles'", "allowed: n_particles, activation"]),
        ("flows.n_particles=5", ["flows is no key", "did you mean 'flow'"]),
        ("problem.n_action=5", ["problem.n_action is no key", "did you mean 'n_actions'", "branching"]),
        ("problem.kind=garnett", ["problem.kind must be one of", "got 'garnett'", "did you mean 'garnet'"]),
        ("flow.n_particles=0", ["flow.n_particles must be", "1", "got 0"]),
        ("flow.n_particles=2.5", ["flow.n_particles must be an integer", "got 2.5"]),
        ("flow.n_particles=true", ["flow.n_particles must be an integer", "got True"]),
        ("flow.variance=large", ["flow.variance must be a number", "got 'large'"]),
        ("seeds=[]", ["seeds must have at least 1 item"]),
        ("seeds=[0, -1]", ["seeds[1] must be", "got -1"]),
        ("seeds=[1, 1]", ["seeds must differ", "[1, 1]"]),
        ("seeds=3", ["seeds must be a list", "got 3"]),
        ("solver.t_end=soon", ["solver.t_end must be a number", "got 'soon'"]),
        ("record.spacing=log", ["record.spacing must be", "'steps'", "got 'log'"]),
        ("problem.n_states=four", ["problem.n_states must be an integer", "got 'four'"]),
        ("title.short=x", ["title is not a section"]),
        ("flow.kind=jko", ["flow.kind must be one of particles, grid, langevin", "got 'jko'"]),
        ("flow.kind=gird", ["flow.kind must be one of", "did you mean 'grid'"]),
        ("flow=[1]", ["flow must be a section [flow]; got [1]"]),
        ("problem=3", ["problem must be a section [problem]; got 3"]),
        ("flow.cells=5", ["flow.cells is no key", "allowed: n_particles, activation"]),
        ("flow={kind='grid', n_particles=5}", ["flow.n_particles is no key", "allowed: kind, cells, box"]),
        ("flow", ["--set takes key=value"]),
        ("flow..n=1", ["--set takes key=value"]),
        ("flow.n_particles=[1", ["--set flow.n_particles", "not a TOML value"]),
        ("flow.n_particles=1\nseeds=[2]", ["--set takes one value"]),
    ],
)
def test_settings_of_the_wrong_kind(write, change, words):
    path = write('title = "x"\n' + SMALL)
    message = refusal(lambda: config.load(path, [change]))
    assert all(word in message for word in words), message


def test_several_mistakes_are_counted_and_unknown_keys_come_first(write):
    message = refusal(lambda: config.load(write(SMALL), ["flow.n_particles=0", "flow.colour=red"]))
    assert "flow.colour is no key" in message
    assert message.endswith("(and 1 more)")


@pytest.mark.parametrize(
    ("base", "change", "words"),
    [
        (SMALL, "problem.discount=1.0", ["problem.discount must be", "below 1", "got 1.0"]),
        (SMALL, "problem.discount=nan", ["problem.discount must be", "got nan"]),
        (SMALL, "problem.branching=9", ["problem.branching must be at most", "got 9"]),
        (SMALL, "problem.temperature=-0.1", ["problem.temperature must be", "at least 0", "got -0.1"]),
        (SMALL, "flow.activation=rellu", ["flow.activation must be one of", "tanh", "did you mean 'relu'"]),
        (SMALL, "flow.width=0.5", ["flow.width must be left out", "'relu'"]),
        (SMALL, "flow.variance=-1.0", ["flow.variance must be", "at least 0", "got -1.0"]),
        (SMALL, "flow.n_particles=10_000_000_000_000", ["flow.n_particles must be small enough for", "of memory; got 10000000000000"]),
        (SMALL, "solver.t_end=0.0", ["solver.t_end must be", "above 0", "got 0.0"]),
        (SMALL, "solver.t_end=inf", ["solver.t_end must be", "finite", "got inf"]),
        (SMALL, "solver.rtol=-1.0", ["solver.rtol must be", "got -1.0"]),
        (SMALL, "solver.max_steps=0", ["solver.max_steps must be", "at least 1", "got 0"]),
        (SMALL, "solver.steady=-1.0", ["solver.steady must be", "got -1.0"]),
        (SMALL, "solver.method=rkc3", ["solver.method must be one of", "rkc2", "did you mean 'rkc2'"]),
        (SMALL, "solver.options.steps=5", ["solver.options", "'steps'", "it has"]),
        (SMALL, "solver.options.max_step=-1.0", ["solver.options.max_step must be"]),
        (SMALL, "record.frames=10", ["record.frames", "linear or geometric", "'steps'"]),
        (SMALL, "record={spacing='linear', first=0.1}", ["record.first", "geometric", "'linear'"]),
        (SMALL, "record={spacing='geometric', first=2.0}", ["record.first must be", "at most 1", "got 2.0"]),
        (SMALL, "record.states=some", ["record.states must be one of", "got 'some'"]),
        (SMALL, "record.states=0", ["record.states must be", "at least 1", "got 0"]),
        (BANDIT, "problem.reward=[[1.0, nan, 2.0]]", ["problem.reward must be finite", "nan at [0, 1]"]),
        (BANDIT, "problem.reward=[[1.0], [1.0, 2.0]]", ["problem.reward must be an array"]),
        (BANDIT, "problem.reward=[1.0, 2.0]", ["problem.reward must have shape", "got (2,)"]),
        (BANDIT, "problem.discount=0.5", ["problem.transition must be given"]),
        (BANDIT, "problem.temperature=-0.2", ["problem.temperature must be", "at least 0", "got -0.2"]),
        (BANDIT, "problem.action_weights=[1.0, -1.0, 1.0]", ["problem.action_weights must be above 0", "-1.0 at [1]"]),
        (BANDIT, "problem.action_weights=[1.0, 1.0]", ["problem.action_weights must have shape (3,)", "got (2,)"]),
        (BANDIT, "problem.actions=[0.0, 1.0]", ["problem.actions must have shape (3, any)", "got (2, 1)"]),
        (BANDIT, "problem.initial=[0.5]", ["problem.initial must sum to 1", "got 0.5"]),
        (CHAIN, "problem.transition=[[[0.5, 0.4], [0, 1]], [[1, 0], [0, 1]]]", ["problem.transition must sum to 1", "got 0.9", "action 0"]),
        (CHAIN, "problem.transition=[[[1.5, -0.5], [0, 1]], [[1, 0], [0, 1]]]", ["problem.transition must be at least 0", "got -0.5"]),
        (CHAIN, "problem.transition=[[[1.0]]]", ["problem.transition must have shape (2, 2, 2)", "got (1, 1, 1)"]),
        (CHAIN, "problem.discount=1.0", ["problem.discount must be", "below 1", "got 1.0"]),
        (CHAIN, "problem.states=[0.0]", ["problem.states must have shape (2, any)", "got (1, 1)"]),
        (CHAIN, "problem.file=missing.npz", ["problem.file", "missing.npz", "No such file"]),
        (CHAIN, "problem.file=own.toml", ["problem.file", "own.toml", "numpy.savez"]),
    ],
)
def test_values_that_do_not_fit(write, base, change, words):
    plan = config.load(write(base), [change])
    message = refusal(lambda: built(plan))
    assert all(word in message for word in [plan.parts[0].source, *words]), message


@pytest.mark.parametrize("missing", ["reward", "discount", "temperature"])
def test_own_problems_need_their_numbers(write, missing):
    text = "\n".join(line for line in BANDIT.splitlines() if not line.startswith(missing))
    assert f"problem.{missing} is missing" in refusal(lambda: built(config.load(write(text))))


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"rewards": [[1.0]]}, ["'rewards'", "did you mean 'reward'", "allowed: reward, transition"]),
        ({"discount": 0.5}, ["problem.discount is given twice"]),
        ({"initial": np.array([None])}, ["problem.file", "plain arrays"]),
    ],
)
def test_archives_that_do_not_fit(write, tmp_path, arrays, words):
    np.savez(tmp_path / "problem.npz", **arrays)
    plan = config.load(write(BANDIT), ["problem.file=problem.npz"])
    message = refusal(lambda: built(plan))
    assert all(word in message for word in words), message


def test_one_array_is_no_archive(write, tmp_path):
    np.save(tmp_path / "reward.npy", np.ones((1, 3)))
    assert "numpy.savez" in refusal(lambda: built(config.load(write(BANDIT), ["problem.file=reward.npy"])))


def test_a_problem_without_optimum_is_refused_in_one_line(write, monkeypatch):
    def fail(problem):
        raise RuntimeError("policy iteration stopped")

    monkeypatch.setattr(mdp, "optimum", fail)
    assert "own.toml: seed 0 cannot be built: policy iteration" in refusal(lambda: built(config.load(write(BANDIT))))


def test_parts_are_frozen(write):
    part = config.load(write(SMALL)).parts[0]
    with pytest.raises(ValueError, match="frozen"):
        part.settings.flow.n_particles = 3
    assert replace(part, name="other").name == "other"
