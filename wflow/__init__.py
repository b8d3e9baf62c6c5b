"""wflow: measures that move along Wasserstein gradient flows.

``import wflow`` is light: sub-packages load when first touched.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wflow import (
        closed_forms,
        energies,
        flows,
        integrators,
        mdp,
        measures,
        meshes,
        neurons,
        parallel,
        plotting,
        policies,
        record,
        spaces,
        storage,
        studies,
    )
    from wflow.loop import Solution, Status, open, solve  # noqa: A004 (wflow.open, as h5py.File or xarray.open_dataset)

try:
    __version__ = version("wflow")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0.0.0"

_MODULES = ("closed_forms", "energies", "flows", "integrators", "mdp", "measures", "meshes", "neurons", "parallel", "plotting",
            "policies", "record", "spaces", "storage", "studies")  # fmt: skip
_NAMES = {"solve": "wflow.loop", "Solution": "wflow.loop", "Status": "wflow.loop", "open": "wflow.loop"}

__all__ = [
    "Solution", "Status", "closed_forms", "energies", "flows", "integrators", "mdp", "measures", "meshes", "neurons", "open", "parallel",
    "plotting", "policies", "record", "solve", "spaces", "storage", "studies",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"wflow.{name}")
    if name in _NAMES:
        return getattr(import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'wflow' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES, *_NAMES})
