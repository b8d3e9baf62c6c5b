"""The same field in JAX, PyTorch and NumPy: what the benchmarks compare wflow with.

Each peer evaluates the value E of the mean-field softmax policy (math.md §2-3) on the state-action grid of §4 and the velocity
N ∂E/∂points, in float64, on all cores, written as a good user of that library would write it: dense N x M pre-activations
(M = n_s n_a), the library's own jit and automatic gradient, nothing that knows the neuron's structure. JAX and PyTorch each come
plain and in a second, still generic form that needs less memory and is faster: a benchmark must say which it compares with.
Run ``python -m benchmarks.peers`` for agreement and times. Nothing here imports wflow; each function imports its own library.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["DiffraxRun", "Problem", "diffrax_solve", "jax_field", "jax_velocity", "numpy_field", "student", "torch_field"]

Array = npt.NDArray[np.float64]
Field = Callable[[Any], tuple[Any, Any]]

JUMP = 0.9  # P(s, a, .) = JUMP δ(. - a) + (1 - JUMP) uniform: the next state is the action's number, or any state


@dataclass(frozen=True, eq=False)
class Problem:
    """An entropy-regularised MDP on a grid of 1-D states and as many 1-D actions, with the transitions of math.md §4.

    Parameters
    ----------
    states, actions, action_weights, initial : ndarray, shape (n,)
        Nodes, weights of the reference measure, initial law.
    reward : ndarray, shape (n, n)
        Rows are states.
    discount, temperature : float
    """

    states: Array
    actions: Array
    action_weights: Array
    reward: Array
    discount: float
    temperature: float
    initial: Array

    def __post_init__(self) -> None:
        n = len(self.states)
        for name, shape in (("actions", (n,)), ("action_weights", (n,)), ("reward", (n, n)), ("initial", (n,))):
            if np.shape(getattr(self, name)) != shape:
                raise ValueError(f"{name} must have shape {shape}, one action for each state; got {np.shape(getattr(self, name))}")

    @classmethod
    def agazzi_lu_grid(cls, seed: int, n: int = 100) -> Problem:
        """The grid experiment of Agazzi & Lu (2021, §5): Q* = τ f of a five-neuron ReLU teacher, r = Q* - γ P V* (math.md §4)."""
        discount, temperature = 0.7, 0.2
        nodes = (np.arange(n) + 0.5) / n
        weights = np.full(n, 1.0 / n)
        teacher = np.random.default_rng(seed).normal(0.0, 2.0, (5, 4))
        hidden = np.maximum(teacher[:, 1:] @ _features(nodes, nodes).T, 0.0)
        scaled = (teacher[:, 0] @ hidden / len(teacher)).reshape(n, n)  # Q*/τ
        peak = scaled.max(axis=1)
        value = temperature * (peak + np.log(np.exp(scaled - peak[:, None]) @ weights))
        reward = temperature * scaled - discount * (JUMP * value + (1.0 - JUMP) * value.mean())
        return cls(nodes, nodes, weights, reward, discount, temperature, np.full(n, 1.0 / n))

    @classmethod
    def from_mdp(cls, mdp: Any) -> Problem:
        """The arrays of a ``wflow.mdp.MDP`` on 1-D nodes; its transitions are assumed, not read."""
        states, actions = (np.asarray(space.nodes, dtype=float)[:, 0] for space in (mdp.states, mdp.actions))
        arrays = (np.asarray(x, dtype=float) for x in (mdp.actions.weights, mdp.reward))
        return cls(states, actions, *arrays, float(mdp.discount), float(mdp.temperature), np.asarray(mdp.initial, dtype=float))


def student(n_particles: int, seed: int, *, outputs: float = 0.0) -> Array:
    """Points (N, 4), rows [ω0, k_s, k_a, b]: first layer N(0, 4), output weights N(0, outputs²), by default 0 as in the paper."""
    rng = np.random.default_rng(seed)
    first_layer = rng.normal(0.0, 2.0, (n_particles, 3))
    return np.column_stack([outputs * rng.standard_normal(n_particles), first_layer])


def _features(states: Array, actions: Array) -> Array:
    """Rows (s_i, a_j, 1) of all nodes, actions fastest, (M, 3)."""
    return np.column_stack([np.repeat(states, len(actions)), np.tile(actions, len(states)), np.ones(len(states) * len(actions))])


def _choose(activation: str, relu: Any, tanh: Any) -> Any:
    choices = {"relu": relu, "tanh": tanh}
    if activation not in choices:
        raise ValueError(f"activation must be one of {', '.join(choices)}; got {activation!r}")
    return choices[activation]


def numpy_field(problem: Problem, activation: str) -> Field:
    """Points (N, 4) -> (E, velocity) in NumPy, by the explicit gradient of math.md §3: for SciPy's solvers.

    Features (N, 3) @ (3, M), then the activation, then a product with ω0; three N x M arrays at the peak. The broadcast
    (N, n_s, n_a) tensor costs the same within 10 %, (M, N) order 2 to 3 times as much.
    """
    p, n = problem, len(problem.states)
    features, weights = _features(p.states, p.actions), p.action_weights
    activate = _choose(activation, _numpy_relu, _numpy_tanh)

    def field(points: Array) -> tuple[float, Array]:
        output, inner = points[:, 0], points[:, 1:]
        neurons, slopes = activate(inner @ features.T)
        f = (output @ neurons).reshape(n, n) / len(points)
        peak = f.max(axis=1, keepdims=True)
        log_policy = f - peak - np.log(np.exp(f - peak) @ weights)[:, None]
        policy = weights * np.exp(log_policy)  # probabilities w π
        bellman = np.eye(n) - p.discount * (JUMP * policy + (1.0 - JUMP) / n)
        value = np.linalg.solve(bellman, (policy * (p.reward - p.temperature * log_policy)).sum(axis=1))
        occupancy = np.linalg.solve(bellman.T, p.initial)
        action_value = p.reward + p.discount * (JUMP * value + (1.0 - JUMP) * value.mean())
        advantage = action_value - p.temperature * log_policy - value[:, None]
        signal = (occupancy[:, None] * policy * advantage).ravel()
        gradient = slopes @ (signal[:, None] * features)
        return float(p.initial @ value), np.column_stack([neurons @ signal, output[:, None] * gradient])

    return field


def _numpy_relu(x: Array) -> tuple[Array, Array]:
    return np.maximum(x, 0.0), (x > 0.0).astype(float)


def _numpy_tanh(x: Array) -> tuple[Array, Array]:
    neurons = np.tanh(x)
    return neurons, 1.0 - neurons**2


def _jax_energy(problem: Problem, activation: str, block: int | None) -> Callable[[Any], Any]:
    """E of points (N, 4) as a JAX function to differentiate and compile."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    p, n = problem, len(problem.states)
    features = _features(p.states, p.actions)
    activate = _choose(activation, jax.nn.relu, jnp.tanh)

    def summed(points: Any) -> Any:
        return points[:, 0] @ activate(points[:, 1:] @ features.T)

    def blocked(points: Any) -> Any:
        if len(points) % block:
            raise ValueError(f"block must divide the number of particles {len(points)}; got {block}")
        step = jax.checkpoint(lambda total, part: (total + summed(part), None))  # the adjoint recomputes the block's neurons
        return jax.lax.scan(step, jnp.zeros(n * n), points.reshape(-1, block, 4))[0]

    def energy(points: Any) -> Any:
        total = summed(points) if block is None else blocked(points)
        f = total.reshape(n, n) / len(points)
        log_policy = f - jax.scipy.special.logsumexp(f, axis=1, b=p.action_weights, keepdims=True)
        policy = p.action_weights * jnp.exp(log_policy)
        reward = (policy * (p.reward - p.temperature * log_policy)).sum(axis=1)
        value = jnp.linalg.solve(jnp.eye(n) - p.discount * (JUMP * policy + (1.0 - JUMP) / n), reward)
        return p.initial @ value

    return energy


def jax_field(problem: Problem, activation: str, *, block: int | None = None) -> Field:
    """Points (N, 4) -> (E, velocity), finished when it returns; ``jit`` of ``value_and_grad``, compiled at the first call per shape.

    With ``block=None`` (plain): features (N, 3) @ (3, M), activation, product with ω0; temporaries of two N x M arrays. It is the
    fastest plain form: (M, N) order costs 1.0 to 1.15 times as much, the broadcast (N, n_s, n_a) tensor with einsum 1.1 to 2.2 times,
    with a sum or ``vmap`` over neurons 2.3 to 2.6 times.

    With a ``block`` (100 was the best of 20 to 400): the same lines under ``lax.scan`` over blocks of particles, each
    ``jax.checkpoint``ed, so that a block stays in cache; temporaries of two block x M arrays, 3 to 5 times faster than plain.
    """
    import jax

    value_and_grad = jax.jit(jax.value_and_grad(_jax_energy(problem, activation, block)))
    scale = jax.jit(lambda gradient: len(gradient) * gradient)

    def field(points: Any) -> tuple[Any, Any]:
        value, gradient = value_and_grad(points)
        return jax.block_until_ready((value, scale(gradient)))  # type: ignore[no-any-return]

    return field


def jax_velocity(problem: Problem, activation: str, *, block: int | None = None) -> Callable[[Any], Any]:
    """Points (N, 4) -> velocity (N, 4), jitted and asynchronous: the vector field for Diffrax. `block` as in `jax_field`."""
    import jax

    gradient = jax.grad(_jax_energy(problem, activation, block))
    return jax.jit(lambda points: len(points) * gradient(points))  # type: ignore[no-any-return]


class DiffraxRun(NamedTuple):
    """Final points (N, 4), steps attempted, how many of them were rejected, and field evaluations: 6 a step and one at the start."""

    points: Array
    steps: int
    rejected: int
    evaluations: int


def diffrax_solve(problem: Problem, points0: Array, t_end: float, rtol: float, atol: float, *, activation: str = "relu",
                  block: int | None = None) -> DiffraxRun:  # fmt: skip
    """Diffrax's Tsit5 under its default ``PIDController`` from 0 to `t_end`, jitted as a whole, without a step limit.

    The first call for a problem, activation, block and number of particles compiles (about 1 s); times and tolerances are traced.
    Evaluations follow from Tsit5's first-same-as-last stages, a rejected step keeping its first; a counting callback confirmed it.
    """
    import jax

    solve = _diffrax_integrator(problem, activation, block)
    points, attempted, rejected = jax.block_until_ready(solve(points0, float(t_end), rtol, atol))
    return DiffraxRun(np.asarray(points), int(attempted), int(rejected), 6 * int(attempted) + 1)


@cache
def _diffrax_integrator(problem: Problem, activation: str, block: int | None) -> Callable[..., Any]:
    import diffrax
    import jax

    velocity = jax_velocity(problem, activation, block=block)
    term = diffrax.ODETerm(lambda t, points, args: velocity(points))  # noqa: ARG005

    def solve(points0: Any, t_end: Any, rtol: Any, atol: Any) -> tuple[Any, Any, Any]:
        solution = diffrax.diffeqsolve(
            term, diffrax.Tsit5(), 0.0, t_end, None, points0, saveat=diffrax.SaveAt(t1=True), max_steps=None,
            stepsize_controller=diffrax.PIDController(rtol=rtol, atol=atol),
        )  # fmt: skip
        return solution.ys[0], solution.stats["num_steps"], solution.stats["num_rejected_steps"]

    return jax.jit(solve)  # type: ignore[no-any-return]


def torch_field(problem: Problem, activation: str, *, compiled: bool = False) -> Field:
    """Points (N, 4) tensor or array -> (E, velocity tensor) by autograd, on as many threads as PyTorch was given.

    Eager by default: broadcast (n_s, n_a, N) pre-activations, activation, product with ω0; three N x M arrays at the peak. The
    features product in either order costs as much within 6 %, the (N, n_s, n_a) tensor with a sum 1.5 to 1.75 times.

    With `compiled`, ``torch.compile`` of the broadcast sum, the form that it fuses best: one N x M array, 1.7 to 3.5 times faster
    than eager; compiled at the first call, which needs a C++ compiler.
    """
    import torch

    p, n = problem, len(problem.states)
    s, a, w, r, initial = (torch.as_tensor(x, dtype=torch.float64) for x in (p.states, p.actions, p.action_weights, p.reward, p.initial))
    activate = _choose(activation, torch.relu, torch.tanh)
    eye = torch.eye(n, dtype=torch.float64)

    def eager(points: Any) -> Any:
        x = (s[:, None] * points[:, 1] + points[:, 3])[:, None, :] + a[:, None] * points[:, 2]
        return activate(x) @ points[:, 0] / len(points)

    def fusible(points: Any) -> Any:
        output, k_s, k_a, b = (column[:, None, None] for column in points.T)
        return (output * activate(k_s * s[:, None] + k_a * a + b)).mean(dim=0)

    forward = torch.compile(fusible) if compiled else eager

    def field(points: Any) -> tuple[float, Any]:
        leaf = torch.as_tensor(points, dtype=torch.float64).detach().requires_grad_(True)
        f = forward(leaf)
        log_policy = f - torch.logsumexp(f + w.log(), dim=1, keepdim=True)
        policy = w * log_policy.exp()
        reward = (policy * (r - p.temperature * log_policy)).sum(dim=1)
        energy = initial @ torch.linalg.solve(eye - p.discount * (JUMP * policy + (1.0 - JUMP) / n), reward)
        (gradient,) = torch.autograd.grad(energy, leaf)
        return energy.item(), len(leaf) * gradient

    return field


def _central_difference(field: Field, points: Array, direction: Array, step: float = 4e-3) -> float:
    """Derivative of E along `direction`, sixth order."""
    weights = {1: 45.0, 2: -9.0, 3: 1.0}
    return sum(c * (field(points + k * step * direction)[0] - field(points - k * step * direction)[0])
               for k, c in weights.items()) / (60.0 * step)  # fmt: skip


def main() -> None:
    """Agreement of the peers at N = 50, then seconds per evaluation at N = 800."""
    from benchmarks._harness import interleaved, ratio_table, write_output

    problem = Problem.agazzi_lu_grid(seed=0)
    lines = []
    for activation in ("relu", "tanh"):
        fields = {
            "JAX, plain": jax_field(problem, activation),
            "JAX, blocks of 100": jax_field(problem, activation, block=100),
            "PyTorch, eager": torch_field(problem, activation),
            "PyTorch, compiled": torch_field(problem, activation, compiled=True),
            "NumPy": numpy_field(problem, activation),
        }
        points = student(50, seed=1, outputs=1.0)
        value, velocity = fields["NumPy"](points)
        if activation == "tanh":  # with ReLU, kinks cross nodes inside the difference
            direction = np.random.default_rng(2).standard_normal(points.shape)
            slope = _central_difference(fields["NumPy"], points, direction)
            error = abs((direction * velocity).sum() / len(points) / slope - 1.0)
            lines += [f"{activation}: velocity against central differences, relative, {error:.1e}"]
        for name in ("JAX, plain", "PyTorch, eager", "PyTorch, compiled"):
            other, gradient = fields[name](points)
            relative = np.abs(np.asarray(gradient) - velocity).max() / np.abs(velocity).max()
            lines += [f"{activation}: NumPy and {name}: E {abs(float(other) / value - 1.0):.1e}, velocity {relative:.1e}, relative"]
        cloud = student(800, seed=1, outputs=1.0)
        seconds = interleaved({name: partial(field, cloud) for name, field in fields.items()}, repeats=9)
        lines += ["", f"{activation}, N = 800, seconds per evaluation", ratio_table(seconds, reference="JAX, plain"), ""]
    print("\n".join(lines))
    write_output(__file__, "\n".join(lines))


if __name__ == "__main__":
    main()
