"""The command: ``wflow list | run | plot | info``. Bad input is one line on stderr and exit code 2, with nothing written.

Exit codes: 0 as meant, 1 a run that did not end as meant or a failure on the way, 2 bad input, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from wflow.loop import Solution

__all__ = ["app", "main"]

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Measure dynamics: mean-field softmax policy gradient and its kin. Start with `wflow run fig1a`.",
)

_Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
_Force = Annotated[bool, typer.Option("--force", help="Replace what exists.")]


class _RefusedError(Exception):
    """Bad input, said in one line."""


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
        if isinstance(error, _RefusedError):
            return _say(str(error), 2)
        if hasattr(error, "format_message"):  # of typer: the words on the command line do not fit
            return _say(f"{error.format_message()} (wflow --help shows what there is)", 2)
        if isinstance(error, OSError):
            return _say(str(error), 1)
        return _say(f"{type(error).__name__}: {error} (a defect of wflow; --debug shows where)", 1)


def _say(text: str, code: int) -> int:
    print(f"wflow: {' '.join(text.split())}", file=sys.stderr)
    return code


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn what is said of bad input into a refusal."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise _RefusedError(str(error)) from error


# --- commands -----------------------------------------------------------------------------------------------------------------


@app.command("list")
def list_experiments() -> None:
    """The experiments that come with wflow."""
    from wflow.config import builtin

    for name, path in builtin().items():
        experiment = tomllib.loads(path.read_text(encoding="utf-8"))
        parts = experiment.get("include")
        print(f"{name:<12} {experiment['title']}; " + (f"{' and '.join(parts)}" if parts else f"{len(experiment['seeds'])} runs"))


@app.command()
def run(
    experiment: Annotated[str, typer.Argument(metavar="NAME|FILE.toml", help="Built-in experiment, or a file of your own.")],
    changes: Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="Change a setting: flow.n_particles=5000.")] = [],  # noqa: B006
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the HDF5 file and the figure.")] = Path(),
    force: _Force = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
    debug: _Debug = False,  # noqa: ARG001 (main looks for it)
) -> int:
    """Run an experiment: DIR/NAME.h5 with every run, DIR/NAME.png, and a table."""
    with _refusing():
        from wflow import config

        plan = config.load(experiment, changes)
        file, figure = out / f"{plan.name}.h5", out / f"{plan.name}.png"
        _check_outputs(out, (file, figure), force)
        from wflow import experiment as experiments
        from wflow import report, storage

        runs = experiments.build(plan)
    made = _missing_folders(out)
    try:
        with _refusing():
            out.mkdir(parents=True, exist_ok=True)
            target = storage.create(file, [run.layout for run in runs], force=force)
    except BaseException:
        for folder in made:  # innermost first; only empty ones go
            with suppress(OSError):
                folder.rmdir()
        raise
    solutions: list[Solution] = []
    with target, report.display(len(runs), quiet) as show:
        for solution in experiments.execute(runs, target, show.step):
            solutions.append(solution)
            show.done(solution)
    if not quiet:
        report.print_table(solutions)
    if solutions[-1].status.value == "interrupted":
        if not quiet:
            left = f"; {len(runs) - len(solutions)} runs were not begun" if len(solutions) < len(runs) else ""
            print(f"written: {file}, with every frame until then{left}")
        return 130
    _draw(solutions, figure)
    if not quiet:
        print(f"written: {file}, {figure}")
    return 0 if all(solution.status.ok for solution in solutions) else 1


@app.command()
def plot(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="HDF5 file of wflow, finished or not.")],
    out: Annotated[Path | None, typer.Option("--out", metavar="PNG", help="PNG, PDF or SVG; default: FILE with .png.")] = None,
    force: _Force = False,
    debug: _Debug = False,  # noqa: ARG001
) -> None:
    """Draw a file: the gaps of its runs; for a single run also its dissipation and its policy."""
    figure = file.with_suffix(".png") if out is None else out
    with _refusing():
        from wflow import loop

        solutions = loop.open_all(file)
        _check_outputs(figure.parent, (figure,), force)
        _draw(solutions, figure)
    print(figure)


@app.command()
def info(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="HDF5 file of wflow, finished or not.")],
    debug: _Debug = False,  # noqa: ARG001
) -> None:
    """What a file holds: the table of its runs, where the time went, and what they were run with."""
    with _refusing():
        from wflow import loop, report

        solutions = loop.open_all(file)
    report.print_table(solutions)
    report.print_origin(solutions)


# --- files --------------------------------------------------------------------------------------------------------------------


def _draw(solutions: Sequence[Solution], path: Path) -> None:
    from wflow import plotting

    plotting.save(plotting.plot_solution(solutions[0]) if len(solutions) == 1 else plotting.figure1(solutions), path)


def _check_outputs(folder: Path, files: Sequence[Path], force: bool) -> None:
    """Refuse before anything is computed what could not be written in the end; `folder` may still have to be made."""
    ancestor = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not ancestor.is_dir():
        raise NotADirectoryError(f"--out: {ancestor} is not a folder")
    if not os.access(ancestor, os.W_OK):
        raise PermissionError(f"--out: the folder {ancestor} cannot be written to")
    for file in files:
        if file.exists() and not force:
            raise FileExistsError(f"{file} exists; --force replaces it, --out puts the results elsewhere")


def _missing_folders(folder: Path) -> list[Path]:
    """The folders that making `folder` would make, innermost first."""
    return [path for path in (folder, *folder.parents) if not path.exists()]
