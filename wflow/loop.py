"""The one loop: ``solve`` moves a flow through mean-field time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wflow import _checks, _jit, storage
from wflow._choice import decided
from wflow._method import Method
from wflow._resume import Keeper, Start, start_of
from wflow._run import Run, Verdict
from wflow._signals import Interrupt
from wflow._states import unpacker
from wflow.events import Event, Events
from wflow.progress import Show, Update
from wflow.progress import progress as progress_display
from wflow.record import Layout, Memory, Record, Recorder, Sink, final_arrays, final_residuals
from wflow.schedules import Schedule, at, every_step
from wflow.solution import Solution, Status, open, open_all  # noqa: A004

if TYPE_CHECKING:
    from wflow.flows.base import Flow

__all__ = ["DEFAULT_ATOL", "DEFAULT_METHOD", "DEFAULT_RTOL", "Solution", "Status", "open", "open_all", "solve"]

# RKC2 finished all of 400 runs (20 seeds, five tolerances, both experiments, ReLU and tanh) and never lowered E; 1e-3 ended within
# 2 % of the gap where the field is smooth (3e-3 is a tenth cheaper and up to 5 % off): benchmarks/output/reliability.txt
DEFAULT_METHOD = "rkc2"
DEFAULT_RTOL = 1e-3
DEFAULT_ATOL = 1e-6


def solve(
    flow: Flow,
    initial: Any,
    t_end: float,
    method: str | type[Any] | None = None,
    *,
    rtol: float = DEFAULT_RTOL,
    atol: float = DEFAULT_ATOL,
    options: Mapping[str, Any] | None = None,
    record: Schedule | Any = None,
    events: Event | Iterable[Event] = (),
    steady: float | None = None,
    max_steps: int = 100_000,
    path: str | os.PathLike[str] | None = None,
    force: bool = False,
    resume: bool = False,
    checkpoint: float | None = 10.0,
    progress: Show = False,
    t_start: float = 0.0,
    provenance: Mapping[str, Any] | None = None,
) -> Solution:
    """Move `initial` along `flow` from `t_start` to `t_end`, in mean-field time.

    However the run ends, its last good state is the last frame and ``Solution.final``. Ctrl-C or SIGTERM ends it after the step in
    hand, a second one at once, both with status INTERRUPTED: a script that makes several runs must look at it. Recording, events,
    checkpoints and progress never change the steps. Cost: the method's field evaluations, and what is recorded
    (``wflow.record.Recorder``).

    Parameters
    ----------
    flow : Flow
        What moves; see ``wflow.flows.base.Flow`` for what a flow must and may tell.
    initial
        First state, as the flow takes it: a measure.
    t_end : float
        Above `t_start`.
    method : str, OdeSolver class or None
        Name in ``wflow.integrators``, or any subclass of ``scipy.integrate.OdeSolver``; "auto": chosen for the flow, the horizon and
        `rtol` (``wflow._choice.choose``; ``provenance["auto"]`` says why); None: the flow's own stepper if it is no ODE, else
        its ``default_method``, else ``DEFAULT_METHOD``.
    rtol, atol : float
        Tolerances of adaptive methods, in the flow's error norm where the method takes one.
    options : mapping or None
        Further options of the method, such as ``{"dt": 1e-3}`` for ``"euler"``; ``{"safeguard": True}`` for our adaptive ones: a step that
        moves the energy against the flow's sense is rejected.
    record : Schedule, array_like or None
        When to record (``wflow.record``), or just the times; None: every accepted step, keeping the first and last state.
    events : callable or iterable of callables
        ``event(t, state) -> float`` whose zeros are found; attributes ``terminal``, ``direction`` as in SciPy (``wflow.events.Events``).
    steady : float or None
        Stop once the flow's ``"dissipation"`` is no larger at the end of a step.
    max_steps : int
        Accepted steps, at most.
    path : str, path or None
        File to write, every frame safe on its own (`wflow.storage`), or None: keep the run in memory.
    force : bool
        Replace a file of wflow that exists; with `resume`, go on with it although a process of another host never said it ended.
    resume : bool
        Go on with the run in `path` if there is one, whether it was interrupted or killed, or ended before `t_end`; give it back as
        it is if nothing is left to do. All other arguments must be those that it was begun with, but for `t_end`, `max_steps`,
        `steady` and `record`. With our methods the run and its file are, bit for bit on one machine, those of a run that never stopped;
        others begin anew at their last step (``provenance["resumed"]`` says so).
    checkpoint : float or None
        Seconds between checkpoints, in ``PATH.checkpoint`` as long as the run has not ended as meant; 0: after every step; None: never.
    progress : bool, callable or Heartbeat
        Show a bar (lines where there is no terminal), call ``progress(t, diagnostics)`` after every accepted step, or write a small
        file that other processes can watch (``wflow.progress.Heartbeat``).
    t_start : float
    provenance : mapping or None
        What else to store about the run (config, seed); must be plain data.

    Returns
    -------
    Solution

    Raises
    ------
    ValueError, TypeError
        If an argument is not as above; before anything is evaluated or written.
    FileExistsError, FileNotFoundError, PermissionError, OSError
        If `path` cannot be written, or is being written; what is there stays. If the disk fills up during the run, the frames
        before are kept.
    """
    t_start = _checks.real("t_start", t_start)
    t_end = _checks.real("t_end", t_end, above=t_start)
    tolerances = {"rtol": _checks.real("rtol", rtol, above=0.0), "atol": _checks.real("atol", atol, at_least=0.0)}
    max_steps = _checks.integer("max_steps", max_steps, at_least=1)
    steady = None if steady is None else _checks.real("steady", steady, at_least=0.0)
    schedule = every_step() if record is None else record if isinstance(record, Schedule) else at(record)
    due = schedule.due(t_start, t_end)
    for needed in ("pack", "unpack", "rhs", "diagnostics"):
        if not callable(getattr(flow, needed, None)):
            raise TypeError(f"flow must have methods pack, unpack, rhs and diagnostics; {type(flow).__name__} has no {needed}")
    for name, value in (("options", options), ("provenance", provenance)):
        if value is not None and not isinstance(value, Mapping):
            raise TypeError(f"{name} must be a mapping or None; got {_checks.show(value)}")
    watch = Events(events, flow.unpack)
    showing = progress_display(progress, t_start, t_end)
    checkpoint = None if checkpoint is None else _checks.real("checkpoint", checkpoint, at_least=0.0)
    if resume and path is None:
        raise ValueError("resume needs a path to go on with; got path = None")
    target = None if path is None else Path(path).absolute()
    if target is not None and not (resume and target.exists()):
        storage.check_target(target, force)
    y = _checks.array("initial", flow.pack(initial), (None,))

    with Interrupt() as interrupt, _jit.blas_single_thread():
        run = Run(flow, (t_start, y), t_end, max_steps, steady, interrupt)
        chosen = {}
        if isinstance(method, str) and method == "auto" and not hasattr(flow, "stepper"):
            chosen["auto"] = decided(flow, t_start, y, t_end, tolerances["rtol"], target if resume else None)
            method = chosen["auto"]["method"]
        stepping = Method.of(flow, run.field, method, tolerances, options or {}, getattr(flow, "default_method", DEFAULT_METHOD))
        about = {**(provenance or {}), **stepping.about, **chosen, "flow": type(flow).__name__, "t_start": t_start, "t_end": t_end}
        start = start_of(run, target if resume else None, about, watch.names, stepping.remembers, force)
        if start.stored is not None and start.done:
            return Solution(start.stored, unpacker(start.stored.layout, flow.unpack))
        run.good = (start.t, start.y)
        watch.seen = list(start.progress.get("seen", watch.seen))
        told = {"events": watch.names, "provenance": _provenance(about, start)}
        # an option with a bad value shows here, before a file is made
        verdict = run.guarded(lambda: run.start(stepping.make, start.stepper, start.progress))
        with _sink(run, target, force, start, told) as sink, showing as show:
            done = [int(start.progress.get(name, 0)) for name in ("index", "interpolated")]
            recorder = Recorder(flow, schedule, due, sink, start.t, *done)
            keeper = Keeper(run, recorder, watch, checkpoint)
            stored = _recorded(run, recorder, told, lambda: verdict or _march(run, recorder, watch, keeper, start, show))
        if Status(stored.summary["status"]).ok:
            keeper.remove()
        return Solution(stored, unpacker(stored.layout, flow.unpack))


def _provenance(about: Mapping[str, Any], start: Start) -> dict[str, Any]:
    """Who runs what, and every resume of it."""
    resumed = start.provenance()
    return storage.provenance({**about, "resumed": resumed} if resumed else about)


def _summary(run: Run, told: Mapping[str, Any], status: Status, message: str, interpolated: int) -> dict[str, Any]:
    counts = storage.plain({**run.counts(), "recording": interpolated})
    return {"status": status.value, "message": message, "counts": counts, "seconds": run.clocks.seconds(), **told}


def _recorded(run: Run, recorder: Recorder, told: Mapping[str, Any], march: Callable[[], Verdict]) -> Record:
    """The record of a march, closed however it ends."""
    rows = None
    try:
        verdict = run.guarded(march)
        rows = recorder.sink.rows
        with run.clocks.recording:
            recorder.ends(*run.good)
            finals, residuals = final_arrays(run.flow, *run.good), final_residuals(run.flow, *run.good)
    except BaseException as error:
        status = Status.INTERRUPTED if isinstance(error, KeyboardInterrupt) else Status.FAILED
        summary = _summary(run, told, status, f"{type(error).__name__}: {error}", recorder.interpolated)
        recorder.sink.close({**summary, "rows": rows or recorder.sink.rows}, {})
        raise
    return recorder.sink.close({**_summary(run, told, *verdict, recorder.interpolated), **residuals, "rows": rows}, finals)


def _march(run: Run, recorder: Recorder, events: Events, keeper: Keeper, start: Start, show: Update) -> Verdict:
    """The loop. ``run.good`` is the last good (t, y), replaced as one object: whatever is raised, wherever, it stands."""
    assert run.stepper is not None
    stepper, recording = run.stepper, run.clocks.recording
    with recording:
        if start.stored is None:
            keeper.remove()
        if not start.progress:
            recorder.begins(*run.good)
        if start.stepper is None:
            keeper.save()
        events.start(*run.good)
    if run.good[0] >= run.t_end:  # killed between its last step and its end
        return Status.FINISHED, f"reached t = {run.t_end:.10g}"
    while run.steps < run.max_steps:
        if run.interrupt.asked:
            keeper.save()
            raise KeyboardInterrupt
        reason = stepper.step()
        if stepper.status == "failed":
            return run.gave_up(reason)
        if not np.isfinite(stepper.y).all():
            return run.not_finite("the state")
        t_old, t, y = run.good[0], float(stepper.t), stepper.y
        interpolate = run.interpolant()
        with recording:
            crossings, stop = events.step(t_old, t, y, interpolate)
            if stop:
                t = crossings[-1][1]
                y = interpolate(t)
            run.good, run.steps = (t, y), run.steps + 1
            for crossing in crossings:
                recorder.event(*crossing)
            recorder.step(t, y, interpolate)
            show(t, run.steps, partial(recorder.diagnostics, t, y))
            steady = run.steady is not None and recorder.diagnostics(t, y)["dissipation"] <= run.steady
            if not stop:
                keeper.step()
        if stop:
            return Status.EVENT, f"event {events.names[crossings[-1][0]]} at t = {t:.10g}"
        if steady:
            return Status.STEADY_STATE, f"dissipation at or below {run.steady:g} at t = {t:.10g}"
        if t >= run.t_end or stepper.status == "finished":
            return Status.FINISHED, f"reached t = {t:.10g}"
    keeper.save()
    return run.gave_out()


@contextmanager
def _sink(run: Run, path: Path | None, force: bool, start: Start, told: Mapping[str, Any]) -> Iterator[Sink]:
    """Where the record goes; a file is closed after the run."""
    with run.clocks.recording:
        layout = Layout.of(run.flow, *run.good) if start.stored is None else start.stored.layout
    if run.steady is not None and "dissipation" not in layout.diagnostics:
        raise ValueError(f"steady needs a flow with the diagnostic 'dissipation'; this one has {', '.join(layout.diagnostics)}")
    summary = _summary(run, told, Status.RUNNING, "", start.progress.get("interpolated", 0))
    if path is None:
        yield Memory(layout)
    elif start.stored is None:
        with storage.create(path, layout, summary, force=force) as writer:
            yield writer
    else:
        with storage.reopen(start.stored, summary) as writer:
            yield writer
