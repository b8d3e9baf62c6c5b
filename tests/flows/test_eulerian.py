"""The Eulerian flow: orders against closed forms, exact mass, no negative cell, energy in its sense, resume to the bit."""

from __future__ import annotations

import numpy as np
import pytest

from wflow.closed_forms import Barenblatt, FokkerPlanckInterval, Heat, OrnsteinUhlenbeck
from wflow.energies import Entropy, Interaction, PolicyValue, Potential, PowerLaw, QuadraticInteraction, Sum
from wflow.flows.eulerian import EulerianFlow, density_norm, wall_mass
from wflow.loop import solve
from wflow.mdp import agazzi_lu_bandit
from wflow.measures import GridMeasure

DRIFT = 1e-13
ORDER = 0.15


def run(flow, initial, t_end, method=None, **more):
    """A run that ended as meant, with all its mass, no negative cell in any frame and the energy moved in its sense."""
    more = {"rtol": 1e-4, "atol": 1e-12, **more}
    solution = solve(flow, initial, t_end, method, **more)
    assert solution.status.ok, solution.message
    numbers = solution.diagnostics
    assert np.abs(numbers["mass_drift"]).max() <= DRIFT
    assert numbers["lowest"].min() >= 0.0
    assert numbers["wall_mass"].min() >= 0.0
    assert numbers["dissipation"].min() >= 0.0
    assert solution.final.masses.min() >= 0.0
    return solution


def line(n, low=-6.0, high=6.0):
    return np.linspace(low, high, n + 1)


def uneven(n, low, high):
    """Edges on a smooth map of even ones: widths within a factor of 3."""
    x = np.linspace(0.0, 1.0, n + 1)
    return low + (high - low) * (x + 0.5 / (2.0 * np.pi) * np.sin(2.0 * np.pi * x))


def l1(found, expected):
    return float(np.abs(found.masses - expected).sum())


def orders(errors):
    return np.log2(np.array(errors[:-1]) / np.array(errors[1:]))


OU = OrnsteinUhlenbeck([1.0], [[0.3]], 1.0, 0.5)
OU_ENERGY = Potential.quadratic(1.0) + Entropy(0.5)


class TestOrderInSpace:
    """Steps so tight that cells are what errs."""

    @pytest.mark.parametrize("edges", [line, lambda n: uneven(n, -6.0, 6.0)])
    def test_ornstein_uhlenbeck(self, edges):
        errors = []
        for n in (32, 64, 128):
            axis = edges(n)
            start = GridMeasure([axis], OU.masses(0.0, axis) / OU.masses(0.0, axis).sum())
            errors.append(l1(run(EulerianFlow(OU_ENERGY), start, 0.7, rtol=1e-7).final, OU.masses(0.7, axis)))
        assert np.abs(orders(errors) - 2.0).max() <= ORDER

    def test_ornstein_uhlenbeck_in_the_plane(self):
        exact = OrnsteinUhlenbeck([1.0, -0.5], [[0.3, 0.0], [0.0, 0.6]], 1.0, 0.5)
        errors = []
        for n in (24, 48, 96):
            axes = [line(n), line(n, -5.5, 5.5)]
            start = exact.masses(0.0, *axes)
            final = run(EulerianFlow(OU_ENERGY), GridMeasure(axes, start / start.sum()), 0.5, rtol=1e-6).final
            errors.append(l1(final, exact.masses(0.5, *axes)))
        assert np.abs(orders(errors) - 2.0).max() <= ORDER

    @pytest.mark.parametrize("edges", [lambda n: line(n, 0.0, 1.0), lambda n: uneven(n, 0.0, 1.0)])
    @pytest.mark.parametrize("drift", [0.0, 3.0])
    def test_fokker_planck_between_walls(self, drift, edges):
        exact, errors = FokkerPlanckInterval(drift), []
        for n in (16, 32, 64):
            axis = edges(n)
            flow = EulerianFlow(Potential.linear(-drift) + Entropy(1.0))
            errors.append(l1(run(flow, GridMeasure([axis], exact.masses(0.0, axis)), 0.05, rtol=1e-7).final, exact.masses(0.05, axis)))
        assert np.abs(orders(errors) - 2.0).max() <= ORDER

    @pytest.mark.parametrize(("limiter", "order"), [("minmod", 2.0), ("van_leer", 2.0), ("none", 1.0)])
    def test_transport_without_diffusion(self, limiter, order):
        """Quadratic attraction contracts a smooth density; limiters cut its top, a few cells of error O(h²) each."""
        errors = []
        for n in (64, 128, 256):
            axis = line(n, -3.0, 3.0)
            before = Heat([0.2], [[0.25]])
            after = Heat([0.2], [[0.25 * np.exp(-0.6)]])
            start = before.masses(0.0, axis)
            flow = EulerianFlow(QuadraticInteraction(0.0, 1.0), limiter=limiter)
            errors.append(l1(run(flow, GridMeasure([axis], start / start.sum()), 0.3, rtol=1e-6).final, after.masses(0.0, axis)))
        assert orders(errors)[-1] >= order - ORDER

    @pytest.mark.parametrize("exponent", [2.0, 3.0])
    @pytest.mark.parametrize(("limiter", "method"), [("minmod", None), ("van_leer", "rkc2")])
    def test_porous_medium(self, exponent, limiter, method):
        """Order 1 and more in L¹, and the front within a cell: where it is, and no mass beyond the next."""
        exact, errors = Barenblatt(exponent), []
        for n in (40, 80, 160):
            axis = line(n, -3.0, 3.0)
            flow = EulerianFlow(PowerLaw(exponent), limiter=limiter)
            final = run(flow, GridMeasure([axis], exact.masses(0.3, axis)), 0.7, method).final
            errors.append(l1(final, exact.masses(1.0, axis)))
            front, h = exact.front(1.0), 6.0 / n
            beyond = final.masses[axis[:-1] >= front + h].sum()
            assert beyond <= 1e-5
            assert final.density[np.searchsorted(axis, front - h) - 1] > 0.1 * final.density.max() * (h / front) ** (1.0 / (exponent - 1.0))
        assert orders(errors).mean() >= 1.0  # over the ladder: where in its cell the front stands differs from grid to grid


class TestTime:
    """Orders in time on one grid, against the same grid's own solution."""

    def reference(self, flow, start, t_end):
        return run(flow, start, t_end, "tsit5", rtol=1e-11, atol=1e-14).final.masses

    @pytest.mark.parametrize(("method", "order"), [("heun", 2), ("ssprk3", 3)])
    def test_strong_stability_preserving_methods(self, method, order):
        axis = line(24, -3.0, 3.0)
        start = GridMeasure.from_density([axis], lambda x: np.exp(-2.0 * np.square(x[:, 0] - 0.4)))
        flow = EulerianFlow(Potential.quadratic(1.0) + Entropy(0.5))
        exact = self.reference(flow, start, 0.2)
        errors = [
            np.abs(run(flow, start, 0.2, method, rtol=1e6, options={"first_step": h, "max_step": h}).final.masses - exact).sum()
            for h in 0.2 / np.array([10, 20, 40])
        ]  # fmt: skip
        assert np.abs(orders(errors) - order).max() <= ORDER

    @pytest.mark.parametrize("energy", [OU_ENERGY, QuadraticInteraction(0.5, 1.0) + Entropy(0.5)])
    @pytest.mark.parametrize("dimension", [1, 2])
    def test_implicit_steps_are_of_first_order(self, energy, dimension):
        axes = [line(24, -3.0, 3.0)] * dimension
        start = GridMeasure.from_density(axes, lambda x: np.exp(-2.0 * np.square(x - 0.4).sum(axis=1)))
        exact = self.reference(EulerianFlow(energy), start, 0.3)
        errors = [
            np.abs(run(EulerianFlow(energy, stepping="implicit"), start, 0.3, options={"dt": 0.3 / k}).final.masses - exact).sum()
            for k in (30, 60, 120)
        ]  # fmt: skip
        assert np.abs(orders(errors) - 1.0).max() <= ORDER

    def test_implicit_steps_meet_the_tolerance(self):
        """Chosen steps: errors fall as rtol does, a run takes fewer than its stiffness would allow an explicit method."""
        axes = [line(40)] * 2
        start = GridMeasure.from_density(axes, lambda x: np.exp(-2.0 * np.square(x - 1.0).sum(axis=1)))
        exact = self.reference(EulerianFlow(OU_ENERGY), start, 1.0)
        errors = []
        for rtol in (1e-3, 1e-4):
            solution = run(EulerianFlow(OU_ENERGY, stepping="implicit"), start, 1.0, rtol=rtol)
            errors.append(np.abs(solution.final.masses - exact).sum())
        assert errors[1] < 0.5 * errors[0] < 0.05


AGGREGATION = Interaction(lambda z: np.square(z).sum(axis=1) ** 2 / 4.0 - np.square(z).sum(axis=1) / 2.0)
ENERGIES = {
    "potential": Potential(lambda x: np.cos(3.0 * x).sum(axis=1)),
    "interaction": AGGREGATION,
    "power": PowerLaw(2.0),
    "power and potential": PowerLaw(1.5) + Potential.quadratic(2.0),
    "fokker-planck": OU_ENERGY,
    "mean field": AGGREGATION + Entropy(0.1) + Potential.quadratic(0.3),
    "all": Sum([AGGREGATION, PowerLaw(2.0), Entropy(0.2), Potential.quadratic(1.0)], [1.0, 0.1, 1.0, 2.0]),
}

DIFFUSIVE = ["fokker-planck", "mean field", "all"]


def rough(dimension, n, seed=0):
    """Random masses on half of the cells."""
    rng = np.random.default_rng(seed)
    masses = rng.exponential(size=(n,) * dimension) * (rng.random((n,) * dimension) > 0.5)
    return GridMeasure([line(n, -2.0, 2.0)] * dimension, masses / masses.sum())


class TestEnergy:
    @pytest.mark.parametrize("name", ENERGIES)
    @pytest.mark.parametrize("dimension", [1, 2])
    @pytest.mark.parametrize("limiter", ["none", "minmod"])
    def test_dissipation_is_the_rate_of_the_energy(self, name, dimension, limiter):
        """dE/dt of the ordinary differential equations, by differences of fourth order along the field."""
        rng = np.random.default_rng(1)
        shape = (9, 7)[:dimension]
        masses = 0.2 + rng.random(shape)
        start = GridMeasure([line(n, -2.0, 2.0) for n in shape], masses / masses.sum())
        flow = EulerianFlow(ENERGIES[name], limiter=limiter)
        y = flow.pack(start)
        field, dissipation = flow.rhs(0.0, y), flow.diagnostics(0.0, y)["dissipation"]
        s = 1e-3 * flow.step_bound(0.0, y)
        energies = [flow.diagnostics(1.0, y + k * s * field)["energy"] for k in (-2, -1, 1, 2)]
        rate = np.dot([1.0, -8.0, 8.0, -1.0], energies) / (12.0 * s)
        assert -rate == pytest.approx(dissipation, rel=1e-10, abs=1e-12 * abs(energies[0]) / s)
        assert dissipation > 0.0

    @pytest.mark.parametrize("dimension", [1, 2])
    @pytest.mark.parametrize(("stepping", "name"), [*(("euler", name) for name in ENERGIES), *(("implicit", name) for name in DIFFUSIVE)])
    def test_first_order_steps_move_it_in_its_sense(self, stepping, name, dimension):
        """From random masses, empty cells among them; steps so long that the energy would rise are halved."""
        flow = EulerianFlow(ENERGIES[name], stepping=stepping)
        options = {"dt": 0.5} if stepping == "implicit" else {}
        solution = run(flow, rough(dimension, (40, 16)[dimension - 1]), 0.05 if stepping == "euler" else 3.0, options=options)
        scale = np.abs(solution.energy).max() + 1.0
        assert np.diff(solution.energy).max() <= 1e-14 * scale
        assert solution.energy[-1] < solution.energy[0]

    def test_a_field_frozen_for_too_long_needs_the_safeguard(self):
        """A pressure that is not relieved during a long step overshoots, and the step is halved."""
        energy = PowerLaw(2.0, 5.0) + Entropy(0.05)
        start = GridMeasure.from_density([line(60, -2.0, 2.0)], lambda x: 1.0 + 0.1 * np.cos(np.pi * x[:, 0]))
        solution = run(EulerianFlow(energy, stepping="implicit"), start, 2.0, options={"dt": 1.0})
        assert solution.counts["rejected"] > 0
        assert np.diff(solution.energy).max() <= 1e-12

    @pytest.mark.parametrize("stepping", ["lines", "euler", "implicit"])
    def test_the_gibbs_state_stays(self, stepping):
        energy = Potential(lambda x: np.square(x[:, 0]) / 2.0 + np.sin(x[:, 1])) + Entropy(0.3)
        axes = [uneven(20, -2.0, 2.0), line(15, -3.0, 1.0)]
        grid = GridMeasure.from_density(axes, lambda x: np.ones(len(x)))
        gibbs = np.exp(-energy.cells(grid) / 0.3) * grid.volumes
        start = GridMeasure(axes, gibbs / gibbs.sum())
        flow = EulerianFlow(energy, stepping=stepping)
        final = run(flow, start, 2.0).final
        np.testing.assert_allclose(final.masses, start.masses, atol=1e-13 * start.masses.max(), rtol=0.0)

    def test_rough_states_and_every_method_keep_masses_and_signs(self):
        """From a single cell, at a loose tolerance; `run` looks."""
        masses = np.zeros((20, 20))
        masses[7, 8] = 1.0
        start = GridMeasure([line(20)] * 2, masses)
        for method in (None, "heun", "ssprk3", "bs3", "tsit5", "rkc2", "rkl2"):
            run(EulerianFlow(OU_ENERGY), start, 1.0, method, rtol=1e-2)
            run(EulerianFlow(AGGREGATION), start, 0.05, method, rtol=1e-2)

    def test_safeguard_and_positivity_go_together(self):
        solution = run(EulerianFlow(ENERGIES["all"]), rough(1, 40), 0.3, "rkc2", rtol=1e-1, options={"safeguard": True})
        assert np.diff(solution.energy).max() <= 1e-13


class TestPolicyValue:
    def test_the_bandit_rises_on_a_box(self):
        """m = 3: Ψ from the cells as particles, E as theirs; mass near the walls is told."""
        energy = PolicyValue(agazzi_lu_bandit(seed=0), "tanh")
        start = GridMeasure.from_density([line(12, -3.0, 3.0)] * 3, lambda x: np.exp(-np.square(x).sum(axis=1)))
        flow = EulerianFlow(energy)
        solution = run(flow, start, 1.0, record=np.linspace(0.1, 1.0, 4))
        assert (np.diff(solution.energy) > 0.0).all()
        assert solution.energy[0] == pytest.approx(energy.value(start.quadrature()), rel=1e-14)
        np.testing.assert_allclose(solution.gap, energy.optimum.objective - solution.energy, rtol=1e-14)
        assert 0.0 < solution.diagnostics["wall_mass"][-1] < 0.05
        assert {"axis0", "axis1", "axis2", "optimal_value"} <= set(solution.static)

    def test_with_entropy_it_spreads(self):
        energy = PolicyValue(agazzi_lu_bandit(seed=0), "tanh") + Entropy(0.05)
        start = GridMeasure.from_density([line(10, -3.0, 3.0)] * 3, lambda x: np.exp(-2.0 * np.square(x).sum(axis=1)))
        solution = run(EulerianFlow(energy, stepping="implicit"), start, 1.0, options={"dt": 0.1})
        assert (np.diff(solution.energy) > 0.0).all()
        assert solution.final.entropy() > start.entropy()


class TestContract:
    def test_state_and_grid(self):
        start = rough(3, 4)
        flow = EulerianFlow(OU_ENERGY)
        y = flow.pack(start)
        assert y.shape == (64,)
        assert not np.shares_memory(y, start.masses)
        back = flow.unpack(y)
        assert np.shares_memory(back.masses, y)
        np.testing.assert_array_equal(back.masses, start.masses)
        np.testing.assert_array_equal(back.density, start.density)
        assert flow.state_kind == "grid"
        np.testing.assert_array_equal(flow.static()["axis2"], start.axes[2])

    @pytest.mark.parametrize(("stepping", "options"), [("lines", {}), ("euler", {}), ("implicit", {"dt": 0.01}), ("implicit", {})])
    @pytest.mark.parametrize("energy", [OU_ENERGY, ENERGIES["mean field"]])
    def test_resume_to_the_bit(self, energy, stepping, options, tmp_path):
        start = rough(1, 30)
        whole = solve(EulerianFlow(energy, stepping=stepping), start, 0.2, options=options, record=[0.05, 0.2])
        for steps in (3, 7, 100_000):
            parts = solve(
                EulerianFlow(energy, stepping=stepping), start, 0.2, options=options, record=[0.05, 0.2], resume=True,
                path=tmp_path / "run.h5", max_steps=steps, checkpoint=0.0,
            )  # fmt: skip
            assert parts.counts["steps"] == min(steps, whole.counts["steps"])
        np.testing.assert_array_equal(parts.final.masses, whole.final.masses)
        np.testing.assert_array_equal(parts.energy, whole.energy)
        assert whole.counts["steps"] == parts.counts["steps"]
        assert whole.counts["rhs"] == parts.counts["rhs"]

    def test_interpolated_states_are_measures(self):
        """Times between steps of a stepper: masses non-negative with the same sum."""
        flow = EulerianFlow(OU_ENERGY, stepping="implicit")
        solution = run(flow, rough(1, 30), 1.0, options={"dt": 0.3}, record=np.linspace(0.05, 1.0, 7))
        for state in solution.states():
            assert state.masses.min() >= 0.0
            assert state.masses.sum() == pytest.approx(1.0, abs=DRIFT)

    @pytest.mark.parametrize("dimension", [1, 2])
    def test_the_spectral_radius_is_bounded(self, dimension):
        """Against the eigenvalues of the dense matrix; not too loosely."""
        start = rough(dimension, 8)
        flow = EulerianFlow(ENERGIES["potential"] + Entropy(0.2))
        y = flow.pack(start)
        matrix = np.stack([flow.rhs(0.0, unit) for unit in np.eye(y.size)], axis=1)
        exact = np.abs(np.linalg.eigvals(matrix)).max()
        assert exact <= flow.spectral_radius(0.0, y) <= 2.0 * exact
        assert not hasattr(EulerianFlow(ENERGIES["mean field"]), "spectral_radius")

    @pytest.mark.parametrize("stepping", ["euler", "implicit"])
    def test_a_field_that_is_not_finite_ends_the_run(self, stepping):
        """The last good state is kept, wherever Ψ breaks down."""

        class Breaking(Potential):
            def cells(self, grid):
                return super().cells(grid) * (np.nan if grid.mean()[0] < 0.5 else 1.0)

        energy = Breaking(lambda x: np.square(x[:, 0])) + Entropy(0.1)
        start = GridMeasure.from_density([line(30, -2.0, 2.0)], lambda x: np.exp(-4.0 * np.square(x[:, 0] - 1.0)))
        solution = solve(EulerianFlow(energy, stepping=stepping), start, 5.0)
        assert not solution.status.ok
        assert np.isfinite(solution.final.masses).all()
        assert solution.final.mean()[0] == pytest.approx(0.5, abs=0.05)

    def test_trial_states_with_negative_masses_are_defined(self):
        """A stage of a method may leave the simplex: U' of a negative density must not stop the run."""
        flow = EulerianFlow(PowerLaw(1.5) + Entropy(0.1))
        y = flow.pack(rough(1, 10))
        y[3] = -1e-3
        assert np.isfinite(flow.rhs(0.0, y)).all()
        assert not flow.admissible(0.0, y)

    def test_one_flow_moves_one_grid_after_the_other(self):
        flow = EulerianFlow(OU_ENERGY)
        for start in (rough(1, 10), rough(2, 6), rough(1, 20)):
            fresh = EulerianFlow(OU_ENERGY)
            y = flow.pack(start)
            fresh.pack(start)
            np.testing.assert_array_equal(flow.rhs(0.0, y), fresh.rhs(0.0, y))

    def test_default_methods(self):
        assert EulerianFlow(OU_ENERGY).default_method == "rkc2"
        assert EulerianFlow(AGGREGATION).default_method == "ssprk3"
        start = rough(1, 10)
        assert solve(EulerianFlow(AGGREGATION), start, 0.01).provenance["method"] == "ssprk3"
        assert solve(EulerianFlow(AGGREGATION, stepping="euler"), start, 0.01).provenance["method"] == "EulerianFlow.stepper"

    def test_wrong_arguments(self):
        with pytest.raises(TypeError, match="energy must have methods"):
            EulerianFlow("V")
        with pytest.raises(ValueError, match="limiter must be one of none, minmod, van_leer; got 'mimod'"):
            EulerianFlow(OU_ENERGY, limiter="mimod")
        with pytest.raises(ValueError, match="stepping must be one of"):
            EulerianFlow(OU_ENERGY, stepping="lie")
        with pytest.raises(ValueError, match="stepping must be 'lines' or 'euler' for an energy without entropy"):
            EulerianFlow(AGGREGATION, stepping="implicit")
        with pytest.raises(TypeError, match="initial must be a GridMeasure"):
            EulerianFlow(OU_ENERGY).pack(rough(1, 5).quadrature())
        with pytest.raises(ValueError, match="initial must have 3 coordinates"):
            EulerianFlow(PolicyValue(agazzi_lu_bandit(seed=0), "tanh")).pack(rough(1, 5))
        for stepping in ("euler", "implicit"):
            with pytest.raises(ValueError, match="dt must be"):
                solve(EulerianFlow(OU_ENERGY, stepping=stepping), rough(1, 5), 1.0, options={"dt": 0.0})
            with pytest.raises(TypeError, match="no option"):
                solve(EulerianFlow(OU_ENERGY, stepping=stepping), rough(1, 5), 1.0, options={"step": 0.1})


def test_wall_mass_counts_each_outer_cell_once():
    for shape in ((1,), (2,), (5,), (4, 6), (3, 1, 5), (4, 5, 6), (2, 2), (3, 4, 3, 5)):
        masses = np.random.default_rng(0).random(shape)
        inner = masses[tuple(slice(1, -1) for _ in shape)]
        assert wall_mass(masses) == pytest.approx(masses.sum() - inner.sum(), rel=1e-13)


def test_error_norm_is_that_of_densities():
    volumes, error, y = np.array([0.5, 2.0]), np.array([0.1, -0.1]), np.array([0.25, 0.75])
    size, scale = np.sqrt(0.01 / 0.5 + 0.01 / 2.0), np.sqrt(0.25**2 / 0.5 + 0.75**2 / 2.0)
    assert density_norm(error, y, 0.0 * y, volumes, 1e-3, 1e-6) == pytest.approx(size / (1e-6 + 1e-3 * scale))
    assert density_norm(0.0 * error, 0.0 * y, 0.0 * y, volumes, 1e-3, 0.0) == 0.0
