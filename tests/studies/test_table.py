"""Rows of a study as text and in a file; and how far a study is."""

from __future__ import annotations

import io
import math
from contextlib import suppress

import h5py
import numpy as np
import pytest
from rich.console import Console

from wflow.studies import _progress
from wflow.studies.table import Row, text, write_rows

NAN = math.nan
ROWS = [
    Row("linear", "coupling error", -0.50012, -0.512, -0.491, "-0.5", 0.038, "holds", "to ± 0.05"),
    Row("linear", "bias of E", -0.8, -1.4, -0.2, "-1", -0.35, "undecided", ""),
    Row("bandit [relu]", "largest excess", 1.25e-7, NAN, NAN, "0", -1.25e-7, "fails", "48 distances"),
]


def test_text():
    lines = text(ROWS, width=200).splitlines()
    found = [line.split() for line in lines]
    assert ["LINEAR"] in found
    assert ["BANDIT", "[RELU]"] in found  # no markup
    assert found.index(["LINEAR"]) < found.index(["BANDIT", "[RELU]"])
    assert sum(line == ["LINEAR"] for line in found) == 1
    coupling, bias, excess = (next(line for line in lines if row.claim in line) for row in ROWS)
    assert "-0.500 [-0.512, -0.491]" in coupling
    assert coupling.split()[-6:] == ["-0.5", "holds", "0.038", "to", "±", "0.05"]
    assert "undecided" in bias
    assert "-0.350" in bias
    assert "[" not in excess
    assert "fails" in excess
    assert "48 distances" in excess
    assert not any(line.endswith(" ") for line in lines)
    assert "\x1b" not in text(ROWS)


def test_text_of_nothing():
    assert "claim" in text([])


def test_long_notes_wrap_and_claims_do_not():
    rows = [Row("a", "some claim", 1.0, NAN, NAN, "1", 0.1, "holds", "word " * 60)]
    lines = text(rows, width=100).splitlines()
    assert max(map(len, lines)) <= 100
    assert sum("word" in line for line in lines) > 2
    assert sum("some claim" in line for line in lines) == 1


def test_rows_in_a_file(tmp_path):
    with h5py.File(tmp_path / "table.h5", "w") as file:
        write_rows(file.create_group("table"), ROWS)
    with h5py.File(tmp_path / "table.h5") as file:
        table = file["table"]
        assert set(table) == {"problem", "claim", "measured", "low", "high", "theory", "margin", "verdict", "note"}
        assert [text.decode() for text in table["verdict"][()]] == ["holds", "undecided", "fails"]
        assert [text.decode() for text in table["note"][()]] == ["to ± 0.05", "", "48 distances"]
        np.testing.assert_array_equal(table["measured"][()], [row.measured for row in ROWS])
        np.testing.assert_array_equal(table["low"][()], [-0.512, -1.4, NAN])


def through(show, names=("references", "runs")):
    with _progress.telling(show) as tell:
        for name in names:
            with tell(name, 3) as done:
                for _ in range(3):
                    assert done(None) is not True  # which would stop the runs


def test_silence(capsys):
    through(False)
    assert capsys.readouterr() == ("", "")


def test_lines_where_there_is_no_terminal(capsys):
    through(True)
    out, err = capsys.readouterr()
    assert out == ""
    told = [line.split(",")[0] for line in err.splitlines()]
    assert [line for line in told if "3 of 3" in line] == ["references: 3 of 3", "runs: 3 of 3"]
    assert told[-1] == "runs: 3 of 3"


def test_lines_every_five_seconds(capsys, monkeypatch):
    """A clock that goes 2 seconds a task."""
    now = iter(np.arange(0.0, 1000.0, 1.0))
    monkeypatch.setattr(_progress.time, "monotonic", lambda: float(next(now)))
    with _progress.telling(True) as tell, tell("runs", 30) as done:
        for _ in range(30):
            done(None)
    lines = capsys.readouterr().err.splitlines()
    assert 3 < len(lines) < 15
    assert lines[-1].startswith("runs: 30 of 30")
    assert all(" left" in line for line in lines[:-1])


def test_a_closed_stderr_stops_nothing(monkeypatch):
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(_progress.sys, "stderr", closed)
    with _progress.telling(True) as tell, tell("runs", 1) as done:
        done(None)


def test_bars_on_a_terminal(monkeypatch):
    buffer = io.StringIO()
    console = Console(file=buffer, force_terminal=True, width=100, color_system=None)
    monkeypatch.setattr(_progress, "terminal", lambda: console)
    through(True)
    shown = buffer.getvalue()
    assert "references" in shown
    assert "runs" in shown
    assert "3 of 3" in shown


def test_an_error_passes_through():
    with pytest.raises(RuntimeError, match=r"^broken$"), _progress.telling(False) as tell, tell("runs", 2):
        raise RuntimeError("broken")
    with suppress(RuntimeError), _progress.telling(True) as tell, tell("runs", 2):
        raise RuntimeError("broken")
