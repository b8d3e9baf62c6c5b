"""What a study's result is: claims with verdicts, figures, and one HDF5 file that says what it holds."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from wflow.storage import disk
from wflow.studies.table import Row, text, write_rows

__all__ = ["Result", "reading"]


class Result:
    """Base of the studies' results.

    Attributes
    ----------
    kind : str
        What the file says it is: ``"wflow study NAME"``.
    layout : str
        What is in it, in words, which the file keeps.
    about : mapping
        The plan, provenance and wall ``seconds``.
    rows : list of Row
        Claims with what was measured, the theory's figure, and a verdict each.
    """

    kind: ClassVar[str]
    layout: ClassVar[str]
    about: Mapping[str, Any]

    @property
    def rows(self) -> list[Row]:
        """The table."""
        raise NotImplementedError

    def _write(self, file: Any) -> None:
        """Put what was measured into an open HDF5 file."""
        raise NotImplementedError

    def table(self) -> str:
        """The rows as text."""
        return text(self.rows)

    def save(self, path: str | os.PathLike[str], *, force: bool = False) -> None:
        """Write the HDF5 file, at one stroke.

        Raises
        ------
        FileExistsError
            If it exists and `force` is not set.
        """
        import h5py

        path = Path(path)
        if path.exists() and not force:
            raise FileExistsError(f"{path} exists; force replaces it")
        path.parent.mkdir(parents=True, exist_ok=True)
        with disk.temporary(path) as partial:
            with h5py.File(partial, "w") as file:
                file.attrs.update({"kind": self.kind, "layout": self.layout, "about": json.dumps(self.about)})
                self._write(file)
                write_rows(file.create_group("table"), self.rows)
            os.replace(partial, path)


@contextmanager
def reading(path: str | os.PathLike[str], kind: str) -> Iterator[tuple[Any, dict[str, Any]]]:
    """A study's open file, and what it is about.

    Raises
    ------
    ValueError
        If it holds something else.
    OSError
        If it cannot be read.
    """
    import h5py

    with h5py.File(path, "r") as file:
        if file.attrs.get("kind") != kind:
            raise ValueError(f"{path} is not a file of `{kind}`")
        yield file, json.loads(file.attrs["about"])
