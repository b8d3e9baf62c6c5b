"""Which parts a study has: problems by name, sizes, times and tasks, and what is refused before any work."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from toys import support as toys

from wflow.energies import PolicyValue
from wflow.energies.domains import Box, Sphere
from wflow.studies.support import BUILT_IN, SEEDS, Problem, built_in
from wflow.studies.support.plan import Task, plan

OWN = Problem("own", toys.bandit, 8.0)


def test_default():
    study = plan()
    assert tuple(problem.name for problem in study.problems) == BUILT_IN
    assert {name.split()[0] for name in BUILT_IN} == {"bandit", "grid"}
    domains = [problem.build()[0].domain for problem in study.problems]
    assert any(isinstance(domain, Box) for domain in domains)
    assert {domain.dimension for domain in domains if isinstance(domain, Sphere)} == {2, 3}  # the circle and S²
    assert {problem.outside for problem in study.problems} == {"", "outside Assumption 1"}


def test_quick_is_less_and_gives_way():
    full, quick = plan(), plan(quick=True)
    assert set(quick.problems) < set(full.problems)
    assert quick.size < full.size
    assert set(quick.nodes) < set(full.nodes)
    own = plan(OWN, quick=True, size=99)
    assert (own.problems, own.size) == ((OWN,), 99)


@pytest.mark.parametrize("given", ["bandit relu", ["bandit relu"], ("bandit relu 97",), built_in("bandit", "relu"),
                                   [built_in("bandit", "relu", seed=97)]])  # fmt: skip
def test_problems_by_name_or_themselves(given):
    assert plan(given).problems == (built_in("bandit", "relu"),)


@pytest.mark.parametrize("name", [*BUILT_IN, "bandit softplus 3", "grid relu 4", "grid rbf"])
def test_names_say_what_is_built(name):
    """Two problems that differ have names that do."""
    problem, = plan(name).problems
    assert problem.name == name
    assert plan(problem.name).problems == (problem,)
    energy, law = problem.build()
    assert isinstance(energy, PolicyValue)
    assert energy.network.activation.name == name.split()[1]
    assert law.dimension == energy.n_parameters
    assert problem.outside == ("outside Assumption 1" if name.split()[1] in ("relu", "softplus") else "")
    assert problem.bound == (1e-5 if name.startswith("bandit") else 0.0)


def test_teachers_differ_by_seed():
    rewards = [built_in(group, "relu", seed=seed).build()[0].mdp.reward for group in ("bandit", "grid") for seed in (0, 1)]
    for one, other in (rewards[:2], rewards[2:]):
        assert np.abs(one - other).max() > 0.1
    assert built_in("bandit", "relu") == built_in("bandit", "relu", seed=SEEDS[0])


def test_tasks():
    study = plan(["bandit relu", "bandit tanh", "grid relu"], seed=5)
    for problem in study.problems:
        tasks = study.tasks(problem)
        assert [task.part for task in tasks[:3]] == ["flow", "surface", "escape"]
        assert {(task.size, task.seed, task.quick) for task in tasks[:3]} == {(4096, 5, False)}
        tears = tasks[3:]
        assert {task.part for task in tears} <= {"tear"}
        nodes = [dict(task.problem.arguments)["n_actions"] for task in tears]
        assert nodes == (list(study.nodes) if problem.name == "bandit relu 97" else [])
        for task in tears:
            assert task.problem.build()[0].mdp.actions.size == dict(task.problem.arguments)["n_actions"]
            assert (task.problem.name, task.problem.nodes) == (problem.name, problem.nodes)
    pickle.dumps(study.tasks(study.problems[0]))


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("horizon", [1e-3, 0.7, 8.0, 1e3, 333.3])
def test_times(quick, horizon):
    task = Task(Problem("own", toys.bandit, horizon), "flow", 64, 0, quick)
    times, longer = task.times, task.long_times
    assert times[0] == longer[0] == 0.0
    assert times[-1] == horizon
    assert longer[-1] == pytest.approx(horizon * (10 if quick else 100), rel=1e-12)
    np.testing.assert_allclose(np.diff(np.log10(times[1:])), 0.25, rtol=1e-9)
    np.testing.assert_allclose(longer[: len(times)], times, rtol=1e-12)
    at = np.searchsorted(longer, times[-1])  # as the table looks it up
    assert longer[at] == pytest.approx(horizon, rel=1e-9)


def test_starts_have_their_own_numbers():
    task, other = (Task(OWN, part, 64, 3, False) for part in ("flow", "surface"))
    draws = [task.generator(k).random() for k in range(10)]
    assert len(set(draws)) == 10
    assert draws == [other.generator(k).random() for k in range(10)]
    assert Task(OWN, "flow", 64, 4, False).generator(0).random() != draws[0]


def test_description_is_plain_and_tells_studies_apart():
    arguments = [
        {}, {"problems": ["grid relu"]}, {"problems": ["grid relu 1"]}, {"size": 64}, {"seed": 1}, {"quick": True}, {"problems": [OWN]},
        {"problems": [Problem("own", toys.bandit, 9.0)]}, {"problems": [Problem("own", toys.grid, 8.0)]},
        {"problems": [Problem("own", toys.bandit, 8.0, (("seed", 5),))]}, {"problems": [Problem("own", toys.bandit, 8.0, bound=1.0)]},
        {"problems": [Problem("own", toys.bandit, 8.0, nodes="n_actions")]},
    ]  # fmt: skip
    texts = [json.dumps(plan(**options).describe(), sort_keys=True) for options in arguments]
    assert len(set(texts)) == len(texts)
    assert texts == [json.dumps(plan(**options).describe(), sort_keys=True) for options in arguments]


@pytest.mark.parametrize(("options", "error", "message"), [
    ({"problems": []}, ValueError, "^problems must be one or more; got none$"),
    ({"problems": [3]}, TypeError, r"^problems must be names or wflow\.studies\.support\.Problem; got 3$"),
    ({"problems": 3}, TypeError, "^problems must be names"),
    ({"problems": ["gird relu"]}, ValueError, r"^problem must be one of .*; got 'gird relu' \(did you mean 'grid relu'\?\)$"),
    ({"problems": ["bandit"]}, ValueError, "^problem must be one of .*; got 'bandit'"),
    ({"problems": [""]}, ValueError, "^problem must be one of .*; got ''"),
    ({"problems": ["bandit tanh seven"]}, ValueError, r"^problem must be one of .*; got 'bandit tanh seven'"),
    ({"problems": ["bandit tanh -1"]}, ValueError, r"^problem must be one of .*; got 'bandit tanh -1'"),
    ({"problems": ["bandit tanh ²"]}, ValueError, r"^problem must be one of .*; got 'bandit tanh ²'"),
    ({"problems": ["bandit tan"]}, ValueError, r"^activation must be one of .* \(did you mean 'tanh'\?\)$"),
    ({"problems": ["grid relu", "grid relu"]}, ValueError, "^problems must have different names; got grid relu, grid relu$"),
    ({"problems": ["bandit relu", "bandit relu 97"]}, ValueError, "^problems must have different names"),
    ({"problems": [OWN, Problem("own", toys.grid, 1.0)]}, ValueError, "^problems must have different names; got own, own$"),
    ({"size": 63}, ValueError, "^size must be an integer of at least 64; got 63$"),
    ({"size": 64.0}, TypeError, r"^size must be an integer of at least 64; got 64\.0$"),
    ({"size": 10**10}, ValueError, "^size must be small enough for .* GB of memory; got 10000000000$"),
    ({"seed": -1}, ValueError, "^seed must be an integer of at least 0; got -1$"),
    ({"seed": None}, TypeError, "^seed must be an integer of at least 0; got None$"),
])  # fmt: skip
def test_refuses(options, error, message):
    with pytest.raises(error, match=message):
        plan(**options)


@pytest.mark.parametrize(("change", "error", "message"), [
    ({"nodes": 3}, TypeError, "^nodes must be the name of an argument; got 3$"),
    ({"bound": -1.0}, ValueError, r"^bound must be a finite number at least 0; got -1\.0$"),
    ({"bound": "small"}, TypeError, "^bound must be a finite number at least 0; got 'small'$"),
    ({"horizon": 0.0}, ValueError, r"^horizon must be a finite number above 0; got 0\.0$"),
    ({"name": "a/b"}, ValueError, "^name must be some text without '/'; got 'a/b'$"),
])  # fmt: skip
def test_problems_that_are_refused(change, error, message):
    with pytest.raises(error, match=message):
        Problem(**{"name": "own", "make": toys.bandit, "horizon": 1.0, **change})


def test_energies_that_lack_something():
    with pytest.raises(TypeError, match=r"^the energy of problem own must have domain, as PolicyValue has; got "):
        Problem("own", toys.half, 1.0).build()
    with pytest.raises(TypeError, match=r"^the energy of problem own must have a method evaluate; got "):
        Problem("own", toys.wave, 1.0).build()
    with pytest.raises(ValueError, match=r"^group must be one of bandit, grid; got 'linear'"):
        built_in("linear", "tanh")
    energy, law = OWN.build()
    assert OWN.build()[0] is energy
    assert law.dimension == energy.n_parameters
