"""How far a study is: a bar for each phase on a terminal, else a line every five seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import TypeAlias

from wflow.parallel import Outcome
from wflow.progress import duration, meter, shown, terminal

__all__ = ["Tell", "telling"]

Tell: TypeAlias = Callable[[str, int], AbstractContextManager[Callable[[Outcome], None]]]


@contextmanager
def telling(show: bool) -> Iterator[Tell]:
    """A function of phase and number of tasks that gives a ``with`` block's listener for their outcomes."""
    console = terminal() if show else None
    if not show:
        yield lambda _phase, _total: nullcontext(lambda _: None)
    elif console is None:
        yield _lines
    else:
        bar = meter(console, 2, named=True)
        with shown(console, bar.get_renderable) as display:

            @contextmanager
            def phase(name: str, total: int) -> Iterator[Callable[[Outcome], None]]:
                start, task = time.monotonic(), bar.add_task(name, total=total, words=("", ""))
                counted = 0

                def done(_: Outcome) -> None:
                    nonlocal counted
                    counted += 1
                    bar.update(task, completed=counted, words=(f"{counted} of {total}", _left(start, counted, total)))
                    display.refresh()

                display.refresh()
                yield done

            yield phase


@contextmanager
def _lines(name: str, total: int) -> Iterator[Callable[[Outcome], None]]:
    start = due = time.monotonic()
    counted = 0

    def done(_: Outcome) -> None:
        nonlocal counted, due
        counted += 1
        now = time.monotonic()
        if now >= due or counted == total:
            due = now + 5.0
            with suppress(OSError, ValueError):  # a stderr that was closed
                print(f"{name}: {counted} of {total}, {_left(start, counted, total)}", file=sys.stderr, flush=True)

    yield done


def _left(start: float, counted: int, total: int) -> str:
    elapsed = time.monotonic() - start
    return f"{duration(elapsed)}" if counted == total else f"{duration(elapsed * (total - counted) / counted)} left"
