"""Coordinates in which particles are looked at: a neuron's output weight ω0 against the direction of its other weights (math.md §0)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from wflow._checks import Array

__all__ = ["Chart", "Coordinate", "chart", "coordinate_names", "coordinate_symbols"]


@dataclass(frozen=True)
class Coordinate:
    """A number for each particle.

    Attributes
    ----------
    label : str
    of : callable
        Maps points (N, m) to the numbers (N,).
    limits : pair of float or None
        Ends of its range, where it has any; those of an angle are −π and π.
    """

    label: str
    of: Callable[[Array], Array]
    limits: tuple[float, float] | None = None


@dataclass(frozen=True)
class Chart:
    """How a cloud is drawn.

    Attributes
    ----------
    across, upright : Coordinate
        Direction or centre of a neuron, and its output weight ω0.
    second : Coordinate or None
        What `across` leaves of a direction on the sphere, or of a centre in the plane; with it goes a map of directions or centres.
    length : Coordinate or None
        |ω̄| where `across` is a direction.
    shaded : str
        What the two shades mean:
    spans : tuple of pairs
        intervals of `across`, and
    region : tuple of arrays (K,) or None
        between which values of `second` over values of `across`.
    """

    across: Coordinate
    upright: Coordinate
    second: Coordinate | None = None
    length: Coordinate | None = None
    shaded: str = ""
    spans: tuple[tuple[float, float], ...] = ()
    region: tuple[Array, Array, Array] | None = None


def coordinate_names(static: Mapping[str, Any], m: int) -> list[str]:
    """Names of the m columns: omega_0, k_s, k_a, b of ridge neurons; omega_0, c_s, c_a of radial ones; x_1, ..., x_m of no neurons."""
    kind, d_s, d_a = _kind(static, m)
    if not kind:
        return [f"x_{k + 1}" for k in range(m)]
    letter = "k" if kind == "ridge" else "c"
    several = [(f"{letter}_{axis}", d) for axis, d in (("s", d_s), ("a", d_a))]
    weights = [name if d == 1 else f"{name}{k + 1}" for name, d in several for k in range(d)]
    return ["omega_0", *weights, *(["b"] if kind == "ridge" else [])]


def coordinate_symbols(static: Mapping[str, Any], m: int) -> list[str]:
    """The same as formulas."""
    names = coordinate_names(static, m)
    return [rf"\{name}" if name == "omega_0" else f"{name[0]}_{{{name[2:]}}}" if "_" in name else name for name in names]


def _kind(static: Mapping[str, Any], m: int) -> tuple[str, int, int]:
    """Whether points with m columns are "ridge" or "radial" neurons on the stored nodes or neither (""), and the nodes' dimensions."""
    if not all(np.ndim(static.get(name, 0.0)) == 2 for name in ("states", "actions")):
        return "", 0, 0
    d_s, d_a = (static[name].shape[1] for name in ("states", "actions"))
    return {d_s + d_a + 2: "ridge", d_s + d_a + 1: "radial"}.get(m, ""), d_s, d_a


def chart(static: Mapping[str, Any], points: Array, weights: Array) -> Chart:
    """The coordinates in which the cloud with points (N, m) and weights (N,) is drawn, for a flow that stored `static`.

    Ridge neurons on one coordinate (a, b): the angle of (k, b) on the circle. On two: the angle of k and the height b/|ω̄| on the
    sphere, a map that keeps areas. On more: the angle in the plane of the two directions that carry most output, the principal axes
    of the second moment of ω̄/|ω̄| under p|ω0|. Radial neurons: the centre, on more than two coordinates in the plane that carries most
    output. Other points: their first two coordinates; where there is only one, it and the mass up to it.
    """
    symbols = coordinate_symbols(static, points.shape[1])
    kind = _kind(static, points.shape[1])[0]
    if not kind:
        return _plain(symbols, weights)
    draw = {"ridge": _ridge, "radial": _radial}[kind]
    return draw(symbols[1:], points[:, 1:], weights * np.abs(points[:, 0]), static["states"], static["actions"])


_OUTPUT = Coordinate(r"output weight  $\omega_0$", lambda x: x[:, 0])


def _ridge(symbols: list[str], inner: Array, output: Array, states: Array, actions: Array) -> Chart:
    length = Coordinate(r"$|\bar\omega|$", lambda x: np.linalg.norm(x[:, 1:], axis=1))
    if len(symbols) == 2:
        low, high = (float(np.arctan(-extreme)) for extreme in (actions.max(), actions.min()))
        turns = tuple((low + turn, high + turn) for turn in (-np.pi, 0.0, np.pi))
        across = _angle(f"direction of $({symbols[0]}, b)$", lambda x: x[:, 1:])
        return Chart(across, _OUTPUT, length=length, shaded=f"${symbols[0]} a + b = 0$ for an action $a$", spans=turns)
    if len(symbols) == 3:
        across = _angle(f"direction of $({symbols[0]}, {symbols[1]})$", lambda x: x[:, 1:3])
        height = Coordinate(r"height  $b\,/\,|\bar\omega|$", lambda x: _unit(x[:, 1:])[:, 2], (-1.0, 1.0))
        return Chart(across, _OUTPUT, height, length, shaded=r"$k \cdot (s, a) + b = 0$ on a node", region=_crossing(states, actions))
    plane = _principal(_unit(inner), output)
    return Chart(_angle("direction in the plane of most output", lambda x: x[:, 1:] @ plane), _OUTPUT, length=length)


def _radial(symbols: list[str], inner: Array, output: Array, states: Array, actions: Array) -> Chart:
    low, high = (np.concatenate([extreme(states, axis=0), extreme(actions, axis=0)]) for extreme in (np.min, np.max))
    if len(symbols) > 2:
        plane = _principal(inner, output)
        first, second = (Coordinate(f"centre in the plane of most output, {k + 1}", _along(plane[:, k])) for k in range(2))
        return Chart(first, _OUTPUT, second)
    first, *others = (Coordinate(f"centre  ${symbol}$", _along(axis)) for symbol, axis in zip(symbols, np.eye(len(symbols)), strict=True))
    region = (np.array([low[0], high[0]]), np.full(2, low[1]), np.full(2, high[1])) if others else None
    return Chart(first, _OUTPUT, others[0] if others else None, shaded="the nodes", spans=((low[0], high[0]),), region=region)


def _plain(symbols: list[str], weights: Array) -> Chart:
    def mass(x: Array) -> Array:
        order = np.argsort(x[:, 0], kind="stable")
        share = np.empty(len(x))
        share[order] = np.cumsum(weights[order])
        return share

    first = Coordinate(f"${symbols[0]}$", lambda x: x[:, 0])
    upright = Coordinate(f"${symbols[1]}$", lambda x: x[:, 1]) if len(symbols) > 1 else Coordinate(f"mass up to  ${symbols[0]}$", mass)
    return Chart(first, upright)


def _angle(label: str, plane: Callable[[Array], Array]) -> Coordinate:
    def angle(x: Array) -> Array:
        along, over = plane(x).T
        return np.asarray(np.arctan2(over, along))

    return Coordinate(label, angle, (-np.pi, np.pi))


def _along(axis: Array) -> Callable[[Array], Array]:
    return lambda x: np.asarray(x[:, 1:] @ axis)


def _unit(x: Array) -> Array:
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(x / np.where(length > 0.0, length, 1.0))


def _principal(x: Array, mass: Array) -> Array:
    """The two axes (d, 2) of largest second moment of x (N, d) under `mass` (N,), their largest entries positive."""
    mass = mass if mass.any() else np.ones(len(x))
    axes = np.linalg.eigh((x * (mass / mass.sum())[:, None]).T @ x)[1][:, :-3:-1]
    return np.asarray(axes * np.sign(np.take_along_axis(axes, np.abs(axes).argmax(axis=0)[None], axis=0)))


def _crossing(states: Array, actions: Array) -> tuple[Array, Array, Array]:
    """Between which heights b/|ω̄| the line k·(s, a) + b = 0 meets a node, over the angle of k."""
    angle = np.linspace(-np.pi, np.pi, 361)
    k = np.stack([np.cos(angle), np.sin(angle)])
    parts = (states @ k[: states.shape[1]], actions @ k[states.shape[1] :])  # extremes over pairs are sums of extremes
    low, high = (-sum(extreme(part, axis=0) for part in parts) for extreme in (np.max, np.min))
    return angle, low / np.hypot(1.0, low), high / np.hypot(1.0, high)
