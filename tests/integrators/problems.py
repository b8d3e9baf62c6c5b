"""Problems with known answers, and helpers shared by the tests of this room."""

from __future__ import annotations

import numpy as np

import wflow.integrators as integrators

STABILISED = ("rkc2", "rkl2")
ADAPTIVE = ("heun", "ssprk3", "bs3", "tsit5", *STABILISED)
OURS = ("euler", *ADAPTIVE)
STAGES = (*range(2, 40), *range(40, 201, 7), 200, 500)


def smooth(t, y):
    """A driven nonlinear oscillator with explicit time, solved by (cos t, -sin t)."""
    return np.array([y[1], -y[0] + 0.5 * (np.cos(t) ** 2 - y[0] ** 2)])


def smooth_solution(t):
    return np.array([np.cos(t), -np.sin(t)])


def options(name, **more):
    """What makes a method run: a step for Euler, tolerances for the rest."""
    return {"dt": 0.01, **{k: v for k, v in more.items() if k == "dt"}} if name == "euler" else {k: v for k, v in more.items() if k != "dt"}


def fixed(name, dt, **more):
    """Options that make a method take steps of `dt`, whatever the error."""
    return {"dt": dt} if name == "euler" else {"first_step": dt, "max_step": dt, "rtol": 1e6, "atol": 1e6, **more}


def run(method, fun, y0, t_bound, t0=0.0, **keywords):
    """The solver at the end of its run."""
    solver = integrators.get(method)(fun, t0, np.asarray(y0, dtype=float), t_bound, **keywords)
    while solver.status == "running":
        solver.step()
    return solver


def observed_order(errors, ratio=2.0):
    """Of the last two rungs of a ladder whose step shrinks by `ratio`."""
    return float(np.log(errors[-2] / errors[-1]) / np.log(ratio))


def stability_polynomial(family, s, z):
    """P_s(z): one step of size 1 for y' = z y, by the recurrence of a stabilised family."""
    weights, times = family.coefficients(s)
    older, y = np.ones_like(z), 1.0 + times[1] * z
    for mu_0, mu, nu, mu_f, gamma_f in weights:
        older, y = y, mu_0 + mu * y + nu * older + mu_f * z * y + gamma_f * z
    return y
