"""Energies: functionals of measures and their Wasserstein gradients."""

from wflow.energies.base import Energy, Evaluation
from wflow.energies.domains import Box, Sphere
from wflow.energies.free import Potential
from wflow.energies.interaction import Interaction
from wflow.energies.internal import Entropy, PowerLaw
from wflow.energies.policy_value import PolicyEvaluation, PolicyValue
from wflow.energies.quadratic import QuadraticInteraction
from wflow.energies.regression import Regression, RegressionEvaluation
from wflow.energies.residuals import Residuals, residuals
from wflow.energies.sums import Sum, temperature_of, value_on, variation_on_cells

__all__ = [
    "Box", "Energy", "Entropy", "Evaluation", "Interaction", "PolicyEvaluation", "PolicyValue", "Potential", "PowerLaw",
    "QuadraticInteraction", "Regression", "RegressionEvaluation", "Residuals", "Sphere", "Sum", "residuals", "temperature_of",
    "value_on", "variation_on_cells",
]  # fmt: skip
