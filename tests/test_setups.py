"""Experiments without a policy and policies on grids: every kind of flow runs, near its closed form, and what does not fit is refused."""

from __future__ import annotations

import numpy as np
import pytest

from wflow import cli, config, experiment, loop, problems
from wflow.config import ConfigError
from wflow.measures import GridMeasure, ParticleMeasure
from wflow.settings import FREE_PROBLEMS

SMALLER = {
    "aggregation": ["flow.cells=40", "record.frames=5"],
    "barenblatt": ["flow.cells=60", "record.frames=5"],
    "fokker_planck": ["flow.cells=50", "record.frames=5"],
    "heat": ["flow.cells=100", "record.frames=5"],
    "ornstein_uhlenbeck": ["flow.cells=40", "record.frames=5"],
    "regression": ["flow.n_particles=100", "solver.t_end=10.0"],
    "bandit_grid": ["flow.cells=8", "record.frames=4", "solver.t_end=1.0", "problem.n_actions=20"],
}
# The default grid has 400, 128, 200, ... cells; errors are of order 2 in their width. Measured with these, and doubled.
L1 = {"aggregation": 0.12, "barenblatt": 2e-3, "fokker_planck": 1e-3, "heat": 4e-3, "ornstein_uhlenbeck": 0.03}


def solved(name, *changes, seed=None):
    (part,) = config.load(name, changes).parts
    experiment.check(part)
    run = experiment.build(part, part.settings.seeds[0] if seed is None else seed)
    return run, loop.solve(run.flow, run.initial(), record=run.schedule, provenance=run.provenance(), **run.arguments)


def refusal(name, *changes):
    with pytest.raises(ConfigError) as caught:
        experiment.check(config.load(name, changes).parts[0])
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{name}: ")
    return message


def errors_of(solution):
    return problems.stored(solution.provenance).errors(solution.final_time, solution.final)


# --- grids


@pytest.mark.parametrize("name", sorted(L1))
def test_grids_come_near_the_closed_form(name):
    run, solution = solved(name, *SMALLER[name])
    assert solution.status.ok
    assert isinstance(solution.final, GridMeasure)
    assert errors_of(solution)["L1"] < L1[name]
    assert np.abs(solution.diagnostics["mass_drift"]).max() <= 1e-13
    assert (np.diff(solution.energy) < 0.0).all()
    assert run.part.kind == name


@pytest.mark.parametrize("name", sorted(L1))
def test_no_cell_is_ever_negative(name):
    """Neither at steps nor at the times between them that frames fall on."""
    _, solution = solved(name, *SMALLER[name], "record={spacing='linear', frames=40, states='all'}")
    assert solution.diagnostics["lowest"].min() >= 0.0
    assert all((state.masses >= 0.0).all() for state in solution.states())


@pytest.mark.parametrize("name", ["heat", "fokker_planck"])
def test_half_the_width_is_a_quarter_of_the_error(name):
    tight = ["record.frames=2", "solver.rtol=1e-8", "solver.atol=1e-10"]
    errors = [errors_of(solved(name, f"flow.cells={n}", *tight)[1])["L1"] for n in (50, 100)]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2.0, abs=0.15)


def test_the_policy_rises_on_a_grid_and_the_walls_are_watched():
    run, solution = solved("bandit_grid", *SMALLER["bandit_grid"])
    assert solution.final.shape == (8, 8, 8)
    assert (np.diff(solution.energy) > 0.0).all()
    np.testing.assert_allclose(solution.gap, run.energy.optimum.objective - solution.energy, rtol=1e-12)
    assert (solution.diagnostics["wall_mass"] < 1e-2).all()
    np.testing.assert_array_equal([edges[[0, -1]] for edges in solution.final.axes], [[-8, 8], [-6, 6], [-6, 6]])


def test_a_temperature_of_the_parameters_is_an_entropy_on_grids_and_noise_on_particles():
    """2τt for the variance of every coordinate, at a seed whose policy value has next to no slope at the start."""
    finer = ["flow.cells=20", "flow.box=[-5.0, 5.0]", "flow.temperature=0.05", "seeds=[4]"]
    _, warm = solved("bandit_grid", *SMALLER["bandit_grid"], *finer)
    grown = warm.final.covariance() - warm.state(0).covariance()
    np.testing.assert_allclose(np.diagonal(grown), 0.1, rtol=0.02)
    flow = "flow={kind='langevin', activation='tanh', n_particles=4000, temperature=0.05}"
    _, noisy = solved("fig1a", flow, "seeds=[1]", "solver={t_end=1.0, options={dt=0.05}}", "record={}")
    spread = noisy.final.covariance() - noisy.state(0).covariance()
    np.testing.assert_allclose(np.diagonal(spread), 0.1, atol=5 * 2 * np.sqrt(2 * 4.0 * 0.1 / 4000))  # ± of the product of start and noise
    assert {"gap", "dissipation"} <= set(noisy.diagnostics)


def test_boxes_and_cells_are_as_asked():
    given = ["flow.cells=[10, 12]", "flow.box=[[-4.0, 5.0], [-6.0, 6.0]]"]
    run, _ = solved("ornstein_uhlenbeck", *given, "record.frames=2", "solver.t_end=0.01")
    axes = run.initial().axes
    np.testing.assert_allclose(axes[0], np.linspace(-4.0, 5.0, 11))
    np.testing.assert_allclose(axes[1], np.linspace(-6.0, 6.0, 13))


# --- other flows


@pytest.mark.parametrize("name", ["heat", "ornstein_uhlenbeck", "fokker_planck"])
def test_noise_follows_the_closed_form_within_its_sampling_error(name):
    n, dt = 20_000, {"heat": 0.1, "ornstein_uhlenbeck": 0.02, "fokker_planck": 0.001}[name]
    run, solution = solved(name, f"flow={{kind='langevin', n_particles={n}}}", f"solver.options.dt={dt}", "record.frames=2")
    problem = problems.stored(solution.provenance)
    _, covariance = problem.moments(solution.final_time)
    found = errors_of(solution)
    assert run.arguments["options"]["seed"] == run.seed
    bias = {"heat": 0.0, "ornstein_uhlenbeck": dt, "fokker_planck": 2e-3}[name]  # of Euler's drift and mirrored steps
    assert found["mean"] < 5.0 * np.sqrt(np.trace(covariance) / n) + bias
    assert found["covariance"] < 5.0 * np.sqrt(2.0 / n) * np.linalg.norm(covariance) + bias


def test_the_seed_draws_the_noise_and_the_file_may_say_another():
    common = ["flow={kind='langevin', n_particles=50}", "solver={t_end=0.1, options={dt=0.05}}", "record={}"]
    a, b, again = (solved("heat", *common, seed=seed)[1].final.points for seed in (3, 4, 3))
    np.testing.assert_array_equal(a, again)
    assert (a != b).all()
    run, _ = solved("heat", *common, "solver.options.seed=7", seed=3)
    assert run.arguments["options"] == {"dt": 0.05, "seed": 7}


@pytest.mark.parametrize(("name", "step"), [("heat", 0.05), ("fokker_planck", 0.005), ("barenblatt", 0.02)])
def test_minimising_movements_of_cells_err_by_the_order_of_their_step(name, step):
    common = ["flow={kind='jko', cells=100}", "record.frames=2"]
    errors = [errors_of(solved(name, *common, f"solver.options.step={h}")[1])["L1"] for h in (step, step / 2)]
    assert errors[0] / errors[1] == pytest.approx(2.0, abs=0.35)


@pytest.mark.parametrize("kind", ["particles", "jko"])
def test_attraction_of_particles(kind):
    options = ["solver.options.step=0.02"] if kind == "jko" else []
    run, solution = solved("aggregation", f"flow={{kind='{kind}', n_particles=256}}", *options, "record.frames=2")
    start, end = run.initial(), solution.final
    np.testing.assert_array_equal(start.points, solution.state(0).points)
    assert isinstance(end, ParticleMeasure)
    shrunk = np.exp(-2.0) if kind == "particles" else 1.02**-100
    np.testing.assert_allclose(end.covariance(), shrunk * start.covariance(), rtol=2e-2 if kind == "particles" else 1e-6)
    np.testing.assert_allclose(end.mean(), start.mean(), atol=1e-7)


def test_a_student_learns():
    _, solution = solved("regression", "flow.n_particles=200", "solver.t_end=300.0", "record.frames=4")
    assert solution.energy[-1] < 0.1 * solution.energy[0]
    missed = solution.finals["prediction"] - solution.static["targets"]
    np.testing.assert_allclose(solution.energy[-1], 0.5 * np.mean(missed**2), rtol=1e-12)


# --- what is refused


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("heat", ["flow.kind=particles"], ["flow.kind must be one of grid, langevin, jko", "got 'particles'"]),
        ("heat", ["flow.n_particles=5"], ["flow.n_particles is no key", "allowed: kind, cells, box, limiter, stepping"]),
        ("heat", ["flow.cells=0"], ["flow.cells must be an integer of at least 2; got 0"]),
        ("heat", ["flow.cells=many"], ["flow.cells must be an integer", "got 'many'"]),
        ("heat", ["flow.cells=[10, 10]"], ["flow.cells must be one number, or 1; got [10, 10]"]),
        ("heat", ["flow.cells=100_000_000_000"], ["flow.cells must be small enough for"]),
        ("heat", ["flow.box=[1.0, -1.0]"], ["flow.box must have its low ends below its high ones; got [1.0, -1.0]"]),
        ("heat", ["flow.box=[-1.0, 1.0]"], ["flow.box must hold all but 0.001 of the law's mass"]),
        ("heat", ["flow.box=[1.0]"], ["flow.box must be [low, high]; got [1.0]"]),
        ("ornstein_uhlenbeck", ["flow.box=[1.0]"], ["flow.box must be [low, high], or 2 such pairs; got [1.0]"]),
        ("heat", ["flow.box=wide"], ["flow.box must be", "got 'wide'"]),
        ("fokker_planck", ["flow.box=[0.0, 2.0]"], ["flow.box must be left out: the problem has walls of its own"]),
        ("heat", ["flow.limiter=minmid"], ["flow.limiter must be one of", "did you mean 'minmod'"]),
        ("barenblatt", ["flow.stepping=implicit"], ["flow.stepping must be"]),
        ("heat", ["problem.variance=[-1.0]"], ["problem.variance must be", "above 0"]),
        ("heat", ["problem.temperature=hot"], ["problem.temperature must be a number; got 'hot'"]),
        ("heat", ["problem.varience=[1.0]"], ["problem.varience is no key", "did you mean 'variance'"]),
        ("heat", ["flow={kind='langevin'}"], ["solver.options.dt must be", "got None"]),
        ("heat", ["flow={kind='langevin'}", "solver.options.dt=-1.0"], ["solver.options.dt must be"]),
        ("heat", ["flow={kind='jko'}"], ["solver.options.step must be", "got None"]),
        ("heat", ["flow={kind='langevin'}", "solver.options.dt=0.1", "solver.method=rkc2"], ["solver.method must be left out"]),
        ("heat", ["flow={kind='jko', cells=9, n_particles=9}"], ["flow.cells must be left out where n_particles is given; got 9"]),
        ("aggregation", ["flow={kind='jko', cells=9}"], ["flow.cells must be left out where", "one dimension"]),
        ("barenblatt", ["flow={kind='jko', n_particles=9}"], ["flow.n_particles must be left out"]),
        ("bandit_grid", ["flow={kind='grid', cells=8}"], ["flow.box must be given for neurons"]),
        ("bandit_grid", ["flow.variance=[1.0]"], ["flow.variance must be one number, or 3; got [1.0]"]),
        ("bandit_grid", ["flow.temperature=-1.0"], ["flow.temperature must be"]),
        ("bandit_grid", ["flow.activation=rellu"], ["flow.activation must be one of"]),
        ("regression", ["problem.activation=rellu"], ["problem.activation must be one of"]),
    ],
)
def test_what_does_not_fit(name, changes, words):
    message = refusal(name, *changes)
    assert all(word in message for word in words), message


# --- the command


@pytest.mark.parametrize("name", sorted([*FREE_PROBLEMS, "bandit_grid"]))
def test_the_command_runs_resumes_and_draws_every_experiment(name, tmp_path, capsys):
    words = [word for change in SMALLER[name] for word in ("--set", change)]
    assert cli.main(["run", name, *words, "--out", str(tmp_path), "--quiet"]) == 0
    file = tmp_path / f"{name}.h5"
    (before,) = loop.open_all(file)
    drawn = (tmp_path / f"{name}.png").stat().st_size
    assert drawn > 20_000
    t_end = 1.25 * before.times[-1]
    assert cli.main(["resume", str(file), "--t-end", str(t_end), "--quiet", "--force"]) == 0
    (after,) = loop.open_all(file)
    assert after.times[-1] == t_end
    assert (after.energy[-1] - before.energy[-1]) * (1 if name == "bandit_grid" else -1) > 0.0
    capsys.readouterr()
    assert cli.main(["info", str(file)]) == 0
    told = capsys.readouterr().out
    assert f"kind = {name if name != 'bandit_grid' else 'agazzi_lu_bandit'}" in told
    assert ("energy" in told, "(L1)" in told) == (name != "bandit_grid", name in L1)
    assert cli.main(["plot", str(file), "--out", str(tmp_path / "again.png")]) == 0


def test_sweeps_over_what_a_grid_has(tmp_path, capsys):
    sweeps = ["--sweep", "flow.cells=50,100", "--sweep", "problem.temperature=0.5,1.0"]
    assert cli.main(["run", "heat", "--set", "record.frames=2", "--set", "solver.t_end=0.1", *sweeps, "--out", str(tmp_path)]) == 0
    assert "cells=100 temperature=1.0" in capsys.readouterr().out
    assert [run.final.size for run in loop.open_all(tmp_path / "heat.h5")] == [50, 50, 100, 100]
