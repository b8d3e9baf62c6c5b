"""Energies: functionals of measures and their Wasserstein gradients."""

from wflow.energies.base import Energy, Evaluation
from wflow.energies.domains import Box, Sphere
from wflow.energies.policy_value import PolicyEvaluation, PolicyValue
from wflow.energies.quadratic import QuadraticInteraction
from wflow.energies.residuals import Residuals, residuals

__all__ = [
    "Box", "Energy", "Evaluation", "PolicyEvaluation", "PolicyValue", "QuadraticInteraction", "Residuals", "Sphere", "residuals",
]  # fmt: skip
