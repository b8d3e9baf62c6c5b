"""SIGKILL at random moments: ``python -m benchmarks.kills [KILLS]`` (300 by default, some ten minutes; CI runs a short form).

A child process solves the bandit of Agazzi & Lu and tells through a pipe after every step that was recorded; it is killed at a random
moment, from the making of its file on, and what it told is looked for in the file. The run is then resumed in a new process and killed
again, up to four times, and at last let to end. Methods, activations, schedules and intervals between checkpoints take turns; frames are
small and frequent, so that kills fall into writes. Counted are frames that were told of and are not in the file, runs that cannot be
resumed, and runs that differ in any bit (frames, states, counts) from the one that was never stopped.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._harness import write_output

METHODS: tuple[tuple[str, dict[str, float]], ...] = (
    ("rkc2", {"max_step": 0.02}), ("tsit5", {"max_step": 0.02}), ("bs3", {"max_step": 0.02}), ("euler", {"dt": 0.02}),
)  # fmt: skip
CHECKPOINTS = (0.0, 0.003, 0.05)  # seconds
KILLS_PER_RUN = 4
T_END = 40.0


def arguments(k: int) -> dict[str, Any]:
    """How run k is solved."""
    from wflow.record import every_step, geometric

    method, options = METHODS[k % 4]
    record = (every_step("all"), geometric(1500, states=3), every_step(7))[k % 3]
    return {"t_end": T_END, "method": method, "options": options, "record": record, "checkpoint": CHECKPOINTS[(k // 4) % 3]}


def solved(k: int, path: Path | None, tell: Any = False, **changes: Any) -> Any:
    """Run k, gone on with where it is in the file; in memory where there is none."""
    import wflow

    energy = wflow.energies.PolicyValue(wflow.mdp.agazzi_lu_bandit(seed=k % 2, n_actions=20), ("relu", "tanh")[k % 2])
    initial = wflow.measures.laws.student(energy.n_parameters).sample(20, seed=k % 2)
    options = {**arguments(k), **changes}
    return wflow.solve(wflow.flows.WassersteinFlow(energy), initial, path=path, resume=path is not None, progress=tell, **options)


def child(k: int, path: Path) -> None:
    """Solve run k, telling on stdout how far it is recorded."""
    solved(k, None, t_end=0.1)  # compiled code is loaded
    os.write(1, struct.pack("<d", -1.0))  # what comes next is the file

    def tell(t: float, _: Any) -> None:
        os.write(1, struct.pack("<d", t))

    solved(k, path, tell)


@cache
def whole(k: int) -> Any:
    """The run that was never stopped; it depends on k only through `arguments` and the problem."""
    return solved(k, None)


def kill(k: int, path: Path, rng: random.Random) -> tuple[float, bool]:
    """Run k until it is killed: the last time that it told, and whether it had ended before."""
    command = [sys.executable, "-m", "benchmarks.kills", "--child", str(k), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.read(8), "the child did not begin"
        time.sleep(rng.uniform(0.0, 0.4) ** 2 * 4.0)
        process.send_signal(signal.SIGKILL)
        told = process.stdout.read()
    times = struct.unpack(f"<{len(told) // 8}d", told[: len(told) // 8 * 8])
    return (times[-1] if times else -np.inf), process.returncode == 0


def due(k: int, t: float) -> float:
    """Time of the last frame that was flushed when a run had told of time t."""
    times = whole(k % 12).times
    return float(times[times <= t][-1]) if (times <= t).any() else -np.inf


def differences(ours: Any, reference: Any) -> list[str]:
    """What is not the same to the last bit."""
    states = [list(run.stored.states(range(len(run.state_times)))) for run in (ours, reference)]
    same = {
        "frames": np.array_equal(ours.stored.frames, reference.stored.frames, equal_nan=True),
        "state times": np.array_equal(ours.state_times, reference.state_times),
        "states": len(states[0]) == len(states[1]) and all(np.array_equal(a, b) for a, b in zip(*states, strict=True)),
        "policy": np.array_equal(ours.finals["log_policy"], reference.finals["log_policy"]),
        "counts": ours.counts == reference.counts,
        "status": ours.status is reference.status,
    }
    return [name for name, agree in same.items() if not agree]


def campaign(kills: int, seed: int = 0) -> str:
    """The report; its last line says whether all is well."""
    import wflow

    rng = random.Random(seed)
    done, runs, frames, lost, late, refused = 0, 0, 0, [], 0, []
    unequal: list[tuple[int, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        while done < kills:
            k, path = runs, Path(folder) / f"{runs}.h5"
            runs += 1
            for _ in range(min(KILLS_PER_RUN, kills - done)):
                told, ended = kill(k, path, rng)
                if ended:
                    break
                done += 1
                found = wflow.open(path).times if path.exists() else np.empty(0)
                frames += len(found)
                late += not len(found)
                if told > (found[-1] if len(found) else -np.inf) and due(k, told) > (found[-1] if len(found) else -np.inf):
                    lost.append((k, told, found[-1] if len(found) else None))
            try:
                last = solved(k, path)
            except Exception as error:  # whatever it is, it is counted
                refused.append((k, repr(error)))
                continue
            unequal += [(k, name) for run in (last, wflow.open(path)) for name in differences(run, whole(k % 12))]
            if [name for name in os.listdir(folder) if name.startswith((f"{k}.", f".{k}."))] != [path.name]:
                unequal.append((k, f"left behind: {os.listdir(folder)}"))
            path.unlink()
    verdict = "all is well" if not (lost or refused or unequal) else f"NOT well: lost {lost}, refused {refused}, unequal {unequal}"
    return "\n".join([
        f"{done} SIGKILLs in {runs} runs ({late} before the first frame); {frames} frames found in the files of the killed",
        f"flushed frames lost: {len(lost)}",
        f"runs that could not be resumed: {len(refused)}",
        f"resumed runs that differ in a bit from the one never stopped: {len({k for k, _ in unequal})}",
        verdict,
    ])  # fmt: skip


def main() -> int:
    """The campaign, or one of its victims."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kills", nargs="?", type=int, default=300, metavar="KILLS")
    parser.add_argument("--child", nargs=2, metavar=("K", "FILE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(int(given.child[0]), Path(given.child[1]))
        return 0
    report = campaign(given.kills)
    print(report)
    if given.kills >= 300:
        write_output(__file__, report)
    return 0 if report.endswith("all is well") else 1


if __name__ == "__main__":
    sys.exit(main())
