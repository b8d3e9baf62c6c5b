"""Results of a study made up from known numbers, without any run."""

from __future__ import annotations

import numpy as np

from wflow.studies.chaos import Chaos, Curve, ProblemErrors

TIMES = 3.0 * 2.0 ** np.arange(-6.0, 1.0)
ABOUT = {"fraction": 0.1, "w2_fraction": 0.5, "seed": 0, "seconds": 1.0}


def curve(rng, n, count=40, rate=-0.5, w2=4, halves=True):
    """Errors that fall like N^rate, those of the copies known in expectation: 2 / N."""
    size, times = n**rate, len(TIMES)
    square = (rng.standard_normal((count, 2, 1)) ** 2).sum(axis=1) * np.ones(times)
    grow = np.linspace(0.5, 1.0, times)
    noisy = square * (1.0 + 0.05 * rng.standard_normal((count, 1)) ** 2) / 1.05  # hence no power law to the bit
    coupling = size * np.sqrt(noisy) * grow
    table = np.full((count, 2, 6), np.nan)
    base = 1.0 + rng.random((w2, 2))
    value = base + 0.5 * coupling[:w2, [-3, -1]]
    table[:w2] = np.stack([value, value * (1 - 1e-9), value * (1 + 1e-9), base, base * (1 - 1e-9), base * (1 + 1e-9)], axis=2)
    bias = np.full((count, times), np.nan)
    if halves:
        bias = (1.0 + 0.2 * rng.standard_normal((count, 1))) / n * grow
    energy = size * rng.standard_normal((count, 1)) * grow
    return Curve(coupling, np.maximum.accumulate(coupling, axis=1), size**2 * noisy * grow, square / n, energy, bias, table)


def problem(name="own", group="", outside="", seed=0, sizes=(16, 32, 64), w2=4, exact=False, rate=-0.5, halves=(16, 32, 64)):
    rng = np.random.default_rng(seed)
    curves = {
        "iid": {n: curve(rng, n, rate=rate, w2=w2, halves=n in halves) for n in sizes},
        "qmc": {n: curve(rng, n, 6, -1.0, min(w2, 6), halves=False) for n in (16, 32)},
        "quantised": {n: curve(rng, n, 6, -0.9, min(w2, 6), halves=False) for n in (16, 32)},
    }
    n, ones = np.array(sizes)[:, None], np.ones(len(TIMES))
    grow = np.linspace(0.5, 1.0, len(TIMES))
    known = {"coupling": 2.0 / n * grow**2, "function": 2.0 / n * grow, "energy_sd": n**-0.5 * grow, "energy_bias": grow / n,
             "w2_difference": ones / n} if exact else {}  # fmt: skip
    own = {"energy": 1e-6 * ones, "function": 1e-6 * ones, "w2": np.full(2, 1e-3 if w2 else 0.0), "replay": 1e-9 * ones}
    return ProblemErrors(name, group, outside, TIMES, TIMES[[-3, -1]], 4096, 512 if w2 else 0, own, known, 2.0 * ones, curves)


def study(*problems, **about):
    return Chaos({problem.name: problem for problem in problems}, {**ABOUT, **about})
