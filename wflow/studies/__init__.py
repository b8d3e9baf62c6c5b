"""Studies: a plan of runs, an analysis and a figure each."""

from __future__ import annotations

from wflow.studies import chaos

__all__ = ["chaos"]
