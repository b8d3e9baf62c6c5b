"""What a run leaves: `Solution`, from memory or from a file, and `Status`, why it stopped."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wflow import _checks
from wflow._checks import Array
from wflow._states import unpacker
from wflow.record import Record
from wflow.storage import collection

if TYPE_CHECKING:
    from wflow.energies import Residuals

__all__ = ["Solution", "Status", "open", "open_all"]


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
    def finals_time(self) -> float:
        """Mean-field time of `finals`: that of the last state, but of the checkpoint where a run goes on or was killed."""
        return float(self.stored.last[0]) if self.stored.last else self.final_time

    @property
    def state_times(self) -> Array:
        """Times of the states that were kept (K,)."""
        return self.stored.state_times

    def state(self, k: int) -> Any:
        """The k-th state kept, negative k from the end; from a file, read when asked for."""
        kept = len(self.state_times)
        if not -kept <= _checks.integer("k", k) < kept:
            raise IndexError(f"k must be one of the {kept} states kept; got {k}")
        return self.unpack(next(iter(self.stored.states([k % kept]))))

    def states(self) -> Iterator[Any]:
        """All states that were kept, one at a time."""
        return map(self.unpack, self.stored.states(range(len(self.state_times))))

    @property
    def final(self) -> Any:
        """The last good state, at `final_time`; of a run that was killed or still goes on, the last one kept or its checkpoint's."""
        return self.unpack(self.stored.last[1]) if self.stored.last and self.final_time == self.stored.last[0] else self.state(-1)

    @property
    def final_time(self) -> float:
        """Mean-field time of `final`; NaN if no state was kept."""
        last = self.stored.last[0] if self.stored.last else -np.inf
        return float(max(last, self.state_times[-1])) if len(self.state_times) else last if np.isfinite(last) else np.nan

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
        """The flow's arrays worked out at the last state; of a run that has not ended at its checkpoint, NaN if it has none."""
        return dict(self.stored.finals)

    @property
    def residuals(self) -> Residuals | None:
        """Residuals of the last state (`wflow.energies.residuals`); None if the run has not ended or its energy has none."""
        stored = self.stored.summary.get("residuals", {})
        if "g_sup" not in stored:
            return None
        from wflow.energies import Residuals

        return Residuals.of_plain(stored)

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
            if "wall_mass" in self.diagnostics:
                lines.append(f"  mass at the walls {self.diagnostics['wall_mass'].max():.3g} at most, in the outermost cells of the grid")
            if {"gap_lower", "gap_upper"} <= set(self.diagnostics):
                bounds = [f"[{self.diagnostics['gap_lower'][k]:.3g}, {self.diagnostics['gap_upper'][k]:.3g}]" for k in (0, -1)]
                lines.append(f"  gap certified in  {bounds[0]} at the start, {bounds[1]} at the end")
        lines += self._residual_lines()
        if counts := self.counts:
            parts = {"steps": counts["rhs"], "spectral radius": counts.get("spectral_radius", 0), "recording": counts["recording"]}
            products = f", {counts['jacobian']} products with its Jacobian" if "jacobian" in counts else ""
            lines.append(f"  field evaluations {sum(parts.values())} ({', '.join(f'{name} {n}' for name, n in parts.items())}){products}")
            rejected = f", {counts['rejected']} rejected" if "rejected" in counts else ""
            capped = f", {counts['capped']} capped: the spectrum rotates (tsit5 may be cheaper)" if counts.get("capped") else ""
            lines.append(f"  steps             {counts['steps']}{rejected}{capped}")
        if seconds := self.seconds:
            total = seconds.pop("total")
            seconds["rest"] = max(0.0, total - sum(seconds.values()))
            lines.append(f"  wall time         {total:.3g} s: " + ", ".join(f"{name} {value:.3g}" for name, value in seconds.items()))
        for resumed in self.provenance.get("resumed", []):
            doubt = f"; bits may differ: {resumed['doubt']}" if resumed["doubt"] else ", bit for bit"
            lines.append(f"  resumed           at t = {resumed['t']:.6g} after it was {resumed['after']}{doubt}")
        return "\n".join(lines + ([f"  file              {self.path}"] if self.path else []))

    def _residual_lines(self) -> list[str]:
        stored, residuals = self.stored.summary.get("residuals", {}), self.residuals
        told = residuals.lines() if residuals else [f"not worked out: {stored['failed']}"] if "failed" in stored else []
        return [f"  {'' if k else 'residuals':<17} {line}" for k, line in enumerate(told)]

    def to_xarray(self) -> Any:
        """All of it as an ``xarray.Dataset`` (extra ``xarray``); see ``wflow._xarray.dataset``.

        Raises
        ------
        ImportError
            If xarray is not installed.
        """
        return import_module("wflow._xarray").dataset(self)

    def plot(self, what: str = "overview") -> Any:
        """The figure of ``wflow.plotting.plot``: overview, gap, dissipation, drift, policy, particles or density."""
        return import_module("wflow.plotting").plot(self, what)

    def __repr__(self) -> str:
        reached = f", t = {self.times[-1]:.6g}" if len(self.times) else ""
        return f"Solution({self.status.value}{reached}, {len(self.times)} frames)"


def open(path: str | os.PathLike[str], run: int = 0) -> Solution:  # noqa: A001
    """One run of a file, whether it is being written, was finished, or its writer was killed (`Status` says which).

    While several runs of a file go on, they are in a folder beside it (`wflow.storage.collection`); its name stands for them still.

    States come back as measures where the flow said of which kind they are, else as flat arrays (n,).

    Raises
    ------
    FileNotFoundError, PermissionError, ValueError
        If the file is missing, unreadable, not wflow's, damaged or of a newer format, or has no such run.
    """
    stored = collection.read(path, run)
    return Solution(stored, unpacker(stored.layout, _flat))


def open_all(path: str | os.PathLike[str]) -> list[Solution]:
    """All runs of a file, in order; errors as `open`."""
    return [open(path, run) for run in range(collection.count(path))]


def _flat(y: Array) -> Array:
    return y
