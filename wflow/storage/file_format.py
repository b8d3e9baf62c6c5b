"""Runs in HDF5: frames appended under SWMR and counted last, so that a reader finds every frame whatever befalls the writer.

Layout of a file, format version 1 (docs in the file itself: every dataset carries ``description``, ``unit``, ``shape``)::

    /                       attributes creator = "wflow", format_version, description
    /plan                   of several runs, or of one of the command: JSON text of what was to be run (`wflow.storage.collection`)
    /runs/000, 001, ...     attributes id, state_kind, state_size
        counters   (3,)     valid rows of frames, of states, of events; written after the rows and flushed
        frames     (F, D+1) time and diagnostics; attribute columns
        states     (K, n)   packed states, raw float64;  state_times (K, 1)
        events     (E, 2)   index into the summary's names, time
        summary    (2, 64 KiB)  JSON, rewritten in turn: status, message, counts, seconds, events, provenance; writer, or rows and residuals
        static/*, finals/*  arrays known at the start, and at the end (NaN until then)

HDF5's single-writer mode (SWMR) creates nothing after it begins; everything is laid out before, in a file under a temporary
name that takes its own name only when complete. What a resume needs beside this is a small file of its own (`wflow.storage.checkpoint`).
"""

from __future__ import annotations

import json
import struct
import uuid
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from wflow.provenance import MAX_BYTES, plain
from wflow.record import Layout

if TYPE_CHECKING:
    import h5py

__all__ = ["FORMAT_VERSION", "lay_out", "pack_summary", "sign", "size", "unpack_summary"]

FORMAT_VERSION = 1
_SUMMARY_BYTES = 2 * MAX_BYTES  # the provenance takes half of it at most
_HEADER = struct.Struct("<QQQ")  # sequence number, length, CRC-32 of the JSON text that follows
_SMALL_STATE = 512  # numbers: smaller states share a chunk

# unit and description of the diagnostics that go by convention (`Flow.diagnostics`)
MEANING = {
    "t": ("mean-field time", "time"),
    "energy": ("reward", "energy E(nu_t)"),
    "gap": ("reward", "distance of the energy to its optimum, E* - E"),
    "gap_lower": ("reward", "certified lower bound of the gap"),
    "gap_upper": ("reward", "certified upper bound of the gap"),
    "invariant_drift": ("parameter squared", "root mean square change of the flow's invariant under nu_t since the start"),
    "dissipation": ("reward / mean-field time", "integral of |F|^2 under nu_t, the rate of change of the energy"),
}


def size(layout: Layout) -> int:
    """Bytes of the arrays that `lay_out` creates; what HDF5 adds is small."""
    static: int = sum(array.nbytes for array in layout.static.values())
    return static + sum(8 * int(np.prod(shape)) for shape in layout.finals.values()) + 2 * _SUMMARY_BYTES


def sign(file: h5py.File) -> h5py.File:
    """Say in a new file whose it is and what is in it."""
    file.attrs.update(creator="wflow", format_version=FORMAT_VERSION, description=__doc__ or "")
    return file


def lay_out(file: h5py.File, layout: Layout, identity: str | None = None, number: int = 0) -> h5py.Group:
    """Create all that the file will ever hold of a run; its group."""
    group = file.create_group(f"runs/{number:03d}")
    group.attrs["id"] = identity or uuid.uuid4().hex
    columns = ["t", *layout.diagnostics]
    group.attrs.update(state_kind=layout.kind, state_size=layout.size)

    def describe(dataset: h5py.Dataset, shape: str, unit: str, description: str) -> None:
        dataset.attrs.update(shape=shape, unit=unit, description=description)

    def series(name: str, width: int, rows: int) -> h5py.Dataset:
        from h5py import h5d, h5p

        early = h5p.create(h5p.DATASET_CREATE)  # a chunk has its place in the file as soon as the dataset is extended over it
        early.set_alloc_time(h5d.ALLOC_TIME_EARLY)
        options = {"dtype": np.float64, "fillvalue": np.nan, "chunks": (rows, width), "dcpl": early}
        return group.create_dataset(name, shape=(0, width), maxshape=(None, width), **options)

    meanings = [MEANING.get(name, ("", "diagnostic of the flow")) for name in columns]
    frames = series("frames", len(columns), 64)
    frames.attrs.update(columns=columns, units=[unit for unit, _ in meanings], meanings=[text for _, text in meanings])
    describe(frames, "(F, D + 1)", "see units", "time and diagnostics of each frame, see columns and meanings")
    several = max(1, min(64, _SMALL_STATE // max(1, layout.size)))  # a chunk for every state of two numbers is all index
    describe(series("states", layout.size, several), "(K, n)", "", f"packed states, kind {layout.kind or 'flat'}")
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
