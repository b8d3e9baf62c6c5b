"""Certificates and exact gaps; tiny gaps against 60-digit decimal arithmetic (math.md §2, §11 row 3)."""

from __future__ import annotations

from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wflow.mdp import evaluate, exact_gap, gap_certificate, gibbs_policy, optimum, statewise_kl

BAR = 1e-11

problems = {
    "seed": st.integers(0, 10**6),
    "kind": st.sampled_from(["dense", "sparse", "structured"]),
    "discount": st.sampled_from([0.0, 0.5, 0.9, 0.99]),
    "spread": st.sampled_from([0.01, 1.0, 5.0]),
    "n_s": st.integers(1, 6),
    "n_a": st.integers(1, 5),
}


@settings(max_examples=80, deadline=None)
@given(**problems, temperature=st.sampled_from([1e-3, 0.2, 2.0]))
def test_statewise_identity(random_mdp, seed, kind, discount, spread, n_s, n_a, temperature):
    """(T V − V)_i = τ KL(π_i | π_G,i)."""
    problem = random_mdp(seed, kind, discount, temperature, n_s, n_a)
    mdp, weights = problem.mdp, problem.mdp.actions.weights
    result = evaluate(mdp, problem.log_policy(spread))
    improved, log_gibbs = gibbs_policy(mdp.reward + discount * problem.dense @ result.value, weights, temperature)
    kl = statewise_kl(result.log_policy, log_gibbs, weights)
    assert (kl >= 0.0).all()
    np.testing.assert_allclose(temperature * kl, improved - result.value, rtol=0, atol=BAR * problem.scale)


@settings(max_examples=100, deadline=None)
@given(**problems, temperature=st.sampled_from([0.0, 1e-3, 0.2, 2.0]))
def test_certificate_holds_and_exact_gap_is_exact(random_mdp, seed, kind, discount, spread, n_s, n_a, temperature):
    problem = random_mdp(seed, kind, discount, temperature, n_s, n_a)
    mdp, best = problem.mdp, optimum(problem.mdp)
    result = evaluate(mdp, problem.log_policy(spread))
    gap = best.objective - result.objective
    slack = BAR * problem.scale
    certificate = gap_certificate(mdp, result)
    assert 0.0 <= certificate.lower <= gap + slack
    assert gap - slack <= certificate.upper
    assert exact_gap(mdp, result, best) == pytest.approx(gap, abs=slack)


def test_certificate_is_tight_for_a_bandit(random_mdp):
    for temperature in (0.0, 0.5):
        problem = random_mdp(1, "dense", 0.0, temperature, n_s=1)
        result = evaluate(problem.mdp, problem.log_policy())
        certificate = gap_certificate(problem.mdp, result)
        gap = optimum(problem.mdp).objective - result.objective
        assert certificate.lower == pytest.approx(gap, rel=1e-12)
        assert certificate.upper == pytest.approx(gap, rel=1e-12)


def test_the_optimum_has_no_gap(random_mdp):
    for temperature in (0.0, 0.5):
        problem = random_mdp(4, "dense", 0.9, temperature)
        best = optimum(problem.mdp)
        result = evaluate(problem.mdp, best.log_policy)
        assert 0.0 <= exact_gap(problem.mdp, result, best) <= 1e-25
        certificate = gap_certificate(problem.mdp, result)
        assert 0.0 <= certificate.lower <= certificate.upper <= 1e-12


# ---------------------------------------------------------------- decimal oracle


def solved(matrix, right):
    """Gauss–Jordan elimination over Decimal."""
    n = len(right)
    rows = [[*row, b] for row, b in zip(matrix, right, strict=True)]
    for c in range(n):
        pivot = max(range(c, n), key=lambda r: abs(rows[r][c]))
        rows[c], rows[pivot] = rows[pivot], rows[c]
        rows[c] = [x / rows[c][c] for x in rows[c]]
        for r in range(n):
            if r != c:
                rows[r] = [x - rows[r][c] * y for x, y in zip(rows[r], rows[c], strict=True)]
    return [row[-1] for row in rows]


def decimals(array):
    return [decimals(x) for x in array] if np.ndim(array) else Decimal(float(array))


class Exact:
    """The MDP's float data taken as exact decimals."""

    def __init__(self, problem):
        mdp = problem.mdp
        self.r, self.w, self.rho = decimals(mdp.reward), decimals(mdp.actions.weights), decimals(mdp.initial)
        self.p = decimals(problem.dense)
        self.gamma, self.tau = Decimal(mdp.discount), Decimal(mdp.temperature)
        self.states, self.actions = range(mdp.n_states), range(mdp.n_actions)

    def normalised(self, energy):
        mass = [sum(self.w[j] * energy[i][j].exp() for j in self.actions).ln() for i in self.states]
        return [[energy[i][j] - mass[i] for j in self.actions] for i in self.states]

    def value(self, log_policy):
        mass = [[self.w[j] * log_policy[i][j].exp() for j in self.actions] for i in self.states]
        reward = [sum(mass[i][j] * (self.r[i][j] - self.tau * log_policy[i][j]) for j in self.actions) for i in self.states]
        matrix = [
            [(i == k) - self.gamma * sum(mass[i][j] * self.p[i][j][k] for j in self.actions) for k in self.states] for i in self.states
        ]
        return solved(matrix, reward)

    def optimal_value(self):
        value = [Decimal(0)] * len(self.states)
        for _ in range(9):  # quadratic: residuals 1, 1e-1, ..., 1e-64
            energy = [
                [
                    (self.r[i][j] + self.gamma * sum(p * v for p, v in zip(self.p[i][j], value, strict=True))) / self.tau
                    for j in self.actions
                ]
                for i in self.states
            ]
            value = self.value(self.normalised(energy))
        return value

    def gap(self, log_policy):
        mine = self.value(self.normalised(decimals(log_policy)))
        return sum(rho * (a - b) for rho, a, b in zip(self.rho, self.optimal_value(), mine, strict=True))


@pytest.mark.parametrize("seed", range(3))
def test_tiny_gaps_keep_their_digits(random_mdp, normalise, seed):
    """Gaps of about ε² down to 1e-16: log π carries errors of some 1e-15, so the gap some 1e-15/ε, relatively."""
    problem = random_mdp(seed, "dense", 0.9, 0.5, n_s=3, n_a=3)
    mdp, best = problem.mdp, optimum(problem.mdp)
    direction = problem.rng.standard_normal((3, 3))
    with localcontext() as context:
        context.prec = 60
        exact = Exact(problem)
        assert best.objective == pytest.approx(float(sum(a * b for a, b in zip(exact.rho, exact.optimal_value(), strict=True))), rel=1e-14)
        for epsilon in (1.0, 1e-2, 1e-4, 1e-6, 1e-8):
            log_policy = normalise(best.log_policy + epsilon * direction, mdp.actions.weights)
            result = evaluate(mdp, log_policy)
            gap = float(exact.gap(log_policy))
            assert exact_gap(mdp, result, best) == pytest.approx(gap, rel=1e-12 + 1e-14 / epsilon, abs=0.0)
            certificate = gap_certificate(mdp, result)
            assert certificate.lower <= gap * (1.0 + 1e-12 + 1e-14 / epsilon)
            assert gap <= certificate.upper * (1.0 + 1e-12 + 1e-14 / epsilon)
    assert gap < 1e-14  # the last ε: far below what a difference of objectives resolves


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.sampled_from([1e-12, 1e-8, 1e-4, 0.1, 0.5, 1.0, 30.0, 700.0]))
def test_kl_sum_to_rounding(seed, size):
    """Every term p (x + e^{−x} − 1) from the same floats in 60 digits, in and beyond the range of its series."""
    rng = np.random.default_rng(seed)
    log_q = -rng.random((2, 6)) * 3.0
    log_p = log_q + size * rng.uniform(-1.0, 1.0, (2, 6))
    log_p -= max(0.0, log_p.max() - 5.0)
    weights = rng.uniform(0.1, 2.0, 6)
    kl = statewise_kl(log_p, log_q, weights)
    with localcontext() as context:
        context.prec = 60
        for i in range(2):
            total = Decimal(0)
            for w, p, q in zip(decimals(weights), decimals(log_p[i]), decimals(log_q[i]), strict=True):
                total += w * (p.exp() * (p - q) + q.exp() - p.exp())
            assert kl[i] == pytest.approx(float(total), rel=1e-13, abs=0.0)


def test_kl_is_the_textbook_sum(normalise):
    rng = np.random.default_rng(0)
    weights = rng.uniform(0.1, 2.0, 7)
    log_p, log_q = (normalise(rng.standard_normal((5, 7)), weights) for _ in range(2))
    np.testing.assert_allclose(statewise_kl(log_p, log_q, weights), (np.exp(log_p) * (log_p - log_q)) @ weights, rtol=1e-13)


def test_kl_where_mass_vanishes():
    half = np.log(0.5)
    cases = [
        ([[0.0, -np.inf]], [[half, half]], np.log(2.0)),
        ([[half, half]], [[0.0, -np.inf]], np.inf),
        ([[0.0, -np.inf]], [[0.0, -np.inf]], 0.0),
        ([[0.0, -800.0]], [[half, half]], np.log(2.0)),
        ([[half, half]], [[0.0, -800.0]], 0.5 * half + 0.5 * (half + 800.0)),
        ([[0.0, -800.0]], [[0.0, -np.inf]], np.inf),
    ]
    for log_p, log_q, expected in cases:
        assert statewise_kl(log_p, log_q, [1.0, 1.0])[0] == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(("arguments", "message"), [
    ((np.zeros((2, 3)), np.zeros((2, 2)), np.ones(3)), r"log_q must have shape \(2, 3\); got \(2, 2\)"),
    ((np.zeros((2, 3)), np.zeros((2, 3)), np.ones(2)), r"weights must have shape \(3,\); got \(2,\)"),
    ((np.zeros(3), np.zeros(3), np.ones(3)), r"log_p must have shape \(any, any\); got \(3,\)"),
    (([[0.0, np.nan]], [[0.0, 0.0]], np.ones(2)), r"log_p must hold logarithms of densities, at most 230; got \[\[0\.0, nan\]\]"),
    (([[0.0, 0.0]], [[0.0, 800.0]], np.ones(2)), r"log_q must hold logarithms of densities, at most 230; got \[\[0\.0, 800\.0\]\]"),
    (([[0.0, 0.0]], [[0.0, 0.0]], [1.0, -1.0]), r"weights must be above 0; got -1\.0 at \[1\]"),
])  # fmt: skip
def test_kl_of_what_is_no_density(arguments, message):
    with pytest.raises(ValueError, match=message):
        statewise_kl(*arguments)
