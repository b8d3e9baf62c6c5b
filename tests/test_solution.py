"""What a solution tells: its summary, its states by number, its figure."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest
from toys.decay import Decay, Euler

from wflow.loop import Solution, solve
from wflow.record import every_step


def test_the_summary_says_why_what_and_at_what_cost(tmp_path):
    class Certified(Decay):
        def diagnostics(self, t, y):
            gap = 0.5 * float(y @ y)
            return {"energy": -gap, "dissipation": 2 * gap, "gap": gap, "gap_lower": gap / 2, "gap_upper": 2 * gap}

    solution = solve(Certified(), [2.0], 1.0, Euler, options={"dt": 0.5}, path=tmp_path / "a.h5")
    lines = solution.summary().splitlines()
    assert lines[0] == "finished: reached t = 1"
    assert lines[1].split() == ["time", "0", "to", "1,", "3", "frames,", "2", "states", "kept"]
    assert "  gap               2 to 0.125" in lines
    assert "  gap certified in  [1, 4] at the start, [0.0625, 0.25] at the end" in lines
    assert any(line.startswith("  field evaluations 2 (steps 2, ") for line in lines)
    assert all(part in lines[-2] for part in ("wall time", "compile", "field", "recording", "rest"))
    assert lines[-1].endswith("a.h5")
    assert repr(solution) == "Solution(finished, t = 1, 3 frames)"
    np.testing.assert_array_equal(solution.gap, -solution.energy)


def test_states_by_number():
    solution = solve(Decay(), [1.0], 1.0, Euler, options={"dt": 0.25}, record=every_step("all"))
    assert [float(state[0]) for state in solution.states()] == [0.75**k for k in range(5)]
    assert solution.state(2)[0] == solution.state(-3)[0] == 0.75**2
    for k in (5, -6):
        with pytest.raises(IndexError, match="one of the 5 states kept"):
            solution.state(k)
    with pytest.raises(TypeError, match="k must be an integer"):
        solution.state(1.0)


def test_the_figure_is_the_plotting_rooms(monkeypatch):
    monkeypatch.setitem(sys.modules, "wflow.plotting", types.SimpleNamespace(plot=lambda solution, what: (solution, what)))
    solution = solve(Decay(), [1.0], 1.0, "RK45")
    assert solution.plot("gap") == (solution, "gap")
    assert solution.plot() == (solution, "overview")
    assert isinstance(solution, Solution)
