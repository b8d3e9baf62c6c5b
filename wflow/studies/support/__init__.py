"""Fixed points and support: certificates of what Theorem 4.2 and its lemmas say (math.md §7)."""

from __future__ import annotations

from wflow.studies.support.controls import CONTROLS, Control
from wflow.studies.support.problems import BUILT_IN, SEEDS, Problem, built_in
from wflow.studies.support.results import ProblemSupport, Support, open_study
from wflow.studies.support.study import run
from wflow.studies.support.surface import Surface, carry, start_mesh

__all__ = [
    "BUILT_IN", "CONTROLS", "SEEDS", "Control", "Problem", "ProblemSupport", "Support", "Surface", "built_in", "carry", "open_study", "run",
    "start_mesh",
]  # fmt: skip
