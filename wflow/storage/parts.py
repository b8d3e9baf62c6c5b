"""Where the runs under one name are (`wflow.storage.collection` says how), and reading them there."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from wflow import _checks
from wflow.record import Layout, Record
from wflow.storage import file_format, reader
from wflow.storage.reader import opened

__all__ = ["NOTHING", "count", "folder_of", "load", "named", "part_of", "plan_of", "read", "unbegun"]

NOTHING = Layout(("energy",), 1)  # of a run that never came to its first frame


def folder_of(path: Path) -> Path:
    """Where the parts of a file lie."""
    return path.with_name(f"{path.name}.parts")


def part_of(path: Path, run: int) -> Path:
    """The file of a run while it goes on."""
    return folder_of(path) / f"{run:03d}.h5"


def named(path: str | os.PathLike[str]) -> Path:
    """The file's name, given that or the folder of its parts."""
    path = Path(path).absolute()
    return path.with_suffix("") if path.suffix == ".parts" and (path / "plan.json").exists() else path


def count(path: str | os.PathLike[str]) -> int:
    """Number of runs under a name."""
    path = named(path)
    return len(load(path)["plan"]["runs"]) if folder_of(path).is_dir() else reader.count(path)


def read(path: str | os.PathLike[str], run: int = 0) -> Record:
    """The record of a run, wherever it is now; ``"waiting"`` if it was never begun.

    Raises
    ------
    FileNotFoundError, PermissionError, ValueError
        As ``wflow.storage.read``.
    """
    path = named(path)
    if not folder_of(path).is_dir():
        return reader.read(path, run)
    about = load(path)
    runs = about["plan"]["runs"]
    if not 0 <= _checks.integer("run", run) < len(runs):
        raise ValueError(f"run must be below {len(runs)}, the number of runs in {path}; got {run}")
    if part_of(path, run).exists():
        return reader.read(part_of(path, run))
    if about["base"] and path.exists():
        return reader.read(path, run)
    empty = np.empty((0, 2))
    return Record(NOTHING, empty, empty[:, 0], lambda _: iter(()), empty, unbegun("waiting", "not begun", runs[run]), {}, path)


def plan_of(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The plan of the runs under a name.

    Raises
    ------
    ValueError
        If the file has none: it was made by a script.
    FileNotFoundError, PermissionError
        As ``wflow.storage.read``.
    """
    path = named(path)
    if folder_of(path).is_dir():
        return dict(load(path)["plan"])
    with opened(path) as file:
        if "plan" in file:
            return dict(json.loads(file["plan"][()].tobytes()))
    raise ValueError(f"{path} was made by a script; there, wflow.solve(..., path={path.name!r}, resume=True) goes on with it")


def load(path: Path) -> dict[str, Any]:
    """What ``plan.json`` says; FileNotFoundError, ValueError if it is missing, damaged or of a newer format."""
    plan = folder_of(path) / "plan.json"
    try:
        about: dict[str, Any] = json.loads(plan.read_text(encoding="utf-8"))
        version = about["format_version"] if about["creator"] == "wflow" else 0
    except FileNotFoundError:
        raise FileNotFoundError(f"{plan} does not exist: {folder_of(path)} is no folder of wflow, or not yet") from None
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(f"{plan} is damaged: {error}") from error
    if version > file_format.FORMAT_VERSION:
        raise ValueError(f"{plan} has format version {version}; this wflow reads up to {file_format.FORMAT_VERSION}: upgrade wflow")
    return about


def unbegun(status: str, message: str, run: Mapping[str, Any]) -> dict[str, Any]:
    """The summary of a run that has nothing to tell but that."""
    return {"status": status, "message": message, "counts": {}, "seconds": {}, "events": [], "provenance": dict(run["provenance"])}
