"""Propagation of chaos, measured: N particles against the mean-field measure (math.md §6)."""

from __future__ import annotations

from wflow.studies.chaos.linear import Constants
from wflow.studies.chaos.problems import BUILT_IN, Problem, built_in
from wflow.studies.chaos.results import Chaos, Curve, ProblemErrors, open_study
from wflow.studies.chaos.study import run

__all__ = ["BUILT_IN", "Chaos", "Constants", "Curve", "Problem", "ProblemErrors", "built_in", "open_study", "run"]
