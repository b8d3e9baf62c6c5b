"""Checkpoints: whole or not there, every number to the last bit, whatever a method keeps."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wflow.storage import checkpoint, disk
from wflow.storage.checkpoint import Checkpoint

numbers = st.one_of(st.floats(allow_nan=False), st.integers(-(2**200), 2**200), st.booleans(), st.none(), st.text(max_size=5))
arrays = st.lists(st.floats(allow_nan=False), max_size=5).map(np.array)
nested = st.recursive(numbers | arrays, lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(), part))
memory = st.dictionaries(st.text(max_size=8), nested)


def same(a, b):
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b and str(a) == str(b)


@settings(max_examples=60, deadline=None)
@given(memory, st.floats(0, 1e300))
def test_what_a_method_keeps_comes_back_to_the_last_bit(tmp_path_factory, state, t):
    path = tmp_path_factory.mktemp("a") / "a.h5"
    y = np.random.default_rng(0).standard_normal(7)
    checkpoint.write(path, Checkpoint("id", t, y, state, {"steps": 3}, {"policy": np.eye(2)}))
    found = checkpoint.read(path)
    assert (found.run, found.t, found.progress) == ("id", t, {"steps": 3})
    assert same(found.y, y)
    assert same(dict(found.stepper), state)
    np.testing.assert_array_equal(found.finals["policy"], np.eye(2))


@pytest.mark.parametrize("kind", ["PCG64", "MT19937", "Philox", "SFC64", "PCG64DXSM"])
def test_generators_of_every_kind_go_on(kind, tmp_path):
    rng = np.random.Generator(getattr(np.random, kind)(3))
    rng.standard_normal(11, dtype=np.float32)  # an odd number: half a word is kept
    checkpoint.write(tmp_path / "a.h5", Checkpoint("", 0.0, np.zeros(1), {"rng": rng}, {}))
    other = np.random.Generator(getattr(np.random, kind)(0))
    other.bit_generator.state = checkpoint.read(tmp_path / "a.h5").stepper["rng"]
    np.testing.assert_array_equal(other.standard_normal(50, dtype=np.float32), rng.standard_normal(50, dtype=np.float32))


def test_the_layout_is_as_documented(tmp_path):
    state = {"h": 0.1, "vector": np.arange(3.0)}
    checkpoint.write(tmp_path / "a.h5", Checkpoint("id", 2.0, np.ones(2), state, {"steps": 1}, {"policy": np.eye(2)}))
    with np.load(tmp_path / "a.h5.checkpoint", allow_pickle=False) as archive:
        assert sorted(archive.files) == ["array/0", "finals/policy", "meta", "y"]
        meta = json.loads(archive["meta"].tobytes().decode())
        assert meta == {"creator": "wflow", "format_version": 1, "run": "id", "t": 2.0, "progress": {"steps": 1},
                        "stepper": {"h": 0.1, "vector": {"__array__": 0}}}  # fmt: skip
        np.testing.assert_array_equal(archive["array/0"], np.arange(3.0))


def test_a_write_that_fails_leaves_the_one_before_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.h5"
    checkpoint.write(path, Checkpoint("id", 1.0, np.ones(5), None, {}))

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk.os, "fsync", full)
    with pytest.raises(OSError, match=r"a\.h5\.checkpoint: No space left on device: cannot write it; the checkpoint before it is kept"):
        checkpoint.write(path, Checkpoint("id", 2.0, np.ones(5), None, {}))
    assert checkpoint.read(path).t == 1.0
    assert os.listdir(tmp_path) == ["a.h5.checkpoint"]


def test_what_dead_processes_left_is_cleared_away(tmp_path):
    for name in (".a.h5.checkpoint.999999999.tmp", f".a.h5.checkpoint.{os.getppid()}.tmp", ".b.h5.999999999.tmp"):
        (tmp_path / name).write_text("half")
    checkpoint.write(tmp_path / "a.h5", Checkpoint("id", 1.0, np.ones(5), None, {}))
    assert sorted(os.listdir(tmp_path)) == sorted([f".a.h5.checkpoint.{os.getppid()}.tmp", ".b.h5.999999999.tmp", "a.h5.checkpoint"])


def test_none_there_and_another_runs(tmp_path):
    assert checkpoint.read(tmp_path / "a.h5") is None
    assert checkpoint.standing(tmp_path / "a.h5", "id") is None
    checkpoint.write(tmp_path / "a.h5", Checkpoint("id", 1.0, np.ones(5), None, {}))
    assert checkpoint.standing(tmp_path / "a.h5", "other") is None
    t, y, finals = checkpoint.standing(tmp_path / "a.h5", "id")
    assert (t, y.tolist(), finals) == (1.0, [1.0] * 5, {})
    (tmp_path / "a.h5.checkpoint").write_bytes(b"PK")
    assert checkpoint.standing(tmp_path / "a.h5", "id") is None


def test_archives_of_others_are_refused(tmp_path):
    for meta, text in (({"creator": "me"}, "is no checkpoint of wflow"), ({"creator": "wflow"}, "is damaged"), ([], "is damaged")):
        with (tmp_path / "a.h5.checkpoint").open("wb") as file:
            np.savez(file, meta=np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8))
        with pytest.raises(ValueError, match=text):
            checkpoint.read(tmp_path / "a.h5")
