"""Files of studies, whichever study wrote them."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

__all__ = ["is_study", "open_study"]

_STUDIES = {f"wflow study {name}": f"wflow.studies.{name}" for name in ("chaos", "grids", "integrators", "support")}


def _kind(path: str | os.PathLike[str]) -> str:
    import h5py

    with h5py.File(path, "r") as file:
        return str(file.attrs.get("kind", ""))


def is_study(path: str | os.PathLike[str]) -> bool:
    """Whether it is a file of a study, whole and readable."""
    try:
        return _kind(path) in _STUDIES
    except OSError:
        return False


def open_study(path: str | os.PathLike[str]) -> Any:
    """Read a study's file: the `Chaos`, `Grids`, `Integrators` or `Support` of the module of `wflow.studies` that wrote it.

    Raises
    ------
    ValueError
        If it holds something else.
    OSError
        If it cannot be read.
    """
    kind = _kind(path)
    if kind not in _STUDIES:
        raise ValueError(f"{path} is not a file of a wflow study")
    return import_module(_STUDIES[kind]).open_study(path)
