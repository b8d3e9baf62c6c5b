"""Flows: what moves and how (math.md §3, §8, §9)."""

from __future__ import annotations

from wflow.flows.base import Flow, Stepper
from wflow.flows.stored_field import FieldEnergy, StoredField, TracerFlow
from wflow.flows.variational import SmoothEnergy, VariationalFlow, Variations
from wflow.flows.wasserstein import WassersteinFlow

__all__ = [
    "FieldEnergy", "Flow", "SmoothEnergy", "Stepper", "StoredField", "TracerFlow", "VariationalFlow", "Variations", "WassersteinFlow",
]  # fmt: skip
