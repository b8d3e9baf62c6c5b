"""One voice for errors: the argument, what is allowed, what was given."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy import sparse

from wflow import _checks

COLOURS = ("crimson", "azure", "umber")


def test_near_matches():
    assert _checks.near_matches("crimsom", COLOURS) == " (did you mean 'crimson'?)"
    assert _checks.near_matches("colour", ["colours", "colour2"]) == " (did you mean 'colours' or 'colour2'?)"
    assert _checks.near_matches("xyz", COLOURS) == ""


def test_choice():
    assert _checks.choice("paint", "azure", COLOURS) == "azure"
    with pytest.raises(ValueError, match=r"^paint must be one of crimson, azure, umber; got 'azur' \(did you mean 'azure'\?\)$"):
        _checks.choice("paint", "azur", COLOURS)
    for value in (3, None, ["azure"]):
        with pytest.raises(ValueError, match=r"^paint must be one of crimson, azure, umber; got"):
            _checks.choice("paint", value, COLOURS)


@pytest.mark.parametrize("value", [0.5, 1, np.float32(0.5), np.int64(1), np.array(0.5)])
def test_real_accepts(value):
    number = _checks.real("x", value, at_least=0.0, at_most=1.0)
    assert type(number) is float
    assert number == float(value)


@pytest.mark.parametrize(("value", "bounds", "error", "message"), [
    (-1, {"at_least": 0.0}, ValueError, r"^x must be a finite number .*at least 0; got -1\.0$"),
    (0, {"above": 0.0}, ValueError, r"^x must be a finite number .*above 0; got 0\.0$"),
    (2, {"at_most": 1.0}, ValueError, r"^x must be a finite number .*at most 1; got 2\.0$"),
    (1, {"at_least": 0.0, "below": 1.0}, ValueError, r"^x must be a finite number .*at least 0 and below 1; got 1\.0$"),
    (np.nan, {}, ValueError, r"^x must be a finite number; got nan$"),
    (np.inf, {}, ValueError, r"^x must be a finite number; got inf$"),
    (np.nan, {"finite": False, "above": 0.0}, ValueError, r"^x must be a number .*above 0; got nan$"),
    ("1", {}, TypeError, r"^x must be a finite number; got '1'$"),
    (True, {}, TypeError, r"^x must be a finite number; got True$"),
    ([1.0], {}, TypeError, r"^x must be a finite number; got \[1\.0\]$"),
    (None, {}, TypeError, r"^x must be a finite number; got None$"),
    (1j, {}, TypeError, r"^x must be a finite number; got 1j$"),
])  # fmt: skip
def test_real_refuses(value, bounds, error, message):
    with pytest.raises(error, match=message):
        _checks.real("x", value, **bounds)


def test_real_lets_infinity_pass_when_told():
    assert _checks.real("t_end", np.inf, above=0.0, finite=False) == np.inf


def test_integer():
    assert _checks.integer("n", np.int32(4), at_least=4) == 4
    assert type(_checks.integer("n", np.int32(4))) is int
    with pytest.raises(ValueError, match=r"^n must be an integer of at least 1; got 0$"):
        _checks.integer("n", 0, at_least=1)
    for value in (1.0, "1", None, True, [1]):
        with pytest.raises(TypeError, match=r"^n must be an integer; got"):
            _checks.integer("n", value)


def test_array_converts():
    result = _checks.array("m", np.arange(6).reshape(2, 3).T, (3, None))
    assert (result.dtype, result.flags.c_contiguous, result.shape) == (np.float64, True, (3, 2))
    given = np.ones((2, 2))
    assert _checks.array("m", given) is given
    assert _checks.array("m", 3, ()).shape == ()
    assert np.isnan(_checks.array("m", [np.nan], finite=False)[0])


@pytest.mark.parametrize(("value", "rules", "error", "message"), [
    ([1, 2], {"shape": (3,)}, ValueError, r"^m must have shape \(3,\); got \(2,\)$"),
    ([1, 2], {"shape": (None, 2)}, ValueError, r"^m must have shape \(any, 2\); got \(2,\)$"),
    ([[1, np.nan]], {}, ValueError, r"^m must be finite; got nan at \[0, 1\]$"),
    (np.inf, {}, ValueError, r"^m must be finite; got inf$"),
    ([0.0, -2.0], {"at_least": 0.0}, ValueError, r"^m must be at least 0; got -2\.0 at \[1\]$"),
    ([1.0, 0.0], {"above": 0.0}, ValueError, r"^m must be above 0; got 0\.0 at \[1\]$"),
    ([np.nan], {"finite": False, "above": 0.0}, ValueError, r"^m must be above 0; got nan at \[0\]$"),
    ("text", {}, TypeError, r"^m must be an array of real numbers; got 'text'$"),
    ([[1.0], [1.0, 2.0]], {}, TypeError, r"^m must be an array of real numbers; got \[\[1\.0\], \[1\.0, 2\.0\]\]$"),
    ({"a": 1}, {}, TypeError, r"^m must be an array of real numbers; got \{'a': 1\}$"),
])  # fmt: skip
def test_array_refuses(value, rules, error, message):
    with pytest.raises(error, match=message):
        _checks.array("m", value, **rules)


def test_probability():
    weights = _checks.probability("p", [[0.25, 0.75], [1.0, 0.0]], (None, 2))
    assert weights.shape == (2, 2)
    kept = np.array([0.5, 0.5 + 1e-9])
    assert _checks.probability("p", kept) is kept  # inside the tolerance, not renormalised
    with pytest.raises(ValueError, match=r"^p must sum to 1; got 0\.5$"):
        _checks.probability("p", [0.25, 0.25])
    with pytest.raises(ValueError, match=r"^p must sum to 1; got 1\.5 in row \[1\]$"):
        _checks.probability("p", [[0.5, 0.5], [1.0, 0.5]])
    with pytest.raises(ValueError, match=r"^p must be at least 0; got -0\.5 at \[1\]$"):
        _checks.probability("p", [1.5, -0.5])


class Strange:
    def __repr__(self):
        return "two\n  lines"


def test_values_are_quoted_on_one_line():
    assert _checks.show(Strange()) == "two lines"
    assert _checks.show("two\nlines") == r"'two\nlines'"
    assert _checks.show([16**5000]) == "list with an integer of thousands of digits"
    with pytest.raises(TypeError, match=r"^x must be a finite number; got array\(\[\[1\., 1\.\], \[1\., 1\.\]\]\)$"):
        _checks.real("x", np.ones((2, 2)))


def test_instance():
    assert _checks.instance("m", 3, int, "a whole number") == 3
    with pytest.raises(TypeError, match=r"^m must be a whole number; got two lines$"):
        _checks.instance("m", Strange(), int, "a whole number")


@pytest.mark.parametrize("value", [[[1.0], [1.0, 2.0]], np.array("1.0"), np.array(True), np.array(1j), np.complex128(1.0), np.ma.masked,
                                   np.timedelta64(3), np.datetime64("2021")])  # fmt: skip
def test_no_number_is_taken_for_one(value):
    with pytest.raises(TypeError, match=r"^x must be a finite number; got"):
        _checks.real("x", value)


@pytest.mark.parametrize("value", [np.ma.array([1.0, 2.0], mask=[False, True]), sparse.eye_array(2), np.array(["2021"], "M8[Y]"), [1j]])
def test_no_array_of_numbers_is_taken_for_one(value):
    with pytest.raises(TypeError, match=r"^m must be an array of real numbers; got"):
        _checks.array("m", value)


def test_sizes_beyond_reason_are_refused():
    """Squares, products and quotients of what passes are finite."""
    for value in (1e101, -1e101, 10**101):
        with pytest.raises(ValueError, match=r"^x must be at most 1e\+100 in magnitude; got -?1"):
            _checks.real("x", value)
    with pytest.raises(ValueError, match=r"^x must be a finite number; got 1000"):
        _checks.real("x", 10**400)
    with pytest.raises(ValueError, match=r"^x must be at least 1e-100; got 1e-320$"):
        _checks.real("x", 1e-320, above=0.0)
    with pytest.raises(ValueError, match=r"^n must be at most 1e\+100 in magnitude; got int with"):
        _checks.integer("n", 16**5000)
    with pytest.raises(ValueError, match=r"^m must be at most 1e\+100 in magnitude; got -1e\+300 at \[1\]$"):
        _checks.array("m", [0.0, -1e300])
    with pytest.raises(ValueError, match=r"^m must be at least 1e-100; got 1e-320 at \[0\]$"):
        _checks.array("m", [1e-320], above=0.0)
    with pytest.raises(ValueError, match=r"^m must be finite; got inf at \[0\]$"):
        _checks.array("m", np.array([np.longdouble("1e4000")]))
    assert _checks.real("x", 1e300, finite=False) == _checks.array("x", 1e300, finite=False) == 1e300


def swapped(a):
    return a.astype(a.dtype.newbyteorder())


def unaligned(a):
    view = np.empty(a.nbytes + 1, dtype=np.uint8)[1:].view(float).reshape(a.shape)
    view[...] = a
    return view


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


@pytest.mark.parametrize("lay", [swapped, unaligned, read_only, np.asfortranarray, np.ma.asarray, lambda a: a.astype(np.float32)])
def test_arrays_come_in_one_layout(lay):
    """Kernels are compiled for it alone; what was given stays as it was."""
    plain = np.arange(6.0).reshape(2, 3)
    given = lay(plain)
    before = given.tobytes()
    for result in (_checks.array("m", given), _checks.fitting("m", given, (2, 3))):
        assert type(result) is np.ndarray
        assert result.dtype is np.dtype(float)
        assert result.flags.carray
        assert result.tobytes() == plain.tobytes()
    assert given.tobytes() == before


def test_fitting():
    kept = np.array([[1.0, np.nan]])
    for shape in ((1, 2), (None, 2)):
        assert _checks.fitting("m", kept, shape) is kept
    assert np.isnan(_checks.fitting("m", [[1, np.nan]], (1, 2))[0, 1])
    for value, shape in ((kept, (2, 2)), (kept, (2,)), (np.array(1.0), (None,)), ([1.0], (2,)), (kept, (None, 2, 1))):
        with pytest.raises(ValueError, match=r"^m must have shape"):
            _checks.fitting("m", value, shape)


def test_memory(monkeypatch):
    assert 1e6 < _checks._room() < 1e18
    monkeypatch.setattr(_checks, "_room", lambda: 8e9)
    _checks.memory("n", 10**9, 8 * 10**9)
    with pytest.raises(ValueError, match=r"^n must be small enough for 8 GB of memory; got 1000000001$"):
        _checks.memory("n", 10**9 + 1, 8 * (10**9 + 1))


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
def test_a_process_of_limited_memory_has_no_more():
    code = "import resource; resource.setrlimit(resource.RLIMIT_AS, (2**33, -1)); from wflow import _checks; print(_checks._room())"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(told.stdout) <= 2**33


def test_long_values_are_cut():
    with pytest.raises(TypeError) as caught:
        _checks.real("x", list(range(1000)))
    assert len(str(caught.value)) < 120
    assert str(caught.value).endswith("…")
