"""Cases: closed forms against other formulas and tight runs, what is built in, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import expm
from studies.integrators import made

from wflow.studies.integrators import BUILT_IN, Case, Start, built_in
from wflow.studies.integrators.cases import Decay, _decay, _linear


@pytest.mark.parametrize("t", [0.0, 0.3, 3.0])
def test_linear_is_the_exponential_of_its_matrix(t):
    """dx/dt = −κx − λ(x − mean), κ = 1/2, λ = 1: a matrix on the particles, coordinate by coordinate."""
    start = _linear(7)
    x = start.initial.points
    matrix = -1.5 * np.eye(7) + np.full((7, 7), 1.0 / 7.0)
    np.testing.assert_allclose(start.exact(t).reshape(x.shape), expm(t * matrix) @ x, rtol=1e-12)


def test_linear_field_is_its_matrix():
    start = _linear(7)
    y = start.flow.pack(start.initial)
    matrix = -1.5 * np.eye(7) + np.full((7, 7), 1.0 / 7.0)
    np.testing.assert_allclose(start.flow.rhs(0.0, y).reshape(7, -1), matrix @ start.initial.points, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("start", "horizon", "method"), [(_linear(40), 3.0, "DOP853"), (_decay(5), 0.2, "Radau")])
def test_exact_against_a_tight_run(start, horizon, method):
    y = start.flow.pack(start.initial)
    found = solve_ivp(start.flow.rhs, (0.0, horizon), y, method=method, rtol=1e-10, atol=1e-13).y[:, -1]
    np.testing.assert_allclose(start.exact(horizon), found, rtol=1e-8, atol=1e-11)


def test_decay_by_its_modes():
    flow = Decay(0.1, 1e4)
    initial = np.array([1.0, -2.0, 3.0, 0.5])
    for k, (begin, found) in enumerate(zip(initial, flow.exact(initial, 0.7), strict=True)):
        assert found == pytest.approx(begin * np.exp(-0.7 * 0.1 * (1e5) ** (k / 3)), rel=1e-12)


def test_decay_descends_its_energy():
    """Its field is minus the energy's gradient, here by central differences, exact for a quadratic."""
    flow = Decay(0.5, 8.0)
    y = flow.pack(np.array([1.0, -2.0, 3.0]))
    for k, slope in enumerate(flow.rhs(0.0, y)):
        step = 0.25 * np.eye(3)[k]
        higher, lower = (flow.diagnostics(0.0, y + sign * step)["energy"] for sign in (1.0, -1.0))
        assert slope == pytest.approx(-(higher - lower) / 0.5, rel=1e-12)


def test_decay_copies_what_it_is_given():
    flow, initial = Decay(1.0, 2.0), np.ones(3)
    flow.pack(initial)[:] = 5.0
    assert (initial == 1.0).all()
    with pytest.raises(ValueError, match=r"^fastest must be"):
        Decay(2.0, 1.0)
    with pytest.raises(ValueError, match=r"^slowest must be"):
        Decay(0.0, 1.0)


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in(name):
    case = built_in(name)
    assert case.name == name
    assert case.horizon == {"short": 1e2, "long": 1e4, "linear": 3.0, "decay": 10.0}[name.split()[-1]]
    assert case.smooth == ("relu" not in name)
    start = case.build()
    assert (start.exact is not None) == (name in ("linear", "decay"))
    assert start is case.build()  # made once
    if start.exact is None:
        energy = start.flow.energy
        assert start.initial.points.shape == (800, energy.n_parameters)
        assert not start.initial.points[:, 0].any()  # output weights 0 (Agazzi & Lu 2021, §5)
        assert energy.mdp.reward.shape == ((1, 100) if name.startswith("bandit") else (40, 40))
        assert energy.network.activation.name == name.split()[1]


def test_other_activations_may_be_named():
    assert built_in("bandit sigmoid short").build().flow.energy.network.activation.name == "sigmoid"


@pytest.mark.parametrize(("name", "message"), [
    ("bandit tahn long", r"^activation must be one of .*did you mean 'tanh'"),
    ("grdi relu long", r"^case must be one of .*did you mean 'grid relu long'"),
    ("linaer", r"^case must be one of .*did you mean 'linear'"),
    ("bandit tanh", r"^case must be one of "),
    ("bandit tanh longer", r"^case must be one of "),
])  # fmt: skip
def test_no_such_case(name, message):
    with pytest.raises(ValueError, match=message):
        built_in(name)


@pytest.mark.parametrize(("options", "error", "message"), [
    ({"name": ""}, ValueError, r"^name must be some text without '/'"),
    ({"name": "a/b"}, ValueError, r"^name must be .*; got 'a/b'"),
    ({"name": "table"}, ValueError, r"^name must be .*; got 'table'"),
    ({"name": 3}, ValueError, r"^name must be .*; got 3"),
    ({"make": "policy"}, TypeError, r"^make must be callable; got 'policy'"),
    ({"horizon": 0.0}, ValueError, r"^horizon must be"),
    ({"horizon": "long"}, TypeError, r"^horizon must be"),
    ({"horizon": np.inf}, ValueError, r"^horizon must be"),
    ({"arguments": (("n", [1]),)}, TypeError, r"^arguments must be a tuple of \(name, hashable value\) pairs"),
    ({"arguments": ("n", 1)}, TypeError, r"^arguments must be"),
])  # fmt: skip
def test_refused(options, error, message):
    with pytest.raises(error, match=message):
        Case(**{"name": "own", "make": _linear, "horizon": 1.0, **options})


def test_a_case_makes_a_start():
    with pytest.raises(TypeError, match=r"^make of case wrong must be a wflow\.studies\.integrators\.Start; got 3"):
        made.WRONG.build()
    assert isinstance(made.TANH.build(), Start)
