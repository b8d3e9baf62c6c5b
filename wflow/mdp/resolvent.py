"""(I − γ P_π)^{-1} applied forward and transposed, from one LU factorisation (math.md §2)."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
from scipy import sparse
from scipy.linalg.lapack import dgetrf, dgetrs
from scipy.sparse.linalg import splu

from wflow._checks import Array
from wflow._jit import blas_single_thread
from wflow.mdp._kernels import one_minus

__all__ = ["solve_resolvent"]

_HOLD_THREADS_FROM = 128  # states; OpenBLAS's LU was seen to use a second thread, and other bits, from 142


def solve_resolvent(policy_matrix: Array | sparse.csr_array, discount: float, reward: Array, initial: Array) -> tuple[Array, Array]:
    """Value ``(I − γ P)^{-1} r`` and improper occupancy ``(I − γ Pᵀ)^{-1} ρ0``.

    LAPACK's LU for an array, O(n_s³); SuperLU for a sparse matrix. I − γ P is strictly diagonally dominant by rows, so never
    singular; a NaN goes through.

    Parameters
    ----------
    policy_matrix : ndarray or csr_array, shape (n_s, n_s)
        P_π, rows summing to 1. An array is overwritten.
    discount : float
    reward, initial : ndarray, shape (n_s,)

    Returns
    -------
    value, occupancy : ndarray, shape (n_s,)
    """
    if discount == 0.0:
        return reward, initial.copy()
    if not isinstance(policy_matrix, np.ndarray):
        if np.isnan(reward).any():  # SuperLU would call the matrix singular
            return np.full_like(reward, np.nan), np.full_like(reward, np.nan)
        factors: Any = splu(sparse.csc_array(sparse.eye_array(len(reward)) - discount * policy_matrix))
        return factors.solve(reward), factors.solve(initial, trans="T")
    with blas_single_thread() if len(reward) >= _HOLD_THREADS_FROM else nullcontext():
        # The transpose of a C-ordered array is the Fortran-ordered one LAPACK factors in place, so the roles of trans swap.
        lu, pivots, _ = dgetrf(one_minus(policy_matrix, discount).T, overwrite_a=True)
        value, _ = dgetrs(lu, pivots, reward, trans=1)
        occupancy, _ = dgetrs(lu, pivots, initial, trans=0)
    return value, occupancy
