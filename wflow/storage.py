"""Writing runs to HDF5, frame by frame, so that no frame is lost; and the door to the room's other parts.

`wflow._file_format` says what is in a file, `wflow._file_reader` reads it, `wflow.provenance` tells who wrote it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from wflow import _file_format
from wflow._checks import Array
from wflow._file_format import FORMAT_VERSION
from wflow._file_reader import count, read
from wflow.provenance import plain, provenance, this_process
from wflow.record import Layout, Record, Sink

if TYPE_CHECKING:
    import h5py

__all__ = ["FORMAT_VERSION", "File", "RunWriter", "check_target", "count", "create", "plain", "provenance", "read"]

_SLACK = 65536  # HDF5's own growth per frame stays far below this
_FRAMES, _STATES, _EVENTS = range(3)


def check_target(path: str | os.PathLike[str], force: bool = False) -> Path:
    """`path` if a new file may be written there.

    Raises
    ------
    FileExistsError
        If something is there and `force` is not set, or is set but what is there was not written by wflow.
    FileNotFoundError, NotADirectoryError, PermissionError
        If its folder is missing, is none, or cannot be written to.
    """
    target = Path(path).absolute()
    folder = target.parent
    if not folder.exists():
        raise FileNotFoundError(f"path: the folder {folder} does not exist")
    if not folder.is_dir():
        raise NotADirectoryError(f"path: {folder} is not a folder")
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"path: the folder {folder} cannot be written to")
    if target.exists():
        if not force:
            raise FileExistsError(f"path: {target} exists; choose another name, or set force to replace it")
        try:
            count(target)
        except (OSError, ValueError):
            raise FileExistsError(f"path: {target} exists and is no file of wflow; it is not replaced even with force") from None
    return target


class File:
    """A file open for appending to its runs; one writer, any number of readers. Made by `create`, closed by ``with``."""

    def __init__(self, path: Path, file: h5py.File) -> None:
        self.path, self._file, self._reserved = path, file, 0
        self.runs: tuple[RunWriter, ...] = ()

    def reserve(self, size: int) -> None:
        """Make sure that the disk has room for `size` bytes more, before HDF5 writes them.

        HDF5 does not survive a write that fails (the process crashes when it closes the file), so that room is taken first.
        Where the system or the file system cannot reserve, nothing is done.

        Raises
        ------
        OSError
            If there is no room.
        """
        needed = self._file.id.get_filesize() + size + _SLACK
        if needed <= self._reserved or not hasattr(os, "posix_fallocate"):
            return
        try:
            os.posix_fallocate(self._file.id.get_vfd_handle(), self._reserved, needed + _SLACK - self._reserved)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
        self._reserved = needed + _SLACK

    def close(self) -> None:
        """Close the file; its runs can no longer be written."""
        self._file.close()

    def __enter__(self) -> File:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def create(path: str | os.PathLike[str], layouts: Sequence[Layout], *, force: bool = False) -> File:
    """Lay out a file for one run or several; it appears under `path`, at once readable, only when that has succeeded.

    Parameters
    ----------
    path : str or path
    layouts : sequence of Layout
        One per run, in the order of ``File.runs``.
    force : bool
        Replace a file of wflow that exists.

    Raises
    ------
    FileExistsError, FileNotFoundError, NotADirectoryError, PermissionError
        As `check_target`.
    OSError
        If there is no room on the disk.
    """
    import h5py

    target = check_target(path, force)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with _disk(target, "create the file; nothing was written"):
            file = File(target, h5py.File(temporary, "w", libver="latest"))
            try:
                file.reserve(_file_format.size(layouts))
                groups = _file_format.lay_out(file._file, layouts)
                file._file.swmr_mode = True
                file.runs = tuple(RunWriter(file, k, group, layout) for k, (group, layout) in enumerate(zip(groups, layouts, strict=True)))
                os.replace(temporary, target)
            except BaseException:
                file.close()
                raise
    finally:
        temporary.unlink(missing_ok=True)
    return file


class _Rows:
    """One-row writes to a dataset, each flushed; HDF5's low-level calls, as a frame costs a third of h5py's high level."""

    def __init__(self, dataset: h5py.Dataset) -> None:
        from h5py import h5s, h5t

        self._dataset, self._id = dataset, dataset.id
        self._row = (1, *dataset.shape[1:])
        self._space, self._type = h5s.create_simple(self._row), h5t.py_create(dataset.dtype)

    def put(self, index: int, row: Any) -> None:
        if index >= self._id.shape[0]:
            self._id.set_extent((index + 1, *self._row[1:]))
        target = self._id.get_space()
        target.select_hyperslab((index, *(0 for _ in self._row[1:])), self._row)
        self._id.write(self._space, target, row, self._type)
        self._dataset.flush()


class RunWriter(Sink):
    """One run of a `File`; the sink that ``wflow.solve`` writes to. A row interrupted half-way is written again at the same place."""

    def __init__(self, file: File, number: int, group: h5py.Group, layout: Layout) -> None:
        from h5py import h5s, h5t

        self.layout, self.path, self.number = layout, file.path, number
        self._file, self._group, self._counters = file, group, group["counters"]
        self._series = {name: _Rows(group[name]) for name in ("frames", "states", "state_times", "events", "summary")}
        self._all, self._int64 = h5s.ALL, h5t.NATIVE_INT64
        # rows of each series so far and time of the last: replaced as one object, so that no interrupt finds half of it
        self._ends: list[tuple[int, float]] = [(0, -np.inf)] * 3
        self._sequence = 0

    @property
    def frame_time(self) -> float:  # noqa: D102
        return self._ends[_FRAMES][1]

    @property
    def state_time(self) -> float:  # noqa: D102
        return self._ends[_STATES][1]

    def begin(self, summary: Mapping[str, Any]) -> None:
        """Say what runs here and in which process."""
        if self._sequence:
            raise ValueError(f"path: run {self.number} of {self.path} has been written; every run takes a writer of its own")
        self._summarise({**summary, "writer": this_process()})

    def frame(self, row: Array, y: Array | None = None) -> None:
        """Append the time and the diagnostics (D + 1,), some 40 µs, and the state (n,) if it is given; counted together."""
        self._append(float(row[0]), {_FRAMES: {"frames": row}} | ({} if y is None else self._state_rows(float(row[0]), y)))

    def state(self, t: float, y: Array) -> None:  # noqa: D102
        self._append(t, self._state_rows(t, y))

    def event(self, index: int, t: float) -> None:  # noqa: D102
        self._append(t, {_EVENTS: {"events": np.array([index, t])}})

    @staticmethod
    def _state_rows(t: float, y: Array) -> dict[int, dict[str, Array]]:
        return {_STATES: {"states": np.ascontiguousarray(y), "state_times": np.array([t])}}

    def close(self, summary: Mapping[str, Any], finals: Mapping[str, Array]) -> Record:
        """Write how the run ended, and read its record back."""
        with _disk(self.path, f"end run {self.number}; its frames are kept"):
            for name, value in finals.items():
                self._group["finals"][name][...] = value
                self._group["finals"][name].flush()
            self._summarise(summary)
        return read(self.path, self.number)

    def _append(self, t: float, series: dict[int, dict[str, Array]]) -> None:
        """Write rows, then count them; a row that was not counted is written again at the same place."""
        with _disk(self.path, f"append frame {self._ends[_FRAMES][0]} of run {self.number}; all before it are kept"):
            self._file.reserve(sum(row.nbytes for rows in series.values() for row in rows.values()))
            for kind, rows in series.items():
                for name, row in rows.items():
                    self._series[name].put(self._ends[kind][0], row[None])
            ends = [(n + 1, t) if kind in series else (n, last) for kind, (n, last) in enumerate(self._ends)]
            self._counters.id.write(self._all, self._all, np.array([n for n, _ in ends], dtype=np.int64), self._int64)
            self._counters.flush()
        self._ends = ends

    def _summarise(self, summary: Mapping[str, Any]) -> None:
        slot = _file_format.pack_summary(self._sequence + 1, summary)
        self._sequence += 1
        self._series["summary"].put(self._sequence % 2, slot)


@contextmanager
def _disk(path: Path, task: str) -> Iterator[None]:
    """Turn what HDF5 and the system say about a failed write into one line."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error).splitlines()[0]
        raise type(error if isinstance(error, OSError) else OSError())(f"{path}: {reason}: cannot {task}") from error
