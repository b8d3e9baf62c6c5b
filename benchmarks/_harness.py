"""Fair timing, peak memory and saved outputs for the benchmark scripts."""

from __future__ import annotations

import argparse
import ctypes
import gc
import multiprocessing
import os
import platform
import re
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory

__all__ = ["interleaved", "machine_line", "medians", "peak_memory_increase", "ratio_table", "study", "write_output"]

Samples = Mapping[str, list[float]]


def machine_line() -> str:
    """Processor, cores this process may use, memory, versions of Python and the libraries, and the date (UTC)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = [f"Python {platform.python_version()}"]
    for package in ("numpy", "scipy", "numba", "jax", "diffrax", "torch", "py-pde"):
        try:
            versions.append(f"{package} {version(package)}")
        except PackageNotFoundError:  # a peer that is not installed is not part of this run
            continue
    return f"{_processor()}, {cores} cores, {_memory() / 2**30:.0f} GiB; {', '.join(versions)}; {datetime.now(UTC):%Y-%m-%d}"


def _processor() -> str:
    try:
        model = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:  # not Linux
        model = None
    return model[1].strip() if model else platform.processor() or platform.machine()


def _memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def interleaved(functions: Mapping[str, Callable[[], object]], repeats: int, min_seconds: float = 0.1) -> dict[str, list[float]]:
    """Seconds per call of each function, `repeats` samples each, taken in turn (A B C A B C ...).

    Turns spread slow spells of the machine over all functions. The first call of each (compilation, caches) is discarded; the
    second sizes its batch, so that every sample lasts `min_seconds` or more. A function must have finished its work when it returns.
    """
    batch = {}
    for name, function in functions.items():
        function()
        batch[name] = max(1, int(min_seconds / max(_seconds(function, 1), 1e-9)) + 1)
    samples: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            samples[name].append(_seconds(function, batch[name]))
    return samples


def _seconds(function: Callable[[], object], calls: int) -> float:
    """Mean seconds of `calls` calls, garbage collected before and not during."""
    gc.collect()
    gc.disable()
    try:
        start = time.perf_counter()
        for _ in range(calls):
            function()
        return (time.perf_counter() - start) / calls
    finally:
        gc.enable()


def medians(samples: Samples) -> dict[str, float]:
    """Median of each function's samples."""
    return {name: statistics.median(seconds) for name, seconds in samples.items()}


def ratio_table(samples: Samples, reference: str) -> str:
    """One row per function: median, minimum, ratio of medians to `reference`, and the range of the ratios turn by turn."""
    middle = medians(samples)
    width = max(len(name) for name in samples)
    rows = [f"{'':{width}}  {'median':>10}  {'minimum':>10}  {'ratio':>8}  range over turns"]
    for name, seconds in samples.items():
        turns = [own / ref for own, ref in zip(seconds, samples[reference], strict=True)]
        ratio = middle[name] / middle[reference]
        rows.append(f"{name:{width}}  {_unit(middle[name])}  {_unit(min(seconds))}  {ratio:8.3g}  {min(turns):.3g} to {max(turns):.3g}")
    return "\n".join(rows)


def _unit(seconds: float) -> str:
    factor, unit = next(((f, u) for f, u in ((1.0, "s "), (1e3, "ms")) if seconds * f >= 1.0), (1e6, "µs"))
    return f"{seconds * factor:7.3g} {unit}"


def peak_memory_increase(prepare: Callable[[], Callable[[], object]]) -> int:
    """Bytes by which the resident memory of a fresh process peaks above its level before the work.

    A new interpreter calls ``prepare()``, which builds the data, compiles on a small case, and returns the work. Memory freed so far
    is handed back to the system (else the work could reuse it unseen), the kernel's high-water mark is reset by writing 5 to
    ``/proc/self/clear_refs``, the work runs once, and the mark ``VmHWM`` less the level before it is returned. Linux only.

    Parameters
    ----------
    prepare : callable
        Picklable: a module-level function, or a ``functools.partial`` of one. The calling script needs its ``__main__`` guard.

    Raises
    ------
    MemoryError
        If the work asks for more than the machine's memory (the process is held to it), or the kernel ends the process.
    """
    if not Path("/proc/self/clear_refs").exists():
        raise OSError(f"peak_memory_increase reads Linux's /proc; this is {sys.platform}")
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(_measure, prepare).result()
        except BrokenProcessPool:
            raise MemoryError("the process was ended by the system") from None


def _measure(prepare: Callable[[], Callable[[], object]]) -> int:
    Path("/proc/self/oom_score_adj").write_text("1000")  # if memory runs out all the same, this process goes first
    resource.setrlimit(resource.RLIMIT_DATA, (_memory(), _memory()))
    work = prepare()
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
    if trim is not None:
        trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    try:
        work()
    except Exception as error:
        if isinstance(error, MemoryError) or re.search(r"allocat|out of memory", str(error), re.IGNORECASE):
            raise MemoryError(str(error).splitlines()[0]) from None
        raise
    return _status("VmHWM") - before


def _status(key: str) -> int:
    """A field of /proc/self/status in bytes."""
    found = re.search(rf"^{key}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    if found is None:
        raise OSError(f"/proc/self/status has no {key}")
    return int(found[1]) * 1024


def write_output(script: str, text: str) -> Path:
    """Save a script's output as ``output/NAME.txt`` beside it (pass ``__file__``), machine line first."""
    target = Path(script).parent / "output" / f"{Path(script).stem}.txt"
    target.parent.mkdir(exist_ok=True)
    target.write_text(f"{machine_line()}\n\n{text.rstrip()}\n", encoding="utf-8")
    return target


def study(name: str, description: str, script: str) -> None:
    """Run ``wflow study NAME`` with its defaults in a fresh process; its table, time and figures are the script's output."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the command's own --quick; writes nothing")
    words = ["--quick"] if parser.parse_args().quick else []
    with TemporaryDirectory() as folder:
        call = [sys.executable, "-c", "import sys; from wflow import cli; sys.exit(cli.main())", "study", name, *words, "--out", folder]
        start = time.perf_counter()
        table = subprocess.run(call, check=True, stdout=subprocess.PIPE, text=True).stdout
        seconds = time.perf_counter() - start
        report = table[: table.index("written: ")] + f"whole command: {seconds:.0f} s\n"
        if words:
            print(report)
            return
        write_output(script, report)
        for figure in Path(folder).glob("*.png"):
            shutil.copy(figure, Path(script).parent / "output" / figure.name)
