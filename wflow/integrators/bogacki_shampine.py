"""Bogacki–Shampine 3(2)."""

from __future__ import annotations

import numpy as np

from wflow.integrators.embedded import EmbeddedPair, tableau

__all__ = ["BogackiShampine32"]


class BogackiShampine32(EmbeddedPair):
    """Embedded pair of orders 3 and 2, three evaluations per step (Bogacki & Shampine, Appl. Math. Lett. 2, 1989).

    Dense output: cubic Hermite, of order 3. Options as for `wflow.integrators.base.Adaptive`.
    """

    order = 3
    estimate_order = 3

    A = tableau([[1 / 2], [0, 3 / 4], [2 / 9, 1 / 3, 4 / 9]])
    C = np.array([0, 1 / 2, 3 / 4, 1])
    E = A[-1] - np.array([7 / 24, 1 / 4, 1 / 3, 1 / 8])
