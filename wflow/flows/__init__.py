"""Flows: what moves and how (math.md §3, §8, §9)."""

from __future__ import annotations

from wflow.flows.base import Flow, Stepper
from wflow.flows.birth_death import BirthDeathFlow
from wflow.flows.eulerian import EulerianFlow
from wflow.flows.fisher_rao_transport import WassersteinFisherRaoFlow
from wflow.flows.jko import JKOFlow
from wflow.flows.langevin import LangevinFlow
from wflow.flows.stored_field import FieldEnergy, StoredField, TracerFlow
from wflow.flows.variational import SmoothEnergy, VariationalFlow, Variations
from wflow.flows.wasserstein import WassersteinFlow

__all__ = [
    "BirthDeathFlow", "EulerianFlow", "FieldEnergy", "Flow", "JKOFlow", "LangevinFlow", "SmoothEnergy", "Stepper", "StoredField",
    "TracerFlow", "VariationalFlow", "Variations", "WassersteinFisherRaoFlow", "WassersteinFlow",
]  # fmt: skip
