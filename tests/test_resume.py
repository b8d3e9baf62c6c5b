"""Resume: a run that was stopped anywhere and goes on is, bit for bit, the run that never was."""

from __future__ import annotations

import os
import platform
import shutil
import signal

import h5py
import numpy as np
import pytest
from scipy.integrate import RK45
from toys.decay import Decay, field
from toys.noise import Noise
from toys.spiral import Spiral, crossing, script

import wflow
from wflow import storage
from wflow.loop import Status, solve
from wflow.loop import open as open_run
from wflow.record import every_step, geometric, linear
from wflow.storage import checkpoint


def same(resumed, whole):
    """Every number of two runs, to the last bit."""
    np.testing.assert_array_equal(resumed.stored.frames, whole.stored.frames)
    np.testing.assert_array_equal(resumed.state_times, whole.state_times)
    for a, b in zip(resumed.stored.states(range(len(whole.state_times))), whole.stored.states(range(len(whole.state_times))), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(resumed.stored.events, whole.stored.events)
    for name, value in whole.finals.items():
        np.testing.assert_array_equal(resumed.finals[name], value)
    assert resumed.counts == whole.counts
    assert resumed.status is whole.status


def stopping(base, at_call, strike):
    """A flow like `base` in which `strike` happens in the given call of rhs."""

    class Stopped(base):
        calls = 0

        def rhs(self, t, y):
            self.calls += 1
            if self.calls == at_call:
                strike()
            return super().rhs(t, y)

    Stopped.__name__ = base.__name__
    return Stopped()


def ctrl_c():
    signal.raise_signal(signal.SIGINT)


def sigterm():
    signal.raise_signal(signal.SIGTERM)


def hard():
    raise KeyboardInterrupt


SCHEDULES = [None, every_step("all"), every_step(3), linear(17), geometric(30, states=4), [0.3, 5.0, 29.5]]
OURS = {"rkc2": {}, "tsit5": {}, "bs3": {}, "euler": {"dt": 0.1}}


@pytest.mark.parametrize("method", OURS)
@pytest.mark.parametrize("record", SCHEDULES)
@pytest.mark.parametrize("strike", [ctrl_c, sigterm, hard])
def test_a_run_interrupted_and_resumed_is_the_whole_run_bit_for_bit(method, record, strike, tmp_path):
    options = {"t_end": 30.0, "method": method, "options": OURS[method], "record": record, "events": crossing}
    whole = solve(Spiral(), [1.0, 0.0], **options)
    path, calls = tmp_path / "a.h5", whole.counts["rhs"]
    for part in (7, calls // 3, calls // 2):
        cut = solve(stopping(Spiral, part, strike), [1.0, 0.0], path=path, resume=True, checkpoint=0.01, **options)
        assert cut.status is Status.INTERRUPTED
        assert open_run(path).final_time == cut.final_time == cut.times[-1] if strike is not hard else True
    resumed = solve(Spiral(), [1.0, 0.0], path=path, resume=True, **options)
    same(resumed, whole)
    same(open_run(path), whole)
    assert os.listdir(tmp_path) == ["a.h5"]
    assert [entry["after"] for entry in resumed.provenance["resumed"]] == ["interrupted"] * 3
    assert [entry["doubt"] for entry in resumed.provenance["resumed"]] == [""] * 3
    assert resumed.summary().count("after it was interrupted, bit for bit") == 3


@pytest.mark.parametrize(("name", "activation"), [("agazzi_lu_bandit", "relu"), ("agazzi_lu_grid", "relu"), ("agazzi_lu_bandit", "tanh")])
def test_the_main_job_resumes_bit_for_bit(name, activation, tmp_path):
    def run(path=None, progress=False, **options):
        energy = wflow.energies.PolicyValue(getattr(wflow.mdp, name)(seed=0), activation=activation)
        initial = wflow.measures.laws.student(energy.n_parameters).sample(60, seed=1)
        return solve(wflow.flows.WassersteinFlow(energy), initial, 200.0, record=every_step(5), path=path, progress=progress, **options)

    whole, seen = run(), []

    def stop(t, diagnostics):
        seen.append(t)
        if len(seen) % 4 == 0:
            ctrl_c()

    path, status = tmp_path / "a.h5", Status.INTERRUPTED
    while status is Status.INTERRUPTED:
        status = run(path, stop, resume=True).status
    assert len(seen) > 8
    same(open_run(path), whole)
    assert isinstance(open_run(path).final, wflow.measures.ParticleMeasure)


@pytest.mark.parametrize("kind", ["PCG64", "MT19937", "SFC64"])
def test_random_numbers_go_on_where_they_were(kind, tmp_path):
    whole = solve(Noise(kind), [1.0, 2.0], 3.0, options={"seed": 5}, record=every_step("all"))
    stops = iter((10, 30, 100, 300))
    for _ in range(4):
        stop = next(stops) * 0.01
        cut = solve(Noise(kind), [1.0, 2.0], 3.0, options={"seed": 5}, record=every_step("all"), path=tmp_path / "a.h5", resume=True,
                    progress=lambda t, values, stop=stop: t >= stop and ctrl_c())  # fmt: skip
    assert cut.status is Status.FINISHED
    same(cut, whole)
    assert not np.array_equal(solve(Noise(kind), [1.0, 2.0], 3.0, options={"seed": 6}).final, whole.final)


@pytest.mark.parametrize("method", ["RK45", RK45, "DOP853", "Radau", "BDF", "LSODA"])
def test_scipys_methods_go_on_from_the_last_step_and_say_that_bits_may_differ(method, tmp_path):
    options = {"t_end": 30.0, "method": method, "record": every_step("all"), "rtol": 1e-8, "atol": 1e-10}
    whole = solve(Spiral(), [1.0, 0.0], **options)
    cut = solve(stopping(Spiral, 60, ctrl_c), [1.0, 0.0], path=tmp_path / "a.h5", checkpoint=None, **options)
    assert 0.0 < cut.times[-1] < 30.0
    resumed = solve(Spiral(), [1.0, 0.0], path=tmp_path / "a.h5", resume=True, **options)
    assert resumed.status is Status.FINISHED
    np.testing.assert_allclose(resumed.final, whole.final, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(resumed.times[: len(cut.times)], cut.times)
    assert (np.diff(resumed.times) > 0).all()
    (entry,) = resumed.provenance["resumed"]
    assert entry["t"] == cut.times[-1]
    assert entry["doubt"] == f"{method if isinstance(method, str) else 'RK45'} keeps no memory of its steps"
    assert "bits may differ" in resumed.summary()
    assert resumed.counts["steps"] == len(resumed.times) - 1
    assert resumed.counts["rhs"] >= cut.counts["rhs"]
    if method == "BDF":
        assert resumed.counts["nlu"] > cut.counts["nlu"] > 0


def test_a_finished_run_is_given_back_and_extended(tmp_path):
    path = tmp_path / "a.h5"
    first = solve(Spiral(), [1.0, 0.0], 10.0, path=path, record=linear(11))
    before = path.read_bytes()
    again = solve(stopping(Spiral, 1, lambda: pytest.fail("nothing was left to do")), [1.0, 0.0], 10.0, path=path, resume=True)
    same(again, first)
    assert path.read_bytes() == before
    longer = solve(Spiral(), [1.0, 0.0], 20.0, path=path, record=linear(21), resume=True)
    assert longer.status is Status.FINISHED
    np.testing.assert_allclose(longer.times, np.arange(21.0), atol=1e-12)
    np.testing.assert_array_equal(longer.stored.frames[:11], first.stored.frames)
    np.testing.assert_allclose(longer.final, solve(Spiral(), [1.0, 0.0], 20.0).final, atol=1e-2)
    (entry,) = longer.provenance["resumed"]
    assert (entry["t"], entry["after"]) == (10.0, "finished")
    assert "cut its last step" in entry["doubt"]
    assert longer.provenance["t_end"] == 20.0
    assert longer.counts["steps"] > first.counts["steps"]
    assert os.listdir(tmp_path) == ["a.h5"]


def test_beyond_a_limit_of_steps_bit_for_bit(tmp_path):
    path = tmp_path / "a.h5"
    whole = solve(Spiral(), [1.0, 0.0], 30.0)
    assert solve(Spiral(), [1.0, 0.0], 30.0, path=path, max_steps=5).status is Status.STEP_LIMIT
    assert solve(Spiral(), [1.0, 0.0], 30.0, path=path, max_steps=5, resume=True).status is Status.STEP_LIMIT
    same(solve(Spiral(), [1.0, 0.0], 30.0, path=path, resume=True), whole)


def test_an_event_that_ended_a_run_counts_on(tmp_path):
    def third(t, state):
        return state[0]

    third.terminal = 3
    whole = solve(Spiral(), [1.0, 0.0], 100.0, events=third)
    assert whole.status is Status.EVENT
    path = tmp_path / "a.h5"
    for call in (30, 60):
        cut = solve(stopping(Spiral, call, ctrl_c), [1.0, 0.0], 100.0, events=third, path=path, resume=True)
        assert cut.status is Status.INTERRUPTED
    same(solve(Spiral(), [1.0, 0.0], 100.0, events=third, path=path, resume=True), whole)
    assert len(whole.events["third"]) == 3


def test_a_run_that_failed_goes_on_once_the_cause_is_gone(tmp_path):
    def fail():
        raise ZeroDivisionError("no such policy")

    path = tmp_path / "a.h5"
    with pytest.raises(ZeroDivisionError):
        solve(stopping(Spiral, 50, fail), [1.0, 0.0], 30.0, path=path, checkpoint=0.0)
    assert open_run(path).status is Status.FAILED
    same(solve(Spiral(), [1.0, 0.0], 30.0, path=path, resume=True), solve(Spiral(), [1.0, 0.0], 30.0))


def test_without_its_checkpoint_a_run_begins_again_and_loses_no_frame(tmp_path):
    path = tmp_path / "a.h5"
    cut = solve(stopping(Spiral, 60, ctrl_c), [1.0, 0.0], 30.0, path=path, record=every_step("all"))
    checkpoint.path_of(path).unlink()
    again = solve(stopping(Spiral, 8, ctrl_c), [1.0, 0.0], 30.0, path=path, record=every_step("all"), resume=True)
    assert len(again.times) == len(cut.times)  # stopped before it came to anything new
    same(solve(Spiral(), [1.0, 0.0], 30.0, path=path, record=every_step("all"), resume=True),
         solve(Spiral(), [1.0, 0.0], 30.0, record=every_step("all")))  # fmt: skip


@pytest.mark.parametrize("record", SCHEDULES)
@pytest.mark.parametrize("frames", [0, 1, 2])
def test_killed_before_its_first_checkpoint_it_begins_again(record, frames, tmp_path):
    """The campaign of ``benchmarks.kills`` found three of 76 runs in which every k-th state was then another."""
    path, told = tmp_path / "a.h5", []
    whole = solve(Spiral(), [1.0, 0.0], 30.0, record=record)
    with pytest.MonkeyPatch.context() as patched:

        def frame(self, row, y=None):
            if len(told) == frames:
                raise SystemExit  # as if killed: nothing more is written
            told.append(row[0])
            write(self, row, y)

        write = storage.RunWriter.frame
        patched.setattr(storage.RunWriter, "frame", frame)
        patched.setattr(storage.RunWriter, "close", lambda self, summary, finals: None)
        with pytest.raises(SystemExit):
            solve(Spiral(), [1.0, 0.0], 30.0, record=record, path=path, checkpoint=None)
    patched_writer(path)
    assert len(open_run(path).times) == frames
    same(solve(Spiral(), [1.0, 0.0], 30.0, record=record, path=path, resume=True), whole)


def patched_writer(path):
    """As if the process that wrote the file were gone."""
    with h5py.File(path, "r+") as file:
        summary = {**open_run(path).stored.summary, "writer": {"host": platform.node(), "pid": 0, "started": ""}}
        file["runs/000/summary"][1] = storage.file_format.pack_summary(9, summary)[0]


def test_a_checkpoint_of_a_file_that_was_here_before_is_not_taken(tmp_path):
    path = tmp_path / "a.h5"
    solve(stopping(Spiral, 60, ctrl_c), [2.0, 0.0], 30.0, path=path)
    stale = checkpoint.path_of(path).read_bytes()
    solve(stopping(Spiral, 60, ctrl_c), [1.0, 0.0], 30.0, path=path, force=True, checkpoint=None)
    assert not checkpoint.path_of(path).exists()
    checkpoint.path_of(path).write_bytes(stale)
    resumed, whole = solve(Spiral(), [1.0, 0.0], 30.0, path=path, resume=True), solve(Spiral(), [1.0, 0.0], 30.0)
    np.testing.assert_array_equal(resumed.stored.frames, whole.stored.frames)
    np.testing.assert_array_equal(resumed.final, whole.final)
    assert resumed.provenance["resumed"][0]["t"] == 0.0


# --- what is refused, with the file as it was


def other(**methods):
    """A spiral that is another flow in something."""
    return type("Spiral", (Spiral,), methods)()


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"rtol": 1e-5}, r"was run with rtol = 0\.001; got 1e-05"),
        ({"method": "bs3"}, "was run with method = 'rkc2'; got 'bs3'"),
        ({"initial": [1.0, 0.5]}, "was run from another initial state"),
        ({"initial": [1.0, 0.5, 1.0], "flow": Decay()}, "was run with flow = 'Spiral'; got 'Decay'"),
        ({"flow": other(diagnostics=lambda self, t, y: {"energy": 7.0, "angle": 0.0})}, "its first frame differs"),
        ({"flow": other(static=lambda self: {"nodes": np.ones(7), "labels": np.ones(2)})}, "run with other nodes"),
        ({"flow": other(static=lambda self: {})}, "by another flow or with another size of state"),
        ({"events": crossing}, r"was run with the events \[\]; got \['crossing'\]"),
        ({"t_end": 0.5}, r"t_end must be at least .*, which the run in .* has reached; got 0\.5"),
        ({"path": None}, "resume needs a path"),
        ({"checkpoint": -1.0}, "checkpoint must be a finite number at least 0"),
        ({"options": {"max_stages": 100}}, r"was run with options = \{\}; got \{'max_stages': 100\}"),
    ],
)
def test_another_run_is_refused(changes, text, tmp_path):
    path = tmp_path / "a.h5"
    solve(stopping(Spiral, 60, ctrl_c), [1.0, 0.0], 30.0, "rkc2", path=path)
    before = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}
    arguments = {"flow": Spiral(), "initial": [1.0, 0.0], "t_end": 30.0, "method": "rkc2", "path": path, "resume": True} | changes
    with pytest.raises(ValueError, match=text):
        solve(**arguments)
    assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == before


def test_a_damaged_or_newer_checkpoint_is_named(tmp_path):
    path = tmp_path / "a.h5"
    solve(stopping(Spiral, 60, ctrl_c), [1.0, 0.0], 30.0, path=path)
    whole = checkpoint.path_of(path).read_bytes()
    for damaged in (b"", whole[:100], whole[:-50], b"something else", whole.replace(b'"run"', b'"rum"')):
        checkpoint.path_of(path).write_bytes(damaged)
        with pytest.raises(ValueError, match=r"a\.h5\.checkpoint is damaged .*; remove it to resume") as caught:
            solve(Spiral(), [1.0, 0.0], 30.0, path=path, resume=True)
        assert "\n" not in str(caught.value)
    with np.load(shutil.copy(tmp_path / "a.h5", tmp_path / "b.h5") and _write(path, whole), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    arrays["meta"] = np.frombuffer(arrays["meta"].tobytes().replace(b'"format_version": 1', b'"format_version": 9'), dtype=np.uint8)
    with checkpoint.path_of(path).open("wb") as file:
        np.savez(file, **arrays)
    with pytest.raises(ValueError, match="has format version 9; this wflow reads up to 1: upgrade wflow"):
        solve(Spiral(), [1.0, 0.0], 30.0, path=path, resume=True)


def _write(path, data):
    checkpoint.path_of(path).write_bytes(data)
    return checkpoint.path_of(path)


def test_a_file_that_is_being_written_is_left_alone(tmp_path):
    path, refused = tmp_path / "a.h5", []

    def meanwhile(t, values):
        if not refused:
            with pytest.raises(FileExistsError, match="is being written by process") as caught:
                solve(Spiral(), [1.0, 0.0], 30.0, path=path, resume=True)
            refused.append(str(caught.value))

    assert solve(Spiral(), [1.0, 0.0], 30.0, path=path, progress=meanwhile).status is Status.FINISHED
    assert len(refused) == 1


def test_a_file_of_another_host_is_taken_over_by_force(tmp_path, monkeypatch):
    path = tmp_path / "a.h5"
    solve(stopping(Spiral, 60, ctrl_c), [1.0, 0.0], 30.0, path=path)
    with h5py.File(path, "r+") as file:  # as if that process had been cut off before it could say so
        file["runs/000/summary"][0] = 0
    monkeypatch.setattr("platform.node", lambda: "elsewhere")
    with pytest.raises(FileExistsError, match=r"is being written by process .*; if that is gone, set force"):
        solve(Spiral(), [1.0, 0.0], 30.0, path=path, resume=True)
    same(solve(Spiral(), [1.0, 0.0], 30.0, path=path, resume=True, force=True), solve(Spiral(), [1.0, 0.0], 30.0))


def test_a_file_of_several_runs_is_left_to_the_command(tmp_path):
    path = tmp_path / "a.h5"
    solve(Spiral(), [1.0, 0.0], 10.0, path=path)
    with h5py.File(path, "r+") as file:
        file.copy("runs/000", "runs/001")
    with pytest.raises(ValueError, match=r"holds 2 runs; solve goes on with files of one \(the command `wflow resume`"):
        solve(Spiral(), [1.0, 0.0], 20.0, path=path, resume=True)
    assert storage.count(path) == 2


def test_other_versions_cast_doubt(tmp_path, monkeypatch):
    path = tmp_path / "a.h5"
    solve(stopping(Spiral, 60, ctrl_c), [1.0, 0.0], 30.0, path=path)
    monkeypatch.setattr("wflow._resume.surroundings", lambda: {"versions": {"numpy": "0.1"}, "machine": "abacus"})
    resumed = solve(Spiral(), [1.0, 0.0], 30.0, path=path, resume=True)
    assert resumed.provenance["resumed"][0]["doubt"] == "versions and machine changed"


def test_a_field_with_a_bad_value_after_the_resume_ends_there(tmp_path):
    path = tmp_path / "a.h5"
    flow = field(lambda t, y: -y if t < 3.0 else np.full_like(y, np.nan))
    first = solve(flow, [1.0], 5.0, path=path)
    assert first.status is Status.NOT_FINITE
    again = solve(flow, [1.0], 5.0, path=path, resume=True)
    assert again.status is Status.NOT_FINITE
    assert again.times[-1] == first.times[-1]


# --- kills

KILLED = """
import random, struct
from toys.spiral import Spiral, crossing
from wflow.loop import solve
from wflow.record import every_step
options = dict(t_end=60.0, method=sys.argv[1], events=crossing, record=every_step("all"), options={"max_step": 0.02})
random.seed(7)
solve(Spiral(), [1.0, 0.0], 0.1, sys.argv[1])  # its children inherit what is compiled
for k in range(int(sys.argv[2])):
    for kill in range(3):
        child = os.fork()
        if child == 0:
            solve(Spiral(), [1.0, 0.0], path=f"{k}.h5", resume=True, checkpoint=0.0 if k % 2 else 0.02, **options)
            os._exit(0)
        time.sleep(random.uniform(0.0, 0.3))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        frames = len(open_run(f"{k}.h5").times) if os.path.exists(f"{k}.h5") else 0
        print(k, frames, flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks its victims, so that each costs milliseconds")
@pytest.mark.parametrize("method", ["rkc2", "tsit5"])
def test_killed_again_and_again_it_loses_no_frame_and_ends_as_the_whole_run(method, tmp_path):
    done = script(KILLED, tmp_path, method, 5)
    assert done.returncode == 0, done.stderr
    found: dict[int, list[int]] = {}
    for line in done.stdout.splitlines():
        k, frames = map(int, line.split())
        found.setdefault(k, []).append(frames)
    assert all(frames == sorted(frames) for frames in found.values())  # a resume that is killed has not lost what was there
    assert max(frames[-1] for frames in found.values()) > 30
    options = {"t_end": 60.0, "method": method, "events": crossing, "record": every_step("all"), "options": {"max_step": 0.02}}
    whole = solve(Spiral(), [1.0, 0.0], **options)
    for k in found:
        same(solve(Spiral(), [1.0, 0.0], path=tmp_path / f"{k}.h5", resume=True, **options), whole)
    assert sorted(os.listdir(tmp_path)) == sorted(f"{k}.h5" for k in found)
