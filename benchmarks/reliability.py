"""Which default method and tolerance: ``python -m benchmarks.reliability``.

RKC2 at five tolerances on both experiments of Agazzi & Lu with ReLU and tanh, 20 seeds each, to t = 10⁴; the embedded pairs beside it
on the first two seeds. A run fails if it does not reach the end within 20,000 steps, or lowers E by more than 1e-9 from one step to the
next. Errors are those of the final gap, relative to RKC2 at rtol 1e-6 (nan where that did not finish: ReLU's field jumps on nodes).
The default of ``wflow.solve`` is the largest power of ten without a failure whose worst error on tanh is well under 5 %: 1e-3, at 2 %
(3e-3 is a tenth cheaper and comes close to 5 %, 1e-2 is a quarter cheaper and comes to 9 %).
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

from benchmarks._harness import write_output

T_END = 1e4
N = 800
MOST_STEPS = 20_000
FEW = 2
COMPETITORS = ("tsit5", "bs3", "RK45")
TOLERANCES = (1e-2, 3e-3, 1e-3, 1e-4, 1e-5)


def setup(problem: str, activation: str, seed: int) -> tuple[Any, Any]:
    """Flow and initial measure."""
    from wflow import energies, flows, mdp, measures

    library = {"bandit": mdp.agazzi_lu_bandit, "grid": mdp.agazzi_lu_grid}
    energy = energies.PolicyValue(library[problem](seed=seed), activation)
    initial = measures.laws.student(energy.n_parameters).sample(N, np.random.SeedSequence(seed).spawn(1)[0])
    return flows.WassersteinFlow(energy), initial


def runs(problem: str, activation: str, seeds: int) -> dict[tuple[str, float], list[dict[str, float]]]:
    """Outcome of every (method, tolerance) for each seed."""
    import wflow

    found: dict[tuple[str, float], list[dict[str, float]]] = {}
    for seed in range(seeds):
        flow, initial = setup(problem, activation, seed)
        tight = wflow.solve(flow, initial, T_END, method="rkc2", rtol=1e-6, atol=1e-9, max_steps=MOST_STEPS)
        for method in ("rkc2", *(COMPETITORS if seed < FEW else ())):
            for rtol in TOLERANCES:
                start = time.process_time()
                run = wflow.solve(flow, initial, T_END, method=method, rtol=rtol, atol=1e-3 * rtol, max_steps=MOST_STEPS)
                found.setdefault((method, rtol), []).append({
                    "seconds": time.process_time() - start,
                    "evaluations": run.counts["rhs"] + run.counts.get("spectral_radius", 0),
                    "error": float(run.gap[-1] / tight.gap[-1]) - 1.0 if tight.status.ok else np.nan,
                    "drop": float(max(0.0, -np.diff(run.energy).min())),
                    "finished": float(run.status.ok),
                })  # fmt: skip
    return found


def main() -> None:
    """One table per problem and activation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    seeds = parser.parse_args().seeds
    lines = [f"{seeds} seeds, N = {N}, to t = {T_END:g}; atol = rtol/1000; medians over seeds, worst in brackets"]
    for problem in ("bandit", "grid"):
        for activation in ("relu", "tanh"):
            lines += ["", f"{problem}, {activation}",
                      "method   rtol   seeds   failed   evaluations [worst]   CPU seconds [worst]   |gap error| [worst]"
                      "   largest fall of E"]  # fmt: skip
            for (method, rtol), outcome in runs(problem, activation, seeds).items():
                column = {key: np.array([one[key] for one in outcome]) for key in outcome[0]}
                failed = int(np.sum((column["finished"] < 1.0) | (column["drop"] > 1e-9)))
                error = np.abs(column["error"][np.isfinite(column["error"])])
                evaluations = column["evaluations"]
                lines.append(
                    f"{method:6}  {rtol:5g}   {len(outcome):5}   {failed:6}   {np.median(evaluations):8.0f} [{evaluations.max():6.0f}]   "
                    f"{np.median(column['seconds']):6.2f} [{column['seconds'].max():6.2f}]   "
                    f"{np.median(error):8.1e} [{error.max():7.1e}]   {column['drop'].max():.1e}"
                )
                print(lines[-1], flush=True)
    text = "\n".join(lines)
    write_output(__file__, text)


if __name__ == "__main__":
    main()
