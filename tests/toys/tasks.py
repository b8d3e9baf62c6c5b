"""Tasks for workers to run, in a module that they can import and that loads nothing heavy; words that processes wait for."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

_spoken = []  # pipes kept open, or what was said into them is lost


def _pipe(folder, word):
    path = Path(folder) / word
    with suppress(FileExistsError):
        os.mkfifo(path)
    return os.open(path, os.O_RDWR)


def say(folder, word):
    """Let one listener go on, be it there already or not."""
    _spoken.append(_pipe(folder, word))
    os.write(_spoken[-1], b".")


def hear(folder, word, patience=60.0):
    """Wait for a word; TimeoutError rather than a test that hangs."""
    pipe = _pipe(folder, word)
    try:
        if not select.select([pipe], [], [], patience)[0]:
            raise TimeoutError(f"nobody said {word}")
        os.read(pipe, 1)
    finally:
        os.close(pipe)


def first_time(folder):
    try:
        (Path(folder) / "been here").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def square(x):
    return x * x


def pid(_):
    return os.getpid()


def trace(task):
    """Leave a file for every call; fail where told to."""
    folder, x = task
    (Path(folder) / f"{x} {time.monotonic_ns()}").touch()
    if x < 0:
        raise ValueError("negative")
    return {"square": x * x}


def pause_at_two(task):
    """Traced; the first call of task 2 goes on for long."""
    folder, x = task
    value = trace(task)
    if x == 2 and first_time(folder):
        say(folder, "pausing")
        hear(folder, "what nobody says")
    return value


def random_sum(seed):
    """A sum that is other in its last bits in another order, and a product that BLAS may split over threads."""
    import numpy as np

    matrix = np.random.default_rng(seed).standard_normal((300, 300))
    return float(matrix.sum()), (matrix @ matrix.T).sum(axis=0).tobytes()


# Failures


class StubbornError(Exception):
    """Pickles, and does not unpickle: it asks for two arguments and hands on one."""

    def __init__(self, what, _):
        super().__init__(what)


class Stubborn:
    """As `StubbornError`, but no exception: libraries such as Dask teach pickle how to rebuild those."""

    def __init__(self, what, _):
        self.what = what

    def __reduce__(self):
        return Stubborn, (self.what,)


class LockedError(Exception):
    """Does not pickle."""

    def __init__(self):
        super().__init__("locked")
        self.lock = threading.Lock()


def misbehave(how):
    match how:
        case "lines":
            raise ValueError("two\n  lines")
        case "nothing":
            raise RuntimeError
        case "stubborn":
            raise StubbornError("stubborn", None)
        case "locked":
            raise LockedError
        case "syntax":
            return compile("1 +", "given", "exec")
        case "leaves":
            return sys.exit("gone")
        case "stubborn value":
            return Stubborn("stubborn", None)
        case "locked value":
            return threading.Lock()
        case _:
            return how


def die_of_two(x):
    return os._exit(3) if x == 2 else x * x


def kill_itself(_):
    os.kill(os.getpid(), signal.SIGKILL)


def die_at_first(task):
    """Returns when it ran, by the one clock of all processes; "long" begins before a death and ends well after it."""
    how, folder = task
    start = time.monotonic()
    if how == "dies" and first_time(folder):
        hear(folder, "long begins")
        os._exit(1)
    if how == "long":
        say(folder, "long begins")
        hear(folder, "one died")
    if how in ("left", "right"):  # each waits for the other: they run side by side, or for ever
        say(folder, how)
        hear(folder, "left" if how == "right" else "right")
    time.sleep(0.2)
    return start, time.monotonic()


def die_sending(x):
    """Task 0 is killed amid a value too long for the buffer of a pipe."""
    if x:
        return x
    main = threading.main_thread().ident

    def watch():
        while sys._current_frames()[main].f_code.co_name != "_send":
            pass
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
    return bytes(50_000_000)


# Signals


def under_signals(task):
    how, folder = task
    pipe, end = os.pipe()
    if how == "graceful":  # as wflow.solve: it ends after the step in hand
        before = signal.signal(signal.SIGTERM, lambda *_: os.write(end, b"."))
        say(folder, how)
        select.select([pipe], [], [], 60.0)
        signal.signal(signal.SIGTERM, before)
        return "ended gracefully"
    if how == "deaf":
        (Path(folder) / f"pid {os.getpid()}").touch()
        while True:
            try:
                say(folder, "deaf")
                select.select([pipe], [], [], 60.0)
            except KeyboardInterrupt:
                say(folder, "deaf to it")
    if how == "plain":
        say(folder, how)
        hear(folder, "what nobody says")
    if how == "itself":
        os.kill(os.getpid(), signal.SIGINT)
    return how


def long_run(folder):
    """A run of hours."""
    from toys.decay import Decay, Euler

    import wflow

    def progress(t, diagnostics):
        if first_time(folder):
            say(folder, "under way")

    path = Path(folder) / "run.h5"
    options = {"dt": 1e-3}
    solution = wflow.solve(Decay(), [1.0], 1e9, Euler, options=options, record=[0.0, 1e9], max_steps=10**12, path=path, progress=progress)
    return solution.status.value


# Threads


def threads(_):
    """Those that libraries would use: Numba's, loaded only now, BLAS's, OpenMP's."""
    import numba
    import numpy as np  # noqa: F401 (its BLAS)
    import scipy.linalg  # noqa: F401 (and another one)
    from threadpoolctl import threadpool_info

    blas = {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}
    return (numba.config.NUMBA_NUM_THREADS, numba.get_num_threads()), blas, os.environ.get("OMP_NUM_THREADS")


def compiled(x):
    """x + 1, and Numba's threads, which run by then."""
    import numba

    threads = numba.get_num_threads()
    return numba.njit(lambda y: y + 1)(x), threads
