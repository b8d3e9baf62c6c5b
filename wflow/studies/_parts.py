"""Parts of a study that is under way: the folder beside its file, and tasks whose values are kept there."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from wflow import _checks
from wflow.parallel import map_runs
from wflow.studies._progress import Tell

__all__ = ["Mapped", "checked_path", "mapper", "parts"]

Mapped: TypeAlias = Callable[[str, Callable[[Any], Any], list[Any]], list[Any]]


def checked_path(path: Any) -> Path | None:
    """`path` as a Path, or None; TypeError otherwise."""
    if path is not None and not isinstance(path, (str, Path)):
        raise TypeError(f"path must be a path or None; got {_checks.show(path)}")
    return None if path is None else Path(path)


@contextmanager
def parts(file: Path | None, about: Mapping[str, Any], force: bool) -> Iterator[Path]:
    """The folder ``FILE.parts`` of a study that `about` describes, new or as it was left; a passing one without a file.

    It is removed when the block ends well, for then the file is there.

    Raises
    ------
    FileExistsError
        If the file exists, or the folder is another study's, and `force` is not set.
    """
    if file is None:
        with tempfile.TemporaryDirectory(prefix="wflow-") as passing:
            yield Path(passing)
        return
    if file.exists() and not force:
        raise FileExistsError(f"{file} exists; force (--force) replaces it, another path leaves it")
    folder = file.with_name(f"{file.name}.parts")
    told, text = folder / "study.json", json.dumps(about, sort_keys=True)
    if folder.exists() and not (told.exists() and told.read_text(encoding="utf-8") == text):
        if not force:
            raise FileExistsError(f"{folder} holds parts of another study; force (--force) throws them away, another path leaves them")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    told.write_text(text, encoding="utf-8")
    yield folder
    shutil.rmtree(folder)


def mapper(folder: Path, tell: Tell, workers: int | None, executor: Executor | None, away: str = "") -> Mapped:
    """A function of a phase's name, a function and its tasks that gives their values; those of earlier calls are kept in the folder.

    A single task is done here, and so are all phases but the one named `away`, if one is: workers take seconds to start.
    """

    def mapped(phase: str, function: Callable[[Any], Any], tasks: list[Any]) -> list[Any]:
        few = 1 if executor is None and (len(tasks) == 1 or away not in ("", phase)) else workers
        with tell(phase, len(tasks)) as done:
            outcomes = map_runs(function, tasks, store=folder / phase.replace(" ", "-"), done=done, workers=few, executor=executor)
        failed = [outcome for outcome in outcomes if not outcome.ok]
        if failed:
            raise RuntimeError(f"{len(failed)} of {len(tasks)} tasks failed ({failed[0].error}); the same call tries them again")
        return [outcome.value for outcome in outcomes]

    return mapped
