"""Wasserstein flows that are no policy's: energy, initial law, and the solution where it is known (math.md §8).

A function here is a ``problem.kind`` of experiment files, and its arguments are the keys of [problem].
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wflow import _checks, closed_forms
from wflow._checks import Array
from wflow.energies import Entropy, Interaction, Potential, PowerLaw, Regression, Sum, temperature_of
from wflow.measures import GridMeasure, laws

__all__ = ["Problem", "aggregation", "barenblatt", "fokker_planck", "heat", "ornstein_uhlenbeck", "regression", "stored"]

_FINE = 4096  # cells on the line that stand for a law without a formula
Box = tuple[tuple[float, float], ...]


@dataclass(frozen=True, eq=False)
class Problem:
    """What moves, from where, and to what.

    Parameters
    ----------
    energy : energy
        Of `wflow.energies`.
    law : Product or None
        Initial law; None where the closed form alone tells it.
    exact : closed form or None
        Of `wflow.closed_forms`: ``density(t, points)``, ``masses(t, *axes)``, ``covariance(t)``, ``energy(t)``.
    box : tuple of d pairs
        Where grids are laid unless a file says otherwise; () for problems that grids do not suit.
    core : tuple of d pairs
        What the initial law fills, but for tails of 1e-9: where the cells of a moving grid begin.
    walled : bool
        Whether the box is the problem's own, with walls, and not cut out of the whole space.
    cells : int
        Along each axis, unless a file says otherwise.
    age : float
        Time of the closed form at which the run begins.
    """

    energy: Any
    law: laws.Product | None
    exact: Any = None
    box: Box = ()
    core: Box = ()
    walled: bool = False
    cells: int = 0
    age: float = 0.0

    @property
    def temperature(self) -> float:
        """Coefficient of the entropy in the energy, which particles lack."""
        return temperature_of(self.energy)

    def start(self, axes: Sequence[Array]) -> GridMeasure:
        """The initial law on the cells between edges (n_k + 1,), exact where the law or the closed form knows the masses of cells."""
        if self.law is not None:
            return GridMeasure.from_law(axes, self.law)
        return self.at(0.0, axes)

    def at(self, t: float, axes: Sequence[Array]) -> GridMeasure:
        """The closed form at time t of the run, as `start`; ValueError where there is none."""
        if self.exact is None:
            raise ValueError("problem must have a closed form; this one has none")
        if len(axes) > 1 and isinstance(self.exact, closed_forms.Barenblatt):
            return GridMeasure.from_density(axes, lambda points: self.exact.density(self.age + t, points))
        masses = self.exact.masses(self.age + t, *axes)
        return GridMeasure(axes, masses / masses.sum())

    def energy_at(self, t: float) -> float:
        """Energy of the closed form at time t of the run."""
        return float(self.exact.energy(self.age + t))

    def moments(self, t: float) -> tuple[Array, Array]:
        """Mean (d,) and covariance (d, d) of the closed form at time t of the run; from its masses on the line where it tells neither."""
        t = self.age + t
        if hasattr(self.exact, "mean"):
            return self.exact.mean(t), self.exact.covariance(t)
        if hasattr(self.exact, "covariance"):  # symmetric about the middle of the box
            return np.array(self.box).mean(axis=1), self.exact.covariance(t)
        fine = self.at(t - self.age, (np.linspace(*self.box[0], _FINE + 1),))
        return fine.mean(), fine.covariance()

    def errors(self, t: float, measure: Any) -> dict[str, float]:
        """How far a state of the run at time t is from the closed form; empty where there is none.

        A grid: ``"L1"``, the sum of the errors of its masses. Particles: ``"mean"`` and ``"covariance"``, in the Euclidean norm.
        """
        if self.exact is None:
            return {}
        if isinstance(measure, GridMeasure):
            return {"L1": float(np.abs(measure.masses - self.at(t, measure.axes).masses).sum())}
        mean, covariance = self.moments(t)
        apart = (measure.mean() - mean, measure.covariance() - covariance)
        return dict(zip(("mean", "covariance"), (float(np.sqrt(np.square(x).sum())) for x in apart), strict=True))


def stored(provenance: Mapping[str, Any]) -> Problem | None:
    """The problem of a stored run, made anew of its provenance, which has all arguments; None for a policy's runs and others."""
    options = dict(provenance.get("config", {}).get("problem", {}))
    kind = options.pop("kind", None)
    makers = {make.__name__: make for make in (aggregation, barenblatt, fokker_planck, heat, ornstein_uhlenbeck, regression)}
    if kind not in makers:
        return None
    return makers[kind](**options)


def heat(variance: tuple[float, ...] = (0.25,), temperature: float = 0.5) -> Problem:
    """∂_t ρ = τ Δρ from N(0, diag(variance)) in as many dimensions; the box holds it until τ t = 1 (then `flow.box`)."""
    spread = _numbers("variance", variance, above=0.0)
    exact = closed_forms.Heat(np.zeros(len(spread)), np.diag(spread), temperature)
    core = tuple(_around(0.0, v) for v in spread)
    box = tuple(_around(0.0, v + 2.0) for v in spread)
    return Problem(Sum((Entropy(temperature),)), _normal([0.0] * len(spread), spread), exact, box, core, cells=_cells(spread))


def ornstein_uhlenbeck(
    mean: tuple[float, ...] = (1.5, -1.0), variance: tuple[float, ...] = (0.1, 0.4), stiffness: float = 1.0, temperature: float = 0.5
) -> Problem:
    """∂_t ρ = div(κ x ρ) + τ Δρ from N(mean, diag(variance)): potential κ |x|²/2 with entropy; equilibrium N(0, τ/κ)."""
    centre, spread = _numbers("mean", mean), _numbers("variance", variance, above=0.0, size=len(mean))
    exact = closed_forms.OrnsteinUhlenbeck(np.array(centre), np.diag(spread), stiffness, temperature)
    core = tuple(map(_around, centre, spread))
    rest = _around(0.0, temperature / _checks.real("stiffness", stiffness, above=0.0))
    box = tuple((min(low, rest[0]), max(high, rest[1])) for low, high in core)
    energy = Potential.quadratic(stiffness) + Entropy(temperature)
    return Problem(energy, _normal(centre, spread), exact, box, core, cells=_cells(spread))


def fokker_planck(drift: float = 4.0) -> Problem:
    """∂_t u = ∂_x(∂_x u − g u) on [0, 1] without flux through the walls: potential −g x with entropy at τ = 1."""
    exact = closed_forms.FokkerPlanckInterval(drift)
    unit = ((0.0, 1.0),)
    return Problem(Potential.linear(-drift) + Entropy(1.0), None, exact, unit, unit, walled=True, cells=200)


def barenblatt(exponent: float = 2.0, coefficient: float = 1.0, dimension: int = 1, age: float = 0.05) -> Problem:
    """∂_t u = b Δu^m in one to three dimensions from Barenblatt's profile of that age; the box holds it until it is 40 times as old."""
    exact = closed_forms.Barenblatt(exponent, coefficient, dimension)
    age = _checks.real("age", age, above=0.0)
    if dimension > 3:
        raise ValueError(f"dimension must be 1, 2 or 3; got {dimension}")
    front, reach = exact.front(age), 1.05 * exact.front(40.0 * age)
    box, core = (((-x, x),) * dimension for x in (reach, front))
    return Problem(PowerLaw(exponent, coefficient), None, exact, box, core, cells=(300, 128, 40)[dimension - 1], age=age)


def aggregation(exponent: float = 2.0, mean: tuple[float, ...] = (0.5, -0.5), variance: tuple[float, ...] = (0.5, 0.2)) -> Problem:
    """Attraction by W = |x|^p/p, from N(mean, diag(variance)), or from the uniform law of these moments if p = 1.

    In closed form for p = 2, and for p = 1 in one dimension, which collapses into a point at t = √(3 variance).
    """
    centre, spread = _numbers("mean", mean), _numbers("variance", variance, above=0.0, size=len(mean))
    energy = Interaction.power(exponent)
    if exponent == 1.0:
        half = [math.sqrt(3.0 * v) for v in spread]
        core = tuple((m - a, m + a) for m, a in zip(centre, half, strict=True))
        law = laws.Product(tuple(laws.Uniform(*pair) for pair in core))
        collapse = closed_forms.AbsoluteAttraction(half[0], centre[0]) if len(centre) == 1 else None
        box = tuple((m - 1.1 * a, m + 1.1 * a) for m, a in zip(centre, half, strict=True))
        return Problem(energy, law, collapse, box, core, cells=_cells(spread))
    core = tuple(map(_around, centre, spread))
    exact = closed_forms.QuadraticAttraction(np.array(centre), np.diag(spread)) if exponent == 2.0 else None
    return Problem(energy, _normal(centre, spread), exact, core, core, cells=_cells(spread))


def regression(
    n_neurons: int = 5, n_inputs: int = 64, dimension: int = 1, activation: str = "relu", variance: float = 4.0, seed: int = 0
) -> Problem:
    """A two-layer network that learns a teacher's values at inputs in [−1, 1]^d (Chizat & Bach 2018): its loss falls to 0.

    The teacher is the mean of neurons whose weights are all normal of that variance, the student's output weights are 0 and its other
    weights normal of that variance. Inputs are midpoints in one dimension, else uniform.
    """
    n = _checks.integer("n_inputs", n_inputs, at_least=1)
    d = _checks.integer("dimension", dimension, at_least=1)
    rng = np.random.default_rng(_checks.integer("seed", seed, at_least=0))
    inputs = (2.0 * np.arange(n) + 1.0)[:, None] / n - 1.0 if d == 1 else rng.uniform(-1.0, 1.0, (n, d))
    neuron = laws.Product((laws.Normal(0.0, variance),) * (d + 2))
    teacher = neuron.sample(_checks.integer("n_neurons", n_neurons, at_least=1), rng)
    return Problem(Regression.from_teacher(inputs, teacher, activation), laws.student(d + 2, variance))


def _numbers(name: str, values: Any, *, above: float = -math.inf, size: int | None = None) -> list[float]:
    """One to three numbers, or `size` of them, as `mean` has."""
    if not isinstance(values, (tuple, list)) or not 1 <= len(values) <= 3:
        raise ValueError(f"{name} must be one to three numbers, one for each dimension; got {_checks.show(values)}")
    if size is not None and len(values) != size:
        raise ValueError(f"{name} must be {size} numbers, as many as mean has; got {_checks.show(values)}")
    return [_checks.real(name, value, above=above) for value in values]


def _normal(mean: Sequence[float], variance: Sequence[float]) -> laws.Product:
    return laws.Product(tuple(laws.Normal(m, v) for m, v in zip(mean, variance, strict=True)))


def _around(mean: float, variance: float) -> tuple[float, float]:
    """Six standard deviations to either side."""
    reach = 6.0 * math.sqrt(variance)
    return mean - reach, mean + reach


def _cells(spread: Sequence[float]) -> int:
    """Cells along each axis that show a law of that many dimensions in seconds."""
    return (400, 128, 40)[len(spread) - 1]
