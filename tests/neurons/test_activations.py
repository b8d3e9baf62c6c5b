"""Activations by name and by hand."""

from __future__ import annotations

import math

import numba
import numpy as np
import pytest
from neurons.oracle import ANALYTIC, BAR, case, worst

from wflow.neurons import NAMES, Activation, Network, get


@numba.njit
def sigma(x):
    return math.tanh(x)


@numba.njit
def slope(x):
    return 1.0 / math.cosh(x) ** 2


def plain(x):
    return x


def test_names():
    assert NAMES == ("relu", "tanh", "sigmoid", "softplus", "gaussian", "rbf")
    for name in NAMES:
        activation = get(name)
        assert activation.name == name
        assert activation.radial == (name == "rbf")
        assert get(activation) is activation
        assert (activation.singularity > 0.0) == (name in ANALYTIC)
        assert [activation.n_parameters(d_s, d_a) for d_s, d_a in ((0, 1), (1, 1), (2, 3))] == ([2, 3, 6] if name == "rbf" else [3, 4, 7])


def test_width_belongs_to_the_bump():
    assert get("rbf").width == 0.2
    assert get("rbf", 0.5).width == 0.5
    assert get(get("rbf"), 0.5).width == 0.5
    with pytest.raises(ValueError, match=r"^width must be left out for activation 'tanh': only 'rbf' has one; got 0\.1$"):
        get("tanh", 0.1)
    with pytest.raises(ValueError, match=r"^width must be left out for activation 'custom'"):
        get((sigma, slope), 0.1)
    for width in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match=r"^width must be"):
            get("rbf", width)


@pytest.mark.parametrize(("name", "hint"), [("relus", "relu"), ("softpluss", "softplus"), ("gausian", "gaussian")])
def test_unknown_names_are_answered_with_near_ones(name, hint):
    with pytest.raises(ValueError, match=rf"^activation must be one of relu, tanh, .*; got '{name}' \(did you mean '{hint}'\?\)$"):
        get(name)


@pytest.mark.parametrize("value", [None, 3, ["relu"], (sigma,), (sigma, slope, sigma)])
def test_what_is_no_activation(value):
    with pytest.raises(ValueError, match=r"^activation must be one of"):
        get(value)


@pytest.mark.parametrize(("pair", "argument"), [
    ((plain, slope), "value"), ((sigma, plain), "derivative"), ((np.tanh, slope), "value"), (("relu", slope), "value"),
])  # fmt: skip
def test_own_functions_must_be_compiled(pair, argument):
    with pytest.raises(TypeError, match=rf"^{argument} must be a function compiled with numba\.njit; got"):
        get(pair)


def test_own_pair_equals_the_built_in():
    """tanh by hand, in the parallel kernels, on a problem of several tasks."""
    problem = case(1, "tanh", 700, 33, 20, "plane")
    own = Activation.custom(sigma, slope, "my tanh")
    assert (own.name, own.radial, own.singularity) == ("my tanh", False, 0.0)
    for activation in (own, (sigma, slope)):
        network = Network(activation, problem.states, problem.actions)
        f, size = problem.forward()
        assert worst(network.forward(problem.points, problem.weights) - f, BAR * size + 1e-140) < 1.0
        g, size = problem.adjoint()
        assert worst(network.adjoint(problem.points, problem.signal) - g, BAR * size + 1e-140) < 1.0


@pytest.mark.parametrize("width", [1e-200, 1e200])
def test_widths_have_a_finite_square(width):
    with pytest.raises(ValueError, match=r"^width must be at (least|most) 1e"):
        get("rbf", width)
