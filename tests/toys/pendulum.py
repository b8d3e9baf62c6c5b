"""A pendulum: smooth, with events to find, and a flow that tells when its diagnostics were asked for."""

from __future__ import annotations

import numpy as np

from wflow.loop import solve


class Pendulum:
    """y'' = -sin y; conserves its energy."""

    def __init__(self):
        self.asked = []

    def pack(self, initial):
        return np.array(initial, dtype=float)

    def unpack(self, y):
        return {"angle": float(y[0]), "speed": float(y[1])}

    def rhs(self, t, y):
        return np.array([y[1], -np.sin(y[0])])

    def diagnostics(self, t, y):
        self.asked.append(t)
        return {"energy": float(0.5 * y[1] ** 2 - np.cos(y[0])), "dissipation": float(y[1] ** 2)}


def run(record=None, method="RK45", t_end=5.0, **options):
    return solve(Pendulum(), [1.0, 0.0], t_end, method, record=record, **options)
