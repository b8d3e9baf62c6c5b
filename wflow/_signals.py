"""Ctrl-C and SIGTERM: asked to stop, the loop ends after the step in hand."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

__all__ = ["Interrupt"]

_NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}


class Interrupt:
    """Within ``with``, a first Ctrl-C or SIGTERM asks to stop, and a second one raises KeyboardInterrupt at once.

    Whoever listened before is told at the end, unless that is Python itself: its own handlers would raise or kill.
    A signal that the process ignores stays ignored. Python gives signals to the main thread only; elsewhere nothing is heard.

    Attributes
    ----------
    asked : str
        What asked to stop: "Ctrl-C", "SIGTERM", or "" if nothing has.
    """

    def __init__(self) -> None:
        self.asked = ""
        self._old: dict[int, Any] = {}
        self._heard: tuple[int, FrameType | None] | None = None

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            for number in _NAMES:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._old[number] = signal.signal(number, self._hear)
        return self

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked, self._heard = _NAMES[signal.Signals(number)], (number, frame)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)
        if self._heard is not None:
            before = self._old[self._heard[0]]
            if callable(before) and before is not signal.default_int_handler:
                before(*self._heard)
