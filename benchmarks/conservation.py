"""Energy, dissipation and the ReLU invariant along runs: ``python -m benchmarks.conservation``.

Fixed steps of the classical fourth-order method and of Euler, halved: the balance E(T) - E(0) - ∫ dissipation dt and the drift of
ω0² - |ω̄|² shrink at the scheme's order where the field is smooth; with ReLU on nodes they shrink with the spacing of the nodes instead
(math.md §7).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks._harness import write_output

T_END = 2000.0
N = 200


def setup(activation: str, n_actions: int) -> tuple[Any, Any]:
    """Flow on the bandit and its initial measure, one seed."""
    from wflow import energies, flows, mdp, measures

    energy = energies.PolicyValue(mdp.agazzi_lu_bandit(seed=0, n_actions=n_actions), activation)
    initial = measures.laws.student(energy.n_parameters).sample(N, np.random.SeedSequence(0).spawn(1)[0])
    return flows.WassersteinFlow(energy), initial


def classical(flow: Any, y: Any, dt: float) -> Any:
    """One step of the classical Runge-Kutta method."""
    k1 = flow.rhs(0.0, y)
    k2 = flow.rhs(0.0, y + 0.5 * dt * k1)
    k3 = flow.rhs(0.0, y + 0.5 * dt * k2)
    k4 = flow.rhs(0.0, y + dt * k3)
    return y + dt / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)


def euler(flow: Any, y: Any, dt: float) -> Any:
    """One step of Euler's method."""
    return y + dt * flow.rhs(0.0, y)


def balance(activation: str, n_actions: int, step: Any, dt: float) -> tuple[float, float, float]:
    """|E(T) - E(0) - ∫ dissipation| (fifth-order Boole sums over the steps), largest invariant drift, largest fall of E."""
    flow, initial = setup(activation, n_actions)
    y = flow.pack(initial)
    energies, dissipations, invariants = [], [], []
    for _ in range(round(T_END / dt) + 1):
        evaluation = flow.evaluation(0.0, y)
        energies.append(evaluation.value)
        dissipations.append(evaluation.dissipation)
        points = y.reshape(N, -1)
        invariants.append(points[:, 0] ** 2 - (points[:, 1:] ** 2).sum(axis=1))
        y = step(flow, y, dt)
    weights = np.tile([14.0, 32.0, 12.0, 32.0], len(energies) // 4)
    weights[0] = 7.0
    integral = 2.0 * dt / 45.0 * (weights @ np.array(dissipations[:-1]) + 7.0 * dissipations[-1])
    drift = np.abs(np.array(invariants) - invariants[0]).max()
    return abs(energies[-1] - energies[0] - integral), float(drift), float(max(0.0, -np.diff(energies).min()))


def main() -> None:
    """Ladders of steps (smooth and not) and of nodes (ReLU)."""
    lines = [f"bandit, N = {N}, to t = {T_END:g}; order: log2 of the ratio to the row above"]
    for activation, n_actions in (("tanh", 100), ("relu", 100), ("relu", 1600)):
        for name, step in (("classical RK4", classical), ("Euler", euler)):
            lines += ["", f"{activation}, {n_actions} nodes, {name}",
                      "    dt   |dE - ∫ dissipation|   order   invariant drift   order   largest fall of E"]  # fmt: skip
            last = None
            for dt in (20.0, 10.0, 5.0, 2.5):
                energy, drift, fall = balance(activation, n_actions, step, dt)
                ratios = ((old, new) for old, new in zip(last or (), (energy, drift) if last else (), strict=True))
                orders = [f"{np.log2(old / new):5.2f}" for old, new in ratios] or ["", ""]
                shown = f"{drift:15.2e}   {orders[1]:>5}" if activation == "relu" else f"{'-':>15}   {'':>5}"
                lines.append(f"{dt:6g}   {energy:20.2e}   {orders[0]:>5}   {shown}   {fall:.1e}")
                last = (energy, drift)
    lines += ["", "relu, classical RK4 at dt = 2.5, nodes refined", " nodes   |dE - ∫ dissipation|   invariant drift"]
    for n_actions in (50, 100, 200, 400, 800, 1600, 3200):
        energy, drift, _ = balance("relu", n_actions, classical, 2.5)
        lines.append(f"{n_actions:6}   {energy:20.2e}   {drift:15.2e}")
    text = "\n".join(lines)
    print(text)
    write_output(__file__, text)


if __name__ == "__main__":
    main()
