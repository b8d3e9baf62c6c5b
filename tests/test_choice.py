"""``method="auto"`` and the safeguard of the energy."""

from __future__ import annotations

import numpy as np
import pytest

import wflow
from wflow._choice import choose
from wflow.energies import PolicyValue
from wflow.flows import WassersteinFlow
from wflow.measures import ParticleMeasure, laws
from wflow.studies.integrators import built_in
from wflow.studies.integrators.cases import Decay


def chosen(name, rtol=1e-3):
    case = built_in(name)
    start = case.build()
    return choose(start.flow, 0.0, start.flow.pack(start.initial), case.horizon, rtol)


@pytest.mark.parametrize(
    ("name", "rtol", "method"),
    [
        ("linear", 1e-3, "tsit5"), ("bandit tanh short", 1e-2, "tsit5"), ("bandit tanh long", 1e-3, "rkc2"),
        ("bandit tanh long", 1e-6, "tsit5"), ("decay", 1e-3, "rkc2"), ("decay", 1e-8, "rkc2"), ("bandit relu short", 1e-6, "rkc2"),
    ],
)  # fmt: skip
def test_the_choice(name, rtol, method):
    assert chosen(name, rtol).method == method


def test_stiffness_is_the_spectral_radius_times_the_horizon():
    flow = Decay(0.5, 40.0)
    found = choose(flow, 1.0, flow.pack(np.ones(50)), 3.0, 1e-3)
    assert found.stiffness == pytest.approx(80.0, rel=0.2)  # from below, as power iterations are
    assert 2 <= found.evaluations <= 21


def test_a_field_that_is_0_at_the_start():
    flow = Decay(0.5, 4.0)
    assert choose(flow, 0.0, flow.pack(np.zeros(5)), 1.0, 1e-3).method == "tsit5"


def bandit(activation="tanh", n=32):
    energy = PolicyValue(wflow.mdp.agazzi_lu_bandit(seed=1, n_actions=20), activation)
    return WassersteinFlow(energy), laws.student(3).sample(n, 0)


def test_auto_is_the_method_it_names():
    flow, initial = bandit()
    run = wflow.solve(flow, initial, 50.0, "auto")
    told = run.provenance["auto"]
    assert told["method"] == run.provenance["method"] == "tsit5"
    assert "ρ T" in told["reason"]
    same = wflow.solve(flow, initial, 50.0, told["method"])
    np.testing.assert_array_equal(run.final.points, same.final.points)


def test_a_run_goes_on_by_the_method_that_it_chose(tmp_path):
    """Extended, ρ T would ask for another."""
    flow, initial = bandit()
    path = tmp_path / "run.h5"
    assert wflow.solve(flow, initial, 50.0, "auto", path=path).provenance["method"] == "tsit5"
    assert choose(flow, 0.0, flow.pack(initial), 1e5, 1e-3).method == "rkc2"
    longer = wflow.solve(flow, initial, 60.0, "auto", path=path, resume=True)
    assert longer.status.ok
    assert longer.provenance["method"] == "tsit5"
    assert wflow.open(path).times[-1] == 60.0


class Hill:
    """E = −x²/2 with a field that overshoots if it is stepped with errors: x' = −40 x."""

    sense = -1

    def value(self, measure):
        return float(20.0 * measure.weights @ (measure.points[:, 0] - 1.0) ** 2)

    def velocity(self, measure):
        return -40.0 * (measure.points - 1.0)


@pytest.mark.parametrize("method", ["tsit5", "bs3", "heun", "ssprk3", "rkc2"])
def test_the_safeguard_keeps_the_energy_falling(method):
    """At a tolerance that lets every step through, one three times as long as stability allows multiplies the energy."""
    start = ParticleMeasure([[1.5], [0.3]])
    loose = {"rtol": 1e6, "atol": 1e6, "options": {"first_step": 0.2, "max_step": 0.2}}
    free = wflow.solve(WassersteinFlow(Hill()), start, 1.0, method, **loose)
    safe = wflow.solve(WassersteinFlow(Hill()), start, 1.0, method, **{**loose, "options": {**loose["options"], "safeguard": True}})
    assert safe.status.ok
    assert (np.diff(safe.energy) <= 1e-14 * safe.energy[0]).all()
    if method != "rkc2":  # which asks for the spectral radius and is stable
        assert np.diff(free.energy).max() > 0.0
        assert safe.counts["rejected"] > free.counts["rejected"]


def test_the_safeguard_asks_for_sense():
    flow, initial = bandit("relu")
    run = wflow.solve(flow, initial, 100.0, "tsit5", rtol=1e-1, options={"safeguard": True})
    assert (np.diff(run.energy) >= -1e-14).all()


def test_bad_options():
    flow, initial = bandit()
    with pytest.raises(TypeError, match="safeguard"):
        wflow.solve(flow, initial, 1.0, "tsit5", options={"safeguard": 1})
    with pytest.raises(ValueError, match="not both"):
        wflow.solve(flow, initial, 1.0, "tsit5", options={"safeguard": True, "accept": lambda t, y: True})
    with pytest.raises(TypeError, match="no option 'safeguard'"):
        wflow.solve(flow, initial, 1.0, "RK45", options={"safeguard": True})


def test_the_summary_tells_of_rotations_and_products():
    class Turn(Decay):
        """y' = A y with eigenvalues −20 ± 300 i."""

        def rhs(self, t, y):
            return np.array([-20.0 * y[0] - 300.0 * y[1], 300.0 * y[0] - 20.0 * y[1]])

    run = wflow.solve(Turn(1.0, 2.0), np.array([1.0, 0.0]), 2.0, "rkc2", rtol=1e-2, atol=1e-4)
    assert run.status.ok
    assert run.counts["capped"] > 0
    assert f"{run.counts['capped']} capped: the spectrum rotates" in run.summary()
    flow, initial = bandit()
    run = wflow.solve(flow, initial, 10.0, "newton_krylov")
    assert f"{run.counts['jacobian']} products with its Jacobian" in run.summary()
