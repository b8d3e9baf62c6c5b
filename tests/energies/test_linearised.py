"""DF[v] of the policy value: against the complex E, against differences of the field, and self-adjoint (math.md §3)."""

from __future__ import annotations

import numpy as np
import pytest
from energies.oracle import STEP, problem
from hypothesis import given
from hypothesis import strategies as st
from numba import njit
from scipy import sparse

from wflow.energies import PolicyValue
from wflow.flows import WassersteinFlow
from wflow.mdp import MDP, StructuredTransition, agazzi_lu_bandit, agazzi_lu_grid
from wflow.measures import ParticleMeasure
from wflow.neurons import NAMES
from wflow.spaces import Space

problems = {
    "seed": st.integers(0, 2**32 - 1),
    "kind": st.sampled_from(["dense", "sparse", "structured", "bandit"]),
    "n": st.integers(1, 6),
    "n_s": st.integers(1, 5),
    "n_a": st.integers(2, 7),
    "d_s": st.integers(0, 2),
    "d_a": st.integers(1, 2),
    "discount": st.sampled_from([0.0, 0.5, 0.95]),
    "temperature": st.sampled_from([0.0, 0.2, 2.0]),
}


def directional(energy, measure, v, step):
    """Central difference of fourth order of the velocity along v."""
    F = {c: energy.velocity(ParticleMeasure(measure.points + c * step * v, measure.weights)) for c in (-2, -1, 1, 2)}
    return (8.0 * (F[1] - F[-1]) - (F[2] - F[-2])) / (12.0 * step)


def hessian(case, v, step):
    """v · p DF[·] by complex steps of E: the gradient, exact to rounding, at four points around, (N, m)."""
    points = case.measure.points
    total = np.zeros(points.shape)
    for c, coefficient in ((-2, 1.0), (-1, -8.0), (1, 8.0), (2, -1.0)):
        for index in np.ndindex(*points.shape):
            moved = (points + c * step * v).astype(complex)
            moved[index] += 1j * STEP
            total[index] += coefficient * case.value(moved, case.measure.weights).imag / STEP / (12.0 * step)
    return total


@given(**problems, name=st.sampled_from(NAMES))
def test_self_adjoint(name, seed, **shape):
    """sum p u·DF[v] = sum p v·DF[u] at any point, stationary or not: both are the Hessian of E."""
    case = problem(seed, name, **shape)
    rng, weights = np.random.default_rng(seed), case.measure.weights[:, None]
    u, v = rng.normal(size=(2, *case.measure.points.shape))
    product = case.energy().linearised(case.measure)
    Du, Dv = product(u), product(v)
    size = (weights * np.abs(u) * np.abs(Dv)).sum() + (weights * np.abs(v) * np.abs(Du)).sum()
    scale = max(1.0, np.abs(case.mdp.reward).max() + case.mdp.temperature) / (1.0 - case.mdp.discount) ** 2
    assert (weights * u * Dv).sum() == pytest.approx((weights * v * Du).sum(), abs=1e-11 * size + 1e-13 * scale)


@pytest.mark.parametrize("kind", ["dense", "sparse", "structured", "bandit"])
@pytest.mark.parametrize("name", [name for name in NAMES if name != "relu"])
def test_against_the_complex_energy(name, kind):
    case = problem(5, name, kind, n=4, n_s=3, n_a=5, d_s=1, d_a=1, discount=0.5, temperature=0.2)
    v = np.random.default_rng(0).normal(size=case.measure.points.shape)
    v /= np.abs(v).max()
    got = case.measure.weights[:, None] * case.energy().linearised(case.measure)(v)
    exact = hessian(case, v, 5e-4)
    np.testing.assert_allclose(got, exact, rtol=0, atol=1e-9 * np.abs(exact).max())


@pytest.mark.parametrize("kind", ["dense", "structured", "bandit"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n", [5, 300])
def test_against_differences_of_the_field(name, kind, n):
    """Small enough a step for ReLU that no kink passes a node, whose jumps the product leaves out."""
    case = problem(3, name, kind, n=n, n_s=12, n_a=14, d_s=1, d_a=1, discount=0.5, temperature=0.2)
    v = np.random.default_rng(1).normal(size=case.measure.points.shape)
    got = case.energy().linearised(case.measure)(v)
    exact = directional(case.energy(), case.measure, v, 1e-7 if name == "relu" else 3e-4)
    np.testing.assert_allclose(got, exact, rtol=0, atol=1e-6 * np.abs(exact).max())


@pytest.mark.parametrize("kind", ["sparse", "structured"])
def test_with_many_states(kind):
    """Enough of them for the sparse LU, and for the dense one to hold BLAS to one thread."""
    n_s, n_a = 520, 3
    rng = np.random.default_rng(0)
    target = rng.integers(0, n_s, (n_s, n_a))
    if kind == "sparse":
        rows = np.arange(n_s * n_a)
        transition = sparse.csr_array((np.ones(rows.size), (rows, target.ravel())), shape=(rows.size, n_s))
    else:
        transition = StructuredTransition(target, rng.dirichlet(np.ones(n_s)), 0.1)
    mdp = MDP(reward=rng.normal(size=(n_s, n_a)), transition=transition, discount=0.8, temperature=0.2,
              initial=np.full(n_s, 1.0 / n_s), states=Space.midpoint(n_s), actions=Space.midpoint(n_a))  # fmt: skip
    assert (kind == "sparse") == sparse.issparse(transition_of(mdp))
    energy, measure = PolicyValue(mdp, "tanh"), ParticleMeasure(rng.normal(size=(20, 4)))
    v = rng.normal(size=(20, 4))
    exact = directional(energy, measure, v, 1e-3)
    np.testing.assert_allclose(energy.linearised(measure)(v), exact, rtol=0, atol=1e-8 * np.abs(exact).max())


def transition_of(mdp):
    return mdp.transition.policy_matrix(np.full((mdp.n_states, mdp.n_actions), 1.0 / mdp.n_actions))


@njit
def sine(x):
    return np.sin(x)


@njit
def cosine(x):
    return np.cos(x)


def test_of_a_users_own_activation():
    case = problem(3, "tanh", "dense", n=5, n_s=3, n_a=4, d_s=1, d_a=1)
    energy = PolicyValue(case.mdp, (sine, cosine))
    v = np.random.default_rng(1).normal(size=case.measure.points.shape)
    exact = directional(energy, case.measure, v, 1e-3)
    np.testing.assert_allclose(energy.linearised(case.measure)(v), exact, rtol=0, atol=1e-8 * np.abs(exact).max())


def test_linear_and_free_of_memory():
    case = problem(7, "tanh", "dense", n=5, n_s=3, n_a=4)
    product = case.energy().linearised(case.measure)
    u, v = np.random.default_rng(1).normal(size=(2, *case.measure.points.shape))
    Du, Dv = product(u), product(v)
    np.testing.assert_allclose(product(2.0 * u - 3.0 * v), 2.0 * Du - 3.0 * Dv, rtol=0, atol=1e-13 * np.abs(Du).max())
    np.testing.assert_array_equal(product(u), Du)
    with pytest.raises(ValueError, match="v must have shape"):
        product(u[:2])


@pytest.mark.parametrize("build", [agazzi_lu_bandit, agazzi_lu_grid])
def test_concave_near_the_optimum(build):
    """Where δ = 0 the Hessian is −τ times a covariance (math.md §3): the teacher itself, as a student, is such a point."""
    rng = np.random.default_rng(0)
    energy = PolicyValue(build(seed=0), "tanh")
    measure = ParticleMeasure(rng.normal(0.0, 2.0, (40, energy.n_parameters)))
    mdp = energy.mdp
    f = energy.network.forward(measure.points, measure.weights)
    value = mdp.temperature * np.log(np.exp(f) @ mdp.actions.weights)  # V* of the rewards for which f is optimal
    reward = mdp.temperature * f - mdp.discount * mdp.transition.expect(value)
    solved = PolicyValue(type(mdp)(reward=reward, transition=mdp.transition, discount=mdp.discount, temperature=mdp.temperature,
                                   initial=mdp.initial, states=mdp.states, actions=mdp.actions), "tanh")  # fmt: skip
    evaluation = solved.evaluate(measure)
    assert evaluation.residual < 1e-12
    product, weights = solved.linearised(evaluation), measure.weights[:, None]
    for _ in range(5):
        v = rng.normal(size=measure.points.shape)
        df = energy.network.tangent(measure.points, measure.weights, v)
        mass = evaluation.bellman.policy * mdp.actions.weights
        centred = df - (mass * df).sum(axis=1, keepdims=True)
        exact = -mdp.temperature * (evaluation.bellman.occupancy[:, None] * mass * centred**2).sum()
        assert (weights * v * product(v)).sum() == pytest.approx(exact, rel=1e-9)


def test_the_flow_offers_it():
    case = problem(3, "tanh", "dense", n=5, n_s=3, n_a=4)
    flow = WassersteinFlow(case.energy())
    y = flow.pack(case.measure)
    v = np.random.default_rng(1).normal(size=y.size)
    exact = case.energy().linearised(case.measure)(v.reshape(5, -1)).ravel()
    np.testing.assert_array_equal(flow.jacobian(0.0, y)(v), exact)

    class Plain:
        sense = 1
        value = velocity = staticmethod(lambda measure: 0.0)

    assert not hasattr(WassersteinFlow(Plain()), "jacobian")
