"""One-step methods on SciPy's ``OdeSolver`` contract, and SciPy's own, by name."""

from __future__ import annotations

from scipy.integrate import BDF, DOP853, LSODA, RK23, RK45, OdeSolver, Radau

from wflow import _checks
from wflow.integrators.base import Adaptive, Integrator
from wflow.integrators.bogacki_shampine import BogackiShampine32
from wflow.integrators.euler import Euler
from wflow.integrators.rkc import RKC2
from wflow.integrators.tsitouras import Tsitouras54

__all__ = ["RKC2", "Adaptive", "BogackiShampine32", "Euler", "Integrator", "Tsitouras54", "get", "names"]

_METHODS: dict[str, type[OdeSolver]] = {
    "euler": Euler, "bs3": BogackiShampine32, "tsit5": Tsitouras54, "rkc2": RKC2,
    "RK23": RK23, "RK45": RK45, "DOP853": DOP853, "Radau": Radau, "BDF": BDF, "LSODA": LSODA,
}  # fmt: skip
_ALIASES = {"bogacki_shampine": "bs3", "tsitouras": "tsit5", "rkc": "rkc2"}


def names() -> tuple[str, ...]:
    """Names of the methods: ours in lower case, SciPy's as SciPy writes them."""
    return tuple(_METHODS)


def get(name: str | type[OdeSolver]) -> type[OdeSolver]:
    """The method called `name`, in any case; a solver class passes through.

    Raises
    ------
    ValueError
        If there is no such method; the message names the nearest.
    """
    if isinstance(name, type) and issubclass(name, OdeSolver):
        return name
    known = {method.lower(): method for method in _METHODS} | _ALIASES
    if isinstance(name, str) and name.lower() in known:
        return _METHODS[known[name.lower()]]
    _checks.choice("method", name, names())
    raise AssertionError  # not reached: choice raises
