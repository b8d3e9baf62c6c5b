"""The figure of a sweep: medians by setting, every run's end, and nothing dropped in silence."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex
from plotting.runs import Curve, waiting

from wflow import plotting

TIMES = np.array([0.0, 1.0, 10.0, 100.0])


def curve(sweep, seed, status="finished", times=TIMES, factor=1.0, experiment="e", **more):
    """Gaps that fall like 1/t: median (seed = 1), least and greatest are known."""
    values = factor * (1.0 + seed) / (1.0 + np.asarray(times))
    return Curve(times, status, {"experiment": experiment, "seed": seed, "sweep": sweep}, gap=values, energy=-values, **more)


def one_key(**statuses):
    return [curve({"flow.n_particles": n}, seed, factor=1.0 / n) for n in (400, 100, 200) for seed in (0, 1, 2)]


def lines_like(axes, linewidth):
    return [line for line in axes.lines if line.get_linewidth() == linewidth]


def legend_of(figure):
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


def test_medians_over_time_and_ends_over_the_swept_number():
    figure = plotting.plot(one_key())
    curves, ends = figure.axes
    assert legend_of(figure) == ["$N$ = $100$", "$N$ = $200$", "$N$ = $400$"]
    medians = lines_like(curves, 1.3)
    for line, n in zip(medians, (100, 200, 400), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), TIMES[1:])
        np.testing.assert_allclose(line.get_ydata(), 2.0 / n / (1.0 + TIMES[1:]), rtol=1e-12)
    assert len({to_hex(line.get_color()) for line in medians}) == len({str(line._dash_pattern) for line in medians}) == 3
    for band, n in zip(curves.collections, (100, 200, 400), strict=True):
        heights = band.get_paths()[0].vertices[:, 1]
        np.testing.assert_allclose([heights.min(), heights.max()], [1.0 / n / 101.0, 3.0 / n / 2.0], rtol=1e-12)
    dots = [line for line in ends.lines if line.get_marker() == "o"]
    expected = sorted((float(n), (1.0 + seed) / n / 101.0) for n in (100, 200, 400) for seed in (0, 1, 2))
    np.testing.assert_allclose(sorted((line.get_xdata()[0], line.get_ydata()[0]) for line in dots), expected, rtol=1e-12)
    (median,) = [line for line in ends.lines if len(line.get_xdata()) == 3]
    np.testing.assert_allclose(median.get_ydata(), [2.0 / n / 101.0 for n in (100, 200, 400)], rtol=1e-12)
    assert ends.get_xlabel() == "number of particles  $N$"
    assert "at $t = 100$" in ends.get_ylabel()
    assert ends.get_xscale() == "linear"  # 400 is less than a decade from 100
    assert ends.get_yscale() == "log"
    assert (curves.get_xscale(), curves.get_yscale()) == ("log", "log")


def test_limits_hold_every_end():
    ends = plotting.plot(one_key()).axes[1]
    (left, right), (low, high) = ends.get_xlim(), ends.get_ylim()
    assert all(left <= line.get_xdata()[0] <= right and low <= line.get_ydata()[0] <= high for line in ends.lines)


def test_values_over_more_than_a_decade_have_a_log_axis():
    runs = [curve({"solver.rtol": 10.0**-k}, seed) for k in (2, 3, 4) for seed in (0, 1)]
    assert plotting.plot(runs).axes[1].get_xscale() == "log"


def test_runs_that_did_not_end_as_meant_are_no_part_of_a_median_but_marked_and_counted():
    runs = one_key()
    runs[0] = curve({"flow.n_particles": 400}, 0, "failed", TIMES[:3], 50.0)
    runs[4] = curve({"flow.n_particles": 100}, 1, "running", TIMES[:3], 70.0)
    figure = plotting.plot([*runs, waiting()])
    curves, ends = figure.axes
    assert figure.get_supxlabel() == "median and range over seeds; 10 runs: 7 finished, 1 failed (×), 1 running (▸), 1 waiting"
    for axes in (curves, ends):
        marked = {line.get_marker(): line for line in axes.lines if line.get_marker() in ("x", ">")}
        assert set(marked) == {"x", ">"}
        for marker, (run, n) in {"x": (runs[0], 400), ">": (runs[4], 100)}.items():
            end = [marked[marker].get_xdata()[-1], marked[marker].get_ydata()[-1]]
            np.testing.assert_array_equal(end, [run.times[-1] if axes is curves else n, run.diagnostics["gap"][-1]])
    medians = lines_like(curves, 1.3)
    np.testing.assert_allclose(medians[2].get_ydata(), 2.5 / 400 / (1.0 + TIMES[1:]), rtol=1e-12)  # of seeds 1 and 2 alone
    np.testing.assert_allclose(medians[0].get_ydata(), 2.0 / 100 / (1.0 + TIMES[1:]), rtol=1e-12)  # of seeds 0 and 2 alone
    (line,) = [line for line in ends.lines if len(line.get_xdata()) == 3]
    np.testing.assert_allclose(line.get_ydata(), [2.0 / 100 / 101.0, 2.0 / 200 / 101.0, 2.5 / 400 / 101.0], rtol=1e-12)


def test_beyond_the_last_common_time_every_seed_is_a_line_of_its_own():
    short, long = curve({"a": 1}, 0, times=TIMES[:3]), curve({"a": 1}, 1)
    figure = plotting.plot([short, long, curve({"a": 2}, 0)])
    curves, ends = figure.axes
    assert lines_like(curves, 1.3)[0].get_xdata()[-1] == 10.0
    (alone,) = lines_like(curves, 0.6)
    np.testing.assert_array_equal(alone.get_xdata(), TIMES[2:])
    np.testing.assert_array_equal(alone.get_ydata(), long.diagnostics["gap"][2:])
    assert "at the end" in ends.get_ylabel()


def test_a_setting_all_of_whose_runs_failed_is_still_there():
    runs = [curve({"a": 1}, 0), *(curve({"a": 2}, seed, "not finite", TIMES[:2]) for seed in (0, 1))]
    figure = plotting.plot(runs)
    assert legend_of(figure) == ["a = $1$", "a = $2$"]
    assert figure.get_supxlabel().endswith("3 runs: 2 not finite (×), 1 finished")
    assert sum(line.get_marker() == "x" for line in figure.axes[1].lines) == 2


def test_a_run_whose_last_number_is_none_ends_at_the_last_one_that_is():
    lost = curve({"a": 2}, 0, "not finite")
    lost.diagnostics["gap"][-1] = np.nan
    ends = plotting.plot([curve({"a": 1}, 0), lost]).axes[1]
    (mark,) = [line for line in ends.lines if line.get_marker() == "x"]
    assert mark.get_ydata()[0] == lost.diagnostics["gap"][-2]


def test_words_make_a_list():
    runs = [curve({"flow.activation": word}, seed) for word in ("tanh", "relu") for seed in (0, 1, 2)]
    ends = plotting.plot(runs).axes[1]
    assert [text.get_text() for text in ends.get_yticklabels()] == ["tanh", "relu"]
    assert ends.get_ylabel() == "activation"
    assert "E^\\ast" in ends.get_xlabel()
    (medians,) = [line for line in ends.lines if line.get_marker() == "|"]
    np.testing.assert_allclose(medians.get_xdata(), [2.0 / 101.0] * 2, rtol=1e-12)


def test_of_two_keys_colour_and_marker_tell_the_one_without_axis():
    runs = [curve({"flow.activation": a, "flow.n": n}, seed) for a in ("relu", "tanh") for n in (10, 20, 40) for seed in (0, 1)]
    figure = plotting.plot(runs)
    curves, ends = figure.axes
    assert set(legend_of(figure)) - {""} == {"activation = relu", "activation = tanh", "n = $10$", "n = $20$", "n = $40$"}
    assert ends.get_xlabel() == "n"
    medians = [line for line in curves.lines if line.get_markevery() is not None]
    looks = {(to_hex(line.get_color()), line.get_marker(), str(line._dash_pattern)) for line in medians}
    assert len(medians) == len(looks) == 6
    assert len({colour for colour, *_ in looks}) == len({marker for _, marker, _ in looks}) == 2
    assert len({dashes for *_, dashes in looks}) == 3
    over = [line for line in ends.lines if len(line.get_xdata()) == 3]
    assert {(to_hex(line.get_color()), line.get_marker()) for line in over} == {look[:2] for look in looks}


def test_of_more_keys_each_setting_has_a_row_with_its_line():
    settings = [{"a": a, "b": b, "c": c} for a in (1, 2) for b in "xy" for c in (1, 2)]
    figure = plotting.plot([curve(setting, 0) for setting in settings])
    curves, ends = figure.axes
    assert not figure.legends
    names = [text.get_text() for text in ends.get_yticklabels()]
    assert names == [f"a = ${s['a']}$, b = {s['b']}, c = ${s['c']}$" for s in settings]
    samples = [line for line in ends.lines if len(line.get_xdata()) == 2]
    for sample, line in zip(samples, lines_like(curves, 1.3), strict=True):
        assert (to_hex(sample.get_color()), str(sample._dash_pattern)) == (to_hex(line.get_color()), str(line._dash_pattern))
    assert len(plotting.plot([curve(setting, 0) for setting in settings], "gap").legends) == 1


def test_every_experiment_has_a_row():
    runs = [curve({"a": a}, seed, experiment=name) for name in ("bandit", "grid") for a in (1, 2) for seed in (0, 1)]
    figure = plotting.plot(runs)
    assert len(figure.axes) == 4
    assert [axes.get_title("left") for axes in figure.axes[::2]] == ["(a)  bandit", "(b)  grid"]


def test_without_gaps_the_energy_takes_their_place():
    runs = [curve({"a": a}, 0) for a in (1, 2)]
    del runs[0].diagnostics["gap"]
    curves, ends = plotting.plot(runs).axes
    assert "energy" in curves.get_ylabel()
    assert "energy" in ends.get_ylabel()
    np.testing.assert_array_equal(lines_like(curves, 1.3)[1].get_ydata(), runs[1].diagnostics["energy"][1:])


@pytest.mark.parametrize("what", ["dissipation", "drift"])
def test_other_diagnostics_by_setting(what):
    name = {"dissipation": "dissipation", "drift": "invariant_drift"}[what]
    runs = [curve({"a": a}, seed, **{name: a * (1.0 + TIMES)}) for a in (1, 2) for seed in (0, 1)] + [curve({"a": 3}, 0)]
    figure = plotting.plot(runs, what)
    (curves,) = figure.axes
    np.testing.assert_allclose(lines_like(curves, 1.3)[1].get_ydata(), 2.0 * (1.0 + TIMES[1:]), rtol=1e-12)
    assert "1 of 5 runs record no" in figure.get_supxlabel()


def test_many_settings_and_a_single_frame_can_be_drawn(tmp_path):
    runs = [curve({"a": a}, 0) for a in range(1, 41)] + [curve({"a": 41}, 0, times=[0.0])]
    plotting.save(plotting.plot(runs), tmp_path / "a.png")
    pairs = [curve({"a": a, "b": f"w{b}"}, 0) for a in range(9) for b in range(9)]
    plotting.save(plotting.plot(pairs), tmp_path / "b.png")


def test_one_run_of_a_sweep_has_the_figure_of_a_run():
    figure = plotting.plot(one_key()[:1])
    assert [axes.get_label() for axes in figure.axes] == ["gap"]
