"""The guarded compiler, its clock, and threads."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time

import numba
import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from wflow import _jit


def fresh(name="f", body="return 2.0 * x + 1.0"):
    """A function that no file holds, so Numba has nowhere to cache it: what a read-only installation looks like."""
    space = {}
    exec(f"def {name}(x):\n    {body}", {**globals(), "np": np}, space)
    return space[name]


def run(script, **environment):
    command, environment = [sys.executable, "-c", textwrap.dedent(script)], {**os.environ, **environment}
    process = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert process.returncode == 0, process.stderr
    return process.stdout.strip()


def test_kernels_compile_where_nothing_can_be_cached():
    with pytest.raises(RuntimeError, match="no locator"):  # Numba's own answer
        numba.njit(cache=True)(fresh())
    assert _jit.njit()(fresh())(3.0) == 7.0
    assert _jit.njit(fastmath=_jit.FASTMATH)(fresh())(3.0) == 7.0


def test_the_package_imports_where_nothing_can_be_cached():
    """Every module of every room, and a kernel at work."""
    script = """
        import numba.core.caching as caching
        caching.CacheImpl._locator_classes = []  # no folder may be written to, whoever the user is
        import importlib, math, numba, pkgutil, wflow
        try:
            numba.njit(cache=True)(lambda x: x)
        except RuntimeError:
            print("cannot cache")
        modules = [module.name for module in pkgutil.walk_packages(wflow.__path__, "wflow.") if not module.name.endswith("__main__")]
        for name in modules:
            importlib.import_module(name)
        from wflow.neurons._math import exp
        print("wflow.neurons.hinge" in modules, math.isclose(exp(1.0), math.e))
    """
    assert run(script).split("\n") == ["cannot cache", "True True"]


def test_division_by_zero_follows_numpy():
    """Kernels never raise: error_model "numpy"."""
    assert np.isinf(_jit.njit()(fresh("g", "return 1.0 / x"))(0.0))


def test_fastmath_keeps_nan_and_the_rounding_trick():
    assert not {"nnan", "ninf", "fast"} & _jit.REASSOC
    assert "reassoc" not in _jit.FASTMATH
    trick = _jit.njit(fastmath=_jit.FASTMATH)(fresh("g", "return (x + 6755399441055744.0) - 6755399441055744.0"))
    assert [trick(x) for x in (2.4, 2.6, -7.5)] == [2.0, 3.0, -8.0]
    largest = _jit.njit(fastmath=_jit.REASSOC)(fresh("h", "return x if x == x else -1.0"))
    assert largest(np.nan) == -1.0


def test_compile_seconds():
    """Grows while something is compiled, by no more than the time that passes though compilations nest, and then no more."""
    inner = _jit.njit()(fresh("inner", "return np.sin(x)"))
    outer = _jit.njit()(eval("lambda x: inner(x) + 1.0", {"inner": inner}))
    before, start = _jit.compile_seconds(), time.perf_counter()
    outer(1.0)
    grown, passed = _jit.compile_seconds() - before, time.perf_counter() - start
    assert 0.001 < grown <= passed
    before = _jit.compile_seconds()
    outer(2.0)
    assert _jit.compile_seconds() == before


def blas_threads():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def test_blas_is_held_and_let_go():
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        with _jit.blas_single_thread():
            assert set(blas_threads()) == {1}
            with _jit.blas_single_thread():
                assert set(blas_threads()) == {1}
            assert set(blas_threads()) == {1}
        assert blas_threads() == before
        with pytest.raises(ZeroDivisionError), _jit.blas_single_thread():
            raise ZeroDivisionError
        assert blas_threads() == before


def test_blas_that_is_loaded_later_is_held_too():
    """NumPy and SciPy bring one BLAS each; the second may come after the first use."""
    script = """
        import numpy as np
        from threadpoolctl import threadpool_info
        from wflow._jit import blas_single_thread
        with blas_single_thread():
            pass
        import scipy.linalg
        with blas_single_thread():
            pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
            print(max(pool["num_threads"] for pool in pools))
    """
    assert run(script, OPENBLAS_NUM_THREADS="2") == "1"


def test_set_threads():
    before = numba.get_num_threads()
    try:
        _jit.set_threads(1)
        assert numba.get_num_threads() == 1
        _jit.set_threads(10**6)  # more than there are: all of them
        assert numba.get_num_threads() == numba.config.NUMBA_NUM_THREADS
    finally:
        numba.set_num_threads(before)


def test_launch_wakes_the_other_threads_where_it_pays():
    before = numba.get_num_threads()
    assert _jit.launch(numba.get_num_threads, 1.0) == before
    assert _jit.launch(numba.get_num_threads, 0.0) == 1
    assert numba.get_num_threads() == before
    with pytest.raises(ZeroDivisionError):
        _jit.launch(lambda x: 1 // x, 0.0, 0)
    assert numba.get_num_threads() == before


def test_threads_are_openmp():
    """The layer asked for first; `workqueue` would abort under two Python threads."""
    assert run("""
        import numpy as np, numba
        from wflow._jit import njit, prange
        exec("def f(x):\\n    for i in prange(len(x)):\\n        x[i] += 1.0", globals())
        njit(parallel=True)(f)(np.zeros(10))
        print(numba.threading_layer())
    """) == "omp"
