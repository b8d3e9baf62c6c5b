"""Swinging up a pendulum on a grid of angles and velocities: a control problem with coordinates, sparse and of any size."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse

from wflow import _checks
from wflow._checks import Array
from wflow.mdp.model import MDP
from wflow.mdp.transitions import SparseTransition
from wflow.spaces import Space

__all__ = ["pendulum"]

# The rod of Gymnasium's Pendulum-v1: a torque u on a rod of mass 1 kg and length 1 m, g = 10 m/s².
GRAVITY, INVERSE_INERTIA = 15.0, 3.0  # 3 g / (2 l) in 1/s², 3 / (m l²) in 1/(kg m²)
LARGEST_VELOCITY, LARGEST_TORQUE = 8.0, 2.0  # rad/s, N m


def pendulum(
    n_angles: int = 40,
    n_velocities: int = 41,
    n_torques: int = 15,
    *,
    time_step: float = 0.05,
    discount: float = 0.95,
    temperature: float = 0.1,
) -> MDP:
    """The dynamics and costs of Gymnasium's Pendulum-v1, made a finite MDP by linear interpolation.

    Angle 0 is upright. One step is ``v' = clip(v + dt (15 sin a + 3 u), ±8)``, ``a' = a + dt v'``, and pays
    ``−(a² + v²/10 + u²/1000)``. The state it lands in is replaced by the four nodes around it with the weights of bilinear
    interpolation (periodic in the angle): the mean of (a', v') is kept exactly, and each coordinate gains a variance of at most a
    quarter of its spacing squared per step, the price of the grid. Expectations are then second-order interpolants, so ``V`` of a
    smooth problem converges as the grid is refined with the time step held.

    Angles are ``−π + 2π k/n_angles``, velocities equidistant in [−8, 8] with both ends, the last index fastest; torques are the
    midpoints of equal cells of [−2, 2] with their widths as weights (policies are densities in N m). The first state is uniform on
    the nodes of velocity at most 1 in size (on the slowest if there are none). O(n_s n_a) time and memory, n_s = n_angles n_velocities.

    Parameters
    ----------
    n_angles, n_velocities : int
        At least 2 each; an even and an odd number put the upright rest on a node.
    n_torques : int
        At least 1.
    time_step : float
        dt in seconds, above 0; the angle moves by at most 8 dt.
    discount, temperature : float

    Raises
    ------
    ValueError, TypeError
        If an argument is out of its range.
    """
    n_angles = _checks.integer("n_angles", n_angles, at_least=2)
    n_velocities = _checks.integer("n_velocities", n_velocities, at_least=2)
    n_torques = _checks.integer("n_torques", n_torques, at_least=1)
    dt = _checks.real("time_step", time_step, above=0.0)
    _checks.memory("n_angles", n_angles, 200 * n_angles)
    _checks.memory("n_velocities", n_velocities, 200 * n_angles * n_velocities)
    _checks.memory("n_torques", n_torques, 300 * n_angles * n_velocities * n_torques)
    angles = Space.finite(-np.pi + 2.0 * np.pi * np.arange(n_angles) / n_angles)
    velocities = Space.finite(np.linspace(-LARGEST_VELOCITY, LARGEST_VELOCITY, n_velocities))
    states = Space.tensor_product(angles, velocities)
    torques = Space.midpoint(n_torques, -LARGEST_TORQUE, LARGEST_TORQUE)
    a, v, u = states.nodes[:, :1], states.nodes[:, 1:], torques.nodes.T
    next_velocity = np.clip(v + dt * (GRAVITY * np.sin(a) + INVERSE_INERTIA * u), -LARGEST_VELOCITY, LARGEST_VELOCITY)
    next_angle = a + dt * next_velocity
    slow = np.abs(v[:, 0]) <= max(1.0, np.abs(v).min())
    return MDP(
        reward=-(a**2 + v**2 / 10.0 + u**2 / 1000.0),
        transition=_interpolated(next_angle.ravel(), next_velocity.ravel(), n_angles, n_velocities),
        discount=discount,
        temperature=temperature,
        initial=slow / slow.sum(),
        states=states,
        actions=torques,
    )


def _interpolated(angle: Array, velocity: Array, n_angles: int, n_velocities: int) -> SparseTransition:
    """Rows of bilinear weights on the nodes around each point (angle, velocity), (n_s n_a,) each."""
    left, right, a = _bracket((angle + np.pi) * n_angles / (2.0 * np.pi))
    low, high, v = _bracket((velocity / LARGEST_VELOCITY + 1.0) * (n_velocities - 1) / 2.0)
    left, right, high = left % n_angles, right % n_angles, np.minimum(high, n_velocities - 1)  # above the last node v is 0
    columns = np.stack([left * n_velocities + low, left * n_velocities + high, right * n_velocities + low, right * n_velocities + high])
    weights = np.stack([(1.0 - a) * (1.0 - v), (1.0 - a) * v, a * (1.0 - v), a * v])
    rows = np.tile(np.arange(len(angle)), 4)
    matrix = sparse.csr_array((weights.ravel(), (rows, columns.ravel())), shape=(len(angle), n_angles * n_velocities))
    matrix.eliminate_zeros()
    return SparseTransition(matrix)


def _bracket(position: Array) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], Array]:
    """Nodes before and after a position in units of the spacing, and how far between them it lies, in [0, 1)."""
    before = np.floor(position)
    node = before.astype(np.intp)
    return node, node + 1, position - before
