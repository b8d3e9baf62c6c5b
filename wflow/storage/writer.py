"""Writing a run to HDF5, frame by frame, so that no frame is lost."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from wflow._checks import Array
from wflow.provenance import this_process
from wflow.record import Layout, Record, Sink
from wflow.storage import disk, file_format
from wflow.storage.reader import count, read
from wflow.storage.rows import Rows, reserve

if TYPE_CHECKING:
    import h5py

__all__ = ["RunWriter", "check_target", "create", "reopen"]

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
    disk.check_folder(target.parent)
    if target.exists():
        if not force:
            raise FileExistsError(f"path: {target} exists; choose another name, set resume to go on with it, or force to replace it")
        try:
            count(target)
        except (OSError, ValueError):
            raise FileExistsError(f"path: {target} exists and is no file of wflow; it is not replaced even with force") from None
    return target


def create(path: str | os.PathLike[str], layout: Layout, summary: Mapping[str, Any], *, force: bool = False) -> RunWriter:
    """Lay out a file for a run; it appears under `path`, at once readable, only when that has succeeded.

    Parameters
    ----------
    path : str or path
    layout : Layout
    summary : mapping
        What runs here (`wflow.record.Record`); the process that writes is added.
    force : bool
        Replace a file of wflow that exists.

    Raises
    ------
    FileExistsError, FileNotFoundError, NotADirectoryError, PermissionError
        As `check_target`.
    OSError
        If there is no room on the disk.
    """
    return _lay_out(check_target(path, force), layout, summary)


def reopen(stored: Record, summary: Mapping[str, Any]) -> RunWriter:
    """A file with all that a record of another holds, to be appended to; it takes that file's place when it is whole.

    The old file is never written. Cost: one pass over it; memory O(F D + n).

    Parameters
    ----------
    stored : Record
        Read from a file of one run; rows cut off it are not copied.
    summary : mapping
        As `create`.

    Raises
    ------
    OSError
        If there is no room for the copy; the file is as before.
    """
    assert stored.path is not None
    return _lay_out(stored.path, stored.layout, summary, stored)


def _lay_out(target: Path, layout: Layout, summary: Mapping[str, Any], old: Record | None = None) -> RunWriter:
    import h5py

    with disk.said(target, "create the file; nothing was written"), disk.temporary(target) as temporary:
        file = h5py.File(temporary, "w", libver="latest", rdcc_nbytes=0)
        try:
            reserve(file, 0, file_format.size(layout) + (target.stat().st_size if old else 0) + _SLACK)
            group = file_format.lay_out(file_format.sign(file), layout, old.run if old else None)
            file.flush()  # nothing that HDF5 still holds may come over what is written beside it
            writer = RunWriter(target, file, group, layout)
            if old:
                writer._refill(old)
            writer._summarise({**summary, "writer": this_process()})
            file.swmr_mode = True  # all is on its way to the disk from here on
            os.replace(temporary, target)
        except BaseException:
            file.close()
            raise
    return writer


class RunWriter(Sink):
    """A file that a run is appended to: one writer, any number of readers. Made by `create` and `reopen`, closed by ``with``.

    A row interrupted half-way is written again at the same place.

    Attributes
    ----------
    run : str
        Id of the run, the same for all its life.
    """

    def __init__(self, path: Path, file: h5py.File, group: h5py.Group, layout: Layout) -> None:
        self.layout, self.path, self.run = layout, path, str(group.attrs["id"])
        self._file, self._group, self._counters = file, group, (file.id.get_vfd_handle(), group["counters"].id.get_offset())
        self._numbers = np.zeros(3, dtype=np.int64)  # what is written there
        self._series = {name: Rows(group[name], self._reserve) for name in ("frames", "states", "state_times", "events")}
        # rows of each series so far and what the last says of time: replaced as one object, so that no interrupt finds half of it
        self._ends: list[tuple[int, tuple[float, int]]] = [(0, (-np.inf, 0))] * 3
        self._sequence = self._reserved = 0

    @property
    def frame_time(self) -> float:  # noqa: D102
        return self._ends[_FRAMES][1][0]

    @property
    def state_time(self) -> float:  # noqa: D102
        return self._ends[_STATES][1][0]

    @property
    def last_event(self) -> tuple[float, int]:  # noqa: D102
        return self._ends[_EVENTS][1]

    @property
    def rows(self) -> tuple[int, int]:  # noqa: D102
        return self._ends[_FRAMES][0], self._ends[_STATES][0]

    def frame(self, row: Array, y: Array | None = None) -> None:
        """Append the time and the diagnostics (D + 1,), some 5 µs, and the state (n,) if it is given; counted together."""
        mark = (float(row[0]), 0)
        frame = (_FRAMES, mark, ((self._series["frames"], row),))
        if y is None:
            self._append(frame)
        else:
            self._append(frame, (_STATES, mark, self._state_rows(mark[0], y)))

    def state(self, t: float, y: Array) -> None:  # noqa: D102
        self._append((_STATES, (t, 0), self._state_rows(t, y)))

    def event(self, index: int, t: float) -> None:  # noqa: D102
        self._append((_EVENTS, (t, index), ((self._series["events"], np.array([index, t], dtype=np.float64)),)))

    def _state_rows(self, t: float, y: Array) -> tuple[tuple[Rows, Array], ...]:
        return (self._series["states"], np.ascontiguousarray(y)), (self._series["state_times"], np.array([t]))

    def close(self, summary: Mapping[str, Any], finals: Mapping[str, Array]) -> Record:
        """Write how the run ended, and read its record back."""
        with disk.said(self.path, "end the run; its frames are kept"):
            for name, value in finals.items():
                self._group["finals"][name][...] = value
                self._group["finals"][name].flush()
            self._summarise(summary)
            rows = dict(zip(("frames", "states", "events"), (n for n, _ in self._ends), strict=True))
            for name, series in self._series.items():
                series.trim(rows["states" if name == "state_times" else name])
        return read(self.path)

    def _append(self, *series: tuple[int, tuple[float, int], tuple[tuple[Rows, Array], ...]]) -> None:
        """Write rows of one series or more, then count them; a row that was not counted is written again at the same place."""
        ends = self._ends.copy()
        try:
            for kind, mark, rows in series:
                n = ends[kind][0]
                for target, row in rows:
                    target.put(n, row)
                ends[kind] = (n + 1, mark)
            self._count(ends)
        except (OSError, RuntimeError) as error:
            raise disk.one_line(self.path, f"append frame {self._ends[_FRAMES][0]}; all before it are kept", error) from error
        self._ends = ends

    def _reserve(self, size: int) -> None:
        needed = self._file.id.get_filesize() + size + _SLACK
        if needed > self._reserved:
            reserve(self._file, self._reserved, needed + _SLACK - self._reserved)
            self._reserved = needed + _SLACK

    def _count(self, ends: Sequence[tuple[int, tuple[float, int]]]) -> None:
        for kind, (n, _) in enumerate(ends):
            self._numbers[kind] = n
        os.pwrite(self._counters[0], self._numbers, self._counters[1])  # type: ignore[arg-type]

    def _refill(self, stored: Record) -> None:
        """Write all rows of a record."""
        frames, times, events = stored.frames, stored.state_times, stored.events
        for name, values in {"frames": frames, "state_times": times[:, None], "events": events}.items():
            self._group[name].resize(len(values), axis=0)
            self._group[name][...] = values
        self._group["states"].resize(len(times), axis=0)
        for k, y in enumerate(stored.states(range(len(times)))):
            self._group["states"][k] = y
        never = (-np.inf, 0)
        self._ends = [
            (len(frames), (float(frames[-1, 0]), 0) if len(frames) else never),
            (len(times), (float(times[-1]), 0) if len(times) else never),
            (len(events), (float(events[-1, 1]), int(events[-1, 0])) if len(events) else never),
        ]
        self._count(self._ends)

    def _summarise(self, summary: Mapping[str, Any]) -> None:
        slot = file_format.pack_summary(self._sequence + 1, summary)
        self._sequence += 1
        self._group["summary"][self._sequence % 2] = slot[0]
        self._group["summary"].flush()

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()
