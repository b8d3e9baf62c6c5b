"""The separation certificate holds for what separates, fails for other degrees, and decides nothing on unsound meshes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wflow.meshes import Mesh, box, certify, circle, sphere

seeds = st.integers(0, 10**6)
CIRCLE, SPHERE, BOX = circle(), sphere(3), box((-1.0, -1.0), (1.0, 2.0), (12, 18))
MESHES = [CIRCLE, SPHERE, BOX]
NAMES = ["circle", "sphere", "box"]


def certificate(mesh, function, target=None):
    return certify(mesh, function(mesh.points), function(mesh.midpoints()), target)


def complex_map(function):
    def apply(points):
        w = function(points[:, 0] + 1j * points[:, 1])
        return np.stack([w.real, w.imag], axis=1)

    return apply


def double_longitude(points):
    x, y, z = points.T
    r = np.hypot(x, y)
    safe = np.where(r > 0, r, 1.0)
    return np.stack([(x * x - y * y) / safe, 2 * x * y / safe, z], axis=1)


def wave(rng, dimension):
    """A smooth map of size and slope at most 1."""
    k, shift = rng.uniform(-1, 1, (dimension, dimension)) * 1.5 / dimension, rng.uniform(0, 2 * np.pi, dimension)
    size = 1.0 / (np.linalg.norm(k, 2) + 1.0) / np.sqrt(dimension)
    return lambda x: size * np.sin(x @ k.T + shift)


def orientation_keeping(rng, dimension):
    """A linear map of positive determinant with singular values in [0.5, 2]."""
    u, v = (np.linalg.qr(rng.standard_normal((dimension, dimension)))[0] for _ in range(2))
    u[:, 0] *= np.sign(np.linalg.det(u) * np.linalg.det(v))
    return u @ np.diag(rng.uniform(0.5, 2.0, dimension)) @ v.T


@pytest.mark.parametrize("mesh", MESHES, ids=NAMES)
def test_identity_holds(mesh):
    found = certificate(mesh, lambda x: x)
    assert (found.verdict, found.reason, found.degree, found.folds) == ("holds", "", 1, 0)
    assert found.second == (None if mesh is SPHERE else 1)
    assert found.stretch == pytest.approx(1.0, rel=1e-12)
    nearest = {"circle": np.cos(np.pi / 256), "box": 1.0}.get(NAMES[MESHES.index(mesh)])
    if nearest:
        assert found.distance == pytest.approx(nearest, rel=1e-12)
    assert found.slack <= found.distance - found.error / 2


@pytest.mark.parametrize(
    ("mesh", "function", "degree"),
    [
        (CIRCLE, complex_map(lambda z: z**2), 2),
        (CIRCLE, complex_map(np.conj), -1),
        (CIRCLE, lambda p: np.stack([np.abs(p[:, 0]) - 0.3, p[:, 1]], axis=1), 0),
        (CIRCLE, lambda p: p + 1.5, 0),
        (SPHERE, double_longitude, 2),
        (SPHERE, lambda p: -p, -1),
        (SPHERE, lambda p: np.stack([p[:, 0], p[:, 1], np.abs(p[:, 2]) - 0.5], axis=1), 0),
        (SPHERE, lambda p: p + 1.0, 0),
        (BOX, complex_map(lambda z: (z - 0.5j) ** 2), 2),
        (BOX, complex_map(lambda z: np.conj(z - 0.5j)), -1),
        (BOX, lambda p: np.stack([np.abs(p[:, 0]) - 0.3, p[:, 1]], axis=1), 0),
        (BOX, lambda p: p + 5.0, 0),
    ],
)
def test_other_degrees_fail(mesh, function, degree):
    found = certificate(mesh, function, np.zeros(mesh.dimension))
    assert found.degree == degree
    assert found.second in (None, degree)
    assert found.verdict == "fails"
    assert f"degree is {degree}," in found.reason


def test_the_half_circle_alone_is_undecided_where_it_meets_the_target():
    """x → (|x|, y) folds the circle onto a half; the cord through 0 is not in its image, so that 0 stays outside: degree 0."""
    found = certificate(CIRCLE, lambda p: np.stack([np.abs(p[:, 0]), p[:, 1]], axis=1))
    assert (found.degree, found.verdict) == (0, "fails")


def test_a_folded_image_of_degree_one_holds_and_is_reported():
    angle = complex_map(lambda z: z * np.exp(1.5j * z.imag))  # θ + 1.5 sin θ runs backwards for a while
    found = certificate(CIRCLE, angle)
    assert (found.verdict, found.degree, found.second) == ("holds", 1, 1)
    theta = 2 * np.pi * np.arange(257) / 256
    assert found.folds == (np.diff(theta + 1.5 * np.sin(theta)) < 0).sum() > 0

    fold = lambda p: np.stack([p[:, 0] + 0.5 * np.sin(6 * p[:, 0]), p[:, 1]], axis=1)  # noqa: E731 (slope down to −2)
    found = certificate(BOX, fold)
    assert (found.verdict, found.degree, found.second) == ("holds", 1, 1)
    assert 0 < found.folds < len(BOX.simplices)

    found = certificate(sphere(4), lambda p: np.column_stack([angle(p[:, :2]), p[:, 2]]))
    assert (found.verdict, found.degree) == ("holds", 1)
    assert found.folds > 0


@pytest.mark.parametrize("mesh", MESHES, ids=NAMES)
def test_a_simplex_torn_out(mesh):
    inner = int(np.linalg.norm(mesh.points[mesh.simplices].mean(axis=1) - mesh.points.mean(axis=0), axis=1).argmin())
    torn = Mesh(mesh.points, np.delete(mesh.simplices, inner, axis=0), mesh.curved)
    found = certificate(torn, lambda x: x)
    assert found.verdict == "undecided"
    assert not (found.closed and found.unfolded)


@pytest.mark.parametrize("moved", [0.0, 0.01])
@pytest.mark.parametrize("mesh", MESHES, ids=NAMES)
def test_a_vertex_torn_in_two(mesh, moved):
    """One simplex keeps a copy of its vertex; also where the lips still touch, and where a box's border is torn."""
    for row in (0, len(mesh.simplices) // 2):
        for corner in range(mesh.simplices.shape[1]):
            simplices = mesh.simplices.copy()
            points = np.vstack([mesh.points, mesh.points[simplices[row, corner]]])
            simplices[row, corner] = mesh.n_vertices
            torn = Mesh(points, simplices, mesh.curved)
            found = certify(torn, points + moved * (np.arange(len(points)) == mesh.n_vertices)[:, None], torn.midpoints())
            assert found.verdict == "undecided"
            if mesh is not BOX:
                assert (found.closed, found.reason, found.degree) == (False, "the mesh is torn", None)


def test_a_box_torn_from_its_border():
    """A slit that reaches the border leaves one boundary cycle, and is known by vertices that coincide."""
    inner = 5 * 19 + 9
    simplices = BOX.simplices.copy()
    column = [9 + 19 * i for i in range(5)]  # from the border x = −1 to the vertex `inner`, along y = 0.5
    copies = {v: BOX.n_vertices + i for i, v in enumerate(column)}
    above = BOX.points[simplices].mean(axis=1)[:, 1] > 0.5
    for row in np.flatnonzero(above):
        simplices[row] = [copies.get(int(v), v) for v in simplices[row]]
    torn = Mesh(np.vstack([BOX.points, BOX.points[column]]), simplices)
    assert torn.boundary().closed
    assert len(torn.boundary().simplices) == 60 + 10
    assert inner in torn.boundary().simplices
    found = certificate(torn, lambda x: x)
    assert (found.closed, found.verdict, found.reason) == (False, "undecided", "the mesh is torn")


@pytest.mark.parametrize("mesh", MESHES, ids=NAMES)
def test_a_simplex_reversed(mesh):
    simplices = mesh.simplices.copy()
    simplices[7] = simplices[7][::-1]
    found = certificate(Mesh(mesh.points, simplices, mesh.curved), lambda x: x)
    assert (found.verdict, found.closed) == ("undecided", False)


@pytest.mark.parametrize("mesh", MESHES, ids=NAMES)
def test_two_vertices_swapped(mesh):
    """The mesh closes but is folded, whatever its image looks like."""
    first, second = mesh.simplices[len(mesh.simplices) // 2, :2]
    points = mesh.points.copy()
    points[[first, second]] = points[[second, first]]
    folded = Mesh(points, mesh.simplices, mesh.curved)
    found = certify(folded, mesh.points, mesh.midpoints())
    assert (found.closed, found.unfolded, found.degree, found.verdict) == (True, False, 1, "undecided")
    assert "folded" in found.reason
    assert certificate(folded, lambda x: x).folds > 0


def test_domains_covered_twice():
    n = 255  # odd: twice round, on vertices that differ
    angles = 4 * np.pi * np.arange(n) / n
    twice = Mesh(np.stack([np.cos(angles), np.sin(angles)], axis=1), np.stack([np.arange(n), (np.arange(n) + 1) % n], axis=1), True)
    found = certify(twice, CIRCLE.points[:n], None)
    assert (found.closed, found.unfolded, found.verdict) == (True, False, "undecided")
    for mesh in MESHES:
        doubled = Mesh(np.tile(mesh.points, (2, 1)), np.vstack([mesh.simplices, mesh.simplices + mesh.n_vertices]), mesh.curved)
        found = certificate(doubled, lambda x: x)
        assert (found.closed, found.verdict) == (False, "undecided")
    inverted = Mesh(SPHERE.points, SPHERE.simplices[:, ::-1], True)
    found = certificate(inverted, lambda x: -x)
    assert (found.closed, found.unfolded, found.degree, found.verdict) == (True, False, 1, "undecided")


def test_two_boxes_and_a_box_with_a_hole_are_no_region():
    apart = Mesh(np.vstack([BOX.points, BOX.points + 10.0]), np.vstack([BOX.simplices, BOX.simplices + BOX.n_vertices]))
    inner = np.linalg.norm(BOX.points[BOX.simplices].mean(axis=1) - [0.0, 0.5], axis=1) < 0.5
    for mesh in (apart, Mesh(BOX.points, BOX.simplices[~inner])):
        found = certificate(mesh, lambda x: x, np.array([-0.8, -0.8]))
        assert (found.unfolded, found.verdict) == (False, "undecided")


def test_a_flattened_sphere_in_the_plane_is_no_region():
    mesh = Mesh(SPHERE.points[:, :2], SPHERE.simplices)
    found = certificate(mesh, lambda x: x)
    assert (found.unfolded, found.verdict) == (False, "undecided")


def test_areas_that_cancel():
    points = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    for simplices in ([[0, 1, 2], [1, 2, 3]], [[0, 1, 2], [0, 2, 1]], [[0, 2, 1]]):
        found = certificate(Mesh(points, simplices), lambda x: x)
        assert (found.unfolded, found.verdict) == (False, "undecided")


@pytest.mark.parametrize("target", [[0.0, 0.0], [0.3, 0.1]])
@pytest.mark.parametrize(("mesh", "counted"), [(CIRCLE, CIRCLE), (BOX, BOX.boundary())], ids=["circle", "box"])
def test_an_image_simplex_through_the_target(mesh, counted, target):
    a, b = counted.simplices[3]
    image = mesh.points.copy()
    image[b] = np.asarray(target) - 2.0 * (image[a] - target)  # the target divides the image of ab as 1 : 2
    found = certify(mesh, image, image[mesh.edges].mean(axis=1), target)
    assert (found.half_space, found.verdict) == (False, "undecided")
    assert "meets the target" in found.reason
    assert found.distance < 1e-15


def test_a_spherical_triangle_through_the_target():
    image = SPHERE.points.copy()
    a, b, c = SPHERE.simplices[100]
    image[c] = -0.5 * (image[a] + image[b])
    found = certify(SPHERE, image, None)
    assert (found.half_space, found.verdict) == (False, "undecided")
    vertex = certify(SPHERE, SPHERE.points - SPHERE.points[5], None)
    assert (vertex.distance, vertex.half_space) == (0.0, False)


def test_midpoints_betray_a_coarse_mesh():
    """At the vertices of an octagon z^9 is the identity; half-way between it lies opposite."""
    ninth = complex_map(lambda z: z**9)
    coarse = circle(8)
    found = certificate(coarse, ninth)
    assert (found.degree, found.second, found.interpolation, found.verdict) == (1, 1, False, "undecided")
    assert found.slack < 0 < found.distance < found.error
    assert "interpolation error (" in found.reason
    assert certificate(circle(90), ninth).degree == 9
    unknown = certify(coarse, coarse.points)
    assert (unknown.interpolation, unknown.error, unknown.verdict) == (False, np.inf, "undecided")
    assert "unknown" in unknown.reason


def test_the_estimate_of_the_error():
    """A parabola over a chord: its height in the middle, times 2; on a triangle 4/3 of the worst side's."""
    square = circle(4)
    middle = square.midpoints()
    found = certify(square, square.points, middle)
    assert found.error == pytest.approx(2 * (1 - np.sqrt(0.5)), rel=1e-13)
    assert found.slack == pytest.approx(np.sqrt(0.5) - found.error, rel=1e-12)
    solid = sphere(0)
    bulge = np.linalg.norm(solid.points[solid.edges].mean(axis=1), axis=1)
    assert certify(solid, solid.points, solid.midpoints()).error == pytest.approx(2 * 4 / 3 * (1 - bulge[0]), rel=1e-12)
    along = square.points[square.edges] @ np.ones(2)  # a midpoint that slides along the chord is no error
    slid = np.where(along.any(axis=1)[:, None], 0.9 * square.points[square.edges[:, 0]] + 0.1 * square.points[square.edges[:, 1]], 0.0)
    assert certify(square, square.points, slid).error < 1e-15


def test_only_the_boundary_of_a_region_counts():
    used = {tuple(sorted(s)) for s in BOX.boundary().simplices.tolist()}
    border = np.array([tuple(e) in used for e in BOX.edges.tolist()])
    middle = BOX.midpoints() + np.where(border, 0.0, 0.4)[:, None]
    assert certify(BOX, BOX.points, middle).error < 1e-15
    for row in np.flatnonzero(border)[[0, 17, -1]]:
        outwards = 0.1 * np.sign(middle[row] - [0.0, 0.5]) * np.isin(middle[row], [-1.0, 1.0, 2.0])
        moved = middle + outwards * (np.arange(len(middle)) == row)[:, None]
        assert certify(BOX, BOX.points, moved).error == pytest.approx(0.2, rel=1e-12)


def test_each_simplex_is_judged_by_its_own_distance():
    """A large error far from the target does no harm, where the same near by would."""
    mesh, target = circle(16), np.array([0.9, 0.0])
    far = int(mesh.midpoints()[:, 0].argmin())
    middle = mesh.midpoints()
    middle[far] *= 1.5
    found = certify(mesh, mesh.points, middle, target)
    assert found.verdict == "holds"
    assert found.distance < 0.1 < 1.0 < found.error
    own = found.distance - 2 * (1 - np.cos(np.pi / 16))
    assert found.slack == pytest.approx(own, rel=1e-10)
    near = int(mesh.midpoints()[:, 0].argmax())
    middle[near] *= 1.05
    found = certify(mesh, mesh.points, middle, target)
    assert (found.interpolation, found.verdict) == (False, "undecided")
    assert found.slack < 0


def test_unused_vertices_do_not_matter():
    mesh = Mesh(np.vstack([BOX.points, BOX.points[:1], BOX.points[:1]]), BOX.simplices)
    assert certificate(mesh, lambda x: x) == certificate(BOX, lambda x: x)


def test_routes_that_differ_decide_nothing():
    sound = certificate(CIRCLE, lambda x: x)
    found = replace(sound, second=2)
    assert (found.verdict, found.reason) == ("undecided", "two routes give the degrees 1 and 2")
    found = replace(sound, degree=None)
    assert (found.verdict, found.reason) == ("undecided", "the angles do not add up to an integer")
    assert replace(sound, second=None).verdict == "holds"


def test_refinement_decides():
    """The same map, undecided on a coarse mesh, holds once the edges in question are cut."""
    wiggle = complex_map(lambda z: z * (1 + 0.6 * np.cos(6 * np.angle(z))))
    mesh = circle(6)
    verdicts = []
    while len(verdicts) < 9 and "holds" not in verdicts:
        found = certificate(mesh, wiggle)
        verdicts.append(found.verdict)
        mesh = mesh.split(np.ones(len(mesh.edges), dtype=bool))
    assert verdicts[0] == "undecided"
    assert verdicts[-1] == "holds"


@given(seeds)
def test_diffeomorphisms_of_the_plane_and_space_have_degree_one(seed):
    rng = np.random.default_rng(seed)
    for mesh in MESHES:
        matrix, smooth = orientation_keeping(rng, mesh.dimension), wave(rng, mesh.dimension)
        mirror = np.array([-1.0] + [1.0] * (mesh.dimension - 1))
        inside = np.zeros(mesh.dimension) if mesh is not BOX else rng.uniform([-0.9, -0.9], [0.9, 1.9])

        def moved(x, matrix=matrix, smooth=smooth):
            return x @ matrix.T + 0.4 * smooth(x)  # the wave's slope, below 0.4, cannot fold it

        found = certificate(mesh, moved, moved(inside[None])[0])
        assert (found.verdict, found.degree) == ("holds", 1)
        assert found.second == (None if mesh is SPHERE else 1)
        assert found.folds == 0 or mesh is not BOX
        found = certificate(mesh, lambda x: moved(x) * mirror, moved(inside[None])[0] * mirror)  # noqa: B023
        assert (found.verdict, found.degree) == ("fails", -1)


@given(seeds)
def test_perturbations_keep_degree_one(seed):
    """Any change of a map by less than its distance to the target leaves its degree, however it folds."""
    rng = np.random.default_rng(seed)
    for mesh in MESHES:
        matrix = orientation_keeping(rng, mesh.dimension)
        image, middle = mesh.points @ matrix.T, mesh.midpoints() @ matrix.T
        target = np.zeros(mesh.dimension) if mesh is not BOX else matrix @ [0.0, 0.5]
        exact = certify(mesh, image, middle, target)
        assert exact.verdict == "holds"
        noise = rng.standard_normal(mesh.points.shape)
        noise *= 0.99 * exact.distance / np.linalg.norm(noise, axis=1).max()
        found = certify(mesh, image + noise, None, target)
        assert found.folds > 0
        assert found.degree == 1
        assert found.second == (None if mesh is SPHERE else 1)


@given(seeds)
def test_random_refinement_changes_no_verdict(seed):
    rng = np.random.default_rng(seed)
    smooth = wave(rng, 2)
    for mesh in (circle(12), box((-1.0, -1.0), (1.0, 1.0), 3)):
        for _ in range(3):
            found = certificate(mesh, lambda x: x + 0.3 * smooth(x))
            assert (found.closed, found.unfolded, found.degree, found.second) == (True, True, 1, 1)
            mesh = mesh.split(rng.random(len(mesh.edges)) < 0.4)


def test_stretch():
    assert certify(CIRCLE, CIRCLE.points * [3.0, 1.0]).stretch == pytest.approx(3.0, rel=1e-3)
    assert certify(BOX, BOX.points * [1.0, 5.0], target=[0.0, 0.0]).stretch == pytest.approx(5.0, rel=1e-12)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: certify(CIRCLE.points, CIRCLE.points), TypeError, "mesh must be a wflow.meshes.Mesh"),
        (lambda: certify(CIRCLE, CIRCLE.points[1:]), ValueError, r"image must have shape \(256, 2\)"),
        (lambda: certify(CIRCLE, CIRCLE.points, CIRCLE.points[1:]), ValueError, r"midpoints must have shape \(256, 2\)"),
        (lambda: certify(CIRCLE, CIRCLE.points, target=[0.0]), ValueError, r"target must have shape \(2,\)"),
        (lambda: certify(CIRCLE, CIRCLE.points * np.nan), ValueError, "image must be finite"),
        (lambda: certify(SPHERE.boundary(), SPHERE.points), ValueError, "mesh must be of segments or triangles in 2"),
        (lambda: certify(Mesh(BOX.points, BOX.simplices[:0]), BOX.points), ValueError, "not empty"),
    ],
)
def test_unsound_arguments_are_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()
