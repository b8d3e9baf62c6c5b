"""Wasserstein flows whose solution is known: what runs are held against (math.md §8, references "Flows")."""

from wflow.closed_forms.aggregation import AbsoluteAttraction
from wflow.closed_forms.barenblatt import Barenblatt
from wflow.closed_forms.gaussian import BuresWasserstein, GaussianFlow, Heat, OrnsteinUhlenbeck, QuadraticAttraction, gaussian_jko
from wflow.closed_forms.interval import FokkerPlanckInterval
from wflow.closed_forms.linear_quadratic import LinearQuadratic, LinearQuadraticPath

__all__ = [
    "AbsoluteAttraction", "Barenblatt", "BuresWasserstein", "FokkerPlanckInterval", "GaussianFlow", "Heat", "LinearQuadratic",
    "LinearQuadraticPath", "OrnsteinUhlenbeck", "QuadraticAttraction", "gaussian_jko",
]  # fmt: skip
