"""The contract on top of SciPy's: resume, counts, identity, failures, options, and life inside ``solve_ivp``."""

from __future__ import annotations

import io
import tracemalloc

import numpy as np
import pytest
from integrators.problems import ADAPTIVE, OURS, STABILISED, options, run, smooth, smooth_solution
from scipy.integrate import OdeSolver, solve_ivp

import wflow.integrators as integrators
from wflow.integrators import Integrator


class Field:
    """`smooth` with its calls on record; refuses states that are not finite."""

    def __init__(self, fun=smooth):
        self.fun, self.calls = fun, []

    def __call__(self, t, y):
        assert np.isfinite(y).all()
        self.calls.append(y)
        return self.fun(t, y)


def stiffer(t, y):
    """Three rates and a nonlinearity: makes RKC2 change its stages and the others reject."""
    return np.array([-300.0, -3.0, -0.01]) * (y - np.array([np.cos(3.0 * t), 0.0, 0.0])) - 0.1 * y**3


@pytest.mark.parametrize("name", OURS)
class TestInSolveIvp:
    def test_dense_output_and_times(self, name):
        times = np.linspace(0.0, 2.0, 23)
        solution = solve_ivp(
            smooth, (0.0, 2.0), smooth_solution(0.0), method=integrators.get(name), t_eval=times, dense_output=True,
            **options(name, dt=1e-3, rtol=1e-6, atol=1e-8),
        )  # fmt: skip
        bar = 5e-3 if name == "euler" else 5e-5
        assert solution.success
        np.testing.assert_allclose(solution.y, smooth_solution(times), atol=bar)
        np.testing.assert_allclose(solution.sol(times), smooth_solution(times), atol=bar)
        assert solution.sol(0.3).shape == (2,)

    def test_backward_with_an_event(self, name):
        def event(t, y):
            return y[0]  # cos t

        event.terminal = True
        solution = solve_ivp(
            smooth, (3.0, 0.0), smooth_solution(3.0), method=integrators.get(name), events=event,
            **options(name, dt=1e-3, rtol=1e-6, atol=1e-8),
        )  # fmt: skip
        assert solution.status == 1
        assert solution.t_events[0] == pytest.approx([np.pi / 2], abs=5e-3 if name == "euler" else 5e-5)

    def test_the_interpolant_joins_the_steps(self, name):
        solver = integrators.get(name)(smooth, 0.0, smooth_solution(0.0), 2.0, **options(name, dt=0.3, rtol=1e-2, atol=1e-3))
        for _ in range(3):
            before, f_before = solver.y, smooth(solver.t, solver.y)
            solver.step()
            output, h = solver.dense_output(), solver.t - solver.t_old
            np.testing.assert_allclose(output(solver.t_old), before, rtol=1e-14, atol=1e-15)
            np.testing.assert_allclose(output(solver.t), solver.y, rtol=1e-13, atol=1e-13)
            for t, inward, f in ((solver.t_old, 1.0, f_before), (solver.t, -1.0, smooth(solver.t, solver.y))):
                d = 1e-3 * inward * h
                slope = (-1.5 * output(t) + 2.0 * output(t + d) - 0.5 * output(t + 2 * d)) / d
                np.testing.assert_allclose(slope, f, atol=1e-5)

    def test_nothing_to_integrate(self, name):
        assert run(name, smooth, (1, 0), 0.0, **options(name)).status == "finished"
        assert run(name, lambda t, y: y, np.empty(0), 1.0, **options(name)).status == "finished"


@pytest.mark.parametrize("name", OURS)
def test_resume_gives_the_same_bits(name):
    more = options(name, dt=1e-3, rtol=1e-5, atol=1e-7)
    start, end = np.array([1.0, -1.0, 2.0]), 4.0
    whole = Field(stiffer)
    solver = integrators.get(name)(whole, 0.0, start, end, **more)
    path, saved = [], {}
    while solver.status == "running":
        steps = solver.counts["steps"]
        if steps in (0, 1, 40, 333):
            file = io.BytesIO()
            np.savez(file, t=solver.t, y=solver.y, **solver.state_dict())
            saved[steps] = (file, len(whole.calls))
        solver.step()
        path.append((solver.t, solver.y.tobytes()))
    assert len(saved) == 4
    for steps, (file, calls) in saved.items():
        file.seek(0)
        state = dict(np.load(file))
        field = Field(stiffer)
        resumed = integrators.get(name)(field, float(state.pop("t")), state.pop("y"), end, **more)
        resumed.load_state_dict(state)
        assert resumed.counts["steps"] == steps
        rest = []
        while resumed.status == "running":
            resumed.step()
            rest.append((resumed.t, resumed.y.tobytes()))
        assert rest == path[steps:]
        assert resumed.counts == solver.counts
        assert len(field.calls) == len(whole.calls) - calls


def test_a_foreign_state_is_refused():
    state = run("bs3", smooth, (1, 0), 1.0).state_dict()
    with pytest.raises(ValueError, match=r"state must have the keys .*rho"):
        integrators.get("rkc2")(smooth, 0.0, np.ones(2), 1.0).load_state_dict(state)
    with pytest.raises(ValueError, match=r"state\['f'\] must have shape \(3,\); got \(2,\)"):
        integrators.get("bs3")(smooth, 0.0, np.ones(3), 1.0).load_state_dict(state)


@pytest.mark.parametrize("name", OURS)
def test_counts_are_what_happened(name):
    field = Field(stiffer)
    solver = run(name, field, (1, -1, 2), 2.0, **options(name, dt=1e-3, rtol=1e-3, atol=1e-5, first_step=0.5))
    counts = solver.counts
    assert counts["rhs"] + counts["spectral_radius"] == solver.nfev == len(field.calls)
    assert counts["rhs"] == counts["stages"] + 1  # no initial-step evaluation: the first step was given
    per_attempt = {"euler": 1, "heun": 2, "ssprk3": 3, "bs3": 3, "tsit5": 6}
    if name in per_attempt:
        assert counts["stages"] == per_attempt[name] * (counts["steps"] + counts["rejected"])
    assert (counts["spectral_radius"] > 0) == (name in STABILISED)
    assert (counts["rejected"] > 0) == (name != "euler")  # a first step of 0.5 is too long for all


@pytest.mark.parametrize("name", OURS)
def test_the_field_was_evaluated_at_the_very_state(name):
    field = Field()
    solver = integrators.get(name)(field, 0.0, np.array([1.0, 0.0]), 2.0, **options(name, dt=0.1))
    assert field.calls == []
    seen = []
    while solver.status == "running":
        solver.step()
        assert any(call is solver.y for call in field.calls)
        np.testing.assert_array_equal(solver.f, smooth(solver.t, solver.y))
        seen.append((solver.y, solver.y.copy()))
    assert len({id(y) for y, _ in seen}) == len(seen)
    assert all((y == copy).all() for y, copy in seen)


@pytest.mark.parametrize("name", OURS)
class TestFailures:
    def test_field_that_ends(self, name):
        """NaN beyond t = 0.5: the run stops just before, the last state is good, and few evaluations are wasted."""
        field = Field(lambda t, y: -y if t <= 0.5 else np.full(2, np.nan))
        solver = run(name, field, (1, 2), 2.0, **options(name, dt=0.01))
        assert solver.status == "failed"
        assert 0.48 < solver.t <= 0.5
        np.testing.assert_allclose(solver.y, np.exp(-solver.t) * np.array([1, 2]), rtol=1e-2)
        assert len(field.calls) < 1000

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_field_that_never_was(self, name, bad):
        solver = integrators.get(name)(lambda t, y: np.full(2, bad), 0.0, np.ones(2), 1.0, **options(name))
        assert solver.step() == Integrator.NOT_FINITE
        assert solver.status == "failed"

    def test_blow_up(self, name):
        """y' = y², infinite at t = 1; the field is never asked beyond."""
        field = Field(lambda t, y: y * y if abs(y[0]) < 1e150 else y * np.inf)
        solver = run(name, field, [1.0], 2.0, **options(name, dt=0.01, rtol=1e-6))
        assert solver.status == "failed"
        assert np.isfinite(solver.y).all()
        if name != "euler":
            assert solver.t == pytest.approx(1.0, abs=1e-4)

    def test_fields_of_the_wrong_kind(self, name):
        with pytest.raises(ValueError, match=r"fun must return an array of shape \(2,\); got \(3,\)"):
            run(name, lambda t, y: np.ones(3), (1, 2), 1.0, **options(name))
        result = np.ones(2)
        with pytest.raises(ValueError, match="fun must return a fresh array"):
            run(name, lambda t, y: result, (1, 2), 1.0, **options(name))

    def test_a_field_that_hands_back_its_argument(self, name):
        solver = run(name, lambda t, y: y, (1, 2), 1.0, **options(name, dt=1e-4, rtol=1e-6))
        np.testing.assert_allclose(solver.y, np.e * np.array([1, 2]), rtol=1e-3)


def test_the_step_that_cannot_be_short_enough_says_so():
    solver = integrators.get("bs3")(lambda t, y: -y, 0.0, np.ones(2), 1.0, norm=lambda *_: 2.0)
    assert solver.step() == OdeSolver.TOO_SMALL_STEP
    assert (solver.t, solver.counts["steps"]) == (0.0, 0)
    assert 5 < solver.counts["rejected"] < 2000


@pytest.mark.parametrize("name", ADAPTIVE)
class TestOptions:
    def test_the_norm_decides(self, name):
        """A norm that looks at the slow half only takes longer steps, and sees (error, y_old, y_new, rtol, atol)."""

        def fun(t, y):
            return np.array([-0.01 * y[0], 30.0 * np.cos(30.0 * t)])

        seen = []

        def slow(error, y_old, y_new, rtol, atol):
            seen.append((error.shape, y_old.shape, y_new.shape, rtol, atol.tolist()))
            return abs(error[0]) / (atol[0] + rtol * max(abs(y_old[0]), abs(y_new[0])))

        usual = run(name, fun, (1, 0), 10.0, rtol=1e-3, atol=1e-4)
        chosen = run(name, fun, (1, 0), 10.0, rtol=1e-3, atol=1e-4, norm=slow)
        assert len(seen) >= chosen.counts["steps"]
        assert all(arguments == ((2,), (2,), (2,), 1e-3, [1e-4]) for arguments in seen)
        assert chosen.counts["steps"] < usual.counts["steps"] / 3

    def test_absolute_tolerance_by_component(self, name):
        one = run(name, smooth, (1, 0), 2.0, rtol=1e-5, atol=1e-7)
        many = run(name, smooth, (1, 0), 2.0, rtol=1e-5, atol=np.full(2, 1e-7))
        loose = run(name, smooth, (1, 0), 2.0, rtol=1e-5, atol=np.array([1e-7, 1.0]))
        np.testing.assert_array_equal(one.y, many.y)
        assert loose.nfev < one.nfev

    def test_steps_stay_within_bounds(self, name):
        solver = integrators.get(name)(smooth, 0.0, np.array([1.0, 0.0]), 2.0, first_step=1e-3, max_step=0.013, rtol=1e-2)
        solver.step()
        assert solver.t == pytest.approx(1e-3)
        while solver.status == "running":
            solver.step()
            assert solver.step_size <= 0.013 * (1 + 1e-7)

    @pytest.mark.parametrize(
        ("bad", "error"),
        [({"rtol": 0.0}, ValueError), ({"rtol": "1e-3"}, TypeError), ({"atol": -1.0}, ValueError), ({"atol": np.ones(3)}, ValueError),
         ({"first_step": 0.0}, ValueError), ({"max_step": -1.0}, ValueError), ({"max_step": np.nan}, ValueError), ({"norm": 2}, TypeError),
         ({"accept": True}, TypeError)],
    )  # fmt: skip
    def test_bad_options_are_named(self, name, bad, error):
        with pytest.raises(error, match=next(iter(bad))):
            integrators.get(name)(smooth, 0.0, np.ones(2), 1.0, **bad)

    def test_options_of_other_methods_are_told(self, name):
        with pytest.warns(UserWarning, match="have no effect for a chosen solver: `jac`"):
            integrators.get(name)(smooth, 0.0, np.ones(2), 1.0, jac=None)

    def test_a_first_step_beyond_the_end_is_cut(self, name):
        solver = integrators.get(name)(lambda t, y: -0.1 * y, 0.0, np.ones(2), 1e-3, first_step=5.0)
        solver.step()
        assert (solver.status, solver.t) == ("finished", 1e-3)


@pytest.mark.parametrize("name", OURS)
def test_vectorised_fields(name):
    def many(t, y):
        return np.array([-1.0, -2.0])[:, None] * y if y.ndim == 2 else np.array([-1.0, -2.0]) * y

    plain = run(name, many, (1, 1), 1.0, **options(name))
    vectorised = run(name, many, (1, 1), 1.0, vectorized=True, **options(name))
    np.testing.assert_array_equal(plain.y, vectorised.y)


@pytest.mark.parametrize("name", ADAPTIVE)
def test_a_field_whose_norm_overflows_is_stepped_or_given_up(name):
    """No first step can be told from it."""
    solver = integrators.get(name)(lambda t, y: np.full(2, 1e300), 0.0, np.ones(2), 1.0)
    assert solver.step() in (None, solver.TOO_SMALL_STEP, solver.NOT_FINITE)
    assert np.isfinite(solver.y).all()


@pytest.mark.parametrize("name", ADAPTIVE)
def test_tolerances_may_be_as_good_as_none(name):
    solver = integrators.get(name)(lambda t, y: -y, 0.0, np.ones(2), 1.0, rtol=1e99)
    assert solver.step() is None


@pytest.mark.parametrize("name", ADAPTIVE)
def test_rejection_on_nan(name):
    """A field that is NaN beyond a wall is left by shorter steps, each counted, and the run goes on once the wall has gone."""
    wall = [0.3]
    solver = integrators.get(name)(
        lambda t, y: -y if t <= wall[0] else np.full(2, np.nan), 0.0, np.ones(2), 1.0, first_step=0.5, rtol=1e-3, atol=1e-3
    )
    assert solver.step() is None
    assert 0.0 < solver.t <= 0.3
    assert solver.counts["rejected"] >= 1
    wall[0] = 2.0
    while solver.status == "running":
        assert solver.step() is None
    np.testing.assert_allclose(solver.y, np.exp(-1.0), atol=5e-3)


@pytest.mark.parametrize(("name", "large"), [("heun", 5), ("ssprk3", 6), ("bs3", 6), ("tsit5", 9), ("rkc2", 3), ("rkl2", 3)])
def test_memory_of_a_step(name, large):
    """New arrays (n,) alive at once in a step, those of the field included: the state, stages that are kept, two evaluations in flight."""
    n = 10**6
    more = {"spectral_radius": 900.0} if name in STABILISED else {}
    start = np.linspace(0.5, 1.0, n)
    solver = integrators.get(name)(lambda t, y: -y, 0.0, start, 1.0, first_step=0.1, rtol=1e-2, **more)
    solver.step()
    tracemalloc.start()
    solver.step()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < (large + 0.1) * 8 * n
    assert name not in STABILISED or solver.counts["stages"] > 20
