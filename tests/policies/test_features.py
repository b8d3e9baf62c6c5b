"""Log-linear algebra against loops, pseudo-inverses and the complex step (math.md §10)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from policies.random_mdps import KINDS, random_mdp, random_policy, scores_by_loops, value_by_solve

from wflow.mdp import agazzi_lu_grid, evaluate, garnet, pendulum
from wflow.policies.features import LogLinear, Tabular, as_features, random_fourier

seeds = st.integers(0, 10_000)


def case(seed, d, **options):
    """An MDP, a policy with its exact evaluation, and features (n_s, n_a, d)."""
    mdp = random_mdp(seed, KINDS[seed % 3], **options)
    evaluation = evaluate(mdp, random_policy(mdp, seed))
    array = np.random.default_rng(seed).standard_normal((*mdp.reward.shape, d))
    p = mdp.actions.weights * evaluation.policy
    return mdp, evaluation, array, p, evaluation.occupancy[:, None] * p


def unit_vectors(mdp):
    return np.eye(mdp.reward.size).reshape(*mdp.reward.shape, -1)


def directly(evaluation, array, p, mass, discount):
    """Fisher matrix and ∇E by loops over the pairs."""
    scores = scores_by_loops(array, p)
    d = array.shape[2]
    fisher, gradient = np.zeros((d, d)), np.zeros(d)
    for i in range(len(p)):
        for j in range(p.shape[1]):
            fisher += (1.0 - discount) * mass[i, j] * np.outer(scores[i, j], scores[i, j])
            gradient += mass[i, j] * evaluation.advantage[i, j] * scores[i, j]
    return fisher, gradient


@given(seed=seeds, temperature=st.sampled_from([0.0, 0.3]))
def test_gradient_is_the_derivative_of_the_value(seed, temperature):
    """∇_θ E along a random direction, by the complex step through a Bellman solve in plain NumPy."""
    mdp, evaluation, array, p, mass = case(seed, 5, temperature=temperature)
    for features, phi in ((LogLinear(array), array), (Tabular(*mdp.reward.shape), unit_vectors(mdp))):
        direction = np.random.default_rng(seed + 1).standard_normal(phi.shape[2])
        gradient = features.gradient(mass * evaluation.advantage, p)
        energy = evaluation.log_policy + 1e-30j * (phi @ direction)
        shifted = energy - np.log(np.exp(energy) @ mdp.actions.weights)[:, None]
        derivative = value_by_solve(mdp, shifted).imag / 1e-30
        assert gradient @ direction == pytest.approx(derivative, rel=1e-10, abs=1e-12)


@given(seed=seeds, temperature=st.sampled_from([0.0, 0.3]), d=st.integers(1, 8))
def test_compatible_features_are_the_natural_gradient(seed, temperature, d):
    """w*/(1 − γ) = F⁺∇E, d below and above the number of independent scores."""
    mdp, evaluation, array, p, mass = case(seed, d, temperature=temperature, ties=bool(seed % 2))
    fisher, gradient = directly(evaluation, array, p, mass, mdp.discount)
    natural = np.linalg.pinv(fisher, rcond=1e-10, hermitian=True) @ gradient
    w = LogLinear(array).compatible(mass, evaluation.advantage, p)
    eigenvalues = np.linalg.eigvalsh(fisher)
    kept = eigenvalues[eigenvalues > 1e-10 * eigenvalues[-1]]
    if kept[0] < 1e-6 * kept[-1]:
        return  # the pseudo-inverse of F has squared the condition of the scores: it is the oracle that is wrong
    np.testing.assert_allclose(w / (1.0 - mdp.discount), natural, rtol=0, atol=1e-10 * max(1.0, np.abs(natural).max()))


@given(seed=seeds, temperature=st.sampled_from([0.0, 0.3]), unreachable=st.booleans())
def test_tabular_is_the_pseudo_inverse_too(seed, temperature, unreachable):
    """Closed form against pinv of the Fisher matrix; F⁺ freezes what is not reached."""
    mdp, evaluation, _, p, mass = case(seed, 1, temperature=temperature, unreachable=unreachable)
    fisher, gradient = directly(evaluation, unit_vectors(mdp), p, mass, mdp.discount)
    natural = np.linalg.pinv(fisher, rcond=1e-9, hermitian=True) @ gradient
    tabular = Tabular(*mdp.reward.shape)
    w = tabular.compatible(mass, evaluation.advantage, p)
    np.testing.assert_allclose(w / (1.0 - mdp.discount), natural, rtol=0, atol=1e-10 * max(1.0, np.abs(natural).max()))
    if unreachable:
        np.testing.assert_array_equal(tabular.energies(w)[-1], 0.0)


@given(seed=seeds, unreachable=st.booleans())
def test_tabular_is_log_linear_in_unit_vectors(seed, unreachable):
    mdp, evaluation, _, p, mass = case(seed, 1, unreachable=unreachable)
    tabular, linear = Tabular(*mdp.reward.shape), LogLinear(unit_vectors(mdp))
    rng = np.random.default_rng(seed)
    theta, signal = rng.standard_normal(mdp.reward.size), rng.standard_normal(mdp.reward.shape)
    assert tabular.shape == linear.shape
    np.testing.assert_array_equal(tabular.energies(theta), linear.energies(theta))
    np.testing.assert_allclose(tabular.gradient(signal, p), linear.gradient(signal, p), rtol=0, atol=1e-13)
    arguments = mass, evaluation.advantage, p
    np.testing.assert_allclose(tabular.compatible(*arguments), linear.compatible(*arguments), rtol=0, atol=1e-10)
    np.testing.assert_allclose(
        tabular.regress(mass, evaluation.action_value), linear.regress(mass, evaluation.action_value), rtol=0, atol=1e-10
    )
    assert tabular.largest_score(p) == pytest.approx(linear.largest_score(p), rel=1e-12)


@given(seed=seeds)
def test_least_squares_leave_residuals_at_right_angles(seed):
    mdp, _, array, p, mass = case(seed, 4)
    linear, rng = LogLinear(array), np.random.default_rng(seed)
    target = rng.standard_normal(mdp.reward.shape)
    for design, w in ((array, linear.regress(mass, target)), (scores_by_loops(array, p), linear.compatible(mass, target, p))):
        residual = mass * (target - design @ w)
        np.testing.assert_allclose(np.einsum("ij,ijk->k", residual, design), 0.0, atol=1e-11)


def test_what_has_no_mass_may_be_anything():
    mdp, evaluation, array, p, mass = case(3, 4)
    mass, target = mass.copy(), evaluation.advantage.copy()
    mass[1, 1] = 0.0
    for features in (LogLinear(array), Tabular(*mdp.reward.shape)):
        plain = features.regress(mass, target), features.compatible(mass, target, p)
        target[1, 1] = np.nan
        for found, expected in zip((features.regress(mass, target), features.compatible(mass, target, p)), plain, strict=True):
            np.testing.assert_array_equal(found, expected)
        target[1, 1] = 0.0


def test_random_fourier_features_approach_the_gaussian_kernel():
    """E <φ(x), φ(y)> = exp(−|x − y|²/2ℓ²); a mean of d products of variance at most 3/2."""
    mdp, d, ell = agazzi_lu_grid(n_states=5, n_actions=6), 20_000, 0.4
    features = random_fourier(mdp, d, length_scale=ell, seed=1)
    points = np.array([[s, a] for s in mdp.states.nodes[:, 0] for a in mdp.actions.nodes[:, 0]])
    kernel = np.exp(-((points[:, None] - points) ** 2).sum(axis=2) / (2.0 * ell**2))
    phi = features.array.reshape(30, d)
    assert np.abs(phi @ phi.T - kernel).max() < 5.0 * np.sqrt(1.5 / d)  # five standard errors, for the largest of 465
    assert (features.array**2).max() <= 2.0 / d
    np.testing.assert_array_equal(random_fourier(mdp, 7, seed=2).array, random_fourier(mdp, 7, seed=2).array)
    assert random_fourier(pendulum(4, 3, 2), 5).shape == (12, 2, 5)


def test_as_features():
    mdp = garnet(5, 2, 2)
    assert as_features(None, mdp) == Tabular(5, 2)
    own = LogLinear(np.ones((5, 2, 3)))
    assert as_features(own, mdp) is own
    assert as_features(np.ones((5, 2, 1)), mdp).shape == (5, 2, 1)


@pytest.mark.parametrize(("make", "kind", "message"), [
    (lambda mdp: as_features(np.ones((2, 5, 3)), mdp), ValueError, r"must have shape \(5, 2, any\) to fit the MDP; got \(2, 5, 3\)"),
    (lambda mdp: as_features(Tabular(2, 2), mdp), ValueError, r"features must have shape \(5, 2, any\)"),
    (lambda mdp: as_features("linear", mdp), TypeError, "features must be an array of real numbers; got 'linear'"),
    (lambda mdp: as_features(np.full((5, 2, 1), np.nan), mdp), ValueError, "features must be finite"),
    (lambda mdp: LogLinear(np.ones((5, 2, 0))), ValueError, "features must have at least one state"),
    (lambda mdp: random_fourier(mdp, 0), ValueError, "n_features must be"),
    (lambda mdp: random_fourier(mdp, 3, length_scale=0.0), ValueError, "length_scale must be"),
    (lambda mdp: random_fourier(mdp, 10**13), ValueError, "n_features must be small enough"),
    (lambda mdp: random_fourier("mdp", 3), TypeError, "mdp must be"),
])  # fmt: skip
def test_errors(make, kind, message):
    with pytest.raises(kind, match=message):
        make(garnet(5, 2, 2))
