"""Measures that move, and the laws they start from."""

from wflow.measures import distances, laws
from wflow.measures.grid import GridMeasure
from wflow.measures.log_sobolev import LogSobolevBounds, log_sobolev_bounds
from wflow.measures.particles import ParticleMeasure

__all__ = ["GridMeasure", "LogSobolevBounds", "ParticleMeasure", "distances", "laws", "log_sobolev_bounds"]
