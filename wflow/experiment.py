"""From a part of an experiment and a seed to a run that is ready to be solved: energy, flow, initial measure, schedule, arguments."""

from __future__ import annotations

import hashlib
import inspect
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from wflow import _checks, _jit, record
from wflow._checks import Array
from wflow._setups import Start, setup
from wflow.config import Part
from wflow.loop import solve
from wflow.settings import FREE_PROBLEMS, ConfigError, constructor, located

__all__ = ["Run", "build", "check"]


@dataclass(frozen=True, eq=False)
class Run:
    """One seed of a part, checked and ready to be solved.

    Parameters
    ----------
    part : Part
    seed : int
        Of the problem, where it is random, of the particles, whose stream is spawned from it, and of the noise.
    energy : energy
    flow : Flow
    start : callable
        Makes the initial measure.
    schedule : Schedule
        What is recorded.
    arguments : mapping
        Further arguments of ``wflow.solve``.
    setup : mapping
        Wall seconds that building took, and compiling in it.
    """

    part: Part
    seed: int
    energy: Any
    flow: Any
    start: Start
    schedule: record.Schedule
    arguments: Mapping[str, Any]
    setup: Mapping[str, float]

    @property
    def name(self) -> str:
        """Experiment and seed."""
        return f"{self.part.name} seed {self.seed}"

    def initial(self) -> Any:
        """The initial measure of this seed, made anew at every call: same seed, same bits."""
        return self.start()

    def provenance(self) -> dict[str, Any]:
        """What the file says of where the run came from."""
        return {
            "experiment": self.part.name, "title": self.part.settings.title, "seed": self.seed,
            "config": _summary(self.part, self.seed), "setup": dict(self.setup),
        }  # fmt: skip


def check(part: Part) -> None:
    """Refuse what `solve` would refuse of a part, and what cannot be built of its first seed; nothing is written.

    Raises
    ------
    ConfigError
        One line: file, key path, value, what is allowed.
    """
    first = part.settings.seeds[0]
    if part.settings.flow.kind == "particles":
        _try_solver(part, _Decay(), np.ones(1))
        build(part, first)
    else:  # whose flow has a say in how it is solved
        run = build(part, first)
        _try_solver(part, run.flow, run.initial())


def build(part: Part, seed: int) -> Run:
    """The run of one seed. Cost: its optimum, where it has one, and one field evaluation, in which what it needs is compiled.

    Raises
    ------
    ConfigError
        As `check`.
    """
    start, compiled = time.perf_counter(), _jit.compile_seconds()
    try:
        made = setup(part, seed)
        record.Layout.of(made.flow, 0.0, made.flow.pack(made.start()))
    except ConfigError:
        raise
    except (ValueError, TypeError) as error:
        keys = {name: name for name in type(part.settings.flow).model_fields}
        raise located(error, part.source, "flow", {**keys, "n": "n_particles", "axes": "box"}) from error
    except (ArithmeticError, RuntimeError, MemoryError) as error:
        raise ConfigError(f"{part.source}: seed {seed} cannot be built: {error}") from error
    seconds = {"seconds": time.perf_counter() - start, "compile": _jit.compile_seconds() - compiled}
    return Run(part, seed, *made, _schedule(part), _arguments(part, made.flow, seed), seconds)


# --- what it is solved with ---------------------------------------------------------------------------------------------------


def _schedule(part: Part) -> record.Schedule:
    settings = part.settings.record
    if settings.spacing == "steps":
        return record.every_step(settings.states)
    frames = settings.frames or 200
    if settings.spacing == "linear":
        return record.linear(frames, settings.states)
    return record.geometric(frames, settings.first, settings.states)


def _arguments(part: Part, flow: Any, seed: int) -> dict[str, Any]:
    """Arguments of `solve`; a flow that draws random numbers draws them by the run's seed."""
    arguments: dict[str, Any] = part.settings.solver.model_dump(exclude_unset=True)
    if hasattr(flow, "stepper") and "seed" in inspect.signature(flow.stepper).parameters:
        arguments["options"] = {"seed": seed, **arguments.get("options", {})}
    return arguments


class _Decay:
    """dy/dt = −y: what `solve` has to say against its other arguments, it says of this flow at no cost."""

    def pack(self, initial: Array) -> Array:
        return initial

    def unpack(self, y: Array) -> Array:
        return y

    def rhs(self, t: float, y: Array) -> Array:  # noqa: ARG002
        return -y

    def diagnostics(self, t: float, y: Array) -> dict[str, float]:  # noqa: ARG002
        return {"energy": 0.0, "dissipation": 0.0}


def _try_solver(part: Part, flow: Any, initial: Any) -> None:
    """Refuse settings of [solver] and [record] that `solve` would refuse of this flow. Cost: a step."""
    solver, recording = part.settings.solver, part.settings.record
    try:
        solve(flow, initial, **{**_arguments(part, flow, part.settings.seeds[0]), "max_steps": 1})
        if solver.max_steps is not None:
            _checks.integer("max_steps", solver.max_steps, at_least=1)
    except (ValueError, TypeError) as error:
        keys = {name: name for name in type(solver).model_fields} | {name: f"options.{name}" for name in ("dt", "step", *solver.options)}
        raise located(error, part.source, "solver", keys) from error
    for key, needs in (("frames", ("linear", "geometric")), ("first", ("geometric",))):
        if key in recording.model_fields_set and recording.spacing not in needs:
            raise ConfigError(f"{part.source}: record.{key} goes with spacing {' or '.join(needs)}; got spacing {recording.spacing!r}")
    try:
        _schedule(part).due(0.0, solver.t_end)
    except (ValueError, TypeError) as error:
        raise located(error, part.source, "record", {**{name: name for name in type(recording).model_fields}, "n": "frames"}) from error


def _summary(part: Part, seed: int) -> dict[str, Any]:
    """The settings as the file keeps them: arrays of more than 64 numbers by their shape and digest, and the archive's digest.

    A problem of `wflow.problems` with all its arguments, as figures make it anew.
    """
    config = part.settings.model_dump(exclude={"title", "seeds"}, exclude_none=True)
    if part.kind in FREE_PROBLEMS:
        parameters = inspect.signature(constructor(part.kind)).parameters
        defaults = {name: seed if name == "seed" else parameter.default for name, parameter in parameters.items()}
        config["problem"] = {**config["problem"], **defaults, **part.options}
    for name, value in config["problem"].items():
        array = np.asarray(value) if isinstance(value, list) else np.empty(0)
        if array.size > 64:
            config["problem"][name] = f"array of shape {array.shape}, sha256 {hashlib.sha256(array.tobytes()).hexdigest()}"
    if part.kind == "custom" and "file" in part.options:
        config["problem"]["file_sha256"] = hashlib.sha256((part.folder / part.options["file"]).read_bytes()).hexdigest()
    return config
