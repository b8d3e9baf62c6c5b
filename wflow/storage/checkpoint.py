"""Checkpoints: all that a run needs to go on bit for bit, in one small file that is replaced whole.

The checkpoint of ``a.h5`` is ``a.h5.checkpoint``, a NumPy archive (``numpy.load``), format version 1::

    meta       JSON text, UTF-8 bytes as uint8: creator, format_version, run (the id of the file it belongs to), t, progress, stepper
    y          packed state (n,)
    array/k    arrays that stand as {"__array__": k} in meta, such as the method's memory (RKC2: the field, the eigenvector)
    finals/*   the flow's arrays at this state, for figures of a run that has not ended

``progress`` counts what was done up to then: steps, field evaluations, rows of the file, seconds. ``stepper`` is the method's
``state_dict()``: step size, error of the last step, spectral radius; a random generator's state where it has one.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from wflow._checks import Array
from wflow.provenance import plain
from wflow.storage import disk

__all__ = ["FORMAT_VERSION", "Checkpoint", "path_of", "read", "standing", "write"]

FORMAT_VERSION = 1


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Where a run stood after a step.

    Parameters
    ----------
    run : str
        Id of the run, an attribute of its file.
    t : float
        Mean-field time.
    y : ndarray, shape (n,)
        Packed state.
    stepper : mapping or None
        The method's ``state_dict()``: numbers, strings, arrays, a Generator, nested in mappings and lists; None if it has none.
    progress : mapping
        Plain data.
    finals : mapping of arrays
        The flow's ``finals(t, y)``.
    """

    run: str
    t: float
    y: Array
    stepper: Mapping[str, Any] | None
    progress: Mapping[str, Any]
    finals: Mapping[str, Array] = field(default_factory=dict)


def path_of(path: Path) -> Path:
    """Where the checkpoint of a file lies."""
    return path.with_name(f"{path.name}.checkpoint")


def write(path: Path, checkpoint: Checkpoint) -> None:
    """Replace the checkpoint of the file `path`. Cost: one pass over the arrays, and the disk's; no copy of them is made.

    Raises
    ------
    OSError
        In one line, if the disk is full; the checkpoint before stays.
    """
    arrays: dict[str, Array] = {}
    told = {"creator": "wflow", "format_version": FORMAT_VERSION, "run": checkpoint.run, "t": checkpoint.t}
    meta = plain({**told, "progress": checkpoint.progress, "stepper": _without_arrays(checkpoint.stepper, arrays)})
    finals = {f"finals/{name}": array for name, array in checkpoint.finals.items()}
    text = np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8)

    def save(file: BinaryIO) -> None:
        np.savez(file, meta=text, y=checkpoint.y, **arrays, **finals)  # type: ignore[arg-type]

    with disk.said(path_of(path), "write it; the checkpoint before it is kept"):
        disk.replace(path_of(path), save)


def read(path: Path) -> Checkpoint | None:
    """The checkpoint of the file `path`; None if there is none.

    Raises
    ------
    ValueError
        If it is damaged, not wflow's, or of a newer format.
    """
    if not path_of(path).exists():
        return None
    with _archive(path) as (meta, archive):
        return Checkpoint(meta["run"], meta["t"], archive["y"], _with_arrays(meta["stepper"], archive), meta["progress"], _finals(archive))


def standing(path: Path, run: str) -> tuple[float, Array, dict[str, Array]] | None:
    """Time, state and finals of a checkpoint, for a look at a run that has not ended; None if it has none that can be read."""
    with suppress(ValueError, FileNotFoundError), _archive(path) as (meta, archive):
        return (meta["t"], archive["y"], _finals(archive)) if meta["run"] == run else None
    return None


@contextmanager
def _archive(path: Path) -> Iterator[tuple[dict[str, Any], Any]]:
    where = path_of(path)
    with where.open("rb") as file, ExitStack() as held:
        try:
            archive = held.enter_context(np.load(file, allow_pickle=False))
            meta = json.loads(archive["meta"].tobytes())
            version = meta["format_version"] if meta["creator"] == "wflow" else None
        except (OSError, ValueError, LookupError, TypeError, EOFError, AttributeError, zipfile.BadZipFile) as error:
            raise _damaged(where, error) from error
        if version is None:
            raise ValueError(f"{where} is no checkpoint of wflow")
        if version > FORMAT_VERSION:
            raise ValueError(f"{where} has format version {version}; this wflow reads up to {FORMAT_VERSION}: upgrade wflow")
        try:
            yield meta, archive
        except (OSError, ValueError, LookupError, EOFError, zipfile.BadZipFile) as error:
            raise _damaged(where, error) from error


def _damaged(where: Path, error: Exception) -> ValueError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return ValueError(f"{where} is damaged ({reason}); remove it to resume from what the file itself keeps")


def _finals(archive: Any) -> dict[str, Array]:
    return {name.removeprefix("finals/"): archive[name] for name in archive.files if name.startswith("finals/")}


def _without_arrays(value: Any, arrays: dict[str, Array]) -> Any:
    """`value` as plain data, its arrays put aside and named."""
    if isinstance(value, Mapping):
        return {str(key): _without_arrays(part, arrays) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_arrays(part, arrays) for part in value]
    if isinstance(value, np.random.Generator):
        return _without_arrays(value.bit_generator.state, arrays)
    if isinstance(value, np.ndarray):
        arrays[f"array/{len(arrays)}"] = value
        return {"__array__": len(arrays) - 1}
    return value


def _with_arrays(value: Any, archive: Mapping[str, Array]) -> Any:
    """The inverse of `_without_arrays`; a generator comes back as the state of its bit generator."""
    if isinstance(value, dict):
        if value.keys() == {"__array__"}:
            return archive[f"array/{value['__array__']}"]
        return {key: _with_arrays(part, archive) for key, part in value.items()}
    return [_with_arrays(part, archive) for part in value] if isinstance(value, list) else value
