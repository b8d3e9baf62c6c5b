"""The front door: which method is taken, what is refused, and what a distance must satisfy whatever finds it."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from wflow.measures import ParticleMeasure
from wflow.measures.distances import METHODS, W2Result, door, w2

EXACT = ("dense", "lazy")


def cloud(n, d, seed, *, weighted=True, shift=0.0):
    rng = np.random.default_rng(seed)
    return ParticleMeasure(rng.normal(size=(n, d)) + shift, rng.dirichlet(np.ones(n)) if weighted else None)


def moved(measure, function):
    return ParticleMeasure(function(measure.points), measure.weights)


def broken(points, weights):
    """A measure that nobody has checked."""
    return ParticleMeasure._trusted(np.asarray(points, dtype=float), np.asarray(weights, dtype=float))


# --- what it must equal


@pytest.mark.parametrize("method", EXACT)
def test_equals_assignment(method):
    mu, nu = cloud(300, 4, 0, weighted=False), cloud(300, 4, 1, weighted=False)
    costs = ((mu.points[:, None] - nu.points[None]) ** 2).sum(axis=2)
    found = w2(mu, nu, method)
    assert abs(found.value - costs[linear_sum_assignment(costs)].mean() ** 0.5) < 1e-12
    assert found.gap < 1e-11
    assert (found.method, found.certified) == (method, True)
    assert found.seconds > 0.0


@pytest.mark.parametrize("method", ["auto", *METHODS])
@pytest.mark.parametrize("scale", [1e-60, 1.0, 1e60])
def test_translation(method, scale):
    """W2 of a cloud and its translate is the length of the shift, at any scale and by any method, bounds included."""
    d = 1 if method == "line" else 3
    mu = moved(cloud(50, d, 2), lambda points: scale * points)
    shift = scale * np.array([3.0, -4.0, 12.0])[:d]
    found = w2(mu, moved(mu, lambda points: points + shift), method)
    truth = float(np.linalg.norm(shift))
    assert found.value == pytest.approx(truth, rel=1e-14)
    assert found.lower <= truth <= found.upper
    assert found.gap < 1e-12


@pytest.mark.parametrize("method", EXACT)
def test_far_from_the_origin(method):
    """An offset that both clouds share costs no digit (the points are multiples of 2⁻²⁰, so that the offset is exact)."""
    mu, nu = (moved(cloud(60, 3, seed), lambda points: np.round(points * 2**20) / 2**20) for seed in (0, 1))
    far = [moved(measure, lambda points: points + 2.0**30) for measure in (mu, nu)]
    assert w2(*far, method).value == pytest.approx(w2(mu, nu, method).value, rel=1e-13)


def test_gaussians_on_the_line():
    """Quantiles of N(1, 4) and N(−2, 1/4): W2² = 3² + (2 − 1/2)²."""
    from scipy.special import ndtri

    z = ndtri((np.arange(20_000) + 0.5) / 20_000)[:, None]
    found = w2(ParticleMeasure(1.0 + 2.0 * z), ParticleMeasure(-2.0 - 0.5 * z))
    assert found.method == "line"
    assert found.value == pytest.approx((9.0 + 1.5**2) ** 0.5, rel=1e-4)


def test_constant_axes_are_no_axes():
    """Clouds that differ along one axis, constant along the others at values of their own, are clouds on a line, moved apart."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=40), rng.normal(size=30)
    line = w2(ParticleMeasure(x[:, None]), ParticleMeasure(y[:, None])).value
    mu = ParticleMeasure(np.column_stack((np.full(40, 0.1), x, np.full(40, 7.0))))
    nu = ParticleMeasure(np.column_stack((np.full(30, 0.1), y, np.full(30, 3.0))))
    found = w2(mu, nu)
    assert found.method == "line"
    assert found.value == pytest.approx((line**2 + 16.0) ** 0.5, rel=1e-14)
    assert w2(mu, nu, "dense").value == pytest.approx(found.value, rel=1e-13)


def test_an_axis_constant_in_one_cloud_only_counts():
    mu = ParticleMeasure(np.array([[0.0, 1.0], [1.0, 1.0]]))
    nu = ParticleMeasure(np.array([[0.0, 0.0], [1.0, 2.0]]))
    found = w2(mu, nu)
    assert found.method == "dense"
    assert found.value == pytest.approx(1.0, rel=1e-14)


def test_two_points():
    mu, nu = ParticleMeasure(np.ones((5, 3))), ParticleMeasure(np.ones((2, 3)) * [1.0, 4.0, 5.0])
    for method in ("auto", "dense", "line"):
        found = w2(mu, nu, method)
        assert (found.value, found.method) == (5.0, "trivial")
        assert found.lower <= 5.0 <= found.upper


def test_no_coordinates_at_all():
    assert w2(ParticleMeasure(np.zeros((3, 0))), ParticleMeasure(np.zeros((2, 0)))).value == 0.0


def test_identical_measures():
    """Exactly 0, in any order of atoms, whatever the method."""
    mu = cloud(40, 3, 5)
    order = np.random.default_rng(0).permutation(40)
    for other in (mu, ParticleMeasure(mu.points[order], mu.weights[order])):
        for method in ("auto", *METHODS):
            found = w2(mu, other, method)
            assert (found.value, found.lower, found.upper, found.gap, found.method) == (0.0, 0.0, 0.0, 0.0, "trivial")


def test_same_atoms_but_other_weights_are_not_identical():
    mu = cloud(6, 2, 5)
    assert w2(mu, ParticleMeasure(mu.points, mu.weights[::-1].copy())).lower > 0.0


def test_split_atoms_are_the_same_measure():
    """An atom written as two halves: 0 to what the weights' rounding can move."""
    mu = cloud(20, 2, 6)
    twice = ParticleMeasure(np.repeat(mu.points, 2, axis=0), np.repeat(mu.weights / 2, 2))
    found = w2(mu, twice)
    assert found.lower == 0.0
    assert found.value < 1e-7
    assert found.upper < 1e-6
    other = cloud(15, 2, 7)
    assert w2(twice, other).value == pytest.approx(w2(mu, other).value, rel=1e-12)


def test_atoms_without_mass_are_dropped():
    mu, nu = cloud(10, 2, 0), cloud(12, 2, 1)
    far = ParticleMeasure(np.vstack((mu.points, [[1e80, -1e80]])), np.append(mu.weights, 0.0))
    assert w2(far, nu).value == w2(mu, nu).value


def test_weights_are_scaled_to_one():
    """A measure may miss mass 1 by 1e-8; both are scaled, and the distance is that of the scaled measures."""
    mu, nu = cloud(10, 2, 0), cloud(12, 2, 1)
    short = ParticleMeasure(mu.points, mu.weights * (1.0 - 9e-9))
    assert w2(short, nu).value == pytest.approx(w2(mu, nu).value, rel=1e-13)


# --- what it must satisfy


def rational(x, y):
    """W2² of two clouds of equal weights, in rational arithmetic: the best of all permutations."""
    x, y = ([[Fraction(entry) for entry in row] for row in points.tolist()] for points in (x, y))
    costs = [[sum((a - b) ** 2 for a, b in zip(u, v, strict=True)) for v in y] for u in x]
    return min(sum(costs[i][j] for i, j in enumerate(order)) for order in permutations(range(len(x)))) / len(x)


@given(st.integers(1, 5), st.integers(1, 3), st.integers(0, 2**32), st.sampled_from([0.0, 1.0, 1e8, -1e15]),
       st.sampled_from([1e-9, 1e-3, 1.0]), st.sampled_from([1e-200, 1.0, 1e40]))  # fmt: skip
def test_brackets_hold_in_rational_arithmetic(n, d, seed, offset, spread, scale):
    """No tolerance: rounding is inside the bounds, for clouds that are close or far, near the origin or not, by every method."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)) * rng.choice([1.0, 1e-6], size=(n, 1)) + offset
    y = x + spread * rng.normal(size=(n, d)) if seed % 2 else rng.normal(size=(n, d)) * spread + offset * (1.0 + 1e-9)
    x, y = x * scale, y * scale
    truth = rational(x, y)
    for method in ("auto", "dense", "lazy", "columns", "bounds"):
        found = w2(ParticleMeasure(x), ParticleMeasure(y), method)
        assert Fraction(found.lower) ** 2 <= truth <= Fraction(found.upper) ** 2


def knapsack(x, p, y, q):
    """W2² from two weighted atoms in rational arithmetic: the first gives to where it is cheapest beside the second, until it is empty."""
    x, y = ([[Fraction(entry) for entry in row] for row in points.tolist()] for points in (x, y))
    p, q = ([Fraction(mass) / sum(map(Fraction, weights)) for mass in weights] for weights in (p.tolist(), q.tolist()))
    first, second = ([sum((a - b) ** 2 for a, b in zip(atom, v, strict=True)) for v in y] for atom in x)
    left, total = p[0], Fraction(0)
    for j in sorted(range(len(y)), key=lambda j: first[j] - second[j]):
        given_away = min(left, q[j])
        left -= given_away
        total += given_away * first[j] + (q[j] - given_away) * second[j]
    return total


@given(st.integers(1, 8), st.integers(1, 3), st.integers(0, 2**32), st.sampled_from([0.02, 1.0, 50.0]), st.sampled_from([0.0, 1e6]))
def test_brackets_of_weighted_clouds_hold_in_rational_arithmetic(k, d, seed, concentration, offset):
    """Weights from dust to equal, different sizes, the weights' own rounding included."""
    rng = np.random.default_rng(seed)
    q = np.maximum(rng.dirichlet(np.full(k, concentration)), 1e-25)
    mu = ParticleMeasure(rng.normal(size=(2, d)) + offset, rng.dirichlet(np.full(2, concentration)) * (1.0 - 3e-9))
    nu = ParticleMeasure(rng.normal(size=(k, d)) + offset, q / q.sum())
    truth = knapsack(mu.points, mu.weights, nu.points, nu.weights)
    for method in ("auto", "dense", "lazy", "columns", "bounds"):
        for found in (w2(mu, nu, method), w2(nu, mu, method)):
            assert Fraction(found.lower) ** 2 <= truth <= Fraction(found.upper) ** 2


@pytest.mark.parametrize("method", METHODS)
def test_rounding_of_weights_is_inside_the_bracket(method):
    """Two atoms against the same two, one of them in three parts: what is left is the rounding of the parts, and it counts."""
    rng = np.random.default_rng(0)
    d = 1 if method == "line" else 2
    atoms = np.repeat([[0.0], [1.0]], d, axis=1)
    for _ in range(100):
        parts = rng.dirichlet(np.ones(4))
        p, q = np.array([parts[:3].sum(), parts[3]]), parts
        last = [Fraction(weights[-1]) / sum(map(Fraction, weights)) for weights in (p, q)]
        truth = d * abs(last[0] - last[1])
        found = w2(ParticleMeasure(atoms, p), ParticleMeasure(atoms[[0, 0, 0, 1]], q), method)
        assert Fraction(found.lower) ** 2 <= truth <= Fraction(found.upper) ** 2
        assert found.upper < 1e-6


@pytest.mark.parametrize("method", METHODS[1:])
def test_small_clouds_far_apart(method):
    """The cloud's own scale is what the solvers see, not its distance."""
    mu, nu = (moved(cloud(30, 2, seed), lambda points: points * 2.0**-60) for seed in (0, 1))
    found = w2(mu, moved(nu, lambda points: points + np.array([0.0, 2.0**-8])), method)
    assert found.value == pytest.approx(2.0**-8, rel=1e-12)
    assert found.gap < 1e-12


sizes = st.integers(1, 12)
seeds = st.integers(0, 2**32)


@given(sizes, sizes, st.integers(1, 4), seeds, st.sampled_from(["auto", "dense", "lazy", "columns", "bounds"]))
def test_bracket_and_symmetry(n, k, d, seed, method):
    mu, nu = cloud(n, d, seed), cloud(k, d, seed + 1, shift=0.3)
    exact, found, back = w2(mu, nu), w2(mu, nu, method), w2(nu, mu, method)
    assert max(found.lower, back.lower) <= exact.upper
    assert exact.lower <= min(found.upper, back.upper)
    if method not in ("columns", "bounds"):
        assert found.value == pytest.approx(back.value, rel=1e-11, abs=1e-12)


@given(sizes, sizes, st.integers(1, 3), seeds, st.integers(-300, 300))
def test_scaling(n, k, d, seed, exponent):
    """W2(s μ, s ν) = s W2(μ, ν), bit for bit where s is a power of two."""
    mu, nu = cloud(n, d, seed), cloud(k, d, seed + 1)
    scaled = [moved(measure, lambda points: np.ldexp(points, exponent)) for measure in (mu, nu)]
    for figure in ("value", "lower", "upper"):
        assert getattr(w2(*scaled), figure) == np.ldexp(getattr(w2(mu, nu), figure), exponent)


@given(st.tuples(sizes, sizes, sizes), st.integers(1, 3), seeds)
def test_triangle_inequality(shape, d, seed):
    a, b, c = (cloud(n, d, seed + i) for i, n in enumerate(shape))
    assert w2(a, c).lower <= (w2(a, b).upper + w2(b, c).upper) * (1 + 1e-15)


@given(seeds, st.integers(1, 3))
def test_rotation(seed, d):
    mu, nu = cloud(9, d, seed), cloud(11, d, seed + 1)
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))[0]
    turned = w2(moved(mu, lambda points: points @ turn), moved(nu, lambda points: points @ turn))
    assert turned.value == pytest.approx(w2(mu, nu).value, rel=1e-11)


# --- which method


def test_auto_by_size_and_memory(monkeypatch):
    mu, nu = cloud(40, 2, 0), cloud(30, 2, 1)
    chosen = []
    monkeypatch.setattr(door._Pair, "solve", lambda self, name, *_: chosen.append(name) or door.Squares(1.0, 1.0, 1.0))
    need = door._Pair.centred(mu.points, mu.weights, nu.points, nu.weights).need
    w2(mu, nu)
    w2(mu, nu, budget=0.99 * need("dense"))
    monkeypatch.setattr(door, "_DENSE", 1199)
    w2(mu, nu)
    w2(mu, nu, budget=0.99 * need("columns"))
    monkeypatch.setattr(door, "_COLUMNS", 69)
    w2(mu, nu)
    w2(cloud(40, 1, 0), cloud(30, 1, 1))
    assert chosen == ["dense", "lazy", "columns", "bounds", "bounds", "line"]
    for method in METHODS[1:]:
        w2(mu, nu, method)
    assert tuple(chosen[6:]) == METHODS[1:]


def test_bounds_give_a_value_only_where_they_are_tight():
    mu, nu = cloud(200, 3, 0), cloud(100, 3, 1, shift=0.5)
    wide = w2(mu, nu, "bounds")
    assert wide.value is None
    assert wide.gap > 0.05
    assert w2(mu, nu, "bounds", gap=0.9).value == pytest.approx(wide.upper, rel=1e-11)


@pytest.mark.parametrize("gap", [1e-2, 1e-5])
def test_columns_reach_the_gap(gap):
    """The gap is that of the whole distance, and the bracket holds the exact one."""
    mu, nu = cloud(700, 3, 0), cloud(500, 3, 1, shift=0.2)
    exact, found = w2(mu, nu, "dense"), w2(mu, nu, "columns", gap=gap)
    assert found.gap <= gap
    assert found.lower <= exact.upper
    assert exact.lower <= found.upper
    assert found.value == pytest.approx(exact.value, rel=gap)


def test_a_bracket_that_stays_open_gives_no_value(monkeypatch):
    mu, nu = cloud(20, 2, 0), cloud(20, 2, 1)
    monkeypatch.setattr(door.columns, "solve", lambda *clouds, gap: door.columns.Columns(0.01, 0.02, 30, 100))
    found = w2(mu, nu, "columns")
    assert found.value is None
    assert found.lower < found.upper
    assert w2(mu, nu, "columns", gap=0.5).value is not None


def test_translates_of_large_clouds_cost_nothing():
    mu = cloud(60_000, 4, 0)
    found = w2(mu, moved(mu, lambda points: points + 1.0))
    assert found.method == "columns"
    assert found.value == pytest.approx(2.0, rel=1e-14)
    assert found.gap < 1e-3
    assert found.seconds < 2.0


def test_too_little_memory_is_an_error_with_a_way_out():
    mu, nu = cloud(2_000, 2, 0), cloud(1_000, 2, 1)
    with pytest.raises(MemoryError, match=r"method='dense' needs about 0\.0826 GB for 2000 and 1000 points.*0\.05 GB; use method='lazy'"):
        w2(mu, nu, "dense", budget=5e7)
    with pytest.raises(MemoryError, match=r"method='lazy' needs .*use method='bounds' .* or raise budget="):
        w2(mu, nu, "lazy", budget=1e6)
    for method in ("auto", "bounds"):
        with pytest.raises(MemoryError, match=r"method='bounds' needs .*; raise budget="):
            w2(mu, nu, method, budget=1e5)


def test_same_seed_same_bits():
    mu, nu = cloud(100, 3, 0), cloud(90, 3, 1)
    first, again, other = (w2(mu, nu, "bounds", seed=seed) for seed in (3, 3, 4))
    assert (first.lower, first.upper) == (again.lower, again.upper)
    assert (first.lower, first.upper) != (other.lower, other.upper)


# --- what is refused

GOOD = cloud(4, 2, 0)


@pytest.mark.parametrize(("measure", "error", "match"), [
    (np.zeros((3, 2)), TypeError, r"mu must be a ParticleMeasure or a GridMeasure; .*ParticleMeasure\(points\)"),
    (None, TypeError, "mu must be a ParticleMeasure or a GridMeasure; got None"),
    (broken([[0.0, np.nan]], [1.0]), ValueError, r"mu.points must be finite; got nan at \[0, 1\]"),
    (broken([[0.0, np.inf]], [1.0]), ValueError, r"mu.points must be finite; got inf at \[0, 1\]"),
    (broken([[0.0, 1.0]], [np.nan]), ValueError, "mu.weights must be finite"),
    (broken([[0.0, 1.0], [1.0, 1.0]], [1.5, -0.5]), ValueError, "mu.weights must be at least 0; got -0.5"),
    (broken([[0.0, 1.0], [1.0, 1.0]], [0.5, 0.4]), ValueError, "mu.weights must sum to 1; got 0.9"),
    (broken([[0.0, 1.0]], [0.5, 0.5]), ValueError, r"mu.weights must have shape \(1,\)"),
    (broken(np.zeros((0, 2)), []), ValueError, "mu.weights must sum to 1; got 0.0"),
    (broken([0.0, 1.0], [0.5, 0.5]), ValueError, r"mu.points must have shape \(any, any\)"),
    (cloud(3, 3, 0), ValueError, "mu and nu must have the same dimension; got 3 and 2"),
])  # fmt: skip
def test_bad_measures(measure, error, match):
    with pytest.raises(error, match=match):
        w2(measure, GOOD)
    with pytest.raises(error, match=match.replace("mu must", "nu must").replace("mu.", "nu.").replace("3 and 2", "2 and 3")):
        w2(GOOD, measure)


@pytest.mark.parametrize(("options", "error", "match"), [
    ({"method": "desne"}, ValueError, r"method must be one of auto, line, .* \(did you mean 'dense'\?\)"),
    ({"method": "trivial"}, ValueError, "method must be one of"),
    ({"method": "line"}, ValueError, "method must not be 'line' for clouds on more than one axis; these spread along 2"),
    ({"budget": 0}, ValueError, "budget must be a number above 0"),
    ({"budget": "1 GB"}, TypeError, "budget must be"),
    ({"gap": 0.0}, ValueError, "gap must be a finite number above 0 and below 1"),
    ({"gap": 1.0}, ValueError, "gap must be"),
    ({"seed": -1}, ValueError, "seed must be an integer of at least 0"),
    ({"seed": 1.5}, TypeError, "seed must be"),
])  # fmt: skip
def test_bad_options(options, error, match):
    with pytest.raises(error, match=match):
        w2(GOOD, cloud(5, 2, 1), **options)


def test_the_inputs_are_left_alone():
    mu, nu = cloud(20, 3, 0), cloud(20, 3, 1)
    kept = [measure.points.copy() for measure in (mu, nu)]
    for method in ("auto", "lazy", "bounds"):
        w2(mu, nu, method)
    np.testing.assert_array_equal(mu.points, kept[0])
    np.testing.assert_array_equal(nu.points, kept[1])


def test_the_door_opens_without_the_solvers():
    """``wflow.measures.distances`` is there after ``import wflow``; POT and SciPy's heavy parts come with the first use."""
    script = """
import sys, wflow
wflow.measures.distances.w2
print([name for name in ("ot", "scipy.spatial", "scipy.stats", "scipy.optimize") if name in sys.modules])
"""
    assert subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.strip() == "[]"


def test_result_is_offered():
    assert isinstance(w2(GOOD, GOOD), W2Result)


@pytest.mark.slow
def test_a_million_points_in_half_a_minute():
    mu, nu = cloud(1_000_000, 4, 0, weighted=False), cloud(1_000_000, 4, 1, weighted=False, shift=0.5)
    found = w2(mu, nu)
    assert found.method == "bounds"
    assert found.seconds < 30.0
    assert found.lower <= 1.01
    assert found.upper >= 0.99  # the laws' distance is 1, and each cloud is within a few hundredths of its law
    assert found.gap < 0.05
