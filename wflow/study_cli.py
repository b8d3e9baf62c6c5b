"""``wflow study NAME``: a study's HDF5 file, its table and its figures."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wflow._refusals import check_outputs, refusing

if TYPE_CHECKING:
    from wflow.studies.chaos import Chaos
    from wflow.studies.grids import Grids
    from wflow.studies.integrators import Integrators
    from wflow.studies.support import Support

__all__ = ["app", "figure_paths", "print_study", "save_figures"]

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="Studies: a plan of runs, a table, figures.")

FORMATS = (".png", ".pdf")

_Seed = Annotated[int, typer.Option("--seed", min=0, metavar="S", help="Of everything random.")]
_Quick = Annotated[bool, typer.Option("--quick", help="A first look in half a minute.")]
_Workers = Annotated[int | None, typer.Option("--workers", min=1, metavar="N", help="Processes; default: one for each CPU.")]
_Engine = Annotated[str | None, typer.Option("--engine", metavar="dask|mpi", help="Run on Dask's or MPI's workers.")]
_Force = Annotated[bool, typer.Option("--force", help="Replace what exists.")]
_Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")]
_Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


@app.command()
def chaos(
    problems: Annotated[list[str], typer.Option("--problem", metavar="NAME", help="'bandit tanh', 'grid relu', 'linear', ...")] = [],  # noqa: B006
    sizes: Annotated[str | None, typer.Option("--sizes", metavar="N,N,N", help="Particles; default 50,100,...,3200.")] = None,
    seeds: Annotated[int | None, typer.Option("--seeds", min=2, metavar="N", help="Starts of each size; default: as slopes need.")] = None,
    w2_seeds: Annotated[int | None, typer.Option("--w2-seeds", min=0, metavar="N", help="For how many W2 is computed; default 4.")] = None,
    seed: _Seed = 0,
    quick: _Quick = False,
    workers: _Workers = None,
    engine: _Engine = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for chaos.h5 and chaos_GROUP.png, .pdf.")] = Path(),
    force: _Force = False,
    quiet: _Quiet = False,
    debug: _Debug = False,  # noqa: ARG001 (main looks for it)
) -> int:
    """Propagation of chaos: errors of N particles against the mean-field measure, and their rates; goes on where it stopped."""
    from wflow.studies import chaos as study
    from wflow.studies.chaos.plan import plan

    with refusing(OSError, ValueError, TypeError):
        ladder = None if sizes is None else [_integer("--sizes", word) for word in sizes.split(",")]
        asked: dict[str, Any] = {"sizes": ladder, "seeds": seeds, "w2_seeds": w2_seeds, "seed": seed, "quick": quick}
        planned = plan(problems or None, **asked)
        groups = dict.fromkeys(problem.group or problem.name for problem in planned.problems)
    run = partial(study.run, problems or None, **asked, force=force, progress=not quiet)
    return _study(run, out / "chaos.h5", groups, workers, engine, force, quiet)


@app.command()
def support(
    problems: Annotated[list[str], typer.Option("--problem", metavar="NAME", help="'bandit tanh', 'bandit relu 178', ...")] = [],  # noqa: B006
    size: Annotated[int | None, typer.Option("--size", min=64, metavar="N", help="Particles of the start; default 4096.")] = None,
    seed: _Seed = 0,
    quick: _Quick = False,
    workers: _Workers = None,
    engine: _Engine = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for support.h5 and support_PROBLEM.png, .pdf.")] = Path(),
    force: _Force = False,
    quiet: _Quiet = False,
    debug: _Debug = False,  # noqa: ARG001
) -> int:
    """Fixed points and support: certificates that the start still separates, controls, escapes; goes on where it stopped."""
    from wflow.studies import support as study
    from wflow.studies.support.plan import plan

    with refusing(OSError, ValueError, TypeError):
        planned = plan(problems or None, size=size, seed=seed, quick=quick)
        groups = [problem.name for problem in planned.problems]
    run = partial(study.run, problems or None, size=size, seed=seed, quick=quick, force=force, progress=not quiet)
    return _study(run, out / "support.h5", groups, workers, engine, force, quiet)


@app.command()
def integrators(
    cases: Annotated[list[str], typer.Option("--case", metavar="NAME", help="'bandit tanh long', 'grid relu short', 'decay', ...")] = [],  # noqa: B006
    methods: Annotated[list[str], typer.Option("--method", metavar="NAME", help="'rkc2', 'RK45', 'extensisq:BS5', ...")] = [],  # noqa: B006
    tolerances: Annotated[str | None, typer.Option("--tolerances", metavar="R,R,R", help="rtol; default 1e-2,...,1e-6.")] = None,
    repeats: Annotated[int, typer.Option("--repeats", min=1, metavar="N", help="Of short runs: the shortest time counts.")] = 3,
    limit: Annotated[float | None, typer.Option("--limit", metavar="S", help="Seconds until a run is given up; default 60.")] = None,
    quick: _Quick = False,
    workers: Annotated[int, typer.Option("--workers", min=1, metavar="N", help="Processes; more than 1 spoil the times.")] = 1,
    engine: _Engine = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for integrators.h5 and integrators_CASE.png, .pdf.")] = Path(),
    force: _Force = False,
    quiet: _Quiet = False,
    debug: _Debug = False,  # noqa: ARG001
) -> int:
    """Work against precision of integrators on these flows, ours beside SciPy's and peers; goes on where it stopped."""
    from wflow.studies import integrators as study
    from wflow.studies.integrators.plan import plan

    with refusing(OSError, ValueError, TypeError, ImportError):
        ladder = None if tolerances is None else [_number(word) for word in tolerances.split(",")]
        asked: dict[str, Any] = {"methods": methods or None, "tolerances": ladder, "repeats": repeats, "limit": limit, "quick": quick}
        names = [case.name for case in plan(cases or None, **asked).cases]
    run = partial(study.run, cases or None, **asked, force=force, progress=not quiet)
    return _study(run, out / "integrators.h5", names, workers, engine, force, quiet)


@app.command()
def grids(
    problems: Annotated[list[str], typer.Option("--problem", metavar="NAME", help="'bandit tanh', 'bandit gaussian', 'attraction'.")] = [],  # noqa: B006
    cells: Annotated[str | None, typer.Option("--cells", metavar="N,N,N", help="Cells along an axis; default 12,16,24,32,48.")] = None,
    limiter: Annotated[str, typer.Option("--limiter", metavar="NAME", help="'minmod', 'van_leer' or 'none'.")] = "minmod",
    seed: _Seed = 0,
    quick: _Quick = False,
    workers: _Workers = None,
    engine: _Engine = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for grids.h5 and grids_PROBLEM.png, .pdf.")] = Path(),
    force: _Force = False,
    quiet: _Quiet = False,
    debug: _Debug = False,  # noqa: ARG001
) -> int:
    """Particles against a grid for one PDE, both refined: E(t), marginals, W2 and their orders; goes on where it stopped."""
    from wflow.studies import grids as study
    from wflow.studies.grids.plan import plan

    with refusing(OSError, ValueError, TypeError):
        ladder = None if cells is None else [_integer("--cells", word) for word in cells.split(",")]
        asked: dict[str, Any] = {"cells": ladder, "limiter": limiter, "seed": seed, "quick": quick}
        names = [problem.name for problem in plan(problems or None, **asked).problems]
    run = partial(study.run, problems or None, **asked, force=force, progress=not quiet)
    return _study(run, out / "grids.h5", names, workers, engine, force, quiet)


def _study(
    run: Callable[..., Any], file: Path, groups: Iterable[str], workers: int | None, engine: str | None, force: bool, quiet: bool
) -> int:
    """Run a study into its file, draw and print it."""
    with refusing():
        check_outputs(file.parent, [file, *_paths(file, groups)], force)
    with ExitStack() as stack:
        with refusing(ValueError, TypeError, ImportError, RuntimeError):
            executor = stack.enter_context(_executor(engine, workers))
        try:
            with refusing(FileExistsError, ValueError):
                found = run(path=file, workers=None if executor else workers, executor=executor)
        except KeyboardInterrupt:
            print(f"wflow: interrupted; what has ended is kept in {file}.parts, the same command goes on", file=sys.stderr)
            return 130
        except RuntimeError as error:
            print(f"wflow: {error}", file=sys.stderr)
            return 1
    figures = save_figures(found, file)
    if not quiet:
        print_study(found)
        print(f"written: {file}, {', '.join(str(path) for path in figures)}")
    return 0


def _executor(engine: str | None, workers: int | None) -> AbstractContextManager[Executor | None]:
    """That of the engine; none without."""
    if engine is None:
        return nullcontext()
    from wflow import engines

    return engines.engine(engine, workers)


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise ValueError(f"--tolerances must be numbers with commas between them; got {word!r}") from None


def _integer(option: str, word: str) -> int:
    try:
        return int(word)
    except ValueError:
        raise ValueError(f"{option} must be integers with commas between them; got {word!r}") from None


def _paths(file: Path, groups: Iterable[str]) -> list[Path]:
    """Of the figures, one after the other for each group."""
    return [file.with_name(f"{file.stem}_{group.replace(' ', '_')}{suffix}") for group in groups for suffix in FORMATS]


def figure_paths(found: Chaos | Grids | Integrators | Support, file: Path) -> list[Path]:
    """Where `save_figures` puts them."""
    return _paths(file, found.figure_names)


def save_figures(found: Chaos | Grids | Integrators | Support, file: Path) -> list[Path]:
    """The study's figures beside its file, PNG and PDF; their paths."""
    from wflow import plotting

    for group, figure in found.plot().items():
        for path in _paths(file, [group]):
            plotting.save(figure, path)
            figure.set_layout_engine("none")  # it is laid out: the next format need not do it again
    return figure_paths(found, file)


def print_study(found: Chaos | Grids | Integrators | Support) -> None:
    """The table, and where it came from in one line."""
    from wflow.progress import duration

    verdicts = [row.verdict for row in found.rows]
    print(found.table())
    counts = ", ".join(f"{verdicts.count(word)} {word}" for word in ("holds", "fails", "undecided") if word in verdicts)
    seed = f"seed {found.about['seed']}, " if "seed" in found.about else ""
    print(f"{counts}; {seed}{duration(found.about['seconds'])}")
