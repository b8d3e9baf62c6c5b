"""Flows: what moves and how (math.md §3, §8, §9)."""

from __future__ import annotations

from wflow.flows.base import Flow, Stepper
from wflow.flows.stored_field import FieldEnergy, StoredField, TracerFlow
from wflow.flows.wasserstein import WassersteinFlow

__all__ = ["FieldEnergy", "Flow", "Stepper", "StoredField", "TracerFlow", "WassersteinFlow"]
