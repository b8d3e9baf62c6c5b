"""Figures of runs against the closed forms of their problems: every kind of state, from the file alone."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from plotting.runs import Seen, cut

from wflow import config, experiment, loop, plotting, problems
from wflow.plotting.closed_form import has_closed_form, plot_closed_form

GRID = "record={spacing='linear', frames=5, states='all'}"
LANGEVIN = ["flow={kind='langevin', n_particles=200}", "solver.options.dt=0.05", "solver.t_end=0.4", GRID]
CASES = {
    "cells on a line": ("heat", ["flow.cells=40", GRID]),
    "cells between walls": ("fokker_planck", ["flow.cells=20", GRID]),
    "a front": ("barenblatt", ["flow.cells=40", GRID]),
    "moving cells": ("barenblatt", ["flow={kind='jko', cells=20}", "solver.options.step=0.1", GRID]),
    "cells in the plane": ("ornstein_uhlenbeck", ["flow.cells=20", GRID]),
    "cells in space": ("heat", ["problem.variance=[0.2, 0.3, 0.4]", "flow.cells=10", GRID]),
    "noise on a line": ("fokker_planck", ["flow={kind='langevin', n_particles=200}", "solver.options.dt=0.01", GRID]),
    "noise alone": ("heat", LANGEVIN),
    "noise in the plane": ("ornstein_uhlenbeck", LANGEVIN),
    "noise in space": ("heat", ["problem.variance=[0.2, 0.3, 0.4]", *LANGEVIN]),
    "particles": ("aggregation", ["flow={kind='particles', n_particles=64}", GRID]),
    "a regression": ("regression", ["flow.n_particles=30", "solver.t_end=5.0"]),
    "a regression in the plane": ("regression", ["flow.n_particles=30", "solver.t_end=5.0", "problem.dimension=2"]),
}


@cache
def run_of(case):
    name, changes = CASES[case]
    (part,) = config.load(name, changes).parts
    run = experiment.build(part, 0)
    return loop.solve(run.flow, run.initial(), record=run.schedule, provenance=run.provenance(), **run.arguments)


def panels(figure):
    return {axes.get_label(): axes for axes in figure.axes}


@pytest.mark.parametrize("case", CASES)
def test_every_kind_of_state_has_a_figure_that_fits_its_page(case):
    run = run_of(case)
    assert has_closed_form(run)
    figure = plotting.plot(run)
    figure.draw_without_rendering()
    inside = figure.bbox.padded(1.0)
    for axes in figure.axes:
        box = axes.get_tightbbox()
        assert inside.contains(box.x0, box.y0)
        assert inside.contains(box.x1, box.y1)
        assert axes.get_xlabel()


def test_densities_lie_over_the_exact_ones():
    run = run_of("cells on a line")
    axes = panels(plot_closed_form(run))["state0"]
    problem = problems.heat()
    assert len(axes.patches) == len(axes.lines) == 5
    for t, state, stairs, line in zip(run.state_times, run.states(), axes.patches, axes.lines, strict=True):
        np.testing.assert_array_equal(stairs.get_data().values, state.density)
        np.testing.assert_array_equal(line.get_ydata(), problem.at(t, state.axes).density)
        np.testing.assert_array_equal(line.get_xdata(), state.centres[0])


def test_errors_and_energies_are_those_of_the_states():
    run = run_of("cells in the plane")
    drawn = panels(plot_closed_form(run))
    problem = problems.ornstein_uhlenbeck()
    (line,) = drawn["errors"].lines
    np.testing.assert_array_equal(line.get_xdata(), run.state_times[1:])
    np.testing.assert_array_equal(line.get_ydata(), [problem.errors(t, run.state(k + 1))["L1"] for k, t in enumerate(run.state_times[1:])])
    computed, exact = drawn["energy"].lines
    np.testing.assert_array_equal(computed.get_ydata(), run.energy)
    np.testing.assert_array_equal(exact.get_ydata(), [problem.exact.energy(t) for t in run.times])


def test_maps_are_those_of_the_first_the_middle_and_the_last_state():
    run = run_of("cells in the plane")
    drawn = panels(plot_closed_form(run))
    for k, which in enumerate((0, 2, 4)):
        axes = drawn[f"state{k}"]
        np.testing.assert_array_equal(axes.collections[0].get_array(), run.state(which).density.T)
        assert f"t = {run.state_times[which]:g}$" in axes.get_title("left")


def test_particles_have_the_errors_of_their_moments_and_ellipses():
    run = run_of("particles")
    drawn = panels(plot_closed_form(run))
    mean, covariance = (line.get_ydata() for line in drawn["errors"].lines)
    problem = problems.aggregation()
    found = [problem.errors(t, state) for t, state in zip(run.state_times, run.states(), strict=True)]
    np.testing.assert_array_equal(mean, [errors["mean"] for errors in found])
    np.testing.assert_array_equal(covariance, [errors["covariance"] for errors in found])
    theirs, exact = (line.get_xydata() for line in drawn["state2"].lines)
    for ellipse, (centre, spread) in ((theirs, (run.final.mean(), run.final.covariance())), (exact, problem.moments(run.final_time))):
        away = ellipse - centre
        np.testing.assert_allclose(np.einsum("ki,ij,kj->k", away, np.linalg.inv(spread), away), 4.0, rtol=1e-9)


def test_particles_with_noise_have_no_energy_to_compare():
    assert len(panels(plot_closed_form(run_of("noise in the plane")))["energy"].lines) == 1
    assert "entropy" in panels(plot_closed_form(run_of("noise in the plane")))["energy"].get_ylabel()
    assert "energy" not in panels(plot_closed_form(run_of("noise alone")))


def test_what_was_learnt_lies_over_the_teacher():
    run = run_of("a regression")
    drawn = panels(plot_closed_form(run))
    student, teacher = drawn["prediction"].lines
    np.testing.assert_array_equal(student.get_ydata(), run.finals["prediction"])
    np.testing.assert_array_equal(teacher.get_ydata(), run.static["targets"])
    np.testing.assert_array_equal(drawn["energy"].lines[0].get_ydata(), run.energy[1:])


def test_runs_that_have_not_ended_are_drawn_as_far_as_they_are():
    run = run_of("cells in the plane")
    half = cut(run, "killed", run.times[1], state_times=run.state_times[:1], states=lambda: iter([run.state(0)]))
    figure = plotting.plot(half)
    assert "killed" in figure.get_suptitle()
    assert [panels(figure)[f"state{k}"].axison for k in range(3)] == [True, False, False]
    stateless = cut(run, "running", run.times[1])
    assert not has_closed_form(stateless)
    with pytest.raises(ValueError, match="must be of a problem with a closed form"):
        plot_closed_form(stateless)


def test_others_have_no_closed_form():
    run = run_of("cells on a line")
    for provenance in ({}, {"config": {"problem": {"kind": "garnet"}}}, {"config": {"problem": {"kind": "aggregation", "exponent": 3.0}}}):
        assert not has_closed_form(Seen(run, provenance=provenance))
