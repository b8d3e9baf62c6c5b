"""What the command prints when runs have ended: the table of what they reached, where the time went, where they came from."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from wflow.progress import short

if TYPE_CHECKING:
    from rich.table import Table

    from wflow.loop import Solution

__all__ = ["label", "print_origin", "print_table"]

_AT_WALLS = 1e-6  # of the mass, worth a word


def label(provenance: Mapping[str, Any], k: int = 0) -> str:
    """Experiment, swept values and seed of a run; "run k" if it has none."""
    if "experiment" not in provenance:
        return f"run {k}"
    return " ".join([_setting(provenance), f"seed {provenance['seed']}"])


def _setting(provenance: Mapping[str, Any]) -> str:
    swept = [f"{key.rpartition('.')[2]}={value}" for key, value in provenance.get("sweep", {}).items()]
    return " ".join([provenance.get("experiment", "runs"), *swept])


def print_table(solutions: Sequence[Solution]) -> None:
    """Of a sweep a row for each setting, else one for each run; what to do about runs that failed; the time split."""
    from rich.console import Console

    swept = len(solutions) > 1 and any(solution.provenance.get("sweep") for solution in solutions)
    table = _by_setting(solutions) if swept else _by_run(solutions)
    console = Console(width=None if sys.stdout.isatty() else 140, markup=False, highlight=False, emoji=False)
    console.print(table)
    if not swept and any(solution.residuals for solution in solutions):
        console.print(_residuals(solutions))
    for k, solution in enumerate(solutions):
        if not solution.status.ok:
            print(f"{label(solution.provenance, k)}: {solution.status.value}: {solution.message}")
        if (mass := _cut_off(solution)) > _AT_WALLS:
            print(f"{label(solution.provenance, k)}: up to {mass:.1e} of the mass lay at the walls; a wider box cuts off less")
    print(_time_split(solutions))


def _cut_off(solution: Solution) -> float:
    """The most mass that lay at walls which only cut off a law on the whole space; 0 where walls are part of the problem."""
    from wflow import problems

    if "wall_mass" not in solution.diagnostics or not len(solution.times):
        return 0.0
    problem = problems.stored(solution.provenance) if "config" in solution.provenance else None
    return 0.0 if problem is not None and problem.walled else float(solution.diagnostics["wall_mass"].max())


def _table(left: Sequence[str], right: Sequence[str]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in left:
        numbers = heading.startswith(("gap", "at the"))
        table.add_column(heading, no_wrap=not numbers, min_width=11 if numbers else None)
    for heading in right:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _by_run(solutions: Sequence[Solution]) -> Table:
    """How far it came and why it stopped, gap with its certificate or energy with its distance from a closed form, costs."""
    known = any("gap" in solution.diagnostics for solution in solutions)
    ends = ["gap at the start [certified]", "gap at the end [certified]"] if known else ["at the start", "at the end"]
    table = _table(["run", "t", "stopped", *ends], ["evaluations\n(recording)", "steps", "rejected", "seconds"])
    for k, solution in enumerate(solutions):
        reached = f"{solution.times[-1]:.4g}" if len(solution.times) else ""
        table.add_row(label(solution.provenance, k), reached, solution.status.value, *_reached(solution), *_costs(solution))
    return table


def _residuals(solutions: Sequence[Solution]) -> Table:
    """What is left of δ, F and g at the ends of the runs."""
    table = _table(["residuals"], ["sup|δ|", "in L²", "∫|F|²dν", "sup|g_ν|", "at most"])
    table.add_column("at ω̄")
    for k, solution in enumerate(solutions):
        if (found := solution.residuals) is not None:
            numbers = (found.advantage_sup, found.advantage_l2, found.dissipation, found.g_sup, found.g_bound)
            table.add_row(label(solution.provenance, k), *("" if math.isnan(x) else short(x) for x in numbers), found.where())
    return table


def _by_setting(solutions: Sequence[Solution]) -> Table:
    """How many runs ended as meant, and of those the median over the seeds, with the least and the largest."""
    table = _table(["setting", "ended", "gap at the end [least, largest]"], ["evaluations", "steps", "seconds"])
    settings: dict[str, list[Solution]] = {}
    for solution in solutions:
        settings.setdefault(_setting(solution.provenance), []).append(solution)
    for name, runs in settings.items():
        ended = [run for run in runs if run.status.ok]
        quantity = "gap" if all("gap" in run.diagnostics for run in ended) else "energy"
        costs = [[run.counts["rhs"] + run.counts.get("spectral_radius", 0), run.counts["steps"], run.seconds["total"]] for run in ended]
        row = [name, f"{len(ended)} of {len(runs)}", "", "", "", ""]
        if ended:
            values = [float(run.diagnostics[quantity][-1]) for run in ended]
            word = "" if quantity == "gap" else "energy "
            row[2] = f"{word}{short(median(values))} [{short(min(values))}, {short(max(values))}]"
            row[3:] = [f"{median(column):.3g}" if k == 2 else f"{median(column):.0f}" for k, column in enumerate(zip(*costs, strict=True))]
        table.add_row(*row)
    return table


def _reached(solution: Solution) -> list[str]:
    """First and last gap with its bounds; the energy where there is no gap."""
    numbers = solution.diagnostics
    if not len(solution.times):
        return ["", ""]
    if "gap" not in numbers:
        start, end = (f"energy {numbers['energy'][k]:.6g}" for k in (0, -1))
        return [start, end + _errors(solution)]
    bounds = [f" [{short(numbers['gap_lower'][k])}, {short(numbers['gap_upper'][k])}]" if "gap_lower" in numbers else "" for k in (0, -1)]
    return [short(numbers["gap"][k]) + bound for k, bound in zip((0, -1), bounds, strict=True)]


def _errors(solution: Solution) -> str:
    """Distance of the last state from the closed form of its problem, where there is one."""
    from wflow import problems

    problem = problems.stored(solution.provenance)
    if problem is None or math.isnan(solution.final_time):
        return ""
    found = problem.errors(solution.final_time, solution.final)
    return "".join(f"; error {short(value)} ({name})" for name, value in found.items())


def _costs(solution: Solution) -> list[str]:
    """Field evaluations for stepping, and in brackets those that only recording asked for; steps; seconds."""
    counts, seconds = solution.counts, solution.seconds
    if not counts.get("rhs") and not counts.get("steps"):  # counts are written when a run ends
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
    known = [solution.provenance for solution in solutions if "versions" in solution.provenance]
    for name, origin in {origin.get("experiment", ""): origin for origin in known}.items():
        print(f"{name}: {origin.get('title') or 'no title'}" if name else "run from Python")
        for key in origin.get("sweep", {}):
            values = dict.fromkeys(str(other["sweep"][key]) for other in known if other.get("experiment") == name)
            print(f"  {'swept':<8} {key} = {', '.join(values)}")
        chosen = {key: origin[key] for key in ("method", "rtol", "atol", "options", "t_end") if key in origin}
        for section, values in {**origin.get("config", {}), "solver": chosen | origin.get("config", {}).get("solver", {})}.items():
            fixed = {key: value for key, value in values.items() if f"{section}.{key}" not in origin.get("sweep", {})}
            print(f"  {section:<8} " + ", ".join(f"{key} = {value}" for key, value in fixed.items() if value not in ({}, [])))
        versions = ", ".join(f"{package} {version}" for package, version in origin["versions"].items())
        print(f"  {'made by':<8} {versions}, git {origin['git'] or 'unknown'}, on {origin['machine']}, {origin['date']}")
    named = [(label(solution.provenance, k), solution) for k, solution in enumerate(solutions)]
    resumed = [(name, entry) for name, solution in named for entry in solution.provenance.get("resumed", [])]
    for name, entry in resumed[:10]:
        doubt = f"bits may differ: {entry['doubt']}" if entry["doubt"] else "bit for bit"
        print(f"{name}: resumed at t = {entry['t']:.6g} after it was {entry['after']}, {entry['date']}; {doubt}")
    if len(resumed) > 10:
        print(f"and {len(resumed) - 10} more")
