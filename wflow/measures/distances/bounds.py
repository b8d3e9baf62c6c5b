"""Rigorous bounds on W2², from clouds of any size: linear maps and projections below, rough plans above."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from wflow._checks import Array
from wflow.measures.distances import line, plans
from wflow.measures.distances.result import ROUNDING, Squares

__all__ = ["bracket", "diameter_squared", "frames_bound", "gelbrich_bound", "plan_cost", "same_index", "upper_bound"]

_EPS = float(np.finfo(np.float64).eps)
_SORTED = 3e7  # coordinates that random frames may sort
_PARTITIONED = 6e6  # points that partitions may order


def bracket(x: Array, p: Array, y: Array, q: Array, *, seed: int = 0) -> Squares:
    """Lower bound from moments and projections, upper bound from couplings: no optimisation.

    O(frames · d (n + k) (log(n + k) + d)) time, frames at most 10; about 20 s at n = k = 10⁶ in four dimensions. O((n + k) d) memory.

    Parameters
    ----------
    x, y : ndarray, shapes (n, d), (k, d)
        Points of order one, centred.
    p, q : ndarray, shapes (n,), (k,)
        Positive, equal sums.
    seed : int
        Of random frames and of the partitions' rotations.

    Returns
    -------
    Squares
        The value is the cost of the plan behind the upper bound.
    """
    value, upper = upper_bound(x, p, y, q, seed=seed)
    lower = max(gelbrich_bound(x, p, y, q), frames_bound(x, p, y, q, seed=seed))
    return Squares(value, min(lower, value), upper)


def gelbrich_bound(x: Array, p: Array, y: Array, q: Array) -> float:
    """|a − b|² + tr A + tr B − 2 tr (A^½ B A^½)^½ of means and covariances: the W2² of Gaussians with these moments, a lower bound.

    Gelbrich (1990). The last trace is the nuclear norm of R Sᵀ with A = RᵀR, B = SᵀS from QR of the clouds themselves: no square root
    of a small eigenvalue, so rounding stays relative to tr A + tr B. O((n + k) d²) time, O((n + k) d) memory.
    """
    a, R = _moments(x, p)
    b, S = _moments(y, q)
    traces = (R**2).sum() + (S**2).sum()
    overlap = np.linalg.svd(R @ S.T, compute_uv=False).sum()
    slack = (ROUNDING + max(len(x), len(y)) * _EPS) * traces  # what Householder's reflections of n rows may lose at worst
    return float(max(((a - b) ** 2).sum() * (1.0 - ROUNDING) + traces - 2.0 * overlap - slack, 0.0))


def frames_bound(x: Array, p: Array, y: Array, q: Array, *, seed: int = 0) -> float:
    """Largest of the sums, over the axes of an orthonormal frame, of exact W2² of the clouds' projections.

    Random directions would not do: only a whole frame has sum_k (e_k·z)² = |z|². The first frame diagonalises the optimal linear map
    between the covariances, where the sum is never below Gelbrich's bound and is exact for Gaussians; the second are the coordinate axes,
    exact for product laws; then seeded random ones.
    O(frames · d (n + k) (log(n + k) + d)) time, O(n + k) memory beside the clouds.
    """
    d = x.shape[1]
    best = 0.0
    for frame in _frames(x, p, y, q, seed):
        total = sum(line.squared(x @ axis, p, y @ axis, q).lower for axis in frame.T)
        stretch = 1.0 + float(np.abs(frame.T @ frame - np.eye(d)).sum()) + 4.0 * d * _EPS
        blur = 2.0 * d**1.5 * _EPS * diameter_squared(x, y) ** 0.5  # rounding of the projections, as a distance
        best = max(best, float(max((total / stretch) ** 0.5 - blur, 0.0)) ** 2)
    return best


def upper_bound(x: Array, p: Array, y: Array, q: Array, *, seed: int = 0) -> tuple[float, float]:
    """Cost and bound of the best of two couplings: binary space partitions and, for clouds with the same weights, atom n to atom n."""
    n_plans = int(np.clip(_PARTITIONED // (len(x) + len(y)), 1, 16))
    plan = plans.bsp(x, p, y, q, n_plans=n_plans, seed=seed)
    return min(plan_cost(x, p, y, q, plan.rows, plan.columns, plan.mass), same_index(x, p, y, q), key=lambda pair: pair[1])


def same_index(x: Array, p: Array, y: Array, q: Array) -> tuple[float, float]:
    """Cost and bound of the coupling of atom n with atom n; infinite where the weights differ. O(n d)."""
    if not np.array_equal(p, q):
        return np.inf, np.inf
    index = np.arange(len(p))
    return plan_cost(x, p, y, q, index, index, p)


def plan_cost(
    x: Array, p: Array, y: Array, q: Array, rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64], mass: Array
) -> tuple[float, float]:
    """Cost of a sparse plan, shape (E,) each, and the bound on W2² it gives: what its marginals lack moves over the diameter at most.

    O(E d) time, O(E) memory.
    """
    cost = float((mass * plans.squared_distance(x, y, rows, columns)).sum())
    lacking = np.abs(np.bincount(rows, mass, len(p)) - p).sum() + np.abs(np.bincount(columns, mass, len(q)) - q).sum()
    lacking += _EPS * (p[rows].sum() + q[columns].sum())  # rounding of the marginals themselves: one each addition
    return cost, cost * (1.0 + ROUNDING) + float(lacking + 4.0 * _EPS) * diameter_squared(x, y)


def diameter_squared(x: Array, y: Array) -> float:
    """Bound on |x_i − y_j|², O(n + k)."""
    radii = [float(np.sqrt(np.einsum("nd,nd->n", z, z).max())) for z in (x, y)]
    return sum(radii) ** 2


def _moments(x: Array, p: Array) -> tuple[Array, Array]:
    """Mean (d,), and the triangular R (min(n, d), d) with covariance RᵀR."""
    mean = np.array([(p * column).sum() for column in x.T])
    return mean, np.asarray(np.linalg.qr((x - mean) * np.sqrt(p)[:, None], mode="r"))


def _frames(x: Array, p: Array, y: Array, q: Array, seed: int) -> Iterator[Array]:
    d = x.shape[1]
    yield _map_frame(_moments(x, p)[1], _moments(y, q)[1])
    yield np.eye(d)
    random = np.random.default_rng(seed)
    for _ in range(int(min(_SORTED // ((len(x) + len(y)) * d), 8)) if d > 1 else 0):
        yield np.linalg.qr(random.normal(size=(d, d)))[0]


def _map_frame(R: Array, S: Array) -> Array:
    """Eigenvectors of T = A^{-½} (A^½ B A^½)^½ A^{-½}, the optimal map from N(0, A) to N(0, B); A = RᵀR, B = SᵀS.

    Any orthonormal frame gives a valid bound, so A is made invertible without further thought.
    """
    values, vectors = np.linalg.eigh(R.T @ R)
    root = np.sqrt(np.maximum(values, 1e-12 * ((R**2).sum() + (S**2).sum()) + 1e-300))
    half, inverse = (vectors * root) @ vectors.T, (vectors / root) @ vectors.T
    values, vectors = np.linalg.eigh(half @ (S.T @ S) @ half)
    middle = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    frame: Array = np.linalg.eigh(inverse @ middle @ inverse)[1]
    return frame
