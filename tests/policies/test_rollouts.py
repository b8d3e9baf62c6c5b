"""Sampled trajectories against exact occupancies, laws and truncated returns."""

from __future__ import annotations

import numpy as np
import pytest
from policies.random_mdps import KINDS, random_mdp, random_policy

from wflow.mdp import MDP, StructuredTransition, Transition, chain, garnet
from wflow.policies.rollouts import Rollouts, Sampler, horizon_for, tail_mass

POINTS = 4.0  # standard errors; one check in 16,000 would fail by chance, and the seeds are fixed


def step_laws(mdp, log_policy, horizon):
    """P(s_t = i) for t < horizon, (horizon, n_s), by repeated multiplication."""
    p = mdp.actions.weights * np.exp(log_policy)
    P = np.einsum("ij,ijk->ik", p, mdp.transition.to_dense())
    laws = [mdp.initial]
    for _ in range(horizon - 1):
        laws.append(laws[-1] @ P)
    return np.array(laws), p


@pytest.mark.parametrize("kind", KINDS)
def test_frequencies_are_the_laws_of_every_step(kind):
    mdp = random_mdp(1, kind, unreachable=True)
    log_policy, n, horizon = random_policy(mdp, 2), 20_000, 4
    walks = Sampler(mdp).draw(log_policy, n, horizon, np.random.default_rng(3))
    laws, p = step_laws(mdp, log_policy, horizon)
    for t in range(horizon):
        exact = laws[t][:, None] * p
        seen = np.zeros_like(exact)
        np.add.at(seen, (walks.states[:, t], walks.actions[:, t]), 1.0 / n)
        error = np.sqrt(exact * (1.0 - exact) / n)
        assert (np.abs(seen - exact) <= POINTS * error + 1e-15).all()  # 1e-15: an exact 0 is never seen
    joint = np.zeros((4, 3, 4))  # (s_0, a_0, s_1)
    np.add.at(joint, (walks.states[:, 0], walks.actions[:, 0], walks.states[:, 1]), 1.0 / n)
    exact = laws[0][:, None, None] * p[:, :, None] * mdp.transition.to_dense()
    assert (np.abs(joint - exact) <= POINTS * np.sqrt(exact * (1.0 - exact) / n) + 1e-15).all()


@pytest.mark.parametrize(("kind", "temperature"), [("dense", 0.0), ("sparse", 0.7), ("structured", 0.3)])
def test_discounted_visits_are_the_occupancy(kind, temperature):
    mdp = random_mdp(4, kind, temperature=temperature)
    log_policy, n, horizon = random_policy(mdp, 5), 400, 40
    laws, p = step_laws(mdp, log_policy, horizon)
    powers = mdp.discount ** np.arange(horizon)
    sampler, rng = Sampler(mdp), np.random.default_rng(6)
    batches = np.array([sampler.draw(log_policy, n, horizon, rng).pair_sums()[0] for _ in range(60)])
    error = batches.std(axis=0, ddof=1) / np.sqrt(len(batches))
    assert (np.abs(batches.mean(axis=0) - (powers @ laws)[:, None] * p) <= POINTS * error).all()
    assert batches.sum(axis=(1, 2)) == pytest.approx((1.0 - mdp.discount**horizon) / (1.0 - mdp.discount), rel=1e-12)


def test_sums_by_loops():
    """Rewards to go and pair sums of given walks, term by term."""
    rng = np.random.default_rng(0)
    states, actions, rewards = rng.integers(0, 3, (5, 7)), rng.integers(0, 2, (5, 7)), rng.standard_normal((5, 7))
    walks, baseline, gamma = Rollouts(states, actions, rewards, (3, 2), 0.6), rng.standard_normal(3), 0.6
    visits, earned = np.zeros((3, 2)), np.zeros((3, 2))
    for e in range(5):
        for t in range(7):
            to_go = sum(gamma ** (k - t) * rewards[e, k] for k in range(t, 7))
            assert walks.rewards_to_go()[e, t] == pytest.approx(to_go, rel=1e-13)
            visits[states[e, t], actions[e, t]] += gamma**t / 5
            earned[states[e, t], actions[e, t]] += gamma**t * (to_go - baseline[states[e, t]]) / 5
    for found, expected in zip(walks.pair_sums(baseline), (visits, earned), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


def test_rewards_are_regularised():
    mdp = random_mdp(7, temperature=0.4)
    log_policy = random_policy(mdp, 8)
    walks = Sampler(mdp).draw(log_policy, 50, 5, np.random.default_rng(0))
    regularised = mdp.reward - 0.4 * log_policy
    np.testing.assert_array_equal(walks.rewards, regularised[walks.states, walks.actions])


def test_a_seed_is_a_bundle_of_walks():
    mdp = garnet(20, 3, 4)
    log_policy = random_policy(mdp, 0)
    first, again, other = (Sampler(mdp).draw(log_policy, 30, 9, np.random.default_rng(s)) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.states, again.states)
    np.testing.assert_array_equal(first.actions, again.actions)
    assert (first.states != other.states).any()


def test_deterministic_walks():
    """A chain whose policy always moves right arrives after H + 1 steps and stays; actions without mass are never taken."""
    mdp = chain(5)
    log_policy = np.full((7, 4), -np.inf)
    log_policy[:, 0] = 0.0
    walks = Sampler(mdp).draw(log_policy, 3, 9, np.random.default_rng(0))
    np.testing.assert_array_equal(walks.states, [[0, 1, 2, 3, 4, 5, 6, 6, 6]] * 3)
    np.testing.assert_array_equal(walks.actions, 0)


class Extremes(np.random.Generator):
    """A generator of the largest uniform below 1: rounding must not lead out of a row."""

    def __init__(self):
        super().__init__(np.random.PCG64(0))

    def random(self, size):
        return np.full(size, 1.0 - 2.0**-53)


@pytest.mark.parametrize("mixing", [0.0, 0.1, 1.0 - 2.0**-53, 1.0])
def test_the_largest_uniform_stays_inside(mixing):
    law = np.array([0.3, 0.7, 0.0])
    mdp = MDP(reward=np.zeros((3, 2)), transition=StructuredTransition(np.array([[0, 1], [1, 0], [2, 2]]), law, mixing),
              discount=0.5, temperature=0.0, initial=law)  # fmt: skip
    log_policy = np.log(np.array([[1.0, 1e-320], [1.0, 1e-320], [0.5, 0.5]]))
    walks = Sampler(mdp).draw(log_policy, 2, 3, Extremes())
    assert walks.states.min() >= 0
    assert walks.states.max() <= 1  # state 2 has no mass in the law and is no target of the others
    assert set(np.unique(walks.actions)) <= {0, 1}


def test_a_users_own_transition():
    class Stay(Transition):
        shape = (3, 2, 3)

        def expect(self, values):
            return np.repeat(values[:, None], 2, axis=1)

        def policy_matrix(self, weighted_policy):
            return np.diag(weighted_policy.sum(axis=1))

    mdp = MDP(reward=np.zeros((3, 2)), transition=Stay(), discount=0.5, temperature=0.0)
    walks = Sampler(mdp).draw(np.full((3, 2), -np.log(2.0)), 20, 4, np.random.default_rng(0))
    assert (walks.states == walks.states[:, :1]).all()


@pytest.mark.parametrize("gamma", [0.0, 0.3, 0.9, 0.99])
@pytest.mark.parametrize("horizon", [1, 7, 50])
def test_tail_mass_is_its_series(gamma, horizon):
    k = np.arange(horizon, horizon + 6000)
    assert tail_mass(gamma, horizon) == pytest.approx(((k + 1.0) * gamma**k).sum(), rel=1e-11, abs=1e-300)


def test_horizon():
    assert (horizon_for(0.0), horizon_for(0.5), horizon_for(0.9)) == (1, 10, 66)
    assert 0.99 ** horizon_for(0.99) <= 1e-3 < 0.99 ** (horizon_for(0.99) - 1)


@pytest.mark.parametrize(("arguments", "message"), [
    ((np.zeros((2, 2)), 1, 1), r"log_policy must have shape \(4, 3\)"),
    ((None, 0, 1), "n_trajectories must be an integer of at least 1; got 0"),
    ((None, 1, 0), "horizon must be an integer of at least 1; got 0"),
    ((None, 10**12, 10**6), "n_trajectories must be small enough"),
])  # fmt: skip
def test_errors(arguments, message):
    mdp = random_mdp(0)
    log_policy, *rest = arguments
    with pytest.raises(ValueError, match=message):
        Sampler(mdp).draw(random_policy(mdp, 0) if log_policy is None else log_policy, *rest, np.random.default_rng(0))
