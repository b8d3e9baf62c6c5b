"""What the study is run on: an energy whose field has a signal, a law to start from, a horizon."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from wflow import _checks, mdp
from wflow._checks import Array
from wflow.energies import PolicyValue, QuadraticInteraction
from wflow.measures import laws
from wflow.studies.chaos.linear import Constants
from wflow.studies.problem import Problem as _Problem

__all__ = ["BUILT_IN", "Problem", "built_in"]


@dataclass(frozen=True)
class Problem(_Problem):
    """A problem of this study: `wflow.studies.problem.Problem` says what its arguments are.

    The energy needs ``signal, field, function_values, function_variance``: `wflow.energies.PolicyValue` has them and says what they
    are; values must be linear in the measure.
    """

    needs: ClassVar[tuple[str, ...]] = ("signal", "field", "function_values", "function_variance")

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
