"""Peers: names and their near matches, libraries that are missing, and the field in JAX against ours."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import OdeSolver
from studies.integrators import made

from wflow import mdp
from wflow.energies import PolicyValue
from wflow.measures import laws
from wflow.studies.integrators import peers, reference, runs
from wflow.studies.integrators.peers import available, check, diffrax_run, is_diffrax, method_of


@pytest.mark.parametrize("name", ["rkc2", "tsit5", "RK45", "DOP853"])
def test_names_of_ours_and_of_scipy(name):
    assert check(name) == name == method_of(name)
    assert available((name,)) == (name,)
    assert not is_diffrax(name)


def missing(monkeypatch, *libraries):
    monkeypatch.setattr(peers.importlib.util, "find_spec", lambda name: None if name in libraries else object())


@pytest.mark.parametrize(("name", "message"), [
    ("tsit", "^method must be one of .*did you mean 'tsit5'"),
    ("RK54", "^method must be one of .*did you mean 'RK45'"),
    (":RK45", "^method must be one of "),
    ("extensiq:BS5", r"^library of a method must be one of .*did you mean 'extensisq'"),
    ("scipy:RK45", "^library of a method must be one of extensisq, diffrax; got 'scipy'"),
    ("extensisq:BS6", "^extensisq method must be one of .*did you mean 'BS5'"),
    ("diffrax:Tsit", "^diffrax method must be one of .*did you mean 'Tsit5'"),
    ("diffrax:", "^diffrax method must be one of "),
])  # fmt: skip
def test_no_such_method(name, message, monkeypatch):
    missing(monkeypatch)
    with pytest.raises(ValueError, match=message):
        check(name)


def test_names_only():
    with pytest.raises(TypeError, match=r"^methods must be names; got <class"):
        check(OdeSolver)


@pytest.mark.parametrize(("name", "library", "needs"), [
    ("extensisq:BS5", "extensisq", "extensisq"), ("diffrax:Tsit5", "diffrax", "diffrax"), ("diffrax:Tsit5", "jax", "diffrax"),
])  # fmt: skip
def test_a_library_that_is_missing(name, library, needs, monkeypatch):
    """By default its methods are left out; asked for, it is said how it comes."""
    missing(monkeypatch, library)
    assert available(("rkc2", name, "RK45")) == ("rkc2", "RK45")
    with pytest.raises(ImportError, match=rf"^{name} needs {needs}: pip install 'wflow\[bench\]'$"):
        check(name)
    missing(monkeypatch)
    assert available(("rkc2", name, "RK45")) == ("rkc2", name, "RK45")
    assert check(name) == name


def test_only_policies_have_a_field_in_jax():
    """A run that gave up, whether or not JAX is there."""
    found = diffrax_run(made.LINEAR, "diffrax:Tsit5", 1e-3, 3.0 * reference.TIMES, 1)
    assert (found["status"], found["message"]) == ("gave up", "no field in JAX")
    assert is_diffrax("diffrax:Tsit5")
    told = reference.errors(reference.make(made.LINEAR), made.LINEAR, found)
    assert np.isnan(list(told.values())).all()


@pytest.mark.parametrize("name", ["BS5", "CFMR7osc", "SSV2stab", "Ts5"])
def test_extensisq(name, tmp_path):
    extensisq = pytest.importorskip("extensisq")
    assert method_of(check(f"extensisq:{name}")) is getattr(extensisq, name)
    reference.save(reference.make(made.LINEAR), tmp_path / "r.npz")
    found = runs.run(runs.Task(made.LINEAR, f"extensisq:{name}", 1e-6, 1, 60.0, str(tmp_path / "r.npz")))
    assert found["status"] == "finished"
    assert found["evaluations"] > 10
    assert found["state"] < 1e-3


LONGER = replace(made.TANH, name="longer tanh", horizon=500.0)
PROBLEMS = {
    "bandit": lambda: mdp.agazzi_lu_bandit(seed=1, n_actions=20),
    "grid": lambda: mdp.agazzi_lu_grid(seed=1, n_states=6, n_actions=5),
}


@pytest.mark.parametrize("activation", ["relu", "tanh", "gaussian"])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_value_and_gradient_in_jax(problem, activation):
    """Its gradient by autodiff is the velocity over N (math.md §3)."""
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    energy = PolicyValue(PROBLEMS[problem](), activation)
    measure = laws.student(energy.n_parameters).sample(15, 2)
    points = measure.points.copy()
    points[:, 0] = np.linspace(-3.0, 3.0, 15)  # a policy that is not uniform
    measure = type(measure)(points)
    value, gradient = jax.value_and_grad(peers._jax_value(energy))(points)
    ours = energy.evaluate(measure)
    assert float(value) == pytest.approx(ours.value, rel=1e-12)
    np.testing.assert_allclose(15 * np.asarray(gradient), ours.velocity, rtol=1e-9, atol=1e-11 * np.abs(ours.velocity).max())


@pytest.mark.parametrize("name", ["Tsit5", "Dopri8"])
def test_diffrax(name):
    """Its own run of the same flow arrives where ours does; errors are those of its tolerance."""
    pytest.importorskip("diffrax")
    known, times = reference.make(LONGER), LONGER.horizon * reference.TIMES
    loose, tight = (diffrax_run(LONGER, f"diffrax:{name}", rtol, times, 2) for rtol in (1e-3, 1e-8))
    assert tight["status"] == "finished"
    assert tight["steps"] > loose["steps"] > 0
    assert tight["evaluations"] >= 6 * tight["steps"]
    assert 0.0 < tight["seconds"] < 60.0
    told = [reference.errors(known, LONGER, found) for found in (loose, tight)]
    for error in ("energy", "state"):
        assert told[1][error] < 1e-5
        assert told[1][error] < told[0][error] < 0.5
