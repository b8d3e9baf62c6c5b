"""Log-Sobolev bounds: known constants, a brute-force twin, and the entropy's decay on the cells' own chain."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wflow.measures.log_sobolev import log_sobolev_bounds

LARGEST_RATIO = 4.0 * math.log1p(2.0 * math.e**2) / math.log(2.0)  # of ceiling and Bobkov–Götze: 4 B/b, largest at a tail of 1/2


def drawn(seed, n, even=False, size=2.0):
    """Edges and a log density on them."""
    rng = np.random.default_rng(seed)
    edges = np.concatenate([[0.0], np.cumsum(np.full(n, 1.0) if even else rng.uniform(0.5, 2.0, n))]) / n
    return edges, size * np.cumsum(rng.standard_normal(n)) / math.sqrt(n)


def chain(log_density, edges):
    """Masses, and conductances of neighbours: Scharfetter–Gummel's, by loops."""
    masses = np.exp(log_density) * np.diff(edges)
    density, centres = np.exp(log_density) / masses.sum(), (edges[1:] + edges[:-1]) / 2.0
    conductance = np.empty(len(centres) - 1)
    for i in range(len(conductance)):
        q = log_density[i + 1] - log_density[i]
        bernoulli = q / math.expm1(q) if q != 0.0 else 1.0  # B(q) μ_{i+1} = B(−q) μ_i
        conductance[i] = bernoulli * density[i + 1] / (centres[i + 1] - centres[i])
    return masses / masses.sum(), conductance


def brute_force(masses, conductance, a, shift):
    """max over one side of T log(1 + e^a/T) R by explicit sums, and its mirror image."""
    n, found = len(masses), 0.0
    middle = next(i for i in range(n) if masses[: i + 1].sum() > 0.5)
    for m, c, median in ((masses, conductance, middle), (masses[::-1], conductance[::-1], n - 1 - middle)):
        for i in range(median + 1, n):
            tail = m[i:].sum()
            found = max(found, tail * math.log(1.0 + math.exp(a) / tail) * sum(1.0 / c[k] for k in range(median, i)))
    return shift / found


def spectral_gap(masses, conductance):
    laplacian = np.diag(np.concatenate([conductance, [0.0]]) + np.concatenate([[0.0], conductance]))
    laplacian -= np.diag(conductance, 1) + np.diag(conductance, -1)
    root = np.sqrt(masses)
    return np.linalg.eigvalsh(laplacian / np.outer(root, root))[1]


class TestKnownConstants:
    @pytest.mark.parametrize("length", [1.0, 3.0])
    def test_uniform(self, length):
        """α = π²/L²; on even cells that of the chain, its spectral gap, exactly."""
        for n in (2, 3, 10, 200):
            edges = np.linspace(0.0, length, n + 1)
            bounds = log_sobolev_bounds(np.zeros((1, n)), edges)
            assert bounds.holley_stroock[0] == pytest.approx(spectral_gap(*chain(np.zeros(n), edges)), rel=1e-10)
        exact = (math.pi / length) ** 2
        assert bounds.holley_stroock[0] == pytest.approx(exact, rel=1e-4)
        assert bounds.bobkov_goetze[0] <= exact <= bounds.ceiling[0]
        assert bounds.bakry_emery[0] == 0.0

    @pytest.mark.parametrize("precision", [0.5, 4.0])
    def test_gaussian(self, precision):
        """α = 1/σ²."""
        edges = np.linspace(-12.0, 12.0, 2401) / math.sqrt(precision)
        x = (edges[1:] + edges[:-1]) / 2.0
        bounds = log_sobolev_bounds(-precision * np.square(x - 0.3)[None] / 2.0, edges)
        assert bounds.bakry_emery[0] == pytest.approx(precision, rel=1e-8)
        assert bounds.best[0] == bounds.bakry_emery[0]
        assert bounds.bobkov_goetze[0] <= precision <= bounds.ceiling[0]

    def test_a_barrier_collapses_it_exponentially(self):
        """A double well e^{−V}, barrier H: Holley–Stroock and Bobkov–Götze fall, the latter as e^{−H} like the gap."""
        edges = np.linspace(-1.6, 1.6, 401)
        x = (edges[1:] + edges[:-1]) / 2.0
        heights = np.array([4.0, 8.0, 12.0])
        densities = -heights[:, None] * np.square(np.square(x) - 1.0)
        bounds = log_sobolev_bounds(densities, edges)
        gaps = np.array([spectral_gap(*chain(row, edges)) for row in densities])
        assert (bounds.bobkov_goetze <= gaps).all()
        slopes = np.diff(np.log(bounds.bobkov_goetze)) / np.diff(np.log(gaps))
        np.testing.assert_allclose(slopes, 1.0, atol=0.15)
        assert (bounds.bakry_emery == 0.0).all()


class TestProperties:
    @given(seed=st.integers(0, 10**6), n=st.integers(2, 9), even=st.booleans(), size=st.floats(0.5, 6.0))
    def test_bobkov_goetze_by_explicit_sums(self, seed, n, even, size):
        edges, log_density = drawn(seed, n, even, size)
        bounds = log_sobolev_bounds(log_density[None], edges)
        masses, conductance = chain(log_density, edges)
        assert bounds.bobkov_goetze[0] == pytest.approx(brute_force(masses, conductance, 2.0, 0.5), rel=1e-10)
        assert bounds.ceiling[0] == pytest.approx(brute_force(masses, conductance, -math.log(2.0), 2.0), rel=1e-10)
        assert bounds.bobkov_goetze[0] <= bounds.ceiling[0] <= LARGEST_RATIO * bounds.bobkov_goetze[0] * (1.0 + 1e-12)

    @given(seed=st.integers(0, 10**6), n=st.integers(2, 12), even=st.booleans(), size=st.floats(0.0, 5.0), far=st.floats(1e-3, 8.0))
    def test_entropy_decays_at_the_bound_on_the_chain(self, seed, n, even, size, far):
        """``sum_faces c Δf Δ log f ≥ 2 α KL`` for random f, for the slowest mode, and for all mass in one end; α ≤ spectral gap."""
        edges, log_density = drawn(seed, n, even, size)
        masses, conductance = chain(log_density, edges)
        alpha = log_sobolev_bounds(log_density[None], edges).on_cells[0]
        assert alpha <= spectral_gap(masses, conductance) * (1.0 + 1e-9)
        rng = np.random.default_rng(seed)
        steps = np.concatenate([[0.0], np.cumsum(1.0 / conductance)])
        for log_f in (far * rng.standard_normal(n), far * steps / steps[-1], -far * steps / steps[-1], far * np.cumsum(rng.random(n))):
            f = np.exp(log_f - np.log((masses * np.exp(log_f)).sum()))
            kl = (masses * (f * np.log(f) - f + 1.0)).sum()
            rate = (conductance * np.diff(f) * np.diff(np.log(f))).sum()
            assert rate >= 2.0 * alpha * kl - 1e-12

    @given(seed=st.integers(0, 10**6), n=st.integers(2, 30), scale=st.floats(0.1, 10.0), shift=st.floats(-50.0, 50.0))
    def test_symmetries(self, seed, n, scale, shift):
        """Constants do not matter, a mirror image is the same, and α goes as 1/length²."""
        edges, log_density = drawn(seed, n)
        plain = log_sobolev_bounds(log_density[None], edges)
        moved = log_sobolev_bounds(log_density[None] + shift, edges)
        mirrored = log_sobolev_bounds(log_density[None, ::-1], -edges[::-1])
        wider = log_sobolev_bounds(log_density[None], scale * edges)
        for name in ("bakry_emery", "holley_stroock", "bobkov_goetze", "ceiling"):
            value = getattr(plain, name)
            for other, factor in ((moved, 1.0), (mirrored, 1.0), (wider, scale**2)):
                np.testing.assert_allclose(factor * getattr(other, name), value, rtol=1e-8, atol=1e-8)

    @given(seed=st.integers(0, 10**6), n=st.integers(2, 12), even=st.booleans(), size=st.floats(0.0, 5.0))
    def test_holley_stroock_is_the_uniform_constant_times_the_oscillation(self, seed, n, even, size):
        edges, log_density = drawn(seed, n, even, size)
        uniform = log_sobolev_bounds(np.zeros((1, n)), edges)
        expected = uniform.on_cells[0] if even else uniform.bobkov_goetze[0]
        found = log_sobolev_bounds(log_density[None], edges).holley_stroock[0]
        assert found == pytest.approx(expected * math.exp(-np.ptp(log_density)), rel=1e-10)

    def test_bakry_emery_is_the_least_curvature(self):
        """Of a quartic on uneven cells that double in number: to first order at least; 0 as soon as it is convex anywhere."""
        errors = []
        for n in (40, 80, 160):
            s = np.linspace(0.0, 1.0, n + 1)
            edges = s + 0.05 * np.sin(2.0 * np.pi * s)
            x = (edges[1:] + edges[:-1]) / 2.0
            bounds = log_sobolev_bounds(np.stack([-np.square(x) - x**4, np.square(x) - x**4]), edges)
            errors.append(abs(bounds.bakry_emery[0] - 2.0))  # 2 + 12 x² at x = 0
            assert bounds.bakry_emery[1] == 0.0
        assert errors[2] < 0.6 * errors[1] < 0.36 * errors[0]

    def test_densities_are_taken_one_by_one(self):
        edges, _ = drawn(0, 20)
        rows = np.stack([drawn(seed, 20)[1] for seed in range(5)])
        together = log_sobolev_bounds(rows, edges)
        for k in range(5):
            alone = log_sobolev_bounds(rows[k : k + 1], edges)
            assert together.best[k] == alone.best[0]
            assert together.ceiling[k] == alone.ceiling[0]

    def test_extremes(self):
        """Oscillations beyond all floats, a single cell, two."""
        edges = np.linspace(0.0, 1.0, 51)
        steep = log_sobolev_bounds(np.stack([1e4 * np.linspace(0.0, 1.0, 50), 1e4 * np.cos(20.0 * edges[1:])]), edges)
        assert np.isfinite([steep.bobkov_goetze, steep.ceiling, steep.holley_stroock, steep.bakry_emery]).all()
        assert steep.bobkov_goetze[0] > 1.0
        assert log_sobolev_bounds([[3.0]], [0.0, 1.0]).best[0] == math.inf
        assert log_sobolev_bounds([[0.0, 0.0]], [0.0, 0.5, 1.0]).holley_stroock[0] == pytest.approx(8.0)

    def test_wrong_arguments(self):
        with pytest.raises(ValueError, match=r"edges must have shape \(4,\)"):
            log_sobolev_bounds(np.zeros((1, 3)), [0.0, 1.0, 2.0])
        with pytest.raises(ValueError, match="edges must be two or more increasing"):
            log_sobolev_bounds(np.zeros((1, 3)), [0.0, 1.0, 1.0, 2.0])
        with pytest.raises(ValueError, match="log_density must be finite"):
            log_sobolev_bounds([[0.0, -np.inf]], [0.0, 1.0, 2.0])
        with pytest.raises(ValueError, match="log_density must have shape"):
            log_sobolev_bounds([0.0, 1.0], [0.0, 1.0, 2.0])
