"""The particle flow: packing, what it remembers, its error norm, and what holds along its runs (math.md §3; §11, row 4)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from wflow.energies import Entropy, Evaluation, PolicyValue, Potential
from wflow.flows import WassersteinFlow
from wflow.loop import solve
from wflow.mdp import agazzi_lu_bandit, agazzi_lu_grid
from wflow.measures import ParticleMeasure, laws


class Quadratic:
    """½ ∫ |x − c|² dν, descended or its negative ascended: points run into c like e^{-t}. The least that an energy must have."""

    def __init__(self, sense=-1):
        self.sense = sense
        self.calls = 0

    def value(self, measure):
        return -self.sense * 0.5 * float(measure.weights @ ((measure.points - 1.0) ** 2).sum(axis=1))

    def velocity(self, measure):
        self.calls += 1
        return 1.0 - measure.points


class Shared(Quadratic):
    """The same with `evaluate` and what an energy may add."""

    n_parameters = 2
    seconds = {"linear algebra": 0.0}

    def evaluate(self, measure):
        return Evaluation(measure, self.value(measure), self.velocity(measure))

    def static(self):
        return {"centre": np.ones(2)}


def random_measure(seed, n=5, m=2):
    rng = np.random.default_rng(seed)
    return ParticleMeasure(rng.standard_normal((n, m)), rng.dirichlet(np.ones(n)))


@given(seed=st.integers(0, 10**6), n=st.integers(1, 9), m=st.integers(1, 5))
def test_unpack_is_the_inverse_of_pack(seed, n, m):
    measure = random_measure(seed, n, m)
    flow = WassersteinFlow(Quadratic())
    y = flow.pack(measure)
    assert (y.shape, y.dtype, y.flags.c_contiguous) == ((n * m,), np.float64, True)
    again = flow.unpack(y)
    np.testing.assert_array_equal(again.points, measure.points)
    np.testing.assert_array_equal(again.weights, measure.weights)
    assert np.shares_memory(again.points, y)
    y[:] = 7.0
    assert not (measure.points == 7.0).any()  # the user's points are the user's


@pytest.mark.parametrize("problem", ["bandit", "grid"])
@pytest.mark.parametrize("activation", ["relu", "tanh", "rbf"])
def test_rhs_is_the_velocity(problem, activation):
    mdp = agazzi_lu_bandit(seed=1, n_actions=30) if problem == "bandit" else agazzi_lu_grid(seed=1, n_states=12, n_actions=15)
    energy = PolicyValue(mdp, activation)
    measure = random_measure(0, 20, energy.n_parameters)
    flow = WassersteinFlow(energy)
    y = flow.pack(measure)
    kept = y.copy()
    dy = flow.rhs(0.0, y)
    assert dy.shape == y.shape
    np.testing.assert_array_equal(y, kept)
    np.testing.assert_array_equal(dy.reshape(measure.points.shape), energy.velocity(measure))
    drift = {"invariant_drift": 0.0} if activation == "relu" else {}
    assert flow.diagnostics(0.0, y) == energy.evaluate(measure).diagnostics() | drift
    np.testing.assert_array_equal(flow.finals(0.0, y)["log_policy"], energy.log_policy(measure))
    assert flow.seconds is energy.seconds
    static = flow.static()
    np.testing.assert_array_equal(static["weights"], measure.weights)
    assert static["optimal_value"] == energy.optimum.objective


def test_diagnostics_are_free_at_the_state_seen_last():
    energy = Quadratic()
    flow = WassersteinFlow(energy)
    y = flow.pack(random_measure(0))
    flow.rhs(0.25, y)
    seen = flow.diagnostics(0.25, y)
    assert energy.calls == 1
    assert seen["energy"] == energy.value(flow.unpack(y))
    assert flow.evaluation(0.25 * (1.0 + 1e-15), y).value == seen["energy"]  # t = t_old + h may round
    assert energy.calls == 1


def test_only_that_array_at_that_time_is_remembered():
    energy = Quadratic()
    flow = WassersteinFlow(energy)
    y = flow.pack(random_measure(0))
    first = flow.rhs(0.25, y).copy()
    copy = y.copy()
    assert flow.diagnostics(0.25, copy) == flow.diagnostics(0.25, y)  # equal numbers in another array: worked out again
    assert energy.calls == 2
    y += 1.0  # as a method that fills one array again and again does, at another time
    moved = flow.diagnostics(0.5, y)
    assert energy.calls == 3
    assert moved["energy"] == energy.value(flow.unpack(y))
    np.testing.assert_allclose(flow.rhs(0.5, y), first - 1.0, rtol=1e-14)
    flow.pack(random_measure(1))
    assert flow.diagnostics(0.5, y[: len(y)])["energy"] == energy.value(flow.unpack(y))


def test_rhs_never_answers_from_memory():
    """At the same time and in the same array: only `diagnostics` may rely on what was seen."""
    flow = WassersteinFlow(Quadratic())
    y = flow.pack(random_measure(0))
    flow.rhs(0.0, y)
    y += 1.0
    np.testing.assert_array_equal(flow.rhs(0.0, y), 1.0 - y)


def test_the_velocity_may_be_overwritten():
    """`rhs` returns a fresh array, so a method that scales it in place must not spoil the diagnostics."""
    energy = PolicyValue(agazzi_lu_bandit(seed=0, n_actions=20), "tanh")
    flow = WassersteinFlow(energy)
    y = flow.pack(random_measure(0, 9, 3))
    dissipation = energy.evaluate(flow.unpack(y)).dissipation
    dy = flow.rhs(0.5, y)
    dy *= 1e-3
    assert flow.diagnostics(0.5, y)["dissipation"] == pytest.approx(dissipation, rel=1e-12)


@given(seed=st.integers(0, 10**6), n=st.integers(1, 6), m=st.integers(1, 4))
def test_error_norm(seed, n, m):
    """sqrt(sum_n p_n |e_n|² / sc_n²), sc_n = atol + rtol max(|ω_n|, |ω_n'|): a particle counts by its mass and has one scale."""
    flow, rng = WassersteinFlow(Quadratic()), np.random.default_rng(seed)
    measure = random_measure(seed, n, m)
    flow.pack(measure)
    error, old, new = rng.standard_normal((3, n, m))
    rtol, atol = 10.0 ** rng.uniform(-9, -1, 2)
    total = 0.0
    for p, e, x, y in zip(measure.weights, error, old, new, strict=True):
        total += p * (e @ e) / (atol + rtol * max(np.sqrt(x @ x), np.sqrt(y @ y))) ** 2
    arguments = [x.ravel() for x in (error, old, new)]
    kept = [x.copy() for x in arguments]
    assert flow.error_norm(*arguments, rtol, np.array([atol])) == pytest.approx(np.sqrt(total), rel=1e-13)
    for x, copy in zip(arguments, kept, strict=True):
        np.testing.assert_array_equal(x, copy)


def test_error_norm_at_its_edges():
    flow = WassersteinFlow(Quadratic())
    flow.pack(ParticleMeasure(np.zeros((3, 2)), [0.25, 0.75, 0.0]))
    zero, tolerance = np.zeros(6), np.array([1e-3])

    def norm(error, atol=tolerance):
        return flow.error_norm(np.array(error, dtype=float), zero, zero, 0.0, atol)

    assert norm([1e-3, 0, 1e-3, 0, 0, 0]) == pytest.approx(1.0)
    assert norm([0, 0, 0, 0, 1e6, 1e6]) == 0.0  # no mass, no say
    assert norm([0] * 6, np.array([0.0])) == 0.0  # an error of 0 needs no tolerance
    assert norm([1e-9, 0, 0, 0, 0, 0], np.array([0.0])) == np.inf
    assert np.isnan(norm([np.nan, 0, 0, 0, 0, 0]))
    assert np.isnan(norm([0, 0, 0, np.nan, 0, 0]))


def test_the_least_an_energy_must_have():
    energy = Quadratic()
    flow = WassersteinFlow(energy)
    y = flow.pack(random_measure(0, 6, 3))
    assert flow.seconds == {}
    assert list(flow.static()) == ["weights"]
    assert flow.finals(0.0, y) == {}
    assert flow.diagnostics(0.0, y) == {
        "energy": energy.value(flow.unpack(y)), "dissipation": pytest.approx(2.0 * energy.value(flow.unpack(y))),
    }  # fmt: skip


def test_what_an_energy_may_add():
    flow = WassersteinFlow(Shared())
    flow.pack(random_measure(0))
    assert flow.seconds is Shared.seconds
    assert list(flow.static()) == ["weights", "centre"]
    with pytest.raises(ValueError, match=r"^initial must have points with 2 columns for this energy; got 3$"):
        flow.pack(random_measure(0, 5, 3))


@pytest.mark.parametrize("sense", [1, -1])
def test_own_energy_decays_exponentially(sense):
    """x(t) = c + e^{-t} (x0 − c); E and its dissipation like e^{-2t}; SciPy's own driver drives the flow."""
    energy = Quadratic(sense)
    flow = WassersteinFlow(energy)
    measure = random_measure(0, 7, 3)
    run = solve_ivp(flow.rhs, (0.0, 2.0), flow.pack(measure), method="DOP853", rtol=1e-12, atol=1e-12)
    final = flow.unpack(run.y[:, -1])
    np.testing.assert_allclose(final.points, 1.0 + np.exp(-2.0) * (measure.points - 1.0), rtol=1e-10)
    assert energy.value(final) == pytest.approx(np.exp(-4.0) * energy.value(measure), rel=1e-10)
    assert sense * (energy.value(final) - energy.value(measure)) > 0.0


@pytest.mark.parametrize(("energy", "error", "message"), [
    (None, TypeError, r"^energy must have a method value\(measure\); got None$"),
    (agazzi_lu_bandit(), TypeError, r"^energy must have a method value\(measure\); got MDP\("),
    (type("Half", (), {"value": lambda self, measure: 0.0, "sense": 1})(), TypeError, r"^energy must have a method velocity\(measure\)"),
    (Quadratic(0), ValueError, r"^energy must have a sense of \+1 \(ascent\) or -1 \(descent\); got 0$"),
    (type("Blind", (), {"value": 1.0, "velocity": Quadratic.velocity})(), TypeError, r"^energy must have a method value\(measure\)"),
    (type("Senseless", (), {"value": Quadratic.value, "velocity": Quadratic.velocity})(), ValueError, "^energy must have a sense .*None$"),
])  # fmt: skip
def test_refuses_what_is_no_energy(energy, error, message):
    with pytest.raises(error, match=message):
        WassersteinFlow(energy)


@pytest.mark.parametrize("initial", [None, np.zeros((3, 3)), laws.student(3)])
def test_refuses_what_is_no_measure(initial):
    with pytest.raises(TypeError, match=r"^initial must be a ParticleMeasure; got"):
        WassersteinFlow(PolicyValue(agazzi_lu_bandit())).pack(initial)


def test_refuses_another_number_of_columns():
    with pytest.raises(ValueError, match=r"^initial must have points with 3 columns for this energy; got 4$"):
        WassersteinFlow(PolicyValue(agazzi_lu_bandit())).pack(laws.student(4).sample(3, 0))


@pytest.mark.parametrize("activation", ["tanh", "gaussian", "rbf"])
@pytest.mark.parametrize("problem", ["bandit", "grid"])
def test_energy_rises_by_the_dissipation(problem, activation):
    """E(t) − E(0) = ∫ ∫ |F|² dν dt, the integral carried along as one more component of the state; E increases throughout."""
    mdp = agazzi_lu_bandit(seed=1, n_actions=20) if problem == "bandit" else agazzi_lu_grid(seed=1, n_states=8, n_actions=10)
    energy = PolicyValue(mdp, activation)
    flow = WassersteinFlow(energy)
    rng = np.random.default_rng(0)
    initial = ParticleMeasure(laws.student(energy.n_parameters).sample(15, 0).points, rng.dirichlet(np.ones(15)))
    y = flow.pack(initial)

    def field(t, state):
        evaluation = flow.evaluation(t, state[:-1])
        return np.append(evaluation.velocity, evaluation.dissipation)

    run = solve_ivp(field, (0.0, 1000.0), np.append(y, 0.0), method="DOP853", rtol=1e-10, atol=1e-12, t_eval=np.linspace(0.0, 1000.0, 60))
    assert run.success
    energies = np.array([energy.value(flow.unpack(np.ascontiguousarray(state[:-1]))) for state in run.y.T])
    risen = energies[-1] - energies[0]
    assert risen > 1e-5
    assert (np.diff(energies) > 0.0).all()
    np.testing.assert_allclose(energies - energies[0], run.y[-1], rtol=0, atol=1e-7 * risen)


def invariant_drift(n_actions, step, activation="relu"):
    """Largest change of ω0² − |ω̄|² over a run of the classical Runge–Kutta method to t = 400."""
    energy = PolicyValue(agazzi_lu_bandit(seed=0, n_actions=n_actions), activation)
    flow = WassersteinFlow(energy)
    y = flow.pack(laws.student(energy.n_parameters).sample(60, 1))

    def invariant(y):
        points = y.reshape(-1, energy.n_parameters)
        return points[:, 0] ** 2 - (points[:, 1:] ** 2).sum(axis=1)

    start = invariant(y)
    drift = 0.0
    for _ in range(round(400.0 / step)):
        k1 = flow.rhs(0.0, y)
        k2 = flow.rhs(0.0, y + 0.5 * step * k1)
        k3 = flow.rhs(0.0, y + 0.5 * step * k2)
        k4 = flow.rhs(0.0, y + step * k3)
        y = y + step / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
        drift = max(drift, float(np.abs(invariant(y) - start).max()))
    return drift


def test_relu_invariant():
    """ω0² − |ω̄|² drifts at the method's order, 4, while kinks see a smooth field; on coarse nodes like h; not kept at all by tanh.

    math.md §7: on finite nodes ∇g jumps where a kink passes one, so that the order is lost below steps that feel single nodes.
    """
    fine = np.array([invariant_drift(400, step) for step in (10.0, 5.0, 2.5)])
    assert (np.log2(fine[:-1] / fine[1:]) > 3.7).all()
    assert fine[-1] < 1e-7
    coarse = np.array([invariant_drift(10, step) for step in (5.0, 1.25)])
    assert coarse[1] < 0.5 * coarse[0]  # at least O(h): a quarter, with room for chance
    assert coarse[1] > 10.0 * fine[-1]  # refining the nodes is what removes it
    assert invariant_drift(100, 10.0, "tanh") > 1e-2


def test_a_solution_outlives_the_next_run_of_its_flow():
    """A flow that has moved on to another measure must not reshape, or reweigh, what it moved before."""
    energy = PolicyValue(agazzi_lu_bandit(seed=0))
    flow, law = WassersteinFlow(energy), laws.student(energy.n_parameters)
    weights = np.arange(1.0, 9.0) / 36.0
    first = solve(flow, ParticleMeasure(law.sample(8, 0).points, weights), 1.0)
    points = first.final.points.copy()
    solve(flow, law.sample(4, 1), 1.0)
    np.testing.assert_array_equal(first.final.points, points)
    np.testing.assert_array_equal(first.final.weights, weights)


def test_the_drift_of_the_invariant_of_relu():
    """sqrt(sum_n p_n (I_n(t) - I_n(0))²) with I = ω0² - |ω̄|², by plain NumPy; the field keeps it, so that it falls with the tolerance."""
    energy = PolicyValue(agazzi_lu_grid(seed=1, n_states=12, n_actions=15))
    measure = random_measure(3, 20, energy.n_parameters)
    flow = WassersteinFlow(energy)
    y = flow.pack(measure)
    moved = np.random.default_rng(0).normal(size=measure.points.shape)
    before, after = (w[:, 0] ** 2 - (w[:, 1:] ** 2).sum(axis=1) for w in (measure.points, moved))
    expected = np.sqrt(measure.weights @ (after - before) ** 2)
    assert flow.diagnostics(1.0, moved.ravel())["invariant_drift"] == pytest.approx(expected, rel=1e-13)
    assert flow.diagnostics(0.0, y)["invariant_drift"] == 0.0
    runs = [solve(WassersteinFlow(energy), measure, 1.0, "euler", options={"dt": dt}) for dt in (0.02, 0.01, 0.005)]
    drifts = [run.diagnostics["invariant_drift"][-1] for run in runs]
    assert drifts[0] > 1.5 * drifts[1] > 2.25 * drifts[2] > 0.0
    with pytest.raises(KeyError):
        solve(WassersteinFlow(PolicyValue(energy.mdp, "softplus")), measure, 0.1).diagnostics["invariant_drift"]


def test_entropy_is_refused():
    with pytest.raises(ValueError, match=r"energy must be without entropy, .* got temperature 0\.5"):
        WassersteinFlow(Potential.quadratic() + Entropy(0.5))
