"""One run: what it counts, how its errors fall, and how it fails."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from studies.integrators import made

import wflow
from wflow.measures import ParticleMeasure
from wflow.schedules import at
from wflow.studies.integrators import Case, Start, reference, runs
from wflow.studies.integrators.cases import Decay, _decay, _linear
from wflow.studies.integrators.runs import Task, run

FEW = Case("few modes", _decay, 0.5, (("n", 4),))


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    """Makes a run of a case, its reference beside it, made once."""
    folder = tmp_path_factory.mktemp("references")

    def make(case, method="tsit5", rtol=1e-3, repeats=1, limit=60.0, known=None):
        path = folder / f"{case.name}.npz"
        if not path.exists():
            reference.save(known or reference.make(case), path)
        return Task(case, method, rtol, repeats, limit, str(path))

    return make


@pytest.mark.parametrize("method", ["rkc2", "tsit5", "bs3", "RK45", "DOP853", "Radau"])
@pytest.mark.parametrize("case", [made.LINEAR, made.TANH, FEW], ids=lambda case: case.name)
def test_counts_are_those_of_a_plain_solve(task, case, method):
    """The run that warms up is not counted, and repeats are not added up."""
    made_task, start = task(case, method, repeats=3), case.build()
    found = run(made_task)
    plain = wflow.solve(start.flow, start.initial, case.horizon, method, rtol=1e-3, atol=1e-6,
                        record=at([0.0, *(case.horizon * reference.TIMES)]))  # fmt: skip
    assert found["status"] == "finished"
    assert found["evaluations"] == plain.counts["rhs"]
    assert found["spectral_radius"] == plain.counts.get("spectral_radius", 0)
    assert found["steps"] == plain.counts["steps"]
    assert found["rejected"] == plain.counts.get("rejected", 0)
    assert (found["spectral_radius"] > 0) == (method == "rkc2")
    known, final = reference.load(Path(made_task.reference)), start.flow.pack(plain.final)
    assert found["state"] == pytest.approx(np.linalg.norm(final - known.final) / np.linalg.norm(known.final), rel=1e-6)
    assert found["energy"] == pytest.approx(np.abs(plain.energy[1:] - known.energy).max() / known.gain, rel=1e-6)


class Counting(Decay):
    calls = 0

    def rhs(self, t, y):
        Counting.calls += 1
        return super().rhs(t, y)


def counting():
    return Start(Counting(1.0, 1e3), np.ones(4))


@pytest.mark.parametrize("method", ["rkc2", "tsit5", "RK23"])
def test_no_evaluation_is_forgotten(task, method, monkeypatch):
    """Those for steps and those for spectral radii are all the calls of the field."""
    case = Case("counting", counting, 1.0)
    made_task = task(case, method)
    calls = []
    plain = runs._solve

    def counted(*arguments):
        Counting.calls = 0
        solution = plain(*arguments)
        calls.append(Counting.calls)
        return solution

    monkeypatch.setattr(runs, "_solve", counted)
    found = run(made_task)
    assert len(calls) == 2  # the warm-up, and the run
    assert found["evaluations"] + found["spectral_radius"] == calls[1]


@pytest.mark.parametrize(("method", "order", "rtols"), [
    ("rkc2", 2, (1e-5, 1e-7)), ("bs3", 3, (1e-5, 1e-7)), ("RK23", 3, (1e-5, 1e-7)), ("tsit5", 5, (1e-7, 1e-9)), ("RK45", 5, (1e-7, 1e-9)),
])  # fmt: skip
def test_errors_fall_like_the_order(task, method, order, rtols):
    """Of the final state against steps, on the linear problem, whose answer is known."""
    loose, tight = (run(task(made.LINEAR, method, rtol)) for rtol in rtols)
    assert tight["energy"] < loose["energy"]
    slope = np.log(loose["state"] / tight["state"]) / np.log(tight["steps"] / loose["steps"])
    assert slope == pytest.approx(order, abs=0.15 * order)


def test_drift_of_the_invariant(task):
    """ReLU's ω0² − |ω̄|² is kept but for errors; tanh has none."""
    loose, tight = (run(task(made.RELU, "tsit5", rtol)) for rtol in (1e-2, 1e-6))
    assert 0.0 < tight["drift"] < loose["drift"] < 1.0
    assert np.isnan(run(task(made.TANH))["drift"])


def nowhere(found):
    return np.isnan([found[name] for name in reference.ERRORS]).all()


def test_given_up(task):
    found = run(task(made.TANH, "RK45", limit=1e-9, repeats=3))
    assert (found["status"], found["message"]) == ("gave up", "given up after 1e-09 s")
    assert [found[name] for name in ("evaluations", "spectral_radius", "steps", "rejected")] == [-1] * 4
    assert 0.0 < found["seconds"] < 10.0
    assert nowhere(found)


def test_step_limit(task, monkeypatch):
    """Counts are kept; what lies after the last step has no error."""
    made_task = task(made.TANH)
    monkeypatch.setattr(runs, "_MOST", 2)
    found = run(made_task)
    assert (found["status"], found["steps"]) == ("step limit", 2)
    assert found["evaluations"] > 6
    assert nowhere(found)


def test_not_finite(task):
    """y' = y² ends before the horizon: no exception, but a status of failure."""
    known = reference.Reference(np.ones(len(reference.TIMES)), np.ones(3), 1.0, dict.fromkeys(reference.ERRORS, 0.0))
    for method in ("tsit5", "RK45"):
        found = run(task(made.EXPLODING, method, known=known))
        assert found["status"] in ("step too small", "not finite")
        assert found["message"]
        assert found["steps"] > 2
        assert nowhere(found)


def test_a_jacobian_too_large(task):
    """SciPy's implicit methods want n² numbers: refused before any step, and told."""
    case = Case("many", _linear, 3.0, (("n", 40_000),))
    found = run(task(case, "BDF"))
    assert found["status"] == "gave up"
    assert "BDF" in found["message"]
    assert "GB" in found["message"] or "GiB" in found["message"]
    assert nowhere(found)


def slow():
    time.sleep(0.2)
    return Start(Decay(1.0, 2.0), np.ones(2))


def test_making_the_problem_is_not_timed(task):
    assert run(task(Case("slow", slow, 1e-3)))["seconds"] < 0.15


@pytest.mark.parametrize(("ticks", "shortest"), [([0.0, 0.4, 1.0, 1.1, 2.0, 2.3], 0.1), ([0.0, 0.6], 0.6), ([0.0, 0.4, 1.0, 1.7], 0.4)])
def test_the_shortest_time_of_repeats(task, monkeypatch, ticks, shortest):
    """Short runs three times, as was asked for; none again after one of over half a second. A tick too many or too few would show."""
    clock = iter(ticks)
    made_task = task(made.LINEAR, repeats=3)
    monkeypatch.setattr(runs, "time", SimpleNamespace(perf_counter=lambda: next(clock), monotonic=time.monotonic))
    assert run(made_task)["seconds"] == pytest.approx(shortest, abs=0.05)  # less the real time of recording
    assert next(clock, None) is None


def weighted():
    start = _linear(10)
    weights = np.linspace(1.0, 2.0, 10)
    return Start(start.flow, ParticleMeasure(start.initial.points, weights / weights.sum()))


def test_weighted_measures(task):
    """An error of W2 is at most that of the state, over particles by their weights."""
    case = Case("weighted", weighted, 1.0)
    found = run(task(case, rtol=1e-3))
    known = reference.load(Path(task(case).reference))
    start = case.build()
    plain = wflow.solve(start.flow, start.initial, 1.0, "tsit5", rtol=1e-3, atol=1e-6, record=at([0.0, *reference.TIMES]))
    off = ((plain.final.points - known.final.reshape(10, -1)) ** 2).sum(axis=1) @ start.initial.weights
    assert found["w2"] == pytest.approx(off**0.5, rel=1e-9)
