"""Heun 2(1)."""

from __future__ import annotations

import numpy as np

from wflow.integrators.embedded import SSPPair, tableau

__all__ = ["Heun21"]


class Heun21(SSPPair):
    """Explicit trapezoidal rule with Euler's step embedded, two evaluations per step (Hairer, Nørsett & Wanner I, §II.4).

    The slope at the end of Euler's step is averaged with that at the start; what the average changes is the error estimate.
    Dense output: cubic Hermite, of order 2 as the steps are. Options as for `wflow.integrators.embedded.SSPPair`.
    """

    order = 2
    estimate_order = 2

    A = tableau([[1], [1 / 2, 1 / 2]])
    C = np.array([0, 1, 1])
    E = A[-1] - np.array([1, 0, 0])
