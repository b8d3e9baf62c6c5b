"""Flows: what moves and how (math.md §3, §8, §9)."""

from __future__ import annotations

from wflow.flows.action_particles import WassersteinPolicyParticles
from wflow.flows.action_space import WassersteinPolicyFlow
from wflow.flows.actor_critic import ActorCriticFlow, ActorCriticState
from wflow.flows.base import Flow, Stepper
from wflow.flows.birth_death import BirthDeathFlow
from wflow.flows.critics import LinearCritic, fourier_features, polynomial_features, tabular_features
from wflow.flows.eulerian import EulerianFlow
from wflow.flows.fisher_rao import FisherRaoFlow
from wflow.flows.fisher_rao_transport import WassersteinFisherRaoFlow
from wflow.flows.jko import JKOFlow
from wflow.flows.langevin import LangevinFlow
from wflow.flows.stored_field import FieldEnergy, StoredField, TracerFlow
from wflow.flows.variational import SmoothEnergy, VariationalFlow, Variations
from wflow.flows.wasserstein import WassersteinFlow

__all__ = [
    "ActorCriticFlow", "ActorCriticState", "BirthDeathFlow", "EulerianFlow", "FieldEnergy", "FisherRaoFlow", "Flow", "JKOFlow",
    "LangevinFlow", "LinearCritic", "SmoothEnergy", "Stepper", "StoredField", "TracerFlow", "VariationalFlow", "Variations",
    "WassersteinFisherRaoFlow", "WassersteinFlow", "WassersteinPolicyFlow", "WassersteinPolicyParticles", "fourier_features",
    "polynomial_features", "tabular_features",
]  # fmt: skip
