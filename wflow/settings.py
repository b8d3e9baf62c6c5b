"""Sections of an experiment file as pydantic models, and the one-line sentences for what does not fit them."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError, create_model

from wflow import _checks

__all__ = [
    "Composite", "ConfigError", "CustomProblem", "FlowSettings", "RecordSettings", "Settings", "SolverSettings", "constructor", "located",
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
    flow: FlowSettings = FlowSettings()
    solver: SolverSettings
    record: RecordSettings = RecordSettings()


class Composite(_Section):
    """A file that runs other experiments, into one HDF5 file and one figure."""

    title: str = ""
    include: list[str] = Field(min_length=1)


def constructor(kind: str) -> Callable[..., Any]:
    """The function of ``wflow.mdp`` that makes a problem of this kind."""
    from wflow import mdp

    return typing.cast(Callable[..., Any], getattr(mdp, kind))


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
