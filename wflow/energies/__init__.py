"""Energies: functionals of measures and their Wasserstein gradients."""

from wflow.energies.base import Energy, Evaluation
from wflow.energies.policy_value import PolicyEvaluation, PolicyValue
from wflow.energies.quadratic import QuadraticInteraction

__all__ = ["Energy", "Evaluation", "PolicyEvaluation", "PolicyValue", "QuadraticInteraction"]
