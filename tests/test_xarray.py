"""A solution as a dataset: every number under its name, and back from a netCDF file."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import numpy as np
import pytest

from wflow.energies import Entropy, PolicyValue, Potential
from wflow.flows import EulerianFlow, WassersteinFlow
from wflow.loop import Solution, open_all, solve
from wflow.mdp import agazzi_lu_bandit, agazzi_lu_grid, gridworld
from wflow.measures import GridMeasure, laws
from wflow.record import geometric

xarray = pytest.importorskip("xarray")


def solved(mdp, **options):
    energy = PolicyValue(mdp)
    initial = laws.student(energy.n_parameters).sample(7, 1)
    return solve(WassersteinFlow(energy), initial, 1.0, "RK45", record=geometric(5, states="all"), provenance={"seed": 1}, **options)


@pytest.fixture(scope="module")
def grid():
    return solved(agazzi_lu_grid(seed=1, n_states=5, n_actions=5))  # as many states as actions


class Fall:
    """Flat states, and arrays of every kind."""

    def pack(self, initial):
        return np.array(initial, dtype=float)

    def unpack(self, y):
        return y

    def rhs(self, t, y):
        return -y

    def diagnostics(self, t, y):
        return {"energy": float(y @ y), "height": float(y[0])}

    def static(self):
        arrays = {"matrix": np.arange(6.0).reshape(2, 3), "nothing": np.empty((0, 3)), "whole": np.arange(3)}
        return {**arrays, "height": np.array(2.0), "s": np.array(1.0)}

    def finals(self, t, y):
        return {"matrix": np.outer(y, y), "time": y}


def test_frames_with_units(grid):
    data = grid.to_xarray()
    np.testing.assert_array_equal(data["time"], grid.times)
    assert data["time"].attrs["units"] == "mean-field time"
    for name, values in grid.diagnostics.items():
        assert data[name].dims == ("time",)
        np.testing.assert_array_equal(data[name], values)
    assert data["dissipation"].attrs["units"] == "reward / mean-field time"
    assert "optimum" in data["gap"].attrs["long_name"]


def test_states_by_particle_and_coordinate(grid):
    data = grid.to_xarray()
    assert data["points"].dims == ("state_time", "particle", "coordinate")
    assert list(data["coordinate"].values) == ["omega_0", "k_s", "k_a", "b"]
    np.testing.assert_array_equal(data["state_time"], grid.state_times)
    for k, state in enumerate(grid.states()):
        np.testing.assert_array_equal(data["points"][k], state.points)
    np.testing.assert_array_equal(data["points"].sel(coordinate="b").isel(state_time=-1), grid.final.points[:, 3])
    assert data["weights"].dims == ("particle",)
    np.testing.assert_array_equal(data["weights"], grid.final.weights)


def test_the_problem_by_state_and_action(grid):
    data = grid.to_xarray()
    np.testing.assert_array_equal(data["s"], grid.static["states"][:, 0])
    np.testing.assert_array_equal(data["a"], grid.static["actions"][:, 0])
    assert data["action_weights"].dims == ("a",)
    for name, values in (("log_policy", grid.finals["log_policy"]), ("optimal_log_policy", grid.static["optimal_log_policy"])):
        assert data[name].dims == ("s", "a")
        np.testing.assert_array_equal(data[name], values)
        assert data[name].attrs["units"] == "nats"
    assert data["log_policy"].attrs["time"] == 1.0
    assert float(data["optimal_value"]) == grid.static["optimal_value"]
    mass = (np.exp(data["log_policy"]) * data["action_weights"]).sum("a")  # what the names are for
    np.testing.assert_allclose(mass, 1.0, rtol=1e-12)


def test_nodes_without_a_line_are_variables_and_those_without_coordinates_are_left_out():
    data = solved(gridworld(2, 2)).to_xarray()
    assert data["states"].dims == ("s", "state_coordinate")
    assert data["actions"].dims == ("a", "action_coordinate")
    bandit = solved(agazzi_lu_bandit(n_actions=4)).to_xarray()
    assert "states" not in bandit.variables
    assert bandit["log_policy"].dims == ("s", "a")
    assert all(n > 0 for n in bandit.sizes.values())


def test_where_it_came_from(grid):
    attributes = grid.to_xarray().attrs
    assert attributes["status"] == "finished"
    assert attributes["message"] == grid.message
    assert json.loads(attributes["provenance"]) == grid.provenance
    assert json.loads(attributes["counts"]) == grid.counts


def test_flat_states_and_arrays_whose_axes_or_names_are_unknown_or_taken():
    solution = solve(Fall(), [1.0, 2.0], 1.0, "RK45", record=[0.0, 0.5, 1.0])
    data = solution.to_xarray()
    assert data["state"].dims == ("state_time", "component")
    np.testing.assert_array_equal(data["state"], list(solution.states()))
    assert data["matrix"].dims == ("matrix_0", "matrix_1")
    assert (data["static_height"], data["static_s"]) == (2.0, 1.0)
    assert data["height"].dims == ("time",)
    assert data["final_matrix"].shape == (2, 2)
    np.testing.assert_array_equal(data["final_time"], solution.finals["time"])
    np.testing.assert_array_equal(data["time"], solution.times)
    assert "nothing" not in data.variables


def test_events_in_order_of_time():
    def half(t, y):
        return y[0] - 0.5

    def third(t, y):
        return y[0] - 1.0 / 3.0

    data = solve(Fall(), [1.0], 2.0, "RK45", events=[third, half], rtol=1e-8).to_xarray()
    assert list(data["event_name"].values) == ["half", "third"]
    np.testing.assert_allclose(data["event_time"], np.log([2.0, 3.0]), rtol=1e-6)
    assert "event" not in solve(Fall(), [1.0], 0.1, "RK45", events=half).to_xarray().sizes


@pytest.mark.parametrize("engine", ["scipy", "h5netcdf"])
def test_netcdf_and_back(grid, tmp_path, engine):
    if engine == "h5netcdf":
        pytest.importorskip("h5netcdf")
    data = grid.to_xarray()
    data.to_netcdf(tmp_path / "a.nc", engine=engine)
    with xarray.open_dataset(tmp_path / "a.nc", engine=engine) as back:
        xarray.testing.assert_identical(back.load(), data)
    flat = solve(Fall(), [1.0, 2.0], 1.0, "RK45", events=lambda t, y: y[0] - 0.5).to_xarray()
    flat.to_netcdf(tmp_path / "b.nc", engine=engine)
    with xarray.open_dataset(tmp_path / "b.nc", engine=engine) as back:
        xarray.testing.assert_equal(back.load(), flat)


def test_a_file_gives_the_same_dataset(tmp_path):
    run = solved(agazzi_lu_bandit(n_actions=4), path=tmp_path / "a.h5")
    (stored,) = open_all(tmp_path / "a.h5")
    xarray.testing.assert_equal(stored.to_xarray(), run.to_xarray())


def test_of_a_run_that_has_not_ended_the_checkpoint_is_the_last_state(grid):
    y = np.arange(28.0)
    early = Solution(replace(grid.stored, last=(0.5 * grid.times[1], y)), grid.unpack)  # older than the last state kept
    assert early.to_xarray().sizes["state_time"] == 5
    late = Solution(replace(grid.stored, last=(2.0, y)), grid.unpack).to_xarray()
    assert late.sizes["state_time"] == 6
    assert late["state_time"][-1] == 2.0
    np.testing.assert_array_equal(late["points"][-1], y.reshape(7, 4))
    assert late["log_policy"].attrs["time"] == 2.0


def test_a_run_that_has_not_begun_is_empty(grid):
    nothing = replace(grid.stored, frames=grid.stored.frames[:0], state_times=np.empty(0))
    data = Solution(nothing, grid.unpack).to_xarray()
    assert data.sizes["time"] == 0
    assert "points" not in data.variables


def test_without_xarray_one_line_says_what_to_do(grid, monkeypatch):
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(ImportError, match=r"^to_xarray needs xarray: pip install 'wflow\[xarray\]'$"):
        grid.to_xarray()


def test_a_grid_has_its_axes():
    axes = (np.linspace(-3.0, 3.0, 13), np.linspace(-2.0, 2.0, 9))
    start = GridMeasure.from_density(axes, lambda x: np.exp(-(x**2).sum(axis=1)))
    run = solve(EulerianFlow(Potential.quadratic() + Entropy(0.2)), start, 0.1, record=geometric(4, states="all"))
    data = run.to_xarray()
    assert data["masses"].dims == ("state_time", "x1", "x2")
    np.testing.assert_array_equal(data["masses"][-1], run.final.masses)
    np.testing.assert_array_equal(data["x2"], run.final.centres[1])
    assert f"mass at the walls {run.diagnostics['wall_mass'].max():.3g} at most" in run.summary()
