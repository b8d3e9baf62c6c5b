"""Distances between measures: W2 by exact solvers, by certified column generation, or between rigorous bounds."""

from wflow.measures.distances.door import METHODS, w2
from wflow.measures.distances.result import W2Result

__all__ = ["METHODS", "W2Result", "w2"]
