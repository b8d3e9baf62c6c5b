"""Movies: every frame on the same axes, with its own time, of particles and of densities; files whole or not at all."""

from __future__ import annotations

import itertools
import os

import numpy as np
import pytest
from PIL import Image
from plotting.runs import Curve, Seen, on_grid, solved

from wflow import plotting
from wflow.mdp import agazzi_lu_bandit, agazzi_lu_grid
from wflow.plotting import movie
from wflow.record import linear


@pytest.fixture
def seen(monkeypatch):
    """The figures that movies are drawn on."""
    figures, make = [], movie.figure
    monkeypatch.setattr(movie, "figure", lambda *size: figures.append(make(*size)) or figures[-1])
    return figures


def drawn(run, path, seen, look, **options):
    """What `look` sees of the figure after each frame."""
    found = []
    plotting.save_movie(run, path, tell=lambda done, of: found.append((done, of, look(seen[-1]))), **options)
    assert [done for done, _, _ in found] == list(range(1, found[0][1] + 1))
    return [what for _, _, what in found]


def frames_of(path):
    """Frames of a GIF as arrays; they last as long as the pictures of which each is one."""
    with Image.open(path) as image:
        pictures, lasting = [], []
        for k in range(image.n_frames):
            image.seek(k)
            lasting.append(image.info["duration"])
            pictures.append(np.asarray(image.convert("RGB")).astype(int))
        return pictures, lasting


def outline(figure):
    """Where the axes are, what they span, and how far colours reach."""
    colours = [c.get_clim() for axes in figure.axes for c in axes.collections if c.get_array() is not None]
    return [(tuple(np.round(a.get_position().bounds, 6)), a.get_xlim(), a.get_ylim(), a.get_xlabel()) for a in figure.axes], colours


RUNS = {
    "line": lambda: on_grid((7,), steps=2), "moving": lambda: on_grid((5,), "moving grid", 2), "plane": lambda: on_grid((3, 4), steps=2),
    "space": lambda: on_grid((3, 2, 2), steps=2), "four axes": lambda: on_grid((2, 2, 2, 2), steps=2),
    "angles": lambda: solved(agazzi_lu_bandit(seed=2, n_actions=9), n=20, record=linear(3)),
    "sphere": lambda: solved(agazzi_lu_grid(seed=2, n_states=3, n_actions=3), n=20, record=linear(3)),
    "bumps": lambda: solved(agazzi_lu_grid(seed=2, n_states=3, n_actions=3), activation="rbf", n=20, record=linear(3)),
}  # fmt: skip


@pytest.mark.parametrize("case", RUNS)
def test_axes_and_colours_are_the_same_in_all_frames(case, tmp_path, seen):
    run = RUNS[case]()
    looks = drawn(run, tmp_path / "a.gif", seen, lambda figure: (*outline(figure), figure.axes[0].get_title("left")), fps=5)
    assert len(looks) == 3
    assert all(look[0] == looks[0][0] for look in looks)
    assert all(look[1] == looks[0][1] for look in looks)
    times = [f"t = {t:.3g}$" for t in (0.0, 0.5, 1.0)]
    assert all(t in look[2] for t, look in zip(times, looks, strict=True))
    pictures, lasting = frames_of(tmp_path / "a.gif")
    assert lasting == [200] * 3
    assert all(np.abs(a - b).max() > 50 for a, b in itertools.pairwise(pictures))  # something moves
    assert os.listdir(tmp_path) == ["a.gif"]


def test_everything_stays_inside(tmp_path, seen):
    """Limits hold all states, not only the last: a density that falls, a cloud that shrinks."""
    run = on_grid((7,), steps=2)
    (top,) = set(drawn(run, tmp_path / "a.gif", seen, lambda figure: figure.axes[0].get_ylim()[1]))
    highest = max(state.density.max() for state in run.states())
    assert highest <= top <= 1.1 * highest
    tops = drawn(on_grid((3, 4), steps=2), tmp_path / "b.gif", seen, lambda figure: figure.axes[0].collections[0].get_clim()[1])
    assert tops[0] == pytest.approx(max(state.density.max() for state in on_grid((3, 4), steps=2).states()), rel=1e-12)
    cloud = solved(agazzi_lu_bandit(seed=2, n_actions=9), n=20, record=linear(3))
    low, high = drawn(cloud, tmp_path / "c.gif", seen, lambda figure: figure.axes[0].get_ylim())[0]
    outputs = np.concatenate([state.points[:, 0] for state in cloud.states()])
    assert low < outputs.min() <= outputs.max() < high


def test_each_frame_shows_its_state(tmp_path, seen):
    run = on_grid((7,), steps=2)
    shown = drawn(run, tmp_path / "a.gif", seen, lambda figure: [patch.get_data()[0].copy() for patch in figure.axes[0].patches])
    for k, (beneath, above) in enumerate(shown):
        np.testing.assert_array_equal(beneath, run.state(0).density)
        np.testing.assert_array_equal(above, run.state(k).density)
    cloud = solved(agazzi_lu_bandit(seed=2, n_actions=9), n=20, record=linear(3))
    dots = drawn(cloud, tmp_path / "b.gif", seen, lambda figure: np.sort(figure.axes[0].collections[-1].get_offsets()[:, 1]))
    for k, heights in enumerate(dots):
        np.testing.assert_array_equal(heights, np.sort(cloud.state(k).points[:, 0]))


def test_of_many_states_some_are_picked_first_and_last_among_them(tmp_path, seen):
    titles = drawn(on_grid((3,), steps=40), tmp_path / "a.gif", seen, lambda figure: figure.axes[0].get_title("left"), frames=3)
    assert titles == [f"density at $t = {t}$" for t in ("0", "0.5", "1")]


def test_a_run_without_states_to_show_says_how_to_keep_them(tmp_path):
    run = Seen(on_grid((3,)), state_times=np.zeros(1))
    with pytest.raises(ValueError, match=r'two states or more, and this run kept 1: record\.states = "all" in'):
        plotting.save_movie(run, tmp_path / "a.gif")
    flat = Curve([0.0, 1.0], energy=[0.0, 1.0])
    flat.state_times, flat.state = np.array([0.0, 1.0]), lambda k: np.zeros(3)
    with pytest.raises(ValueError, match="particles or measures on a grid; this flow's states are neither"):
        plotting.save_movie(flat, tmp_path / "a.gif")
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(("name", "options", "error", "message"), [
    ("a.gif", {"frames": 1}, ValueError, "^frames must be an integer of at least 2; got 1$"),
    ("a.gif", {"fps": 0}, ValueError, "^fps must be an integer of at least 1; got 0$"),
    ("a.gif", {"fps": 51}, ValueError, "^fps must be at most 50.*; got 51$"),
    ("a.gif", {"fps": 1.5}, TypeError, r"^fps must be an integer .*; got 1\.5$"),
    ("a.mp4", {}, ValueError, r"^suffix of the movie's file must be one of \.gif; got '\.mp4'$"),
    ("no/a.gif", {}, FileNotFoundError, "the folder .*no does not exist"),
])  # fmt: skip
def test_refuses(name, options, error, message, tmp_path):
    with pytest.raises(error, match=message):
        plotting.save_movie(on_grid((3,), steps=2), tmp_path / name, **options)
    assert not os.listdir(tmp_path)


def test_an_interruption_leaves_what_was_there(tmp_path):
    (tmp_path / "a.gif").write_bytes(b"before")

    def interrupt(done, of):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        plotting.save_movie(on_grid((3,)), tmp_path / "a.gif", tell=interrupt)
    assert os.listdir(tmp_path) == ["a.gif"]
    assert (tmp_path / "a.gif").read_bytes() == b"before"
