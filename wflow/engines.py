"""Executors by name, for sweeps over many machines: Dask's and MPI's, started and ended in a ``with`` block."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any

from wflow import _checks
from wflow._pool import ctrl_c_masked

__all__ = ["ENGINES", "engine"]

ENGINES = ("dask", "mpi")


@contextmanager
def engine(name: str, workers: int | None = None) -> Iterator[Executor]:
    """An executor for ``map_runs(..., executor=...)`` and ``sweep.execute(..., executor=...)``; its workers end with the block.

    ``"dask"``: processes of one thread each on this machine, or the cluster whose scheduler is set, as by the environment variable
    DASK_SCHEDULER_ADDRESS. ``"mpi"``: the other processes of a program started as ``mpiexec -n 4 python -m mpi4py.futures ...``,
    of which the first has the others work.

    Workers must find wflow and the modules of functions and tasks, and for sweeps see the folder of the results. If one dies, Dask
    replaces it, and its task is tried once more, a run from its last checkpoint; under MPI the whole program ends, and called
    again with the same ``store``, or resumed, it goes on with what is missing.

    Cost: seconds for Dask to start and end its processes here, about a second for MPI; then milliseconds a task.

    Parameters
    ----------
    name : {"dask", "mpi"}
    workers : int or None
        Processes that Dask starts; None: one for each CPU that this process may use. A cluster and MPI have theirs already.

    Raises
    ------
    ImportError
        If the extra ``wflow[dask]`` or ``wflow[mpi]`` is not installed.
    ValueError, TypeError
        If there is no such engine, or `workers` are given that it cannot start.
    RuntimeError
        If the program was not started as MPI's has to be.
    """
    _checks.choice("name", name, ENGINES)
    workers = None if workers is None else _checks.integer("workers", workers, at_least=1)
    with (_dask if name == "dask" else _mpi)(workers) as executor:
        yield executor


@contextmanager
def _dask(workers: int | None) -> Iterator[Executor]:
    try:
        from dask import config
        from distributed import Client
    except ImportError as error:
        raise _missing("dask") from error
    address = config.get("scheduler-address", None)
    if address and workers is not None:
        raise ValueError(f"workers must be None for the Dask cluster at {address}, which has its own; got {workers}")
    # As processes of our own, they share the machine's memory; by default Dask kills one that takes more than its part.
    here: dict[str, Any] = {"n_workers": workers, "threads_per_worker": 1, "memory_limit": 0, "dashboard_address": "127.0.0.1:0"}
    # Its threads inherit the mask, and the processes that they start. A task whose worker died map_runs itself tries once more.
    with ctrl_c_masked(), config.set({"distributed.scheduler.allowed-failures": 0}):
        client = Client(**({} if address else here))
    with client:
        yield client.get_executor()


@contextmanager
def _mpi(workers: int | None) -> Iterator[Executor]:
    if "mpi4py.futures" not in sys.orig_argv:  # without, each process would run the program
        raise RuntimeError('the engine "mpi" needs a program started as: mpiexec -n 4 python -m mpi4py.futures ...')
    if workers is not None:
        raise ValueError(f"workers must be None for MPI, where mpiexec starts them; got {workers}")
    try:
        from mpi4py.futures import MPIPoolExecutor
    except ImportError as error:
        raise _missing("mpi") from error
    with MPIPoolExecutor() as executor:
        yield executor


def _missing(name: str) -> ImportError:
    return ImportError(f"the engine {name!r} needs the extra: pip install 'wflow[{name}]'")
