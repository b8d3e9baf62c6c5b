"""What the work-precision study integrates: flows with their start and horizon, some with a closed form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from wflow import _checks, mdp
from wflow._checks import Array
from wflow.energies import PolicyValue, QuadraticInteraction
from wflow.flows import WassersteinFlow
from wflow.measures import laws
from wflow.neurons import activations
from wflow.studies.problem import check_made

__all__ = ["BUILT_IN", "Case", "Decay", "Start", "built_in"]

_HORIZONS = {"short": 1e2, "long": 1e4}


@dataclass(frozen=True, eq=False)
class Start:
    """A flow, what it starts from, and if it is known its state at any time.

    Attributes
    ----------
    flow : Flow
    initial
        As the flow takes it.
    exact : callable or None
        ``exact(t) -> y (n,)``, the packed state.
    """

    flow: Any
    initial: Any
    exact: Callable[[float], Array] | None = None


@dataclass(frozen=True)
class Case:
    """A problem of the study, small enough to be sent to every worker, which builds it there.

    Parameters
    ----------
    name : str
        In tables and files.
    make : callable
        At module level; ``make(**dict(arguments)) -> Start``.
    horizon : float
        Mean-field time to which it is integrated.
    arguments : tuple of (str, value) pairs
        Hashable.
    smooth : bool
        Whether the field has as many derivatives as the methods have orders. ReLU's on nodes jumps.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above.
    """

    name: str
    make: Callable[..., Start]
    horizon: float
    arguments: tuple[tuple[str, Any], ...] = ()
    smooth: bool = True

    def __post_init__(self) -> None:
        check_made(self.name, self.make, self.horizon, self.arguments)

    def build(self) -> Start:
        """Made once in a process; TypeError if `make` gives something else."""
        return _build(self)


@lru_cache(maxsize=4)
def _build(case: Case) -> Start:
    made = case.make(**dict(case.arguments))
    return _checks.instance(f"make of case {case.name}", made, Start, "a wflow.studies.integrators.Start")


class Decay:
    """``dy/dt = −λ y`` with n rates spaced evenly in their logarithms: a heat equation by its eigenmodes. Implements `wflow.flows.Flow`.

    Parameters
    ----------
    slowest, fastest : float
        Rates, positive.
    """

    def __init__(self, slowest: float, fastest: float) -> None:
        self.slowest = _checks.real("slowest", slowest, above=0.0)
        self.fastest = _checks.real("fastest", fastest, above=self.slowest)
        self._rates = np.empty(0)

    def pack(self, initial: Array) -> Array:
        """Amplitudes (n,), a copy."""
        y = _checks.array("initial", initial, (None,)).copy()
        self._rates = np.geomspace(self.slowest, self.fastest, len(y))
        return y

    def unpack(self, y: Array) -> Array:
        """As they are."""
        return y

    def rhs(self, t: float, y: Array) -> Array:  # noqa: ARG002 (a flow's signature)
        """−λ y."""
        return -self._rates * y

    def diagnostics(self, t: float, y: Array) -> Mapping[str, float]:  # noqa: ARG002
        """``energy``: ½ sum λ y², which it descends."""
        return {"energy": 0.5 * float((self._rates * y**2).sum())}

    def exact(self, initial: Array, t: float) -> Array:
        """``y_k(0) e^{−λ_k t}``."""
        y = self.pack(initial)
        return y * np.exp(-self._rates * t)


def _policy(make: str, activation: str, n: int, **options: Any) -> Start:
    energy = PolicyValue(getattr(mdp, make)(**options), activation)
    initial = laws.student(energy.n_parameters).sample(n, np.random.SeedSequence(options.get("seed", 0)).spawn(1)[0])
    return Start(WassersteinFlow(energy), initial)


def _linear(n: int) -> Start:
    """Pull to the origin and to each other's mean: ``x_n(t) = e^{−κt} m + e^{−(κ+λ)t} (x_n − m)``, m the mean at the start."""
    stiffness, attraction = 0.5, 1.0
    initial = laws.Product((laws.Normal(1.0, 1.0), laws.Normal(0.0, 0.25))).sample(n, 0)
    mean = initial.mean()

    def exact(t: float) -> Array:
        state: Array = np.exp(-stiffness * t) * mean + np.exp(-(stiffness + attraction) * t) * (initial.points - mean)
        return state.ravel()

    return Start(WassersteinFlow(QuadraticInteraction(stiffness, attraction)), initial, exact)


def _decay(n: int) -> Start:
    flow, initial = Decay(0.1, 1e3), np.ones(n)
    return Start(flow, initial, lambda t: flow.exact(initial, t))


def built_in(name: str) -> Case:
    """A case that comes with the study.

    Parameters
    ----------
    name : str
        "bandit relu short", "grid tanh long", ...: Agazzi & Lu (2021), Figure 1, seed 0, N = 800, to t = 10² or 10⁴; activations as
        `wflow.neurons` names them; the grid on 40 × 40 nodes. "linear": linear McKean–Vlasov, to t = 3. "decay": eigenmodes of rates
        from 0.1 to 10³, to t = 10.
    """
    if name == "linear":
        return Case(name, _linear, 3.0, (("n", 800),))
    if name == "decay":
        return Case(name, _decay, 10.0, (("n", 800),))
    words = name.split() if isinstance(name, str) else []
    if len(words) != 3 or words[0] not in ("bandit", "grid") or words[2] not in _HORIZONS:
        _checks.choice("case", name, BUILT_IN)
    group, activation, span = words
    smooth = activations.get(activation).name not in ("relu",)
    nodes = (("n_states", 40), ("n_actions", 40)) if group == "grid" else ()
    arguments = (("make", f"agazzi_lu_{group}"), ("activation", activation), ("n", 800), ("seed", 0), *nodes)
    return Case(name, _policy, _HORIZONS[span], arguments, smooth)


BUILT_IN = (
    "bandit tanh short", "bandit tanh long", "bandit gaussian long", "bandit relu long", "grid tanh short", "grid relu long", "linear",
    "decay",
)  # fmt: skip
