"""The command: ``wflow list | run | resume | plot | movie | info | study``. Bad input is one line on stderr and nothing written.

Exit codes: 0 as meant, 1 a run that did not end as meant or a failure on the way, 2 bad input, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wflow import study_cli
from wflow._refusals import RefusedError, check_outputs, refusing

if TYPE_CHECKING:
    from wflow.loop import Solution
    from wflow.storage.collection import Collection

__all__ = ["app", "main"]

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Measure dynamics: mean-field softmax policy gradient and its kin. Start with `wflow run fig1a`.",
)
app.add_typer(study_cli.app, name="study")

_Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
_Force = Annotated[bool, typer.Option("--force", help="Replace what exists.")]
_Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")]
_Workers = Annotated[int, typer.Option("--workers", min=1, metavar="N", help="Processes; 1: this one, one run after another.")]
_Run = Annotated[int | None, typer.Option("--run", min=0, metavar="K", help="Only run K of the file, from 0.")]
_WHATS = "overview, gap, dissipation, drift, policy, particles, density."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code. Heavy imports wait for the command that needs them."""
    words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        code = int(app(words, prog_name="wflow", standalone_mode=False) or 0)
        return _say("interrupted", 130) if code == 130 else code
    except (KeyboardInterrupt, typer.Abort):  # newer typers make 130 of it
        return _say("interrupted", 130)
    except Exception as error:
        if "--debug" in words:
            raise
        if isinstance(error, RefusedError):
            return _say(str(error), 2)
        if hasattr(error, "format_message"):  # of typer: the words on the command line do not fit
            return _say(f"{error.format_message()} (wflow --help shows what there is)", 2)
        if isinstance(error, OSError):
            return _say(str(error), 1)
        return _say(f"{type(error).__name__}: {error} (a defect of wflow; --debug shows where)", 1)


def _say(text: str, code: int) -> int:
    print(f"wflow: {' '.join(text.split())}", file=sys.stderr)
    return code


# --- commands -----------------------------------------------------------------------------------------------------------------


@app.command("list")
def list_experiments() -> None:
    """The experiments that come with wflow."""
    from wflow.config import builtin

    for name, path in builtin().items():
        experiment = tomllib.loads(path.read_text(encoding="utf-8"))
        parts = experiment.get("include")
        runs = len(experiment.get("seeds", ()))
        print(f"{name:<18} {experiment['title']}; " + (f"{' and '.join(parts)}" if parts else f"{runs} run{'s' if runs > 1 else ''}"))


@app.command()
def run(
    experiment: Annotated[str, typer.Argument(metavar="NAME|FILE.toml", help="Built-in experiment, or a file of your own.")],
    changes: Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="Change a setting: flow.n_particles=5000.")] = [],  # noqa: B006
    sweeps: Annotated[list[str], typer.Option("--sweep", metavar="KEY=A,B,C", help="Run every value; several: every combination.")] = [],  # noqa: B006
    seeds: Annotated[int | None, typer.Option("--seeds", min=1, metavar="N", help="Run seeds 0 to N - 1 instead of the file's.")] = None,
    workers: _Workers = 1,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the HDF5 file and the figure.")] = Path(),
    force: _Force = False,
    quiet: _Quiet = False,
    debug: _Debug = False,  # noqa: ARG001 (main looks for it)
) -> int:
    """Run an experiment or a sweep: DIR/NAME.h5 with every run, DIR/NAME.png, and a table. A run that fails does not stop the others."""
    with refusing():
        from wflow import config

        name = config.load(experiment, changes).name
        file, figure = out / f"{name}.h5", out / f"{name}.png"
        if out.is_dir():
            from wflow.storage.collection import check_parts

            check_parts(file, force)
        check_outputs(out, (file, figure), force)
        from wflow import sweep
        from wflow.storage.collection import Collection

        plan = sweep.plan(experiment, changes, sweeps, seeds)
    made = _missing_folders(out)
    try:
        with refusing():
            out.mkdir(parents=True, exist_ok=True)
            runs = Collection.create(file, plan, force=force)
    except BaseException:
        for folder in made:  # innermost first; only empty ones go
            with suppress(OSError):
                folder.rmdir()
        raise
    return _execute(runs, range(len(plan["runs"])), figure, workers, quiet=quiet)


@app.command()
def resume(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="HDF5 file of `wflow run`, interrupted, killed or finished.")],
    t_end: Annotated[float | None, typer.Option("--t-end", metavar="T", help="Extend all runs to this mean-field time.")] = None,
    max_steps: Annotated[int | None, typer.Option("--max-steps", min=1, metavar="N", help="Allow so many steps in all.")] = None,
    workers: _Workers = 1,
    force: Annotated[bool, typer.Option("--force", help="Draw FILE.png anew; take over from a host that never said it ended.")] = False,
    quiet: _Quiet = False,
    debug: _Debug = False,  # noqa: ARG001
) -> int:
    """Go on where a file's runs stopped: bit for bit where the method is ours, else from their last step; begin those that are missing."""
    with refusing():
        from wflow import loop, sweep
        from wflow.storage import collection

        file = collection.named(file)
        plan = collection.plan_of(file)
        left = sweep.extend(plan, [solution.stored for solution in loop.open_all(file)], t_end, max_steps)
        if not left and not collection.folder_of(file).exists():
            if not quiet:
                print("all runs have ended as they were meant to; --t-end extends them")
            return 0
        runs = collection.Collection.reopen(file, plan, force=force)
    figure = runs.path.with_suffix(".png")
    return _execute(runs, left, figure, workers, quiet=quiet, redraw=force or not figure.exists(), force=force)


def _execute(
    runs: Collection, numbers: Sequence[int], figure: Path, workers: int, *, quiet: bool, redraw: bool = True, force: bool = False
) -> int:
    """Have the runs made, and tell what came of all."""
    from wflow import loop, report, sweep

    ended = sweep.execute(runs, numbers, workers=workers, force=force, quiet=quiet)
    file = Path(os.path.relpath(runs.path)) if runs.path.is_relative_to(Path.cwd()) else runs.path
    solutions = loop.open_all(runs.path)
    if not quiet:
        report.print_table(solutions)
    if not ended:
        if not quiet:
            waiting = sum(solution.status.value == "waiting" for solution in solutions)
            left = f"; {waiting} runs were not begun" if waiting else ""
            print(f"written: {file}, with every frame until then{left}; wflow resume {file} goes on")
        return 130
    drawn = redraw and any(len(solution.times) for solution in solutions)
    if drawn:
        _draw(solutions, figure)
    ok = all(solution.status.ok for solution in solutions)
    if not quiet:
        print(f"written: {file}" + (f", {file.with_suffix('.png')}" if drawn else ""))
        if not drawn and figure.exists():
            print(f"left as it was: {file.with_suffix('.png')}; wflow plot {file} --force draws it anew")
        if not ok:
            print(f"once the cause is gone, wflow resume {file} goes on with the runs that did not end as meant")
    return 0 if ok else 1


@app.command()
def plot(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="HDF5 file of wflow, finished or not.")],
    what: Annotated[str, typer.Option("--what", metavar="KIND", help=_WHATS)] = "overview",
    number: _Run = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="PNG", help="PNG, PDF or SVG; default: FILE with .png.")] = None,
    force: _Force = False,
    debug: _Debug = False,  # noqa: ARG001
) -> None:
    """Draw a file: by default the gaps of its runs, by setting for a sweep; of a single run all that it has."""
    with refusing():
        from wflow import loop, studies

        if studies.is_study(file):
            found = studies.open_study(file)
            check_outputs(file.parent, study_cli.figure_paths(found, file), force)
            print("\n".join(map(str, study_cli.save_figures(found, file))))
            return
        solutions = loop.open_all(file) if number is None else [loop.open(file, number)]
        stem = file.with_suffix("") if file.suffix == ".parts" else file
        figure = stem.with_suffix(".png" if what == "overview" else f".{what}.png") if out is None else out
        check_outputs(figure.parent, (figure,), force)
        _draw(solutions, figure, what)
    print(figure)


@app.command()
def movie(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="HDF5 file of wflow, finished or not.")],
    number: _Run = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="GIF", help="Default: FILE with .gif.")] = None,
    frames: Annotated[int, typer.Option("--frames", metavar="N", help="At most so many, evenly picked.")] = 100,
    fps: Annotated[int, typer.Option("--fps", metavar="N", help="Frames a second, at most 50.")] = 12,
    force: _Force = False,
    quiet: _Quiet = False,
    debug: _Debug = False,  # noqa: ARG001
) -> None:
    """Move a run's particles, or its density on a grid, through the states that it kept (record.states = "all"): an animated GIF."""
    with refusing():
        from wflow import loop, plotting, studies
        from wflow.progress import counting

        if studies.is_study(file):
            raise ValueError(f"{file} holds a study; a movie shows one run, of a file of wflow run or wflow.solve")
        if number is None and (count := len(loop.open_all(file))) > 1:
            raise ValueError(f"{file} holds {count} runs; a movie shows one of them: --run 0 to --run {count - 1}")
        solution = loop.open(file, number or 0)
        stem = file.with_suffix("") if file.suffix == ".parts" else file
        target = stem.with_suffix(".gif") if out is None else out
        check_outputs(target.parent, (target,), force)
        with counting("frames", not quiet) as tell:
            plotting.save_movie(solution, target, frames=frames, fps=fps, tell=tell)
    if not quiet:
        few = len(solution.state_times) < len(solution.times) and len(solution.state_times) == 2
        print(f"{target}" + ("; the run kept its first and last state only, record.states = \"all\" keeps more" if few else ""))


@app.command()
def info(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="HDF5 file of wflow, finished or not.")],
    number: _Run = None,
    debug: _Debug = False,  # noqa: ARG001
) -> None:
    """What a file holds: the table of its runs, where the time went, and what they were run with."""
    with refusing():
        from wflow import loop, report, studies

        if studies.is_study(file):
            study_cli.print_study(studies.open_study(file))
            return
        solutions = loop.open_all(file) if number is None else [loop.open(file, number)]
    report.print_table(solutions)
    report.print_origin(solutions)


# --- files --------------------------------------------------------------------------------------------------------------------


def _draw(solutions: Sequence[Solution], path: Path, what: str = "overview") -> None:
    from wflow import plotting

    plotting.save(plotting.plot(solutions, what), path)


def _missing_folders(folder: Path) -> list[Path]:
    """The folders that making `folder` would make, innermost first."""
    return [path for path in (folder, *folder.parents) if not path.exists()]
