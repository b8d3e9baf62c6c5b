"""Langevin dynamics: particles that follow the field of an energy and diffuse (math.md §8, mean-field Langevin)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
from scipy.integrate import DenseOutput

from wflow import _checks
from wflow._checks import Array
from wflow.energies import Energy, Entropy, Evaluation
from wflow.energies.sums import Sum, temperature_of
from wflow.flows._noise import corrected, disturbed, key_of, reflected
from wflow.flows.wasserstein import checked_initial
from wflow.integrators.base import Field, Integrator, LinearOutput
from wflow.measures import ParticleMeasure

__all__ = ["SCHEMES", "LangevinFlow", "LangevinSteps", "RandomSteps"]

SCHEMES = ("euler_maruyama", "heun")


class LangevinFlow:
    """dX = velocity(X; ν) dt + √(2τ) dW: ``∂_t ν + div(ν velocity) = τ Δν`` in particles. Implements `wflow.flows.Flow`.

    The gradient flow of the energy with τ ∫ ρ log ρ added if it is minimised, taken off if it is maximised: Fokker–Planck for a
    potential, mean-field Langevin for the policy value. Every particle draws its own noise, whatever its weight. The flow steps
    itself (`stepper`), so `method` is left out of ``wflow.solve``.

    Parameters
    ----------
    energy : Energy
        Whose velocity is the drift; an entropy in it becomes the noise (`wflow.energies.Sum`).
    temperature : float, optional
        τ ≥ 0, in squared length per unit of mean-field time; that of the energy's entropy unless given.
    box : (lower, upper), optional
        Walls, numbers or arrays (m,), at which particles are mirrored: no mass passes. None: all of R^m.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above; by `pack`, if a particle starts outside the box.

    Notes
    -----
    State y: the points (N, m), row after row. Diagnostics are those of the energy at the cloud, which has no entropy: ``"energy"``,
    and ``"dissipation"``, the mean square of the drift; the one changes at the rate of the other only where τ = 0.
    """

    state_kind = "particles"

    def __init__(self, energy: Energy, temperature: float | None = None, *, box: tuple[Any, Any] | None = None) -> None:
        for name in ("value", "velocity"):
            if not callable(getattr(energy, name, None)):
                raise TypeError(f"energy must have a method {name}(measure); got {_checks.show(energy)}")
        self.energy = Sum([energy]) if isinstance(energy, Entropy) else energy  # which alone has no value at particles
        self.temperature = temperature_of(energy) if temperature is None else _checks.real("temperature", temperature, at_least=0.0)
        self.box = _checked_box(box)
        self.seconds: dict[str, float] = getattr(energy, "seconds", {})
        self._evaluate: Callable[[ParticleMeasure], Evaluation] | None = getattr(energy, "evaluate", None)
        self._weights = np.empty(0)
        self._last: tuple[float, Array, Array | Evaluation] | None = None

    def pack(self, initial: ParticleMeasure) -> Array:
        """Points of the measure as a flat array (N m,); the flow keeps the weights, and moves one measure at a time."""
        initial = checked_initial(self.energy, initial)
        lower, upper = self._walls(initial.dimension)
        outside = (initial.points < lower) | (initial.points > upper) if lower.size else np.zeros((0, 0), dtype=bool)
        if outside.any():
            n, j = np.argwhere(outside)[0]
            raise ValueError(f"initial must lie in the box; points[{n}, {j}] = {float(initial.points[n, j])!r} is outside "
                             f"[{float(lower[j])!r}, {float(upper[j])!r}]")  # fmt: skip
        self._weights, self._last = initial.weights, None
        return initial.points.ravel().copy()

    def _walls(self, dimension: int) -> tuple[Array, Array]:
        """Lower and upper walls, (m,) each; (0,) where there is no box. ValueError if they are walls of another dimension."""
        if self.box is None:
            return np.empty(0), np.empty(0)
        if self.box[0].size not in (1, dimension):
            raise ValueError(f"box must have walls for {dimension} coordinates; got {self.box[0].size}")
        lower, upper = (np.ascontiguousarray(np.broadcast_to(wall, dimension)) for wall in self.box)
        return lower, upper

    def unpack(self, y: Array) -> ParticleMeasure:
        """The measure of a flat array (N m,), which it does not copy."""
        return ParticleMeasure._trusted(y.reshape(len(self._weights), -1), self._weights)

    def rhs(self, t: float, y: Array) -> Array:
        """The drift, flat (N m,): the velocities alone."""
        self._last = (t, y, self._found(y))
        return _velocity(self._last[2]).ravel()

    def _found(self, y: Array) -> Array | Evaluation:
        """The evaluation of an energy that has one; else the velocity alone: a step needs no value."""
        measure = self.unpack(y)
        return self.energy.velocity(measure) if self._evaluate is None else self._evaluate(measure)

    def evaluation(self, t: float, y: Array) -> Evaluation:
        """The energy's evaluation at y; its velocity is remembered if `rhs` saw this very array last."""
        known = self._last is not None and self._last[1] is y and abs(self._last[0] - t) <= 1e-12 * abs(t)
        found = self._last[2] if known and self._last is not None else self._found(y)
        if not isinstance(found, Evaluation):
            measure = self.unpack(y)
            found = Evaluation(measure, float(self.energy.value(measure)), found)
        if known or self._last is None:
            self._last = (t, y, found)
        return found

    def diagnostics(self, t: float, y: Array) -> dict[str, float]:
        """Diagnostics of the energy's evaluation at y, without entropy."""
        return self.evaluation(t, y).diagnostics()

    def static(self) -> dict[str, Array]:
        """Weights, temperature of the noise, walls, and the arrays that describe the energy's problem."""
        described: dict[str, Any] = getattr(self.energy, "static", dict)()
        walls = {} if self.box is None else {"walls": np.stack(self.box)}
        return {"weights": self._weights, "noise_temperature": np.array(self.temperature), **walls, **described}

    def stepper(
        self, t: float, y: Array, t_end: float, *, field: Field, dt: float | None = None, scheme: str = "euler_maruyama", seed: int = 0
    ) -> LangevinSteps:
        """Steps of `dt` in mean-field time by ``"euler_maruyama"`` or ``"heun"``; the noise follows from `seed` (`LangevinSteps`)."""
        shape = (len(self._weights), y.size // len(self._weights))
        return LangevinSteps(field, t, y, t_end, dt=dt, seed=seed, scheme=scheme, temperature=self.temperature, shape=shape,
                             walls=self._walls(shape[1]))  # fmt: skip


class RandomSteps(Integrator):
    """Fixed steps whose randomness is a function of (seed, first time, number of the step, place in the state) alone.

    Nothing random is kept: a run that goes on at step k is, bit for bit, the one that never stopped, on any number of threads. The
    time of step 0 enters the key, so that a run extended beyond its end does not draw the same numbers again. Step k ends at
    t0 + k dt, the last at `t_bound` exactly. Dense output is linear between states: a drawing aid, not a path of the process.

    Parameters
    ----------
    fun, t0, y0, t_bound
        As for ``scipy.integrate.OdeSolver``.
    dt : float
        Step; must be given.
    seed : int
        At least 0.
    """

    adaptive = False
    order = 1
    _memory: ClassVar[tuple[str, ...]] = (*Integrator._memory, "_origin")

    def __init__(self, fun: Field, t0: float, y0: Array, t_bound: float, *, dt: float | None, seed: int) -> None:
        super().__init__(fun, t0, y0, t_bound)
        self.dt = _checks.real("dt", dt, above=0.0)  # None is refused, in words
        self.seed = _checks.integer("seed", seed, at_least=0)
        self._origin = float(self.t)
        self._key = key_of(self.seed, self._origin)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """As `Integrator.load_state_dict`, and the key of the noise with it."""
        super().load_state_dict(state)
        self._key = key_of(self.seed, self._origin)

    def _move(self, t: float, h: float, f: Array) -> Array:
        """The state at `t`, a step of `h` after the present one, where the field is `f` (n,)."""
        raise NotImplementedError

    def _step_impl(self) -> tuple[bool, str | None]:
        if self.f is None:
            self.f = self._evaluate(self.t, self.y)
        t = self._end_of_step(self.dt)
        if t != self.t_bound:
            t = self._origin + (self._steps + 1) * self.dt
        if t == self.t:
            return False, self.TOO_SMALL_STEP
        y = self._move(t, t - self.t, self.f)
        f = self._evaluate(t, y)
        if not np.isfinite(f).all():
            return False, self.NOT_FINITE
        self._accept(float(t), y, f)
        return True, None

    def _dense_output_impl(self) -> DenseOutput:
        return LinearOutput(self.t_old, self.t, (self._y_old, self.y), lambda theta: np.array([1.0 - theta, theta]))


class LangevinSteps(RandomSteps):
    """Euler–Maruyama and Heun steps of a diffusion with additive noise, mirrored at the walls of a box.

    ``"euler_maruyama"``: ``x + h F(x) + √(2τh) ξ``, weak order 1. ``"heun"``: this as a predictor z with the same ξ in the corrector
    ``z + h/2 (F(z) − F(x))``, two evaluations a step and weak order 2, as noise that does not depend on the state lets it (Kloeden &
    Platen 1992, §15.1; Milstein & Tretyakov 2004, §2.1). A step's end is mirrored as often as it takes, so the reflected process
    is the free one folded into the box, in the drift mirrored alike: at walls the order is 1 (Bossy, Gobet & Talay 2004), and 2 for
    Heun only where the drift along the wall's normal vanishes there.

    Cost beside the evaluations: a pass over the state of 3 ns a component on one thread; with a box or Heun one or two more of 1 ns.
    Memory: four states, one more with a box.

    Parameters
    ----------
    fun, t0, y0, t_bound, dt, seed
        As for `RandomSteps`; y0 flat (N m,).
    scheme : str
        One of ``SCHEMES``.
    temperature : float
        τ ≥ 0.
    shape : (int, int)
        N and m.
    walls : (ndarray, ndarray), shapes (m,), or (0,) without a box
        Lower and upper.
    """

    def __init__(
        self, fun: Field, t0: float, y0: Array, t_bound: float, *, dt: float | None, seed: int, scheme: str, temperature: float,
        shape: tuple[int, int], walls: tuple[Array, Array],
    ) -> None:  # fmt: skip
        super().__init__(fun, t0, y0, t_bound, dt=dt, seed=seed)
        self.scheme = _checks.choice("scheme", scheme, SCHEMES)
        self._temperature, self._shape, self._walls = temperature, shape, walls

    def _move(self, t: float, h: float, f: Array) -> Array:
        free = disturbed(self.y, f, h, math.sqrt(2.0 * self._temperature * h), self._key, self._steps).reshape(self._shape)
        inside = reflected(free, *self._walls) if self._walls[0].size else free
        if self.scheme == "euler_maruyama":
            return inside.ravel()
        ahead = self._evaluate(t, inside.ravel())
        return corrected(free, f.reshape(self._shape), ahead.reshape(self._shape), 0.5 * h, *self._walls).ravel()


def _velocity(found: Array | Evaluation) -> Array:
    return found.velocity if isinstance(found, Evaluation) else found


def _checked_box(box: Any) -> tuple[Array, Array] | None:
    """Walls of one length (1 or m each), the lower below the upper."""
    if box is None:
        return None
    if not isinstance(box, (tuple, list)) or len(box) != 2:
        raise TypeError(f"box must be a pair of walls (lower, upper) or None; got {_checks.show(box)}")
    lower, upper = (np.atleast_1d(_checks.array(f"box[{k}]", wall)) for k, wall in enumerate(box))
    if lower.ndim != 1 or upper.ndim != 1 or (1 not in (lower.size, upper.size) and lower.size != upper.size):
        raise ValueError(f"box must have walls of one length, or numbers; got shapes {lower.shape} and {upper.shape}")
    lower, upper = np.broadcast_arrays(lower, upper)
    if not (lower < upper).all():
        raise ValueError(f"box must have its lower walls below its upper ones; got {_checks.show(box)}")
    return lower.copy(), upper.copy()
