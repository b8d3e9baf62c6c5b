"""The MDP object: defaults, checks, immutability."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest
from scipy import sparse

from wflow.mdp import MDP, agazzi_lu_grid, evaluate
from wflow.spaces import Space

GOOD = {"reward": np.zeros((2, 3)), "transition": np.full((2, 3, 2), 0.5), "discount": 0.9, "temperature": 0.1}


def test_defaults():
    mdp = MDP(**GOOD)
    assert (mdp.n_states, mdp.n_actions) == (2, 3)
    np.testing.assert_array_equal(mdp.initial, [0.5, 0.5])
    np.testing.assert_array_equal(mdp.actions.weights, np.ones(3))
    assert mdp.states.size == 2
    assert repr(mdp) == "MDP(2 states, 3 actions, discount 0.9, temperature 0.1, DenseTransition)"


def test_bandit_needs_no_transition():
    mdp = MDP(reward=[[1.0, 2.0]], transition=None, discount=0.0, temperature=0.0)
    assert mdp.states.dimension == 0
    np.testing.assert_array_equal(mdp.transition.to_dense(), np.ones((1, 2, 1)))


@pytest.mark.parametrize(("change", "error", "message"), [
    ({"reward": [[0.0, np.nan, 0.0], [0.0, 0.0, 0.0]]}, ValueError, r"reward must be finite; got nan at \[0, 1\]"),
    ({"reward": np.zeros(3)}, ValueError, r"reward must have shape \(any, any\); got \(3,\)"),
    ({"reward": np.zeros((0, 3))}, ValueError, r"reward must have at least one state and one action"),
    ({"reward": "free"}, TypeError, r"reward must be an array of real numbers"),
    ({"transition": np.full((2, 3, 2), 0.4)}, ValueError, r"transition must sum to 1 .* got 0\.8 at state 0, action 0"),
    ({"transition": np.full((2, 2, 2), 0.5)}, ValueError, r"transition must have shape \(2, 3, 2\) to fit reward .*got \(2, 2, 2\)"),
    ({"transition": sparse.csr_array(np.full((4, 2), 0.5))}, ValueError, r"transition must have shape \(2, 3, 2\) to fit reward"),
    ({"transition": None}, ValueError, r"transition must be given unless there is one state and discount 0; got 2 states, discount 0\.9"),
    ({"discount": 1.0}, ValueError, r"discount must be a finite number .*at least 0 and below 1; got 1\.0"),
    ({"discount": -0.1}, ValueError, r"discount must be"),
    ({"discount": "high"}, TypeError, r"discount must be"),
    ({"temperature": -0.2}, ValueError, r"temperature must be a finite number .*at least 0; got -0\.2"),
    ({"temperature": np.nan}, ValueError, r"temperature must be"),
    ({"initial": [0.5, 0.6]}, ValueError, r"initial must sum to 1; got 1\.1"),
    ({"initial": [1.5, -0.5]}, ValueError, r"initial must be at least 0; got -0\.5 at \[1\]"),
    ({"initial": [1.0]}, ValueError, r"initial must have shape \(2,\); got \(1,\)"),
    ({"states": Space.finite(3)}, ValueError, r"states must have 2 nodes, one for each row of reward; got 3"),
    ({"actions": Space.finite(2)}, ValueError, r"actions must have 3 nodes, one for each column of reward; got 2"),
    ({"actions": [1.0, 1.0, 1.0]}, TypeError, r"actions must be a wflow\.spaces\.Space; got list"),
])  # fmt: skip
def test_every_error_names_its_argument(change, error, message):
    with pytest.raises(error, match=message):
        MDP(**{**GOOD, **change})


def test_a_repeated_bandit_needs_its_transition():
    with pytest.raises(ValueError, match=r"transition must be given .* got 1 states, discount 0\.5"):
        MDP(reward=[[1.0, 2.0]], transition=None, discount=0.5, temperature=0.0)


def test_negative_action_weights_are_refused_by_the_space():
    with pytest.raises(ValueError, match=r"weights must be above 0; got -1\.0 at \[1\]"):
        MDP(**GOOD, actions=Space.finite(3, [1.0, -1.0, 1.0]))


def test_frozen_replaced_pickled():
    mdp = agazzi_lu_grid(n_states=5, n_actions=4)
    with pytest.raises(dataclasses.FrozenInstanceError):
        mdp.discount = 0.5
    cold = dataclasses.replace(mdp, temperature=0.0)
    assert (cold.temperature, cold.discount) == (0.0, mdp.discount)
    assert cold.transition is mdp.transition
    uniform = np.zeros((5, 4))
    assert evaluate(pickle.loads(pickle.dumps(mdp)), uniform).objective == evaluate(mdp, uniform).objective


def test_no_temperature_that_rewards_cannot_be_divided_by():
    for temperature in (0.0, 1e-100):
        assert MDP(reward=[[1.0]], transition=None, discount=0.0, temperature=temperature).temperature == temperature
    with pytest.raises(ValueError, match=r"^temperature must be at least 1e-100; got 1e-320$"):
        MDP(reward=[[1.0]], transition=None, discount=0.0, temperature=1e-320)
