"""A flow that is no ODE: its stepper draws at random, and keeps its generator's state."""

from __future__ import annotations

import numpy as np
from toys.decay import Decay


class Noise(Decay):
    """dy = -y dt + dW in steps of 0.01."""

    def __init__(self, kind="PCG64"):
        super().__init__()
        self.kind = kind

    def stepper(self, t, y, t_end, *, seed=0):
        return Walk(t, y, t_end, np.random.Generator(getattr(np.random, self.kind)(seed)))


class Walk:
    status = "running"

    def __init__(self, t, y, t_end, rng):
        self.t, self.y, self.t_end, self.rng = t, y, t_end, rng

    def step(self):
        self.t = min(self.t_end, self.t + 0.01)
        self.y = 0.99 * self.y + 0.1 * self.rng.standard_normal(self.y.size)

    def dense_output(self):
        return lambda t: self.y

    def state_dict(self):
        return {"rng": self.rng}

    def load_state_dict(self, state):
        self.rng.bit_generator.state = state["rng"]
