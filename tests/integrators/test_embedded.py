"""The tableaux of the embedded pairs: order conditions of the steps, of the error estimates and of the interpolant."""

from __future__ import annotations

import numpy as np
import pytest

from wflow.integrators.bogacki_shampine import BogackiShampine32
from wflow.integrators.embedded import EmbeddedPair, tableau
from wflow.integrators.heun import Heun21
from wflow.integrators.ssprk import SSPRK32
from wflow.integrators.tsitouras import Tsitouras54


def conditions(A, c):
    """Elementary weights of the rooted trees with their orders and densities (Hairer, Nørsett & Wanner I, §II.2)."""
    one = np.ones_like(c)
    return [
        (1, 1, one), (2, 2, c), (3, 3, c**2), (3, 6, A @ c),
        (4, 4, c**3), (4, 8, c * (A @ c)), (4, 12, A @ c**2), (4, 24, A @ A @ c),
        (5, 5, c**4), (5, 10, c**2 * (A @ c)), (5, 20, (A @ c) ** 2), (5, 15, c * (A @ c**2)), (5, 20, A @ c**3),
        (5, 30, c * (A @ A @ c)), (5, 40, A @ (c * (A @ c))), (5, 60, A @ A @ c**2), (5, 120, A @ A @ A @ c),
    ]  # fmt: skip


def order_of(b, A, c, theta=1.0):
    """Order of the formula with weights `b` at fraction `theta` of the step, up to 5."""
    failed = [order for order, density, weight in conditions(A, c) if abs(b @ weight - theta**order / density) > 1e-13]
    return min(failed, default=6) - 1


@pytest.mark.parametrize("pair", [Heun21, SSPRK32, BogackiShampine32, Tsitouras54])
def test_orders_of_the_pair(pair):
    b = pair.A[-1]
    np.testing.assert_allclose(pair.A.sum(axis=1), pair.C, rtol=0, atol=1e-15)
    assert order_of(b, pair.A, pair.C) == pair.order
    assert order_of(b - pair.E, pair.A, pair.C) == pair.estimate_order - 1


def test_heun_embeds_euler():
    np.testing.assert_array_equal(Heun21.A[-1] - Heun21.E, [1.0, 0.0, 0.0])


def test_interpolant_of_tsitouras():
    A, C, P = Tsitouras54.A, Tsitouras54.C, Tsitouras54.P
    for theta in np.linspace(0.0, 1.0, 11)[1:]:
        assert order_of(P @ theta ** np.arange(1, 5), A, C, theta) >= 4
    first, last = np.eye(7)[0], np.eye(7)[6]
    np.testing.assert_allclose(P.sum(axis=1), A[-1], rtol=0, atol=1e-14)
    np.testing.assert_allclose(P[:, 0], first, rtol=0, atol=1e-14)
    np.testing.assert_allclose(P @ np.arange(1, 5), last, rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"C": np.array([0, 0.5, 0.7, 1])}, "do not sum"), ({"E": np.array([0.1, 0, 0, 0])}, "do not sum"), ({"E": np.zeros(3)}, "stages"),
     ({"A": BogackiShampine32.A.T}, "explicit")],
)  # fmt: skip
def test_a_wrong_tableau_is_refused(change, reason):
    with pytest.raises(ValueError, match=reason):
        type("Wrong", (BogackiShampine32,), change)


def test_tableau_fills_rows():
    assert tableau([[1.0], [2.0, 3.0]]).tolist() == [[0, 0, 0], [1, 0, 0], [2, 3, 0]]
    assert issubclass(Tsitouras54, EmbeddedPair)


def upwind(u):
    """Advection on a ring: Euler's step of 1 shifts it by one cell, and longer ones add variation."""
    return np.roll(u, 1) - u


def variation(u):
    return np.abs(u - np.roll(u, 1)).sum()


@pytest.mark.parametrize("pair", [Heun21, SSPRK32])
def test_steps_and_embedded_formulas_preserve_strong_stability(pair):
    """Up to Euler's step total variation does not grow; by a step a little longer it does, for a jump."""
    A, E = pair.A, pair.E
    jump = np.where(np.arange(40) < 20, 1.0, 0.0)
    for h, kept in ((0.3, True), (1.0, True), (1.1, False)):
        slopes = []
        for row in A:
            slopes.append(upwind(jump + h * sum((a * f for a, f in zip(row, slopes, strict=False)), np.zeros(40))))
        ends = [jump + h * sum(w * f for w, f in zip(weights, slopes, strict=True)) for weights in (A[-1], A[-1] - E)]
        assert (variation(ends[0]) <= 2.0 + 1e-12) == kept
        assert variation(ends[1]) <= 2.0 + 1e-12 or not kept


def test_ssprk3_is_shu_and_oshers():
    """Convex combinations of Euler's steps."""
    u = np.random.default_rng(0).standard_normal(7)
    h, f = 0.3, np.tanh
    one = u + h * f(u)
    two = 0.75 * u + 0.25 * (one + h * f(one))
    three = u / 3.0 + 2.0 / 3.0 * (two + h * f(two))
    solver = SSPRK32(lambda t, y: f(y), 0.0, u, h, first_step=h, max_step=h, rtol=1e6, atol=1e6)
    solver.step()
    np.testing.assert_allclose(solver.y, three, rtol=1e-14)
