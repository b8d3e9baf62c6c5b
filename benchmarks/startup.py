"""Start-up as a user meets it, whole processes: ``python -m benchmarks.startup``.

``import wflow``; the first ``wflow run fig1a`` with an empty compilation cache and the second; ``wflow run fig1`` (ten runs).
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks._harness import write_output


def seconds(arguments: list[str], environment: dict[str, str], repeats: int) -> list[float]:
    """Wall seconds of a process, run `repeats` times."""
    samples = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        samples.append(time.perf_counter() - start)
    return samples


def main() -> None:
    """One line per figure of merit."""
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(Path(folder, "cache")), "MPLCONFIGDIR": str(Path(folder, "matplotlib"))}
        bare = statistics.median(seconds(["-c", "pass"], environment, 7))
        imported = statistics.median(seconds(["-c", "import wflow"], environment, 7))
        lines.append(f"import wflow: {imported:.3f} s, of which the interpreter {bare:.3f} s (median of 7)")
        run = ["-m", "wflow", "run", "fig1a", "--force", "--out", folder]
        lines.append(f"first wflow run fig1a, empty caches: {seconds(run, environment, 1)[0]:.1f} s")
        lines.append(f"second wflow run fig1a: {statistics.median(seconds(run, environment, 5)):.2f} s (median of 5)")
        both = ["-m", "wflow", "run", "fig1", "--force", "--out", folder]
        lines.append(f"wflow run fig1 (ten runs): {statistics.median(seconds(both, environment, 3)):.1f} s (median of 3)")
    text = "\n".join(lines)
    print(text)
    write_output(__file__, text)


if __name__ == "__main__":
    main()
