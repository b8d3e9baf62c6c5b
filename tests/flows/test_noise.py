"""Noise by counting: the published answers of Philox, the normal law down to its tails, and steps that do not depend on threads."""

from __future__ import annotations

import math

import numba
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats

from wflow import _jit
from wflow.flows import _noise

words = st.integers(0, 2**64 - 1)


def philox(place, step, key):
    """Philox4x32-10 with Python's integers (Salmon et al. 2011, §3.3 and table 2)."""
    c = [place % 2**32, place >> 32, step % 2**32, step >> 32]
    k = [key % 2**32, key >> 32]
    for _ in range(10):
        first, second = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(second >> 32) ^ c[1] ^ k[0], second % 2**32, (first >> 32) ^ c[3] ^ k[1], first % 2**32]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return c[0] | c[1] << 32, c[2] | c[3] << 32


def normals(place, step, key):
    """Box and Muller's pair from the words above, in the library's own functions."""
    first, second = philox(place, step, key)
    radius = math.sqrt(-2.0 * math.log(1.0 - (first >> 12) * 2.0**-52))
    angle = ((second >> 12) * 2.0**-52 - 0.5) * math.pi / 2.0
    x, y = radius * math.cos(angle) * (-1.0 if second & 1 else 1.0), radius * math.sin(angle)
    return (y, x) if second & 2 else (x, y)


def draw(n, seed=0, step=0):
    return _noise.disturbed(np.zeros(n), np.zeros(n), 0.0, 1.0, _noise.key_of(seed, 0.0), step)


@pytest.mark.parametrize(("counter", "key", "answer"), [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0), (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
])  # fmt: skip
def test_published_answers(counter, key, answer):
    """The known answers that Random123 is distributed with."""
    pair = [np.uint64(low | high << 32) for low, high in (counter[:2], counter[2:], key)]
    found = _noise.philox(*pair)
    assert [int(word) >> shift & 0xFFFFFFFF for word in found for shift in (0, 32)] == list(answer)


@given(place=words, step=words, key=words)
def test_against_plain_python(place, step, key):
    counter = (np.uint64(place), np.uint64(step), np.uint64(key))
    first, second = philox(place, step, key)
    assert tuple(map(int, _noise.philox(*counter))) == (first, second)
    assert _noise.uniforms(*counter) == ((first >> 12) * 2.0**-52, (second >> 12) * 2.0**-52)
    np.testing.assert_allclose(_noise.normals(*counter), normals(place, step, key), rtol=2e-15, atol=1e-15)


@given(bits=st.integers(1, 2**52), power=st.integers(0, 52))
def test_logarithm(bits, power):
    """On all that it can be asked: k 2^-52, small ones and those next to 1 included."""
    for k in {max(bits >> power, 1), 2**52 - (bits >> power), 2**52, 1}:
        if k > 0:
            assert _noise._log(k * 2.0**-52) == pytest.approx(math.log(k * 2.0**-52), rel=5e-16, abs=0.0)


@given(x=st.floats(-math.pi / 4.0, math.pi / 4.0))
def test_sine_and_cosine(x):
    np.testing.assert_allclose(_noise._sine_cosine(x), (math.sin(x), math.cos(x)), rtol=5e-16)


def test_moments_and_tails():
    """Moments one to six and the mass beyond 1 to 5, each within 4 standard errors; the largest of two million where it should be."""
    x = draw(2_000_000, seed=1)
    double_factorial = {0: 1.0, 2: 1.0, 4: 3.0, 6: 15.0, 8: 105.0, 10: 945.0, 12: 10395.0}
    power = np.ones_like(x)
    for k in range(1, 7):
        power *= x
        expected = double_factorial.get(k, 0.0)
        error = math.sqrt((double_factorial[2 * k] - expected**2) / x.size)
        assert abs(power.mean() - expected) < 4.0 * error, k
    for bound in (1.0, 2.0, 3.0, 4.0, 5.0):
        mass = stats.norm.sf(bound)
        for side in (x, -x):
            assert abs((side > bound).mean() - mass) < 4.0 * math.sqrt(mass / x.size), bound
    assert 4.5 < np.abs(x).max() < 6.5  # the chance of a sample of this size to lie outside is below 2e-4


@pytest.mark.parametrize("seed", [0, 1])
def test_normal_law(seed):
    assert stats.kstest(draw(200_000, seed), "norm").pvalue > 1e-3


def test_independence():
    """Between the two of a pair, neighbours, steps and seeds: correlations of x and of x² vanish within 4.5 standard errors."""
    n = 500_000
    x = draw(n)
    others = {"pair": (x[::2], x[1::2]), "neighbour": (x[:-2:2], x[2::2]), "step": (x, draw(n, step=1)), "later": (x, draw(n, step=2**32)),
              "seed": (x, draw(n, seed=1)), "chunk": (x[:-2048], x[2048:])}  # fmt: skip
    for name, (a, b) in others.items():
        for transform, variance in ((np.asarray, 1.0), (lambda v: np.square(v) - 1.0, 2.0)):
            correlation = (transform(a) * transform(b)).mean() / variance
            assert abs(correlation) < 4.5 / math.sqrt(len(a)), name


def test_a_key_for_every_seed_and_start():
    keys = [int(_noise.key_of(seed, origin)) for seed in (0, 1, 2**70) for origin in (0.0, 1.0, math.nextafter(1.0, 2.0))]
    assert len(set(keys)) == len(keys)
    assert _noise.key_of(3, -0.0) == _noise.key_of(3, 0.0)


@pytest.mark.parametrize("n", [1, 2, 3, 2047, 2048, 2049, 6001])
def test_a_step_adds_drift_and_noise(n):
    rng = np.random.default_rng(n)
    y, f = rng.standard_normal((2, n))
    key = _noise.key_of(5, 0.25)
    noise = np.array([normals(k, 7, int(key)) for k in range((n + 1) // 2)]).ravel()[:n]
    np.testing.assert_allclose(_noise.disturbed(y, f, 0.3, 1.7, key, 7), y + 0.3 * f + 1.7 * noise, rtol=0, atol=1e-14)


def test_the_same_bits_on_any_number_of_threads():
    """Of a step that is large enough to wake them, with walls and correction."""
    rng = np.random.default_rng(0)
    y, f = rng.standard_normal((2, 600_000))
    walls = np.full(3, -1.0), np.full(3, 1.0)
    found = []
    before = numba.get_num_threads()
    try:
        for threads in (1, 2):
            _jit.set_threads(threads)
            free = _noise.disturbed(y, f, 0.3, 1.7, _noise.key_of(0, 0.0), 9).reshape(-1, 3)
            found.append((free, _noise.reflected(free, *walls), _noise.corrected(free, free, free[::-1].copy(), 0.5, *walls)))
    finally:
        _jit.set_threads(before)
    for one, two in zip(*found, strict=True):
        np.testing.assert_array_equal(one, two)


def bounced(x, lower, upper):
    """Mirror at one wall after the other until inside; how often."""
    n = 0
    while not lower <= x <= upper:
        x = 2.0 * lower - x if x < lower else 2.0 * upper - x
        n += 1
    return x, n


@given(x=st.floats(-50.0, 50.0), lower=st.floats(-2.0, 2.0), width=st.floats(0.1, 5.0))
@example(x=1.0, lower=0.0, width=0.1)  # 10 widths, but for rounding
def test_mirrors(x, lower, width):
    upper = lower + width
    expected, bounces = bounced(x, lower, upper)
    found = _noise.reflected(np.array([[x]]), np.array([lower]), np.array([upper]))[0, 0]
    assert lower <= found <= upper
    assert found == pytest.approx(expected, abs=1e-12)
    if bounces == 0:
        assert found == x
    if min(expected - lower, upper - expected) > 1e-9:  # at a wall rounding decides which side was left
        assert _noise._fold(x, lower, upper)[1] == (-1.0) ** bounces


def test_mirrors_each_coordinate_and_keeps_what_is_not_finite():
    lower, upper = np.array([0.0, -1.0]), np.array([1.0, 3.0])
    points = np.array([[1.25, -1.5], [-2.25, 3.5], [0.5, 0.0], [np.nan, np.inf]])
    np.testing.assert_array_equal(_noise.reflected(points, lower, upper), [[0.75, -0.5], [0.25, 2.5], [0.5, 0.0], [np.nan, np.nan]])


def test_corrections():
    """Without walls the trapezium rule; with walls in the drift that is mirrored as often as the point was."""
    rng = np.random.default_rng(1)
    points, old, new = rng.uniform(-3.0, 4.0, (3, 40, 2))
    nothing = np.empty(0)
    np.testing.assert_allclose(_noise.corrected(points, old, new, 0.2, nothing, nothing), points + 0.2 * (new - old), rtol=1e-14)
    signs = np.array([[(-1.0) ** bounced(x, 0.0, 1.0)[1] for x in row] for row in points])
    expected = [[bounced(x, 0.0, 1.0)[0] for x in row] for row in points + 0.2 * (signs * new - old)]
    np.testing.assert_allclose(_noise.corrected(points, old, new, 0.2, np.zeros(2), np.ones(2)), expected, rtol=0, atol=1e-13)
