"""Valid experiments as tables, and their TOML text.

Everything is drawn from one ``random.Random``, whose seed hypothesis gives: its own strategies repeat themselves too much to
reach every key with every kind of value in a thousand examples.
"""

from __future__ import annotations

import datetime
import io
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from wflow import integrators
from wflow.config import KINDS
from wflow.neurons.activations import NAMES

# --- TOML


def toml(value: Any) -> str:
    """A value as TOML writes it, on one line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(key)} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, int):
        return hex(value) if value >= 2**64 else str(value)  # Python reads decimal digits up to a limit only
    return repr(float(value))


def document(table: dict[str, Any]) -> str:
    """A table as a TOML file: plain values first, then a section for every table."""
    lines = [f"{toml(key)} = {toml(value)}" for key, value in table.items() if not isinstance(value, dict)]
    for name, section in table.items():
        if isinstance(section, dict):
            lines += [f"[{toml(name)}]", *(f"{toml(key)} = {toml(value)}" for key, value in section.items())]
    return "\n".join(lines) + "\n"


# --- valid experiments

Draw = Callable[[Random], Any]


def _count(low: int, high: int) -> Draw:
    return lambda rng: rng.randint(low, high)


def _number(low: float, high: float) -> Draw:
    return lambda rng: float(f"{rng.uniform(low, high):.6g}")


def _log(low: float, high: float) -> Draw:
    return lambda rng: float(f"{math.exp(rng.uniform(math.log(low), math.log(high))):.6g}")


def _one(*values: Any) -> Draw:
    return lambda rng: rng.choice(values)


_TEMPERATURE, _DISCOUNT, _SEED, _SIZE = _number(0.05, 2.0), _number(0.0, 0.95), _count(0, 99), _count(1, 6)
_TEACHER = {
    "seed": _SEED, "n_actions": _SIZE, "temperature": _TEMPERATURE, "n_teacher": _SIZE, "variance": _number(0.0, 9.0),
    "normalise": _one(True, False), "bias": _one(True, False),
}  # fmt: skip
_COLD = {"temperature": lambda rng: rng.choice((0.0, _TEMPERATURE(rng)))}
_LIBRARY: dict[str, dict[str, Draw]] = {  # all arguments; those of _NEEDED are always given
    "agazzi_lu_bandit": _TEACHER,
    "agazzi_lu_grid": {**_TEACHER, "n_states": _SIZE, "discount": _DISCOUNT, "mixing": _number(0.0, 1.0)},
    "chain": {"H": _SIZE, "n_actions": _count(2, 4), **_COLD},
    "garnet": {"n_states": _count(3, 6), "n_actions": _SIZE, "branching": _count(1, 3), "seed": _SEED, "discount": _DISCOUNT, **_COLD},
    "gridworld": {"n_rows": _count(2, 4), "n_columns": _count(2, 4), "walls": _one([], [[0, 1]]), "goal": _one([0, 0], [1, 1]),
                  "slip": _number(0.0, 1.0), "discount": _DISCOUNT, **_COLD},
    "pendulum": {"n_angles": _count(2, 5), "n_velocities": _count(2, 5), "n_torques": _SIZE, "time_step": _number(0.01, 0.2),
                 "discount": _DISCOUNT, "temperature": _TEMPERATURE},
    "three_armed_bandit": _COLD,
    "tree": {"reward": _number(-3.0, 3.0), "discount": _number(0.1, 0.9), **_COLD},
}  # fmt: skip
_NEEDED = {"n_states", "n_actions", "H", "branching", "n_rows", "n_columns", "n_angles", "n_velocities", "n_torques"}
_STEP = _log(0.01, 1.0)


def _some(rng: Random, keys: dict[str, Draw], needed: set[str] = frozenset()) -> dict[str, Any]:  # type: ignore[assignment]
    chosen = {name: draw(rng) for name, draw in keys.items() if name in needed or rng.random() < 0.5}
    return dict(sorted(chosen.items(), key=lambda item: rng.random()))


def _custom(rng: Random) -> dict[str, Any]:
    n_s, n_a, numbers = rng.randint(1, 3), rng.randint(1, 3), np.random.default_rng(rng.randrange(100))
    needed = {
        "reward": numbers.random((n_s, n_a)).tolist(), "transition": numbers.dirichlet(np.ones(n_s), (n_s, n_a)).tolist(),
        "discount": _DISCOUNT(rng), "temperature": _TEMPERATURE(rng),
    }  # fmt: skip
    return needed | _some(rng, {
        "initial": _one(numbers.dirichlet(np.ones(n_s)).tolist()), "states": _one(numbers.random((n_s, 2)).tolist()),
        "actions": _one(np.sort(numbers.random(n_a)).tolist()), "action_weights": _one(numbers.uniform(0.1, 1.0, n_a).tolist()),
    })  # fmt: skip


def _flow(rng: Random) -> dict[str, Any]:
    flow = _some(rng, {"n_particles": _count(1, 8), "activation": _one(*NAMES), "variance": _number(0.0, 9.0)}, {"n_particles"})
    return flow | (_some(rng, {"width": _number(0.1, 2.0)}) if flow.get("activation") == "rbf" else {})


def _solver(rng: Random) -> dict[str, Any]:
    keys = {"t_end": _log(0.01, 2.0), "max_steps": _count(1, 5), "method": _one(*integrators.names()), "rtol": _log(1e-6, 1e-2),
            "atol": _log(1e-9, 1e-3), "steady": _log(1e-9, 1e-3)}  # fmt: skip
    solver = _some(rng, keys, {"t_end", "max_steps"})
    method = solver.get("method", "rkc2")
    if method == "euler":
        return solver | {"options": {"dt": _STEP(rng)}}
    options = _some(rng, {"max_step": _STEP, "first_step": _one(1e-3)} | ({"max_stages": _count(2, 50)} if method == "rkc2" else {}))
    return solver | ({"options": options} if options else {})


def _record(rng: Random) -> dict[str, Any]:
    spacing = rng.choice(("steps", "linear", "geometric"))
    keys = {"states": _one("all", "ends", 2), "spacing": _one(spacing), "frames": _count(2, 6), "first": _log(1e-4, 1e-2)}
    fitting = {"steps": ("states",), "linear": ("states", "frames"), "geometric": ("states", "frames", "first")}[spacing]
    return _some(rng, {name: keys[name] for name in ("spacing", *fitting)}, {"spacing"})


def _table(rng: Random) -> dict[str, Any]:
    kind = rng.choice(KINDS)
    options = _custom(rng) if kind == "custom" else _some(rng, _LIBRARY[kind], _NEEDED)
    seeds = [[rng.randrange(100)], rng.sample(range(100), 2)]
    optional = {"title": _one("a title"), "seeds": _one(*seeds), "record": _record}
    return _some(rng, optional) | {"problem": {"kind": kind, **options}, "flow": _flow(rng), "solver": _solver(rng)}


@dataclass(repr=False)
class Files:
    """A folder with experiments, and what to change on the command line.

    `mistake` is what a single mistake is about: the path of a key, names of which an error has to give one, and the key's new value.
    """

    tables: dict[str, dict[str, Any]]  # the last is the one to run
    arrays: dict[str, Any] = field(default_factory=dict)  # of problem.npz
    raw: dict[str, bytes] = field(default_factory=dict)  # instead of what a table or the arrays give
    changes: list[str] = field(default_factory=list)
    mistake: tuple[str, set[str], Any] = ("", set(), None)
    mistakes: int = 0

    def __repr__(self) -> str:
        lines = [f"--- {name}\n{self.raw.get(name) or document(table)}" for name, table in self.tables.items()]
        return "\n".join([*lines, f"--- problem.npz: {self.raw.get('problem.npz') or self.arrays}", f"--- changes: {self.changes}"])

    def write(self, folder: Path) -> str:
        """Lay the files into the folder; the path of the one to run."""
        for path in folder.iterdir():  # some file systems take a millisecond to write over a file
            path.unlink()
        for name in (*self.tables, *(["problem.npz"] if self.arrays else [])):
            (folder / name).write_bytes(self.content(name))
        return str(folder / [*self.tables][-1])

    def content(self, name: str) -> bytes:
        """A file as it stands."""
        if name in self.raw:
            return self.raw[name]
        if name in self.tables:
            return document(self.tables[name]).encode()
        stream = io.BytesIO()
        np.savez(stream, **self.arrays)
        return stream.getvalue()


def valid(rng: Random) -> Files:
    """Experiments without a mistake: one part or two, own arrays inline or in an archive."""
    files = Files({"own.toml": _table(rng)})
    problem = files.tables["own.toml"]["problem"]
    if problem["kind"] == "custom" and rng.random() < 0.5:
        names = rng.sample(sorted(set(problem) - {"kind"}), rng.randint(1, 4))
        files.arrays = {name: np.array(problem.pop(name)) for name in names}
        problem["file"] = "problem.npz"
    if rng.random() < 0.15:
        files.tables |= {"other.toml": _table(rng), "both.toml": {"title": "both", "include": ["own.toml", "other.toml"]}}
    return files
