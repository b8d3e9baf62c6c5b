"""The study itself: arguments, files, interruptions, and the same bits on any workers."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from studies.grids.test_results import assert_equal

from wflow.energies import QuadraticInteraction
from wflow.measures import laws
from wflow.studies import _parts
from wflow.studies.grids import Problem, open_study, run
from wflow.studies.grids import study as module

TINY = {"cells": (8, 12, 16), "quick": True, "workers": 1}
BOX = ((-1.2, 3.2), (-2.1, 1.1))


@pytest.fixture(scope="module")
def tiny():
    return run("attraction", **TINY)


def test_what_a_study_holds(tiny):
    problem = tiny.problems["attraction"]
    assert list(tiny.problems) == ["attraction"]
    assert list(problem.cells) == [8, 12, 16]
    assert list(problem.particles) == [256, 1024, 4096]
    assert problem.dimension == 2
    assert {len(grid["marginals"]) for grid in problem.cells.values()} == {2}
    assert tiny.about["seconds"] > 0.0
    assert "wflow" in str(tiny.about["provenance"])
    json.dumps(tiny.about)
    assert len(tiny.rows) == 17


def test_what_does_not_depend_on_the_width_of_cells_holds(tiny):
    verdicts = {row.claim: row.verdict for row in tiny.rows}
    for claim in ("reference: E, relative to its closed form", "particles: E(t), in N: slope", "particles from centres of cells: E: order",
                  "grids: mass drift, largest", "grids: mass of a cell, smallest", "grids: gain of E in a step, least"):  # fmt: skip
        assert verdicts[claim] == "holds"


@pytest.mark.slow
def test_a_quick_study_holds():
    """All claims, of both problems."""
    found = run(quick=True)
    assert [(row.problem, row.claim) for row in found.rows if row.verdict != "holds"] == []


@pytest.mark.slow
def test_without_a_limiter_orders_are_missed():
    """First order: the grid's claims of second order fail, and those of particles stand."""
    found = {row.claim: row.verdict for row in run("attraction", limiter="none", quick=True).rows}
    assert [found[f"grid: {name}: order"] for name in ("E(t)", "E(t) - E(0)", "covariance", "marginals, W2")] == ["fails"] * 4
    assert found["particles: E(t), in N: slope"] == found["grids: mass of a cell, smallest"] == "holds"


def test_same_seed_same_bits(tiny):
    with ThreadPoolExecutor(2) as executor:
        assert_equal(tiny, run(["attraction"], **{**TINY, "workers": None}, executor=executor))
    other = run("attraction", **TINY, seed=1).problems["attraction"].particles[256]["energy"]
    assert not np.isin(other[:, -1], tiny.problems["attraction"].particles[256]["energy"][:, -1]).any()


def test_file_and_resume(tiny, tmp_path, monkeypatch):
    """What failed is made again, what ended is not."""
    path = tmp_path / "deep" / "study.h5"

    def broken(task):
        raise OSError("the disk is gone")

    with monkeypatch.context() as patch:
        patch.setitem(module._PARTS, "cells", broken)
        with pytest.raises(RuntimeError, match=r"^3 of 7 tasks failed \(OSError: the disk is gone\); the same call tries them again$"):
            run("attraction", **TINY, path=path)
    assert not path.exists()
    with pytest.raises(FileExistsError, match=r"study\.h5\.parts holds parts of another study; force"):
        run("attraction", **{**TINY, "cells": (8, 12, 20)}, path=path)
    with monkeypatch.context() as patch:
        patch.setitem(module._PARTS, "reference", None)  # they would fail if called again
        patch.setitem(module._PARTS, "particles", None)
        found = run("attraction", **TINY, path=path)
    assert_equal(found, tiny)
    assert_equal(open_study(path), tiny)
    assert [file.name for file in path.parent.iterdir()] == ["study.h5"]
    with pytest.raises(FileExistsError, match=r"study\.h5 exists; force"):
        run("attraction", **TINY, path=path)


def test_interrupt(tmp_path, monkeypatch):
    """KeyboardInterrupt passes through, parts stay."""

    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(_parts, "map_runs", stopped)
    with pytest.raises(KeyboardInterrupt):
        run("attraction", **TINY, path=tmp_path / "study.h5")
    assert (tmp_path / "study.h5.parts" / "study.json").exists()


def normals():
    return QuadraticInteraction(), laws.Product((laws.Normal(), laws.Normal()))


def student():
    return QuadraticInteraction(), laws.Product((laws.Sphere(2),))


@pytest.mark.parametrize(("options", "error", "message"), [
    ({"problems": "bandit tan"}, ValueError, r"^activation must be one of .* \(did you mean 'tanh'\?\)$"),
    ({"problems": ["attraction", "bandit relu"]}, ValueError, "^energy of problem bandit relu must have a smooth field"),
    ({"cells": (8, 12)}, ValueError, "^cells must be three integers or more"),
    ({"limiter": "superbee"}, ValueError, "^limiter must be one of"),
    ({"workers": 0}, ValueError, "^workers must be an integer of at least 1; got 0$"),
    ({"path": 3}, TypeError, "^path must be a path or None; got 3$"),
    ({"problems": Problem("own", normals, 1.0, box=BOX)}, ValueError, "^axes must hold all but .* of the law's mass"),
    ({"problems": Problem("own", student, 1.0, box=BOX)}, TypeError, r"^law must be a Product of 2 factors with a distribution\(x\)"),
])  # fmt: skip
def test_refuses_before_any_work(options, error, message, tmp_path, monkeypatch):
    """No folder, no file; one line."""
    monkeypatch.setattr(module, "_PARTS", {})  # work would fail otherwise
    with pytest.raises(error, match=message) as caught:
        run(**{"problems": "attraction", **TINY, "path": tmp_path / "study.h5", **options})
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
