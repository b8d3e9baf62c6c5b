"""A solution as an ``xarray.Dataset``: named dimensions, units, and attributes that netCDF files can hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from wflow.plotting.charts import coordinate_names
from wflow.storage.file_format import MEANING

if TYPE_CHECKING:
    import xarray

    from wflow.solution import Solution

__all__ = ["dataset"]

# dimensions, unit and description of what flows store by these names (`PolicyValue`); other arrays are told by their shapes
_ARRAYS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "states": (("s", "state_coordinate"), "", "states of the problem"),
    "actions": (("a", "action_coordinate"), "", "actions of the problem"),
    "action_weights": (("a",), "", "weights of the reference measure on the actions"),
    "optimal_value": ((), "reward", "optimal energy E*"),
    "optimal_log_policy": (("s", "a"), "nats", "log density of the optimal policy with respect to the action weights"),
    "log_policy": (("s", "a"), "nats", "log density of the policy with respect to the action weights"),
    "weights": (("particle",), "", "weights of the particles"),
}
_AXES = ("s", "a", "particle", "coordinate", "component", "state_time", "event")


def dataset(solution: Solution) -> xarray.Dataset:
    """All that a run left, by name.

    Dimensions
        ``time`` of the F frames, with the diagnostics. ``state_time`` of the K states kept and, of a run that has not ended, of its
        checkpoint: ``points`` (state_time, particle, coordinate) for clouds of particles, with their ``weights``; ``masses``
        (state_time, x1, x2, ...) for grids; else ``state`` (state_time, component), as packed. ``s`` and ``a`` for the problem's
        states and actions, with their coordinate where that is one number. ``event`` for ``event_name`` and ``event_time``, if any
        occurred. Arrays of unknown shape have dimensions of their own (``name_0``, ...); empty ones, such as the coordinates of a
        bandit's state, are left out.
    Names
        One that is taken gets ``static_`` or ``final_`` before it. What was worked out at the last state carries its ``time``.

    Attributes
    ----------
        ``status``, ``message``, and as JSON text ``provenance``, ``counts`` and ``seconds``.

    The states are read one at a time into one array. Memory: O(K n), n numbers a state.

    Raises
    ------
    ImportError
        If xarray is not installed.
    """
    try:
        import xarray
    except ImportError as error:
        raise ImportError("to_xarray needs xarray: pip install 'wflow[xarray]'") from error

    static = solution.static
    result = xarray.Dataset(coords={"time": ("time", solution.times, {"units": "mean-field time", "long_name": "time of a frame"})})
    for name, values in solution.diagnostics.items():
        unit, text = MEANING.get(name, ("", "diagnostic of the flow"))
        result[name] = (("time",), values, {"units": unit, "long_name": text})
    _add_states(result, solution)
    for letter, name in (("s", "states"), ("a", "actions")):
        if np.ndim(static.get(name, 0.0)) == 2 and static[name].shape[1] == 1:
            result.coords[letter] = ((letter,), static.pop(name)[:, 0], {"long_name": f"coordinate of the {name[:-1]}"})
    _add_arrays(result, static, "static_", {})
    _add_arrays(result, solution.finals, "final_", {"time": solution.finals_time})
    if happened := sorted((t, name) for name, times in solution.events.items() for t in times):
        result["event_name"] = (("event",), [name for _, name in happened])
        result["event_time"] = (("event",), [t for t, _ in happened], {"units": "mean-field time"})
    result.attrs = {"status": solution.status.value, "message": solution.message}
    result.attrs |= {name: json.dumps(getattr(solution, name)) for name in ("provenance", "counts", "seconds")}
    return result


def _add_states(result: xarray.Dataset, solution: Solution) -> None:
    """The states kept, and the checkpoint's where it is later."""
    stored, times = solution.stored, list(solution.state_times)
    packed = [stored.states(range(len(times)))]
    if stored.last is not None and (not times or stored.last[0] > times[-1]):
        times.append(stored.last[0])
        packed.append(iter([stored.last[1]]))
    if not times:
        return
    values = np.empty((len(times), stored.layout.size))
    for k, y in enumerate(chain.from_iterable(packed)):
        values[k] = y
    result.coords["state_time"] = (("state_time",), times, {"units": "mean-field time", "long_name": "time of a state"})
    if stored.layout.kind == "particles":
        points = values.reshape(len(times), len(stored.layout.static["weights"]), -1)
        names = coordinate_names(stored.layout.static, points.shape[2])
        result["points"] = (("state_time", "particle", "coordinate"), points, {"long_name": "particles"})
        result.coords["coordinate"] = (("coordinate",), names)
    elif stored.layout.kind == "grid":
        axes = [static for k in range(4) if (static := stored.layout.static.get(f"axis{k}")) is not None]
        names = [f"x{k + 1}" for k in range(len(axes))]
        for name, edges in zip(names, axes, strict=True):
            result.coords[name] = ((name,), (edges[1:] + edges[:-1]) / 2.0, {"long_name": "centres of the cells"})
        shape = [len(times), *(len(edges) - 1 for edges in axes)]
        result["masses"] = (("state_time", *names), values.reshape(shape), {"long_name": "masses of the cells"})
    else:
        result["state"] = (("state_time", "component"), values, {"long_name": "packed state"})


def _add_arrays(result: xarray.Dataset, arrays: Mapping[str, Any], prefix: str, about: Mapping[str, Any]) -> None:
    for name, value in arrays.items():
        array = np.asarray(value)
        if array.size:
            own, unit, text = _ARRAYS.get(name, ((), "", ""))
            described = {key: told for key, told in (("units", unit), ("long_name", text)) if told}
            free = prefix + name if name in result.variables or name in result.sizes or name in _AXES else name
            result[free] = (_dimensions(free, array.shape, own, result.sizes), array, {**described, **about})


def _dimensions(name: str, shape: tuple[int, ...], own: tuple[str, ...], sizes: Mapping[Any, int]) -> tuple[str, ...]:
    """The names of an array's axes: its own, where they fit; (s, a); an axis of which there is only one of its length; else new ones."""
    if len(own) == len(shape) and all(sizes.get(axis, n) == n for axis, n in zip(own, shape, strict=True)):
        return own
    known = {axis: sizes[axis] for axis in ("s", "a", "particle") if axis in sizes}
    if shape == (known.get("s"), known.get("a")):
        return ("s", "a")
    fitting = [axis for axis, n in known.items() if shape == (n,)]
    return (fitting[0],) if len(fitting) == 1 else tuple(f"{name}_{k}" for k in range(len(shape)))
