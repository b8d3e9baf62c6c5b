"""Verdicts on numbers that are known: what holds, and that each wrong claim is found out."""

from __future__ import annotations

import numpy as np
import pytest
from studies.grids import made

from wflow.studies.grids.analysis import cell_diagonal, errors, order, particle_errors, particle_slope, rows

GOOD = made.problem()
ORDERS = {"energy": "grid: E(t): order", "mean": "grid: mean", "covariance": "grid: covariance", "marginals": "grid: marginals",
          "w2": "grid: W2", "lattice": "particles from centres"}  # fmt: skip


def row(problem, claim):
    found = [row for row in rows(problem) if row.claim.startswith(claim)]
    assert len(found) == 1
    return found[0]


def test_what_is_true_holds():
    found = rows(GOOD)
    assert [row.claim for row in found if row.verdict != "holds"] == []
    assert all(row.margin >= 0.0 for row in found)
    assert len({row.claim for row in found}) == len(found) == 17
    assert {row.problem for row in found} == {"own"}
    assert {row.problem for row in rows(made.problem(outside="beyond"))} == {"own (beyond)"}


@pytest.mark.parametrize("p", [0.5, 1.0, 2.0, 3.3])
def test_orders_of_powers(p):
    seen = order((10, 15, 20, 40), 7.0 * np.array([10.0, 15.0, 20.0, 40.0]) ** -p)
    np.testing.assert_allclose(seen, [p, p, p], rtol=1e-12)


def test_order_is_that_of_the_finest_three_and_its_bracket_that_of_neighbours():
    """Halves and eighths: orders 1 and 3 of neighbours, 2 of the line through all; what comes before is not looked at."""
    seen = order((3, 8, 16, 32), np.array([1e9, 16.0, 8.0, 1.0]))
    np.testing.assert_allclose(seen, [2.0, 1.0, 3.0], rtol=1e-12)


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_no_order_without_errors(bad):
    assert np.isnan(order((8, 16, 32), np.array([1.0, bad, 0.1]))).all()


def test_errors_are_those_put_in():
    """The reference's energy between its own times is cubic: off by 1e-7 of what is compared."""
    found, n = errors(GOOD), np.array(made.CELLS, dtype=float)
    np.testing.assert_allclose(found["energy"], 0.2 * n**-2.0, rtol=1e-3)
    np.testing.assert_allclose(found["gain"], 0.1 * n**-2.0, rtol=1e-3)
    np.testing.assert_allclose(found["mean"], n**-2.0, rtol=1e-10)
    np.testing.assert_allclose(found["covariance"], n**-2.5, rtol=1e-9)
    np.testing.assert_allclose(found["marginals"], 3.0 * n**-2.0, rtol=1e-12)
    np.testing.assert_allclose(found["w2"], 1.0 / n, rtol=1e-12)
    for size, sample in particle_errors(GOOD).items():
        np.testing.assert_allclose(np.sort(sample), np.linspace(0.9, 1.1, 16) / size, rtol=1e-9)
    assert particle_slope(GOOD).value == pytest.approx(-1.0, abs=1e-9)
    assert cell_diagonal(GOOD.cells[12]) == pytest.approx(3.0**0.5 * 0.5)


@pytest.mark.parametrize("name", ORDERS)
def test_each_order_that_is_missed_fails(name):
    """By 0.5, twice the tolerance; its neighbours are not touched by it."""
    claims = [row(made.problem(**{name: made.ORDERS[name] - 0.5 - (name == "covariance") * 0.5}), claim) for claim in ORDERS.values()]
    assert [found.verdict for found in claims] == ["fails" if key == name else "holds" for key in ORDERS]
    missed = claims[list(ORDERS).index(name)]
    assert missed.margin < 0.0
    assert max(missed.high, missed.measured) - missed.low < 0.01


def test_more_than_the_order_is_no_fault_but_of_the_energy():
    """Exactly 2 is claimed of the midpoint rule's errors, at least that of the others."""
    assert {name: row(made.problem(**{name: 3.0}), claim).verdict for name, claim in ORDERS.items()} == {
        "energy": "fails", "mean": "holds", "covariance": "holds", "marginals": "holds", "w2": "holds", "lattice": "fails"}  # fmt: skip


@pytest.mark.parametrize(("moved", "verdict"), [(0.9, "undecided"), (1.1, "fails")])
def test_w2_of_order_one_half_is_no_fault_where_nothing_moves(moved, verdict):
    """Particles that move by less than a cell."""
    problem = made.with_grid(made.problem(w2=0.5), 32, moved=np.array(moved), w2=np.array([32.0**-0.5] * 3))
    found = row(problem, ORDERS["w2"])
    assert (found.measured, found.verdict) == (pytest.approx(0.5), verdict)
    assert f"move by {moved} cells" in found.note


def test_an_error_of_zero_decides_nothing():
    found = row(made.with_grid(GOOD, 32, mean=GOOD.reference["mean"]), "grid: mean")
    assert (found.verdict, np.isnan(found.measured)) == ("undecided", True)


@pytest.mark.parametrize(("slope", "verdict"), [(-1.5, "holds"), (-0.55, "holds"), (-0.4, "fails")])
def test_particles_beat_independent_ones(slope, verdict):
    assert row(made.problem(slope=slope), "particles: E(t)").verdict == verdict


@pytest.mark.parametrize(("claim", "arrays", "verdict"), [
    ("reference: E, Gauss", {"half": made.energy(made.TIMES) + 1.1e-5}, "undecided"),
    ("reference: E, Gauss", {"half": made.energy(made.TIMES) + 0.9e-5}, "holds"),
    ("reference: E, relative", {"exact": made.energy(made.TIMES) * (1.0 + 2e-8)}, "fails"),
    ("reference: marginals", {"own": np.array([0.0, 0.0, 1.6e-3])}, "undecided"),
    ("reference: marginals", {"own": np.array([0.0, 0.0, 1.4e-3])}, "holds"),
])  # fmt: skip
def test_the_reference_must_be_better(claim, arrays, verdict):
    """E's errors on 32 cells are 2e-4, of which half is the start's; of the marginals 3e-3."""
    assert row(made.with_reference(GOOD, **arrays), claim).verdict == verdict


def steps(**changes):
    values = np.zeros(len(made.STEPS))
    for k, value in changes.items():
        values[int(k[1:])] = value
    return values


@pytest.mark.parametrize(("claim", "n", "arrays"), [
    ("grids: mass drift", 16, {"mass_drift": steps(k3=-2e-13)}),
    ("grids: mass of a cell", 12, {"lowest": steps(k5=-1e-300)}),
    ("grids: gain of E", 24, {"energy": np.where(np.arange(18) == 7, -1.0, made.energy(made.STEPS))}),
    ("grid: mass in the outermost", 32, {"wall_mass": steps(k9=1.1e-6)}),
    ("grid: sup error", 32, {"energy": made.energy(made.STEPS) + 0.011}),
    ("grid: the same over", 32, {"w2": np.array([0.3, 0.3, 0.33])}),
])  # fmt: skip
def test_one_bad_step_of_one_grid_is_seen(claim, n, arrays):
    """Cells of 32 along an axis have a diagonal of 0.325; E changes by 0.86."""
    found = row(made.with_grid(GOOD, n, **arrays), claim)
    assert (found.verdict, found.margin < 0.0) == ("fails", True)


def test_walls_of_coarse_grids_are_told_and_not_judged():
    found = row(made.with_grid(GOOD, 12, wall_mass=steps(k9=0.5)), "grid: mass in the outermost")
    assert found.verdict == "holds"
    assert found.note.startswith("0.5, ")


def test_energies_that_fall():
    """The sense is that of the reference."""
    falling = made.with_reference(GOOD, **{name: -GOOD.reference[name] for name in ("energy", "slope", "half", "exact")})
    for n, grid in falling.cells.items():
        falling = made.with_grid(falling, n, energy=-grid["energy"], lattice_energy=-grid["lattice_energy"])
    assert row(falling, "grids: gain of E").verdict == "holds"
    assert row(falling, "grid: E(t): order").verdict == "holds"
