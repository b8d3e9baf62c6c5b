"""The one loop: ``solve`` moves a flow through mean-field time, ``Solution`` is what it leaves, ``Status`` why it stopped."""

from __future__ import annotations

import inspect
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from functools import partial
from importlib import import_module
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from wflow import _checks, _jit, integrators, storage
from wflow._checks import Array
from wflow.record import Event, Events, Interpolant, Layout, Memory, Record, Recorder, Schedule, Sink, Update, at, every_step, final_arrays
from wflow.record import progress as progress_display

if TYPE_CHECKING:
    from wflow.flows.base import Flow, Stepper

__all__ = ["DEFAULT_ATOL", "DEFAULT_METHOD", "DEFAULT_RTOL", "Solution", "Status", "open", "open_all", "solve"]

DEFAULT_METHOD = "rkc2"
DEFAULT_RTOL = 1e-3
DEFAULT_ATOL = 1e-6


class Status(Enum):
    """Why a run stopped; a `Solution`'s ``message`` adds the cause in numbers and the remedy."""

    FINISHED = "finished"
    EVENT = "event"
    STEADY_STATE = "steady state"
    STEP_LIMIT = "step limit"
    STEP_TOO_SMALL = "step too small"
    NOT_FINITE = "not finite"
    INTERRUPTED = "interrupted"
    FAILED = "failed"  # only in a file: an exception ended the run and was raised
    RUNNING = "running"  # the rest only in a file that is not closed
    KILLED = "killed"
    WAITING = "waiting"

    @property
    def ok(self) -> bool:
        """Whether the run ended as it was meant to."""
        return self in (Status.FINISHED, Status.EVENT, Status.STEADY_STATE)


Verdict: TypeAlias = tuple[Status, str]


# --- what a run leaves --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False, eq=False)
class Solution:
    """What a run left, in memory or in a file: F frames of diagnostics, K ≤ F of them with the state. Made by `solve` and `open`.

    Parameters
    ----------
    stored : Record
        The numbers.
    unpack : callable
        Makes a state of a packed one (n,).
    """

    stored: Record
    unpack: Callable[[Array], Any]

    @property
    def status(self) -> Status:
        """Why the run stopped."""
        return Status(self.stored.summary["status"])

    @property
    def message(self) -> str:
        """The cause and, if it did not end as meant, the remedy."""
        return str(self.stored.summary["message"])

    @property
    def times(self) -> Array:
        """Mean-field times of the frames (F,); the last is that of the last good state."""
        return self.stored.frames[:, 0]

    @property
    def diagnostics(self) -> dict[str, Array]:
        """The flow's numbers by name, each (F,)."""
        return {name: self.stored.frames[:, k + 1] for k, name in enumerate(self.stored.layout.diagnostics)}

    @property
    def energy(self) -> Array:
        """Energy in each frame (F,)."""
        return self._diagnostic("energy")

    @property
    def gap(self) -> Array:
        """Distance of the energy to its optimum (F,); AttributeError if the flow knows none."""
        return self._diagnostic("gap")

    @property
    def dissipation(self) -> Array:
        """∫|F|² dν (F,); AttributeError if the flow knows none."""
        return self._diagnostic("dissipation")

    def _diagnostic(self, name: str) -> Array:
        if name not in self.stored.layout.diagnostics:
            raise AttributeError(f"this flow records no {name!r}; it has {', '.join(self.stored.layout.diagnostics)}")
        return self.diagnostics[name]

    @property
    def state_times(self) -> Array:
        """Times of the states that were kept (K,)."""
        return self.stored.state_times

    def state(self, k: int) -> Any:
        """The k-th state kept, negative k from the end; from a file, read when asked for."""
        kept = len(self.state_times)
        if not -kept <= _checks.integer("k", k) < kept:
            raise IndexError(f"k must be one of the {kept} states kept; got {k}")
        return self.unpack(self.stored.state(k % kept))

    def states(self) -> Iterator[Any]:
        """All states that were kept, one at a time."""
        return (self.state(k) for k in range(len(self.state_times)))

    @property
    def final(self) -> Any:
        """The last state kept, at ``state_times[-1]``: the last good one, unless the run was killed or still goes on."""
        return self.state(-1)

    @property
    def counts(self) -> dict[str, int]:
        """Accepted ``steps``; field evaluations, disjoint; and what else the method counts, such as ``rejected``.

        Evaluations are ``rhs`` for stepping, ``spectral_radius``, and ``recording``: diagnostics at states between steps.
        """
        return dict(self.stored.summary["counts"])

    @property
    def seconds(self) -> dict[str, float]:
        """Wall time ``total``, and in it, disjoint: ``compile``, ``field``, ``recording`` and the parts that the flow times."""
        return dict(self.stored.summary["seconds"])

    @property
    def events(self) -> dict[str, Array]:
        """Times at which each event occurred, by its name."""
        return {name: self.stored.events[self.stored.events[:, 0] == k, 1] for k, name in enumerate(self.stored.summary["events"])}

    @property
    def provenance(self) -> dict[str, Any]:
        """Method, tolerances, the caller's own entries (config, seed), versions, machine, git revision, date."""
        return dict(self.stored.summary["provenance"])

    @property
    def static(self) -> dict[str, Any]:
        """The flow's arrays that do not change."""
        return dict(self.stored.layout.static)

    @property
    def finals(self) -> dict[str, Array]:
        """The flow's arrays worked out at the last state; NaN in the file of a run that has not ended."""
        return dict(self.stored.finals)

    @property
    def path(self) -> Path | None:
        """The file, if there is one."""
        return self.stored.path

    def summary(self) -> str:
        """Why it stopped, what it reached and what it cost, in a few lines for people."""
        lines = [f"{self.status.value}: {self.message}"]
        if len(self.times):
            kept = f"{len(self.times)} frames, {len(self.state_times)} states kept"
            lines.append(f"  time              {self.times[0]:.6g} to {self.times[-1]:.6g}, {kept}")
            shown = [name for name in ("energy", "gap", "dissipation") if name in self.diagnostics]
            lines += [f"  {name:<17} {self.diagnostics[name][0]:.6g} to {self.diagnostics[name][-1]:.6g}" for name in shown]
            if {"gap_lower", "gap_upper"} <= set(self.diagnostics):
                bounds = [f"[{self.diagnostics['gap_lower'][k]:.3g}, {self.diagnostics['gap_upper'][k]:.3g}]" for k in (0, -1)]
                lines.append(f"  gap certified in  {bounds[0]} at the start, {bounds[1]} at the end")
        if counts := self.counts:
            parts = {"steps": counts["rhs"], "spectral radius": counts.get("spectral_radius", 0), "recording": counts["recording"]}
            lines.append(f"  field evaluations {sum(parts.values())} ({', '.join(f'{name} {n}' for name, n in parts.items())})")
            lines.append(f"  steps             {counts['steps']}" + (f", {counts['rejected']} rejected" if "rejected" in counts else ""))
        if seconds := self.seconds:
            total = seconds.pop("total")
            seconds["rest"] = max(0.0, total - sum(seconds.values()))
            lines.append(f"  wall time         {total:.3g} s: " + ", ".join(f"{name} {value:.3g}" for name, value in seconds.items()))
        return "\n".join(lines + ([f"  file              {self.path}"] if self.path else []))

    def plot(self, **options: Any) -> Any:
        """The figure of ``wflow.plotting.plot_solution``."""
        return import_module("wflow.plotting").plot_solution(self, **options)

    def __repr__(self) -> str:
        reached = f", t = {self.times[-1]:.6g}" if len(self.times) else ""
        return f"Solution({self.status.value}{reached}, {len(self.times)} frames)"


def open(path: str | os.PathLike[str], run: int = 0) -> Solution:  # noqa: A001
    """One run of a file, whether it is being written, was finished, or its writer was killed (`Status` says which).

    States come back as measures where the flow said of which kind they are, else as flat arrays (n,).

    Raises
    ------
    FileNotFoundError, PermissionError, ValueError
        If the file is missing, unreadable, not wflow's, damaged or of a newer format, or has no such run.
    """
    stored = storage.read(path, run)
    return Solution(stored, _unpacker(stored.layout))


def open_all(path: str | os.PathLike[str]) -> list[Solution]:
    """All runs of a file, in order; errors as `open`."""
    return [open(path, run) for run in range(storage.count(path))]


def _unpacker(layout: Layout) -> Callable[[Array], Any]:
    """What makes a state of a packed one, from what the file tells."""
    if layout.kind == "particles":
        from wflow.measures import ParticleMeasure

        weights = layout.static["weights"]
        return lambda y: ParticleMeasure(y.reshape(len(weights), -1), weights)
    return lambda y: y


# --- the run ------------------------------------------------------------------------------------------------------------------


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
    and progress never change the steps. Cost: the method's field evaluations, and what is recorded (`record.Recorder`).

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
        ``event(t, state) -> float`` whose zeros are found; attributes ``terminal``, ``direction`` as in SciPy (``record.Events``).
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
    rtol, atol = _checks.real("rtol", rtol, above=0.0), _checks.real("atol", atol, at_least=0.0)
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
    run = _Run(flow, (t_start, y), t_end, max_steps, steady)
    make, about = _method(flow, run.field, method, {"rtol": rtol, "atol": atol}, options or {})
    about = storage.provenance({**(provenance or {}), **about, "flow": type(flow).__name__, "t_start": t_start, "t_end": t_end})

    with _Interrupt() as interrupt, _jit.blas_single_thread():
        verdict = _guarded(run, lambda: run.start(make))  # an option with a bad value shows here, before a file is made
        with _sink(flow, path, force, run) as sink, progress_display(progress, t_start, t_end) as show:
            recorder = Recorder(flow, schedule, due, sink)

            def summary(status: Status, message: str) -> dict[str, Any]:
                counts = {**run.counts(), "recording": recorder.interpolated}
                return {"status": status.value, "message": message, "counts": storage.plain(counts), "seconds": run.clocks.seconds(),
                        "events": watch.names, "provenance": about}  # fmt: skip

            sink.begin(summary(Status.RUNNING, ""))
            try:
                verdict = verdict or _guarded(run, lambda: _march(run, recorder, watch, interrupt, show))
                with run.clocks.recording:
                    recorder.ends(*run.good)
                    finals = final_arrays(flow, *run.good)
            except BaseException as error:
                status = Status.INTERRUPTED if isinstance(error, KeyboardInterrupt) else Status.FAILED
                sink.close(summary(status, f"{type(error).__name__}: {error}"), {})
                raise
            assert verdict is not None
            return Solution(sink.close(summary(*verdict), finals), flow.unpack)


def _march(run: _Run, recorder: Recorder, events: Events, interrupt: _Interrupt, show: Update) -> Verdict:
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
        interpolate = _interpolant(stepper)
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


def _interpolant(stepper: Stepper) -> Interpolant:
    """The state within the last step; dense output is built once, and only if somebody asks."""
    output: Callable[[float], Array] | None = None

    def state(t: float) -> Array:
        nonlocal output
        output = output or stepper.dense_output()
        return np.asarray(output(t))

    return state


def _guarded(run: _Run, part: Callable[[], Verdict | None]) -> Verdict | None:
    """What `part` gives; Ctrl-C and floating-point traps end the run but not the program."""
    try:
        return part()
    except KeyboardInterrupt:
        return Status.INTERRUPTED, f"stopped by Ctrl-C at t = {run.good[0]:.6g}; the state there is kept"
    except FloatingPointError as error:
        return run.not_finite(f"the field ({error})")


class _Run:
    """Where a run stands: its last good (t, y), its stepper, counts and clocks; and what to say when it cannot go on."""

    def __init__(self, flow: Flow, good: tuple[float, Array], t_end: float, max_steps: int, steady: float | None) -> None:
        self.good, self.t_end, self.max_steps, self.steady = good, t_end, max_steps, steady
        self.clocks = _Clocks(flow)
        self.field = _Field(flow, self.clocks.field)
        self.stepper: Stepper | None = None
        self.steps = 0

    def start(self, make: Callable[[float, Array, float], Stepper]) -> None:
        """Make the stepper; SciPy's evaluate the field then."""
        self.stepper = make(*self.good, self.t_end)

    def gave_up(self, reason: str | None) -> Verdict:
        """The verdict on a step that failed: to a method, a field that is not finite looks like a step never short enough."""
        if self.field.last is not None and not np.isfinite(self.field.last).all():
            return self.not_finite("the field")
        advice = "the field may blow up or jump here: loosen rtol and atol, or take rkc2 or euler"
        return Status.STEP_TOO_SMALL, f"no step from t = {self.good[0]:.6g} meets the tolerance ({reason or 'no reason given'}); {advice}"

    def not_finite(self, what: str) -> Verdict:
        """The verdict on a number that is not finite."""
        advice = "take shorter steps (dt, max_step), or look at the energy and the initial state"
        return Status.NOT_FINITE, f"{what} is not finite beyond t = {self.good[0]:.6g}, where the last good state is kept; {advice}"

    def gave_out(self) -> Verdict:
        """The verdict on too many steps."""
        advice = "raise max_steps, loosen rtol, or take rkc2 if the problem is stiff"
        return Status.STEP_LIMIT, f"max_steps = {self.max_steps} reached at t = {self.good[0]:.6g}; {advice}"

    def counts(self) -> dict[str, int]:
        """Steps, evaluations for stepping and for the spectral radius, and what else the stepper counts."""
        own = dict(getattr(self.stepper, "counts", {})) or {name: n for name in ("njev", "nlu") if (n := getattr(self.stepper, name, 0))}
        apart = own.get("spectral_radius", 0)
        return {**own, "steps": self.steps, "rhs": self.field.calls - apart, "spectral_radius": apart}


class _Field:
    """``flow.rhs``, counted and timed, its first value checked."""

    def __init__(self, flow: Flow, clock: _Clock) -> None:
        self.calls = 0
        self.last: Array | None = None
        self._rhs, self._clock = flow.rhs, clock

    def __call__(self, t: float, y: Array) -> Array:
        with self._clock:
            value = self._rhs(t, y)
        self.calls += 1
        self.last = value
        if self.calls == 1:
            if np.shape(value) != y.shape:
                raise ValueError(f"flow.rhs must return an array of shape {y.shape}; got {np.shape(value)}")
            if not np.isfinite(value).all():
                raise FloatingPointError("at the initial state")
        return value


class _Clock:
    """Wall seconds spent inside ``with clock:``, less what `elsewhere` counts meanwhile."""

    def __init__(self, elsewhere: Callable[[], float]) -> None:
        self.seconds = 0.0
        self._elsewhere, self._start = elsewhere, 0.0

    def __enter__(self) -> None:
        self._start = time.perf_counter() - self._elsewhere()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.seconds += time.perf_counter() - self._elsewhere() - self._start


class _Clocks:
    """The wall time of a run in disjoint parts: what compiles, what the flow times itself, the rest of the field, recording."""

    def __init__(self, flow: Flow) -> None:
        self._own: Mapping[str, float] = getattr(flow, "seconds", {})
        self._started, self._compiled, self._before = time.perf_counter(), _jit.compile_seconds(), dict(self._own)
        self.field = _Clock(self._elsewhere)
        self.recording = _Clock(lambda: self._elsewhere() + self.field.seconds)

    def _elsewhere(self) -> float:
        return _jit.compile_seconds() + (sum(self._own.values()) if self._own else 0.0)

    def seconds(self) -> dict[str, float]:
        """The parts so far, and ``"total"``."""
        return {
            "compile": _jit.compile_seconds() - self._compiled,
            "field": max(0.0, self.field.seconds),
            **{name: value - self._before.get(name, 0.0) for name, value in self._own.items()},
            "recording": max(0.0, self.recording.seconds),
            "total": time.perf_counter() - self._started,
        }


class _Interrupt:
    """Ctrl-C asks the loop to end after the step in hand; a second one raises at once. Signals reach the main thread only."""

    def __init__(self) -> None:
        self.asked = False
        self._old: Any = None

    def __enter__(self) -> _Interrupt:
        here = threading.current_thread() is threading.main_thread()
        if here and signal.getsignal(signal.SIGINT) not in (signal.SIG_IGN, None):  # a process told to ignore Ctrl-C goes on doing so
            self._old = signal.signal(signal.SIGINT, self._heard)
        return self

    def _heard(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self.asked:
            self._restore()
            raise KeyboardInterrupt
        self.asked = True

    def _restore(self) -> None:
        if self._old is not None:
            signal.signal(signal.SIGINT, self._old)
            self._old = None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._restore()


@contextmanager
def _sink(flow: Flow, path: Path | storage.RunWriter | None, force: bool, run: _Run) -> Iterator[Sink]:
    """Where the record goes; a file made for this run alone is closed after it."""
    with run.clocks.recording:
        layout = Layout.of(flow, *run.good)
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
    flow: Flow, field: _Field, method: str | type[Any] | None, tolerances: dict[str, float], options: Mapping[str, Any]
) -> tuple[Callable[[float, Array, float], Stepper], dict[str, Any]]:
    """What makes the stepper from (t, y, t_end), and the method's part of the provenance."""
    own = getattr(flow, "stepper", None)
    if own is not None and method is not None:
        raise TypeError(f"method must be left out: {type(flow).__name__} steps itself; got {method!r}")
    build: Any = own if own is not None else integrators.get(DEFAULT_METHOD if method is None else method)
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
