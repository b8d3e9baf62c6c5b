"""Tsitouras 5(4)."""

from __future__ import annotations

from functools import partial

import numpy as np
from scipy.integrate import DenseOutput

from wflow._checks import Array
from wflow.integrators.base import LinearOutput
from wflow.integrators.embedded import EmbeddedPair, tableau

__all__ = ["Tsitouras54"]


class Tsitouras54(EmbeddedPair):
    """Embedded pair of orders 5 and 4, six evaluations per step (Tsitouras, Comput. Math. Appl. 62, 2011).

    Dense output: the interpolant of order 4 of the same paper, C¹ and free of evaluations. Options as for
    `wflow.integrators.base.Adaptive`.

    Attributes
    ----------
    P : ndarray, shape (7, 4)
        The interpolant is ``y_old + h sum_i b_i(theta) f_i`` with ``b_i(theta) = sum_k P[i, k] theta^(k + 1)``.
    """

    order = 5
    estimate_order = 5

    A = tableau(
        [
            [0.161],
            [-0.008480655492356989, 0.335480655492357],
            [2.8971530571054935, -6.359448489975075, 4.3622954328695815],
            [5.325864828439257, -11.748883564062828, 7.4955393428898365, -0.09249506636175525],
            [5.86145544294642, -12.92096931784711, 8.159367898576159, -0.071584973281401, -0.028269050394068383],
            [0.09646076681806523, 0.01, 0.4798896504144996, 1.379008574103742, -3.290069515436081, 2.324710524099774],
        ]
    )
    C = np.array([0, 0.161, 0.327, 0.9, 0.9800255409045097, 1, 1])
    E = np.array(
        [
            0.00178001105222577714,
            0.0008164344596567469,
            -0.007880878010261995,
            0.1447110071732629,
            -0.5823571654525552,
            0.45808210592918697,
            -1 / 66,
        ]
    )
    P = np.array(
        [
            [1.0, -2.763706197274826, 2.9132554618219126, -1.0530884977290216],
            [0.0, 0.1317, -0.2234, 0.1017],
            [0.0, 3.9302962368947516, -5.941033872131505, 2.490627285651253],
            [0.0, -12.411077166933676, 30.33818863028232, -16.548102889244902],
            [0.0, 37.50931341651104, -88.1789048947664, 47.37952196281928],
            [0.0, -27.896526289197286, 65.09189467479366, -34.87065786149661],
            [0.0, 1.5, -4.0, 2.5],
        ]
    )

    def _dense_output_impl(self) -> DenseOutput:
        weights = partial(interpolant, h=self.t - self.t_old)
        return LinearOutput(self.t_old, self.t, (self._y_old, *self._slopes), weights)


def interpolant(theta: float, h: float) -> Array:
    """Weights of (y_old, f_1, ..., f_7) at fraction `theta` of a step `h`."""
    return np.concatenate(([1.0], h * (Tsitouras54.P @ theta ** np.arange(1, 5))))
