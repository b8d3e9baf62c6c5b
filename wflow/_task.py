"""A task: an attempt at it in whichever process, under thread limits, and its value kept on disk.

A spawned worker imports this first, and it nothing heavy, so that limits set by environment variables are there in time.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import platform
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Executor, Future
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType
from typing import Any, TypeAlias

from wflow import _checks

__all__ = ["Place", "Report", "Store", "attempt", "check_workers", "failure", "here", "load_blas", "one_line", "received", "sent"]

Place: TypeAlias = tuple[str, int, int]


@dataclass(frozen=True)
class Report:
    """What an attempt came to: a value (its pickle if `packed`), or an error as text, or how it was `lost` with its worker."""

    value: Any = None
    packed: bool = False
    error: str | None = None
    traceback: str = ""
    seconds: float = 0.0
    lost: str = ""


def one_line(error: BaseException) -> str:
    """``ValueError: what it says``."""
    lines = traceback.format_exception_only(error)
    return " ".join(next((line for line in lines if not line.startswith(" ")), lines[-1]).split())


def failure(error: BaseException, seconds: float) -> Report:
    """An exception as text: itself it may not pickle."""
    return Report(error=one_line(error), traceback="".join(traceback.format_exception(error)), seconds=seconds)


def check_workers(workers: Any, executor: Any) -> None:
    """ValueError or TypeError unless `workers` and `executor` are as `map_runs` takes them, for who asks before any work."""
    if executor is not None and not isinstance(executor, Executor):
        raise TypeError(f"executor must be a concurrent.futures.Executor or None; got {executor!r}")
    if executor is not None and workers is not None:
        raise ValueError(f"workers must be None where there is an executor, which has its own; got {workers!r}")
    if workers is not None:
        _checks.integer("workers", workers, at_least=1)


def here() -> Place:
    """Machine, process and thread that we are in."""
    return platform.node(), os.getpid(), threading.get_ident()


def attempt(call: Any, threads: int | None, home: Place, mark: object = None) -> Report:  # noqa: ARG001
    """``function(task)`` for `call`, that pair or its pickle; the value is pickled where it has to travel to the process of `home`.

    A `mark` tells an attempt from others alike, which Dask would take for one.
    """
    start = time.perf_counter()
    away = here()[:2] != home[:2]
    alone = here() == home or threading.current_thread() is threading.main_thread()
    try:
        function, task = pickle.loads(call) if isinstance(call, bytes) else call
        if threads is not None and not isinstance(call, bytes):
            load_blas()
            import wflow._jit  # noqa: F401 (and Numba, for the same reason)
        with nullcontext() if alone or not away else _blas_of_many(), _limited(threads, None if alone else "openmp"):
            start = time.perf_counter()
            value = function(task)
            seconds = time.perf_counter() - start
        return Report(_packed(value) if away else value, away, seconds=seconds)
    except (Exception, SystemExit) as error:
        return failure(error, time.perf_counter() - start)


def load_blas() -> None:
    """Load the BLAS of NumPy and that of SciPy: one that is loaded later escapes a limit. Workers have theirs in the environment."""
    import scipy.linalg  # noqa: F401


_lock = threading.Lock()
_limits: list[Any] = []  # what holds BLAS, once for each task


@contextmanager
def _blas_of_many() -> Iterator[None]:
    """Hold BLAS to one thread until the last task in this process ends: it counts for all threads, and who ends first must not lift it."""
    from threadpoolctl import threadpool_limits

    with _lock:
        _limits.append(_limits[0] if _limits else threadpool_limits(1, "blas"))
    try:
        yield
    finally:
        with _lock:
            limit = _limits.pop()
            if not _limits:
                limit.restore_original_limits()


@contextmanager
def _limited(threads: int | None, api: str | None) -> Iterator[None]:
    """Hold Numba and what threadpoolctl knows as `api` (None: all, BLAS too) to `threads` threads; None leaves them as they are."""
    if threads is None:
        yield
        return
    from threadpoolctl import threadpool_limits

    numba: Any = sys.modules.get("numba")  # loading it just for this would take half a second
    if numba is not None:
        from wflow import _jit

        before = numba.get_num_threads()
        _jit.set_threads(threads)
    try:
        with threadpool_limits(threads, api):
            yield
    finally:
        if numba is not None:
            numba.set_num_threads(before)


def _packed(value: Any) -> bytes:
    try:
        return pickle.dumps(value)
    except Exception as error:
        raise TypeError(f"the value does not pickle: {one_line(error)}") from error


def sent(executor: Executor, call: Any, threads: int, mark: object) -> Future[Report]:
    """An attempt by somebody's executor; that it refuses shows when the answer is `received`."""
    try:
        return executor.submit(attempt, call, threads, here(), mark)
    except Exception as error:  # it is broken, or shut down
        refused: Future[Report] = Future()
        refused.set_exception(error)
        return refused


def received(future: Future[Report]) -> Report:
    """What came home from an attempt; an exception that is no report means that worker or executor lost it."""
    lost = CancelledError() if future.cancelled() else future.exception()
    if lost is not None:
        return Report(lost=one_line(lost))
    report = future.result()
    try:
        return Report(pickle.loads(report.value), seconds=report.seconds) if report.packed else report
    except Exception as error:
        return failure(error, report.seconds)


class Store:
    """A folder with one file for each value: SHA-256 of what follows, SHA-256 of its task, the pickled value and its seconds.

    Parameters
    ----------
    folder : str or path
        Made where missing.
    function, tasks
        Whose values they are: a task is known by its pickle and by the name of the function.

    Raises
    ------
    TypeError, ValueError
        If the folder is no path, or a task does not pickle.
    OSError
        If the folder cannot be made, or nothing be written there.
    """

    def __init__(self, folder: str | os.PathLike[str], function: Callable[[Any], Any], tasks: Sequence[Any]) -> None:
        if not isinstance(folder, (str, os.PathLike)):
            raise TypeError(f"store must be the path of a folder, or None; got {folder!r}")
        self._folder = Path(folder)
        name = f"{function.__module__}.{function.__qualname__}" if isinstance(function, FunctionType) else function
        self._digests = [_digest(index, name, task) for index, task in enumerate(tasks)]
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise NotADirectoryError(f"store: {folder} is not a folder") from None
        if not os.access(self._folder, os.W_OK):
            raise PermissionError(f"store: the folder {folder} cannot be written to")

    def _path(self, index: int) -> Path:
        return self._folder / f"{index:05d}.pickle"

    def load(self) -> dict[int, tuple[Any, float]]:
        """Values and seconds by index; a damaged file counts as missing, one of another task is a ValueError."""
        return {index: kept for index in range(len(self._digests)) if (kept := self._load(index)) is not None}

    def _load(self, index: int) -> tuple[Any, float] | None:
        path = self._path(index)
        raw = path.read_bytes() if path.exists() else b""
        if hashlib.sha256(raw[32:]).digest() != raw[:32]:
            return None
        if raw[32:64] != self._digests[index]:
            raise ValueError(f"store must be empty or belong to these tasks; {path} holds the value of another task or function")
        try:
            value, seconds = pickle.loads(raw[64:])
        except Exception:  # of a class that is no more
            return None
        return value, seconds

    def keep(self, index: int, value: Any, seconds: float) -> None:
        """Write a value, whole or not at all."""
        content = self._digests[index] + pickle.dumps((value, seconds))
        path = self._path(index)
        temporary = path.with_suffix(".tmp")
        with temporary.open("wb") as file:
            file.write(hashlib.sha256(content).digest() + content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)

    def discard(self, index: int) -> None:
        """Forget a value."""
        self._path(index).unlink(missing_ok=True)


def _digest(index: int, name: Any, task: Any) -> bytes:
    try:
        try:
            return _sha256((name, task), fast=True)
        except (RecursionError, ValueError):  # it contains itself
            return _sha256((name, task), fast=False)
    except Exception as error:
        raise ValueError(f"store needs a function and tasks that pickle; with task {index}: {one_line(error)}") from error


def _sha256(item: Any, *, fast: bool) -> bytes:
    """Without a memo (`fast`), equal tasks pickle alike, be their parts shared or copies, as they are when read from a file."""
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, protocol=5)
    pickler.fast = fast
    pickler.dump(item)
    return hashlib.sha256(buffer.getbuffer()).digest()
