"""ReLU against the interpolated signal: quadrature piece by piece, continuity, order, homogeneity, extremes, bits."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from neurons.oracle import EPS, cloud, nodes
from scipy.integrate import quad

from wflow import _jit
from wflow.neurons import Network
from wflow.neurons.interpolated import Interpolated
from wflow.spaces import Space

BAR = 1e-13
GAUSS, SHARES = np.polynomial.legendre.leggauss(3)  # exact for the cubics that the pieces are


def pieces(point, s, breaks):
    """Gauss nodes and weights (.., 3) between breakpoints, ends and the kink of a neuron in state s."""
    base, k = point[1:-2] @ s + point[-1], point[-2]
    with np.errstate(all="ignore"):
        kink = np.clip(np.nan_to_num(-base / k, nan=breaks[0]), breaks[0], breaks[-1])
    cuts = np.sort(np.append(breaks, kink))
    half, middle = np.diff(cuts) / 2.0, (cuts[1:] + cuts[:-1]) / 2.0
    return middle[:, None] + half[:, None] * GAUSS, half[:, None] * SHARES, middle, base, k


def quadrature(points, states, actions, signal):
    """Rows (g, ω0 ∇g), and a bound on the rounding errors: of every term, and of the kinks' places.

    A pre-activation that cancels moves the kink of a neuron that is nearly flat in a, and the signal on the way counts or does not.
    """
    a = actions[:, 0]
    h = (a[-1] - a[0]) / (len(a) - 1)
    breaks = np.concatenate([[a[0] - h / 2.0], a, [a[-1] + h / 2.0]])
    found, size = np.zeros((2, *points.shape))
    for n, point in enumerate(points):
        scaled = point.copy()
        scale = np.abs(point[1:]).max() or 1.0
        scaled[1:] /= scale  # the kinks of a neuron of slope 1e-310 are no worse
        for i, s in enumerate(states):
            x, weights, middle, base, k = pieces(scaled, s, breaks)
            density = np.interp(x, a, signal[i]) / h * weights
            active = (base + k * middle > 0.0)[:, None] * density
            inner = np.stack([*(c * active for c in s), x * active, active])
            extent = np.abs(np.array([*s, np.abs(breaks).max(), 1.0]))
            with np.errstate(divide="ignore", invalid="ignore"):
                rounding = 16.0 * (EPS + 5e-324 / scale) * np.abs(scaled[1:]) @ extent
                moved = np.fmin(rounding / (abs(k) * h), len(a)) if k != 0.0 else len(a) * (abs(base) <= rounding)
            size[n, 1:] += abs(point[0]) * moved / BAR * np.abs(signal[i]).max() * extent
            found[n, 0] += scale * (active * (base + k * x)).sum()
            terms = np.abs(scaled[1:-2]) @ np.abs(s) + np.abs(k * x) + abs(scaled[-1])
            size[n, 0] += scale * (np.abs(density) * terms).sum()
            found[n, 1:] += point[0] * inner.sum(axis=(1, 2))
            size[n, 1:] += abs(point[0]) * np.abs(density).sum() * extent
    return found, size


def made(seed, n_s, n_a, states="midpoint", low=0.0, high=1.0, n=20):
    rng = np.random.default_rng(seed)
    s, actions = nodes(rng, states, n_s), Space.midpoint(n_a, low, high)
    points = cloud(rng, "relu", s, actions.nodes, n)
    return Interpolated(Space(s, np.ones(n_s)), actions), points, s, actions, rng.standard_normal((n_s, n_a))


@given(seed=st.integers(0, 2**32 - 1), states=st.sampled_from(["none", "midpoint", "random", "unsorted", "plane"]),
       n_s=st.sampled_from([1, 2, 33]), n_a=st.sampled_from([2, 3, 7, 40]),
       bounds=st.sampled_from([(0.0, 1.0), (-1.0, 2.0), (7.0, 7.5)]))  # fmt: skip
def test_quadrature(seed, states, n_s, n_a, bounds):
    """Kinks on nodes, at ends of cells and outside; slopes zero, denormal, huge, of both signs."""
    interpolated, points, s, actions, signal = made(seed, n_s, n_a, states, *bounds)
    rng = np.random.default_rng(seed)
    edge = bounds[0] + (bounds[1] - bounds[0]) * rng.integers(0, 2 * n_a + 1, 5) / (2 * n_a)
    points[:5, -1] = -(points[:5, 1:-2] @ s[0]) - points[:5, -2] * edge
    found = interpolated.adjoint(points, signal)
    expected, size = quadrature(points, s, actions.nodes, signal)
    assert np.isfinite(found).all()
    np.testing.assert_array_less(np.abs(found - expected), BAR * size + 1e-300)


@pytest.mark.parametrize("k", [1.3, -0.7, 1e-9, -1e-9, 0.0])
def test_another_quadrature(k):
    """SciPy's adaptive rule, told where the integrand bends."""
    actions = Space.midpoint(6)
    signal = np.random.default_rng(0).standard_normal((1, 6))
    a, bias = actions.nodes[:, 0], -0.4 * k if abs(k) > 0.1 else 0.2
    found = Interpolated(Space.point(), actions).adjoint(np.array([[2.0, k, bias]]), signal)[0]
    for power, value in ((0, found[2] / 2.0), (1, found[1] / 2.0)):
        exact = quad(lambda x, p=power: 6.0 * np.interp(x, a, signal[0]) * x**p * (k * x + bias > 0.0), 0.0, 1.0, points=[*a, 0.4])[0]
        assert value == pytest.approx(exact, rel=1e-9, abs=1e-9)
    assert found[0] == pytest.approx(quad(lambda x: 6.0 * np.interp(x, a, signal[0]) * max(k * x + bias, 0.0), 0.0, 1.0,
                                          points=[*a, 0.4])[0], rel=1e-9, abs=1e-9)  # fmt: skip


@pytest.mark.parametrize("k", [1.0, -1.0])
@pytest.mark.parametrize("place", [0.0, 0.125, 0.25, 0.375, 1.0])
def test_continuous_where_the_nodal_field_jumps(place, k):
    """∇g as the kink passes a node (0.125, 0.375), an edge between cells, an end: the change falls with the distance moved."""
    actions, signal = Space.midpoint(4), np.array([[1.0, -3.0, 4.0, -2.0]])
    interpolated, network = Interpolated(Space.point(), actions), Network("relu", Space.point(), actions)
    for kernel in (interpolated, network):
        changes = []
        for step in (1e-2, 1e-4, 1e-6):
            points = np.array([[1.0, k, -k * (place - step)], [1.0, k, -k * (place + step)]])
            changes.append(np.abs(np.diff(kernel.adjoint(points, signal)[:, 1:], axis=0)).max())
        jumps = kernel is network and place in (0.125, 0.375)
        if jumps:
            assert min(changes) > 0.99 * np.abs(signal[0, round(place * 4 - 0.5)]) * max(place, 1.0)
        else:
            assert np.all(np.array(changes) <= 2.0 * 4.0 * 4.0 * np.array([1e-2, 1e-4, 1e-6]) + 1e-14)


def integrals(a):
    """∫ γ and ∫ γ a of the density γ = cos 5a + a² from 0 to a, but for constants."""
    return np.sin(5.0 * a) / 5.0 + a**3 / 3.0, a * np.sin(5.0 * a) / 5.0 + np.cos(5.0 * a) / 25.0 + a**4 / 4.0


def ladder(kernel_of, points, counts=(50, 100, 200, 400, 800)):
    """Root-mean-square errors (levels, 2) of g and of ∇g for that density on [0, 1], against the integrals in closed form."""
    k, b = points[:, 1], points[:, 2]
    kink = np.clip(-b / k, 0.0, 1.0)
    left, right = np.where(k > 0.0, kink, 0.0), np.where(k > 0.0, 1.0, kink)
    mass, moment = (end - start for start, end in zip(integrals(left), integrals(right), strict=True))
    exact = np.column_stack([k * moment + b * mass, moment, mass])
    errors = []
    for n in counts:
        actions = Space.midpoint(n)
        a = actions.nodes[:, 0]
        errors.append(kernel_of(Space.point(), actions).adjoint(points, (np.cos(5.0 * a) + a**2)[None] / n) - exact)
    return np.array([(np.sqrt(np.mean(e[:, 0] ** 2)), np.sqrt(np.mean(e[:, 1:] ** 2))) for e in errors])


def test_order_in_the_spacing():
    """O(h²) for g and ∇g, where the nodal ∇g is only O(h): by as much as a node, more or less."""
    points = np.random.default_rng(0).normal(0.0, 2.0, (4000, 3))
    points[:, 0] = 1.0
    continuous, nodal = ladder(Interpolated, points), ladder(lambda s, a: Network("relu", s, a), points)
    slopes = [-np.polyfit(np.arange(5), np.log2(e), 1)[0] for e in (continuous, nodal)]
    np.testing.assert_allclose(slopes[0], [2.0, 2.0], atol=0.1)
    np.testing.assert_allclose(slopes[1], [2.0, 1.0], atol=0.15)


@given(seed=st.integers(0, 2**32 - 1), factor=st.sampled_from([2.0**-30, 2.0**20, 0.3, 1e8, 1e-8]), n_s=st.sampled_from([1, 5]))
def test_homogeneous(seed, factor, n_s):
    """g(λ ω̄) = λ g(ω̄), ∇g(λ ω̄) = ∇g(ω̄), and Euler's ω̄·∇g = g; to the bit for powers of two."""
    interpolated, points, *_, signal = made(seed, n_s, 9)
    points = points[np.abs(points[:, -2]) > 1e-8]  # so that no product becomes denormal
    points[:, 0] = 1.0
    scaled = points.copy()
    scaled[:, 1:] *= factor
    rows, other = interpolated.adjoint(points, signal), interpolated.adjoint(scaled, signal)
    size = np.abs(points[:, 1:]).max(axis=1, initial=0.0) * np.abs(signal).sum()
    other[:, 0] /= factor
    np.testing.assert_array_less(np.abs((points[:, 1:] * rows[:, 1:]).sum(axis=1) - rows[:, 0]), 1e-13 * size + 1e-300)
    if factor in (2.0**-30, 2.0**20):
        np.testing.assert_array_equal(other, rows)
    else:
        generic = np.abs(points[:, -1]) > 1e-6
        np.testing.assert_array_less(np.abs(other - rows)[generic, 0], 1e-12 * size[generic])


def test_constants_keep_their_sum():
    """Neurons active everywhere or constant in the action see sum_j G_ij, to rounding; rows that sum to 0 give 0."""
    interpolated, _, s, _, signal = made(3, 5, 11)
    points = np.array([[2.0, 0.5, 0.0, 1.0], [2.0, 0.5, -0.0, 1.0], [2.0, 0.5, 0.3, 5.0], [2.0, -0.5, -0.3, 5.0]])
    rows = interpolated.adjoint(points, signal)
    np.testing.assert_allclose(rows[:, -1], 2.0 * signal.sum(), rtol=1e-13)
    np.testing.assert_allclose(rows[:2, 0], signal.sum(axis=1) @ (0.5 * s[:, 0] + 1.0), rtol=1e-13)
    signal -= signal.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(interpolated.adjoint(points, signal)[:2, [0, 1, 3]], 0.0, atol=1e-13 * np.abs(signal).sum())


def test_not_finite_stays_visible():
    interpolated, points, *_, signal = made(4, 5, 7)
    points[0, 2], points[1, 3] = np.nan, np.nan
    with np.errstate(invalid="ignore"):
        rows = interpolated.adjoint(points, signal)
    assert np.isnan(rows[:2, 0]).all()
    assert np.isfinite(rows[2:]).all()
    signal[2, 3] = np.nan
    assert np.isnan(interpolated.adjoint(np.array([[1.0, 0.0, 0.0, 1.0]]), signal)[0, 0])


@given(seed=st.integers(0, 2**32 - 1), n_s=st.sampled_from([1, 6]), n_a=st.sampled_from([2, 9]))
def test_curvature(seed, n_s, n_a):
    """``sum_i γ_i(κ_i)/|k_a| x xᵀ`` written out, γ by NumPy's interpolation."""
    interpolated, _, s, actions, signal = made(seed, n_s, n_a)
    points = np.random.default_rng(seed).normal(0.0, 2.0, (40, 4))
    expected = np.zeros((40, 3, 3))
    for n, (_, k_s, k, b) in enumerate(points):
        kinks = -(k_s * s[:, 0] + b) / k
        for i in np.flatnonzero((kinks > 0.0) & (kinks < 1.0)):
            x = np.array([s[i, 0], kinks[i], 1.0])
            expected[n] += n_a * np.interp(kinks[i], actions.nodes[:, 0], signal[i]) / abs(k) * np.outer(x, x)
    np.testing.assert_allclose(interpolated.curvature(points, signal), expected, rtol=1e-9, atol=1e-10 * np.abs(expected).max())


def test_same_bits_on_any_number_of_threads(monkeypatch):
    monkeypatch.setattr(_jit, "_WORTH_WAKING", 0.0)
    before = numba.get_num_threads()
    interpolated, points, *_, signal = made(5, 120, 33, n=700)
    try:
        found = []
        for count in (1, 2):
            _jit.set_threads(count)
            found.append((interpolated.adjoint(points, signal).tobytes(), interpolated.curvature(points, signal).tobytes()))
    finally:
        numba.set_num_threads(before)
    assert found[0] == found[1]


@pytest.mark.parametrize("actions", [
    Space.gauss_legendre(5), Space.clenshaw_curtis(3), Space.midpoint(1), Space.point(), Space.finite([0.0, 0.0, 1.0]),
    Space.finite([2.0, 1.0, 0.0]), Space.finite([0.0, 1.0, 2.0], [0.5, 1.0, 0.5]), Space.finite(np.zeros((3, 2))),
    Space.finite([0.0, 1.0, 2.1]),
], ids=repr)  # fmt: skip
def test_other_actions_are_refused(actions):
    with pytest.raises(ValueError, match="actions must be two or more increasing equidistant nodes"):
        Interpolated(Space.point(), actions)


def test_wrong_shapes_are_refused():
    interpolated = Interpolated(Space.midpoint(2), Space.finite(3))
    with pytest.raises(ValueError, match="points must have shape"):
        interpolated.adjoint(np.ones((2, 3)), np.ones((2, 3)))
    with pytest.raises(ValueError, match="signal must have shape"):
        interpolated.curvature(np.ones((2, 4)), np.ones((3, 2)))
