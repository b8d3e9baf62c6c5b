"""What the loop and the methods cost a stage, beside the field: ``python -m benchmarks.overhead``.

A linear field whose evaluations are timed apart, integrated by ``wflow.solve``; the rest of the wall time over the number of stages. At
N = 800 particles in 4 parameters in microseconds; at N = 10⁶ against the time that the memory takes for the arrays that a stage must
read and write at least (a three-array sum of NumPy gives the bandwidth, on one thread as the updates).
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from benchmarks._harness import write_output

PARAMETERS = 4
# arrays that must pass through memory a stage: reads and writes of the update, and its share of the error estimate and norm of a step
STREAMS = {"rkc2": 6.0, "rkl2": 6.0, "tsit5": 33.0 / 6.0 + 10.0 / 6.0, "bs3": 12.0 / 3.0 + 8.0 / 3.0}


class Pull:
    """``dy/dt = −y``, timed: a flow whose evaluation costs one pass."""

    def __init__(self) -> None:
        self.seconds_of_field = 0.0

    def pack(self, initial: Any) -> Any:
        """A copy."""
        return np.array(initial, dtype=np.float64)

    def unpack(self, y: Any) -> Any:
        """As it is."""
        return y

    def rhs(self, t: float, y: Any) -> Any:  # noqa: ARG002
        """−y."""
        start = time.perf_counter()
        f = np.negative(y)
        self.seconds_of_field += time.perf_counter() - start
        return f

    def spectral_radius(self, t: float, y: Any) -> float:  # noqa: ARG002
        """Known, so that no evaluation is spent on it; as large as makes RKC2 take some ten stages."""
        return 100.0

    def diagnostics(self, t: float, y: Any) -> dict[str, float]:  # noqa: ARG002
        """Nothing that costs."""
        return {"energy": 0.0}


def per_stage(method: str, n: int, t_end: float, repeats: int) -> float:
    """Seconds a stage beside the field: the least of the repeats."""
    import wflow

    best = np.inf
    for _ in range(repeats + 1):  # the first compiles
        flow = Pull()
        start = time.perf_counter()
        run = wflow.solve(flow, np.ones(n), t_end, method, rtol=1e-4, options={"max_step": 0.5}, record=[t_end], checkpoint=None)
        seconds = time.perf_counter() - start - flow.seconds_of_field
        best = min(best, seconds / run.counts["stages"])
    return best


def bandwidth(n: int) -> float:
    """Bytes a second of c = a + b."""
    a, b, c = np.ones(n), np.ones(n), np.empty(n)
    best = np.inf
    for _ in range(10):
        start = time.perf_counter()
        np.add(a, b, out=c)
        best = min(best, time.perf_counter() - start)
    return 24.0 * n / best


def main() -> None:
    """One line a method."""
    small, large = 800 * PARAMETERS, 1_000_000 * PARAMETERS
    speed = bandwidth(large)
    lines = [f"memory: {speed / 1e9:.1f} GB/s (c = a + b, one thread)", "",
             "method   N = 800: µs a stage   N = 10⁶: ms a stage   memory's bound, ms   ratio"]  # fmt: skip
    for method, streams in STREAMS.items():
        few, many = per_stage(method, small, 200.0, 5), per_stage(method, large, 5.0, 3)
        bound = 8.0 * large * streams / speed
        lines.append(f"{method:6}   {1e6 * few:19.1f}   {1e3 * many:19.1f}   {1e3 * bound:18.1f}   {many / bound:5.2f}")
        print(lines[-1], flush=True)
    write_output(__file__, "\n".join(lines))


if __name__ == "__main__":
    main()
