"""What the study of fixed points and support is run on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from wflow import _checks, mdp
from wflow.energies import PolicyValue
from wflow.measures import laws
from wflow.neurons import activations
from wflow.studies.problem import Problem as _Problem

__all__ = ["BUILT_IN", "SEEDS", "Problem", "built_in"]

SEEDS = (97, 178)  # teachers of the bandit that are concave and not monotone, with kinks inside A: all controls are proved on them
_GRID = 54  # the same of the grid, in many states


@dataclass(frozen=True)
class Problem(_Problem):
    """A problem of this study: `wflow.studies.problem.Problem` says what its arguments are.

    The energy must be of the ψ = ω0 φ form, with ``evaluate, signal, field, log_policy``, ``optimum``, ``network`` and ``domain`` as
    `wflow.energies.PolicyValue` has them; the law must separate, as `wflow.measures.laws.student` does. Gaps are followed to 100 times
    the horizon.

    Parameters
    ----------
    nodes : str
        Argument of `make` that is the number of action nodes: the tear of the surface is measured as they are refined. Empty: it
        is not.
    bound : float
        What the certified gap of the separating start must fall below at 100 times the horizon; 0: nothing is claimed.
    """

    nodes: str = ""
    bound: float = 0.0

    needs: ClassVar[tuple[str, ...]] = ("evaluate", "signal", "field", "log_policy")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.nodes, str):
            raise TypeError(f"nodes must be the name of an argument; got {_checks.show(self.nodes)}")
        _checks.real("bound", self.bound, at_least=0.0)

    def build(self) -> tuple[Any, laws.Product]:
        """Energy and law; made once in a process. TypeError if they do not have what the study needs, naming what is missing."""
        energy, law = super().build()
        for name in ("optimum", "network", "domain"):
            if not hasattr(energy, name):
                raise TypeError(f"the energy of problem {self.name} must have {name}, as PolicyValue has; got {_checks.show(energy)}")
        return energy, law

    def refined(self, n: int) -> Problem:
        """The same problem on n action nodes."""
        arguments = {**dict(self.arguments), self.nodes: n}
        return Problem(self.name, self.make, self.horizon, tuple(arguments.items()), self.group, self.outside, self.nodes, self.bound)


def _policy_value(make: str, activation: str, **options: Any) -> tuple[PolicyValue, laws.Product]:
    energy = PolicyValue(getattr(mdp, make)(**options), activation)
    return energy, laws.student(energy.n_parameters)


def built_in(group: str, activation: str, *, seed: int | None = None) -> Problem:
    """A problem that comes with the study: T = 1000, gaps to 10⁵.

    Parameters
    ----------
    group : str
        "bandit": Agazzi & Lu (2021), Figure 1 (a), whose separating start must reach a certified gap of 1e-5. "grid": Figure 1 (b).
    activation : str
        Of the neurons; ReLU and softplus lie outside Assumption 1.
    seed : int or None
        Of the teacher; None: the first of `SEEDS` for the bandit, 54 for the grid.
    """
    _checks.choice("group", group, ("bandit", "grid"))
    name = activations.get(activation).name
    bandit = group == "bandit"
    seed = (SEEDS[0] if bandit else _GRID) if seed is None else _checks.integer("seed", seed, at_least=0)
    nodes = (("n_actions", 100),) if bandit else (("n_states", 100), ("n_actions", 100))
    arguments = (("make", f"agazzi_lu_{group}"), ("activation", activation), ("seed", seed), *nodes)
    outside = "outside Assumption 1" if name in ("relu", "softplus") else ""
    title = f"{group} {name} {seed}" if bandit or seed != _GRID else f"{group} {name}"
    return Problem(title, _policy_value, 1e3, arguments, title, outside, "n_actions" if bandit and name == "relu" else "",
                   1e-5 if bandit else 0.0)  # fmt: skip


BUILT_IN = (*(f"bandit {name} {seed}" for seed in SEEDS for name in ("tanh", "relu")), "grid relu")
