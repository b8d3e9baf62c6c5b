"""What the study measured, in memory and in one HDF5 file; its table and figures are made from this alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from wflow._checks import Array
from wflow.studies.chaos.analysis import rows
from wflow.studies.result import Result, reading
from wflow.studies.table import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Chaos", "Curve", "ProblemErrors", "open_study"]

_LAYOUT = """One group for each problem, in it one for each start (iid, qmc, quantised), in it one for each N with the errors of every seed:
coupling (S, T), sup (S, T; its largest value until then), function (S, T; squared), copies (S, T; the same of the coupled copies),
energy (S, T), bias (S, T; NaN where it was not measured), w2 (S, C, 6: value, lower, upper, and the same of the baseline; NaN where it was
not computed). times (T,) and cloud_times (C,) are mean-field times. variances (T,): N times the expectation of copies. own/*: errors of
the reference itself. exact/* (K, T): expected errors where they are known. table: one dataset for each column of the table of
verdicts."""


@dataclass(frozen=True, eq=False)
class Curve:
    """Errors at one N, of S independent starts at T times; W2 at C times (`wflow.studies.chaos.errors` says what each is)."""

    coupling: Array
    sup: Array
    function: Array
    copies: Array
    energy: Array
    bias: Array
    w2: Array


@dataclass(frozen=True, eq=False)
class ProblemErrors:
    """Errors of a problem.

    Attributes
    ----------
    name, group, outside : str
        As `Problem`.
    times, cloud_times : ndarray, shapes (T,), (C,)
    reference, w2_size : int
        Characteristics of the reference, and of the part of it that W2 is measured against (0: no W2).
    own : mapping of str to ndarray
        Errors of the reference: ``energy``, ``function`` (T,) from the one of half the size, ``w2`` (C,) bounds from twice the cloud,
        ``replay`` (T,) what its particles lose in the stored field.
    exact : mapping of str to ndarray, shape (K, T)
        Expected errors of the i.i.d. starts where they are known: `Problem.exact`.
    variances : ndarray, shape (T,)
        N times the expectation of ``copies`` for i.i.d. starts.
    curves : mapping
        ``{start: {N: Curve}}``.
    """

    name: str
    group: str
    outside: str
    times: Array
    cloud_times: Array
    reference: int
    w2_size: int
    own: Mapping[str, Array]
    exact: Mapping[str, Array]
    variances: Array
    curves: Mapping[str, Mapping[int, Curve]]


@dataclass(frozen=True, eq=False)
class Chaos(Result):
    """The study's result.

    Attributes
    ----------
    problems : mapping of str to ProblemErrors
    about : mapping
        The plan, provenance and wall ``seconds``.
    """

    problems: Mapping[str, ProblemErrors]
    about: Mapping[str, Any]

    kind = "wflow study chaos"
    layout = _LAYOUT

    @cached_property
    def rows(self) -> list[Row]:
        """Claims with what was measured, the theory's figure, and a verdict each."""
        return [row for problem in self.problems.values() for row in rows(problem, self.about)]

    @property
    def figure_names(self) -> list[str]:
        """Of the figures of `plot`, in their order: groups of problems, and problems that stand alone."""
        return list(dict.fromkeys(problem.group or problem.name for problem in self.problems.values()))

    def plot(self) -> dict[str, Figure]:
        """A figure for each group of problems, by its name."""
        from wflow.studies.chaos.figure import draw

        return draw(self)

    def _write(self, file: Any) -> None:
        for problem in self.problems.values():
            _write(file.create_group(problem.name), problem)


def open_study(path: str | os.PathLike[str]) -> Chaos:
    """Read a study's file.

    Raises
    ------
    ValueError
        If it holds something else.
    OSError
        If it cannot be read.
    """
    with reading(path, Chaos.kind) as (file, about):
        return Chaos({told["name"]: _read(told["name"], file[told["name"]]) for told in about["problems"]}, about)


_VECTORS = ("times", "cloud_times", "variances")
_NUMBERS = ("group", "outside", "reference", "w2_size")


def _write(group: Any, problem: ProblemErrors) -> None:
    group.attrs.update({name: getattr(problem, name) for name in _NUMBERS})
    for name in _VECTORS:
        group[name] = getattr(problem, name)
    for name in ("own", "exact"):
        part = group.create_group(name)
        for key, values in getattr(problem, name).items():
            part[key] = values
    for kind, curve in problem.curves.items():
        for n, found in curve.items():
            for field in fields(Curve):
                group[f"curves/{kind}/{n}/{field.name}"] = getattr(found, field.name)


def _read(name: str, group: Any) -> ProblemErrors:
    curves = {
        kind: {n: Curve(**{field.name: sizes[str(n)][field.name][()] for field in fields(Curve)}) for n in sorted(map(int, sizes))}
        for kind, sizes in group["curves"].items()
    }
    own, exact = ({key: values[()] for key, values in group[part].items()} for part in ("own", "exact"))
    numbers: dict[str, Any] = {key: value.item() if isinstance(value, np.generic) else str(value) for key, value in group.attrs.items()}
    vectors: dict[str, Any] = {key: group[key][()] for key in _VECTORS}
    return ProblemErrors(name=name, own=own, exact=exact, curves=curves, **vectors, **numbers)


