"""What a study is run on: problems that come with it and one's own, what is known of them, and what is refused."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from toys import studies

from wflow.energies import PolicyValue, QuadraticInteraction
from wflow.measures import ParticleMeasure, laws
from wflow.studies.chaos import BUILT_IN, Constants, Problem, built_in


@pytest.mark.parametrize(("group", "activation", "outside"), [
    ("bandit", "tanh", False), ("bandit", "relu", True), ("bandit", "gaussian", False), ("grid", "sigmoid", False), ("grid", "relu", True),
])  # fmt: skip
def test_policy_problems(group, activation, outside):
    problem = built_in(group, activation)
    assert (problem.name, problem.group) == (f"{group} {activation}", group)
    assert problem.outside == ("outside Assumption 1" if outside else "")
    energy, law = problem.build()
    assert isinstance(energy, PolicyValue)
    assert energy.network.activation.name == activation
    assert law.dimension == energy.n_parameters
    start = law.sample(5, 0).points
    assert not start[:, 0].any()  # ω0 = 0
    assert energy.mdp.states.size == (1 if group == "bandit" else 40)


def test_teachers_differ_by_seed():
    one, other = (built_in("bandit", "tanh", seed=seed).build()[0].mdp.reward for seed in (0, 1))
    assert np.abs(one - other).max() > 0.1


def test_the_names_that_come_with_it():
    assert {name.split()[0] for name in BUILT_IN} == {"bandit", "grid", "linear"}
    for name in BUILT_IN:
        group, _, activation = name.partition(" ")
        assert built_in(group, activation).name == name
    with pytest.raises(ValueError, match=r"^group must be one of bandit, grid, linear; got 'bandits' \(did you mean 'bandit'\?\)$"):
        built_in("bandits", "tanh")


def test_built_once_and_sent_anywhere():
    problem = built_in("bandit", "tanh")
    again = pickle.loads(pickle.dumps(problem))
    assert again == problem
    assert hash(again) == hash(problem)
    assert again.build()[0] is problem.build()[0]
    assert built_in("bandit", "tanh", seed=1).build()[0] is not problem.build()[0]


def test_what_is_known_exactly():
    problem = built_in("linear")
    energy, law = problem.build()
    assert isinstance(energy, QuadraticInteraction)
    times, sizes = np.array([0.2, 1.0, 3.0]), (16, 50)
    known, exact = Constants(energy, law), problem.exact(times, sizes)
    assert set(exact) == {"coupling", "function", "energy_sd", "energy_bias", "w2_difference"}
    for i, n in enumerate(sizes):
        for j, t in enumerate(times):
            assert known.coupling(n, t) <= exact["coupling"][i, j] <= known.largest_coupling(n, t) * (1.0 + 1e-12)
            assert exact["function"][i, j] == known.function(n, t)
            assert exact["energy_sd"][i, j] == np.sqrt(known.energy_variance(n, t))
            assert exact["energy_bias"][i, j] == known.energy_bias(n, t)
            assert exact["w2_difference"][i, j] == known.paired_difference(n, t)
    assert built_in("bandit", "tanh").exact(times, sizes) == {}
    assert Problem("own", studies.skew, 1.0).exact(times, sizes)["function"].shape == (2, 3)


def test_values_of_built_in_problems_are_linear_in_the_measure():
    for problem in (built_in("bandit", "tanh"), built_in("linear"), Problem("wave", studies.wave, 1.0)):
        energy, law = problem.build()
        one, other = law.sample(4, 0), law.sample(6, 1)
        mixed = ParticleMeasure(np.vstack([one.points, other.points]), np.concatenate([0.3 * one.weights, 0.7 * other.weights]))
        expected = 0.3 * energy.function_values(one) + 0.7 * energy.function_values(other)
        np.testing.assert_allclose(energy.function_values(mixed), expected, atol=1e-13)


@pytest.mark.parametrize(("change", "error", "message"), [
    ({"name": ""}, ValueError, "^name must be some text without '/'; got ''$"),
    ({"name": "a/b"}, ValueError, "^name must be some text without '/'; got 'a/b'$"),
    ({"name": None}, ValueError, "^name must be some text without '/'; got None$"),
    ({"make": 3}, TypeError, "^make must be callable; got 3$"),
    ({"horizon": 0.0}, ValueError, "^horizon must be a finite number above 0; got 0.0$"),
    ({"horizon": np.inf}, ValueError, "^horizon must be a finite number above 0; got inf$"),
    ({"horizon": "long"}, TypeError, "^horizon must be a finite number above 0; got 'long'$"),
    ({"group": 1}, TypeError, "^group and outside must be text; got "),
    ({"outside": None}, TypeError, "^group and outside must be text; got "),
])  # fmt: skip
def test_refuses(change, error, message):
    with pytest.raises(error, match=message):
        Problem(**{"name": "own", "make": studies.wave, "horizon": 1.0, **change})


@pytest.mark.parametrize(("make", "message"), [
    (studies.broken, r"^make of problem own must return \(energy, law\); got 'nothing'$"),
    (studies.half_done, "^the energy of problem own must have a method function_values; got "),
    (studies.lawless, "^law must be a wflow.measures.laws.Product; got "),
])  # fmt: skip
def test_problems_that_cannot_be_built(make, message):
    with pytest.raises(TypeError, match=message):
        Problem("own", make, 1.0).build()


def test_arguments_are_given_to_make(tmp_path):
    energy, law = Problem("own", studies.fragile, 1.0, (("flag", str(tmp_path)),)).build()
    assert energy.flag == tmp_path
    assert isinstance(law, laws.Product)
