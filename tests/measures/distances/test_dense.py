"""The network simplex against SciPy's solvers, and its certificate against wrong solvers."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment, linprog

from wflow.measures.distances import dense

SOLVERS = (dense.network_simplex, dense.lazy)


def clouds(n, k, d, seed=0, *, weighted=True):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(n)) if weighted else np.full(n, 1 / n)
    q = rng.dirichlet(np.ones(k)) if weighted else np.full(k, 1 / k)
    return rng.normal(size=(n, d)), p, rng.normal(size=(k, d)) + 0.5, q


def costs(x, y):
    return np.array([[((a - b) ** 2).sum() for b in y] for a in x])


def programme(x, p, y, q):
    """The transport problem as a plain linear programme, by HiGHS."""
    n, k = len(x), len(y)
    rows, columns = np.kron(np.eye(n), np.ones(k)), np.kron(np.ones(n), np.eye(k))
    marginals, tolerances = np.concatenate((p, q))[:-1], {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
    return linprog(costs(x, y).ravel(), A_eq=np.vstack((rows, columns))[:-1], b_eq=marginals, method="highs", options=tolerances).fun


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("shape", [(12, 9, 2), (1, 7, 3), (7, 1, 1), (20, 20, 5)])
def test_weighted_clouds_against_a_linear_programme(solver, shape):
    x, p, y, q = clouds(*shape)
    found = solver(x, p, y, q)
    assert found.value == pytest.approx(programme(x, p, y, q), rel=1e-11)
    assert found.lower <= found.value <= found.upper
    assert found.upper - found.lower < 1e-11


@pytest.mark.parametrize("solver", SOLVERS)
def test_equal_clouds_against_assignment(solver):
    x, p, y, q = clouds(300, 300, 4, weighted=False)
    matrix = costs(x, y)
    assert solver(x, p, y, q).value == pytest.approx(matrix[linear_sum_assignment(matrix)].mean(), rel=1e-12)


@pytest.mark.parametrize("solver", SOLVERS)
def test_weights_over_many_orders_of_magnitude(solver):
    """Dust of mass 1e-14 and below neither stops the solver nor leaves the bracket."""
    rng = np.random.default_rng(1)
    x, _, y, q = clouds(30, 30, 2)
    p = 10.0 ** rng.uniform(-20, 0, 30)
    p /= p.sum()
    found = solver(x, p, y, q)
    assert found.value == pytest.approx(programme(x, p, y, q), abs=1e-7)  # the programme's solver takes dust for nothing
    assert found.upper - found.lower < 1e-10


def test_any_potential_gives_a_lower_bound():
    x, p, y, q = clouds(15, 11, 2)
    truth = programme(x, p, y, q)
    rng = np.random.default_rng(2)
    found = [dense.dual_bound(x, p, y, q, rng.normal(scale=scale, size=15)) for scale in (1e-3, 0.1, 1.0, 30.0) for _ in range(20)]
    assert max(found) <= truth
    assert max(found) > 0.0


def test_the_c_transform_is_the_largest_feasible_potential():
    x, _, y, _ = clouds(15, 11, 3)
    u = np.random.default_rng(0).normal(size=15)
    v = dense._c_transform(x, y, u)
    slack = costs(x, y) - u[:, None] - v[None, :]
    np.testing.assert_allclose(slack.min(axis=0), 0.0, atol=1e-13)


def test_a_solver_that_warns_is_an_error(monkeypatch):
    """POT's default iteration limit ends with a wrong plan and a warning."""
    monkeypatch.setattr(dense, "_ITERATIONS", 5)
    for solver in SOLVERS:
        with pytest.raises(RuntimeError, match=r"no optimal plan: .*numItermax"):
            solver(*clouds(50, 50, 2))


def test_a_wrong_plan_is_caught_by_its_potentials(monkeypatch):
    """The certificate does not take the solver's word for it."""
    import ot

    def lying(p, q, cost, **options):
        return np.outer(p, q), {"warning": None, "result_code": 1, "u": np.zeros(len(p))}

    monkeypatch.setattr(ot, "emd", lying)
    with pytest.raises(RuntimeError, match="its dual potentials prove"):
        dense.network_simplex(*clouds(10, 10, 2))


def test_a_warning_without_a_status_is_an_error_too(monkeypatch):
    import ot

    honest = ot.emd

    def muttering(*arguments, **options):
        warnings.warn("hm", UserWarning, stacklevel=1)
        return honest(*arguments, **options)

    monkeypatch.setattr(ot, "emd", muttering)
    with pytest.raises(RuntimeError, match="hm"):
        dense.network_simplex(*clouds(10, 10, 2))


def test_an_old_solver_library_is_named(monkeypatch):
    from ot import lp

    monkeypatch.delattr(lp, "emd2_lazy")
    with pytest.raises(RuntimeError, match=r"POT 0\.9\.7"):
        dense.lazy(*clouds(3, 3, 2))


@pytest.mark.slow
def test_five_thousand_points_against_assignment():
    x, p, y, q = clouds(5_000, 5_000, 4, weighted=False)
    matrix = np.zeros((5_000, 5_000))
    for a, b in zip(x.T, y.T, strict=True):
        matrix += (a[:, None] - b) ** 2
    found = dense.network_simplex(x, p, y, q)
    assert abs(found.value**0.5 - matrix[linear_sum_assignment(matrix)].mean() ** 0.5) < 1e-10
    assert found.upper**0.5 - found.lower**0.5 < 1e-10
