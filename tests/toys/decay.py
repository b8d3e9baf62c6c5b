"""Exponential decay, explicit Euler, and any other field in their place: what the loop is tested on."""

from __future__ import annotations

import numpy as np
from scipy.integrate import OdeSolver


class Decay:
    """y' = -k y, energy |y|²/2 minimised: dE/dt = -k |y|²."""

    def __init__(self, k=1.0):
        self.k = k

    def pack(self, initial):
        return np.array(initial, dtype=float)

    def unpack(self, y):
        return y.copy()

    def rhs(self, t, y):
        return -self.k * y

    def diagnostics(self, t, y):
        return {"energy": 0.5 * float(y @ y), "dissipation": self.k * float(y @ y)}


class Euler(OdeSolver):
    """Explicit Euler with an own option, on SciPy's contract."""

    def __init__(self, fun, t0, y0, t_bound, dt, vectorized=False):
        super().__init__(fun, t0, y0, t_bound, vectorized)
        self.dt, self.y_old = dt, y0

    def _step_impl(self):
        h = min(self.dt, self.t_bound - self.t)
        self.y_old, self.y = self.y, self.y + h * self.fun(self.t, self.y)
        self.t = self.t_bound if h < self.dt else self.t + h
        return True, None

    def _dense_output_impl(self):
        a, b, s, t = self.y_old, self.y, self.t_old, self.t
        return lambda at: a + (at - s) / (t - s) * (b - a)


def field(function, base=Decay):
    """A flow with another right-hand side."""
    return type("Field", (base,), {"rhs": lambda self, t, y: function(t, y)})()
