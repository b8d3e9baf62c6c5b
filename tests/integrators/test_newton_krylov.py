"""Rosenbrock–Krylov: order conditions, orders, stiff problems, products counted, resume, and life inside ``solve_ivp``."""

from __future__ import annotations

import io

import numpy as np
import pytest
from integrators.problems import observed_order, run, smooth, smooth_solution
from scipy.integrate import solve_ivp

from wflow.integrators.newton_krylov import ALPHA, B_HAT, GAMMAS, B, NewtonKrylov


def smooth_jacobian(t, y):
    return lambda v: np.array([v[1], -v[0] - y[0] * v[0]])


def exactly(error, y_old, y_new, rtol, atol):
    """A norm that takes any step, and wants linear systems solved to 1e-11: their residuals come with y_new = y_old."""
    return 1e9 * np.abs(error).max() if y_new is y_old else 0.0


def fixed(dt, **more):
    return {"first_step": dt, "max_step": dt, "norm": exactly, **more}


@pytest.mark.parametrize(("weights", "order"), [(B, 3), (B_HAT, 2)])
def test_order_conditions_of_a_w_method(weights, order):
    """Trees of order 3 and below, edges with α or Γ: sums with a Γ vanish, so that J may be anything (Hairer & Wanner II, §IV.7)."""
    c, g = ALPHA.sum(axis=1), GAMMAS.sum(axis=1)
    conditions = [(weights.sum(), 1), (weights @ c, 1 / 2), (weights @ g, 0)]
    vanish = [(weights @ M @ v, 0) for M, v in ((ALPHA, g), (GAMMAS, c), (GAMMAS, g))]
    third = [(weights @ c**2, 1 / 3), (weights @ ALPHA @ c, 1 / 6), *vanish]
    for got, wanted in conditions + (third if order == 3 else []):
        assert got == pytest.approx(wanted, abs=1e-15)
    if order == 2:  # the estimate is none of order 3
        assert max(abs(got - wanted) for got, wanted in third) > 0.01


def test_stability_function():
    """|R| ≤ 1 left of the imaginary axis and R(∞) = 0: A-stable by the maximum principle, L-stable."""
    def R(z):
        return 1.0 + z * B @ np.linalg.solve(np.eye(4) - z * (ALPHA + GAMMAS), np.ones(4))

    assert max(abs(R(1j * x)) for x in np.concatenate([np.linspace(0.0, 20.0, 2001), np.geomspace(20.0, 1e8, 100)])) <= 1.0 + 1e-12
    assert abs(R(-1e9)) < 1e-8
    assert GAMMAS[0, 0] > 0.0  # the only pole is at 1/γ, on the right


@pytest.mark.parametrize("jacobian", [smooth_jacobian, None, lambda t, y: lambda v: np.array([0.3 * v[0], -0.5 * v[1]])],
                         ids=["exact", "differences", "wrong"])  # fmt: skip
@pytest.mark.parametrize("direction", [1, -1], ids=["forward", "backward"])
def test_order_of_the_steps(jacobian, direction):
    ends, errors = (0.0, 2.0)[::direction], []
    for n in (32, 64, 128):
        solver = run(NewtonKrylov, smooth, smooth_solution(ends[0]), ends[1], t0=ends[0], **fixed(2.0 / n, jacobian=jacobian))
        assert (solver.status, solver.counts["steps"], solver.counts["rejected"]) == ("finished", n, 0)
        errors.append(np.linalg.norm(solver.y - smooth_solution(ends[1])))
    assert abs(observed_order(errors) - 3) < 0.15


def test_order_of_the_dense_output():
    theta, errors = np.linspace(0.1, 0.9, 9), []
    for h in (0.1, 0.05, 0.025):
        solver = NewtonKrylov(smooth, 0.5, smooth_solution(0.5), 3.0, **fixed(h))
        solver.step()
        output = solver.dense_output()
        np.testing.assert_allclose(output(solver.t_old), smooth_solution(0.5), rtol=1e-15)
        np.testing.assert_allclose(output(solver.t), solver.y, rtol=1e-14)
        errors.append(np.abs(output(0.5 + theta * h) - smooth_solution(0.5 + theta * h)).max())
    assert observed_order(errors) > 3 - 0.2


def test_error_follows_the_tolerance():
    tolerances = np.array([1e-3, 1e-4, 1e-5, 1e-6, 1e-7])
    errors = [np.linalg.norm(run(NewtonKrylov, smooth, (1, 0), 5.0, rtol=r, atol=r).y - smooth_solution(5.0)) for r in tolerances]
    assert abs(np.polyfit(np.log(tolerances), np.log(errors), 1)[0] - 1.0) < 0.2
    assert errors[0] < 20 * tolerances[0]


def symmetric(rates, seed=0):
    Q, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((rates.size, rates.size)))
    return (Q * rates) @ Q.T, Q


@pytest.mark.parametrize("exact", [True, False], ids=["exact", "differences"])
def test_stiff_linear_problem(exact):
    """Rates 1 to 1e6: as soon as the fast modes are gone, steps are as long as the slow one allows."""
    rates = np.geomspace(1.0, 1e6, 30)
    A, Q = symmetric(rates)
    start = Q.sum(axis=1)
    option = {"jacobian": lambda t, y: lambda v: -(A @ v)} if exact else {}
    solver, longest = NewtonKrylov(lambda t, y: -(A @ y), 0.0, start, 3.0, rtol=1e-4, atol=1e-7, **option), 0.0
    while solver.status == "running":
        solver.step()
        longest = max(longest, solver.step_size)
    np.testing.assert_allclose(solver.y, Q @ np.exp(-3.0 * rates), atol=1e-5)
    assert longest > 1e4 / rates[-1]
    assert solver.counts["steps"] < 3.0 * rates[-1] / 2.0 / 1000.0  # a thousandth of what stability asks of Euler
    assert solver.counts["rejected"] < 0.1 * solver.counts["steps"]
    assert solver.counts["jacobian"] < 30 * solver.counts["steps"]


def test_systems_share_their_space():
    """A spectrum of four rates asks for four products in a step, not in a stage."""
    A, _ = symmetric(np.repeat([1.0, 10.0, 100.0, 1000.0], 15))
    solver = run(NewtonKrylov, lambda t, y: -(A @ y), np.ones(60), 1.0, rtol=1e-6, atol=1e-9, jacobian=lambda t, y: lambda v: -(A @ v))
    counts = solver.counts
    assert counts["jacobian"] <= 4 * (counts["steps"] + counts["rejected"])


@pytest.mark.parametrize("stiffness", [1e2, 1e4, 1e6])
def test_prothero_robinson(stiffness):
    """y' = −λ (y − cos t) − sin t: the error stays below the tolerance whatever λ, and steps do not feel it."""
    def field(t, y):
        return -stiffness * (y - np.cos(t)) - np.sin(t)

    solver = run(NewtonKrylov, field, [1.0], 10.0, rtol=1e-5, atol=1e-5, jacobian=lambda t, y: lambda v: -stiffness * v)
    assert abs(solver.y[0] - np.cos(10.0)) < 1e-4
    assert solver.counts["steps"] < 300


@pytest.mark.parametrize("exact", [True, False], ids=["exact", "differences"])
def test_van_der_pol(exact):
    """Stiffness 1e3 beside a jump; against Radau at 1e-10. J is far from symmetric."""
    def field(t, y):
        return np.array([y[1], 1e3 * (1.0 - y[0] ** 2) * y[1] - y[0]])

    def jacobian(t, y):
        return lambda v: np.array([v[1], (-2e3 * y[0] * y[1] - 1.0) * v[0] + 1e3 * (1.0 - y[0] ** 2) * v[1]])

    reference = solve_ivp(field, (0.0, 1000.0), [2.0, 0.0], method="Radau", rtol=1e-10, atol=1e-12).y[:, -1]
    solver = run(NewtonKrylov, field, [2.0, 0.0], 1000.0, rtol=1e-5, atol=1e-8, jacobian=jacobian if exact else None)
    np.testing.assert_allclose(solver.y, reference, rtol=2e-3)
    assert solver.counts["steps"] < 1000  # stability asks Euler for a million


class TestInSolveIvp:
    def test_dense_output_and_times(self):
        times = np.linspace(0.0, 2.0, 23)
        solution = solve_ivp(smooth, (0.0, 2.0), smooth_solution(0.0), method=NewtonKrylov, t_eval=times, dense_output=True, rtol=1e-6,
                             atol=1e-8)  # fmt: skip
        assert solution.success
        np.testing.assert_allclose(solution.y, smooth_solution(times), atol=5e-5)
        np.testing.assert_allclose(solution.sol(times), smooth_solution(times), atol=5e-5)

    def test_backward_with_an_event(self):
        def event(t, y):
            return y[0]

        event.terminal = True
        solution = solve_ivp(smooth, (3.0, 0.0), smooth_solution(3.0), method=NewtonKrylov, events=event, rtol=1e-6, atol=1e-8)
        assert solution.status == 1
        assert solution.t_events[0] == pytest.approx([np.pi / 2], abs=5e-5)

    def test_nothing_to_integrate(self):
        assert run(NewtonKrylov, smooth, (1, 0), 0.0).status == "finished"
        assert run(NewtonKrylov, lambda t, y: y, np.empty(0), 1.0).status == "finished"
        assert run(NewtonKrylov, lambda t, y: 0.0 * y, np.zeros(3), 1.0, atol=0.0).status == "finished"


def stiffer(t, y):
    return np.array([-300.0, -3.0, -0.01]) * (y - np.array([np.cos(3.0 * t), 0.0, 0.0])) - 0.1 * y**3


@pytest.mark.parametrize("autonomous", [True, False])
def test_resume_gives_the_same_bits(autonomous):
    def field(t, y):
        return stiffer(0.0 if autonomous else t, y)

    more, start = {"rtol": 1e-5, "atol": 1e-7}, np.array([1.0, -1.0, 2.0])
    solver, path, saved = NewtonKrylov(field, 0.0, start, 4.0, **more), [], {}
    while solver.status == "running":
        if solver.counts["steps"] in (0, 1, 10):
            file = io.BytesIO()
            np.savez(file, t=solver.t, y=solver.y, **solver.state_dict())
            saved[solver.counts["steps"]] = file
        solver.step()
        path.append((solver.t, solver.y.tobytes()))
    assert len(saved) == 3
    for steps, file in saved.items():
        file.seek(0)
        state = dict(np.load(file))
        resumed = NewtonKrylov(field, float(state.pop("t")), state.pop("y"), 4.0, **more)
        resumed.load_state_dict(state)
        rest = []
        while resumed.status == "running":
            resumed.step()
            rest.append((resumed.t, resumed.y.tobytes()))
        assert rest == path[steps:]
        assert resumed.counts == solver.counts


@pytest.mark.parametrize("exact", [True, False], ids=["exact", "differences"])
def test_counts_are_what_happened(exact):
    calls, products = [], []

    def field(t, y):
        calls.append(y)
        return stiffer(t, y)

    def jacobian(t, y):
        def product(v):
            products.append(v)
            return np.array([-300.0, -3.0, -0.01]) * v - 0.3 * y**2 * v

        return product

    solver = run(NewtonKrylov, field, (1, -1, 2), 2.0, first_step=1.9, rtol=1e-5, atol=1e-7, jacobian=jacobian if exact else None)
    counts = solver.counts
    assert solver.nfev == len(calls) == counts["rhs"]
    assert counts["jacobian"] > counts["steps"]
    assert not exact or counts["jacobian"] == len(products)
    assert counts["rhs"] == counts["stages"] + 1
    assert counts["rejected"] > 0
    assert calls[-1] is solver.y
    np.testing.assert_array_equal(solver.f, stiffer(solver.t, solver.y))


def test_an_autonomous_field_is_not_asked_for_its_drift():
    solver = run(NewtonKrylov, lambda t, y: -y, (1.0, 2.0), 5.0)
    counts = solver.counts
    assert counts["rejected"] == 0
    assert counts["stages"] - counts["jacobian"] == 4 * counts["steps"] + 1


def test_a_field_that_ends():
    def field(t, y):
        return -y if t < 0.5 else np.full_like(y, np.nan)

    solver = run(NewtonKrylov, field, (1.0, 2.0), 1.0)
    assert solver.status == "failed"
    assert 0.49 < solver.t < 0.5
    np.testing.assert_allclose(solver.y, np.exp(-solver.t) * np.array([1.0, 2.0]), rtol=1e-2)
    assert run(NewtonKrylov, lambda t, y: np.full_like(y, np.nan), (1.0,), 1.0).status == "failed"


def test_a_product_that_is_not_finite_is_a_rejection():
    states = []

    def jacobian(t, y):
        states.append(y)
        return lambda v: -v if len(states) != 3 else np.full_like(v, np.inf)

    solver = run(NewtonKrylov, lambda t, y: -y, np.ones(3), 1.0, jacobian=jacobian)
    assert len(states) == solver.counts["steps"]  # once for every state, rejections included
    assert solver.counts["rejected"] > 0
    np.testing.assert_allclose(solver.y, np.exp(-1.0), rtol=5e-3)


def test_small_spaces_shorten_the_steps():
    rates = np.geomspace(1.0, 1e4, 30)
    A, Q = symmetric(rates)
    start = Q.sum(axis=1)
    more = {"rtol": 1e-3, "atol": 1e-6, "jacobian": lambda t, y: lambda v: -(A @ v)}
    solver = run(NewtonKrylov, lambda t, y: -(A @ y), start, 1.0, max_dimension=6, **more)
    assert solver.status == "finished"
    assert solver.counts["jacobian"] <= 6 * (solver.counts["steps"] + solver.counts["rejected"])
    np.testing.assert_allclose(solver.y, Q @ np.exp(-rates), atol=1e-3)


def test_bad_options():
    for option, message in (({"jacobian": 3}, "jacobian must be a callable"), ({"max_dimension": 0}, "max_dimension must be an integer")):
        with pytest.raises((TypeError, ValueError), match=message):
            NewtonKrylov(smooth, 0.0, np.ones(2), 1.0, **option)
    with pytest.raises(ValueError, match=r"jacobian\(t, y\)\(v\) must have shape \(2,\)"):
        run(NewtonKrylov, smooth, (1, 0), 1.0, jacobian=lambda t, y: lambda v: np.ones(3))
