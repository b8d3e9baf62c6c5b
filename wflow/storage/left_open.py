"""A file whose writer died in HDF5's single-writer mode, seen as if it had been closed.

Such a file can be opened for reading under SWMR only, where HDF5 takes metadata that does not fit its checksum for a write in
progress and tries again for ever, the pauses doubling. Of a writer that is gone none is in progress: read plainly, damage is an
error at once. What stands in the way are the consistency flags in the superblock (HDF5 file format specification, superblock
version 3: flags at byte 11, length of the file at byte 28, checksum of the first 44 bytes at byte 44), which this view shows
cleared; the file is not touched.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

__all__ = ["LeftOpen", "checksum"]

_FLAGS, _LENGTH, _SUM, _END = 11, slice(28, 36), 44, 48
_WORD = 0xFFFFFFFF
_MIX = ((0, 2, 4), (1, 0, 6), (2, 1, 8), (0, 2, 16), (1, 0, 19), (2, 1, 4))
_FINAL = ((2, 1, 14), (0, 2, 11), (1, 0, 25), (2, 1, 16), (0, 2, 4), (1, 0, 14), (2, 1, 24))


class LeftOpen(io.RawIOBase):
    """The bytes of the file `path`, read only, with the superblock of a file that was closed; for ``h5py.File``."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = path.open("rb", buffering=0)
        head = bytearray(self._file.read(_END))
        self._file.seek(0)
        head[_FLAGS] = 0
        head[_LENGTH] = path.stat().st_size.to_bytes(8, "little")  # the writer's own count lags behind what it flushed
        head[_SUM:_END] = checksum(bytes(head[:_SUM])).to_bytes(4, "little")
        self._head = bytes(head)

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """As of any file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """As of any file."""
        return self._file.tell()

    def readinto(self, buffer: Any) -> int:
        """As of any file, but for the superblock."""
        at = self._file.tell()
        count = self._file.readinto(buffer) or 0
        if at < _END and count:
            patched = self._head[at : min(_END, at + count)]
            memoryview(buffer).cast("B")[: len(patched)] = patched
        return count

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            self._file.close()
        super().close()


def checksum(data: bytes) -> int:
    """HDF5's checksum of metadata: ``lookup3`` of Bob Jenkins (2006, public domain) with an initial value of 0; one byte or more."""
    state = [(0xDEADBEEF + len(data)) & _WORD] * 3
    blocks = -(-len(data) // 12)
    padded = data.ljust(12 * blocks, b"\0")
    for block in range(blocks):
        words = (int.from_bytes(padded[k : k + 4], "little") for k in range(12 * block, 12 * block + 12, 4))
        state = [(x + word) & _WORD for x, word in zip(state, words, strict=True)]
        if block < blocks - 1:
            for x, y, k in _MIX:
                state[x] = (state[x] - state[y]) & _WORD ^ _rotated(state[y], k)
                state[y] = (state[y] + state[3 - x - y]) & _WORD
    for x, y, k in _FINAL:
        state[x] = ((state[x] ^ state[y]) - _rotated(state[y], k)) & _WORD
    return state[2]


def _rotated(x: int, k: int) -> int:
    return (x << k | x >> (32 - k)) & _WORD
