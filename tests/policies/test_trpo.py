"""TRPO: the trust region, the value, and its bound (math.md §10)."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from policies.random_mdps import KINDS, random_mdp, random_policy, scores_by_loops

from wflow.mdp import evaluate
from wflow.policies import run
from wflow.policies.features import LogLinear

SEEDS = st.integers(0, 10_000)


@given(seed=SEEDS, temperature=st.sampled_from([0.0, 0.2]), linear=st.booleans(), radius=st.sampled_from([1e-4, 0.01, 0.5]))
def test_stays_in_the_region_and_never_falls(seed, temperature, linear, radius):
    mdp = random_mdp(seed, KINDS[seed % 3], temperature=temperature, ties=bool(seed % 2), unreachable=bool(seed % 5 == 0))
    features = np.random.default_rng(seed).standard_normal((4, 3, 5)) if linear else None
    policies = []
    result = run("trpo", mdp, 12, step_size=radius, initial=random_policy(mdp, seed), features=features,
                 record=lambda _, evaluation: policies.append(evaluation))  # fmt: skip
    for t, (old, new) in enumerate(pairwise(policies)):
        p, q = (mdp.actions.weights * np.exp(e.log_policy) for e in (old, new))
        d = (1.0 - mdp.discount) * old.occupancy
        kl = d @ (p * (old.log_policy - new.log_policy)).sum(axis=1)
        assert kl <= radius * (1.0 + 1e-9) + 1e-14
        assert result.diagnostics["kl"][t + 1] == pytest.approx(kl, rel=1e-6, abs=1e-13)
        assert q.sum(axis=1) == pytest.approx(1.0, abs=1e-12)
    assert (np.diff(result.value) >= -1e-13).all()


@pytest.mark.parametrize("linear", [False, True])
def test_first_step_is_the_formula(linear):
    """√(2δ/(gᵀF⁺g)) F⁺g from Fisher matrix and gradient by loops; the KL it makes tends to δ as δ does to 0."""
    mdp = random_mdp(7)
    array = np.random.default_rng(0).standard_normal((4, 3, 5)) if linear else np.eye(12).reshape(4, 3, 12)
    log_policy = random_policy(mdp, 1)
    evaluation = evaluate(mdp, log_policy)
    p = mdp.actions.weights * evaluation.policy
    scores, mass = scores_by_loops(array, p), evaluation.occupancy[:, None] * p
    F = (1.0 - mdp.discount) * np.einsum("ij,ijk,ijl->kl", mass, scores, scores)
    g = np.einsum("ij,ijk->k", mass * evaluation.advantage, scores)
    natural = np.linalg.pinv(F, rcond=1e-10, hermitian=True) @ g
    for radius in (1e-3, 1e-6):
        result = run("trpo", mdp, 1, step_size=radius, initial=log_policy, features=LogLinear(array) if linear else None)
        halved = 2.0 ** -result.counts["halvings"]
        energy = log_policy + halved * np.sqrt(2.0 * radius / (g @ natural)) * (array @ natural)
        expected = energy - np.log(np.exp(energy) @ mdp.actions.weights)[:, None]
        np.testing.assert_allclose(result.log_policy, expected, rtol=0, atol=1e-9)
        assert result.diagnostics["kl"][1] == pytest.approx(halved**2 * radius, rel=3.0 * np.sqrt(radius) + 1e-6)


@given(seed=SEEDS, radius=st.sampled_from([1e-3, 0.03, 1.0]), linear=st.booleans())
def test_bound_is_never_violated(seed, radius, linear):
    mdp = random_mdp(seed, KINDS[seed % 3], ties=bool(seed % 2), discount=[0.3, 0.8, 0.95][seed % 3])
    features = np.random.default_rng(seed).standard_normal((4, 3, 4)) if linear else None
    result = run("trpo", mdp, 25, step_size=radius, initial=random_policy(mdp, seed), features=features)
    assert result.bound_reason == ""
    assert np.isnan(result.bound[0])
    assert (result.gap[1:] <= result.bound[1:] + 1e-12).all()


def test_small_radius_is_npg_with_that_step():
    mdp = random_mdp(3)
    trusted = run("trpo", mdp, 1, step_size=1e-4)
    natural = run("npg", mdp, 1, step_size=float(trusted.diagnostics["natural_step"][1]))
    np.testing.assert_allclose(trusted.log_policy, natural.log_policy, rtol=0, atol=1e-12)


def test_converges_and_stays_at_the_optimum():
    mdp = random_mdp(6)
    result = run("trpo", mdp, 150)
    assert result.gap[-1] < 1e-8
    assert result.counts["evaluations"] == 151
    flat = run("trpo", random_mdp(6, n_a=1), 3)  # nothing to choose: no direction
    np.testing.assert_array_equal(flat.gap, 0.0)
    np.testing.assert_array_equal(flat.diagnostics["kl"], 0.0)


def test_reasons():
    assert "own law" in run("trpo", random_mdp(1), 1, start=np.full(4, 0.25)).bound_reason
    assert "temperature 0" in run("trpo", random_mdp(1, temperature=0.1), 1).bound_reason
