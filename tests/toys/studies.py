"""Problems of one's own for the chaos study, in a module that its workers can import."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from wflow.energies import PolicyValue, QuadraticInteraction
from wflow.mdp import agazzi_lu_bandit
from wflow.measures import laws


class Wave:
    """½ |f|² with f = ∫ (x, sin 2x) dν on the line, minimised: the least that the study asks for, and no more."""

    sense = -1

    def function_values(self, measure):
        x = measure.points[:, 0]
        return np.array([measure.weights @ x, measure.weights @ np.sin(2.0 * x)])

    def function_variance(self, measure):
        x, f = measure.points[:, 0], self.function_values(measure)
        return float(measure.weights @ (x**2 + np.sin(2.0 * x) ** 2) - f @ f)

    def value(self, measure):
        f = self.function_values(measure)
        return float(f @ f) / 2.0

    def signal(self, measure):
        return self.function_values(measure)

    def field(self, points, signal):
        return -(signal[0] + 2.0 * np.cos(2.0 * points) * signal[1])

    def velocity(self, measure):
        return self.field(measure.points, self.signal(measure))


class Fragile(Wave):
    """Its runs of 6 particles fail as long as there is a file."""

    def __init__(self, flag):
        self.flag = Path(flag)

    def velocity(self, measure):
        if measure.size == 6 and self.flag.exists():
            raise OSError("the disk is gone")
        return super().velocity(measure)


LINE = laws.Product((laws.Normal(0.5, 0.5),))


def wave():
    return Wave(), LINE


def fragile(flag):
    return Fragile(flag), LINE


def bandit(activation="tanh", n_actions=10):
    energy = PolicyValue(agazzi_lu_bandit(n_actions=n_actions), activation)
    return energy, laws.student(energy.n_parameters)


def free():
    """No interaction: particles are their own copies."""
    return QuadraticInteraction(0.5, 0.0), laws.Product((laws.Normal(1.0, 1.0), laws.Normal(0.0, 0.25)))


def skew():
    """The linear problem, started from a law that is no Gaussian and has a coordinate that rests at a point."""
    return QuadraticInteraction(0.6, 1.1), laws.Product((laws.Uniform(-0.5, 2.5), laws.Point(0.4), laws.Normal(0.2, 0.5)))


def broken():
    return "nothing"


def half_done():
    class Half:
        value = velocity = signal = field = staticmethod(lambda *_: 0.0)

    return Half(), LINE


def lawless():
    return Wave(), np.zeros(3)
