"""Rows of a file, written straight to where HDF5 has laid them out, and room on the disk for what HDF5 writes itself."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from wflow._checks import Array

if TYPE_CHECKING:
    import h5py

__all__ = ["Rows", "reserve"]


def reserve(file: h5py.File, start: int, size: int) -> None:
    """Have the disk set `size` bytes aside from `start`, before HDF5 writes there.

    HDF5 does not survive a write that fails (the process crashes when it closes the file), so that room is taken first.
    Where the system or the file system cannot reserve, nothing is done.

    Raises
    ------
    OSError
        If there is no room.
    """
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(file.id.get_vfd_handle(), start, size)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise


class Rows:
    """A dataset that grows by a chunk at a time, and in it rows that are written straight to their place in the file.

    That is what HDF5's write and flush come to, at a tenth of the cost: it has no copy of a chunk (the file is opened without a chunk
    cache), and a row is with the system, safe from the death of this process, when `put` returns.
    """

    def __init__(self, dataset: h5py.Dataset, reserve: Callable[[int], None]) -> None:
        self._id, self._width, self._chunk, self._reserve = dataset.id, dataset.shape[1], dataset.chunks[0], reserve
        self._size, self._handle = dataset.dtype.itemsize * self._width, dataset.file.id.get_vfd_handle()
        self._begin = self._end = self._offset = 0  # rows of the chunk in hand, and its place in the file

    def put(self, index: int, row: Array) -> None:
        """Write a row (n,); OSError if there is no room."""
        if index >= self._end:
            self._extend(index)
        if os.pwrite(self._handle, row, self._offset + (index - self._begin) * self._size) != self._size:  # type: ignore[arg-type]
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _extend(self, index: int) -> None:
        self._reserve(self._chunk * self._size)
        begin = index - index % self._chunk
        self._id.set_extent((begin + self._chunk, self._width))
        self._id.flush()
        self._offset = self._id.get_chunk_info_by_coord((begin, 0)).byte_offset
        self._begin, self._end = begin, begin + self._chunk

    def trim(self, rows: int) -> None:
        """Let the dataset end with the last row."""
        self._id.set_extent((rows, self._width))
        self._id.flush()
