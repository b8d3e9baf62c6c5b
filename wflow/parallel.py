"""Many runs at once: tasks through spawned processes or any ``concurrent.futures.Executor``, and what came of each."""

from __future__ import annotations

import os
import pickle
import sys
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any

from wflow import _checks
from wflow._pool import Signals, Workers, main_is_shared, obstacle, terminable
from wflow._task import Report, Store, attempt, check_workers, here, load_blas, one_line, received, sent

__all__ = ["Outcome", "check_workers", "map_runs"]


@dataclass(frozen=True)
class Outcome:
    """What came of one task.

    Attributes
    ----------
    index : int
        Its place among the tasks.
    task : Any
    value : Any
        What the function returned; None unless it succeeded.
    error : str or None
        Why it failed, in one line, such as ``"ValueError: ..."`` or ``"its worker died twice (exit code 1)"``.
    traceback : str
        Of the exception, in full; empty if there was none.
    attempts : int
        1, or 2 where its worker died; 0 where it was not run: kept in the store, or not begun.
    seconds : float
        Wall seconds inside the function (of a kept value, when it was made); until its worker died, with the start of the worker.
    """

    index: int
    task: Any
    value: Any = None
    error: str | None = None
    traceback: str = ""
    attempts: int = 1
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.error is None


def map_runs(
    function: Callable[[Any], Any],
    tasks: Sequence[Any],
    *,
    workers: int | None = None,
    executor: Executor | None = None,
    threads: int | None = None,
    store: str | os.PathLike[str] | None = None,
    done: Callable[[Outcome], object] | None = None,
) -> list[Outcome]:
    """Call ``function(task)`` for every task; one that fails is recorded with its cause, and the others go on.

    Values do not depend on where tasks run. A worker that dies is reported on stderr and its task tried once more, alone. Where
    processes cannot be spawned (a function defined in a notebook, a script without ``if __name__ == "__main__":``, tasks that
    do not pickle), the tasks run in place, and one line on stderr says why.

    Ctrl-C or SIGTERM begins no more tasks and sends SIGTERM to the workers, upon which ``wflow.solve`` ends after the step in
    hand and keeps its state; what still comes back is told to `done`, but not kept in `store`, and KeyboardInterrupt is raised.
    A second one ends the workers at once. In place they raise KeyboardInterrupt in the function, unless it handles them itself, as
    ``solve`` does: let `done` look at the status then.

    Cost: about 0.1 s to start a worker and what it imports, then 1 ms a task; memory for all pickled tasks and all values.

    Parameters
    ----------
    function : callable
        Of one task. For processes: at module level, its value picklable.
    tasks : sequence
    workers : int or None
        Spawned processes, at most; 1: none, in place, one task after another. None: one for each CPU that this process may use.
    executor : concurrent.futures.Executor or None
        Used instead of workers of our own, and not shut down: a ThreadPoolExecutor, a Dask client's ``get_executor()``, an
        ``MPIPoolExecutor`` (`wflow.engines`). It gets all tasks at once. Tasks that it loses are tried once more, each alone. Its
        workers are sent no signal; under Dask, which takes back what has begun too, tasks in hand go on to their end, unheard.
    threads : int or None
        Threads that BLAS, OpenMP and Numba may use in a task. None: CPUs over workers (an executor does not tell how many it has,
        and is taken to have one for each task); in place, no limit. BLAS has one in tasks that run in threads, as Dask's do.
    store : path or None
        Folder where values are kept, a pickle for each task that succeeded, written as soon as it has. Called again with it,
        map_runs runs what is missing and returns the rest. Open only folders that you trust: pickles can run code.
    done : callable or None
        Called here with each outcome as it comes, those from `store` first. If it returns True (anything else goes on), no more
        tasks are begun; the value it was told last may come from a run cut short, and is not kept in `store`.

    Returns
    -------
    list of Outcome
        In the order of the tasks.

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above, `workers` come with an `executor`, tasks do not pickle for `store`, or it holds a value of
        another task; before any work.
    OSError
        If `store` cannot be made or read.
    KeyboardInterrupt
        After a signal.
    """
    if not callable(function):
        raise TypeError(f"function must be callable; got {function!r}")
    if not isinstance(tasks, Sequence) or isinstance(tasks, (str, bytes)):
        raise TypeError(f"tasks must be a sequence, such as a list; got {type(tasks).__name__}")
    check_workers(workers, executor)
    if done is not None and not callable(done):
        raise TypeError(f"done must be callable or None; got {done!r}")
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wanted = min(cpus, len(tasks)) if workers is None else workers
    threads = None if threads is None else _checks.integer("threads", threads, at_least=1)
    share = threads or max(1, cpus // max(1, min(wanted, len(tasks))))
    ledger = _Ledger(tasks, None if store is None else Store(store, function, tasks), done)
    ledger.begin()

    if executor is not None:
        _on_executor(executor, function, ledger, share)
    elif wanted <= 1 or not ledger.missing or (calls := _calls(function, ledger)) is None:
        _in_place(function, ledger, threads)
    else:
        _on_workers(calls, ledger, wanted, share)
    return ledger.outcomes()


class _Ledger:
    """What has come back so far: told to `done`, kept in the store."""

    def __init__(self, tasks: Sequence[Any], store: Store | None, done: Callable[[Outcome], object] | None) -> None:
        self.tasks, self.stopped = tasks, False
        self._store, self._done = store, done
        kept = store.load() if store is not None else {}
        self._outcomes = {i: Outcome(i, tasks[i], value, attempts=0, seconds=seconds) for i, (value, seconds) in kept.items()}
        self.missing = [i for i in range(len(tasks)) if i not in kept]

    def begin(self) -> None:
        """Tell what is kept."""
        for outcome in list(self._outcomes.values()):
            if self._tell(outcome):
                return

    def enter(self, index: int, report: Report, attempts: int = 1, *, keep: bool = True) -> None:
        """What came of a task that was missing."""
        outcome = Outcome(index, self.tasks[index], report.value, report.error, report.traceback, attempts, report.seconds)
        self._outcomes[index] = outcome
        if self._store is None or not outcome.ok or not keep:
            self._tell(outcome)
            return
        try:
            self._store.keep(index, outcome.value, outcome.seconds)
        except Exception as error:
            _say(f"the value of task {index} is not kept in the store: {one_line(error)}")
        if self._tell(outcome):
            self._store.discard(index)

    def _tell(self, outcome: Outcome) -> bool:
        """Whether `done` answers that no more tasks shall be begun."""
        stop = self._done is not None and self._done(outcome) is True
        self.stopped = self.stopped or stop
        return stop

    def outcomes(self) -> list[Outcome]:
        """All of them, tasks that were never begun included."""
        unbegun = "not begun: done() stopped the rest"
        return [self._outcomes.get(i) or Outcome(i, task, error=unbegun, attempts=0) for i, task in enumerate(self.tasks)]


def _say(text: str) -> None:
    print(f"wflow: {text}", file=sys.stderr, flush=True)


def _in_place(function: Callable[[Any], Any], ledger: _Ledger, threads: int | None) -> None:
    with terminable():
        for index in ledger.missing:
            if ledger.stopped:
                return
            ledger.enter(index, attempt((function, ledger.tasks[index]), threads, here()))


def _on_executor(executor: Executor, function: Callable[[Any], Any], ledger: _Ledger, threads: int) -> None:
    """All tasks at once; then those that it lost, one by one: Dask blames all that lay at a worker for its death.

    BLAS counts its threads per process, and may be told by one thread of it only: should the tasks run in threads of this process,
    it is held to one, so that sums come out as in ``wflow.solve`` elsewhere.
    """
    from threadpoolctl import threadpool_limits

    load_blas()
    mark = uuid.uuid4().hex
    rounds, flights = deque([ledger.missing]), dict[Future[Report], int]()
    lost, failed = dict[int, str](), list[str]()
    with Signals() as signals, threadpool_limits(1, "blas"):
        while flights or (rounds and not (signals.heard or ledger.stopped)):
            for index in [] if flights else rounds.popleft():
                future = sent(executor, (function, ledger.tasks[index]), threads, (mark, index, index in lost))
                flights[future] = index
                future.add_done_callback(signals.inbox.put)
            if signals.heard or ledger.stopped:
                for future in list(flights):
                    future.cancel()
            ended = signals.wait() if flights else None
            if ended is None:
                continue
            index, report = flights.pop(ended), received(ended)
            if report.lost and (signals.heard or index not in lost):  # or taken back by us
                lost[index] = report.lost
                rounds.append([index])
                continue
            if report.lost:
                failed.append(lost[index])
                report = Report(error=f"lost by the executor ({lost[index]})")
            ledger.enter(index, report, 2 if index in lost else 1, keep=not signals.heard)
    if signals.heard:
        raise KeyboardInterrupt
    if failed:
        _say(f"the executor lost {len(failed)} of {len(ledger.missing)} tasks ({failed[0]}); they are recorded as failed")


def _calls(function: Callable[[Any], Any], ledger: _Ledger) -> dict[int, bytes] | None:
    """The pickled calls of missing tasks by index; None, with a notice, if no worker could be spawned or would understand them."""
    why = obstacle()
    calls: dict[int, bytes] = {}
    try:
        if why is None:
            calls = {index: pickle.dumps((function, ledger.tasks[index])) for index in ledger.missing}
    except Exception as error:
        why = f"the function or a task does not pickle ({one_line(error)}); define functions and classes in a module"
    if not main_is_shared() and any(b"__main__" in call for call in calls.values()):
        why = "the function or a task is defined in a main program that workers cannot import (a session, -c); move it to a module"
    if why is None:
        return calls
    _say(f"the tasks run in this process, one after another: {why}")
    return None


@dataclass(frozen=True)
class _Flight:
    index: int
    attempts: int
    start: float


def _on_workers(calls: dict[int, bytes], ledger: _Ledger, size: int, threads: int) -> None:
    """At most `size` tasks in hand; one whose worker died is the next, once nothing else is in hand."""
    queue = deque((index, 1) for index in ledger.missing)
    flights: dict[Future[Report], _Flight] = {}
    with Signals() as signals, Workers(threads) as workers:
        while True:
            while queue and not signals.heard and not ledger.stopped and _has_room(queue[0][1], flights, size):
                index, attempts = queue.popleft()
                if attempts == 2:
                    workers.renew()
                future = workers.submit(calls[index])
                flights[future] = _Flight(index, attempts, time.perf_counter())
                future.add_done_callback(signals.inbox.put)
            if not flights:
                break
            ended = signals.wait()
            if ended is None:
                workers.terminate()
                continue
            flight, report = flights.pop(ended), workers.collect(ended)
            if not report.lost:
                ledger.enter(flight.index, report, flight.attempts, keep=not signals.heard)
            elif not signals.heard and flight.attempts == 1:
                _say(f"the worker of task {flight.index} died ({report.lost}); the task is tried once more, alone")
                queue.appendleft((flight.index, 2))
            elif not signals.heard:
                _say(f"the worker of task {flight.index} died again ({report.lost}); the task is recorded as failed")
                seconds = time.perf_counter() - flight.start
                ledger.enter(flight.index, Report(error=f"its worker died twice ({report.lost})", seconds=seconds), 2)
    if signals.heard:
        raise KeyboardInterrupt


def _has_room(attempts: int, flights: dict[Future[Report], _Flight], size: int) -> bool:
    """Whether the next task may begin: a second attempt is made alone, and nothing begins beside one."""
    alone = attempts == 2 or any(flight.attempts == 2 for flight in flights.values())
    return len(flights) < (1 if alone else size)
