"""What the study of particles and grids is run on: an energy, a smooth law of bounded support, a box around it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from wflow import _checks, mdp
from wflow._checks import Array
from wflow.energies import PolicyValue, QuadraticInteraction
from wflow.flows.eulerian import EulerianFlow
from wflow.measures import laws
from wflow.neurons import activations
from wflow.studies.problem import Problem as _Problem

__all__ = ["BUILT_IN", "Bump", "Problem", "built_in"]

_SEED = 97  # of the bandit's teacher, as in the study of fixed points: its reward is not monotone in the action


@dataclass(frozen=True)
class Bump:
    """Density ∝ (1 − z²)³ of z = (x − centre)/radius in [−1, 1]: twice differentiable, variance radius²/9, nothing beyond.

    Raises
    ------
    ValueError, TypeError
        If the centre is not a finite number or the radius is not above 0.
    """

    centre: float = 0.0
    radius: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "centre", _checks.real("centre", self.centre))
        object.__setattr__(self, "radius", _checks.real("radius", self.radius, above=0.0))

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        """N independent values, shape (n,): (1 + z)/2 has the beta law with parameters 4, 4."""
        return self.centre + self.radius * (2.0 * rng.beta(4.0, 4.0, n) - 1.0)

    def quantile(self, u: Array) -> Array:
        """Inverse distribution function at u (n, 1), shape (n, 1)."""
        from scipy.special import betaincinv

        values: Array = self.centre + self.radius * (2.0 * np.asarray(betaincinv(4.0, 4.0, u)) - 1.0)
        return values

    def distribution(self, x: Array) -> Array:
        """P(X ≤ x) at x (n,), shape (n,)."""
        from scipy.special import betainc

        values: Array = np.asarray(betainc(4.0, 4.0, np.clip((1.0 + (np.asarray(x) - self.centre) / self.radius) / 2.0, 0.0, 1.0)))
        return values

    def gauss(self, n: int) -> tuple[Array, Array]:
        """Gauss–Jacobi rule: n nodes (n, 1), weights (n,), exact for polynomials of degree 2n − 1."""
        from scipy.special import roots_jacobi

        z, w = roots_jacobi(n, 3.0, 3.0)
        return self.centre + self.radius * z[:, None], w / w.sum()


@dataclass(frozen=True)
class Problem(_Problem):
    """A problem of this study: `wflow.studies.problem.Problem` says what its arguments are.

    The energy must serve `wflow.flows.WassersteinFlow` and `wflow.flows.EulerianFlow` alike, and be smooth, which ReLU's on nodes is not:
    characteristics are followed to 1e-10. The law's factors must have ``quantile``, ``gauss`` and ``distribution``, as `Bump` has them.

    Parameters
    ----------
    box : tuple of (float, float) pairs
        Ends of the grid along each axis, 1 to 3 of them; the law must have all its mass in it.
    cells : tuple of int
        Cells along each axis, three numbers or more, increasing.
    quick_cells : tuple of int
        The same of a quick study; empty: `cells`.
    exact : callable or None
        At module level; ``exact(times (T,), **dict(arguments))`` gives E at these times (T,), where it is known.
    """

    box: tuple[tuple[float, float], ...] = ()
    cells: tuple[int, ...] = (12, 16, 24)
    quick_cells: tuple[int, ...] = ()
    exact: Callable[..., Array] | None = None

    needs: ClassVar[tuple[str, ...]] = ("first_variation",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.box, tuple) or not 1 <= len(self.box) <= 3:
            raise ValueError(f"box must be a tuple of 1 to 3 (low, high) pairs; got {_checks.show(self.box)}")
        for k, ends in enumerate(self.box):
            low, high = _checks.array(f"box[{k}]", ends, (2,))
            _checks.real(f"box[{k}][1]", high, above=float(low))
        check_cells("cells", self.cells)
        if self.quick_cells:
            check_cells("quick_cells", self.quick_cells)
        if self.exact is not None and not callable(self.exact):
            raise TypeError(f"exact must be callable or None; got {_checks.show(self.exact)}")

    def build(self) -> tuple[Any, laws.Product]:
        """Energy and law; made once in a process. TypeError or ValueError if they do not have what the study needs."""
        energy, law = super().build()
        EulerianFlow(energy)  # says what is missing
        if not getattr(energy, "smooth", True):
            raise ValueError(f"energy of problem {self.name} must have a smooth field, or its reference cannot be resolved; got {energy!r}")
        law.gauss(1)
        if law.dimension != len(self.box):
            raise ValueError(f"box of problem {self.name} must have {law.dimension} axes, as the law has; got {len(self.box)}")
        return energy, law


def check_cells(name: str, cells: Any) -> tuple[int, ...]:
    """Numbers of cells, three or more, increasing; ValueError or TypeError otherwise."""
    if not isinstance(cells, (tuple, list)) or len(cells) < 3:
        raise ValueError(f"{name} must be three integers or more, for an order and its interval; got {_checks.show(cells)}")
    checked = tuple(_checks.integer(f"{name}[{k}]", n, at_least=4) for k, n in enumerate(cells))
    if list(checked) != sorted(set(checked)):
        raise ValueError(f"{name} must be increasing; got {_checks.show(cells)}")
    return checked


def _bandit(activation: str) -> tuple[PolicyValue, laws.Product]:
    """[ω0, k_a, b] around (1, 1, −½), off the symmetric start, where ω0 has mean 0 and the policy hardly moves."""
    return PolicyValue(mdp.agazzi_lu_bandit(seed=_SEED), activation), laws.Product((Bump(1.0, 1.8), Bump(1.0, 1.8), Bump(-0.5, 1.8)))


_STIFFNESS, _ATTRACTION = 0.2, 0.6
_PLANE = (Bump(1.0, 1.8), Bump(-0.5, 1.2))


def _attraction() -> tuple[QuadraticInteraction, laws.Product]:
    return QuadraticInteraction(_STIFFNESS, _ATTRACTION), laws.Product(_PLANE)


def _attraction_energy(times: Array) -> Array:
    """κ/2 |m|² e^{−2κt} + (κ + λ)/2 tr Σ e^{−2(κ+λ)t}: means and distances from them decay at their own rates."""
    square, variance = sum(bump.centre**2 for bump in _PLANE), sum(bump.radius**2 / 9.0 for bump in _PLANE)
    rate = _STIFFNESS + _ATTRACTION
    energy: Array = _STIFFNESS / 2.0 * square * np.exp(-2.0 * _STIFFNESS * times) + rate / 2.0 * variance * np.exp(-2.0 * rate * times)
    return energy


def built_in(name: str) -> Problem:
    """A problem that comes with the study.

    Parameters
    ----------
    name : str
        "bandit ACTIVATION": Agazzi & Lu (2021), Figure 1 (a), m = 3, from a smooth law in a box, until tanh has closed half of
        the gap; softplus lies outside Assumption 1, and ReLU is refused. "attraction": confinement and attraction, both quadratic, in
        the plane, whose energy is known.
    """
    if name == "attraction":
        return Problem(name, _attraction, 0.6, box=((-1.2, 3.2), (-2.1, 1.1)), cells=(24, 32, 48, 64, 96), quick_cells=(24, 32, 48),
                       exact=_attraction_energy)  # fmt: skip
    words = name.split()
    if len(words) != 2 or words[0] != "bandit":
        _checks.choice("problem", name, BUILT_IN)  # refuses, with near matches
    activation = activations.get(words[1]).name
    outside = "outside Assumption 1" if activation == "softplus" else ""
    return Problem(name, _bandit, 20.0, (("activation", words[1]),), outside=outside,
                   box=((-1.5, 3.2), (-1.7, 3.1), (-3.0, 1.7)), cells=(12, 16, 24, 32, 48), quick_cells=(12, 16, 24))  # fmt: skip


BUILT_IN = ("bandit tanh", "attraction")
