"""Gymnasium's tables as MDPs: dynamic programming and sampled play of the environments themselves are the oracles."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from wflow.mdp import evaluate, from_gymnasium, optimum

toy_text = pytest.importorskip("gymnasium.envs.toy_text")


def value_iteration(env, discount):
    """Optimal values by loops over the table; nothing is earned after a terminating transition."""
    value = np.zeros(len(env.P))
    for _ in range(10_000):
        best = np.array([
            max(sum(p * (r + (0.0 if over else discount * value[k])) for p, k, r, over in env.P[i][j]) for j in env.P[i])
            for i in range(len(value))
        ])  # fmt: skip
        if np.abs(best - value).max() < 1e-15:
            break
        value = best
    return best


def make(name):
    """Made directly: registered versions come and go with Gymnasium's releases."""
    return {
        "FrozenLake": toy_text.frozen_lake.FrozenLakeEnv,
        "FrozenLake 8x8": lambda: toy_text.frozen_lake.FrozenLakeEnv(map_name="8x8"),
        "CliffWalking": toy_text.cliffwalking.CliffWalkingEnv,
        "Taxi": toy_text.taxi.TaxiEnv,
    }[name]()


@pytest.mark.parametrize(("name", "discount"), [("FrozenLake", 0.95), ("FrozenLake 8x8", 0.9), ("CliffWalking", 0.9), ("Taxi", 0.8)])
def test_optimum_is_that_of_value_iteration(name, discount):
    env = make(name)
    mdp = from_gymnasium(env, discount=discount)
    expected = value_iteration(env, discount)
    living = reachable(env)
    np.testing.assert_allclose(optimum(mdp).value[living], expected[living], rtol=0, atol=1e-12)
    assert optimum(mdp).objective == pytest.approx(env.initial_state_distrib @ expected, abs=1e-12)


def reachable(env):
    """States met before the end of an episode."""
    seen = set(np.flatnonzero(env.initial_state_distrib))
    todo = list(seen)
    while todo:
        i = todo.pop()
        for j in env.P[i]:
            new = {int(k) for p, k, _, over in env.P[i][j] if p > 0 and not over} - seen
            seen |= new
            todo += new
    return sorted(seen)


def test_uniform_play_earns_what_the_mdp_says():
    """FrozenLake as Gymnasium plays it, against the exact value: an oracle that reads no table."""
    env = toy_text.frozen_lake.FrozenLakeEnv()
    mdp = from_gymnasium(env, discount=0.9)
    exact = evaluate(mdp, np.full((16, 4), -np.log(4.0))).objective
    rng, earned = np.random.default_rng(0), []
    env.reset(seed=1)
    for _ in range(3000):
        env.reset()
        total, weight, over = 0.0, 1.0, False
        while not over:
            _, reward, over, _, _ = env.step(int(rng.integers(4)))
            total += weight * reward
            weight *= 0.9
        earned.append(total)
    assert abs(np.mean(earned) - exact) < 4.0 * np.std(earned) / np.sqrt(len(earned))


def test_ends_are_absorbing_and_pay_nothing():
    mdp = from_gymnasium(make("CliffWalking"))
    goal = 47
    np.testing.assert_array_equal(mdp.reward[goal], 0.0)
    np.testing.assert_array_equal(mdp.transition.to_dense()[goal, :, goal], 1.0)
    assert mdp.initial[36] == 1.0
    assert mdp.reward[35].tolist() == [-1.0, -1.0, -1.0, -1.0]
    assert optimum(from_gymnasium(make("CliffWalking"), discount=0.99)).objective == pytest.approx(-(1 - 0.99**13) / 0.01)  # 13 steps


def test_names_and_wrappers():
    import gymnasium

    assert from_gymnasium("FrozenLake-v1", discount=0.5).discount == 0.5
    wrapped = from_gymnasium(gymnasium.make("FrozenLake-v1", is_slippery=False), temperature=0.1)
    assert (wrapped.temperature, wrapped.transition.matrix.nnz) == (0.1, 64)


def table(rows, initial=(1.0, 0.0)):
    return SimpleNamespace(P=rows, initial_state_distrib=np.array(initial))


@pytest.mark.parametrize(("env", "kind", "message"), [
    (3, TypeError, "env must carry its tables P and initial_state_distrib.*; got 3"),
    (table({}), ValueError, "env must number its states"),
    (table({0: {0: [(1.0, 0, 0.0, False)]}, 2: {0: [(1.0, 0, 0.0, False)]}}), ValueError, "env must number its states"),
    (table({0: {0: [(1.0, 1, 0.0, False)], 1: [(1.0, 1, 0.0, True)]}, 1: {j: [(1.0, 1, 0.0, True)] for j in (0, 1)}}),
     ValueError, "state 1 is terminal on one way in and not on another"),
    (table({0: {0: [(0.5, 1, 0.0, False)]}, 1: {0: [(1.0, 1, 0.0, False)]}}), ValueError, "transition must sum to 1"),
    (table({0: {0: [(1.0, 1, 0.0, False)]}, 1: {0: [(1.0, 1, 0.0, False)]}}, (0.5, 0.0)), ValueError, "env.initial_state_distrib must sum"),
    ("NoSuchLake-v1", ValueError, "got 'NoSuchLake-v1'"),
])  # fmt: skip
def test_refusals(env, kind, message):
    with pytest.raises(kind, match=message):
        from_gymnasium(env)


def test_without_gymnasium_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'wflow\[gym\]'"):
        from_gymnasium("FrozenLake-v1")
