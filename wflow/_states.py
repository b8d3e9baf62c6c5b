"""States that a file holds as flat arrays, made measures again without their flow (`wflow.flows.Flow`, ``state_kind``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from wflow._checks import Array
from wflow.record import Layout

__all__ = ["KINDS", "unpacker"]


def unpacker(layout: Layout, otherwise: Callable[[Array], Any]) -> Callable[[Array], Any]:
    """What makes a state of a packed one: from what the run itself stored, as a flow may move other measures later; else `otherwise`.

    It travels to other processes, unlike a closure.
    """
    return partial(KINDS[layout.kind], layout.static) if layout.kind in KINDS else otherwise


def _particles(static: Mapping[str, Any], y: Array) -> Any:
    from wflow.measures import ParticleMeasure

    weights = static["weights"]
    return ParticleMeasure(y.reshape(len(weights), -1), weights)


def _weighted(static: Mapping[str, Any], y: Array) -> Any:
    from wflow.flows.fisher_rao_transport import weighted_cloud

    return weighted_cloud(y, int(static["shape"][0]))


def _grid(static: Mapping[str, Any], y: Array) -> Any:
    """The masses as the run had them: not checked, as a scheme that was told to may have made some negative."""
    from wflow.measures import GridMeasure

    axes = tuple(static[name] for name in ("axis0", "axis1", "axis2", "axis3") if name in static)
    return GridMeasure._trusted(axes, y.reshape([len(edges) - 1 for edges in axes]))


def _moving(static: Mapping[str, Any], y: Array) -> Any:
    from wflow.measures import GridMeasure

    return GridMeasure._trusted((y,), static["masses"])


def _policy(static: Mapping[str, Any], y: Array) -> Any:
    from wflow.flows._tabular_policy import log_normalised

    weights = static["action_weights"]
    return log_normalised(y.reshape(-1, len(weights)), weights)


def _actor_critic(static: Mapping[str, Any], y: Array) -> Any:
    from wflow.flows.actor_critic import split_state

    return split_state(y, static["action_weights"], int(static["n_parameters"]))


# By ``state_kind``: points (N m); points (N m) and log weights (N); masses of the cells of a fixed grid; edges of cells of fixed mass;
# log π (n_s n_a); critic's parameters (d) and log π (n_s n_a).
KINDS: dict[str, Callable[[Mapping[str, Any], Array], Any]] = {
    "particles": _particles,
    "weighted particles": _weighted,
    "grid": _grid,
    "moving grid": _moving,
    "policy": _policy,
    "actor-critic": _actor_critic,
}
