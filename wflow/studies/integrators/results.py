"""What the study measured, in memory and in one HDF5 file; its table and figures are made from this alone."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from wflow.studies.integrators.analysis import rows
from wflow.studies.result import Result, reading
from wflow.studies.table import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["CaseRuns", "Integrators", "Point", "open_study"]

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
class Integrators(Result):
    """The study's result.

    Attributes
    ----------
    cases : mapping of str to CaseRuns
    about : mapping
        The plan, provenance and wall ``seconds``.
    """

    cases: Mapping[str, CaseRuns]
    about: Mapping[str, Any]

    kind = "wflow study integrators"
    layout = _LAYOUT

    @cached_property
    def rows(self) -> list[Row]:
        """The cheapest methods by decade of error, and what failed."""
        return [row for case in self.cases.values() for row in rows(case)]

    @property
    def figure_names(self) -> list[str]:
        """Of the figures of `plot`, in their order."""
        return list(self.cases)

    def plot(self) -> dict[str, Figure]:
        """A work-precision diagram for each case, by its name."""
        from wflow.studies.integrators.figure import draw

        return draw(self)

    def _write(self, file: Any) -> None:
        for case in self.cases.values():
            group = file.create_group(case.name)
            group.attrs.update({"horizon": case.horizon, "smooth": case.smooth, "own": json.dumps(dict(case.own))})
            for field in fields(Point):
                group[field.name] = [getattr(point, field.name) for point in case.points]


def open_study(path: str | os.PathLike[str]) -> Integrators:
    """Read a study's file.

    Raises
    ------
    ValueError
        If it holds something else.
    OSError
        If it cannot be read.
    """
    with reading(path, Integrators.kind) as (file, about):
        return Integrators({told["name"]: _read(told["name"], file[told["name"]]) for told in about["cases"]}, about)


def _read(name: str, group: Any) -> CaseRuns:
    columns = [group[field.name].asstr()[()] if group[field.name].dtype.kind == "O" else group[field.name][()] for field in fields(Point)]
    points = [Point(*(value.item() if isinstance(value, np.generic) else value for value in row)) for row in zip(*columns, strict=True)]
    attrs = group.attrs
    return CaseRuns(name, float(attrs["horizon"]), bool(attrs["smooth"]), json.loads(attrs["own"]), points)
