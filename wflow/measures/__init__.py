"""Measures that move, and the laws they start from."""

from wflow.measures import distances, laws
from wflow.measures.grid import GridMeasure
from wflow.measures.particles import ParticleMeasure

__all__ = ["GridMeasure", "ParticleMeasure", "distances", "laws"]
