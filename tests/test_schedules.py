"""When is recorded: schedules by number, by hand, and those that are refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys.pendulum import run

from wflow.schedules import Schedule, at, every_step, geometric, linear


@given(st.integers(2, 60), st.floats(-5, 5), st.floats(1e-3, 100))
def test_schedules_by_number_start_and_end_the_run_and_increase(n, start, span):
    for schedule in (linear(n), geometric(n), geometric(n, first=span / 3)):
        times = schedule.due(start, start + span)
        assert len(times) == n
        assert times[0] == start
        assert times[-1] == start + span
        assert (np.diff(times) > 0).all()


def test_geometric_progression_by_hand():
    np.testing.assert_allclose(geometric(5, first=0.01).due(0.0, 10.0), [0.0, 0.01, 0.1, 1.0, 10.0], rtol=1e-14)
    np.testing.assert_allclose(geometric(4, first=1.0).due(2.0, 6.0), [2.0, 3.0, 4.0, 6.0], rtol=1e-14)
    assert geometric(3).due(0.0, 100.0)[1] == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: at([0.0, 2.0, 1.0]), ValueError, r"times must increase; got 1 at \[2\] after 2"),
        (lambda: at([0.0, 1.0, 1.0]), ValueError, "times must increase"),
        (lambda: at([0.0, np.nan]), ValueError, "times must be finite"),
        (lambda: at("soon"), TypeError, "times must be an array"),
        (lambda: at(3.0), ValueError, "times must have shape"),
        (lambda: linear(1), ValueError, "n must be an integer of at least 2"),
        (lambda: geometric(5, first=0.0), ValueError, "first must be"),
        (lambda: every_step("al"), ValueError, "states must be one of all, ends, a positive integer; got 'al'"),
        (lambda: every_step(0), ValueError, "states must be an integer of at least 1"),
        (lambda: every_step(None), TypeError, "states must be an integer"),
        (lambda: run(at([0.0, 6.0])), ValueError, r"record times must lie in \[0, 5\]; got 6"),
        (lambda: run([-1.0, 2.0]), ValueError, r"record times must lie in \[0, 5\]; got -1"),
        (lambda: run(geometric(4, first=9.0)), ValueError, "first must be .* at most 5"),
        (lambda: run("often"), TypeError, "times must be an array"),
    ],
)
def test_bad_schedules_are_refused(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_schedules_are_values():
    assert every_step() == Schedule(None, "ends")
    assert every_step().due(0.0, 1.0) is None
