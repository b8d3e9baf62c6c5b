"""map_runs: the same outcomes wherever tasks run, and none lost to failures, deaths, signals or kills."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import re
import select
import signal
import subprocess
import sys
import textwrap
import threading
from collections import Counter
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numba
import pytest
import threadpoolctl
from threadpoolctl import threadpool_info, threadpool_limits
from toys import tasks

from wflow import _pool, parallel
from wflow.parallel import map_runs

HERE = Path(__file__).parent
HANDLERS = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}


@pytest.fixture(autouse=True)
def _handlers():
    """Python's own, whoever started the tests: a job in the background ignores Ctrl-C, and so would all its children."""
    before = [(number, signal.signal(number, handler)) for number, handler in HANDLERS.items()]
    yield
    for number, handler in before:
        signal.signal(number, handler)


def spawned(size):
    return ProcessPoolExecutor(size, mp_context=multiprocessing.get_context("spawn"))


@pytest.fixture(params=["in place", "workers", "threads", "processes"])
def way(request):
    """Arguments of map_runs for each way to run."""
    if request.param in ("in place", "workers"):
        yield {"workers": 1 if request.param == "in place" else 2}
        return
    with ThreadPoolExecutor(2) if request.param == "threads" else spawned(2) as executor:
        yield {"executor": executor}


def script(tmp_path, text, *arguments, name="script.py", **options):
    """Start a Python program of its own process group, which finds the toys."""
    path = tmp_path / name
    path.write_text(textwrap.dedent(text))
    return python([str(path), *map(str, arguments)], **options)


def python(arguments, **options):
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    return subprocess.Popen([sys.executable, *arguments], env=environment, **pipes, **options)


def ended(process, patience=100):
    """What it printed, once it has ended."""
    try:
        return process.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise AssertionError("it hangs; " + "".join(process.communicate())) from None


def is_gone(pid, patience=60):
    """Whether a process that is no child of ours ends in time."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], patience)[0])
    finally:
        os.close(handle)


needs_pidfd = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="no pidfd")


# Outcomes


def test_outcomes_come_in_the_order_of_the_tasks(way, capfd):
    told, callers = [], set()

    def done(outcome):
        told.append(outcome)
        callers.add(threading.get_ident())

    outcomes = map_runs(tasks.square, range(5), done=done, **way)
    assert [(o.index, o.task, o.value, o.error, o.traceback, o.attempts, o.ok) for o in outcomes] == [
        (i, i, i * i, None, "", 1, True) for i in range(5)
    ]
    assert all(o.seconds >= 0.0 for o in outcomes)
    assert sorted(told, key=lambda o: o.index) == outcomes
    assert callers == {threading.get_ident()}
    assert capfd.readouterr().err == ""


def test_the_same_bits_everywhere(way):
    seeds = [3, 4, 5]
    assert [o.value for o in map_runs(tasks.random_sum, seeds, threads=1, **way)] == [
        o.value for o in map_runs(tasks.random_sum, seeds, threads=1, workers=1)
    ]


def test_no_tasks():
    assert map_runs(tasks.square, [], workers=3) == map_runs(tasks.square, ()) == []


FAILURES = {
    "lines": "ValueError: two lines",
    "nothing": "RuntimeError",
    "stubborn": "toys.tasks.StubbornError: stubborn",
    "locked": "toys.tasks.LockedError: locked",
    "syntax": "SyntaxError: invalid syntax",
    "leaves": "SystemExit: gone",
}


def test_a_failing_task_is_recorded_and_the_others_go_on(way, capfd):
    outcomes = map_runs(tasks.misbehave, ["well", *FAILURES, "still well"], **way)
    assert [o.error for o in outcomes] == [None, *FAILURES.values(), None]
    assert [o.value for o in outcomes if o.ok] == ["well", "still well"]
    failed = [o for o in outcomes if not o.ok]
    assert all(o.value is None and o.attempts == 1 and "in misbehave" in o.traceback for o in failed)
    assert capfd.readouterr().err == ""


def test_a_value_that_cannot_travel_is_a_failure_of_its_task_alone(way, capfd):
    away = way.get("workers") == 2 or isinstance(way.get("executor"), ProcessPoolExecutor)
    well, locked, stubborn, still_well = map_runs(tasks.misbehave, ["well", "locked value", "stubborn value", "still well"], **way)
    assert (well.value, still_well.value) == ("well", "still well")
    assert locked.ok is stubborn.ok is not away
    if away:
        assert locked.error.startswith("TypeError: the value does not pickle: TypeError: cannot pickle")
        assert stubborn.error.startswith("TypeError: ")
        assert "_" in stubborn.error
    assert capfd.readouterr().err == ""


# Where tasks run


def test_workers(monkeypatch):
    """One: in place. None: one for each CPU and task, so one in place if there is but one CPU."""
    assert {o.value for o in map_runs(tasks.pid, range(3), workers=1)} == {os.getpid()}
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0}, raising=False)
    assert {o.value for o in map_runs(tasks.pid, range(3))} == {os.getpid()}
    assert {o.value for o in map_runs(tasks.pid, range(1), workers=2)} != {os.getpid()}
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    assert {o.value for o in map_runs(tasks.pid, range(1))} == {os.getpid()}
    assert os.getpid() not in {o.value for o in map_runs(tasks.pid, range(2))}


@pytest.mark.parametrize(("workers", "cpus", "most"), [(2, 9, 2), (None, 3, 3)])
def test_at_most_as_many_tasks_in_hand_as_workers(workers, cpus, most, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cpus)), raising=False)
    in_hand = []
    submit = _pool.Workers.submit

    def counted(self, call):
        future = submit(self, call)
        in_hand.append(len(self._busy))
        return future

    monkeypatch.setattr(_pool.Workers, "submit", counted)
    assert len({o.value for o in map_runs(tasks.pid, range(8), workers=workers)}) <= most
    assert max(in_hand) == most
    assert len(in_hand) == 8


def test_workers_end_with_the_call():
    outcomes = map_runs(tasks.pid, range(3), workers=2)
    assert multiprocessing.active_children() == []
    for outcome in outcomes:
        with pytest.raises(ProcessLookupError):
            os.kill(outcome.value, 0)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"function": 3}, TypeError, "function must be callable; got 3"),
        ({"tasks": iter([1])}, TypeError, "tasks must be a sequence, such as a list; got list_iterator"),
        ({"tasks": {1, 2}}, TypeError, "tasks must be a sequence"),
        ({"tasks": "ab"}, TypeError, "tasks must be a sequence"),
        ({"workers": 0}, ValueError, "workers must be an integer of at least 1; got 0"),
        ({"workers": 1.5}, TypeError, "workers must be an integer"),
        ({"threads": 0}, ValueError, "threads must be an integer of at least 1; got 0"),
        ({"threads": True}, TypeError, "threads must be an integer"),
        ({"executor": "dask"}, TypeError, "executor must be a concurrent.futures.Executor or None; got 'dask'"),
        ({"executor": Executor(), "workers": 2}, ValueError, "workers must be None where there is an executor"),
        ({"done": "print"}, TypeError, "done must be callable or None; got 'print'"),
        ({"store": 3}, TypeError, "store must be the path of a folder, or None; got 3"),
        ({"store": __file__}, NotADirectoryError, "store: .* is not a folder"),
        ({"store": "x", "tasks": [threading.Lock()]}, ValueError, "store needs a function and tasks that pickle; with task 0: TypeError"),
    ],
)
def test_bad_arguments_are_refused_before_any_work(arguments, error, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        map_runs(**{"function": tasks.trace, "tasks": [(tmp_path, 1)], **arguments})
    assert list(tmp_path.iterdir()) == []


# Other executors


class Careless(Executor):
    """Runs task 0 at once, refuses task 1, cancels task 2, breaks under task 3."""

    count = 0

    def submit(self, function, /, *arguments, **options):
        number, self.count = self.count, self.count + 1
        future = Future()
        if number == 0:
            future.set_result(function(*arguments, **options))
        elif number == 1:
            raise RuntimeError("no room")
        elif number == 2:
            future.cancel()
        else:
            future.set_exception(BrokenExecutor("it broke"))
        return future


def test_tasks_that_an_executor_loses_are_recorded(capfd):
    outcomes = map_runs(tasks.square, [7, 8, 9, 10], executor=Careless())
    assert outcomes[0].value == 49
    assert [o.error for o in outcomes[1:]] == [
        f"lost by the executor ({why})"
        for why in ("RuntimeError: no room", "concurrent.futures._base.CancelledError", "concurrent.futures._base.BrokenExecutor: it broke")
    ]
    assert capfd.readouterr().err == "wflow: the executor lost 3 of 4 tasks (RuntimeError: no room); they are recorded as failed\n"


def test_an_executor_whose_process_dies(capfd):
    with spawned(1) as executor:
        outcomes = map_runs(tasks.die_of_two, range(4), executor=executor)
    assert [o.value for o in outcomes] == [0, 1, None, None]
    assert all(o.error.startswith("lost by the executor (concurrent.futures.process.BrokenProcessPool: ") for o in outcomes[2:])
    assert re.fullmatch(r"wflow: the executor lost 2 of 4 tasks \(.*\); they are recorded as failed\n", capfd.readouterr().err)


def test_an_executor_gets_all_tasks_at_once_and_stays_open():
    meeting = threading.Barrier(4, timeout=20)
    with ThreadPoolExecutor(4) as executor:
        assert all(o.ok for o in map_runs(lambda _: meeting.wait(), range(4), executor=executor))
        assert executor.submit(tasks.square, 3).result() == 9


# Threads


@pytest.mark.parametrize(("cpus", "number", "threads", "expected"), [(3, 4, None, 1), (9, 1, None, 9), (4, 2, 3, 3)])
def test_workers_hold_libraries_to_their_share(cpus, number, threads, expected, monkeypatch):
    """CPUs over workers at work, or what is asked for: in libraries first loaded by a task of the worker, or by one before."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cpus)), raising=False)
    outcomes = map_runs(tasks.threads, range(number), workers=2, threads=threads)
    numba, blas, openmp = zip(*(o.value for o in outcomes), strict=True)
    assert set(numba) == {(expected, expected)}
    assert set(openmp) == {str(expected)}
    assert all(count <= expected for counts in blas for count in counts)


def test_numba_that_the_main_program_has_loaded_still_compiles(tmp_path):
    """Numba refuses another NUMBA_NUM_THREADS once its threads run; they are limited all the same."""
    text = """
        import numba
        from toys import tasks
        from wflow.parallel import map_runs

        if __name__ == "__main__":
            print([(o.value, o.error) for o in map_runs(tasks.compiled, [1, 2], workers=2, threads=1)])
    """
    assert ended(script(tmp_path, text)) == ("[((2, 1), None), ((3, 1), None)]\n", "")


def test_in_threads_blas_is_told_once_by_the_caller(monkeypatch):
    """Else those who end would lift the limit of the others."""
    told = []
    limits = threadpoolctl.threadpool_limits
    monkeypatch.setattr(threadpoolctl, "threadpool_limits", lambda *given: [told.append(given), limits(*given)][1])
    with ThreadPoolExecutor(2) as executor:
        map_runs(tasks.square, range(3), executor=executor, threads=3)
    assert told == [(1, "blas"), *[(3, "openmp")] * 3]


def blas_threads():
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_limits_in_place_only_where_asked_for_and_lifted_afterwards():
    with threadpool_limits(2, "blas"):
        before = numba.get_num_threads(), blas_threads()
        (free,) = map_runs(lambda _: (numba.get_num_threads(), blas_threads()), [0], workers=1)
        (held,) = map_runs(lambda _: (numba.get_num_threads(), blas_threads()), [0], workers=1, threads=1)
        assert free.value == before
        assert held.value == (1, {1})
        assert (numba.get_num_threads(), blas_threads()) == before


def test_limits_in_threads_hold_until_the_last_task_and_are_lifted_then():
    """BLAS counts for the process: task 1 begins before task 0 ends, and goes on after it."""
    begun, gone = threading.Event(), threading.Event()

    def task(number):
        seen = [blas_threads()]
        if number == 0:
            assert begun.wait(20)
        else:
            begun.set()
            assert gone.wait(20)
        return [*seen, blas_threads()], numba.get_num_threads()

    with threadpool_limits(2, "blas"), ThreadPoolExecutor(2) as executor:
        before = blas_threads()
        of_threads = {executor.submit(numba.get_num_threads).result() for _ in range(2)}
        outcomes = map_runs(task, range(2), executor=executor, threads=1, done=lambda outcome: gone.set())
        assert [o.value for o in outcomes] == [([{1}, {1}], 1)] * 2
        assert blas_threads() == before
        assert {executor.submit(numba.get_num_threads).result() for _ in range(2)} == of_threads


def test_importing_it_is_light():
    program = "import sys, wflow.parallel; print([name for name in ('numba', 'scipy', 'threadpoolctl') if name in sys.modules])"
    assert ended(python(["-c", program])) == ("[]\n", "")


# Deaths


def died(index, how, *, again=False):
    fate = "died again ({}); the task is recorded as failed" if again else "died ({}); the task is tried once more, alone"
    return f"wflow: the worker of task {index} {fate.format(how)}\n"


def test_a_task_that_kills_its_worker_twice_has_failed_and_the_others_have_not(capfd):
    outcomes = map_runs(tasks.die_of_two, range(6), workers=2)
    assert [o.value for o in outcomes] == [0, 1, None, 9, 16, 25]
    assert [o.attempts for o in outcomes] == [1, 1, 2, 1, 1, 1]
    assert (outcomes[2].error, outcomes[2].traceback) == ("its worker died twice (exit code 3)", "")
    assert outcomes[2].seconds > 0.0
    assert capfd.readouterr().err == died(2, "exit code 3") + died(2, "exit code 3", again=True)


def test_a_killed_worker_is_told_by_the_name_of_the_signal(capfd):
    first, second = map_runs(tasks.kill_itself, range(2), workers=2)
    assert first.error == second.error == "its worker died twice (SIGKILL, perhaps for want of memory)"
    assert capfd.readouterr().err.count("\n") == 4


def test_the_second_attempt_is_made_alone(tmp_path, monkeypatch, capfd):
    """Task 0 outlives the death of task 1, whose second attempt begins after the end of 0 and ends before 2 and 3 begin."""
    say = parallel._say

    def say_it_to_task_0(text):
        say(text)
        tasks.say(tmp_path, "one died")

    monkeypatch.setattr(parallel, "_say", say_it_to_task_0)
    outcomes = map_runs(tasks.die_at_first, [(how, tmp_path) for how in ("long", "dies", "left", "right")], workers=2)
    assert [o.attempts for o in outcomes] == [1, 2, 1, 1]
    (_, long_ends), (begins, ends), (two, _), (three, _) = (o.value for o in outcomes)
    assert long_ends < begins
    assert ends < min(two, three)
    assert capfd.readouterr().err == died(1, "exit code 1")


def test_a_worker_that_dies_idle_is_replaced(capfd):
    def kill(outcome):
        if outcome.index < 2:
            os.kill(outcome.value, signal.SIGKILL)
            assert is_gone(outcome.value)

    outcomes = map_runs(tasks.pid, range(6), workers=2, done=kill)
    assert all(o.ok for o in outcomes)


def test_a_worker_that_somebody_else_ends(capfd):
    """SIGTERM while it is idle: it takes no more tasks, and whose turn it was has another."""
    told = []

    def end(outcome):
        told.append(outcome)
        if len(told) == 1:
            os.kill(outcome.value, signal.SIGTERM)

    outcomes = map_runs(tasks.pid, range(9), workers=2, done=end)
    assert all(o.ok for o in outcomes)
    (second,) = (o for o in outcomes if o.attempts == 2)
    assert second.value != told[0].value
    assert capfd.readouterr().err == died(second.index, "SIGTERM")


def test_a_worker_that_dies_amid_its_answer_is_noticed(capfd):
    first, second = map_runs(tasks.die_sending, range(2), workers=2)
    assert first.error == "its worker died twice (SIGKILL, perhaps for want of memory)"
    assert second.value == 1


# Signals

SIGNALLED = """
    import sys, threading
    from toys import tasks
    from wflow.parallel import map_runs

    def done(outcome):
        print(outcome.index, outcome.value, outcome.error, flush=True)

    if __name__ == "__main__":
        folder, *hows = sys.argv[1:]
        map_runs(tasks.under_signals, [(how, folder) for how in hows], workers=2, store=folder + "/store", done=done)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_what_is_in_hand_and_begins_no_more(number, tmp_path):
    """As from a terminal, SIGINT goes to the workers too. What ends gracefully is told, and not taken for finished."""
    process = script(tmp_path, SIGNALLED, tmp_path, "short", "graceful", "plain", "never begun")
    tasks.hear(tmp_path, "graceful")
    tasks.hear(tmp_path, "plain")
    (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
    out, err = ended(process)
    assert out == "0 short None\n1 ended gracefully None\n"
    assert err.count("Traceback") == 1
    assert err.endswith("KeyboardInterrupt\n")
    assert process.returncode == -signal.SIGINT
    assert [path.name for path in (tmp_path / "store").iterdir()] == ["00000.pickle"]


@needs_pidfd
def test_a_second_signal_kills_the_workers(tmp_path):
    process = script(tmp_path, SIGNALLED, tmp_path, "deaf", "deaf")
    for word, number in (("deaf", signal.SIGINT), ("deaf to it", signal.SIGTERM)):
        tasks.hear(tmp_path, word)
        tasks.hear(tmp_path, word)
        os.kill(process.pid, number)
    out, err = ended(process)
    assert out == ""
    assert err.endswith("KeyboardInterrupt\n")
    pids = [int(path.name.split()[1]) for path in tmp_path.glob("pid *")]
    assert len(pids) == 2
    assert all(map(is_gone, pids))


def test_workers_are_deaf_to_a_terminal(tmp_path):
    """To Ctrl-C in a task, and as early as they import the main program."""
    text = """
        import os, signal
        if __name__ == "__mp_main__":
            os.kill(os.getpid(), signal.SIGINT)
    """
    process = script(tmp_path, textwrap.dedent(text) + textwrap.dedent(SIGNALLED), tmp_path, "itself", "itself", "itself")
    out, err = ended(process)
    assert sorted(out.splitlines()) == [f"{i} itself None" for i in range(3)]
    assert err == ""


def test_a_run_is_stored_and_comes_back_interrupted(tmp_path):
    text = SIGNALLED.replace("tasks.under_signals, [(how, folder) for how in hows]", "tasks.long_run, [folder]")
    process = script(tmp_path, text, tmp_path)
    tasks.hear(tmp_path, "under way")
    process.terminate()
    assert ended(process)[0] == "0 interrupted None\n"
    assert (tmp_path / "run.h5").exists()
    assert list((tmp_path / "store").iterdir()) == []


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_between_tasks_stops_the_rest(number, workers):
    """Handlers are afterwards as they were."""
    told = []

    def done(outcome):
        told.append(outcome.index)
        if len(told) == 1:
            os.kill(os.getpid(), number)

    with pytest.raises(KeyboardInterrupt):
        map_runs(tasks.square, range(9), done=done, workers=workers)
    assert 1 <= len(told) <= workers
    assert {number: signal.getsignal(number) for number in HANDLERS} == HANDLERS


class Recalled(ThreadPoolExecutor):
    """One thread; its second task ends when its last is called back."""

    def __init__(self):
        super().__init__(1)
        self.begun, self.gate = threading.Event(), threading.Event()

    def run(self, number):
        if number > 0:
            self.begun.set()
            assert self.gate.wait(20)
        return number

    def submit(self, function, /, call, *arguments):
        future = super().submit(function, call, *arguments)
        if call[1] == 5:
            future.add_done_callback(lambda future: self.gate.set())
        return future


def test_of_an_executor_what_has_not_begun_is_called_back():
    told = []

    def done(outcome):
        told.append(outcome.value)
        assert executor.begun.wait(20)
        if interrupt and len(told) == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return True

    interrupt = True
    with Recalled() as executor, pytest.raises(KeyboardInterrupt):
        map_runs(executor.run, range(6), executor=executor, done=done)
    assert told == [0, 1]
    interrupt = False
    with Recalled() as executor:
        outcomes = map_runs(executor.run, range(6), executor=executor, done=done)
        assert executor.submit(print, (None, None)).exception() is None
    assert [o.value for o in outcomes] == [0, 1, None, None, None, None]
    assert {o.error for o in outcomes[2:]} == {"not begun: done() stopped the rest"}


def test_in_place_a_signal_reaches_the_function():
    def interrupted(number):
        os.kill(os.getpid(), number)
        signal.pause()

    for number in (signal.SIGINT, signal.SIGTERM):
        with pytest.raises(KeyboardInterrupt):
            map_runs(interrupted, [number, number], workers=1)


def test_a_handler_of_the_caller_stays_and_is_heard(tmp_path):
    """It stays while workers run, and a KeyboardInterrupt that it raises is a first signal."""

    def handler(number, frame):
        raise KeyboardInterrupt

    def send():
        tasks.hear(tmp_path, "graceful")
        tasks.hear(tmp_path, "graceful")
        os.kill(os.getpid(), signal.SIGTERM)

    def done(outcome):
        told.append((outcome.value, signal.getsignal(signal.SIGTERM)))

    told = []
    signal.signal(signal.SIGTERM, handler)
    sender = threading.Thread(target=send)
    sender.start()
    with pytest.raises(KeyboardInterrupt):
        map_runs(tasks.under_signals, [("graceful", tmp_path)] * 3, workers=2, done=done)
    sender.join()
    assert told == [("ended gracefully", handler)] * 2
    assert signal.getsignal(signal.SIGTERM) is handler


@pytest.mark.parametrize("workers", [1, 2])
def test_done_may_stop_the_rest(workers):
    """At the first outcome that comes; what is in hand then still comes."""
    outcomes = map_runs(tasks.square, range(9), done=lambda outcome: True, workers=workers)
    assert [o.task for o in outcomes] == list(range(9))
    begun, unbegun = [o for o in outcomes if o.ok], [o for o in outcomes if not o.ok]
    assert 1 <= len(begun) <= workers
    assert all((o.error, o.attempts, o.value) == ("not begun: done() stopped the rest", 0, None) for o in unbegun)
    assert all(o.ok for o in map_runs(tasks.square, range(9), done=lambda outcome: "go on", workers=workers))


def test_an_exception_of_done_ends_the_workers():
    def done(outcome):
        raise LookupError("of done")

    with pytest.raises(LookupError, match="of done"):
        map_runs(tasks.square, range(9), workers=2, done=done)
    assert multiprocessing.active_children() == []


@needs_pidfd
def test_workers_do_not_outlive_a_killed_parent(tmp_path):
    process = script(tmp_path, SIGNALLED, tmp_path, "deaf", "deaf")
    tasks.hear(tmp_path, "deaf")
    tasks.hear(tmp_path, "deaf")
    pids = [int(path.name.split()[1]) for path in tmp_path.glob("pid *")]
    assert len(pids) == 2
    process.kill()
    assert all(map(is_gone, pids))
    process.communicate()


# Where no process can be spawned

NOTICE = "wflow: the tasks run in this process, one after another: "
IN_SESSION = "the function or a task is defined in a main program that workers cannot import (a session, -c); move it to a module"
FROM_TOP = 'a worker would run script.py from its top again; put the call in line {} under `if __name__ == "__main__":`'


def unguarded(call, function="tasks.pid"):
    return f"""import os
from toys import tasks
from wflow.parallel import map_runs

def own(x):
    return os.getpid()

def call():
    values = [o.value for o in map_runs({function}, [2, 3], workers=2)]
    print(values == [os.getpid()] * 2, os.getpid() in values, None in values, flush=True)

{call}
"""


IN_PLACE, SPAWNED = "True True False\n", "False False False\n"
GUARDS = {
    "if '__main__' == __name__: call()": None,
    'if True:\n    if __name__ == "__main__" and call:\n        call()': None,
    'if __name__ == "__main__":\n    exec("call()")': None,
    'if __name__ == "__mp_main__":\n    pass\nelse:\n    call()': 15,
    'if __name__ == "__main__" or call:\n    call()': 13,
    "call()": 12,
    "[call() for _ in range(1)]": 12,
}


@pytest.mark.parametrize(("call", "line"), GUARDS.items())
def test_scripts(call, line, tmp_path):
    """Guarded, they have workers; else one line says why not, and nothing of the script runs twice."""
    out, err = ended(script(tmp_path, unguarded(call, "own")))
    assert out == (SPAWNED if line is None else IN_PLACE)
    assert err == ("" if line is None else f"{NOTICE}{FROM_TOP.format(line)}\n")


@pytest.mark.parametrize("how", ["-c", "stdin"])
def test_sessions(how, tmp_path):
    """Without a file to import, workers know functions of modules only; none at all if Python takes <stdin> for a file."""
    for function in ("tasks.pid", "own"):
        text = unguarded("call()", function)
        process = python(["-c", text]) if how == "-c" else python(["-"], stdin=subprocess.PIPE)
        if how == "stdin":
            process.stdin.write(text)
        out, err = ended(process)
        if how == "-c" and function == "tasks.pid":
            assert (out, err) == (SPAWNED, "")
        else:
            why = IN_SESSION if how == "-c" else "the main program <stdin> is no file that a worker could import; save it to one"
            assert (out, err) == (IN_PLACE, f"{NOTICE}{why}\n")


def test_tasks_that_do_not_pickle_run_in_place(capfd):
    lock = threading.Lock()
    for function, given in ((lambda _: os.getpid(), [1, 2]), (tasks.pid, [1, lock])):
        assert {o.value for o in map_runs(function, given, workers=2)} == {os.getpid()}
        err = capfd.readouterr().err
        assert err.startswith(NOTICE + "the function or a task does not pickle (")
        assert err.endswith("); define functions and classes in a module\n")
        assert err.count("\n") == 1


def test_in_a_worker_that_imports_its_main_program_and_in_a_daemon(tmp_path):
    text = """
        import multiprocessing, os
        from toys import tasks
        from wflow.parallel import map_runs

        def call(_):
            print({o.value for o in map_runs(tasks.pid, [1, 2], workers=2)} == {os.getpid()}, flush=True)

        if __name__ == "__main__":
            process = multiprocessing.get_context("spawn").Process(target=call, args=(0,), daemon=True)
            process.start()
            process.join()
        else:
            call(0)
    """
    out, err = ended(script(tmp_path, text))
    assert out == "True\nTrue\n"
    importing, daemon = err.splitlines()
    assert importing.startswith(NOTICE + "this process is a worker that is still importing its main program; ")
    assert daemon == NOTICE + "this process is a daemonic worker, which may have no children"


def test_in_a_notebook(tmp_path, monkeypatch):
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    cells = [nbformat.v4.new_code_cell(unguarded("call()", function)) for function in ("own", "tasks.pid", "lambda _: os.getpid()")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(tmp_path)}}).execute()
    printed = [{output["name"]: output["text"] for output in cell["outputs"]} for cell in notebook.cells]
    assert [text["stdout"] for text in printed] == [IN_PLACE, SPAWNED, IN_PLACE]
    assert printed[0]["stderr"] == NOTICE + IN_SESSION + "\n"
    assert "stderr" not in printed[1]
    assert printed[2]["stderr"].startswith(NOTICE)
    assert printed[2]["stderr"].count("\n") == 1


# The store


def calls(folder):
    """How often each task was called."""
    return Counter(int(path.name.split()[0]) for path in folder.glob("* [0-9]*"))


def traced(folder, numbers=(1, -2, 3), **options):
    return map_runs(tasks.trace, [(str(folder), x) for x in numbers], **{"store": folder / "store", **options})


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_kept_is_not_run_again(workers, tmp_path):
    first = traced(tmp_path, workers=workers)
    assert [o.attempts for o in first] == [1, 1, 1]
    told = []
    second = traced(tmp_path, workers=workers, done=told.append)
    assert [(o.value, o.attempts) for o in second] == [({"square": 1}, 0), (None, 1), ({"square": 9}, 0)]
    assert [second[i].seconds for i in (0, 2)] == [first[i].seconds for i in (0, 2)]
    assert told == [second[0], second[2], second[1]]
    assert calls(tmp_path) == {1: 1, -2: 2, 3: 1}
    assert sorted(path.name for path in (tmp_path / "store").iterdir()) == ["00000.pickle", "00002.pickle"]


def test_what_is_kept_in_one_way_is_known_in_another(way, tmp_path):
    traced(tmp_path, (1, 2, 3), **way)
    assert [(o.value["square"], o.attempts) for o in traced(tmp_path, (1, 2, 3, 4), workers=1)] == [(1, 0), (4, 0), (9, 0), (16, 1)]


@pytest.mark.parametrize("damage", [lambda raw: raw[:-1], lambda raw: raw[:40], lambda raw: b"", lambda raw: raw[:40] + b"!" + raw[41:]])
def test_a_damaged_file_counts_as_missing(damage, tmp_path):
    traced(tmp_path)
    path = tmp_path / "store" / "00000.pickle"
    path.write_bytes(damage(path.read_bytes()))
    assert [o.attempts for o in traced(tmp_path)] == [1, 1, 0]
    assert [o.attempts for o in traced(tmp_path)] == [0, 1, 0]


def test_a_value_that_cannot_be_rebuilt_counts_as_missing(tmp_path):
    for _ in range(2):
        (outcome,) = map_runs(tasks.misbehave, ["stubborn value"], workers=1, store=tmp_path)
        assert (outcome.ok, outcome.attempts) == (True, 1)


def test_a_store_of_other_tasks_is_refused_before_any_work(tmp_path):
    traced(tmp_path)
    before, told = calls(tmp_path), []
    given = [(str(tmp_path), x) for x in (1, -2, 4)]
    for function, others in ((tasks.trace, given), (tasks.misbehave, [*given[:2], (str(tmp_path), 3)]), (partial(tasks.trace), given[:1])):
        with pytest.raises(ValueError, match=r"store must be empty or belong to these tasks; .*pickle holds the value of another task"):
            map_runs(function, others, store=tmp_path / "store", done=told.append)
    assert (calls(tmp_path), told) == (before, [])


def test_a_function_is_known_with_what_is_bound_to_it(tmp_path):
    assert [o.value for o in map_runs(partial(pow, 2), [3, 4], workers=1, store=tmp_path)] == [8, 16]
    assert [o.attempts for o in map_runs(partial(pow, 2), [3, 4], workers=1, store=tmp_path)] == [0, 0]
    with pytest.raises(ValueError, match="store must be empty or belong to these tasks"):
        map_runs(partial(pow, 5), [3, 4], workers=1, store=tmp_path)


def test_equal_tasks_are_the_same_task(tmp_path):
    """Be their parts one object or copies, as they are when read from a file; even where a task contains itself."""
    task = {"flow": {"name": "relu"}, "start": {"name": "relu"}}
    ring = [1]
    ring.append(ring)
    for attempts, given in ((1, [task, ring]), (0, [json.loads(json.dumps(task)), ring])):
        assert [o.attempts for o in map_runs(tasks.misbehave, given, workers=1, store=tmp_path)] == [attempts] * 2


def test_what_cannot_be_kept_is_told_and_returned(tmp_path, monkeypatch, capfd):
    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    lock, square = map_runs(lambda x: threading.Lock() if x == 0 else x * x, range(2), workers=1, store=tmp_path)
    assert lock.ok
    assert square.value == 1
    monkeypatch.setattr(os, "fsync", full)
    assert traced(tmp_path, (2,))[0].value == {"square": 4}
    first, second = capfd.readouterr().err.splitlines()
    assert first == "wflow: the value of task 0 is not kept in the store: TypeError: cannot pickle '_thread.lock' object"
    assert second == "wflow: the value of task 0 is not kept in the store: OSError: [Errno 28] No space left on device"
    assert [path.name for path in tmp_path.glob("*.pickle")] == ["00001.pickle"]


def test_the_value_that_done_stops_at_is_not_kept(tmp_path):
    """It may come from a run that Ctrl-C cut short, and that solve brought to a decent end."""
    assert [o.ok for o in traced(tmp_path, (1, 2, 3), workers=1, done=lambda outcome: outcome.index == 1)] == [True, True, False]
    assert [o.attempts for o in traced(tmp_path, (1, 2, 3), workers=1)] == [0, 1, 1]


def test_done_may_stop_at_a_kept_value(tmp_path):
    """The others that are kept are returned, though not told; itself, it stays."""
    traced(tmp_path)
    told = []

    def done(outcome):
        told.append(outcome.index)
        return True

    outcomes = traced(tmp_path, done=done)
    assert told == [0]
    assert [o.ok for o in outcomes] == [True, False, True]
    assert outcomes[1].error == "not begun: done() stopped the rest"
    assert [o.attempts for o in traced(tmp_path)] == [0, 1, 0]


def test_after_a_kill_only_what_is_missing_runs(tmp_path):
    text = SIGNALLED.replace("tasks.under_signals, [(how, folder) for how in hows]", "tasks.pause_at_two, [(folder, x) for x in range(4)]")
    process = script(tmp_path, text, tmp_path)
    lines = [process.stdout.readline() for _ in range(3)]
    tasks.hear(tmp_path, "pausing")
    process.kill()
    process.communicate()
    assert sorted(line[0] for line in lines) == ["0", "1", "3"]
    outcomes = map_runs(tasks.pause_at_two, [(str(tmp_path), x) for x in range(4)], workers=1, store=tmp_path / "store")
    assert [(o.value, o.attempts) for o in outcomes] == [({"square": 0}, 0), ({"square": 1}, 0), ({"square": 4}, 1), ({"square": 9}, 0)]
    assert calls(tmp_path) == {0: 1, 1: 1, 2: 2, 3: 1}
