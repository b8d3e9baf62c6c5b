"""Wasserstein policy gradient on grids: its field by loops, the identities and bounds of math.md §9, orders against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from wflow.closed_forms import FokkerPlanckInterval, OrnsteinUhlenbeck
from wflow.closed_forms.linear_quadratic import LinearQuadratic
from wflow.flows.action_space import WassersteinPolicyFlow
from wflow.loop import solve
from wflow.mdp import MDP, evaluate, optimum
from wflow.measures import log_sobolev_bounds
from wflow.spaces import Space

ORDER = 0.15


def cells(edges):
    return Space(((edges[1:] + edges[:-1]) / 2.0)[:, None], np.diff(edges))


def bandit(reward, n, temperature=0.5, low=0.0, high=1.0):
    actions = Space.midpoint(n, low, high)
    return MDP(reward=reward(actions.nodes[:, 0])[None], transition=None, discount=0.0, temperature=temperature, actions=actions)


def problem(seed, n_s=3, n_a=8, discount=0.8, temperature=0.4, even=False):
    """Smooth random rewards and transitions on cells of random widths."""
    rng = np.random.default_rng(seed)
    widths = np.full(n_a, 1.0) if even else rng.uniform(0.5, 1.5, n_a)
    actions = cells(np.concatenate([[0.0], np.cumsum(widths)]) * rng.uniform(0.5, 2.0) / n_a - 0.3)
    waves = np.cos(np.pi * np.outer(np.arange(1, 4), actions.nodes[:, 0]))
    law = np.exp(np.einsum("ikm,mj->ijk", rng.standard_normal((n_s, n_s, 3)), waves))
    return MDP(
        reward=rng.standard_normal((n_s, 3)) @ waves, transition=law / law.sum(axis=2, keepdims=True), discount=discount,
        temperature=temperature, initial=rng.dirichlet(np.ones(n_s)), actions=actions,
    )  # fmt: skip


def rough_policy(mdp, seed, size=1.0):
    energy = size * np.random.default_rng(seed).standard_normal(mdp.reward.shape)
    return energy - np.log(np.exp(energy) @ mdp.actions.weights)[:, None]


def orders(errors):
    return np.log2(np.array(errors[:-1]) / np.array(errors[1:]))


def moved(mdp, initial, t_end, method=None, *, stepping="lines", **more):
    solution = solve(WassersteinPolicyFlow(mdp, stepping=stepping), initial, t_end, method, **{"rtol": 1e-7, "atol": 1e-12, **more})
    assert solution.status.ok, solution.message
    assert solution.diagnostics["lowest"].min() >= 0.0
    np.testing.assert_allclose(np.exp(solution.final) @ mdp.actions.weights, 1.0, atol=1e-13)
    return solution


class TestField:
    @given(seed=st.integers(0, 10**6), n_s=st.integers(1, 4), n_a=st.integers(2, 7))
    def test_by_loops(self, seed, n_s, n_a):
        """Scharfetter–Gummel fluxes of Q_π, face after face."""
        mdp = problem(seed, n_s, n_a)
        log_policy = rough_policy(mdp, seed)
        Q, widths, nodes, tau = evaluate(mdp, log_policy).action_value, mdp.actions.weights, mdp.actions.nodes[:, 0], mdp.temperature
        expected = np.zeros((n_s, n_a))
        for i in range(n_s):
            for j in range(n_a - 1):
                q = (Q[i, j + 1] - Q[i, j]) / tau
                against, along = q / math.expm1(q), -q / math.expm1(-q)
                flux = tau / (nodes[j + 1] - nodes[j]) * (along * math.exp(log_policy[i, j]) - against * math.exp(log_policy[i, j + 1]))
                expected[i, j] -= flux
                expected[i, j + 1] += flux
        flow = WassersteinPolicyFlow(mdp)
        y = flow.pack(log_policy)
        np.testing.assert_allclose(y.reshape(n_s, n_a), np.exp(log_policy) * widths, rtol=1e-12)
        np.testing.assert_allclose(flow.rhs(0.0, y).reshape(n_s, n_a), expected, atol=1e-11 * (1.0 + np.abs(expected).max()))
        np.testing.assert_allclose(flow.unpack(y), log_policy, atol=1e-12)

    @given(seed=st.integers(0, 10**6), discount=st.sampled_from([0.0, 0.5, 0.9]))
    def test_dissipation_is_the_rate_of_the_energy(self, seed, discount):
        """``sum_i ϱ_i τ² I_i`` against differences of fourth order of E along the field."""
        mdp = problem(seed, discount=discount)
        flow = WassersteinPolicyFlow(mdp)
        y = flow.pack(rough_policy(mdp, seed))
        field, dissipation = flow.rhs(0.0, y), flow.diagnostics(0.0, y)["dissipation"]
        s = 1e-3 / np.abs(field / y).max()
        energies = [flow.diagnostics(1.0 + k, y + k * s * field)["energy"] for k in (-2, -1, 1, 2)]
        rate = np.dot([1.0, -8.0, 8.0, -1.0], energies) / (12.0 * s)
        assert rate == pytest.approx(dissipation, rel=1e-10, abs=2e-15 * (1.0 + abs(energies[0])) / s)
        assert dissipation > 0.0
        occupancy = evaluate(mdp, flow.unpack(y)).occupancy
        assert mdp.temperature**2 * occupancy @ flow.information(0.0, y) == pytest.approx(dissipation, rel=1e-12)

    def test_information_is_that_of_the_densities_to_second_order(self):
        """I(π | π_G) of smooth π and r on [0, 1] without flux at the walls, by Gauss–Legendre; r = cos 4a, τ = ½."""
        x, w = np.polynomial.legendre.leggauss(40)
        x, w = (1.0 + x) / 2.0, w / 2.0
        density = np.exp(2.0 * np.cos(4.0 * x) + np.cos(np.pi * x))
        slope = np.pi * np.sin(np.pi * x)
        exact = w @ (density * slope**2) / (w @ density)
        errors = []
        for n in (50, 100, 200):
            mdp = bandit(lambda a: np.cos(4.0 * a), n)
            a = mdp.actions.nodes.T
            log_policy = 2.0 * np.cos(4.0 * a) + np.cos(np.pi * a)
            flow = WassersteinPolicyFlow(mdp)
            y = flow.pack(log_policy - np.log(np.exp(log_policy) @ mdp.actions.weights))
            errors.append(abs(flow.information(0.0, y)[0] - exact))
        assert np.abs(orders(errors) - 2.0).max() <= ORDER


class TestRest:
    @pytest.mark.parametrize("stepping", ["lines", "implicit"])
    @pytest.mark.parametrize("discount", [0.0, 0.9])
    def test_the_optimum_stays(self, stepping, discount):
        """π* is the Gibbs policy of its own Q."""
        mdp = problem(3, 5, 20, discount=discount, temperature=0.2)
        best = optimum(mdp).log_policy
        options = {"dt": 0.5} if stepping == "implicit" else {}
        final = moved(mdp, best, 3.0, stepping=stepping, options=options).final
        np.testing.assert_allclose(np.exp(final), np.exp(best), atol=1e-13 * np.exp(best).max(), rtol=0.0)

    def test_the_gibbs_policy_of_q_is_at_rest_under_frozen_q(self):
        """No flux in π ∝ exp(Q/τ), whatever the policy that Q belongs to; steep rewards too."""
        mdp = problem(4, 3, 12, temperature=0.01)
        flow = WassersteinPolicyFlow(mdp)
        y = flow.pack(None)
        Q = flow.evaluation(0.0, y).action_value
        gibbs = np.exp((Q - Q.max(axis=1, keepdims=True)) / 0.01) * mdp.actions.weights
        gibbs /= gibbs.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(flow.implicit_step(0.0, y, 0.0), y, rtol=1e-13)
        (axis,) = flow._scheme.axes
        along = axis.right[:, :, 0] * gibbs[:, :-1]
        np.testing.assert_allclose(along, axis.left[:, :, 0] * gibbs[:, 1:], rtol=1e-12, atol=1e-300)

    @pytest.mark.parametrize("stepping", ["lines", "implicit"])
    def test_the_limit_is_the_optimum(self, stepping):
        mdp = problem(5, 4, 10, temperature=2.0)
        options = {"dt": 0.2} if stepping == "implicit" else {}
        solution = moved(mdp, rough_policy(mdp, 1), 30.0, stepping=stepping, options=options)
        assert solution.gap[-1] <= 1e-12
        np.testing.assert_allclose(np.exp(solution.final), optimum(mdp).policy, atol=1e-6)


class TestBounds:
    @settings(max_examples=20)
    @given(seed=st.integers(0, 10**6), discount=st.sampled_from([0.0, 0.5, 0.9]), temperature=st.floats(0.1, 2.0), even=st.booleans())
    def test_along_the_flow(self, seed, discount, temperature, even):
        self.check(problem(seed, 3, 6, discount, temperature, even), seed)

    @pytest.mark.slow
    @settings(max_examples=200)
    @given(seed=st.integers(0, 10**6), discount=st.sampled_from([0.0, 0.5, 0.9, 0.98]), temperature=st.floats(0.05, 2.0),
           n_s=st.integers(1, 5), n_a=st.integers(2, 9), even=st.booleans())  # fmt: skip
    def test_on_many_problems(self, seed, discount, temperature, n_s, n_a, even):
        self.check(problem(seed, n_s, n_a, discount, temperature, even), seed)

    def check(self, mdp, seed):
        """KL identity, certificate, V rising in every state, and the decay that log-Sobolev constants promise, from every frame on."""
        temperature, discount = mdp.temperature, mdp.discount
        times, rtol = np.geomspace(1e-3, 1.0, 25), 1e-9
        solution = solve(WassersteinPolicyFlow(mdp), rough_policy(mdp, seed), 1.0, "tsit5", rtol=rtol, atol=1e-12, record=times)
        assert solution.status.ok
        numbers = solution.diagnostics
        t, gap, value_gap = solution.times, numbers["gap"], numbers["value_gap"]
        best = optimum(mdp)
        scale = 1.0 + np.abs(best.value).max()
        rounding = 1e-12 * scale
        # What the time stepping may misplace: a share rtol of a state's mass, at a loss of osc Q* + τ |log rtol| a unit, in every state.
        misplaced = rounding + 10.0 * rtol * (np.ptp(best.action_value) - temperature * math.log(rtol)) / (1.0 - discount)
        assert numbers["kl_defect"].max() <= 1e-11 * scale
        assert (numbers["gap_lower"] <= gap + rounding).all()
        assert (gap <= numbers["gap_upper"] + rounding).all()
        assert (value_gap <= numbers["bound"] + misplaced).all()
        rate = 2.0 * temperature * (1.0 - discount) * numbers["lsi_ahead"][:-1]
        assert (value_gap[1:] <= value_gap[:-1] * np.exp(-rate * np.diff(t)) * (1.0 + 1e-6) + misplaced).all()
        assert (numbers["lsi_least"] <= numbers["lsi_mean"]).all()
        assert (numbers["lsi_least"] <= numbers["lsi_ceiling"]).all()

    @pytest.mark.parametrize("n", [2, 8])
    def test_it_is_sharp_for_a_flat_reward(self, n):
        """The slowest mode on n cells, a little of it: the gap falls at the promised rate, not a thousandth faster."""
        mdp = bandit(lambda a: 0.0 * a, n, 0.7)
        start = np.log1p(1e-3 * np.cos(np.pi * mdp.actions.nodes.T))  # whose mean is 0
        numbers = moved(mdp, start, 0.2, "tsit5", rtol=1e-12).diagnostics
        assert (numbers["value_gap"] <= numbers["bound"] * (1.0 + 1e-5)).all()
        assert numbers["value_gap"][-1] == pytest.approx(numbers["bound"][-1], rel=1e-3)
        assert numbers["bound"][-1] < 0.2 * numbers["bound"][0]

    def test_the_rate_ahead(self):
        """From π* by Holley and Stroock's lemma: Q rises towards Q*, and from s on stays within γ P (V* − V_s) of it."""
        mdp = problem(7, 4, 30, 0.9, 0.3)
        best = optimum(mdp)
        solution = moved(mdp, rough_policy(mdp, 2), 1.0, record=np.array([0.0, 0.01, 0.1, 1.0]), rtol=1e-6)
        evaluations = [evaluate(mdp, log_policy) for log_policy in solution.states()]
        ahead, left = solution.diagnostics["lsi_ahead"], []
        for k, now in enumerate(evaluations):
            room = 0.9 * np.einsum("ijk,k->ij", mdp.transition.to_dense(), best.value - now.value)
            alpha = log_sobolev_bounds(best.log_policy, WassersteinPolicyFlow(mdp).edges).on_cells * np.exp(-room.max(axis=1) / 0.3)
            assert ahead[k] == pytest.approx(alpha.min(), rel=1e-9)
            for later in evaluations[k:]:
                missing = best.action_value - later.action_value
                assert missing.min() >= -1e-9
                assert (missing <= room + 1e-9).all()
            left.append(room.max())
        assert len(evaluations) == 4
        assert left[0] > 2.0 * left[-1]

    @settings(max_examples=10)
    @given(seed=st.integers(0, 10**6))
    def test_implicit_steps_raise_the_energy(self, seed):
        mdp = problem(seed, 3, 6, 0.9)
        solution = moved(mdp, rough_policy(mdp, seed), 2.0, stepping="implicit", options={"dt": 0.2})
        assert np.diff(solution.energy).min() >= -1e-13 * (1.0 + np.abs(solution.energy).max())
        assert solution.gap[-1] < solution.gap[0]


class TestMultipleWells:
    """r = −H (a² − 1)² with three barriers: α collapses as e^{−H/τ}, and the rate goes with it."""

    def test_the_rate_follows_the_barrier(self):
        heights, tau, n = (0.6, 1.2, 1.8), 0.2, 120
        rates, floors, ceilings = [], [], []
        for height in heights:
            mdp = bandit(lambda a, H=height: -H * np.square(np.square(a) - 1.0), n, tau, -1.8, 1.8)
            left = np.where(mdp.actions.nodes.T < 0.0, 0.0, -3.0)  # the wells shared unequally
            start = left - np.log(np.exp(left) @ mdp.actions.weights)
            slow = 2.0 * math.exp(-height / tau)  # to within a factor of the rate
            solution = moved(mdp, start, 3.0 / slow, stepping="implicit", rtol=1e-5, record=np.array([2.0, 3.0]) / slow)
            numbers = solution.diagnostics
            rates.append(-math.log(solution.gap[-1] / solution.gap[-2]) * slow / (2.0 * tau))
            floors.append(numbers["lsi_least"][-1])
            ceilings.append(numbers["lsi_ceiling"][-1])
            assert numbers["lsi_convexity"][-1] == 0.0
            assert (numbers["value_gap"] <= numbers["bound"] + 1e-13).all()
        rates, floors, ceilings = map(np.array, (rates, floors, ceilings))
        assert (floors <= rates).all()
        assert floors[-1] < 0.02 * floors[0]
        np.testing.assert_allclose(np.diff(np.log(floors)) / np.diff(np.log(rates)), 1.0, atol=0.2)
        assert (ceilings[:-1] > 5.0 * ceilings[1:]).all()


class TestOrderInSpace:
    def test_a_constant_drift_between_walls(self):
        """Reward g a at τ = 1, transient in closed form."""
        exact, errors = FokkerPlanckInterval(3.0), []
        for n in (16, 32, 64):
            mdp = bandit(lambda a: 3.0 * a, n, 1.0)
            edges = np.linspace(0.0, 1.0, n + 1)
            start = np.log(exact.masses(0.02, edges) * n)[None]
            final = moved(mdp, start, 0.05).final
            errors.append(np.abs(np.exp(final)[0] / n - exact.masses(0.07, edges)).sum())
        assert np.abs(orders(errors) - 2.0).max() <= ORDER

    def test_a_quadratic_reward_on_a_wide_box(self):
        """Ornstein and Uhlenbeck: the linear-quadratic problem without a future."""
        exact, errors = OrnsteinUhlenbeck(1.0, 0.3, stiffness=1.0, temperature=0.5), []
        for n in (32, 64, 128):
            mdp = bandit(lambda a: -np.square(a) / 2.0, n, 0.5, -6.0, 6.0)
            edges = np.linspace(-6.0, 6.0, n + 1)
            masses = exact.masses(0.0, edges)
            start = np.log(masses / masses.sum() / mdp.actions.weights)[None]
            final = moved(mdp, start, 0.7).final
            errors.append(np.abs(np.exp(final)[0] * mdp.actions.weights - exact.masses(0.7, edges)).sum())
        assert np.abs(orders(errors) - 2.0).max() <= ORDER

    def test_the_limit_and_the_energy_of_a_smooth_reward(self):
        """E* = τ log ∫ e^{r/τ}, and E at t = 0.1 against 512 cells."""
        x, w = np.polynomial.legendre.leggauss(60)
        exact = 0.5 * math.log(w @ np.exp(np.cos(2.0 * (1.0 + x)) / 0.5) / 2.0)
        energies = [moved(bandit(lambda a: np.cos(4.0 * a), n), None, 0.1).energy[-1] for n in (16, 32, 64, 512)]
        limits = [optimum(bandit(lambda a: np.cos(4.0 * a), n)).objective for n in (16, 32, 64)]
        assert np.abs(orders(np.abs(np.array(energies[:3]) - energies[3])) - 2.0).max() <= ORDER
        assert np.abs(orders(np.abs(np.array(limits) - exact)) - 2.0).max() <= ORDER


class TestLinearQuadratic:
    """x' = A x + B a + w on cells of states: V stays quadratic up to a constant where the box is far, so gain and covariance are those."""

    def made(self, n_a):
        edges = np.linspace(-3.0, 3.0, 62)
        states, actions = cells(edges), Space.midpoint(n_a, -4.0, 4.0)
        x, a = states.nodes[:, 0], actions.nodes[:, 0]
        mean = 0.8 * x[:, None] + 0.5 * a
        share = np.diff(ndtr((edges[1:-1] - mean[..., None]) / 0.2), axis=2, prepend=0.0, append=1.0)
        reward = -0.5 * np.square(x)[:, None] - 0.4 * np.square(a)
        return MDP(reward=reward, transition=share, discount=0.7, temperature=0.2, states=states, actions=actions)

    def test_gain_and_covariance(self):
        exact = LinearQuadratic(0.8, 0.5, state_cost=0.5, action_cost=0.4, discount=0.7, temperature=0.2, noise=0.04).path(-0.3, 0.3, 0.8)
        errors = []
        for n_a in (20, 40, 80):
            mdp = self.made(n_a)
            x, a = mdp.states.nodes[:, 0], mdp.actions.nodes[:, 0]
            start = -np.square(a - 0.3 * x[:, None]) / 0.6
            start -= np.log(np.exp(start) @ mdp.actions.weights)[:, None]
            solution = moved(mdp, start, 0.8, rtol=1e-5)
            inner = np.abs(x) < 1.0
            masses = np.exp(solution.final[inner]) * mdp.actions.weights
            means = masses @ a
            variances = (masses * np.square(a - means[:, None])).sum(axis=1)
            errors.append([np.abs(means + exact.gain(0.8)[0, 0] * x[inner]).max(), np.abs(variances - exact.covariance(0.8)[0, 0]).max()])
        assert max(errors[-1]) <= 2.5e-3
        assert (orders(errors)[-1] >= 2.0 - ORDER).all()


class TestContract:
    def test_implicit_steps_are_of_first_order(self):
        mdp = problem(6, 4, 12)
        start = rough_policy(mdp, 3, 0.3)
        exact = np.exp(moved(mdp, start, 0.3, "tsit5", rtol=1e-10, atol=1e-13).final)
        errors = [
            np.abs(np.exp(moved(mdp, start, 0.3, stepping="implicit", options={"dt": 0.3 / k}).final) - exact).sum() for k in (30, 60, 120)
        ]
        assert np.abs(orders(errors) - 1.0).max() <= ORDER

    @pytest.mark.parametrize("discount", [0.0, 0.8])
    @pytest.mark.parametrize(("stepping", "options"), [("lines", {}), ("implicit", {"dt": 0.02}), ("implicit", {})])
    def test_resume_to_the_bit(self, stepping, options, discount, tmp_path):
        mdp = problem(8, discount=discount)
        start, more = rough_policy(mdp, 1), {"options": options, "record": [0.1, 0.3]}
        whole = solve(WassersteinPolicyFlow(mdp, stepping=stepping), start, 0.3, **more)
        for steps in (2, 100_000):
            parts = solve(WassersteinPolicyFlow(mdp, stepping=stepping), start, 0.3, **more, resume=True, path=tmp_path / "run.h5",
                          max_steps=steps, checkpoint=0.0)  # fmt: skip
        np.testing.assert_array_equal(parts.final, whole.final)
        for name, values in whole.diagnostics.items():
            np.testing.assert_array_equal(parts.diagnostics[name], values)

    def test_what_is_kept_at_the_end(self):
        """The last policy, and α of every state between its bounds, whose least and mean are those of the last frame."""
        mdp = problem(12)
        solution = moved(mdp, None, 0.2)
        kept = solution.finals
        np.testing.assert_array_equal(kept["log_policy"], solution.final)
        assert kept["lsi"].shape == (mdp.n_states,)
        assert (kept["lsi"] <= kept["lsi_ceiling"]).all()
        assert kept["lsi"].min() == pytest.approx(solution.diagnostics["lsi_least"][-1], rel=1e-12)
        assert kept["lsi"].mean() == pytest.approx(solution.diagnostics["lsi_mean"][-1], rel=1e-12)
        np.testing.assert_allclose(solution.static["edges"], WassersteinPolicyFlow(mdp).edges)

    def test_a_method_that_fills_one_array_is_not_taken_for_another(self):
        mdp = problem(9)
        flow = WassersteinPolicyFlow(mdp)
        y = flow.pack(rough_policy(mdp, 1))
        first = flow.rhs(0.0, y)
        y[:] = flow.pack(rough_policy(mdp, 2))
        fresh = WassersteinPolicyFlow(mdp)
        np.testing.assert_array_equal(flow.rhs(0.1, y), fresh.rhs(0.1, fresh.pack(rough_policy(mdp, 2))))
        assert np.abs(flow.rhs(0.1, y) - first).max() > 0.0

    def test_states_beyond_the_simplex(self):
        """Inner stages may have negative masses; what stands for them is a policy."""
        mdp = problem(10)
        flow = WassersteinPolicyFlow(mdp)
        y = flow.pack(None)
        y[2] = -1e-3
        assert np.isfinite(flow.rhs(0.0, y)).all()
        assert not flow.admissible(0.0, y)
        stood = flow.projected(y)
        assert flow.admissible(0.0, stood)
        np.testing.assert_allclose(stood.reshape(mdp.reward.shape).sum(axis=1), 1.0, rtol=1e-14)
        assert flow.unpack(stood)[0, 2] == -np.inf
        assert all(np.isfinite(value) for value in flow.diagnostics(0.0, stood).values())

    def test_the_spectral_radius_is_bounded(self):
        flow = WassersteinPolicyFlow(problem(11, 3, 6, discount=0.0))
        y = flow.pack(None)
        radius = flow.spectral_radius(0.0, y)
        matrix = np.stack([flow.rhs(0.0, unit) for unit in np.eye(y.size)], axis=1)
        exact = np.abs(np.linalg.eigvals(matrix)).max()
        assert exact <= radius <= 2.0 * exact
        assert not hasattr(WassersteinPolicyFlow(problem(0)), "spectral_radius")

    def test_wrong_arguments(self):
        tabular = MDP(reward=np.zeros((2, 3)), transition=np.full((2, 3, 2), 0.5), discount=0.5, temperature=0.1)
        more = {"reward": np.zeros((1, 3)), "transition": None, "discount": 0.0}
        gauss = MDP(**more, temperature=0.1, actions=Space.gauss_legendre(3))
        with pytest.raises(TypeError, match=r"mdp must be a wflow.mdp.MDP"):
            WassersteinPolicyFlow("bandit")
        with pytest.raises(ValueError, match=r"temperature above 0; got 0\.0"):
            WassersteinPolicyFlow(MDP(**more, temperature=0.0, actions=Space.midpoint(3)))
        with pytest.raises(ValueError, match=r"mdp.actions must be cells of an interval.*cells 0 and 1 end at"):
            WassersteinPolicyFlow(gauss)
        with pytest.raises(ValueError, match=r"mdp.actions must be two or more cells"):
            WassersteinPolicyFlow(MDP(**more, temperature=0.1, actions=Space.finite(np.zeros((3, 2)))))
        WassersteinPolicyFlow(tabular)  # counting weights on 0, 1, 2 are cells of width 1
        with pytest.raises(ValueError, match="stepping must be one of lines, implicit"):
            WassersteinPolicyFlow(tabular, stepping="euler")
        with pytest.raises(ValueError, match="initial must be a log density"):
            WassersteinPolicyFlow(tabular).pack(np.zeros((2, 3)))
