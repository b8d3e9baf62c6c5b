"""Slopes, their intervals, control variates and verdicts, on samples whose rate is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wflow.studies import statistics
from wflow.studies.statistics import STATISTICS, fit, judge_below, judge_equal

SIZES = (10, 40, 160, 640)


@pytest.fixture
def few_replicates(monkeypatch):
    monkeypatch.setattr(statistics, "_REPLICATES", 400)


def power_law(rate, constant, base):
    """The same samples at each size, scaled: every statistic is an exact power of n."""
    return [constant * n**rate * base for n in SIZES]


@given(rate=st.floats(-3.0, 3.0), constant=st.floats(1e-3, 1e3), seed=st.integers(0, 10**6), statistic=st.sampled_from(list(STATISTICS)))
def test_exact_power_laws(rate, constant, seed, statistic):
    base = np.random.default_rng(seed).uniform(0.5, 1.5, 12)
    found = fit(SIZES, power_law(rate, constant, base), statistic)
    level = {"mean": base.mean(), "|mean|": base.mean(), "rms": np.sqrt((base**2).mean()), "sd": base.std(ddof=1)}[statistic]
    assert found.value == pytest.approx(rate, abs=1e-10)
    assert found.constant == pytest.approx(np.log(constant * level), abs=1e-9)
    np.testing.assert_allclose(found.levels, [constant * level * n**rate for n in SIZES], rtol=1e-11)
    assert found.low < found.value < found.high
    assert found.width == found.high - found.low
    assert (found.levels_low < found.levels).all()
    assert (found.levels < found.levels_high).all()


def test_negative_means_have_a_rate_too():
    base = -np.random.default_rng(0).uniform(0.5, 1.5, 12)
    assert fit(SIZES, power_law(-1.0, 2.0, base), "|mean|").value == pytest.approx(-1.0, abs=1e-12)


def test_samples_without_spread():
    """Nothing to draw anew: the interval is a point."""
    found = fit(SIZES, [np.full(5, n**-0.5) for n in SIZES])
    np.testing.assert_allclose([found.value, found.low, found.high], -0.5, atol=1e-12)
    np.testing.assert_allclose(found.levels_low, found.levels_high, rtol=1e-14)


def test_same_seed_same_bits_and_seeds_differ():
    rng = np.random.default_rng(1)
    samples = [rng.exponential(n**-0.5, 30) for n in SIZES]
    first, again, other = (fit(SIZES, samples, seed=seed) for seed in (0, 0, 1))
    assert (first.low, first.high) == (again.low, again.high)
    assert (first.low, first.high) != (other.low, other.high)
    assert first.value == pytest.approx(other.value, abs=0.05)  # through the weights only


def test_blocks_draw_the_whole(monkeypatch):
    """Samples larger than a block are drawn in several parts, all of them."""
    monkeypatch.setattr(statistics, "_BLOCK", 1000)
    monkeypatch.setattr(statistics, "_REPLICATES", 105)
    sample = np.random.default_rng(1).standard_normal(100)
    drawn = statistics._replicates(sample, 0.0, STATISTICS["mean"], np.random.default_rng(0))
    assert (drawn.shape, len(set(drawn))) == ((105,), 105)
    assert abs(drawn.mean() - sample.mean()) < 4.0 * sample.std() / np.sqrt(100 * 105)
    assert drawn.std() == pytest.approx(sample.std() / np.sqrt(100), rel=0.3)
    paired = statistics._replicates(sample, sample, STATISTICS["mean"], np.random.default_rng(0))
    np.testing.assert_allclose(paired, 0.0, atol=1e-14)  # controls are drawn with their samples


def expected_slope(levels, spreads):
    """Weighted least squares on logarithms, by the normal equations."""
    x, y, w = np.log(SIZES), np.log(levels), 1.0 / np.asarray(spreads) ** 2
    matrix = np.array([[w.sum(), (w * x).sum()], [(w * x).sum(), (w * x * x).sum()]])
    return np.linalg.solve(matrix, [(w * y).sum(), (w * x * y).sum()])[::-1]


def test_weighted_least_squares():
    """Weights are the inverse variances of the logarithms of means: known for many samples of a known spread."""
    rng = np.random.default_rng(2)
    relative = np.array([0.05, 0.4, 0.1, 0.2])
    samples = [n**-0.5 * (1.0 + s * rng.standard_normal(4000)) for n, s in zip(SIZES, relative, strict=True)]
    samples[1] *= 1.3  # off the line, so that weights matter
    found = fit(SIZES, samples)
    value, constant = expected_slope([sample.mean() for sample in samples], relative)
    unweighted = np.polyfit(np.log(SIZES), np.log([sample.mean() for sample in samples]), 1)[0]
    assert found.value == pytest.approx(value, abs=0.1 * abs(unweighted - value))
    assert found.constant == pytest.approx(constant, abs=0.02)
    assert abs(found.value - unweighted) > 5e-3


def test_a_noisy_size_counts_little():
    """Three exact sizes and one whose few samples scatter by a factor of ten: the slope is that of the three."""
    rng = np.random.default_rng(3)
    quiet = [n**-1.0 * (1.0 + 1e-3 * rng.standard_normal(50)) for n in SIZES[:3]]
    noisy = 20.0 * SIZES[3] ** -1.0 * rng.lognormal(0.0, 1.5, 8)
    found = fit(SIZES, [*quiet, noisy])
    assert found.value == pytest.approx(-1.0, abs=0.002)
    assert abs(np.polyfit(np.log(SIZES), np.log(found.levels), 1)[0] + 1.0) > 0.3
    assert found.width < 0.01


def coverage(draw, statistic, truth, repeats=200, controls=False):
    """How many of the intervals hold the true slope, and their mean width."""
    hits, widths = 0, []
    for repeat in range(repeats):
        samples, control = zip(*(draw(n, np.random.default_rng([repeat, n])) for n in SIZES), strict=True)
        found = fit(SIZES, samples, statistic, controls=control if controls else None, seed=repeat)
        hits += found.low <= truth <= found.high
        widths.append(found.width)
    return hits, np.mean(widths)


def chi_squares(n, rng, count=60):
    """Squared errors |mean of n|², which are 1/n times a sum of two squares; a control that is most of it, of mean 0."""
    z = rng.standard_normal((count, 2))
    noise = rng.standard_normal(count)
    values = (z**2).sum(axis=1) / n
    return values * (1.0 + 0.1 * noise**2) / 1.1, values - 2.0 / n


def gaussians(n, rng, count=60):
    return rng.standard_normal(count) * n**-0.5, np.zeros(count)


# 200 intervals of 95 %: fewer than 178 hold the truth with a chance of 1e-4, more than 199 with 4e-4
LEAST = 178


@pytest.mark.parametrize(("draw", "statistic", "truth"), [(chi_squares, "mean", -1.0), (gaussians, "sd", -0.5), (gaussians, "rms", -0.5)])
def test_coverage(draw, statistic, truth, few_replicates):
    hits, width = coverage(draw, statistic, truth)
    assert LEAST <= hits < 200
    assert 0.03 < width < 0.4


def test_control_variates_narrow_the_interval_and_keep_its_coverage(few_replicates):
    plain = coverage(chi_squares, "mean", -1.0)
    controlled = coverage(chi_squares, "mean", -1.0, controls=True)
    assert controlled[0] >= LEAST
    assert controlled[1] < 0.4 * plain[1]


def test_control_variates_keep_the_expectation():
    """The mean over 2000 repeats is the true one to 4 standard errors plus the bias of a fitted β, O(1/S), and the variance falls."""
    plain, controlled = [], []
    for repeat in range(2000):
        values, control = chi_squares(1, np.random.default_rng(repeat), 200)
        plain.append(STATISTICS["mean"](values, 0.0))
        controlled.append(STATISTICS["mean"](values, control))
    assert abs(np.mean(controlled) - 2.0) < 4.0 * np.std(controlled) / np.sqrt(2000) + 2.0 / 200
    assert np.var(controlled) < 0.15 * np.var(plain)


def test_control_variates_in_plain_numpy():
    """Mean of x − β c with β by least squares; for "rms" of the squares; a control without spread changes nothing."""
    rng = np.random.default_rng(5)
    c = rng.standard_normal(40)
    x = 3.0 + 2.0 * c + 0.1 * rng.standard_normal(40)
    for name, of in (("mean", x), ("rms", x**2), ("|mean|", x)):
        _, intercept = np.polyfit(c, of, 1)  # the line's value at c = 0
        assert STATISTICS[name](x, c) == pytest.approx(np.sqrt(intercept) if name == "rms" else abs(intercept), rel=1e-12)
        assert STATISTICS[name](x, np.zeros(40)) == STATISTICS[name](x, 0.0)
    perfect = STATISTICS["mean"](np.stack([x, c + 5.0]), np.stack([c, c]))
    np.testing.assert_allclose(perfect[1], 5.0, rtol=1e-13)  # row by row
    assert STATISTICS["sd"](x, c) == STATISTICS["sd"](x, 0.0)


@pytest.mark.parametrize(("low", "high", "theory", "tolerance", "verdict", "margin"), [
    (-0.55, -0.45, -0.5, 0.1, "holds", 0.05),
    (-0.625, -0.5, -0.5, 0.125, "holds", 0.0),  # to the very end
    (-0.7, -0.5, -0.5, 0.1, "undecided", -0.1),
    (-0.9, -0.1, -0.5, 0.1, "undecided", -0.3),  # around all of it
    (-0.75, -0.625, -0.5, 0.125, "undecided", -0.125),  # the ends meet
    (-0.8, -0.7, -0.5, 0.1, "fails", -0.2),
    (-0.3, -0.2, -0.5, 0.1, "fails", -0.2),
])  # fmt: skip
def test_judge_equal(low, high, theory, tolerance, verdict, margin):
    got = judge_equal(low, high, theory, tolerance)
    assert got[0] == verdict
    assert got[1] == pytest.approx(margin, abs=1e-15)


@pytest.mark.parametrize(("low", "high", "verdict", "margin"), [
    (-1.0, -0.75, "holds", 0.25),
    (-1.0, -0.5, "undecided", 0.0),  # the bound itself is not below it
    (-0.75, -0.25, "undecided", -0.25),
    (-0.5, -0.25, "undecided", -0.25),
    (-0.4, -0.25, "fails", -0.25),
])  # fmt: skip
def test_judge_below(low, high, verdict, margin):
    assert judge_below(low, high, -0.5) == (verdict, margin)


@given(low=st.floats(-2, 2), width=st.floats(0, 2), theory=st.floats(-2, 2), tolerance=st.floats(0, 1))
def test_verdicts_and_margins_agree(low, width, theory, tolerance):
    verdict, margin = judge_equal(low, low + width, theory, tolerance)
    assert (verdict == "holds") == (margin >= 0.0)
    inside = [theory - tolerance <= x <= theory + tolerance for x in (low, low + width)]
    if verdict == "fails":
        assert not any(inside)


GOOD = [np.array([1.0, 2.0]), np.array([0.5, 1.0])]


@pytest.mark.parametrize(("arguments", "options", "message"), [
    (((10,), GOOD[:1]), {}, "^sizes must be two or more different ones, with samples each; got 1 and 1 samples$"),
    (((10, 10), GOOD), {}, "^sizes must be two or more different ones"),
    (((10, 20, 30), GOOD), {}, "^sizes must be two or more different ones, with samples each; got 3 and 2 samples$"),
    (((0, 10), GOOD), {}, r"^sizes must be above 0; got 0.0 at \[0\]$"),
    (((10, 20), [GOOD[0], np.array([1.0])]), {}, r"^samples\[1\] must be two or more; got 1$"),
    (((10, 20), [GOOD[0], np.array([1.0, np.nan])]), {}, r"^samples\[1\] must be finite; got nan at \[1\]$"),
    (((10, 20), [GOOD[0], np.ones((2, 2))]), {}, r"^samples\[1\] must have shape \(any,\); got \(2, 2\)$"),
    (((10, 20), [GOOD[0], np.array([-1.0, 0.5])]), {}, "^the mean of the samples must be positive; got -0.25$"),
    (((10, 20), [GOOD[0], np.zeros(2)]), {"statistic": "rms"}, "^the rms of the samples must be positive; got 0$"),
    (((10, 20), GOOD, "median"), {}, "^statistic must be one of mean, rms, sd"),
    (((10, 20), GOOD), {"controls": [np.zeros(2), np.zeros(3)]}, r"^controls\[1\] must have shape \(2,\); got \(3,\)$"),
])  # fmt: skip
def test_refuses(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        fit(*arguments, **options)


def test_controls_for_some_sizes_only():
    with pytest.raises(ValueError, match=r"controls|zip"):
        fit((10, 20), GOOD, controls=[np.zeros(2)])
