"""Where runs stand, in few words."""

from __future__ import annotations

import pytest
from plotting.runs import Curve, waiting

from wflow.loop import Status
from wflow.plotting.standing import begun, end_mark, names, stands, tally

TIMES = [0.0, 1.0, 20.0]


def run(status="finished", **provenance):
    return Curve(TIMES, status, provenance, energy=TIMES)


@pytest.mark.parametrize("status", list(Status))
def test_every_status_that_is_not_as_meant_is_said_and_marked(status):
    said, mark = stands(run(status)), end_mark(run(status))
    assert bool(said) == bool(mark) == (not status.ok)
    if said:
        assert said == ("running, $t = 20$" if status is Status.RUNNING else f"{status.value} at $t = 20$")


def test_a_checkpoint_may_be_further_than_the_last_frame():
    killed = run("killed")
    killed.final_time = 30.0
    assert stands(killed) == "killed at $t = 30$"


def test_a_tally_counts_all_and_says_nothing_where_all_is_well():
    assert tally([run(), run("event"), run("steady state")]) == ""
    assert tally([run(), run(), run("failed")]) == "3 runs: 2 finished, 1 failed (×)"
    assert tally([run("running"), waiting()]) == "2 runs: 1 running (▸), 1 waiting"
    assert tally([run("killed")]) == "1 run: 1 killed (×)"


def test_names_are_seeds_where_these_tell_runs_apart():
    assert names([run(seed=3), run(seed=4)]) == ["seed 3", "seed 4"]
    assert names([run(seed=3), run(seed=3)]) == ["run 0", "run 1"]
    assert names([run(seed=3), run()]) == ["run 0", "run 1"]


def test_only_runs_with_a_frame_have_begun():
    there = run()
    assert begun([waiting(), there]) == [there]
    with pytest.raises(ValueError, match="none has begun"):
        begun([waiting()])
