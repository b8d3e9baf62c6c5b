"""What a distance comes back as."""

from __future__ import annotations

import dataclasses
import math

import pytest

from wflow.measures.distances import W2Result


def result(value, lower, upper):
    return W2Result(value, lower, upper, "dense", True, 0.1)


def test_gap_is_relative_to_the_upper_bound():
    assert result(None, 1.0, 4.0).gap == 0.75
    assert result(3.0, 3.0, 3.0).gap == 0.0
    assert result(0.0, 0.0, 0.0).gap == 0.0
    assert result(0.0, 0.0, 1e-9).gap == 1.0


@pytest.mark.parametrize("figures", [(None, 2.0, 1.0), (0.5, 1.0, 2.0), (3.0, 1.0, 2.0), (None, -1.0, 1.0), (math.nan, 0.0, 1.0),
                                     (None, math.nan, 1.0), (None, 0.0, math.nan), (None, 0.0, math.inf)])  # fmt: skip
def test_figures_out_of_order_are_refused(figures):
    with pytest.raises(ValueError, match="lower <= value <= upper"):
        result(*figures)


def test_a_result_does_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        result(1.0, 1.0, 1.0).value = 2.0
