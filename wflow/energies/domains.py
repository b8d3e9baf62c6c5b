"""Where the inner parameters ω̄ of a neuron ω0 φ(·; ω̄) live: the set Θ over which suprema are taken (math.md §3, §7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from wflow import _checks
from wflow._checks import Array

__all__ = ["RADIUS", "Box", "Domain", "Mesh", "Sphere"]

RADIUS = 6.0  # of the box that stands for R^d: three standard deviations of the N(0, 4) start
_CIRCLE = 1024
_ON_SPHERE = 2400
_IN_BOX = 4096
_LARGEST_TENSOR = 4  # dimension of Θ beyond which tensor grids are too coarse


@dataclass(frozen=True, eq=False)
class Mesh:
    """Points that cover Θ.

    Attributes
    ----------
    points : ndarray, shape (K, d)
    spacing : float
        Distance of neighbours, in units of the domain's `scale`.
    covering : float
        Every point of Θ is this near to one of them; NaN where that is not known.
    """

    points: Array
    spacing: float
    covering: float


@dataclass(frozen=True)
class Sphere:
    """Unit sphere of R^d, d = `dimension` ≥ 2: Θ of positively homogeneous neurons, where directions alone count (math.md §3).

    Raises
    ------
    ValueError, TypeError
        If the dimension is no integer of at least 2.
    """

    dimension: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "dimension", _checks.integer("dimension", self.dimension, at_least=2))

    @property
    def scale(self) -> Array:
        """Half the extent along each axis, (d,)."""
        return np.ones(self.dimension)

    def project(self, points: Array) -> Array:
        """Points (..., d) over their norms; 0 goes to the first axis."""
        norms = np.linalg.norm(points, axis=-1, keepdims=True)
        first = np.eye(1, self.dimension)[0]
        projected: Array = np.where(norms > 0.0, points, first) / np.where(norms > 0.0, norms, 1.0)
        return projected

    def restrict(self, points: Array, gradient: Array, hessian: Array) -> tuple[Array, Array]:
        """Gradient (..., d) and Hessian (..., d, d) along the sphere of a function that has these in R^d: ``P ∇``, ``P H P − (∇·x) P``."""
        tangent = np.eye(self.dimension) - points[..., :, None] * points[..., None, :]
        outward = (gradient * points).sum(axis=-1)[..., None, None]
        return (tangent @ gradient[..., None])[..., 0], tangent @ hessian @ tangent - outward * tangent

    def mesh(self) -> Mesh:
        """1,024 angles on the circle; some 2,500 points on the faces of a cube, projected; scrambled Sobol beyond d = 5.

        Projection from outside to the ball never lengthens, so what covers the cube covers the sphere.
        """
        d = self.dimension
        if d == 2:
            angles = 2.0 * np.pi * np.arange(_CIRCLE) / _CIRCLE
            return Mesh(np.stack([np.cos(angles), np.sin(angles)], axis=1), 2.0 * np.pi / _CIRCLE, 2.0 * np.sin(np.pi / (2.0 * _CIRCLE)))
        if d > _LARGEST_TENSOR + 1:
            from scipy.special import ndtri

            return Mesh(self.project(ndtri(_sobol(d))), _IN_BOX ** (-1.0 / (d - 1)), np.nan)
        n = round((_ON_SPHERE / (2 * d)) ** (1.0 / (d - 1)))
        face = _tensor([(2.0 * np.arange(n) + 1.0) / n - 1.0] * (d - 1))
        faces = [np.insert(face, axis, side, axis=1) for axis in range(d) for side in (1.0, -1.0)]
        return Mesh(self.project(np.concatenate(faces)), 2.0 / n, np.sqrt(d - 1) / n)


@dataclass(frozen=True, eq=False)
class Box:
    """``lower ≤ ω̄ ≤ upper`` coordinate by coordinate, faces included.

    Parameters
    ----------
    lower, upper : ndarray, shape (d,)
        ``lower < upper``, d ≥ 1.

    Raises
    ------
    ValueError, TypeError
        If a bound is not finite, shapes differ, or a lower bound is not below its upper one.
    """

    lower: Array
    upper: Array

    def __post_init__(self) -> None:
        lower = _checks.array("lower", self.lower, (None,))
        upper = _checks.array("upper", self.upper, lower.shape)
        if lower.size == 0 or not (lower < upper).all():
            raise ValueError(f"lower must be below upper in each of one or more coordinates; got {_checks.show((lower, upper))}")
        object.__setattr__(self, "lower", lower)
        object.__setattr__(self, "upper", upper)

    @classmethod
    def cube(cls, dimension: int, radius: Any = RADIUS) -> Box:
        """[−R, R]^d: what stands for R^d, whose suprema it bounds from below."""
        radius = _checks.real("radius", radius, above=0.0)
        bounds = np.full(_checks.integer("dimension", dimension, at_least=1), radius)
        return cls(-bounds, bounds)

    @property
    def dimension(self) -> int:
        """Number of coordinates d."""
        return len(self.lower)

    @property
    def scale(self) -> Array:
        """Half the extent along each axis, (d,)."""
        scale: Array = (self.upper - self.lower) / 2.0
        return scale

    def project(self, points: Array) -> Array:
        """The nearest points of the box, (..., d)."""
        return np.clip(points, self.lower, self.upper)

    def restrict(self, points: Array, gradient: Array, hessian: Array) -> tuple[Array, Array]:
        """Gradient (..., d) and Hessian (..., d, d) along the faces from which the gradient would lead outside."""
        free = ~(((points <= self.lower) & (gradient < 0.0)) | ((points >= self.upper) & (gradient > 0.0)))
        return gradient * free, hessian * (free[..., :, None] & free[..., None, :])

    def mesh(self) -> Mesh:
        """Tensor grid of some 4,096 points, faces included; as many scrambled Sobol points beyond d = 4."""
        d = self.dimension
        if d > _LARGEST_TENSOR:
            return Mesh(self.lower + (self.upper - self.lower) * _sobol(d), 2.0 * _IN_BOX ** (-1.0 / d), np.nan)
        n = round(_IN_BOX ** (1.0 / d))
        points = _tensor([np.linspace(low, high, n) for low, high in zip(self.lower, self.upper, strict=True)])
        return Mesh(points, 2.0 / (n - 1), float(np.linalg.norm(self.scale)) / (n - 1))


Domain: TypeAlias = Sphere | Box


def _tensor(axes: list[Array]) -> Array:
    """All combinations, (K, d)."""
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))


def _sobol(dimension: int) -> Array:
    """The same 4,096 points of the open unit cube at every call, (4096, d)."""
    from wflow.measures.laws.sobol import scrambled

    return scrambled(_IN_BOX, dimension, np.random.default_rng(0))
