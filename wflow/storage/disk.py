"""What the disk says, in one line; small files that are replaced whole; files that may be written at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from wflow.provenance import process_exists

__all__ = ["check_folder", "one_line", "replace", "said", "temporary"]


def check_folder(folder: Path) -> None:
    """Refuse a folder in which no file can be made.

    Raises
    ------
    FileNotFoundError, NotADirectoryError, PermissionError
        If it is missing, is none, or cannot be written to.
    """
    if not folder.exists():
        raise FileNotFoundError(f"path: the folder {folder} does not exist")
    if not folder.is_dir():
        raise NotADirectoryError(f"path: {folder} is not a folder")
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"path: the folder {folder} cannot be written to")


@contextmanager
def said(path: Path, task: str) -> Iterator[None]:
    """Turn what HDF5 and the system say about a failed write into one line: ``path: reason: cannot task``."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        raise one_line(path, task, error) from error


def one_line(path: Path, task: str, error: OSError | RuntimeError) -> OSError:
    """The same for an error in hand."""
    reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error).splitlines()[0]
    return type(error if isinstance(error, OSError) else OSError())(f"{path}: {reason}: cannot {task}")


@contextmanager
def temporary(target: Path) -> Iterator[Path]:
    """A name beside `target` for what will take its place by ``os.replace``; gone afterwards, and so are those of dead processes."""
    for left in target.parent.glob(f".{target.name}.*.tmp"):
        pid = left.name.split(".")[-2]
        if pid.isdigit() and not process_exists(int(pid)):
            left.unlink(missing_ok=True)
    path = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        yield path
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def replace(target: Path, write: Callable[[BinaryIO], None]) -> None:
    """Write a file under a temporary name, see it on the disk (fsync), then give it its own: old or new, never half of one."""
    with temporary(target) as path:
        with path.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(path, target)
