"""From a part of an experiment and a seed to a run that is ready to be solved: problem, flow and student."""

from __future__ import annotations

import hashlib
import inspect
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wflow import _checks, _jit, record
from wflow._checks import Array
from wflow.config import Part
from wflow.energies import PolicyValue
from wflow.flows import WassersteinFlow
from wflow.loop import solve
from wflow.mdp import MDP
from wflow.measures import ParticleMeasure, laws
from wflow.settings import ConfigError, CustomProblem, constructor, located
from wflow.spaces import Space

__all__ = ["Run", "build", "check"]


@dataclass(frozen=True, eq=False)
class Run:
    """One seed of a part, checked and ready to be solved.

    Parameters
    ----------
    part : Part
    seed : int
        Of the problem, where it is random, and of the student, whose stream is spawned from it.
    energy : PolicyValue
    flow : WassersteinFlow
    schedule : Schedule
        What is recorded.
    arguments : mapping
        Further arguments of ``wflow.solve``.
    setup : mapping
        Wall seconds that building took, and compiling in it.
    """

    part: Part
    seed: int
    energy: PolicyValue
    flow: WassersteinFlow
    schedule: record.Schedule
    arguments: Mapping[str, Any]
    setup: Mapping[str, float]

    @property
    def name(self) -> str:
        """Experiment and seed."""
        return f"{self.part.name} seed {self.seed}"

    def initial(self) -> ParticleMeasure:
        """The student of this seed, drawn anew at every call: same seed, same bits."""
        return _student(self.part, self.energy, self.seed)

    def provenance(self) -> dict[str, Any]:
        """What the file says of where the run came from."""
        return {
            "experiment": self.part.name, "title": self.part.settings.title, "seed": self.seed,
            "config": _summary(self.part), "setup": dict(self.setup),
        }  # fmt: skip


def check(part: Part) -> None:
    """Refuse what `solve` would refuse of a part, and what cannot be built of its first seed; nothing is written.

    Raises
    ------
    ConfigError
        One line: file, key path, value, what is allowed.
    """
    _try_solver(part)
    build(part, part.settings.seeds[0])


def build(part: Part, seed: int) -> Run:
    """The run of one seed. Cost: its optimum and one field evaluation, in which what it needs is compiled.

    Raises
    ------
    ConfigError
        As `check`.
    """
    start, compiled = time.perf_counter(), _jit.compile_seconds()
    settings = part.settings.flow
    try:
        energy = PolicyValue(_problem(part, seed), settings.activation, width=settings.width)
        flow = WassersteinFlow(energy)
        record.Layout.of(flow, 0.0, flow.pack(_student(part, energy, seed)))
    except ConfigError:
        raise
    except (ValueError, TypeError) as error:
        raise located(error, part.source, "flow", {**{name: name for name in type(settings).model_fields}, "n": "n_particles"}) from error
    except (ArithmeticError, RuntimeError, MemoryError) as error:
        raise ConfigError(f"{part.source}: seed {seed} cannot be built: {error}") from error
    setup = {"seconds": time.perf_counter() - start, "compile": _jit.compile_seconds() - compiled}
    return Run(part, seed, energy, flow, _schedule(part), _arguments(part), setup)


# --- building -----------------------------------------------------------------------------------------------------------------


def _student(part: Part, energy: PolicyValue, seed: int) -> ParticleMeasure:
    name, m = part.settings.flow.start, energy.n_parameters
    if name == "student":
        law = laws.student(m, part.settings.flow.variance)
    elif name == "all_dead":
        from wflow.studies.support.controls import all_dead

        law = all_dead(energy)
    else:
        law = getattr(laws, name)(m)
    return law.sample(part.settings.flow.n_particles, np.random.SeedSequence(seed).spawn(1)[0])


def _problem(part: Part, seed: int) -> MDP:
    options = dict(part.options)
    try:
        if part.kind == "custom":
            return _custom(_arrays(options, part.folder))
        make = constructor(part.kind)
        if "seed" in inspect.signature(make).parameters:
            options.setdefault("seed", seed)
        mdp: MDP = make(**options)
        return mdp
    except (ValueError, TypeError) as error:
        keys = CustomProblem.model_fields if part.kind == "custom" else inspect.signature(constructor(part.kind)).parameters
        raise located(error, part.source, "problem", {name: name for name in keys}) from error


def _arrays(given: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What is given inline, together with what the archive `file` holds."""
    name = given.pop("file", None)
    if name is None:
        return given
    try:
        with (folder / name).open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            stored = {key: archive[key] for key in archive.files}
    except OSError as error:
        raise ValueError(f"file: {_checks.show(name)} cannot be read: {error.strerror or error}") from None
    except (ValueError, AttributeError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"file: {_checks.show(name)} is no archive of plain arrays, as numpy.savez makes it") from error
    allowed = [key for key in CustomProblem.model_fields if key != "file"]
    for key in stored:
        if key not in allowed:
            hint = _checks.near_matches(key, allowed)
            raise ValueError(f"file: {_checks.show(name)} holds {_checks.show(key)}{hint}; allowed: {', '.join(allowed)}")
        if key in given:
            raise ValueError(f"{key} is given twice, here and in {_checks.show(name)}")
    return {**given, **stored}


def _custom(given: dict[str, Any]) -> MDP:
    for needed in ("reward", "discount", "temperature"):
        if needed not in given:
            raise ValueError(f"{needed} is missing")
    states, actions, weights = (given.pop(name, None) for name in ("states", "actions", "action_weights"))
    n_s, n_a = shape = _checks.array("reward", given["reward"], (None, None)).shape
    if 0 in shape:
        raise ValueError(f"reward must have at least one state and one action; got shape {shape}")
    if weights is not None:
        weights = _checks.array("action_weights", weights, (n_a,), above=0.0)
    return MDP(
        **{"transition": None, **given},
        states=None if states is None else Space.finite(_nodes("states", states, n_s)),
        actions=Space.finite(np.arange(float(n_a)) if actions is None else _nodes("actions", actions, n_a), weights),
    )


def _nodes(name: str, value: Any, size: int) -> Array:
    nodes = _checks.array(name, value)
    return _checks.array(name, nodes[:, None] if nodes.ndim == 1 else nodes, (size, None))


def _schedule(part: Part) -> record.Schedule:
    settings = part.settings.record
    if settings.spacing == "steps":
        return record.every_step(settings.states)
    frames = settings.frames or 200
    if settings.spacing == "linear":
        return record.linear(frames, settings.states)
    return record.geometric(frames, settings.first, settings.states)


def _arguments(part: Part) -> dict[str, Any]:
    return part.settings.solver.model_dump(exclude_unset=True)


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


def _try_solver(part: Part) -> None:
    """Refuse settings of [solver] and [record] that `solve` would refuse, before anything is built."""
    solver, recording = part.settings.solver, part.settings.record
    try:
        solve(_Decay(), np.ones(1), **{**_arguments(part), "max_steps": 1})
        if solver.max_steps is not None:
            _checks.integer("max_steps", solver.max_steps, at_least=1)
    except (ValueError, TypeError) as error:
        keys = {name: name for name in type(solver).model_fields} | {name: f"options.{name}" for name in ("dt", *solver.options)}
        raise located(error, part.source, "solver", keys) from error
    for key, needs in (("frames", ("linear", "geometric")), ("first", ("geometric",))):
        if key in recording.model_fields_set and recording.spacing not in needs:
            raise ConfigError(f"{part.source}: record.{key} goes with spacing {' or '.join(needs)}; got spacing {recording.spacing!r}")
    try:
        _schedule(part).due(0.0, solver.t_end)
    except (ValueError, TypeError) as error:
        raise located(error, part.source, "record", {**{name: name for name in type(recording).model_fields}, "n": "frames"}) from error


def _summary(part: Part) -> dict[str, Any]:
    """The settings as the file keeps them: arrays of more than 64 numbers by their shape and digest, and the archive's digest."""
    config = part.settings.model_dump(exclude={"title", "seeds"}, exclude_none=True)
    for name, value in config["problem"].items():
        array = np.asarray(value) if isinstance(value, list) else np.empty(0)
        if array.size > 64:
            config["problem"][name] = f"array of shape {array.shape}, sha256 {hashlib.sha256(array.tobytes()).hexdigest()}"
    if part.kind == "custom" and "file" in part.options:
        config["problem"]["file_sha256"] = hashlib.sha256((part.folder / part.options["file"]).read_bytes()).hexdigest()
    return config
