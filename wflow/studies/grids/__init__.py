"""Particles and grids for one PDE: both refined, they meet, at an order that is reported (math.md §11)."""

from __future__ import annotations

from wflow.studies.grids.problems import BUILT_IN, Bump, Problem, built_in
from wflow.studies.grids.results import Grids, ProblemGrids, open_study
from wflow.studies.grids.study import run

__all__ = ["BUILT_IN", "Bump", "Grids", "Problem", "ProblemGrids", "built_in", "open_study", "run"]
