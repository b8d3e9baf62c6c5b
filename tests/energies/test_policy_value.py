"""The policy value and its velocity against an independent E in complex arithmetic (math.md §3; §11, rows 1 and 4)."""

from __future__ import annotations

import numpy as np
import pytest
from energies.oracle import STEP, problem
from hypothesis import given
from hypothesis import strategies as st

from wflow.energies import Evaluation, PolicyEvaluation, PolicyValue
from wflow.mdp import MDP, agazzi_lu_bandit, agazzi_lu_grid
from wflow.measures import ParticleMeasure, laws
from wflow.neurons import NAMES

BAR = 1e-11
SMOOTH = [name for name in NAMES if name != "relu"]

problems = {
    "seed": st.integers(0, 2**32 - 1),
    "kind": st.sampled_from(["dense", "sparse", "structured", "bandit"]),
    "n": st.integers(1, 7),
    "n_s": st.integers(1, 6),
    "n_a": st.integers(2, 9),
    "d_s": st.integers(0, 2),
    "d_a": st.integers(1, 2),
    "discount": st.sampled_from([0.0, 0.5, 0.95]),
    "temperature": st.sampled_from([0.0, 0.2, 2.0]),
}


def scale(case):
    """A bound on |V|: values round to its last digits, and gradients, sums of such values, in proportion."""
    return max(1.0, np.abs(case.mdp.reward).max() + case.mdp.temperature) / (1.0 - case.mdp.discount)


@given(**problems, name=st.sampled_from(NAMES))
def test_value(name, seed, **shape):
    case = problem(seed, name, **shape)
    energy = case.energy()
    exact = case.value(case.measure.points.astype(complex), case.measure.weights).real
    assert energy.value(case.measure) == pytest.approx(exact, abs=BAR * scale(case))
    assert energy.evaluate(case.measure).value == energy.value(case.measure)


@given(**problems, name=st.sampled_from(NAMES))
def test_velocity_is_the_gradient(name, seed, **shape):
    """p_n F(ω_n) = ∂E/∂ω_n by complex steps."""
    case = problem(seed, name, **shape)
    exact = case.gradient()
    got = case.measure.weights[:, None] * case.energy().velocity(case.measure)
    np.testing.assert_allclose(got, exact, rtol=0, atol=BAR * max(np.abs(exact).max(), 1e-3 * scale(case)))


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("kind", ["dense", "bandit"])
def test_velocity_by_central_differences_of_value(name, kind):
    case = problem(1, name, kind, n=4)
    energy, points, step = case.energy(), case.measure.points, 1e-5
    got = case.measure.weights[:, None] * energy.velocity(case.measure)
    for index in np.ndindex(*points.shape):
        shift = np.zeros(points.shape)
        shift[index] = step
        up, down = (energy.value(ParticleMeasure(points + s * shift, case.measure.weights)) for s in (1.0, -1.0))
        assert got[index] == pytest.approx((up - down) / (2.0 * step), abs=1e-7 * np.abs(got).max())


@pytest.mark.parametrize("name", ["relu", "tanh", "gaussian"])
def test_velocity_with_compressing_kernels(name):
    """As many particles and nodes as it takes for "auto" to leave the direct kernels."""
    case = problem(2, name, "structured", n=300, n_s=30, n_a=40)
    rows = [0, 150, 299]
    got = (case.measure.weights[:, None] * case.energy().velocity(case.measure))[rows]
    exact = np.empty_like(got)
    for i, n in enumerate(rows):
        for k in range(got.shape[1]):
            moved = case.measure.points.astype(complex)
            moved[n, k] += 1j * STEP
            exact[i, k] = case.value(moved, case.measure.weights).imag / STEP
    np.testing.assert_allclose(got, exact, rtol=0, atol=BAR * np.abs(exact).max())


@given(**problems, name=st.sampled_from(NAMES))
def test_first_variation_is_the_derivative_along_mixtures(name, seed, **shape):
    """d/dε E((1 − ε) ν + ε ν') = ∫ Ψ_ν d(ν' − ν) at ε = 0, the weights moving and the union of the points standing."""
    case = problem(seed, name, **shape)
    measure, rng = case.measure, case.rng
    other = ParticleMeasure(rng.normal(0.0, 1.5, (3, measure.dimension)), rng.dirichlet(np.ones(3)))
    epsilon = 1j * STEP
    union = np.vstack([measure.points, other.points])
    weights = np.concatenate([(1.0 - epsilon) * measure.weights, epsilon * other.weights])
    variation = case.energy().first_variation(measure, union)
    assert variation.shape == (len(union),)
    here, there = np.split(variation, [measure.size])
    exact = case.value(union.astype(complex), weights).imag / STEP
    assert other.weights @ there - measure.weights @ here == pytest.approx(exact, abs=BAR * max(np.abs(variation).max(), scale(case)))


@pytest.mark.parametrize("name", SMOOTH)
def test_velocity_is_the_gradient_of_the_first_variation(name):
    """ν held, the point moved; and Ψ = ω0 g, F_ω0 = g by homogeneity in ω0."""
    case = problem(3, name)
    energy, points, step = case.energy(), case.measure.points, 1e-5
    velocity = energy.velocity(case.measure)
    for k, unit in enumerate(np.eye(points.shape[1])):
        up, down = (energy.first_variation(case.measure, points + s * step * unit) for s in (1.0, -1.0))
        np.testing.assert_allclose(velocity[:, k], (up - down) / (2.0 * step), rtol=0, atol=1e-7 * np.abs(velocity).max())
    doubled = points * np.where(np.arange(points.shape[1]) == 0, 2.0, 1.0)
    variation = energy.first_variation(case.measure, points)
    np.testing.assert_allclose(variation, points[:, 0] * velocity[:, 0], rtol=1e-13)
    np.testing.assert_allclose(energy.first_variation(case.measure, doubled), 2.0 * variation, rtol=1e-13)


@given(**problems)
def test_euler_homogeneity_of_relu(seed, **shape):
    """ω0 F_ω0 = ω̄·F_ω̄, which keeps ω0² − |ω̄|² constant along the flow."""
    case = problem(seed, "relu", **shape)
    points = case.measure.points
    terms = points * case.energy().velocity(case.measure)
    signal = case.energy().evaluate(case.measure).signal
    size = np.abs(signal[None] * case.neurons(points)).sum(axis=(1, 2))
    assert (np.abs(terms[:, 0] - terms[:, 1:].sum(axis=1)) <= 1e-13 * (size + np.abs(terms).sum(axis=1))).all()


@given(**problems, name=st.sampled_from(NAMES))
def test_signal(name, seed, **shape):
    """G = ϱ w π δ from the Bellman quantities, rows summing to 0."""
    case = problem(seed, name, **shape)
    evaluation = case.energy().evaluate(case.measure)
    bellman = evaluation.bellman
    size = bellman.occupancy[:, None] * case.mdp.actions.weights * bellman.policy
    np.testing.assert_allclose(evaluation.signal, size * bellman.advantage, rtol=0, atol=BAR * scale(case) * size.max())
    assert (np.abs(evaluation.signal.sum(axis=1)) <= 1e-14 * np.abs(evaluation.signal).sum(axis=1) + 1e-28 * scale(case) ** 2).all()


def test_a_policy_without_choice_does_not_move():
    """One action: whatever the neurons do, π = 1/w, and the velocity vanishes to rounding."""
    case = problem(4, n_a=1)
    evaluation = case.energy().evaluate(case.measure)
    assert np.abs(evaluation.velocity).max() < 1e-13 * scale(case)
    assert evaluation.gap == pytest.approx(0.0, abs=1e-13)


@given(**{**problems, "temperature": st.sampled_from([0.05, 0.2, 2.0])}, name=st.sampled_from(NAMES))
def test_gap_and_certificate(name, seed, **shape):
    case = problem(seed, name, **shape)
    energy = case.energy()
    evaluation = energy.evaluate(case.measure)
    assert evaluation.gap == pytest.approx(energy.optimum.objective - evaluation.value, abs=BAR * scale(case))
    assert 0.0 <= evaluation.certificate.lower <= evaluation.gap * (1.0 + BAR) + BAR * scale(case)
    assert evaluation.gap <= evaluation.certificate.upper * (1.0 + BAR) + BAR * scale(case)
    assert evaluation.residual == np.abs(evaluation.bellman.advantage).max()


def test_diagnostics():
    case = problem(5)
    evaluation = case.energy().evaluate(case.measure)
    assert isinstance(evaluation, PolicyEvaluation)
    assert evaluation.measure is case.measure
    dissipation = sum(p * sum(v * v for v in row) for p, row in zip(case.measure.weights, evaluation.velocity, strict=True))
    assert evaluation.dissipation == pytest.approx(dissipation, rel=1e-13)
    assert evaluation.diagnostics() == {
        "energy": evaluation.value, "dissipation": evaluation.dissipation, "gap": evaluation.gap,
        "gap_lower": evaluation.certificate.lower, "gap_upper": evaluation.certificate.upper, "residual": evaluation.residual,
    }  # fmt: skip
    assert all(type(value) is float for value in evaluation.diagnostics().values())
    np.testing.assert_array_equal(evaluation.log_policy, case.energy().log_policy(case.measure))
    np.testing.assert_array_equal(evaluation.finals()["log_policy"], evaluation.log_policy)
    np.testing.assert_array_equal(evaluation.velocity, case.energy().velocity(case.measure))


def test_evaluation_of_any_energy():
    measure = ParticleMeasure([[1.0], [2.0]], [0.25, 0.75])
    evaluation = Evaluation(measure, 3.0, np.array([[2.0], [4.0]]))
    assert evaluation.dissipation == 0.25 * 4.0 + 0.75 * 16.0
    assert evaluation.diagnostics() == {"energy": 3.0, "dissipation": 13.0}


@pytest.mark.parametrize("name", NAMES)
def test_log_policy_is_normalised(name):
    case = problem(6, name)
    log_policy = case.energy().log_policy(case.measure)
    np.testing.assert_allclose(np.exp(log_policy) @ case.mdp.actions.weights, 1.0, rtol=1e-14)
    f = np.einsum("n,nij->ij", case.measure.weights, case.neurons(case.measure.points))
    np.testing.assert_allclose(np.diff(log_policy, axis=1), np.diff(f, axis=1), atol=1e-13)


def test_log_softmax_of_extreme_energies():
    """No overflow for f = ±1e5, and a policy with all its mass on one action."""
    mdp = MDP(reward=[[1.0, 2.0, 3.0]], transition=None, discount=0.0, temperature=0.1)
    energy = PolicyValue(mdp, "relu")
    for sign in (1.0, -1.0):
        log_policy = energy.log_policy(ParticleMeasure([[sign, 1e5, 0.0]]))
        np.testing.assert_allclose(log_policy, [[-2e5, -1e5, 0.0] if sign > 0 else [0.0, -1e5, -2e5]], rtol=1e-14)
        assert np.isfinite(energy.velocity(ParticleMeasure([[sign, 1e5, 0.0]]))).all()


def test_the_teacher_is_the_optimum():
    """The reward of the bandit is built from a ReLU teacher: n_teacher neurons reach gap 0 and stand still (math.md §4)."""
    rng = np.random.default_rng(3)
    teacher = ParticleMeasure(2.0 * rng.standard_normal((5, 3)))
    evaluation = PolicyValue(agazzi_lu_bandit(seed=3)).evaluate(teacher)
    assert evaluation.gap == pytest.approx(0.0, abs=1e-14)
    assert np.abs(evaluation.velocity).max() < 1e-12
    assert evaluation.residual < 1e-12
    rng = np.random.default_rng(3)
    teacher = ParticleMeasure(2.0 * rng.standard_normal((5, 4)))
    evaluation = PolicyValue(agazzi_lu_grid(seed=3)).evaluate(teacher)
    assert evaluation.gap == pytest.approx(0.0, abs=1e-14)
    assert np.abs(evaluation.velocity).max() < 1e-12


def test_students_policy_is_uniform():
    energy = PolicyValue(agazzi_lu_grid(seed=0, n_states=20, n_actions=20))
    measure = laws.student(energy.n_parameters).sample(50, 0)
    np.testing.assert_allclose(energy.log_policy(measure), 0.0, atol=1e-15)
    velocity = energy.velocity(measure)
    assert not velocity[:, 1:].any()  # ω0 = 0: only the output weights start to move
    assert velocity[:, 0].any()


def test_interface():
    case = problem(7, "rbf", d_s=2)
    energy = case.energy()
    assert energy.sense == 1
    assert (energy.n_parameters, PolicyValue(case.mdp, "tanh").n_parameters) == (4, 5)
    assert energy.network.activation.width == 0.6
    assert energy.seconds == {"linear algebra": 0.0}
    energy.value(case.measure)
    assert energy.seconds["linear algebra"] > 0.0
    static = energy.static()
    np.testing.assert_array_equal(static["states"], case.mdp.states.nodes)
    np.testing.assert_array_equal(static["actions"], case.mdp.actions.nodes)
    np.testing.assert_array_equal(static["action_weights"], case.mdp.actions.weights)
    assert static["optimal_value"] == energy.optimum.objective
    np.testing.assert_array_equal(static["optimal_log_policy"], energy.optimum.log_policy)


def test_errors():
    case = problem(8)
    energy = case.energy()
    narrow = ParticleMeasure(np.zeros((3, 3)))
    for call in (energy.value, energy.velocity, energy.evaluate, energy.log_policy):
        with pytest.raises(ValueError, match=r"^measure must have points with 4 columns; got 3$"):
            call(narrow)
    with pytest.raises(ValueError, match=r"^points must have shape \(any, 4\); got \(2, 3\)$"):
        energy.first_variation(case.measure, np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"^points must be finite; got nan at \[0, 0\]$"):
        energy.first_variation(case.measure, np.full((1, 4), np.nan))
    with pytest.raises(ValueError, match=r"^activation must be one of .* \(did you mean 'softplus'\?\)$"):
        PolicyValue(case.mdp, "softpluss")
    with pytest.raises(ValueError, match=r"^algorithm must be one of auto, compressed, direct; got 'hinge'"):
        PolicyValue(case.mdp, "tanh", algorithm="hinge")
    with pytest.raises(ValueError, match=r"^width must be left out"):
        PolicyValue(case.mdp, "tanh", width=0.1)


@pytest.mark.parametrize("mdp", [None, "agazzi_lu_grid", np.zeros((2, 2)), PolicyValue])
def test_what_is_no_mdp(mdp):
    with pytest.raises(TypeError, match=r"^mdp must be"):
        PolicyValue(mdp)


@pytest.mark.parametrize("measure", [None, np.zeros((3, 4)), [[0.0] * 4]])
def test_what_is_no_measure(measure):
    energy = problem(9).energy()
    for call in (energy.value, energy.velocity, energy.evaluate, energy.log_policy, lambda m: energy.first_variation(m, np.zeros((1, 4)))):
        with pytest.raises(TypeError, match=r"^measure must be"):
            call(measure)


@pytest.mark.parametrize("activation", ["relu", "tanh", "softplus", "rbf"])
def test_first_variation_at_no_points_is_empty(activation):
    energy = PolicyValue(agazzi_lu_grid(seed=0, n_states=5, n_actions=7), activation)
    measure = laws.student(energy.n_parameters).sample(10, 0)
    for algorithm in ("auto", energy.network._best):
        energy = PolicyValue(energy.mdp, activation, algorithm=algorithm)
        assert energy.first_variation(measure, np.zeros((0, energy.n_parameters))).shape == (0,)


@given(**problems, name=st.sampled_from(NAMES))
def test_the_signal_is_all_that_the_field_depends_on(name, seed, **shape):
    """`field` under the signal of a measure: its velocity at its own particles, the derivative of its first variation anywhere."""
    case = problem(seed, name, **shape)
    energy, measure = case.energy(), case.measure
    signal = energy.signal(measure)
    evaluation = energy.evaluate(measure)
    np.testing.assert_array_equal(signal, evaluation.signal)
    np.testing.assert_allclose(signal.sum(axis=1), 0.0, atol=BAR * scale(case))
    np.testing.assert_array_equal(energy.field(measure.points, signal), evaluation.velocity)
    points = case.rng.normal(0.0, 1.5, (4, measure.dimension))
    variation = energy.first_variation(measure, points)
    size = max(np.abs(variation).max(), scale(case))
    np.testing.assert_allclose(points[:, 0] * energy.field(points, signal)[:, 0], variation, atol=BAR * size)
    exact = np.einsum("ij,nij->n", signal, case.neurons(points) * np.ones((1, *case.mdp.reward.shape)))
    np.testing.assert_allclose(variation, exact, atol=BAR * size)


def norm_by_loops(case, function):
    """‖f‖² modulo functions of s, (n_s, n_a): weighted sums over the nodes, written out."""
    states, actions = case.mdp.states.weights, case.mdp.actions.weights
    square = 0.0
    for i, p in enumerate(states):
        mean = sum(q * x for q, x in zip(actions, function[i], strict=True)) / sum(actions)
        square += p / sum(states) * sum(q / sum(actions) * (x - mean) ** 2 for q, x in zip(actions, function[i], strict=True))
    return square


def functions(case, measure):
    """f_ν by the oracle's neurons, (n_s, n_a)."""
    return np.einsum("n,nij->ij", measure.weights, case.neurons(measure.points) * np.ones((1, *case.mdp.reward.shape)))


def with_state_weights(case):
    """The same problem with state nodes of unequal weights."""
    from dataclasses import replace

    from wflow.spaces import Space

    states = Space(case.mdp.states.nodes, case.rng.uniform(0.1, 2.0, case.mdp.states.size))
    old = case.mdp
    mdp = MDP(reward=old.reward, transition=case.dense if old.discount else None, discount=old.discount, temperature=old.temperature,
              initial=old.initial, states=states, actions=old.actions)  # fmt: skip
    return replace(case, mdp=mdp)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["dense", "bandit"])
def test_function_values_are_coordinates_of_the_function(name, kind):
    """Their distance is the L² distance of the functions with unequal weights, by loops; a function of s more changes nothing."""
    case = with_state_weights(problem(12, name, kind))
    energy, mine = case.energy(), case.measure
    rng = np.random.default_rng(1)
    other = ParticleMeasure(rng.normal(0.0, 1.5, (3, mine.dimension)), rng.dirichlet(np.ones(3)))
    values = [energy.function_values(measure) for measure in (mine, other)]
    assert values[0].shape == (case.mdp.reward.size,)
    difference = functions(case, mine) - functions(case, other)
    exact = norm_by_loops(case, difference)
    assert np.square(values[0] - values[1]).sum() == pytest.approx(exact, rel=1e-11)
    shifted = difference + np.arange(1.0, 1.0 + len(difference))[:, None]
    assert norm_by_loops(case, shifted) == pytest.approx(exact, rel=1e-11)
    uniform = ParticleMeasure(np.zeros((1, mine.dimension)))  # f = 0 is the origin
    np.testing.assert_allclose(energy.function_values(uniform), 0.0, atol=1e-15)


@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid"])
def test_function_values_do_not_see_a_function_of_the_state(activation):
    """Neurons that do not depend on the action, as heavy as one likes, beside the others."""
    case = problem(13, activation, n=4)
    deaf = np.random.default_rng(0).normal(0.0, 2.0, (3, case.measure.dimension))
    deaf[:, 2] = 0.0  # [ω0, k_s, k_a, b]
    energy, points = case.energy(), case.measure.points
    with_them = ParticleMeasure(np.vstack([points, deaf]), np.concatenate([0.5 * case.measure.weights, np.full(3, 0.5 / 3)]))
    without = ParticleMeasure(np.vstack([points, np.zeros((1, points.shape[1]))]), np.append(0.5 * case.measure.weights, 0.5))
    np.testing.assert_allclose(energy.function_values(with_them), energy.function_values(without), atol=1e-13)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["dense", "bandit"])
def test_function_variance_by_double_loop(name, kind):
    """½ ∬ ‖ψ(ω) − ψ(ω')‖² dν dν, pair by pair."""
    case = with_state_weights(problem(14, name, kind, n=6))
    neurons = case.neurons(case.measure.points) * np.ones((1, *case.mdp.reward.shape))
    pairs = sum(p * q * norm_by_loops(case, a - b) for p, a in zip(case.measure.weights, neurons, strict=True)
                for q, b in zip(case.measure.weights, neurons, strict=True))  # fmt: skip
    assert case.energy().function_variance(case.measure) == pytest.approx(pairs / 2.0, rel=1e-11)


@pytest.mark.parametrize("name", ["tanh", "rbf"])
def test_function_variance_in_blocks(name, monkeypatch):
    """More neurons than one block takes: the sum over parts, with their weights."""
    case = problem(15, name, n=50, n_s=60, n_a=70)
    tiled = ParticleMeasure(np.tile(case.measure.points, (6, 1)), np.tile(case.measure.weights, 6) / 6.0)
    assert tiled.size * case.mdp.reward.size > 2**20
    assert case.energy().function_variance(tiled) == pytest.approx(case.energy().function_variance(case.measure), rel=1e-11)


def test_function_variance_of_a_point_is_none():
    case = problem(16, n=1)
    assert case.energy().function_variance(case.measure) == pytest.approx(0.0, abs=1e-13)


@pytest.mark.parametrize("n", [1, 7])
def test_function_variance_is_n_times_the_expected_squared_error(n):
    """N particles drawn from a weighted measure, 4000 times."""
    case = problem(17, "tanh", n=5)
    energy, measure, rng = case.energy(), case.measure, np.random.default_rng(0)
    exact, errors = energy.function_values(measure), []
    for _ in range(4000 // n):
        drawn = ParticleMeasure(measure.points[rng.choice(measure.size, n, p=measure.weights)])
        errors.append(n * np.square(energy.function_values(drawn) - exact).sum())
    variance = energy.function_variance(measure)
    assert abs(np.mean(errors) - variance) < 4.0 * np.std(errors, ddof=1) / np.sqrt(len(errors))
    assert np.std(errors) / np.sqrt(len(errors)) < 0.1 * variance


def test_hooks_refuse_other_measures():
    energy = problem(18).energy()
    for call in (energy.signal, energy.function_values, energy.function_variance):
        with pytest.raises(TypeError, match=r"^measure must be a ParticleMeasure; got None$"):
            call(None)
        with pytest.raises(ValueError, match=r"must have .*; got"):
            call(ParticleMeasure(np.zeros((3, 3))))
    with pytest.raises(ValueError, match=r"^points must have shape \(any, 4\); got \(2, 3\)$"):
        energy.field(np.zeros((2, 3)), np.zeros(energy.network.shape))
    with pytest.raises(ValueError, match=r"^signal must have shape \(4, 6\); got \(6, 4\)$"):
        energy.field(np.zeros((2, 4)), np.zeros((6, 4)))
