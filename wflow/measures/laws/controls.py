"""Starts whose flow stays below the optimum, each with its proof: what the study of fixed points holds separating laws against."""

from __future__ import annotations

from wflow import _checks
from wflow.measures.laws.factors import Law, Normal, Point, Uniform
from wflow.measures.laws.product import Product

__all__ = ["all_dead", "sign_locked", "silent", "single_point"]

# In all of them a particle is [ω0, k, b] with neuron ω0 σ(k·x + b), x = (s, a), and F = (g, ω0 ∇g), g(k, b) = sum_ij G_ij σ(k·x_ij + b)
# (math.md §3).


def all_dead(m: int, reach: float = 1.0) -> Product:
    """ReLU neurons that are off on all nodes: ω0 ~ N(0, 1), |k_i| < 1, b < −d·reach for d = m − 2.

    *Stationary.* ``k·x + b ≤ sum_i |k_i| |x_i| + b ≤ d·reach + b ≤ 0`` on nodes within `reach` of the origin in every coordinate, so
    σ = σ' = 0 there. Hence g = 0 and ∇g = 0 at every particle: F = 0 exactly, whatever the policy. f_ν = 0: the policy stays uniform,
    and the gap stays what it was at the start. Other θ have g_ν(θ) ≠ 0 unless the uniform policy is optimal: the fixed point is spurious.

    Parameters
    ----------
    m : int
        Parameters of a particle, m ≥ 3.
    reach : float
        Largest |coordinate| of a node.
    """
    m = _checks.integer("m", m, at_least=3)
    far = _checks.real("reach", reach, above=0.0) * (m - 2)
    return Product((Normal(), *[Uniform()] * (m - 2), Uniform(-far - 1.0, -far)))


def silent(m: int) -> Product:
    """Neurons that say nothing, for any σ: ω0 = 0, k = 0, b ~ N(0, 1).

    *Stationary.* σ(b) does not depend on the node and the rows of G sum to 0, so g = 0; ω0 = 0, so ω0 ∇g = 0: F = 0. f_ν = 0: the
    policy is uniform. Unlike `all_dead` it is unstable: g is linear in k near it, ``dω0 = ∂_k g · k, dk = ω0 ∂_k g`` grows at the
    rate |∂_k g|, from rounding alone.

    Parameters
    ----------
    m : int
        Parameters of a particle, m ≥ 3.
    """
    m = _checks.integer("m", m, at_least=3)
    return Product((Point(), *[Point()] * (m - 2), Normal()))


def single_point(m: int) -> Product:
    """All mass at one neuron: ω0 = 1, k = (1, ..., 1), b = −1/2.

    *Stays one.* Particles that start together solve the same equation and never part, so f_ν = ψ(·; ω_t), one neuron, for all t.
    With σ monotone and one action coordinate, ``f_ν(s, ·)`` is monotone for every s. Where the optimal Q*(s, ·) is not, the policy
    cannot be optimal; among monotone f(s, ·) the divergence ``KL(π_f | π*)`` is least for the isotonic regression of Q*/τ
    (`wflow.studies.support.controls.least_monotone` says why), which bounds the gap from below.

    Parameters
    ----------
    m : int
        Parameters of a particle, m ≥ 3.
    """
    m = _checks.integer("m", m, at_least=3)
    return Product((Point(1.0), *[Point(1.0)] * (m - 2), Point(-0.5)))


def sign_locked(m: int) -> Product:
    """ReLU neurons with ω0 > |ω̄|: ω̄ uniform in [−1, 1]^{m−1}, ω0 in [√(m−1) + ¼, √(m−1) + 1].

    *Locked.* Euler's identity ``ω̄·∇g(ω̄) = g(ω̄)`` (σ is positively homogeneous, on nodes too) gives ``d/dt (ω0² − |ω̄|²) =
    2 ω0 g − 2 ω0 ω̄·∇g = 0``. It starts positive, so ω0² > 0 for all t and ω0 keeps its sign. Then ``f_ν(s, ·)`` is a positive
    combination of convex functions of the action: convex for all t. A Q*(s, ·) that is concave, and not affine, is out of
    reach; among convex f the divergence ``KL(π_f | π*)`` is then least for an affine one
    (`wflow.studies.support.controls.least_affine` says why), which bounds the gap from below.

    Parameters
    ----------
    m : int
        Parameters of a particle, m ≥ 3.
    """
    m = _checks.integer("m", m, at_least=3)
    radius = (m - 1.0) ** 0.5
    ring: list[Law] = [Uniform()] * (m - 1)
    return Product((Uniform(radius + 0.25, radius + 1.0), *ring))
