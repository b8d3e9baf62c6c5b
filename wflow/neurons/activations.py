"""Activations σ of ridge neurons ω0 σ(k_s·s + k_a·a + b), and the radial bump ω0 exp(-|(s, a) - c|²/(2 ℓ²)) (math.md §0)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from wflow import _checks
from wflow.neurons._rows import CODES

__all__ = ["NAMES", "Activation", "ActivationLike", "get"]

NAMES = (*CODES, "rbf")

# Distance of the nearest singularity of σ from the real axis; inf: entire. ReLU has none to speak of.
_SINGULARITY = {"tanh": math.pi / 2, "sigmoid": math.pi, "softplus": math.pi, "gaussian": math.inf}
_WIDTH = 0.2


@dataclass(frozen=True)
class Activation:
    """What a neuron is made of.

    Attributes
    ----------
    name : str
        One of `NAMES`, or the name of a user's own function.
    pair : tuple
        What the compiled kernels take: (code, 0) of a built-in ridge activation or (value, derivative), the user's own.
    singularity : float
        Distance of the nearest complex singularity of σ from the real axis; 0 if σ is not known to be analytic.
    width : float
        Length ℓ of the radial bump; NaN for ridge neurons.
    """

    name: str
    pair: tuple[Any, Any] = (0, 0)
    singularity: float = 0.0
    width: float = math.nan

    @property
    def radial(self) -> bool:
        """True for the bump, whose parameters are [ω0, c_s, c_a]; ridge neurons have [ω0, k_s, k_a, b]."""
        return not math.isnan(self.width)

    @property
    def homogeneous(self) -> bool:
        """True where σ(λ x) = λ σ(x) for λ > 0 is known: ReLU."""
        return self.pair == (CODES["relu"], 0) and not self.radial

    def n_parameters(self, d_s: int, d_a: int) -> int:
        """Number of parameters m of a neuron on states of d_s and actions of d_a coordinates."""
        return 1 + d_s + d_a + (0 if self.radial else 1)

    @classmethod
    def custom(cls, value: Callable[[float], float], derivative: Callable[[float], float], name: str = "custom") -> Activation:
        """Ridge activation from a user's own σ and σ', each a scalar function compiled with ``numba.njit``.

        Kernels for it are compiled once per process, on first use. The two must agree: the velocity uses σ'.
        """
        for argument, function in (("value", value), ("derivative", derivative)):
            if not hasattr(function, "py_func"):
                raise TypeError(f"{argument} must be a function compiled with numba.njit; got {_checks.show(function)}")
        return cls(name, (value, derivative))


ActivationLike: TypeAlias = str | Activation | tuple[Callable[[float], float], Callable[[float], float]]


def get(activation: ActivationLike, width: float | None = None) -> Activation:
    """Activation by name, from a pair (σ, σ') of compiled functions, or as it is; `width` is ℓ of ``"rbf"`` (0.2 by default)."""
    if isinstance(activation, tuple) and len(activation) == 2:
        activation = Activation.custom(*activation)
    if isinstance(activation, Activation):
        name = activation.name
    else:
        name = _checks.choice("activation", activation, NAMES)
        activation = Activation(name, (CODES.get(name, 0), 0), _SINGULARITY.get(name, 0.0), _WIDTH if name == "rbf" else math.nan)
    if width is None:
        return activation
    if not activation.radial:
        raise ValueError(f"width must be left out for activation {name!r}: only 'rbf' has one; got {_checks.show(width)}")
    return Activation(name, activation.pair, activation.singularity, _checks.real("width", width, above=0.0))
