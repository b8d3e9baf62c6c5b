"""Initial laws: reproducible, and the laws they say they are."""

from __future__ import annotations

import hashlib
import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from wflow.measures import ParticleMeasure, laws
from wflow.measures.laws import Moments, Normal, Point, Product, Sphere, Uniform, student
from wflow.measures.laws.quantiser import lloyd
from wflow.measures.laws.sobol import scrambled

N = 200_000
SIGMAS = 5.0  # of the Monte-Carlo error; a fixed seed, so this is no gamble


def test_same_seed_same_bits():
    law = Product((Normal(1.0, 2.0), Point(3.0), Uniform(0.0, 1.0)))
    first = law.sample(50, 7)
    assert isinstance(first, ParticleMeasure)
    for seed in (7, np.random.SeedSequence(7), np.random.default_rng(7)):
        np.testing.assert_array_equal(law.sample(50, seed).points, first.points)
    assert (law.sample(50, 8).points != first.points)[:, [0, 2]].all()
    np.testing.assert_array_equal(first.weights, 1 / 50)


def test_a_generator_moves_on():
    rng = np.random.default_rng(0)
    law = Product((Normal(),))
    assert (law.sample(5, rng).points != law.sample(5, rng).points).all()


@pytest.mark.parametrize(("law", "mean", "variance", "fourth"), [
    (Normal(1.0, 4.0), 1.0, 4.0, 48.0),
    (Normal(), 0.0, 1.0, 3.0),
    (Uniform(-1.0, 2.0), 0.5, 0.75, 81.0 / 80.0),
    (Uniform(), 0.0, 1.0 / 3.0, 0.2),
    (Point(-2.5), -2.5, 0.0, 0.0),
    (Normal(2.0, 0.0), 2.0, 0.0, 0.0),
])  # fmt: skip
def test_moments(law, mean, variance, fourth):
    x = law.draw(N, np.random.default_rng(0))
    assert x.shape == (N,)
    assert abs(x.mean() - mean) <= SIGMAS * np.sqrt(variance / N)
    assert abs(((x - mean) ** 2).mean() - variance) <= SIGMAS * np.sqrt((fourth - variance**2) / N)


@pytest.mark.parametrize(("law", "exact"), [
    (Normal(0.3, 2.0), scipy.stats.norm(0.3, 2.0**0.5).cdf),
    (Uniform(-1.0, 2.0), scipy.stats.uniform(-1.0, 3.0).cdf),
    (Point(0.5), lambda x: 1.0 * (x >= 0.5)),
    (Normal(0.5, 0.0), lambda x: 1.0 * (x >= 0.5)),
])  # fmt: skip
def test_distribution_functions(law, exact):
    x = np.concatenate([np.linspace(-5.0, 5.0, 41), [np.nextafter(0.5, 0.0), 0.5, -40.0, 40.0]])
    found = law.distribution(x)
    assert found.shape == x.shape
    np.testing.assert_allclose(found, exact(x), rtol=1e-13, atol=0)


@pytest.mark.parametrize("law", [Normal(0.3, 2.0), Uniform(-1.0, 2.0)])
def test_quantiles_invert_distribution_functions(law):
    u = (np.arange(50) + 0.5) / 50
    np.testing.assert_allclose(law.distribution(law.quantile(u[:, None])[:, 0]), u, rtol=1e-13)


def test_uniform_stays_inside():
    x = Uniform(3.0, 4.0).draw(1000, np.random.default_rng(0))
    assert x.min() >= 3.0
    assert x.max() < 4.0


def test_coordinates_are_independent():
    points = Product((Normal(), Normal(), Uniform())).sample(N, 0).points
    correlation = np.corrcoef(points.T) - np.eye(3)
    assert np.abs(correlation).max() < SIGMAS / np.sqrt(N)


def test_student_of_the_paper():
    """ω0 = 0, everything else N(0, 4): variance 4, not standard deviation."""
    measure = student(4).sample(N, 0)
    assert measure.dimension == 4
    np.testing.assert_array_equal(measure.points[:, 0], 0.0)
    assert np.abs(measure.points[:, 1:].mean(axis=0)).max() < SIGMAS * 2.0 / np.sqrt(N)
    assert np.abs(measure.points[:, 1:].var(axis=0) - 4.0).max() < SIGMAS * np.sqrt(2.0 * 16.0 / N)
    assert np.abs(student(3, 0.25).sample(N, 0).points[:, 1:].var(axis=0) - 0.25).max() < SIGMAS * np.sqrt(2.0 / 16.0 / N)


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda: Normal(np.nan), ValueError, "^mean must be a finite number; got nan$"),
    (lambda: Normal(0.0, -1.0), ValueError, r"^variance must be a finite number .*at least 0; got -1\.0$"),
    (lambda: Normal("a"), TypeError, "^mean must be a finite number; got 'a'$"),
    (lambda: Uniform(1.0, 1.0), ValueError, r"^high must be a finite number .*above 1; got 1\.0$"),
    (lambda: Uniform(-np.inf, 1.0), ValueError, "^low must be a finite number; got -inf$"),
    (lambda: Point(np.inf), ValueError, "^value must be a finite number; got inf$"),
    (lambda: Product(()), TypeError, r"^factors must be one law or more, such as Normal\(\) or Point\(\); got \(\)$"),
    (lambda: Product((Normal(), 3.0)), TypeError, "^factors must be one law or more"),
    (lambda: Product((Normal,)), TypeError, "^factors must be one law or more"),  # the class, not a law
    (lambda: student(1), ValueError, "^n_parameters must be an integer of at least 2; got 1$"),
    (lambda: student(3.0), TypeError, "^n_parameters must be an integer of at least 2; got 3.0$"),
    (lambda: student(3, -1.0), ValueError, "^variance must be"),
    (lambda: student(3).sample(0, 0), ValueError, "^n must be an integer of at least 1; got 0$"),
    (lambda: student(3).sample(2.5, 0), TypeError, "^n must be an integer of at least 1; got 2.5$"),
    (lambda: student(3).sample(10**15, 0), ValueError, "^n must be small enough for .* GB of memory; got 1000000000000000$"),
    (lambda: student(10**15), ValueError, "^n_parameters must be small enough for .* GB of memory"),
    (lambda: student(3).sample(2, -1), ValueError, "^seed must be an integer of at least 0; got -1$"),
    (lambda: student(3).sample(2, "0"), TypeError, "^seed must be an integer of at least 0; got '0'$"),
    (lambda: student(3).sample(2, None), TypeError, "^seed must be an integer of at least 0; got None$"),  # would be another each time
    (lambda: Product(3), TypeError, "^factors must be one law or more"),
])  # fmt: skip
def test_refuses(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_numbers_of_any_type_give_the_same_bits():
    for variance in (np.float32(2.0), np.longdouble(2.0), np.array(2.0), 2):
        drawn = laws.Product((Normal(0.0, variance),)).sample(9, 0)
        np.testing.assert_array_equal(drawn.points, laws.Product((Normal(0.0, 2.0),)).sample(9, 0).points)


def test_a_law_of_ones_own():
    class Coin:
        def draw(self, n, rng):
            return rng.choice([-1.0, 1.0], n)

    points = laws.Product((Coin(), Point(0.0))).sample(100, 0).points
    assert set(points[:, 0]) == {-1.0, 1.0}


MIXED = Product((Point(2.0), Normal(0.5, 2.0), Sphere(3, 1.5), Uniform(-1.0, 3.0), Sphere(2)))


def test_bits_of_a_sample():
    """Coordinate by coordinate from one generator, as ever."""
    rng = np.random.default_rng(11)
    expected = [rng.normal(1.0, 2.0**0.5, 9), np.full(9, 3.0), rng.uniform(0.0, 1.0, 9), rng.normal(0.0, 1.0, 9)]
    law = Product((Normal(1.0, 2.0), Point(3.0), Uniform(0.0, 1.0), Normal()))
    np.testing.assert_array_equal(law.sample(9, 11).points, np.column_stack(expected))


def distance_to_uniform(u):
    """Kolmogorov–Smirnov distance of values in (0, 1) to the uniform law."""
    u, n = np.sort(u), len(u)
    return max((np.arange(1, n + 1) / n - u).max(), (u - np.arange(n) / n).max())


def turn(x, y):
    return np.mod(np.arctan2(y, x) / (2.0 * np.pi), 1.0)


# Each law as what takes its points to values that must be uniform, independent of the code's own quantiles.
UNIFORMISED = [
    (Normal(1.0, 4.0), lambda x: [scipy.stats.norm(1.0, 2.0).cdf(x[:, 0])]),
    (Uniform(-1.0, 2.0), lambda x: [(x[:, 0] + 1.0) / 3.0]),
    (Sphere(2, 0.5), lambda x: [turn(*x.T)]),
    (Sphere(3, 2.0), lambda x: [(x[:, 2] / 2.0 + 1.0) / 2.0, turn(x[:, 0], x[:, 1])]),
    (Sphere(5), lambda x: [scipy.stats.beta(2.0, 2.0).cdf((c + 1.0) / 2.0) for c in x.T]),
]
LAWS = pytest.mark.parametrize(("law", "uniforms"), UNIFORMISED, ids=["normal", "uniform", "circle", "sphere", "sphere in 5"])


@LAWS
def test_draws_follow_their_law(law, uniforms):
    """Dvoretzky–Kiefer–Wolfowitz: the distance exceeds ε with probability 2 exp(−2nε²), here 1e-9."""
    n = 20_000
    for u in uniforms(Product((law,)).sample(n, 3).points):
        assert distance_to_uniform(u) < np.sqrt(np.log(2e9) / (2.0 * n))


@LAWS
def test_sobol_points_follow_their_law(law, uniforms):
    """Of n = 2^k points one lies in each of n equal cells, coordinate by coordinate: the distance is at most 1/n, surely."""
    n = 2048
    for u in uniforms(Product((law,)).qmc(n, 3).points):
        assert distance_to_uniform(u) < (1.0 / n if law != Sphere(5) else 0.02) * (1.0 + 1e-6)


@pytest.mark.parametrize("k", [2, 3, 4, 7])
@pytest.mark.parametrize("way", ["sample", "qmc"])
def test_spheres_are_round(k, way):
    points = getattr(Product((Sphere(k, 3.0),)), way)(500, 0).points
    assert points.shape == (500, k)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 3.0, rtol=1e-14)


@given(n=st.integers(1, 300), seed=st.integers(0, 2**32 - 1))
def test_sobol_points_are_nested(n, seed):
    np.testing.assert_array_equal(MIXED.qmc(2 * n, seed).points[:n], MIXED.qmc(n, seed).points)


def test_sobol_points_of_several_seeds():
    first = MIXED.qmc(100, 7)
    for seed in (np.random.SeedSequence(7), np.random.default_rng(7)):
        np.testing.assert_array_equal(MIXED.qmc(100, seed).points, first.points)
    np.testing.assert_array_equal(first.weights, 0.01)
    np.testing.assert_array_equal(first.points[:, 0], 2.0)
    assert (MIXED.qmc(100, 8).points != first.points)[:, 1:].all()
    rng = np.random.default_rng(0)
    assert (MIXED.qmc(5, rng).points != MIXED.qmc(5, rng).points)[:, 1:].all()


def test_points_take_no_sobol_dimension():
    plain = Product((Normal(), Uniform())).qmc(64, 1).points
    padded = Product((Point(5.0), Normal(), Normal(3.0, 0.0), Uniform(), Point(0.0))).qmc(64, 1).points
    np.testing.assert_array_equal(padded[:, [1, 3]], plain)
    np.testing.assert_array_equal(padded[:, [0, 2, 4]], np.tile([5.0, 3.0, 0.0], (64, 1)))
    assert Product((Point(1.0),)).qmc(3, 0).points.tolist() == [[1.0]] * 3


def test_uniform_numbers_stay_off_0_and_1():
    """Odd multiples of 2⁻³¹."""
    u = scrambled(4096, 3, np.random.default_rng(0)) * 2.0**31
    np.testing.assert_array_equal(np.mod(u, 2.0), 1.0)
    assert u.min() > 0.0
    assert u.max() < 2.0**31


def slope(sizes, errors):
    return np.polyfit(np.log(sizes), np.log(errors), 1)[0]


def test_sobol_means_converge_faster_than_sampling():
    """Root mean square error over seeds of the mean of a smooth function: slope below −0.9, where independent points have −0.5."""
    law, sizes = Product((Normal(), Uniform(), Sphere(3))), 2 ** np.arange(5, 12)
    exact = np.exp(-0.5) * np.sinh(1.0) * (1.0 + 1.0 / 3.0)  # of cos x, e^y and 1 + z²

    def errors(way):
        for n in sizes:
            clouds = [getattr(law, way)(n, seed).points for seed in range(30)]
            means = [np.mean(np.cos(x[:, 0]) * np.exp(x[:, 1]) * (1.0 + x[:, 4] ** 2)) for x in clouds]
            yield np.sqrt(np.mean((np.array(means) - exact) ** 2))

    assert slope(sizes, list(errors("qmc"))) < -0.9
    assert slope(sizes, list(errors("sample"))) == pytest.approx(-0.5, abs=0.15)


def test_same_bits_in_another_process():
    script = """
import hashlib
from wflow.measures.laws import Normal, Point, Product, Sphere
law = Product((Normal(0.5, 2.0), Point(1.0), Sphere(4)))
measures = law.sample(50, 3), law.qmc(50, 3), law.quantised(20, 3)
print(*(hashlib.sha256(m.points.tobytes() + m.weights.tobytes()).hexdigest() for m in measures))
"""
    found = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    law = Product((Normal(0.5, 2.0), Point(1.0), Sphere(4)))
    measures = law.sample(50, 3), law.qmc(50, 3), law.quantised(20, 3)
    here = " ".join(hashlib.sha256(m.points.tobytes() + m.weights.tobytes()).hexdigest() for m in measures)
    assert found.strip() == here


def normal_moment(degree):
    return float(math.prod(range(1, degree, 2))) if degree % 2 == 0 else 0.0


def uniform_moment(degree):
    """On [−1, 2]."""
    return (2.0 ** (degree + 1) - (-1.0) ** (degree + 1)) / (3.0 * (degree + 1))


def sphere_moment(*degrees):
    """On the unit sphere in R^k: products of (2a − 1)!! over k (k + 2) ... (k + 2s − 2), with all degrees 2a even and s = Σ a."""
    if any(degree % 2 for degree in degrees):
        return 0.0
    rising = math.prod(len(degrees) + 2 * j for j in range(sum(degrees) // 2))
    return math.prod(normal_moment(degree) for degree in degrees) / rising


@pytest.mark.parametrize("n", [1, 2, 5, 12])
@pytest.mark.parametrize(("law", "moment"), [(Normal(), normal_moment), (Uniform(-1.0, 2.0), uniform_moment)])
def test_gauss_rules_on_the_line(law, moment, n):
    """Exact to degree 2n − 1, and no further."""
    rule = Product((law,)).gauss(n)
    assert rule.size == n
    for degree in range(2 * n):
        size = rule.weights @ np.abs(rule.points[:, 0]) ** degree
        assert rule.weights @ rule.points[:, 0] ** degree == pytest.approx(moment(degree), rel=1e-12, abs=1e-13 * size)
    assert rule.weights @ rule.points[:, 0] ** (2 * n) < moment(2 * n) * (1.0 - 1e-9)  # a square that vanishes on the nodes is missed


@pytest.mark.parametrize("n", [1, 2, 5, 9])
@pytest.mark.parametrize("k", [2, 3])
def test_gauss_rules_on_spheres(k, n):
    rule = Product((Sphere(k),)).gauss(n)
    assert rule.size == {2: 2 * n, 3: 2 * n**2}[k]
    np.testing.assert_allclose(np.linalg.norm(rule.points, axis=1), 1.0, rtol=1e-14)
    wrong = []
    for degrees in itertools.product(range(2 * n + 1), repeat=k):
        error = abs(rule.weights @ np.prod(rule.points ** np.array(degrees), axis=1) - sphere_moment(*degrees))
        if sum(degrees) < 2 * n:
            assert error < 1e-14
        elif sum(degrees) == 2 * n:
            wrong.append(error)
    assert max(wrong) > 1e-8


def test_gauss_rules_of_products():
    """Far from standard: mean 2 and variance 9; all mixed degrees; one size for each factor; the last factor fastest."""
    law = Product((Normal(2.0, 9.0), Point(7.0), Uniform(-1.0, 2.0), Sphere(2, 2.0)))
    rule = law.gauss((3, 1, 2, 2))
    assert (rule.size, rule.dimension) == (3 * 2 * 4, 5)
    assert rule.weights.sum() == pytest.approx(1.0, rel=1e-14)
    np.testing.assert_array_equal(rule.points[:, 1], 7.0)
    np.testing.assert_array_equal(rule.points[:4, [0, 2]], np.tile(rule.points[0, [0, 2]], (4, 1)))
    x, _, y, c, s = rule.points.T
    for i, j, k in itertools.product(range(6), range(4), range(4)):
        exact = normal_moment(i) * uniform_moment(j) * 2.0**3 * sphere_moment(k, 3 - k)
        got = rule.weights @ (((x - 2.0) / 3.0) ** i * y**j * c**k * s ** (3 - k))
        assert got == pytest.approx(exact, abs=1e-11)
    np.testing.assert_array_equal(law.gauss(3).points, law.gauss([3, 3, 3, 3]).points)
    np.testing.assert_array_equal(law.gauss(np.array([3, 9, 3, 3])).points, law.gauss(3).points)
    assert Product((Normal(3.0, 0.0), Point(1.0))).gauss(5).points.tolist() == [[3.0, 1.0]]


def test_gauss_rules_of_many_nodes():
    rule = Product((Normal(),)).gauss(400)
    assert rule.weights @ rule.points[:, 0] ** 8 == pytest.approx(105.0, rel=1e-12)


@pytest.mark.parametrize("law", [Product((factor,)) for factor, _ in UNIFORMISED[:4]] + [MIXED, student(3)])
def test_moments_of_products(law):
    """All four against a quadrature that is exact for degree 4 (and is itself tested above)."""
    rule, found = law.gauss(3), law.moments()
    z = rule.points - rule.mean()
    square = (z**2).sum(axis=1)
    np.testing.assert_allclose(law.mean(), rule.mean(), rtol=0, atol=1e-14)
    np.testing.assert_allclose(law.covariance(), rule.covariance(), rtol=0, atol=1e-13)
    np.testing.assert_allclose(found.third, (rule.weights * square) @ z, rtol=0, atol=1e-12)
    assert found.square_variance == pytest.approx(rule.weights @ square**2 - (rule.weights @ square) ** 2, rel=1e-12, abs=1e-12)


def test_moments_of_a_large_sphere():
    np.testing.assert_array_equal(Product((Sphere(5, 2.0),)).covariance(), np.eye(5) * 0.8)
    assert Product((Sphere(5, 2.0),)).moments().square_variance == 0.0


def test_dimensions():
    assert (MIXED.dimension, MIXED.support_dimension) == (8, 1 + 2 + 1 + 1)
    assert (Product((Sphere(6), Normal(1.0, 0.0))).dimension, Product((Sphere(6), Normal(1.0, 0.0))).support_dimension) == (7, 5)
    assert student(4).support_dimension == 3


QUANTISED = [
    (Product((Normal(), Normal())), 2),
    (student(4, 1.0), 3),
    (Product((Uniform(),)), 1),
    (Product((Sphere(3), Point(1.0))), 2),
    (Product((Normal(),)), 1),  # tails: hardest where the start has the law's own density
]


@pytest.mark.parametrize(("law", "d"), QUANTISED)
def test_quantisers_are_stationary(law, d):
    """Weights are masses of cells and points their means, up to the last move; no mass and no mean is lost."""
    n, cloud = 60, law.qmc(64 * 60, 4)
    found = law.quantised(n, 4)
    assert (found.size, found.dimension, law.support_dimension) == (n, law.dimension, d)
    assert found.weights.sum() == pytest.approx(1.0, rel=1e-14)
    np.testing.assert_allclose(found.mean(), cloud.mean(), rtol=0, atol=1e-13)
    squares = cdist(cloud.points, found.points, "sqeuclidean")
    cell, error = squares.argmin(axis=1), squares.min(axis=1).mean()
    masses = np.bincount(cell, minlength=n) / cloud.size
    means = np.array([cloud.points[cell == i].mean(axis=0) for i in range(n)])
    assert np.abs(masses - found.weights).sum() < 0.01
    assert np.sqrt(found.weights @ ((means - found.points) ** 2).sum(axis=1)) < 0.03 * np.sqrt(error)
    lost = np.trace(cloud.covariance()) - np.trace(found.covariance())  # what conditional expectations lose of the variance
    assert lost == pytest.approx(error, rel=1e-3)


def squared_distance(law, points):
    """Mean squared distance of the law, seen through 2^14 points of its own, to its nearest among `points`."""
    total = [cdist(part, points, "sqeuclidean").min(axis=1).mean() for part in np.split(law.qmc(2**14, 99).points, 16)]
    return np.mean(total)


@pytest.mark.parametrize(("law", "d"), QUANTISED)
def test_quantisers_reach_the_best_rate(law, d):
    sizes = np.array([20, 60, 180])
    errors = [squared_distance(law, law.quantised(n, 0).points) for n in sizes]
    assert slope(sizes, errors) == pytest.approx(-2.0 / d, abs=0.2 / d)
    assert errors[-1] < 0.85 * squared_distance(law, law.qmc(180, 0).points)


HEXAGONS = 5.0 / (18.0 * np.sqrt(3.0))


@pytest.mark.parametrize(("law", "limit"), [
    (Product((Uniform(0.0, 1.0),)), 1.0 / 12.0),
    (Product((Uniform(0.0, 1.0), Uniform(0.0, 1.0))), HEXAGONS),
    (Product((Normal(), Normal())), HEXAGONS * 8.0 * np.pi),
], ids=["segment", "square", "plane"])  # fmt: skip
def test_quantisers_reach_the_best_constant(law, limit):
    """Zador: n^{2/d} times the least squared error tends to that of equal cells of the best shape, times ‖f‖_{d/(d+2)}."""
    found = squared_distance(law, law.quantised(200, 0).points) * 200.0 ** (2.0 / law.dimension)
    assert 0.93 * limit < found < 1.12 * limit


class Coin:
    """A law of one's own with a quantile."""

    def draw(self, n, rng):
        return rng.choice([-1.0, 1.0], n)

    def quantile(self, u):
        return np.where(u[:, 0] < 0.25, -1.0, 1.0)

    def gauss(self, n):
        return [-1.0, 1.0], [0.25, 0.75]

    def moments(self):
        return Moments(np.array([0.5]), np.array([[0.75]]), np.array([-0.75]), 0.75)


def test_empty_cells():
    """Fewer distinct points than cells: the superfluous carry nothing."""
    found = Product((Coin(), Point(2.0))).quantised(6, 0)
    for value, mass in ((-1.0, 0.25), (1.0, 0.75)):
        assert found.weights[found.points[:, 0] == value].sum() == pytest.approx(mass, abs=1.0 / 64.0)
    assert (found.weights > 0.0).sum() == 2
    alone = Product((Point(2.0), Point(0.0))).quantised(3, 0)
    assert alone.points.tolist() == [[2.0, 0.0]] * 3
    assert sorted(alone.weights) == [0.0, 0.0, 1.0]


def test_a_rare_atom_far_away():
    cloud = np.array([-1.0, 1.0] * 30 + [100.0] * 2)[:, None]
    points, weights = lloyd(cloud, 6, 1)
    for value, mass in ((-1.0, 30 / 62), (1.0, 30 / 62), (100.0, 2 / 62)):
        assert weights[points[:, 0] == value].sum() == pytest.approx(mass, rel=1e-14)


def test_empty_cells_are_filled():
    """Two atoms of mass 0.9 draw many centres of which one each finds members; the others go to the tail, and none stays idle."""
    u = (np.arange(6400) + 0.5) / 6400
    np.random.default_rng(102).shuffle(u)
    cloud = np.where(u < 0.5, 0.0, np.where(u < 0.9, 1.0, -np.log1p(-u)))[:, None]
    _, weights = lloyd(cloud, 100, 1)
    assert weights.min() > 0.0


@pytest.mark.parametrize("n", [1, 2, 7])
@pytest.mark.parametrize("oversampling", [1, 3])
def test_small_quantisers(n, oversampling):
    found = MIXED.quantised(n, 0, oversampling=oversampling)
    assert found.size == n
    np.testing.assert_allclose(found.mean(), MIXED.qmc(n * oversampling, 0).mean(), rtol=0, atol=1e-14)


def test_what_a_law_of_ones_own_may_offer():
    law = Product((Coin(), Normal()))
    np.testing.assert_allclose(law.mean(), [0.5, 0.0])
    np.testing.assert_allclose(law.qmc(1024, 0).mean(), [0.5, 0.0], atol=5e-3)
    rule = law.gauss(2)
    assert rule.size == 4
    np.testing.assert_allclose(rule.mean(), [0.5, 0.0], atol=1e-15)
    assert law.moments().square_variance == 2.75


class Bare:
    def __init__(self, dimension=1, width=None):
        self.dimension, self.width = dimension, dimension if width is None else width

    def __repr__(self):
        return "Bare()"

    def draw(self, n, rng):
        return np.zeros((n, self.width))


class Odd(Bare):
    def quantile(self, u):
        return u[1:]

    def gauss(self, n):
        return np.zeros((2, 1)), np.ones(2)


def test_a_bare_law_of_several_coordinates():
    law = Product((Bare(3), Normal()))
    assert (law.dimension, law.support_dimension) == (4, 4)
    assert law.sample(5, 0).dimension == 4


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda: Sphere(1), ValueError, "^dimension must be an integer of at least 2; got 1$"),
    (lambda: Sphere(2.0), TypeError, "^dimension must be an integer of at least 2; got 2.0$"),
    (lambda: Sphere(3, 0.0), ValueError, "^radius must be a finite number above 0; got 0.0$"),
    (lambda: student(3).qmc(0, 0), ValueError, "^n must be an integer of at least 1; got 0$"),
    (lambda: student(3).qmc(2, -1), ValueError, "^seed must be an integer of at least 0; got -1$"),
    (lambda: student(3).qmc(10**15, 0), ValueError, "^n must be small enough for .* GB of memory; got 1000000000000000$"),
    (lambda: scrambled(2**30 + 1, 1, np.random.default_rng()), ValueError, "^n must be at most 1073741824 for a Sobol sequence"),
    (lambda: student(30_000).qmc(2, 0), ValueError, "^factors must take at most 21201 uniform numbers for a Sobol sequence; got 29999$"),
    (lambda: student(3).gauss(0), ValueError, "^n must be an integer of at least 1; got 0$"),
    (lambda: student(3).gauss((2, 3)), ValueError, r"^n must be an integer or one for each of 3 factors; got \(2, 3\)$"),
    (lambda: student(3).gauss((2, 3, 1.5)), TypeError, "^n must be an integer of at least 1; got 1.5$"),
    (lambda: student(3).gauss("3"), TypeError, "^n must be an integer of at least 1; got '3'$"),
    (lambda: student(3).gauss(10**15), ValueError, "^n must be small enough for .* GB of memory; got 1000000000000000$"),
    (lambda: student(30).gauss(9), ValueError, "^n must be small enough for .* GB of memory; got 9$"),
    (lambda: Product((Sphere(3),)).gauss(10**8), ValueError, "^n must be small enough for .* GB of memory; got 100000000$"),
    (lambda: Product((Sphere(4),)).gauss(2), ValueError, "^dimension must be 2 or 3 for a Gauss rule on the sphere; got 4$"),
    (lambda: Product((Sphere(10**7),)).covariance(), ValueError, "must be small enough for .* GB of memory"),
    (lambda: student(3).quantised(0, 0), ValueError, "^n must be an integer of at least 1; got 0$"),
    (lambda: student(3).quantised(4, None), TypeError, "^seed must be an integer of at least 0; got None$"),
    (lambda: student(3).quantised(4, 0, oversampling=0), ValueError, "^oversampling must be an integer of at least 1; got 0$"),
    (lambda: student(3).quantised(10**12, 0), ValueError, "^n must be small enough for .* GB of memory; got 1000000000000$"),
    (lambda: Product((Normal(), Bare())).qmc(4, 0), TypeError, r"^factors\[1\] must have a method quantile\(u\) for this; got Bare\(\)$"),
    (lambda: Product((Bare(),)).quantised(4, 0), TypeError, r"^factors\[0\] must have a method quantile\(u\) for this; got Bare\(\)$"),
    (lambda: Product((Bare(),)).gauss(4), TypeError, r"^factors\[0\] must have a method gauss\(n\) for this; got Bare\(\)$"),
    (lambda: Product((Bare(),)).mean(), TypeError, r"^factors\[0\] must have a method moments\(\) for this; got Bare\(\)$"),
    (lambda: Product((Bare(2, 3),)).sample(4, 0), ValueError, r"^factors\[0\].draw\(n, rng\) must have shape \(4, 2\); got \(4, 3\)$"),
    (lambda: Product((Odd(),)).qmc(4, 0), ValueError, r"^factors\[0\].quantile\(u\) must have shape \(4, 1\); got \(3, 1\)$"),
    (lambda: Product((Odd(),)).gauss(4), ValueError, r"^weights of factors\[0\].gauss\(n\) must sum to 1; got 2.0$"),
])  # fmt: skip
def test_refuses_clouds(make, error, message):
    with pytest.raises(error, match=message):
        make()
