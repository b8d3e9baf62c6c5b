"""Rows of a study's table: a claim, what was measured, what the theory says, and a verdict."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from wflow.progress import short
from wflow.studies.statistics import Verdict

__all__ = ["Row", "text", "write_rows"]


@dataclass(frozen=True)
class Row:
    """One claim.

    Attributes
    ----------
    problem, claim : str
    measured, low, high : float
        With its 95 % interval, NaN where it has none.
    theory : str
        What it is held against, such as ``"-1/2"`` or ``"< -1"``.
    margin : float
        By which it holds; negative where it does not.
    verdict : str
        "holds", "fails" or "undecided".
    note : str
    """

    problem: str
    claim: str
    measured: float
    low: float
    high: float
    theory: str
    margin: float
    verdict: Verdict
    note: str = ""


def text(rows: Sequence[Row], width: int = 150) -> str:
    """The rows as a table of text, a block for each problem."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    measured = "measured" if all(math.isnan(row.low) for row in rows) else "measured [95 % interval]"
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for heading, right in (("claim", False), (measured, True), ("theory", True), ("verdict", False), ("margin", True),
                           ("note", False)):  # fmt: skip
        table.add_column(heading, justify="right" if right else "left", no_wrap=heading != "note")
    problem = ""
    for row in rows:
        if row.problem != problem:
            problem = row.problem
            table.add_section()
            table.add_row(problem.upper())
        interval = "" if math.isnan(row.low) else f" [{_number(row.low)}, {_number(row.high)}]"
        table.add_row(f"  {row.claim}", _number(row.measured) + interval, row.theory, row.verdict, _number(row.margin), row.note)
    buffer = io.StringIO()
    console = Console(file=buffer, width=width, markup=False, highlight=False, emoji=False, color_system=None, force_jupyter=False)
    console.print(table)
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines())


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3f}" if 0.01 <= abs(value) < 10.0 else short(value)


def write_rows(group: Any, rows: Sequence[Row]) -> None:
    """Keep them in an HDF5 group, a dataset for each column."""
    for field in fields(Row):
        group[field.name] = [getattr(row, field.name) for row in rows]
