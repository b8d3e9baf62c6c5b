"""What a study is run on: something to build in every worker, small enough to be sent there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

from wflow import _checks
from wflow.flows import WassersteinFlow
from wflow.measures import laws

__all__ = ["Problem", "check_made"]


def check_made(name: Any, make: Any, horizon: Any, arguments: Any) -> None:
    """What is common to all that studies are run on: ValueError or TypeError if one of them will not do."""
    if not isinstance(name, str) or not name or "/" in name:
        raise ValueError(f"name must be some text without '/'; got {_checks.show(name)}")
    if name in (".", "table"):
        raise ValueError(f"name must be some text without '/', and neither '.' nor 'table', which the file needs; got {name!r}")
    if not callable(make):
        raise TypeError(f"make must be callable; got {_checks.show(make)}")
    _checks.real("horizon", horizon, above=0.0)
    try:
        hash(arguments)
        dict(arguments)
    except (TypeError, ValueError):
        raise TypeError(f"arguments must be a tuple of (name, hashable value) pairs; got {_checks.show(arguments)}") from None


@dataclass(frozen=True)
class Problem:
    """A problem by the function that makes it, small enough to be sent to every worker.

    Parameters
    ----------
    name : str
        In tables and files.
    make : callable
        At module level; ``make(**dict(arguments))`` gives ``(energy, law)``: an energy with the methods that the study needs, and
        the ``wflow.measures.laws.Product`` that the flow starts from.
    horizon : float
        Mean-field time T of the study.
    arguments : tuple of (str, value) pairs
        Hashable.
    group : str
        Problems of one group share a figure.
    outside : str
        Why the theorems do not speak of it; empty if they do.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.
    """

    name: str
    make: Callable[..., tuple[Any, laws.Product]]
    horizon: float
    arguments: tuple[tuple[str, Any], ...] = ()
    group: str = ""
    outside: str = ""

    needs: ClassVar[tuple[str, ...]] = ()
    """Methods of the energy beside those that a flow needs."""

    def __post_init__(self) -> None:
        check_made(self.name, self.make, self.horizon, self.arguments)
        if not isinstance(self.group, str) or not isinstance(self.outside, str):
            raise TypeError(f"group and outside must be text; got {_checks.show((self.group, self.outside))}")

    def build(self) -> tuple[Any, laws.Product]:
        """Energy and law; made once in a process.

        Raises
        ------
        TypeError
            If they do not have what the study needs, naming what is missing.
        """
        return _build(self)


@lru_cache(maxsize=8)
def _build(problem: Problem) -> tuple[Any, laws.Product]:
    made = problem.make(**dict(problem.arguments))
    if not isinstance(made, tuple) or len(made) != 2:
        raise TypeError(f"make of problem {problem.name} must return (energy, law); got {_checks.show(made)}")
    energy, law = made
    for name in ("value", "velocity", *problem.needs):
        if not callable(getattr(energy, name, None)):
            raise TypeError(f"the energy of problem {problem.name} must have a method {name}; got {_checks.show(energy)}")
    WassersteinFlow(energy)  # says what else an energy must have
    _checks.instance("law", law, laws.Product, "a wflow.measures.laws.Product").qmc(2, 0)  # says if a factor has no quantiles
    return energy, law
