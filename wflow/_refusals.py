"""What the commands refuse before any work: said in one line, exit code 2."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

__all__ = ["RefusedError", "check_outputs", "refusing"]


class RefusedError(Exception):
    """Bad input, said in one line."""


@contextmanager
def refusing(*errors: type[Exception]) -> Iterator[None]:
    """Turn what is said of bad input, by default in an OSError or a ValueError, into a refusal."""
    refused = errors or (OSError, ValueError)
    try:
        yield
    except refused as error:
        raise RefusedError(str(error)) from error


def check_outputs(folder: Path, files: Sequence[Path], force: bool) -> None:
    """Refuse before anything is computed what could not be written in the end; `folder` may still have to be made."""
    ancestor = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not ancestor.is_dir():
        raise NotADirectoryError(f"--out: {ancestor} is not a folder")
    if not os.access(ancestor, os.W_OK):
        raise PermissionError(f"--out: the folder {ancestor} cannot be written to")
    for file in files:
        if file.exists() and not force:
            raise FileExistsError(f"{file} exists; --force replaces it, --out puts the results elsewhere")
