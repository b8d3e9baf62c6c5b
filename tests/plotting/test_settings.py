"""Runs of a sweep by their settings, and the median of their curves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plotting.runs import Curve

from wflow.plotting.settings import Sweep, median_curve, value_text


def runs_of(*settings):
    return [Curve([0.0, 1.0], energy=[0.0, 1.0], provenance={"sweep": setting}) for setting in settings]


def test_settings_gather_their_runs_numbers_ascending_words_as_they_came():
    runs = runs_of(*({"flow.n": n, "flow.kind": kind} for kind in ("tanh", "relu") for n in (200, 50, 200)))
    sweep = Sweep(runs)
    assert sweep.keys == ["flow.n", "flow.kind"]
    assert sweep.values == {"flow.n": [50, 200], "flow.kind": ["tanh", "relu"]}
    assert [setting.values for setting in sweep.settings] == [(50, "tanh"), (50, "relu"), (200, "tanh"), (200, "relu")]
    assert [len(setting.runs) for setting in sweep.settings] == [1, 1, 2, 2]
    assert sweep.settings[2].runs == (runs[0], runs[2])
    assert sweep.keys[sweep.axis] == "flow.n"
    assert not sweep.is_listed


@pytest.mark.parametrize(
    ("settings", "axis", "listed"),
    [
        ([{"a": 1}, {"a": 2}], "a", False),
        ([{"a": "x"}, {"a": "y"}], "a", True),
        ([{"a": True}, {"a": False}], "a", True),
        ([{"a": 1, "b": k} for k in (1, 2)], "b", False),  # more values
        ([{"a": k, "b": 1} for k in "xyz"], "b", False),  # numbers before words
        ([{"a": k, "b": "u"} for k in "xyz"], "a", True),
        ([{"a": 1, "b": 2, "c": 3}], "a", True),
    ],
)
def test_the_axis_shows_numbers_before_words_and_many_values_before_few(settings, axis, listed):
    sweep = Sweep(runs_of(*settings))
    assert (sweep.keys[sweep.axis], sweep.is_listed) == (axis, listed)


def test_keys_are_short_where_that_is_clear_and_known_ones_have_symbols():
    sweep = Sweep(runs_of({"flow.n_particles": 10_000, "a.rate": 1, "b.rate": "x$y"}))
    assert sweep.name(sweep.settings[0]) == r"$N$ = $10^{4}$, a.rate = $1$, b.rate = x\$y"
    assert sweep.word("flow.n_particles") == "number of particles  $N$"
    assert value_text([1, 2]) == "[1, 2]"
    assert value_text(None) == "not set"


def test_neighbouring_values_are_told_apart():
    assert value_text(12345) != value_text(12346)


def test_a_median_over_common_frames_is_that_of_the_frames():
    times = np.array([0.0, 1.0, 3.0, 10.0, 20.0])
    values = np.random.default_rng(0).uniform(0.1, 2.0, (5, 5))
    found = median_curve([Curve(times, gap=row) for row in values], "gap")
    np.testing.assert_array_equal(found.times, times[1:])
    for line, expected in ((found.low, values.min(axis=0)), (found.middle, np.median(values, axis=0)), (found.high, values.max(axis=0))):
        np.testing.assert_allclose(line, expected[1:], rtol=1e-14)


@given(st.lists(st.tuples(st.floats(0.1, 10.0), st.floats(-3.0, 1.0)), min_size=1, max_size=4), st.integers(0, 2**31))
def test_power_laws_are_interpolated_exactly_whatever_their_frames(laws, seed):
    """c t^p is a straight line in the logarithms, so that other frames of each run change nothing."""
    rng = np.random.default_rng(seed)
    runs = []
    for c, p in laws:
        times = np.concatenate([[0.0], np.sort(rng.uniform(0.1, 0.5, 1)), np.sort(rng.uniform(0.6, 50.0, 5)), rng.uniform(60.0, 90.0, 1)])
        runs.append(Curve(times, gap=np.concatenate([[7.0], c * times[1:] ** p])))
    found = median_curve(runs, "gap")
    exact = np.stack([c * found.times**p for c, p in laws])
    np.testing.assert_allclose(found.middle, np.median(exact, axis=0), rtol=1e-9)
    np.testing.assert_allclose(found.high, exact.max(axis=0), rtol=1e-9)
    assert found.times[0] == max(run.times[1] for run in runs)
    assert found.times[-1] == min(run.times[-1] for run in runs)


def test_values_that_are_not_positive_are_interpolated_as_they_are():
    runs = [Curve([1.0, t, np.e**2], energy=[-1.0, 0.0, 3.0]) for t in (np.e, np.e**1.5)]
    found = median_curve(runs, "energy")
    k = int(np.searchsorted(found.times, np.e * 1.0000001))
    assert found.times[k] == pytest.approx(np.e**1.5)
    np.testing.assert_allclose([found.low[k], found.high[k]], [0.0, 1.5], atol=1e-12)


def test_frames_without_a_number_are_passed_over():
    times = [0.0, 1.0, 2.0, 4.0]
    found = median_curve([Curve(times, gap=[8.0, 4.0, np.nan, 1.0])], "gap")
    np.testing.assert_array_equal(found.times, [1.0, 4.0])


def test_there_is_no_median_of_runs_without_common_times():
    early, late = Curve([0.0, 1.0, 2.0], gap=[1.0, 1.0, 1.0]), Curve([0.0, 3.0, 4.0], gap=[1.0, 1.0, 1.0])
    assert median_curve([early, late], "gap") is None
    assert median_curve([early, Curve([0.0], gap=[1.0])], "gap") is None
    assert median_curve([], "gap") is None


def test_long_curves_are_thinned_and_keep_their_ends():
    times = np.geomspace(1e-3, 1e3, 5000)
    found = median_curve([Curve(times, gap=1.0 / times)] * 3, "gap")
    assert len(found.times) == 1000
    np.testing.assert_allclose([found.times[0], found.times[-1]], [1e-3, 1e3])
    np.testing.assert_allclose(found.middle, 1.0 / found.times, rtol=1e-12)
