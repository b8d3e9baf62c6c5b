"""The guarded Numba compiler, its clock, and thread counts: the one place that knows of compiled code."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

import numba
from numba.core import event
from threadpoolctl import ThreadpoolController

__all__ = ["FASTMATH", "REASSOC", "blas_single_thread", "compile_seconds", "launch", "njit", "prange", "set_threads"]

F = TypeVar("F", bound=Callable[..., Any])

# `reassoc` would undo the rounding trick of exp's range reduction; without `nnan` and `ninf`, NaN stays visible.
FASTMATH = frozenset({"contract", "arcp", "nsz"})
REASSOC = FASTMATH | {"reassoc"}  # for sums that may be split over vector lanes

prange = numba.prange

_WORTH_WAKING = 5e-4  # seconds of work on one thread

numba.config.THREADING_LAYER_PRIORITY = ["omp", "tbb", "workqueue"]  # type: ignore[attr-defined]


def njit(*, fastmath: frozenset[str] = frozenset(), **options: Any) -> Callable[[F], F]:
    """``numba.njit(cache=True, ...)`` that still imports where no cache folder can be written.

    Kernels must stay at module level: a closure over another compiled function misses the disk cache in every process.
    """
    options = {"fastmath": set(fastmath), "error_model": "numpy", **options}

    def compile_with_cache(function: F) -> F:
        try:
            return numba.njit(cache=True, **options)(function)  # type: ignore[no-any-return]
        except RuntimeError:  # no locator: neither the package's folder nor the user's cache is writable
            return numba.njit(**options)(function)  # type: ignore[no-any-return]

    return compile_with_cache


class _CompileClock(event.Listener):
    """Seconds spent in Numba's compiler by this process, nested compilations counted once."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._depth = 0
        self._start = 0.0

    def on_start(self, event: Any) -> None:  # noqa: ARG002
        if self._depth == 0:
            self._start = time.perf_counter()
        self._depth += 1

    def on_end(self, event: Any) -> None:  # noqa: ARG002
        self._depth -= 1
        if self._depth == 0:
            self.seconds += time.perf_counter() - self._start


_clock = _CompileClock()
event.register("numba:compile", _clock)  # type: ignore[no-untyped-call]


def compile_seconds() -> float:
    """Seconds this process has spent compiling so far; the difference of two calls times what lies between."""
    return _clock.seconds


def set_threads(count: int) -> None:
    """Use `count` threads in parallel kernels (at most the number Numba was started with); results do not depend on it."""
    numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]


def launch(kernel: Callable[..., Any], seconds: float, *arguments: Any) -> Any:
    """Run a parallel kernel on all threads, or on one where the `seconds` it is thought to take do not pay for waking the others.

    Waking costs tens of microseconds on an idle machine and a time slice on a busy one.
    """
    if seconds > _WORTH_WAKING:
        return kernel(*arguments)
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        return kernel(*arguments)
    finally:
        numba.set_num_threads(threads)


@cache
def _controller() -> ThreadpoolController:
    import scipy.linalg  # noqa: F401 (a BLAS loaded later would escape the limit)

    return ThreadpoolController()


@contextmanager
def blas_single_thread() -> Iterator[None]:
    """Hold BLAS to one thread, so that its sums come out in the same order wherever they run."""
    with _controller().limit(limits=1, user_api="blas"):
        yield
