"""The law against its density, the closed form against particles, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from wflow.measures import GridMeasure, laws
from wflow.studies.grids import BUILT_IN, Bump, Problem, built_in
from wflow.studies.grids.problems import _attraction, _bandit

BOX = ((-1.2, 3.2), (-2.1, 1.1))
BUMPS = pytest.mark.parametrize("bump", [Bump(), Bump(-0.5, 1.8)], ids=str)


def density(bump, x):
    """35/32 (1 − z²)³ integrates to 1 over [−1, 1]."""
    z = (x - bump.centre) / bump.radius
    return 35.0 / 32.0 * (1.0 - z * z) ** 3 / bump.radius if abs(z) < 1.0 else 0.0


@BUMPS
def test_distribution(bump):
    low, high = bump.centre - bump.radius, bump.centre + bump.radius
    assert quad(lambda x: density(bump, x), low, high)[0] == pytest.approx(1.0, abs=1e-12)
    x = np.linspace(low - 1.0, high + 1.0, 21)
    expected = [quad(lambda y: density(bump, y), low, min(max(end, low), high), epsabs=1e-13)[0] for end in x]
    np.testing.assert_allclose(bump.distribution(x), expected, atol=1e-12)


@given(u=st.floats(1e-9, 1.0 - 1e-9), centre=st.floats(-3.0, 3.0), radius=st.floats(0.1, 5.0))
def test_quantile_inverts_distribution(u, centre, radius):
    bump = Bump(centre, radius)
    x = bump.quantile(np.array([[u]]))
    assert x.shape == (1, 1)
    assert bump.distribution(x[:, 0])[0] == pytest.approx(u, rel=1e-6, abs=1e-12)


@BUMPS
def test_gauss_rule(bump):
    nodes, weights = bump.gauss(5)
    assert nodes.shape == (5, 1)
    ends = (bump.centre - bump.radius, bump.centre + bump.radius)
    for power in range(10):
        exact = quad(lambda x, power=power: x**power * density(bump, x), *ends)[0]
        assert weights @ nodes[:, 0] ** power == pytest.approx(exact, rel=1e-10, abs=1e-12)
    assert weights @ (nodes[:, 0] - bump.centre) ** 2 == pytest.approx(bump.radius**2 / 9.0, rel=1e-12)


@BUMPS
def test_draws(bump):
    """Kolmogorov's distance of 4000 draws is below 0.04 but once in 10⁵."""
    x = np.sort(bump.draw(4000, np.random.default_rng(5)))
    assert np.abs(bump.distribution(x) - (np.arange(4000) + 0.5) / 4000).max() < 0.04


@pytest.mark.parametrize("name", [*BUILT_IN, "bandit gaussian", "bandit softplus"])
def test_built_in(name):
    problem = built_in(name)
    assert problem.name == name
    energy, law = problem.build()
    assert law.dimension == len(problem.box)
    assert getattr(energy, "n_parameters", 2) == len(problem.box)
    assert problem.outside == ("outside Assumption 1" if "softplus" in name else "")
    axes = [np.linspace(low, high, 9) for low, high in problem.box]
    assert GridMeasure.from_law(axes, law, outside=0.0).masses.sum() == pytest.approx(1.0, abs=1e-14)
    assert problem.quick_cells[-1] < problem.cells[-1]


def test_closed_form():
    """Of particles that move as the energy's own documentation says: x(t) = m e^{−κt} + (x − m) e^{−(κ+λ)t}."""
    energy, law = _attraction()
    start, times = law.gauss(4), np.array([0.0, 0.3, 2.0])
    mean, rate = start.mean(), energy.stiffness + energy.attraction
    moved = [mean * np.exp(-energy.stiffness * t) + (start.points - mean) * np.exp(-rate * t) for t in times]
    values = [energy.value(type(start)(points, start.weights)) for points in moved]
    np.testing.assert_allclose(built_in("attraction").exact(times), values, rtol=1e-12)


def made(**changes):
    return Problem("own", _attraction, 1.0, **{"box": BOX, **changes})


@pytest.mark.parametrize(("changes", "error", "message"), [
    ({"box": ()}, ValueError, r"^box must be a tuple of 1 to 3 \(low, high\) pairs; got \(\)$"),
    ({"box": [(0.0, 1.0)]}, ValueError, "^box must be a tuple"),
    ({"box": (BOX[0], (1.0, 1.0))}, ValueError, r"^box\[1\]\[1\] must be a finite number above 1; got 1"),
    ({"box": (BOX[0], (1.0,))}, ValueError, r"^box\[1\] must"),
    ({"cells": (8, 16)}, ValueError, r"^cells must be three integers or more, for an order and its interval; got \(8, 16\)$"),
    ({"cells": (8, 16, 16)}, ValueError, "^cells must be increasing"),
    ({"cells": (8, 16, 24.5)}, TypeError, r"^cells\[2\] must be an integer of at least 4"),
    ({"quick_cells": (3, 4, 5)}, ValueError, r"^quick_cells\[0\] must be an integer of at least 4; got 3$"),
    ({"exact": 1.0}, TypeError, r"^exact must be callable or None; got 1\.0$"),
])  # fmt: skip
def test_refuses(changes, error, message):
    with pytest.raises(error, match=message):
        made(**changes)


def normal():
    return _attraction()[0], laws.Product((laws.Normal(), laws.Normal()))


def test_refuses_what_it_builds():
    with pytest.raises(ValueError, match=r"^box of problem own must have 2 axes, as the law has; got 1$"):
        made(box=BOX[:1]).build()
    with pytest.raises(ValueError, match=r"^energy of problem bandit relu must have a smooth field, or .* cannot be resolved; got "):
        built_in("bandit relu").build()
    with pytest.raises(ValueError, match=r"^radius must be a finite number above 0; got 0\.0$"):
        Bump(0.0, 0.0)
    Problem("own", normal, 1.0, box=BOX).build()  # that it does not lie in the box is for the study to say
    Problem("own", _bandit, 1.0, (("activation", "tanh"),), box=(*BOX, BOX[0])).build()
