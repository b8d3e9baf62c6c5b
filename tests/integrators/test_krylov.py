"""Conjugate residuals with a shared space: many right-hand sides, least residuals, honest failure."""

from __future__ import annotations

import numpy as np
import pytest

from wflow.integrators._krylov import SharedKrylov


def test_many_right_hand_sides():
    rng = np.random.default_rng(0)
    A = np.eye(40) + 0.5 * rng.standard_normal((40, 40)) / np.sqrt(40)  # A + Aᵀ > 0, not symmetric
    space, products = SharedKrylov(40, 40), []

    def product(v):
        products.append(v)
        return A @ v

    for k in range(5):
        b = rng.standard_normal(40)
        x = space.solve(product, b.copy(), lambda r: np.linalg.norm(r) < 1e-10)
        np.testing.assert_allclose(A @ x, b, atol=1e-9)
        if k == 0:
            first = len(products)
    assert space.size == len(products) <= 40
    assert first < 35


def test_residual_is_the_least_of_the_krylov_space():
    rng = np.random.default_rng(1)
    A, b = np.diag(np.geomspace(1.0, 1e3, 20)), rng.standard_normal(20)
    basis = np.stack([np.linalg.matrix_power(A / 1e3, k) @ b for k in range(5)], axis=1)
    best = np.linalg.norm(b - A @ basis @ np.linalg.lstsq(A @ basis, b, rcond=None)[0])
    space, residual = SharedKrylov(5, 20), b.copy()
    assert space.solve(lambda v: A @ v, residual, lambda r: False) is None
    assert space.size == 5
    assert np.linalg.norm(residual) == pytest.approx(best, rel=1e-6)


def test_gives_up_on_a_singular_system():
    space = SharedKrylov(4, 4)
    assert space.solve(lambda v: np.zeros(4), np.ones(4), lambda r: False) is None
    assert space.solve(lambda v: np.full(4, np.nan), np.ones(4), lambda r: False) is None
    assert space.size == 0
