"""The sweep engine on executors of others, for real: Dask's on spawned processes, mpi4py's under mpiexec."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info
from toys import tasks
from toys.experiments import OWN

from wflow import loop, sweep
from wflow._task import attempt
from wflow.engines import engine
from wflow.loop import Status
from wflow.parallel import map_runs
from wflow.storage.collection import Collection

HERE = Path(__file__).parent
SLOW = ["solver.t_end=30.0", "solver.options={max_step=0.05}", "solver.max_steps=1000000"]
FAILURES = {
    "lines": "ValueError: two lines",
    "stubborn": "toys.tasks.StubbornError: stubborn",
    "locked": "toys.tasks.LockedError: locked",
    "leaves": "SystemExit: gone",
}
HOWS = ["well", *FAILURES, "locked value", "still well"]

linux = pytest.mark.skipif(sys.platform != "linux", reason="process groups and /proc")


@pytest.fixture(autouse=True)
def _no_hang():
    """A test that hangs fails; Ctrl-C and SIGTERM do what Python has them do."""

    def hangs(number, frame):
        raise TimeoutError("it hangs")

    handlers = {signal.SIGALRM: hangs, signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    before = [(number, signal.signal(number, handler)) for number, handler in handlers.items()]
    signal.alarm(100)
    yield
    signal.alarm(0)
    for number, handler in before:
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def dask():
    """An executor over two processes."""
    pytest.importorskip("distributed", reason="the extra wflow[dask]")
    with engine("dask", 2) as executor:
        yield executor


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.toml").write_text(OWN)
    return tmp_path / "own.toml"


@pytest.fixture(scope="module")
def slowly(tmp_path_factory):
    """What a slow sweep comes to in place."""
    path = tmp_path_factory.mktemp("place") / "own.toml"
    path.write_text(OWN)
    return swept(path, "place", changes=SLOW)


def launch(tmp_path, text, *arguments, mpi=0):
    """Start a Python program of its own process group, which finds the toys; as `mpi` processes if there are to be some."""
    (tmp_path / "script.py").write_text(textwrap.dedent(text))
    command = [sys.executable, "script.py", *map(str, arguments)]
    if mpi:
        pytest.importorskip("mpi4py", reason="the extra wflow[mpi]")
        mpiexec = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
        if mpiexec is None:
            pytest.skip("no mpiexec")
        command = [mpiexec, "-n", str(mpi), command[0], "-m", "mpi4py.futures", *command[1:]]
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=tmp_path, env=environment, start_new_session=True, **pipes)


def ended(process, patience=80):
    """What it printed, once it has ended."""
    try:
        return process.communicate(timeout=patience)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise AssertionError("it hangs; " + "".join(process.communicate())) from None


def wait_for(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def frames_of(path):
    try:
        return [len(solution.times) for solution in loop.open_all(path)]
    except (OSError, ValueError):
        return []


def calls(folder):
    return sorted(int(path.name.split()[0]) for path in folder.glob("* [0-9]*"))


def swept(own, name, executor=None, changes=()):
    """Two settings with two seeds each, solved and assembled."""
    path = own.parent / f"{name}.h5"
    runs = Collection.create(path, sweep.plan(str(own), changes, ["flow.n_particles=20,30"]))
    assert sweep.execute(runs, range(4), executor=executor, quiet=True)
    assert not runs.folder.exists()
    return loop.open_all(path)


def resumed(path):
    runs = Collection.reopen(path)
    assert sweep.execute(runs, sweep.pending(list(runs.records())), quiet=True)
    return loop.open_all(path)


def same(found, expected):
    """Sweeps, to the last bit."""
    for a, b in zip(found, expected, strict=True):
        assert a.status is b.status is Status.FINISHED
        np.testing.assert_array_equal(a.stored.frames, b.stored.frames)
        np.testing.assert_array_equal(a.final.points, b.final.points)
        np.testing.assert_array_equal(a.finals["log_policy"], b.finals["log_policy"])
        assert (a.counts, a.provenance["seed"], a.provenance["sweep"]) == (b.counts, b.provenance["seed"], b.provenance["sweep"])


# Dask


def test_dask_gives_the_same_bits_in_other_processes(dask):
    seeds = list(range(6))
    values = [o.value for o in map_runs(tasks.random_sum, seeds, threads=1, executor=dask)]
    assert values == [o.value for o in map_runs(tasks.random_sum, seeds, threads=1, workers=1)]
    assert os.getpid() not in {o.value for o in map_runs(tasks.pid, seeds, executor=dask)}


def test_dask_records_failures_and_the_others_go_on(dask, capfd):
    outcomes = map_runs(tasks.misbehave, HOWS, executor=dask)
    assert [o.error for o in outcomes[1:-2]] == list(FAILURES.values())
    assert all("in misbehave" in o.traceback for o in outcomes[1:-2])
    assert outcomes[-2].error.startswith("TypeError: the value does not pickle: ")
    assert [o.value for o in outcomes if o.ok] == ["well", "still well"]
    assert "lost" not in capfd.readouterr().err


def test_dask_hands_tasks_on_as_they_are(dask):
    """Not taken for its own: calls to make, names of other tasks, several alike; functions of this very session are known."""
    given = [(len, [1, 2]), {"x": (len, "ab")}, "attempt", ("attempt",)]
    assert [o.value for o in map_runs(tasks.misbehave, given, executor=dask)] == given
    assert [o.value for o in map_runs(lambda x: x + len(given), [1, 2], executor=dask)] == [5, 6]
    lock, well = map_runs(tasks.square, [threading.Lock(), 2], executor=dask)
    assert "lost by the executor" in lock.error
    assert well.value == 4


def test_dask_makes_every_call_anew(dask, tmp_path):
    for _ in range(2):
        outcomes = map_runs(tasks.trace, [(str(tmp_path), x) for x in (1, 1, -2)], executor=dask)
        assert [o.ok for o in outcomes] == [True, True, False]
    assert calls(tmp_path) == [-2, -2, 1, 1, 1, 1]


def test_dask_fails_a_task_that_kills_its_workers_and_the_others_go_on(dask, capfd):
    outcomes = map_runs(tasks.die_of_two, range(6), executor=dask)
    assert [o.value for o in outcomes] == [0, 1, None, 9, 16, 25]
    assert outcomes[2].attempts == 2
    assert outcomes[2].error.startswith("lost by the executor (distributed.scheduler.KilledWorker: ")
    assert "wflow: the executor lost 1 of 6 tasks (distributed.scheduler.KilledWorker" in capfd.readouterr().err
    assert [o.value for o in map_runs(tasks.square, range(4), executor=dask)] == [0, 1, 4, 9]


def test_dask_runs_only_what_the_store_has_not(dask, tmp_path):
    given = [(str(tmp_path), x) for x in (1, -2, 3)]
    assert [o.attempts for o in map_runs(tasks.trace, given, executor=dask, store=tmp_path / "store")] == [1, 1, 1]
    again = map_runs(tasks.trace, given, executor=dask, store=tmp_path / "store")
    assert [(o.value, o.attempts) for o in again] == [({"square": 1}, 0), (None, 1), ({"square": 9}, 0)]
    assert calls(tmp_path) == [-2, -2, 1, 3]


def test_dask_stops_when_done_says_so(dask):
    outcomes = map_runs(tasks.square, range(200), executor=dask, done=lambda outcome: True)
    assert sum(o.ok for o in outcomes) < 200
    assert {o.error for o in outcomes if not o.ok} == {"not begun: done() stopped the rest"}
    assert [o.value for o in map_runs(tasks.square, range(4), executor=dask)] == [0, 1, 4, 9]


def test_dask_holds_libraries_to_their_share():
    """In the first task of a worker, which loads them, as in later ones."""
    pytest.importorskip("distributed", reason="the extra wflow[dask]")
    with engine("dask", 1) as executor:
        for threads in (1, 2):
            for outcome in map_runs(tasks.threads, range(2), executor=executor, threads=threads):
                (most, numba), blas, _ = outcome.value
                assert numba == min(threads, most)
                assert blas == {1}


def test_dask_sweeps_to_the_same_bits(dask, own):
    same(swept(own, "dask", dask), swept(own, "place"))


def test_dask_sweeps_to_the_same_bits_two_runs_at_a_time_in_one_process(own):
    distributed = pytest.importorskip("distributed", reason="the extra wflow[dask]")
    with distributed.Client(n_workers=1, threads_per_worker=2, dashboard_address="127.0.0.1:0") as client:
        same(swept(own, "dask", client.get_executor()), swept(own, "place"))


@linux
def test_dask_goes_on_with_the_run_of_a_killed_worker(dask, own, slowly):
    """On another, from its last checkpoint."""
    pids = {o.value for o in map_runs(tasks.pid, range(20), executor=dask)}
    killed = []

    def kill():
        wait_for(lambda: max(frames_of("dask.h5"), default=0) > 20)
        killed.append(pids.pop())
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    found = swept(own, "dask", dask, SLOW)
    killer.join()
    assert len(killed) == 1
    assert any(solution.provenance.get("resumed") for solution in found)
    same(found, slowly)


SWEEP = """
    import sys
    from wflow import sweep
    from wflow.engines import engine
    from wflow.storage.collection import Collection

    if __name__ == "__main__":
        name, workers, *changes = sys.argv[1:]
        runs = Collection.create("swept.h5", sweep.plan("own.toml", changes, ["flow.n_particles=20,30"]))
        with engine(name, int(workers) or None) as executor:
            print(sweep.execute(runs, range(4), executor=executor, quiet=True), flush=True)
"""


@linux
def test_dask_interrupted_goes_on_later(own, slowly):
    """Ctrl-C of a terminal goes to all processes; workers do not mind."""
    pytest.importorskip("distributed", reason="the extra wflow[dask]")
    process = launch(own.parent, SWEEP, "dask", 2, *SLOW)
    wait_for(lambda: max(frames_of("swept.h5"), default=0) > 20)
    os.killpg(process.pid, signal.SIGINT)
    out, err = ended(process)
    assert (process.returncode, out) == (0, "False\n")
    assert "KeyboardInterrupt" not in err
    assert Status.WAITING in {solution.status for solution in loop.open_all("swept.h5")}
    same(resumed(own.parent / "swept.h5"), slowly)


# MPI


def test_mpi_maps_as_in_place(tmp_path):
    """Values, failures, library threads, the store: one program, for its start takes a second."""
    text = f"""
        import json, os, sys
        from toys import tasks
        from wflow.engines import engine
        from wflow.parallel import map_runs

        if __name__ == "__main__":
            told = {{"pid": os.getpid()}}
            with engine("mpi") as executor:
                told["threads"] = [o.value[0] for o in map_runs(tasks.threads, range(6), executor=executor, threads=1)]
                told["pids"] = [o.value for o in map_runs(tasks.pid, range(6), executor=executor)]
                told["sums"] = [repr(o.value) for o in map_runs(tasks.random_sum, range(4), threads=1, executor=executor)]
                hows = map_runs(tasks.misbehave, {HOWS}, executor=executor)
                told["hows"] = [(o.value, o.error, o.traceback) for o in hows]
                given = [(os.getcwd(), x) for x in (1, -2, 3)]
                for _ in range(2):
                    told["attempts"] = [o.attempts for o in map_runs(tasks.trace, given, executor=executor, store="store")]
                stopped = map_runs(tasks.square, range(200), executor=executor, done=lambda outcome: True)
                told["unbegun"] = sum(not o.ok for o in stopped)
                told["after"] = [o.value for o in map_runs(tasks.square, range(4), executor=executor)]
            print(json.dumps(told))
    """
    process = launch(tmp_path, text, mpi=3)
    out, err = ended(process)
    assert (process.returncode, err) == (0, "")
    told = json.loads(out)
    assert told["pid"] not in told["pids"]
    assert len(set(told["pids"])) <= 2
    assert {used for _, used in told["threads"]} == {1}
    assert told["sums"] == [repr(o.value) for o in map_runs(tasks.random_sum, range(4), threads=1, workers=1)]
    assert [value for value, error, _ in told["hows"] if error is None] == ["well", "still well"]
    assert [error for _, error, _ in told["hows"][1:-2]] == list(FAILURES.values())
    assert all("in misbehave" in trace for _, _, trace in told["hows"][1:-2])
    assert told["hows"][-2][1].startswith("TypeError: the value does not pickle: ")
    assert told["attempts"] == [0, 1, 0]
    assert calls(tmp_path) == [-2, -2, 1, 3]
    assert told["unbegun"] > 0
    assert told["after"] == [0, 1, 4, 9]


def test_mpi_ends_with_a_worker_that_dies_and_goes_on_from_the_store(tmp_path):
    """One task blocks a worker, and kills it once the others are kept."""
    text = """
        import os
        from toys import tasks
        from wflow.engines import engine
        from wflow.parallel import map_runs

        def done(outcome):
            print(outcome.index, outcome.attempts, outcome.error, flush=True)
            if outcome.index == 2 and not outcome.value is None:
                tasks.say(os.getcwd(), "long begins")

        if __name__ == "__main__":
            given = [(how, os.getcwd()) for how in ("short", "dies", "short")]
            with engine("mpi") as executor:
                map_runs(tasks.die_at_first, given, executor=executor, store="store", done=done)
    """
    process = launch(tmp_path, text, mpi=3)
    ended(process)
    assert process.returncode != 0
    assert sorted(path.name for path in (tmp_path / "store").glob("*.pickle")) == ["00000.pickle", "00002.pickle"]
    process = launch(tmp_path, text, mpi=3)
    assert ended(process) == ("0 0 None\n2 0 None\n1 1 None\n", "")
    assert process.returncode == 0


def test_mpi_sweeps_to_the_same_bits(own):
    process = launch(own.parent, SWEEP, "mpi", 0, mpi=3)
    assert ended(process) == ("True\n", "")
    same(loop.open_all("swept.h5"), swept(own, "place"))


@linux
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_mpi_interrupted_goes_on_later(number, own, slowly):
    """mpiexec hands signals on, or takes all processes with it."""
    process = launch(own.parent, SWEEP, "mpi", 0, *SLOW, mpi=3)
    wait_for(lambda: max(frames_of("swept.h5"), default=0) > 20)
    process.send_signal(number)
    ended(process)
    wait_for(lambda: "running" not in {solution.status.value for solution in loop.open_all("swept.h5")})
    wait_for(lambda: writer_is_gone(own.parent / "swept.h5.parts" / "plan.json"))
    assert Status.WAITING in {solution.status for solution in loop.open_all("swept.h5")}
    same(resumed(own.parent / "swept.h5"), slowly)


def writer_is_gone(path):
    return not Path(f"/proc/{json.loads(path.read_text())['writer']['pid']}").exists()


# Engines


def test_engines_that_cannot_be_had(monkeypatch):
    with pytest.raises(ValueError, match=r"name must be one of .*dask.*mpi.*; got 'ray'"), engine("ray"):
        pass
    with pytest.raises(ValueError, match="workers must be an integer of at least 1; got 0"), engine("dask", 0):
        pass
    with pytest.raises(RuntimeError, match=r"needs a program started as: mpiexec -n 4 python -m mpi4py.futures"), engine("mpi"):
        pass
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "mpi4py.futures", "script.py"])
    with pytest.raises(ValueError, match="workers must be None for MPI, where mpiexec starts them; got 2"), engine("mpi", 2):
        pass
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setitem(sys.modules, "mpi4py.futures", None)
    for name in ("dask", "mpi"):
        with pytest.raises(ImportError, match=rf"^the engine '{name}' needs the extra: pip install 'wflow\[{name}\]'$"), engine(name):
            pass


def test_dask_on_a_cluster_that_is_there_already(dask):
    """It is named by Dask's own setting, has its own workers, and stays."""
    config = pytest.importorskip("dask.config")
    address = dask._client.scheduler.address
    with config.set({"scheduler-address": address}):
        text = f"workers must be None for the Dask cluster at {address}, which has its own; got 1"
        with pytest.raises(ValueError, match=text), engine("dask", 1):
            pass
        with engine("dask") as executor:
            there = {o.value for o in map_runs(tasks.pid, range(20), executor=executor)}
    assert there <= {o.value for o in map_runs(tasks.pid, range(40), executor=dask)}


# Where no extra is needed


def test_the_first_task_of_another_executors_process_is_held_too():
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        for outcome in map_runs(tasks.threads, range(2), executor=executor, threads=1):
            (_, numba), blas, _ = outcome.value
            assert (numba, blas) == (1, {1})


def blas_threads():
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_in_threads_of_other_processes_blas_has_one_until_the_last_task_ends():
    """As in a Dask worker of several threads: task 1 begins before task 0 ends, and goes on after it."""
    begun, gone = threading.Event(), threading.Event()
    seen = []

    def task(number):
        seen.append(blas_threads())
        if number == 0:
            assert begun.wait(20)
        else:
            begun.set()
            assert gone.wait(20)
            seen.append(blas_threads())

    with ThreadPoolExecutor(2) as threads:
        before = blas_threads()
        first, second = (threads.submit(attempt, (task, number), 2, ("elsewhere", 0, 0)) for number in range(2))
        assert first.result(20).error is None
        gone.set()
        assert second.result(20).error is None
        assert seen == [{1}] * 3
        assert blas_threads() == before


class Blaming(ThreadPoolExecutor):
    """Loses tasks 2 and 3 together, as Dask does if they lie at one worker that 2 kills; 3 only if it is not alone."""

    def __init__(self):
        super().__init__(2)
        self.flying, self.most = [], []

    def submit(self, function, /, call, *arguments):
        first = call[1] not in [number for number, _ in self.flying]
        lost = call[1] == 2 or (call[1] == 3 and first)
        future = super().submit(*(lost_task, call) if lost else (function, call, *arguments))
        self.most.append(sum(not other.done() for _, other in self.flying))
        self.flying.append((call[1], future))
        return future


def lost_task(call):
    raise BrokenExecutor("a worker died")


def test_what_an_executor_lost_is_tried_once_more_alone(capfd):
    with Blaming() as executor:
        outcomes = map_runs(tasks.square, range(6), executor=executor)
    assert [(o.value, o.attempts) for o in outcomes] == [(0, 1), (1, 1), (None, 2), (9, 2), (16, 1), (25, 1)]
    why = "concurrent.futures._base.BrokenExecutor: a worker died"
    assert outcomes[2].error == f"lost by the executor ({why})"
    assert sorted(number for number, _ in executor.flying[6:]) == [2, 3]
    assert executor.most[6:] == [0, 0]
    assert capfd.readouterr().err == f"wflow: the executor lost 1 of 6 tasks ({why}); they are recorded as failed\n"


class Interrupted(ThreadPoolExecutor):
    """Loses task 1; at its second attempt a signal comes, which the workers hear as well, as under mpiexec."""

    attempts = 0

    def submit(self, function, /, call, *arguments):
        if call[1] != 1:
            return super().submit(function, call, *arguments)
        future = Future()
        self.attempts += 1
        if self.attempts == 2:
            os.kill(os.getpid(), signal.SIGINT)
        future.set_exception(KeyboardInterrupt())
        return future


def test_what_an_executor_loses_to_a_signal_is_not_a_failure(capfd):
    told = []
    with Interrupted(1) as executor, pytest.raises(KeyboardInterrupt):
        map_runs(tasks.square, range(2), executor=executor, done=told.append)
    assert ([o.value for o in told], executor.attempts) == ([0], 2)
    assert capfd.readouterr().err == ""
