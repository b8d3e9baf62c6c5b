"""Certified column generation against POT's dense and lazy network simplex for W2²: ``python -m benchmarks.distances``.

One run of each in a fresh process, after a small one that compiles: seconds, and peak memory above the start. Dense means ``ot.emd2``
with the cost matrix that it needs, which is part of its time; lazy means ``ot.lp.emd2_lazy``. POT's iteration limit is raised to 10⁹, or
its answers would be wrong. The value of a POT run must lie inside the bounds. "Bounds only" is
``wflow.measures.distances.w2(method="bounds")``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks._harness import peak_memory_increase, write_output

DENSE, LAZY, COLUMNS, BOUNDS = "dense emd2", "lazy emd2", "column generation", "bounds only"
GAP = 1e-3


@dataclass(frozen=True)
class Case:
    """Two clouds of one law, drawn independently: normal in R^d, or on a curved (d − 1)-dimensional surface; `weighted` is the second."""

    n: int
    k: int
    dimension: int = 3
    weighted: bool = False
    surface: bool = False
    stretched: bool = False
    methods: tuple[str, ...] = (COLUMNS, DENSE, LAZY)

    def __str__(self) -> str:
        law = "surface" if self.surface else "stretched" if self.stretched else "normal"
        return f"{self.n:,} x {self.k:,}, d = {self.dimension}, {law}{', weighted' if self.weighted else ''}"

    def clouds(self) -> tuple[Any, Any, Any, Any]:
        """Points and weights of both."""
        random = np.random.default_rng(0)
        x, y = (random.normal(size=(size, self.dimension)) for size in (self.n, self.k))
        if self.surface:
            for z in (x, y):
                z[:, -1] = np.tanh(z[:, 0]) * z[:, 1]
        if self.stretched:
            y = 1.0 + y * np.geomspace(0.5, 2.0, self.dimension)
        q = random.exponential(size=self.k) if self.weighted else np.ones(self.k)
        return x, np.full(self.n, 1.0 / self.n), y, q / q.sum()


def work(case: Case, method: str) -> Callable[[], tuple[float, float]]:
    """Function of no arguments: bounds on W2² by `method`, equal where it claims to be exact."""
    import ot

    from wflow.measures import ParticleMeasure, distances
    from wflow.measures.distances import columns

    x, p, y, q = case.clouds()

    def run() -> tuple[float, float]:
        if method == COLUMNS:
            found = columns.solve(x, p, y, q, gap=GAP)
            return found.lower, found.upper
        if method == BOUNDS:
            bounds = distances.w2(ParticleMeasure(x, p), ParticleMeasure(y, q), "bounds")
            return bounds.lower**2, bounds.upper**2
        if method == DENSE:
            value = float(ot.emd2(p, q, ot.dist(x, y), numItermax=10**9))
        else:
            value = float(ot.lp.emd2_lazy(x, y, p, q, numItermax=10**9, return_matrix=False))
        return value, value

    return run


def prepare(case: Case, method: str, target: Path) -> Callable[[], None]:
    """The work, which leaves its seconds and its bounds in `target`; a small case has compiled it before."""
    work(Case(300, 400, case.dimension), method)()
    run = work(case, method)

    def timed() -> None:
        start = time.perf_counter()
        lower, upper = run()
        np.savetxt(target, [time.perf_counter() - start, lower, upper])

    return timed


def table(case: Case) -> str:
    """Seconds, ratio to column generation, peak memory and relative gap of each method on one case."""
    rows = [f"{case}", f"{'':18}  {'seconds':>8}  {'ratio':>6}  {'peak MiB':>8}  W2 between, gap"]
    first, bounds = 0.0, (0.0, np.inf)
    for method in case.methods:
        with TemporaryDirectory() as folder:
            target = Path(folder) / "seconds.txt"
            peak = peak_memory_increase(partial(prepare, case, method, target)) / 2**20
            seconds, lower, upper = np.loadtxt(target)
        if method in (COLUMNS, BOUNDS):
            first, bounds = seconds, (lower, upper)
        rounding = 1e-9 * upper
        if not bounds[0] - rounding <= lower <= upper <= bounds[1] + rounding:
            raise RuntimeError(f"{case}: {method} gives {upper!r}, outside the bounds {bounds}")
        low, high = np.sqrt(lower), np.sqrt(upper)
        rows.append(f"{method:18}  {seconds:8.3g}  {seconds / first:6.3g}  {peak:8.0f}  {low:.7g} and {high:.7g}, {1.0 - low / high:.1e}")
    return "\n".join(rows) + "\n"


SMALL = (Case(2000, 2000), Case(5000, 5000), Case(5000, 5000, 4, weighted=True))
STUDY = (
    Case(3200, 16_384, 3, surface=True, methods=(COLUMNS, DENSE)),
    Case(3200, 16_384, 4, surface=True, methods=(COLUMNS, DENSE)),
    Case(3200, 32_768, 4, surface=True, weighted=True, methods=(COLUMNS,)),
)
LARGE = (
    Case(10_000, 10_000),
    Case(10_000, 10_000, weighted=True, methods=(COLUMNS, DENSE)),
    Case(10_000, 10_000, 4, stretched=True, methods=(COLUMNS, DENSE)),
    Case(100_000, 100_000, methods=(COLUMNS,)),
    Case(30_000, 30_000, stretched=True, weighted=True, methods=(COLUMNS,)),
    Case(1_000_000, 1_000_000, stretched=True, methods=(BOUNDS,)),
    Case(1_000_000, 1_000_000, stretched=True, weighted=True, methods=(BOUNDS,)),
)


def main() -> None:
    """All tables; ``--quick`` stops at 5,000 points."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    parts = [f"POT {version('pot')}; ratio: seconds over those of column generation\n"]
    for case in SMALL if quick else SMALL + STUDY + LARGE:
        parts.append(table(case))
        print(parts[-1], flush=True)
    if not quick:
        write_output(__file__, "\n".join(parts))


if __name__ == "__main__":
    main()
