"""Experiment files: TOML, checked in full before anything runs; every error is one line with file, key, value and what is allowed.

::

    title = "..."                   # or: title and include = ["fig1a", "other.toml"], and nothing else
    seeds = [0, 1, 2, 3, 4]         # one run each; seed s also draws a random problem, unless problem.seed says otherwise

    [problem]
    kind = "garnet"                 # a function of wflow.mdp or wflow.problems with its arguments as keys,
    n_states = 20                   # or "custom" with file = "problem.npz" or the arrays themselves

    [flow]
    kind = "particles"              # "grid" (cells, box, limiter, stepping), "langevin" (particles and noise), "jko" (minimising movement)
    n_particles = 800               # activation, width (of "rbf"), variance of the student's first layer, start = "student"

    [solver]
    t_end = 1e4                     # mean-field time; method, rtol, atol, max_steps, steady as in wflow.solve

    [solver.options]                # of the method

    [record]
    spacing = "geometric"           # "steps" (every accepted step), "linear" or "geometric", with frames (200) and first
    states = "ends"                 # "ends", "all", or every k-th frame
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wflow import _checks
from wflow.settings import FREE_PROBLEMS, Composite, ConfigError, CustomProblem, Settings, constructor, flows_of, signature_model, validate

__all__ = ["KINDS", "ConfigError", "Experiment", "Part", "builtin", "load", "part_of", "swept"]

KINDS = ("agazzi_lu_bandit", "agazzi_lu_grid", "chain", "custom", "garnet", "gridworld", "pendulum", "three_armed_bandit", "tree")
_ALL = (*KINDS, *FREE_PROBLEMS)
_FOLDER = Path(__file__).parent / "experiments"


@dataclass(frozen=True)
class Part:
    """One problem with its settings, to be run for every seed.

    Parameters
    ----------
    name : str
        Of the built-in experiment, or the file's without its suffix.
    source : str
        What errors call it: the name, or the path of the file.
    folder : Path
        What ``problem.file`` is relative to.
    settings : Settings
    options : mapping
        Checked arguments of the problem's constructor: ``settings.problem`` without its kind.
    """

    name: str
    source: str
    folder: Path
    settings: Settings
    options: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """One of `KINDS`, or of the problems without a policy (``wflow.problems``)."""
        return str(self.settings.problem["kind"])

    def describe(self) -> dict[str, Any]:
        """Plain data that `part_of` makes the same part of, in another process or years later."""
        settings = self.settings.model_dump(exclude_unset=True)
        return {"name": self.name, "source": self.source, "folder": str(self.folder.absolute()), "settings": settings}


@dataclass(frozen=True)
class Experiment:
    """What one command runs: a part, or several that share a file and a figure."""

    name: str
    title: str
    parts: tuple[Part, ...]


def builtin() -> dict[str, Path]:
    """Files of the experiments that come with wflow, by name."""
    return {path.stem: path for path in sorted(_FOLDER.glob("*.toml"))}


def load(target: str, changes: Sequence[str] = ()) -> Experiment:
    """The experiment of a file (``*.toml``) or of a built-in name.

    Parameters
    ----------
    target : str
    changes : sequence of str
        ``"flow.n_particles=5000"``: dotted key and TOML value (a plain word is a string), set in every part.

    Raises
    ------
    ConfigError
        One line: file, key, value, what is allowed.
    """
    values = [_change(text) for text in changes]
    path, source = _find(target, Path())
    table = _read(path, source)
    if "include" not in table:
        part = _part(path, source, table, values)
        return Experiment(part.name, part.settings.title, (part,))
    composite = validate(Composite, table, source)
    found = [_find(name, path.parent, f"{source}: include: ") for name in composite.include]
    parts = tuple(_part(*where, _read(*where), values) for where in found)
    names = [part.name for part in parts]
    if len(set(names)) < len(names):
        raise ConfigError(f"{source}: include must name different experiments; got {', '.join(names)}")
    return Experiment(path.stem, composite.title, parts)


def _find(target: str, folder: Path, prefix: str = "") -> tuple[Path, str]:
    if target in (known := builtin()):
        return known[target], target
    if target.endswith(".toml"):
        return folder / target, str(folder / target)
    called = f"{_checks.show(target)}{_checks.near_matches(target, known)}"
    raise ConfigError(f"{prefix}no experiment is called {called}; built in are {', '.join(known)}; a file ends in .toml")


def _read(path: Path, source: str) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{source}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{source}: is not UTF-8 text, as TOML must be") from None
    except ValueError as error:  # a name that no file can have
        raise ConfigError(f"{_checks.show(source)}: cannot be read: {error}") from None
    try:
        table = _toml(text)
    except ValueError as error:
        raise ConfigError(f"{source}: is not TOML: {error}") from None
    if not table:
        raise ConfigError(f"{source}: is empty; an experiment has [problem] and [solver], or include")
    return table


def _toml(text: str) -> dict[str, Any]:
    """The table of a TOML text; ValueError if it is none, or has numbers too long or brackets too deep for Python."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("brackets are nested too deeply") from None


def _part(path: Path, source: str, table: dict[str, Any], changes: Sequence[tuple[list[str], Any]]) -> Part:
    for keys, value in changes:
        section = table
        for key in keys[:-1]:
            section = section.setdefault(key, {})
            if not isinstance(section, dict):
                raise ConfigError(f"{source}: {key} is not a section, so {'.'.join(keys)} cannot be set")
        section[keys[-1]] = value
    return _checked(path.stem, source, path.parent, table)


def part_of(description: Mapping[str, Any]) -> Part:
    """The part that `Part.describe` described.

    Raises
    ------
    ConfigError
        As `load`.
    """
    return _checked(description["name"], description["source"], Path(description["folder"]), description["settings"])


def _checked(name: str, source: str, folder: Path, table: Mapping[str, Any]) -> Part:
    settings = validate(*_flow_chosen(table, source), source)
    if len(set(settings.seeds)) < len(settings.seeds):
        raise ConfigError(f"{source}: seeds must differ; got {settings.seeds}")
    options = dict(settings.problem)
    try:
        kind = _checks.choice("problem.kind", options.pop("kind", None), _ALL)
    except ValueError as error:
        raise ConfigError(f"{source}: {error}") from None
    model = CustomProblem if kind == "custom" else signature_model(constructor(kind))
    checked = validate(model, options, source, "problem")
    return Part(name, source, folder, settings, {key: getattr(checked, key) for key in checked.model_fields_set})


def _flow_chosen(table: Mapping[str, Any], source: str) -> tuple[type[Settings], Mapping[str, Any]]:
    """The settings' class by the kinds of problem and flow, and the table with the kind of flow where it is the problem's default."""
    problem: Any = table.get("problem")
    flow = table.get("flow", {})
    try:
        named = isinstance(problem, Mapping) and "kind" in problem  # else the settings say that it must be
        kind = _checks.choice("problem.kind", problem["kind"], _ALL) if named else KINDS[0]
        allowed = flows_of(kind)
        default = next(iter(allowed))
        chosen = _checks.choice("flow.kind", flow.get("kind", default), tuple(allowed)) if isinstance(flow, Mapping) else default
    except ValueError as error:
        raise ConfigError(f"{source}: {error}") from None
    if kind in FREE_PROBLEMS and isinstance(flow, Mapping):
        table = {**table, "flow": {**flow, "kind": chosen}}
    return allowed[chosen], table


def swept(text: str) -> list[tuple[str, str, Any]]:
    """``"key=a,b,c"`` as changes that `load` takes, each with its key and its value.

    Raises
    ------
    ConfigError
        If that is not what it is, the key is ``seeds``, or two values are the same.
    """
    key, equals, values = text.partition("=")
    pieces = _pieces(values)
    if not equals or len(pieces) < 2:
        raise ConfigError(f"--sweep takes key=a,b,c with a dotted key and two values or more; got {_checks.show(text)}")
    changes = []
    for piece in pieces:
        keys, value = _change(f"{key}={piece}", "--sweep")
        changes.append((f"{key.strip()}={piece}", ".".join(keys), value))
    if changes[0][1] == "seeds":
        raise ConfigError("--sweep cannot vary seeds: every setting is run for all of them; --seeds or --set seeds=[...] says which")
    found = [value for _, _, value in changes]
    if any(value in found[:k] for k, value in enumerate(found)):
        raise ConfigError(f"--sweep {key.strip()}: the values must differ; got {values}")
    return changes


def _pieces(text: str) -> list[str]:
    """`text` cut at its commas, but for those within brackets and quotes."""
    pieces, depth, quote = [""], 0, ""
    for c in text:
        if c == "," and not depth and not quote:
            pieces.append("")
            continue
        pieces[-1] += c
        quote = "" if c == quote else quote or (c if c in "\"'" else "")
        depth += 0 if quote else (c in "[{") - (c in "]}")
    return pieces


def _change(text: str, option: str = "--set") -> tuple[list[str], Any]:
    key, equals, value = text.partition("=")
    keys = key.strip().split(".")
    if not equals or not all(re.fullmatch(r"[A-Za-z0-9_-]+", part) for part in keys):
        raise ConfigError(f"{option} takes key=value with a dotted key, such as flow.n_particles=5000; got {_checks.show(text)}")
    try:
        parsed = _toml(f"x = {value}")
    except ValueError as error:
        if re.fullmatch(r"[\w./-]+", value.strip()):
            return keys, value.strip()
        raise ConfigError(f"{option} {key.strip()}: {_checks.show(value)} is not a TOML value: {error}") from None
    if set(parsed) != {"x"}:
        raise ConfigError(f"{option} takes one value; got {_checks.show(text)}")
    return keys, parsed["x"]
