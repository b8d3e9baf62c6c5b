"""Where a run begins or goes on, and the checkpoints that let it: as if it had never stopped, where the method allows."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from wflow import storage
from wflow._checks import Array
from wflow._run import Run
from wflow.events import Events
from wflow.provenance import plain, surroundings, this_process
from wflow.record import Record, Recorder, final_arrays
from wflow.solution import Status
from wflow.storage import checkpoint
from wflow.storage.checkpoint import Checkpoint

__all__ = ["Keeper", "Start", "start_of"]

_MUST_AGREE = ("flow", "method", "rtol", "atol", "options", "t_start")
_WORTH = 50  # a checkpoint is not written again before so many times as long as it took have passed


@dataclass(frozen=True, eq=False)
class Start:
    """Where a run begins or goes on.

    Parameters
    ----------
    t : float
    y : ndarray, shape (n,)
    stored : Record or None
        What is there already, less what the end of the run added to its schedule; None for a new run.
    stepper : mapping or None
        The method's memory; None: it begins anew.
    progress : mapping
        Counts up to then.
    doubt : str
        Why the bits may differ from those of a run that was never stopped; "" if they do not.
    done : bool
        Whether nothing is left to do.
    """

    t: float
    y: Array
    stored: Record | None = None
    stepper: Mapping[str, Any] | None = None
    progress: Mapping[str, Any] = field(default_factory=dict)
    doubt: str = ""
    done: bool = False

    def provenance(self) -> list[dict[str, Any]]:
        """Every time that the run was resumed, this one last."""
        if self.stored is None:
            return []
        was = str(self.stored.summary["status"])
        this = {"t": self.t, "after": was, "doubt": self.doubt, "date": datetime.now(UTC).isoformat(timespec="seconds")}
        return [*self.stored.summary["provenance"].get("resumed", []), this]


def start_of(run: Run, path: Path | None, about: Mapping[str, Any], events: Sequence[str], remembers: bool, force: bool) -> Start:
    """Where the run stored at `path` goes on; its first state if there is none.

    A run with a checkpoint goes on there. Without one, a run that did not end as meant begins again from its first state, which
    gives the same bits, and is not recorded twice; what keeps no memory (SciPy's methods) and what is extended beyond its end
    goes on from the last state.

    Raises
    ------
    FileExistsError
        If another process is writing the file; with `force` not if that is of another host, which may be gone without a word.
    ValueError
        If it was run with other settings, from another state or by another flow, or is beyond `t_end` already; if its
        checkpoint is damaged.
    """
    if path is None or not path.exists():
        return Start(*run.good)
    if (n := storage.count(path)) != 1:
        raise ValueError(f"path: {path} holds {n} runs; solve goes on with files of one (the command `wflow resume` with all)")
    stored = storage.read(path)
    status, reached = Status(stored.summary["status"]), stored.frames[-1, 0] if len(stored.frames) else -np.inf
    elsewhere = status is Status.RUNNING and stored.summary["writer"]["host"] != this_process()["host"]
    if status is Status.RUNNING and not (force and elsewhere):
        hint = "; if that is gone, set force" if elsewhere else ""
        raise FileExistsError(f"path: {path} is {stored.summary['message']}{hint}")
    _check_agreement(run, stored, about, events)
    if status.ok and run.t_end <= max(reached, stored.summary["provenance"]["t_end"]):
        return Start(*run.good, stored, done=True)
    if run.t_end < reached:
        raise ValueError(f"t_end must be at least {reached:.10g}, which the run in {path} has reached; got {run.t_end:g}")
    found = checkpoint.read(path)
    if found is not None and found.run != stored.run:
        found = None  # of a file that was here before
    if found is None and remembers and not status.ok:
        return Start(*run.good, _without_end(stored, None))
    kept = float(stored.state_times[-1]) if len(stored.state_times) else -np.inf
    if found is None or (found.stepper is None and kept > found.t):  # a state that was kept is all there is, or later
        if not len(stored.state_times):
            return Start(*run.good, stored)
        (y,) = stored.states([len(stored.state_times) - 1])
        found = Checkpoint(stored.run, kept, y, None, _progress_of(stored) if found is None else found.progress)
    cut = stored if found.stepper is None else _without_end(stored, found)
    return Start(found.t, found.y, cut, found.stepper, found.progress, _doubt(status, found, stored, about))


def _without_end(stored: Record, found: Checkpoint | None) -> Record:
    """A record less the rows that its end added beside the schedule: a run that never stopped does not have them.

    The summary tells their number; where the process was killed before it could write that, so does a checkpoint of the last step.
    """
    frames, states = stored.summary.get("rows", (None, None))
    if frames is None and found is not None:
        frames = found.progress["frames"] if len(stored.frames) and stored.frames[-1, 0] <= found.t else None
        states = found.progress["states"] if len(stored.state_times) and stored.state_times[-1] <= found.t else None
    return replace(stored, frames=stored.frames[:frames], state_times=stored.state_times[:states])


def _check_agreement(run: Run, stored: Record, about: Mapping[str, Any], events: Sequence[str]) -> None:
    path, then, now = stored.path, stored.summary["provenance"], plain(dict(about))
    for name in _MUST_AGREE:
        if then.get(name) != now[name]:
            raise ValueError(f"resume: {path} was run with {name} = {then.get(name)!r}; got {now[name]!r}")
    if stored.summary["events"] != list(events):
        raise ValueError(f"resume: {path} was run with the events {stored.summary['events']}; got {list(events)}")
    flow, (t, y) = run.flow, run.good
    static = {name: np.asarray(value) for name, value in getattr(flow, "static", dict)().items()}
    if stored.layout.size != y.size or stored.layout.static.keys() != static.keys():
        raise ValueError(f"resume: {path} was run by another flow or with another size of state")
    for name, value in static.items():
        if not np.array_equal(stored.layout.static[name], value):
            raise ValueError(f"resume: {path} was run with other {name}")
    if len(stored.state_times) and not np.array_equal(next(iter(stored.states([0]))), y):
        raise ValueError(f"resume: {path} was run from another initial state")
    values = flow.diagnostics(t, y)
    same = tuple(values) == stored.layout.diagnostics
    if not same or not all(np.allclose(row[1:], list(values.values()), rtol=1e-6, equal_nan=True) for row in stored.frames[:1]):
        raise ValueError(f"resume: {path} was run by another flow: its first frame differs")


def _doubt(status: Status, found: Checkpoint, stored: Record, about: Mapping[str, Any]) -> str:
    if status.ok:
        return "an end once reached cut its last step"
    if found.stepper is None:
        return f"{about['method']} keeps no memory of its steps"
    then, now = stored.summary["provenance"], surroundings()
    changed = [name for name in ("versions", "machine") if then.get(name) != now[name]]
    return f"{' and '.join(changed)} changed" if changed else ""


def _progress_of(stored: Record) -> dict[str, Any]:
    """What a closed file tells of the work done, for a run without checkpoint."""
    counts, rows = stored.summary["counts"], len(stored.frames)
    calls = counts.get("rhs", 0) + counts.get("spectral_radius", 0)
    own = {name: n for name, n in counts.items() if name != "recording"}
    return {
        "steps": counts.get("steps", 0), "calls": calls, "counts": own, "seconds": stored.summary["seconds"], "index": rows,
        "interpolated": counts.get("recording", 0),
        "seen": np.bincount(stored.events[:, 0].astype(int), minlength=len(stored.summary["events"])).tolist(),
    }  # fmt: skip


class Keeper:
    """Writes checkpoints: at the start, then every `interval` seconds between two steps (0: after every step; None: never).

    Cost: the state and the method's memory once to the disk, not more often than every 50 times as long as that takes.
    """

    def __init__(self, run: Run, recorder: Recorder, events: Events, interval: float | None) -> None:
        self._run, self._recorder, self._events = run, recorder, events
        self._sink = recorder.sink if isinstance(recorder.sink, storage.RunWriter) else None
        self._interval = math.inf if interval is None else interval
        self._due = time.monotonic() + self._interval

    def step(self) -> None:
        """After a step: write if it is time."""
        if time.monotonic() >= self._due:
            self.save()

    def save(self) -> None:
        """Write where the run stands; only between two steps, when the stepper stands there too."""
        if self._sink is None or self._interval == math.inf:
            return
        began, run, (t, y) = time.monotonic(), self._run, self._run.good
        frames, states = self._sink.rows
        progress = {
            "steps": run.steps, "calls": run.field.calls, "counts": run.counts(), "seconds": run.clocks.seconds(),
            "index": self._recorder.index, "interpolated": self._recorder.interpolated, "seen": self._events.seen,
            "frames": frames, "states": states,
        }  # fmt: skip
        memory = getattr(run.stepper, "state_dict", None)
        found = Checkpoint(self._sink.run, t, y, None if memory is None else memory(), progress, final_arrays(run.flow, t, y))
        checkpoint.write(self._sink.path, found)
        now = time.monotonic()
        self._due = now + (max(self._interval, _WORTH * (now - began)) if self._interval else 0.0)

    def remove(self) -> None:
        """Remove the checkpoint: the run has ended as it was meant to, or is another than the one that left it."""
        if self._sink is not None:
            checkpoint.path_of(self._sink.path).unlink(missing_ok=True)
