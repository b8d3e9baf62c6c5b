"""How far a run is, shown while it goes on."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeAlias

__all__ = ["Update", "progress"]

Update: TypeAlias = Callable[[float, int, Callable[[], Mapping[str, float]]], None]


@contextmanager
def progress(show: bool | Callable[[float, Mapping[str, float]], None], t_start: float, t_end: float) -> Iterator[Update]:
    """A function update(t, steps, diagnostics) that shows how far a run is; `diagnostics` is called only when something is shown.

    True: a bar on a terminal (ten updates a second), else a line every five seconds, both on stderr. A callable is called as
    show(t, diagnostics) after every accepted step.
    """
    if not show:
        yield lambda *_: None
    elif callable(show):
        yield lambda t, _steps, diagnostics: show(t, diagnostics())
    else:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(file=sys.stderr)
        if not console.is_terminal:
            yield _throttled(t_end, 5.0, lambda _, text: print(text, file=sys.stderr, flush=True))
            return
        with Progress(BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn(), console=console) as bar:
            task = bar.add_task("starting", total=t_end - t_start)
            yield _throttled(t_end, 0.1, lambda t, text: bar.update(task, completed=t - t_start, description=text))


def _throttled(t_end: float, interval: float, draw: Callable[[float, str], None]) -> Update:
    last, steps_then = time.monotonic(), 0

    def update(t: float, steps: int, diagnostics: Callable[[], Mapping[str, float]]) -> None:
        nonlocal last, steps_then
        now = time.monotonic()
        if now - last < interval:
            return
        values = diagnostics()
        name = "gap" if "gap" in values else "energy"
        draw(t, f"t = {t:.4g} of {t_end:.4g}, {name} {values[name]:.4g}, {(steps - steps_then) / (now - last):.3g} steps/s")
        last, steps_then = now, steps

    return update
