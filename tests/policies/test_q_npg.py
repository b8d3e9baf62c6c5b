"""Q-NPG and the bounds that are summed along a run (math.md §10)."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from policies.random_mdps import KINDS, random_mdp, random_policy

from wflow.mdp import evaluate, garnet, optimum
from wflow.policies import run
from wflow.policies.features import random_fourier


@pytest.mark.parametrize("temperature", [0.0, 0.3])
@pytest.mark.parametrize("kind", KINDS)
def test_tabular_is_npg(kind, temperature):
    mdp = random_mdp(1, kind, temperature=temperature)
    for features in (None, np.eye(12).reshape(4, 3, 12)):
        ours = run("q_npg", mdp, 20, step_size=0.1, initial=random_policy(mdp, 2), features=features)
        theirs = run("npg", mdp, 20, step_size=0.1, initial=random_policy(mdp, 2))
        np.testing.assert_allclose(ours.log_policy, theirs.log_policy, rtol=0, atol=1e-10)
        assert ours.diagnostics["regression_error"].max() < 1e-20


@given(seed=st.integers(0, 10_000), d=st.integers(1, 6), step=st.sampled_from([0.01, 0.3, 5.0]))
def test_regret_bound_is_never_violated(seed, d, step):
    """Any features, any step, ties or not; the bound is on the least gap."""
    mdp = random_mdp(seed, KINDS[seed % 3], ties=bool(seed % 2), discount=[0.3, 0.8, 0.95][seed % 3])
    features = np.random.default_rng(seed).standard_normal((4, 3, d))
    result = run("q_npg", mdp, 20, step_size=step, initial=random_policy(mdp, seed), features=features)
    assert result.bound_of == "least_gap"
    assert (result.bounded[1:] <= result.bound[1:] + 1e-10 * (1.0 + result.bound[1:])).all()
    np.testing.assert_allclose(result.bounded, np.minimum.accumulate(result.gap), rtol=0, atol=0)


@given(seed=st.integers(0, 10_000), step=st.sampled_from([0.01, 0.3, 5.0]))
def test_tabular_bound_is_npgs(seed, step):
    mdp = random_mdp(seed, KINDS[seed % 3], ties=bool(seed % 2), counting=True)
    ours, theirs = run("q_npg", mdp, 15, step_size=step), run("npg", mdp, 15, step_size=step)
    assert (ours.gap[1:] <= ours.bound[1:]).all()
    np.testing.assert_allclose(ours.bound[1:], theirs.bound[1:], rtol=1e-10)


def test_regret_identity():
    """η Σ gap_t = D_0 − D_T + Σ (η err_t + Σ ϱ* (log Z_t − η E e)): the line both bounds start from, by loops in NumPy."""
    mdp = random_mdp(11)
    array = np.random.default_rng(3).standard_normal((4, 3, 4))
    best, seen = optimum(mdp), []
    result = run("q_npg", mdp, 6, step_size=0.2, features=array, initial=random_policy(mdp, 4), record=lambda _, e: seen.append(e))
    rate = 0.2 / (1.0 - mdp.discount)
    star, goes = mdp.actions.weights * best.policy, evaluate(mdp, best.log_policy).occupancy
    left = right = 0.0
    for old, new in pairwise(seen):
        p, q = (mdp.actions.weights * e.policy for e in (old, new))
        design = (np.sqrt(old.occupancy[:, None] * p)[..., None] * array).reshape(12, 4)
        w = np.linalg.lstsq(design, (np.sqrt(old.occupancy[:, None] * p) * old.action_value).ravel())[0]
        e = array @ w
        log_z = np.log((p * np.exp(rate * e)).sum(axis=1))
        np.testing.assert_allclose(q, p * np.exp(rate * e - log_z[:, None]), rtol=1e-9)
        error = goes @ (star * (old.advantage - e + (p * e).sum(axis=1, keepdims=True))).sum(axis=1)
        left += rate * (best.objective - old.objective)
        right += rate * error + goes @ (log_z - rate * (p * e).sum(axis=1))
        right += goes @ (star * (new.log_policy - old.log_policy)).sum(axis=1)  # D_t − D_{t+1}
    assert left == pytest.approx(right, rel=1e-9)
    assert left <= result.bound[6] * 6 * rate


def test_good_features_do_better():
    mdp = garnet(30, 4, 3, temperature=0.0, seed=2)
    rich = random_fourier(mdp, 150, length_scale=0.5, seed=0)
    poor = np.ones((30, 4, 1))
    assert run("q_npg", mdp, 100, step_size=1.0, features=rich).gap[-1] < 0.01
    stuck = run("q_npg", mdp, 5, step_size=1.0, features=poor)  # a constant feature moves nothing
    np.testing.assert_allclose(stuck.gap, stuck.gap[0], rtol=1e-12)
    assert (stuck.bound[1:] >= stuck.gap[0]).all()


def test_reasons():
    assert "temperature 0" in run("q_npg", random_mdp(1, temperature=0.1), 1).bound_reason
    assert "own law" in run("q_npg", random_mdp(1), 1, start=np.full(4, 0.25)).bound_reason
