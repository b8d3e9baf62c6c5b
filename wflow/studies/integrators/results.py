"""What the study measured, in memory and in one HDF5 file; its table and figures are made from this alone."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wflow.storage import disk
from wflow.studies.integrators.analysis import rows
from wflow.studies.table import Row, text, write_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["KIND", "CaseRuns", "Integrators", "Point", "open_study"]

KIND = "wflow study integrators"
_LAYOUT = """One group for each case, in it one dataset for each field of a run, row by row: method, rtol, status, message, evaluations,
spectral_radius, steps, rejected, seconds, and the errors energy, state, w2, drift as wflow.studies.integrators.reference.errors counts
them. The attribute own holds by how much the two references differ. table: one dataset for each column of the table."""


@dataclass(frozen=True)
class Point:
    """One run.

    Attributes
    ----------
    method : str
    rtol : float
    status, message : str
        "finished", or how it failed and why.
    evaluations, spectral_radius, steps, rejected : int
        Field evaluations for steps, and apart those for spectral radii; −1 if it gave up.
    seconds : float
        Of wall time.
    energy, state, w2, drift : float
        Errors; NaN where there is none.
    """

    method: str
    rtol: float
    status: str
    message: str
    evaluations: int
    spectral_radius: int
    steps: int
    rejected: int
    seconds: float
    energy: float
    state: float
    w2: float
    drift: float

    @property
    def work(self) -> int:
        """All field evaluations."""
        return self.evaluations + self.spectral_radius

    @property
    def ok(self) -> bool:
        """Whether it arrived."""
        return self.status == "finished"


@dataclass(frozen=True, eq=False)
class CaseRuns:
    """All runs of a case.

    Attributes
    ----------
    name : str
    horizon : float
    smooth : bool
    own : mapping of str to float
        By how much the two references differ: errors below ten times that are not resolved.
    points : sequence of Point
    """

    name: str
    horizon: float
    smooth: bool
    own: Mapping[str, float]
    points: Sequence[Point]

    def resolved(self, error: str) -> float:
        """The smallest error of that kind that the reference can tell."""
        return 10.0 * self.own[error]


@dataclass(frozen=True, eq=False)
class Integrators:
    """The study's result.

    Attributes
    ----------
    cases : mapping of str to CaseRuns
    about : mapping
        The plan, provenance and wall ``seconds``.
    """

    cases: Mapping[str, CaseRuns]
    about: Mapping[str, Any]

    @cached_property
    def rows(self) -> list[Row]:
        """The cheapest methods by decade of error, and what failed."""
        return [row for case in self.cases.values() for row in rows(case)]

    def table(self) -> str:
        """The rows as text."""
        return text(self.rows)

    @property
    def figure_names(self) -> list[str]:
        """Of the figures of `plot`, in their order."""
        return list(self.cases)

    def plot(self) -> dict[str, Figure]:
        """A work-precision diagram for each case, by its name."""
        from wflow.studies.integrators.figure import draw

        return draw(self)

    def save(self, path: str | os.PathLike[str], *, force: bool = False) -> None:
        """Write the HDF5 file, at one stroke.

        Raises
        ------
        FileExistsError
            If it exists and `force` is not set.
        """
        import h5py

        path = Path(path)
        if path.exists() and not force:
            raise FileExistsError(f"{path} exists; force replaces it")
        path.parent.mkdir(parents=True, exist_ok=True)
        with disk.temporary(path) as partial:
            with h5py.File(partial, "w") as file:
                file.attrs.update({"kind": KIND, "layout": _LAYOUT, "about": json.dumps(self.about)})
                for case in self.cases.values():
                    group = file.create_group(case.name)
                    group.attrs.update({"horizon": case.horizon, "smooth": case.smooth, "own": json.dumps(dict(case.own))})
                    for field in fields(Point):
                        group[field.name] = [getattr(point, field.name) for point in case.points]
                write_rows(file.create_group("table"), self.rows)
            os.replace(partial, path)


def open_study(path: str | os.PathLike[str]) -> Integrators:
    """Read a study's file.

    Raises
    ------
    ValueError
        If it holds something else.
    OSError
        If it cannot be read.
    """
    import h5py

    with h5py.File(path, "r") as file:
        if file.attrs.get("kind") != KIND:
            raise ValueError(f"{path} is not a file of `wflow study integrators`")
        about = json.loads(file.attrs["about"])
        return Integrators({told["name"]: _read(told["name"], file[told["name"]]) for told in about["cases"]}, about)


def _read(name: str, group: Any) -> CaseRuns:
    columns = [group[field.name].asstr()[()] if group[field.name].dtype.kind == "O" else group[field.name][()] for field in fields(Point)]
    points = [Point(*(value.item() if isinstance(value, np.generic) else value for value in row)) for row in zip(*columns, strict=True)]
    attrs = group.attrs
    return CaseRuns(name, float(attrs["horizon"]), bool(attrs["smooth"]), json.loads(attrs["own"]), points)
