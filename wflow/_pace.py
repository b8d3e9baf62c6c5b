"""How fast a run goes, and when it will be there."""

from __future__ import annotations

import math
from bisect import bisect_right

__all__ = ["Pace"]


class Pace:
    """How fast a run goes and when it will be there, from what was seen of it in this session.

    Progress is taken to be even in x^b, x = t − t_start. Steps of one size are even in x itself, b = 1; where stabilised steps make
    x grow as a power p of the wall time, b = 1/p; steps that grow in proportion to x are even in log x, the limit b = 0. The b in
    [0, 1] is taken that makes the progress of the latter half of the session even, so that it follows a run that changes its ways,
    and the time left is to that half's time as what is left of x^b to what was gained; nothing is foretold while it hangs on b.
    A session begins with its first step: a run resumed far from t_start is not thought to have come there in no time.

    Cost O(1) per step; memory O(log of the session's length). t_start and t_end are the whole run's, in mean-field time.
    """

    _ENOUGH = 1.0  # seconds, before which nothing is foretold
    _RECENT = 3.0  # seconds, over which steps per second are counted, or ...
    _FINE = 32  # ... this part of the session, in which spacing it is remembered

    def __init__(self, t_start: float, t_end: float) -> None:
        self._t_start, self._span = t_start, t_end - t_start
        self._now, self._x, self._steps = math.nan, 0.0, 0
        self._when: list[float] = []  # seconds at which ...
        self._past: list[tuple[float, int]] = []  # ... x and the steps were these

    def step(self, now: float, t: float, steps: int) -> None:
        """A step has ended at t, the `steps`-th, at `now` seconds of a steady clock."""
        self._now, self._x, self._steps = now, t - self._t_start, steps
        if not self._when or now - self._when[-1] > self.elapsed() / self._FINE:
            self._when.append(now)
            self._past.append((self._x, steps))

    def elapsed(self) -> float:
        """Seconds since the first step of this session."""
        return self._now - self._when[0] if self._when else 0.0

    def speed(self) -> float:
        """Steps per second lately, NaN before the second step."""
        if not self.elapsed() > 0.0:
            return math.nan
        k = max(0, bisect_right(self._when, self._now - self._RECENT) - 1)
        return (self._steps - self._past[k][1]) / (self._now - self._when[k])

    def left(self) -> float:
        """Seconds to t_end, NaN while there is too little to go by."""
        if self._x >= self._span:
            return 0.0
        session = self.elapsed()
        middle = bisect_right(self._when, self._now - session / 4.0) - 1
        begin = min(bisect_right(self._when, self._now - session / 2.0), middle) - 1
        if session < self._ENOUGH or begin < 0 or not 0.0 < self._past[begin][0] < self._past[middle][0] < self._x:
            return math.nan
        seconds, lately = (self._now - self._when[k] for k in (begin, middle))
        whole, latter = (math.log(self._x / self._past[k][0]) for k in (begin, middle))
        low, b = 0.0, 1.0
        for _ in range(30):  # the latter part's share grows with b; where no b is right, bisection ends at 0 or 1
            trial = (low + b) / 2.0
            if _gain(-trial, latter) / _gain(-trial, whole) > lately / seconds:
                b = trial
            else:
                low = trial
        ahead = math.log(self._span / self._x)
        left, less = (seconds * _gain(power, ahead) / _gain(-power, whole) for power in (b, max(b - 0.2, 1e-9)))
        return left if left < 4.0 * less else math.nan  # far from the end it hangs on b, and b on little


def _gain(b: float, distance: float) -> float:
    """∫_0^distance exp(b s) ds: how far two points are apart in x^b, up to a factor; `distance` is theirs in log x."""
    return math.expm1(min(b * distance, 700.0)) / b
