"""Who ran what, where and with what: machine, versions, git revision, process; in plain JSON types."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["MAX_BYTES", "has_ended", "plain", "process_exists", "provenance", "surroundings", "this_process"]

MAX_BYTES = 32768  # of a provenance as JSON


def plain(value: Any) -> Any:
    """`value` as JSON would give it back: NumPy scalars and arrays as numbers and lists, the unknown as its repr."""

    def other(x: Any) -> Any:
        if isinstance(x, np.floating):
            return float(x)  # what `tolist` makes of a long double is a long double
        return x.tolist() if isinstance(x, (np.ndarray, np.generic)) else str(x) if isinstance(x, os.PathLike) else repr(x)

    try:
        return json.loads(json.dumps(value, default=other))
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"provenance must be plain data: {error}") from None


def provenance(details: Mapping[str, Any]) -> dict[str, Any]:
    """`details`, the date (UTC), versions, machine and git revision, in plain JSON types; ValueError if that takes over 32 KiB."""
    result: dict[str, Any] = plain({**details, **surroundings(), "date": datetime.now(UTC).isoformat(timespec="seconds")})
    if (size := len(json.dumps(result))) > MAX_BYTES:
        raise ValueError(f"provenance must fit in {MAX_BYTES} bytes as JSON; got {size} (large arrays: the flow's static())")
    return result


@cache
def surroundings() -> dict[str, Any]:
    """Versions, machine and git revision: the same for every run of a process."""
    import numba
    import scipy

    import wflow

    root = Path(wflow.__file__).parents[1]
    revision = None
    if (root / ".git").exists():
        command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        try:
            revision = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
        except (OSError, subprocess.SubprocessError):
            revision = None
    versions = {"wflow": wflow.__version__, "python": platform.python_version(), "numpy": np.__version__,
                "scipy": scipy.__version__, "numba": numba.__version__}  # fmt: skip
    machine = f"{platform.system()} {platform.release()} {platform.machine()}, {os.cpu_count()} CPUs, {platform.node()}"
    return {"versions": versions, "machine": machine, "git": revision}


def this_process() -> dict[str, Any]:
    """Host, number and start of this process: what tells it from every other."""
    return {"host": platform.node(), "pid": os.getpid(), "started": _process_start(os.getpid())}


def has_ended(process: Mapping[str, Any]) -> bool:
    """Whether the process that called itself so by `this_process` is known to be gone; of another host's, nothing is known."""
    return bool(process["host"] == platform.node() and _process_start(process["pid"]) != process["started"])


def process_exists(pid: int) -> bool:
    """Whether a process of this number lives on this host; True where that cannot be told."""
    return _process_start(pid) is not None


def _process_start(pid: int) -> str | None:
    """What tells a live process from a later one with its number: its start in clock ticks since boot; None if it is gone."""
    if sys.platform != "linux":
        return "unknown"  # a file left by a killed process then says that it is being written
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state in "ZX" else fields[18]
