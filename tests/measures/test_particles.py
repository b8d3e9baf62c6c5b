"""Weighted particle clouds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wflow.measures import ParticleMeasure


def test_uniform_weights_unless_given():
    measure = ParticleMeasure([[1, 2], [3, 4], [5, 6], [7, 8]])
    assert (measure.size, measure.dimension) == (4, 2)
    assert measure.points.dtype == measure.weights.dtype == np.float64
    np.testing.assert_array_equal(measure.weights, 0.25)
    assert repr(measure) == "ParticleMeasure(4 particles in 2 dimensions)"


def test_weights_are_kept_as_they_are():
    weights = np.array([0.25, 0.0, 0.75 + 1e-10])
    measure = ParticleMeasure(np.zeros((3, 1)), weights)
    np.testing.assert_array_equal(measure.weights, weights)


@pytest.mark.parametrize(("points", "weights", "error", "message"), [
    ([1.0, 2.0], None, ValueError, r"^points must have shape \(any, any\); got \(2,\)$"),
    (np.zeros((0, 3)), None, ValueError, "^points must have at least one row; got none$"),
    ([[1.0, np.nan]], None, ValueError, r"^points must be finite; got nan at \[0, 1\]$"),
    ([[np.inf]], None, ValueError, r"^points must be finite; got inf at \[0, 0\]$"),
    ("cloud", None, TypeError, r"^points must be an array of real numbers; got 'cloud'$"),
    ([[1.0], [2.0]], [1.0], ValueError, r"^weights must have shape \(2,\); got \(1,\)$"),
    ([[1.0], [2.0]], [[0.5, 0.5]], ValueError, r"^weights must have shape \(2,\); got \(1, 2\)$"),
    ([[1.0], [2.0]], [1.5, -0.5], ValueError, r"^weights must be at least 0; got -0\.5 at \[1\]$"),
    ([[1.0], [2.0]], [0.5, 0.6], ValueError, r"^weights must sum to 1; got 1\.1$"),
    ([[1.0], [2.0]], [0.5, np.nan], ValueError, r"^weights must be finite; got nan at \[1\]$"),
])  # fmt: skip
def test_refuses(points, weights, error, message):
    with pytest.raises(error, match=message):
        ParticleMeasure(points, weights)


def test_is_frozen():
    measure = ParticleMeasure([[1.0]])
    with pytest.raises(AttributeError):
        measure.points = np.zeros((1, 1))


@given(points=arrays(float, st.tuples(st.integers(1, 9), st.integers(1, 4)), elements=st.floats(-10, 10)), seed=st.integers(0, 10**6))
def test_moments_by_loops(points, seed):
    n, m = points.shape
    weights = np.random.default_rng(seed).dirichlet(np.ones(n))
    measure = ParticleMeasure(points, weights)
    mean, covariance = np.zeros(m), np.zeros((m, m))
    for p, x in zip(weights, points, strict=True):
        mean += p * x
    for p, x in zip(weights, points, strict=True):
        covariance += p * np.outer(x - mean, x - mean)
    np.testing.assert_allclose(measure.mean(), mean, rtol=0, atol=1e-13)
    np.testing.assert_allclose(measure.covariance(), covariance, rtol=0, atol=1e-12)


def test_covariance_far_from_the_origin_does_not_cancel():
    points = 1e8 + np.array([[0.0], [1.0]])
    assert ParticleMeasure(points).covariance()[0, 0] == 0.25
