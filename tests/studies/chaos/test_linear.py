"""Finite-N constants of the linear McKean–Vlasov problem against particles that are moved by a Runge–Kutta method in plain NumPy."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from wflow.energies import QuadraticInteraction
from wflow.measures.laws import Moments, Normal, Point, Product, Sphere, Uniform
from wflow.studies.chaos.linear import Constants

KAPPA, LAM = 0.6, 1.1
ENERGY = QuadraticInteraction(KAPPA, LAM)
SEEDS, SIGMAS = 40_000, 4.0  # of the Monte-Carlo error; a fixed seed, so this is no gamble
TIMES = np.linspace(0.0, 2.0, 21)
LOOK = (0, 4, 20)


class Exponential:
    """Rate 1: a skew law of one's own."""

    def draw(self, n, rng):
        return rng.exponential(size=n)

    def moments(self):
        return Moments(np.ones(1), np.ones((1, 1)), np.full(1, 2.0), 8.0)  # E z³ = 2, E z⁴ − 1 = 9 − 1


LAWS = {
    "Gaussian": Product((Normal(0.8, 0.5), Point(-0.3), Normal(-0.2, 2.0))),
    "mixed": Product((Uniform(-1.0, 2.5), Sphere(2, 1.5), Normal(0.5, 0.3))),
    "skew": Product((Exponential(), Normal(0.4, 0.7))),
}


def runge_kutta(field, x, h, steps):
    """States at all steps of size 2h; each is two steps of the classical method."""
    states = [x]
    for k in range(2 * steps):
        k1 = field(x)
        k2 = field(x + h / 2 * k1)
        k3 = field(x + h / 2 * k2)
        x = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + field(x + h * k3))
        if k % 2:
            states.append(x)
    return states


def interacting(x):
    """Velocities of particles in clouds, (..., N, m)."""
    return -KAPPA * x - LAM * (x - x.mean(axis=-2, keepdims=True))


def energy(x):
    """By the definition, as a double sum, of clouds (S, N, m)."""
    pairs = ((x[:, :, None] - x[:, None]) ** 2).sum(axis=-1).mean(axis=(1, 2))
    return KAPPA / 2.0 * (x**2).sum(axis=-1).mean(axis=1) + LAM / 4.0 * pairs


@cache
def clouds(name, n):
    """Particles and their copies in the mean field at the times looked at, and the largest coupling error over all times, (S,)."""
    law = LAWS[name]
    start = law.sample(SEEDS * n, 5).points.reshape(SEEDS, n, -1)
    h = (TIMES[1] - TIMES[0]) / 2.0
    runs = runge_kutta(interacting, start, h, len(TIMES) - 1)
    mean = law.mean()[None]

    def mean_field(x):  # the last row is the mean of the law, which moves with the rest
        return -KAPPA * x - LAM * (x - x[:, -1:])

    padded = np.concatenate([start, np.broadcast_to(mean, (SEEDS, 1, mean.size))], axis=1)
    copies = [x[:, :-1] for x in runge_kutta(mean_field, padded, h, len(TIMES) - 1)]
    largest = np.max([((x - y) ** 2).sum(axis=-1).mean(axis=1) for x, y in zip(runs, copies, strict=True)], axis=0)
    return [runs[k] for k in LOOK], [copies[k] for k in LOOK], largest


def agree(values, exact):
    """Mean of independent values (S,) within 4 standard errors; rounding where there is no spread."""
    error = values.std(ddof=1) / np.sqrt(len(values))
    assert abs(values.mean() - exact) <= SIGMAS * error + 1e-12 * (1.0 + abs(exact))


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("name", LAWS)
def test_expected_errors(name, n):
    law, constants = LAWS[name], Constants(ENERGY, LAWS[name])
    runs, copies, _ = clouds(name, n)
    for k, x, y in zip(LOOK, runs, copies, strict=True):
        t = TIMES[k]
        mean = np.exp(-KAPPA * t) * law.mean()
        off = x.mean(axis=1) - mean
        off_copies = y.mean(axis=1) - mean
        agree(((x - y) ** 2).sum(axis=-1).mean(axis=1), constants.coupling(n, t))
        agree((off**2).sum(axis=1), constants.function(n, t))
        agree((off**2).sum(axis=1) - (off_copies**2).sum(axis=1), constants.paired_difference(n, t))


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("name", LAWS)
def test_energy_bias_and_variance(name, n):
    constants = Constants(ENERGY, LAWS[name])
    for k, x in zip(LOOK, clouds(name, n)[0], strict=True):
        values = energy(x)
        agree(values, constants.value(TIMES[k]) + constants.energy_bias(n, TIMES[k]))
        squares = (values - values.mean()) ** 2 * SEEDS / (SEEDS - 1)
        agree(squares, constants.energy_variance(n, TIMES[k]))


@pytest.mark.parametrize("wrong", [{"third": np.zeros(2)}, {"square_variance": 2.0 * (1.0 + 0.7**2)}], ids=["symmetric", "as a Gaussian"])
def test_the_check_of_the_variance_has_teeth(wrong, monkeypatch):
    """Without the skewness, or with a Gaussian's fourth moment, the formula would leave the 4 standard errors by as much again."""
    law, values = LAWS["skew"], energy(clouds("skew", 2)[0][0])
    error = ((values - values.mean()) ** 2).std() / np.sqrt(SEEDS)
    true, moments = Constants(ENERGY, law).energy_variance(2, 0.0), law.moments()
    monkeypatch.setattr(Product, "moments", lambda self: moments._replace(**wrong))
    assert abs(Constants(ENERGY, law).energy_variance(2, 0.0) - true) > 2.0 * SIGMAS * error


@pytest.mark.parametrize("n", [1, 2, 5, 400])
def test_gaussian_variance_in_its_own_form(n):
    """The mean and the spread of a Gaussian sample are independent, the spread a sum of N − 1 squares."""
    law, t = LAWS["Gaussian"], np.array([0.0, 0.3, 2.0])
    mean, covariance = law.mean(), law.covariance()
    a, b = KAPPA * np.exp(-2 * KAPPA * t) / 2, (KAPPA + LAM) * np.exp(-2 * (KAPPA + LAM) * t) / 2
    square = np.trace(covariance @ covariance)
    exact = a**2 * (4 * mean @ covariance @ mean / n + 2 * square / n**2) + b**2 * 2 * (n - 1) / n**2 * square
    np.testing.assert_allclose(Constants(ENERGY, law).energy_variance(n, t), exact, rtol=1e-12)


def test_largest_coupling_error():
    """The same time is worst for all samples, so the expected supremum is the supremum of expectations."""
    constants = Constants(ENERGY, LAWS["mixed"])
    assert constants.worst_time == pytest.approx(np.log(1 + LAM / KAPPA) / LAM, rel=1e-14)
    for t_end in (0.2, constants.worst_time, 4.0):
        largest = constants.coupling(3, np.linspace(0.0, t_end, 40_001)).max()
        assert constants.largest_coupling(3, t_end) == pytest.approx(largest, rel=1e-7)
    *_, largest = clouds("mixed", 5)
    grid = constants.coupling(5, TIMES).max() / constants.largest_coupling(5, 2.0)
    step = TIMES[1] - TIMES[0]
    assert 1.0 - 1.1 * KAPPA * (KAPPA + LAM) * (step / 2.0) ** 2 < grid <= 1.0  # second derivative at the top, from between two times
    agree(largest / grid, constants.largest_coupling(5, 2.0))


@pytest.mark.parametrize(("stiffness", "attraction", "worst"), [(0.0, 2.0, np.inf), (2.0, 0.0, 0.5), (0.0, 0.0, np.inf)])
def test_edges(stiffness, attraction, worst):
    constants = Constants(QuadraticInteraction(stiffness, attraction), LAWS["mixed"])
    assert constants.worst_time == worst
    t = np.linspace(0.0, 3.0, 301)
    assert constants.largest_coupling(2, 3.0) == pytest.approx(constants.coupling(2, t).max(), rel=1e-12)
    assert (constants.coupling(2, t) > 0.0).any() == (attraction > 0.0)


def w2_squared(x, y):
    cost = cdist(x, y, "sqeuclidean")
    return cost[linear_sum_assignment(cost)].mean()


@pytest.mark.parametrize("seed", range(5))
def test_optimal_transport_to_the_copies_and_the_paired_difference(seed):
    """Sample by sample, by assignment, with a cloud of N points for ν_0: W2² to the copies is the coupling error, and so on."""
    law, n = LAWS["skew"], 12
    reference, start = law.sample(n, 100 + seed).points, law.sample(n, seed).points
    copies = np.vstack([start, reference])

    def field(x):
        return -KAPPA * x - LAM * (x - x[n:].mean(axis=0))

    copied = runge_kutta(field, copies, 0.05, 10)[-1]
    moved, copies, reference_t = runge_kutta(interacting, start, 0.05, 10)[-1], copied[:n], copied[n:]
    a, b = np.exp(-KAPPA), np.exp(-(KAPPA + LAM))
    shift = start.mean(axis=0) - reference.mean(axis=0)
    coupling = ((moved - copies) ** 2).sum(axis=1).mean()
    assert coupling == pytest.approx((a - b) ** 2 * shift @ shift, rel=1e-5)
    assert w2_squared(moved, copies) == pytest.approx(coupling, rel=1e-10)
    paired = w2_squared(moved, reference_t) - w2_squared(copies, reference_t)
    assert paired == pytest.approx((a**2 - b**2) * shift @ shift, rel=1e-5)


def test_numbers_and_arrays():
    constants = Constants(ENERGY, LAWS["Gaussian"])
    for name in ("coupling", "largest_coupling", "function", "paired_difference", "energy_bias", "energy_variance"):
        method = getattr(constants, name)
        table = method([[2], [5]], [0.0, 1.0, 2.0])
        assert table.shape == (2, 3)
        assert table[1, 2] == method(5, 2.0)
    assert constants.value([0.0, 1.0]).shape == (2,)


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda: Constants(None, LAWS["skew"]), TypeError, "^energy must be a QuadraticInteraction; got None$"),
    (lambda: Constants(ENERGY, Normal()), TypeError, r"^law must be a wflow.measures.laws.Product; got Normal\("),
    (lambda: Constants(ENERGY, LAWS["skew"]).coupling(0, 1.0), ValueError, "^n must be at least 1; got 0.0$"),
    (lambda: Constants(ENERGY, LAWS["skew"]).function(1, -1.0), ValueError, "^t must be at least 0; got -1.0$"),
    (lambda: Constants(ENERGY, LAWS["skew"]).coupling([1, 2], np.ones(3)), ValueError,
     r"^t must have a shape that broadcasts with that of n, \(2,\); got \(3,\)$"),
    (lambda: Constants(ENERGY, LAWS["skew"]).value("now"), TypeError, "^t must be an array of real numbers; got 'now'$"),
])  # fmt: skip
def test_refuses(make, error, message):
    with pytest.raises(error, match=message):
        make()
