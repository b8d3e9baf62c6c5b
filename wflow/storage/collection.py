"""Several runs under one name: each in a file of its own while they run, all in one file when they have ended.

While the runs of ``fig1.h5`` go on, in this process or in others, everything is in the folder ``fig1.h5.parts``::

    plan.json           creator, format_version, writer (the process that owns the folder), base, plan
    000.h5, 001.h5 ...  the runs that have begun, each with its checkpoint (`wflow.storage.checkpoint`)
    000.heartbeat ...   how far they are, for progress displays

Then they are copied into ``fig1.h5``, with the plan, and the parts of those that ended as meant are removed; the others stay, to be
resumed. So a reader looks for a run in the parts first, then, if ``base`` says that it holds the same runs, in the file.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from wflow.provenance import has_ended, plain, this_process
from wflow.record import Record
from wflow.storage import disk, file_format, reader, writer
from wflow.storage.parts import NOTHING, count, folder_of, load, named, part_of, plan_of, read, unbegun
from wflow.storage.reader import opened
from wflow.storage.rows import reserve

if TYPE_CHECKING:
    import h5py

__all__ = ["Collection", "check_parts", "count", "folder_of", "named", "plan_of", "read"]

class Collection:
    """The runs under one name, for the one process that has them run. Made by `create` and `reopen`.

    Attributes
    ----------
    path : Path
        The file that they end in.
    plan : dict
        Plain data: ``runs`` is a list with one mapping for each, which has its ``provenance``; the rest is the caller's.
    """

    def __init__(self, path: Path, plan: dict[str, Any], base: bool) -> None:
        self.path, self.plan = path, plan
        self._own(base)

    def _own(self, base: bool) -> None:
        """Say in the folder what is to be run, whose it is, and whether the file holds the same runs."""
        version = file_format.FORMAT_VERSION
        about = {"creator": "wflow", "format_version": version, "writer": this_process(), "base": base, "plan": self.plan}

        def write(file: BinaryIO) -> None:
            file.write(json.dumps(plain(about), indent=1).encode())

        with disk.said(self.folder, "begin there"):
            self.folder.mkdir(exist_ok=True)
            try:
                disk.replace(self.folder / "plan.json", write)
            except OSError:
                with suppress(OSError):
                    self.folder.rmdir()  # if there is nothing else in it
                raise

    @classmethod
    def create(cls, path: str | os.PathLike[str], plan: dict[str, Any], *, force: bool = False) -> Collection:
        """Begin anew; an old file of that name stays until the new one takes its place.

        Raises
        ------
        FileExistsError
            If the file, or parts of it, are there and `force` is not set; or they are not wflow's, or being written.
        FileNotFoundError, NotADirectoryError, PermissionError, OSError
            If nothing can be written there.
        """
        path = writer.check_target(path, force)
        check_parts(path, force)
        if folder_of(path).exists():
            shutil.rmtree(folder_of(path))
        return cls(path, plan, base=False)

    @classmethod
    def reopen(cls, path: str | os.PathLike[str], plan: dict[str, Any] | None = None, *, force: bool = False) -> Collection:
        """Go on with the runs under a name, by their own plan or one that extends it.

        `force`: also if a process of another host has not said that it ended.

        Raises
        ------
        FileExistsError
            If another process has them run.
        FileNotFoundError, NotADirectoryError, PermissionError, ValueError
            As `plan_of`, or if nothing can be written there.
        """
        path, base = named(path), True
        disk.check_folder(path.parent)
        plan = plan_of(path) if plan is None else plan
        if folder_of(path).is_dir():
            about = load(path)
            _refuse_if_owned(path, about, force)
            base = about["base"]
        return cls(path, plan, base)

    def part(self, run: int) -> Path:
        """The file of a run while it goes on."""
        return part_of(self.path, run)

    @property
    def folder(self) -> Path:
        """Where the parts are."""
        return folder_of(self.path)

    def records(self) -> Iterator[Record]:
        """All runs, as they stand."""
        return (read(self.path, k) for k in range(len(self.plan["runs"])))

    def take_up(self, run: int) -> Path:
        """The part of a run that shall go on, fetched from the file where it has ended up already."""
        part, stored = self.part(run), read(self.path, run)
        if "method" not in stored.summary["provenance"]:  # it never began
            part.unlink(missing_ok=True)
        elif not part.exists():
            with disk.said(part, "write it"), disk.temporary(part) as temporary:
                with _new(temporary, self.path.stat().st_size) as file:
                    self._copy(file, self.path, run, 0)
                os.replace(temporary, part)
        return part

    def fail(self, run: int, message: str) -> None:
        """Record why a run ended that could not do so itself: it was never begun, or its process died."""
        part = self.part(run)
        if not part.exists():
            with writer.create(part, NOTHING, unbegun("failed", message, self.plan["runs"][run])) as file:
                file.close(unbegun("failed", message, self.plan["runs"][run]), {})
            return
        stored = reader.read(part)
        if stored.summary["status"] in ("running", "killed"):
            with writer.reopen(stored, {**stored.summary, "status": "running"}) as file:
                file.close({**stored.summary, "status": "killed", "message": message}, stored.finals)

    def assemble(self) -> None:
        """Copy all runs into the file, which replaces the one that was there; remove the parts of those that ended as meant.

        Cost: one pass over the files; memory: HDF5's buffers.

        Raises
        ------
        OSError
            If there is no room for it; the parts stay.
        """
        records = list(self.records())
        sizes = {record.path: record.path.stat().st_size for record in records if record.path is not None and record.path.exists()}
        with disk.said(self.path, f"write it; the runs are in {self.folder}"), disk.temporary(self.path) as temporary:
            with _new(temporary, sum(sizes.values())) as file:
                file["plan"] = np.frombuffer(json.dumps(plain(self.plan)).encode(), dtype=np.uint8)
                for k, record in enumerate(records):
                    if self.part(k).exists():
                        self._copy(file, self.part(k), 0, k)
                    elif record.summary["status"] != "waiting":
                        self._copy(file, self.path, k, k)
                    else:
                        group = file_format.lay_out(file, NOTHING, None, k)
                        group["summary"][:1] = file_format.pack_summary(1, record.summary)
                    if record.summary["status"] == "killed":  # known here, where its process was
                        file[f"runs/{k:03d}/summary"][...] = np.repeat(file_format.pack_summary(1, record.summary), 2, axis=0)
                file.flush()
                os.fsync(file.id.get_vfd_handle())
            os.replace(temporary, self.path)
        self._clear([record.summary["status"] for record in records])

    def _clear(self, statuses: list[str]) -> None:
        done = [status in ("finished", "event", "steady state") for status in statuses]
        if all(done):
            shutil.rmtree(self.folder, ignore_errors=True)
            return
        self._own(base=True)
        for k in range(len(done)):
            with suppress(OSError):
                self.part(k).with_suffix(".heartbeat").unlink(missing_ok=True)
                if done[k]:
                    self.part(k).unlink(missing_ok=True)

    @staticmethod
    def _copy(file: h5py.File, source: Path, run: int, number: int) -> None:
        with opened(source) as other:
            other.copy(other[f"runs/{run:03d}"], file.require_group("runs"), name=f"{number:03d}")


def check_parts(target: Path, force: bool = False) -> None:
    """Refuse a name whose parts are there, and are not to be replaced; errors as `Collection.create`."""
    folder = folder_of(target)
    if folder.exists():
        if not force:
            raise FileExistsError(f"path: {folder} has runs of {target.name} that did not end; wflow resume goes on, force begins anew")
        if not (folder / "plan.json").exists():
            raise FileExistsError(f"path: {folder} exists and is none of wflow's; it is not replaced even with force")
        _refuse_if_owned(target, load(target), force)


def _refuse_if_owned(path: Path, about: Mapping[str, Any], force: bool = False) -> None:
    writer, here = about["writer"], this_process()
    if writer != here and not has_ended(writer) and not (force and writer["host"] != here["host"]):
        hint = "" if writer["host"] == here["host"] else "; if that is gone, set force"
        raise FileExistsError(f"path: {path} is being written by process {writer['pid']} on {writer['host']}{hint}")


def _new(path: Path, size: int) -> h5py.File:
    """A new file with room for `size` bytes and what HDF5 adds."""
    import h5py

    file = h5py.File(path, "w", libver="latest")
    try:
        reserve(file, 0, size + 65536)
    except BaseException:
        file.close()
        raise
    return file_format.sign(file)
