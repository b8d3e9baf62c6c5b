"""Methods by name, ours, SciPy's and those of peers: extensisq, Diffrax with a field in JAX (extra ``bench``)."""

from __future__ import annotations

import importlib.util
from typing import Any

from scipy.integrate import OdeSolver

from wflow import _checks, integrators
from wflow._checks import Array
from wflow.studies.integrators.cases import Case

__all__ = ["available", "check", "diffrax_run", "is_diffrax", "method_of"]

_EXTENSISQ = ("BS5", "CFMR7osc", "SSV2stab", "Ts5")


def method_of(name: str) -> str | type[OdeSolver]:
    """What ``wflow.solve`` takes for `name`: a name of ours or SciPy's, or ``"extensisq:CLASS"``."""
    library, _, method = name.rpartition(":")
    if library == "extensisq":
        solver: type[OdeSolver] = getattr(importlib.import_module("extensisq"), method)
        return solver
    return name


def is_diffrax(name: str) -> bool:
    """Whether it is ``"diffrax:SOLVER"``."""
    return name.startswith("diffrax:")


def available(names: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the names whose library is installed."""
    libraries = {"extensisq": ("extensisq",), "diffrax": ("jax", "diffrax")}
    needs = {name: libraries.get(name.partition(":")[0], ()) if ":" in name else () for name in names}
    return tuple(name for name in names if all(importlib.util.find_spec(library) for library in needs[name]))


def check(name: Any) -> str:
    """`name` as it is registered, if there is such a method and its library is installed.

    Raises
    ------
    ValueError, TypeError
        If there is not; the message names the nearest.
    ImportError
        If its library is missing: it comes with the extra ``bench``.
    """
    if not isinstance(name, str):
        raise TypeError(f"methods must be names; got {_checks.show(name)}")
    library, _, method = name.rpartition(":")
    if not library:
        solver = integrators.get(name)
        return next(known for known in integrators.names() if integrators.get(known) is solver)
    _checks.choice("library of a method", library, ("extensisq", "diffrax"))
    if not available((name,)):
        raise ImportError(f"{name} needs {library}: pip install 'wflow[bench]'")
    if library == "extensisq":
        _checks.choice("extensisq method", method, _EXTENSISQ)
    else:
        _checks.choice("diffrax method", method, tuple(_STAGES))
    return name


_STAGES = {"Tsit5": 6, "Dopri8": 13}  # evaluations an attempt


def diffrax_run(case: Case, name: str, rtol: float, times: Array, repeats: int) -> dict[str, Any]:
    """The same case by Diffrax, its field compiled and differentiated by JAX; returned as `wflow.studies.integrators.runs.run` does.

    Cases whose energy is no `PolicyValue` on one action coordinate have no such field: a run that "gave up" and says so.
    """
    import time

    import numpy as np

    start = case.build()
    energy = getattr(start.flow, "energy", None)
    points = getattr(start.initial, "points", np.empty((0, 0)))
    counts = {"evaluations": -1, "spectral_radius": 0, "steps": -1, "rejected": 0, "seconds": np.nan}
    nothing = {**counts, "times": times, "energy": np.full(len(times), np.nan), "drift": np.full(len(times), np.nan),
               "final": np.full(points.size, np.nan)}  # fmt: skip
    if not hasattr(energy, "network"):
        return {**nothing, "final": np.full(start.flow.pack(start.initial).size, np.nan), "status": "gave up", "message": "no field in JAX"}
    import diffrax
    import jax

    jax.config.update("jax_enable_x64", True)
    value = _jax_value(energy)
    gradient = jax.grad(value)
    solver = getattr(diffrax, name.rpartition(":")[2])()
    term = diffrax.ODETerm(lambda _t, y, _: len(points) * gradient(y))
    controller = diffrax.PIDController(rtol=rtol, atol=1e-3 * rtol)

    def integrate_once(y: Any) -> Any:
        return diffrax.diffeqsolve(term, solver, 0.0, times[-1], None, y, saveat=diffrax.SaveAt(ts=times), stepsize_controller=controller,
                                   max_steps=200_000, throw=False)  # fmt: skip

    integrate = jax.jit(integrate_once)
    found = jax.block_until_ready(integrate(points))  # compiles
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        found = jax.block_until_ready(integrate(points))
        seconds.append(time.perf_counter() - begin)
        if seconds[-1] > 1.0:
            break
    if found.result != diffrax.RESULTS.successful:
        return {**nothing, "seconds": min(seconds), "status": "failed", "message": str(found.result)}
    steps, rejected = int(found.stats["num_accepted_steps"]), int(found.stats["num_rejected_steps"])
    states = np.asarray(found.ys)
    return {**nothing, "status": "finished", "message": "", "seconds": min(seconds), "steps": steps, "rejected": rejected,
            "evaluations": _STAGES[name.rpartition(":")[2]] * (steps + rejected), "energy": np.array([float(value(y)) for y in states]),
            "final": states[-1].ravel()}  # fmt: skip


def _jax_value(energy: Any) -> Any:
    """E as a JAX function of points (N, m), by dense N × M arrays, as a user of JAX writes it."""
    import jax.numpy as jnp
    import numpy as np
    from jax.scipy.special import logsumexp

    problem, name = energy.mdp, energy.network.activation.name
    states, actions = problem.states.nodes, problem.actions.nodes
    n_s, n_a = len(states), len(actions)
    features = np.concatenate([np.repeat(states, n_a, axis=0), np.tile(actions, (n_s, 1)), np.ones((n_s * n_a, 1))], axis=1)
    sigma = {"relu": lambda x: jnp.maximum(x, 0.0), "tanh": jnp.tanh, "gaussian": lambda x: jnp.exp(-0.5 * x**2)}[name]
    log_w, tau, discount = np.log(problem.actions.weights), problem.temperature, problem.discount
    transition = np.zeros((n_s, n_a, n_s))
    if discount > 0.0:
        transition = np.stack([problem.transition.expect(unit) for unit in np.eye(n_s)], axis=-1)

    def value(points: Any) -> Any:
        f = (points[:, 0] @ sigma(points[:, 1:] @ features.T)).reshape(n_s, n_a) / len(points)
        log_policy = f - logsumexp(f + log_w, axis=1, keepdims=True)
        policy = jnp.exp(log_policy + log_w)
        reward = (policy * (problem.reward - tau * log_policy)).sum(axis=1)
        matrix = jnp.eye(n_s) - discount * jnp.einsum("ij,ijk->ik", policy, transition)
        return problem.initial @ jnp.linalg.solve(matrix, reward)

    return value
