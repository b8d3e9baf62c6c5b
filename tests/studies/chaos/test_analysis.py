"""Rates and verdicts from errors that are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from studies.chaos import made

from wflow.studies import statistics
from wflow.studies.chaos.analysis import REPORTED, rows, samples, slope, smallest_errors
from wflow.studies.chaos.results import Curve


def row(problem, part, about=made.ABOUT):
    """The one row whose claim begins so."""
    found = [row for row in rows(problem, about) if row.claim.startswith(part)]
    assert len(found) == 1, [row.claim for row in rows(problem, about)]
    return found[0]


def with_curves(problem, change, start="iid"):
    """The problem with every curve of a start changed."""
    curves = {n: change(n, curve) for n, curve in problem.curves[start].items()}
    return replace(problem, curves={**problem.curves, start: curves})


def test_samples():
    """Values at a time; of the coupling error its largest value until then."""
    rng = np.random.default_rng(0)
    coupling = rng.random((5, 7))
    sup = 1.1 * np.maximum.accumulate(coupling, axis=1)
    curves = {n: Curve(coupling, sup, 2 * coupling, coupling, coupling - 0.5, np.full((5, 7), np.nan), np.empty((5, 2, 6))) for n in (8, 16)}  # noqa: E501
    for k in range(7):
        for index in (k, k - 7):
            got = samples(curves, "coupling", index)
            assert list(got) == [8, 16]
            np.testing.assert_array_equal(got[8], sup[:, k])
            np.testing.assert_array_equal(samples(curves, "function", index)[16], 2 * coupling[:, k])
    assert samples(curves, "bias", -1) == {}


def test_rates_of_made_up_errors():
    problem = made.problem()
    for quantity, rate in (("coupling", -0.5), ("function", -1.0)):
        found = slope(problem, "iid", quantity)
        assert found.low <= rate <= found.high
        assert found.value == pytest.approx(rate, abs=0.05)
    assert slope(problem, "iid", "bias").value == pytest.approx(-1.0, abs=0.1)


def test_the_control_variate_is_the_copies_error():
    """The same fit by hand; the squared error of the copies less its exact expectation."""
    problem = made.problem()
    curve = problem.curves["iid"]
    for k in REPORTED:
        expected = statistics.fit(list(curve), [c.function[:, k] for c in curve.values()], "mean",
                                  controls=[c.copies[:, k] - 2.0 / n for n, c in curve.items()])  # fmt: skip
        got = slope(problem, "iid", "function", k)
        assert (got.value, got.low, got.high) == (expected.value, expected.low, expected.high)
    plain = slope(problem, "iid", "function", control=False)
    assert plain.width > 2.0 * slope(problem, "iid", "function").width
    other = slope(problem, "qmc", "function")
    assert other.value == slope(problem, "qmc", "function", control=False).value


def test_no_slope():
    problem = made.problem()
    assert slope(problem, "qmc", "bias") is None
    assert slope(replace(problem, curves={"iid": {}}), "iid", "energy") is None
    assert slope(replace(problem, curves={}), "iid", "energy") is None
    one = replace(problem, curves={"iid": {16: problem.curves["iid"][16]}})
    assert slope(one, "iid", "coupling") is None
    still = with_curves(problem, lambda n, c: replace(c, energy=np.zeros_like(c.energy)))
    assert slope(still, "iid", "energy") is None
    assert slope(made.problem(halves=(16,)), "iid", "bias") is None


@pytest.mark.parametrize(("rate", "verdict"), [(-0.5, "holds"), (-0.2, "fails"), (-0.8, "fails")])
def test_verdicts_of_the_coupling_error(rate, verdict):
    found = row(made.problem(rate=rate), "coupling error")
    assert found.verdict == verdict
    assert (found.margin >= 0.0) == (verdict == "holds")
    assert found.measured == pytest.approx(rate, abs=0.1)
    assert found.low <= found.measured <= found.high
    assert "uncontrolled" in found.note


def test_fluctuation_near_the_optimum():
    """Where the bias of E is no longer small beside its fluctuation, no rate of -1/2 is asked for; far from it, it is."""
    near = [row for row in rows(made.problem(), made.ABOUT) if row.claim.startswith("fluctuation of E")]
    far = with_curves(made.problem(), lambda n, c: replace(c, energy=20.0 * c.energy))
    assert {row.theory for row in rows(far, made.ABOUT) if row.claim.startswith("fluctuation of E")} == {"-0.5"}
    assert all(row.theory != "-0.5" for row in near)
    no_bias = rows(made.problem(halves=()), made.ABOUT)
    assert {row.theory for row in no_bias if row.claim.startswith("fluctuation of E")} == {"-0.5"}


def test_other_starts_must_beat_the_rate():
    problem = made.problem()
    assert row(problem, "QMC start: coupling").verdict in ("holds", "undecided")
    assert row(problem, "QMC start: coupling").theory == "< -0.5"
    slow = with_curves(problem, lambda n, c: replace(c, sup=c.sup * n**3.0), "qmc")
    assert row(slow, "QMC start: coupling").verdict == "fails"
    assert row(slow, "quantised start: coupling") == row(problem, "quantised start: coupling")


def test_rows_name_their_problem():
    assert {row.problem for row in rows(made.problem("a b"), made.ABOUT)} == {"a b"}
    assert {row.problem for row in rows(made.problem("r", outside="outside it"), made.ABOUT)} == {"r (outside it)"}


def test_slopes_are_told_at_several_times():
    claims = [row.claim for row in rows(made.problem(), made.ABOUT)]
    for name in ("squared function error, t = ", "fluctuation of E, t = ", "bias of E, t = "):
        assert sum(claim.startswith(name) for claim in claims) == len(REPORTED)
    assert len(set(claims)) == len(claims)


def test_smallest_errors():
    problem = made.problem()
    curves = [curve for sizes in problem.curves.values() for curve in sizes.values()]
    found = smallest_errors(problem)
    for k in range(len(problem.times)):
        assert found["energy"][k] == pytest.approx(min(np.sqrt(np.mean(c.energy[:, k] ** 2)) for c in curves), rel=1e-13)
        assert found["function"][k] == pytest.approx(min(np.sqrt(np.mean(c.function[:, k])) for c in curves), rel=1e-13)
        assert found["replay"][k] == pytest.approx(min(np.sqrt(np.mean(c.coupling[:, k] ** 2)) for c in curves), rel=1e-13)
    for c in range(2):
        assert found["w2"][c] == min(np.nanmin(curve.w2[:, c, 0]) for curve in curves)
    assert np.isinf(smallest_errors(made.problem(w2=0))["w2"]).all()


@pytest.mark.parametrize("name", ["energy", "function", "w2", "replay"])
def test_references_own_error(name):
    problem = made.problem()
    what = {"energy": "of E", "function": "of f", "w2": "of W2", "replay": "of stored field"}[name]
    good = row(problem, f"reference's own error {what}")
    assert good.verdict == "holds"
    fraction = made.ABOUT["w2_fraction" if name == "w2" else "fraction"]
    assert good.margin == pytest.approx(fraction - good.measured)
    limit = fraction * smallest_errors(problem)[name]
    for factor, verdict in ((0.999, "holds"), (1.001, "fails")):
        own = np.zeros_like(limit)
        own[-1] = factor * limit[-1]  # the worst time counts
        found = row(replace(problem, own={**problem.own, name: own}), f"reference's own error {what}")
        assert found.verdict == verdict
        assert found.measured == pytest.approx(factor * fraction, rel=1e-12)


def test_expected_errors():
    """Ratios to their exact expectations, and what happens where they are off by a third."""
    problem = made.problem(exact=True)
    for name in ("squared function error of the copies", "squared function error /", "variance of E", "bias of E /"):
        found = row(problem, name)
        assert found.verdict == "holds", name
        assert found.low < found.measured < found.high
        assert abs(found.measured - 1.0) < 4.0 * (found.high - found.low) / 3.92
    for key in ("function", "energy_bias"):
        wrong = replace(problem, exact={**problem.exact, key: 3.0 * problem.exact[key]})
        found = row(wrong, "squared function error /" if key == "function" else "bias of E /")
        assert found.verdict == "fails"
        assert found.margin < 0.0
    variance = [c.energy[:, -1].var(ddof=1) * n for n, c in problem.curves["iid"].items()]
    assert row(problem, "variance of E").measured == pytest.approx(np.mean(variance), rel=1e-12)
    wrong = replace(problem, variances=2.0 * problem.variances)
    assert row(wrong, "squared function error of the copies").measured == pytest.approx(
        row(problem, "squared function error of the copies").measured / 2.0
    )


def test_what_is_not_known_is_not_compared():
    claims = [row.claim for row in rows(made.problem(), made.ABOUT)]
    assert [claim for claim in claims if "exact expectation" in claim] == ["squared function error of the copies / its exact expectation"]


def change_w2(problem, index, factor):
    def change(n, curve):
        w2 = curve.w2.copy()
        if n == 32:
            w2[0, 1, index] *= factor
        return replace(curve, w2=w2)

    return with_curves(problem, change)


@pytest.mark.parametrize(("index", "factor"), [(0, 2.0), (0, 0.5), (3, 2.0), (3, 0.5)])
def test_a_single_w2_outside_its_bounds(index, factor):
    problem = made.problem()
    assert row(problem, "W2 within its own bounds").verdict == "holds"
    found = row(change_w2(problem, index, factor), "W2 within its own bounds")
    assert found.verdict == "fails"
    assert found.measured == pytest.approx(-found.margin)
    assert found.margin < -0.1


def test_the_triangle_inequality():
    problem = made.problem()
    found = row(problem, "|W2 − baseline| / coupling error")
    assert found.verdict == "holds"
    assert found.measured == pytest.approx(0.5, abs=0.01)
    far = with_curves(problem, lambda n, c: replace(c, coupling=c.coupling * 0.4))
    assert row(far, "|W2 − baseline| / coupling error").verdict == "fails"
    unsure = with_curves(far, lambda n, c: replace(c, w2=c.w2 * np.array([1.0, 0.5, 2.0, 1.0, 0.5, 2.0])))
    assert row(unsure, "|W2 − baseline| / coupling error").verdict == "holds"  # only what is certified counts


def test_bounds_without_values():
    """W2 known only by its bounds is checked as far as it goes, and has no rate."""
    problem = with_curves(made.problem(), lambda n, c: replace(c, w2=c.w2 * np.array([np.nan, 1, 1, np.nan, 1, 1])))
    found = [row for row in rows(problem, made.ABOUT) if "W2" in row.claim]
    assert not any(row.claim.startswith("W2² − baseline²") for row in found)
    assert row(problem, "|W2 − baseline| / coupling error").verdict == "holds"


def test_without_w2():
    assert not [row for row in rows(made.problem(w2=0), made.ABOUT) if "W2" in row.claim]


def test_without_halves_there_is_no_bias():
    assert not [row for row in rows(made.problem(halves=()), made.ABOUT) if row.claim.startswith("bias")]


def test_a_problem_without_interaction():
    """Particles that are their own copies: no coupling error, hence no rate of it, and every other row."""
    problem = with_curves(made.problem(w2=0), lambda n, c: replace(c, coupling=0.0 * c.coupling, sup=0.0 * c.sup))
    found = rows(replace(problem, own={**problem.own, "replay": np.zeros_like(problem.times)}), made.ABOUT)
    assert not [row for row in found if row.claim.startswith("coupling error")]
    assert [row for row in found if row.claim.startswith("squared function error")]
