"""Measures that move, and the laws they start from."""

from wflow.measures import distances, laws
from wflow.measures.particles import ParticleMeasure

__all__ = ["ParticleMeasure", "distances", "laws"]
