"""Steps of Langevin dynamics against NumPy: ``python -m benchmarks.langevin``.

Ornstein–Uhlenbeck in two dimensions, Euler–Maruyama: drift −κ x, temperature τ. NumPy as one would write it for speed: normal numbers
drawn into an array that is kept, all arithmetic in place, no temporaries. wflow takes its public way, the stepper of a `LangevinFlow`
with an energy of three lines of NumPy, one evaluation a step, a new state each step (and beside it with ``Potential.quadratic``, which
checks what its gradient gives). Turns in one process.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numba
import numpy as np

from benchmarks._harness import interleaved, medians, ratio_table, write_output
from wflow import _jit
from wflow.energies import Energy
from wflow.energies.free import Potential
from wflow.flows._noise import disturbed, key_of
from wflow.flows.langevin import LangevinFlow
from wflow.measures import ParticleMeasure

KAPPA, TAU, DT = 1.0, 0.5, 1e-3


class Confinement:
    """κ/2 ∫ |x|² dν, the least that an energy must have."""

    sense = -1

    def value(self, measure: ParticleMeasure) -> float:
        """E(ν)."""
        return KAPPA / 2.0 * float((measure.weights * np.square(measure.points).sum(axis=1)).sum())

    def velocity(self, measure: ParticleMeasure) -> np.ndarray:
        """−κ x at the particles."""
        return -KAPPA * measure.points


def wflow_step(
    points: np.ndarray, scheme: str = "euler_maruyama", threads: int | None = None, energy: Energy | None = None
) -> Callable[[], object]:
    """One step of the flow's own stepper."""
    flow = LangevinFlow(energy or Confinement(), TAU)
    stepper = flow.stepper(0.0, flow.pack(ParticleMeasure(points)), 1e9, field=flow.rhs, dt=DT, scheme=scheme)

    def step() -> None:
        before = numba.get_num_threads()
        _jit.set_threads(threads or before)
        stepper.step()
        _jit.set_threads(before)

    return step


def numpy_step(points: np.ndarray, generator: type = np.random.PCG64) -> Callable[[], object]:
    """The same step in place."""
    rng = np.random.Generator(generator(0))
    x, drift, noise = points.copy(), np.empty_like(points), np.empty_like(points)
    size = np.sqrt(2.0 * TAU * DT)

    def step() -> None:
        rng.standard_normal(out=noise)
        np.multiply(x, -KAPPA * DT, out=drift)
        np.multiply(noise, size, out=noise)
        np.add(x, drift, out=x)
        np.add(x, noise, out=x)

    return step


def table(n_particles: int, repeats: int) -> str:
    """Seconds a step, and steps per second."""
    points = np.random.default_rng(0).standard_normal((n_particles, 2))
    flat, key = points.ravel(), key_of(0, 0.0)
    functions = {
        "wflow": wflow_step(points),
        "wflow, one thread": wflow_step(points, threads=1),
        "wflow, Heun": wflow_step(points, "heun"),
        "wflow, Potential": wflow_step(points, energy=Potential.quadratic(KAPPA)),
        "wflow, drift given": lambda: disturbed(flat, flat, DT, 1.0, key, 0),
        "NumPy, PCG64": numpy_step(points),
        "NumPy, SFC64": numpy_step(points, np.random.SFC64),
    }
    samples = interleaved(functions, repeats)
    middle = medians(samples)
    rates = ", ".join(f"{name} {1.0 / middle[name]:.3g}" for name in ("wflow", "wflow, one thread", "NumPy, PCG64", "NumPy, SFC64"))
    return f"N = {n_particles}, d = 2, seconds per step\n{ratio_table(samples, 'wflow')}\nsteps per second: {rates}\n"


def main() -> None:
    """Both tables; ``--quick`` has fewer turns and writes nothing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    text = "\n".join(table(n, 3 if quick else 15) for n in (10_000, 1_000_000))
    print(text)
    if not quick:
        write_output(__file__, text)


if __name__ == "__main__":
    main()
