"""Mass and advantage, exact and from samples, and the law that is ascended from."""

from __future__ import annotations

import numpy as np
import pytest
from policies.random_mdps import KINDS, random_mdp, random_policy

from wflow.mdp import MDP, evaluate
from wflow.policies.base import Oracle, Setting
from wflow.policies.estimates import Estimator


def estimator(mdp, start=None, **oracle):
    chosen = Oracle("sampled", **oracle) if oracle else Oracle()
    return Estimator(Setting(mdp, 1, None, random_policy(mdp, 0), start, chosen, np.random.default_rng(chosen.seed)))


@pytest.mark.parametrize("kind", KINDS)
def test_exact(kind):
    mdp, start = random_mdp(1, kind, temperature=0.2), np.array([0.0, 0.5, 0.5, 0.0])
    evaluation = evaluate(mdp, random_policy(mdp, 2))
    p = mdp.actions.weights * evaluation.policy
    P = np.einsum("ij,ijk->ik", p, mdp.transition.to_dense())
    for law in (None, start):
        found = estimator(mdp, law)(evaluation)
        occupancy = np.linalg.solve(np.eye(4) - mdp.discount * P.T, mdp.initial if law is None else law)
        np.testing.assert_allclose(found.mass, occupancy[:, None] * p, rtol=1e-12)
        np.testing.assert_array_equal(found.advantage, evaluation.advantage)
        np.testing.assert_allclose(found.signal, occupancy[:, None] * p * evaluation.advantage, rtol=1e-11)


@pytest.mark.parametrize(("kind", "temperature"), [("dense", 0.0), ("sparse", 0.3), ("structured", 0.3)])
def test_samples_tend_to_the_exact_estimate(kind, temperature):
    """Errors of many batches' means are within four standard errors, and quotients' biases (of order 1/n) below them."""
    mdp = random_mdp(3, kind, temperature=temperature)
    evaluation = evaluate(mdp, random_policy(mdp, 1))
    exact, draw = estimator(mdp)(evaluation), estimator(mdp, trajectories=4000, horizon=80)
    found = [draw(evaluation) for _ in range(30)]
    for name in ("mass", "advantage", "p"):
        batches = np.array([getattr(e, name) for e in found])
        error = batches.std(axis=0, ddof=1) / np.sqrt(len(found))
        assert (np.abs(batches.mean(axis=0) - getattr(exact, name)) <= 4.0 * error).all()
    for estimate in found:
        np.testing.assert_allclose((estimate.p * estimate.advantage).sum(axis=1), 0.0, atol=1e-12)
        np.testing.assert_allclose(estimate.p.sum(axis=1), 1.0, rtol=1e-12)


def test_what_was_not_met():
    """A state out of reach keeps its exact probabilities; its pairs have neither mass nor advantage."""
    mdp = random_mdp(4, unreachable=True)
    evaluation = evaluate(mdp, random_policy(mdp, 1))
    found = estimator(mdp, trajectories=3, horizon=2)(evaluation)
    np.testing.assert_array_equal(found.mass[-1], 0.0)
    np.testing.assert_array_equal(found.advantage[-1], 0.0)
    np.testing.assert_allclose(found.p[-1], mdp.actions.weights * evaluation.policy[-1])


def test_horizons():
    mdp = random_mdp(0, discount=0.5)
    assert estimator(mdp, trajectories=1).horizon == 10
    assert estimator(mdp, trajectories=1, horizon=3).horizon == 3


def test_a_constant_reward_has_no_truncation_bias():
    mdp = MDP(reward=np.ones((2, 2)), transition=np.full((2, 2, 2), 0.5), discount=0.9, temperature=0.0)
    uniform = evaluate(mdp, np.full((2, 2), -np.log(2.0)))
    assert estimator(mdp, trajectories=1, horizon=1).truncation_bias(uniform, 1.0) == 0.0
