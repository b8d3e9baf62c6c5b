"""References: closed forms, families that agree, files, families that fail; and errors against plain counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import linear_sum_assignment
from studies.integrators import made

from wflow.studies.integrators import Case, reference
from wflow.studies.integrators.cases import _decay
from wflow.studies.integrators.reference import ERRORS, TIMES, Reference, errors, load, make, save


def test_closed_form():
    """No run is needed; E by hand: κ/2 of the mean square plus λ/4 of the mean square distance."""
    found, start = make(made.LINEAR), made.LINEAR.build()
    x0 = start.initial.points
    values = []
    for t in [0.0, *(3.0 * TIMES)]:
        x = start.exact(t).reshape(x0.shape)
        distances = ((x[:, None] - x[None]) ** 2).sum(axis=-1)
        values.append(0.5 * 0.5 * (x**2).sum(axis=1).mean() + 0.25 * distances.mean())
    np.testing.assert_allclose(found.energy, values[1:], rtol=1e-12)
    assert found.gain == pytest.approx(values[0] - values[-1], rel=1e-12)
    np.testing.assert_array_equal(found.final, start.exact(3.0))
    assert found.own == dict.fromkeys(ERRORS, 0.0)


def test_two_families_agree():
    """And with a third, an implicit one."""
    found, start = make(made.TANH), made.TANH.build()
    assert 0.0 < found.own["energy"] < 1e-8
    assert 0.0 < found.own["state"] < 1e-8
    radau = solve_ivp(start.flow.rhs, (0.0, 5.0), start.flow.pack(start.initial), method="Radau", rtol=1e-9, atol=1e-12, t_eval=5.0 * TIMES)
    np.testing.assert_allclose(found.final, radau.y[:, -1], rtol=1e-6, atol=1e-8)
    values = [start.flow.diagnostics(t, y)["energy"] for t, y in zip(radau.t, radau.y.T, strict=True)]
    begin = start.flow.diagnostics(0.0, start.flow.pack(start.initial))["energy"]
    np.testing.assert_allclose(found.energy, values, atol=1e-7 * found.gain)
    assert found.gain == pytest.approx(values[-1] - begin, rel=1e-6)


def test_where_the_field_jumps():
    """The families differ by more, and the reference says so."""
    jumping, smooth = make(made.RELU), make(made.TANH)
    assert smooth.own["state"] < jumping.own["state"] < 1e-2


@pytest.mark.parametrize("case", [made.LINEAR, made.TANH], ids=lambda case: case.name)
def test_saved_and_loaded_to_the_bit(case, tmp_path):
    found = make(case)
    save(found, tmp_path / "reference.npz")
    stored = load(tmp_path / "reference.npz")
    for name in ("energy", "final"):
        np.testing.assert_array_equal(getattr(stored, name), getattr(found, name))
    np.testing.assert_equal((stored.gain, dict(stored.own)), (found.gain, dict(found.own)))
    assert [file.name for file in tmp_path.iterdir()] == ["reference.npz"]


def test_a_family_that_fails_is_told(monkeypatch):
    monkeypatch.setattr(reference, "_MOST", 3)
    with pytest.raises(RuntimeError, match=r"^the reference of small tanh by DOP853: step limit: "):
        make(made.TANH)


def found_at(known, **changes):
    return {"energy": known.energy.copy(), "final": known.final.copy(), "drift": np.zeros(len(TIMES)), **changes}


@pytest.fixture(scope="module")
def known():
    return make(made.LINEAR)


def test_no_error(known):
    told = errors(known, made.LINEAR, found_at(known))
    assert set(told) == set(ERRORS)
    assert told == dict.fromkeys(ERRORS, 0.0)


def test_energy_and_drift_at_their_worst(known):
    energy, drift = known.energy.copy(), np.zeros(len(TIMES))
    energy[[2, 7]] += np.array([1e-3, -4e-3]) * known.gain
    drift[4] = 0.25
    told = errors(known, made.LINEAR, found_at(known, energy=energy, drift=drift))
    assert told["energy"] == pytest.approx(4e-3, rel=1e-9)
    assert told["drift"] == 0.25


def test_state_by_a_loop(known):
    rng = np.random.default_rng(3)
    final = known.final + 1e-3 * rng.standard_normal(known.final.size)
    above = sum((a - b) ** 2 for a, b in zip(final, known.final, strict=True))
    below = sum(b**2 for b in known.final)
    assert errors(known, made.LINEAR, found_at(known, final=final))["state"] == pytest.approx((above / below) ** 0.5, rel=1e-12)


def test_w2_by_assignment(known):
    """Particles that changed places are no error of the measure; else at most a twentieth above the best assignment."""
    rng = np.random.default_rng(4)
    shape = made.LINEAR.build().initial.points.shape
    order = rng.permutation(shape[0])
    moved = known.final.reshape(shape)[order]
    told = errors(known, made.LINEAR, found_at(known, final=moved.ravel()))
    assert told["w2"] < 1e-5
    assert told["state"] > 1e-2
    moved = moved + 0.05 * rng.standard_normal(shape)
    costs = ((moved[:, None] - known.final.reshape(shape)[None]) ** 2).sum(axis=-1)
    exact = costs[linear_sum_assignment(costs)].mean() ** 0.5
    found = errors(known, made.LINEAR, found_at(known, final=moved.ravel()))["w2"]
    assert exact * (1.0 - 1e-9) <= found <= 1.06 * exact


def test_what_did_not_arrive_has_no_error(known):
    energy, final = known.energy.copy(), known.final.copy()
    energy[-1], final[0] = np.nan, np.nan
    told = errors(known, made.LINEAR, found_at(known, energy=energy, final=final, drift=np.full(len(TIMES), np.nan)))
    assert np.isnan(list(told.values())).all()


def test_other_states_have_no_w2():
    case = Case("few modes", _decay, 1.0, (("n", 4),))
    assert np.isnan(errors(make(case), case, found_at(make(case)))["w2"])


def test_gain_scales_errors_of_energy(known):
    twice = replace(known, gain=2.0 * known.gain)
    assert isinstance(twice, Reference)
    other = found_at(known, energy=known.energy + 1e-2)
    assert errors(known, made.LINEAR, other)["energy"] == pytest.approx(2.0 * errors(twice, made.LINEAR, other)["energy"])
