"""Neurons and the exact kernels that sum them over all nodes and back (math.md §3, §5)."""

from wflow.neurons.activations import NAMES, Activation, get
from wflow.neurons.network import ALGORITHMS, Network

__all__ = ["ALGORITHMS", "NAMES", "Activation", "Network", "get"]
