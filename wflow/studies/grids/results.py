"""What the study measured, in memory and in one HDF5 file; its table and figures are made from this alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from wflow._checks import Array
from wflow.studies.grids.analysis import rows
from wflow.studies.result import Result, reading
from wflow.studies.table import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Grids", "ProblemGrids", "open_study"]

_LAYOUT = """One group for each problem.
reference: times (T,), energy, slope (dE/dt) and half (E from half the nodes along each axis) (T,), gap (T,) where the optimum and exact
(T,) where E is known; at the end mean (m,), covariance (m, m), cloud (K, m), the first K Sobol points, own (m,), W2 between the marginals
of all Sobol points and of half of them.
cells/N: a grid of N cells along each axis; at its own steps times, energy, mass_drift, lowest (smallest mass), wall_mass (S,); at the
end mean, covariance, marginals (m,), W2 between its marginals and those of all Sobol points, w2 (middle, lower, upper) to the particles
that started at the centres of its cells, moved, how far these went (rms, in cells), atoms and dropped (2,), the numbers of atoms of the
particles and of the grid in it and the masses it left out, lattice_energy (2,), E of these particles at the start and the end; edgesK,
startK and endK, edges of the cells along axis K and the marginal's masses in them.
particles/N: energy (S, T) of N Sobol points, scrambled S times.
Times are mean-field times. table: one dataset for each column of the table of verdicts."""


@dataclass(frozen=True, eq=False)
class ProblemGrids:
    """What was found of a problem.

    Attributes
    ----------
    name, outside : str
        As `Problem`.
    reference : mapping of str to ndarray
    cells, particles : mapping of int to mapping of str to ndarray
        By cells along each axis and by number of particles, ascending; the functions of `wflow.studies.grids.runs` say what is in them.
    """

    name: str
    outside: str
    reference: Mapping[str, Array]
    cells: Mapping[int, Mapping[str, Array]]
    particles: Mapping[int, Mapping[str, Array]]

    @property
    def dimension(self) -> int:
        """Number of coordinates m."""
        return len(self.reference["mean"])


@dataclass(frozen=True, eq=False)
class Grids(Result):
    """The study's result.

    Attributes
    ----------
    problems : mapping of str to ProblemGrids
    about : mapping
        The plan, provenance and wall ``seconds``.
    """

    problems: Mapping[str, ProblemGrids]
    about: Mapping[str, Any]

    kind = "wflow study grids"
    layout = _LAYOUT

    @cached_property
    def rows(self) -> list[Row]:
        """Claims with what was measured, the theory's figure, and a verdict each."""
        return [row for problem in self.problems.values() for row in rows(problem)]

    @property
    def figure_names(self) -> list[str]:
        """Of the figures of `plot`, in their order."""
        return list(self.problems)

    def plot(self) -> dict[str, Figure]:
        """A figure for each problem, by its name."""
        from wflow.studies.grids.figure import draw

        return draw(self)

    def _write(self, file: Any) -> None:
        for problem in self.problems.values():
            group = file.create_group(problem.name)
            group.attrs["outside"] = problem.outside
            parts = {"reference": problem.reference, **{f"cells/{n}": grid for n, grid in problem.cells.items()},
                     **{f"particles/{n}": cloud for n, cloud in problem.particles.items()}}  # fmt: skip
            for part, arrays in parts.items():
                for name, values in arrays.items():
                    group[f"{part}/{name}"] = values


def open_study(path: str | os.PathLike[str]) -> Grids:
    """Read a study's file.

    Raises
    ------
    ValueError
        If it holds something else.
    OSError
        If it cannot be read.
    """
    with reading(path, Grids.kind) as (file, about):
        return Grids({told["name"]: _read(told["name"], file[told["name"]]) for told in about["problems"]}, about)


def _read(name: str, group: Any) -> ProblemGrids:
    def arrays(part: Any) -> dict[str, Array]:
        return {key: np.asarray(part[key][()]) for key in part}

    def ladder(part: Any) -> dict[int, dict[str, Array]]:
        return {n: arrays(part[str(n)]) for n in sorted(map(int, part))}

    return ProblemGrids(name, group.attrs["outside"], arrays(group["reference"]), ladder(group["cells"]), ladder(group["particles"]))
