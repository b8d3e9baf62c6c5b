"""Results in a file and back, their table, and their figures."""

from __future__ import annotations

import json
import warnings
from dataclasses import fields

import h5py
import numpy as np
import pytest
from matplotlib.text import Text
from studies.chaos import made

from wflow.studies import is_study
from wflow.studies.chaos import Curve, open_study

STUDIES = {
    "plain": lambda: made.study(made.problem()),
    "all of it": lambda: made.study(made.problem("linear", "linear", exact=True)),
    "no W2": lambda: made.study(made.problem(w2=0)),
    "no bias": lambda: made.study(made.problem(halves=())),
    "bias of one size": lambda: made.study(made.problem("linear", exact=True, halves=(16,))),
    "two of a group": lambda: made.study(
        made.problem("g tanh", "g"), made.problem("g re_lu", "g", "outside it", seed=1), made.problem("x", w2=0)
    ),
}  # fmt: skip


@pytest.fixture(params=STUDIES)
def study(request):
    return STUDIES[request.param]()


def assert_equal(mine, theirs):
    """To the bit, NaN and all."""
    assert list(mine.problems) == list(theirs.problems)
    for name, problem in mine.problems.items():
        other = theirs.problems[name]
        for field in ("name", "group", "outside", "reference", "w2_size"):
            assert getattr(problem, field) == getattr(other, field)
            assert type(getattr(problem, field)) is type(getattr(other, field))
        for field in ("times", "cloud_times", "variances"):
            np.testing.assert_array_equal(getattr(problem, field), getattr(other, field))
        for field in ("own", "exact"):
            assert set(getattr(problem, field)) == set(getattr(other, field))
            for key, values in getattr(problem, field).items():
                np.testing.assert_array_equal(getattr(other, field)[key], values)
        assert {kind: list(sizes) for kind, sizes in problem.curves.items()} == {kind: list(s) for kind, s in other.curves.items()}
        for kind, sizes in problem.curves.items():
            for n, curve in sizes.items():
                for field in fields(Curve):
                    np.testing.assert_array_equal(getattr(other.curves[kind][n], field.name), getattr(curve, field.name))


@pytest.fixture
def saved(tmp_path):
    """A study in a file, described as a run would: the names of its problems in their order."""

    def save(study, name="study.h5", **options):
        study = made.study(*study.problems.values(), problems=[{"name": name} for name in study.problems])
        study.save(tmp_path / name, **options)
        return study, tmp_path / name

    return save


def test_file(study, saved, tmp_path):
    study, path = saved(study)
    again = open_study(path)
    assert_equal(study, again)
    assert again.about == study.about
    assert again.table() == study.table()
    assert is_study(path)
    assert [file.name for file in tmp_path.iterdir()] == ["study.h5"]


def test_file_explains_itself(saved):
    study, path = saved(made.study(made.problem("linear", exact=True)))
    with h5py.File(path) as file:
        assert all(field.name in file.attrs["layout"] for field in fields(Curve))
        assert json.loads(file.attrs["about"])["seed"] == 0
        assert file["linear/curves/iid/16/coupling"].shape == (40, 7)
        assert [verdict.decode() for verdict in file["table/verdict"][()]] == [row.verdict for row in study.rows]


def test_files_are_not_replaced(saved):
    study, path = saved(made.study(made.problem()))
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match=r"study.h5 exists; force"):
        study.save(path)
    assert path.read_bytes() == before
    other, _ = saved(made.study(made.problem(seed=1)), force=True)
    assert_equal(open_study(path), other)


def test_a_folder_that_is_missing_is_made(saved, tmp_path):
    study, _ = saved(made.study(made.problem()))
    study.save(tmp_path / "a" / "b" / "study.h5")
    assert is_study(tmp_path / "a" / "b" / "study.h5")


def test_other_files(tmp_path, saved):
    text, empty, other = tmp_path / "notes.txt", tmp_path / "empty", tmp_path / "other.h5"
    text.write_text("notes")
    empty.touch()
    with h5py.File(other, "w") as file:
        file["x"] = 1.0
    for path in (text, empty, other, tmp_path, tmp_path / "missing"):
        assert not is_study(path)
    with pytest.raises(ValueError, match=r"other\.h5"):
        open_study(other)
    for path in (text, tmp_path / "missing"):
        with pytest.raises((OSError, ValueError)):
            open_study(path)
    _, path = saved(made.study(made.problem()))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 3])
    assert not is_study(path)


def test_table(study):
    table = study.table()
    assert len(study.rows) > 8
    for row in study.rows:
        assert row.verdict in ("holds", "fails", "undecided")
        assert sum(row.claim in line for line in table.splitlines()) >= 1
    lines = [line for line in table.splitlines() if any(row.claim in line for row in study.rows)]
    assert all(any(verdict in line for verdict in ("holds", "fails", "undecided")) for line in lines)
    for problem in study.problems:
        assert problem.upper() in table
    assert ("OUTSIDE IT" in table) == any(problem.outside for problem in study.problems.values())


def drawn_text(figure):
    """All words on it."""
    return " ".join(artist.get_text() for artist in figure.findobj(Text))


def test_figures(study):
    """One for each group, drawn without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figures = study.plot()
        for figure in figures.values():
            figure.canvas.draw()
    assert list(figures) == list(dict.fromkeys(problem.group or problem.name for problem in study.problems.values()))
    for name, figure in figures.items():
        problems = [problem for problem in study.problems.values() if (problem.group or problem.name) == name]
        axes = figure.axes
        assert len(axes) == 6
        assert all(ax.get_xscale() == ax.get_yscale() == "log" for ax in axes)
        assert all(ax.get_title() and ax.get_ylabel() and ax.get_xlabel() for ax in axes)
        words = drawn_text(figure)
        assert words.count("slope") >= 2
        assert ("exact" in words) == any(problem.exact for problem in problems)
        assert ("baseline" in words) == any(problem.w2_size > 0 for problem in problems)
        assert ("outside" in words) == any(problem.outside for problem in problems)
        assert ("|bias|" in words) == any(np.isfinite(c.bias).all() for p in problems for c in list(p.curves["iid"].values())[1:])
        assert sum("i.i.d." in label for label in axes[0].get_legend_handles_labels()[1]) == len(problems)


def test_panels_show_the_errors():
    """The points of the first panels are the statistics of the samples; those of W2 are every W2."""
    study = made.study(made.problem(exact=True))
    problem = study.problems["own"]
    axes = study.plot()["own"].axes

    def line(ax, part):
        return next(line for line in ax.get_lines() if part in str(line.get_label()))

    curve = problem.curves["iid"]
    points = line(axes[1], "i.i.d.")
    np.testing.assert_array_equal(points.get_xdata(), list(curve))
    np.testing.assert_allclose(points.get_ydata(), 2.0 / np.array(list(curve)), rtol=0.1)  # with its control variate
    exact = line(axes[0], "exact")
    np.testing.assert_allclose(exact.get_ydata(), np.sqrt(2.0 / np.array(list(curve))), rtol=1e-12)
    energy = line(axes[2], "sd")
    np.testing.assert_allclose(energy.get_ydata(), [c.energy[:, -1].std(ddof=1) for c in curve.values()], rtol=1e-12)
    heights = np.concatenate([container[0].get_ydata() for container in axes[3].containers])
    everything = np.concatenate([c.w2[:4, -1, [0, 3]].ravel() for c in curve.values()])
    np.testing.assert_allclose(np.sort(heights.astype(float)), np.sort(everything), rtol=1e-12)
    against = axes[5].get_lines()
    np.testing.assert_array_equal(against[0].get_xdata(), problem.times)
    np.testing.assert_allclose(against[0].get_ydata(), np.sqrt((curve[64].coupling ** 2).mean(axis=0)), rtol=1e-12)
    assert sorted(int(tick) for tick in axes[0].xaxis.get_major_locator()()) == [16, 32, 64]


def test_figures_are_written(tmp_path):
    figure = made.study(made.problem()).plot()["own"]
    for kind in ("png", "pdf"):
        figure.savefig(tmp_path / f"figure.{kind}")
        assert (tmp_path / f"figure.{kind}").stat().st_size > 10_000


def test_names_are_told_as_they_are():
    """Characters that mean something to TeX do no harm."""
    for name in ("a_b^c", "50 % $x$ \\alpha", "{open"):
        figure = made.study(made.problem(name)).plot()[name]
        figure.canvas.draw()


def test_more_problems_than_colours():
    figure = made.study(*(made.problem(f"p{k}", "many", seed=k, w2=0) for k in range(12))).plot()["many"]
    figure.canvas.draw()
    assert sum("i.i.d." in label for label in figure.axes[0].get_legend_handles_labels()[1]) == 12
