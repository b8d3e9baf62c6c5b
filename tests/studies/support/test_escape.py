"""Lemma C.3 on small problems: entry into G+ by 2M/η, growth of ω0 at the rate η/2, mass that does not fall; spurious fixed points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from studies.support import made
from toys import support as toys

from wflow.flows import WassersteinFlow
from wflow.loop import solve
from wflow.measures import ParticleMeasure
from wflow.studies.support import Problem, ProblemSupport
from wflow.studies.support.analysis import rows
from wflow.studies.support.escape import SHARE, WRONG, escape, spurious
from wflow.studies.support.plan import Task

SIZE = 256
PROBLEMS = {
    "tanh": Problem("tanh", toys.bandit, 20.0),
    "relu": Problem("relu", toys.bandit, 20.0, (("activation", "relu"),), outside="outside Assumption 1"),
}
PARTS = {}
BOTH = pytest.mark.parametrize("name", PROBLEMS)


def part_of(name):
    if name not in PARTS:
        PARTS[name] = escape(Task(PROBLEMS[name], "escape", SIZE, 0, quick=True))
    return PARTS[name]


def verdict(part, what):
    problem = ProblemSupport("own", "", {**made.problem().parts, "escape": part}, {})
    row, = [row for row in rows(problem, made.study(problem).about) if row.claim.startswith(f"escape: {what}")]
    return row.verdict


@given(seed=st.integers(0, 10**6), activation=st.sampled_from(["relu", "tanh", "sigmoid", "softplus", "gaussian", "rbf"]),
       d_s=st.sampled_from([0, 1]), reach=st.sampled_from([0.5, 3.0]))  # fmt: skip
@settings(max_examples=30)
def test_spurious_fixed_points(seed, activation, d_s, reach):
    """F = 0 on the support to rounding, f = 0, and |g| well above 0 somewhere."""
    energy, _ = toys.anywhere(seed, activation, d_s=d_s, reach=reach)
    measure = spurious(energy).sample(64, seed)
    found = energy.evaluate(measure)
    scale = np.abs(found.signal).sum()
    assert np.abs(found.velocity).max() <= 1e-13 * scale
    assert np.ptp(found.log_policy) <= 1e-14
    theta = energy.domain.mesh().points
    assert np.abs(energy.field(np.column_stack([np.ones(len(theta)), theta]), found.signal)[:, 0]).max() > 1e-3 * scale


@BOTH
def test_shapes(name):
    part = part_of(name)
    t = len(part["times"])
    eta = float(part["eta"])
    assert part["times"][0] == 0.0
    assert part["times"][-1] == pytest.approx(10.0 * WRONG / eta)
    for key in ("near", "window", "mass", "mass_plus"):
        assert part[key].shape == (t,)
    assert part["omega"].shape[0] == t
    assert part["omega"].shape[1] > 0
    np.testing.assert_array_equal(part["omega"][0], -WRONG)
    assert part["near"][0] > 1.0 - 5.0 * SHARE  # nearly the fixed point's own field
    assert set(part["window"]) <= {0.0, 1.0}
    assert (np.diff(part["window"]) <= 0.0).all()
    assert (part["near"][part["window"] > 0.0] > 0.5).all()
    assert (part["mass_plus"] <= part["mass"]).all()
    assert part["mass_plus"][0] == 0.0
    np.testing.assert_array_equal(part["long_times"], Task(PROBLEMS[name], "escape", SIZE, 0, quick=True).long_times)
    assert part["long_gap"].shape == part["long_times"].shape


@BOTH
def test_what_the_lemma_says(name):
    """As long as the field is near the fixed point's: the claims, from the numbers and in the table."""
    part = part_of(name)
    eta, window = float(part["eta"]), part["window"] > 0.0
    times, omega = part["times"][window], part["omega"][window]
    limit = 2.0 * WRONG / eta
    assert times[-1] >= limit
    assert (omega[times >= limit] > 0.0).all()
    assert ((omega - omega[0]) >= 0.5 * eta * times[:, None] - 1e-12).all()
    assert (np.diff(part["mass_plus"][window]) >= 0.0).all()
    assert part["mass_plus"][window][-1] > 0.0
    assert [verdict(part, what) for what in ("last entry", "growth", "mass")] == ["holds"] * 3
    assert part["long_gap"][-1] < part["long_gap"][0]


def test_tracers_cross_by_themselves():
    """An independent run of the whole cloud, at other tolerances: |ω0| of what stays in G is the same."""
    part, (energy, law) = part_of("tanh"), PROBLEMS["tanh"].build()
    task = Task(PROBLEMS["tanh"], "escape", SIZE, 0, quick=True)
    dead = spurious(energy).qmc(64, task.generator(8)).points
    free = law.qmc(SIZE // 2, task.generator(9)).points.copy()
    signal = energy.signal(ParticleMeasure(dead))
    theta = energy.domain.mesh().points
    g = energy.field(np.column_stack([np.ones(len(theta)), theta]), signal)[:, 0]
    side = np.sign(g[np.abs(g).argmax()])
    assert part["eta"] == pytest.approx(0.5 * np.abs(g).max(), rel=1e-12)
    free[:, 0] = -side * WRONG
    weights = np.concatenate([np.full(64, (1.0 - SHARE) / 64), np.full(len(free), SHARE / len(free))])
    t = float(part["times"][30])
    found = solve(WassersteinFlow(energy), ParticleMeasure(np.concatenate([dead, free]), weights), t, "dop853", rtol=1e-8)
    assert found.status.ok
    omega = side * found.final.points[64:, 0]
    for value in part["omega"][30]:
        assert np.abs(omega - value).min() < 1e-6
    moved = found.final.points[64:]
    inside = side * energy.field(np.column_stack([np.ones(len(moved)), moved[:, 1:]]), signal)[:, 0] > part["eta"]
    assert part["mass"][30] == pytest.approx(inside.mean(), abs=2.0 / len(free))


@BOTH
def test_wrong_claims_are_found_out(name):
    part = part_of(name)
    eta, times = float(part["eta"]), part["times"]
    slow = -WRONG + 0.3 * eta * times[:, None] + 0.0 * part["omega"]
    assert verdict({**part, "omega": slow}, "growth") == "fails"
    assert verdict({**part, "omega": slow}, "last entry") == "fails"
    falling = part["mass_plus"] - 1e-3 * np.arange(len(times))
    assert verdict({**part, "mass_plus": falling}, "mass") == "fails"
    assert verdict({**part, "eta": np.array(20.0 * eta)}, "growth") == "fails"
    assert verdict({**part, "window": (np.arange(len(times)) < 3).astype(float)}, "growth") == "undecided"
