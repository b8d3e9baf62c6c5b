"""The bounds that are summed along a run, on steps made by hand (math.md §10)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from policies.random_mdps import KINDS, random_mdp, random_policy

from wflow.mdp import evaluate, optimum
from wflow.policies.base import log_normalise
from wflow.policies.regret import FeatureRegret, TabularRegret, optimal_divergence


def test_divergence_by_loops():
    mdp = random_mdp(1, temperature=0.2)
    best, log_policy = optimum(mdp), random_policy(mdp, 2)
    occupancy = evaluate(mdp, best.log_policy).occupancy
    expected = sum(
        occupancy[i] * mdp.actions.weights[j] * best.policy[i, j] * (best.log_policy[i, j] - log_policy[i, j])
        for i in range(4) for j in range(3)
    )  # fmt: skip
    assert optimal_divergence(mdp, best, log_policy) == pytest.approx(expected, rel=1e-11)


@given(seed=st.integers(0, 10_000), steps=st.lists(st.floats(1e-3, 100.0), min_size=1, max_size=12))
def test_unequal_steps_along_the_advantage(seed, steps):
    """Both bounds hold at every iterate, whatever the steps."""
    mdp = random_mdp(seed, KINDS[seed % 3], ties=bool(seed % 2))
    best, log_policy = optimum(mdp), random_policy(mdp, seed)
    bounds = TabularRegret(mdp, best, log_policy), FeatureRegret(mdp, best, log_policy)
    assert np.isnan([b.bound() for b in bounds]).all()
    least = np.inf
    for step in steps:
        evaluation = evaluate(mdp, log_policy)
        least = min(least, best.objective - evaluation.objective)
        for b in bounds:
            b.add(step, evaluation.advantage, evaluation.advantage, mdp.actions.weights * evaluation.policy)
        log_policy = log_normalise(log_policy + step * evaluation.advantage, mdp.actions.weights)
        gap = best.objective - evaluate(mdp, log_policy).objective
        assert gap <= bounds[0].bound() + 1e-12
        assert min(least, gap) <= bounds[1].bound() + 1e-12


def test_tabular_bound_is_its_formula():
    """(D_0 + max η · span/(1 − γ)²)/sum η, the least over the steps so far."""
    mdp = random_mdp(5)
    best, log_policy = optimum(mdp), random_policy(mdp, 0)
    regret, nothing = TabularRegret(mdp, best, log_policy), np.zeros((4, 3))
    start, rise = optimal_divergence(mdp, best, log_policy), np.ptp(mdp.reward) / (1.0 - mdp.discount) ** 2
    found = []
    for step in (0.5, 0.25, 8.0):
        regret.add(step, nothing, nothing, nothing)
        found.append(regret.bound())
    plain = [(start + 0.5 * rise) / 0.5, (start + 0.5 * rise) / 0.75, (start + 8.0 * rise) / 8.75]
    np.testing.assert_allclose(found, np.minimum.accumulate(plain), rtol=1e-13)
