"""The variational matrix and Liouville's formula: closed forms, trajectories side by side, and what must be found out (math.md §7)."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import expm

from wflow.energies import PolicyValue, QuadraticInteraction
from wflow.flows import StoredField, TracerFlow, VariationalFlow, Variations, WassersteinFlow
from wflow.flows.variational import jacobian
from wflow.loop import open as open_run
from wflow.loop import solve
from wflow.mdp import agazzi_lu_bandit, agazzi_lu_grid
from wflow.measures import ParticleMeasure, laws

SMOOTH = ["tanh", "sigmoid", "softplus", "gaussian", "rbf"]
HORIZON = 100.0
TRACERS = 12


class Linear:
    """F = s A ω for a signal s (1,); the "Laplacian" is what makes ω0 Δg its divergence s tr A."""

    def __init__(self, matrix):
        self.matrix = np.asarray(matrix)

    def field(self, points, signal):
        return signal[0] * points @ self.matrix.T

    def laplacian(self, points, signal):
        return signal[0] * np.trace(self.matrix) / points[:, 0]


class Cubic(Linear):
    """g = s (x²y − y³ + 2x), F = (g, ω0 ∇g), of degree 3 in ω: differences of fourth order are exact but for rounding."""

    def __init__(self):
        super().__init__(np.eye(3))

    def field(self, points, signal):
        w, x, y = points.T
        return signal[0] * np.stack([x * x * y - y**3 + 2.0 * x, w * (2.0 * x * y + 2.0), w * (x * x - 3.0 * y * y)], axis=1)

    def laplacian(self, points, signal):
        return signal[0] * (2.0 * points[:, 2] - 6.0 * points[:, 2])


def growing(t_end, count=9):
    """The signal s(t) = log(1 + t), which the spline keeps to rounding; its integral is (1 + t) log(1 + t) − t."""
    times = np.linspace(0.0, t_end, count)
    return StoredField(times, np.log1p(times)[:, None])


@cache
def stored(problem, activation, horizon=HORIZON):
    """An energy, the field of a run of it, and tracers that were not in the run."""
    mdp = agazzi_lu_bandit(seed=0, n_actions=20) if problem == "bandit" else agazzi_lu_grid(seed=0, n_states=5, n_actions=6)
    energy = PolicyValue(mdp, activation)
    times = np.concatenate([[0.0], np.geomspace(horizon / 200.0, horizon, 40)])
    times[-1] = horizon
    run = solve(WassersteinFlow(energy), laws.student(energy.n_parameters).sample(60, 1), horizon, "tsit5", rtol=1e-6, record=times)
    assert run.status.ok
    rng = np.random.default_rng(2)
    inner = rng.uniform(0.0, 1.0, (TRACERS, energy.n_parameters - 1)) * (1.0 if activation == "rbf" else 2.0)
    tracers = ParticleMeasure(np.hstack([rng.standard_normal((TRACERS, 1)), inner]))
    return energy, StoredField(times, np.stack([energy.signal(state) for state in run.states()])), tracers


def carry(energy, field, start, t_end=HORIZON, rtol=1e-8, t_start=0.0):
    run = solve(VariationalFlow(energy, field), start, t_end, "tsit5", rtol=rtol, atol=1e-2 * rtol, t_start=t_start)
    assert run.status.ok
    return run.final


@pytest.mark.parametrize("seed", range(3))
def test_matrix_exponential(seed):
    """M = exp(A ∫s) whatever the tracer; L = tr A ∫s."""
    rng, t = np.random.default_rng(seed), 1.5
    matrix = rng.uniform(-1.0, 1.0, (3, 3))
    matrix[0] = np.abs(matrix[0])
    matrix[:, 0] = np.abs(matrix[:, 0])  # ω0 stays away from 0, where this Laplacian is not defined
    start = ParticleMeasure(np.hstack([rng.uniform(5.0, 6.0, (4, 1)), rng.uniform(0.0, 0.1, (4, 2))]))
    integral = (1.0 + t) * np.log1p(t) - t
    exact = expm(matrix * integral)
    found = carry(Linear(matrix), growing(t), start, t, rtol=1e-10)
    assert np.abs(exact - np.eye(3)).max() > 0.3
    np.testing.assert_allclose(found.matrices, np.broadcast_to(exact, (4, 3, 3)), rtol=0, atol=1e-8)
    np.testing.assert_allclose(found.points, start.points @ exact.T, rtol=1e-8)
    np.testing.assert_allclose(found.log_volume, np.trace(matrix) * integral, rtol=1e-8)
    np.testing.assert_allclose(found.log_determinant, np.trace(matrix) * integral, rtol=1e-8)
    np.testing.assert_array_equal(found.orientation, 1.0)


@given(seed=st.integers(0, 10**6), n=st.integers(1, 5))
def test_jacobian_of_a_cubic(seed, n):
    points = np.random.default_rng(seed).uniform(-2.0, 2.0, (n, 3))
    kept = points.copy()
    velocity, derivative = jacobian(Cubic(), points, np.array([1.5]))
    np.testing.assert_array_equal(points, kept)
    np.testing.assert_array_equal(velocity, Cubic().field(points, np.array([1.5])))
    for (w, x, y), found in zip(points, derivative, strict=True):
        exact = 1.5 * np.array([[0.0, 2 * x * y + 2, x * x - 3 * y * y], [2 * x * y + 2, 2 * w * y, 2 * w * x],
                                [x * x - 3 * y * y, 2 * w * x, -6 * w * y]])  # fmt: skip
        np.testing.assert_allclose(found, exact, rtol=0, atol=1e-9)


@pytest.mark.parametrize("activation", SMOOTH)
def test_jacobian_of_the_policy_value(activation):
    """F = (g, ω0 ∇g): DF has ∇g along its edges, 0 in its corner, and ω0 times a Hessian, symmetric and of known trace, inside."""
    energy, field, start = stored("grid", activation)
    points, signal = np.hstack([np.ones((TRACERS, 1)), start.points[:, 1:]]), field.signals[0]
    velocity, derivative = jacobian(energy, points, signal)
    size = np.abs(derivative).max()
    close = {"rtol": 0, "atol": 3e-10 * size}
    np.testing.assert_array_equal(velocity, energy.field(points, signal))
    np.testing.assert_allclose(derivative[:, 0, 0], 0.0, **close)
    np.testing.assert_allclose(derivative[:, 0, 1:], velocity[:, 1:], **close)
    np.testing.assert_allclose(derivative[:, 1:, 0], velocity[:, 1:], **close)
    np.testing.assert_allclose(derivative, derivative.transpose(0, 2, 1), **close)
    np.testing.assert_allclose(np.trace(derivative, axis1=1, axis2=2), energy.laplacian(points, signal), **close)


@pytest.mark.parametrize("activation", SMOOTH)
@pytest.mark.parametrize("problem", ["bandit", "grid"])
def test_liouville(problem, activation):
    """log det M = ∫ div F: at 1e-6 by a margin, better with every tolerance, and nothing is turned inside out."""
    horizon = 5.0 if (problem, activation) == ("grid", "rbf") else HORIZON  # which contracts by e^{-176} to t = 100: see `test_windows`
    energy, field, start = stored(problem, activation, horizon)
    defects = []
    for rtol in (1e-4, 1e-6, 1e-8):
        found = carry(energy, field, start, horizon, rtol=rtol)
        np.testing.assert_array_equal(found.orientation, 1.0)
        defects.append(np.abs(found.defect).max())
    assert np.abs(found.log_volume).max() > 0.02  # or the formula would hold for want of anything to measure
    assert defects[1] < defects[0]
    assert defects[2] < max(defects[1], 1e-11)
    assert defects[2] <= 1e-6


@pytest.mark.parametrize(("problem", "activation"), [("bandit", "rbf"), ("grid", "tanh"), ("bandit", "softplus")])
def test_matrices_are_differences_of_trajectories(problem, activation):
    """The third route: tracers that start beside each other, carried by another flow."""
    energy, field, start = stored(problem, activation)
    m, h = energy.n_parameters, 1e-5
    beside = np.concatenate([start.points + sign * h * unit for sign in (1.0, -1.0) for unit in np.eye(m)])
    run = solve(TracerFlow(energy, field), ParticleMeasure(beside), HORIZON, "tsit5", rtol=1e-10, atol=1e-12)
    ends = run.final.points.reshape(2, m, TRACERS, m)
    differences = ((ends[0] - ends[1]) / (2.0 * h)).transpose(1, 2, 0)  # (k, i, j)
    matrices = carry(energy, field, start, rtol=1e-9).matrices
    assert np.abs(matrices - np.eye(m)).max() > 0.05
    np.testing.assert_allclose(matrices, differences, rtol=0, atol=1e-7 * np.abs(matrices).max())


def test_a_wrong_laplacian_is_found_out(monkeypatch):
    energy, field, start = stored("bandit", "rbf")
    right = energy.laplacian
    monkeypatch.setattr(energy, "laplacian", lambda points, signal: 1.01 * right(points, signal))
    found = carry(energy, field, start)
    np.testing.assert_allclose(found.defect, -0.01 / 1.01 * found.log_volume, rtol=0, atol=1e-6)
    assert np.abs(found.defect).max() > 1e-3


def test_a_wrong_field_is_found_out(monkeypatch):
    """Differences of a field that is not the gradient it should be: one component off by 1 %."""
    energy, field, start = stored("bandit", "rbf")
    right = energy.field
    monkeypatch.setattr(energy, "field", lambda points, signal: right(points, signal) * np.array([1.0, 1.01]))
    assert np.abs(carry(energy, field, start).defect).max() > 1e-3


def test_windows():
    """M(t, 0) = M(t, s) M(s, 0): determinants multiply, and what one run loses to a contraction beyond rounding, windows keep."""
    horizon = 1e3
    energy, field, start = stored("bandit", "rbf", horizon)
    points, product, logarithm, volume = start, np.eye(2), 0.0, 0.0
    for window, (begin, end) in enumerate(pairwise([0.0, *np.linspace(10.0, 1e2, 8), *np.linspace(150.0, horizon, 18)])):
        part = carry(energy, field, points, end, t_start=begin)
        np.testing.assert_array_equal(part.orientation, 1.0)
        assert part.condition.max() < 1e4
        product, points = part.matrices @ product, ParticleMeasure(part.points)
        logarithm, volume = logarithm + part.log_determinant, volume + part.log_volume
        if window == 3:
            whole = carry(energy, field, start, end)
            np.testing.assert_allclose(product, whole.matrices, rtol=0, atol=1e-6)
            np.testing.assert_allclose(logarithm, whole.log_determinant, rtol=0, atol=1e-6)
    assert np.abs(volume).max() > 40.0
    np.testing.assert_allclose(logarithm, volume, rtol=0, atol=1e-4)
    lost = carry(energy, field, start, horizon)
    assert lost.condition.max() > 1e14  # what the number is for
    assert np.abs(lost.defect).max() > 1.0


def test_what_variations_say():
    turned = np.array([[[0.0, 1.0], [1.0, 0.0]], [[2.0, 0.0], [0.0, 4.0]], [[1.0, 1.0], [1.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]]])
    found = Variations(np.zeros((4, 2)), turned, np.array([0.5, 1.0, 0.0, 0.0]))
    np.testing.assert_array_equal(found.orientation, [-1.0, 1.0, 0.0, 0.0])
    np.testing.assert_allclose(found.log_determinant, [0.0, np.log(8.0), -np.inf, -np.inf], atol=1e-15)
    np.testing.assert_allclose(found.defect, [-0.5, np.log(8.0) - 1.0, -np.inf, -np.inf])
    np.testing.assert_allclose(found.condition[:2], [1.0, 2.0])
    assert (found.condition[2:] > 1e15).all()


def test_packing():
    start = ParticleMeasure(np.random.default_rng(0).standard_normal((5, 3)))
    flow = VariationalFlow(Cubic(), growing(2.0))
    y = flow.pack(start)
    assert (y.shape, y.dtype, y.flags.c_contiguous) == ((5 * 13,), np.float64, True)
    first = flow.unpack(y)
    np.testing.assert_array_equal(first.points, start.points)
    np.testing.assert_array_equal(first.matrices, np.broadcast_to(np.eye(3), (5, 3, 3)))
    np.testing.assert_array_equal(first.log_volume, 0.0)
    assert all(np.shares_memory(part, y) for part in (first.points, first.matrices, first.log_volume))
    assert flow.diagnostics(0.0, y) == {"energy": 0.0, "defect": 0.0, "orientation": 1.0, "condition": 1.0}
    y[:] = np.random.default_rng(1).standard_normal(y.size)
    now, slope = flow.unpack(y.copy()), flow.unpack(flow.rhs(1.0, y))
    signal = np.log1p(np.ones(1))
    np.testing.assert_allclose(slope.points, Cubic().field(now.points, signal), rtol=1e-12)
    np.testing.assert_allclose(slope.log_volume, -4.0 * signal * now.points[:, 0] * now.points[:, 2], rtol=1e-12)
    _, derivative = jacobian(Cubic(), now.points, signal)
    np.testing.assert_allclose(slope.matrices, np.einsum("kij,kjl->kil", derivative, now.matrices), rtol=0, atol=1e-9)


def test_error_norm():
    """The worst of three: points, matrices, logarithms; every tracer alike."""
    n, m, rtol, atol = 4, 3, 0.01, 1e-4
    rng = np.random.default_rng(3)
    flow = VariationalFlow(Cubic(), growing(2.0))
    old = flow.pack(ParticleMeasure(rng.standard_normal((n, m)), rng.dirichlet(np.ones(n))))
    new = old + rng.standard_normal(old.size)
    for part in range(3):
        error = 1e-6 * rng.standard_normal(old.size)
        bounds = np.cumsum([0, n * m, n * m * m, n])
        here = slice(bounds[part], bounds[part + 1])
        error[here] *= 1e3
        rows = [x[here].reshape(n, -1) for x in (error, old, new)]
        ratios = [np.linalg.norm(e) / (atol + rtol * (max(np.linalg.norm(a), np.linalg.norm(b)) if part < 2 else 1.0))
                  for e, a, b in zip(*rows, strict=True)]  # fmt: skip
        exact = np.sqrt(np.mean(np.square(ratios)))
        assert flow.error_norm(error, old, new, rtol, np.array([atol])) == pytest.approx(exact, rel=1e-12)
        error[here][-1] = np.nan
        assert np.isnan(flow.error_norm(error, old, new, rtol, np.array([atol])))


def test_files(tmp_path):
    """A file gives flat arrays, which the flow unpacks; the diagnostics tell the defect over time."""
    energy, field, start = stored("bandit", "tanh")
    flow, path = VariationalFlow(energy, field), tmp_path / "run.h5"
    run = solve(flow, start, HORIZON, "tsit5", rtol=1e-6, record=[1.0, 10.0, HORIZON], path=path)
    kept = open_run(path)
    assert isinstance(kept.final, np.ndarray)
    np.testing.assert_array_equal(flow.unpack(kept.final).matrices, run.final.matrices)
    assert kept.diagnostics["defect"][-1] == np.abs(run.final.defect).max() < 1e-5
    np.testing.assert_array_equal(kept.diagnostics["orientation"], 1.0)
    assert kept.diagnostics["condition"][-1] == run.final.condition.max()


def test_relu_is_refused_before_any_work(tmp_path):
    energy = PolicyValue(agazzi_lu_bandit(n_actions=20), "relu")
    field = StoredField([0.0, 1.0], np.zeros((2, 1, 20)))
    flow, path = VariationalFlow(energy, field), tmp_path / "run.h5"
    with pytest.raises(ValueError, match=r"^activation must be smooth .*; got 'relu', whose gradient jumps at the kink$"):
        solve(flow, laws.student(3).sample(4, 0), 1.0, path=path)
    assert not path.exists()


def test_refuses():
    energy = PolicyValue(agazzi_lu_bandit(n_actions=20), "tanh")
    field = StoredField([0.0, 1.0], np.zeros((2, 1, 20)))
    flow = VariationalFlow(energy, field)
    with pytest.raises(TypeError, match=r"^energy must have a method field\(points, signal\); got None$"):
        VariationalFlow(None, field)
    with pytest.raises(TypeError, match=r"^energy must have a method laplacian\(points, signal\); got QuadraticInteraction"):
        VariationalFlow(QuadraticInteraction(), field)
    with pytest.raises(TypeError, match=r"^field must be a wflow.flows.StoredField; got "):
        VariationalFlow(energy, np.zeros((1, 20)))
    with pytest.raises(TypeError, match=r"^initial must be a ParticleMeasure; got "):
        flow.pack([[0.0, 1.0, 1.0]])
    with pytest.raises(ValueError, match=r"^initial must have points with 3 columns for this energy; got 2$"):
        flow.pack(ParticleMeasure(np.zeros((4, 2))))
    with pytest.raises(ValueError, match=r"^signal must have shape \(1, 20\); got \(1, 19\)$"):
        VariationalFlow(energy, StoredField([0.0, 1.0], np.zeros((2, 1, 19)))).pack(ParticleMeasure(np.zeros((4, 3))))
    with pytest.raises(ValueError, match=r"^t must lie in \[0, 1\], where the field is stored; got 2\.0$"):
        flow.rhs(2.0, flow.pack(ParticleMeasure(np.zeros((4, 3)))))
