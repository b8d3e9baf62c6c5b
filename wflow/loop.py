"""The one loop: ``solve`` moves a flow through mean-field time."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wflow import _checks, _jit, integrators, storage
from wflow._checks import Array
from wflow._run import Interrupt, Run, Verdict
from wflow.events import Event, Events
from wflow.progress import Update
from wflow.progress import progress as progress_display
from wflow.record import Layout, Memory, Record, Recorder, Sink, final_arrays
from wflow.schedules import Schedule, at, every_step
from wflow.solution import Solution, Status, open, open_all, unpacker  # noqa: A004

if TYPE_CHECKING:
    from wflow.flows.base import Flow, Stepper

__all__ = ["DEFAULT_ATOL", "DEFAULT_METHOD", "DEFAULT_RTOL", "Solution", "Status", "open", "open_all", "solve"]

# The cheapest that finished all of 80 runs (20 seeds, both experiments, ReLU and tanh), never lowered E, and ended within 5 % of
# the gap where the field is smooth (1e-2 is a fifth to a third cheaper, and up to 9 % off): benchmarks/output/reliability.txt
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
    path: str | os.PathLike[str] | storage.RunWriter | None = None,
    force: bool = False,
    progress: bool | Callable[[float, Mapping[str, float]], None] = False,
    t_start: float = 0.0,
    provenance: Mapping[str, Any] | None = None,
) -> Solution:
    """Move `initial` along `flow` from `t_start` to `t_end`, in mean-field time.

    However the run ends, its last good state is the last frame and ``Solution.final``. Ctrl-C ends it after the step in hand,
    a second Ctrl-C at once, both with status INTERRUPTED: a script that makes several runs must look at it. Recording, events
    and progress never change the steps. Cost: the method's field evaluations, and what is recorded (``wflow.record.Recorder``).

    Parameters
    ----------
    flow : Flow
        What moves; see ``wflow.flows.base.Flow`` for what a flow must and may tell.
    initial
        First state, as the flow takes it: a measure.
    t_end : float
        Above `t_start`.
    method : str, OdeSolver class or None
        Name in ``wflow.integrators``, or any subclass of ``scipy.integrate.OdeSolver``; None: the flow's own stepper if it is
        no ODE, else ``DEFAULT_METHOD``.
    rtol, atol : float
        Tolerances of adaptive methods, in the flow's error norm where the method takes one.
    options : mapping or None
        Further options of the method, such as ``{"dt": 1e-3}`` for ``"euler"``.
    record : Schedule, array_like or None
        When to record (``wflow.record``), or just the times; None: every accepted step, keeping the first and last state.
    events : callable or iterable of callables
        ``event(t, state) -> float`` whose zeros are found; attributes ``terminal``, ``direction`` as in SciPy (``wflow.events.Events``).
    steady : float or None
        Stop once the flow's ``"dissipation"`` is no larger at the end of a step.
    max_steps : int
        Accepted steps, at most.
    path : str, path, RunWriter or None
        File to write, one run of a file made by ``wflow.storage.create``, or None: keep the run in memory.
    force : bool
        Replace a file of wflow that exists.
    progress : bool or callable
        Show a bar (lines where there is no terminal), or call ``progress(t, diagnostics)`` after every accepted step.
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
        If `path` cannot be written; what is there stays. If the disk fills up during the run, the frames before are kept.
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
            raise TypeError(f"{name} must be a mapping or None; got {value!r}")
    watch = Events(events, flow.unpack)
    if path is not None and not isinstance(path, storage.RunWriter):
        path = storage.check_target(path, force)
    y = _checks.array("initial", flow.pack(initial), (None,))
    run = Run(flow, (t_start, y), t_end, max_steps, steady)
    make, about = _method(run, method, tolerances, options or {})
    about = {**(provenance or {}), **about, "flow": type(flow).__name__, "t_start": t_start, "t_end": t_end}
    told = {"events": watch.names, "provenance": storage.provenance(about)}

    with Interrupt() as interrupt, _jit.blas_single_thread():
        verdict = run.guarded(lambda: run.start(make))  # an option with a bad value shows here, before a file is made
        with _sink(run, path, force) as sink, progress_display(progress, t_start, t_end) as show:
            recorder = Recorder(flow, schedule, due, sink)
            stored = _recorded(run, recorder, told, lambda: verdict or _march(run, recorder, watch, interrupt, show))
            return Solution(stored, unpacker(stored.layout, flow.unpack))


def _recorded(run: Run, recorder: Recorder, told: Mapping[str, Any], march: Callable[[], Verdict]) -> Record:
    """The record of a march: begun before it, and closed however it ends."""
    sink = recorder.sink

    def summary(status: Status, message: str) -> dict[str, Any]:
        counts = storage.plain({**run.counts(), "recording": recorder.interpolated})
        return {"status": status.value, "message": message, "counts": counts, "seconds": run.clocks.seconds(), **told}

    sink.begin(summary(Status.RUNNING, ""))
    try:
        verdict = run.guarded(march)
        with run.clocks.recording:
            recorder.ends(*run.good)
            finals = final_arrays(run.flow, *run.good)
    except BaseException as error:
        status = Status.INTERRUPTED if isinstance(error, KeyboardInterrupt) else Status.FAILED
        sink.close(summary(status, f"{type(error).__name__}: {error}"), {})
        raise
    return sink.close(summary(*verdict), finals)


def _march(run: Run, recorder: Recorder, events: Events, interrupt: Interrupt, show: Update) -> Verdict:
    """The loop. ``run.good`` is the last good (t, y), replaced as one object: whatever is raised, wherever, it stands."""
    assert run.stepper is not None
    stepper, recording = run.stepper, run.clocks.recording
    with recording:
        recorder.ends(*run.good)
        events.start(*run.good)
    while run.steps < run.max_steps:
        if interrupt.asked:
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
                recorder.sink.event(*crossing)
            recorder.step(t, y, interpolate)
            show(t, run.steps, partial(recorder.diagnostics, t, y))
            steady = run.steady is not None and recorder.diagnostics(t, y)["dissipation"] <= run.steady
        if stop:
            return Status.EVENT, f"event {events.names[crossings[-1][0]]} at t = {t:.10g}"
        if steady:
            return Status.STEADY_STATE, f"dissipation at or below {run.steady:g} at t = {t:.10g}"
        if t >= run.t_end or stepper.status == "finished":
            return Status.FINISHED, f"reached t = {t:.10g}"
    return run.gave_out()


@contextmanager
def _sink(run: Run, path: Path | storage.RunWriter | None, force: bool) -> Iterator[Sink]:
    """Where the record goes; a file made for this run alone is closed after it."""
    with run.clocks.recording:
        layout = Layout.of(run.flow, *run.good)
    if run.steady is not None and "dissipation" not in layout.diagnostics:
        raise ValueError(f"steady needs a flow with the diagnostic 'dissipation'; this one has {', '.join(layout.diagnostics)}")
    if isinstance(path, storage.RunWriter):
        if path.layout.diagnostics != layout.diagnostics or path.layout.size != layout.size:
            raise ValueError(f"path: run {path.number} of {path.path} was laid out for another flow or another size of state")
        yield path
    elif path is None:
        yield Memory(layout)
    else:
        with storage.create(path, [layout], force=force) as file:
            yield file.runs[0]


def _method(
    run: Run, method: str | type[Any] | None, tolerances: dict[str, float], options: Mapping[str, Any]
) -> tuple[Callable[[float, Array, float], Stepper], dict[str, Any]]:
    """What makes the stepper from (t, y, t_end), and the method's part of the provenance."""
    flow, field = run.flow, run.field
    own = getattr(flow, "stepper", None)
    if own is not None and method is not None:
        raise TypeError(f"method must be left out: {type(flow).__name__} steps itself; got {method!r}")
    method = method or DEFAULT_METHOD
    build: Any = own if own is not None else integrators.get(method)
    name = f"{type(flow).__name__}.stepper" if own is not None else method if isinstance(method, str) else build.__name__
    takes = _parameters(build)
    free = sorted(takes - {"self", "fun", "field", "t", "t0", "y", "y0", "t_end", "t_bound", "vectorized", *tolerances})
    for key in options:
        if key not in free:
            raise TypeError(f"options: {name} has no option {key!r}{_checks.near_matches(key, free)}; it has {', '.join(free) or 'none'}")
    offered = {**tolerances, "norm": getattr(flow, "error_norm", None), "spectral_radius": getattr(flow, "spectral_radius", None)}
    keywords = {**{key: value for key, value in offered.items() if key in takes and value is not None}, **options}
    if own is not None and "field" in takes:
        keywords["field"] = field
    arguments = () if own is not None else (field,)
    return lambda t, y, t_end: build(*arguments, t, y, t_end, **keywords), {"method": name, **tolerances, "options": dict(options)}


def _parameters(build: Any) -> set[str]:
    """Names of the parameters that a method takes by its own word; what `**options` passes on is looked up in its base classes."""
    if not isinstance(build, type):
        return set(inspect.signature(build).parameters)
    names: set[str] = set()
    for cls in build.__mro__:
        if "__init__" in vars(cls) and cls.__module__ != "scipy.integrate._ivp.base":
            parameters = inspect.signature(vars(cls)["__init__"]).parameters.values()
            names |= {p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
            if not any(p.kind is p.VAR_KEYWORD for p in parameters):
                break
    return names
