"""Residuals of a measure against brute force in plain NumPy, at optima, at dead measures, and in every run (math.md §7)."""

from __future__ import annotations

from dataclasses import replace

import numba
import numpy as np
import pytest
from energies.oracle import problem
from hypothesis import given, settings
from hypothesis import strategies as st

from wflow import open as open_run
from wflow import solve
from wflow.energies import Box, PolicyValue, QuadraticInteraction, Residuals, Sphere, residuals
from wflow.flows import WassersteinFlow
from wflow.mdp import MDP, agazzi_lu_bandit, agazzi_lu_grid
from wflow.measures import ParticleMeasure, laws
from wflow.neurons import NAMES
from wflow.report import print_table


def plain_signal(case):
    """ϱ_i w_j π_ij δ_ij and δ, from dense linear algebra alone."""
    mdp, w, measure = case.mdp, case.mdp.actions.weights, case.measure
    f = np.einsum("n,nij->ij", measure.weights, case.neurons(measure.points.astype(complex)).real * np.ones((1, *mdp.reward.shape)))
    log_policy = f - f.max(axis=1, keepdims=True)
    log_policy -= np.log(np.exp(log_policy) @ w)[:, None]
    mass = w * np.exp(log_policy)
    matrix = np.eye(len(f)) - mdp.discount * np.einsum("ij,ijk->ik", mass, case.dense)
    soft = mdp.reward - mdp.temperature * log_policy
    value = np.linalg.solve(matrix, (mass * soft).sum(axis=1))
    occupancy = np.linalg.solve(matrix.T, mdp.initial)
    advantage = soft + mdp.discount * case.dense @ value - value[:, None]
    return occupancy[:, None] * mass, advantage


def plain_g(case, signal, inner):
    """sum_ij G_ij φ_ij at ω̄ (K, d)."""
    points = np.concatenate([np.ones((len(inner), 1)), inner], axis=1).astype(complex)
    blocks = np.array_split(points, max(1, len(points) // 20_000))
    return np.concatenate([np.einsum("ij,nij->n", signal, case.neurons(block).real) for block in blocks])


def fine(theta, n=200_000):
    """Places all over Θ, far more than the search has."""
    d, rng = theta.dimension, np.random.default_rng(7)
    if isinstance(theta, Box):
        inside, about = (rng.uniform(reach * theta.lower, reach * theta.upper, (n, d)) for reach in (1.0, 1.5))
        return np.concatenate([inside, theta.project(about)])  # faces, edges and corners too
    if d == 2:
        angles = np.linspace(0.0, 2.0 * np.pi, n)
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)
    x = rng.standard_normal((n, d))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["bandit", "dense"])
@pytest.mark.parametrize("name", NAMES)
def test_against_brute_force(name, kind, seed):
    """Nothing on a mesh of 200,000 or 400,000 is above what was found; that is attained; and its upper bound holds."""
    case = problem(seed, name, kind, n=20, n_a=8, d_s=0 if kind == "bandit" else 1)
    energy = case.energy()
    found = residuals(energy, case.measure)
    mass, advantage = plain_signal(case)
    signal = mass * advantage
    brute = np.abs(plain_g(case, signal, fine(energy.domain))).max()
    size = np.abs(signal).sum()
    assert found.g_sup >= brute - 1e-12 * size
    assert found.g_bound >= found.g_sup == abs(found.g_value)
    assert plain_g(case, signal, found.g_argmax[None])[0] == pytest.approx(found.g_value, abs=1e-12 * size)
    np.testing.assert_allclose(energy.domain.project(found.g_argmax), found.g_argmax, rtol=0, atol=1e-15)
    assert found.advantage_sup == pytest.approx(np.abs(advantage).max(), rel=1e-11)
    assert found.advantage_l2 == pytest.approx(np.sqrt((mass * advantage**2).sum()), rel=1e-11)
    evaluation = energy.evaluate(case.measure)
    assert found.dissipation == pytest.approx(case.measure.weights @ np.square(energy.velocity(case.measure)).sum(axis=1), rel=1e-12)
    assert (found.gap, found.gap_lower, found.gap_upper) == (evaluation.gap, evaluation.certificate.lower, evaluation.certificate.upper)
    assert found.gap_lower * (1 - 1e-12) <= found.gap <= found.gap_upper * (1 + 1e-12)


@given(seed=st.integers(0, 2**32 - 1), name=st.sampled_from(NAMES), d_s=st.integers(0, 2), d_a=st.integers(1, 2))
def test_the_lipschitz_constant(seed, name, d_s, d_a):
    """By loops, and held by g at pairs of places near and far."""
    case = problem(seed, name, d_s=d_s, d_a=d_a)
    energy = case.energy()
    signal = energy.signal(case.measure)
    steepest = {"relu": 1.0, "tanh": 1.0, "softplus": 1.0, "sigmoid": 0.25, "gaussian": np.exp(-0.5), "rbf": np.exp(-0.5)}[name]
    total = 0.0
    for i, s in enumerate(case.mdp.states.nodes):
        for j, a in enumerate(case.mdp.actions.nodes):
            total += abs(signal[i, j]) * (1.0 / case.width if name == "rbf" else np.sqrt(s @ s + a @ a + 1.0))
    assert energy.lipschitz(signal) == pytest.approx(steepest * total, rel=1e-12)
    x = case.rng.normal(0.0, 2.0, (200, case.measure.dimension - 1))
    y = x + case.rng.standard_normal(x.shape) * case.rng.choice([1e-3, 1.0], (200, 1))
    rise = np.abs(plain_g(case, signal, x) - plain_g(case, signal, y))
    assert (rise <= energy.lipschitz(signal) * np.linalg.norm(x - y, axis=1) * (1 + 1e-9)).all()


@pytest.mark.parametrize("mdp", [agazzi_lu_bandit(seed=3), agazzi_lu_grid(seed=3, n_states=12, n_actions=15)], ids=["bandit", "grid"])
def test_all_is_zero_at_the_optimum(mdp):
    """The teacher's five neurons as particles, its draw repeated here: π_ν = π*."""
    teacher = 2.0 * np.random.default_rng(3).standard_normal((5, 3 + mdp.states.dimension))
    found = residuals(PolicyValue(mdp), ParticleMeasure(teacher))
    numbers = (found.advantage_sup, found.advantage_l2, found.g_sup, found.g_bound, found.dissipation, found.gap, found.gap_upper)
    np.testing.assert_allclose(numbers, 0.0, atol=1e-13)


def test_the_dead_do_not_move_but_are_seen():
    """k·a + b ≤ 0 on all nodes: F = 0 on the support, exactly, and g ≠ 0 elsewhere."""
    rng = np.random.default_rng(1)
    slopes = rng.normal(size=50)
    dead = ParticleMeasure(np.stack([rng.normal(size=50), slopes, -np.maximum(slopes, 0.0) - rng.random(50)], axis=1))
    found = residuals(PolicyValue(agazzi_lu_bandit(seed=0)), dead)
    assert found.dissipation == 0.0
    assert found.g_sup > 1e-4
    assert found.gap > 1e-4


@given(seed=st.integers(0, 2**32 - 1), name=st.sampled_from(NAMES))
@settings(max_examples=15)
def test_scales_and_orders(seed, name):
    """L² ≤ sup · (1 − γ)^{−1/2}; rewards and temperature times c: δ and g times c, ∫|F|² times c²; the policy, and so all else, stands."""
    case = problem(seed, name)
    found = residuals(case.energy(), case.measure)
    assert found.advantage_l2 <= found.advantage_sup / np.sqrt(1.0 - case.mdp.discount) * (1 + 1e-12)
    c = 8.0
    scaled = replace(case.mdp, reward=c * case.mdp.reward, temperature=c * case.mdp.temperature)
    other = residuals(PolicyValue(scaled, name, width=case.width), case.measure)
    for key, power in (("advantage_sup", 1), ("advantage_l2", 1), ("g_sup", 1), ("g_bound", 1), ("gap", 1), ("dissipation", 2)):
        assert getattr(other, key) == pytest.approx(c**power * getattr(found, key), rel=1e-7, abs=1e-12)


def test_same_bits():
    case = problem(5, "relu", n=30)
    a, b = (residuals(case.energy(), case.measure).plain() for _ in range(2))
    assert a == b
    found = Residuals.of_plain(a)
    assert found.plain() == a


def test_domains_of_policy_values():
    bandit, grid = agazzi_lu_bandit(seed=0), agazzi_lu_grid(seed=0, n_states=5, n_actions=10)
    assert PolicyValue(bandit).domain == Sphere(2)
    assert PolicyValue(grid).domain == Sphere(3)
    box = PolicyValue(grid, "tanh").domain
    np.testing.assert_array_equal([box.lower, box.upper], [[-6.0] * 3, [6.0] * 3])
    box = PolicyValue(grid, "rbf", width=0.5).domain
    np.testing.assert_allclose([box.lower, box.upper], [[0.1 - 0.5, 0.05 - 0.5], [0.9 + 0.5, 0.95 + 0.5]])


def test_another_domain():
    case = problem(6, "tanh", "bandit", d_s=0)
    energy = case.energy()
    small, given_box, usual = (residuals(energy, case.measure, domain=theta) for theta in (1.0, Box.cube(2, 1.0), None))
    assert small.plain() == given_box.plain()
    assert np.abs(small.g_argmax).max() <= 1.0
    assert small.g_sup < usual.g_sup
    assert residuals(energy, case.measure, domain=6.0).plain() == usual.plain()


# --- other energies -----------------------------------------------------------------------------------------------------------


@numba.njit
def bent(x):
    return x / np.sqrt(1.0 + x * x)


@numba.njit
def bent_slope(x):
    return (1.0 + x * x) ** -1.5


def test_an_activation_of_ones_own_has_no_bound():
    found = residuals(PolicyValue(agazzi_lu_bandit(seed=0, n_actions=5), (bent, bent_slope)), laws.student(3).sample(10, seed=0))
    assert np.isnan(found.g_bound)
    assert found.g_sup > 0.0
    assert "at most" not in "\n".join(found.lines())


class Regression:
    """−½ mean (y − f)², ascended; neurons ω0 tanh(k x + b)."""

    sense = +1

    def __init__(self):
        self.x = np.linspace(-1.0, 1.0, 9)
        self.y = self.x**2

    def signal(self, measure):
        w, k, b = measure.points.T
        return (self.y - (measure.weights * w) @ np.tanh(np.outer(k, self.x) + b[:, None])) / len(self.x)

    def field(self, points, signal):
        w, k, b = points.T
        phi = np.tanh(np.outer(k, self.x) + b[:, None])
        slope = w[:, None] * (1.0 - phi**2)
        return np.stack([phi @ signal, slope @ (signal * self.x), slope @ signal], axis=1)

    def value(self, measure):
        return -0.5 * len(self.x) * float(np.square(self.signal(measure)).sum())

    def velocity(self, measure):
        return self.field(measure.points, self.signal(measure))


class Told(Regression):
    domain = Box.cube(2, 3.0)


def test_an_energy_of_ones_own():
    """Signal and field are enough: Θ is the box of 6, and what it has not is NaN."""
    energy, measure = Regression(), ParticleMeasure(np.random.default_rng(0).normal(size=(12, 3)))
    found = residuals(energy, measure)
    brute = np.abs(energy.field(np.insert(fine(Box.cube(2)), 0, 1.0, axis=1), energy.signal(measure))[:, 0]).max()
    assert brute <= found.g_sup * (1 + 1e-13)
    assert found.g_sup <= np.abs(energy.signal(measure)).sum()
    assert found.dissipation == pytest.approx(np.square(energy.velocity(measure)).sum() / 12)
    unknown = (found.advantage_sup, found.advantage_l2, found.g_bound, found.gap, found.gap_lower, found.gap_upper)
    assert np.isnan(unknown).all()
    assert len(found.lines()) == 2
    assert "δ" not in "\n".join(found.lines())


BANDIT = PolicyValue(agazzi_lu_bandit(seed=0, n_actions=5))
STUDENT = laws.student(3).sample(4, seed=0)


@pytest.mark.parametrize(("arguments", "options", "error", "named"), [
    ((BANDIT, STUDENT.points), {}, TypeError, "measure must be a ParticleMeasure"),
    ((object(), STUDENT), {}, TypeError, "energy must have a method signal"),
    ((BANDIT, laws.student(4).sample(4, seed=0)), {}, ValueError, "domain must lie in 3 dimensions"),
    ((BANDIT, ParticleMeasure([[1.0]])), {}, ValueError, "measure must have points .* 2 columns"),
    ((BANDIT, STUDENT), {"domain": Sphere(3)}, ValueError, "domain must lie in 2 dimensions, those of ω̄; got 3"),
    ((BANDIT, STUDENT), {"domain": -1.0}, ValueError, "domain must be a finite number above 0; got -1.0"),
    ((BANDIT, STUDENT), {"domain": "sphere"}, TypeError, "domain must be a finite number above 0; got 'sphere'"),
    ((QuadraticInteraction(), STUDENT), {}, ValueError, "energy must have a field of the form"),
])  # fmt: skip
def test_bad_arguments_are_named(arguments, options, error, named):
    with pytest.raises(error, match=named):
        residuals(*arguments, **options)


# --- in every run -------------------------------------------------------------------------------------------------------------


def test_a_run_keeps_those_of_its_last_state(tmp_path, capsys):
    energy = PolicyValue(agazzi_lu_bandit(seed=1, n_actions=20))
    run = solve(WassersteinFlow(energy), laws.student(3).sample(30, seed=1), 10.0, path=tmp_path / "a.h5")
    again = open_run(tmp_path / "a.h5")
    expected = residuals(energy, run.final)
    assert run.residuals.plain() == again.residuals.plain() == expected.plain()
    assert expected.dissipation == run.dissipation[-1]
    for solution in (run, again):
        first, second = [line[20:] for line in solution.summary().splitlines() if "sup|" in line]
        assert first == f"sup|δ| {expected.advantage_sup:.3g} (in L² {expected.advantage_l2:.3g}), ∫|F|²dν {expected.dissipation:.3g}"
        x, y = expected.g_argmax
        assert second == f"sup|g_ν| {expected.g_sup:.3g} (at most {expected.g_bound:.3g}) at ω̄ = ({x:.3g}, {y:.3g})"
    print_table([again])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    head = next(k for k, line in enumerate(lines) if line[:2] == ["residuals", "sup|δ|"])
    row = lines[head + 2]
    assert row[:2] == ["run", "0"]
    assert float(row[2]) == pytest.approx(expected.advantage_sup, rel=1e-2)
    assert row[-1] == f"{y:.3g})"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [1e60, 1e99])
@pytest.mark.parametrize("name", ["relu", "tanh"])
def test_numbers_at_the_edge_make_no_noise(name, size):
    """Rewards and weights whose squares or products overflow: a number, inf, or one line, and never a warning."""
    mdp = MDP(reward=[[size, -size, 0.0]], transition=None, discount=0.0, temperature=0.1)
    with np.errstate(all="warn", under="ignore"):
        run = solve(WassersteinFlow(PolicyValue(mdp, name)), ParticleMeasure(size * STUDENT.points), 1e-3, max_steps=2)
    assert ("sup|δ|" in run.summary()) != ("not worked out" in run.summary())


def test_an_interrupted_run_has_them_and_an_older_one_does_not():
    energy = PolicyValue(agazzi_lu_bandit(seed=1, n_actions=20))
    run = solve(WassersteinFlow(energy), STUDENT, 1e4, max_steps=3)
    assert not run.status.ok
    assert run.residuals.plain() == residuals(energy, run.final).plain()
    older = {key: value for key, value in run.stored.summary.items() if key != "residuals"}
    old = replace(run, stored=replace(run.stored, summary=older))
    assert old.residuals is None
    assert "sup|" not in old.summary()
    assert len(old.summary().splitlines()) == len(run.summary().splitlines()) - 2


def test_a_resumed_run_has_the_same_bits(tmp_path):
    reward = np.random.default_rng(0).random((3, 4))
    energy = PolicyValue(MDP(reward=reward, transition=np.full((3, 4, 3), 1 / 3), discount=0.5, temperature=0.2))
    initial = laws.student(energy.n_parameters).sample(9, seed=2)
    whole = solve(WassersteinFlow(energy), initial, 50.0)
    solve(WassersteinFlow(energy), initial, 50.0, max_steps=4, path=tmp_path / "a.h5")
    resumed = solve(WassersteinFlow(energy), initial, 50.0, path=tmp_path / "a.h5", resume=True)
    assert resumed.residuals.plain() == whole.residuals.plain()


def test_energies_without_a_domain_run_without():
    for energy in (Regression(), QuadraticInteraction()):
        run = solve(WassersteinFlow(energy), STUDENT, 1.0)
        assert run.residuals is None
        assert "sup|" not in run.summary()
    run = solve(WassersteinFlow(Told()), STUDENT, 1.0)
    assert repr(run.residuals) == repr(residuals(Told(), run.final))
    assert np.abs(run.residuals.g_argmax).max() <= 3.0


def test_what_an_energy_raises_does_not_take_the_run_with_it():
    class Wrong(Told):
        domain = Sphere(5)

    run = solve(WassersteinFlow(Wrong()), STUDENT, 1.0)
    assert run.status.ok
    assert run.residuals is None
    assert "residuals         not worked out: ValueError: domain must lie in 2 dimensions" in run.summary()
