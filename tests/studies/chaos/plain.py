"""The study's errors worked out again in plain NumPy: small Runge–Kutta steps, a mean field that is solved along with the copies."""

from __future__ import annotations

import numpy as np

STEPS = 640  # of the classical method over the whole horizon


def runge_kutta(field, x, times):
    """States at `times`, multiples of the step."""
    h, states = times[-1] / STEPS, []
    marks = {round(t / h) for t in times}
    for k in range(1, STEPS + 1):
        k1 = field(x)
        k2 = field(x + h / 2 * k1)
        k3 = field(x + h / 2 * k2)
        x = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + field(x + h * k3))
        if k in marks:
            states.append(x)
    return states


class Linear:
    """Velocity, energy and observable of the linear problem."""

    def __init__(self, stiffness, attraction):
        self.stiffness, self.attraction = stiffness, attraction

    def velocity(self, points, source, weights):
        return -self.stiffness * points - self.attraction * (points - weights @ source)

    def value(self, points, weights):
        pairs = ((points[:, None] - points) ** 2).sum(axis=2)
        return self.stiffness / 2 * weights @ (points**2).sum(axis=1) + self.attraction / 4 * weights @ pairs @ weights

    def function(self, points, weights):
        return weights @ points


class TanhBandit:
    """The policy value of a bandit with tanh neurons [ω0, k_a, b], uniform action weights 1/n_a."""

    def __init__(self, mdp):
        self.actions, self.reward, self.tau = mdp.actions.nodes[:, 0], mdp.reward[0], mdp.temperature
        self.weights = mdp.actions.weights

    def _neurons(self, points):
        return np.tanh(points[:, 1:2] * self.actions + points[:, 2:])

    def _policy(self, source, weights):
        f = weights @ (source[:, :1] * self._neurons(source))
        log_policy = f - np.log(np.exp(f) @ self.weights)
        return log_policy, self.weights * np.exp(log_policy)

    def velocity(self, points, source, weights):
        log_policy, mass = self._policy(source, weights)
        q = self.reward - self.tau * log_policy
        signal = mass * (q - mass @ q)
        phi = self._neurons(points)
        slope = points[:, :1] * (1.0 - phi**2)
        return np.stack([phi @ signal, (slope * self.actions) @ signal, slope @ signal], axis=1)

    def value(self, points, weights):
        log_policy, mass = self._policy(points, weights)
        return mass @ (self.reward - self.tau * log_policy)

    def function(self, points, weights):
        f = weights @ (points[:, :1] * self._neurons(points))
        share = self.weights / self.weights.sum()
        return (f - share @ f) * np.sqrt(share)


def errors(model, start, weights, reference, times):
    """Coupling, function, copies and energy errors (T,) of one start, and the states of run, copies and reference."""
    n, uniform = len(start), np.full(len(reference), 1.0 / len(reference))
    runs = runge_kutta(lambda x: model.velocity(x, x, weights), start, times)
    together = runge_kutta(lambda x: model.velocity(x, x[n:], uniform), np.vstack([start, reference]), times)
    found = {"coupling": [], "function": [], "copies": [], "energy": []}
    for x, y in zip(runs, together, strict=True):
        copies, mean_field = y[:n], y[n:]
        exact = model.function(mean_field, uniform)
        found["coupling"].append(np.sqrt(weights @ ((x - copies) ** 2).sum(axis=1)))
        found["function"].append(((model.function(x, weights) - exact) ** 2).sum())
        found["copies"].append(((model.function(copies, weights) - exact) ** 2).sum())
        found["energy"].append(model.value(x, weights) - model.value(mean_field, uniform))
    return {name: np.array(values) for name, values in found.items()}, runs, [y[:n] for y in together], [y[n:] for y in together]
