"""Benchmarks: committed scripts, their last output in ``output/``."""
