"""Experiments that tests run."""

from __future__ import annotations

OWN = """
title = "three arms"
seeds = [0, 1]

[problem]
kind = "garnet"
n_states = 3
n_actions = 4
branching = 2
discount = 0.9
temperature = 0.2

[flow]
n_particles = 20

[solver]
t_end = 2.0
method = "tsit5"
"""
