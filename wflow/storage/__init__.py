"""Runs on the disk: HDF5 files that lose no frame, checkpoints that a resume needs, several runs under one name.

`file_format` says what is in a file, `writer` appends to it, `reader` reads it, `checkpoint` keeps what a resume needs, `collection` has
several runs in one file when they have ended, and `parts` finds them while they go on.
"""

from __future__ import annotations

from wflow.provenance import plain, provenance
from wflow.storage.file_format import FORMAT_VERSION
from wflow.storage.reader import count, read
from wflow.storage.writer import RunWriter, check_target, create, reopen

__all__ = ["FORMAT_VERSION", "RunWriter", "check_target", "count", "create", "plain", "provenance", "read", "reopen"]
