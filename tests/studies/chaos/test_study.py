"""The study itself: numbers against exact constants, arguments, files, interruptions, and the same bits on any workers."""

from __future__ import annotations

import json
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from functools import wraps
from itertools import groupby

import numpy as np
import pytest
from toys import studies

from wflow.studies import _parts, is_study
from wflow.studies.chaos import Constants, Curve, Problem, built_in, open_study, run
from wflow.studies.chaos import settle as settling
from wflow.studies.chaos import study as module
from wflow.studies.chaos.analysis import samples

pytestmark = pytest.mark.slow

SIZES = (6, 12, 24)
WAVE = Problem("wave", studies.wave, 2.0)
TINY = {"sizes": SIZES, "seeds": 16, "w2_seeds": 1, "workers": 1}


@pytest.fixture(autouse=True, scope="module")
def _small_references():
    """2048 characteristics are enough to see how a study goes."""
    before, settling._LARGEST = settling._LARGEST, 2048
    yield
    settling._LARGEST = before


def assert_same_numbers(mine, theirs):
    """To the bit, NaN and all; and so the tables."""
    assert list(mine.problems) == list(theirs.problems)
    for name, problem in mine.problems.items():
        other = theirs.problems[name]
        assert (problem.reference, problem.w2_size) == (other.reference, other.w2_size)
        for key, values in problem.own.items():
            np.testing.assert_array_equal(other.own[key], values)
        for kind, sizes in problem.curves.items():
            assert list(sizes) == list(other.curves[kind])
            for n, curve in sizes.items():
                for field in fields(Curve):
                    np.testing.assert_array_equal(getattr(other.curves[kind][n], field.name), getattr(curve, field.name))
    assert mine.table() == theirs.table()


def differ(mine, theirs):
    return any(np.abs(getattr(a, "energy") - getattr(b, "energy")).max() > 0.0  # noqa: B009
               for a, b in ((mine.problems[p].curves["iid"][n], theirs.problems[p].curves["iid"][n])
                            for p in mine.problems for n in mine.problems[p].curves["iid"]))  # fmt: skip


@pytest.fixture(scope="module")
def tiny():
    return run([WAVE], **TINY)


@pytest.fixture(scope="module")
def linear(_small_references):
    """The linear McKean–Vlasov problem, whose errors are known exactly for every N and t, from a Gaussian law and a skew one."""
    return run(["linear"], sizes=(16, 32, 64), seeds=40, w2_seeds=4, workers=1), run([SKEW], **{**TINY, "seeds": 24, "w2_seeds": 4})


SKEW = Problem("skew", studies.skew, 2.0)
CASES = pytest.mark.parametrize(("which", "problem"), [(0, built_in("linear")), (1, SKEW)], ids=["linear", "skew"])


def agree(values, exact, spread=0.0):
    """Means of independent values within 4 standard errors, time by time; a few squares may show less than their true `spread`."""
    error = np.maximum(values.std(axis=0, ddof=1), spread * np.abs(exact)) / np.sqrt(len(values))
    assert (np.abs(values.mean(axis=0) - exact) <= 4.0 * error).all()
    assert (error < 0.5 * np.abs(exact)).all()  # or nothing is said


@CASES
def test_errors_against_their_exact_constants(linear, which, problem):
    known, errors = Constants(*problem.build()), linear[which].problems[problem.name]
    t = errors.times
    for n, curve in errors.curves["iid"].items():
        agree(curve.coupling**2, known.coupling(n, t), 1.2)
        agree(curve.function, known.function(n, t), 1.2)
        agree(curve.copies, known.function(n, t) * np.exp(-2.0 * known.energy.attraction * t), 1.2)
        agree(curve.bias, known.energy_bias(n, t))
        deviations = (curve.energy - curve.energy.mean(axis=0)) ** 2 * len(curve.energy) / (len(curve.energy) - 1)
        agree(deviations, known.energy_variance(n, t), 1.4)
        off = np.abs(curve.energy.mean(axis=0) - known.energy_bias(n, t))
        assert (off <= 4.0 * np.sqrt(known.energy_variance(n, t) / len(curve.energy)) + errors.own["energy"]).all()
    assert (np.abs(errors.own["function"]) < 0.2 * np.sqrt(known.function(n, t))).all()
    expected = known.function(1, t) * np.exp(-2.0 * known.energy.attraction * t)  # the copies shrink with the cloud, e^{-(κ+λ)t}
    np.testing.assert_allclose(errors.variances, expected, rtol=1e-2)


@CASES
def test_expectations_are_of_what_is_measured(linear, which, problem):
    """Every error is the squared error of the copies times a known factor, start by start, and so are the expectations: no noise."""
    errors = linear[which].problems[problem.name]
    for i, (n, curve) in enumerate(errors.curves["iid"].items()):
        copies, expected = curve.copies[:, -1], errors.variances[-1] / n
        sup = np.square(samples(errors.curves["iid"], "coupling", -1)[n])
        assert np.median(sup / copies) == pytest.approx(errors.exact["coupling"][i, -1] / expected, rel=0.02)
        assert np.median(curve.function[:, -1] / copies) == pytest.approx(errors.exact["function"][i, -1] / expected, rel=0.02)


@CASES
def test_w2_beside_its_baseline(linear, which, problem):
    """Pooled over N, in units of the exact difference of squares."""
    known, errors = Constants(*problem.build()), linear[which].problems[problem.name]
    ratios = []
    for n, curve in errors.curves["iid"].items():
        w2 = curve.w2[:4]
        assert np.isfinite(w2).all()
        assert np.isnan(curve.w2[4:]).all()
        assert (w2[..., [1, 4]] <= w2[..., [0, 3]]).all()
        assert (w2[..., [0, 3]] <= w2[..., [2, 5]]).all()
        ratios.append((w2[..., 0] ** 2 - w2[..., 3] ** 2) / known.paired_difference(n, errors.cloud_times))
    agree(np.concatenate(ratios), 1.0)


@CASES
def test_exact_rows_hold(linear, which, problem):
    found = linear[which]
    exact = [row for row in found.rows if "exact expectation" in row.claim]
    assert len(exact) == 6
    assert {row.verdict for row in exact} == {"holds"}
    certain = [row for row in found.rows if row.claim.startswith(("W2 within", "|W2 −", "coupling error", "squared function error, t"))]
    assert len(certain) >= 6
    assert {row.verdict for row in certain} == {"holds"}
    coupling = next(row for row in found.rows if row.claim.startswith("coupling error"))
    assert coupling.measured == pytest.approx(-0.5, abs=5e-3)  # the copies' error, whose expectation is known, determines it
    assert coupling.high - coupling.low < 0.02


def test_what_a_study_holds(tiny):
    problem = tiny.problems["wave"]
    assert tuple(problem.curves["iid"]) == SIZES
    assert set(problem.curves) == {"iid", "qmc", "quantised"}
    for curve in problem.curves["iid"].values():
        assert curve.coupling.shape == curve.function.shape == curve.energy.shape == (16, len(problem.times))
        assert curve.w2.shape == (16, len(problem.cloud_times), 6)
        assert np.isfinite(curve.w2[:1]).all()
        assert np.isnan(curve.w2[1:]).all()
    assert problem.exact == {}
    assert problem.reference == 2048
    assert tiny.about["sizes"] == SIZES
    assert tiny.about["seconds"] > 0.0
    assert "wflow" in str(tiny.about["provenance"])
    json.dumps(tiny.about)
    assert tiny.rows
    assert list(tiny.plot()) == ["wave"]


def test_same_seed_same_bits(tiny):
    assert_same_numbers(tiny, run(WAVE, **TINY))
    assert differ(tiny, run(WAVE, **TINY, seed=1))


def test_two_workers(tiny):
    assert_same_numbers(tiny, run([WAVE], **{**TINY, "workers": 2}))


def test_an_executor(tiny):
    with ThreadPoolExecutor(2) as executor:
        assert_same_numbers(tiny, run([WAVE], **{**TINY, "workers": None}, executor=executor))


def test_problems_do_not_see_each_other(tiny):
    other = Problem("bandit", studies.bandit, 5.0)
    both = run([other, WAVE], **{**TINY, "w2_seeds": 1})
    assert list(both.problems) == ["bandit", "wave"]
    alone = replace(both, problems={"wave": both.problems["wave"]})
    assert_same_numbers(tiny, alone)


@pytest.mark.parametrize("seed", range(3))
def test_as_few_seeds_as_are_allowed(seed, tmp_path):
    """Two starts of each size say little, but what was measured is kept and can be told."""
    found = run([WAVE], **{**TINY, "seeds": 2}, seed=seed, path=tmp_path / "study.h5")
    assert found.table()
    found.plot()


def test_no_interaction():
    """Particles that are their own copies have no coupling error; the rest is measured."""
    found = run([Problem("free", studies.free, 1.0)], **TINY)
    curve = found.problems["free"].curves["iid"][12]
    assert not curve.coupling.any()
    assert curve.function.all()
    assert not [row for row in found.rows if row.claim.startswith("coupling error")]
    found.plot()


@pytest.mark.parametrize("in_file", [False, True])
def test_nothing_is_left_behind(tmp_path, monkeypatch, in_file):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    run([WAVE], **{**TINY, "w2_seeds": 0}, path=tmp_path / "study.h5" if in_file else None)
    assert [file.name for file in tmp_path.iterdir()] == (["study.h5"] if in_file else [])


def test_nothing_is_left_behind_by_a_failure(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    flag = tmp_path / "flag"
    flag.touch()
    with pytest.raises(RuntimeError, match=r"tasks failed .*the disk is gone"):
        run([Problem("fragile", studies.fragile, 2.0, (("flag", str(flag)),))], **TINY)
    assert [file.name for file in tmp_path.iterdir()] == ["flag"]


def test_file(tiny, tmp_path):
    path = tmp_path / "deep" / "study.h5"
    found = run([WAVE], **TINY, path=path)
    assert_same_numbers(found, tiny)
    assert is_study(path)
    assert_same_numbers(open_study(path), tiny)
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match=r"study\.h5 exists; force"):
        run([WAVE], **TINY, path=path)
    assert path.read_bytes() == before
    assert not path.with_name("study.h5.parts").exists()
    forced = run([WAVE], **TINY, seed=1, path=str(path), force=True)
    assert differ(forced, tiny)
    assert_same_numbers(open_study(path), forced)


def test_an_interrupted_study_goes_on(tiny, tmp_path):
    """Tasks of one size fail at first; what had ended is kept, and the numbers are those of a study that never stopped."""
    flag, path = tmp_path / "flag", tmp_path / "study.h5"
    flag.touch()
    problem = Problem("wave", studies.fragile, 2.0, (("flag", str(flag)),))
    with pytest.raises(RuntimeError, match=r"^\d+ of \d+ tasks failed \(OSError: the disk is gone\); the same call tries them again$"):
        run([problem], **TINY, path=path)
    assert not path.exists()
    folder = path.with_name("study.h5.parts")
    kept = {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file() and file.name != "study.json"}
    assert len(kept) > 5
    with pytest.raises(FileExistsError, match=r"study\.h5\.parts holds parts of another study; force"):
        run([problem], **{**TINY, "seeds": 15}, path=path)
    assert {file: file.stat().st_mtime_ns for file in kept} == kept
    flag.unlink()
    found = run([problem], **TINY, path=path)
    assert_same_numbers(found, tiny)
    assert not folder.exists()
    assert_same_numbers(open_study(path), tiny)


def test_kept_parts_are_not_run_again(tmp_path, monkeypatch):
    flag, path, calls = tmp_path / "flag", tmp_path / "study.h5", []
    flag.touch()
    problem = Problem("wave", studies.fragile, 2.0, (("flag", str(flag)),))
    with pytest.raises(RuntimeError, match=r"the disk is gone"):
        run([problem], **TINY, path=path)
    flag.unlink()
    errors = module.errors

    @wraps(errors)
    def counted(task):
        calls.append((task.start, task.n))
        return errors(task)

    monkeypatch.setattr(module, "errors", counted)
    run([problem], **TINY, path=path)
    assert ("iid", 6) in calls
    assert not {("iid", 24), ("qmc", 8), ("qmc", 16)} & set(calls)


def test_parts_of_another_study_and_force(tiny, tmp_path):
    """Force throws them away; the reference of the other study lies under the same name and must not be taken for this one's."""
    flag, path = tmp_path / "flag", tmp_path / "study.h5"
    flag.touch()
    problem = Problem("wave", studies.fragile, 2.0, (("flag", str(flag)),))
    with pytest.raises(RuntimeError, match="the disk is gone"):
        run([problem], **TINY, seed=1, path=path)
    flag.unlink()
    assert_same_numbers(run([problem], **TINY, path=path, force=True), tiny)


def test_a_folder_that_is_not_ours(tmp_path):
    path = tmp_path / "study.h5"
    folder = tmp_path / "study.h5.parts"
    folder.mkdir()
    (folder / "letters.txt").write_text("dear")
    with pytest.raises(FileExistsError, match="force"):
        run([WAVE], **TINY, path=path)
    assert (folder / "letters.txt").read_text() == "dear"


def test_interrupt(tmp_path, monkeypatch):
    """KeyboardInterrupt passes through, parts stay."""
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(_parts, "map_runs", stopped)
    with pytest.raises(KeyboardInterrupt):
        run([WAVE], **TINY, path=tmp_path / "study.h5")
    assert (tmp_path / "study.h5.parts" / "study.json").exists()


def test_progress(capsys):
    run([WAVE], **{**TINY, "w2_seeds": 0}, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    phases = [line.split(":")[0] for line in err.splitlines()]
    assert [phase for phase, _ in groupby(phases)] == list(dict.fromkeys(phases))  # one after the other
    assert {"pilot", "runs"} <= set(phases)
    assert any(phase.startswith("references") for phase in phases)


@pytest.mark.parametrize(("options", "error", "message"), [
    ({"problems": ["linaer"]}, ValueError, r"^problem must be one of .* \(did you mean 'linear'\?\)$"),
    ({"sizes": (6, 12)}, ValueError, "^sizes must be three or more"),
    ({"seeds": 1}, ValueError, "^seeds must be an integer of at least 2; got 1$"),
    ({"w2_seeds": -1}, ValueError, "^w2_seeds must be"),
    ({"seed": "zero"}, TypeError, "^seed must be"),
    ({"workers": 0}, ValueError, "^workers must be an integer of at least 1; got 0$"),
    ({"workers": "two"}, TypeError, "^workers must be"),
    ({"executor": 3, "workers": None}, TypeError, "^executor must be"),
    ({"path": 3}, TypeError, "path"),
    ({"problems": [Problem("own", studies.broken, 1.0)]}, TypeError, r"^make of problem own must return \(energy, law\)"),
    ({"problems": [Problem("own", studies.half_done, 1.0)]}, TypeError, "must have a method function_values"),
    ({"problems": [Problem("own", studies.wave, 1.0, (("scales", 2.0),))]}, TypeError, "scales"),
])  # fmt: skip
def test_refuses_before_any_work(options, error, message, tmp_path, monkeypatch):
    """No folder, no file, no reference."""
    monkeypatch.setattr(settling, "_solve", None)  # work would fail otherwise
    with pytest.raises(error, match=message):
        run(**{"problems": [WAVE], **TINY, "path": tmp_path / "study.h5", **options})
    assert list(tmp_path.iterdir()) == []


def test_a_refused_call_throws_nothing_away(tmp_path):
    """Not even with force, which is for a call that can go on."""
    folder = tmp_path / "study.h5.parts"
    folder.mkdir()
    (folder / "study.json").write_text("{}")
    with pytest.raises(ValueError, match=r"^workers must be"):
        run([WAVE], **{**TINY, "workers": 0}, path=tmp_path / "study.h5", force=True)
    assert (folder / "study.json").read_text() == "{}"
