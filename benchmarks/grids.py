"""Grids: speed against py-pde, FFT against a direct sum, and observed orders: ``python -m benchmarks.grids``.

1. Fokker–Planck with constant drift on [0, 1]² between walls without flux, whose solution is a product of closed forms, 256 × 256 cells.
   py-pde: its PDE from expressions, central differences, the mixed condition ``∂_n u = (g · n) u`` at walls, compiled by Numba; of its
   solvers the fastest of a short trial is taken. (Its implicit ones iterate to a fixed point, which needs steps as short as the
   explicit ones; SciPy's implicit ones ask for a dense matrix of all cells.) wflow: `EulerianFlow` by RKC2 at the loosest power of ten
   at which its error against the closed form is no larger than py-pde's (1e-8 if at none). Turns in one process, compilation
   apart. Euler's steps near their limit gain accuracy: their error cancels a part of that of the differences while the solution moves.
2. W * ρ for W = |z| by FFT and by the compiled direct sum over all pairs: all of it on 128 × 128 cells, a few rows of it, scaled up, on
   512 × 512.
3. Orders against closed forms, each beside what it must be.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import wflow
from benchmarks._harness import interleaved, medians, ratio_table, write_output
from wflow.closed_forms import Barenblatt, FokkerPlanckInterval, OrnsteinUhlenbeck, gaussian_jko
from wflow.energies import Entropy, Interaction, Potential, PowerLaw
from wflow.flows import EulerianFlow, JKOFlow
from wflow.measures import GridMeasure

DRIFT = (3.0, -2.0)
HORIZONS = (0.05, 0.3)  # half way, and the shipped experiment's, near equilibrium


# --- 1. Fokker–Planck in the plane ----------------------------------------------------------------------------------------------


def exact(n: int, t: float) -> np.ndarray:
    """Masses (n, n) of the closed form."""
    edges = np.linspace(0.0, 1.0, n + 1)
    return np.multiply.outer(*(FokkerPlanckInterval(g).masses(t, edges) for g in DRIFT))


def error(masses: np.ndarray, t: float) -> float:
    """L¹ distance to the closed form."""
    return float(np.abs(masses - exact(len(masses), t)).sum())


def ours(n: int, t: float, rtol: float) -> Any:
    """A run by RKC2."""
    edges = np.linspace(0.0, 1.0, n + 1)
    flow = EulerianFlow(Potential.linear(-np.array(DRIFT)) + Entropy(1.0))
    run = wflow.solve(flow, GridMeasure([edges, edges], exact(n, 0.0)), t, "rkc2", rtol=rtol, atol=1e-12, record=[t], checkpoint=None)
    if not run.status.ok or run.diagnostics["lowest"].min() < 0.0 or np.abs(run.diagnostics["mass_drift"]).max() > 1e-13:
        raise RuntimeError(f"a run of wflow went wrong: {run.message}")
    return run


def theirs(n: int, t: float) -> dict[str, Callable[[], Callable[[float], np.ndarray]]]:
    """Of each of py-pde's solvers what builds and compiles a run to a time, which gives masses (n, n)."""
    import pde

    h2 = 1.0 / n**2
    grid = pde.CartesianGrid([[0.0, 1.0]] * 2, [n, n])
    walls = {f"{axis}{side}": {"type": "mixed", "value": sign * g, "const": 0.0}
             for axis, g in zip("xy", DRIFT, strict=True) for side, sign in (("-", 1.0), ("+", -1.0))}  # fmt: skip
    equation = pde.PDE({"u": f"laplace(u) - ({DRIFT[0]}) * d_dx(u) - ({DRIFT[1]}) * d_dy(u)"}, bc=walls)
    start = pde.ScalarField(grid, exact(n, 0.0) / h2)

    def built(solver: Any, dt: float) -> Callable[[float], np.ndarray]:
        stepper = solver.make_stepper(start.copy(), dt)

        def run(until: float) -> np.ndarray:
            state = start.copy()
            stepper(state, 0.0, until)
            masses: np.ndarray = state.data * h2
            return masses

        return run

    euler = t / math.ceil(t / (0.245 * h2))  # 0.25 h² is where it gets unstable
    return {
        "Euler": lambda: built(pde.EulerSolver(equation, backend="numba"), euler),
        "Euler, adaptive": lambda: built(pde.EulerSolver(equation, backend="numba", adaptive=True, tolerance=1e-4), 0.1 * h2),
        "Runge-Kutta, adaptive": lambda: built(pde.RungeKuttaSolver(equation, backend="numba", adaptive=True, tolerance=1e-4), 0.1 * h2),
        "SciPy's RK23": lambda: built(pde.ScipySolver(equation, backend="numba", method="RK23", rtol=1e-4, atol=1e-6), 0.1 * h2),
    }


def fokker_planck(n: int, trial: float, horizons: tuple[float, ...], repeats: int) -> str:
    """A short trial of py-pde's solvers, and the fastest beside wflow."""
    lines = [f"1. Fokker-Planck on [0, 1]^2, drift {DRIFT}, {n} x {n} cells", "", f"py-pde's solvers, to t = {trial:g}:"]
    runs, seconds = {}, {}
    for name, build in theirs(n, trial).items():
        begin = time.perf_counter()
        runs[name] = build()
        runs[name](1e-2 * trial)
        compiled = time.perf_counter()
        masses = runs[name](trial)
        seconds[name] = time.perf_counter() - compiled
        lines.append(f"  {name:22} {seconds[name]:7.2f} s   L1 error {error(masses, trial):.2e}   compiled in {compiled - begin:.0f} s")
    best = min(seconds, key=seconds.__getitem__)
    lines.append(f"taken: {best}")
    for t in horizons:
        lines += beside(n, t, runs[best], repeats)
    return "\n".join(lines)


def beside(n: int, t: float, run: Callable[[float], np.ndarray], repeats: int) -> list[str]:
    """py-pde's run to t, and wflow's of an error no larger, in turns."""
    bar, lines = error(run(t), t), ["", f"to t = {t:g}; wflow by RKC2:"]
    for exponent in range(3, 9):
        solution = ours(n, t, rtol := 10.0**-exponent)
        found = error(solution.final.masses, t)
        lines.append(f"  rtol 1e-{exponent}   L1 error {found:.2e}   {solution.counts['rhs']} evaluations")
        if found <= bar:
            break
    samples: dict[str, list[float]] = {"wflow": [], "py-pde": []}
    for _ in range(repeats):
        for name, function in (("wflow", lambda: ours(n, t, rtol)), ("py-pde", lambda: run(t))):
            begin = time.perf_counter()
            function()
            samples[name].append(time.perf_counter() - begin)
    ratio = medians(samples)["py-pde"] / medians(samples)["wflow"]
    return [*lines, f"L1 errors: py-pde {bar:.2e}, wflow {found:.2e}", ratio_table(samples, "wflow"),
            f"wflow is {ratio:.1f} times as fast (at least 3: {verdict(ratio >= 3.0)})"]  # fmt: skip


# --- 2. aggregation -------------------------------------------------------------------------------------------------------------


def aggregation(full: int, large: int, rows: int, repeats: int) -> str:
    """Both ways on `full`² cells, and on `large`² with `rows` cells of the direct sum."""
    lines = ["2. W * rho for W = |z| in the plane: FFT, the kernel's transform kept, and direct sum (all cores)"]
    for n, some in ((full, full**2), (large, rows)):
        energy, edges = Interaction.power(1.0), np.linspace(-1.0, 1.0, n + 1)
        grid = GridMeasure.from_density([edges, edges], lambda x: np.exp(-3.0 * np.square(x - 0.1).sum(axis=1)))
        cloud, chosen = grid.quadrature(), np.linspace(0, grid.size - 1, some).astype(np.intp)
        begin = time.perf_counter()
        fast = energy.cells(grid).ravel()[chosen]
        first = time.perf_counter() - begin
        functions = {"FFT": lambda e=energy, g=grid: e.cells(g),
                     "direct": lambda e=energy, c=cloud, k=chosen: e.first_variation(c, c.points[k])}  # fmt: skip
        samples = medians(interleaved(functions, repeats))
        # for the cell with itself the grid takes the mean of W over it, the sum over pairs W(0) = 0
        own = energy.cells(GridMeasure._trusted(grid.axes, np.eye(1, grid.size).reshape(grid.shape)))[0, 0]
        apart = np.abs(fast - grid.masses.ravel()[chosen] * own - functions["direct"]()).max()
        direct = samples["direct"] * grid.size / some
        part = "" if some == grid.size else f" ({some} of {grid.size} rows, scaled)"
        lines.append(f"  {n} x {n}: FFT {1e3 * samples['FFT']:.1f} ms (first call {1e3 * first:.0f} ms), direct {direct:.3g} s{part}, "
                     f"ratio {direct / samples['FFT']:.3g}; apart by {apart:.1e}")  # fmt: skip
    return "\n".join(lines)


# --- 3. orders ------------------------------------------------------------------------------------------------------------------


def verdict(passed: bool) -> str:
    return "pass" if passed else "FAIL"


def orders(errors: list[float]) -> np.ndarray:
    """log2 of the ratios of errors on grids that double."""
    return np.log2(np.array(errors[:-1]) / np.array(errors[1:]))


def row(name: str, sizes: tuple[int, ...], errors: list[float], bar: str, passed: bool) -> str:
    ladder = " ".join(f"{e:.2e}" for e in errors)
    found = " ".join(f"{p:.2f}" for p in orders(errors))
    return f"  {name:<40} {'/'.join(map(str, sizes)):<16} {ladder:<36} {found:<17} {bar:<12} {verdict(passed)}"


def transported(energy: Any, start: GridMeasure, t: float, drift: list[float], lowest: list[float]) -> GridMeasure:
    """The end of a run so exact in time that cells are what errs; what it did to mass and signs is put on the two lists."""
    run = wflow.solve(EulerianFlow(energy), start, t, "rkc2", rtol=1e-7, atol=1e-12, checkpoint=None)
    if not run.status.ok:
        raise RuntimeError(run.message)
    drift.append(float(np.abs(run.diagnostics["mass_drift"]).max()))
    lowest.append(float(run.diagnostics["lowest"].min()))
    final: GridMeasure = run.final
    return final


def table_of_orders() -> str:
    """Every row: the ladder of sizes, errors, orders, the bar."""
    drift: list[float] = []
    lowest: list[float] = []
    lines = ["3. Orders", f"  {'':<40} {'cells or steps':<16} {'errors':<36} {'orders':<17} {'bar':<12}"]
    sizes: tuple[int, ...] = (32, 64, 128)
    law, errors = OrnsteinUhlenbeck([1.0], [[0.3]], 1.0, 0.5), []
    for n in sizes:
        edges = np.linspace(-6.0, 6.0, n + 1)
        start = law.masses(0.0, edges)
        final = transported(Potential.quadratic(1.0) + Entropy(0.5), GridMeasure([edges], start / start.sum()), 0.7, drift, lowest)
        errors.append(float(np.abs(final.masses - law.masses(0.7, edges)).sum()))
    lines.append(row("Ornstein-Uhlenbeck, L1", sizes, errors, "2 +- 0.15", bool(np.abs(orders(errors) - 2.0).max() <= 0.15)))
    interval, errors = FokkerPlanckInterval(3.0), []
    for n in sizes:
        edges = np.linspace(0.0, 1.0, n + 1)
        final = transported(Potential.linear(-3.0) + Entropy(1.0), GridMeasure([edges], interval.masses(0.0, edges)), 0.05, drift, lowest)
        errors.append(float(np.abs(final.masses - interval.masses(0.05, edges)).sum()))
    lines.append(row("Fokker-Planck on [0, 1], L1", sizes, errors, "2 +- 0.15", bool(np.abs(orders(errors) - 2.0).max() <= 0.15)))
    for exponent in (2.0, 3.0):
        lines += barenblatt(exponent, drift, lowest)
    worst, least = max(drift), min(lowest)
    lines.append(f"  mass drift over these runs {worst:.1e} (at most 1e-13: {verdict(worst <= 1e-13)}), smallest cell {least:.1e} "
                 f"(not negative: {verdict(least >= 0.0)})")  # fmt: skip
    return "\n".join(lines + jko())


def barenblatt(exponent: float, drift: list[float], lowest: list[float]) -> list[str]:
    """Porous medium equation from age 0.3 to 1; the front of a run is the last edge where the density is above 1 % of its largest."""
    law, errors, fronts, beyond, sizes = Barenblatt(exponent), [], [], [], (40, 80, 160, 320)
    for n in sizes:
        edges, h = np.linspace(-3.0, 3.0, n + 1), 6.0 / n
        final = transported(PowerLaw(exponent), GridMeasure([edges], law.masses(0.3, edges)), 0.7, drift, lowest)
        errors.append(float(np.abs(final.masses - law.masses(1.0, edges)).sum()))
        fronts.append((edges[1:][final.density > 0.01 * final.density.max()].max() - law.front(1.0)) / h)
        beyond.append(1.0 - float(np.interp(law.front(1.0) + h, edges, np.append(0.0, np.cumsum(final.masses)))))
    name = f"Barenblatt, m = {exponent:g}"
    return [
        row(f"{name}, L1 (mean {orders(errors).mean():.2f})", sizes, errors, ">= 1, mean", bool(orders(errors).mean() >= 1.0)),
        f"  {name + ', front, off by cells':<40} {'/'.join(map(str, sizes)):<16} {' '.join(f'{f:+.2f}' for f in fronts):<36} "
        f"{'':<17} {'within 1':<12} {verdict(max(map(abs, fronts)) <= 1.0)}",
        f"  {'  mass more than a cell ahead of it':<40} {'':<16} {' '.join(f'{max(mass, 0.0):.1e}' for mass in beyond)}",
    ]


def jko() -> list[str]:
    """One step of a Gaussian against its closed form, and many against the flow: errors of the standard deviation."""
    errors, residuals, sizes, h = [], [], (100, 200, 400), 0.1
    flow = JKOFlow(Potential.quadratic(2.0) + Entropy(1.0))
    for n in sizes:
        run = wflow.solve(flow, bell(n), h, options={"step": h, "tolerance": 1e-11}, checkpoint=None)
        errors.append(abs(spread(run.final) - gaussian_jko(1.0, 0.5, 2.0, h)[1]))
        residuals.append(float(run.diagnostics["residual"].max()))
    lines = [row("JKO, a step in quantiles, in space", sizes, errors, "2 +- 0.15", bool(np.abs(orders(errors) - 2.0).max() <= 0.15))]
    law, errors, steps = OrnsteinUhlenbeck(1.0, 0.25, 2.0, 1.0), [], (10, 20, 40)
    for n in steps:
        run = wflow.solve(flow, bell(400), 0.5, options={"step": 0.5 / n, "tolerance": 1e-11}, checkpoint=None)
        errors.append(abs(spread(run.final) - math.sqrt(law.covariance(0.5)[0, 0])))
        residuals.append(float(run.diagnostics["residual"].max()))
    lines.append(row("JKO, in time", steps, errors, "1 +- 0.15", bool(np.abs(orders(errors) - 1.0).max() <= 0.15)))
    worst = max(residuals)
    return [*lines, f"  JKO, largest optimality residual {worst:.1e}, at a tolerance of 1e-11 (at most 1e-10: {verdict(worst <= 1e-10)})"]


def bell(n: int) -> GridMeasure:
    """N(1, 1/4) on n cells to eight deviations."""
    return GridMeasure.from_density([np.linspace(-3.0, 5.0, n + 1)], lambda x: np.exp(-2.0 * np.square(x[:, 0] - 1.0)), nodes=8)


def spread(grid: GridMeasure) -> float:
    return math.sqrt(grid.covariance()[0, 0])


def main() -> None:
    """All three; ``--quick`` has small grids, few turns, and writes nothing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small grids; writes nothing")
    quick = parser.parse_args().quick
    parts = [table_of_orders()]
    print(parts[0], flush=True)
    parts.insert(0, aggregation(64, 128, 64, 3) if quick else aggregation(128, 512, 1024, 5))
    print(parts[0], flush=True)
    parts.insert(0, fokker_planck(64, 0.005, HORIZONS[:1], 2) if quick else fokker_planck(256, 0.005, HORIZONS, 3))
    print(parts[0], flush=True)
    if not quick:
        write_output(__file__, "\n\n".join(parts))


if __name__ == "__main__":
    main()
