"""From the settings of a part and a seed to what `solve` moves: energy, flow and initial measure."""

from __future__ import annotations

import inspect
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow.config import Part
from wflow.energies import Entropy, PolicyValue
from wflow.flows import EulerianFlow, JKOFlow, LangevinFlow, WassersteinFlow
from wflow.mdp import MDP
from wflow.measures import GridMeasure, ParticleMeasure, laws
from wflow.problems import Problem
from wflow.settings import FREE_PROBLEMS, CustomProblem, constructor, located
from wflow.spaces import Space

__all__ = ["Setup", "Start", "setup"]

Start: TypeAlias = Callable[[], ParticleMeasure | GridMeasure]


class Setup(NamedTuple):
    """An energy, the flow along it, and what makes the initial measure."""

    energy: Any
    flow: Any
    start: Start


def setup(part: Part, seed: int) -> Setup:
    """What a part moves with this seed.

    Raises
    ------
    ConfigError
        If the problem's arguments do not fit.
    ValueError, TypeError
        If what [flow] says does not fit the problem.
    """
    return _free(part, seed) if part.kind in FREE_PROBLEMS else _policy(part, seed)


def _stream(seed: int) -> np.random.SeedSequence:
    """What particles are drawn from: made anew for every draw, as quasi-random points use it up."""
    return np.random.SeedSequence(seed).spawn(1)[0]


# --- neurons that make a policy -----------------------------------------------------------------------------------------------


def _policy(part: Part, seed: int) -> Setup:
    settings = part.settings.flow
    energy = PolicyValue(_made(part, seed), settings.activation, width=settings.width)
    if settings.kind == "particles":
        return Setup(energy, WassersteinFlow(energy), lambda: _student(part, energy, seed))
    temperature = _checks.real("temperature", settings.temperature, at_least=0.0)
    if settings.kind == "langevin":
        return Setup(energy, LangevinFlow(energy, temperature), lambda: _student(part, energy, seed))
    m = energy.n_parameters
    if settings.box is None:
        raise ValueError(f"box must be given for neurons: [low, high], or {m} such pairs; got None")
    variances = _each("variance", settings.variance, m)
    law = laws.Product(tuple(laws.Normal(0.0, _checks.real("variance", v, above=0.0)) for v in variances))
    axes = _axes(settings, m, ((0.0, 1.0),) * m, 32)
    moved = energy + Entropy(temperature) if temperature else energy
    return Setup(moved, _eulerian(moved, settings), lambda: GridMeasure.from_law(axes, law))


def _student(part: Part, energy: PolicyValue, seed: int) -> ParticleMeasure:
    name, m = part.settings.flow.start, energy.n_parameters
    if name == "student":
        law = laws.student(m, part.settings.flow.variance)
    elif name == "all_dead":
        from wflow.studies.support.controls import all_dead

        law = all_dead(energy)
    else:
        law = getattr(laws, name)(m)
    return law.sample(part.settings.flow.n_particles, _stream(seed))


# --- problems without a policy ------------------------------------------------------------------------------------------------


def _free(part: Part, seed: int) -> Setup:
    settings, problem = part.settings.flow, _made(part, seed)
    energy, d = problem.energy, len(problem.box)
    if settings.kind == "grid":
        if problem.walled and settings.box is not None:
            raise ValueError(f"box must be left out: the problem has walls of its own; got {_checks.show(settings.box)}")
        axes = _axes(settings, d, problem.box, problem.cells)
        return Setup(energy, _eulerian(energy, settings), lambda: problem.start(axes))
    if settings.kind == "langevin":
        lower, upper = np.array(problem.box).T
        walls = (lower, upper) if problem.walled else None
        return Setup(energy, LangevinFlow(energy, box=walls), lambda: _cloud(problem, settings.n_particles, seed))
    if settings.kind == "particles" and (law := problem.law) is not None:
        return Setup(energy, WassersteinFlow(energy), lambda: law.qmc(settings.n_particles, _stream(seed)))
    return _minimising(settings, problem, seed)


def _minimising(settings: Any, problem: Problem, seed: int) -> Setup:
    """Minimising movements of the edges of cells in one dimension, unless particles are asked for or all that there is."""
    if settings.cells is not None and (settings.n_particles is not None or len(problem.core) != 1):
        why = "n_particles is given" if settings.n_particles is not None else "cells that move are for problems in one dimension"
        raise ValueError(f"cells must be left out where {why}; got {settings.cells}")
    flow = JKOFlow(problem.energy, walls=problem.walled)
    if len(problem.core) == 1 and settings.n_particles is None:
        edges = np.linspace(*problem.core[0], (settings.cells or 200) + 1)
        return Setup(problem.energy, flow, lambda: problem.start((edges,)))
    if (law := problem.law) is None:
        raise ValueError(f"n_particles must be left out: this problem moves cells alone; got {settings.n_particles}")
    return Setup(problem.energy, flow, lambda: law.qmc(settings.n_particles or 500, _stream(seed)))


def _cloud(problem: Problem, n: int, seed: int) -> ParticleMeasure:
    """Independent particles, from 4096 cells where the law cannot be drawn from."""
    if problem.law is not None:
        return problem.law.sample(n, _stream(seed))
    fine = problem.start(tuple(np.linspace(low, high, 4097) for low, high in problem.core))
    return fine.sample(n, _stream(seed))


# --- grids --------------------------------------------------------------------------------------------------------------------


def _axes(settings: Any, d: int, box: Any, cells: int) -> tuple[Array, ...]:
    """Edges of the cells, evenly spaced: the settings' box and numbers of cells, or those given here."""
    counts = [_checks.integer("cells", n, at_least=2) for n in _each("cells", cells if settings.cells is None else settings.cells, d)]
    _checks.memory("cells", settings.cells, 200.0 * float(np.prod([float(n) for n in counts])))
    if settings.box is not None:
        given = _checks.array("box", settings.box)
        if given.shape not in ((2,), (d, 2)):
            raise ValueError(f"box must be [low, high]{f', or {d} such pairs' if d > 1 else ''}; got {_checks.show(settings.box)}")
        box = np.broadcast_to(given, (d, 2)).tolist()
    for low, high in box:
        if not low < high:
            raise ValueError(f"box must have its low ends below its high ones; got {_checks.show([low, high])}")
    return tuple(np.linspace(low, high, n + 1) for (low, high), n in zip(box, counts, strict=True))


def _each(name: str, value: Any, d: int) -> list[Any]:
    """One value for each of d coordinates, from itself or from d of them."""
    if not isinstance(value, list):
        return [value] * d
    if len(value) != d:
        raise ValueError(f"{name} must be one number, or {d}; got {_checks.show(value)}")
    return value


def _eulerian(energy: Any, settings: Any) -> EulerianFlow:
    return EulerianFlow(energy, **{name: value for name in ("limiter", "stepping") if (value := getattr(settings, name)) is not None})


# --- problems -----------------------------------------------------------------------------------------------------------------


def _made(part: Part, seed: int) -> Any:
    """The MDP or problem of a part; the run's seed draws a random one unless the file says otherwise."""
    options = dict(part.options)
    try:
        if part.kind == "custom":
            return _custom(_arrays(options, part.folder))
        make = constructor(part.kind)
        if "seed" in inspect.signature(make).parameters:
            options.setdefault("seed", seed)
        return make(**options)
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
