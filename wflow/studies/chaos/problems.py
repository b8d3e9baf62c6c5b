"""What the study is run on: an energy whose field has a signal, a law to start from, a horizon."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from wflow import _checks, mdp
from wflow._checks import Array
from wflow.energies import PolicyValue, QuadraticInteraction
from wflow.flows import WassersteinFlow
from wflow.measures import laws
from wflow.studies.chaos.linear import Constants

__all__ = ["BUILT_IN", "Problem", "built_in"]


@dataclass(frozen=True)
class Problem:
    """A problem of the study, small enough to be sent to every worker, which builds it there.

    Parameters
    ----------
    name : str
        In tables and files.
    make : callable
        At module level; ``make(**dict(arguments))`` gives ``(energy, law)``: an energy with ``value, velocity, signal, field,
        function_values, function_variance`` (`wflow.energies.PolicyValue` has them and says what they are; values must be linear in
        the measure), and a ``wflow.measures.laws.Product``.
    horizon : float
        Mean-field time T up to which errors are measured.
    arguments : tuple of (str, value) pairs
        Hashable.
    group : str
        Problems of one group share a figure.
    outside : str
        Why the theorem does not speak of it; empty if it does.
    """

    name: str
    make: Callable[..., tuple[Any, laws.Product]]
    horizon: float
    arguments: tuple[tuple[str, Any], ...] = ()
    group: str = ""
    outside: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name or "/" in self.name:
            raise ValueError(f"name must be some text without '/'; got {_checks.show(self.name)}")
        if not callable(self.make):
            raise TypeError(f"make must be callable; got {_checks.show(self.make)}")
        _checks.real("horizon", self.horizon, above=0.0)
        try:
            hash(self.arguments)
            dict(self.arguments)
        except (TypeError, ValueError):
            raise TypeError(f"arguments must be a tuple of (name, hashable value) pairs; got {_checks.show(self.arguments)}") from None
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

    def exact(self, times: Array, sizes: Sequence[int]) -> dict[str, Array]:
        """Expected errors at each size and time (K, T), where they are known; empty for most problems.

        ``coupling`` (of the square of its sup up to then), ``function``, ``energy_sd``, ``energy_bias``, ``w2_difference``.
        """
        energy, law = self.build()
        if not isinstance(energy, QuadraticInteraction):
            return {}
        known = Constants(energy, law)
        n = np.asarray(sizes)[:, None]
        return {
            "coupling": known.largest_coupling(n, times), "function": known.function(n, times),
            "energy_sd": np.sqrt(known.energy_variance(n, times)), "energy_bias": known.energy_bias(n, times),
            "w2_difference": known.paired_difference(n, times),
        }  # fmt: skip


@lru_cache(maxsize=8)
def _build(problem: Problem) -> tuple[Any, laws.Product]:
    made = problem.make(**dict(problem.arguments))
    if not isinstance(made, tuple) or len(made) != 2:
        raise TypeError(f"make of problem {problem.name} must return (energy, law); got {_checks.show(made)}")
    energy, law = made
    for name in ("value", "velocity", "signal", "field", "function_values", "function_variance"):
        if not callable(getattr(energy, name, None)):
            raise TypeError(f"the energy of problem {problem.name} must have a method {name}; got {_checks.show(energy)}")
    WassersteinFlow(energy)  # says what else an energy must have
    _checks.instance("law", law, laws.Product, "a wflow.measures.laws.Product").qmc(2, 0)  # says if a factor has no quantiles
    return energy, law


def _policy_value(make: str, activation: str, **options: Any) -> tuple[PolicyValue, laws.Product]:
    energy = PolicyValue(getattr(mdp, make)(**options), activation)
    return energy, laws.student(energy.n_parameters)


def _linear(stiffness: float, attraction: float) -> tuple[QuadraticInteraction, laws.Product]:
    law = laws.Product((laws.Normal(1.0, 1.0), laws.Normal(0.0, 0.25)))
    return QuadraticInteraction(stiffness, attraction), law


def built_in(group: str, activation: str = "", *, seed: int = 0) -> Problem:
    """A problem that comes with the study.

    Parameters
    ----------
    group : str
        "bandit": Agazzi & Lu (2021), Figure 1 (a), to T = 100. "grid": Figure 1 (b) on 40 × 40 nodes instead of 100 × 100, to
        T = 30. "linear": the linear McKean–Vlasov problem of `wflow.studies.chaos.linear`, whose errors are known exactly.
    activation : str
        Of the neurons of bandit and grid.
    seed : int
        Of the teacher.
    """
    _checks.choice("group", group, ("bandit", "grid", "linear"))
    if group == "linear":
        return Problem("linear", _linear, 3.0, (("stiffness", 0.5), ("attraction", 1.0)), group)
    outside = "outside Assumption 1" if activation in ("relu", "softplus") else ""
    nodes = (("n_states", 40), ("n_actions", 40)) if group == "grid" else ()
    arguments = (("make", f"agazzi_lu_{group}"), ("activation", activation), ("seed", seed), *nodes)
    return Problem(f"{group} {activation}", _policy_value, 30.0 if group == "grid" else 100.0, arguments, group, outside)


BUILT_IN = ("bandit tanh", "bandit relu", "grid tanh", "grid relu", "linear")
