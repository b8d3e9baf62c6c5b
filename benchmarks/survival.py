"""What safety costs: ``python -m benchmarks.survival``.

Recording: runs at N = 800 into a file, with every accepted step recorded and with the two ends only; the difference is what the frames
cost, diagnostics included, as a share of the same run in memory that records its ends. What the file itself costs is the same for
every run, and seen apart. Checkpoints: 10⁶ particles with RKC2, state and memory of the method, on the disk (fsync). Sweeps: the command
with 40 runs of equal length, some four seconds of one core each, by one worker and by two.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._harness import write_output

REPEATS = 15
N_RUNS = 40
SWEEPS = 1


def setup(name: str, n: int) -> tuple[Any, Any]:
    """Flow and initial measure."""
    import wflow

    energy = wflow.energies.PolicyValue(getattr(wflow.mdp, name)(seed=0))
    return wflow.flows.WassersteinFlow(energy), wflow.measures.laws.student(energy.n_parameters).sample(n, seed=1)


def recording() -> list[str]:
    """A line for each experiment and horizon."""
    import wflow
    from wflow.record import at, every_step

    heads = ("in memory, ends", "file, ends", "file, all steps", "a frame", "share")
    lines = ["N = 800, rkc2          steps" + "".join(f"{head:>17}" for head in heads)]
    for name in ("agazzi_lu_bandit", "agazzi_lu_grid"):
        flow, initial = setup(name, 800)
        for t_end in (1e4, 1e5):
            ways = {"memory": (at([t_end]), False), "ends": (at([t_end]), True), "all": (every_step(), True)}
            seconds: dict[str, list[float]] = {way: [] for way in ways}
            steps = 0
            with tempfile.TemporaryDirectory() as folder:
                for k in range(REPEATS + 1):
                    for way, (record, stored) in ways.items():
                        start = time.perf_counter()
                        path = Path(folder) / f"{way}{k}.h5" if stored else None
                        steps = wflow.solve(flow, initial, t_end, record=record, path=path).counts["steps"]
                        seconds[way].append(time.perf_counter() - start)
            memory, ends, everything = (statistics.median(samples[1:]) for samples in seconds.values())
            figures = [f"{1e3 * s:.1f} ms" for s in (memory, ends, everything)]
            figures += [f"{1e6 * (everything - ends) / steps:.0f} µs", f"{(everything - ends) / memory:.1%}"]
            lines.append(f"{f'{name[10:]}, t = {t_end:g}':<22}{steps:>6}" + "".join(f"{figure:>17}" for figure in figures))
    return lines


def checkpoints() -> list[str]:
    """Seconds per checkpoint of a million particles."""
    import wflow
    from wflow.storage import checkpoint
    from wflow.storage.checkpoint import Checkpoint

    flow, initial = setup("agazzi_lu_bandit", 1_000_000)
    y = flow.pack(initial)
    stepper = wflow.integrators.get("rkc2")(flow.rhs, 0.0, y, 1.0)
    stepper.step()
    with tempfile.TemporaryDirectory() as folder:
        path, samples = Path(folder) / "a.h5", []
        for _ in range(REPEATS):
            start = time.perf_counter()
            checkpoint.write(path, Checkpoint("", stepper.t, stepper.y, stepper.state_dict(), {}, flow.finals(stepper.t, stepper.y)))
            samples.append(time.perf_counter() - start)
        size = checkpoint.path_of(path).stat().st_size
        found = checkpoint.read(path)
        assert found is not None
        assert found.stepper is not None
        assert np.array_equal(found.stepper["vector"], stepper.state_dict()["vector"])
    told = f"median {statistics.median(samples):.3f} s, longest {max(samples):.3f} s"
    return [f"checkpoint of 10^6 particles, {size / 2**20:.0f} MiB: {told}"]


def sweeps() -> list[str]:
    """Seconds of the command with one worker (in place) and with two (spawned), in turn, whole: imports, start of workers, figure."""
    settings = ["flow.n_particles=2000", "solver.t_end=1.8e4", "solver.method=euler", "solver.options={dt=1.0}", "solver.max_steps=1000000"]
    changes = [word for setting in settings for word in ("--set", setting)]
    command = [sys.executable, "-m", "wflow", "run", "fig1a", *changes, "--quiet"]  # steps of one size: runs of one length
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for k in range(SWEEPS + 1):  # the first, of two runs, compiles
        for workers, samples in seconds.items():
            with tempfile.TemporaryDirectory() as folder:
                start = time.perf_counter()
                words = ["--seeds", str(N_RUNS if k else 2), "--workers", str(workers), "--out", folder]
                subprocess.run([*command, *words], check=True)
                if k:
                    samples.append(time.perf_counter() - start)
    ratios = [one / two for one, two in zip(seconds[1], seconds[2], strict=True)]
    shown = ", ".join(f"workers {workers}: {statistics.median(samples):.1f} s" for workers, samples in seconds.items())
    return [f"sweep of {N_RUNS} runs: {shown}; ratio {statistics.median(ratios):.2f} (least {min(ratios):.2f}, largest {max(ratios):.2f})"]


def main() -> None:
    """Measure and save."""
    text = "\n".join([*recording(), "", *checkpoints(), "", *sweeps()])
    print(text)
    write_output(__file__, text)


if __name__ == "__main__":
    main()
