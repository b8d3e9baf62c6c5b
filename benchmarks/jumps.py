"""What the jumps of ReLU's field on nodes cost, and what a continuous field mends: ``python -m benchmarks.jumps``.

``PolicyValue(mdp, "relu", field=...)``, "nodes" against "continuous" (the signal interpolated between nodes, h = 1/n_a). Found:

- The velocity on nodes is wrong by O(h) (0.7 % at 100 nodes), the continuous one by O(h²) (0.04 %).
- Order comes back: on a ladder of fixed steps tsit5, bs3 and ssprk3 lie between 1 and 2.3 on nodes, at 4.9, 3.1 and 3.1 in the
  continuous field. That f_ν has kinks on the nodes still, of weight 1/N each, leaves no trace. The drift of ω0² − |ω̄|² is
  the method's own in both fields until jumps stop it falling (tsit5 on nodes, below 1e-7).
- Step control: nothing to gain down to rtol 1e-3, the default's (65 evaluations against 72). At 1e-6 nodes reject a
  fifth to a half of the attempts on the bandit with 100 nodes; at 1e-8 tsit5 takes 65 times the evaluations there (23,732 against 368;
  17 times with 400 nodes, 6.6 times on the grid), and bs3 and rkc2 do not finish within 3,000 steps. The continuous field has next to
  nothing rejected.
- Refining the nodes 16 times takes a third off the steps of tsit5 at 1e-6 (134 to 92, against 32): no remedy for tight tolerances, as
  kinks then pass more nodes by smaller jumps. At 100 nodes and looser tolerances there is nothing to mend.
- The two fields end apart by 1.6e-8 in the gap (of 1.1e-4) at 100 nodes, falling at order 1.5, and by 1.8e-4 in the state, at order 1.2:
  between the O(h²) of the mean-field limit and the O(h/√N) of N kinks at random places. The energy balance of the continuous field is
  off by 5.6e-8 there, of a rise by 2.7e-4; E fell in neither field but through time steps at loose tolerances on the grid.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from benchmarks._harness import write_output

N = 200
T_END = 1e3
T_LADDER = 320.0
MOST_STEPS = 3_000
FIELDS = ("nodes", "continuous")
PROBLEMS = ("bandit, 100 nodes", "bandit, 400 nodes", "grid, 40 x 40")
TOLERANCES = (1e-2, 1e-3, 1e-4, 1e-6, 1e-8)
STEPS = (20.0, 10.0, 5.0, 2.5)
NODES = (50, 100, 200, 400, 800)


def setup(problem: str, field: str) -> tuple[Any, Any]:
    """Flow and its initial measure, one seed; `problem` ends with the number of action nodes or of both."""
    from wflow import energies, flows, mdp, measures

    words = problem.split()
    made = (mdp.agazzi_lu_bandit(seed=0, n_actions=int(words[1])) if words[0] == "bandit,"
            else mdp.agazzi_lu_grid(seed=0, n_states=int(words[1]), n_actions=int(words[3])))  # fmt: skip
    energy = energies.PolicyValue(made, "relu", field=field)
    initial = measures.laws.student(energy.n_parameters).sample(N, np.random.SeedSequence(0).spawn(1)[0])
    return flows.WassersteinFlow(energy), initial


def run(problem: str, field: str, method: str | None, rtol: float) -> tuple[Any, float]:
    """A solution to t = 1000, every step recorded, and its seconds."""
    import wflow

    flow, initial = setup(problem, field)
    options = {} if method is None else {"rtol": rtol, "atol": 1e-3 * rtol}
    start = time.perf_counter()
    solution = wflow.solve(flow, initial, T_END, method=method, max_steps=MOST_STEPS, **options)
    return solution, time.perf_counter() - start


def work(problem: str) -> list[str]:
    """Cost of every method and tolerance in both fields, side by side."""
    from wflow.loop import DEFAULT_METHOD, DEFAULT_RTOL

    lines = [
        "", f"{problem}: to t = {T_END:g}; each entry nodes / continuous",
        f"{'method':14}     rtol {'steps':>15} {'rejected':>15} {'evaluations':>18} {'seconds':>15} {'largest fall of E':>17}",
    ]  # fmt: skip
    cases = [(method, rtol) for method in ("tsit5", "bs3", "rkc2") for rtol in TOLERANCES]
    for method, rtol in [(None, DEFAULT_RTOL), *cases]:
        columns = []
        for field in FIELDS:
            solution, seconds = run(problem, field, method, rtol)
            counts = solution.counts
            columns.append((f"{counts['steps']}{'' if solution.status.ok else '!'}", f"{counts['rejected']}",
                            f"{counts['rhs'] + counts.get('spectral_radius', 0)}", f"{seconds:.2f}",
                            f"{max(0.0, -np.diff(solution.energy).min()):.0e}"))  # fmt: skip
        shown = [f"{a} / {b}" for a, b in zip(*columns, strict=True)]
        name = method or f"default ({DEFAULT_METHOD})"
        lines.append(f"{name:14}   {rtol:6g}   {shown[0]:>13}   {shown[1]:>13}   {shown[2]:>16}   {shown[3]:>13}   {shown[4]:>15}")
        print(lines[-1], flush=True)
    return lines


def invariant(y: Any) -> Any:
    """ω0² − |ω̄|² of every particle."""
    points = y.reshape(N, -1)
    return points[:, 0] ** 2 - (points[:, 1:] ** 2).sum(axis=1)


def advance(flow: Any, start: Any, method: str, dt: float) -> Any:
    """The state at t = 320 after fixed steps."""
    from wflow import integrators

    fixed = {"first_step": dt, "max_step": dt, "rtol": 1e6, "atol": 1e6}
    solver = integrators.get(method)(flow.rhs, 0.0, start.copy(), T_LADDER, **fixed)
    while solver.status == "running":
        solver.step()
    return solver.y


def orders(problem: str) -> list[str]:
    """Errors of the state (root mean square, against tsit5 at steps of 0.15) and drifts on a ladder, with the slopes of straight lines."""
    lines = ["", f"{problem}: fixed steps of {', '.join(f'{dt:g}' for dt in STEPS)} to t = {T_LADDER:g}; order: slope of a straight line",
             f"field        method   {'error of the state':38}order   {'drift of the invariant':38}order"]  # fmt: skip
    for field in FIELDS:
        flow, initial = setup(problem, field)
        start = flow.pack(initial)
        reference = advance(flow, start, "tsit5", STEPS[-1] / 16.0)
        for method in ("tsit5", "bs3", "ssprk3"):
            ends = [advance(flow, start, method, dt) for dt in STEPS]
            errors = [np.sqrt(np.mean((y - reference) ** 2)) for y in ends]
            drifts = [np.abs(invariant(y) - invariant(start)).max() for y in ends]
            shown = [f"{' '.join(f'{value:8.1e}' for value in values)}   {np.polyfit(np.log(STEPS), np.log(values), 1)[0]:5.2f}"
                     for values in (errors, drifts)]  # fmt: skip
            lines.append(f"{field:10}   {method:6}   {'   '.join(shown)}")
            print(lines[-1], flush=True)
    return lines


def dissipated(solution: Any, problem: str, field: str) -> float:
    """∫ ∫|F|² dν dt: Simpson's rule at the start of, amid and after each step, on the same steps taken once more."""
    import wflow

    flow, initial = setup(problem, field)
    amid = np.sort(np.concatenate([solution.times, 0.5 * (solution.times[1:] + solution.times[:-1])]))
    again = wflow.solve(flow, initial, T_END, method="tsit5", rtol=1e-6, atol=1e-9, record=amid)
    values = again.diagnostics["dissipation"]
    return float(np.sum(np.diff(solution.times) * (values[:-2:2] + 4.0 * values[1:-1:2] + values[2::2]) / 6.0))


def velocity_errors() -> list[str]:
    """Both fields of one cloud of 2,000 neurons, against the continuous one on 51,200 nodes."""
    from wflow import energies, mdp, measures

    measure = measures.ParticleMeasure(np.random.default_rng(0).normal(0.0, 2.0, (2000, 3)))

    def velocity(n_a: int, field: str) -> Any:
        return energies.PolicyValue(mdp.agazzi_lu_bandit(seed=0, n_actions=n_a), "relu", field=field).velocity(measure)

    exact = velocity(51_200, "continuous")
    lines = ["", "bandit: relative error of the velocity at N(0, 4), root mean square; order: slope of a straight line",
             f"field        {'at ' + ', '.join(str(n_a) for n_a in NODES) + ' nodes':47}order"]  # fmt: skip
    for field in FIELDS:
        errors = [np.linalg.norm(velocity(n_a, field) - exact) / np.linalg.norm(exact) for n_a in NODES]
        order = -np.polyfit(np.log(NODES), np.log(errors), 1)[0]
        lines.append(f"{field:10}   {' '.join(f'{error:8.1e}' for error in errors)}   {order:5.2f}")
        print(lines[-1], flush=True)
    return lines


def refinement() -> list[str]:
    """Bandit, tsit5 at rtol 1e-6: both fields as the nodes are refined."""
    lines = [
        "", f"bandit, nodes refined: tsit5, rtol 1e-6, to t = {T_END:g}; entries nodes / continuous",
        "nodes           steps        rejected     invariant drift   |E - E0 - ∫ dissipation|   gap difference   state difference",
    ]  # fmt: skip
    differences = []
    for n_a in NODES:
        columns, ends = [], []
        for field in FIELDS:
            solution, _ = run(f"bandit, {n_a} nodes", field, "tsit5", 1e-6)
            balance = solution.energy[-1] - solution.energy[0] - dissipated(solution, f"bandit, {n_a} nodes", field)
            columns.append((f"{solution.counts['steps']}", f"{solution.counts['rejected']}",
                            f"{np.max(solution.diagnostics['invariant_drift']):.1e}", f"{abs(balance):.1e}"))  # fmt: skip
            ends.append((solution.gap[-1], solution.final.points))
        shown = [f"{a} / {b}" for a, b in zip(*columns, strict=True)]
        new = (abs(ends[0][0] - ends[1][0]), np.sqrt(np.mean((ends[0][1] - ends[1][1]) ** 2)))
        differences.append(new)
        lines.append(f"{n_a:5}   {shown[0]:>13}   {shown[1]:>13}   {shown[2]:>17}   {shown[3]:>24}   {new[0]:14.1e}   {new[1]:16.1e}")
        print(lines[-1], flush=True)
    slopes = [-np.polyfit(np.log(NODES), np.log(column), 1)[0] for column in np.array(differences).T]
    lines.append(f"order (slope of a straight line){'':56}{slopes[0]:14.2f}   {slopes[1]:16.2f}")
    return lines


def main() -> None:
    """Work, orders, refinement."""
    lines = [f"ReLU, N = {N}, one seed; atol = rtol/1000; ! marks runs that {MOST_STEPS} steps did not bring to the end"]
    lines += velocity_errors() + refinement()
    for problem in PROBLEMS[:2]:
        lines += orders(problem)
    for problem in PROBLEMS:
        lines += work(problem)
    text = "\n".join(lines)
    print(text)
    write_output(__file__, text)


if __name__ == "__main__":
    main()
