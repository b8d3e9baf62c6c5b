"""Integrators: work against precision on these flows, ours beside SciPy's and other peers."""

from __future__ import annotations

from wflow.studies.integrators.cases import BUILT_IN, Case, Start, built_in
from wflow.studies.integrators.plan import METHODS
from wflow.studies.integrators.results import CaseRuns, Integrators, Point, open_study
from wflow.studies.integrators.study import run

__all__ = ["BUILT_IN", "METHODS", "Case", "CaseRuns", "Integrators", "Point", "Start", "built_in", "open_study", "run"]
