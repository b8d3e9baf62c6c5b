"""What the study found, in memory and in one HDF5 file; its table and figures are made from this alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from wflow._checks import Array
from wflow.studies.result import Result, reading
from wflow.studies.support.analysis import rows
from wflow.studies.table import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["ProblemSupport", "Support", "open_study"]

_LAYOUT = """One group for each problem, in it one for each part.
flow: times (T,), clouds (T, K, m) of the separating start, theta (G, m - 1) and g (T, G) on it, covering (T,) by all N particles and
covering_quarter by the first N/4; for the separating start (positive) and each control gap, gap_lower, gap_upper, dissipation (T,) and
end/*, the residuals at the end; of controls defect (T,) and bound.
surface: times (T,), points (V, m - 1) and simplices of the mesh of Θ, images (T, V, m), conditions and figures of the certificate (T,),
tear (T,), replay (T,), and of smooth neurons log_determinant, log_volume (T, K), condition (T,).
tears/N: tear (T,) on N action nodes. escape: as wflow.studies.support.escape.escape returns it.
Times are mean-field times. table: one dataset for each column of the table of verdicts."""


@dataclass(frozen=True, eq=False)
class ProblemSupport:
    """What was found of a problem.

    Attributes
    ----------
    name, outside : str
        As `Problem`.
    parts : mapping
        ``{part: {name: array}}`` for "flow", "surface" and "escape"; the functions of `wflow.studies.support.runs` say what is in them.
    tears : mapping of int to ndarray, shape (T,)
        Tear widths by number of action nodes; empty where they were not asked for.
    """

    name: str
    outside: str
    parts: Mapping[str, Mapping[str, Array]]
    tears: Mapping[int, Array]

    @property
    def region(self) -> bool:
        """Whether Θ is a box: a mesh of triangles in the plane."""
        surface = self.parts["surface"]
        return (surface["simplices"].shape[1], surface["points"].shape[1]) == (3, 2)


@dataclass(frozen=True, eq=False)
class Support(Result):
    """The study's result.

    Attributes
    ----------
    problems : mapping of str to ProblemSupport
    about : mapping
        The plan, provenance and wall ``seconds``.
    """

    problems: Mapping[str, ProblemSupport]
    about: Mapping[str, Any]

    kind = "wflow study support"
    layout = _LAYOUT

    @cached_property
    def rows(self) -> list[Row]:
        """Claims with what was measured, the theory's figure, and a verdict each."""
        return [row for problem in self.problems.values() for row in rows(problem, self.about)]

    @property
    def figure_names(self) -> list[str]:
        """Of the figures of `plot`, in their order."""
        return list(self.problems)

    def plot(self) -> dict[str, Figure]:
        """A figure for each problem, by its name."""
        from wflow.studies.support.figure import draw

        return draw(self)

    def _write(self, file: Any) -> None:
        for problem in self.problems.values():
            group = file.create_group(problem.name)
            group.attrs["outside"] = problem.outside
            for part, arrays in problem.parts.items():
                for name, values in arrays.items():
                    group[f"{part}/{name}"] = values
            for n, widths in problem.tears.items():
                group[f"tears/{n}"] = widths


def open_study(path: str | os.PathLike[str]) -> Support:
    """Read a study's file.

    Raises
    ------
    ValueError
        If it holds something else.
    OSError
        If it cannot be read.
    """
    with reading(path, Support.kind) as (file, about):
        return Support({told["name"]: _read(told["name"], file[told["name"]]) for told in about["problems"]}, about)


def _read(name: str, group: Any) -> ProblemSupport:
    import h5py

    parts: dict[str, dict[str, Array]] = {}
    for part in group:
        arrays: dict[str, Array] = {}
        group[part].visititems(lambda key, item, into=arrays: into.update({key: item[()]}) if isinstance(item, h5py.Dataset) else None)
        parts[part] = {key: np.asarray(value) for key, value in arrays.items()}
    tears = parts.pop("tears", {})
    return ProblemSupport(name, group.attrs["outside"], parts, {n: tears[str(n)] for n in sorted(map(int, tears))})
