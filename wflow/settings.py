"""Sections of an experiment file as pydantic models, and the one-line sentences for what does not fit them."""

from __future__ import annotations

import importlib
import inspect
import re
import typing
from collections.abc import Callable, Mapping
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError, create_model

from wflow import _checks

__all__ = [
    "FREE_PROBLEMS", "CloudSettings", "Composite", "ConfigError", "CustomProblem", "FlowSettings", "GridSettings", "MovingSettings",
    "NeuronGridSettings", "NoisyFlowSettings", "RecordSettings", "Settings", "SolverSettings", "constructor", "flows_of", "located",
    "signature_model", "validate",
]  # fmt: skip


class ConfigError(ValueError):
    """A mistake in an experiment, said in one line."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Arguments(BaseModel):
    """Base of the models made of signatures: lists of TOML may become the tuples that a constructor wants."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FlowSettings(_Section):
    """The particles: how many, what neurons they are, and the law they are drawn from.

    "student": ω0 = 0, the first layer normal with that variance. The others stay below the optimum (``wflow.measures.laws.controls``).
    """

    n_particles: int = Field(default=800, ge=1)
    activation: str = "relu"
    width: float | None = None
    start: Literal["student", "all_dead", "silent", "single_point", "sign_locked"] = "student"
    variance: float = 4.0
    kind: Literal["particles", "langevin"] = Field(default="particles", exclude=True)  # known without being kept


class NoisyFlowSettings(FlowSettings):
    """Neurons with noise: mean-field Langevin at a temperature of the parameter measure, beside that of the policy."""

    temperature: float = 0.0
    kind: Literal["langevin"] = "langevin"


class GridSettings(_Section):
    """The cells of a box: how many along every axis or each, the box where it is not the problem's own, and the scheme on it."""

    kind: Literal["grid"] = "grid"
    cells: Any = None
    box: Any = None
    limiter: str | None = None
    stepping: str | None = None


class NeuronGridSettings(GridSettings):
    """A grid of neurons' parameters [ω0, k, b]: normal in every coordinate, of one variance or of one each."""

    activation: str = "tanh"
    width: float | None = None
    variance: Any = 0.5
    temperature: float = 0.0


class CloudSettings(_Section):
    """Particles of a problem that says itself what they are and what law they are drawn from."""

    kind: Literal["particles", "langevin"] = "particles"
    n_particles: int = Field(default=1000, ge=1)


class MovingSettings(_Section):
    """What minimising movements move: particles, or the edges of cells in one dimension."""

    kind: Literal["jko"] = "jko"
    cells: int | None = Field(default=None, ge=1)
    n_particles: int | None = Field(default=None, ge=1)


class SolverSettings(_Section):
    """Arguments of ``wflow.solve``, whose defaults hold for what is left out; t_end in mean-field time."""

    t_end: float
    method: str | None = None
    rtol: float | None = None
    atol: float | None = None
    max_steps: int | None = None
    steady: float | None = None
    options: dict[str, Any] = {}


class RecordSettings(_Section):
    """When frames are recorded, and which of them keep their state (``wflow.record``)."""

    spacing: Literal["steps", "linear", "geometric"] = "steps"
    frames: int | None = Field(default=None, ge=2)
    first: float | None = None
    states: Any = "ends"


class CustomProblem(_Section):
    """An MDP by its arrays, inline or in a NumPy archive; the arguments of ``wflow.mdp.MDP``, checked there."""

    file: str | None = None
    reward: Any = None
    transition: Any = None
    discount: Any = None
    temperature: Any = None
    initial: Any = None
    states: Any = None
    actions: Any = None
    action_weights: Any = None


class Settings(_Section):
    """One experiment file. `problem` holds its kind and options, which a model of that kind checks."""

    title: str = ""
    seeds: list[Annotated[int, Field(ge=0)]] = Field(default=[0], min_length=1)
    problem: dict[str, Any]
    flow: Any = FlowSettings()  # of the class that goes with the kinds of problem and flow, by `flows_of`
    solver: SolverSettings
    record: RecordSettings = RecordSettings()


class Composite(_Section):
    """A file that runs other experiments, into one HDF5 file and one figure."""

    title: str = ""
    include: list[str] = Field(min_length=1)


# Kinds of flow, by the problem: of neurons that make a policy, and of the others, the first unless a file says so.
_POLICY_FLOWS: dict[str, type[_Section]] = {"particles": FlowSettings, "grid": NeuronGridSettings, "langevin": NoisyFlowSettings}
_FREE_FLOWS: dict[str, type[_Section]] = {
    "particles": CloudSettings, "grid": GridSettings, "langevin": CloudSettings, "jko": MovingSettings,
}  # fmt: skip
FREE_PROBLEMS = {
    "aggregation": ("grid", "particles", "jko"),
    "barenblatt": ("grid", "jko"),
    "fokker_planck": ("grid", "langevin", "jko"),
    "heat": ("grid", "langevin", "jko"),
    "ornstein_uhlenbeck": ("grid", "langevin", "jko"),
    "regression": ("particles", "jko"),
}


@cache
def flows_of(problem: str) -> dict[str, type[Settings]]:
    """Kinds of flow that go with a kind of problem, the default first, and the `Settings` whose [flow] is theirs."""
    free = problem in FREE_PROBLEMS
    flows = {name: _FREE_FLOWS[name] for name in FREE_PROBLEMS[problem]} if free else _POLICY_FLOWS
    return {name: create_model("Settings", __base__=Settings, flow=(flow, flow())) for name, flow in flows.items()}


def constructor(kind: str) -> Callable[..., Any]:
    """The function of ``wflow.mdp`` or ``wflow.problems`` that makes a problem of this kind."""
    room = importlib.import_module("wflow.problems" if kind in FREE_PROBLEMS else "wflow.mdp")
    return typing.cast(Callable[..., Any], getattr(room, kind))


def signature_model(function: Callable[..., Any]) -> type[BaseModel]:
    """Keys, types and defaults of a constructor's arguments; whether a value is in range it says itself."""
    types = typing.get_type_hints(function)
    fields: dict[str, Any] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        annotation = Annotated[types[name], Strict()] if types[name] in (bool, int, float) else types[name]
        fields[name] = (annotation, ... if parameter.default is parameter.empty else parameter.default)
    return create_model(function.__name__, __base__=_Arguments, **fields)


def validate(model: type[Any], table: Mapping[str, Any], source: str, section: str = "") -> Any:
    """`table` as a `model`; ConfigError with the first mistake (unknown keys before others) in the file `source`."""
    try:
        return model.model_validate(table)
    except ValidationError as error:
        found = sorted(error.errors(include_url=False), key=lambda e: e["type"] != "extra_forbidden")
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    raise ConfigError(f"{source}: {_sentence(model, found[0], section)}{more}")


def _sentence(model: type[BaseModel], error: Any, section: str) -> str:
    names = [section, *error["loc"]] if section else list(error["loc"])
    path = "".join(f"[{name}]" if isinstance(name, int) else f".{_key(name)}" for name in names).removeprefix(".")
    if error["type"] == "extra_forbidden":
        owner: Any = model
        for name in error["loc"][:-1]:
            owner = owner.model_fields[name].annotation
        allowed = list(owner.model_fields)
        return f"{path} is no key of an experiment{_checks.near_matches(str(names[-1]), allowed)}; allowed: {', '.join(allowed)}"
    if error["type"] == "missing":
        return f"{path} is missing"
    if error["type"] in ("model_type", "dict_type"):
        return f"{path} must be a section [{path}]; got {_checks.show(error['input'])}"
    if error["type"] == "sequence_str":
        return f"{path} must be a list; got {_checks.show(error['input'])}"
    wanted = re.sub(r"^\w+ should ", "must ", error["msg"]).replace("a valid ", "a ").replace(" a integer", " an integer")
    return f"{path} {wanted}; got {_checks.show(error['input'])}"


def _key(name: str) -> str:
    """A key as TOML writes it: quoted, unless it is a plain word."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]{1,60}", name) else _checks.show(name)


def located(error: Exception, source: str, section: str, keys: Mapping[str, str]) -> ConfigError:
    """What a constructor said of its argument, as an error of the experiment: arguments become key paths."""
    text = " ".join(str(error).split())
    name = match[1] if (match := re.match(r"`?(\w+)", text)) else ""
    if name in keys:
        return ConfigError(f"{source}: {section}.{keys[name]}{text.removeprefix('`').removeprefix(name).removeprefix('`')}")
    return ConfigError(f"{source}: {section}: {text}")
