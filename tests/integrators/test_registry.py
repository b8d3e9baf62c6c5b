"""Methods by name."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import scipy.sparse
from scipy.integrate import DOP853, OdeSolver

import wflow.integrators as integrators
from wflow import _checks


def test_every_name_leads_to_a_solver():
    ours = ("euler", "heun", "ssprk3", "bs3", "tsit5", "rkc2", "rkl2", "newton_krylov")
    assert integrators.names() == (*ours, "RK23", "RK45", "DOP853", "Radau", "BDF", "LSODA")
    for name in integrators.names():
        method = integrators.get(name)
        assert issubclass(method, OdeSolver)
        assert integrators.get(name.upper()) is integrators.get(name.lower()) is integrators.get(method) is method


def test_aliases_and_foreign_classes():
    assert integrators.get("Bogacki_Shampine") is integrators.BogackiShampine32
    assert integrators.get("tsitouras") is integrators.Tsitouras54
    assert integrators.get("dop853") is DOP853
    assert integrators.get("rkl") is integrators.RKL2

    class Mine(OdeSolver):
        pass

    assert integrators.get(Mine) is Mine


@pytest.mark.parametrize("bad", ["tsit", "rkc3", None, 3, int])
def test_unknown_names(bad):
    with pytest.raises(ValueError, match="method must be one of euler, heun, ssprk3, bs3"):
        integrators.get(bad)


def test_near_matches():
    with pytest.raises(ValueError, match="did you mean 'tsit5'"):
        integrators.get("tsit6")


def test_a_failed_step_of_lsoda_has_a_reason_and_no_warning():
    solver = integrators.get("LSODA")(lambda t, y: 1e40 * np.sin(1e20 * y), 0.0, np.ones(2), 1.0, rtol=1e-12, atol=1e-12)
    assert solver.step().startswith("lsoda: Repeated convergence failures")
    assert (solver.status, solver.t) == ("failed", 0.0)


STEP = {"t0": 0.0, "y0": [1.0, 0.0], "t_bound": 2.0}


@pytest.mark.parametrize("method", integrators.names())
def test_start_makes_a_solver_of_plain_numbers(method):
    options = {"dt": 0.5} if method == "euler" else {"rtol": 1e-3, "atol": 1e-6, "max_step": 0.5, "first_step": None}
    solver = integrators.start(integrators.get(method), lambda t, y: -y, **STEP, **options)
    solver.step()
    assert 0.0 < solver.t <= 0.5
    assert 0.0 < solver.y[0] < 1.0


@pytest.mark.parametrize(("method", "options", "error", "message"), [
    ("RK45", {"t0": np.inf}, ValueError, "t0 must be a finite number; got inf"),
    ("RK45", {"t_bound": "late"}, TypeError, "t_bound must be a finite number; got 'late'"),
    ("RK45", {"y0": [1j]}, TypeError, "y0 must be an array of real numbers"),
    ("RK45", {"y0": 1.0}, ValueError, r"y0 must have shape \(any,\); got 1\.0"),
    ("bs3", {"y0": [np.nan]}, ValueError, r"y0 must be finite; got nan at \[0\]"),
    ("RK23", {"rtol": 1e-20}, ValueError, "rtol must be a finite number at least 2.22045e-14; got 1e-20"),  # SciPy only warns
    ("RK23", {"atol": 0.0}, ValueError, r"atol must be above 0; got 0\.0"),
    ("RK23", {"atol": [1.0, 1.0, 1.0]}, ValueError, r"atol must have shape \(2,\); got \(3,\)"),
    ("RK23", {"atol": [[1.0], [1.0, 2.0]]}, TypeError, "atol must be an array of real numbers"),
    ("tsit5", {"atol": [[1.0], [1.0, 2.0]]}, TypeError, "atol must be an array of real numbers"),
    ("BDF", {"max_step": "long"}, TypeError, "max_step must be a number above 0; got 'long'"),
    ("BDF", {"first_step": 3.0}, ValueError, r"first_step must be a finite number above 0 and at most 2; got 3\.0"),
    ("Radau", {"jac": [[1.0]]}, ValueError, r"jac must have shape \(2, 2\); got \(1, 1\)"),
    ("Radau", {"jac_sparsity": "all"}, TypeError, "jac_sparsity must be an array of real numbers; got 'all'"),
    ("LSODA", {"min_step": -1.0}, ValueError, r"min_step must be a finite number at least 0; got -1\.0"),
    ("LSODA", {"lband": 0.5}, TypeError, r"lband must be an integer of at least 0; got 0\.5"),
])  # fmt: skip
def test_start_asks_no_less_of_scipys_methods(method, options, error, message):
    with pytest.raises(error, match=f"^{message}"):
        integrators.start(integrators.get(method), lambda t, y: -y, **STEP | options)


@pytest.mark.parametrize(("method", "matrices"), [("Radau", 5), ("BDF", 3), ("LSODA", 1)])
def test_dense_matrices_beyond_memory_are_refused(method, matrices, monkeypatch):
    """Before the field is asked; just as large as memory is still tried."""
    def field(t, y):
        raise AssertionError

    n, start = 1000, partial(integrators.start, integrators.get(method), field, 0.0, np.ones(1000), 1.0)
    monkeypatch.setattr(_checks, "_room", lambda: 8.0 * matrices * n * n - 1.0)
    message = rf"^the number of unknowns must be small enough for .* GB of memory; got 1000; {method} keeps dense .* take rkc2"
    with pytest.raises(ValueError, match=message):
        start()
    monkeypatch.setattr(_checks, "_room", lambda: 8.0 * matrices * n * n)
    if method == "LSODA":  # evaluates in its first step
        start()
    else:
        with pytest.raises(AssertionError):
            start()
    integrators.start(integrators.get("tsit5"), field, 0.0, np.ones(n), 1.0)


def test_absurd_sizes_need_no_patch():
    with pytest.raises(ValueError, match="BDF keeps dense matrices"):
        integrators.start(integrators.get("BDF"), lambda t, y: -y, 0.0, np.ones(10**6), 1.0)


def test_sparse_and_banded_jacobians_are_affordable(monkeypatch):
    monkeypatch.setattr(_checks, "_room", lambda: 0.0)
    n = 50
    for method, options in (
        ("BDF", {"jac_sparsity": np.eye(n)}), ("Radau", {"jac": lambda t, y: -scipy.sparse.eye_array(n, format="csc")}),
        ("BDF", {"jac": -scipy.sparse.eye_array(n, format="csc")}), ("LSODA", {"lband": 0, "uband": 0}),
    ):  # fmt: skip
        solver = integrators.start(integrators.get(method), lambda t, y: -y, 0.0, np.ones(n), 1.0, **options)
        solver.step()
        assert solver.t > 0.0
