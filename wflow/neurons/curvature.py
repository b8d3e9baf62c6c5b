"""Second derivatives of smooth neurons, and with them Δg: the flow's divergence is div F = ω0 Δg (math.md §7)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from wflow._checks import Array
from wflow._jit import blas_single_thread
from wflow.neurons._rows import CODES
from wflow.neurons.activations import Activation

__all__ = ["SECOND_DERIVATIVES", "laplacian"]

_BLOCK = 2**18  # neurons times nodes at once: 2 MiB an array


def _sech_square(x: Array) -> Array:
    """4 e^{−2|x|} / (1 + e^{−2|x|})², where 1 − tanh² would cancel."""
    decay = np.exp(-2.0 * np.abs(x))
    square: Array = 4.0 * decay / (1.0 + decay) ** 2
    return square


def _tanh(x: Array) -> Array:
    return -2.0 * np.tanh(x) * _sech_square(x)


def _sigmoid(x: Array) -> Array:
    return -0.25 * np.tanh(0.5 * x) * _sech_square(0.5 * x)


def _softplus(x: Array) -> Array:
    return 0.25 * _sech_square(0.5 * x)


def _gaussian(x: Array) -> Array:
    square = np.square(np.clip(x, -40.0, 40.0))  # beyond, exp is 0, and an infinite square times it would be NaN
    return (square - 1.0) * np.exp(-0.5 * square)


# σ'' by name, elementwise and relatively accurate in the tails too.
SECOND_DERIVATIVES = {"tanh": _tanh, "sigmoid": _sigmoid, "softplus": _softplus, "gaussian": _gaussian}


def laplacian(activation: Activation, points: Array, states: Array, actions: Array, signal: Array) -> Array:
    """``Δ_ω̄ g = sum_ij G_ij Δ_ω̄ φ(s_i, a_j; ω̄)`` at points (K, m), shape (K,): over all parameters but ω0.

    For ridge neurons ``Δφ = σ''(z) (|s|² + |a|² + 1)``, z = k_s·s + k_a·a + b; for radial bumps ``Δφ = φ (|x − c|²/ℓ⁴ − d/ℓ²)``,
    x = (s, a) of d coordinates.

    Parameters
    ----------
    activation : Activation
        "rbf", or one of `SECOND_DERIVATIVES`.
    points : ndarray, shape (K, m)
    states, actions : ndarray, shapes (n_s, d_s) and (n_a, d_a)
    signal : ndarray, shape (n_s, n_a)

    Raises
    ------
    ValueError
        For ReLU, which has none (its ∇g jumps wherever a kink passes a node), and for a user's own activation.

    Notes
    -----
    Plain NumPy, made to check other routes: cost O(K n_s n_a), memory a few arrays of 2 MiB (or of one signal, if that is larger).
    """
    if activation.radial:
        block = _radial(activation.width, states, actions, signal)
    else:
        block = _ridge(_second_derivative(activation), states, actions, signal)
    size = max(1, _BLOCK // signal.size)
    found = np.empty(len(points))
    with blas_single_thread():
        for begin in range(0, len(points), size):
            found[begin : begin + size] = block(points[begin : begin + size])
    return found


def _second_derivative(activation: Activation) -> Callable[[Array], Array]:
    """σ'' of a ridge activation; ValueError where it is not known."""
    for name, second in SECOND_DERIVATIVES.items():
        if activation.pair == (CODES[name], 0):
            return second
    why = "whose gradient jumps at the kink" if activation.homogeneous else "of which only σ and σ' are known"
    raise ValueError(f"activation must be smooth and built in ({', '.join(SECOND_DERIVATIVES)}, rbf); got {activation.name!r}, {why}")


def _ridge(second: Callable[[Array], Array], states: Array, actions: Array, signal: Array) -> Callable[[Array], Array]:
    d_s = states.shape[1]
    stretched = signal * (np.square(states).sum(axis=1)[:, None] + np.square(actions).sum(axis=1) + 1.0)  # G |∇_ω̄ z|²

    def block(points: Array) -> Array:
        by_state = points[:, 1 : 1 + d_s] @ states.T + points[:, -1:]
        z = by_state[:, :, None] + (points[:, 1 + d_s : -1] @ actions.T)[:, None, :]
        total: Array = second(z).reshape(len(points), -1) @ stretched.ravel()
        return total

    return block


def _radial(width: float, states: Array, actions: Array, signal: Array) -> Callable[[Array], Array]:
    d_s, d = states.shape[1], states.shape[1] + actions.shape[1]

    def block(points: Array) -> Array:
        from_state, from_action = _squares(states, points[:, 1 : 1 + d_s]), _squares(actions, points[:, 1 + d_s :])
        square = from_state[:, :, None] + from_action[:, None, :]  # |x − c|²
        bumps = np.exp(-square / (2.0 * width**2)) * (square / width**4 - d / width**2)
        total: Array = bumps.reshape(len(points), -1) @ signal.ravel()
        return total

    return block


def _squares(nodes: Array, centres: Array) -> Array:
    """|x_i − c_n|², shape (block, n)."""
    squares: Array = np.square(nodes - centres[:, None]).sum(axis=2)
    return squares
