"""Policy gradient and natural gradient on log-linear policies and from samples (math.md §10)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from policies.random_mdps import KINDS, random_mdp, random_policy, scores_by_loops, value_by_solve

from wflow.mdp import evaluate, garnet
from wflow.policies import run

SEEDS = st.integers(0, 10_000)


def unit_vectors(mdp):
    return np.eye(mdp.reward.size).reshape(*mdp.reward.shape, -1)


@pytest.mark.parametrize("temperature", [0.0, 0.3])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["pg", "npg"])
def test_unit_vectors_are_the_tabular_method(name, kind, temperature):
    mdp = random_mdp(1, kind, temperature=temperature)
    initial = random_policy(mdp, 2)
    plain, linear = (run(name, mdp, 15, step_size=0.1, initial=initial, features=f) for f in (None, unit_vectors(mdp)))
    np.testing.assert_allclose(linear.log_policy, plain.log_policy, rtol=0, atol=1e-10)


@given(seed=SEEDS, temperature=st.sampled_from([0.0, 0.3]))
def test_pg_ascends_the_value_in_its_parameters(seed, temperature):
    """One step is η ∇_θ E, by the complex step in θ."""
    mdp = random_mdp(seed, KINDS[seed % 3], temperature=temperature)
    array, initial = np.random.default_rng(seed).standard_normal((4, 3, 3)), random_policy(mdp, seed)

    def log_policy(theta):
        energy = initial + array @ theta
        return energy - np.log(np.exp(energy) @ mdp.actions.weights)[:, None]

    gradient = np.array([value_by_solve(mdp, log_policy(1e-30j * e)).imag / 1e-30 for e in np.eye(3)])
    result = run("pg", mdp, 1, step_size=0.1, initial=initial, features=array)
    np.testing.assert_allclose(result.log_policy, log_policy(0.1 * gradient), rtol=0, atol=1e-11)
    assert "tabular" in result.bound_reason


@given(seed=SEEDS, temperature=st.sampled_from([0.0, 0.3]))
def test_npg_steps_along_the_pseudo_inverse(seed, temperature):
    mdp = random_mdp(seed, KINDS[seed % 3], temperature=temperature)
    array, initial = np.random.default_rng(seed).standard_normal((4, 3, 3)), random_policy(mdp, seed)
    evaluation = evaluate(mdp, initial)
    p = mdp.actions.weights * evaluation.policy
    mass, scores = evaluation.occupancy[:, None] * p, scores_by_loops(array, p)
    F = (1.0 - mdp.discount) * np.einsum("ij,ijk,ijl->kl", mass, scores, scores)
    natural = np.linalg.solve(F, np.einsum("ij,ijk->k", mass * evaluation.advantage, scores))
    energy = initial + 0.1 * (array @ natural)
    expected = energy - np.log(np.exp(energy) @ mdp.actions.weights)[:, None]
    result = run("npg", mdp, 1, step_size=0.1, initial=initial, features=array)
    np.testing.assert_allclose(result.log_policy, expected, rtol=0, atol=1e-10 * np.linalg.cond(F) ** 0.5)


@given(seed=SEEDS, d=st.integers(1, 6), step=st.sampled_from([0.01, 0.3, 5.0]))
def test_npg_regret_bound_is_never_violated(seed, d, step):
    mdp = random_mdp(seed, KINDS[seed % 3], ties=bool(seed % 2), discount=[0.3, 0.8, 0.95][seed % 3])
    features = np.random.default_rng(seed).standard_normal((4, 3, d))
    result = run("npg", mdp, 20, step_size=step, initial=random_policy(mdp, seed), features=features)
    assert (result.bound_of, result.bound_reason) == ("least_gap", "")
    assert (result.bounded[1:] <= result.bound[1:] + 1e-10 * (1.0 + result.bound[1:])).all()


def test_sampled_npg():
    """Many trajectories give the exact step, few still improve; a seed repeats the run."""
    mdp = garnet(10, 3, 3, temperature=0.0)
    exact = run("npg", mdp, 1, step_size=0.05)
    errors = []
    for n in (500, 50_000):
        many = run("npg", mdp, 1, step_size=0.05, oracle={"trajectories": n, "horizon": 100})
        errors.append(np.abs(many.log_policy - exact.log_policy).max())
    assert errors[1] < 0.3 * errors[0]  # a tenth, up to chance
    few = [run("npg", mdp, 40, step_size=0.2, oracle={"trajectories": 100, "seed": s}) for s in (0, 0, 1)]
    assert few[0].gap[-1] < 0.2 * few[0].gap[0]
    np.testing.assert_array_equal(few[0].log_policy, few[1].log_policy)
    assert (few[0].log_policy != few[2].log_policy).any()
    linear = run("npg", mdp, 40, step_size=0.2, oracle={"trajectories": 100}, features=unit_vectors(mdp))
    np.testing.assert_allclose(linear.gap, few[0].gap, rtol=1e-7)  # least squares on the same samples
    assert "exact oracle" in linear.bound_reason


def test_inexact_npg_in_features():
    mdp = random_mdp(2)
    plain, linear = (run("npg", mdp, 5, oracle={"error": 0.1, "seed": 4}, features=f) for f in (None, unit_vectors(mdp)))
    np.testing.assert_allclose(linear.log_policy, plain.log_policy, rtol=0, atol=1e-10)
