"""Strong-stability-preserving Runge–Kutta 3(2)."""

from __future__ import annotations

import numpy as np

from wflow.integrators.embedded import SSPPair, tableau

__all__ = ["SSPRK32"]

_B = 0.291485418878409  # of the family (B, B, 1 - 2 B), all of second order: the published optimum


class SSPRK32(SSPPair):
    """SSP-RK3 of Shu & Osher (J. Comput. Phys. 77, 1988) with the pair of Fekete, Conde & Shadid (J. Comput. Appl. Math. 412, 2022).

    Three evaluations per step. Each stage is a convex combination of Euler steps no longer than the step itself (SSP coefficient 1),
    so that a step preserves what Euler's preserves: positivity, total variation, a convex energy that decays. The embedded
    formula of second order has the same property. Dense output: cubic Hermite, of order 3, without it.
    Options as for `wflow.integrators.embedded.SSPPair`.
    """

    order = 3
    estimate_order = 3

    A = tableau([[1], [1 / 4, 1 / 4], [1 / 6, 1 / 6, 2 / 3]])
    C = np.array([0, 1, 1 / 2, 1])
    E = A[-1] - np.array([_B, _B, 1.0 - 2.0 * _B, 0.0])
