"""The carried surface on fields whose flow maps are known; tears, folds and wrong degrees are found out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from toys import support as toys

from wflow.energies.domains import Box, Sphere
from wflow.flows import StoredField
from wflow.meshes import Mesh, box, circle, sphere
from wflow.studies.support import Surface, carry, start_mesh
from wflow.studies.support.surface import sharpen, stepping

TIMES = np.array([0.0, 0.5, 1.5, 3.0])
STILL = StoredField([0.0, 3.0], np.ones((2, 1)))
TURN = np.array([[0.0, -1.0], [1.0, 0.0]])
STARTS = {"circle": start_mesh(Sphere(2), True), "sphere": start_mesh(Sphere(3), True), "box": start_mesh(Box.cube(2), True)}


def carried(velocity, kind="circle", field=STILL, floor=None, **options):
    mesh, least = STARTS[kind]
    return carry(toys.inner(velocity), field, mesh, TIMES, least if floor is None else floor, **options)


def verdicts(surface):
    return [surface.certificate(k).verdict for k in range(len(surface.times))]


def accuracy(kind):
    """Ten times the tolerance that tracers are carried with; a hundred on the sphere, as turning is what RKC2 does worst."""
    return 100.0 * stepping(3)[1] if kind == "sphere" else 10.0 * stepping(2)[1]


@pytest.mark.parametrize("kind", STARTS)
def test_a_rotation(kind):
    """Nothing stretches, nothing is cut; degree 1 at all times."""
    matrix = np.zeros((3, 3)) if kind == "sphere" else np.zeros((2, 2))
    matrix[:2, :2] = TURN
    found = carried(lambda x, _: x @ matrix.T, kind)
    start, _ = STARTS[kind]
    assert found.mesh is start
    assert found.complete
    assert not found.tear_width().any()
    np.testing.assert_array_equal(found.vertices[0, :, 1:], start.points)
    np.testing.assert_array_equal(found.middle[0, :, 1:], start.midpoints())
    assert not found.vertices[:, :, 0].any()
    for k, t in enumerate(TIMES):
        turn = np.eye(len(matrix)) + np.sin(t) * matrix + (1.0 - np.cos(t)) * matrix @ matrix
        np.testing.assert_allclose(found.vertices[k, :, 1:], start.points @ turn.T, rtol=0, atol=accuracy(kind))
        np.testing.assert_allclose(found.middle[k, :, 1:], start.midpoints() @ turn.T, rtol=0, atol=accuracy(kind))
        certificate = found.certificate(k)
        assert (certificate.verdict, certificate.degree, certificate.folds) == ("holds", 1, 0)
        assert certificate.stretch == pytest.approx(1.0, abs=accuracy(kind))


def test_the_field_of_its_time():
    """Turned by ∫ ds/(1 + s) = log(1 + t)."""
    nodes = np.expm1(np.linspace(0.0, np.log1p(3.0), 60))
    nodes[-1] = 3.0
    found = carried(lambda x, signal: signal[0] * x @ TURN.T, field=StoredField(nodes, 1.0 / (1.0 + nodes)[:, None]))
    points = STARTS["circle"][0].points @ np.array([1.0, 1.0j])
    for k, t in enumerate(TIMES):
        image = found.vertices[k, :, 1:] @ np.array([1.0, 1.0j])
        np.testing.assert_allclose(image, points * np.exp(1j * np.log1p(t)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", STARTS)
def test_a_saddle_is_refined_and_exact(kind):
    """ω̄' = diag(a, −a, −a) ω̄ stretches by e^{at}: edges are cut, and what is new lies where the exact map puts it."""
    a = 0.8 if kind == "circle" else 0.4
    rates = a * np.array([1.0, -1.0, -1.0])[: 3 if kind == "sphere" else 2]
    found = carried(lambda x, _: x * rates, kind)
    start, floor = STARTS[kind]
    longest = start.edge_lengths().max()
    assert found.complete
    assert found.mesh.n_vertices > 1.2 * start.n_vertices
    np.testing.assert_array_equal(found.mesh.points[: start.n_vertices], start.points)
    for k, t in enumerate(TIMES):
        map_ = np.exp(rates * t)
        np.testing.assert_allclose(found.vertices[k, :, 1:], found.mesh.points * map_, rtol=0, atol=accuracy(kind) * np.exp(a * t))
        np.testing.assert_allclose(found.middle[k, :, 1:], found.mesh.midpoints() * map_, rtol=0, atol=accuracy(kind) * np.exp(a * t))
        assert found.mesh.edge_lengths(found.vertices[k, :, 1:]).max() <= 2.0 * longest
    assert verdicts(found) == ["holds"] * len(TIMES)
    assert {found.certificate(k).degree for k in range(len(TIMES))} == {1}
    assert found.mesh.edge_lengths().min() > found.floor == floor
    assert not found.tear_width().any()


def push(x, _):
    """Away from the axis x = 0: the map x + t sign(x) tears there, by 2 t."""
    return np.column_stack([np.where(x[:, 0] >= 0.0, 0.2, -0.2), np.zeros(len(x))])


@pytest.mark.parametrize("kind", ["circle", "box"])
@pytest.mark.parametrize("cuts", [4, 7])
def test_a_tear_of_known_width(kind, cuts):
    """Whatever the floor, but for its own length; there is a tear only where edges were cut down to the floor."""
    mesh = box((-0.51, -0.5), (0.5, 0.5), 4) if kind == "box" else circle(16)  # no vertex of the box on the axis
    floor = float(mesh.edge_lengths().max()) / 2.0**cuts
    times = 4.0 * TIMES
    found = carry(toys.inner(push), StoredField([0.0, 12.0], np.ones((2, 1))), mesh, times, floor)
    assert found.complete
    width = found.tear_width()
    assert (np.abs(width - 0.4 * times) <= floor).all()
    torn = found.mesh.edge_lengths(found.vertices[-1, :, 1:]) > 1.0
    ends = found.mesh.points[found.mesh.edges[torn]]
    assert (ends[:, 0, 0] * ends[:, 1, 0] <= 1e-30).all()  # across the axis
    assert (found.mesh.edge_lengths()[torn] <= floor).all()


def test_a_tear_that_crosses_0_is_told_by_the_degree():
    """The cap |y| < 0.3, x > 0 is carried to the left through 0: the curve no longer goes round it."""
    def cap(x, _):
        return np.column_stack([np.where((np.abs(x[:, 1]) < 0.3) & (x[:, 1] != 0.3), -0.6, 0.0) * (x[:, 0] > -0.9), np.zeros(len(x))])

    found = carry(toys.inner(cap), STILL, circle(64), TIMES, 1e-4)
    assert found.tear_width()[-1] > 1.0
    assert found.certificate(0).verdict == "holds"
    last = found.certificate(len(TIMES) - 1)
    assert (last.degree, last.verdict) == (0, "fails")


def test_a_fold_keeps_the_degree_and_is_counted():
    """The pendulum θ' = ω0, ω0' = −3 sin θ from rest: θ near 0 swing to the other side, in the projection they run backwards."""
    def pendulum(points, _):
        spin, x, y = points.T
        return np.column_stack([-3.0 * y, -spin * y, spin * x])

    mesh, floor = STARTS["circle"]
    times = np.array([0.0, 0.5, 1.7])
    found = carry(toys.Field(pendulum), STILL, mesh, times, floor)
    assert found.complete
    folds = [found.certificate(k).folds for k in range(3)]
    assert folds[0] == folds[1] == 0 < folds[2]
    assert {found.certificate(k).degree for k in range(3)} == {1}
    assert verdicts(found) == ["holds"] * 3
    theta = np.arctan2(found.mesh.points[:, 1], found.mesh.points[:, 0])
    n = len(theta)
    exact = solve_ivp(lambda _, y: np.concatenate([y[n:], -3.0 * np.sin(y[:n])]), (0.0, 1.7), np.concatenate([theta, np.zeros(n)]),
                      rtol=1e-9, atol=1e-10).y[:, -1]  # fmt: skip
    image = np.column_stack([exact[n:], np.cos(exact[:n]), np.sin(exact[:n])])
    np.testing.assert_allclose(found.vertices[-1], image, rtol=0, atol=1e-5)
    order = np.argsort(theta)
    unwrapped = np.unwrap(exact[:n][order])
    assert folds[2] == pytest.approx((np.diff(unwrapped) < 0.0).sum(), abs=1)


def test_too_many_vertices_are_not_complete():
    found = carried(lambda x, _: x * [1.5, -1.5], most=200)
    assert not found.complete
    assert found.mesh.n_vertices <= 200
    longest = STARTS["circle"][0].edge_lengths().max()
    assert found.mesh.edge_lengths(found.vertices[-1, :, 1:]).max() > 2.0 * longest
    assert carried(lambda x, _: x * [1.5, -1.5], most=10_000).complete


def tampered(surface, change):
    """The same surface with other images."""
    vertices, middle = (np.concatenate([x[:, :, :1], change(x[:, :, 1:])], axis=2) for x in (surface.vertices, surface.middle))
    return replace(surface, vertices=vertices, middle=middle)


def power(n):
    """z → z^n / |z|^{n−1} in the first two coordinates."""
    def change(x):
        z = x[..., 0] + 1j * x[..., 1]
        radius = np.abs(z)
        image = z**n / np.where(radius > 0.0, radius, 1.0) ** (n - 1)
        return np.concatenate([np.stack([image.real, image.imag], axis=-1), x[..., 2:]], axis=-1)

    return change


@pytest.mark.parametrize(("kind", "change", "degree"), [
    ("circle", power(2), 2), ("sphere", power(2), 2), ("box", power(2), 2),
    ("circle", lambda x: x * [-1.0, 1.0], -1), ("sphere", lambda x: -x, -1), ("box", lambda x: x * [-1.0, 1.0], -1),
    ("circle", lambda x: x + 3.0, 0), ("sphere", lambda x: x + 3.0, 0), ("box", lambda x: x + 20.0, 0),
])  # fmt: skip
def test_wrong_degrees_fail(kind, change, degree):
    found = tampered(carried(lambda x, _: 0.0 * x, kind), change)
    certificate = found.certificate(2)
    assert (certificate.degree, certificate.verdict) == (degree, "fails")


@pytest.mark.parametrize("kind", STARTS)
def test_a_torn_mesh_and_a_surface_through_0_decide_nothing(kind):
    found = carried(lambda x, _: 0.0 * x, kind)
    inner = int(np.linalg.norm(found.mesh.points[found.mesh.simplices].mean(axis=1), axis=1).argmin())
    mesh = Mesh(found.mesh.points, np.delete(found.mesh.simplices, inner, axis=0), found.mesh.curved)
    middle = np.pad(np.tile(mesh.midpoints(), (len(TIMES), 1, 1)), ((0, 0), (0, 0), (1, 0)))  # where nothing moves
    torn = replace(found, mesh=mesh, middle=middle)
    assert torn.certificate(1).verdict == "undecided"
    edge = found.mesh.points[np.abs(found.mesh.points[:, 0]).argmax()]
    through = tampered(found, lambda x: x - edge)
    assert through.certificate(1).verdict == "undecided"
    wild = replace(found, middle=-found.middle)  # midpoints that deny the straight edges
    assert wild.certificate(1).verdict == "undecided"


def test_start_meshes():
    for quick, shapes in ((False, (256, 5120, 2048)), (True, (128, 1280, 512))):
        for domain, size, cuts in zip((Sphere(2), Sphere(3), Box.cube(2)), shapes, (16, 3, 8), strict=True):
            mesh, floor = start_mesh(domain, quick)
            assert len(mesh.simplices) == size
            assert floor == mesh.edge_lengths().max() / 2.0**cuts
            still = np.zeros((1, mesh.n_vertices, mesh.dimension + 1)), np.zeros((1, len(mesh.edges), mesh.dimension + 1))
            still[0][..., 1:], still[1][..., 1:] = mesh.points, mesh.midpoints()
            assert Surface(mesh, np.zeros(1), *still, floor, True).certificate(0).verdict == "holds"
    assert np.abs(sphere(0).points).max() <= 1.0


@pytest.mark.parametrize("domain", [Sphere(4), Box.cube(1), Box.cube(3)])
def test_other_domains_are_refused(domain):
    with pytest.raises(ValueError, match=r"^the surface needs Θ to be the circle, the sphere S² or a box in 2 dimensions; got "):
        start_mesh(domain)


def test_narrow_tears_are_sharpened():
    """A tear as wide as a few edges is followed down to the floor, in few cuts; its width is known as well as the floor is short."""
    energy = toys.inner(lambda x, _: push(x, _) * 0.2)
    mesh, floor = STARTS["circle"]
    coarse = carry(energy, STILL, mesh, TIMES, floor)
    assert (np.abs(coarse.tear_width()[-1] - 0.24) <= floor) or not coarse.tear_width().any()
    found = sharpen(energy, STILL, coarse)
    np.testing.assert_allclose(found.tear_width(), 0.08 * TIMES, atol=2.0 * floor)
    assert found.mesh.n_vertices < coarse.mesh.n_vertices + 150
    assert verdicts(found) == ["holds"] * len(TIMES)
    for k, t in enumerate(TIMES):  # what is new lies where the map puts it
        exact = found.mesh.points + 0.04 * t * np.where(found.mesh.points[:, :1] >= 0.0, 1.0, -1.0) * [1.0, 0.0]
        np.testing.assert_allclose(found.vertices[k, :, 1:], exact, rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", STARTS)
def test_what_stretches_is_no_tear(kind):
    """However it is cut, and if all its edges counted as cut to the floor: a saddle's edges stretch, and are whole."""
    rates = 0.5 * np.array([1.0, -1.0, -1.0])[: 3 if kind == "sphere" else 2]
    found = carried(lambda x, _: x * rates, kind)
    sharp = sharpen(toys.inner(lambda x, _: x * rates), STILL, found)
    assert sharp.mesh.n_vertices >= found.mesh.n_vertices
    assert not replace(sharp, floor=1.0).tear_width().any()
