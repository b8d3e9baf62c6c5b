"""Methods by name."""

from __future__ import annotations

import pytest
from scipy.integrate import DOP853, OdeSolver

import wflow.integrators as integrators


def test_every_name_leads_to_a_solver():
    assert {"euler", "bs3", "tsit5", "rkc2", "RK23", "RK45", "DOP853", "Radau", "BDF", "LSODA"} == set(integrators.names())
    for name in integrators.names():
        method = integrators.get(name)
        assert issubclass(method, OdeSolver)
        assert integrators.get(name.upper()) is integrators.get(name.lower()) is integrators.get(method) is method


def test_aliases_and_foreign_classes():
    assert integrators.get("Bogacki_Shampine") is integrators.BogackiShampine32
    assert integrators.get("tsitouras") is integrators.Tsitouras54
    assert integrators.get("dop853") is DOP853

    class Mine(OdeSolver):
        pass

    assert integrators.get(Mine) is Mine


@pytest.mark.parametrize("bad", ["tsit", "rkc3", None, 3, int])
def test_unknown_names(bad):
    with pytest.raises(ValueError, match="method must be one of euler, bs3"):
        integrators.get(bad)


def test_near_matches():
    with pytest.raises(ValueError, match="did you mean 'tsit5'"):
        integrators.get("tsit6")
