"""One-step methods on SciPy's ``OdeSolver`` contract, and SciPy's own, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy.integrate import BDF, DOP853, RK23, RK45, OdeSolver, Radau

from wflow import _checks
from wflow._checks import Array
from wflow.integrators.base import Adaptive, Integrator
from wflow.integrators.bogacki_shampine import BogackiShampine32
from wflow.integrators.euler import Euler
from wflow.integrators.heun import Heun21
from wflow.integrators.lsoda import LSODA
from wflow.integrators.newton_krylov import NewtonKrylov
from wflow.integrators.rkc import RKC2
from wflow.integrators.rkl import RKL2
from wflow.integrators.ssprk import SSPRK32
from wflow.integrators.tsitouras import Tsitouras54

__all__ = [
    "RKC2", "RKL2", "SSPRK32", "Adaptive", "BogackiShampine32", "Euler", "Heun21", "Integrator", "NewtonKrylov", "Tsitouras54", "get",
    "names", "start",
]  # fmt: skip

_METHODS: dict[str, type[OdeSolver]] = {
    "euler": Euler, "heun": Heun21, "ssprk3": SSPRK32, "bs3": BogackiShampine32, "tsit5": Tsitouras54, "rkc2": RKC2, "rkl2": RKL2,
    "newton_krylov": NewtonKrylov,
    "RK23": RK23, "RK45": RK45, "DOP853": DOP853, "Radau": Radau, "BDF": BDF, "LSODA": LSODA,
}  # fmt: skip
_ALIASES = {"bogacki_shampine": "bs3", "tsitouras": "tsit5", "rkc": "rkc2", "rkl": "rkl2"}


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


def start(method: type[OdeSolver], fun: Callable[..., Any], t0: float, y0: Array, t_bound: float, **options: Any) -> OdeSolver:
    """A solver of this class at (t0, y0), where SciPy's are asked no less about their options than ours.

    Raises
    ------
    ValueError, TypeError
        Naming the option that is out of its range; or if y0 (n,) is so long that SciPy's implicit methods have no memory for their
        dense matrices (n, n).
    """
    t0, t_bound = _checks.real("t0", t0), _checks.real("t_bound", t_bound)
    y0 = _checks.fitting("y0", y0, (None,))
    if not np.isfinite(y0).all():
        _checks.array("y0", y0)  # says where
    _afford(method, y0.size, options)
    if issubclass(method, (RK23, RK45, DOP853, Radau, BDF, LSODA)):
        options = {name: _scipy_option(name, value, abs(t_bound - t0), y0.size) for name, value in options.items()}
    return method(fun, t0, y0, t_bound, **options)


def _afford(method: type[OdeSolver], n: int, options: Mapping[str, Any]) -> None:
    """Refuse SciPy's implicit methods where not even their dense matrices fit: the Jacobian, its factors, the identity."""
    matrices = {Radau: 5, BDF: 3, LSODA: 1}.get(method, 0)  # Radau factors a complex one too
    jac, bands = options.get("jac"), (options.get("lband"), options.get("uband"))
    if callable(jac) or hasattr(jac, "tocsr") or options.get("jac_sparsity") is not None or bands != (None, None):
        return
    try:
        _checks.memory("the number of unknowns", n, 8.0 * matrices * n * n)
    except ValueError as error:
        raise ValueError(f"{error}; {method.__name__} keeps dense matrices of that size squared: take rkc2, or give jac_sparsity") from None


def _scipy_option(name: str, value: Any, span: float, n: int) -> Any:
    """An option of SciPy's methods, checked as ours check their own."""
    if name == "rtol":
        return _checks.real(name, value, at_least=100 * np.finfo(float).eps)
    if name == "atol":  # SciPy divides by it where the state is 0
        tolerance = _checks.array(name, value, above=0.0)
        return _checks.array(name, tolerance, (n,) if tolerance.ndim else ())
    if name == "max_step":
        return _checks.real(name, value, above=0.0, finite=False)
    if name == "min_step":
        return _checks.real(name, value, at_least=0.0)
    if value is None:
        return None
    if name == "first_step":
        return _checks.real(name, value, above=0.0, at_most=span)
    if name in ("lband", "uband"):
        return _checks.integer(name, value, at_least=0)
    given = callable(value) or hasattr(value, "tocsr") or name not in ("jac", "jac_sparsity")
    return value if given else _checks.array(name, value, (n, n))
