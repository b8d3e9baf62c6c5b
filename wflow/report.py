"""What the command prints: how far the runs are, the table of what they reached, where the time went, where they came from."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wflow.experiment import Run
    from wflow.loop import Solution

__all__ = ["Display", "display", "print_origin", "print_table"]


class Display:
    """Shows nothing: what `display` gives with `quiet`, and the base of what it gives otherwise."""

    def step(self, run: Run, t: float, diagnostics: Mapping[str, float]) -> None:
        """A run has reached time t."""

    def done(self, solution: Solution) -> None:
        """A run has ended."""


@contextmanager
def display(n_runs: int, quiet: bool = False) -> Iterator[Display]:
    """Progress on stderr: one bar over all runs on a terminal, else a line every five seconds and at the end of a run."""
    if quiet:
        yield Display()
    elif not sys.stderr.isatty():
        yield _Lines()
    else:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        with Progress(
            BarColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn(), console=Console(stderr=True), transient=True
        ) as progress:
            yield _Bar(progress, n_runs)


class _Lines(Display):
    _EVERY = 5.0

    def __init__(self) -> None:
        self._last = time.monotonic()

    def step(self, run: Run, t: float, diagnostics: Mapping[str, float]) -> None:
        if time.monotonic() - self._last > self._EVERY:
            self._last = time.monotonic()
            print(_standing(run, t, diagnostics), file=sys.stderr, flush=True)

    def done(self, solution: Solution) -> None:
        print(f"{_name(solution)}: {solution.status.value} after {solution.seconds['total']:.3g} s", file=sys.stderr, flush=True)


class _Bar(Display):
    """The bar grows with log(1 + t), as the steps of an adaptive method do."""

    def __init__(self, progress: Any, n_runs: int) -> None:
        self._progress, self._done, self._last = progress, 0, 0.0
        self._task = progress.add_task("starting", total=n_runs)

    def step(self, run: Run, t: float, diagnostics: Mapping[str, float]) -> None:
        if time.monotonic() - self._last > 0.1:
            self._last = time.monotonic()
            share = math.log1p(t) / math.log1p(run.arguments["t_end"])
            self._progress.update(self._task, completed=self._done + share, description=_standing(run, t, diagnostics))

    def done(self, solution: Solution) -> None:  # noqa: ARG002
        self._done += 1
        self._progress.update(self._task, completed=self._done)


def _standing(run: Run, t: float, diagnostics: Mapping[str, float]) -> str:
    name = "gap" if "gap" in diagnostics else "energy"
    return f"{run.name}: t = {t:.4g} of {run.arguments['t_end']:.4g}, {name} {_short(diagnostics[name])}"


# --- afterwards ---------------------------------------------------------------------------------------------------------------


def print_table(solutions: Sequence[Solution]) -> None:
    """A row for each run (why it stopped, gap with its certificate, costs), what to do about those that failed, the time split."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("run", "stopped"):
        table.add_column(heading, no_wrap=True)
    for heading in ("gap at the start [certified]", "gap at the end [certified]"):
        table.add_column(heading, min_width=11)
    for heading in ("evaluations\n(recording)", "steps", "rejected", "seconds"):
        table.add_column(heading, justify="right", no_wrap=True)
    for k, solution in enumerate(solutions):
        table.add_row(_name(solution, k), solution.status.value, *_reached(solution), *_costs(solution))
    Console(width=None if sys.stdout.isatty() else 140, markup=False, highlight=False, emoji=False).print(table)
    for k, solution in enumerate(solutions):
        if not solution.status.ok:
            print(f"{_name(solution, k)}: {solution.status.value}: {solution.message}")
    print(_time_split(solutions))


def _reached(solution: Solution) -> list[str]:
    """First and last gap with its bounds; the energy where there is no gap."""
    numbers = solution.diagnostics
    if not len(solution.times):
        return ["", ""]
    if "gap" not in numbers:
        return [f"energy {numbers['energy'][k]:.6g}" for k in (0, -1)]
    bounds = [f" [{_short(numbers['gap_lower'][k])}, {_short(numbers['gap_upper'][k])}]" if "gap_lower" in numbers else "" for k in (0, -1)]
    return [_short(numbers["gap"][k]) + bound for k, bound in zip((0, -1), bounds, strict=True)]


def _costs(solution: Solution) -> list[str]:
    """Field evaluations for stepping, and in brackets those that only recording asked for; steps; seconds."""
    counts, seconds = solution.counts, solution.seconds
    if not counts.get("rhs"):  # counts are written when a run ends
        return [""] * 4
    evaluations = str(counts["rhs"] + counts.get("spectral_radius", 0)) + (f" ({counts['recording']})" if counts["recording"] else "")
    return [evaluations, *(str(counts.get(name, "")) for name in ("steps", "rejected")), f"{seconds['total']:.3g}"]


def _time_split(solutions: Sequence[Solution]) -> str:
    """Wall seconds of all runs by what they went into; building and compiling before the first step are counted too."""
    parts = dict.fromkeys(("compile", "field", "linear algebra", "recording", "stepping", "building"), 0.0)
    for solution in solutions:
        seconds, setup = solution.seconds, solution.provenance.get("setup", {})
        total = seconds.pop("total", 0.0)
        seconds["stepping"] = max(0.0, total - sum(seconds.values()))
        compiled = setup.get("compile", 0.0)
        for name, value in {**seconds, "building": setup.get("seconds", 0.0) - compiled}.items():
            parts[name] = parts.get(name, 0.0) + value
        parts["compile"] += compiled
    return f"time: {sum(parts.values()):.3g} s = " + " + ".join(f"{name} {value:.3g}" for name, value in parts.items())


def print_origin(solutions: Sequence[Solution]) -> None:
    """What each experiment in a file was run with, and by what."""
    origins = {solution.provenance.get("experiment", ""): solution.provenance for solution in solutions if solution.provenance}
    for name, origin in origins.items():
        print(f"{name}: {origin.get('title') or 'no title'}" if name else "run from Python")
        chosen = {key: origin[key] for key in ("method", "rtol", "atol", "options", "t_end") if key in origin}
        for section, values in {**origin.get("config", {}), "solver": chosen | origin.get("config", {}).get("solver", {})}.items():
            print(f"  {section:<8} " + ", ".join(f"{key} = {value}" for key, value in values.items() if value not in ({}, [])))
        versions = ", ".join(f"{package} {version}" for package, version in origin["versions"].items())
        print(f"  {'made by':<8} {versions}, git {origin['git'] or 'unknown'}, on {origin['machine']}, {origin['date']}")


def _name(solution: Solution, k: int = 0) -> str:
    origin = solution.provenance
    return f"{origin['experiment']} seed {origin['seed']}" if "experiment" in origin else f"run {k}"


def _short(value: float) -> str:
    """Three figures in few characters: 0.112, 2.43e-6."""
    return (f"{value:.3g}" if value == 0.0 or 0.01 <= abs(value) < 1e4 else f"{value:.2e}").replace("e-0", "e-").replace("e+0", "e")
