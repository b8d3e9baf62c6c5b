"""From a method's name or class to what makes its stepper, with the options it takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from wflow import _checks, integrators
from wflow._checks import Array

if TYPE_CHECKING:
    from wflow.flows.base import Flow, Stepper

__all__ = ["Method", "Safeguard"]

_ROUNDING = 1e-14  # of E, by which it may move the wrong way


@dataclass(frozen=True)
class Method:
    """What steps a run.

    Parameters
    ----------
    make : callable
        The stepper from (t, y, t_end).
    about : mapping
        Its part of the provenance: name, tolerances, options.
    remembers : bool
        Whether it can be resumed bit for bit, or at least be run again from the start to the same bits.
    """

    make: Callable[[float, Array, float], Stepper]
    about: Mapping[str, Any]
    remembers: bool

    @classmethod
    def of(
        cls, flow: Flow, field: Callable[[float, Array], Array], method: str | type[Any] | None, tolerances: Mapping[str, float],
        options: Mapping[str, Any], default: str,
    ) -> Method:  # fmt: skip
        """The method that `solve` was asked for: a name, an ``OdeSolver`` class, or None for the flow's own stepper or `default`."""
        own = getattr(flow, "stepper", None)
        if own is not None and method is not None:
            raise TypeError(f"method must be left out: {type(flow).__name__} steps itself; got {_checks.show(method)}")
        method = default if method is None else method
        build: Any = own if own is not None else integrators.get(method)
        name = f"{type(flow).__name__}.stepper" if own is not None else method if isinstance(method, str) else build.__name__
        takes = _parameters(build)
        takes |= {"safeguard"} if "accept" in takes else set()
        free = sorted(takes - {"self", "fun", "field", "t", "t0", "y", "y0", "t_end", "t_bound", "vectorized", *tolerances})
        for key in options:
            if key not in free:
                hint = _checks.near_matches(key, free)
                raise TypeError(f"options: {name} has no option {_checks.show(key)}{hint}; it has {', '.join(free) or 'none'}")
        known = {
            "norm": "error_norm", "spectral_radius": "spectral_radius", "jacobian": "jacobian", "step_bound": "step_bound",
            "accept": "admissible",
        }  # fmt: skip
        offered = {**tolerances, **{key: getattr(flow, name, None) for key, name in known.items()}}
        keywords = {**{key: value for key, value in offered.items() if key in takes and value is not None}, **options}
        if own is not None and "field" in takes:
            keywords["field"] = field
        guarded = _checks.instance("options['safeguard']", keywords.pop("safeguard", False), bool, "True or False")
        if guarded and "accept" in options:
            raise ValueError("options must have safeguard or accept, not both; got both")
        arguments = () if own is not None else (field,)
        about = {"method": name, **tolerances, "options": dict(options)}
        remembers = own is not None or hasattr(build, "load_state_dict")
        start: Any = build if own is not None else partial(integrators.start, build)

        def make(t: float, y: Array, t_end: float) -> Stepper:
            accept = {"accept": Safeguard(flow, t, y, keywords.get("accept"))} if guarded else {}
            made: Stepper = start(*arguments, t, y, t_end, **{**keywords, **accept})
            return made

        return cls(make, about, remembers)


class Safeguard:
    """Whether a step moves the energy in the flow's sense, or stays within rounding of the last: ``accept`` of our adaptive methods.

    Made anew at a saved (t, y) it knows all that it knew. One evaluation of the diagnostics an attempt, which is free where
    the flow remembers the field there.
    """

    def __init__(self, flow: Flow, t: float, y: Array, admissible: Callable[[float, Array], bool] | None = None) -> None:
        self._admissible = admissible
        self._flow, self._sense = flow, float(getattr(getattr(flow, "energy", None), "sense", -1))
        self._last = float(flow.diagnostics(t, y)["energy"])

    def __call__(self, t: float, y: Array) -> bool:
        """Asked after the error test; the flow's own `admissible` is asked first."""
        if self._admissible is not None and not self._admissible(t, y):
            return False
        energy = float(self._flow.diagnostics(t, y)["energy"])
        fits = self._sense * (energy - self._last) >= -_ROUNDING * max(abs(energy), abs(self._last))
        if fits:
            self._last = energy
        return bool(fits)


def _parameters(build: Any) -> set[str]:
    """Names of the parameters that a method takes by its own word; what `**options` passes on is looked up in its base classes."""
    if not isinstance(build, type):
        return set(inspect.signature(build).parameters)
    names: set[str] = set()
    for cls in build.__mro__:
        if "__init__" in vars(cls) and cls.__module__ != "scipy.integrate._ivp.base":
            parameters = inspect.signature(vars(cls)["__init__"]).parameters.values()
            names |= {p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
            if not any(p.kind is p.VAR_KEYWORD for p in parameters):
                break
    return names
