"""What is computed of a problem, against closed forms and plain NumPy."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from wflow.measures import GridMeasure, ParticleMeasure
from wflow.studies.grids import built_in, runs
from wflow.studies.grids.analysis import cell_diagonal, order
from wflow.studies.grids.plan import Task
from wflow.studies.grids.problems import _ATTRACTION, _PLANE, _STIFFNESS

ATTRACTION = built_in("attraction")


def task(part, size=0, problem=ATTRACTION, limiter="minmod"):
    return Task(problem, part, size, limiter, 0, True)


@pytest.fixture(scope="module")
def reference():
    return runs.reference(task("reference"))


@pytest.fixture(scope="module")
def grid():
    return runs.cells(task("cells", 16))


def moments(t):
    """Of the law at time t: x(t) = m e^{−κt} + (x − m) e^{−(κ+λ)t}."""
    mean = np.array([bump.centre for bump in _PLANE]) * np.exp(-_STIFFNESS * t)
    variance = np.array([bump.radius**2 / 9.0 for bump in _PLANE]) * np.exp(-2.0 * (_STIFFNESS + _ATTRACTION) * t)
    return mean, np.diag(variance)


def test_reference(reference):
    mean, covariance = moments(ATTRACTION.horizon)
    np.testing.assert_allclose(reference["mean"], mean, rtol=1e-9)
    np.testing.assert_allclose(reference["covariance"], covariance, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(reference["energy"], reference["exact"], rtol=1e-9)
    np.testing.assert_allclose(reference["half"], reference["exact"], rtol=1e-9)  # a Gauss rule is exact for squares
    slope = np.gradient(reference["energy"], reference["times"], edge_order=2)
    np.testing.assert_allclose(reference["slope"], slope, rtol=1e-3)
    assert (reference["slope"] < 0.0).all()
    assert "gap" not in reference
    np.testing.assert_allclose(reference["cloud"].mean(axis=0), mean, atol=1e-4)
    np.testing.assert_allclose(np.cov(reference["cloud"].T), covariance, atol=1e-3)
    assert ((reference["own"] > 0.0) & (reference["own"] < 1e-3)).all()


def test_sheppards_correction_leaves_nothing_at_the_start():
    """After a very short time: h²/12 would be 6e-3, h²/6 with the spread over cells."""
    short = runs.cells(task("cells", 16, replace(ATTRACTION, horizon=1e-7)))
    mean, covariance = moments(0.0)
    np.testing.assert_allclose(short["mean"], mean, atol=1e-6)
    np.testing.assert_allclose(short["covariance"], covariance, atol=2e-5)


def test_a_grid_and_its_particles(grid):
    assert grid["times"][-1] == ATTRACTION.horizon
    assert {grid[name].shape for name in ("energy", "mass_drift", "lowest", "wall_mass")} == {grid["times"].shape}
    assert grid["lowest"].min() >= 0.0
    assert np.abs(grid["mass_drift"]).max() < 1e-14
    assert (np.diff(grid["energy"]) < 0.0).all()
    for k in range(2):
        assert grid[f"start{k}"].sum() == pytest.approx(1.0, abs=1e-13)
        assert grid[f"end{k}"].sum() == pytest.approx(1.0, abs=1e-13)
        centres = (grid[f"edges{k}"][1:] + grid[f"edges{k}"][:-1]) / 2.0
        assert grid[f"end{k}"] @ centres == pytest.approx(grid["mean"][k], rel=1e-12)
        np.testing.assert_allclose(np.diff(_PLANE[k].distribution(grid[f"edges{k}"])), grid[f"start{k}"], atol=1e-14)
    value, lower, upper = grid["w2"]
    assert 0.0 < lower <= value <= upper
    assert upper < cell_diagonal(grid) / 3.0**0.5  # each lies within diagonal/√12 of its law, and these nearly agree
    mean, _ = moments(ATTRACTION.horizon)
    assert upper >= np.linalg.norm(grid["mean"] - mean) - 1e-6  # the particles' mean is exact
    now, then = moments(ATTRACTION.horizon), moments(0.0)
    scale = np.sqrt(np.diag(now[1]) / np.diag(then[1])) - 1.0  # x(t) − x(0) is affine in x(0)
    square = (now[0] - then[0]) ** 2 + scale**2 * np.diag(then[1])
    widths = np.array([np.diff(grid[f"edges{k}"])[0] for k in range(2)])
    assert grid["moved"] == pytest.approx(np.sqrt((square / widths**2).sum()), rel=0.02)  # the start's masses lie at the centres
    assert (grid["dropped"] <= 1e-8 + 1e-15).all()
    exact = ATTRACTION.exact(np.array([0.0, ATTRACTION.horizon]))
    assert grid["energy"][0] == pytest.approx(grid["lattice_energy"][0], rel=1e-12)
    np.testing.assert_allclose(grid["lattice_energy"], exact, rtol=0.02)


def test_marginal_distances(grid, reference):
    """W2 of sorted quantiles, both on a grid of 10⁵ levels; and no less than W1 by SciPy."""
    found = runs.marginal_distances(grid, reference["cloud"])
    levels = (np.arange(100_000) + 0.5) / 100_000
    for k in range(2):
        edges, masses = grid[f"edges{k}"], grid[f"end{k}"]
        below = np.concatenate([[0.0], np.cumsum(masses)])
        held = np.concatenate([[True], np.diff(below) > 0.0])
        quantiles = np.interp(levels, below[held], edges[held])
        mine = np.quantile(reference["cloud"][:, k], levels, method="inverted_cdf")
        assert found[k] == pytest.approx(np.sqrt(np.square(quantiles - mine).mean()), rel=2e-3)
        assert found[k] >= wasserstein_distance(quantiles, mine) * 0.999


def test_light_atoms_are_left_out():
    weights = np.array([0.5, 3e-9, 0.5 - 2.3e-8, 4e-9, 1.6e-8])
    measure = ParticleMeasure(np.arange(5.0)[:, None], weights)
    kept, lost = runs._heavy(measure)
    assert sorted(kept.points[:, 0]) == [0.0, 2.0, 4.0]
    assert lost == pytest.approx(7e-9, rel=1e-6)
    assert kept.weights.sum() == pytest.approx(1.0, abs=1e-15)


def test_particles(reference):
    found = runs.particles(task("particles", 128))["energy"]
    assert found.shape == (8, len(reference["times"]))
    error = np.abs(found - reference["exact"]).max(axis=1)
    assert len(set(error)) == 8
    assert error.max() < 0.02


def test_first_order_without_a_limiter(reference):
    """The study tells first order from second."""
    sizes = (16, 24, 32)
    seen = {}
    for limiter in ("none", "van_leer"):
        ends = [runs.cells(task("cells", n, limiter=limiter))["energy"][-1] for n in sizes]
        seen[limiter] = order(sizes, np.abs(np.array(ends) - reference["exact"][-1]))
    assert 0.7 < seen["none"].low <= seen["none"].high < 1.3
    assert 1.75 < seen["van_leer"].low <= seen["van_leer"].high < 2.6


def test_bandit_on_a_coarse_grid():
    """m = 3: the reference's gap falls, the grid's energy follows it."""
    problem = replace(built_in("bandit tanh"), horizon=5.0)
    found = runs.cells(task("cells", 8, problem))
    energy, law = problem.build()
    start = law.gauss(8)
    assert found["lattice_energy"][0] == pytest.approx(energy.value(start), abs=5e-4)
    assert found["energy"][-1] == pytest.approx(found["lattice_energy"][-1], abs=2e-4)
    assert (np.diff(found["energy"]) > 0.0).all()
    assert found["covariance"].shape == (3, 3)
    axes = [found[f"edges{k}"] for k in range(3)]
    np.testing.assert_allclose(GridMeasure.from_law(axes, law).marginal(2).masses, found["start2"], atol=1e-14)


def test_a_run_that_does_not_arrive(monkeypatch):
    monkeypatch.setattr(runs, "solve", partial(runs.solve, max_steps=1))
    with pytest.raises(RuntimeError, match=r"^step limit: "):
        runs.particles(task("particles", 8))
