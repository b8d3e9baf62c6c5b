"""Reading runs from HDF5: files that are being written, were finished, or whose writer was killed; a damaged one is refused."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow.provenance import has_ended
from wflow.record import Layout, Record
from wflow.storage import checkpoint
from wflow.storage.file_format import FORMAT_VERSION, unpack_summary
from wflow.storage.left_open import LeftOpen

if TYPE_CHECKING:
    import h5py

__all__ = ["StoredStates", "count", "opened", "read"]

_ATTEMPTS = 20  # within 2 seconds


def count(path: str | os.PathLike[str]) -> int:
    """Number of runs in a file of wflow."""
    with opened(Path(path).absolute()) as file:
        return len(file["runs"])


def read(path: str | os.PathLike[str], run: int = 0) -> Record:
    """The record of one run, copied out of a file that is being written, was finished, or whose writer was killed.

    The summary's ``status`` says which: ``"running"`` if the process that writes is alive (on another host: if it has not said
    that it ended), ``"killed"`` if it is gone, ``"waiting"`` if the run was never begun. States are read when asked for.

    Raises
    ------
    FileNotFoundError, PermissionError
        If the file is not there or cannot be read.
    ValueError
        If it is not a file of wflow, is damaged, or was written by a newer format; or if it has no such run.
    """
    path = Path(path).absolute()
    with opened(path) as file:
        run = _checks.integer("run", run, at_least=0)
        if run >= len(file["runs"]):
            raise ValueError(f"run must be below {len(file['runs'])}, the number of runs in {path}; got {run}")
        group = file[f"runs/{run:03d}"]
        summary = _fate(unpack_summary(group["summary"][:]))
        frames, states, events = (int(n) for n in group["counters"][:])
        static, finals = ({name: group[kind][name][()] for name in group[kind]} for kind in ("static", "finals"))
        shapes = {name: array.shape for name, array in finals.items()}
        columns, size, kind = group["frames"].attrs["columns"], int(group.attrs["state_size"]), str(group.attrs["state_kind"])
        identity, last = str(group.attrs["id"]), None
        if summary["status"] in ("running", "killed") and (found := checkpoint.standing(path, identity)):
            last, finals = found[:2], found[2]
        return Record(
            Layout(tuple(columns[1:]), size, kind, static, shapes),
            group["frames"][:frames],
            group["state_times"][:states, 0],
            StoredStates(path, run, identity),
            group["events"][:events],
            summary,
            finals,
            path,
            identity,
            last,
        )


@dataclass(frozen=True)
class StoredStates:
    """The states of a run, read from its file one at a time when they are asked for.

    Parameters
    ----------
    path : Path
    run : int
        Its place in the file.
    identity : str
        Its id, to notice a file that was replaced by another run's.
    """

    path: Path
    run: int
    identity: str

    def __call__(self, indices: Iterable[int]) -> Iterator[Array]:
        """Packed states (n,), the file being opened once."""
        with opened(self.path) as file:
            group = file[f"runs/{self.run:03d}"]
            if group.attrs["id"] != self.identity:
                raise ValueError(f"{self.path} was replaced since it was opened; open it again")
            for k in indices:
                yield np.asarray(group["states"][k])


def _fate(summary: dict[str, Any] | None) -> dict[str, Any]:
    """The summary that was found, with what has become of the writer where it does not say itself."""
    if summary is None:
        return {"status": "waiting", "message": "laid out but not begun", "counts": {}, "seconds": {}, "events": [], "provenance": {}}
    if summary["status"] == "running":
        writer = summary["writer"]
        who = f"process {writer['pid']} on {writer['host']}"
        if has_ended(writer):
            summary.update(status="killed", message=f"{who} ended without a word; every frame it had flushed is here")
        else:
            summary.update(message=f"being written by {who}")
    return summary


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """A file of wflow, being written or not, to be read.

    Raises
    ------
    FileNotFoundError, IsADirectoryError, PermissionError, ValueError
        As `read`.
    """
    import h5py

    if not path.is_file():
        raise (IsADirectoryError if path.is_dir() else FileNotFoundError)(f"{path} {'is a folder' if path.is_dir() else 'does not exist'}")
    if not os.access(path, os.R_OK):
        raise PermissionError(f"{path} cannot be read: permission denied")
    being_written = _superblock(path)
    left_open = being_written and _abandoned(path)
    try:
        with (
            LeftOpen(path) if left_open else nullcontext(path) as source,
            h5py.File(source, "r", libver="latest", swmr=being_written and not left_open) as file,
        ):
            if file.attrs.get("creator") != "wflow":
                raise ValueError(f"{path} was written by another program, not by wflow")
            if (version := int(file.attrs["format_version"])) > FORMAT_VERSION:
                raise ValueError(f"{path} has format version {version}; this wflow reads up to {FORMAT_VERSION}: upgrade wflow")
            yield file
    except (OSError, RuntimeError, KeyError) as error:
        raise ValueError(f"{path} is damaged ({str(error).splitlines()[0]})") from error


def _abandoned(path: Path) -> bool:
    """Whether the process that had the file open for writing is gone.

    While it goes on its metadata may be read half written, which is why it is asked several times before damage is believed.
    """
    import h5py

    for attempt in range(_ATTEMPTS):
        try:
            with LeftOpen(path) as source, h5py.File(source, "r") as file:
                found = [unpack_summary(file[f"runs/{name}/summary"][:]) for name in file["runs"]]
            writers = [summary["writer"] for summary in found if summary is not None and summary["status"] == "running"]
            return bool(writers) and all(map(has_ended, writers))
        except (OSError, RuntimeError, KeyError):
            time.sleep(0.01 * attempt)
    return True


def _superblock(path: Path) -> bool:
    """Whether a writer has not closed the file: only then must it be opened under SWMR, or as `LeftOpen` if that writer is gone.

    HDF5 file format specification, superblock versions 2 and 3: signature, version, sizes, flags of whoever has it open for
    writing, and at byte 28 the length that the file must have.
    """
    with path.open("rb") as file:
        head = file.read(48)
    if len(head) < 48 or head[:8] != b"\x89HDF\r\n\x1a\n":
        raise ValueError(f"{path} is not a file of wflow")
    if head[8] < 2:
        raise ValueError(f"{path} was written by another program, not by wflow")
    length = int.from_bytes(head[28:36], "little")
    if path.stat().st_size < length:
        raise ValueError(f"{path} is damaged: {path.stat().st_size} of {length} bytes are left")
    return head[11] != 0
