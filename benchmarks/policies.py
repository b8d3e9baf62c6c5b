"""Entropy-regularised natural policy gradient against plain NumPy: ``python -m benchmarks.policies``.

One iteration at |S| = 200, |A| = 50, γ = 0.99, τ = 0.1, η half of its largest, with dense transitions and with 5 successors a pair. The
peer is the script one would write: two einsums, two solves and a softmax on an array (n_s, n_a, n_s), which NumPy has no sparse form of.
It evaluates the policy and updates it; ours also keeps the gap, two more errors and their bounds. NumPy's solve wakes a second thread,
which costs more than it saves on a busy machine: the ratio to go by is the one with BLAS held to one thread, as ours is.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks._harness import interleaved, ratio_table, write_output

N_STATES, N_ACTIONS, DISCOUNT, TEMPERATURE, SUCCESSORS, ITERATIONS, REPEATS = 200, 50, 0.99, 0.1, 5, 50, 7


def plain(reward: Any, transition: Any, rho: Any, eta: float, n_iterations: int) -> Any:
    """The textbook loop: E at every iterate (T + 1,), and the last policy."""
    n_s, n_a = reward.shape
    pi = np.full((n_s, n_a), 1.0 / n_a)
    values = np.empty(n_iterations + 1)
    for t in range(n_iterations + 1):
        P = np.einsum("ij,ijk->ik", pi, transition)
        r = np.einsum("ij,ij->i", pi, reward - TEMPERATURE * np.log(pi))
        V = np.linalg.solve(np.eye(n_s) - DISCOUNT * P, r)
        Q = reward + DISCOUNT * np.einsum("ijk,k->ij", transition, V)
        values[t] = rho @ V
        if t < n_iterations:
            energy = (1.0 - eta * TEMPERATURE / (1.0 - DISCOUNT)) * np.log(pi) + eta * Q / (1.0 - DISCOUNT)
            pi = np.exp(energy - energy.max(axis=1, keepdims=True))
            pi /= pi.sum(axis=1, keepdims=True)
    return values, pi


def problems() -> dict[str, Any]:
    """The two MDPs: rewards uniform in [0, 1], transitions normalised uniforms, or a Garnet."""
    from wflow.mdp import MDP, garnet

    rng = np.random.default_rng(0)
    dense = rng.random((N_STATES, N_ACTIONS, N_STATES))
    dense /= dense.sum(axis=2, keepdims=True)
    reward = rng.random((N_STATES, N_ACTIONS))
    return {
        "dense": MDP(reward=reward, transition=dense, discount=DISCOUNT, temperature=TEMPERATURE),
        f"{SUCCESSORS} successors": garnet(N_STATES, N_ACTIONS, SUCCESSORS, discount=DISCOUNT, temperature=TEMPERATURE),
    }


def main() -> None:
    """A table for each kind of transition; both loops must agree first."""
    from wflow import policies
    from wflow._jit import blas_single_thread
    from wflow.mdp import optimum

    eta = 0.5 * (1.0 - DISCOUNT) / TEMPERATURE
    lines = []
    for kind, mdp in problems().items():
        array, best = mdp.transition.to_dense(), optimum(mdp).objective
        ours = policies.run("entropy_npg", mdp, ITERATIONS, step_size=eta)
        values, pi = plain(mdp.reward, array, mdp.initial, eta, ITERATIONS)
        apart = max(np.abs(ours.value - values).max(), np.abs(np.exp(ours.log_policy) - pi).max())
        assert apart < 1e-9 * best, apart

        def run_ours(mdp: Any = mdp) -> object:
            return policies.run("entropy_npg", mdp, ITERATIONS, step_size=eta)

        def run_plain(mdp: Any = mdp, array: Any = array) -> object:
            return plain(mdp.reward, array, mdp.initial, eta, ITERATIONS)

        def run_plain_on_one(mdp: Any = mdp, array: Any = array) -> object:
            with blas_single_thread():
                return plain(mdp.reward, array, mdp.initial, eta, ITERATIONS)

        rows = {"wflow, its optimum included": run_ours, "NumPy, BLAS on one thread": run_plain_on_one, "NumPy as it comes": run_plain}
        samples = interleaved(rows, REPEATS)
        text = ratio_table(samples, "wflow, its optimum included")
        seconds = min(policies.run("entropy_npg", mdp, ITERATIONS, step_size=eta).seconds for _ in range(REPEATS)) / (ITERATIONS + 1)
        lines += [f"{kind}, {ITERATIONS} iterations (values agree to {apart:.1e}; {1e3 * seconds:.2f} ms an iteration)", text, ""]
        print("\n".join(lines[-3:]), flush=True)
    write_output(__file__, "\n".join(lines))


if __name__ == "__main__":
    main()
