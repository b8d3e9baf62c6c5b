"""Runs in HDF5: frames appended under SWMR and counted last, so that a reader finds every frame whatever befalls the writer.

Layout of a file, format version 1 (docs in the file itself: every dataset carries ``description``, ``unit``, ``shape``)::

    /                       attributes creator = "wflow", format_version, id
    /runs/000, 001, ...     attributes state_kind, state_size
        counters   (3,)     valid rows of frames, of states, of events; written after the rows and flushed
        frames     (F, D+1) time and diagnostics; attribute columns
        states     (K, n)   packed states, raw float64;  state_times (K, 1)
        events     (E, 2)   index into the summary's names, time
        summary    (2, 64 KiB)  JSON, rewritten in turn: status, message, counts, seconds, events, provenance, writer
        static/*, finals/*  arrays known at the start, and at the end (NaN until then)

HDF5's single-writer mode (SWMR) creates nothing after it begins; everything is laid out before, in a file under a temporary
name that takes its own name only when complete. What a resume needs beside this will be a small file of its own.
"""

from __future__ import annotations

import json
import struct
import uuid
import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from wflow.provenance import MAX_BYTES, plain
from wflow.record import Layout

if TYPE_CHECKING:
    import h5py

__all__ = ["FORMAT_VERSION", "lay_out", "pack_summary", "size", "unpack_summary"]

FORMAT_VERSION = 1
_SUMMARY_BYTES = 2 * MAX_BYTES  # the provenance takes half of it at most
_HEADER = struct.Struct("<QQQ")  # sequence number, length, CRC-32 of the JSON text that follows

# unit and description of the diagnostics that go by convention (`Flow.diagnostics`)
_MEANING = {
    "t": ("mean-field time", "time"),
    "energy": ("reward", "energy E(nu_t)"),
    "gap": ("reward", "distance of the energy to its optimum, E* - E"),
    "gap_lower": ("reward", "certified lower bound of the gap"),
    "gap_upper": ("reward", "certified upper bound of the gap"),
    "dissipation": ("reward / mean-field time", "integral of |F|^2 under nu_t, the rate of change of the energy"),
}


def size(layouts: Sequence[Layout]) -> int:
    """Bytes of the arrays that `lay_out` creates; what HDF5 adds is small."""
    static: int = sum(array.nbytes for layout in layouts for array in layout.static.values())
    finals = sum(8 * int(np.prod(shape)) for layout in layouts for shape in layout.finals.values())
    return static + finals + len(layouts) * 2 * _SUMMARY_BYTES


def lay_out(file: h5py.File, layouts: Sequence[Layout]) -> list[h5py.Group]:
    """Create all that the file will ever hold; the group of each run."""
    file.attrs.update(creator="wflow", format_version=FORMAT_VERSION, id=uuid.uuid4().hex, description=__doc__ or "")
    return [_lay_out_run(file.create_group(f"runs/{k:03d}"), layout) for k, layout in enumerate(layouts)]


def _lay_out_run(group: h5py.Group, layout: Layout) -> h5py.Group:
    columns = ["t", *layout.diagnostics]
    group.attrs.update(state_kind=layout.kind, state_size=layout.size)

    def describe(dataset: h5py.Dataset, shape: str, unit: str, description: str) -> None:
        dataset.attrs.update(shape=shape, unit=unit, description=description)

    def series(name: str, width: int, rows: int) -> h5py.Dataset:
        options = {"dtype": np.float64, "fillvalue": np.nan, "chunks": (rows, width)}
        return group.create_dataset(name, shape=(0, width), maxshape=(None, width), **options)

    meanings = [_MEANING.get(name, ("", "diagnostic of the flow")) for name in columns]
    frames = series("frames", len(columns), 64)
    frames.attrs.update(columns=columns, units=[unit for unit, _ in meanings], meanings=[text for _, text in meanings])
    describe(frames, "(F, D + 1)", "see units", "time and diagnostics of each frame, see columns and meanings")
    describe(series("states", layout.size, 1), "(K, n)", "", f"packed states, kind {layout.kind or 'flat'}")
    describe(series("state_times", 1, 64), "(K, 1)", "mean-field time", "time of each state")
    describe(series("events", 2, 64), "(E, 2)", "1; mean-field time", "index into the summary's event names, and time")
    counters = group.create_dataset("counters", data=np.zeros(3, dtype=np.int64))
    describe(counters, "(3,)", "1", "valid rows of frames, states and events")
    summary = group.create_dataset("summary", data=np.zeros((2, _SUMMARY_BYTES), dtype=np.uint8))
    describe(summary, f"(2, {_SUMMARY_BYTES})", "", "two slots: sequence number, length and CRC-32 (little-endian uint64), JSON text")
    static, finals = group.create_group("static"), group.create_group("finals")
    for name, array in layout.static.items():
        describe(static.create_dataset(name, data=array), str(array.shape), "", "does not change")
    for name, shape in layout.finals.items():
        describe(finals.create_dataset(name, data=np.full(shape, np.nan)), str(shape), "", "worked out at the last state; NaN before")
    return group


def pack_summary(sequence: int, summary: Mapping[str, Any]) -> npt.NDArray[np.uint8]:
    """The slot (1, 64 KiB) that says `summary`; of the two slots of a run, the one with the higher `sequence` > 0 holds."""
    text = json.dumps(plain({**summary, "message": summary["message"][:1000]})).encode()
    assert len(text) <= _SUMMARY_BYTES - _HEADER.size, "more events than a summary can name"
    slot = np.zeros((1, _SUMMARY_BYTES), dtype=np.uint8)
    packed = _HEADER.pack(sequence, len(text), zlib.crc32(text)) + text
    slot[0, : len(packed)] = np.frombuffer(packed, dtype=np.uint8)
    return slot


def unpack_summary(slots: npt.NDArray[np.uint8]) -> dict[str, Any] | None:
    """The newest summary whose text is whole; None if there was none yet."""
    newest, summary = 0, None
    for slot in slots:
        sequence, length, checksum = _HEADER.unpack(slot.tobytes()[: _HEADER.size])
        text = slot.tobytes()[_HEADER.size : _HEADER.size + length]
        if sequence > newest and zlib.crc32(text) == checksum:
            newest, summary = sequence, json.loads(text)
    return summary
