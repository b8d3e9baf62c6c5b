"""Runs in HDF5: frames appended under SWMR and counted last, so that a reader finds every frame whatever befalls the writer.

Layout of a file, format version 1 (docs in the file itself: every dataset carries ``description``, ``unit``, ``shape``)::

    /                       attributes creator = "wflow", format_version, id
    /runs/000, 001, ...     attributes state_kind, state_size
        counters   (3,)     valid rows of frames, of states, of events; written after the rows and flushed
        frames     (F, D+1) time and diagnostics; attribute columns
        states     (K, n)   packed states, raw float64;  state_times (K, 1)
        events     (E, 2)   index into the summary's names, time
        summary    (2, 64 KiB)  JSON, rewritten in turn: status, message, counts, seconds, events, provenance, writer
        static/*, finals/*  arrays known at the start, and at the end (NaN until then)

HDF5's single-writer mode (SWMR) creates nothing after it begins; everything is laid out before, in a file under a temporary
name that takes its own name only when complete. What a resume needs beside this will be a small file of its own.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import struct
import subprocess
import sys
import uuid
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow.record import Layout, Record, Sink

if TYPE_CHECKING:
    import h5py

__all__ = ["FORMAT_VERSION", "File", "RunWriter", "check_target", "count", "create", "plain", "provenance", "read"]

FORMAT_VERSION = 1
_SUMMARY_BYTES = 65536
_HEADER = struct.Struct("<QQQ")  # sequence number, length, CRC-32 of the JSON text that follows
_SLACK = 65536  # HDF5's own growth per frame stays far below this
_FRAMES, _STATES, _EVENTS = range(3)

# unit and description of the diagnostics that go by convention (`Flow.diagnostics`)
_MEANING = {
    "t": ("mean-field time", "time"),
    "energy": ("reward", "energy E(nu_t)"),
    "gap": ("reward", "distance of the energy to its optimum, E* - E"),
    "gap_lower": ("reward", "certified lower bound of the gap"),
    "gap_upper": ("reward", "certified upper bound of the gap"),
    "dissipation": ("reward / mean-field time", "integral of |F|^2 under nu_t, the rate of change of the energy"),
}


def plain(value: Any) -> Any:
    """`value` as JSON would give it back: NumPy scalars and arrays as numbers and lists, the unknown as its repr."""

    def other(x: Any) -> Any:
        return x.tolist() if isinstance(x, (np.ndarray, np.generic)) else str(x) if isinstance(x, os.PathLike) else repr(x)

    return json.loads(json.dumps(value, default=other))


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


# --- writing ------------------------------------------------------------------------------------------------------------------


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
    static = sum(array.nbytes for layout in layouts for array in layout.static.values())
    finals = sum(8 * int(np.prod(shape)) for layout in layouts for shape in layout.finals.values())
    try:
        with _disk(target, "create the file; nothing was written"):
            file = File(target, h5py.File(temporary, "w", libver="latest"))
            try:
                file.reserve(static + finals + len(layouts) * 2 * _SUMMARY_BYTES)
                root = file._file
                root.attrs.update(creator="wflow", format_version=FORMAT_VERSION, id=uuid.uuid4().hex, description=__doc__ or "")
                groups = [_lay_out(root.create_group(f"runs/{k:03d}"), layout) for k, layout in enumerate(layouts)]
                root.swmr_mode = True
                file.runs = tuple(RunWriter(file, k, group, layout) for k, (group, layout) in enumerate(zip(groups, layouts, strict=True)))
                os.replace(temporary, target)
            except BaseException:
                file.close()
                raise
    finally:
        temporary.unlink(missing_ok=True)
    return file


def _lay_out(group: h5py.Group, layout: Layout) -> h5py.Group:
    columns = ["t", *layout.diagnostics]
    group.attrs.update(state_kind=layout.kind, state_size=layout.size)

    def describe(dataset: h5py.Dataset, shape: str, unit: str, description: str) -> None:
        dataset.attrs.update(shape=shape, unit=unit, description=description)

    def series(name: str, width: int, rows: int) -> h5py.Dataset:
        options = {"dtype": np.float64, "fillvalue": np.nan, "chunks": (rows, width)}
        return group.create_dataset(name, shape=(0, width), maxshape=(None, width), **options)

    meanings = [_MEANING.get(name, ("", "diagnostic of the flow")) for name in columns]
    frames = series("frames", len(columns), 64)
    frames.attrs.update(columns=columns, units=[unit for unit, _ in meanings], meanings=[text for _, text in meanings])
    describe(frames, "(F, D + 1)", "see units", "time and diagnostics of each frame, see columns and meanings")
    describe(series("states", layout.size, 1), "(K, n)", "", f"packed states, kind {layout.kind or 'flat'}")
    describe(series("state_times", 1, 64), "(K, 1)", "mean-field time", "time of each state")
    describe(series("events", 2, 64), "(E, 2)", "1; mean-field time", "index into the summary's event names, and time")
    counters = group.create_dataset("counters", data=np.zeros(3, dtype=np.int64))
    describe(counters, "(3,)", "1", "valid rows of frames, states and events")
    summary = group.create_dataset("summary", data=np.zeros((2, _SUMMARY_BYTES), dtype=np.uint8))
    describe(summary, f"(2, {_SUMMARY_BYTES})", "", "two slots: sequence number, length and CRC-32 (little-endian uint64), JSON text")
    static, finals = group.create_group("static"), group.create_group("finals")
    for name, array in layout.static.items():
        describe(static.create_dataset(name, data=array), str(array.shape), "", "does not change")
    for name, shape in layout.finals.items():
        describe(finals.create_dataset(name, data=np.full(shape, np.nan)), str(shape), "", "worked out at the last state; NaN before")
    return group


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
        self._summarise({**summary, "writer": {"host": platform.node(), "pid": os.getpid(), "started": _process_start(os.getpid())}})

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
        text = json.dumps(plain({**summary, "message": summary["message"][:1000]})).encode()
        assert len(text) <= _SUMMARY_BYTES - _HEADER.size, "more events than a summary can name"
        self._sequence += 1
        slot = np.zeros((1, _SUMMARY_BYTES), dtype=np.uint8)
        packed = _HEADER.pack(self._sequence, len(text), zlib.crc32(text)) + text
        slot[0, : len(packed)] = np.frombuffer(packed, dtype=np.uint8)
        self._series["summary"].put(self._sequence % 2, slot)


@contextmanager
def _disk(path: Path, task: str) -> Iterator[None]:
    """Turn what HDF5 and the system say about a failed write into one line."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error).splitlines()[0]
        raise type(error if isinstance(error, OSError) else OSError())(f"{path}: {reason}: cannot {task}") from error


# --- reading ------------------------------------------------------------------------------------------------------------------


def count(path: str | os.PathLike[str]) -> int:
    """Number of runs in a file of wflow."""
    with _opened(Path(path).absolute()) as file:
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
    with _opened(path) as file:
        run = _checks.integer("run", run, at_least=0)
        if run >= len(file["runs"]):
            raise ValueError(f"run must be below {len(file['runs'])}, the number of runs in {path}; got {run}")
        group = file[f"runs/{run:03d}"]
        frames, states, events = (int(n) for n in group["counters"][:])
        static, finals = ({name: group[kind][name][()] for name in group[kind]} for kind in ("static", "finals"))
        shapes = {name: array.shape for name, array in finals.items()}
        columns, size, kind = group["frames"].attrs["columns"], int(group.attrs["state_size"]), str(group.attrs["state_kind"])
        return Record(
            Layout(tuple(columns[1:]), size, kind, static, shapes),
            group["frames"][:frames],
            group["state_times"][:states, 0],
            partial(_read_state, path, run, str(file.attrs["id"])),
            group["events"][:events],
            _read_summary(group["summary"][:]),
            finals,
            path,
        )


def _read_state(path: Path, run: int, identity: str, k: int) -> Array:
    with _opened(path) as file:
        if file.attrs["id"] != identity:
            raise ValueError(f"{path} was replaced since it was opened; open it again")
        return np.asarray(file[f"runs/{run:03d}/states"][k])


def _read_summary(slots: Any) -> dict[str, Any]:
    """The newest summary whose text is whole, with the writer's fate told from the status."""
    newest, summary = 0, None
    for slot in slots:
        sequence, length, checksum = _HEADER.unpack(slot.tobytes()[: _HEADER.size])
        text = slot.tobytes()[_HEADER.size : _HEADER.size + length]
        if sequence > newest and zlib.crc32(text) == checksum:
            newest, summary = sequence, json.loads(text)
    if summary is None:
        return {"status": "waiting", "message": "laid out but not begun", "counts": {}, "seconds": {}, "events": [], "provenance": {}}
    writer = summary.pop("writer", None)
    if summary["status"] == "running":
        who = f"process {writer['pid']} on {writer['host']}"
        if writer["host"] == platform.node() and _process_start(writer["pid"]) != writer["started"]:
            summary.update(status="killed", message=f"{who} ended without a word; every frame it had flushed is here")
        else:
            summary.update(message=f"being written by {who}")
    return dict(summary)


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    import h5py

    if not path.is_file():
        raise (IsADirectoryError if path.is_dir() else FileNotFoundError)(f"{path} {'is a folder' if path.is_dir() else 'does not exist'}")
    if not os.access(path, os.R_OK):
        raise PermissionError(f"{path} cannot be read: permission denied")
    being_written = _superblock(path)
    try:
        with h5py.File(path, "r", libver="latest", swmr=being_written) as file:
            if file.attrs.get("creator") != "wflow":
                raise ValueError(f"{path} was written by another program, not by wflow")
            if (version := int(file.attrs["format_version"])) > FORMAT_VERSION:
                raise ValueError(f"{path} has format version {version}; this wflow reads up to {FORMAT_VERSION}: upgrade wflow")
            yield file
    except (OSError, RuntimeError, KeyError) as error:
        raise ValueError(f"{path} is damaged ({str(error).splitlines()[0]})") from error


def _superblock(path: Path) -> bool:
    """Whether a writer has not closed the file: only then must it be opened under SWMR, where HDF5 waits for ever on damage.

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


# --- who, where, with what ----------------------------------------------------------------------------------------------------


def _process_start(pid: int) -> str | None:
    """What tells a live process from a later one with its number: its start in clock ticks since boot; None if it is gone."""
    if sys.platform != "linux":
        return "unknown"  # a file left by a killed process then says that it is being written
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state in "ZX" else fields[18]


@cache
def _surroundings() -> dict[str, Any]:
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


def provenance(details: Mapping[str, Any]) -> dict[str, Any]:
    """`details`, the date (UTC), versions, machine and git revision, in plain JSON types; ValueError if that takes over 32 KiB."""
    result: dict[str, Any] = plain({**details, **_surroundings(), "date": datetime.now(UTC).isoformat(timespec="seconds")})
    if (size := len(json.dumps(result))) > _SUMMARY_BYTES // 2:
        raise ValueError(f"provenance must fit in {_SUMMARY_BYTES // 2} bytes as JSON; got {size} (large arrays: the flow's static())")
    return result
