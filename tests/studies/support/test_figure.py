"""The figures hold the data of the study, of each kind of Θ, and nothing lies over anything else."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PathCollection, PolyCollection
from matplotlib.patches import Circle
from matplotlib.text import Text

from wflow.meshes import box, circle, sphere
from wflow.plotting import style
from wflow.studies.support import ProblemSupport, Support, _axes, _maps
from wflow.studies.support.figure import draw

TIMES = np.concatenate([[0.0], 10.0 * np.geomspace(1e-4, 1.0, 17)])
LONG = np.concatenate([[0.0], 10.0 * np.geomspace(1e-4, 100.0, 25)])
KINDS = ("circle", "box", "sphere")


def mesh_of(kind, segments, cells, level):
    if kind == "box":
        return box([-2.0, -1.0], [2.0, 3.0], cells)
    return circle(segments) if kind == "circle" else sphere(level)


def surface(kind, rng):
    """A small motion of the mesh that grows in time."""
    mesh = mesh_of(kind, 40, 6, 1)
    count = len(TIMES)
    grow = np.linspace(0.0, 1.0, count)[:, None]
    inner = mesh.points + 0.02 * grow[:, :, None] * rng.standard_normal(mesh.points.shape)
    images = np.concatenate([(grow * np.sin(3.0 * mesh.points[:, 0]))[:, :, None], inner], axis=2)
    falling = np.linspace(0.9999, 0.7, count)
    return {"times": TIMES, "points": mesh.points, "simplices": mesh.simplices.astype(float), "images": images, "degree": np.ones(count),
            "distance": falling + 0.01, "error": 0.01 * np.ones(count), "slack": falling, "folds": np.zeros(count),
            "stretch": 1.0 + grow[:, 0], "tear": np.zeros(count)}  # fmt: skip


def flow(kind, rng, controls):
    theta = mesh_of(kind, 64, 12, 2).points
    count, m = len(LONG), theta.shape[1] + 1
    clouds = rng.standard_normal((count, 50, m))
    clouds[:, :, 1:] = clouds[0, :, 1:] + 0.3 * np.linspace(0.0, 1.0, count)[:, None, None] * rng.standard_normal((50, m - 1))
    clouds[0, :, 0] = 0.0
    gap = 1e-2 / (1.0 + 50.0 * LONG)
    found = {"times": LONG, "clouds": clouds, "theta": theta, "g": rng.standard_normal((count, len(theta))) / (1.0 + LONG[:, None]),
             "covering": np.linspace(0.1, 0.2, count), "covering_quarter": np.linspace(0.2, 0.4, count),
             "positive/gap": gap, "positive/gap_lower": 0.5 * gap, "positive/gap_upper": 2.0 * gap}  # fmt: skip
    for k, (name, bound) in enumerate(controls.items()):
        found |= {f"{name}/gap": 1e-2 + 1e-2 * (k + 1) / (1.0 + LONG), f"{name}/bound": np.array(bound)}
    return found


def escape(rng, rate=0.2, particles=7):
    eta = 0.1
    times = np.linspace(0.0, 5.0 / eta, 21)
    window = (np.arange(21) < 12).astype(float)
    return {"times": times, "near": np.ones(21), "window": window, "mass": 0.3 * np.ones(21), "mass_plus": np.linspace(0.0, 0.3, 21),
            "omega": -0.5 + rate * times[:, None] * (1.0 + rng.random(particles)), "eta": np.array(eta), "long_times": LONG,
            "long_gap": 1e-2 / (1.0 + LONG)}  # fmt: skip


def problem(kind, *, outside="", controls=None, tears=None, volumes=False, seed=0, **escaping):
    rng = np.random.default_rng(seed)
    controls = {"all dead": 5e-3, "single point": 0.0, "sign-locked": 9e-3} if controls is None else controls
    parts = {"flow": flow(kind, rng, controls), "surface": surface(kind, rng), "escape": escape(rng, **escaping)}
    if volumes:
        volume = -TIMES[:, None] * rng.random((len(TIMES), 9))
        parts["surface"] |= {"log_volume": volume, "log_determinant": volume + 1e-9 * TIMES[:, None] * rng.standard_normal(9),
                             "condition": 1.0 + TIMES}  # fmt: skip
    return ProblemSupport(kind, outside, parts, tears or {})


def drawn(one):
    return draw(Support({one.name: one}, {}))[one.name]


def panel(figure, words):
    return next(axes for axes in figure.axes if words in axes.get_title("left"))


def labelled(axes, words):
    return next(line for line in axes.get_lines() if words in str(line.get_label()))


TEARS = {n: TIMES / (100.0 * n) for n in (50, 100, 200)}
MADE = {
    "circle": lambda: problem("circle", outside="outside Assumption 1", tears=TEARS),
    "box": lambda: problem("box", volumes=True, controls={"single point": 5e-4}),
    "sphere": lambda: problem("sphere", outside="outside Assumption 1"),
    "circle, one's own": lambda: problem("circle", controls={"single point": 0.0}, particles=0),
    "box, one's own": lambda: problem("box", controls={"single point": 0.0}, rate=3.0),
}


@cache
def finished(name):
    """The figure with its layout made, and its renderer; it is not changed."""
    figure = drawn(MADE[name]())
    canvas = FigureCanvasAgg(figure)
    with style.styled():
        canvas.draw()
    return figure, canvas.get_renderer()


@pytest.mark.parametrize("name", KINDS)
def test_written(tmp_path, name):
    """As PNG and PDF, without a warning."""
    figure = drawn(MADE[name]())
    for suffix in (".png", ".pdf"):
        style.save(figure, tmp_path / f"a{suffix}")
        assert 20_000 < (tmp_path / f"a{suffix}").stat().st_size < 1_000_000


@pytest.mark.parametrize("name", MADE)
def test_nothing_lies_on_anything_else(name):
    """All words are on the page; no legend or title on an axes, a label, or another of them."""
    figure, renderer = finished(name)

    def extents(artists):
        return [artist.get_window_extent(renderer) for artist in artists]

    axes = figure.axes
    on_axes = [ax for ax in axes if ax.axison]
    ticks = {label for ax in axes for axis in (ax.xaxis, ax.yaxis) for label in axis.get_ticklabels(which="both")}
    words = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip() and text not in ticks]
    for text, extent in zip(words, extents(words), strict=True):
        assert figure.bbox.padded(1.0).count_contains([extent.min, extent.max]) == 2, text
    legends = extents(ax.get_legend() for ax in axes if ax.get_legend())
    titles = extents(ax._left_title for ax in axes if ax.get_title("left"))
    labels = extents(axis.label for ax in on_axes for axis in (ax.xaxis, ax.yaxis) if axis.label.get_text())
    assert len(legends) >= 4
    for k, place in enumerate(legends + titles):
        others = (legends + titles)[k + 1 :] + labels + (extents(axes) if k < len(legends) else [])
        assert not any(place.overlaps(other) for other in others), (k, place)


@pytest.mark.parametrize("name", MADE)
def test_ticks_can_be_read(name):
    figure, renderer = finished(name)
    for ax in (ax for ax in figure.axes if ax.axison):
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = [tick for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()) if low <= tick.get_loc() <= high]
            labels = [tick.label1 for tick in ticks if tick.label1.get_visible() and tick.label1.get_text()]
            extents = [label.get_window_extent(renderer) for label in labels]
            assert not any(a.overlaps(b) for k, a in enumerate(extents) for b in extents[k + 1 :]), (ax.get_title("left"), labels)


def data_of(axes):
    """All that is drawn in data coordinates: lines, dots and line collections, (K, 2) each; not lines across the whole axes."""
    lines = [line.get_xydata() for line in axes.get_lines() if line.get_transform() == axes.transData and len(line.get_xydata())]
    dots = [c.get_offsets() for c in axes.collections if isinstance(c, PathCollection) and len(c.get_offsets())]
    paths = [np.concatenate(c.get_segments()) for c in axes.collections if isinstance(c, LineCollection) and len(c.get_segments())]
    return lines + dots + paths


@pytest.mark.parametrize("name", MADE)
def test_all_data_are_inside_the_axes(name):
    for axes in finished(name)[0].axes:
        (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
        for points in data_of(axes):
            x, y = points[np.isfinite(points).all(axis=1)].T
            assert ((x >= left - 1e-9 * abs(left)) & (x <= right + 1e-9 * abs(right))).all(), axes.get_title("left")
            assert ((y >= low - 1e-9 * abs(low)) & (y <= high + 1e-9 * abs(high))).all(), axes.get_title("left")
        for line in axes.get_lines():  # bounds and marks
            if line.get_transform() == axes.get_yaxis_transform():
                assert low <= line.get_ydata()[0] <= high


@pytest.mark.parametrize("kind", KINDS)
def test_gaps(kind):
    """The arrays without t = 0; the certificate's band; a dashed line for each bound above 0, and no other."""
    one = problem(kind)
    axes = panel(drawn(one), "gaps")
    assert axes.get_xscale() == axes.get_yscale() == "log"
    part = one.parts["flow"]
    for name in ("positive", "all dead", "single point", "sign-locked"):
        line = labelled(axes, "separating" if name == "positive" else name)
        np.testing.assert_array_equal(line.get_xdata(), LONG[1:])
        np.testing.assert_array_equal(line.get_ydata(), part[f"{name}/gap"][1:])
    np.testing.assert_array_equal(labelled(axes, "escape").get_ydata(), one.parts["escape"]["long_gap"][1:])
    band = axes.collections[0].get_paths()[0].vertices
    assert {*part["positive/gap_lower"][1:], *part["positive/gap_upper"][1:]} <= set(band[:, 1])
    flat = {float(line.get_ydata()[0]): line.get_color() for line in axes.get_lines() if len(line.get_ydata()) == 2}
    assert sorted(flat) == [5e-3, 9e-3]
    assert r"\geq" in labelled(axes, "all dead").get_label()
    assert r"\geq" not in labelled(axes, "single point").get_label()


def test_only_controls_that_exist():
    axes = panel(drawn(problem("box", controls={"single point": 0.0})), "gaps")
    assert [line.get_label() for line in axes.get_lines()] == ["separating start", "single point", "escape"]


def test_escape():
    """Paths while near the fixed point, the line and the time that they are held against, the mass of G+."""
    one = problem("circle", rate=0.1)
    figure = drawn(one)
    axes, part = panel(figure, "escape"), one.parts["escape"]
    paths = np.stack(axes.collections[0].get_segments())
    np.testing.assert_allclose(paths[..., 1].T, part["omega"][:12])
    np.testing.assert_allclose(paths[0, :, 0], part["times"][:12])
    line = labelled(axes, r"\eta")
    np.testing.assert_allclose(line.get_ydata(), 0.05 * line.get_xdata() - 0.5)
    np.testing.assert_allclose(labelled(axes, "entry").get_xdata(), [10.0, 10.0])
    mass = figure.axes[figure.axes.index(axes) + 1]
    np.testing.assert_array_equal(mass.get_lines()[0].get_ydata(), part["mass_plus"][:12])
    assert axes.get_yscale() == "linear"
    assert panel(drawn(problem("circle", rate=30.0)), "escape").get_yscale() == "asinh"  # on a linear axis the line would lie on 0


def test_tears():
    """Widths at three times; a guide that falls like 1/n; where none was found it says so."""
    axes = panel(drawn(problem("circle", tears=TEARS)), "tears")
    curves = [line for line in axes.get_lines() if "t =" in str(line.get_label())]
    np.testing.assert_allclose([line.get_ydata() for line in curves], [[t / (100.0 * n) for n in TEARS] for t in TIMES[[9, 13, 17]]])
    x, y = labelled(axes, "slope").get_data()
    np.testing.assert_allclose(np.diff(np.log(y)) / np.diff(np.log(x)), -1.0)
    some = panel(drawn(problem("circle", tears={**TEARS, 400: np.zeros(len(TIMES))})), "tears")
    assert [text.get_position()[0] for text in some.texts if text.get_text() == "none"] == [400.0]
    none = panel(drawn(problem("circle", tears={50: np.zeros(len(TIMES)), 100: np.zeros(len(TIMES))})), "tears")
    assert "nothing tears" in [text.get_text() for text in none.texts]


def test_volumes_and_certificate():
    one = problem("box", volumes=True)
    axes, part = panel(drawn(one), "det"), one.parts["surface"]
    defect = np.abs(part["log_determinant"] - part["log_volume"])[1:]
    np.testing.assert_array_equal(labelled(axes, "largest").get_ydata(), defect.max(axis=1))
    np.testing.assert_array_equal(labelled(axes, "median").get_ydata(), np.median(defect, axis=1))
    axes = panel(drawn(problem("box")), "certificate")
    np.testing.assert_array_equal(labelled(axes, "slack").get_ydata(), part["slack"][1:])
    np.testing.assert_array_equal(labelled(axes, "stretch").get_ydata(), part["stretch"][1:])
    assert not [line for line in axes.get_lines() if "tear" in str(line.get_label())]  # there is none


def test_angles_of_the_cloud():
    """Every step of every particle but those across ±π, in the colour of its sign."""
    one = problem("circle")
    axes = panel(drawn(one), "projected support")
    clouds = one.parts["flow"]["clouds"]
    wanted = set()
    for now, then in pairwise(clouds):
        for (_, x, y), (sign, u, v) in zip(now, then, strict=True):
            begin, end = np.arctan2(y, x), np.arctan2(v, u)
            if abs(begin - end) < np.pi:
                wanted.add((float(begin), float(end), bool(sign > 0.0)))
    positive, _, negative = axes.collections
    found = {(float(p[0, 1]), float(p[1, 1]), c is positive) for c in (positive, negative) for p in c.get_segments()}
    assert found == wanted


def turned(one, images):
    """The same problem, its surface carried to `images` (V, 2) at the end."""
    part = dict(one.parts["surface"])
    part["images"] = part["images"].copy()
    part["images"][-1, :, 1:] = images
    return replace(one, parts={**one.parts, "surface": part})


@pytest.mark.parametrize("degree", [1, 2, 0, -1])
def test_lifted_map_rises_by_the_degree(degree):
    """Followed from edge to edge, on a mesh whose vertices stand in any order."""
    one = problem("circle")
    angle = np.arctan2(*one.parts["surface"]["points"].T[::-1])
    bent = degree * angle + 0.3 * np.sin(angle)
    axes = panel(drawn(turned(one, 2.0 * np.stack([np.cos(bent), np.sin(bent)], axis=1))), "lifted")
    last = np.concatenate([collection.get_segments() for collection in axes.collections[-2:] if len(collection.get_segments())])
    assert len(last) == 40
    last = last[np.argsort(last[:, 0, 0])]
    np.testing.assert_allclose(last[1:, 0], last[:-1, 1], atol=1e-9)  # one curve
    assert np.diff(last[..., 1], axis=1).sum() == pytest.approx(2.0 * np.pi * degree, abs=1e-9)
    assert np.diff(last[..., 0], axis=1).sum() == pytest.approx(2.0 * np.pi, abs=1e-9)


def test_torn_edges_are_dotted():
    one = problem("circle")
    images = one.parts["surface"]["points"].copy()
    images[7] *= 3.0  # both its edges become ten times as long
    axes = panel(drawn(turned(one, images)), "image")
    whole, torn = axes.collections[-2:]
    assert (len(whole.get_segments()), len(torn.get_segments())) == (38, 2)
    assert whole.get_linestyle() != torn.get_linestyle()
    assert [3.0 * x for x in one.parts["surface"]["points"][7]] in np.concatenate(torn.get_segments()).tolist()


def test_g_on_the_circle():
    one = problem("circle")
    part = one.parts["flow"]
    for words, k in (("$t = 0$", 0), ("$t = 1000$", -1)):
        axes = panel(drawn(one), f"cloud, {words}")
        curve = next(line for line in axes.get_lines() if len(line.get_xdata()) == 64)
        found = dict(zip(curve.get_xdata(), curve.get_ydata(), strict=True))
        assert found == {float(np.arctan2(y, x)): g for (x, y), g in zip(part["theta"], part["g"][k], strict=True)}
        dots = np.concatenate([collection.get_offsets() for collection in axes.collections])
        np.testing.assert_allclose(np.sort(dots[:, 0]), np.sort(np.arctan2(part["clouds"][k, :, 2], part["clouds"][k, :, 1])))


def test_box():
    """The cloud as it is, the images of all triangles, the ball about the centre, contours symmetric about 0."""
    one = problem("box")
    figure = drawn(one)
    cloud = one.parts["flow"]["clouds"][-1]
    dots = [c for c in panel(figure, "$t = 1000$:").collections if isinstance(c, PathCollection)]
    for sign, collection in zip((1.0, 0.0, -1.0), dots, strict=True):
        np.testing.assert_array_equal(collection.get_offsets(), cloud[np.sign(cloud[:, 0]) == sign, 1:])
    axes, part = panel(figure, "image"), one.parts["surface"]
    (mesh,) = (c for c in axes.collections if isinstance(c, PolyCollection))
    corners = part["images"][-1][part["simplices"].astype(int)]
    np.testing.assert_allclose([path.vertices[:3] for path in mesh.get_paths()], corners[..., 1:])
    np.testing.assert_allclose(mesh.get_array(), corners[..., 0].mean(axis=1))
    (ball,) = (patch for patch in axes.patches if isinstance(patch, Circle))
    assert (tuple(ball.center), ball.radius) == ((0.0, 1.0), pytest.approx(0.7))
    filled = panel(figure, "cloud, $t = 0$").collections[0]
    np.testing.assert_allclose(filled.levels, -filled.levels[::-1], atol=1e-12)
    assert filled.levels[-1] == np.abs(one.parts["flow"]["g"][0]).max()


def test_discs_are_equal_area():
    """Cells of a grid in longitude and height, which have one area on the sphere, have it on paper; the discs join at the equator."""
    for side in (1.0, -1.0):
        patch = _maps._Patch(side)
        centre = patch.place(np.array([[0.0, 0.0, side]]))[0]
        longitude, height = np.meshgrid(np.linspace(0.0, 2.0 * np.pi, 201), side * np.linspace(0.0, 0.999, 101), indexing="ij")
        ring = np.sqrt(1.0 - height**2)
        flat = patch.place(2.5 * np.stack([ring * np.cos(longitude), ring * np.sin(longitude), height], axis=-1)) - centre
        a, b, c, d = flat[:-1, :-1], flat[1:, :-1], flat[1:, 1:], flat[:-1, 1:]
        u, v = c - a, d - b
        area = 0.5 * np.abs(u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0])
        np.testing.assert_allclose(area, area[0, 0], rtol=1e-9)
        np.testing.assert_allclose(flat[:, 0], np.stack([np.cos(longitude[:, 0]), np.sin(longitude[:, 0])], axis=-1), atol=1e-12)


def test_sphere():
    """Every particle on the disc of its hemisphere, once; every triangle on one disc at least."""
    one = problem("sphere")
    figure = drawn(one)
    cloud = one.parts["flow"]["clouds"][-1]
    dots = [c.get_offsets() for c in panel(figure, "covering radius 0.2").collections if isinstance(c, PathCollection)]
    signs = [np.sign(cloud[:, 0]) == sign for sign in (1.0, 0.0, -1.0)]
    wanted = [int((sign & above).sum()) for sign in signs for above in (cloud[:, 3] > 0.0, cloud[:, 3] < 0.0)]
    assert [len(offsets) for offsets in dots] == wanted
    assert all((np.linalg.norm(offsets - [side * 1.06, 0.0], axis=1) <= 1.0).all() for offsets, side in zip(dots, [-1, 1] * 3, strict=True))
    meshes = [c for c in panel(figure, "image").collections if isinstance(c, PolyCollection)]
    assert len(meshes) == 2
    assert sum(len(mesh.get_paths()) for mesh in meshes) >= len(one.parts["surface"]["simplices"])
    assert all(mesh.get_clip_path() is not None for mesh in meshes)


@given(st.floats(-1e3, 1e3).filter(lambda x: abs(x) > 1e-6))
def test_slack_is_rounded_down(slack):
    """To three figures, and never up."""
    part = {"times": np.ones(3), "degree": np.ones(3), "slack": np.array([slack + 1.0, slack, slack])}
    words = _axes.degree_of(SimpleNamespace(parts={"surface": part}))
    told = float(words.split("geq ")[1].rstrip("$").replace(r" \times 10^{", "e").replace("10^{", "1e").rstrip("}"))
    assert told <= slack * (1.0 + 1e-12 * np.sign(slack))
    assert told == pytest.approx(slack, rel=0.0101)


@pytest.mark.parametrize(
    ("degrees", "words"), [([1, 1, 1], "degree 1 at all 3"), ([1, 2, 1], "degree 1 or 2 at all"), ([1, np.nan, 1], "unknown")]
)
def test_degrees_are_told(degrees, words):
    part = {"times": np.ones(3), "degree": np.array(degrees), "slack": np.ones(3)}
    assert words in _axes.degree_of(SimpleNamespace(parts={"surface": part}))


@pytest.mark.parametrize("slack", [-1.0, np.inf])
def test_a_certificate_that_fails_is_drawn_too(slack):
    """Without a ball in which there would be a degree."""
    one = problem("box", volumes=True)
    part = one.parts["surface"]
    part["slack"][:], part["degree"][:], part["log_determinant"][5:, 0] = slack, np.nan, np.nan
    figure = drawn(one)
    figure.draw_without_rendering()
    axes = panel(figure, "image")
    assert not [patch for patch in axes.patches if isinstance(patch, Circle)]
    assert "degree unknown" in axes.get_title("left")
    assert np.isnan(labelled(panel(figure, "det"), "largest").get_ydata()[5:]).all()


@pytest.mark.parametrize("outside", ["", "outside Assumption 1"])
def test_what_lies_outside_is_labelled(outside):
    figure = drawn(problem("circle", outside=outside))
    assert (r"$^\dagger$" in figure.get_suptitle()) == bool(outside)
    assert (r"$\dagger$ outside Assumption 1" in [text.get_text() for text in figure.findobj(Text)]) == bool(outside)


def test_names_are_told_as_they_are():
    """Characters that mean something to TeX do no harm."""
    name = "a_b^c 50 % $x$ \\alpha {open"
    figure = drawn(replace(problem("circle"), name=name))
    figure.canvas.draw()
    assert figure.get_suptitle() == f"{style.verbatim(name)}: fixed points and support"
