"""Spawned workers: what may keep them from being spawned, how they live and die, and the signals that reach them."""

from __future__ import annotations

import ast
import multiprocessing
import os
import signal
import sys
import threading
import tokenize
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from queue import SimpleQueue
from types import FrameType, TracebackType
from typing import Any

from wflow._task import Place, Report, attempt, here, received

__all__ = ["Signals", "Workers", "ctrl_c_masked", "main_is_shared", "obstacle", "terminable"]


def _start_worker(threads: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to the whole group; the parent decides
    signal.signal(signal.SIGTERM, _Told.take_note)
    names = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"]
    if "numba" in sys.modules:  # by the main program; it refuses a variable that changes once its threads run
        names.remove("NUMBA_NUM_THREADS")
    os.environ.update(dict.fromkeys(names, str(threads)))
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


class _Told:
    """Whether this worker was told to stop while idle, or on its way home with a value."""

    stop = False

    @classmethod
    def take_note(cls, number: int, frame: FrameType | None) -> None:  # noqa: ARG003
        cls.stop = True


def _attempt(call: bytes, threads: int, home: Place) -> Report:
    """An attempt in a worker: SIGTERM raises KeyboardInterrupt in the function, as it does in place, and nowhere else."""
    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        if _Told.stop:
            raise KeyboardInterrupt
        return attempt(call, threads, home)
    finally:
        signal.signal(signal.SIGTERM, _Told.take_note)


class _Context(SpawnContext):
    """Remembers the process that an executor makes with it."""

    process: SpawnProcess | None = None

    def Process(self, *args: Any, **options: Any) -> SpawnProcess:  # type: ignore[override]
        self.process = SpawnProcess(*args, **options)
        return self.process


class _Worker(ProcessPoolExecutor):
    """An executor of one spawned process."""

    def __init__(self, threads: int) -> None:
        self._context = _Context()
        super().__init__(1, mp_context=self._context, initializer=_start_worker, initargs=(threads,))

    def begin(self, call: bytes, threads: int) -> Future[Report]:
        with ctrl_c_masked():
            future = self.submit(_attempt, call, threads, here())
        # A pipe ends when all who may write have closed it: with our own copy open, one that dies amid a long value would hang us.
        self._result_queue._writer.close()  # type: ignore[attr-defined]
        return future

    def signal(self, send: Callable[[SpawnProcess], None]) -> None:
        process = self._context.process
        if process is not None and process.pid is not None:
            send(process)

    def end(self) -> str:
        """Let the process end, unless it has, and say what it ended with."""
        self.shutdown(wait=True, cancel_futures=True)
        process = self._context.process
        code = process.exitcode if process is not None else None
        if code is None or code >= 0:
            return f"exit code {code}"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return f"{name}, perhaps for want of memory" if name == "SIGKILL" else name


class Workers:
    """Spawned processes, each behind an executor of its own, so that one that dies takes nobody else's task with it.

    Leaving the ``with`` block ends them: idle ones in peace, busy ones at once.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._idle: list[_Worker] = []
        self._busy: dict[Future[Report], _Worker] = {}

    def __enter__(self) -> Workers:
        return self

    def submit(self, call: bytes) -> Future[Report]:
        """Begin an attempt, in an idle worker or a new one."""
        while True:
            if not self._idle:
                self._idle.append(_Worker(self._threads))
            try:
                future = self._idle[-1].begin(call, self._threads)
            except BrokenExecutor:  # it died idle
                self._idle.pop().end()
            else:
                self._busy[future] = self._idle.pop()
                return future

    def collect(self, future: Future[Report]) -> Report:
        """What came of an attempt that ended; where its worker died, of what."""
        worker, error = self._busy.pop(future), future.exception()
        if isinstance(error, BrokenExecutor):
            return Report(lost=worker.end())
        self._idle.append(worker)
        return Report(lost="SIGTERM") if isinstance(error, KeyboardInterrupt) else received(future)

    def renew(self) -> None:
        """End the idle ones, all at once, and free the memory that they hold."""
        with ThreadPoolExecutor(len(self._idle) or 1) as each:
            list(each.map(_Worker.end, self._idle))
        self._idle.clear()

    def terminate(self) -> None:
        """SIGTERM for all: a run ends after the step in hand and returns, other functions are left by a KeyboardInterrupt."""
        for worker in [*self._idle, *self._busy.values()]:
            worker.signal(SpawnProcess.terminate)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for worker in self._busy.values():
            worker.signal(SpawnProcess.kill)
            self._idle.append(worker)
        self.renew()


@contextmanager
def ctrl_c_masked() -> Iterator[None]:
    """A process started in here never sees Ctrl-C, not even before its first line: it inherits the mask."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # to start it later, for the process, would lift the mask
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Signals:
    """While others work, a first Ctrl-C or SIGTERM is a message among the attempts that end; a second raises KeyboardInterrupt.

    Handlers that are neither Python's own nor those of a loop around this one stay; should one raise KeyboardInterrupt, it counts.
    """

    def __init__(self) -> None:
        self.heard = False
        self.inbox: SimpleQueue[Future[Report] | None] = SimpleQueue()
        self._old: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                handler = signal.getsignal(number)
                if handler in (signal.SIG_DFL, signal.default_int_handler) or isinstance(getattr(handler, "__self__", None), Signals):
                    self._old[number] = signal.signal(number, self._hear)
        return self

    def _hear(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self.heard:
            raise KeyboardInterrupt
        self.heard = True
        self.inbox.put(None)

    def wait(self) -> Future[Report] | None:
        """The next attempt that ended, or None for a signal."""
        try:
            return self.inbox.get()
        except KeyboardInterrupt:
            if self.heard:
                raise
            self.heard = True
            return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)


@contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt in what runs in place, where the process would just have died of it."""
    takes = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if takes:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        if takes:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def main_is_shared() -> bool:
    """Whether a worker imports the main program: one with a file (not a session, ``-c``), and no ``__main__`` of a package."""
    main = sys.modules["__main__"]
    name = getattr(getattr(main, "__spec__", None), "name", "")
    return hasattr(main, "__file__") and not name.endswith("__main__")


def obstacle() -> str | None:
    """Why no worker can be spawned from here, and what to do about it; None if nothing is known against it."""
    process: Any = multiprocessing.current_process()
    if process.daemon:
        return "this process is a daemonic worker, which may have no children"
    if getattr(process, "_inheriting", False):  # what multiprocessing itself looks at
        return 'this process is a worker that is still importing its main program; call map_runs under `if __name__ == "__main__":` there'
    if not main_is_shared():
        return None
    main = sys.modules["__main__"]
    path = Path(str(main.__file__))
    if not path.is_file():
        return f"the main program {path} is no file that a worker could import; save it to one"
    line = _line_of_main(main)
    if line is not None and not _is_guarded(path, line):
        return f'a worker would run {path.name} from its top again; put the call in line {line} under `if __name__ == "__main__":`'
    return None


def _line_of_main(main: Any) -> int | None:
    """The line of the main program's own level that we were called from; None if it was not from there."""
    frame: FrameType | None = sys._getframe()
    line = None
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_globals is vars(main):
            line = frame.f_lineno
        frame = frame.f_back
    return line


def _is_guarded(path: Path, line: int) -> bool:
    try:
        with tokenize.open(path) as file:
            tree = ast.parse(file.read())
    except (OSError, SyntaxError, UnicodeDecodeError):
        return False
    guards = (node for node in ast.walk(tree) if isinstance(node, ast.If) and _asks_for_main(node.test))
    return any(node.body[0].lineno <= line <= (node.body[-1].end_lineno or 0) for node in guards)


def _asks_for_main(test: ast.expr) -> bool:
    """``__name__ == "__main__"``, either way round, or that and something else."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        return any(map(_asks_for_main, test.values))
    return ast.unparse(test) in ("__name__ == '__main__'", "'__main__' == __name__")
