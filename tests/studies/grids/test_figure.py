"""The figures hold the study's numbers."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from studies.grids import made

from wflow.plotting import save
from wflow.studies.grids.analysis import errors, particle_errors

PROBLEM = made.problem("own $1", "outside Assumption 1")


@pytest.fixture(scope="module")
def figure():
    drawn = made.study(PROBLEM).plot()["own $1"]
    FigureCanvasAgg(drawn).draw()
    return drawn


def panel(figure, title):
    found = [ax for ax in figure.axes if ax.get_title().startswith(title)]
    assert len(found) == 1
    return found[0]


def points(ax):
    """What is drawn with markers, line by line."""
    return [line.get_ydata() for line in ax.lines if line.get_marker() not in ("", "None", None)]


def test_it_names_the_problem_and_why_it_lies_outside(figure):
    assert figure.get_suptitle() == r"own \$1 (outside Assumption 1): particles and finite volumes, $T = 2$"


def test_errors(figure):
    drawn, found = points(panel(figure, "grids")), list(errors(PROBLEM).values())
    assert len(drawn) == len(found)
    for values, expected in zip(drawn, found, strict=True):
        np.testing.assert_array_equal(values, expected)
    labels = [text.get_text() for text in panel(figure, "grids").get_legend().get_texts()]
    assert [float(label.split("$")[-2]) for label in labels] == pytest.approx([2.0, 2.0, 2.0, 2.5, 2.0, 1.0])


def test_particles(figure):
    for values, sample in zip(points(panel(figure, "particles")), particle_errors(PROBLEM).values(), strict=True):
        np.testing.assert_array_equal(values, sample)


def test_energies(figure):
    ax = panel(figure, "energy")
    curves = [line for line in ax.lines if line.get_marker() in ("", "None", None)]
    for line, grid in zip(curves, PROBLEM.cells.values(), strict=True):
        np.testing.assert_array_equal(line.get_ydata(), grid["energy"])
    np.testing.assert_array_equal(points(ax)[0], PROBLEM.reference["energy"][::4])


def test_marginals_have_mass_one(figure):
    for k in range(3):
        ax = panel(figure, f"marginal of coordinate {k + 1}")
        stairs = [patch.get_data() for patch in ax.patches if hasattr(patch, "get_data")]
        assert [len(data.values) for data in stairs] == [12, 32]
        for data in stairs:
            assert np.sum(data.values * np.diff(data.edges)) == pytest.approx(1.0)


def test_in_the_plane_and_saved(tmp_path):
    """Two marginals, energies that fall."""
    truth = {**PROBLEM.reference, "mean": np.zeros(2), "energy": -PROBLEM.reference["energy"], "slope": -PROBLEM.reference["slope"]}
    grids = {n: {**grid, "mean": grid["mean"][:2], "energy": -grid["energy"]} for n, grid in PROBLEM.cells.items()}
    drawn = made.study(type(PROBLEM)("plane", "", {**truth, "covariance": np.eye(3)}, grids, PROBLEM.particles)).plot()["plane"]
    assert sum(ax.get_title().startswith("marginal") for ax in drawn.axes) == 2
    save(drawn, tmp_path / "plane.png")
    assert (tmp_path / "plane.png").read_bytes().startswith(b"\x89PNG")
