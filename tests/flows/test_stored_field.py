"""The stored field and its tracers: exact at its times, of fourth order between, and the flow's own particles again (math.md §6)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wflow.energies import PolicyValue, QuadraticInteraction
from wflow.flows import StoredField, TracerFlow, WassersteinFlow
from wflow.loop import open as open_run
from wflow.loop import solve
from wflow.mdp import agazzi_lu_bandit
from wflow.measures import ParticleMeasure, laws

KAPPA, LAM, T = 0.6, 1.1, 2.0
CENTRE = np.array([0.7, -1.3])


def cloud(seed=0, n=9, m=2):
    rng = np.random.default_rng(seed)
    return ParticleMeasure(rng.standard_normal((n, m)), rng.dirichlet(np.ones(n)))


def mean_field(count):
    """The mean of the linear problem, m e^{-κt}, stored at `count` times spread evenly in log(1 + t)."""
    times = np.expm1(np.linspace(0.0, np.log1p(T), count))
    times[-1] = T
    return StoredField(times, np.exp(-KAPPA * times)[:, None] * CENTRE)


def characteristics(points, t):
    """x(t) = m e^{-κt} + (x(0) − m) e^{-(κ+λ)t} where the mean is that of `mean_field`, whatever the points' own."""
    return CENTRE * np.exp(-KAPPA * t) + (points - CENTRE) * np.exp(-(KAPPA + LAM) * t)


@given(seed=st.integers(0, 10**6), count=st.integers(2, 30), shape=st.sampled_from([(1,), (3,), (2, 4), (2, 1, 3)]))
def test_exact_at_its_times(seed, count, shape):
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.uniform(1e-3, 10.0, count)) - rng.choice([0.0, 1e-3])
    signals = rng.standard_normal((count, *shape))
    field = StoredField(times, signals)
    for t, signal in zip(times, signals, strict=True):
        got = field(t)
        assert (got.shape, got.dtype, got.flags.c_contiguous) == (shape, np.float64, True)
        np.testing.assert_allclose(got, signal, rtol=0, atol=1e-11 * (1.0 + np.abs(signals).max()))


def test_fourth_order_between_its_times():
    """Halving the spacing divides the error by 16."""
    look = np.linspace(0.0, T, 997)
    exact = np.exp(-KAPPA * look)[:, None] * CENTRE
    counts = (17, 33, 65, 129)
    errors = [np.abs(np.stack([mean_field(n)(t) for t in look]) - exact).max() for n in counts]
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    np.testing.assert_allclose(orders, 4.0, atol=0.35)
    assert errors[-1] < 1e-7


def test_is_a_spline_in_log_time():
    """Cubics of log(1 + t) are kept to rounding, those of t are not."""
    times = np.array([0.0, 0.1, 0.5, 2.0, 9.0, 40.0])
    look = np.geomspace(0.01, 39.0, 57)

    def worst(clock):
        field = StoredField(times, np.polynomial.polynomial.polyval(clock(times), [1.0, -2.0, 0.3, 0.7])[:, None])
        return max(abs(field(t)[0] - np.polynomial.polynomial.polyval(clock(t), [1.0, -2.0, 0.3, 0.7])) for t in look)

    assert worst(np.log1p) < 1e-10
    assert worst(lambda t: t) > 1.0


@pytest.mark.parametrize("t", [-1e-9, 2.0001, np.inf, np.nan, -np.inf])
def test_nothing_is_extrapolated(t):
    with pytest.raises(ValueError, match=r"^t must lie in \[0, 2\], where the field is stored; got "):
        mean_field(5)(t)


def test_a_field_that_begins_later():
    field = StoredField([1.0, 2.0, 4.0], [[1.0], [2.0], [3.0]])
    np.testing.assert_allclose([field(t)[0] for t in (1.0, 4.0)], [1.0, 3.0], rtol=1e-14)
    with pytest.raises(ValueError, match=r"^t must lie in \[1, 4\]"):
        field(0.99)


@pytest.mark.parametrize(("times", "signals", "message"), [
    ([0.0], [[1.0]], "^times must be two or more and increase; got "),
    ([], np.zeros((0, 1)), "^times must be two or more and increase; got "),
    ([0.0, 1.0, 1.0], np.zeros((3, 1)), "^times must be two or more and increase; got "),
    ([1.0, 0.0], np.zeros((2, 1)), "^times must be two or more and increase; got "),
    ([-1.0, 0.0], np.zeros((2, 1)), r"^times must be at least 0; got -1.0 at \[0\]$"),
    ([0.0, np.nan], np.zeros((2, 1)), r"^times must be finite; got nan at \[1\]$"),
    ([[0.0, 1.0]], np.zeros((2, 1)), r"^times must have shape \(any,\); got \(1, 2\)$"),
    ([0.0, 1.0], np.zeros((3, 1)), r"^signals must have shape \(2, ...\); got \(3, 1\)$"),
    ([0.0, 1.0], np.zeros(2), r"^signals must have shape \(2, ...\); got \(2,\)$"),
    ([0.0, 1.0], [[0.0], [np.inf]], r"^signals must be finite; got inf at \[1, 0\]$"),
])  # fmt: skip
def test_refused_fields(times, signals, message):
    with pytest.raises(ValueError, match=message):
        StoredField(times, signals)


def test_tracers_in_closed_form():
    """Against the exact characteristics of the linear problem; the tracers have another mean than the field's, and it does not act."""
    start, energy = cloud(), QuadraticInteraction(KAPPA, LAM)
    errors = {}
    for count in (9, 17, 65):
        run = solve(TracerFlow(energy, mean_field(count)), start, T, "tsit5", rtol=1e-11, atol=1e-13, record=[0.5, T])
        assert run.status.ok
        errors[count] = max(np.abs(state.points - characteristics(start.points, t)).max()
                            for t, state in zip(run.times, run.states(), strict=True))  # fmt: skip
    assert errors[65] < 1e-7
    assert errors[17] < errors[9] / 8.0
    assert np.abs(start.mean() - CENTRE).max() > 0.5  # or the test could not tell


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_particles_through_their_own_stored_field(activation):
    """For a smooth neuron the particles of a flow come back at the fourth order of the field's spacing."""
    energy = PolicyValue(agazzi_lu_bandit(n_actions=20), activation)
    start = laws.student(energy.n_parameters).sample(40, 3)
    distances = []
    for count in (9, 17, 33):
        times = np.expm1(np.linspace(0.0, np.log1p(10.0), count))
        times[-1] = 10.0
        run = solve(WassersteinFlow(energy), start, 10.0, "tsit5", rtol=1e-9, atol=1e-12, record=times)
        field = StoredField(times, np.stack([energy.signal(state) for state in run.states()]))
        again = solve(TracerFlow(energy, field), start, 10.0, "tsit5", rtol=1e-9, atol=1e-12)
        distances.append(np.sqrt(np.square(again.final.points - run.final.points).sum(axis=1).mean()))
    moved = np.sqrt(np.square(run.final.points - start.points).sum(axis=1).mean())
    assert distances[-1] < (1e-5 if activation == "tanh" else 1e-3) * moved
    if activation == "tanh":
        assert distances[1] < distances[0] / 6.0
        assert distances[2] < distances[1] / 6.0


def test_tracers_are_alone():
    """One tracer goes where it goes among others, and weights are nothing but labels."""
    energy, field, start = QuadraticInteraction(KAPPA, LAM), mean_field(33), cloud(5)
    options = {"method": "euler", "options": {"dt": 0.05}}
    together = solve(TracerFlow(energy, field), start, T, **options).final
    np.testing.assert_array_equal(together.weights, start.weights)
    uniform = solve(TracerFlow(energy, field), ParticleMeasure(start.points), T, **options).final
    np.testing.assert_array_equal(uniform.points, together.points)
    for n in (0, 4):
        alone = solve(TracerFlow(energy, field), ParticleMeasure(start.points[n : n + 1]), T, **options).final
        np.testing.assert_allclose(alone.points[0], together.points[n], rtol=1e-14)
    adaptive = {"method": "tsit5", "rtol": 1e-4}
    weighted, plain = (solve(TracerFlow(energy, field), s, T, **adaptive) for s in (start, ParticleMeasure(start.points)))
    np.testing.assert_array_equal(weighted.final.points, plain.final.points)  # the same steps, too


def test_error_norm_is_uniform():
    rng, start = np.random.default_rng(0), cloud(2, 7, 3)
    flow = TracerFlow(QuadraticInteraction(), mean_field(5))
    y = flow.pack(start)
    error, new = 1e-3 * rng.standard_normal(y.size), y + rng.standard_normal(y.size)
    total = 0.0
    for e, old, moved in zip(error.reshape(7, 3), y.reshape(7, 3), new.reshape(7, 3), strict=True):
        total += (np.linalg.norm(e) / (1e-4 + 0.01 * max(np.linalg.norm(old), np.linalg.norm(moved)))) ** 2
    assert flow.error_norm(error, y, new, 0.01, np.array([1e-4])) == pytest.approx(np.sqrt(total / 7), rel=1e-13)


def test_pack_and_the_rest_of_a_flow():
    start = cloud(1, 4)
    flow = TracerFlow(QuadraticInteraction(KAPPA, LAM), mean_field(9))
    y = flow.pack(start)
    assert (y.shape, y.dtype, y.flags.c_contiguous, np.shares_memory(y, start.points)) == ((8,), np.float64, True, False)
    again = flow.unpack(y)
    np.testing.assert_array_equal(again.points, start.points)
    assert again.weights is start.weights
    np.testing.assert_array_equal(flow.rhs(0.0, y).reshape(4, 2), -KAPPA * start.points - LAM * (start.points - CENTRE))
    assert flow.diagnostics(0.0, y) == {"energy": 0.0}
    assert list(flow.static()) == ["weights"]
    np.testing.assert_array_equal(flow.static()["weights"], start.weights)


def test_files_and_resuming(tmp_path):
    """A run on file that stopped on its way and is taken up again is that of one call, bit for bit, and reads back with its weights."""
    start, record, path = cloud(3, 6), np.linspace(0.0, T, 5), tmp_path / "tracers.h5"

    def run(**options):
        return solve(TracerFlow(QuadraticInteraction(KAPPA, LAM), mean_field(17)), start, T, "tsit5", rtol=1e-6, record=record, **options)

    whole = run()
    stopped = run(path=path, max_steps=4)
    assert 0.0 < stopped.times[-1] < T
    resumed = run(path=path, resume=True)
    np.testing.assert_array_equal(resumed.final.points, whole.final.points)
    stored = open_run(path)
    assert stored.status.ok
    np.testing.assert_array_equal(stored.final.points, whole.final.points)
    np.testing.assert_array_equal(stored.final.weights, start.weights)
    for mine, theirs in zip(stored.states(), whole.states(), strict=True):
        np.testing.assert_array_equal(mine.points, theirs.points)


def test_a_run_beyond_its_field_fails():
    flow = TracerFlow(QuadraticInteraction(), mean_field(5))
    with pytest.raises(ValueError, match=r"^t must lie in \[0, 2\]"):
        flow.rhs(3.0, flow.pack(cloud()))


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda: TracerFlow(None, mean_field(5)), TypeError, r"^energy must have a method field\(points, signal\); got None$"),
    (lambda: TracerFlow(QuadraticInteraction(), np.zeros(3)), TypeError, r"^field must be a wflow.flows.StoredField; got "),
    (lambda: TracerFlow(QuadraticInteraction(), mean_field(5)).pack([[0.0, 1.0]]), TypeError, "^initial must be a ParticleMeasure; got "),
    (lambda: TracerFlow(PolicyValue(agazzi_lu_bandit(n_actions=4), "tanh"), mean_field(5)).pack(cloud()), ValueError,
     "^initial must have points with 3 columns for this energy; got 2$"),
])  # fmt: skip
def test_refuses(make, error, message):
    with pytest.raises(error, match=message):
        make()
