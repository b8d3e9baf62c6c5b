"""Public functions that take arrays or numbers, with arguments that fit them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from scipy import sparse

import wflow
from wflow import energies, flows, integrators, mdp, measures, neurons, record, spaces
from wflow.measures import laws
from wflow.solution import Solution


@dataclass(frozen=True, eq=False)
class Call:
    """A function, arguments that fit it, and further names under which an error may speak of them."""

    name: str
    function: Callable[..., Any]
    arguments: dict[str, Any]
    also: tuple[str, ...] = ()
    finite: bool = True  # whether the result must be: compiled loops, which check shapes only, hand on what they are given


# --- what is called; each gives what must be finite, and what must come out bit for bit from the same values


def _space(space: spaces.Space) -> Any:
    return space.nodes, space.weights, space.total


def _kernel(kernel: mdp.Transition) -> Any:
    n_s, n_a, _ = kernel.shape
    return kernel.expect(np.arange(float(n_s))), kernel.policy_matrix(np.full((n_s, n_a), 1.0 / n_a)), kernel.to_dense()


def _problem(problem: mdp.MDP) -> Any:
    best = mdp.optimum(problem)
    uniform = np.full(problem.reward.shape, -math.log(problem.actions.total))
    return best.value, best.action_value, best.policy, mdp.evaluate(problem, uniform).advantage


def _evaluation(found: mdp.PolicyEvaluation) -> Any:
    return found.value, found.action_value, found.advantage, found.occupancy


def _measure(measure: measures.ParticleMeasure) -> Any:
    return measure.points, measure.weights, measure.mean(), measure.covariance()


def _bracket(distance: measures.distances.W2Result) -> Any:
    return distance.lower, distance.upper, distance.gap


def _energy(energy: energies.PolicyValue, points: Any = None) -> Any:
    measure = laws.student(energy.n_parameters, 1.0).sample(5, 0)
    found = energy.evaluate(measure)
    variation = energy.first_variation(measure, measure.points if points is None else points)
    return found.value, found.velocity, found.gap, found.dissipation, variation


def _flow(energy: Any) -> Any:
    flow = flows.WassersteinFlow(energy)
    return flow.rhs(0.0, flow.pack(CLOUD))


def _times(schedule: record.Schedule) -> Any:
    return schedule.due(0.0, 1.0), schedule.keeps(0), schedule.keeps(3)


def _run(**arguments: Any) -> Any:
    solution: Solution = wflow.solve(**arguments)
    if not solution.status.ok:  # the last good state is finite; what is recorded of it need not be
        return solution.final.points
    return solution.times, *solution.diagnostics.values(), solution.final.points


def _steps(method: str) -> Callable[..., Any]:
    def run(**arguments: Any) -> Any:
        stepper = integrators.start(integrators.get(method), lambda t, y: -y, **arguments)
        with np.errstate(all="ignore"):  # SciPy's steps may overflow before they are refused
            for _ in range(3):
                if stepper.status == "running":
                    stepper.step()
        return stepper.y, stepper.t

    return run


# --- with what; numbers that half precision can hold, where it matters

_RNG = np.random.default_rng(0)
P = _RNG.dirichlet(np.ones(3), (3, 2))
SPARSE = sparse.csr_array(P.reshape(6, 3))
TARGET, LAW = np.array([[0, 1], [2, 1], [0, 0]]), np.array([0.5, 0.25, 0.25])
REWARD = np.array([[0.5, 0.25], [1.0, 0.0], [0.75, 0.5]])
UNIFORM = np.full((3, 2), -math.log(2.0))
PROBLEM = mdp.MDP(reward=REWARD, transition=P, discount=0.5, temperature=0.25)
BANDIT = mdp.agazzi_lu_bandit(n_actions=5)
RELU = energies.PolicyValue(BANDIT)
POINTS = _RNG.integers(-4, 5, (6, 3)) / 4.0
WEIGHTS = np.array([0.25, 0.25, 0.125, 0.125, 0.125, 0.125])
CLOUD = measures.ParticleMeasure(POINTS, WEIGHTS)
OTHER = measures.ParticleMeasure(POINTS[:4] + 0.5)
FLOW = flows.WassersteinFlow(RELU)

INTERVAL = {"n": 5, "low": -1.0, "high": 2.0}
COLD = {"discount": 0.5, "temperature": 0.25}
TEACHER = {"seed": 3, "n_actions": 4, "temperature": 0.5, "n_teacher": 3, "variance": 4.0, "normalise": True, "bias": True}
SOLVE = {"flow": FLOW, "initial": CLOUD, "t_end": 0.5, "rtol": 1e-3, "atol": 1e-6, "max_steps": 4, "steady": 1e-9, "t_start": 0.0}
STEP = {"t0": 0.0, "y0": np.array([1.0, 0.5, 2.0]), "t_bound": 1.0}


@cache
def calls() -> tuple[Call, ...]:
    """Everything that is called."""
    return (*_spaces(), *_kernels(), *_problems(), *_measures(), *_energies(), *_runs(), *_steppers())


def _spaces() -> list[Call]:
    space = spaces.Space
    rules = ("midpoint", "gauss_legendre", "clenshaw_curtis")
    return [
        Call("Space", lambda **a: _space(space(**a)), {"nodes": np.arange(6.0).reshape(3, 2), "weights": np.array([1.0, 0.5, 2.0])}),
        Call("Space.finite", lambda **a: _space(space.finite(**a)), {"nodes": np.array([1.0, 2.0, 4.0]), "weights": np.ones(3)}),
        Call("Space.finite", lambda **a: _space(space.finite(**a)), {"nodes": 4}),
        *(Call(f"Space.{rule}", lambda rule=rule, **a: _space(getattr(space, rule)(**a)), INTERVAL) for rule in rules),
        Call("Space.tensor_product", lambda factors: _space(space.tensor_product(*(factors if isinstance(factors, list) else [factors]))),
             {"factors": [space.midpoint(2), space.finite(3)]}),
    ]  # fmt: skip


def _kernels() -> list[Call]:
    kernels = (mdp.DenseTransition(P), mdp.SparseTransition(SPARSE), mdp.StructuredTransition(TARGET, LAW, 0.25))
    found = [
        Call("DenseTransition", lambda **a: _kernel(mdp.DenseTransition(**a)), {"array": P}, ("transition",)),
        Call("SparseTransition", lambda **a: _kernel(mdp.SparseTransition(**a)), {"matrix": SPARSE}, ("transition",)),
        Call("StructuredTransition", lambda **a: _kernel(mdp.StructuredTransition(**a)), {"target": TARGET, "law": LAW, "mixing": 0.25}),
        Call("as_transition", lambda **a: _kernel(mdp.as_transition(**a)), {"transition": P}),
    ]
    for kernel in kernels:
        found.append(Call(f"{type(kernel).__name__}.expect", kernel.expect, {"values": np.arange(3.0)}, finite=False))
        weighted = {"weighted_policy": np.full((3, 2), 0.5)}
        found.append(Call(f"{type(kernel).__name__}.policy_matrix", kernel.policy_matrix, weighted, finite=False))
    return found


def _problems() -> list[Call]:
    states, actions = spaces.Space.finite(3), spaces.Space.midpoint(2)
    problem = {"reward": REWARD, "transition": P, **COLD, "initial": LAW, "states": states, "actions": actions}
    library = {
        "garnet": {"n_states": 4, "n_actions": 2, "branching": 2, "seed": 1, **COLD},
        "gridworld": {"n_rows": 2, "n_columns": 3, "walls": [(0, 1)], "goal": (1, 2), "slip": 0.125, **COLD},
        "pendulum": {"n_angles": 3, "n_velocities": 4, "n_torques": 2, "time_step": 0.05, **COLD},
        "chain": {"H": 3, "n_actions": 2, "temperature": 0.25},
        "tree": {"reward": 1.0, **COLD},
        "three_armed_bandit": {"temperature": 0.25},
        "agazzi_lu_bandit": TEACHER,
        "agazzi_lu_grid": {**TEACHER, "n_states": 3, "discount": 0.5, "mixing": 0.25},
    }
    halves = np.array([0.5, 0.5])
    return [
        Call("MDP", lambda **a: _problem(mdp.MDP(**a)), problem),
        *(Call(name, lambda name=name, **a: _problem(getattr(mdp, name)(**a)), arguments) for name, arguments in library.items()),
        Call("evaluate", lambda **a: _evaluation(mdp.evaluate(**a)), {"mdp": PROBLEM, "log_policy": UNIFORM}),
        Call("optimum", lambda **a: mdp.optimum(**a).value, {"mdp": PROBLEM, "tolerance": 1e-12}),
        Call("gibbs_policy", mdp.gibbs_policy, {"action_value": REWARD, "weights": halves, "temperature": 0.25}),
        Call("statewise_kl", mdp.statewise_kl, {"log_p": UNIFORM, "log_q": REWARD, "weights": halves}, finite=False),
    ]


def _measures() -> list[Call]:
    def drawn(law: type[Any]) -> Callable[..., Any]:
        return lambda **a: laws.Product((law(**a),)).sample(4, 0).points

    return [
        Call("ParticleMeasure", lambda **a: _measure(measures.ParticleMeasure(**a)), {"points": POINTS, "weights": WEIGHTS}),
        Call("w2", lambda **a: _bracket(measures.distances.w2(**a)), {"mu": CLOUD, "nu": OTHER, "method": "auto", "gap": 1e-3, "seed": 3}),
        Call("Normal", drawn(laws.Normal), {"mean": 0.5, "variance": 2.0}),
        Call("Uniform", drawn(laws.Uniform), {"low": -1.0, "high": 2.0}),
        Call("Point", drawn(laws.Point), {"value": 0.5}),
        Call("Product", lambda **a: laws.Product(**a).sample(3, 1).points, {"factors": (laws.Normal(), laws.Point(1.0))}),
        Call("Product.sample", lambda **a: laws.student(3).sample(**a).points, {"n": 4, "seed": 7}),
        Call("student", lambda **a: laws.student(**a).sample(4, 0).points, {"n_parameters": 4, "variance": 2.0}),
    ]


def _energies() -> list[Call]:
    found = [
        Call("first_variation", lambda **a: _energy(RELU, **a), {"points": POINTS}),
        Call("PolicyValue.value", RELU.value, {"measure": CLOUD}),
        Call("PolicyValue.evaluate", lambda **a: RELU.evaluate(**a).velocity, {"measure": CLOUD}),
        Call("PolicyValue.log_policy", RELU.log_policy, {"measure": CLOUD}),
        Call("neurons.get", lambda **a: neurons.get(**a).width, {"activation": "rbf", "width": 0.5}),
    ]
    for activation in neurons.activations.NAMES:
        options = {"width": 0.5} if activation == "rbf" else {"algorithm": "direct"}
        found.append(Call(f"PolicyValue {activation}", lambda **a: _energy(energies.PolicyValue(**a)),
                          {"mdp": BANDIT, "activation": activation, **options}))  # fmt: skip
    for algorithm, activation in (("hinge", "relu"), ("direct", "tanh"), ("compressed", "tanh"), ("separable", "rbf")):
        network = neurons.Network(activation, BANDIT.states, BANDIT.actions, algorithm=algorithm)
        points = {"points": POINTS[:, : network.n_parameters].copy()}
        found.append(Call(f"Network.forward {algorithm}", network.forward, points | {"weights": WEIGHTS}, finite=False))
        found.append(Call(f"Network.adjoint {algorithm}", network.adjoint, points | {"signal": np.ones((1, 5))}, finite=False))
    return found


def _runs() -> list[Call]:
    found = [
        Call("WassersteinFlow", _flow, {"energy": RELU}),
        Call("WassersteinFlow.pack", FLOW.pack, {"initial": CLOUD}),
        Call("record.at", lambda **a: _times(record.at(**a)), {"times": np.array([0.0, 0.25, 0.5]), "states": 2}, ("record",)),
        Call("record.linear", lambda **a: _times(record.linear(**a)), {"n": 4, "states": "ends"}),
        Call("record.geometric", lambda **a: _times(record.geometric(**a)), {"n": 4, "first": 0.125, "states": "all"}),
        Call("solve", _run, SOLVE | {"record": np.array([0.125, 0.25])}, ("times",)),
        Call("solve", _run, SOLVE | {"provenance": {"seed": 1}, "events": ()}),
    ]
    for method in integrators.names():
        options = _options(method)
        found.append(Call(f"solve {method}", _run, SOLVE | {"method": method, "options": options}, (*options, "provenance")))
    return found


def _steppers() -> list[Call]:
    by_entry = {"atol": np.array([1e-6, 1e-5, 1e-4])}
    found = [Call(f"integrators.start {method}", _steps(method), STEP | by_entry) for method in ("bs3", "tsit5", "rkc2", "RK45")]
    for method in integrators.names():
        tolerances = {} if method == "euler" else {"rtol": 1e-3, "atol": 1e-6}
        found.append(Call(f"integrators.start {method}", _steps(method), STEP | _options(method) | tolerances))
    return found


def _options(method: str) -> dict[str, Any]:
    if method == "euler":
        return {"dt": 0.125}
    own = {"rkc2": {"max_stages": 7}, "LSODA": {"min_step": 1e-6}}
    return {"max_step": 0.5, "first_step": 0.125} | own.get(method, {})
