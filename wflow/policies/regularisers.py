"""Convex regularisers of a policy, ``h(π) = sum_j w_j φ(π_j)``, and the mirror map that each defines (math.md §10).

Each gives φ, its slope φ' (a subgradient where there is a corner) and the slope's inverse. The mirror map takes dual variables ξ to
``argmax_π <ξ, π>_w − h(π)`` over densities: ``π_j = (φ')^{-1}(ξ_j − λ)`` with λ set by the mass.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow.policies.base import log_normalise

__all__ = ["Capped", "LogBarrier", "Regulariser", "Shannon", "Tsallis", "WithEntropy"]

_STEPS = 200  # of a bisection; it ends where neighbouring floats are reached, after about sixty


class Regulariser(ABC):
    """A convex φ on (0, ∞), elementwise on arrays of densities."""

    @abstractmethod
    def potential(self, density: Array) -> Array:
        """φ."""

    @abstractmethod
    def slope(self, density: Array) -> Array:
        """φ', or a subgradient."""

    @abstractmethod
    def density(self, slope: Array) -> Array:
        """``argmax_{x ≥ 0} slope · x − φ(x)``, non-decreasing in the slope."""

    def value(self, policy: Array, weights: Array) -> Array:
        """``h(π_i)``, shape (n_s,), for densities (n_s, n_a)."""
        value: Array = np.einsum("ij,j->i", self.potential(policy), weights)
        return value

    def dominates_entropy(self, largest: float) -> bool:  # noqa: ARG002
        """Whether φ(x) − x log x is convex for densities up to `largest`, as `pmd` needs."""
        return False

    def log_policy(self, dual: Array, weights: Array) -> Array:
        """log of ``argmax_π <ξ_i, π>_w − h(π)``, −inf where it is 0; shapes (n_s, n_a) both. O(60 n_s n_a), by bisection in λ."""
        uniform, alone = self.slope(1.0 / weights.sum(keepdims=True)), self.slope(1.0 / weights)
        # at the low end the mass is 1 or more (all actions above uniform, or one of them alone), at the high end 1 or less
        low = np.maximum(dual.min(axis=1) - uniform, (dual - alone).max(axis=1))
        high = dual.max(axis=1) - uniform

        def excess(level: Array) -> Array:
            mass: Array = np.einsum("ij,j->i", self.density(dual - level[:, None]), weights)
            return mass - 1.0

        density = self.density(dual - _bisect(excess, low, high)[:, None])
        mass = np.einsum("ij,j->i", density, weights)
        with np.errstate(divide="ignore"):
            log_policy: Array = np.log(density) - np.log(mass)[:, None]
        return log_policy


def _bisect(decreasing: Callable[[Array], Array], low: Array, high: Array) -> Array:
    """Where each of n non-increasing functions changes sign, to the last float: `decreasing` maps (n,) to (n,)."""
    for _ in range(_STEPS):
        middle = 0.5 * (low + high)
        if ((middle <= low) | (middle >= high)).all():
            break
        above = decreasing(middle) >= 0.0
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return low


@dataclass(frozen=True)
class Shannon(Regulariser):
    """φ(x) = x log x: minus the entropy, in nats; the mirror map is the softmax."""

    def potential(self, density: Array) -> Array:
        """``x log x``."""
        return density * np.log(np.where(density > 0.0, density, 1.0))

    def slope(self, density: Array) -> Array:
        """``log x + 1``."""
        slope: Array = np.log(density) + 1.0
        return slope

    def density(self, slope: Array) -> Array:
        """exp(u − 1)."""
        density: Array = np.exp(slope - 1.0)
        return density

    def dominates_entropy(self, largest: float) -> bool:  # noqa: ARG002
        """It does."""
        return True

    def log_policy(self, dual: Array, weights: Array) -> Array:
        """In closed form, O(n_s n_a)."""
        return log_normalise(dual, weights)


@dataclass(frozen=True)
class Tsallis(Regulariser):
    """φ(x) = (x^q − x)/(q − 1), q > 0 and not 1: minus the Tsallis entropy; for q > 1 policies may vanish on actions.

    Raises
    ------
    ValueError, TypeError
        If q is out of its range.
    """

    q: float = 2.0

    def __post_init__(self) -> None:
        if _checks.real("q", self.q, above=0.0) == 1.0:
            raise ValueError("q must not be 1, where the Tsallis entropy is Shannon's; got 1.0")

    def potential(self, density: Array) -> Array:
        """(x^q − x)/(q − 1)."""
        potential: Array = (density**self.q - density) / (self.q - 1.0)
        return potential

    def slope(self, density: Array) -> Array:
        """(q x^{q−1} − 1)/(q − 1)."""
        slope: Array = (self.q * density ** (self.q - 1.0) - 1.0) / (self.q - 1.0)
        return slope

    def density(self, slope: Array) -> Array:
        """``((1 + (q − 1)u)_+ / q)^{1/(q−1)}``."""
        density: Array = (np.maximum(0.0, 1.0 + (self.q - 1.0) * slope) / self.q) ** (1.0 / (self.q - 1.0))
        return density


@dataclass(frozen=True)
class LogBarrier(Regulariser):
    """φ(x) = −log x: steeper than any entropy at 0."""

    def potential(self, density: Array) -> Array:
        """−log x."""
        return -np.log(density)

    def slope(self, density: Array) -> Array:
        """−1/x."""
        return -1.0 / density

    def density(self, slope: Array) -> Array:
        """−1/u for u < 0."""
        return -1.0 / slope

    def dominates_entropy(self, largest: float) -> bool:
        """``1/x² ≥ 1/x`` up to 1: so for counting weights."""
        return largest <= 1.0


@dataclass(frozen=True)
class Capped(Regulariser):
    """φ(x) = x log x + price · (x − cap)_+: entropy with a price on density above a cap, and a corner there.

    A price that exceeds all differences of Q/τ makes the cap hard.

    Parameters
    ----------
    cap : float
        A density, > 0.
    price : float
        ≥ 0.

    Raises
    ------
    ValueError, TypeError
        If an argument is out of its range.
    """

    cap: float
    price: float

    def __post_init__(self) -> None:
        _checks.real("cap", self.cap, above=0.0)
        _checks.real("price", self.price, at_least=0.0)

    def potential(self, density: Array) -> Array:
        """``x log x + price · (x − cap)_+``."""
        potential: Array = density * np.log(np.where(density > 0.0, density, 1.0)) + self.price * np.maximum(0.0, density - self.cap)
        return potential

    def slope(self, density: Array) -> Array:
        """``log x + 1``, and the price where x exceeds the cap."""
        slope: Array = np.log(density) + 1.0 + self.price * (density > self.cap)
        return slope

    def density(self, slope: Array) -> Array:
        """exp(u − 1) below the cap, exp(u − 1 − price) above it, the cap between."""
        below = np.minimum(np.exp(slope - 1.0), self.cap)
        return np.maximum(below, np.exp(slope - 1.0 - self.price))

    def dominates_entropy(self, largest: float) -> bool:  # noqa: ARG002
        """It does."""
        return True


@dataclass(frozen=True)
class WithEntropy(Regulariser):
    """``φ(x) + c x log x`` of another regulariser: what a Kullback–Leibler prox adds to it.

    Parameters
    ----------
    other : Regulariser
    amount : float
        c > 0.
    """

    other: Regulariser
    amount: float

    def potential(self, density: Array) -> Array:
        """``φ(x) + c x log x``."""
        return self.other.potential(density) + self.amount * Shannon().potential(density)

    def slope(self, density: Array) -> Array:
        """``φ'(x) + c (log x + 1)``."""
        return self.other.slope(density) + self.amount * Shannon().slope(density)

    def density(self, slope: Array) -> Array:
        """By bisection in log x between e^−690 and e^230."""

        def excess(log_density: Array) -> Array:
            return slope - self.slope(np.exp(log_density))

        return np.exp(_bisect(excess, np.full_like(slope, -690.0), np.full_like(slope, 230.0)))
