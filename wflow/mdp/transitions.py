"""Transition kernels P(s_k | s_i, a_j): dense, sparse, or a deterministic map mixed with a fixed law (math.md §2)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import sparse

from wflow import _checks
from wflow._checks import Array
from wflow.mdp import _kernels

__all__ = ["DenseTransition", "SparseTransition", "StructuredTransition", "Transition", "as_transition"]

_TOLERANCE = 1e-8  # on row sums
_PLAIN: tuple[Literal["C", "A", "W"], ...] = ("C", "A", "W")  # the one layout that the kernels are compiled for


class Transition(ABC):
    """What an MDP asks of its transition kernel; own kernels subclass it and give `shape`, `expect`, `policy_matrix`."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int, int]:
        """(n_s, n_a, n_s)."""

    @abstractmethod
    def expect(self, values: Array) -> Array:
        """Expected value after one step, ``sum_k P_ijk values_k``, shape (n_s, n_a), for values (n_s,)."""

    @abstractmethod
    def policy_matrix(self, weighted_policy: Array) -> Array | sparse.csr_array:
        """State-to-state matrix ``sum_j weighted_policy_ij P_ijk``, shape (n_s, n_s), for weighted_policy_ij = w_j π_ij.

        A fresh array, which the caller may overwrite.
        """

    def to_dense(self) -> Array:
        """The array (n_s, n_a, n_s), column k the chance of landing in state k; for tests and small problems."""
        return np.stack([self.expect(unit) for unit in np.eye(self.shape[2])], axis=-1)


@dataclass(frozen=True, eq=False)
class DenseTransition(Transition):
    """Probabilities in one array; a product reads all n_s² n_a of them.

    Parameters
    ----------
    array : ndarray, shape (n_s, n_a, n_s)
        Non-negative; ``array[i, j]`` sums to 1.

    Raises
    ------
    ValueError, TypeError
        If the shape does not fit, or an entry or a row sum is no probability.
    """

    array: Array

    def __post_init__(self) -> None:
        array = _checks.array("transition", self.array, (None, None, None), at_least=0.0)
        if array.shape[0] != array.shape[2]:
            raise ValueError(f"transition must have shape (n_s, n_a, n_s); got {array.shape}")
        _check_row_sums(array.sum(axis=2))
        object.__setattr__(self, "array", array)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n_s, n_a, n_s)."""
        n_s, n_a, _ = self.array.shape
        return n_s, n_a, n_s

    def expect(self, values: Array) -> Array:
        """``sum_k P_ijk values_k``, shape (n_s, n_a); O(n_s² n_a)."""
        return _kernels.dense_expect(self.array, _checks.fitting("values", values, self.shape[2:]))

    def policy_matrix(self, weighted_policy: Array) -> Array:
        """``sum_j weighted_policy_ij P_ijk``, shape (n_s, n_s); O(n_s² n_a)."""
        return _kernels.dense_policy_matrix(self.array, _checks.fitting("weighted_policy", weighted_policy, self.shape[:2]))

    def to_dense(self) -> Array:
        """The array itself."""
        return self.array


@dataclass(frozen=True, eq=False)
class SparseTransition(Transition):
    """Probabilities in compressed rows, one row per (state, action); a product reads the stored entries only.

    Parameters
    ----------
    matrix : scipy.sparse matrix or array, shape (n_s * n_a, n_s)
        Row i n_a + j holds P(· | s_i, a_j); kept as CSR.

    Raises
    ------
    ValueError, TypeError
        If the shape does not fit, or an entry or a row sum is no probability.
    """

    matrix: sparse.csr_array

    # A sparse LU pays on large, thin matrices: 20 times faster than LAPACK on a 40 x 40 grid world (5 entries a row),
    # 4 times slower on random rows of 25.
    SPARSE_FROM_STATES = 500
    SPARSE_UP_TO_ENTRIES = 8

    def __post_init__(self) -> None:
        if not sparse.issparse(self.matrix):
            raise TypeError(f"transition must be a SciPy sparse matrix; got {type(self.matrix).__name__}")
        given: Any = self.matrix
        if given.ndim != 2 or 0 in given.shape or given.shape[0] % given.shape[1]:
            raise ValueError(f"transition must have shape (n_s * n_a, n_s) where sparse; got {given.shape}")
        raw = sparse.csr_array(given)
        data = _checks.array("transition", raw.data, at_least=0.0)
        indices, indptr = (np.require(part, np.int32, _PLAIN) for part in (raw.indices, raw.indptr))
        matrix = sparse.csr_array((data, indices, indptr), shape=raw.shape)
        rows, n_s = matrix.shape
        total: Array = matrix @ np.ones(n_s)
        _check_row_sums(total.reshape(n_s, rows // n_s))
        object.__setattr__(self, "matrix", matrix)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n_s, n_a, n_s)."""
        rows, n_s = self.matrix.shape
        return n_s, rows // n_s, n_s

    def expect(self, values: Array) -> Array:
        """``sum_k P_ijk values_k``, shape (n_s, n_a); O(stored entries)."""
        expected: Array = self.matrix @ _checks.fitting("values", values, self.shape[2:])
        return expected.reshape(self.shape[:2])

    def policy_matrix(self, weighted_policy: Array) -> Array | sparse.csr_array:
        """``sum_j weighted_policy_ij P_ijk``, shape (n_s, n_s); O(stored entries).

        CSR if there are 500 states or more and at most 8 entries a row on average, else an array.
        """
        n_s, n_a, _ = self.shape
        weighted_policy = _checks.fitting("weighted_policy", weighted_policy, (n_s, n_a))
        if n_s < self.SPARSE_FROM_STATES:
            return _kernels.csr_policy_matrix(self.matrix.data, self.matrix.indices, self.matrix.indptr, weighted_policy)
        pairs = np.arange(n_s * n_a + 1)
        average = sparse.csr_array((weighted_policy.ravel(), pairs[:-1], pairs[::n_a]), shape=(n_s, n_s * n_a))
        product = sparse.csr_array(average @ self.matrix)
        return product if product.nnz <= self.SPARSE_UP_TO_ENTRIES * n_s else product.toarray()

    def to_dense(self) -> Array:
        """The array (n_s, n_a, n_s)."""
        dense: Array = self.matrix.toarray()
        return dense.reshape(self.shape)


@dataclass(frozen=True, eq=False)
class StructuredTransition(Transition):
    """A deterministic map mixed with a fixed law: ``P(· | s_i, a_j) = (1 − mixing) δ_target[i, j] + mixing · law``.

    Products cost O(n_s n_a), a policy matrix O(n_s n_a + n_s²); the n_s × n_a × n_s array is never built.

    Parameters
    ----------
    target : ndarray of int, shape (n_s, n_a)
        Index of the state that action j leads to from state i.
    law : ndarray, shape (n_s,)
        Probabilities, sum 1.
    mixing : float
        In [0, 1]; 0 is a deterministic MDP.

    Raises
    ------
    ValueError, TypeError
        If a shape does not fit, a target is no state, `law` no law or `mixing` no probability.
    """

    target: npt.NDArray[np.intp]
    law: Array
    mixing: float = 0.0

    def __post_init__(self) -> None:
        law = _checks.probability("law", self.law, (None,))
        _checks.array("target", self.target)  # numbers at least, in rows of one length
        target = np.asarray(self.target)
        if target.dtype.kind not in "iu":
            raise TypeError(f"target must be an array of integers; got dtype {target.dtype}")
        if target.ndim != 2 or len(target) != len(law) or target.size == 0:
            raise ValueError(f"target must have shape (n_s, n_a) with n_s = {len(law)}, the length of law; got {target.shape}")
        if target.min() < 0 or target.max() >= len(law):
            raise ValueError(f"target must lie in 0..{len(law) - 1}; got values from {target.min()} to {target.max()}")
        object.__setattr__(self, "target", np.require(target, np.intp, _PLAIN))
        object.__setattr__(self, "law", law)
        object.__setattr__(self, "mixing", _checks.real("mixing", self.mixing, at_least=0.0, at_most=1.0))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n_s, n_a, n_s)."""
        n_s, n_a = self.target.shape
        return n_s, n_a, n_s

    def expect(self, values: Array) -> Array:
        """``(1 − mixing) values[target] + mixing law·values``, shape (n_s, n_a); O(n_s n_a)."""
        values = _checks.fitting("values", values, self.shape[2:])
        return _kernels.structured_expect(self.target, self.law, self.mixing, values)

    def policy_matrix(self, weighted_policy: Array) -> Array:
        """``sum_j weighted_policy_ij P_ijk``, shape (n_s, n_s); O(n_s n_a + n_s²)."""
        weighted_policy = _checks.fitting("weighted_policy", weighted_policy, self.shape[:2])
        return _kernels.structured_policy_matrix(self.target, self.law, self.mixing, weighted_policy)


def as_transition(transition: Any) -> Transition:
    """`transition` as a checked `Transition`: an array (n_s, n_a, n_s), a SciPy sparse (n_s n_a, n_s), or one already.

    Raises
    ------
    ValueError, TypeError
        If a shape does not fit, an entry is negative or not finite, or a row does not sum to 1.
    """
    if isinstance(transition, Transition):
        n_s, _, _ = transition.shape
        _check_row_sums(transition.expect(np.ones(n_s)))
        return transition
    return SparseTransition(transition) if hasattr(transition, "tocsr") else DenseTransition(transition)


def _check_row_sums(total: Array) -> None:
    bad = np.argwhere(~(np.abs(total - 1.0) <= _TOLERANCE))
    if len(bad):
        i, j = bad[0]
        raise ValueError(f"transition must sum to 1 over next states; got {float(total[i, j])!r} at state {i}, action {j}")
