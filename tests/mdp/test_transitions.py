"""Transition kernels against their dense twins (math.md §2)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from wflow.mdp import (
    MDP,
    DenseTransition,
    SparseTransition,
    StructuredTransition,
    Transition,
    as_transition,
    evaluate,
    garnet,
    gridworld,
)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(["dense", "sparse", "structured"]), n_s=st.integers(1, 12), n_a=st.integers(1, 9))
def test_products_equal_sums_over_the_dense_array(random_mdp, seed, kind, n_s, n_a):
    problem = random_mdp(seed, kind, n_s=n_s, n_a=n_a)
    transition, dense, rng = problem.mdp.transition, problem.dense, problem.rng
    values, weighted = rng.standard_normal(n_s), rng.random((n_s, n_a))
    assert transition.shape == (n_s, n_a, n_s)
    np.testing.assert_allclose(transition.to_dense(), dense, rtol=0, atol=1e-15)
    np.testing.assert_allclose(transition.expect(values), np.einsum("ijk,k->ij", dense, values), rtol=0, atol=1e-13)
    matrix = transition.policy_matrix(weighted)
    np.testing.assert_allclose(matrix, np.einsum("ij,ijk->ik", weighted, dense), rtol=0, atol=1e-13)


def test_policy_matrix_is_fresh(random_mdp):
    for kind in ("dense", "sparse", "structured"):
        problem = random_mdp(0, kind)
        weighted = np.exp(problem.log_policy()) * problem.mdp.actions.weights
        first = problem.mdp.transition.policy_matrix(weighted)
        before = first.copy()
        first[:] = np.nan
        np.testing.assert_array_equal(problem.mdp.transition.policy_matrix(weighted), before)


@pytest.mark.parametrize(("mdp", "stays_sparse"), [
    (gridworld(22, 23), True),
    (garnet(500, 3, 10, seed=1), False),
    (gridworld(10, 10), False),
])  # fmt: skip
def test_sparse_policy_matrix_where_large_and_thin(mdp, stays_sparse):
    weighted = np.random.default_rng(0).dirichlet(np.ones(mdp.n_actions), mdp.n_states)
    matrix = mdp.transition.policy_matrix(weighted)
    assert sparse.issparse(matrix) == stays_sparse
    rows = mdp.transition.matrix.toarray().reshape(mdp.transition.shape)
    twin = np.einsum("ij,ijk->ik", weighted, rows)
    np.testing.assert_allclose(matrix.toarray() if stays_sparse else matrix, twin, rtol=0, atol=1e-14)


def test_sparse_and_dense_factorisations_agree():
    mdp = gridworld(23, 24, slip=0.3, temperature=0.1, walls=[(3, c) for c in range(20)])
    dense = MDP(reward=mdp.reward, transition=mdp.transition.to_dense(), discount=mdp.discount, temperature=mdp.temperature)
    policy = np.random.default_rng(0).dirichlet(np.ones(4), mdp.n_states)
    assert sparse.issparse(mdp.transition.policy_matrix(policy))
    one, two = evaluate(mdp, np.log(policy)), evaluate(dense, np.log(policy))
    for name in ("value", "occupancy", "action_value", "advantage"):
        np.testing.assert_allclose(getattr(one, name), getattr(two, name), rtol=0, atol=1e-11)


class Shift(Transition):
    """A user's own kernel: every action moves one state on, round a circle."""

    def __init__(self, n_s, n_a, leak=0.0):
        self.size, self.leak = (n_s, n_a, n_s), leak

    @property
    def shape(self):
        return self.size

    def expect(self, values):
        return np.tile((1.0 - self.leak) * np.roll(values, -1)[:, None], (1, self.size[1]))

    def policy_matrix(self, weighted_policy):
        return weighted_policy.sum(axis=1)[:, None] * np.roll(np.eye(self.size[0]), 1, axis=1)


def test_own_transition():
    mdp = MDP(reward=np.arange(10.0).reshape(5, 2), transition=Shift(5, 2), discount=0.5, temperature=0.0)
    structured = StructuredTransition((np.arange(5)[:, None] + [1, 1]) % 5, np.full(5, 0.2))
    np.testing.assert_array_equal(mdp.transition.to_dense(), structured.to_dense())
    uniform = np.full((5, 2), -np.log(2.0))
    twin = MDP(reward=mdp.reward, transition=structured, discount=0.5, temperature=0.0)
    np.testing.assert_allclose(evaluate(mdp, uniform).value, evaluate(twin, uniform).value, rtol=1e-14)
    with pytest.raises(ValueError, match=r"transition must sum to 1.*0\.75 at state 0, action 0"):
        as_transition(Shift(5, 2, leak=0.25))


def test_as_transition_dispatches():
    dense = np.full((2, 3, 2), 0.5)
    assert isinstance(as_transition(dense), DenseTransition)
    assert isinstance(as_transition(dense.tolist()), DenseTransition)
    for container in (sparse.csr_array, sparse.coo_array, sparse.csc_matrix):
        kernel = as_transition(container(dense.reshape(6, 2)))
        assert isinstance(kernel, SparseTransition)
        assert kernel.shape == (2, 3, 2)
    kernel = StructuredTransition(np.zeros((2, 3), int), [0.5, 0.5])
    assert as_transition(kernel) is kernel


@pytest.mark.parametrize(("array", "error", "message"), [
    (np.full((2, 3, 3), 1 / 3), ValueError, r"transition must have shape \(n_s, n_a, n_s\); got \(2, 3, 3\)"),
    (np.full((2, 2), 0.5), ValueError, r"transition must have shape \(any, any, any\); got \(2, 2\)"),
    (np.full((2, 1, 2), 0.4), ValueError, r"transition must sum to 1 over next states; got 0\.8 at state 0, action 0"),
    ([[[2.0, -1.0]], [[0.5, 0.5]]], ValueError, r"transition must be at least 0; got -1\.0 at \[0, 0, 1\]"),
    ([[[np.nan, 1.0]], [[0.5, 0.5]]], ValueError, r"transition must be finite; got nan at \[0, 0, 0\]"),
    ("teleport", TypeError, r"transition must be an array of real numbers; got 'teleport'"),
    (sparse.csr_array(np.full((3, 2), 0.5)), ValueError, r"transition must have shape \(n_s \* n_a, n_s\) where sparse; got \(3, 2\)"),
    (sparse.csr_array(np.full((4, 2), 0.4)), ValueError, r"transition must sum to 1 over next states; got 0\.8 at state 0, action 0"),
    (sparse.csr_array(np.array([[2.0, -1.0], [0.0, 1.0]])), ValueError, r"transition must be at least 0; got -1\.0"),
    (sparse.csr_array(np.array([[np.inf, 0.0], [0.0, 1.0]])), ValueError, r"transition must be finite; got inf"),
    (sparse.csr_array(np.array([[1j, 1.0], [0.0, 1.0]])), TypeError, r"transition must be an array of real numbers"),
])  # fmt: skip
def test_what_is_no_kernel(array, error, message):
    with pytest.raises(error, match=message):
        as_transition(array)


@pytest.mark.parametrize(("arguments", "error", "message"), [
    (([[0, 1], [1, 0]], [0.5, 0.4], 0.1), ValueError, r"law must sum to 1; got 0\.9"),
    (([[0, 1], [1, 0]], [1.5, -0.5], 0.1), ValueError, r"law must be at least 0"),
    (([[0, 2], [1, 0]], [0.5, 0.5], 0.1), ValueError, r"target must lie in 0\.\.1; got values from 0 to 2"),
    (([[0, -1], [1, 0]], [0.5, 0.5], 0.1), ValueError, r"target must lie in 0\.\.1; got values from -1 to 1"),
    (([[0.0, 1.0], [1.0, 0.0]], [0.5, 0.5], 0.1), TypeError, r"target must be an array of integers; got dtype float64"),
    (([[0, 1], [1]], [0.5, 0.5], 0.1), TypeError, r"target must be an array of real numbers"),
    (([[0, 1]], [0.5, 0.5], 0.1), ValueError, r"target must have shape \(n_s, n_a\) with n_s = 2"),
    (([[0, 1], [1, 0]], [0.5, 0.5], 1.5), ValueError, r"mixing must be .* at most 1; got 1\.5"),
])  # fmt: skip
def test_what_is_no_structured_kernel(arguments, error, message):
    with pytest.raises(error, match=message):
        StructuredTransition(*arguments)


def test_indices_come_in_the_type_that_kernels_are_compiled_for():
    given = sparse.csr_array(np.full((4, 2), 0.5))
    given.indices, given.indptr = given.indices.astype(np.int64), given.indptr.astype(np.int64)
    for part in (given.data, given.indices, given.indptr):
        part.flags.writeable = False
    kernel = SparseTransition(given)
    assert kernel.matrix.indices.dtype == kernel.matrix.indptr.dtype == np.int32
    assert kernel.matrix.data.flags.writeable
    assert kernel.matrix.indices.flags.writeable
    assert given.indices.dtype == np.int64
    target = StructuredTransition(np.array([[0, 1], [1, 0]], dtype=np.int8), [0.5, 0.5]).target
    assert (target.dtype, target.flags.carray) == (np.intp, True)


@pytest.mark.parametrize("kernel", [
    DenseTransition(np.full((2, 3, 2), 0.5)), SparseTransition(sparse.csr_array(np.full((6, 2), 0.5))),
    StructuredTransition(np.zeros((2, 3), int), [0.5, 0.5]),
])  # fmt: skip
def test_products_of_another_shape_are_refused(kernel):
    """The compiled loops would read past the end."""
    with pytest.raises(ValueError, match=r"^values must have shape \(2,\); got \(1,\)$"):
        kernel.expect(np.ones(1))
    with pytest.raises(ValueError, match=r"^weighted_policy must have shape \(2, 3\); got \(2, 2\)$"):
        kernel.policy_matrix(np.ones((2, 2)))
    np.testing.assert_array_equal(kernel.policy_matrix([[1, 2, 3], [4, 5, 6]]), kernel.policy_matrix(np.arange(1.0, 7.0).reshape(2, 3)))


def test_sparse_wants_scipy():
    with pytest.raises(TypeError, match=r"transition must be a SciPy sparse matrix; got ndarray"):
        SparseTransition(np.full((4, 2), 0.5))
