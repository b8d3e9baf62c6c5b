"""A spiral in the plane with everything a flow can store, and processes of their own to run it in."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np

from wflow.loop import solve


class Spiral:
    """y' = (rotation - 1/10) y in the plane."""

    def pack(self, initial):
        return np.array(initial, dtype=float)

    def unpack(self, y):
        return y.copy()

    def rhs(self, t, y):
        return np.array([y[1] - 0.1 * y[0], -y[0] - 0.1 * y[1]])

    def diagnostics(self, t, y):
        return {"energy": float(y @ y), "angle": float(np.arctan2(y[1], y[0]))}

    def static(self):
        return {"nodes": np.linspace(0, 1, 7), "labels": np.arange(6).reshape(2, 3)}

    def finals(self, t, y):
        return {"policy": np.outer(y, y)}


def crossing(t, state):
    return state[0]


def run(path=None, t_end=30.0, initial=(1.0, 0.0), flow=None, **options):
    return solve(flow or Spiral(), initial, t_end, "RK45", path=path, provenance={"seed": 7, "config": {"a": (1, 2)}}, **options)


def python(body, *arguments):
    """The command that runs `body`, with `run` in scope, in a process of its own."""
    head = f"""
import os, signal, sys, time; sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from toys.spiral import run
from wflow.loop import open as open_run
from wflow.record import every_step
"""
    return [sys.executable, "-c", head + textwrap.dedent(body), *map(str, arguments)]


def script(body, tmp_path, *arguments):
    """What `body` did."""
    return subprocess.run(python(body, *arguments), cwd=tmp_path, capture_output=True, text=True, timeout=120)
