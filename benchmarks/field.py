"""One field evaluation of fig1b (value, velocity, diagnostics) against JAX and PyTorch: ``python -m benchmarks.field``.

Interleaved repeats in one process, both sides free to use all cores (wflow takes one where its work is under half a millisecond),
float64, the same points. The ratio of record is that to the plain forms (JAX ``jit`` of ``value_and_grad`` of E, PyTorch autograd);
each peer's best memory-saving form stands beside it.
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

import numpy as np

from benchmarks._harness import interleaved, medians, peak_memory_increase, ratio_table, write_output
from benchmarks.peers import Problem, jax_field, student, torch_field

WFLOW = "wflow"
PEERS = ("JAX, plain", "JAX, blocks of 100", "PyTorch, eager", "PyTorch, compiled")


def wflow_evaluate(activation: str, points: Any) -> Any:
    """Function of no arguments: one evaluation, with its free diagnostics: dissipation and residual beside value and velocity."""
    from wflow import energies, mdp, measures

    energy = energies.PolicyValue(mdp.agazzi_lu_grid(seed=0), activation)
    measure = measures.ParticleMeasure(points)

    def evaluate() -> Any:
        evaluation = energy.evaluate(measure)
        _ = evaluation.dissipation, evaluation.residual
        return evaluation

    return evaluate


def compare(activation: str, n_particles: int, repeats: int, peers: tuple[str, ...]) -> str:
    """Table of seconds per evaluation, wflow's first."""
    problem = Problem.agazzi_lu_grid(seed=0)
    points = student(n_particles, seed=1, outputs=1.0)
    evaluate = wflow_evaluate(activation, points)
    fields = {
        "JAX, plain": partial(jax_field(problem, activation), points),
        "JAX, blocks of 100": partial(jax_field(problem, activation, block=100), points),
        "PyTorch, eager": partial(torch_field(problem, activation), points),
        "PyTorch, compiled": partial(torch_field(problem, activation, compiled=True), points),
    }
    own, other = evaluate(), fields["JAX, plain"]()
    agreement = float(np.abs(own.velocity - np.asarray(other[1])).max() / np.abs(own.velocity).max())
    functions = {WFLOW: evaluate, **{name: fields[name] for name in peers}}
    samples = interleaved(functions, repeats)
    middle = medians(samples)
    ratios = ", ".join(f"{middle[name] / middle[WFLOW]:.0f} x {name}" for name in peers)
    return (f"{activation}, N = {n_particles}, seconds per evaluation (velocities agree to {agreement:.0e})\n"
            f"{ratio_table(samples, WFLOW)}\nfaster than: {ratios}\n")  # fmt: skip


def prepare_large(n_particles: int) -> Any:
    """Work for the memory measurement: one evaluation at N particles, compiled before at a small N."""
    wflow_evaluate("relu", student(1000, seed=1, outputs=1.0))()
    return wflow_evaluate("relu", student(n_particles, seed=1, outputs=1.0))


def large(n_particles: int = 10**6) -> str:
    """Seconds and peak memory of one evaluation where a peer would need an N x M array."""
    points = student(n_particles, seed=1, outputs=1.0)
    blocked = partial(jax_field(Problem.agazzi_lu_grid(seed=0), "relu", block=100), points)
    samples = interleaved({WFLOW: wflow_evaluate("relu", points), "JAX, blocks of 100": blocked}, repeats=2)
    state = n_particles * 4 * 8
    increase = peak_memory_increase(partial(prepare_large, n_particles))
    return (f"relu, N = {n_particles}\n{ratio_table(samples, WFLOW)}\n"
            f"peak memory above the start: {increase / 2**20:.0f} MiB = {increase / state:.1f} x the state ({state / 2**20:.0f} MiB); "
            f"one N x M array, as the plain forms need, would be {n_particles * 10**4 * 8 / 2**30:.0f} GiB\n")  # fmt: skip


def main() -> None:
    """All tables; ``--quick`` leaves out N = 10⁴ and 10⁶."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    parts = [compare("relu", 800, 9, PEERS), compare("tanh", 800, 9, PEERS)]
    if not quick:
        parts += [compare("relu", 10_000, 7, PEERS), compare("tanh", 10_000, 7, PEERS), large()]
    text = "\n".join(parts)
    print(text)
    if not quick:
        write_output(__file__, text)


if __name__ == "__main__":
    main()
