"""Public functions with mutated arguments: a finite result, bitwise that of the plain values, or one line about the argument."""

from __future__ import annotations

import re
from contextlib import nullcontext
from functools import cache
from typing import Any

import numpy as np
from fuzz.calls import Call
from fuzz.changes import Changed, changed, numbers, snapshot
from fuzz.guards import fuzz, one_line

from wflow import _jit


@cache
def plain(call: Call) -> list[Any]:
    """The result of the arguments as they are."""
    return numbers(call.function(**call.arguments))


def check_refusal(error: Exception, case: Changed) -> None:
    """One line that begins with the name of an argument and says what is allowed."""
    text = one_line(error)
    assert not case.same, f"the same values were refused: {text}"
    if isinstance(error, RuntimeError):  # documented: there is an end to what rounding allows
        assert "raise tolerance" in text
        return
    arguments = {*case.call.arguments, *case.call.also}
    assert any(re.match(rf"{re.escape(name)}\b", text) for name in arguments), f"names no argument: {text}"
    assert re.search(r" must | has no option ", text), f"does not say what is allowed: {text}"


def check_result(found: list[Any], case: Changed) -> None:
    """Finite; and for the same values the same bits, from code that was there."""
    for array in found if case.call.finite else ():
        assert np.isfinite(array).all(), f"not finite: {array}"
    if case.same:
        expected = plain(case.call)
        assert [array.dtype for array in found] == [array.dtype for array in expected]
        assert [array.tobytes() for array in found] == [array.tobytes() for array in expected]


def outcome(case: Changed) -> str:
    """What became of a call, cleanly: "result" or "error"."""
    plain(case.call)  # compiles
    before, compiled = snapshot(case.arguments), _jit.compile_seconds()
    found = refusal = None
    try:
        with nullcontext() if case.call.finite else np.errstate(all="ignore"):
            found = numbers(case.call.function(**case.arguments))
    except (ValueError, TypeError, RuntimeError) as error:
        refusal = error
    assert snapshot(case.arguments) == before, "an argument was changed in place"
    if refusal is not None:
        check_refusal(refusal, case)
        return "error"
    assert found is not None
    check_result(found, case)
    assert not case.same or _jit.compile_seconds() == compiled, "compiled anew for another layout"
    return "result"


def test_mutated_arguments():
    fuzz(1500, changed, outcome)
