"""The house: who may import whom, how modules look, and how light ``import wflow`` is (design.md)."""

from __future__ import annotations

import ast
import json
import statistics
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import wflow

ROOT = Path(wflow.__file__).parent

# Rooms by floor. A room imports from floors below, and on its own floor without circles. A new module is given a floor here.
FLOORS = [
    {"_jit", "_checks", "spaces"},
    {"neurons", "integrators", "meshes", "_task", "_pool", "parallel", "engines"},
    {"measures", "mdp", "closed_forms"},
    {"energies"},
    {"flows", "policies", "problems"},
    {"events", "schedules", "_pace", "progress", "record", "provenance", "storage", "plotting"},
    {"solution", "_states", "_signals", "_run", "_choice", "_method", "_resume", "_xarray", "loop"},
    {"studies"},
    {"settings", "config", "experiment", "_setups", "experiments", "sweep", "board", "report", "_refusals", "study_cli", "cli"},
]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
DOOR = {"__init__", "__main__"}  # the front door stands above all floors

MODULES = sorted(ROOT.rglob("*.py"))
NAMES = [str(path.relative_to(ROOT)) for path in MODULES]


def room_of(path):
    return path.relative_to(ROOT).with_suffix("").parts[0]


def parse(path):
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def is_type_checking(node):
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def statements(tree):
    """All nodes but those that only a type checker reads."""
    for node in ast.iter_child_nodes(tree):
        if is_type_checking(node):
            for other in node.orelse:
                yield other
                yield from statements(other)
        else:
            yield node
            yield from statements(node)


def rooms_of_package(module, names):
    """Rooms that ``from module import names`` reaches; what else wflow offers is the front door's, ``__version__`` nobody's."""
    parts = module.split(".")
    if parts[0] != "wflow":
        return set()
    return {parts[1]} if len(parts) > 1 else {name if name in FLOOR else "__init__" for name in names if not name.startswith("__")}


def imported_rooms(path):
    """Rooms of wflow that a file imports anywhere in it, ``import_module("wflow.x")`` included."""
    package = ["wflow", *path.relative_to(ROOT).parent.parts]
    found = set()
    for node in statements(parse(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found |= rooms_of_package(alias.name, [])
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "wflow":
            found |= rooms_of_package("wflow", [node.attr])
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            found |= rooms_of_package(".".join([*base, *([node.module] if node.module else [])]), [alias.name for alias in node.names])
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module") and isinstance(node.args[0], ast.Constant):
            found |= rooms_of_package(node.args[0].value, [])
    return found


def has_code(path):
    return bool(parse(path).body)


def is_public(path):
    """Not private, and not the bare marker of a folder of data."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    private = any(part.startswith("_") and part != "__init__" for part in parts)
    marker = path.name == "__init__.py" and not has_code(path) and not list(path.parent.glob("[!_]*.py"))
    return not private and not marker


DATA = ROOT / "experiments"  # TOML files; its __init__ only makes it a package
PUBLIC = [path for path in MODULES if is_public(path) and path.parent != DATA]


def test_every_room_has_a_floor():
    rooms = {room_of(path) for path in MODULES if is_public(path) or path.parent == ROOT}
    assert sorted(rooms - FLOOR.keys() - DOOR) == []


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_imports_come_from_floors_below(path):
    room = room_of(path)
    if room not in DOOR:
        floor = FLOOR.get(room, len(FLOORS))  # an unknown room fails above
        upward = {other for other in imported_rooms(path) - {room} if FLOOR.get(other, len(FLOORS)) > floor}
        assert upward == set()


def test_no_circles_among_rooms():
    graph = {}
    for path in MODULES:
        if room_of(path) not in DOOR:
            graph.setdefault(room_of(path), set()).update(imported_rooms(path) - {room_of(path)} - DOOR)
    assert list(TopologicalSorter(graph).static_order())


def test_the_parser_sees_what_it_must(tmp_path, monkeypatch):
    """Imports at the top, in functions, relative and by name count; those for type checkers do not."""
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    room = tmp_path / "measures"
    room.mkdir()
    source = """
from __future__ import annotations
import numpy as np, wflow.energies.base
from typing import TYPE_CHECKING
from wflow import _checks, mdp
from ..neurons import Network
from . import laws
if TYPE_CHECKING:
    from wflow import studies
else:
    import wflow.record
def late():
    from wflow.flows import Flow
    import_module("wflow.plotting")
    import wflow
    wflow.__version__, wflow.solve, wflow.loop.solve
"""
    path = room / "x.py"
    path.write_text(source)
    expected = {"energies", "_checks", "mdp", "neurons", "measures", "record", "flows", "plotting", "__init__", "loop"}
    assert imported_rooms(path) == expected
    with pytest.raises(AssertionError):
        test_imports_come_from_floors_below(path)


@pytest.mark.parametrize("path", PUBLIC, ids=[str(path.relative_to(ROOT)) for path in PUBLIC])
def test_public_modules_say_what_they_are_and_offer(path):
    tree = parse(path)
    assert ast.get_docstring(tree), "a docstring"
    lists = [node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"]
    assert len(lists) == 1, "one __all__"
    offered = ast.literal_eval(lists[0])
    assert len(offered) == len(set(offered))
    assert all(isinstance(name, str) for name in offered)


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_files_stay_short(path):
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines < 300


def run(script):
    return subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout


def test_import_is_light():
    """Under half a second, and nothing heavy comes along."""
    script = "import time; t = time.perf_counter(); import wflow; print(time.perf_counter() - t)"
    assert statistics.median(float(run(script)) for _ in range(3)) < 0.5
    heavy = json.loads(run("import json, sys, wflow; print(json.dumps([m.split('.')[0] for m in sys.modules]))"))
    assert {"numba", "scipy", "matplotlib", "h5py", "ot", "pydantic", "rich", "typer"}.isdisjoint(heavy)


def test_sub_packages_are_reachable():
    """``wflow.mdp`` and the rest, without importing them by hand; what is offered exists, what is not is refused."""
    packages = sorted(room_of(path) for path in PUBLIC if path.name == "__init__.py" and path.parent.parent == ROOT)
    assert {"neurons", "measures", "mdp", "energies", "flows"} <= set(packages)
    script = f"""
import json, wflow
missing = [name for name in {packages!r} + wflow.__all__ if not hasattr(wflow, name)]
print(json.dumps([missing, sorted(set({packages!r} + wflow.__all__) - set(dir(wflow))), hasattr(wflow, "nothing"), wflow.__version__]))
"""
    missing, unlisted, phantom, version = json.loads(run(script))
    assert (missing, unlisted, phantom) == ([], [], False)
    assert version.count(".") == 2


def test_every_offered_name_exists():
    modules = [".".join(["wflow", *path.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__") for path in PUBLIC]
    script = f"""
import importlib, json
missing = []
for name in {modules!r}:
    module = importlib.import_module(name)
    missing += [name + "." + offered for offered in getattr(module, "__all__", []) if not hasattr(module, offered)]
print(json.dumps(missing))
"""
    assert json.loads(run(script)) == []
