"""Flows: what moves and how (math.md §3, §8, §9)."""

from __future__ import annotations

from wflow.flows.base import Flow, Stepper
from wflow.flows.wasserstein import WassersteinFlow

__all__ = ["Flow", "Stepper", "WassersteinFlow"]
