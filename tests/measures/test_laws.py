"""Initial laws: reproducible, and the laws they say they are."""

from __future__ import annotations

import numpy as np
import pytest

from wflow.measures import ParticleMeasure, laws
from wflow.measures.laws import Normal, Point, Product, Uniform, student

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
