"""What is computed of a problem, on small ones: shapes, degrees, residuals, controls; and what goes wrong is found out in the table."""

from __future__ import annotations

import signal
from functools import partial

import numpy as np
import pytest
from studies.support import made
from toys import support as toys

from wflow.energies import residuals
from wflow.flows import TracerFlow
from wflow.loop import solve
from wflow.measures import ParticleMeasure
from wflow.studies.support import CONTROLS, Problem, ProblemSupport, runs
from wflow.studies.support.analysis import rows
from wflow.studies.support.escape import escape
from wflow.studies.support.plan import Task
from wflow.studies.support.runs import _field as stored_field
from wflow.studies.support.runs import flow, followed, surface, tear

SIZE = 128
PROBLEMS = {
    "tanh": Problem("tanh", toys.bandit, 10.0),
    "relu": Problem("relu", toys.bandit, 5.0, (("activation", "relu"),), outside="outside Assumption 1", nodes="n_actions"),
    "grid": Problem("grid", toys.grid, 3.0, outside="outside Assumption 1"),
    "rbf": Problem("rbf", toys.grid, 5.0, (("activation", "rbf"),)),
}
FOUND = {}


def task(name, part="flow", size=SIZE, seed=0):
    return Task(PROBLEMS[name], part, size, seed, quick=True)


def found(name):
    """The parts of a problem, computed once."""
    if name not in FOUND:
        parts = {part.__name__: part(task(name, part.__name__)) for part in (flow, surface, escape)}
        FOUND[name] = ProblemSupport(name, PROBLEMS[name].outside, parts, {})
    return FOUND[name]


ALL = pytest.mark.parametrize("name", PROBLEMS)


@ALL
def test_the_separating_start(name):
    part, energy = found(name).parts["flow"], PROBLEMS[name].build()[0]
    times, m = task(name).long_times, energy.n_parameters
    t = len(times)
    np.testing.assert_array_equal(part["times"], times)
    assert part["clouds"].shape == (t, SIZE, m)
    assert not part["clouds"][0, :, 0].any()  # the start has ω0 = 0
    assert part["theta"].shape[1] == m - 1
    assert part["g"].shape == (t, len(part["theta"]))
    assert part["covering"].shape == part["covering_quarter"].shape == (t,)
    assert (part["covering"] < part["covering_quarter"])[0]
    for key, values in part.items():
        assert values.dtype == np.float64, key
        assert np.isfinite(values).all(), key
    gap = part["positive/gap"]
    assert gap.shape == (t,)
    assert (part["positive/gap_lower"] <= gap * (1.0 + 1e-9)).all()
    assert (gap <= part["positive/gap_upper"] * (1.0 + 1e-9)).all()
    assert gap[-1] < 0.9 * gap[0]


@ALL
def test_figures_are_those_of_the_cloud(name):
    """g, gap, dissipation and residuals, from the states that were kept."""
    part, energy = found(name).parts["flow"], PROBLEMS[name].build()[0]
    for k in (0, 7, -1):
        cloud = ParticleMeasure(part["clouds"][k])
        evaluation = energy.evaluate(cloud)
        assert part["positive/gap"][k] == pytest.approx(energy.optimum.objective - energy.value(cloud), rel=1e-6, abs=1e-12)
        assert part["positive/dissipation"][k] == pytest.approx(evaluation.dissipation, rel=1e-9)
        some = part["theta"][::37]
        g = energy.first_variation(cloud, np.column_stack([np.ones(len(some)), some]))
        np.testing.assert_allclose(part["g"][k][::37], g, rtol=1e-9, atol=1e-14)
    last = residuals(energy, cloud)
    for key in ("advantage_sup", "advantage_l2", "g_sup", "dissipation"):
        assert part[f"positive/end/{key}"] == getattr(last, key)
    np.testing.assert_array_equal(part["positive/end/g_argmax"], last.g_argmax)
    assert part["positive/end/g_sup"] >= np.abs(part["g"][-1]).max() * (1.0 - 1e-12)


@ALL
def test_controls(name):
    """Those that exist for the energy; what they keep is kept, and no gap falls below its bound."""
    part, energy = found(name).parts["flow"], PROBLEMS[name].build()[0]
    for control in CONTROLS:
        assert (f"{control.name}/gap" in part) == (control.applies(energy) == "")
        if control.applies(energy):
            continue
        assert part[f"{control.name}/defect"].shape == part["times"].shape
        assert part[f"{control.name}/defect"].max() <= control.rounding
        assert part[f"{control.name}/bound"] == control.bound(energy)
        assert (part[f"{control.name}/gap"] >= part[f"{control.name}/bound"] * (1.0 - 1e-9)).all()
        assert part[f"{control.name}/end/g_sup"] > 0.0
    assert {control.name for control in CONTROLS if f"{control.name}/gap" in part} == (
        {"all dead", "single point", "sign-locked"} if name in ("relu", "grid") else {"single point"})  # fmt: skip


@ALL
def test_the_surface(name):
    part, energy = found(name).parts["surface"], PROBLEMS[name].build()[0]
    times = task(name).times
    t, m = len(times), energy.n_parameters
    np.testing.assert_array_equal(part["times"], times)
    assert (part["degree"] == 1.0).all()
    assert (part["verdict"] == 1.0).all()
    assert part["complete"] == 1.0
    assert part["images"].shape == (t, len(part["points"]), m)
    assert (part["slack"] > 0.0).all()
    np.testing.assert_array_equal(part["images"][0, :, 1:], part["points"])
    assert not part["images"][0, :, 0].any()
    assert part["replay"].shape == (t,)
    assert part["replay"][0] == 0.0
    assert part["replay"].max() < (1e-2 if PROBLEMS[name].outside else 1e-6)
    smooth = name in ("tanh", "rbf")
    assert all((key in part) == smooth for key in ("log_determinant", "log_volume", "condition"))
    if smooth:
        assert part["log_volume"].shape == part["log_determinant"].shape == (t, part["log_volume"].shape[1])
        assert np.abs(part["log_determinant"] - part["log_volume"]).max() < 1e-8
        assert np.abs(part["log_volume"]).max() > 1e-4  # or nothing is said
    if smooth:
        assert not part["tear"].any()
    for key, values in part.items():
        assert values.dtype == np.float64, key
        assert np.isfinite(values).all() or key == "second"


def test_the_field_is_that_of_the_flow():
    """Images of the surface, by a classical Runge–Kutta method in the field of the flow's own cloud."""
    problem, given = PROBLEMS["tanh"], task("tanh", "surface")
    energy, law = problem.build()
    start = law.qmc(SIZE, given.generator(0)).points
    points = found("tanh").parts["surface"]["points"][::40]
    y = np.concatenate([start, np.column_stack([np.zeros(len(points)), points])])

    def velocity(y):
        return energy.field(y, energy.signal(ParticleMeasure(y[:SIZE])))

    steps = 200
    h = given.times[-1] / steps
    for _ in range(steps):
        k1 = velocity(y)
        k2 = velocity(y + h / 2.0 * k1)
        k3 = velocity(y + h / 2.0 * k2)
        y = y + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + velocity(y + h * k3))
    np.testing.assert_allclose(found("tanh").parts["surface"]["images"][-1, ::40], y[SIZE:], rtol=0, atol=1e-5)


def test_the_determinant_is_that_of_the_flow_map():
    """Central differences of the carried points themselves, against both routes of Liouville's formula."""
    given, part = task("tanh", "surface"), found("tanh").parts["surface"]
    energy, _ = PROBLEMS["tanh"].build()
    field, _ = stored_field(given, energy)
    mesh = part["points"][: 17**2]
    chosen = mesh[:: max(1, len(mesh) // 64)][[3, 40]]
    h = 1e-4
    base = np.column_stack([np.zeros(2), chosen])
    shifted = np.concatenate([base + sign * h * np.eye(3)[j] for j in range(3) for sign in (1.0, -1.0)])
    run = solve(TracerFlow(energy, field), ParticleMeasure(shifted), given.times[-1], "tsit5", rtol=1e-11, atol=1e-13)
    ends = run.final.points.reshape(3, 2, 2, 3)
    matrices = ((ends[:, 0] - ends[:, 1]) / (2.0 * h)).transpose(1, 2, 0)
    expected = np.log(np.linalg.det(matrices))
    np.testing.assert_allclose(part["log_volume"][-1, [3, 40]], expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose(part["log_determinant"][-1, [3, 40]], expected, rtol=0, atol=1e-6)


def test_tears():
    part = tear(Task(PROBLEMS["relu"].refined(30), "tear", 64, 0, quick=True))
    np.testing.assert_array_equal(part["times"], task("relu").times)
    assert part["tear"].shape == part["times"].shape
    assert (part["tear"] >= 0.0).all()
    assert part["tear"][0] == 0.0


@pytest.mark.parametrize("part", [flow, surface, escape])
def test_same_seed_same_bits(part):
    name = "relu" if part is flow else "tanh"  # with controls that are drawn
    mine, again, other = (part(task(name, size=64, seed=seed)) for seed in (0, 0, 1))
    assert set(mine) == set(again)
    for key, values in mine.items():
        np.testing.assert_array_equal(again[key], values)
    assert any(values.shape != other[key].shape or (values != other[key]).any() for key, values in mine.items())


def test_a_run_that_does_not_arrive(monkeypatch):
    energy, law = PROBLEMS["tanh"].build()
    start, times = law.qmc(64, 0), np.array([0.0, 5.0, 50.0])
    assert followed("mine", energy, start, times, 1e-3).times[-1] == 50.0
    monkeypatch.setattr(runs, "solve", partial(solve, max_steps=2))
    with pytest.raises(RuntimeError, match=r"^mine: step limit: "):
        followed("mine", energy, start, times, 1e-3)
    with pytest.raises(RuntimeError, match=r"^volumes: step limit: "):
        surface(task("tanh", size=64))


def test_a_signal_is_passed_on():
    """A run that Ctrl-C ended is no result and no failure."""
    energy, law = PROBLEMS["tanh"].build()
    before = signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        with pytest.raises(KeyboardInterrupt):
            followed("mine", energy, law.qmc(2048, 0), np.geomspace(1e-3, 1e8, 2000), 1e-8)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.slow
def test_user_activations_have_no_volumes():
    """Their second derivative is not known: the surface is carried, Liouville's formula is left out."""
    part = surface(Task(Problem("own", toys.own_activation, 5.0), "surface", 64, 0, quick=True))
    assert (part["degree"] == 1.0).all()
    assert "log_volume" not in part


def test_actions_in_a_plane():
    """Sign-locked neurons say nothing there; nodes beyond 1 need dead neurons that are further away."""
    part = flow(Task(Problem("plane", toys.plane, 1.0, (("scale", 3.0),)), "flow", 64, 0, quick=True))
    assert not part["all dead/defect"].any()
    assert "sign-locked/gap" not in part
    assert part["single point/bound"] == 0.0


@pytest.mark.parametrize("name", ["tanh", "relu"])
def test_the_table(name):
    """Nothing fails; what is tampered with does, row by row."""
    problem = found(name)
    about = made.study(problem, bound=0.0).about

    def verdict(claim, changed=problem):
        row, = [row for row in rows(changed, about) if row.claim.startswith(claim)]
        return row.verdict

    table = {row.claim: row.verdict for row in rows(problem, about)}
    assert "fails" not in table.values()
    assert verdict("degree of Σ") == "holds"
    part = problem.parts["surface"]
    twice = made.changed(problem, "surface", {"degree": 2.0 * part["degree"], "verdict": -part["verdict"]})
    assert verdict("degree of Σ", twice) == "fails"
    below = 0.5 * float(problem.parts["flow"]["single point/bound"])
    low = made.changed(problem, "flow", {"single point/gap": np.full_like(problem.parts["flow"]["times"], below)})
    assert verdict("single point: gap", low) == "fails"
    apart = made.changed(problem, "flow", {"single point/defect": np.full(3, 1e-3)})
    assert verdict("single point: spread", apart) == "fails"
    if name == "tanh":
        wrong = made.changed(problem, "surface", {"log_volume": part["log_volume"] + 1e-3})
        assert (verdict("log det"), verdict("log det", wrong)) == ("holds", "fails")
