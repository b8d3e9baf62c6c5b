"""Results of a study made up from known numbers, all of whose claims hold; without any run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from wflow.studies.grids import Grids, ProblemGrids

TIMES = np.linspace(0.0, 2.0, 33)
STEPS = np.linspace(0.0, 2.0, 18)  # none but the ends and the middle is one of TIMES
SHAPE = 1.0 + np.interp(STEPS, [0.0, STEPS[12], 2.0], [0.0, 1.0, 0.4])  # of the error of E(t)
CELLS = (12, 16, 24, 32)
PARTICLES = (256, 512, 1024, 2048)
ORDERS = {"energy": 2.0, "mean": 2.0, "covariance": 2.5, "marginals": 2.0, "w2": 1.0, "lattice": 2.0}


def energy(t):
    return -np.exp(-t)


def reference():
    truth = energy(TIMES)
    return {
        "times": TIMES, "energy": truth, "slope": -truth, "half": truth * (1.0 + 1e-7), "exact": truth * (1.0 + 1e-11), "gap": -truth,
        "mean": np.array([1.0, 0.5, 0.0]), "covariance": np.diag([1.0, 2.0, 3.0]), "own": np.full(3, 1e-4),
        "cloud": np.random.default_rng(0).normal(1.0, 0.4, (500, 3)),
    }  # fmt: skip


def grid(n, orders):
    """Errors C n^{-order}: of E(t) C = 0.1 at the start, 0.2 at most, 0.14 at the end."""
    edges = np.linspace(-2.0, 4.0, n + 1)
    masses = np.diff(np.tanh(edges - 1.0))
    masses /= masses.sum()
    size = {name: n**-order for name, order in orders.items()}
    direction = np.array([2.0, -1.0, 2.0]) / 3.0
    return {
        "times": STEPS, "energy": energy(STEPS) + 0.1 * size["energy"] * SHAPE,
        "mass_drift": np.linspace(0.0, -2e-16, len(STEPS)), "lowest": np.zeros(len(STEPS)),
        "wall_mass": np.linspace(0.0, 1e-3 * n**-3.0, len(STEPS)), "mean": np.array([1.0, 0.5, 0.0]) + size["mean"] * direction,
        "covariance": np.diag([1.0, 2.0, 3.0]) + size["covariance"] * np.outer(direction, direction),
        "marginals": size["marginals"] * np.array([1.0, 3.0, 2.0]), "lattice_energy": energy(STEPS)[[0, -1]] + size["lattice"],
        "w2": size["w2"] * np.array([1.0, 0.999, 1.001]), "moved": np.array(n / 12),
        "atoms": np.array([n**3 // 2, n**3 // 3]), "dropped": np.array([1e-9, 9e-9]),
        **{f"edges{k}": edges for k in range(3)}, **{f"{name}{k}": masses for name in ("start", "end") for k in range(3)},
    }  # fmt: skip


def particles(n, slope=-1.0):
    """Errors ± C t N^slope, C of 16 scrambles between 0.9 and 1.1."""
    scale = np.linspace(0.9, 1.1, 16) * np.where(np.arange(16) % 2, 1.0, -1.0)
    return {"energy": energy(TIMES) + 0.5 * n**slope * scale[:, None] * TIMES}


def problem(name="own", outside="", slope=-1.0, **orders):
    wanted = {**ORDERS, **orders}
    return ProblemGrids(name, outside, reference(), {n: grid(n, wanted) for n in CELLS}, {n: particles(n, slope) for n in PARTICLES})


def study(*problems, **about):
    told = [{"name": problem.name} for problem in problems]
    return Grids({problem.name: problem for problem in problems}, {"problems": told, "seed": 0, "seconds": 1.0, **about})


def with_reference(problem, **arrays):
    return replace(problem, reference={**problem.reference, **arrays})


def with_grid(problem, n, **arrays):
    return replace(problem, cells={**problem.cells, n: {**problem.cells[n], **arrays}})
