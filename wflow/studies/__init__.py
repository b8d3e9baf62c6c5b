"""Studies: a plan of runs, an analysis and a figure each."""

from __future__ import annotations

from wflow.studies import chaos, grids, integrators, support
from wflow.studies.files import is_study, open_study

__all__ = ["chaos", "grids", "integrators", "is_study", "open_study", "support"]
