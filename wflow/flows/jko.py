"""Minimising movements: implicit Euler in W2 (Jordan, Kinderlehrer & Otto 1998; math.md §8)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

from wflow import _checks
from wflow._checks import Array
from wflow.energies import Energy
from wflow.flows.moving_grid import Minimiser, MovingGrid
from wflow.flows.moving_particles import MovingParticles
from wflow.measures import GridMeasure, ParticleMeasure

__all__ = ["JKOFlow", "JKOSteps"]

Field: TypeAlias = Callable[[float, Array], Array]

_SLIVER = 1e-8  # a last step this much longer, relatively, is taken rather than leaving a sliver behind


class Moving(Protocol):
    """What a `JKOFlow` moves: `MovingParticles` or `MovingGrid`."""

    kind: str

    def pack(self, initial: Any) -> Array: ...
    def unpack(self, y: Array) -> ParticleMeasure | GridMeasure: ...
    def static(self) -> dict[str, Array]: ...
    def velocity(self, y: Array) -> Array: ...
    def evaluate(self, y: Array) -> dict[str, float]: ...
    def minimise(self, y: Array, h: float, tolerance: float, field: Callable[[Array], Array]) -> Minimiser: ...
    def label_excess(self, old: Array, new: Array) -> float: ...


class JKOFlow:
    """Steps ``ν_{k+1} = argmin E(ν) + W2²(ν, ν_k)/(2h)``, or ``argmax E − W2²/(2h)`` for an energy that is maximised.

    Particles take it by their labels: the transport cost is ``sum_n p_n |x_n − x_n^k|²``, at least W2², and equal to it where the
    identity is an optimal plan, which every step can be checked for (`JKOSteps`). Cells on one axis move their edges
    (`wflow.flows.moving_grid.MovingGrid`), for which W2 is exact and entropy and power laws have a value. What is found is a
    local minimiser, reached downhill from ν_k, so ``E(ν_{k+1}) + W2²/(2h) ≤ E(ν_k)`` in any case. Order 1 in h.
    Implements `wflow.flows.Flow`; steps itself.

    Parameters
    ----------
    energy : Energy
        With `value` and `velocity`; on cells also `Entropy`, `PowerLaw`, and a `Sum` of all these.
    walls : bool
        On cells: whether the first and the last edge stay where they are, walls of a box; else they are free, on the whole line.

    Attributes
    ----------
    state_kind : str
        "particles", or "moving grid" once cells were packed: y holds edges (n + 1,), ``static()`` the ``"masses"`` (n,).

    Raises
    ------
    ValueError, TypeError
        If an argument is none of these; by `pack`, if particles are to feel an entropy, have no mass, or have the wrong dimension.
    """

    def __init__(self, energy: Energy, *, walls: bool = False) -> None:
        for name in ("value", "velocity"):
            if not callable(getattr(energy, name, None)):
                raise TypeError(f"energy must have a method {name}(measure); got {_checks.show(energy)}")
        if getattr(energy, "sense", None) not in (1, -1):
            raise ValueError(f"energy must have a sense of +1 (ascent) or -1 (descent); got {_checks.show(getattr(energy, 'sense', None))}")
        self.energy = energy
        self.walls = _checks.instance("walls", walls, bool, "True or False")
        self.state_kind = "particles"
        self.seconds: dict[str, float] = getattr(energy, "seconds", {})
        self.last_step = {"residual": 0.0, "label_excess": 0.0}
        self._moving: Moving | None = None

    @property
    def moving(self) -> Moving:
        """What moves: particles or edges; known once an initial state was packed."""
        if self._moving is None:
            raise ValueError("pack(initial) must come first: it tells what moves")
        return self._moving

    def pack(self, initial: ParticleMeasure | GridMeasure) -> Array:
        """Points (N m,) of particles, or edges (n + 1,) of cells; the flow keeps weights or masses, and moves one measure at a time."""
        if isinstance(initial, GridMeasure):
            moving: Moving = MovingGrid(self.energy, initial, self.walls)
        else:
            if self.walls:
                raise TypeError(f"initial must be a GridMeasure where there are walls; got {_checks.show(initial)}")
            moving = MovingParticles(self.energy, initial)
        self._moving, self.state_kind = moving, moving.kind
        self.last_step = {"residual": 0.0, "label_excess": 0.0}
        return moving.pack(initial)

    def unpack(self, y: Array) -> ParticleMeasure | GridMeasure:
        """The measure that a flat array stands for, which it does not copy."""
        return self.moving.unpack(y)

    def rhs(self, t: float, y: Array) -> Array:  # noqa: ARG002
        """Velocity of the gradient flow that the steps approach, flat: the energy's at the particles, or that of the edges."""
        return self.moving.velocity(y)

    def diagnostics(self, t: float, y: Array) -> dict[str, float]:  # noqa: ARG002
        """The energy's own diagnostics at y, dissipation among them, and those of the last step.

        ``"residual"`` is the step's optimality residual, ``(sum_n p_n |velocity_n − (x_n − x_n^k)/h|²)^½`` at its end for particles;
        ``"label_excess"`` the cost of the labels above W2², 0 where they are optimal to rounding and NaN where nobody looked. Before
        the first step both are 0.
        """
        return {**self.moving.evaluate(y), **self.last_step}

    def static(self) -> dict[str, Array]:
        """Weights or masses, and the arrays that describe the energy's problem."""
        described: dict[str, Any] = getattr(self.energy, "static", dict)()
        return {**self.moving.static(), **described}

    def stepper(
        self, t: float, y: Array, t_end: float, *, field: Field, step: float | None = None, tolerance: float | None = None, check: int = 1
    ) -> JKOSteps:
        """Steps of length `step` in mean-field time (`JKOSteps`)."""
        return JKOSteps(self, field, t, y, t_end, step=step, tolerance=tolerance, check=check)


class JKOSteps:
    """The steps of a `JKOFlow`; step k ends at t0 + k h, the last at `t_end`.

    A step whose residual stays above its tolerance is a failed step: the state does not move, and the reason says what to do.
    Dense output: linear along the labels or edges, which is the geodesic of W2 where the labels are optimal.

    Parameters
    ----------
    flow : JKOFlow
    field : callable (t, y) -> (n,)
        The flow's `rhs`, counted.
    t, y, t_end
        Where to begin, and when to end.
    step : float
        h, in mean-field time; must be given.
    tolerance : float, optional
        On the residual, times the slope |∂E| at the start of the step where that is above 1; a velocity. 1e-8 for particles, whose
        minimiser is found by L-BFGS-B, and 1e-10 for cells, by Newton's method, unless given.
    check : int
        After every so many steps the labels are checked against exact W2, which costs O(N³) at worst: for up to 1000 particles, or
        any number on one axis, where it costs O(N log N). A step may be minimal among plans along labels and yet no step of the
        minimising movement; it is taken, and counted in ``counts["label_failures"]``.

    Attributes
    ----------
    counts : dict
        ``iterations`` of the minimisers, ``label_checks`` and ``label_failures``.

    Raises
    ------
    ValueError, TypeError
        If `step` or `tolerance` is no number above 0, or `check` no integer of at least 1.
    """

    def __init__(
        self, flow: JKOFlow, field: Field, t: float, y: Array, t_end: float, *, step: float | None, tolerance: float | None, check: int
    ) -> None:
        self._step = _checks.real("step", step, above=0.0)  # None is refused, in words
        usual = 1e-10 if flow.state_kind == "moving grid" else 1e-8
        self._tolerance = usual if tolerance is None else _checks.real("tolerance", tolerance, above=0.0)
        self._check = _checks.integer("check", check, at_least=1)
        self.t, self.y, self.status = t, y, "running"
        self.counts = {"iterations": 0, "label_checks": 0, "label_failures": 0}
        self._flow, self._field, self._t_end = flow, field, t_end
        self._origin, self._steps = t, 0
        self._old = (t, y)

    def step(self) -> str | None:
        """Take one step; the reason where it failed."""
        h = self._t_end - self.t
        t = self._t_end if h <= self._step * (1.0 + _SLIVER) else self._origin + (self._steps + 1) * self._step
        moving = self._flow.moving
        found = moving.minimise(self.y, t - self.t, self._tolerance, lambda y: self._field(t, y))
        self.counts["iterations"] += found.iterations
        if found.reason is not None:
            self.status = "failed"
            return found.reason
        told = {**self._flow.last_step, "residual": found.residual}
        if (self._steps + 1) % self._check == 0:
            told["label_excess"] = excess = moving.label_excess(self.y, found.y)
            self.counts["label_checks"] += not math.isnan(excess)
            self.counts["label_failures"] += excess > 0.0
        self._old = (self.t, self.y)
        self.t, self.y, self._flow.last_step = t, found.y, told
        self._steps += 1
        if t == self._t_end:
            self.status = "finished"
        return None

    def dense_output(self) -> Callable[[float], Array]:
        """The state at any time within the last step."""
        (t_old, y_old), t, y = self._old, self.t, self.y
        return lambda at: y if at == t else y_old + (at - t_old) / (t - t_old) * (y - y_old)

    def state_dict(self) -> dict[str, Any]:
        """All that the next step and the diagnostics need beside (t, y) and the options."""
        return {"origin": self._origin, "steps": self._steps, **self.counts, **self._flow.last_step}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue, bit for bit, the run whose `state_dict` this is; ValueError if it is another method's."""
        known = self.state_dict()
        if set(state) != set(known):
            raise ValueError(f"state must have the keys {', '.join(sorted(known))}; got {', '.join(sorted(state))}")
        self._origin, self._steps = float(state["origin"]), int(state["steps"])
        self.counts = {name: int(state[name]) for name in self.counts}
        self._flow.last_step = {name: float(state[name]) for name in self._flow.last_step}
